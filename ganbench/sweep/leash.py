"""``python -m ganbench.sweep.leash PARENT COMMAND...``: become the command, and be killed when the parent dies.

Linux keeps the promise over the exec that follows, so the process that trains is the one on the leash. Other
systems have nothing like it: there the command runs without.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""Of ``prctl(2)``."""


def fasten(parent: int) -> None:
    """Let this process be killed when its parent dies, where the system can."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the leash was on
            os.kill(os.getpid(), signal.SIGKILL)


def main(parent: int, command: list[str]) -> None:
    """Fasten the leash and become the command; returns only by being killed."""
    fasten(parent)
    for which in (signal.SIGUSR1, signal.SIGUSR2):  # to all processes of a Slurm job: the parent's to answer
        signal.signal(which, signal.SIG_IGN)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
