"""Where a machine keeps what a run needs and makes on the way; no part of a run's identity."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


def _cache() -> Path:
    given = os.environ.get("GANBENCH_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganbench"


def _weights() -> Path:
    return Path(os.environ.get("GANBENCH_WEIGHTS") or _cache() / "weights")


def _data() -> Path:
    return Path(os.environ.get("GANBENCH_DATA") or "data")


@dataclass(frozen=True)
class Places:
    """Folders, and what may be done to fill them; the defaults are those of the environment."""

    data: Path = field(default_factory=_data)
    """Of data sets as their publishers give them: ``--data-root``, GANBENCH_DATA, else ``data``."""
    weights: Path = field(default_factory=_weights)
    """Of extractors' weights: ``--weights-dir``, GANBENCH_WEIGHTS, else ``weights`` in the cache."""
    cache: Path = field(default_factory=_cache)
    """Of prepared data and reference statistics: GANBENCH_CACHE, else ``ganbench`` in the user's cache."""
    download: bool = False
    """Whether a data set that is absent may be downloaded."""
    skip_broken: bool = False
    """Whether images that cannot be read are left out, counted, instead of ending the preparation."""
    unverified_weights: bool = False
    """Whether weights whose sha256 is not the published one are loaded all the same."""

    def arguments(self) -> tuple[str, ...]:
        """The options that say the same to a ``ganbench`` in another folder; the cache comes by the environment."""
        flags = {
            "--download": self.download,
            "--skip-broken": self.skip_broken,
            "--allow-unverified-weights": self.unverified_weights,
        }
        folders = ("--data-root", str(self.data.absolute()), "--weights-dir", str(self.weights.absolute()))
        return (*folders, *(flag for flag, given in flags.items() if given))
