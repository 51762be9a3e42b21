"""A small classifier of the embedded digits, whose features stand in for Inception's.

Inception's weights are a public download that not everyone has at hand, and say little of 8x8 digits. As
TF-GAN's MNIST example does, this extractor scores with a classifier of the data set itself; its scores bear
other names than Inception's (see :class:`ganbench.api.ExtractorCard`).
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from ganbench.api import MissingError
from ganbench.zoo.extractor.cnn_digits import AREA_CARD, CARD

RESOLUTION = 32
"""The side of the images that the network takes."""

WEIGHTS = Path(__file__).with_name("cnn_digits.pt")
"""The frozen weights. Retraining moves every score by some 10 %, so one file serves all."""


class CNNDigits(FeatureExtractorBase):  # type: ignore[misc]  # torch-fidelity is untyped
    """Three convolutions, a 128-dimensional average pool and 10 logits; 96,074 weights, frozen.

    Layers: ``pool``, float32 [B, 128], at least 0; ``logits``, float32 [B, 10]. It stays in eval mode and no
    parameter takes a gradient. Weights were made by :mod:`ganbench.zoo.extractor.make_cnn_digits` from the
    train half of the digits at 32x32.

    Constructed as torch-fidelity does, ``CNNDigits(name, features_list)``; what else torch-fidelity passes is
    ignored, a weights path included. Raises MissingError where the weight file is absent or is not the frozen
    one, ValueError for a layer that does not exist.

    Precedent: TF-GAN's "classifier score" and "Frechet classifier distance" on MNIST.
    """

    card = CARD

    def __init__(self, name: str, features_list: list[str] | tuple[str, ...], **_: object) -> None:
        super().__init__(name, features_list)
        # On the meta device nothing is initialised, so that no random number is drawn.
        with torch.device("meta"):
            self.network = Network()
        self.network.load_state_dict(_frozen_weights(), assign=True)
        self.requires_grad_(False)
        self.eval()

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """The layers: ``pool`` and ``logits``."""
        return ("pool", "logits")

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """``logits`` for ``isc``; ``pool`` for ``fid``, ``kid`` and ``prc``; KeyError for another metric."""
        return {"isc": "logits", "fid": "pool", "kid": "pool", "prc": "pool"}[metric]

    @staticmethod
    def can_be_compiled() -> bool:
        """Whether torch.compile may wrap it: yes."""
        return True

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        """A black image, uint8 [1, 3, 32, 32]."""
        return torch.zeros(1, 3, RESOLUTION, RESOLUTION, dtype=torch.uint8)

    def train(self, mode: bool = True) -> CNNDigits:
        """Stay in eval mode, whatever is asked."""
        super().train(False)
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """uint8 [B, 3, 32, 32] -> the requested layers, in the requested order.

        Raises ValueError for another type or shape.
        """
        pool, logits = self.network(self._prepare(images))
        layers = {"pool": pool, "logits": logits}
        return tuple(layers[layer] for layer in self.features_list)

    def _prepare(self, images: Tensor) -> Tensor:
        """What the network sees."""
        if images.dtype != torch.uint8 or images.shape[1:] != (3, RESOLUTION, RESOLUTION):
            raise ValueError(
                f"{self.name} takes uint8 [B, 3, {RESOLUTION}, {RESOLUTION}], not {images.dtype} {list(images.shape)}"
            )
        return images


class CNNDigitsArea(CNNDigits):
    """The same for larger images: the network sees the mean over areas, not rounded.

    The digits of 64 and 128 px so averaged differ from those of 32 px by half a grey level in the mean and 8 at
    most, and held-out images score as there (fcd 0.086 for 0.087). There is no clean distance: that is defined
    by a resize to Inception's size.
    """

    card = AREA_CARD

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        """A black image, uint8 [1, 3, 64, 64]."""
        return torch.zeros(1, 3, 2 * RESOLUTION, 2 * RESOLUTION, dtype=torch.uint8)

    def _prepare(self, images: Tensor) -> Tensor:
        factor, rest = divmod(images.shape[-1], RESOLUTION)
        if images.dtype != torch.uint8 or rest or images.shape[1:] != (3, images.shape[-1], images.shape[-1]):
            raise ValueError(
                f"{self.name} takes uint8 [B, 3, R, R] with R a multiple of {RESOLUTION}, "
                f"not {images.dtype} {list(images.shape)}"
            )
        return avg_pool2d(images.float(), factor)


class Network(nn.Module):
    """The classifier as it scores: batch normalization, used in training, is folded into the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, 32, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.ReLU(),
        )
        self.classify = nn.Linear(128, 10)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Any type [B, 3, 32, 32] with values 0 to 255 -> pool [B, 128] and logits [B, 10]."""
        scaled = (images.to(self.classify.weight.dtype) - 127.5) / 127.5
        pool = self.convolutions(scaled).mean(dim=(2, 3))
        return pool, self.classify(pool)


def _frozen_weights() -> dict[str, Tensor]:
    """The state of :class:`Network`, from bytes that were hashed before anything was unpickled."""
    try:
        content = WEIGHTS.read_bytes()
    except OSError as error:
        raise MissingError(
            f"the weights of the extractor cnn-digits cannot be read: {WEIGHTS} ({error.strerror}). "
            "Reinstall them: pip install --force-reinstall --no-deps ganbench"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != CARD.weights_sha256:
        raise MissingError(
            f"the weights of the extractor cnn-digits are not the frozen ones: {WEIGHTS} has sha256 {found}, "
            f"not {CARD.weights_sha256}. Reinstall them: pip install --force-reinstall --no-deps ganbench"
        )
    state: dict[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state
