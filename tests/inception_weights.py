"""Randomly initialised Inception weights in both real file formats: the same network, made in some seconds.

``weights-inception-2015-12-05-6726825d.pth`` is a state dict of torch-fidelity's network, and
``inception-2015-12-05.pt`` the scripted module that clean-fid loads. The real files cannot be had by a test; what
is assumed of the second is what clean-fid's wrapper asks of it (``layers`` on resized, scaled images, and
``forward(img, return_features)``) and the names and shapes that public conversions of it state: modules named as
the nodes of TensorFlow's graph, each convolution with ``weight``, ``beta``, ``mean`` and ``var`` and no gamma, and
``output``. They have other hashes than the published files, so every user must allow unverified weights.
"""

from __future__ import annotations

import io
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, batch_norm, conv2d, grid_sample, linear, relu, softmax
from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d, FeatureExtractorInceptionV3

PTH = "weights-inception-2015-12-05-6726825d.pth"
PT = "inception-2015-12-05.pt"
SEED = 2015


@dataclass(frozen=True)
class InceptionWeights:
    """Folders that ``--weights-dir`` takes; each holds what its name says."""

    both: Path
    torch_fidelity: Path
    clean_fid: Path

    @property
    def pth(self) -> Path:
        """torch-fidelity's file."""
        return self.torch_fidelity / PTH

    @property
    def pt(self) -> Path:
        """clean-fid's file."""
        return self.clean_fid / PT


def make_inception_weights(folder: Path) -> InceptionWeights:
    """Write both files under ``folder``. The same on every call."""
    made = InceptionWeights(folder / "both", folder / "torch-fidelity", folder / "clean-fid")
    for each in (made.both, made.torch_fidelity, made.clean_fid):
        each.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = random_network()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*torch\.jit", FutureWarning)  # deprecated, and the format of the file
        scripted = torch.jit.script(as_clean_fid_has_it(network))
    torch.save(network.state_dict(), made.pth)
    scripted.save(str(made.pt))
    (made.both / PTH).hardlink_to(made.pth)
    (made.both / PT).hardlink_to(made.pt)
    return made


class Blank(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """torch-fidelity's network as its constructor draws it, whatever it is told to load."""

    def __init__(self, layers: list[str]) -> None:
        nothing = io.BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        super().__init__("blank", layers, feature_extractor_weights_path=nothing)

    def load_state_dict(self, *_: object, **__: object) -> None:
        """Keep what was drawn."""


def random_network() -> Blank:
    """torch-fidelity's network with features that are finite, of order 1 and different for different images.

    Batch norms hold the statistics of random images, as after training: without that a deep random network
    maps all images to nearly one point. For the same reason the logits leave out the features' mean.
    """
    network = Blank(["2048"])
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias, std=0.1)  # a gamma is what the real file lacks: it stays 1
            module.momentum = None  # the plain mean of all batches
            module.train()
    coarse = nn.functional.interpolate(torch.rand(6, 3, 5, 5) * 255, size=64, mode="bilinear")
    noise = torch.randn(6, 3, 64, 64) * torch.tensor([0, 4, 8, 16, 32, 64]).view(6, 1, 1, 1)
    images = (coarse + noise).clamp(0, 255).to(torch.uint8)
    with torch.no_grad():
        (features,) = network(images)
        mean = features.mean(0)
        weight = torch.randn_like(network.fc.weight)
        weight -= torch.outer(weight @ mean, mean) / (mean @ mean)
        network.fc.weight.copy_(weight * 0.3)
        network.fc.bias.copy_(torch.randn_like(network.fc.bias) * 0.1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.num_batches_tracked.zero_()
    return network.eval()


class Convolution(nn.Module):
    """Convolution, batch norm without gamma, ReLU, as the scripted file has them."""

    def __init__(self, like: BasicConv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(like.conv.weight.detach().clone())
        self.beta = nn.Parameter(like.bn.bias.detach().clone())
        self.mean = nn.Parameter(like.bn.running_mean.detach().clone(), requires_grad=False)
        self.var = nn.Parameter(like.bn.running_var.detach().clone(), requires_grad=False)
        self.stride: list[int] = list(like.conv.stride)
        self.padding: list[int] = list(like.conv.padding)

    def forward(self, x: Tensor) -> Tensor:
        x = conv2d(x, self.weight, None, self.stride, self.padding)
        return relu(batch_norm(x, self.mean, self.var, None, self.beta, False, 0.1, 1e-3))


def _chain(*modules: nn.Module) -> nn.Sequential:
    """Modules in a row under the graph's names: ``conv``, ``conv_1``, ...; a pool is ``pool``."""
    named, convolutions = OrderedDict[str, nn.Module](), 0
    for module in modules:
        if isinstance(module, BasicConv2d):
            named[f"conv_{convolutions}" if convolutions else "conv"] = Convolution(module)
            convolutions += 1
        else:
            named["pool"] = module
    return nn.Sequential(named)


def _average() -> nn.Module:
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


class BlockA(nn.Module):
    """``mixed`` to ``mixed_2``."""

    def __init__(self, like: nn.Module) -> None:
        super().__init__()
        self.conv = Convolution(like.branch1x1)
        self.tower = _chain(like.branch5x5_1, like.branch5x5_2)
        self.tower_1 = _chain(like.branch3x3dbl_1, like.branch3x3dbl_2, like.branch3x3dbl_3)
        self.tower_2 = _chain(_average(), like.branch_pool)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.conv(x), self.tower(x), self.tower_1(x), self.tower_2(x)], 1)


