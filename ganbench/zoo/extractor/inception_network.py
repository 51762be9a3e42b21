"""torch-fidelity's InceptionV3, made faster without another result.

Each batch normalization is folded into its convolution, memory is laid out channels last, and images are resized
as a batch on the device: half the time, features within 1e-4 relative. The modules are torch-fidelity's own.
"""

from __future__ import annotations

import io
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils import fuse_conv_bn_eval
from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d, FeatureExtractorInceptionV3

from ganbench.api import MissingError, WeightFile, clean_network, clean_resize, clean_resize_strict
from ganbench.zoo.extractor.inception import CARD, CLEAN_CARD
from ganbench.zoo.extractor.inception_state import inception_state
from ganbench.zoo.extractor.tensorflow_resize import tensorflow_resize

SIZE = 299
"""The side of the images that the network takes."""

STAGES = {
    "64": ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1"),
    "192": ("Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2"),
    "768": tuple(f"Mixed_{block}" for block in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e")),
    "2048": ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
}
"""A layer of features, the mean over the places of a map -> the modules from the last such map to its own."""

_TOLERANCE = 1e-3
"""By which the network and the scripted module that it was read from may differ."""


class InceptionV3(FeatureExtractorInceptionV3):  # type: ignore[misc]  # torch-fidelity is untyped
    """uint8 [B, 3, H, W] -> the layer of the distances, float32 [B, D], and the logits without bias [B, 1008].

    It stays in eval mode and no parameter takes a gradient. Raises MissingError where clean-fid's module and the
    network made of its weights disagree.
    """

    card = CARD

    def __init__(self, name: str, weights: WeightFile, *, layer: str = "2048", strict: bool = False) -> None:
        state, scripted = inception_state(weights)
        # The constructor loads what it is given as a pickle that may do anything: it gets one made here.
        own = io.BytesIO()
        torch.save(state, own)
        own.seek(0)
        super().__init__(name, [layer, "logits_unbiased"], feature_extractor_weights_path=own)
        self.layer, self.strict = layer, strict
        self.card = replace(self.card, inception=layer == "2048")
        self.clean_network = clean_network(weights.content()) if strict and scripted is not None else None
        if not strict:
            _fold(self)
            self.to(memory_format=torch.channels_last)
        if scripted is not None:
            self._compare(scripted, weights)
        self.train(False)

    def get_default_feature_layer_for_metric(self, metric: str) -> str:
        """``logits_unbiased`` for ``isc``, the chosen layer for ``fid``, ``kid`` and ``prc``."""
        return {"isc": "logits_unbiased", "fid": self.layer, "kid": self.layer, "prc": self.layer}[metric]

    def train(self, mode: bool = True) -> InceptionV3:
        """Stay in eval mode, whatever is asked."""
        super().train(False)
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The requested layers, in the requested order."""
        if self.strict:
            layers: tuple[Tensor, ...] = super().forward(images)
            return layers
        return self.layers_of(tensorflow_resize(images, SIZE))

    def clean_features(self, images: Tensor) -> Tensor:
        """uint8 [B, 3, H, W] -> the layer of the distances, as clean-fid resizes. If strict, all by clean-fid."""
        if self.clean_network is not None and self.layer == "2048":
            features: Tensor = self.clean_network(clean_resize_strict(images))
            return features
        return self.layers_of(clean_resize_strict(images) if self.strict else clean_resize(images))[0]

    def layers_of(self, resized: Tensor) -> tuple[Tensor, ...]:
        """The requested layers of images that have the network's size, float32 in 0 to 255, which it overwrites."""
        x = resized.sub_(128).div_(128).to(self.fc.weight.dtype)
        if not self.strict:
            x = x.contiguous(memory_format=torch.channels_last)
        found: dict[str, Tensor] = {}
        for layer, modules in STAGES.items():
            for name in modules:
                x = getattr(self, name)(x)
            if layer in self.features_list or layer == "2048":
                found[layer] = x.mean(dim=(2, 3))
        found["logits_unbiased"] = found["2048"] @ self.fc.weight.T
        return tuple(found[layer].float() for layer in self.features_list)

    @torch.no_grad()
    def _compare(self, scripted: torch.jit.ScriptModule, weights: WeightFile) -> None:
        """Both on one image: a name that meant another part than it is taken for would show."""
        steps = torch.arange(SIZE, dtype=torch.float32)
        image = (steps * steps[:, None] * torch.tensor([1.0, 3.0, 7.0]).view(3, 1, 1)).remainder(256)[None]
        theirs = scripted.layers((image - 128) / 128).flatten(1)
        fc = self.fc.weight
        ours = self.layers_of(image)[1]
        expected = theirs @ fc.T
        if (ours - expected).norm() > _TOLERANCE * expected.norm():
            raise MissingError(f"weights {weights.path} hold another network than clean-fid's Inception")


class CleanInceptionV3(InceptionV3):
    """The same, on images that are resized as clean-fid does."""

    card = CLEAN_CARD

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The requested layers, in the requested order. If strict, resized by clean-fid itself, one by one."""
        return self.layers_of(clean_resize_strict(images) if self.strict else clean_resize(images))


class Folded(nn.Module):
    """A convolution with the batch normalization after it in its weights, and a ReLU."""

    def __init__(self, block: BasicConv2d) -> None:
        super().__init__()
        # In float64, so that the products of weights are rounded once.
        self.conv = fuse_conv_bn_eval(block.conv.double(), block.bn.double()).float()

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, D, H', W'] at least 0."""
        return relu(self.conv(x), inplace=True)


def _fold(network: nn.Module) -> None:
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, BasicConv2d):
                setattr(parent, name, Folded(child))
