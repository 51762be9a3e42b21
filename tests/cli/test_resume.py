"""A run that was stopped, at whatever moment and however, ends as an undisturbed one: to the last bit."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import (
    Crash,
    assert_same_run,
    assert_same_tensors,
    at_step,
    command,
    crash,
    interrupt,
    launched,
    load,
    newest,
    outcome,
    run_folder,
    shell,
    train,
    wait_until,
)

RunOf = Callable[[str], Path]
STEPS = 6


def has(results: Path, *patterns: str) -> Callable[[], bool]:
    """Whether the run has come so far that a file of one of these names is there."""
    return lambda: any(True for pattern in patterns for _ in results.glob(f"runs/*/{pattern}"))


def kill_when(happened: Callable[[], bool], *arguments: str) -> None:
    """Start a run in a process of its own and kill it, with SIGKILL, once something has happened."""
    with launched(*arguments) as process:
        wait_until(happened, process)
        process.kill()
        assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("model", ["sagan", "dcgan", "sngan"])
def test_a_run_killed_time_and_again_ends_as_if_undisturbed(model: str, undisturbed: RunOf, tmp_path: Path) -> None:
    arguments = command(model, tmp_path)
    stops = [has(tmp_path, "metrics.jsonl"), has(tmp_path, "checkpoints/step-*2.pt", "checkpoints/step-*4.pt")]
    stops.append(has(tmp_path, "checkpoints/step-*6.pt"))
    for happened in stops if model == "sagan" else stops[1:2]:
        kill_when(happened, *arguments)
        assert not has(tmp_path, "result.json")()
    end = shell(*arguments)
    assert end.code == 0
    assert "going on from step" in end.err
    assert end.json["status"] == "finished"
    assert_same_run(tmp_path, undisturbed(model))


@pytest.mark.parametrize("step", range(STEPS))
def test_a_crash_at_any_step_is_made_good(step: int, undisturbed: RunOf, tmp_path: Path) -> None:
    with at_step(step, crash), pytest.raises(Crash):
        train("dcgan", tmp_path)
    assert not has(tmp_path, "result.json")()
    assert train("dcgan", tmp_path).code == 0
    assert_same_run(tmp_path, undisturbed("dcgan"))


@pytest.mark.parametrize("which", [*range(0, 36, 3), 34, 35])
def test_a_crash_in_any_write_is_made_good(
    which: int, undisturbed: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def replace(path: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == which + 1:
            raise Crash
        return original(path, target)

    original = Path.replace
    monkeypatch.setattr(Path, "replace", replace)
    try:
        train("dcgan", tmp_path)
    except Crash:
        assert not has(tmp_path, "result.json")()
    else:
        assert count <= which  # fewer writes than that: nothing crashed
    monkeypatch.undo()
    assert train("dcgan", tmp_path).code == 0
    assert_same_run(tmp_path, undisturbed("dcgan"))


@pytest.mark.parametrize(("model", "step"), [("dcgan", s) for s in range(STEPS - 1)] + [("sagan", 2), ("sngan", 2)])
def test_ctrl_c_checkpoints_and_the_same_command_goes_on(
    model: str, step: int, undisturbed: RunOf, tmp_path: Path
) -> None:
    with at_step(step, interrupt):
        stopped = train(model, tmp_path)
    assert stopped.code == 130
    assert stopped.out == ""
    assert f"interrupted at step {step + 1}" in stopped.err
    assert "the same command goes on from there" in stopped.err
    assert not has(tmp_path, "result.json", "failure.json")()
    end = train(model, tmp_path)
    assert end.code == 0
    assert f"going on from step {step + 1} " in end.err
    assert_same_run(tmp_path, undisturbed(model))


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_from_outside_ends_a_process_with_130(kind: signal.Signals, tmp_path: Path) -> None:
    arguments = command("dcgan", tmp_path, "--budget", "100000steps", "--set", "evaluation.every=50000steps")
    with launched(*arguments) as process:
        wait_until(has(tmp_path, "metrics.jsonl"), process)
        process.send_signal(kind)
        stopped = outcome(process)
    assert stopped.code == 130
    assert "the same command goes on from there" in stopped.err.splitlines()[-1]
    assert newest(run_folder(tmp_path)).exists()


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a run that was interrupted after five of six steps."""
    results = tmp_path_factory.mktemp("half-done")
    with at_step(4, interrupt):
        assert train("dcgan", results).code == 130
    assert [p.name for p in sorted(run_folder(results).glob("checkpoints/step-*.pt"))] == [
        "step-000000004.pt",
        "step-000000005.pt",
    ]
    return results


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lose_digest(path: Path) -> None:
    path.with_name(f"{path.name}.sha256").unlink()


