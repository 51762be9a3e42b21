"""How much a score moves when the same generator is sampled again.

That is no spread over training seeds, which is larger by far, and the two are never mixed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ganbench.errors import UsageError
from ganbench.evaluate.scoring import Scores


def repeat_stream(stream: str, repeat: int) -> str:
    """The stream of draws of one repeat; the first, 0, is that of the score which is reported."""
    return stream if repeat == 0 else f"{stream}-{repeat}"


def resample(score: Callable[[int], Scores], repeats: int) -> dict[str, Any]:
    """Score ``repeats`` >= 2 banks of one generator, ``score(r)`` the bank from :func:`repeat_stream` r.

    Returns, as JSON, ``resampling``: ``repeats``, ``n`` (images in each), ``mean`` and ``std`` by name of score,
    the latter with one degree of freedom less. Raises UsageError for fewer than 2.
    """
    if repeats < 2:
        raise UsageError(f"a resampling error takes at least 2 repeats, not {repeats}")
    scores = [score(repeat) for repeat in range(repeats)]
    table = {name: [one.values[name] for one in scores] for name in scores[0].values}
    return {
        "resampling": {
            "repeats": repeats,
            "n": scores[0].n,
            "mean": {name: float(np.mean(values)) for name, values in table.items()},
            "std": {name: float(np.std(values, ddof=1)) for name, values in table.items()},
        }
    }
