"""The R2 penalty."""

from __future__ import annotations

from torch import Tensor

from ganbench.api import DiscriminatorUpdate, input_gradients, per_image_doubts


class R2:
    """E[|dD/dx|^2] / 2 on generated images: Mescheder et al. (2018), eq. 10, their gamma being the weight."""

    default_weight = 10.0
    default_interval = 1
    doubts = staticmethod(per_image_doubts)

    def __call__(self, update: DiscriminatorUpdate) -> Tensor:
        """The penalty, a scalar."""
        gradients = input_gradients(update, update.fake, update.fake_labels)
        return gradients.square().sum((1, 2, 3)).mean() / 2
