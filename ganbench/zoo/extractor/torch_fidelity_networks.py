"""torch-fidelity's VGG16, CLIP and DINOv2 from a weight file that was checked."""

from __future__ import annotations

import io
import warnings

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP
from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from ganbench.api import WeightFile
from ganbench.zoo.extractor.dinov2_network import VisionTransformer


class DINOv2(FeatureExtractorDinoV2):  # type: ignore[misc]  # torch-fidelity is untyped
    """torch-fidelity's forward pass around a network that is made here: its own comes from torch.hub alone."""

    def __init__(self, name: str, features_list: list[str], state: dict[str, Tensor]) -> None:
        FeatureExtractorBase.__init__(self, name, features_list)
        self.feature_extractor_internal_dtype = torch.float32
        self.model = VisionTransformer(state)
        self.requires_grad_(False)


def load(name: str, weights: WeightFile) -> FeatureExtractorBase:
    """The extractor with the layer that fid, kid, prc and isc read by default: one and the same for all of these.

    It stays in eval mode. Raises what torch-fidelity and torch raise for a file that holds something else.
    """
    known: type[FeatureExtractorBase] = FEATURE_EXTRACTORS_REGISTRY[name]
    layers = [known.get_default_feature_layer_for_metric("fid")]
    if known is FeatureExtractorDinoV2:
        return _frozen(DINOv2)(name, layers, _state(weights))
    if known is FeatureExtractorCLIP:
        with warnings.catch_warnings():
            # torch.jit is deprecated, and the format of the file.
            warnings.filterwarnings("ignore", r".*torch\.jit", FutureWarning)
            return _frozen(known)(name, layers, feature_extractor_weights_path=weights.content())
    # The constructor loads what it is given as a pickle that may do anything: it gets one made here.
    own = io.BytesIO()
    torch.save(_state(weights), own)
    own.seek(0)
    return _frozen(known)(name, layers, feature_extractor_weights_path=own)


def _state(weights: WeightFile) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(weights.content(), map_location="cpu", weights_only=True)
    return state


def _frozen(known: type[FeatureExtractorBase]) -> type[FeatureExtractorBase]:
    """The class with a ``train`` that keeps to eval mode."""

    class Frozen(known):  # type: ignore[misc]
        def train(self, mode: bool = True) -> Frozen:
            super().train(False)
            return self

    return Frozen
