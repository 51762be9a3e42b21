"""What the scores are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganbench.evaluate.names import labelled, names_of, score_names, unlabelled
from ganbench.tables import DEFAULT_METRICS

ALL = ("isc", "fid", "clean-fid", "kid", "prc", "intra-fid")


@pytest.mark.parametrize(
    ("name", "n", "expected"),
    [
        ("fid", 5000, "fid_5k"),
        ("fcd", 900, "fcd_900"),
        ("fid", 50000, "fid_50k"),
        ("fid", 1500, "fid_1500"),
        ("fid", 1000, "fid_1k"),
        ("kid_std", 2, "kid_std_2"),
    ],
)
def test_a_label_is_the_number_of_images(name: str, n: int, expected: str) -> None:
    assert labelled(name, n) == expected


@given(st.sampled_from(DEFAULT_METRICS), st.integers(2, 10**6))
def test_a_label_comes_off_again_and_no_other_does(name: str, n: int) -> None:
    assert unlabelled(labelled(name, n), n) == name
    for other in (n + 1, n * 1000):
        with pytest.raises(ValueError, match=f"is not the name of a score of {other} samples"):
            unlabelled(labelled(name, n), other)


def test_only_inception_has_inceptions_names() -> None:
    theirs, others = (score_names(ALL, inception=inception) for inception in (True, False))
    shared = {"precision", "recall", "density", "coverage"}
    assert set(theirs) & set(others) == shared
    assert set(theirs) - shared == {
        "inception_score",
        "inception_score_std",
        "fid",
        "clean_fid",
        "kid",
        "kid_std",
        "intra_fid",
    }
    assert len(theirs) == len(others)


def test_the_order_does_not_depend_on_how_they_were_asked_for() -> None:
    assert score_names(ALL[::-1], inception=True) == score_names(ALL, inception=True)
    assert score_names(["kid", "isc"], inception=False) == (*names_of("isc", inception=False), "kcd", "kcd_std")


def test_the_table_knows_every_score() -> None:
    named = {*score_names(ALL, inception=True), *score_names(ALL, inception=False)}
    assert {name for name in named if not name.endswith("_std")} == set(DEFAULT_METRICS)