@pytest.mark.parametrize("damage", [flip_a_byte, cut, empty, lose_digest])
@pytest.mark.parametrize("how_many", [1, 2])
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    damage: Callable[[Path], None], how_many: int, half_done: Path, undisturbed: RunOf, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    shutil.copytree(half_done, results)
    checkpoints = sorted(run_folder(results).glob("checkpoints/step-*.pt"))
    for path in checkpoints[-how_many:]:
        damage(path)
    end = train("dcgan", results)
    assert end.code == 0
    assert end.err.count("is damaged (its sha256 differs)") == how_many
    assert checkpoints[-1].name in end.err
    assert ("going on from step 4" in end.err) == (how_many == 1)
    assert_same_run(results, undisturbed("dcgan"))


def test_after_a_new_start_the_new_checkpoints_are_the_ones_kept(
    half_done: Path, undisturbed: RunOf, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    shutil.copytree(half_done, results)
    for path in run_folder(results).glob("checkpoints/step-*.pt"):
        flip_a_byte(path)
    with at_step(3, crash), pytest.raises(Crash):
        train("dcgan", results)
    end = train("dcgan", results)
    assert "going on from step 2 " in end.err
    assert_same_run(results, undisturbed("dcgan"))


@pytest.fixture
def unscored(undisturbed: RunOf, tmp_path: Path) -> Path:
    """The results folder of a run that is trained to its end and lacks the result."""
    results = tmp_path / "results"
    shutil.copytree(undisturbed("dcgan"), results)
    (run_folder(results) / "result.json").unlink()
    return results


def test_a_run_that_lacks_only_its_result_is_scored_again(unscored: Path, undisturbed: RunOf) -> None:
    end = train("dcgan", unscored)
    assert f"going on from step {STEPS} " in end.err
    assert_same_run(unscored, undisturbed("dcgan"))


@pytest.mark.parametrize("damage", [flip_a_byte, lose_digest, Path.unlink])
def test_a_damaged_best_checkpoint_is_told(damage: Callable[[Path], None], unscored: Path) -> None:
    best = newest(run_folder(unscored), "best")
    damage(best)
    end = train("dcgan", unscored)
    assert end.code == 1
    assert end.err.splitlines()[-1].startswith(f"ganbench: {best} is damaged or lost: delete {run_folder(unscored)}")


def tear_last_line(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def append_torn_line(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'{"event": "scor')


def append_rows(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'{"event": "scores", "step": 99}\n' * 2)


def drop_last_row(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def alter_a_row(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"step": 0', b'"step": 7'))


@pytest.mark.parametrize("name", ["metrics.jsonl", "timing.jsonl"])
@pytest.mark.parametrize("damage", [tear_last_line, append_torn_line, append_rows, drop_last_row, alter_a_row, empty])
def test_damaged_records_do_not_hinder_a_run(
    damage: Callable[[Path], None], name: str, half_done: Path, undisturbed: RunOf, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    shutil.copytree(half_done, results)
    damage(run_folder(results) / name)
    assert train("dcgan", results).code == 0
    assert_same_run(results, undisturbed("dcgan"))


@pytest.mark.parametrize("lost", ["metrics.jsonl", "timing.jsonl", "env.json", "samples", "checkpoints"])
def test_lost_files_do_not_hinder_a_run(lost: str, half_done: Path, undisturbed: RunOf, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(half_done, results)
    path = run_folder(results) / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert train("dcgan", results).code == 0
    again = run_folder(results) / "samples"
    if lost == "samples":  # grids of the steps before are gone; all else is as it was
        shutil.copytree(run_folder(undisturbed("dcgan")) / "samples", again, dirs_exist_ok=True)
        state, other = (load(newest(run_folder(r))) for r in (results, undisturbed("dcgan")))
        assert_same_tensors(state["trainer"], other["trainer"])
    else:
        assert_same_run(results, undisturbed("dcgan"))


@pytest.mark.parametrize("model", ["dcgan", "sagan"])
def test_evaluating_more_often_leaves_training_as_it_is(model: str, undisturbed: RunOf, tmp_path: Path) -> None:
    assert train(model, tmp_path, "--set", "evaluation.every=1steps").code == 0
    often, seldom = (load(newest(run_folder(results))) for results in (tmp_path, undisturbed(model)))
    assert often["metrics"] != seldom["metrics"]
    assert_same_tensors(often["trainer"], seldom["trainer"])
