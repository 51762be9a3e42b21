"""The checks on an architecture: a generator and a discriminator for every resolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ganbench.conformance.attention import layers_outside
from ganbench.conformance.cases import Case, Subject, call, make_layers, measure, refusable
from ganbench.conformance.modules import MODULE_CHECKS
from ganbench.conformance.report import Broken, Check, Cost, Noted, expecting
from ganbench.layers import Condition, Layers
from ganbench.options import option_model
from ganbench.registry import built_in
from ganbench.spec import RunSpec

_LATENT, _CLASSES, _WIDTH = 16, 3, 8
Network = Literal["generator", "discriminator"]
CONDITIONINGS: tuple[str, ...] = get_args(RunSpec.model_fields["conditioning"].annotation)


def subject_of(component: Any, options: dict[str, Any]) -> Subject:
    """Both networks at the smallest resolution, without and with labels; narrow, where there is a width."""
    if "width" in option_model(component).model_fields and options.get("width") == _default(component, "width"):
        options = options | {"width": _WIDTH}
    smallest = min(getattr(component, "resolutions", (32,)))
    cases = [
        _case(component, options, network, smallest, conditioning)
        for network in ("generator", "discriminator")
        for conditioning in ("none", "projection")
    ]
    return Subject(component, options, cases)


def _default(component: Any, option: str) -> Any:
    return option_model(component).model_fields[option].default


def _layers(network: Network, conditioning: str, **changes: Any) -> Layers:
    """With labels, G has the normalizer by which they enter; else nothing but what the network is made of."""
    classes, norm = 0, "none"
    if conditioning != "none":
        classes, norm = _CLASSES, "conditional-batch" if network == "generator" else "none"
    given = {"activation_norm": built_in("normalizer", norm).load()} | changes
    return make_layers(num_classes=classes, conditioning=conditioning, latent_dim=_LATENT, **given)


def _network(architecture: Any, network: Network, layers: Layers) -> nn.Module:
    """One network as the harness makes it."""
    built: nn.Module = getattr(architecture, network)(layers)
    return layers.driven(built) if network == "generator" else built


def _inputs(network: Network, resolution: int, conditioning: str, batch: int) -> tuple[Any, ...]:
    labels = None if conditioning == "none" else torch.arange(batch) % _CLASSES
    if network == "generator":
        return torch.randn(batch, _LATENT), labels
    return torch.randn(batch, 3, resolution, resolution), labels


def _case(component: Any, options: dict[str, Any], network: Network, resolution: int, conditioning: str) -> Case:
    labels = "without labels" if conditioning == "none" else f"with labels by {conditioning}"
    return Case(
        f"the {network} at {resolution} px {labels}",
        lambda: _network(component(resolution, **options), network, _layers(network, conditioning)),
        lambda batch: _inputs(network, resolution, conditioning, batch),
        (3, resolution, resolution) if network == "generator" else (),
        (torch.bfloat16, torch.float32),  # the training step takes either
    )


def _names_its_resolutions(subject: Subject) -> None:
    resolutions = getattr(subject.component, "resolutions", None)
    if not isinstance(resolutions, tuple) or not resolutions or not all(isinstance(r, int) for r in resolutions):
        raise Broken("a class attribute resolutions, a tuple of integers", f"{resolutions!r}", "it was left out")


def _builds_at_every_resolution(subject: Subject) -> None:
    """Under every conditioning, without memory: the shapes alone."""
    for resolution in subject.component.resolutions:
        for network in ("generator", "discriminator"):
            for conditioning in CONDITIONINGS:
                case = _case(subject.component, subject.options, network, resolution, conditioning)
                with refusable(), torch.device("meta"), expecting(f"shapes that fit at {case.label}"):
                    shape = tuple(call(case.build(), case.inputs(2)).shape)
                    if shape != (2, *case.output):
                        raise Broken(f"{[2, *case.output]} at {case.label}", f"{list(shape)}", "the plan of this size")


def _images_are_in_range(subject: Subject) -> None:
    for case in subject.usable:
        if "generator" not in case.label:
            continue
        z, labels = case.inputs(4)
        images = call(case.build(), (100 * z, labels))
        if images.abs().max() > 1:
            raise Broken(
                f"images in [-1, 1] from {case.label}",
                f"values from {images.min():.3g} to {images.max():.3g}",
                "the last layer lacks a tanh",
            )


class _Probe(nn.Module):
    """Stands where the architecture asked for a part, and notes whether what arrives is what was announced."""

    def __init__(self, what: str, expected: tuple[int | None, ...]) -> None:
        super().__init__()
        self.what, self.expected = what, expected
        self.complaint = f"layers.{what} was asked for and never called"

    def forward(self, x: Tensor, *condition: object) -> Tensor:
        """``x`` itself."""
        seen, self.complaint = tuple(x.shape[1:]), ""
        if any(e is not None and e != s for e, s in zip(self.expected, seen, strict=True)):
            self.complaint = f"layers.{self.what} was given {list(seen)}"
        elif condition and not isinstance(condition[0], Condition):
            self.complaint = f"layers.{self.what} was called with {type(condition[0]).__name__}, not a Condition"
        return x


def _probe(probes: list[_Probe], what: str, expected: tuple[int | None, ...]) -> _Probe:
    probes.append(_Probe(what, expected))
    return probes[-1]


def _parts_stand_where_announced(subject: Subject) -> None:
    """Attention and norms get the channels and the resolution that the architecture named."""
    for case in subject.usable:
        network: Network = "generator" if "generator" in case.label else "discriminator"
        conditioning = case.label.rpartition(" by ")[2] if " by " in case.label else "none"
        resolution = min(subject.component.resolutions)
        probes: list[_Probe] = []
        layers = _layers(
            network,
            conditioning,
            activation_norm=lambda channels, _, at=probes: _probe(at, f"norm({channels})", (channels, None, None)),
            attention_block=lambda channels, _, resolution, at=probes: _probe(
                at, f"attention({channels}, {resolution})", (channels, resolution, resolution)
            ),
            attention_at=tuple(range(1, resolution + 1)),
            attention_size=lambda _, resolution, __: {"resolution": resolution},
        )
        module = _network(subject.make(resolution), network, layers)
        call(module, case.inputs(2))
        complaints = [probe.complaint for probe in probes if probe.complaint]
        if complaints:
            raise Broken(
                f"parts called with the shapes that they were asked for, in {case.label}",
                complaints[0],
                "layers.attention(channels, resolution) or layers.norm(channels) with another place's numbers",
            )


def _is_reached_by_the_weight_normalizer(subject: Subject) -> None:
    resolution = min(subject.component.resolutions)
    for network in ("generator", "discriminator"):
        made: list[nn.Module] = []

        def keep(module: nn.Module, made: list[nn.Module] = made) -> nn.Module:
            made.append(module)
            return module

        with refusable():
            module = getattr(subject.make(resolution), network)(_layers(network, "projection", weight_norm=keep))
            if outside := layers_outside(module, made):
                raise Noted(f"{', '.join(outside)} of the {network} did not come from layers: no normalizer reaches it")


def costs(subject: Subject) -> Iterator[Cost]:
    """Of each network, by the first conditioning that it takes, at the size that was checked."""
    first: dict[str, Case] = {}
    for case in subject.usable:
        first.setdefault(case.label.split()[1], case)
    for case in first.values():
        yield measure(case, case.label)


CHECKS: tuple[Check[Subject], ...] = (
    Check("names its resolutions", _names_its_resolutions),
    *MODULE_CHECKS,
    Check("builds at every resolution", _builds_at_every_resolution),
    Check("images are in range", _images_are_in_range),
    Check("parts stand where announced", _parts_stand_where_announced),
    Check("weight normalizer reaches it", _is_reached_by_the_weight_normalizer),
)
