"""What samples are scored against: a data set, or images that somebody gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ganbench.data import ImageData
from ganbench.drafts import Draft
from ganbench.errors import MissingError, UsageError
from ganbench.evaluate.comparison import Real, resolution_of
from ganbench.evaluate.feasible import reference_split
from ganbench.evaluate.protocol import reference_facts
from ganbench.evaluate.selection import select
from ganbench.evaluate.sources.stacks import ImageSet, open_images
from ganbench.loading import load_images
from ganbench.places import Places
from ganbench.registry import Entry, Registry
from ganbench.resolve import resolve_choice
from ganbench.spec import DatasetChoice, EvaluationSpec, RunSpec


def own_data(spec: RunSpec, entry: Entry, settings: EvaluationSpec, places: Places) -> Real:
    """The data set that a run was trained on. Raises MissingError where it is not at hand, or has changed since."""
    real, data = _data_set(spec.dataset, entry, spec.resolution, settings, places)
    if spec.dataset.fingerprint not in (None, data.fingerprint):
        raise MissingError(
            f"{spec.dataset.name} is not what the run was trained on: its content has changed; bring that back, or "
            "name another reference with --against"
        )
    return real


def named_reference(
    name: str,
    asked: Draft,
    registry: Registry,
    resolution: int | list[int],
    settings: EvaluationSpec,
    places: Places,
    say: Callable[[str], None],
) -> Real:
    """A data set at the samples' resolution, or a folder, a zip or an ``.npz`` of images.

    A bare name that is a data set's means that, ``./NAME`` the folder. Raises UsageError for what is neither, and
    as :func:`.sources.stacks.open_images`.
    """
    known = {entry.name for entry in registry.entries("dataset")}
    if name.rpartition(":")[2] in known:
        if isinstance(resolution, list):
            raise UsageError(f"data sets are made square, and the samples are {resolution[0]}x{resolution[1]} px")
        table = {**asked.get("dataset", {}), "name": name}
        entry, draft = resolve_choice(registry, "dataset", "dataset", table)
        return _data_set(DatasetChoice(**draft), entry, resolution, settings, places)[0]
    if "dataset" in asked:
        raise UsageError(f"--set dataset... is for a data set, which --against {name} is not: leave it out")
    if not Path(name).exists():
        raise UsageError(f"--against {name} is neither a data set ({', '.join(sorted(known))}) nor a file or folder")
    images = open_images(Path(name), skip_broken=places.skip_broken, say=say)
    return _given(images, settings)


def _data_set(
    choice: DatasetChoice, entry: Entry, resolution: int, settings: EvaluationSpec, places: Places
) -> tuple[Real, ImageData]:
    data = load_images(entry, choice, resolution, places)
    choice = choice.model_copy(update={"fingerprint": data.fingerprint})
    split = reference_split(settings, choice.name, data)
    images, labels = select(split, settings.reference_samples)
    facts = reference_facts(choice, resolution, split.name, len(images))
    return Real(images, labels if data.num_classes else None, facts), data


def _given(images: ImageSet, settings: EvaluationSpec) -> Real:
    chosen = images.some(settings.reference_samples)
    facts = {
        "name": "images as given",
        "fingerprint": images.sha256,
        "resolution": resolution_of(images.images),
        "count": len(chosen.images),
    }
    return Real(chosen.images, chosen.labels, facts)
