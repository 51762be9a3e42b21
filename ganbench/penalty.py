"""What a regularizer is given, and the gradients of D that penalties are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ganbench.fused import written_out


@dataclass(frozen=True)
class DiscriminatorUpdate:
    """One update of D as a regularizer sees it. Images are float32, as D was shown them: after augmentation."""

    judge: Callable[[Tensor, Tensor | None], Tensor]
    """D in training mode: images [B, 3, R, R] and labels -> logits [B], with their graph."""
    real: Tensor
    """[B, 3, R, R], without a graph."""
    fake: Tensor
    """[B, 3, R, R], without a graph, as many as the real ones."""
    real_labels: Tensor | None
    """int64 [B]; None where D is unconditional."""
    fake_labels: Tensor | None
    """int64 [B], drawn independently of the real ones; None where D is unconditional."""
    real_logits: Tensor
    """[B]: what D said of the real images in this update, with its graph."""
    fake_logits: Tensor
    """[B]: the same of the generated ones."""
    draws: torch.Generator
    """The only source of randomness, on the CPU; one of its own for each regularizer and update."""


def input_gradients(update: DiscriminatorUpdate, images: Tensor, labels: Tensor | None) -> Tensor:
    """The gradient of each image's logit with respect to that image, [B, 3, R, R], with its graph.

    It can be differentiated again with respect to D's weights. To that end autocast is off, since products
    of small gradients vanish in half precision, and attention is computed by plain operations: the fused
    kernels have no second derivative. Where D has batch statistics, an image's logit depends on the others
    of its batch, and the sum of those dependences is what comes out.
    """
    leaves = images.detach().requires_grad_()
    with torch.autocast(images.device.type, enabled=False), sdpa_kernel(SDPBackend.MATH), written_out():
        points = leaves * 1.0  # torch's FlopCounterMode cannot count the gradient with respect to a leaf
        logits = update.judge(points, labels)
        (gradients,) = torch.autograd.grad(logits.sum(), points, create_graph=True)
    return gradients


@dataclass(frozen=True)
class Combination:
    """What a regularizer is combined with, for its ``doubts``."""

    loss: str
    """The loss by its name."""
    relativistic: bool
    """Whether the loss looks at differences of logits only."""
    batch_statistics: bool
    """Whether D has a normalizer with statistics of the batch."""


def per_image_doubts(combination: Combination) -> list[str]:
    """The ``doubts`` of a penalty on each image's own gradient."""
    if not combination.batch_statistics:
        return []
    return [
        "it penalizes the gradient of each image's own logit, and batch norm in the discriminator makes that "
        "depend on the whole batch: --norm-d none or another normalizer is what it is published with"
    ]
