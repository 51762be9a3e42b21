"""A run's scores: two streams, other numbers of samples, one reference for all runs, a floor."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import TOY_PLUGIN, call
from torch import Tensor, nn

from ganbench.data import ImageData, ImageSplit
from ganbench.errors import MissingError, UsageError
from ganbench.evaluate.evaluator import Evaluation, Evaluator
from ganbench.evaluate.feasible import check_feasible
from ganbench.places import Places
from ganbench.registry import Registry
from ganbench.spec import RunSpec, identity
from ganbench.zoo.dataset.digits import digits

CPU = torch.device("cpu")
SETTINGS = {"samples": 60, "select_samples": 40, "isc_splits": 2, "kid_subset_size": 16, "kid_subsets": 2}
CLASSES: Any = ("fid", "intra-fid")


class Sampler(nn.Module):
    """Bright and dark squares, by z alone."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        self.count += len(z)
        return torch.tanh(z[:, :48].view(-1, 3, 4, 4)).repeat_interleave(8, 2).repeat_interleave(8, 3)


@pytest.fixture(scope="module")
def data() -> ImageData:
    whole = digits(32)
    assert whole.held_out is not None
    train, held_out = (ImageSplit(s.images[:100], s.labels[:100], s.name) for s in (whole.train, whole.held_out))
    return ImageData(train, held_out, whole.num_classes)


@functools.cache
def resolved() -> RunSpec:
    thumbnail = ["--plugin", TOY_PLUGIN, "--set", "evaluation.extractor=thumbnail"]
    shown = call("run", "--model", "sagan", "--dry-run", "--json", *thumbnail)
    assert shown.code == 0, shown.err
    return RunSpec.model_validate(shown.json["spec"], strict=False)


def spec_of(data: ImageData, **settings: Any) -> RunSpec:
    spec = resolved()
    evaluation = spec.evaluation.model_copy(update=SETTINGS | settings)
    dataset = spec.dataset.model_copy(update={"fingerprint": data.fingerprint})
    return spec.model_copy(update={"dataset": dataset, "evaluation": evaluation})


def evaluator(spec: RunSpec, data: ImageData, cache: Path, notes: list[str] | None = None) -> Evaluator:
    entry = Registry.discover([TOY_PLUGIN]).find("extractor", "thumbnail")
    return Evaluator(spec, data, entry, CPU, Places(cache=cache), (notes if notes is not None else []).append)


def values(evaluation: Evaluation | None) -> dict[str, float]:
    assert evaluation is not None
    return evaluation.values


def test_choosing_and_reporting_are_two_streams_with_two_protocols(data: ImageData, tmp_path: Path) -> None:
    mine = evaluator(spec_of(data), data, tmp_path)
    sampler = Sampler()
    choosing, reporting = (mine.score_samples(sampler, stream) for stream in ("select", "report"))
    assert (choosing.scores.n, reporting.scores.n, sampler.count) == (40, 60, 100)
    assert choosing.protocol_id != reporting.protocol_id == mine.protocol_id
    assert mine.protocol["samples"]["count"] == 60
    assert identity(mine.protocol) == mine.protocol_id
    assert choosing.values["fcd"] != reporting.values["fcd"]
    assert choosing.labelled()["fcd_40"] == choosing.values["fcd"]
    assert reporting.seconds >= reporting.scores.seconds > 0
    same = evaluator(spec_of(data, select_samples=60), data, tmp_path)
    assert values(same.score_samples(sampler, "select")) != values(same.score_samples(sampler, "report"))


def test_a_second_evaluation_repeats_to_the_last_digit(data: ImageData, tmp_path: Path) -> None:
    first = evaluator(spec_of(data), data, tmp_path)
    expected = [values(first.score_samples(Sampler(), "report")), values(first.score_floor())]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = evaluator(spec_of(data), data, tmp_path)
    assert [values(again.score_samples(Sampler(), "report")), values(again.score_floor())] == expected
    assert [values(again.score_samples(Sampler(), "report")), values(again.score_floor())] == expected
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    elsewhere = evaluator(spec_of(data), data, tmp_path / "other")
    assert [values(elsewhere.score_samples(Sampler(), "report")), values(elsewhere.score_floor())] == expected


def test_neither_the_seed_nor_the_batch_makes_another_reference(data: ImageData, tmp_path: Path) -> None:
    evaluator(spec_of(data), data, tmp_path)
    before = set(tmp_path.rglob("*"))
    evaluator(spec_of(data).model_copy(update={"seed": 5}), data, tmp_path)
    evaluator(spec_of(data, batch=7, select_samples=50), data, tmp_path)
    assert set(tmp_path.rglob("*")) == before


def test_a_changed_data_set_never_meets_old_statistics(data: ImageData, tmp_path: Path) -> None:
    evaluator(spec_of(data), data, tmp_path)
    images = data.train.images[:].clone()
    images[0, 0, 0, 0] += 1
    changed = ImageData(replace(data.train, images=images), data.held_out, data.num_classes)
    notes: list[str] = []
    mine = evaluator(spec_of(changed), changed, tmp_path, notes)
    alone = evaluator(spec_of(changed), changed, tmp_path / "alone")
    assert values(mine.score_samples(Sampler(), "report")) == values(alone.score_samples(Sampler(), "report"))
    assert values(mine.score_floor()) == values(alone.score_floor())
    assert notes == []


