"""Scores of a bank of images against a reference, computed by torch-fidelity and clean-fid.

One pass of the extractor over the bank yields the features of all torch-fidelity's metrics; clean-fid makes
its own pass, since its resize is what sets it apart. Distances are computed in float64, without TF32: in
float32 a Frechet distance is off by some 0.05. Nothing here changes a global random state.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any, TypeAlias

import numpy as np
import torch
from cleanfid.fid import frechet_distance, get_model_features
from numpy.typing import NDArray
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_featuresdict_to_statistics,
    fid_statistics_to_metric,
)
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_featuresdict_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_featuresdict_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_featuresdict_to_metric

from ganbench.api import ExtractorCard
from ganbench.errors import EvaluationError, MissingError, UsageError
from ganbench.spec import MetricSettings

Extractor: TypeAlias = FeatureExtractorBase
"""torch-fidelity's extractor with a ``card``: maps uint8 [B, 3, H, W] to a tuple of features [B, D]."""

_METRICS = ("isc", "fid", "kid", "prc")
"""torch-fidelity's metrics, each with its default layer."""

_SHUFFLE_SEED = 2020
"""torch-fidelity's default: it fixes the splits of isc and the subsets of kid."""

_STRIPE = 1000
"""Rows of the distance matrix that precision and recall hold at a time."""


def metric_layers(extractor: Extractor | type[Extractor]) -> dict[str, str]:
    """The layer that each of torch-fidelity's metrics reads: isc, fid, kid and prc to its name."""
    return {metric: extractor.get_default_feature_layer_for_metric(metric) for metric in _METRICS}


def feature_layers(extractor: Extractor | type[Extractor]) -> list[str]:
    """The layers that the scores need, each once: the ``features_list`` to construct an extractor with."""
    return list(dict.fromkeys(metric_layers(extractor).values()))


def score_names(extractor: Extractor | type[Extractor]) -> tuple[str, ...]:
    """The keys of what :meth:`Reference.score` returns, in its order.

    Only an extractor whose card says ``inception`` gives inception_score, fid, clean_fid and kid; any other's
    are classifier_score, fcd, clean_fcd and kcd, so that no one takes them for Inception's. The clean
    distance is left out for an extractor that resizes and has no ``clean_features`` (see
    :func:`extract_clean`).
    """
    inception = _card(extractor).inception
    score, distance, kernel = ("inception_score", "fid", "kid") if inception else ("classifier_score", "fcd", "kcd")
    clean = (f"clean_{distance}",) if _clean_model(extractor) is not None else ()
    return score, f"{score}_std", distance, *clean, kernel, f"{kernel}_std", "precision", "recall"


def extract(extractor: Extractor, images: Tensor, batch: int = 64) -> dict[str, Tensor]:
    """The features of images uint8 [N, 3, H, W]: each layer the extractor was constructed with, in one pass.

    Returns float64 [N, D] on the CPU for each layer; the extractor itself runs in its own type, on its own
    device. Raises UsageError for images that the extractor does not take, EvaluationError for a feature that
    is not finite.
    """
    _check_images(extractor, images)
    extractor.eval()
    device, parts = _device(extractor), []
    with torch.no_grad(), _full_precision():
        for piece in torch.split(images, batch):
            features = extractor.convert_features_tuple_to_dict(extractor(piece.to(device)))
            parts.append({layer: value.cpu().double() for layer, value in features.items()})
    merged = {layer: torch.cat([part[layer] for part in parts]) for layer in parts[0]}
    for layer, value in merged.items():
        _check_finite(bool(value.isfinite().all()), f"a feature of the layer '{layer}'")
    return merged


