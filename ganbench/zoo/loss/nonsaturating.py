"""The non-saturating loss."""

import torch.nn.functional as F
from torch import Tensor


class NonSaturating:
    """Goodfellow et al. (2014), section 3: cross-entropy, G maximising log D(G(z)); DCGAN's loss.

    softplus(-a) is -log sigmoid(a), without the overflow. At D = 0: 2 log 2 for D, log 2 for G.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """-E[log sigmoid(D(x))] - E[log(1 - sigmoid(D(G(z))))], from logits [B] to a scalar."""
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """-E[log sigmoid(D(G(z)))], from logits [B] to a scalar."""
        return F.softplus(-fake).mean()
