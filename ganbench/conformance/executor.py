"""The checks on an executor: it is given processes that only pretend to train."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ganbench.conformance.report import Broken, Check, Cost
from ganbench.errors import DONE, INTERRUPTED
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import resolve
from ganbench.spec import RunSpec
from ganbench.store import RunFolder
from ganbench.sweep.executor import Demand, Executor, Handle, Job

PATIENCE_SECONDS = 120.0
"""For a process that is waited for to begin or to end."""
_WRITES = """
import os, pathlib, signal, sys, time
print("begun with", os.environ.get("OMP_NUM_THREADS"), "threads", flush=True)
def write(name, text):
    path = pathlib.Path(sys.argv[1], name)
    path.with_name("." + name).write_text(text)
    path.with_name("." + name).rename(path)
write("attempts.jsonl", "begun")
"""
_ENDS_WITH_7 = _WRITES + "sys.exit(7)"
_SUCCEEDS = _WRITES + "write('metrics.jsonl', 'whole')"
_WAITS = (
    _WRITES
    + """
def save(*_):
    write("metrics.jsonl", "saved")
    sys.exit(130)
signal.signal(signal.SIGTERM, save)
print("waiting", flush=True)
while True:
    time.sleep(0.05)
"""
)
_STAYS = _WAITS.replace("save)", "signal.SIG_IGN)")


@dataclass(frozen=True)
class _Pretence(Job):
    """A job whose process runs ``code``, the run's folder its argument."""

    code: str

    @property
    def command(self) -> list[str]:
        """This code in place of ``ganbench run``."""
        return [sys.executable, "-c", self.code, str(self.folder.path)]


@cache
def _spec() -> RunSpec:
    return resolve(Registry.discover(), RecipeBook(), "dcgan", "quick", [{"seed": 0}]).spec


class ExecutorSubject:
    """An executor, and how it is made."""

    def __init__(self, component: Any, options: dict[str, Any]) -> None:
        self.component, self.options = component, options

    @contextmanager
    def given(self, code: str) -> Iterator[tuple[Executor, Handle, RunFolder]]:
        """A fresh one that was given a process of that code, all gone at the end.

        The folder is below the working folder: a cluster may share that, and no temporary one.
        """
        with tempfile.TemporaryDirectory(prefix=".check-", dir=Path.cwd()) as place:
            folder = RunFolder(Path(place), _spec())
            folder.create()
            executor: Executor = self.component(Demand(1, None, "cpu", Path(place)), **self.options)
            try:
                if executor.slots < 1:
                    raise Broken("slots of at least 1", str(executor.slots), "a cluster that is full has slots too")
                handle = executor.submit(_Pretence(folder, (), (), code))
                try:
                    yield executor, handle, folder
                finally:
                    executor.cancel(handle, at_once=True)
            finally:
                executor.close()


def subject_of(component: Any, options: dict[str, Any]) -> ExecutorSubject:
    """The executor. Raises MissingError where what it needs is not here."""
    subject = ExecutorSubject(component, options)
    component(Demand(1, None, "cpu", Path(tempfile.gettempdir())), **options).close()
    return subject


def _wait(happened: Callable[[], bool], expected: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            raise Broken(expected, f"nothing of it within {PATIENCE_SECONDS:.0f} s", "poll() brings no news")
        time.sleep(0.02)


def _ended(executor: Executor, handle: Handle) -> int:
    """The exit code of a process that ends by itself, or was asked to; what it wrote is collected."""
    codes: list[int | None] = []

    def poll() -> bool:
        codes.append(executor.poll(handle))
        return codes[-1] is not None

    _wait(poll, "the exit code of a process that has ended")
    executor.collect(handle)
    assert codes[-1] is not None
    return codes[-1]


def _wait_until_it_waits(executor: Executor, handle: Handle, folder: RunFolder) -> None:
    def waits() -> bool:
        executor.poll(handle)
        return folder.log.exists() and b"waiting" in folder.log.read_bytes()

    _wait(waits, "the log of a run at work, while it is polled")


def _brings_home(subject: ExecutorSubject) -> None:
    with subject.given(_SUCCEEDS) as (executor, handle, folder):
        code = _ended(executor, handle)
        if code != DONE:
            raise Broken("exit code 0", str(code), "the process is not started by Job.start, or its code is lost")
        if not folder.metrics.exists() or folder.metrics.read_text() != "whole":
            raise Broken("what the run wrote in its folder", "nothing", "collect() does not bring it home")
        if "begun with" not in folder.log.read_text():
            raise Broken("what the run logged in log.txt", "nothing", "its output is kept elsewhere")
        if "begun with None" in folder.log.read_text():
            raise Broken("OMP_NUM_THREADS", "none", "it is to be given to Job.start: threads change the last bits")


def _tells_the_exit_code(subject: ExecutorSubject) -> None:
    with subject.given(_ENDS_WITH_7) as (executor, handle, _):
        code = _ended(executor, handle)
        if code != 7:
            raise Broken("exit code 7", str(code), "by it the driver tells what to try again from what to give up")


def _lets_save(subject: ExecutorSubject) -> None:
    with subject.given(_WAITS) as (executor, handle, folder):
        _wait_until_it_waits(executor, handle, folder)
        executor.cancel(handle)
        code = _ended(executor, handle)
        if code != INTERRUPTED or not folder.metrics.exists():
            raise Broken(f"exit code {INTERRUPTED} and what was saved", str(code), "cancel() has to send SIGTERM alone")


def _ends_at_once(subject: ExecutorSubject) -> None:
    with subject.given(_STAYS) as (executor, handle, folder):
        _wait_until_it_waits(executor, handle, folder)
        executor.cancel(handle, at_once=True)
        code = _ended(executor, handle)
        if code == DONE:
            raise Broken("the code of a process that was killed", str(code), "cancel(at_once=True) has to kill")


def costs(subject: ExecutorSubject) -> Iterator[Cost]:
    """An executor is no part of a network."""
    yield from ()


CHECKS: tuple[Check[ExecutorSubject], ...] = (
    Check("brings home what a run wrote and logged", _brings_home),
    Check("tells the exit code", _tells_the_exit_code),
    Check("lets a run save that is cancelled", _lets_save),
    Check("ends a run at once", _ends_at_once),
)
