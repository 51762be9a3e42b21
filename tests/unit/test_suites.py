"""Suites and papers: what is shipped is sound, and what is wrong in a file is told with its line."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from ganbench.declarations import read_declaration
from ganbench.errors import UsageError
from ganbench.papers import Paper, load_paper
from ganbench.places import Places
from ganbench.planning import matched_amount, plan, with_data
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.suites import PlannedRow, load_suite, select_rows

BOOK = RecipeBook()
REGISTRY = Registry.discover()
SUITES = sorted(BOOK.files("suites"))
PROFILES = ("quick", "gpu", "cifar10", "paper")


@functools.cache
def planned(name: str, profile: str = "quick") -> dict[str, PlannedRow]:
    """The rows of a suite by name, with two seeds."""
    return {each.row.name: each for each in plan(load_suite(BOOK, name), profile, REGISTRY, BOOK, [0, 1])}


def overridden(name: str, **overrides: Any) -> list[PlannedRow]:
    """The first rows of a suite with what a user says."""
    suite = load_suite(BOOK, name)
    return plan(suite, "quick", REGISTRY, BOOK, [0], [overrides], suite.rows[:2])


def test_the_suites_of_the_papers_ablations_are_there() -> None:
    ours = ["attention-variants", "baselines", "losses", "normalizers", "sagan-figure3", "sagan-table1", "sagan-table2"]
    assert ours == SUITES


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", SUITES)
def test_every_suite_can_be_planned_in_every_profile(name: str, profile: str) -> None:
    rows = planned(name, profile)
    suite = load_suite(BOOK, name)
    assert list(rows) == [row.name for row in suite.rows]
    assert not rows[suite.reference].absent
    present = [each for each in rows.values() if not each.absent]
    assert len({matched_amount(suite, each.specs[0]) for each in present}) == 1
    assert all([spec.seed for spec in each.specs] == [0, 1] for each in present)
    if profile == "quick":
        assert {str(each.specs[0].budget) for each in present} == {"12kimg"}
        assert {str(each.specs[0].evaluation.every) for each in present} == {"2kimg"}


@pytest.mark.parametrize(
    ("profile", "absent"),
    [("quick", {"32", "64"}), ("gpu", {"64"}), ("cifar10", {"32", "64"}), ("paper", set())],
)
def test_a_map_that_a_resolution_lacks_is_planned_as_absent_with_the_reason(profile: str, absent: set[str]) -> None:
    rows = planned("sagan-table1", profile)
    for name, each in rows.items():
        lacking = name.rpartition("-")[2] in absent
        assert bool(each.absent) == lacking
        assert len(each.specs) == (0 if lacking else 2)
        if lacking:
            assert f"has no feature map {name.rpartition('-')[2]}; it has " in each.absent


def test_an_architecture_without_the_resolution_is_absent_too() -> None:
    rows = planned("baselines", "paper")
    assert "no resolution 128" in rows["wgan-gp"].absent
    assert [name for name, each in rows.items() if each.absent] == ["wgan-gp"]


@pytest.mark.parametrize("profile", PROFILES)
def test_one_experiment_of_several_suites_is_one_run(profile: str) -> None:
    one, three, baselines, variants, losses, normalizers = (
        planned(name, profile)
        for name in ("sagan-table1", "sagan-figure3", "baselines", "attention-variants", "losses", "normalizers")
    )
    place = {"quick": "16", "gpu": "32", "cifar10": "16", "paper": "32"}[profile]
    assert one["none"].specs == three["sn-gd-ttur"].specs == variants["none"].specs
    assert one[f"self-{place}"].specs == baselines["sagan"].specs == variants["self"].specs
    assert one[f"residual-{place}"].specs == variants["residual"].specs
    assert losses["hinge"].specs == normalizers["spectral"].specs
    if profile != "paper":  # there, each suite has the protocol of its own paper
        assert losses["hinge"].specs == baselines["sngan"].specs


def test_the_papers_protocol_is_a_million_steps_of_256_images_at_128_px() -> None:
    for name in ("sagan-table1", "sagan-figure3", "sagan-table2"):
        for each in planned(name, "paper").values():
            spec = each.specs[0]
            assert (spec.resolution, spec.num_classes, spec.dataset.name) == (128, 1000, "imagenet")
            assert spec.budget.amount == 1_000_000 * 256
            assert (spec.evaluation.samples, spec.evaluation.extractor.name) == (50_000, "inception")
    three = {name: each.specs[0] for name, each in planned("sagan-figure3", "paper").items()}
    assert [three[n].generator.weight_norm.name for n in ("sn-d", "sn-gd", "sn-gd-ttur")] == ["none", *["spectral"] * 2]
    assert {spec.discriminator.weight_norm.name for spec in three.values()} == {"spectral"}
    assert {(s.optimizer.lr_g, s.optimizer.lr_d) for s in (three["sn-d"], three["sn-gd"])} == {(2e-4, 2e-4)}
    assert (three["sn-gd-ttur"].optimizer.lr_g, three["sn-gd-ttur"].optimizer.lr_d) == (1e-4, 4e-4)
    assert {spec.n_dis for spec in three.values()} == {1}
    assert planned("sagan-table2", "paper")["sagan"].specs[0].attention_at == (64,)


def test_with_the_data_at_hand_every_spec_has_its_fingerprint() -> None:
    suite = load_suite(BOOK, "sagan-figure3")
    rows = with_data(plan(suite, "quick", REGISTRY, BOOK, [0, 7]), Places())
    prints = {spec.dataset.fingerprint for each in rows for spec in each.specs}
    assert len(prints) == 1
    assert None not in prints
    assert [spec.seed for spec in rows[0].specs] == [0, 7]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"budget": "10min"}, ["row 'none', 600s", "train_seconds", "--budget 64kimg"]),
        ({"attention": "none"}, ["row 'self-8' of sagan-table1 with your overrides", "none is chosen"]),
        ({"los": "hinge"}, ["with your overrides", "los"]),
        ({"attention": "slef"}, ["row 'none' of sagan-table1 with your overrides", "slef", "self"]),
    ],
)
def test_overrides_that_spoil_the_comparison_are_refused(overrides: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        overridden("sagan-table1", **overrides)
    for fragment in told:
        assert fragment in str(refused.value)


def test_an_override_that_makes_two_rows_one_is_refused() -> None:
    with pytest.raises(UsageError, match="'sn-d' and 'sn-gd' are the same experiment"):
        overridden("sagan-figure3", generator={"weight_norm": "none"})


def test_a_budget_in_steps_is_matched_where_a_step_shows_as_many_images() -> None:
    rows = overridden("sagan-figure3", budget="50steps")
    assert [str(each.specs[0].budget) for each in rows] == ["50steps"] * 2
    with pytest.raises(UsageError, match=r"'dcgan' would spend 800 of them, row 'wgan-gp' 4,000: ") as told:
        overridden("baselines", budget="50steps")
    assert "--budget 64kimg" in str(told.value)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    suite = load_suite(BOOK, "baselines")
    with pytest.raises(UsageError, match=r"unknown suite 'sagan-table': did you mean sagan-table"):
        load_suite(BOOK, "sagan-table")
    with pytest.raises(UsageError, match=r"unknown row of baselines 'sagn': did you mean sagan"):
        select_rows(suite, ["sagn"])
    with pytest.raises(UsageError, match=r"unknown profile of baselines 'quik': did you mean quick"):
        plan(suite, "quik", REGISTRY, BOOK, [0])
    with pytest.raises(UsageError, match="0 seeds"):
        plan(suite, "quick", REGISTRY, BOOK, [])
    assert [row.name for row in select_rows(suite, ["sagan", "dcgan"])] == ["dcgan", "sagan"]


SUITE = """
title = "A suite"
description = "for a test"
reference = "one"
metrics = ["fid"]
paper = "sagan"
paper_tables = ["table1"]
[profiles.quick]

