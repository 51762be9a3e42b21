"""What a check finds, and the report of all checks on one component."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from ganbench.errors import UsageError
from ganbench.random import isolated

S = TypeVar("S")
Status = Literal["passed", "failed", "skipped", "noted"]


class Broken(Exception):
    """A component does not do what its kind must."""

    def __init__(self, expected: str, seen: str, cause: str) -> None:
        super().__init__(seen)
        self.expected, self.seen, self.cause = expected, seen, cause


class Skipped(Exception):
    """A check that cannot be made here; the message says why."""


class Noted(Exception):
    """Nothing is broken, but the author should know."""


@dataclass(frozen=True)
class Check(Generic[S]):
    """A named check; ``run`` raises Broken, Skipped or Noted, or returns."""

    name: str
    run: Callable[[S], None]


@dataclass(frozen=True)
class Result:
    """The outcome of one check."""

    check: str
    status: Status
    expected: str = ""
    seen: str = ""
    """What was seen; the reason of what was skipped or noted."""
    cause: str = ""

    def __str__(self) -> str:
        line = f"{self.status.upper() if self.status == 'failed' else self.status:<8} {self.check}"
        if self.status != "failed":
            return f"{line}: {self.seen}" if self.seen else line
        indent = " " * 9
        return "\n".join(
            (
                line,
                f"{indent}expected: {self.expected}",
                f"{indent}seen: {self.seen}",
                f"{indent}likely cause: {self.cause}",
            )
        )


@dataclass(frozen=True)
class Cost:
    """What something costs in one place, beside the same with ``none`` there."""

    what: str
    parameters: int
    flops: int
    """Of one image's forward pass."""
    milliseconds: float
    """Of a forward and a backward pass over a batch of 8, the median of several, on this machine."""


@dataclass(frozen=True)
class Report:
    """Everything found about one component."""

    kind: str
    name: str
    provider: str
    results: Sequence[Result]
    costs: Sequence[Cost] = ()

    @property
    def failures(self) -> list[Result]:
        """The checks that failed."""
        return [result for result in self.results if result.status == "failed"]

    @property
    def passed(self) -> bool:
        """Whether none failed."""
        return not self.failures

    def __str__(self) -> str:
        lines = [f"{self.kind} {self.name} ({self.provider})", *map(str, self.results)]
        lines += [
            f"cost     {cost.what}: {cost.parameters:,} parameters, {cost.flops:,} FLOPs an image, "
            f"{cost.milliseconds:.2f} ms forward and backward"
            for cost in self.costs
        ]
        counts = {status: sum(r.status == status for r in self.results) for status in ("passed", "failed", "skipped")}
        return "\n".join([*lines, ", ".join(f"{count} {status}" for status, count in counts.items())])


def run_checks(checks: Sequence[Check[S]], subject: S, skip: Sequence[str] = ()) -> list[Result]:
    """Make every check, each with its own fixed random numbers; an exception is a failure like any other."""
    left_out = {name: Result(name, "skipped", seen="as asked") for name in skip}
    return [left_out.get(check.name) or _run(check, subject) for check in checks]


def _run(check: Check[S], subject: S) -> Result:
    try:
        with isolated(0, f"check-{check.name}"):
            check.run(subject)
    except Broken as broken:
        return Result(check.name, "failed", broken.expected, broken.seen, broken.cause)
    except Skipped as skipped:
        return Result(check.name, "skipped", seen=str(skipped))
    except Noted as noted:
        return Result(check.name, "noted", seen=str(noted))
    except Exception as error:
        return Result(check.name, "failed", "no exception", describe(error), likely_cause(error))
    return Result(check.name, "passed")


@contextmanager
def expecting(what: str) -> Iterator[None]:
    """Turn an exception inside the block into Broken, ``what`` being what was expected there.

    Not a UsageError: with that a component refuses, which is its right.
    """
    try:
        yield
    except (Broken, Skipped, Noted, UsageError):
        raise
    except Exception as error:
        raise Broken(what, describe(error), likely_cause(error)) from error


def describe(error: Exception) -> str:
    """The exception in one line, with the place it came from."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "torch" not in Path(f.filename).parts]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}{place}"


_CAUSES = (
    (
        ("view size is not compatible", ".view("),
        "a view of a tensor that is not contiguous: use reshape in place of view",
    ),
    (
        ("channels, but got",),
        "a channel count is hard-coded: take it from the constructor's arguments",
    ),
    (
        ("shapes cannot be multiplied", "must match the size", "is invalid for input of size", "size mismatch"),
        "a channel count or a resolution is hard-coded: take it from the constructor or from the input's shape",
    ),
    (
        ("same dtype", "scalar type", "should be the same"),
        "a tensor of a fixed type: make constants with the input's dtype, as by torch.zeros_like(x)",
    ),
    (
        ("same device", "is on cpu", "expected device", "Expected all tensors", "meta tensor"),
        "a tensor of a fixed device: make constants on x.device",
    ),
    (
        ("modified by an inplace operation", "in-place operation"),
        "something that is needed again is written in place: use the functional form",
    ),
)


def likely_cause(error: Exception) -> str:
    """A guess from the message of the exception."""
    message = str(error)
    for signs, cause in _CAUSES:
        if any(sign in message for sign in signs):
            return cause
    return "an exception of its own, raised at the place named above"


def jsonable(report: Report) -> dict[str, Any]:
    """The report as plain JSON values."""
    return {
        "kind": report.kind,
        "name": report.name,
        "provider": report.provider,
        "passed": report.passed,
        "checks": [vars(result) for result in report.results],
        "costs": [vars(cost) for cost in report.costs],
    }
