"""The loop of a sweep: what is done is passed over, what is half done goes on, what died is tried again."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.errors import DONE, MISSING, USAGE, StoreError
from ganbench.sweep.estimate import Estimator
from ganbench.sweep.executor import Executor, Job
from ganbench.sweep.runs import SweptRun, tail
from ganbench.sweep.view import View
from ganbench.train import Interrupted, StopFlag

POLL_SECONDS = 0.1
"""Between two looks at the running processes."""
ELSEWHERE_SECONDS = 1.0
"""Between two looks at a run that another process has."""


@dataclass
class Driver:
    """Brings every run to a result or to a failure that trying again does not mend.

    It alone decides on that; the executor only places processes, and only a result in the run's folder counts.
    Any number of drivers may work on the same runs: the claim on a run's folder lets one process train it.
    """

    executor: Executor
    runs: Sequence[SweptRun]
    arguments: tuple[str, ...]
    """Of every ``ganbench run``, besides the spec, the results and the plug-ins."""
    retries: int
    """How often a run whose process died is started again."""
    view: View
    estimator: Estimator
    plugins: tuple[Path, ...] = ()
    """Plug-in files that every run is given, absolute."""

    def execute(self) -> None:
        """Return when no run is left to do. Raises Interrupted when a signal asked to stop; the runs have saved."""
        try:
            with StopFlag().listening() as stop, self.view:
                while any(run.open for run in self.runs):
                    if stop.requested:
                        self._stop()
                    self._start_what_fits()
                    self._look_at_running()
                    self.view.show()
                    if any(run.open for run in self.runs):
                        time.sleep(POLL_SECONDS)
        finally:
            for run in self._running():
                self.executor.cancel(run.handle, at_once=True)
            self.executor.close()

    def _running(self) -> list[SweptRun]:
        return [run for run in self.runs if run.state == "running"]

    def _stop(self) -> None:
        """Let every run save and end, then raise Interrupted; a second Ctrl-C breaks it off."""
        self.view.say("stopping: the runs save and end (Ctrl-C again: they end at once)")
        for run in self._running():
            self.executor.cancel(run.handle)
        while running := self._running():
            for run in running:
                if self.executor.poll(run.handle) is not None:
                    self._take_result(run)
            self.view.show()
            time.sleep(POLL_SECONDS)
        done = sum(run.done for run in self.runs)
        raise Interrupted(f"interrupted with {done} of {len(self.runs)} runs done: the same command goes on from there")

    def _take_result(self, run: SweptRun) -> None:
        """After a stop: done by a hair, or for the next time."""
        self.executor.collect(run.handle)
        run.state = "waiting"
        try:
            self._pass_over(run)
        except StoreError as error:
            self._fail(run, str(error))

    def _start_what_fits(self) -> None:
        now = time.monotonic()
        for run in self.runs:
            if len(self._running()) == self.executor.slots:
                return
            if run.state not in ("waiting", "elsewhere") or run.not_before > now:
                continue
            try:
                self._start(run)
            except StoreError as error:
                self._fail(run, str(error))

    def _start(self, run: SweptRun) -> None:
        """Start a run that has no result and that nobody has."""
        if self._pass_over(run):
            return
        run.folder.create()
        with run.folder.claimed() as free:
            pass
        if free is None:
            self._leave(run)
            return
        run.handle = self.executor.submit(Job(run.folder, self.plugins, self.arguments))
        run.state = "running"
        self.view.say(f"{run.name}: {'goes on' if run.begun else 'begins'} ({run.folder.path})")
        run.begun = True

    def _pass_over(self, run: SweptRun) -> bool:
        """Whether the run has a result, which is then taken."""
        result = run.folder.finished()
        if result is None:
            return False
        self._done(run, result)
        return True

    def _done(self, run: SweptRun, result: dict[str, Any]) -> None:
        run.take(result)
        if run.state == "finished":
            self.estimator.learn(run.folder.spec, result)
        self.view.say(f"{run.name}: {run.state}")

    def _leave(self, run: SweptRun) -> None:
        """Come back later: another process is at it."""
        if run.state != "elsewhere":
            self.view.say(f"{run.name}: another process has it")
        run.state = "elsewhere"
        run.not_before = time.monotonic() + ELSEWHERE_SECONDS

    def _look_at_running(self) -> None:
        for run in self._running():
            code = self.executor.poll(run.handle)
            if code is None:
                continue
            try:
                self.executor.collect(run.handle)
                self._ended(run, code)
            except StoreError as error:
                self._fail(run, str(error))

    def _ended(self, run: SweptRun, code: int) -> None:
        """Without a result, the exit code says what to do; that the process says it is done does not count."""
        if self._pass_over(run):
            return
        if code == DONE:
            self._leave(run)
        elif code in (USAGE, MISSING):
            self._fail(run, _last_words(run))
        else:
            run.died += 1
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            if run.died > self.retries:
                self._fail(run, f"its process ended {how}: {_last_words(run)}")
                return
            run.state = "waiting"
            self.view.say(f"{run.name}: its process ended {how}; trying again ({run.died} of {self.retries})")

    def _fail(self, run: SweptRun, message: str) -> None:
        run.state, run.message = "failed", message
        self.view.say(f"{run.name}: failed: {message} (log: {run.folder.log})")


def _last_words(run: SweptRun) -> str:
    """The last line that the run's process logged."""
    lines = [line for line in tail(run.folder.log) if line.strip()]
    return lines[-1].removeprefix("ganbench: ") if lines else "it logged nothing"