def extract_clean(extractor: Extractor, images: Tensor, batch: int = 64) -> NDArray[np.float64] | None:
    """The features of images uint8 [N, 3, H, W] as clean-fid computes them: float64 [N, D].

    Where the extractor's card says that it resizes, clean-fid's own resize (PIL, bicubic with antialias, in
    float) goes before, and its method ``clean_features``, float32 [B, 3, 299, 299] with values 0 to 255 ->
    [B, D], takes the result; without that method there is no clean distance, and the answer is None. Where it
    does not resize, its FID layer takes the uint8 images as they are. Raises as :func:`extract`.
    """
    model = _clean_model(extractor)
    if model is None:
        return None
    _check_images(extractor, images)
    extractor.eval()
    batch = min(batch, len(images))
    # clean-fid asks for whole batches and drops what exceeds num_gen, so the last is filled up.
    missing = -len(images) % batch
    batches = iter(torch.split(torch.cat([images, images[-1:].expand(missing, -1, -1, -1)]), batch))
    # It also draws a latent from the global generator for every batch, which nobody uses.
    with torch.random.fork_rng(devices=[]), _full_precision():
        features = get_model_features(
            lambda _: next(batches),
            model,
            mode="clean",
            z_dim=1,
            num_gen=len(images),
            batch_size=batch,
            device=_device(extractor),
            custom_fn_resize=(lambda image: image) if _card(extractor).resize == "none" else None,
            verbose=False,
        )
    _check_finite(bool(np.isfinite(features).all()), "a feature that clean-fid computed")
    result: NDArray[np.float64] = features.astype(np.float64)
    return result


class Reference:
    """The real images that banks are scored against: their features are computed once.

    ``images`` is uint8 [N, 3, H, W]; ``extractor`` is constructed with the layers of :func:`feature_layers`
    and stays on its device. Raises UsageError for images that are too few for the settings or of a size that
    the extractor does not take, MissingError for an extractor without a card or without one of the layers,
    EvaluationError for features that are not finite.
    """

    def __init__(self, extractor: Extractor, images: Tensor, settings: MetricSettings, *, batch: int = 64) -> None:
        settings.check(len(images), "reference images")
        self._layer = metric_layers(extractor)
        requested = extractor.get_requested_features_list()
        for metric, layer in self._layer.items():
            if layer not in requested:
                raise MissingError(
                    f"the extractor '{extractor.get_name()}' was made without the layer '{layer}', which {metric} reads"
                )
        self.settings = settings
        self.size = len(images)
        self._extractor, self._batch = extractor, batch
        self.names = score_names(extractor)
        features = extract(extractor, images, batch)
        self._features = {self._layer[m]: features[self._layer[m]] for m in ("kid", "prc")}
        self._statistics = fid_featuresdict_to_statistics(features, self._layer["fid"])
        clean = extract_clean(extractor, images, batch)
        self._clean = None if clean is None else _moments(clean)

    def score(self, images: Tensor) -> dict[str, float]:
        """Score a bank, uint8 [N, 3, H, W]: the keys of :func:`score_names`, all finite.

        Raises UsageError for a bank that is too small for the settings or of the wrong size, EvaluationError
        where a feature or a score is not finite.
        """
        self.settings.check(len(images), "generated images")
        features = extract(self._extractor, images, self._batch)
        scores = [*self._inception_score(features), self._frechet(features)]
        if self._clean is not None:
            scores.append(self._clean_frechet(images))
        scores += [*self._kernel(features), *self._precision_recall(features)]
        named = dict(zip(self.names, scores, strict=True))
        for name, value in named.items():
            _check_finite(bool(np.isfinite(value)), f"the score {name}")
        return named

    def _inception_score(self, features: dict[str, Tensor]) -> tuple[float, float]:
        result = isc_featuresdict_to_metric(
            features,
            self._layer["isc"],
            isc_splits=self.settings.isc_splits,
            rng_seed=_SHUFFLE_SEED,
            verbose=False,
        )
        return result[KEY_METRIC_ISC_MEAN], result[KEY_METRIC_ISC_STD]

    def _frechet(self, features: dict[str, Tensor]) -> float:
        statistics = fid_featuresdict_to_statistics(features, self._layer["fid"])
        result = fid_statistics_to_metric(statistics, self._statistics, verbose=False)
        return float(result[KEY_METRIC_FID])

    def _clean_frechet(self, images: Tensor) -> float:
        features = extract_clean(self._extractor, images, self._batch)
        assert features is not None  # score() asks only where the reference has them
        assert self._clean is not None
        moments = _moments(features)
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            # Removed in SciPy 1.18, which ganbench excludes.
            warnings.filterwarnings("ignore", "The `disp` argument is deprecated", DeprecationWarning)
            # A collapsed generator's covariance is singular: that is a result, and sqrtm gets it right. What
            # it got wrong is not finite, which clean-fid tells on stdout before it tries again.
            warnings.filterwarnings("ignore", "Matrix is singular")
            warnings.filterwarnings("ignore", "invalid value encountered", RuntimeWarning)
            try:
                return float(frechet_distance(*moments, *self._clean))
            except ValueError:
                # "Imaginary component": sqrtm may lose its way where there are fewer images than features.
                # The distance exists all the same; torch-fidelity computes it from eigenvalues.
                ours, theirs = (dict(zip(("mu", "sigma"), m, strict=True)) for m in (moments, self._clean))
                return float(fid_statistics_to_metric(ours, theirs, verbose=False)[KEY_METRIC_FID])

    def _kernel(self, features: dict[str, Tensor]) -> tuple[float, float]:
        result = kid_featuresdict_to_metric(
            features,
            self._features,
            self._layer["kid"],
            kid_subsets=self.settings.kid_subsets,
            kid_subset_size=self.settings.kid_subset_size,
            rng_seed=_SHUFFLE_SEED,
            verbose=False,
        )
        return result[KEY_METRIC_KID_MEAN], result[KEY_METRIC_KID_STD]

    def _precision_recall(self, features: dict[str, Tensor]) -> tuple[float, float]:
        # Distances in stripes: the N x N matrix of 50,000 images would take 20 GB.
        result = prc_featuresdict_to_metric(
            features,
            self._features,
            self._layer["prc"],
            prc_neighborhood=self.settings.prc_k,
            prc_batch_size=_STRIPE,
            save_cpu_ram=True,
            verbose=False,
        )
        return result[KEY_METRIC_PRECISION], result[KEY_METRIC_RECALL]


