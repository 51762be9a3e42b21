"""What the tests of the zoo share: every architecture with the least that it asks for, and counting."""

from __future__ import annotations

from typing import Any

from torch import nn

from ganbench.zoo.architecture.biggan import BigGAN
from ganbench.zoo.architecture.dcgan import DCGAN
from ganbench.zoo.architecture.sagan import SAGAN
from ganbench.zoo.architecture.sngan import SNGAN
from ganbench.zoo.architecture.sngan_cnn import SNGANCNN
from ganbench.zoo.architecture.wgan_gp import WGANGP

ARCHITECTURES: dict[str, Any] = {
    "biggan": BigGAN,
    "dcgan": DCGAN,
    "sagan": SAGAN,
    "sngan": SNGAN,
    "sngan-cnn": SNGANCNN,
    "wgan-gp": WGANGP,
}
EVERY_ARCHITECTURE = [(name, size) for name, model in ARCHITECTURES.items() for size in model.resolutions]
CONDITIONAL_ONLY = ("biggan",)
LATENT = 60
"""A size of z that every architecture takes at every resolution."""


def least(name: str) -> dict[str, Any]:
    """What the layers of an architecture must have for it to be built at all."""
    return {"latent_dim": LATENT} | ({"num_classes": 5} if name in CONDITIONAL_ONLY else {})


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def of_type(module: nn.Module, kind: Any) -> list[Any]:
    return [m for m in module.modules() if isinstance(m, kind)]


def silence(conv: Any) -> None:
    """Make a convolution return 0."""
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
