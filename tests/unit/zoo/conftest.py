"""A network's layers from components, without recipes or registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from ganbench.api import Layers
from ganbench.zoo.attention.residual import Residual
from ganbench.zoo.attention.self_attention import SelfAttention
from ganbench.zoo.normalizer.batch import Batch
from ganbench.zoo.normalizer.conditional_batch import ConditionalBatch
from ganbench.zoo.normalizer.group import Group
from ganbench.zoo.normalizer.instance import Instance
from ganbench.zoo.normalizer.layer import Layer
from ganbench.zoo.normalizer.none import no_normalizer
from ganbench.zoo.normalizer.self_modulated import SelfModulated
from ganbench.zoo.normalizer.spectral import spectral
from ganbench.zoo.normalizer.weight import weight

MakeLayers = Callable[..., Layers]

NORMALIZERS: dict[str, Callable[..., nn.Module]] = {
    "none": no_normalizer,
    "spectral": spectral,
    "batch": Batch,
    "conditional-batch": ConditionalBatch,
    "self-modulated": SelfModulated,
    "instance": Instance,
    "layer": Layer,
    "group": Group,
    "weight": weight,
}
ATTENTION: dict[str, Callable[..., nn.Module]] = {"self": SelfAttention, "residual": Residual}


def make_layers(
    weight_norm: str = "none",
    *,
    norm: str = "none",
    attention: str = "self",
    attention_at: tuple[int, ...] = (),
    num_classes: int = 0,
    conditioning: str = "none",
    latent_dim: int = 128,
    norm_options: dict[str, Any] | None = None,
) -> Layers:
    return Layers(
        num_classes=num_classes,
        latent_dim=latent_dim,
        conditioning=conditioning,
        weight_norm=NORMALIZERS[weight_norm],
        activation_norm=partial(NORMALIZERS[norm], **(norm_options or {})),
        attention_block=ATTENTION[attention],
        attention_at=attention_at,
    )


@pytest.fixture
def layers() -> MakeLayers:
    return make_layers


@pytest.fixture(autouse=True)
def _seeded_on_one_thread() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for tensors this small, and beside other work, a second thread is waited for
    yield
    torch.set_num_threads(threads)
