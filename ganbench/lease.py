"""Who works on a run, told by one folder's name: locks of an operating system are not shared between machines.

``<run>/lease/`` holds one empty folder, the lease. Its name is ``free`` or tells who holds it, and it changes hands
by being renamed, which has one winner however many try. Its time of change is the heartbeat: the holder moves it on,
and a watcher waits, on its own monotonic clock, for it to stand still. So no clock of one machine is compared with
one of another, and none that can be set counts.

A holder goes into the run's folder by way of its lease, ``<run>/lease/<holder>/../..``: once somebody else has
renamed that, no path of the former holder leads anywhere, and it can neither write nor delete, whatever it was about
to do when it was halted. What it has open are files that the next holder replaces. A client of a file server may go
by a name that it looked up before, for as long as it keeps names; hence the silence that is asked for is longer.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import re
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ganbench.errors import GanbenchError, UsageError

FREE = "free"
_WAY = re.compile(r"/lease/[^/]+/\.\./\.\.")
_BEATS = 12
"""Heartbeats in the time after which a silent holder is taken for dead."""


class LeaseLostError(GanbenchError):
    """Another process has taken the run over, and this one must not go on with it."""


def silence_seconds() -> float:
    """After how long without a heartbeat a holder on another machine is taken for dead.

    More than NFS clients keep names and times (60 s), unless GANBENCH_LEASE_SECONDS says otherwise. Raises UsageError
    where that is no number of seconds.
    """
    given = os.environ.get("GANBENCH_LEASE_SECONDS", "120")
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise UsageError(f"GANBENCH_LEASE_SECONDS={given} should be seconds above 0, as in 120")
    return seconds


def told(path: Path) -> str:
    """A path without the detour by way of a lease, as people know it."""
    return _WAY.sub("", str(path))


@functools.cache
def _kernel() -> str:
    """Of this boot of this machine and this process's namespace: where it is alike, process ids mean the same.

    Empty where the system does not tell.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return hashlib.sha256(f"{boot}{Path('/proc/self/ns/pid').readlink()}".encode()).hexdigest()[:12]
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process of this machine was started, in ticks since the boot; empty where there is none alive."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _alive(pid: int, started: str) -> bool | None:
    """Whether a process of this machine is there; None where it may be another user's, and hidden from this one."""
    found = _started(pid)
    if found:
        return found == started
    try:
        os.kill(pid, 0)
    except PermissionError:
        return None
    except ProcessLookupError:
        return False
    return False  # it has ended, and nobody has asked how yet


def _own_name() -> str:
    """A name for a lease of this process that no other lease ever has."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
    return f"{host}.{_kernel()}.{os.getpid()}.{_started(os.getpid())}.{secrets.token_hex(4)}"


class Lease:
    """The lease of one run, for a process that may come to hold it; it remembers the heartbeats that it has seen."""

    def __init__(self, run: Path) -> None:
        self._place = run / "lease"
        self._name = ""
        self._silence = silence_seconds()
        self._signs: dict[str, tuple[int, float]] = {}
        """By holder: its last heartbeat, and when it was seen first on this process's monotonic clock."""
        self._awake: set[str] = set()
        """Holders whose heartbeat was seen to move."""
        self._given_back = threading.Event()
        self._noticed = False

    @property
    def way(self) -> Path:
        """The run's folder for as long as the lease is this process's."""
        return self._place / self._name / ".." / ".."

    def claim(self, say: Callable[[str], None] | None = None) -> bool:
        """Take the lease if it is free or its holder is gone; returns whether it is this process's now.

        Decides by one look, and by those before it; given ``say``, it watches a holder on another machine until a
        heartbeat or their absence decides, and says so. Raises OSError where the folder cannot be written.
        """
        waiting = False
        while True:
            names = self._names()
            verdicts = [self._gone(name) for name in names]
            if names and all(verdicts):
                return self._take(names)
            if say is None or False in verdicts:
                return False
            if not waiting:
                waiting = True
                say(f"waiting up to {self._silence:g} s for a sign of life from {', '.join(names)}")
            time.sleep(self._silence / (2 * _BEATS))

    def holder(self) -> str:
        """Who may be at work on the run, by one look that writes nothing; empty where nobody is."""
        names = sorted(path.name for path in self._place.iterdir()) if self._place.exists() else []
        return ", ".join(name for name in names if not self._gone(name))

    def _names(self) -> list[str]:
        """The lease's name. There are two where a folder was copied over another: then all have to be gone."""
        with contextlib.suppress(FileNotFoundError):
            if names := sorted(path.name for path in self._place.iterdir()):
                return names
        made = self._place.with_name(f".lease.{secrets.token_hex(4)}")
        (made / FREE).mkdir(parents=True)
        try:
            made.rename(self._place)
        except OSError:  # not empty: somebody else was faster
            shutil.rmtree(made)
        return sorted(path.name for path in self._place.iterdir())

    def _gone(self, name: str) -> bool | None:
        """Whether nobody holds the lease under this name; None where more has to be seen to tell."""
        if name == FREE:
            return True
        _, kernel, pid, started, _ = name.split(".") if name.count(".") == 4 else ("", "", "0", "", "")
        alive = _alive(int(pid), started) if kernel and kernel == _kernel() else None
        return self._silent(name) if alive is None else not alive

    def _silent(self, name: str) -> bool | None:
        now = time.monotonic()
        try:
            beat = (self._place / name).stat().st_mtime_ns
        except FileNotFoundError:
            return False
        before, since = self._signs.setdefault(name, (beat, now))
        if beat != before:
            self._signs[name] = beat, now
            self._awake.add(name)
            return False
        if now - since >= self._silence:
            return True
        return False if name in self._awake else None

    def _take(self, names: list[str]) -> bool:
        self._name = _own_name()
        mine = self._place / self._name
        with contextlib.suppress(FileNotFoundError):  # another was faster, or a file server's answer was lost
            (self._place / names[0]).rename(mine)
        if not mine.exists():
            return False
        for name in names[1:]:
            with contextlib.suppress(FileNotFoundError):
                (self._place / name).rmdir()
        self._noticed, self._given_back = False, threading.Event()
        threading.Thread(target=self._beat, args=(mine, self._given_back), daemon=True, name="heartbeat").start()
        return True

    def _beat(self, mine: Path, given_back: threading.Event) -> None:
        """Move the heartbeat on until the lease is given back or lost."""
        while not given_back.wait(self._silence / _BEATS):
            try:
                os.utime(mine)
            except FileNotFoundError:
                self._noticed = True
                return
            except OSError:  # a file server that does not answer for a while: the next time
                continue

    def check(self) -> None:
        """Raise LeaseLostError if a heartbeat has found the lease lost; costs nothing."""
        if self._noticed:
            self.refuse_if_lost()

    def refuse_if_lost(self) -> None:
        """Raise LeaseLostError if another process has taken the lease over."""
        if not (self._place / self._name).exists():
            raise LeaseLostError(
                f"another process has taken over {self._place.parent}, since this one gave no sign of life for "
                f"{self._silence:g} s: it stops here, and nothing is lost"
            )

    def give_back(self) -> None:
        """Let others have the lease. Where that cannot be written, the end of this process tells it."""
        self._given_back.set()
        with contextlib.suppress(OSError):
            (self._place / self._name).rename(self._place / FREE)
