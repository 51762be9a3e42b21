"""The minimax loss."""

import torch.nn.functional as F
from torch import Tensor


class Minimax:
    """Goodfellow et al. (2014), eq. 1: one value, which D maximises and G minimises.

    G's gradient vanishes where D is sure that an image is generated; the non-saturating loss is the
    paper's remedy. log(1 - sigmoid(a)) is -softplus(a). At D = 0: 2 log 2 for D, -log 2 for G.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """-E[log sigmoid(D(x))] - E[log(1 - sigmoid(D(G(z))))], from logits [B] to a scalar."""
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """E[log(1 - sigmoid(D(G(z))))], from logits [B] to a scalar."""
        return -F.softplus(fake).mean()
