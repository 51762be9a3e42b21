"""What the components of a run say of their combination."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ganbench.judge import has_batch_statistics
from ganbench.networks import build_networks
from ganbench.penalty import Combination
from ganbench.registry import Entry
from ganbench.spec import RunSpec


def doubts(spec: RunSpec, entries: Mapping[str, Entry]) -> list[str]:
    """A line for each combination that may make little sense, and why; the run is allowed all the same.

    Raises what :func:`ganbench.networks.build_networks` raises.
    """
    told = _doubts_of_the_extractor(spec, entries.get("evaluation.extractor"))
    components = {c.name: entries[f"regularizers.{c.name}"].load() for c in spec.regularizers}
    asked = {name: component for name, component in components.items() if hasattr(component, "doubts")}
    if not asked:
        return told
    with torch.device("meta"):
        discriminator = build_networks(spec, entries).discriminator
    combination = Combination(
        loss=spec.loss.name,
        relativistic=bool(getattr(entries["loss"].load(), "needs_real", False)),
        batch_statistics=has_batch_statistics(discriminator),
    )
    return told + [f"{name}: {doubt}" for name, component in asked.items() for doubt in component.doubts(combination)]


def _doubts_of_the_extractor(spec: RunSpec, extractor: Entry | None) -> list[str]:
    made_for = extractor.load().card.dataset if extractor is not None else None
    if made_for in (None, spec.dataset.name):
        return []
    name = spec.evaluation.extractor.name
    return [f"{name}: it was made for {made_for}, and its scores of {spec.dataset.name} say little"]
