"""Results of several machines in one folder: all that is finished, verified, and nothing in another's place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import assert_same_run, assert_whole, at_step, call, interrupt, newest, run_folder, train, tree

from ganbench.lease import FREE, Lease
from ganbench.store import load_runs

RunOf = Callable[[str], Path]


@pytest.fixture
def one(undisturbed: RunOf, tmp_path: Path) -> Path:
    """A machine's results: one finished run of dcgan."""
    shutil.copytree(undisturbed("dcgan"), tmp_path / "one")
    return tmp_path / "one"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of the same run, interrupted after five of six steps."""
    results = tmp_path_factory.mktemp("stopped")
    with at_step(4, interrupt):
        assert train("dcgan", results).code == 130
    return results


@pytest.fixture
def half(stopped: Path, tmp_path: Path) -> Path:
    shutil.copytree(stopped, tmp_path / "half")
    return tmp_path / "half"


def alter(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a result says."""
    result = json.loads((folder / "result.json").read_text())
    change(result)
    (folder / "result.json").write_text(json.dumps(result))


def test_what_is_finished_anywhere_is_there_and_a_second_time_nothing_is_done(
    one: Path, undisturbed: RunOf, tmp_path: Path
) -> None:
    other, joint = undisturbed("sngan"), tmp_path / "joint"
    before = [tree(one), tree(other)]
    told = call("merge", one, other, "--results", joint)
    assert told.code == 0, told.err
    assert told.out.splitlines() == [
        f"copied: {run_folder(one)}",
        f"copied: {run_folder(other)}",
        f"{joint}: 2 runs copied, 0 there already, 0 left",
    ]
    for source in (one, other):
        (name,) = (path.name for path in (source / "runs").iterdir())
        assert_whole(joint / "runs" / name)
        copied = {path: content for path, (content, _) in tree(joint / "runs" / name).items()}
        assert copied == {path: content for path, (content, _) in tree(source / "runs" / name).items()}
    after = tree(joint)
    again = call("merge", one, other, one, "--results", joint, "--json").json
    equal = [str(run_folder(source)) for source in (one, other, one)]
    assert again == {"results": str(joint), "copied": [], "equal": equal, "finished": [], "left": {}}
    assert tree(joint) == after
    assert [tree(one), tree(other)] == before
    assert train("dcgan", joint).json["status"] == "finished"
    assert tree(joint) == after


def test_what_the_machine_determines_may_differ(one: Path, undisturbed: RunOf) -> None:
    def slower(result: dict[str, Any]) -> None:
        result["counters"]["train_seconds"] *= 3
        result["cost"]["peak_memory_bytes"] += 1
        result["artefacts"]["timing.jsonl"] = "0" * 64

    alter(run_folder(one), slower)
    merged = call("merge", undisturbed("dcgan"), "--results", one, "--json").json
    assert merged["equal"] == [str(run_folder(undisturbed("dcgan")))]


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("scores", lambda result: result["scores"]["final"].update(fcd=1.0)),
        ("status", lambda result: result.update(status="diverged")),
        ("counters", lambda result: result["counters"].update(real_images=1)),
        ("metrics.jsonl", lambda result: result["artefacts"].update({"metrics.jsonl": "0" * 64})),
    ],
)
@pytest.mark.parametrize("among", ["the sources", "source and results"])
def test_two_results_of_one_run_are_refused_and_both_named(
    where: str, among: str, change: Callable[[dict[str, Any]], object], one: Path, undisturbed: RunOf, tmp_path: Path
) -> None:
    alter(run_folder(one), change)
    first, further = undisturbed("dcgan"), undisturbed("sngan")
    arguments = [first, one, further] if among == "the sources" else [first, further]
    into = tmp_path / "joint" if among == "the sources" else one
    before = tree(into)
    refused = call("merge", *arguments, "--results", into)
    assert refused.code == 1
    assert f"two results, which differ in {where}: " in refused.complaint
    assert str(run_folder(first)) in refused.complaint
    assert str(run_folder(one)) in refused.complaint
    assert tree(into) == before


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("name", ["metrics.jsonl", "timing.jsonl", "checkpoints/step-000000006.pt"])
@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_a_damaged_artefact_is_told_and_not_taken(
    name: str, damage: Callable[[Path], None], one: Path, tmp_path: Path
) -> None:
    path = run_folder(one) / name
    damage(path)
    joint = tmp_path / "joint"
    refused = call("merge", one, "--results", joint)
    if name.endswith(".pt") and damage is Path.unlink:  # as in a repository, which leaves them out
        assert refused.code == 0
        return
    assert refused.code == 1
    assert f"{path} is not what {run_folder(one)}/result.json says (sha256): restore it" in refused.complaint
    assert list((joint / "runs").iterdir()) == []


