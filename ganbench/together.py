"""Weights that are computed for a whole network at once, as it begins a pass."""

from __future__ import annotations

from collections import defaultdict

from torch import nn
from torch.nn.utils import parametrize

from ganbench.api import WorksTogether


def compute_together(network: nn.Module) -> None:
    """From now on, every pass of the network begins with those of its weights that are computed together.

    They are the weights whose only parametrization is a :class:`ganbench.api.WorksTogether`, class by class.
    """
    groups: dict[type, list[tuple[nn.Module, WorksTogether]]] = defaultdict(list)
    for owner in network.modules():
        if parametrize.is_parametrized(owner, "weight"):
            parts = list(owner.parametrizations.weight)  # type: ignore[union-attr,arg-type]
            if len(parts) == 1 and isinstance(parts[0], WorksTogether):
                groups[type(parts[0])].append((owner, parts[0]))
    if groups:
        # An attribute of the network, so that a copy of the network has the copies of its parts.
        network.weights_together = list(groups.values())  # type: ignore[assignment]
        network.register_forward_pre_hook(_compute)
        network.register_forward_hook(_forget, always_call=True)


def compute_apart(network: nn.Module) -> None:
    """From now on, each weight is computed where it is used: what a compiler does best with."""
    if hasattr(network, "weights_together"):
        network.weights_together = []  # type: ignore[assignment]


def _compute(network: nn.Module, _: object) -> None:
    for group in network.weights_together:  # type: ignore[union-attr]
        parts = [part for _, part in group]
        weights = parts[0].all_at_once(parts, [owner.parametrizations.weight.original for owner, _ in group])
        for part, weight in zip(parts, weights, strict=True):
            part.ready.append(weight)


def _forget(network: nn.Module, *_: object) -> None:
    """What a pass did not use is of no use to a later one: the weights will have moved on."""
    for group in network.weights_together:  # type: ignore[union-attr]
        for _owner, part in group:
            part.ready.clear()
