"""Builds G and D of a spec from the components that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import nn

from ganbench.cost import Cost, block_cost, count_parameters
from ganbench.errors import SizeError, UsageError
from ganbench.layers import Layers
from ganbench.matching import REFERENCE, Matcher, size_option
from ganbench.random import isolated
from ganbench.registry import Entry, built_in
from ganbench.resolve import instantiate
from ganbench.spec import RunSpec

NETWORKS: tuple[Literal["generator", "discriminator"], ...] = ("generator", "discriminator")


class Networks(NamedTuple):
    """The two networks of a run, float32, contiguous, on the CPU."""

    generator: nn.Module
    discriminator: nn.Module


def _layers(spec: RunSpec, entries: Mapping[str, Entry], network: Literal["generator", "discriminator"]) -> Layers:
    chosen = spec.generator if network == "generator" else spec.discriminator
    return Layers(
        num_classes=spec.network_classes,
        latent_dim=spec.latent_dim if network == "generator" else 0,
        conditioning=spec.conditioning,
        weight_norm=instantiate(entries[f"{network}.weight_norm"], chosen.weight_norm),
        activation_norm=instantiate(entries[f"{network}.norm"], chosen.norm),
        attention_block=instantiate(entries["attention"], spec.attention),
        attention_at=spec.attends("g" if network == "generator" else "d"),
        attention_size=_attention_size(spec, entries["attention"]),
    )


def _attention_size(spec: RunSpec, entry: Entry) -> Matcher | None:
    if spec.attention_match == "none":
        return None
    return Matcher(
        spec.attention.name,
        instantiate(entry, spec.attention),
        size_option(entry.load()),
        built_in("attention", REFERENCE).load(),
        spec.attention_match,
    )


def _check_maps(spec: RunSpec, name: str, layers: Layers) -> None:
    absent = sorted(set(layers.attention_at) - set(layers.feature_maps))
    if absent:
        has = ", ".join(map(str, sorted(set(layers.feature_maps))))
        raise SizeError(
            f"the {name} of '{spec.architecture.name}' at {spec.resolution} px has no feature map {absent[0]}; "
            f"it has {has}",
            ": choose with --attention-at, and the network with --attention-in",
        )


class _Built(NamedTuple):
    """A network with the factory of its layers, which knows what was placed where."""

    network: nn.Module
    layers: Layers


def _build(spec: RunSpec, entries: Mapping[str, Entry]) -> dict[str, _Built]:
    architecture = instantiate(entries["architecture"], spec.architecture)(spec.resolution)
    built: dict[str, _Built] = {}
    for name in NETWORKS:
        layers = _layers(spec, entries, name)
        with isolated(spec.seed, f"init-{name}"):
            network = getattr(architecture, name)(layers)
            built[name] = _Built(layers.driven(network) if name == "generator" else network, layers)
        _check_maps(spec, name, layers)
    return built


def build_networks(spec: RunSpec, entries: Mapping[str, Entry]) -> Networks:
    """Initialise both networks from the spec's seed.

    Raises UsageError for a feature map that a network does not have, and whatever a component refuses.
    """
    return Networks(**{name: built.network for name, built in _build(spec, entries).items()})


def check_networks(spec: RunSpec, entries: Mapping[str, Entry]) -> None:
    """Build both networks without memory or initialisation: what cannot be built is refused here."""
    with torch.device("meta"):
        build_networks(spec, entries)


def parameter_counts(spec: RunSpec, entries: Mapping[str, Entry]) -> dict[str, int]:
    """Of both networks, built without memory or initialisation."""
    with torch.device("meta"):
        networks = build_networks(spec, entries)
    return {name: count_parameters(net) for name, net in networks._asdict().items()}


class AttentionCost(NamedTuple):
    """What the attention block costs in one place, beside the reference and beside nothing."""

    network: str
    channels: int
    resolution: int
    size: Mapping[str, int]
    """The options that matching found."""
    block: Cost
    references: dict[str, Cost | str]
    """``none`` and ``self`` in the same place, or why one cannot stand there."""


def attention_costs(spec: RunSpec, entries: Mapping[str, Entry]) -> list[AttentionCost]:
    """Of every block that the networks carry, counted without memory or initialisation."""
    with torch.device("meta"):
        layers_of = {name: built.layers for name, built in _build(spec, entries).items()}
    make, costs = instantiate(entries["attention"], spec.attention), []
    for name, layers in layers_of.items():
        for channels, resolution, size in layers.blocks:
            references = {
                reference: _reference_cost(reference, channels, resolution, layers) for reference in ("none", REFERENCE)
            }
            block = block_cost(make, channels, resolution, layers, **size)
            costs.append(AttentionCost(name, channels, resolution, size, block, references))
    return costs


def _reference_cost(name: str, channels: int, resolution: int, layers: Layers) -> Cost | str:
    try:
        return block_cost(built_in("attention", name).load(), channels, resolution, layers)
    except UsageError as error:
        return str(error)
