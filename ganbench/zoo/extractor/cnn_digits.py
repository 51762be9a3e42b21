"""The default extractor where the data are the embedded digits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ganbench.api import ExtractorCard, extracts

if TYPE_CHECKING:
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

CARD = ExtractorCard(
    weights_sha256="1f9388ae11b67ada0fae33c035917c25de0b89ed9275c0be2af12505133fa884",
    resize="none",
    resolutions=(32,),
    inception=False,
    dataset="digits",
)

AREA_CARD = replace(CARD, resize="mean over areas", resolutions=(64, 128))


@extracts(CARD)
def cnn_digits() -> FeatureExtractorBase:
    """A frozen classifier of the digits; see :mod:`ganbench.zoo.extractor.digits_classifier`.

    Imported on use: torch-fidelity costs as much start-up time as torch itself.
    """
    from ganbench.zoo.extractor.digits_classifier import CNNDigits

    return CNNDigits("cnn-digits", ["pool", "logits"])


@extracts(AREA_CARD)
def cnn_digits_area() -> FeatureExtractorBase:
    """The same classifier for images of 64 and 128 px, of which it sees the mean of 2x2 and of 4x4 pixels."""
    from ganbench.zoo.extractor.digits_classifier import CNNDigitsArea

    return CNNDigitsArea("cnn-digits-area", ["pool", "logits"])
