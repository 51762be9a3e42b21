"""Whether a run's data and model can be scored as its spec asks, told before anything is trained."""

from __future__ import annotations

import torch

from ganbench.data import ImageData, ImageSplit
from ganbench.errors import MissingError, UsageError
from ganbench.evaluate.selection import select
from ganbench.spec import EvaluationSpec, RunSpec


def reference_split(evaluation: EvaluationSpec, name: str, data: ImageData) -> ImageSplit:
    """The split of the data set ``name`` that the reference is drawn from.

    Raises MissingError for held-out images that there are not.
    """
    if evaluation.reference == "train":
        return data.train
    if data.held_out is None:
        raise MissingError(f"{name} has no held-out images to be the reference: set evaluation.reference=train")
    return data.held_out


def floor_split(spec: RunSpec, data: ImageData) -> ImageSplit | None:
    """The split that the reference is not drawn from, whose images score as a perfect generator's would."""
    return data.held_out if spec.evaluation.reference == "train" else data.train


def check_feasible(spec: RunSpec, data: ImageData) -> None:
    """Raise UsageError where images, labels or classes are too few for the metrics, MissingError as above."""
    evaluation = spec.evaluation
    if "fid" not in evaluation.metrics:
        raise UsageError("evaluation.metrics lacks fid, by which the best checkpoint is chosen: add it")
    for count in (evaluation.samples, evaluation.count_selecting):
        evaluation.check(count, "samples per evaluation", evaluation.metrics)
    split = reference_split(evaluation, spec.dataset.name, data)
    used = min(len(split), evaluation.reference_samples or len(split))
    evaluation.check(used, f"images in the split '{split.name}' of {spec.dataset.name}", evaluation.metrics)
    floor = floor_split(spec, data)
    if floor is not None:
        what = f"images in the split '{floor.name}' of {spec.dataset.name}"
        evaluation.check(min(len(floor), evaluation.samples), what, evaluation.metrics)
    if "intra-fid" in evaluation.metrics:
        _check_classes(spec, split)


def _check_classes(spec: RunSpec, split: ImageSplit) -> None:
    if not spec.network_classes:
        raise UsageError("intra-fid needs a model that is told the class: set --conditioning, or leave it out")
    fewest = min(spec.evaluation.samples, spec.evaluation.count_selecting)
    if fewest < 2 * spec.network_classes:
        raise UsageError(
            f"intra-fid needs at least 2 samples of each of {spec.network_classes} classes, but an evaluation has "
            f"{fewest}: raise evaluation.samples and evaluation.select_samples, or leave it out"
        )
    counts = torch.bincount(select(split, spec.evaluation.reference_samples).labels, minlength=spec.network_classes)
    if int(counts.min()) < 2:
        raise UsageError(
            f"intra-fid needs at least 2 reference images of every class, but class {int(counts.argmin())} has "
            f"{int(counts.min())}: raise evaluation.reference_samples, or leave it out"
        )
