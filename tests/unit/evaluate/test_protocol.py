"""The protocol: every field that fixes what a score means changes its id."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from harness import call

from ganbench.api import ExtractorCard
from ganbench.evaluate import protocol as module
from ganbench.evaluate.protocol import extractor_facts, protocol, reference_facts, reference_key, sample_facts
from ganbench.spec import RunSpec, identity

CARD = ExtractorCard(weights_sha256="ab" * 32, resize="bilinear", resolutions=None, inception=True)
LAYERS = {"isc": "logits", "fid": "2048", "kid": "2048", "prc": "2048"}


@pytest.fixture(scope="module")
def spec() -> RunSpec:
    shown = call("run", "--model", "sagan", "--dry-run", "--json")
    return RunSpec.model_validate(shown.json["spec"], strict=False)


def of(spec: RunSpec, count: int = 5000, families: tuple[str, ...] | None = None) -> dict[str, Any]:
    evaluation = spec.evaluation
    return protocol(
        evaluation,
        families or evaluation.metrics,
        extractor_facts(evaluation.extractor, CARD, LAYERS, "float32"),
        reference_facts(spec.dataset, spec.resolution, "train", 900),
        sample_facts(spec, count),
    )


def leaves(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from leaves(value, (*path, key))
    else:
        yield path


def test_every_single_field_changes_the_id(spec: RunSpec) -> None:
    whole = of(spec)
    ids = {identity(whole)}
    paths = list(leaves(whole))
    for path in paths:
        other = copy.deepcopy(whole)
        place = other
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = "something else"
        ids.add(identity(other))
    assert len(ids) == len(paths) + 1
    assert len(paths) > 25


def test_it_holds_what_a_score_depends_on(spec: RunSpec) -> None:
    """The facts that make one published FID differ from another by up to 40 %."""
    told = of(spec)
    assert told["metrics"] == sorted(spec.evaluation.metrics)
    assert set(told["libraries"]) == {"torch-fidelity", "clean-fid"}
    judge, real, made = told["extractor"], told["reference"], told["samples"]
    assert (judge["weights_sha256"], judge["resize"], judge["layers"], judge["dtype"]) == (
        CARD.weights_sha256,
        "bilinear",
        LAYERS,
        "float32",
    )
    assert {"name", "options", "provider"} <= judge.keys()
    assert {"name", "fingerprint", "split", "count", "resolution", "options"} <= real.keys()
    assert (real["count"], made["count"]) == (900, 5000)
    assert made.keys() == {
        "count",
        "resolution",
        "generator",
        "mode",
        "latents",
        "truncation",
        "labels",
        "quantisation",
    }
    assert told["settings"].keys() == {"isc_splits", "kid_subsets", "kid_subset_size", "prc_k"}


EVALUATION = [
    {"isc_splits": 3},
    {"kid_subsets": 3},
    {"kid_subset_size": 3},
    {"prc_k": 9},
    {"labels": "uniform"},
    {"truncation": 0.5},
    {"metrics": ("fid",)},
]


@pytest.mark.parametrize("change", EVALUATION, ids=str)
def test_what_the_spec_says_of_scoring_changes_it(change: dict[str, Any], spec: RunSpec) -> None:
    evaluation = spec.evaluation.model_copy(update=change)
    assert identity(of(spec.model_copy(update={"evaluation": evaluation}))) != identity(of(spec))


@pytest.mark.parametrize(
    "change",
    [
        {"resolution": 64},
        {"ema": None},
        {"dataset": {"name": "digits", "provider": "ganbench", "options": {}, "fingerprint": "f" * 64}},
    ],
    ids=str,
)
def test_what_the_samples_and_the_reference_are_changes_it(change: dict[str, Any], spec: RunSpec) -> None:
    other = RunSpec.model_validate(spec.model_dump() | change, strict=False)
    assert identity(of(other)) != identity(of(spec))


@pytest.mark.parametrize(
    "change",
    [{"batch": 7}, {"select_samples": 50}],
    ids=str,
)
def test_what_a_score_does_not_depend_on_leaves_it(change: dict[str, Any], spec: RunSpec) -> None:
    evaluation = spec.evaluation.model_copy(update=change)
    assert identity(of(spec.model_copy(update={"evaluation": evaluation}))) == identity(of(spec))
    for other in ({"seed": 5}, {"conditioning": "none"}):  # models without labels stand in one table with others
        assert identity(of(spec.model_copy(update=other))) == identity(of(spec))


def test_a_setting_that_no_metric_reads_is_not_part_of_it(spec: RunSpec) -> None:
    other = spec.model_copy(update={"evaluation": spec.evaluation.model_copy(update={"prc_k": 9})})
    assert of(spec, families=("fid",))["settings"] == {}
    assert of(spec, families=("fid",)) == of(other, families=("fid",))


def test_fewer_samples_are_another_protocol(spec: RunSpec) -> None:
    assert identity(of(spec, count=5000)) != identity(of(spec, count=50000))


def test_a_reference_is_keyed_by_content_extractor_and_versions(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    def key(card: ExtractorCard = CARD, count: int = 900, device: str = "cpu") -> str:
        judge = extractor_facts(spec.evaluation.extractor, card, LAYERS, "float32")
        return identity(
            reference_key(judge, reference_facts(spec.dataset, spec.resolution, "train", count), torch.device(device))
        )

    keys = {
        key(),
        key(count=901),
        key(device="cuda"),
        key(ExtractorCard(weights_sha256="cd" * 32, resize="bilinear", resolutions=None, inception=True)),
        key(ExtractorCard(weights_sha256="ab" * 32, resize="none", resolutions=None, inception=True)),
    }
    assert len(keys) == 5
    before = key()
    monkeypatch.setattr(module, "PROTOCOL_VERSION", 99)
    assert key() != before
    monkeypatch.undo()
    monkeypatch.setattr(module, "version", lambda name: "99.0")
    assert key() != before
