"""Reference statistics on disk: met again by the same reference alone, and never trusted when damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ganbench.evaluate.references import STATISTICS_VERSION, Statistics

KEY = {"reference": {"fingerprint": "abc", "count": 5}, "extractor": {"weights_sha256": "0" * 64}}


def arrays() -> dict[str, Tensor]:
    return {"mean": torch.arange(3, dtype=torch.float64) / 3, "factor": torch.arange(6).float().reshape(2, 3).T / 7}


def never() -> dict[str, Tensor]:
    pytest.fail("it was computed")


def kept_in(folder: Path, notes: list[str] | None = None, key: dict[str, Any] = KEY) -> Statistics:
    return Statistics(folder / "references", key, (notes if notes is not None else []).append)


def the_file(folder: Path) -> Path:
    (file,) = (folder / "references").iterdir()
    return file


def assert_equal(found: dict[str, Tensor]) -> None:
    assert found.keys() == arrays().keys()
    for name, value in arrays().items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)
        assert found[name].is_contiguous()


def test_computed_once(tmp_path: Path) -> None:
    notes: list[str] = []
    assert_equal(kept_in(tmp_path, notes).get("features", arrays))
    assert_equal(kept_in(tmp_path, notes).get("features", never))
    assert notes == []


@pytest.mark.parametrize(
    "other",
    [
        {**KEY, "reference": {"fingerprint": "abd", "count": 5}},
        {**KEY, "reference": {"fingerprint": "abc", "count": 6}},
        {**KEY, "extractor": {"weights_sha256": "1" * 64}},
        {**KEY, "libraries": {}},
    ],
)
def test_another_reference_is_another_file(other: dict[str, Any], tmp_path: Path) -> None:
    kept_in(tmp_path).get("features", arrays)
    found = kept_in(tmp_path, key=other).get("features", lambda: {"mean": torch.ones(1)})
    assert found["mean"].tolist() == [1]
    assert kept_in(tmp_path).get("other", lambda: {"mean": torch.zeros(1)})["mean"].tolist() == [0]
    assert len(list((tmp_path / "references").iterdir())) == 3


def test_what_another_version_kept_is_not_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_in(tmp_path).get("features", lambda: {"mean": torch.ones(1)})
    monkeypatch.setattr("ganbench.evaluate.references.STATISTICS_VERSION", STATISTICS_VERSION + 1)
    assert_equal(kept_in(tmp_path).get("features", arrays))


def test_a_file_under_the_name_of_another_is_not_taken_for_it(tmp_path: Path) -> None:
    kept_in(tmp_path).get("features", arrays)
    mine = the_file(tmp_path)
    other = {**KEY, "reference": {}}
    kept_in(tmp_path / "other", key=other).get("features", lambda: {"mean": torch.ones(1)})
    mine.write_bytes(the_file(tmp_path / "other").read_bytes())
    notes: list[str] = []
    assert_equal(kept_in(tmp_path, notes).get("features", arrays))
    assert "it is of another reference" in notes[0]


@settings(max_examples=60)
@given(st.data())
def test_what_is_damaged_is_computed_anew_with_a_note(tmp_path_factory: Any, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    kept_in(folder).get("features", arrays)
    file = the_file(folder)
    content = bytearray(file.read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    file.write_bytes(content)
    notes: list[str] = []
    assert_equal(kept_in(folder, notes).get("features", arrays))
    # A bit that nobody reads may be flipped unseen; whatever is returned was whole.
    if notes:
        assert notes[0].startswith(f"{file} is damaged (")
        assert notes[0].endswith("): the reference's features are computed anew")
        assert_equal(kept_in(folder, notes).get("features", never))
        assert len(notes) == 1


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with np.load(path) as file:
        content = dict(file)
    change(content)
    np.savez(path, **content)


def test_numbers_that_somebody_changed_are_not_trusted(tmp_path: Path) -> None:
    kept_in(tmp_path).get("features", arrays)

    def change(content: dict[str, Any]) -> None:
        content["mean"][0] += 1e-9

    rewrite(the_file(tmp_path), change)
    notes: list[str] = []
    assert_equal(kept_in(tmp_path, notes).get("features", arrays))
    assert "its sha256 differs" in notes[0]


class Bomb:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    kept_in(tmp_path).get("features", arrays)
    trace = tmp_path / "trace"
    rewrite(the_file(tmp_path), lambda content: content.update(mean=np.array([Bomb(trace)], dtype=object)))
    trace.unlink(missing_ok=True)
    notes: list[str] = []
    assert_equal(kept_in(tmp_path, notes).get("features", arrays))
    assert len(notes) == 1
    assert not trace.exists()


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "references").write_text("a file where the folder should be")
    notes: list[str] = []
    assert_equal(kept_in(tmp_path, notes).get("features", arrays))
    assert notes[0].startswith("the reference's features are not kept for the next run: ")


def test_the_file_says_what_it_is_of(tmp_path: Path) -> None:
    kept_in(tmp_path).get("features", arrays)
    with np.load(the_file(tmp_path), allow_pickle=False) as file:
        told = json.loads(file["key"].tobytes())
    assert told == {**KEY, "what": "features", "statistics_version": STATISTICS_VERSION}
    assert the_file(tmp_path).suffix == ".npz"
