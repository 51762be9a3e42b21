"""The checks on an augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ganbench.conformance.report import Broken, Check, Cost

_SIZES = (8, 32)


class AugmentationSubject:
    """An augmentation, and how it is applied."""

    def __init__(self, component: Any, options: dict[str, Any]) -> None:
        self.component, self.options = component, options

    def apply(self, images: Tensor, seed: int = 0) -> Tensor:
        """A fresh one on a batch, its draws from one seed."""
        made = self.component(**self.options)
        out: Tensor = made(images, torch.Generator().manual_seed(seed))
        return out


def subject_of(component: Any, options: dict[str, Any]) -> AugmentationSubject:
    """The augmentation."""
    return AugmentationSubject(component, options)


def _images(side: int) -> Tensor:
    return torch.rand(8, 3, side, side) * 2 - 1


def _keeps_shape_and_type(subject: AugmentationSubject) -> None:
    for side in _SIZES:
        for dtype in (torch.float32, torch.bfloat16):
            images = _images(side).to(dtype)
            out = subject.apply(images.contiguous(memory_format=torch.channels_last))
            if out.shape != images.shape or out.dtype != dtype or not out.isfinite().all():
                raise Broken(
                    f"finite {dtype} {list(images.shape)}",
                    f"{out.dtype} {list(out.shape)}",
                    "a crop, or draws in float32",
                )


def _passes_gradients(subject: AugmentationSubject) -> None:
    """Into every image: G learns through it."""
    images = _images(32).requires_grad_()
    out = subject.apply(images)
    (out * torch.randn_like(out)).sum().backward()  # type: ignore[no-untyped-call]
    gradient = images.grad
    if gradient is None or not gradient.isfinite().all() or not gradient.flatten(1).any(1).all():
        raise Broken(
            "a finite gradient for every image",
            "none" if gradient is None else "values that are not finite, or zeros for a whole image",
            "rounding to pixels, .data or no_grad: the generator would not learn through it",
        )


def _draws_as_told(subject: AugmentationSubject) -> None:
    images, before = _images(32), torch.random.get_rng_state()
    outputs = [subject.apply(images, 1) for _ in range(2)]
    if not torch.equal(torch.random.get_rng_state(), before):
        raise Broken(
            "all random numbers from draws",
            "torch's global generator was used",
            "torch.rand and its like need generator=draws: else a resumed run takes another course",
        )
    if not torch.equal(*outputs):
        raise Broken("the same view from the same draws", "another", "random numbers that are not torch's")


def _leaves_its_input_alone(subject: AugmentationSubject) -> None:
    images = _images(32)
    kept = images.clone()
    subject.apply(images)
    if not torch.equal(images, kept):
        raise Broken("unchanged images", "other values", "an in-place operation on the batch")


def costs(subject: AugmentationSubject) -> Iterator[Cost]:
    """None to speak of."""
    yield from ()


CHECKS: tuple[Check[AugmentationSubject], ...] = (
    Check("keeps shape and type", _keeps_shape_and_type),
    Check("passes gradients", _passes_gradients),
    Check("draws as told", _draws_as_told),
    Check("leaves its input alone", _leaves_its_input_alone),
)
