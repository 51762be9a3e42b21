"""Features: one pass of an extractor over a stack of images, whatever is computed from them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from ganbench.api import ExtractorCard
from ganbench.errors import EvaluationError, MissingError, UsageError
from ganbench.images import Images
from ganbench.precision import full_precision

Extractor: TypeAlias = FeatureExtractorBase
"""torch-fidelity's extractor with a ``card``: maps uint8 [B, 3, H, W] to a tuple of features [B, D]."""

_METRICS = ("isc", "fid", "kid", "prc")
"""torch-fidelity's metrics, each with its default layer."""


class Features(NamedTuple):
    """The features of N images: float32, or float64 where the extractor gives that; on the CPU, all finite."""

    layers: dict[str, Tensor]
    """[N, D] by layer."""
    clean: Tensor | None
    """[N, D] of the images as clean-fid resizes them; None where they were not asked for."""


def metric_layers(extractor: Extractor | type[Extractor]) -> dict[str, str]:
    """The layer that each of torch-fidelity's metrics reads: isc, fid, kid and prc to its name."""
    return {metric: extractor.get_default_feature_layer_for_metric(metric) for metric in _METRICS}


def feature_layers(extractor: Extractor | type[Extractor]) -> list[str]:
    """The layers that the scores need, each once: the ``features_list`` to construct an extractor with."""
    return list(dict.fromkeys(metric_layers(extractor).values()))


def card_of(extractor: Extractor | type[Extractor]) -> ExtractorCard:
    """The extractor's card. Raises MissingError for one without."""
    card = getattr(extractor, "card", None)
    if not isinstance(card, ExtractorCard):
        name = extractor.__name__ if isinstance(extractor, type) else type(extractor).__name__
        raise MissingError(f"the extractor {name} is broken: its attribute 'card' is not an ExtractorCard")
    return card


def clean_features_of(extractor: Extractor) -> Callable[[Tensor], Tensor] | None:
    """What an extractor that resizes offers for clean-fid's distance: uint8 [B, 3, H, W] -> [B, D], or None."""
    return getattr(extractor, "clean_features", None)


def extract(
    extractor: Extractor, images: Images, layers: Collection[str], *, clean: bool = False, batch: int = 64
) -> Features:
    """The features of images uint8 [N, 3, H, W] at the given layers, in one pass.

    ``clean`` asks for a second one, through the extractor's method ``clean_features``, whose resize differs. The
    extractor runs in its own type, on its own device. Raises UsageError for images that it does not take,
    MissingError for a layer that it was made without, EvaluationError for a feature that is not finite.
    """
    _check_images(extractor, images)
    check_layers(extractor, layers)
    cleaner = clean_features_of(extractor) if clean else None
    extractor.eval()
    device = _device(extractor)
    found: dict[str, Tensor] = {}
    with torch.no_grad(), full_precision():
        for start in range(0, len(images), batch):
            piece = images[start : start + batch].to(device)
            given = extractor.convert_features_tuple_to_dict(extractor(piece)) if layers else {}
            parts = {f"layer '{layer}'": given[layer] for layer in layers}
            if cleaner is not None:
                parts["clean layer"] = cleaner(piece)
            for name, value in parts.items():
                _put(found, name, value, start, len(images))
    for name, value in found.items():
        check_finite(bool(value.isfinite().all()), f"a feature of the {name}")
    return Features({layer: found[f"layer '{layer}'"] for layer in layers}, found.get("clean layer"))


def _put(found: dict[str, Tensor], name: str, value: Tensor, start: int, count: int) -> None:
    """Store a batch's features where they belong, so that they are held once."""
    if name not in found:
        kind = torch.float64 if value.dtype == torch.float64 else torch.float32
        found[name] = torch.empty(count, value.shape[1], dtype=kind)
    found[name][start : start + len(value)] = value


def check_layers(extractor: Extractor, layers: Collection[str]) -> None:
    """Raise MissingError for a layer that the extractor was made without."""
    requested = extractor.get_requested_features_list()
    for layer in layers:
        if layer not in requested:
            raise MissingError(f"the extractor '{extractor.get_name()}' was made without the layer '{layer}'")


def check_finite(finite: bool, what: str) -> None:
    """Raise EvaluationError where that does not hold."""
    if not finite:
        raise EvaluationError(
            f"{what} is not finite: the extractor or its weights are broken, or the images are out of its "
            "range; the scores of these images do not exist"
        )


def _check_images(extractor: Extractor, images: Images) -> None:
    shape, resolutions = list(images.shape), card_of(extractor).resolutions
    kind = images.dtype if isinstance(images, Tensor) else torch.uint8
    if kind != torch.uint8 or len(shape) != 4 or shape[1] != 3 or not shape[0]:
        raise UsageError(f"scores take images as uint8 [N, 3, H, W], not {kind} {shape}")
    if resolutions is not None and (shape[2] != shape[3] or shape[2] not in resolutions):
        raise UsageError(
            f"the extractor '{extractor.get_name()}' takes images of {', '.join(map(str, resolutions))} px, "
            f"not {shape[2]}x{shape[3]}"
        )


def _device(extractor: Extractor) -> torch.device:
    """Where the extractor lives: the CPU if it holds no tensor."""
    tensors = (*extractor.parameters(), *extractor.buffers())
    return tensors[0].device if tensors else torch.device("cpu")