def test_an_unfinished_run_comes_along_and_goes_on(half: Path, undisturbed: RunOf, tmp_path: Path) -> None:
    joint = tmp_path / "joint"
    assert call("merge", half, "--results", joint, "--json").json["copied"] == [str(run_folder(half))]
    end = train("dcgan", joint)
    assert "going on from step 5" in end.err
    assert_same_run(joint, undisturbed("dcgan"))
    left = call("merge", half, "--results", joint, "--json").json["left"]
    assert left == {str(run_folder(half)): f"unfinished, and {run_folder(joint)} has its result"}


def test_two_unfinished_copies_of_one_run_stay_apart(half: Path, stopped: Path) -> None:
    newest(run_folder(half)).unlink()
    before = tree(half)
    told = call("merge", stopped, "--results", half)
    assert told.code == 0
    assert f"left: {run_folder(stopped)}: unfinished, as {run_folder(half)} is" in told.out
    assert tree(half) == before


def test_an_unfinished_run_gives_way_to_its_result(one: Path, half: Path, undisturbed: RunOf) -> None:
    told = call("merge", one, "--results", half)
    assert told.code == 0
    assert f"copied, in the place of the unfinished: {run_folder(one)}" in told.out
    assert_same_run(half, undisturbed("dcgan"))
    assert [path.name for path in (half / "runs").iterdir()] == [run_folder(one).name]


def test_what_is_being_run_is_left_alone(one: Path, half: Path, tmp_path: Path) -> None:
    lease = Lease(run_folder(half))
    assert lease.claim()
    before = tree(half)
    (source,) = call("merge", half, "--results", tmp_path / "joint", "--json").json["left"].items()
    assert source[0] == str(run_folder(half))
    assert source[1].startswith("unfinished and held by ")
    (target,) = call("merge", one, "--results", half, "--json").json["left"].items()
    assert target == (
        str(run_folder(one)),
        f"finished, but a process is at work on {run_folder(half)}: merge again when it is done",
    )
    assert tree(half) == before
    lease.give_back()
    assert {path.name for path in (run_folder(half) / "lease").iterdir()} == {FREE}


def test_a_damaged_result_does_not_replace_the_unfinished(one: Path, half: Path) -> None:
    cut(run_folder(one) / "metrics.jsonl")
    before = tree(half)
    assert call("merge", one, "--results", half).code == 1
    assert tree(half) == before
    assert [run.status for run in load_runs(half).runs] == ["unfinished"]


def test_what_is_no_run_is_left_and_told(one: Path, tmp_path: Path) -> None:
    (one / "runs" / "notes").mkdir()
    left = call("merge", one, "--results", tmp_path / "joint", "--json").json["left"]
    assert list(left) == [str(one / "runs" / "notes")]
    assert "spec.json cannot be read" in left[str(one / "runs" / "notes")]


def test_what_makes_no_sense_is_refused(one: Path, tmp_path: Path) -> None:
    assert call("merge", "--results", one).code == 2
    assert "cannot be merged into itself" in call("merge", one, "--results", one).complaint
    missing = call("merge", tmp_path / "nowhere", "--results", one)
    assert (missing.code, "there is no results folder" in missing.complaint) == (1, True)
