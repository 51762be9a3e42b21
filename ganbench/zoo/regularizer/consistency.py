"""Consistency regularization."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.api import DiscriminatorUpdate, Fraction
from ganbench.zoo.augmentation.shift import random_offsets, shift


class Consistency:
    """E[(D(x) - D(T(x)))^2], T an augmentation: CR-GAN, Zhang et al. (2020), weight 10.

    T is theirs: a horizontal flip with probability 1/2 and a shift by up to a share of the side, 4 pixels at
    32 and 16 at 128. What is shifted in from outside is the image's reflection, on which the paper is silent.
    ``balanced`` adds the same term on generated images, G not concerned: bCR, Zhao et al. (2021). On data that
    is not its own mirror image, such as digits, choose ``flip=false``.
    """

    default_weight = 10.0
    default_interval = 1

    def __init__(self, *, flip: bool = True, shift: Fraction = 0.125, balanced: bool = False) -> None:
        self.flip, self.shift, self.balanced = flip, shift, balanced

    def __call__(self, update: DiscriminatorUpdate) -> Tensor:
        """The penalty, a scalar."""
        penalty = self._distance(update, update.real, update.real_labels, update.real_logits)
        if self.balanced:
            penalty = penalty + self._distance(update, update.fake, update.fake_labels, update.fake_logits)
        return penalty

    def _distance(self, update: DiscriminatorUpdate, images: Tensor, labels: Tensor | None, logits: Tensor) -> Tensor:
        return (logits - update.judge(self.augment(images, update.draws), labels)).square().mean()

    def augment(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """T: [B, 3, R, R] -> the same shape."""
        if self.flip:
            flipped = torch.rand(len(images), 1, 1, 1, generator=draws).to(images.device) < 0.5
            images = torch.where(flipped, images.flip(3), images)
        rows, columns = random_offsets(images, self.shift, draws)
        return shift(images, rows, columns, border="reflection")
