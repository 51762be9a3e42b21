"""Which published number stands beside a row, and whether it is on our scale."""

from __future__ import annotations

import pytest

from ganbench.paper_numbers import differences_to_paper, headline_number, published_numbers, source
from ganbench.papers import Published, load_paper
from ganbench.planning import plan
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.suites import load_suite

BOOK = RecipeBook()
PAPER = load_paper(BOOK, "sagan")


def number(**changed: object) -> Published:
    fields = {"table": "table1", "row": "none", "metric": "fid", "value": 1.0, "kind": "table", **changed}
    return Published.model_validate(fields)


@pytest.mark.parametrize(("metric", "value"), [("fid", 18.28), ("fcd", 18.28), ("classifier_score", 51.43)])
def test_a_stand_in_stands_beside_the_original(metric: str, value: float) -> None:
    suite = load_suite(BOOK, "sagan-table1")
    (found,) = published_numbers(PAPER, suite, suite.row("self-32"), metric)
    assert (found.value, found.kind, source(found)) == (value, "table", "table1")


def test_other_scores_other_rows_and_single_classes_were_not_published() -> None:
    suite = load_suite(BOOK, "sagan-table1")
    assert published_numbers(PAPER, suite, suite.row("self-32"), "precision") == []
    variants = load_suite(BOOK, "attention-variants")
    assert published_numbers(PAPER, variants, variants.row("linear"), "fid") == []
    table2 = load_suite(BOOK, "sagan-table2")
    assert [n.value for n in published_numbers(PAPER, table2, table2.row("sagan"), "intra_fcd")] == [83.7]
    assert headline_number(published_numbers(PAPER, table2, table2.row("acgan"), "fid")) is None


def test_a_whole_run_comes_before_a_step_and_a_late_step_before_an_early_one() -> None:
    early, late, whole = number(step=10), number(step=20), number(value=2.0)
    assert headline_number([early, late]) == late
    assert headline_number([early, whole, late]) == whole
    assert headline_number([number(value=None, range=(1.0, 2.0), steps=(0, 10))]) is None
    assert source(late) == "table1 at step 20"
    assert source(number(source="library A")) == "library A"


def test_when_a_score_is_on_the_papers_scale() -> None:
    suite = load_suite(BOOK, "sagan-figure3")
    specs = {
        profile: plan(suite, profile, Registry.discover([]), BOOK, [0])[0].specs[0] for profile in ("quick", "paper")
    }
    assert differences_to_paper(PAPER, specs["paper"], inception=True) == []
    assert differences_to_paper(PAPER, specs["paper"], inception=False) == ["inception is not Inception"]
    assert differences_to_paper(PAPER, specs["quick"], inception=False) == [
        "digits is not imagenet",
        "32 px are not 128 px",
        "cnn-digits is not Inception",
    ]