def _card(extractor: Extractor | type[Extractor]) -> ExtractorCard:
    card = getattr(extractor, "card", None)
    if not isinstance(card, ExtractorCard):
        name = extractor.__name__ if isinstance(extractor, type) else type(extractor).__name__
        raise MissingError(f"the extractor {name} is broken: its attribute 'card' is not an ExtractorCard")
    return card


def _clean_model(extractor: Extractor | type[Extractor]) -> Callable[[Tensor], Tensor] | None:
    """What clean-fid calls with a resized batch; None where nothing can take one."""
    if _card(extractor).resize != "none":
        return getattr(extractor, "clean_features", None)
    layer = extractor.get_default_feature_layer_for_metric("fid")

    def model(images: Tensor) -> Tensor:
        features: Tensor = extractor.convert_features_tuple_to_dict(extractor(images))[layer]
        return features

    return model


def _check_images(extractor: Extractor, images: Tensor) -> None:
    shape, resolutions = list(images.shape), _card(extractor).resolutions
    if images.dtype != torch.uint8 or images.ndim != 4 or shape[1] != 3 or not shape[0]:
        raise UsageError(f"scores take images as uint8 [N, 3, H, W], not {images.dtype} {shape}")
    if resolutions is not None and (shape[2] != shape[3] or shape[2] not in resolutions):
        raise UsageError(
            f"the extractor '{extractor.get_name()}' takes images of {', '.join(map(str, resolutions))} px, "
            f"not {shape[2]}x{shape[3]}"
        )


def _check_finite(finite: bool, what: str) -> None:
    if not finite:
        raise EvaluationError(
            f"{what} is not finite: the extractor or its weights are broken, or the images are out of its "
            "range; the scores of these images do not exist"
        )


def _device(extractor: Extractor) -> torch.device:
    """Where the extractor lives: the CPU if it holds no tensor."""
    tensors = (*extractor.parameters(), *extractor.buffers())
    return tensors[0].device if tensors else torch.device("cpu")


def _moments(features: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean [D] and covariance [D, D], as clean-fid's ``fid_from_feats`` takes them."""
    return np.mean(features, axis=0), np.cov(features, rowvar=False)


@contextmanager
def _full_precision() -> Iterator[None]:
    """Compute float32 in float32, whatever training chose: no TF32, no bfloat16 products, no autocast."""
    matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = cudnn
