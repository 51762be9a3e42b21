"""What a module costs: its parameters, and the FLOPs of a forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from ganbench.flops import forward_flops
from ganbench.layers import Layers

MakeBlock = Callable[..., nn.Module]
"""``make(channels, layers, **size) -> block``."""


class Cost(NamedTuple):
    """What a block costs at one place."""

    parameters: int
    """Trainable, with those that the weight normalizer adds."""
    flops: int
    """Of one image's forward pass, as executed: zeros that pad queries to the width of the values count, as
    in a run's budget. Without the weight normalizer, whose work is by update, not by image."""


def count_parameters(network: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def block_cost(make: MakeBlock, channels: int, resolution: int, layers: Layers, **size: int) -> Cost:
    """Count one attention block without memory: on the meta device, and no random number is drawn.

    Raises UsageError where the block refuses the place or the size.
    """
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        parameters = count_parameters(make(channels, layers, **size))
        plain = make(channels, layers.without_weight_norm(), **size).eval()
        return Cost(parameters, forward_flops(plain, torch.empty(1, channels, resolution, resolution)))
