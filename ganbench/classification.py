"""The class term of an auxiliary classifier: AC-GAN, Odena et al. (2017)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ganbench.conditioning import DiscriminatorOutput
from ganbench.spec import ClassificationSpec


class Classification:
    """Cross-entropy between D's class logits and the labels, added to either network's loss.

    As in the paper, D learns the classes on real and on generated images alike, and G to be classified as
    what it was asked for; each of the three has its weight. Where D gives no class logits, nothing is added.
    """

    def __init__(self, weights: ClassificationSpec) -> None:
        self._weights = weights

    def discriminator(
        self, on_real: DiscriminatorOutput, y_real: Tensor | None, on_fake: DiscriminatorOutput, y_fake: Tensor | None
    ) -> Tensor:
        """What D minimises besides its loss: a scalar, from class logits [B, num_classes] and labels [B]."""
        weights = self._weights
        return _term(on_real, y_real, weights.real) + _term(on_fake, y_fake, weights.fake)

    def generator(self, on_fake: DiscriminatorOutput, y_fake: Tensor | None) -> Tensor:
        """What G minimises besides its loss: a scalar."""
        return _term(on_fake, y_fake, self._weights.generator)


def _term(output: DiscriminatorOutput, labels: Tensor | None, weight: float) -> Tensor:
    if output.class_logits is None or weight == 0:
        return torch.zeros_like(output.logits[0])
    if labels is None:
        raise ValueError("the discriminator gives class logits, and its batch has no labels")
    return weight * F.cross_entropy(output.class_logits, labels)
