"""Recipe + profile + overrides -> RunSpec: every name looked up, every option checked, before any training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ganbench.data import ImageData
from ganbench.errors import GanbenchError, MissingError, UsageError
from ganbench.options import complain, resolve_options, typed_options
from ganbench.recipes import RecipeBook
from ganbench.registry import Entry, Registry
from ganbench.spec import Choice, RunSpec

COMPONENT_KEYS: dict[str, str] = {
    "architecture": "architecture",
    "attention": "attention",
    "loss": "loss",
    "generator.weight_norm": "normalizer",
    "generator.norm": "normalizer",
    "discriminator.weight_norm": "normalizer",
    "discriminator.norm": "normalizer",
    "evaluation.extractor": "extractor",
    "dataset": "dataset",
}
"""Where a spec names a component -> its kind."""

ABSENT_AT_FIRST = ("dataset", "evaluation.extractor")
"""What a spec may name although it is not at hand: it can be shown, not run."""

Draft = dict[str, Any]


@dataclass(frozen=True)
class Resolved:
    """A spec with the entries behind its names."""

    spec: RunSpec
    entries: dict[str, Entry]
    """By key, as in COMPONENT_KEYS, but for the missing."""
    missing: dict[str, GanbenchError]
    """By key, why a data set or an extractor is not at hand."""


def merge(weaker: Mapping[str, Any], stronger: Mapping[str, Any], prefix: str = "") -> Draft:
    """Overlay nested tables. A component that changes its name loses the options of the old one."""
    merged = dict(weaker)
    for key, value in stronger.items():
        path = f"{prefix}{key}"
        if path in COMPONENT_KEYS:
            merged[key] = _merge_choice(merged.get(key, {}), value)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value, f"{path}.")
        elif isinstance(value, Mapping):
            merged[key] = merge({}, value, f"{path}.")
        else:
            merged[key] = value
    return merged


def _merge_choice(weaker: Any, stronger: Any) -> Any:
    weaker = {"name": weaker} if isinstance(weaker, str) else weaker
    stronger = {"name": stronger} if isinstance(stronger, str) else stronger
    if not isinstance(stronger, Mapping):
        return stronger
    renamed = stronger.get("name", weaker.get("name")) != weaker.get("name")
    return dict(stronger) if renamed else {**weaker, **stronger}


def nest(path: Sequence[str], value: Any) -> Draft:
    """``(['optimizer', 'lr_g'], 1)`` as ``{'optimizer': {'lr_g': 1}}``."""
    for part in reversed(path):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def resolve(registry: Registry, book: RecipeBook, model: str, profile: str, overrides: Sequence[Draft]) -> Resolved:
    """The spec of a recipe in a profile with the user's overrides.

    Raises UsageError for unknown names and keys, wrong types, values out of range and parts that do not
    go together; MissingError for a plug-in that cannot be imported.
    """
    recipe = book.recipe(model)
    draft: Draft = {}
    for layer in book.profile(recipe, profile):
        draft = merge(draft, layer)
    draft.pop("description", None)
    asked: Draft = {}
    for override in overrides:
        asked = merge(asked, override)
    draft = merge(draft, asked)
    draft["model"] = model

    entries: dict[str, Entry] = {}
    missing: dict[str, GanbenchError] = {}
    for key, kind in COMPONENT_KEYS.items():
        *parents, last = key.split(".")
        table = draft
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise UsageError(f"{parent} holds several keys: set one of them, as in --set {key}=NAME")
        try:
            entries[key], table[last] = _resolve_choice(registry, kind, key, table.get(last))
        except GanbenchError as error:
            name = _as_table(table.get(last)).get("name")
            if key not in ABSENT_AT_FIRST or name is None:
                raise
            missing[key] = error
            table[last] = {"name": name, "provider": ""}
    _settle_attention(draft, asked)
    spec = _validate(draft, str(recipe.path))
    _check_parts(spec, entries)
    return Resolved(spec, entries, missing)


def _as_table(value: Any) -> Draft:
    """A component given by its bare name, or not given, as a table."""
    return dict(value) if isinstance(value, Mapping) else {"name": value}


def _resolve_choice(registry: Registry, kind: str, key: str, value: Any) -> tuple[Entry, Draft]:
    if not isinstance(value, (str, Mapping)):
        raise UsageError(f"{key} should name a component of kind {kind}, as in --set {key}=NAME")
    options = _as_table(value)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise UsageError(f"{key}.name is not given: set it with --set {key}=NAME")
    entry = registry.find(kind, name)
    component = entry.load()
    role = {"weight_norm": "weight", "norm": "activation"}.get(key.rpartition(".")[2])
    if role is not None and role not in getattr(component, "roles", ()):
        fitting = [e.name for e in registry.entries(kind) if e.built_in and role in e.load().roles]
        raise UsageError(f"normalizer '{name}' is none for {key}; these are: {', '.join(fitting)}")
    resolved = resolve_options(component, options, key)
    return entry, {"name": entry.name, "provider": entry.identity, "options": resolved}


def _settle_attention(draft: Draft, asked: Draft) -> None:
    """Without a block there are no places for one, so that equal runs have equal specs."""
    if draft["attention"]["name"] != "none":
        if not draft.get("attention_at"):
            raise UsageError("attention needs a place: add --attention-at RESOLUTION of a feature map, as in 16")
        return
    if asked.get("attention_at"):
        raise UsageError("--attention-at places a block, and none is chosen: add --attention self")
    draft["attention_at"] = []
    draft["attention_in"] = "both"


def _validate(draft: Draft, source: str) -> RunSpec:
    try:
        return RunSpec.model_validate_json(json.dumps(draft))
    except ValidationError as error:
        complaint = complain("", error, RunSpec.model_fields)
        raise UsageError(f"{complaint} [{source} and your overrides]") from None


def _check_parts(spec: RunSpec, entries: Mapping[str, Entry]) -> None:
    """Refuse combinations that cannot be built, naming what can."""
    able = entries["architecture"].load().resolutions
    if spec.resolution not in able:
        raise UsageError(
            f"architecture '{spec.architecture.name}' has no resolution {spec.resolution}; "
            f"it has {', '.join(map(str, able))}"
        )
    if spec.conditioning != "none" and spec.num_classes == 0:
        raise UsageError(f"conditioning '{spec.conditioning}' needs classes: set --num-classes, or --conditioning none")
    extractor = entries.get("evaluation.extractor")
    sizes = extractor.load().card.resolutions if extractor is not None else None
    if sizes is not None and spec.resolution not in sizes:
        raise UsageError(
            f"extractor '{spec.evaluation.extractor.name}' takes images of {', '.join(map(str, sizes))} px, "
            f"not {spec.resolution}: choose another with --set evaluation.extractor=NAME"
        )


def instantiate(entry: Entry, choice: Choice) -> Callable[..., Any]:
    """The component as a function of what the harness gives, its options filled in."""
    component = entry.load()
    options = typed_options(component, choice.options)
    return lambda *given: component(*given, **options)


def load_data(resolved: Resolved) -> tuple[RunSpec, ImageData]:
    """Load the data set and put its fingerprint into the spec.

    Raises MissingError where the data set or the extractor is not at hand, UsageError where the spec does
    not fit the data.
    """
    for error in resolved.missing.values():
        raise MissingError(str(error))
    spec = resolved.spec
    data: ImageData = instantiate(resolved.entries["dataset"], spec.dataset)(spec.resolution)
    if spec.batch > len(data.train):
        raise UsageError(
            f"batch {spec.batch} is above the {len(data.train)} training images of {spec.dataset.name}: lower it"
        )
    if spec.conditioning != "none" and spec.num_classes != data.num_classes:
        raise UsageError(f"{spec.dataset.name} has {data.num_classes} classes: set --num-classes {data.num_classes}")
    spec.evaluation.check(spec.evaluation.samples, "samples per evaluation")
    spec.evaluation.check(min(len(data.train), len(data.held_out)), f"images in a split of {spec.dataset.name}")
    dataset = spec.dataset.model_copy(update={"fingerprint": data.fingerprint})
    return spec.model_copy(update={"dataset": dataset}), data
