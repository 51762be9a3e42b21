"""The Wasserstein loss."""

from torch import Tensor


class Wasserstein:
    """Arjovsky et al. (2017), eq. 2 and 3. It bounds nothing by itself: D must be kept Lipschitz, as by
    spectral norm, and the paper's weight clipping is no part of it.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """E[D(G(z))] - E[D(x)], from logits [B] to a scalar."""
        return fake.mean() - real.mean()

    def generator(self, fake: Tensor) -> Tensor:
        """-E[D(G(z))], from logits [B] to a scalar."""
        return -fake.mean()
