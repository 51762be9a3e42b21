"""The network behind IS, FID and KID, with torch-fidelity's resize or with clean-fid's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ganbench.api import CLEAN_RESIZE, ExtractorCard, WeightFile, extracts, published_weights

if TYPE_CHECKING:
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

Layer = Literal["64", "192", "768", "2048"]

CARD = ExtractorCard(
    weights_sha256="",
    resize="TensorFlow 1 bilinear, to 299 px",
    resolutions=None,
    inception=True,
    weights=published_weights("inception"),
)
CLEAN_CARD = ExtractorCard(
    weights_sha256="",
    resize=CLEAN_RESIZE,
    resolutions=None,
    inception=True,
    weights=published_weights("inception-clean"),
)


@extracts(CARD)
def inception(weights: WeightFile, *, layer: Layer = "2048", strict: bool = False) -> FeatureExtractorBase:
    """InceptionV3 of 2015 as torch-fidelity has it, on images that TensorFlow 1's bilinear resize brings to 299 px.

    ``strict`` takes torch-fidelity's own forward pass and clean-fid's own resize, some two times as slow and the
    same within 1e-3. ``layer`` is what the distances read; at another than the last they are no FID, and bear
    another name. See :mod:`ganbench.zoo.extractor.inception_network`, imported on use.
    """
    from ganbench.zoo.extractor.inception_network import InceptionV3

    return InceptionV3("inception", weights, layer=layer, strict=strict)


@extracts(CLEAN_CARD)
def inception_clean(weights: WeightFile, *, layer: Layer = "2048", strict: bool = False) -> FeatureExtractorBase:
    """The same network on images resized as clean-fid does; the options are those of :func:`inception`."""
    from ganbench.zoo.extractor.inception_network import CleanInceptionV3

    return CleanInceptionV3("inception-clean", weights, layer=layer, strict=strict)