def test_data_without_a_fingerprint_leave_nothing_behind(data: ImageData, tmp_path: Path) -> None:
    spec = spec_of(data)
    nameless = spec.model_copy(update={"dataset": spec.dataset.model_copy(update={"fingerprint": None})})
    mine = evaluator(nameless, data, tmp_path)
    assert values(mine.score_samples(Sampler(), "report"))["fcd"] > 0
    assert list(tmp_path.iterdir()) == []


def test_damaged_statistics_are_told_and_made_anew(data: ImageData, tmp_path: Path) -> None:
    expected = values(evaluator(spec_of(data), data, tmp_path).score_samples(Sampler(), "report"))
    files = sorted((tmp_path / "references").iterdir())
    for file in files:
        file.write_bytes(file.read_bytes()[:-20])
    notes: list[str] = []
    assert values(evaluator(spec_of(data), data, tmp_path, notes).score_samples(Sampler(), "report")) == expected
    assert len(notes) == len(files)


def test_the_reference_may_be_some_images_or_the_held_out_ones(data: ImageData, tmp_path: Path) -> None:
    assert data.held_out is not None
    for settings, expected in (
        ({"reference": "train"}, (data.train.name, 100)),
        ({"reference": "held-out"}, (data.held_out.name, 100)),
        ({"reference_samples": 50}, (data.train.name, 50)),
    ):
        mine = evaluator(spec_of(data, **settings), data, tmp_path)
        assert (mine.protocol["reference"]["split"], mine.protocol["reference"]["count"]) == expected
        floor = mine.score_floor()
        assert floor is not None
        assert (floor.scores.n, floor.values["recall"] > 0.5) == (60, True)
        assert floor.protocol_id != mine.protocol_id


def test_without_held_out_images_there_is_no_floor(data: ImageData, tmp_path: Path) -> None:
    alone = ImageData(data.train, None, data.num_classes)
    assert evaluator(spec_of(alone), alone, tmp_path).score_floor() is None


def test_classes_are_scored_one_by_one(data: ImageData, tmp_path: Path) -> None:
    spec = spec_of(data, metrics=CLASSES, samples=100)  # of fewer, some class of the floor's would have too few
    mine = evaluator(spec, data, tmp_path)
    found = mine.score_samples(Sampler(), "report").scores
    assert list(found.values) == ["fcd", "intra_fcd"]
    assert found.by_class is not None
    assert len(found.by_class) == 10
    assert found.values["intra_fcd"] == pytest.approx(sum(found.by_class) / 10)
    floor = mine.score_floor()
    assert floor is not None
    assert floor.scores.by_class is not None
    assert floor.values["intra_fcd"] < found.values["intra_fcd"]
    again = evaluator(spec, data, tmp_path).score_floor()
    assert again is not None
    assert (again.values, again.scores.by_class) == (floor.values, floor.scores.by_class)


def test_held_out_images_of_few_classes_have_no_floor_of_classes(data: ImageData, tmp_path: Path) -> None:
    assert data.held_out is not None
    uneven = ImageSplit(data.held_out.images[:], torch.zeros(100, dtype=torch.int64), "test")
    lopsided = ImageData(data.train, uneven, data.num_classes)
    notes: list[str] = []
    floor = evaluator(spec_of(data, metrics=CLASSES), lopsided, tmp_path, notes).score_floor()
    assert list(values(floor)) == ["fcd"]
    assert notes == ["the split 'test' has too few images of some class: there is no floor of intra-fid"]


@pytest.mark.parametrize(
    ("settings", "change", "error", "message"),
    [
        ({"metrics": ("isc",)}, {}, UsageError, "evaluation.metrics lacks fid"),
        ({"reference_samples": 10}, {}, UsageError, "kid_subset_size=16 needs at least 16 images, but there are 10"),
        ({"select_samples": 15}, {}, UsageError, "but there are 15 samples per evaluation"),
        ({"reference": "held-out"}, {"held_out": None}, MissingError, "has no held-out images to be the reference"),
        (
            {"metrics": CLASSES, "select_samples": 19},
            {},
            UsageError,
            "at least 2 samples of each of 10 classes, but an evaluation has 19",
        ),
        (
            {"metrics": CLASSES, "reference_samples": 10},
            {},
            UsageError,
            "at least 2 reference images of every class, but class",
        ),
    ],
)
def test_what_cannot_be_scored_is_told_before_training(
    settings: dict[str, Any], change: dict[str, Any], error: type[Exception], message: str, data: ImageData
) -> None:
    with pytest.raises(error, match=message):
        check_feasible(spec_of(data, **settings), replace(data, **change))


def test_classes_need_a_model_that_is_told_them(data: ImageData) -> None:
    spec = spec_of(data, metrics=CLASSES).model_copy(update={"conditioning": "none"})
    with pytest.raises(UsageError, match="intra-fid needs a model that is told the class"):
        check_feasible(spec, data)


def test_small_sets_may_be_scored_by_metrics_that_need_few(data: ImageData) -> None:
    check_feasible(spec_of(data, metrics=("fid",), kid_subset_size=500, samples=2, select_samples=2), data)
