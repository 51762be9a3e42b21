"""Components that each break one promise, for the checks to find."""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench.api import (
    ArrayImages,
    Condition,
    DatasetCard,
    DiscriminatorOutput,
    DiscriminatorUpdate,
    ImageData,
    ImageSplit,
    Layers,
    PositiveInt,
    RawData,
    RawSplit,
    Source,
    input_gradients,
    normalizes,
    reads,
    register,
)


class Sound(nn.Module):
    """x + a gated 1x1 convolution of x: nothing is wrong with it. [B, C, H, W] -> the same shape."""

    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__()
        self.conv = layers.conv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


register("attention", "sound")(Sound)


@register("attention", "hard-coded-channels")
class HardCodedChannels(Sound):
    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__(64, layers)


@register("attention", "wrong-shape")
class WrongShape(Sound):
    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(super().forward(x), 2)


@register("attention", "softmax-over-queries")
class SoftmaxOverQueries(Sound):
    def attention_map(self, x: Tensor) -> Tensor:
        places = self.conv(x).flatten(2)
        return (places.mT @ places).softmax(1)

    def forward(self, x: Tensor) -> Tensor:
        return x + (x.flatten(2) @ self.attention_map(x).mT).reshape(x.shape)


@register("attention", "softmax-over-batch")
class SoftmaxOverBatch(Sound):
    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv(x).softmax(0)


@register("attention", "in-place")
class InPlace(Sound):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(F.relu(x, inplace=not x.requires_grad))


@register("attention", "unused-parameter")
class UnusedParameter(Sound):
    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__(channels, layers)
        self.idle = nn.Parameter(torch.ones(channels))


@register("attention", "detached")
class Detached(Sound):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x).detach()


@register("attention", "behind-a-gate")
class BehindAGate(Sound):
    """Its convolution has no gradient while the gate is at 0, and none after."""

    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__(channels, layers)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gamma * self.conv(x).detach()


@register("attention", "wrong-type")
class WrongType(Sound):
    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__(channels, layers)
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * (x + self.conv(x))


@register("attention", "by-chance")
class ByChance(Sound):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) * (1 + random.random())


@register("attention", "dropout-in-eval")
class DropoutInEval(Sound):
    def forward(self, x: Tensor) -> Tensor:
        return x + F.dropout(self.conv(x), 0.5)


@register("attention", "moving-buffer")
class MovingBuffer(Sound):
    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__(channels, layers)
        self.register_buffer("seen", torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.seen.lerp_(x.mean((0, 2, 3)).to(self.seen.dtype), 0.1)
        return super().forward(x)


@register("attention", "hidden-state")
class HiddenState(Sound):
    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__(channels, layers)
        self.offset = [torch.rand(1).item()]

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.offset[0]


@register("attention", "view")
class View(Sound):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.view(len(x), -1).view(x.shape))


@register("attention", "no-identity")
class NoIdentity(Sound):
    identity_at_init: ClassVar[bool] = True


@register("attention", "stuck-identity")
class StuckIdentity(nn.Module):
    identity_at_init: ClassVar[bool] = True

    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + (self.gamma * self.bias).to(x.dtype)


