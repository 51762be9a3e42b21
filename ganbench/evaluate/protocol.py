"""Everything that fixes what a score means; two scores compare only under one protocol."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from ganbench.api import ExtractorCard
from ganbench.spec import RunSpec

PROTOCOL_VERSION = 1
"""Raised whenever this harness would compute another score under the same settings."""


def protocol(spec: RunSpec, card: ExtractorCard, layers: dict[str, str], n_reference: int) -> dict[str, Any]:
    """The protocol of a run's scores, as JSON. ``layers``: metric -> the extractor's layer it reads."""
    evaluation = spec.evaluation
    return {
        "protocol_version": PROTOCOL_VERSION,
        "libraries": {name: version(name) for name in ("torch-fidelity", "clean-fid")},
        "extractor": {
            **evaluation.extractor.model_dump(mode="json"),
            "weights_sha256": card.weights_sha256,
            "resize": card.resize,
            "inception": card.inception,
            "layers": layers,
            "dtype": "features float32, statistics float64",
        },
        "reference": {
            **spec.dataset.model_dump(mode="json"),
            "resolution": spec.resolution,
            "split": "train",
            "count": n_reference,
        },
        "samples": {
            "count": evaluation.samples,
            "batch": evaluation.batch,
            "generator": "ema" if spec.ema else "raw",
            "mode": "eval",
            "latents": "N(0, I), untruncated",
            "labels": "balanced, in turn, where the model has classes",
            "quantisation": "uint8: round((x + 1) * 127.5)",
        },
        "settings": {
            "isc_splits": evaluation.isc_splits,
            "kid_subsets": evaluation.kid_subsets,
            "kid_subset_size": evaluation.kid_subset_size,
            "prc_k": evaluation.prc_k,
        },
        "best": "lowest Frechet distance on selection samples, reported on others",
    }
