"""The R1 penalty."""

from __future__ import annotations

from torch import Tensor

from ganbench.api import DiscriminatorUpdate, input_gradients, per_image_doubts


class R1:
    """E[|dD/dx|^2] / 2 on real images: Mescheder et al. (2018), eq. 9, their gamma being the weight.

    The default weight is theirs, 10; StyleGAN2 applies it every 16th update (``interval``).
    """

    default_weight = 10.0
    default_interval = 1
    doubts = staticmethod(per_image_doubts)

    def __call__(self, update: DiscriminatorUpdate) -> Tensor:
        """The penalty, a scalar."""
        gradients = input_gradients(update, update.real, update.real_labels)
        return gradients.square().sum((1, 2, 3)).mean() / 2
