"""Leases: one winner of any race, the dead are followed at once or after their silence, the ousted cannot write."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from harness import DEADLINE

from ganbench import lease as lease_module
from ganbench.errors import StoreError, UsageError
from ganbench.lease import FREE, Lease, LeaseLostError, told
from ganbench.store import JSONLines, write_atomically

RACERS, ROUNDS = 8, 200
fork = multiprocessing.get_context("fork")


class Clock:
    """A monotonic clock that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "dcgan-1"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    with monkeypatch.context() as patch:
        patch.setattr(lease_module.time, "monotonic", made)
        yield made


@pytest.fixture
def held() -> Iterator[Callable[[Path], Lease]]:
    """Makes leases that this process holds, and gives them back at the end."""
    leases: list[Lease] = []

    def hold(folder: Path) -> Lease:
        leases.append(Lease(folder))
        assert leases[-1].claim()
        return leases[-1]

    yield hold
    for each in leases:
        each.give_back()


def name_of(run: Path) -> str:
    (only,) = (run / "lease").iterdir()
    return only.name


def elsewhere(run: Path) -> Path:
    """Let the lease be held on another machine; returns its folder."""
    host, _, *rest = name_of(run).split(".")
    return (run / "lease" / name_of(run)).rename(run / "lease" / ".".join([host, "0123456789ab", *rest]))


def test_it_goes_from_hand_to_hand(run: Path) -> None:
    one, other = Lease(run), Lease(run)
    assert one.claim()
    assert not other.claim()
    assert not other.claim(lambda _: pytest.fail("there is nothing to wait for: its holder is alive"))
    assert name_of(run).split(".")[2] == str(os.getpid())
    one.give_back()
    assert name_of(run) == FREE
    assert other.claim()
    other.give_back()
    assert list(run.iterdir()) == [run / "lease"]


def race(root: Path, barrier: Barrier, wins: multiprocessing.Queue[int]) -> None:
    """Claim every run of a folder in step with others; a winner holds it until all have tried."""
    won = 0
    for run in sorted(root.iterdir()):
        mine = Lease(run)
        barrier.wait(DEADLINE)
        if mine.claim():
            won += 1
            (run / f"winner-{os.getpid()}").touch()
        barrier.wait(DEADLINE)
        mine.give_back()
    wins.put(won)


@pytest.mark.parametrize("state", ["new", "left by a dead process"])
def test_of_many_processes_one_wins(state: str, tmp_path: Path) -> None:
    dead = f"host.{lease_module._kernel()}.{2**22 + 1}.17.abc"  # no process id is that great
    for number in range(ROUNDS):
        folder = tmp_path / f"run-{number:03d}"
        (folder / "lease" / dead).mkdir(parents=True) if state != "new" else folder.mkdir()
    barrier, wins = fork.Barrier(RACERS), fork.Queue()
    racers = [fork.Process(target=race, args=(tmp_path, barrier, wins)) for _ in range(RACERS)]
    for racer in racers:
        racer.start()
    total = sum(wins.get(timeout=DEADLINE) for _ in racers)
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0] * RACERS
    assert [len(list(folder.glob("winner-*"))) for folder in sorted(tmp_path.iterdir())] == [1] * ROUNDS
    assert total == ROUNDS


