"""Recipe + profile + overrides -> RunSpec: every name looked up, every option checked, before any training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ganbench.drafts import COMPONENT_KEYS, COMPONENT_LISTS, DEFAULTS, SCHEDULE, Draft, as_table, items, merge
from ganbench.errors import GanbenchError, MissingError, SizeError, UsageError
from ganbench.matching import REFERENCE, check_matchable
from ganbench.options import complain, resolve_options, typed_options
from ganbench.recipes import RecipeBook
from ganbench.registry import Entry, Registry
from ganbench.spec import Choice, RunSpec

ABSENT_AT_FIRST = ("dataset", "evaluation.extractor")
"""What a spec may name although it is not at hand: it can be shown, not run."""


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
        table.setdefault(last, DEFAULTS.get(key))
        try:
            entries[key], table[last] = resolve_choice(registry, kind, key, table.get(last))
        except GanbenchError as error:
            name = as_table(table.get(last)).get("name")
            if key not in ABSENT_AT_FIRST or name is None:
                raise
            missing[key] = error
            table[last] = {"name": name, "provider": ""}
    for key, kind in COMPONENT_LISTS.items():
        found, draft[key] = _resolve_list(registry, kind, key, draft.get(key, []))
        entries |= found
    _settle_attention(draft, asked, entries["attention"])
    _settle_classification(draft, asked)
    if draft.get("conditioning") == "none" and draft.get("fake_labels") == "empirical":
        del draft["fake_labels"]  # no label is drawn at all, so that equal runs have equal specs
    spec = _validate(draft, str(recipe.path))
    _check_parts(spec, entries)
    from ganbench.combination import doubts

    return Resolved(spec, entries, missing, doubts(spec, entries))


def _resolve_list(registry: Registry, kind: str, key: str, value: Any) -> tuple[dict[str, Entry], list[Draft]]:
    """The components of a list by name, in their order, so that equal runs have equal specs."""
    entries: dict[str, Entry] = {}
    choices: dict[str, Draft] = {}
    for item in items(key, value):
        own = {field: item.pop(field) for field in SCHEDULE if field in item}
        entry, choice = resolve_choice(registry, kind, f"{key}.{item.get('name')}", item, beside=tuple(SCHEDULE))
        if entry.name in choices:
            raise UsageError(f"{key} names '{entry.name}' twice: give it once, with the sum of the weights")
        component = entry.load()
        defaults = {field: getattr(component, f"default_{field}", usual) for field, usual in SCHEDULE.items()}
        entries[f"{key}.{entry.name}"] = entry
        choices[entry.name] = choice | defaults | own
    return entries, [choices[name] for name in sorted(choices)]


def resolve_choice(
    registry: Registry, kind: str, key: str, value: Any, beside: Sequence[str] = ()
) -> tuple[Entry, Draft]:
    """A component by its name, or by a table with its name and options: its entry, and the choice for a spec.

    ``key`` is where it stands in the spec, ``beside`` what else may stand in the table. Raises UsageError for an
    unknown name or option, MissingError for a component that cannot be imported.
    """
    if not isinstance(value, (str, Mapping)):
        raise UsageError(f"{key} should name a component of kind {kind}, as in --set {key}=NAME")
    options = as_table(value)
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
        raise SizeError(
            f"architecture '{spec.architecture.name}' has no resolution {spec.resolution}; "
            f"it has {', '.join(map(str, able))}",
            "",
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


def reopen(registry: Registry, spec: RunSpec) -> Resolved:
    """A stored spec with the entries behind its names, as they are installed now.

    Raises UsageError for a name that nothing provides, MissingError for a plug-in file that is not given again, and
    for a component that cannot be imported or that another provider, or another version of a third party's, now
    provides: the run would not be the same.
    """
    chosen = {key: _choice_at(spec, key) for key in COMPONENT_KEYS}
    for key in COMPONENT_LISTS:
        chosen |= {f"{key}.{choice.name}": choice for choice in getattr(spec, key)}
    entries = {}
    for key, choice in chosen.items():
        kind = COMPONENT_KEYS.get(key) or COMPONENT_LISTS[key.partition(".")[0]]
        provider = choice.provider.rpartition(" ")[0] or choice.provider
        try:
            entry = registry.find(kind, f"{provider}:{choice.name}")
        except UsageError:
            if not provider.startswith("file:"):
                raise
            file = provider.removeprefix("file:")
            raise MissingError(
                f"{kind} '{choice.name}' came from the plug-in file {file}: add --plugin {file}"
            ) from None
        if entry.identity != choice.provider:
            raise MissingError(
                f"{kind} '{choice.name}' was {choice.provider} when the run began and is {entry.identity} now: "
                "give back that version, or begin a new run"
            )
        entry.load()
        entries[key] = entry
    from ganbench.combination import doubts

    return Resolved(spec, entries, {}, doubts(spec, entries))


def _choice_at(spec: RunSpec, key: str) -> Choice:
    """The component that a spec names at a dotted key."""
    found: Any = spec
    for part in key.split("."):
        found = getattr(found, part)
    assert isinstance(found, Choice)
    return found


def instantiate(entry: Entry, choice: Choice) -> Callable[..., Any]:
    """The component as a function of what the harness gives, its options filled in.

    Keyword arguments take the place of options.
    """
    component = entry.load()
    options = typed_options(component, choice.options)
    return lambda *given, **decided: component(*given, **(options | decided))
