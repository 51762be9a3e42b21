"""The gradient penalty of WGAN-GP."""

from __future__ import annotations

from torch import Tensor

from ganbench.api import Combination, DiscriminatorUpdate, input_gradients, per_image_doubts
from ganbench.zoo.regularizer.interpolates import interpolates, slopes


class GradientPenalty:
    """E[(|dD/dx| - 1)^2] on points between real and generated images: Gulrajani et al. (2017), eq. 3.

    Two-sided, one random point for each pair, weight 10. Labels, which the paper's conditional model shares
    within a pair, differ here: D is given the real image's.
    """

    default_weight = 10.0
    default_interval = 1

    def __call__(self, update: DiscriminatorUpdate) -> Tensor:
        """The penalty, a scalar."""
        gradients = input_gradients(update, interpolates(update), update.real_labels)
        return (slopes(gradients) - 1).square().mean()

    @staticmethod
    def doubts(combination: Combination) -> list[str]:
        """Why a combination may make little sense."""
        found = per_image_doubts(combination)
        if combination.loss != "wasserstein":
            found.append(
                "a slope of 1 is what the Wasserstein loss asks of its critic; under the loss "
                f"'{combination.loss}' nothing singles it out (r1 and zero-centered pull the slope to 0 instead)"
            )
        return found
