"""The error of sampling again, told apart from the spread over training seeds."""

from __future__ import annotations

import statistics

import pytest

from ganbench.errors import UsageError
from ganbench.evaluate.resampling import repeat_stream, resample
from ganbench.evaluate.scoring import Scores


def test_mean_and_standard_deviation() -> None:
    fids = [3.0, 5.0, 4.5]
    found = resample(lambda repeat: Scores({"fid": fids[repeat], "recall": 0.5}, 100, 1.0), 3)
    assert found == {
        "resampling": {
            "repeats": 3,
            "n": 100,
            "mean": {"fid": pytest.approx(statistics.mean(fids)), "recall": 0.5},
            "std": {"fid": pytest.approx(statistics.stdev(fids)), "recall": 0.0},
        }
    }


@pytest.mark.parametrize("repeats", [0, 1])
def test_one_sample_has_no_spread(repeats: int) -> None:
    with pytest.raises(UsageError, match="takes at least 2 repeats"):
        resample(lambda _: pytest.fail("it scored"), repeats)


def test_the_first_repeat_is_the_reported_one() -> None:
    assert repeat_stream("bank-report", 0) == "bank-report"
    assert len({repeat_stream("bank-report", repeat) for repeat in range(5)}) == 5
