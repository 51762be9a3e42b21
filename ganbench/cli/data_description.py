"""What ``ganbench data`` tells of data sets."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ganbench.data import ImageData, ImageSplit
from ganbench.errors import MissingError
from ganbench.places import Places
from ganbench.prepare.manifest import MANIFEST, read_manifest
from ganbench.prepare.wanted import find, prepared_root
from ganbench.registry import Entry
from ganbench.sources import ALONE, card_of
from ganbench.store import write_atomically

COLUMNS, ROWS = 10, 8


def describe(entry: Entry, options: dict[str, Any], resolution: int, places: Places, data: ImageData) -> dict[str, Any]:
    """A data set that was loaded: its manifest, or as much as is known of one that is made in memory."""
    splits = {"train": data.train} | ({} if data.held_out is None else {"held_out": data.held_out})
    counts = {role: torch.bincount(split.labels, minlength=data.num_classes).tolist() for role, split in splits.items()}
    if card_of(entry.load()) is not None:
        wanted = find(entry, options, resolution, places)
        manifest = read_manifest(wanted.folder)
        assert manifest is not None, "it was just loaded"
        content = {"folder": str(wanted.folder), **manifest.model_dump(mode="json")}
    else:
        content = {
            "folder": None,
            "dataset": entry.name,
            "provider": entry.identity,
            "options": options,
            "resolution": resolution,
            "rule": "its own",
            "classes": [str(number) for number in range(data.num_classes)],
            "notes": [] if data.held_out else [ALONE],
            "splits": {role: {"name": s.name, "count": len(s), "broken": []} for role, s in splits.items()},
            "content_sha256": data.fingerprint,
        }
    return content | {"images_per_class": counts if data.num_classes else {}}


def write_grid(path: Path, data: ImageData) -> None:
    """Write 8 rows of 10 training images as PNG; with classes, column c is class c (modulo their number)."""
    from torchvision.transforms.functional import to_pil_image
    from torchvision.utils import make_grid

    images = data.train.images[_for_grid(data.train, data.num_classes)]
    buffer = io.BytesIO()
    to_pil_image(make_grid(images, nrow=COLUMNS, padding=2, pad_value=255)).save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())


def _for_grid(split: ImageSplit, num_classes: int) -> torch.Tensor:
    """Places of 80 images, each class's own in turn, from its first on; without classes spread over all."""
    cells = COLUMNS * ROWS
    if not num_classes:
        return torch.arange(cells) * len(split) // cells
    chosen: list[int] = []
    pools = [torch.nonzero(split.labels == label).flatten().tolist() for label in range(min(num_classes, COLUMNS))]
    pools = [pool for pool in pools if pool]
    for row in range(ROWS):
        for column in range(COLUMNS):
            turn, which = divmod(row * COLUMNS + column, len(pools)) if len(pools) < COLUMNS else (row, column)
            chosen.append(pools[which][turn % len(pools[which])])
    return torch.tensor(chosen)


def rows(entries: Sequence[Entry], places: Places) -> list[dict[str, Any]]:
    """Every data set, at hand or not, with what is prepared of it."""
    return [_row(entry, places) for entry in entries]


def _row(entry: Entry, places: Places) -> dict[str, Any]:
    row: dict[str, Any] = {"name": entry.name, "provider": entry.identity, "looked_for": None, "get": None}
    row |= {"download": False, "prepared": []}
    try:
        component = entry.load()
    except MissingError as error:
        return row | {"status": "broken", "about": str(error)}
    card = card_of(component)
    if card is None:
        return row | {"status": "embedded", "about": (component.__doc__ or "").strip().partition("\n")[0]}
    place = places.data.resolve() / card.place
    return row | {
        "status": "present" if place.exists() else "absent",
        "about": card.about,
        "looked_for": str(place),
        "get": card.get,
        "download": card.download is not None,
        "prepared": _prepared(entry.name, places),
    }


def _prepared(name: str, places: Places) -> list[dict[str, Any]]:
    """Every prepared set of that name, and every one that was begun."""
    found = []
    for folder in sorted(prepared_root(places).glob(f"{name}-*-*")):
        resolution = folder.name.removeprefix(f"{name}-").partition("-")[0]
        if folder.is_dir() and resolution.isdecimal():
            size = sum(path.stat().st_size for path in folder.iterdir())
            finished = (folder / MANIFEST).exists()
            found.append({"folder": str(folder), "resolution": int(resolution), "bytes": size, "finished": finished})
    return found
