"""The first signal asks, the second ends; afterwards everything is as before."""

from __future__ import annotations

import signal
import threading

import pytest
from harness import interrupt

from ganbench.train import StopFlag


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_only_asks(which: signal.Signals) -> None:
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with StopFlag().listening() as stop:
        assert not stop.requested
        signal.raise_signal(which)
        assert stop.requested
    assert {s: signal.getsignal(s) for s in before} == before


def test_a_second_ctrl_c_ends_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopFlag().listening():
        interrupt()
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    assert signal.getsignal(signal.SIGINT) == before


def test_a_hang_up_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopFlag().listening() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.requested
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_no_signal_is_touched() -> None:
    found = []

    def listen() -> None:
        with StopFlag().listening() as stop:
            found.append((signal.getsignal(signal.SIGINT), stop.requested))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert found == [(signal.getsignal(signal.SIGINT), False)]
