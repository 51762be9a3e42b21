"""Everything that fixes what a score means; two scores compare only under one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch

from ganbench.api import ExtractorCard
from ganbench.spec import DatasetChoice, EvaluationSpec, ExtractorChoice, MetricSettings, RunSpec

PROTOCOL_VERSION = 2
"""Raised whenever this harness would compute another score under the same settings."""

_USED_BY = {"isc_splits": "isc", "kid_subsets": "kid", "kid_subset_size": "kid", "prc_k": "prc"}


def protocol(
    settings: MetricSettings,
    families: Sequence[str],
    extractor: dict[str, Any],
    reference: dict[str, Any],
    samples: dict[str, Any],
) -> dict[str, Any]:
    """The protocol of scores, as JSON; the parts are made by the functions below."""
    return {
        "protocol_version": PROTOCOL_VERSION,
        "libraries": _libraries(),
        "metrics": sorted(families),
        "settings": {name: getattr(settings, name) for name, family in _USED_BY.items() if family in families},
        "extractor": extractor,
        "reference": reference,
        "samples": samples,
        "statistics": "float64; unbiased covariance; prc on as many reference images as there are, rim included",
    }


def _libraries() -> dict[str, str]:
    return {name: version(name) for name in ("torch-fidelity", "clean-fid")}


def extractor_facts(choice: ExtractorChoice, card: ExtractorCard, layers: dict[str, str], dtype: str) -> dict[str, Any]:
    """What judged: ``layers`` is metric -> the layer that it reads, ``dtype`` that of the features."""
    return {
        **choice.model_dump(mode="json"),
        "weights_sha256": card.weights_sha256,
        "resize": card.resize,
        "inception": card.inception,
        "layers": layers,
        "dtype": dtype,
    }


def reference_facts(dataset: DatasetChoice, resolution: int, split: str, count: int) -> dict[str, Any]:
    """What samples are scored against: ``count`` images of a data set's split, drawn by a fixed rule."""
    return {**dataset.model_dump(mode="json"), "resolution": resolution, "split": split, "count": count}


def sample_facts(spec: RunSpec, count: int) -> dict[str, Any]:
    """How a run's samples are made: nothing that depends on the model but for the kind of weights, so that models
    with labels and without stand in one table.
    """
    evaluation: EvaluationSpec = spec.evaluation
    return {
        "count": count,
        "resolution": spec.resolution,
        "generator": "ema" if spec.ema else "raw",
        "mode": "eval",
        "latents": "N(0, I)",
        "truncation": evaluation.truncation,
        "labels": f"{evaluation.labels}, where the generator takes labels",
        "quantisation": "uint8: round((x + 1) * 127.5)",
    }


def reference_key(extractor: dict[str, Any], reference: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """What reference statistics are computed from, as JSON: the key of :class:`.references.Statistics`."""
    return {
        "protocol_version": PROTOCOL_VERSION,
        "libraries": {**_libraries(), "torch": version("torch")},
        "device": device.type,
        "extractor": extractor,
        "reference": reference,
    }
