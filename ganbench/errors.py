"""The errors a user can meet: each one clear line with its mend, and an exit code."""

import difflib
from collections.abc import Iterable

DONE, FAILED, USAGE, MISSING, DIVERGED, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit codes of the command line, by what happened."""


class GanbenchError(Exception):
    """A failure that is told in one line: the message says what is wrong and how to mend it."""

    exit_code = FAILED


class UsageError(GanbenchError):
    """The user asked for something that does not exist or cannot be combined (exit code 2)."""

    exit_code = USAGE


class SizeError(UsageError):
    """A network has no such resolution or feature map; at another size it may have."""

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(f"{reason}{mend}")
        self.reason = reason
        """What is lacking, without the mend."""


class MissingError(GanbenchError):
    """A plug-in, weights or data are absent or broken (exit code 3)."""

    exit_code = MISSING


class EvaluationError(GanbenchError):
    """Images could not be scored: a feature or a score is not finite (exit code 1)."""


class StoreError(GanbenchError):
    """A results folder cannot be written or holds what it should not (exit code 1)."""


def unknown(what: str, name: str, known: Iterable[str], how_to_list: str = "") -> str:
    """Say that ``name`` is not one of ``known``, the nearest names first."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names) or 'none'}."
    return f"unknown {what} '{name}': {hint}" + (f" {how_to_list}" if how_to_list else "")
