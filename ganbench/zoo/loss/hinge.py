"""The hinge loss."""

import torch.nn.functional as F
from torch import Tensor


class Hinge:
    """Lim & Ye (2017), Tran et al. (2017); the loss of SNGAN and SAGAN. At D = 0: 2 for D, 0 for G."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """E[relu(1 - D(x))] + E[relu(1 + D(G(z)))], from logits [B] to a scalar."""
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """-E[D(G(z))], from logits [B] to a scalar."""
        return -fake.mean()
