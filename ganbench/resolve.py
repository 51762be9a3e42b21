"""Recipe + profile + overrides -> RunSpec: every name looked up, every option checked, before any training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ganbench.data import ImageData
from ganbench.errors import GanbenchError, MissingError, UsageError
from ganbench.matching import REFERENCE, check_matchable
from ganbench.options import complain, resolve_options, typed_options
from ganbench.recipes import RecipeBook
from ganbench.registry import Entry, Registry
from ganbench.spec import Choice, RunSpec

COMPONENT_KEYS: dict[str, str] = {
    "architecture": "architecture",
    "attention": "attention",
    "loss": "loss",
    "augmentation": "augmentation",
    "generator.weight_norm": "normalizer",
    "generator.norm": "normalizer",
    "discriminator.weight_norm": "normalizer",
    "discriminator.norm": "normalizer",
    "evaluation.extractor": "extractor",
    "dataset": "dataset",
}
"""Where a spec names a component -> its kind."""

COMPONENT_LISTS = {"regularizers": "regularizer"}
"""Where a spec names any number of components of one kind, each at most once -> the kind."""

DEFAULTS = {"augmentation": "none"}
"""What is chosen where neither recipe nor user names a component."""

SCHEDULE = {"weight": 1.0, "interval": 1}
"""What a spec says of a listed component besides its options; the component's ``default_*`` comes first."""

ABSENT_AT_FIRST = ("dataset", "evaluation.extractor")
"""What a spec may name although it is not at hand: it can be shown, not run."""

Draft = dict[str, Any]


@dataclass(frozen=True)
class Resolved:
    """A spec with the entries behind its names."""

    spec: RunSpec
    entries: dict[str, Entry]
    """By key, as in COMPONENT_KEYS and, with the name behind, COMPONENT_LISTS; but for the missing."""
    missing: dict[str, GanbenchError]
    """By key, why a data set or an extractor is not at hand."""
    warnings: list[str]
    """Why parts that are allowed together may make little sense together."""


def merge(weaker: Mapping[str, Any], stronger: Mapping[str, Any], prefix: str = "") -> Draft:
    """Overlay nested tables. A component that changes its name loses the options of the old one."""
    merged = dict(weaker)
    for key, value in stronger.items():
        path = f"{prefix}{key}"
        if path in COMPONENT_KEYS:
            merged[key] = _merge_choice(merged.get(key, {}), value)
        elif path in COMPONENT_LISTS:
            merged[key] = _merge_list(path, merged.get(key, {}), value)
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


def _merge_list(path: str, weaker: Any, stronger: Any) -> Any:
    """A list takes the place of what was there; a table by name changes or adds only what it names."""
    if not isinstance(stronger, Mapping):
        return stronger
    for name, table in stronger.items():
        if not isinstance(table, Mapping):
            raise UsageError(f"{path}.{name} should be a table, as in --set {path}.{name}.weight=1")
    by_name = weaker if isinstance(weaker, Mapping) else {item.get("name"): item for item in _items(path, weaker)}
    changed = {name: {"name": name, **by_name.get(name, {}), **table} for name, table in stronger.items()}
    merged = {**by_name, **changed}
    return merged if isinstance(weaker, Mapping) else list(merged.values())


def _items(path: str, value: Any) -> list[Draft]:
    """The components of a list, of a table by name, or of a single name, as tables."""
    if isinstance(value, Mapping):
        return list(value.values())
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, (str, Mapping)) for item in items):
        raise UsageError(f"{path} should be a list of names or of tables with a name, as in --set '{path}=[\"NAME\"]'")
    tables = [_as_table(item) for item in items]
    if not all(isinstance(table.get("name"), str) for table in tables):
        raise UsageError(f"each of {path} needs a name, as in --set '{path}=[{{ name = \"NAME\", weight = 1.0 }}]'")
    return tables


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
        table.setdefault(last, DEFAULTS.get(key))
        try:
            entries[key], table[last] = _resolve_choice(registry, kind, key, table.get(last))
        except GanbenchError as error:
            name = _as_table(table.get(last)).get("name")
            if key not in ABSENT_AT_FIRST or name is None:
                raise
            missing[key] = error
            table[last] = {"name": name, "provider": ""}
    for key, kind in COMPONENT_LISTS.items():
        found, draft[key] = _resolve_list(registry, kind, key, draft.get(key, []))
        entries |= found
    _settle_attention(draft, asked, entries["attention"])
    _settle_classification(draft, asked)
    spec = _validate(draft, str(recipe.path))
    _check_parts(spec, entries)
    from ganbench.combination import doubts

    return Resolved(spec, entries, missing, doubts(spec, entries))


def _as_table(value: Any) -> Draft:
    """A component given by its bare name, or not given, as a table."""
    return dict(value) if isinstance(value, Mapping) else {"name": value}


def _resolve_list(registry: Registry, kind: str, key: str, value: Any) -> tuple[dict[str, Entry], list[Draft]]:
    """The components of a list by name, in their order, so that equal runs have equal specs."""
    entries: dict[str, Entry] = {}
    choices: dict[str, Draft] = {}
    for item in _items(key, value):
        own = {field: item.pop(field) for field in SCHEDULE if field in item}
        entry, choice = _resolve_choice(registry, kind, f"{key}.{item.get('name')}", item, beside=tuple(SCHEDULE))
        if entry.name in choices:
            raise UsageError(f"{key} names '{entry.name}' twice: give it once, with the sum of the weights")
        component = entry.load()
        defaults = {field: getattr(component, f"default_{field}", usual) for field, usual in SCHEDULE.items()}
        entries[f"{key}.{entry.name}"] = entry
        choices[entry.name] = choice | defaults | own
    return entries, [choices[name] for name in sorted(choices)]


def _resolve_choice(
    registry: Registry, kind: str, key: str, value: Any, beside: Sequence[str] = ()
) -> tuple[Entry, Draft]:
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
    resolved = resolve_options(component, options, key, beside)
    return entry, {"name": entry.name, "provider": entry.identity, "options": resolved}


def _settle_attention(draft: Draft, asked: Draft, block: Entry) -> None:
    """Without a block there are no places for one and nothing to match, and the reference is what it would
    be matched to: so equal runs have equal specs.
    """
    if block.built_in and block.name in ("none", REFERENCE):
        draft["attention_match"] = "none"
    if draft.get("attention_match", "none") != "none":
        check_matchable(block.load(), draft["attention"]["options"])
    if draft["attention"]["name"] != "none":
        if not draft.get("attention_at"):
            raise UsageError("attention needs a place: add --attention-at RESOLUTION of a feature map, as in 16")
        return
    if asked.get("attention_at"):
        raise UsageError("--attention-at places a block, and none is chosen: add --attention self")
    draft["attention_at"] = []
    draft["attention_in"] = "both"


def _settle_classification(draft: Draft, asked: Draft) -> None:
    """Without an auxiliary classifier there is nothing to weigh, so that equal runs have equal specs."""
    if draft.get("conditioning") == "acgan":
        return
    if "classification" in asked:
        raise UsageError("classification weighs an auxiliary classifier, and there is none: add --conditioning acgan")
    draft.pop("classification", None)


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
    """The component as a function of what the harness gives, its options filled in.

    Keyword arguments take the place of options.
    """
    component = entry.load()
    options = typed_options(component, choice.options)
    return lambda *given, **decided: component(*given, **(options | decided))


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
