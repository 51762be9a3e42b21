"""A plug-in file with a small data set, in memory and in a file, and a cheap extractor: most tests look at neither."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from ganbench.api import ExtractorCard, ImageData, ImageSplit, PositiveInt, extracts, register
from ganbench.images import ImageFile
from ganbench.zoo.dataset.digits import digits


@register("dataset", "few-digits")
def few_digits(resolution: int, *, count: PositiveInt = 40) -> ImageData:
    """The first digits of either half."""
    whole = digits(resolution)
    train, held_out = (ImageSplit(s.images[:count], s.labels[:count]) for s in (whole.train, whole.held_out))
    return ImageData(train, held_out, whole.num_classes)


@register("dataset", "filed-digits")
def filed_digits(resolution: int, *, file: str) -> ImageData:
    """The same, those that train in an array file, which is written if it is not there."""
    data = few_digits(resolution)
    if not Path(file).exists():
        np.save(file, data.train.images[:].numpy())
    return ImageData(ImageSplit(ImageFile(Path(file)), data.train.labels), data.held_out, data.num_classes)


@register("dataset", "one-split")
def one_split(resolution: int) -> ImageData:
    """The same without the second half."""
    whole = few_digits(resolution)
    return ImageData(whole.train, None, whole.num_classes)


class Thumbnail(FeatureExtractorBase):
    """Features are the brightness of the image's sixteen tiles."""

    def __init__(self) -> None:
        super().__init__("thumbnail", ["tiles", "logits"])

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """Both layers."""
        return ("tiles", "logits")

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """The tiles for all but the classifier's score."""
        return "logits" if metric == "isc" else "tiles"

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """uint8 [B, 3, R, R] -> [B, 16] and [B, 10]."""
        tiles = F.adaptive_avg_pool2d(images.to(torch.float32).mean(1), 4).flatten(1)
        return tiles, tiles[:, :10] / 32


@register("extractor", "thumbnail")
@extracts(ExtractorCard(weights_sha256="", resize="none", resolutions=None, inception=False))
def thumbnail() -> Thumbnail:
    """The brightness of tiles."""
    return Thumbnail()
