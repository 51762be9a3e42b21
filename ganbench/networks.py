"""Builds G and D of a spec from the components that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import nn

from ganbench.errors import UsageError
from ganbench.layers import Layers
from ganbench.random import isolated
from ganbench.registry import Entry
from ganbench.resolve import instantiate
from ganbench.spec import RunSpec


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
    )


def _check_maps(spec: RunSpec, name: str, layers: Layers) -> None:
    absent = sorted(set(layers.attention_at) - set(layers.feature_maps))
    if absent:
        has = ", ".join(map(str, sorted(set(layers.feature_maps))))
        raise UsageError(
            f"the {name} of '{spec.architecture.name}' at {spec.resolution} px has no feature map {absent[0]}; "
            f"it has {has}: choose with --attention-at, and the network with --attention-in"
        )


def build_networks(spec: RunSpec, entries: Mapping[str, Entry]) -> Networks:
    """Initialise both networks from the spec's seed.

    Raises UsageError for a feature map that a network does not have, and whatever a component refuses.
    """
    architecture = instantiate(entries["architecture"], spec.architecture)(spec.resolution)
    layers = _layers(spec, entries, "generator")
    with isolated(spec.seed, "init-generator"):
        generator = layers.driven(architecture.generator(layers))
    _check_maps(spec, "generator", layers)
    layers = _layers(spec, entries, "discriminator")
    with isolated(spec.seed, "init-discriminator"):
        discriminator = architecture.discriminator(layers)
    _check_maps(spec, "discriminator", layers)
    return Networks(generator, discriminator)


def count_parameters(network: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def check_networks(spec: RunSpec, entries: Mapping[str, Entry]) -> None:
    """Build both networks without memory or initialisation: what cannot be built is refused here."""
    with torch.device("meta"):
        build_networks(spec, entries)


def parameter_counts(spec: RunSpec, entries: Mapping[str, Entry]) -> dict[str, int]:
    """Of both networks, built without memory or initialisation."""
    with torch.device("meta"):
        networks = build_networks(spec, entries)
    return {name: count_parameters(net) for name, net in networks._asdict().items()}