HOLD = """
import sys, time
from pathlib import Path
from ganbench.lease import Lease
assert Lease(Path(sys.argv[1])).claim()
print("held", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("reaped", [True, False])
def test_a_holder_that_was_killed_here_is_followed_at_once(reaped: bool, run: Path, clock: Clock) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(run)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        next_one = Lease(run)
        assert not next_one.claim()
        holder.send_signal(signal.SIGSTOP)
        clock.now += 1e6
        assert not next_one.claim()  # halted, but alive: it will go on
        holder.kill()
        os.waitid(os.P_PID, holder.pid, os.WEXITED | (0 if reaped else os.WNOWAIT))
        assert next_one.claim()
        next_one.give_back()


def test_a_process_id_that_was_given_anew_is_nobody(run: Path, held: Callable[[Path], Lease]) -> None:
    held(run)
    *rest, started, mark = name_of(run).split(".")
    (run / "lease" / name_of(run)).rename(run / "lease" / ".".join([*rest, str(int(started) - 1), mark]))
    other = Lease(run)
    assert other.claim()
    other.give_back()


def test_a_process_that_is_hidden_is_judged_by_its_heartbeat(
    run: Path, held: Callable[[Path], Lease], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    held(run)
    monkeypatch.setattr(lease_module, "_started", lambda pid: "")
    monkeypatch.setattr(os, "kill", refused)
    other = Lease(run)
    assert not other.claim()
    clock.now += 120
    assert other.claim()
    other.give_back()


@pytest.mark.parametrize("given", ["soon", "0", "-1", "nan", "inf", ""])
def test_seconds_that_are_none_are_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANBENCH_LEASE_SECONDS", given)
    with pytest.raises(UsageError, match=f"GANBENCH_LEASE_SECONDS={given} should be seconds above 0"):
        lease_module.silence_seconds()


def test_a_holder_elsewhere_is_followed_after_its_silence(
    run: Path, held: Callable[[Path], Lease], clock: Clock
) -> None:
    held(run)
    beat = elsewhere(run)
    watcher = Lease(run)
    for number in range(5):
        assert not watcher.claim()
        clock.now += 119
        assert not watcher.claim()
        os.utime(beat, (number, number))  # whatever its clock says: that it changes is what counts
        clock.now += 119
    assert not watcher.claim()
    clock.now += 119
    assert not Lease(run).claim()  # one that has just come has not seen the silence
    assert not watcher.claim()
    clock.now += 1
    assert watcher.claim()
    watcher.give_back()


@pytest.mark.parametrize("alive", [True, False])
def test_who_waits_is_told_and_decides_by_a_heartbeat_or_their_absence(
    alive: bool, run: Path, held: Callable[[Path], Lease], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(run)
    beat, waited = elsewhere(run), []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        clock.now += seconds
        if alive and len(waited) == 3:
            os.utime(beat, (3, 3))

    monkeypatch.setattr(lease_module.time, "sleep", sleep)
    watcher, said = Lease(run), list[str]()
    assert watcher.claim(said.append) == (not alive)
    assert said == [f"waiting up to 120 s for a sign of life from {beat.name}"]
    assert len(waited) == 3 if alive else sum(waited) == 120
    watcher.give_back()


def test_no_clock_that_can_be_set_is_read(run: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    def asked(*_: object) -> float:
        raise AssertionError("the time of day was asked for")

    for name in ("time", "time_ns", "localtime"):
        monkeypatch.setattr(time, name, asked)
    one = Lease(run)
    assert one.claim()
    elsewhere(run)
    other = Lease(run)
    assert not other.claim()
    clock.now += 120
    assert other.claim()
    other.give_back()


def test_who_was_ousted_can_neither_write_nor_delete(run: Path, held: Callable[[Path], Lease], clock: Clock) -> None:
    first = held(run)
    (run / "checkpoints").mkdir()
    write_atomically(first.way / "checkpoints" / "a.pt", b"first")
    rows = JSONLines(first.way / "rows.jsonl")
    rows.append({"of": "first"})
    rows.sync()
    elsewhere(run)
    second = Lease(run)
    assert not second.claim()
    clock.now += 120
    assert second.claim()
    own = JSONLines(second.way / "rows.jsonl")
    own.append({"of": "second"})
    own.sync()
    before = (run / "rows.jsonl").read_bytes()
    rows.append({"of": "first, late"})
    rows.close()
    for late in (
        lambda: write_atomically(first.way / "checkpoints" / "a.pt", b"late"),
        lambda: write_atomically(first.way / "result.json", b"late"),
        lambda: JSONLines(first.way / "rows.jsonl"),
    ):
        with pytest.raises(StoreError, match=f"{run}/[a-z./]* cannot be written: No such file"):
            late()
    with pytest.raises(FileNotFoundError):
        (first.way / "checkpoints" / "a.pt").unlink()
    assert list((first.way / "checkpoints").glob("*")) == []
    with pytest.raises(LeaseLostError, match=f"another process has taken over {run}, since this one gave no sign"):
        first.refuse_if_lost()
    first.give_back()
    second.refuse_if_lost()
    assert (run / "checkpoints" / "a.pt").read_bytes() == b"first"
    assert (run / "rows.jsonl").read_bytes() == before == b'{"of": "first"}\n{"of": "second"}\n'
    own.close()
    second.give_back()


def test_the_heartbeat_goes_on_by_itself_and_notices_a_loss(
    run: Path, monkeypatch: pytest.MonkeyPatch, held: Callable[[Path], Lease]
) -> None:
    monkeypatch.setenv("GANBENCH_LEASE_SECONDS", "0.05")
    mine = held(run)
    folder, seen, deadline = run / "lease" / name_of(run), set[int](), time.monotonic() + DEADLINE
    while len(seen) < 3:
        seen.add(folder.stat().st_mtime_ns)
        assert time.monotonic() < deadline
    mine.check()
    folder.rename(run / "lease" / FREE)
    with pytest.raises(LeaseLostError):  # noqa: PT012 (at some look)
        while time.monotonic() < deadline:
            mine.check()


def test_a_folder_copied_over_another_has_two_leases_and_one_holder(run: Path, held: Callable[[Path], Lease]) -> None:
    held(run)
    (run / "lease" / FREE).mkdir()
    other = Lease(run)
    assert not other.claim()
    (run / "lease" / name_of_other(run)).rmdir()
    (run / "lease" / f"host.{lease_module._kernel()}.{2**22 + 1}.17.abc").mkdir()
    assert other.claim()
    assert name_of(run).split(".")[2] == str(os.getpid())
    other.give_back()


def name_of_other(run: Path) -> str:
    (only,) = (path.name for path in (run / "lease").iterdir() if path.name != FREE)
    return only


def test_paths_are_told_as_people_know_them(run: Path, held: Callable[[Path], Lease]) -> None:
    assert told(held(run).way / "checkpoints" / "a.pt") == str(run / "checkpoints" / "a.pt")
    assert told(Path("results/../lease/x/y")) == "results/../lease/x/y"
