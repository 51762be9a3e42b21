"""A spec's images: made by its data set, or prepared from files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganbench.data import ImageData
from ganbench.errors import MissingError, UsageError
from ganbench.evaluate.feasible import check_feasible
from ganbench.places import Places
from ganbench.registry import Entry, Registry
from ganbench.resolve import Resolved, instantiate
from ganbench.sources import card_of
from ganbench.spec import DatasetChoice, RunSpec
from ganbench.weights import find

if TYPE_CHECKING:
    from ganbench.prepare.manifest import Manifest
    from ganbench.prepare.wanted import Wanted

SMALL_BYTES = 2**31
"""Of pixels: up to it, a run prepares its data set by itself."""


def load_data(resolved: Resolved, places: Places, may_prepare: bool = True) -> tuple[RunSpec, ImageData]:
    """Load the data set, and put its fingerprint and the sha256 of the extractor's weight file into the spec.

    Weights come first, since data may take hours to prepare. An extractor that brings its own weights is fixed
    by its name and has none in the spec. ``may_prepare`` False: a set that is read from files must have been
    prepared. Raises MissingError where the data set, the extractor or its weights are not at hand, or where the
    data are not those that the spec was made with, UsageError where the spec does not fit the data.
    """
    for error in resolved.missing.values():
        raise MissingError(str(error))
    spec = resolved.spec
    weights_sha256 = _weights_sha256(resolved, places)
    data = load_images(resolved.entries["dataset"], spec.dataset, spec.resolution, places, may_prepare)
    _check_fit(spec, data)
    if spec.dataset.fingerprint not in (None, data.fingerprint):
        raise MissingError(
            f"the data set {spec.dataset.name} is not the one that this spec was made with: its pixels or labels "
            "differ; give back that one, or begin a new run"
        )
    dataset = spec.dataset.model_copy(update={"fingerprint": data.fingerprint})
    extractor = spec.evaluation.extractor.model_copy(update={"weights_sha256": weights_sha256})
    evaluation = spec.evaluation.model_copy(update={"extractor": extractor})
    return spec.model_copy(update={"dataset": dataset, "evaluation": evaluation}), data


def _weights_sha256(resolved: Resolved, places: Places) -> str | None:
    """Of the weight file that the extractor will be made from; what the spec says where it takes none."""
    entry, choice = resolved.entries["evaluation.extractor"], resolved.spec.evaluation.extractor
    files = entry.load().card.weights
    if not files:
        return choice.weights_sha256
    try:
        return find(entry.name, files, places, choice.weights_sha256).sha256
    except MissingError as error:
        raise MissingError(f"{error}{_instead(resolved.spec)}") from None


def _instead(spec: RunSpec) -> str:
    """How to score without weights, where a built-in extractor was made for the very data set."""
    for entry in Registry.discover().entries("extractor"):
        card = entry.load().card if entry.built_in else None
        if card and card.dataset == spec.dataset.name and spec.resolution in (card.resolutions or (spec.resolution,)):
            return f"; or score {spec.dataset.name} without: --set evaluation.extractor={entry.name}"
    return ""


def _check_fit(spec: RunSpec, data: ImageData) -> None:
    name = spec.dataset.name
    if spec.batch > len(data.train):
        raise UsageError(f"batch {spec.batch} is above the {len(data.train)} training images of {name}: lower it")
    if spec.conditioning != "none" and not data.num_classes:
        raise UsageError(f"{name} has no classes: set --conditioning none")
    if spec.conditioning != "none" and spec.num_classes != data.num_classes:
        raise UsageError(f"{name} has {data.num_classes} classes: set --num-classes {data.num_classes}")
    check_feasible(spec, data)


def load_images(
    entry: Entry, choice: DatasetChoice, resolution: int, places: Places, may_prepare: bool = True
) -> ImageData:
    """The images of a data set at one resolution.

    Raises MissingError where it is not at hand, or was not prepared and is not small, or may not be prepared.
    """
    if card_of(entry.load()) is None:
        data: ImageData = instantiate(entry, choice)(resolution)
        return data
    from ganbench.prepare.preparation import open_prepared
    from ganbench.prepare.wanted import find

    wanted = find(entry, choice.options, resolution, places)
    return open_prepared(wanted, _prepared(wanted, may_prepare))


def _prepared(wanted: Wanted, may_prepare: bool) -> Manifest:
    from ganbench.prepare.manifest import read_manifest
    from ganbench.prepare.preparation import prepare, size_in_bytes

    manifest = read_manifest(wanted.folder)
    if manifest is not None and not manifest.broken:
        return manifest
    how = f"prepare it with '{wanted.command}'"
    if manifest is None and not may_prepare:
        raise MissingError(f"{wanted.name} is not prepared at {wanted.resolution} px: {how}")
    raw = wanted.read()
    size = size_in_bytes(raw, wanted.resolution)
    if manifest is None and size > SMALL_BYTES:
        raise MissingError(
            f"{wanted.name} is not prepared at {wanted.resolution} px, and with {size / 1e9:.1f} GB it is too large to "
            f"be prepared on the way: {how}"
        )
    return prepare(wanted, raw=raw)