@register("attention", "empty-layer")
class EmptyLayer(nn.Module):
    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__()
        self.inner = nn.Conv2d(channels, channels // 8, 1)
        self.outer = nn.Conv2d(channels // 8, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(self.inner(x))


@register("attention", "fixed-device")
class FixedDevice(Sound):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.ones(1, device="cpu").to(x.dtype)[:, None, None, None].expand_as(x)


@register("attention", "overflow")
class Overflow(Sound):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.exp(self.conv(x).float().square()).to(x.dtype)


@register("attention", "idle-size")
class IdleSize(Sound):
    size_option: ClassVar[str] = "hidden"

    def __init__(self, channels: int, layers: Layers, *, hidden: PositiveInt | None = None) -> None:
        super().__init__(channels, layers)


class _WrongBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return grad * 3


@register("attention", "wrong-backward")
class WrongBackward(Sound):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(_WrongBackward.apply(x))


@register("attention", "only-if")
class NoReason(Sound):
    """Refuses everything by an exception that is none of ganbench's."""

    def __init__(self, channels: int, layers: Layers) -> None:
        raise ZeroDivisionError("integer division or modulo by zero")


@register("normalizer", "no-role")
class NoRole(nn.Module):
    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__()

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        return x


@register("normalizer", "wide-activations")
@normalizes("activation")
class WideActivations(nn.Module):
    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        return x * self.weight


@register("normalizer", "flat-weight")
@normalizes("weight")
def flat_weight(module: nn.Module) -> nn.Module:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module
            self.weight = module.weight.flatten()

        def forward(self, x: Tensor) -> Tensor:
            return self.module(x)

    return Holder()


class _Generator(nn.Module):
    def __init__(self, layers: Layers, resolution: int, announced: int) -> None:
        super().__init__()
        self.linear = layers.linear(layers.latent_dim, 8 * resolution**2)
        self.attention = layers.attention(8, announced)
        self.output = layers.conv(8, 3, 1)
        self.resolution = resolution

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        return self.output(self.attention(self.linear(z).reshape(len(z), 8, self.resolution, self.resolution)))


class _Discriminator(nn.Module):
    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.conv = layers.conv(3, 8, 3, padding=1)
        self.head = layers.head(8)

    def forward(self, x: Tensor, y: Tensor | None) -> DiscriminatorOutput:
        return self.head(F.relu(self.conv(x)).sum((2, 3)), y)


@register("architecture", "no-tanh")
class NoTanh:
    resolutions = (8, 16)

    def __init__(self, resolution: int) -> None:
        self.resolution = resolution

    def generator(self, layers: Layers) -> nn.Module:
        return _Generator(layers, self.resolution, self.resolution)

    def discriminator(self, layers: Layers) -> nn.Module:
        return _Discriminator(layers)


@register("architecture", "misplaced-attention")
class MisplacedAttention(NoTanh):
    def generator(self, layers: Layers) -> nn.Module:
        return _Generator(layers, self.resolution, self.resolution // 2)


@register("loss", "wrong-sign")
class WrongSign:
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return real.mean() - fake.mean()

    def generator(self, fake: Tensor) -> Tensor:
        return fake.mean()


@register("loss", "overflow")
class OverflowingLoss:
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return -torch.log(torch.sigmoid(real)).mean() - torch.log(1 - torch.sigmoid(fake)).mean()

    def generator(self, fake: Tensor) -> Tensor:
        return -torch.log(torch.sigmoid(fake)).mean()


@register("loss", "per-image")
class PerImage:
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real) + F.relu(1 + fake)

    def generator(self, fake: Tensor) -> Tensor:
        return -fake


def _split(count: int, seed: int) -> ImageSplit:
    draws = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=draws, dtype=torch.uint8)
    return ImageSplit(images, torch.arange(count) % 3)


@register("dataset", "shuffled")
def shuffled(resolution: int) -> ImageData:
    return ImageData(_split(6, random.randrange(1 << 30)), _split(6, 2), 3)


@register("dataset", "leaking")
def leaking(resolution: int) -> ImageData:
    return ImageData(_split(6, 1), _split(6, 1), 3)


@register("dataset", "labels-from-one")
def labels_from_one(resolution: int) -> ImageData:
    return ImageData(_split(6, 1), _split(6, 2), 2)


class Emptying(ArrayImages):
    """Loses its images on the way to another process."""

    def __reduce__(self):
        return ArrayImages, (self.array[:0],)


class Nameless(ArrayImages):
    def name(self, index: int) -> str:
        return "image"


def _source(images: type[ArrayImages], key: str = "key") -> Source:
    pixels = _split(6, 1).images.permute(0, 2, 3, 1).numpy()
    return Source(key, lambda: RawData(RawSplit("train", images(pixels), np.zeros(6, np.int64)), None))


CARD = DatasetCard(about="broken", place=".", get="nowhere")


@register("dataset", "moving-key")
@reads(CARD)
def moving_key(root: Path) -> Source:
    return _source(ArrayImages, str(random.random()))


@register("dataset", "forgetful-images")
@reads(CARD)
def forgetful_images(root: Path) -> Source:
    return _source(Emptying)


@register("dataset", "nameless")
@reads(CARD)
def nameless(root: Path) -> Source:
    return _source(Nameless)


@register("regularizer", "flat")
class Flat:
    """The penalized gradient has no graph."""

    def __call__(self, update: DiscriminatorUpdate) -> Tensor:
        return input_gradients(update, update.real, update.real_labels).detach().square().mean()


@register("regularizer", "global-draws")
class GlobalDraws:
    def __call__(self, update: DiscriminatorUpdate) -> Tensor:
        return (update.real_logits * torch.rand(len(update.real_logits))).mean()


@register("regularizer", "forgetful")
class Forgetful:
    """An average that no checkpoint keeps."""

    def __init__(self) -> None:
        self.average = 0.0

    def __call__(self, update: DiscriminatorUpdate) -> Tensor:
        self.average = 0.5 * self.average + 0.5 * update.real_logits.mean().item()
        return (update.real_logits - self.average).square().mean()


@register("regularizer", "weighted")
class Weighted:
    def __init__(self, *, weight: float = 1.0) -> None:
        self.weight = weight

    def __call__(self, update: DiscriminatorUpdate) -> Tensor:
        return update.real_logits.square().mean()


@register("augmentation", "cropping")
class Cropping:
    def __call__(self, images: Tensor, draws: torch.Generator) -> Tensor:
        return images[:, :, 1:, 1:]


@register("augmentation", "rounding")
class Rounding:
    def __call__(self, images: Tensor, draws: torch.Generator) -> Tensor:
        return (images * 8).round() / 8


@register("augmentation", "unseeded")
class Unseeded:
    def __call__(self, images: Tensor, draws: torch.Generator) -> Tensor:
        return images + 0.1 * torch.randn_like(images)
