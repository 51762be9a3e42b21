"""The relativistic paired loss."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor


class RelativisticPaired:
    """RSGAN, Jolicoeur-Martineau (2018): is this real image more real than that generated one?

    The logistic loss of the differences; each real image is paired with the generated one at its place in
    the batch. Labels play no part in the pairing. At D = 0: log 2 for D, log 2 for G.
    """

    needs_real: Literal[True] = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """-E[log sigmoid(D(x) - D(G(z)))], from logits [B] to a scalar."""
        return F.softplus(fake - real).mean()

    def generator(self, fake: Tensor, real: Tensor) -> Tensor:
        """-E[log sigmoid(D(G(z)) - D(x))], from logits [B] to a scalar."""
        return F.softplus(real - fake).mean()
