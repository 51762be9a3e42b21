"""The DRAGAN penalty."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.api import DiscriminatorUpdate, NonNegativeFloat, input_gradients, per_image_doubts
from ganbench.zoo.regularizer.interpolates import slopes


class DRAGAN:
    """E[(|dD/dx| - 1)^2] around real images: Kodali et al. (2017).

    The paper has Gaussian noise; its released code, followed here, adds 0.5 std(batch) times noise from
    U(0, 1) to each pixel and takes a random point of the line from the image to the noisy one. The noise is
    not centred there, and not here. ``noise`` is the 0.5.
    """

    default_weight = 10.0
    default_interval = 1
    doubts = staticmethod(per_image_doubts)

    def __init__(self, *, noise: NonNegativeFloat = 0.5) -> None:
        self.noise = noise

    def __call__(self, update: DiscriminatorUpdate) -> Tensor:
        """The penalty, a scalar."""
        real, draws = update.real, update.draws
        noise = torch.rand(real.shape, generator=draws).to(real)
        share = torch.rand(len(real), 1, 1, 1, generator=draws).to(real)
        # std as numpy has it in that code: over all pixels, without Bessel's correction.
        points = real + share * self.noise * real.std(correction=0) * noise
        return (slopes(input_gradients(update, points, update.real_labels)) - 1).square().mean()
