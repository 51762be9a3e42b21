"""Drafts of a spec: nested tables from TOML files and ``--set``, the stronger laid over the weaker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ganbench.errors import UsageError

Draft = dict[str, Any]

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
    by_name = weaker if isinstance(weaker, Mapping) else {item.get("name"): item for item in items(path, weaker)}
    changed = {name: {"name": name, **by_name.get(name, {}), **table} for name, table in stronger.items()}
    merged = {**by_name, **changed}
    return merged if isinstance(weaker, Mapping) else list(merged.values())


def items(path: str, value: Any) -> list[Draft]:
    """The components of a list, of a table by name, or of a single name, as tables."""
    if isinstance(value, Mapping):
        return list(value.values())
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, (str, Mapping)) for item in items):
        raise UsageError(f"{path} should be a list of names or of tables with a name, as in --set '{path}=[\"NAME\"]'")
    tables = [as_table(item) for item in items]
    if not all(isinstance(table.get("name"), str) for table in tables):
        raise UsageError(f"each of {path} needs a name, as in --set '{path}=[{{ name = \"NAME\", weight = 1.0 }}]'")
    return tables


def nest(path: Sequence[str], value: Any) -> Draft:
    """``(['optimizer', 'lr_g'], 1)`` as ``{'optimizer': {'lr_g': 1}}``."""
    for part in reversed(path):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def as_table(value: Any) -> Draft:
    """A component given by its bare name, or not given, as a table."""
    return dict(value) if isinstance(value, Mapping) else {"name": value}