class BlockB(nn.Module):
    """``mixed_3``."""

    def __init__(self, like: nn.Module) -> None:
        super().__init__()
        self.conv = Convolution(like.branch3x3)
        self.tower = _chain(like.branch3x3dbl_1, like.branch3x3dbl_2, like.branch3x3dbl_3)
        self.pool = nn.MaxPool2d(3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.conv(x), self.tower(x), self.pool(x)], 1)


class BlockC(nn.Module):
    """``mixed_4`` to ``mixed_7``."""

    def __init__(self, like: nn.Module) -> None:
        super().__init__()
        self.conv = Convolution(like.branch1x1)
        self.tower = _chain(like.branch7x7_1, like.branch7x7_2, like.branch7x7_3)
        self.tower_1 = _chain(*(getattr(like, f"branch7x7dbl_{i}") for i in range(1, 6)))
        self.tower_2 = _chain(_average(), like.branch_pool)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.conv(x), self.tower(x), self.tower_1(x), self.tower_2(x)], 1)


class BlockD(nn.Module):
    """``mixed_8``."""

    def __init__(self, like: nn.Module) -> None:
        super().__init__()
        self.tower = _chain(like.branch3x3_1, like.branch3x3_2)
        self.tower_1 = _chain(*(getattr(like, f"branch7x7x3_{i}") for i in range(1, 5)))
        self.pool = nn.MaxPool2d(3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.tower(x), self.tower_1(x), self.pool(x)], 1)


class BlockE(nn.Module):
    """``mixed_9`` and ``mixed_10``, which differ in the pool."""

    def __init__(self, like: nn.Module, pool: nn.Module) -> None:
        super().__init__()
        self.conv = Convolution(like.branch1x1)
        self.tower_conv = Convolution(like.branch3x3_1)
        self.tower_mixed_conv = Convolution(like.branch3x3_2a)
        self.tower_mixed_conv_1 = Convolution(like.branch3x3_2b)
        self.tower_1_conv = Convolution(like.branch3x3dbl_1)
        self.tower_1_conv_1 = Convolution(like.branch3x3dbl_2)
        self.tower_1_mixed_conv = Convolution(like.branch3x3dbl_3a)
        self.tower_1_mixed_conv_1 = Convolution(like.branch3x3dbl_3b)
        self.tower_2_pool = pool
        self.tower_2_conv = Convolution(like.branch_pool)

    def forward(self, x: Tensor) -> Tensor:
        a = self.tower_conv(x)
        b = self.tower_1_conv_1(self.tower_1_conv(x))
        mixed = torch.cat([self.tower_mixed_conv(a), self.tower_mixed_conv_1(a)], 1)
        mixed_1 = torch.cat([self.tower_1_mixed_conv(b), self.tower_1_mixed_conv_1(b)], 1)
        return torch.cat([self.conv(x), mixed, mixed_1, self.tower_2_conv(self.tower_2_pool(x))], 1)


class CleanFidInception(nn.Module):
    """The module behind ``inception-2015-12-05.pt``."""

    def __init__(self, layers: nn.Sequential, output: nn.Linear) -> None:
        super().__init__()
        self.layers = layers
        self.output = output

    def forward(
        self, img: Tensor, return_features: bool = False, use_fp16: bool = False, no_output_bias: bool = False
    ) -> Tensor:
        """[B, 3, H, W], 0 to 255 -> features [B, 2048], or probabilities [B, 1008]; it resizes as TensorFlow does."""
        size, height, width = img.shape[0], img.shape[2], img.shape[3]
        shift_x, shift_y = 1 / width - 1 / 299, 1 / height - 1 / 299
        theta = torch.tensor([[1.0, 0.0, shift_x], [0.0, 1.0, shift_y]], device=img.device)
        grid = affine_grid(theta.unsqueeze(0).repeat(size, 1, 1), [size, 3, 299, 299], align_corners=False)
        x = grid_sample(img.float(), grid, "bilinear", "border", False)
        features = self.layers((x - 128) / 128).reshape(-1, 2048)
        if return_features:
            return features
        return softmax(linear(features, self.output.weight, None if no_output_bias else self.output.bias), dim=1)


def as_clean_fid_has_it(network: FeatureExtractorInceptionV3) -> CleanFidInception:
    """torch-fidelity's network with the names and the interface of clean-fid's file."""
    layers = OrderedDict[str, nn.Module](
        conv=Convolution(network.Conv2d_1a_3x3),
        conv_1=Convolution(network.Conv2d_2a_3x3),
        conv_2=Convolution(network.Conv2d_2b_3x3),
        pool0=nn.MaxPool2d(3, stride=2),
        conv_3=Convolution(network.Conv2d_3b_1x1),
        conv_4=Convolution(network.Conv2d_4a_3x3),
        pool1=nn.MaxPool2d(3, stride=2),
        mixed=BlockA(network.Mixed_5b),
        mixed_1=BlockA(network.Mixed_5c),
        mixed_2=BlockA(network.Mixed_5d),
        mixed_3=BlockB(network.Mixed_6a),
        mixed_4=BlockC(network.Mixed_6b),
        mixed_5=BlockC(network.Mixed_6c),
        mixed_6=BlockC(network.Mixed_6d),
        mixed_7=BlockC(network.Mixed_6e),
        mixed_8=BlockD(network.Mixed_7a),
        mixed_9=BlockE(network.Mixed_7b, _average()),
        mixed_10=BlockE(network.Mixed_7c, nn.MaxPool2d(3, stride=1, padding=1)),
        pool2=nn.AvgPool2d(8),
    )
    return CleanFidInception(nn.Sequential(layers), network.fc).eval()
