"""The Inception score, or the classifier score of another network: torch-fidelity's own function."""

from __future__ import annotations

from torch import Tensor
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric

SHUFFLE_SEED = 2020
"""torch-fidelity's default: it fixes the splits of this score and the subsets of the kernel distance."""


def inception_score(logits: Tensor, splits: int) -> tuple[float, float]:
    """Mean and standard deviation over the splits of exp E KL(p(y|x) || p(y)), from logits [N, C]."""
    result = isc_features_to_metric(logits, splits, True, SHUFFLE_SEED)
    return result[KEY_METRIC_ISC_MEAN], result[KEY_METRIC_ISC_STD]
