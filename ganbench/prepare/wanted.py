"""A data set that is read from files, at one resolution: found, downloaded where that is allowed, not yet read."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.decode import RULE_VERSION
from ganbench.errors import MissingError
from ganbench.options import option_model, typed_options
from ganbench.places import Places
from ganbench.prepare.manifest import SCHEMA
from ganbench.prepare.splits import chunk_size
from ganbench.registry import Entry
from ganbench.sources import AbsentError, DatasetCard, RawData, Source, card_of
from ganbench.spec import identity


@dataclass(frozen=True)
class Wanted:
    """What is to be prepared, and where it is kept."""

    name: str
    provider: str
    options: Mapping[str, Any]
    changed: Mapping[str, Any]
    """The options that are not at their defaults."""
    resolution: int
    source: Source
    places: Places

    @property
    def folder(self) -> Path:
        """Of the prepared set; another one for whatever would give other pixels."""
        key = identity(
            {
                "schema": SCHEMA,
                "chunk": chunk_size(self.resolution),
                "rule": RULE_VERSION,
                "dataset": self.name,
                "provider": self.provider,
                "options": dict(self.options),
                "resolution": self.resolution,
                "source": self.source.key,
            }
        )
        name = re.sub(r"[^\w.-]", "_", self.name)
        return prepared_root(self.places) / f"{name}-{self.resolution}-{key[:16]}"

    @property
    def command(self) -> str:
        """What prepares it."""
        words = ["ganbench", "data", "prepare", self.name, "--resolution", str(self.resolution)]
        for name, value in self.changed.items():
            words += ["--set", f"dataset.{name}={value if isinstance(value, str) else json.dumps(value)}"]
        if self.places.data != Places().data:
            words += ["--data-root", str(self.places.data)]
        return shlex.join(words)

    def read(self) -> RawData:
        """What the source holds. Raises MissingError where it cannot be read, or its labels are no classes."""
        try:
            raw = self.source.read()
        except OSError as error:
            raise MissingError(f"{self.name}: {error.filename or 'a file'} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise MissingError(f"{self.name} has a table that is no text: {error}") from error
        for split in raw.splits.values():
            if not len(split):
                raise MissingError(f"{self.name} has no image in its split '{split.name}'")
            low, high = int(split.labels.min()), int(split.labels.max())
            if low < 0 or high >= max(len(raw.classes), 1):
                known = len(raw.classes)
                raise MissingError(f"{self.name} has labels {low} to {high} in its '{split.name}', and {known} classes")
        return raw


def prepared_root(places: Places) -> Path:
    """Where prepared sets are kept."""
    return places.cache / "prepared"


def find(entry: Entry, options: Mapping[str, Any], resolution: int, places: Places) -> Wanted:
    """Look for a data set below the data root; where it is absent and may be, download it.

    ``options`` are resolved. Raises MissingError that says where it was looked for and how to get it.
    """
    component = entry.load()
    card = card_of(component)
    assert card is not None, f"{entry.name} is not read from files"

    def look() -> Source:
        source: Source = component(places.data.resolve(), **typed_options(component, options))
        return source

    try:
        source = look()
    except AbsentError as absent:
        if not (places.download and card.download):
            raise _absent(entry.name, absent, card) from absent
        _download(entry.name, card.download, card, places.data)
        try:
            source = look()
        except AbsentError as still:
            raise _absent(entry.name, still, card) from still
    defaults = {name: field.default for name, field in option_model(component).model_fields.items()}
    changed = {name: value for name, value in options.items() if value != defaults[name]}
    return Wanted(entry.name, entry.identity, options, changed, resolution, source, places)


def _absent(name: str, absent: AbsentError, card: DatasetCard) -> MissingError:
    download = "; --download fetches it" if card.download else ""
    return MissingError(
        f"{name} is not at hand: looked for {absent.path}. Get it from {card.get}{download}; "
        "--data-root says where data sets lie"
    )


def _download(name: str, download: Callable[[Path], object], card: DatasetCard, root: Path) -> None:
    print(f"downloading {name} into {root}", file=sys.stderr)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with contextlib.redirect_stdout(sys.stderr):
            download(root.resolve())
    # Of a network and an archive: everything can go wrong, and the mend is the same.
    except Exception as error:
        raise MissingError(f"{name} could not be downloaded ({error}): get it from {card.get}") from error
