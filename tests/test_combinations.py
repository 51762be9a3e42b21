"""Any part goes with any other, or is refused with a reason before any training: no third outcome."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch

from ganbench.batches import Batches
from ganbench.data import ImageData
from ganbench.drafts import Draft, merge, nest
from ganbench.errors import UsageError
from ganbench.loading import load_data
from ganbench.networks import build_networks
from ganbench.objective import build_objective
from ganbench.places import Places
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import resolve
from ganbench.train_step import Trainer

REGISTRY = Registry.discover()
CONDITIONINGS = ("none", "projection", "acgan", "concat")
Combination = dict[str, Any]


def _names(kind: str) -> list[str]:
    return [entry.name for entry in REGISTRY.entries(kind) if entry.built_in]


def _normalizers(role: str) -> list[Any]:
    names = [e.name for e in REGISTRY.entries("normalizer") if e.built_in and role in e.load().roles]
    # The default of 32 groups is more than networks this narrow have channels.
    return [{"name": "group", "groups": 2} if name == "group" else name for name in names]


# What is made from z belongs in G alone: a rule of its own, tested with the normalizers.
NEEDS_LATENT = "self-modulated"


FACTORS: dict[str, list[Any]] = {
    "architecture.name": _names("architecture"),
    "attention": _names("attention"),
    "generator.norm": _normalizers("activation"),
    "generator.weight_norm": _normalizers("weight"),
    "discriminator.norm": [name for name in _normalizers("activation") if name != NEEDS_LATENT],
    "discriminator.weight_norm": _normalizers("weight"),
    "loss": _names("loss"),
    "conditioning": list(CONDITIONINGS),
    "regularizers": [[], *([name] for name in _names("regularizer"))],
    "augmentation": _names("augmentation"),
    "precision": ["fp32", "bf16"],
}


def _pairs(row: tuple[int, ...]) -> set[tuple[int, int, int, int]]:
    return {(a, row[a], b, row[b]) for a, b in itertools.combinations(range(len(row)), 2)}


def pairwise() -> list[Combination]:
    """Rows in which every two values of two factors meet; greedy, and the same every time."""
    sizes = [len(values) for values in FACTORS.values()]
    wanted = {
        (a, i, b, j)
        for a, b in itertools.combinations(range(len(sizes)), 2)
        for i in range(sizes[a])
        for j in range(sizes[b])
    }
    draws, rows = random.Random(0), []
    while wanted:
        a, i, b, j = min(wanted)
        candidates = []
        for _ in range(30):
            row = [draws.randrange(size) for size in sizes]
            row[a], row[b] = i, j
            candidates.append(tuple(row))
        best = max(candidates, key=lambda row: len(_pairs(row) & wanted))
        wanted -= _pairs(best)
        rows.append({key: FACTORS[key][index] for key, index in zip(FACTORS, best, strict=True)})
    return rows


def _overrides(combination: Combination) -> Draft:
    draft: Draft = {"batch": 4, "architecture": {"width": 8}, "seed": 0, "evaluation": {"samples": 400}}
    for key, value in combination.items():
        draft = merge(draft, nest(key.split("."), value))
    if combination["attention"] != "none":
        draft["attention_at"] = [8]
    return draft


def take_two_steps(combination: Combination) -> str:
    """'trained' where both steps had finite losses; the reason where the combination was refused."""
    try:
        resolved = resolve(REGISTRY, RecipeBook(), "sngan", "quick", [_overrides(combination)])
        spec, data = load_data(resolved, Places())
        networks = build_networks(spec, resolved.entries)
    except UsageError as refusal:
        return str(refusal)
    trainer = _trainer(spec, networks, resolved.entries, data)
    for step in range(2):
        losses = trainer.step(step, 0.0)
        assert all(torch.isfinite(loss) for loss in losses), combination
    assert trainer.finite(), combination
    return "trained"


def _trainer(spec: Any, networks: Any, entries: Any, data: ImageData) -> Trainer:
    cpu = torch.device("cpu")
    batches = Batches(data.train, spec.batch, spec.seed, cpu)
    return Trainer(spec.model_copy(update={"n_dis": 1}), networks, build_objective(spec, entries), batches, cpu)


@pytest.mark.slow
def test_every_two_parts_train_together_or_are_refused_with_a_reason() -> None:
    trained: dict[str, set[str]] = {key: set() for key in FACTORS}
    refusals: dict[str, Combination] = {}
    rows = pairwise()
    for combination in rows:
        outcome = take_two_steps(combination)
        if outcome != "trained":
            refusals[outcome] = combination
            continue
        for key, value in combination.items():
            trained[key].add(str(value))
    for key, values in FACTORS.items():
        assert trained[key] == {str(value) for value in values}, f"{key}: some never trained; refused: {refusals}"
    reasons = "\n".join(refusals)
    assert all(len(reason) > 30 for reason in refusals), reasons
    # Only missing labels can make two parts not fit at these sizes.
    assert all("label" in reason or "class" in reason for reason in refusals), reasons


def test_the_rows_cover_all_pairs() -> None:
    rows = pairwise()
    for (a, first), (b, second) in itertools.combinations(FACTORS.items(), 2):
        met = {(str(row[a]), str(row[b])) for row in rows}
        assert met == {(str(x), str(y)) for x in first for y in second}
