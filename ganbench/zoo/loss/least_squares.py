"""The least-squares loss."""

from torch import Tensor


class LeastSquares:
    """Mao et al. (2017), eq. 2, with its factors of 1/2.

    ``a`` and ``b`` are what D should say of fake and of real images, ``c`` what G wants it to say of fakes.
    The defaults are the 0-1 coding of eq. 9; a = -1, b = 1, c = 0 is eq. 8, which minimises a Pearson
    chi-squared divergence. At D = 0 and the defaults: 1/2 for D, 1/2 for G.
    """

    def __init__(self, *, a: float = 0.0, b: float = 1.0, c: float = 1.0) -> None:
        self.a, self.b, self.c = a, b, c

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """E[(D(x) - b)^2] / 2 + E[(D(G(z)) - a)^2] / 2, from logits [B] to a scalar."""
        return (real - self.b).square().mean() / 2 + (fake - self.a).square().mean() / 2

    def generator(self, fake: Tensor) -> Tensor:
        """E[(D(G(z)) - c)^2] / 2, from logits [B] to a scalar."""
        return (fake - self.c).square().mean() / 2
