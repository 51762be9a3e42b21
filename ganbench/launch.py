"""Starts the ranks of a run on this machine, by torchrun's own launcher, and starts them again when one is lost."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ganbench.errors import DONE, FAILED, INTERRUPTED, GanbenchError

SAVING_SECONDS = 120
"""After a signal, or the loss of a rank, the others are given so long to end by themselves."""
_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""Signals that are passed on to the ranks."""


def launch(arguments: Sequence[str], count: int, max_restarts: int, say: Callable[[str], None]) -> int:
    """Run ``python -m ganbench`` with these arguments as so many ranks; returns their exit code.

    When a rank is killed all are started again, ``max_restarts`` times at most, and go on from the last checkpoint.
    That is done here and not by torchrun, which would start again after a usage error too. Raises GanbenchError for
    a rank that is lost for good. The ranks end with this process.
    """
    _silence()
    for restarts in range(max_restarts + 1):
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            shutdown_timeout=SAVING_SECONDS,
        )
        try:
            with _environment(count):
                elastic_launch(config, sys.executable)("-m", "ganbench", *arguments)
        except SignalException:
            return INTERRUPTED
        except ChildFailedError as error:
            code, who = _verdict(list(error.failures.values()))
            if code >= 0:
                return code  # and the rank has told why
            lost = f"rank {who} was ended by {signal.Signals(-code).name}"
            if restarts < max_restarts:
                say(f"{lost}: all ranks go on from the last checkpoint (restart {restarts + 1} of {max_restarts})")
        else:
            return DONE
    raise GanbenchError(f"{lost}: the same command goes on from the last checkpoint")


def _silence() -> None:
    """Keep torchrun from telling in its own words what is told here; each of its loggers has a level of its own."""
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("torch.distributed.elastic")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _environment(count: int) -> Iterator[None]:
    """Inside the block what is started has its share of the cores, and knows that warnings have been told.

    Afterwards variables and signal handlers, of which torch sets some, are as before.
    """
    before, handlers = os.environ.copy(), {which: signal.getsignal(which) for which in _HANDLED}
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    os.environ["GANBENCH_LAUNCHED"] = "1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        for which, handler in handlers.items():
            signal.signal(which, handler)


def _verdict(failures: Sequence[ProcessFailure]) -> tuple[int, int]:
    """The exit code that speaks for all ranks, negative for a signal, and the rank that it is of.

    A rank that was killed comes first, since the others failed for want of it; then one that says what failed. A
    SIGTERM is what torch itself sends to the others when one has failed.
    """

    def weight(failure: ProcessFailure) -> tuple[bool, bool, bool]:
        code = failure.exitcode
        return code >= 0 or code == -signal.SIGTERM, code == -signal.SIGTERM, code == FAILED

    first = min(failures, key=weight)
    return first.exitcode, first.local_rank
