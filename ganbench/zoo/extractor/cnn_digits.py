"""The default extractor where the data are the embedded digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganbench.api import ExtractorCard, extracts

if TYPE_CHECKING:
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

CARD = ExtractorCard(
    weights_sha256="4b286eab88eb89c025f70092aa2165abbb58c2041b13b18df678483e15b14c72",
    resize="none",
    resolutions=(32,),
    inception=False,
)


@extracts(CARD)
def cnn_digits() -> FeatureExtractorBase:
    """A frozen classifier of the digits; see :mod:`ganbench.zoo.extractor.digits_classifier`.

    Imported on use: torch-fidelity costs as much start-up time as torch itself.
    """
    from ganbench.zoo.extractor.digits_classifier import CNNDigits

    return CNNDigits("cnn-digits", ["pool", "logits"])
