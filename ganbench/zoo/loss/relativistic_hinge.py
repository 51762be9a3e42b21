"""The relativistic average hinge loss."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor


class RelativisticHinge:
    """RaHingeGAN, Jolicoeur-Martineau (2018): is an image more real than the other kind is on average?

    With the batch means r of D(x) and f of D(G(z)). The author's code halves both terms, which Adam does not
    notice but a regularizer's weight does: here they are whole, so that at D = 0 it is 2 for D, as the hinge
    loss has, and 2 for G.
    """

    needs_real: Literal[True] = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """E[relu(1 - (D(x) - f))] + E[relu(1 + (D(G(z)) - r))], from logits [B] to a scalar."""
        return F.relu(1 - (real - fake.mean())).mean() + F.relu(1 + (fake - real.mean())).mean()

    def generator(self, fake: Tensor, real: Tensor) -> Tensor:
        """E[relu(1 - (D(G(z)) - r))] + E[relu(1 + (D(x) - f))], from logits [B] to a scalar."""
        return F.relu(1 - (fake - real.mean())).mean() + F.relu(1 + (real - fake.mean())).mean()
