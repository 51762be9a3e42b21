"""The zero-centered gradient penalty."""

from __future__ import annotations

from torch import Tensor

from ganbench.api import DiscriminatorUpdate, input_gradients, per_image_doubts
from ganbench.zoo.regularizer.interpolates import interpolates


class ZeroCentered:
    """E[|dD/dx|^2] on points between real and generated images: 0-GP, Thanh-Tung et al. (2019).

    Their weight differs between experiments and reaches hundreds, on other data than images of this size;
    the default here is that of the other gradient penalties, not a published one.
    """

    default_weight = 10.0
    default_interval = 1
    doubts = staticmethod(per_image_doubts)

    def __call__(self, update: DiscriminatorUpdate) -> Tensor:
        """The penalty, a scalar."""
        gradients = input_gradients(update, interpolates(update), update.real_labels)
        return gradients.square().sum((1, 2, 3)).mean()