[[rows]]
name = "one"
label = "One"
recipe = "dcgan"

[[rows]]
name = "two"
label = "Two"
recipe = "sagan"
paper_row = "none"
set = { attention = "residual", attention_at = [8] }
"""


@pytest.mark.parametrize(
    ("given", "wrong", "line", "told"),
    [
        ('recipe = "sagan"', 'recipe = "sagn"', 18, ["unknown recipe 'sagn'", "sagan"]),
        ('recipe = "sagan"', 'recipie = "sagan"', 18, ["unknown key 'recipie'", "did you mean recipe"]),
        ('reference = "one"', 'reference = "on"', None, ["unknown reference row 'on'", "one"]),
        ('metrics = ["fid"]', 'metrics = ["fd"]', 5, ["metrics[0]", "'fid'", '(it is "fd")']),
        ('title = "A suite"', 'titel = "A suite"', None, ["unknown key 'titel': did you mean title"]),
        ('name = "two"', 'name = "one"', None, ["two rows are named 'one'"]),
        ('paper_row = "none"', 'paper_row = "nine"', 19, ["unknown row of sagan 'nine'", "none"]),
        ('tables = ["table1"]', 'tables = ["tabel1"]', None, ["unknown table of sagan 'tabel1'", "table1"]),
        ('paper = "sagan"', 'paper = "sagn"', None, ["unknown paper 'sagn'", "sagan"]),
        ('"residual"', '"residul"', 20, ["unknown attention 'residul'", "residual"]),
        (
            "attention_at = [8]",
            "attention_at = [9]",
            20,
            ["no feature map 9; it has 8", "nor has any profile"],
        ),
        ("attention_at = [8]", 'loss = "hnge"', 20, ["unknown loss 'hnge'", "hinge"]),
        ("attention_at = [8]", "latent = 3", 20, ["latent"]),
        ("metrics = [", "metrics = [[", 6, ["Unclosed array"]),
        ('description = "for a test"', "", None, ["description is not given"]),
    ],
)
def test_what_is_wrong_in_a_suite_is_told_with_its_line(
    given: str, wrong: str, line: int | None, told: list[str], tmp_path: Path
) -> None:
    (tmp_path / "suites").mkdir()
    path = tmp_path / "suites" / "mine.toml"
    assert given in SUITE
    path.write_text(SUITE.replace(given, wrong))
    book = RecipeBook([tmp_path])
    with pytest.raises(UsageError) as refused:
        plan(load_suite(book, "mine"), "quick", REGISTRY, book, [0])
    message = str(refused.value)
    assert str(path) in message
    if line is not None:
        assert f"line {line}" in message
    for fragment in told:
        assert fragment in message


def test_the_papers_numbers_are_the_published_ones() -> None:
    paper = load_paper(BOOK, "sagan")
    found = {(r.table, r.row, r.metric, r.step, r.category): r for r in paper.results if r.kind != "reproduction"}
    assert len(found) == len([r for r in paper.results if r.kind != "reproduction"])
    names = ("none", *(f"{block}-{place}" for block in ("self", "residual") for place in (8, 16, 32, 64)))
    fid = (22.96, 22.98, 22.14, 18.28, 18.65, 42.13, 22.40, 27.33, 28.82)
    inception = (42.87, 43.15, 45.94, 51.43, 52.52, 23.17, 44.49, 38.50, 38.96)
    assert paper.rows(("table1",)) == list(names)
    for name, *values in zip(names, fid, inception, strict=True):
        assert [found["table1", name, m, None, None].value for m in ("fid", "inception_score")] == values
    for name, *scores in (("acgan", 28.5, 260.0), ("sngan-projection", 36.8, 92.4), ("sagan", 52.52, 83.7)):
        assert [found["table2", name, m, None, None].value for m in ("inception_score", "intra_fid")] == scores
    assert ("table2", "acgan", "fid", None, None) not in found
    curve = [found["figure4", "sn-gd-ttur", "fid", step, None].value for step in (10_000, 160_000, 260_000, 1_000_000)]
    assert curve == [99.04, 40.96, 34.62, 22.96]
    assert found["figure6", "sagan", "intra_fid", None, "goldfish"].value == 44.4
    assert sum(r.kind == "reproduction" and r.metric == "fid" for r in paper.results) == 9


PAPER = """
title = "T"
authors = "A"
url = "https://example.org"
dataset = "imagenet"
resolution = 128
protocol = "P"
results = [
    { table = "t", row = "a", metric = "fid", value = 1.0, kind = "table" },
    # a comment
    { table = "t", row = "b", metric = "fid", value = 2.0, kind = "plot" },
]
"""


@pytest.mark.parametrize(
    ("given", "wrong", "line", "told"),
    [
        ('kind = "plot"', 'kind = "guess"', 11, "results[1].kind"),
        ("value = 2.0", 'value = "two"', 11, "results[1].value"),
        ("value = 2.0", "valeu = 2.0", 11, "did you mean value"),
        ("value = 2.0", "value = nan", 11, "results[1].value"),
        ("value = 1.0", "value = 1.0, range = [1.0, 2.0]", 9, "give one of value and range"),
        ("value = 1.0", "range = [3.0, 2.0]", 9, "the lower, then the higher"),
        ("value = 1.0", "value = 1.0, step = 1, steps = [1, 2]", 9, "give one of step and steps"),
    ],
)
def test_what_is_wrong_in_a_paper_is_told_with_its_line(
    given: str, wrong: str, line: int, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(PAPER)
    assert [result.row for result in read_declaration(path, Paper).results] == ["a", "b"]
    path.write_text(PAPER.replace(given, wrong))
    with pytest.raises(UsageError) as refused:
        read_declaration(path, Paper)
    assert f"{path}, line {line}: " in str(refused.value)
    assert told in str(refused.value)
