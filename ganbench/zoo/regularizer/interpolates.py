"""Points between real and generated images."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.api import DiscriminatorUpdate


def interpolates(update: DiscriminatorUpdate) -> Tensor:
    """e x + (1 - e) G(z), one e from U(0, 1) for each pair: [B, 3, R, R].

    A pair has two labels in a conditional model, and the penalties that use this give D the real one.
    """
    share = torch.rand(len(update.real), 1, 1, 1, generator=update.draws).to(update.real)
    return torch.lerp(update.fake, update.real, share)


def slopes(gradients: Tensor) -> Tensor:
    """The Euclidean norm of each image's gradient, [B, 3, R, R] -> [B]; its own gradient at 0 is 0."""
    norms: Tensor = torch.linalg.vector_norm(gradients, dim=(1, 2, 3))
    return norms
