"""What a person sees of a run: plain lines, not too many, or a bar."""

from __future__ import annotations

import dataclasses

import pytest

from ganbench import progress
from ganbench.progress import BarProgress, LineProgress, Status, progress_for_stderr

STATUS = Status(
    step=20, share=0.25, loss_d=1.5, loss_g=-0.25, images_per_second=321.4, seconds_left=75.4, score="fcd 12.30"
)


def test_a_status_is_one_line() -> None:
    assert str(STATUS) == "step 20  D 1.500  G -0.250  321 img/s  fcd 12.30  1:15 left"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the progress sees; set it to let time pass."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_come_at_most_every_ten_seconds_and_at_the_end(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with LineProgress() as shown:
        for second in range(25):
            clock[0] = 100.0 + second
            shown.update(dataclasses.replace(STATUS, step=second))
        shown.update(dataclasses.replace(STATUS, step=99, share=1.02))
        shown.say("said at once")
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split()[2] for line in err.splitlines()[:-1]] == ["0", "10", "20", "99"]
    assert err.splitlines()[-2].startswith("100%  step 99")
    assert err.splitlines()[-1] == "said at once"


def test_where_stderr_is_no_terminal_there_are_lines() -> None:
    assert isinstance(progress_for_stderr(), LineProgress)


def test_on_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    bar = progress_for_stderr()
    assert isinstance(bar, BarProgress)
    with bar:
        bar.update(STATUS)
        bar.say("[a] said :smile: above")
    out, err = capsys.readouterr()
    assert out == ""
    assert "[a] said :smile: above" in err
    assert "fcd 12.30" in err
    assert "25%" in err
