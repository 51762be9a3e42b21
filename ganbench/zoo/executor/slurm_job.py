"""The part of a run on Slurm that is in the job: what submitit calls there."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganbench.api import INTERRUPTED, Job, write_atomically

ASKED_TO_STOP = (INTERRUPTED, -signal.SIGTERM)
"""How a run ends that was asked to: with its last step saved, or before it trained at all."""


class SlurmJob:
    """``ganbench run`` as a subprocess of the job; its exit code goes into a file.

    SIGUSR1 asks the run to save and end. SIGUSR2, which Slurm sends before the time limit and before it gives the
    machine to somebody else, does so too, and then the job is requeued. The run itself ignores both.
    """

    def __init__(self, job: Job, environment: Mapping[str, str], exit_file: Path) -> None:
        self.job, self.environment, self.exit_file = job, environment, exit_file
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run, and leave the exit code."""
        process = self._process = self.job.start(self.environment)
        signal.signal(signal.SIGUSR1, lambda *_: _stop(process))
        code = _wait_for(process)
        self._leave(code)
        return code

    def checkpoint(self) -> Any:
        """What submitit asks, in its handler of SIGUSR2: what to submit again; None where the run has ended."""
        from submitit.helpers import DelayedSubmission

        if self._process is not None:
            _stop(self._process)
            code = _wait_for(self._process)
            if code not in ASKED_TO_STOP:
                self._leave(code)
                return None
        return DelayedSubmission(SlurmJob(self.job, self.environment, self.exit_file))

    def _leave(self, code: int) -> None:
        write_atomically(self.exit_file, str(code).encode())


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the run to save and end. It is not reaped, so that its process group is never another's."""
    os.killpg(process.pid, signal.SIGTERM)


def _wait_for(process: subprocess.Popen[bytes]) -> int:
    """The exit code, negative for a signal. Unlike ``Popen.wait`` it may be called in a signal handler of itself."""
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
