"""Files of a run: rows that survive a torn end, atomic writes, JSON without NaN."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganbench.errors import StoreError
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import resolve
from ganbench.store import JSONLines, RunFolder, jsonable, load_runs, read_rows, write_atomically, write_json

ROWS = st.lists(
    st.dictionaries(st.text(max_size=4), st.one_of(st.integers(), st.text(max_size=6), st.none()), max_size=3),
    min_size=1,
    max_size=5,
)
NESTED = st.recursive(
    st.one_of(st.floats(), st.integers(), st.text(max_size=3), st.none(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
)


def written(path: Path, rows: list[dict[str, Any]]) -> bytes:
    lines = JSONLines(path)
    for row in rows:
        lines.append(row)
    assert lines.sync() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert lines.size == path.stat().st_size
    lines.close()
    return path.read_bytes()


@given(rows=ROWS, data=st.data())
def test_a_file_cut_anywhere_keeps_its_whole_rows_and_goes_on(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        content = written(path, rows)
        cut = data.draw(st.integers(0, len(content)))
        path.write_bytes(content[:cut])
        whole = content[:cut].count(b"\n")
        found, torn = read_rows(path)
        assert found[:whole] == rows[:whole]
        assert len(found) + torn == whole + (cut > 0 and content[cut - 1 : cut] != b"\n")
        assert written(path, [{"after": 1}]) == b"".join(content.splitlines(keepends=True)[:whole]) + b'{"after": 1}\n'
        assert read_rows(path) == ([*rows[:whole], {"after": 1}], 0)


@given(rows=ROWS, data=st.data())
def test_a_file_is_taken_up_at_a_known_size(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        content = written(path, rows)
        kept = data.draw(st.integers(0, len(rows)))
        size = sum(len(line) for line in content.splitlines(keepends=True)[:kept])
        lines = JSONLines(path, size)
        assert lines.sync() == hashlib.sha256(content[:size]).hexdigest()
        for row in rows[kept:]:
            lines.append(row)
        lines.sync()
        lines.close()
        assert path.read_bytes() == content


def test_rows_that_are_lost_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    content = written(path, [{"a": 1}, {"a": 2}])
    path.write_bytes(content[:5])
    lines = JSONLines(path, len(content))
    assert lines.sync() != hashlib.sha256(content).hexdigest()
    lines.close()


@given(NESTED)
def test_whatever_is_stored_is_strict_json(value: Any) -> None:
    assert json.loads(json.dumps(jsonable(value), allow_nan=False)) == json.loads(json.dumps(jsonable(jsonable(value))))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_come_back(value: float) -> None:
    assert str(float(jsonable({"x": [value]})["x"][0])) == str(value)


def test_an_atomic_write_returns_the_digest_and_leaves_nothing_aside(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"old", b"new and longer"):
        assert write_atomically(path, content) == hashlib.sha256(content).hexdigest()
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), full)
    with pytest.raises(StoreError, match="cannot be written: No space left on device; free the disk"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_written_for_people(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": [1.5, math.nan], "a": "é"})
    text = (tmp_path / "x.json").read_text()
    assert text.endswith("}\n")
    assert list(json.loads(text)) == ["a", "b"]
    assert json.loads(text) == {"a": "é", "b": [1.5, "NaN"]}


def test_an_empty_results_folder_holds_no_runs(tmp_path: Path) -> None:
    stored = load_runs(tmp_path)
    assert (stored.runs, stored.foreign) == ([], [])


def test_what_a_killed_process_left_half_written_is_swept(tmp_path: Path) -> None:
    spec = resolve(Registry.discover(), RecipeBook(), "dcgan", "quick", [{"seed": 0}]).spec
    folder = RunFolder(tmp_path, spec)
    folder.create()
    whole = [folder.checkpoints / "step-000000001.pt", folder.samples / "step-000000001.png"]
    for path in whole:
        path.write_bytes(b"whole")
        path.with_name(f".{path.name}.4711").write_bytes(b"half")
    folder.sweep()
    assert sorted(path for path in folder.path.rglob("*") if path.suffix != ".json" and path.is_file()) == whole
