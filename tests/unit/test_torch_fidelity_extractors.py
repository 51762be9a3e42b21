"""torch-fidelity's other extractors from a local file, beside torch-fidelity's own where it can take one.

CLIP and DINOv2 read their sizes from the file, so tiny networks stand for them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch_fidelity.feature_extractor_clip import CLIPVisual, FeatureExtractorCLIP
from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2
from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16

from ganbench.evaluate.extractors import make_extractor
from ganbench.evaluate.features import feature_layers
from ganbench.places import Places
from ganbench.published import PUBLISHED
from ganbench.registry import Registry
from ganbench.spec import ExtractorChoice
from ganbench.store import file_sha256

DIM, HIDDEN, SIDE = 128, 256, 16


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        yield


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (3, 3, 40, 32), dtype=torch.uint8)


def make(name: str, folder: Path):
    choice = ExtractorChoice(name=name, provider="ganbench")
    places = Places(weights=folder, unverified_weights=True)
    before = torch.random.get_rng_state()
    made = make_extractor(Registry.discover().find("extractor", name), choice, places, torch.device("cpu"))
    assert torch.equal(torch.random.get_rng_state(), before)
    return made


def check(extractor, name: str, path: Path, images: Tensor) -> Tensor:
    """What holds for all of them; returns the features."""
    assert extractor.card.weights_sha256 == file_sha256(path)
    assert not extractor.card.inception
    assert feature_layers(extractor) == list(extractor.features_list)
    assert extractor.get_name() == name
    assert not any(module.training for module in extractor.train().modules())
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    (features,) = extractor(images)
    assert features.isfinite().all()
    assert not torch.allclose(features[0], features[1])
    return features


class Bag(nn.Module):
    """Parameters under dotted names, as a scripted CLIP holds them."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        for name, value in state.items():
            inner: nn.Module = self
            *parents, last = name.split(".")
            for parent in parents:
                if not hasattr(inner, parent):
                    inner.add_module(parent, nn.Module())
                inner = getattr(inner, parent)
            inner.register_parameter(last, nn.Parameter(value, requires_grad=False))


def test_clip(tmp_path: Path, images: Tensor) -> None:
    state = CLIPVisual(24, 64, 2, 64, 32).state_dict() | {"text_projection": torch.zeros(8, 24)}
    path = tmp_path / PUBLISHED["clip-vit-b-32"][0].file
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*torch\.jit", FutureWarning)
        torch.jit.script(Bag(state)).save(str(path))
        theirs = FeatureExtractorCLIP("clip-vit-b-32", ["clip"], str(path))
    features = check(make("clip-vit-b-32", tmp_path), "clip-vit-b-32", path, images)
    assert features.shape == (3, 24)
    assert torch.equal(features, theirs(images)[0])


def test_vgg16(tmp_path: Path, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of VGG's outline in the place of its 138 million parameters."""

    def small() -> nn.Module:
        network = nn.Module()
        network.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=16), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )
        network.classifier = nn.Sequential(
            *(nn.Linear(32, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 9))
        )
        network.forward = lambda x: network.classifier(network.features(x))
        return network

    monkeypatch.setattr(torchvision.models, "vgg16", small)
    path = tmp_path / PUBLISHED["vgg16"][0].file
    torch.save(small().state_dict(), path)
    features = check(make("vgg16", tmp_path), "vgg16", path, images)
    assert torch.equal(features, FeatureExtractorVGG16("vgg16", ["fc2_relu"], str(path))(images)[0])


def dinov2_state(gated: bool) -> dict[str, Tensor]:
    """A tiny one of two blocks, named as the published files are."""
    mlp = {"w12": (HIDDEN, DIM), "w3": (DIM, HIDDEN // 2)} if gated else {"fc1": (HIDDEN, DIM), "fc2": (DIM, HIDDEN)}
    layers = {"attn.qkv": (3 * DIM, DIM), "attn.proj": (DIM, DIM), **{f"mlp.{n}": shape for n, shape in mlp.items()}}
    shapes = {"cls_token": (1, 1, DIM), "pos_embed": (1, 1 + SIDE * SIDE, DIM), "mask_token": (1, DIM)}
    shapes |= {"patch_embed.proj.weight": (DIM, 3, 14, 14), "patch_embed.proj.bias": (DIM,)}
    shapes |= {"norm.weight": (DIM,), "norm.bias": (DIM,)}
    for block in ("blocks.0", "blocks.1"):
        for name, shape in layers.items():
            shapes |= {f"{block}.{name}.weight": shape, f"{block}.{name}.bias": shape[:1]}
        for norm in ("norm1", "norm2"):
            shapes |= {f"{block}.{norm}.weight": (DIM,), f"{block}.{norm}.bias": (DIM,)}
        shapes |= {f"{block}.ls1.gamma": (DIM,), f"{block}.ls2.gamma": (DIM,)}
    return {
        name: torch.randn(shape) * 0.1 + 0.3 * name.endswith(("gamma", "norm.weight")) for name, shape in shapes.items()
    }


def by_torch(state: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """The class token by torch's own encoder layers, the layer scale multiplied into their last weights."""
    patches = nn.functional.conv2d(pixels, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=14)
    x = torch.cat([state["cls_token"].expand(len(pixels), -1, -1), patches.flatten(2).mT], 1) + state["pos_embed"]
    for index in range(2):
        own = {n.removeprefix(f"blocks.{index}."): v for n, v in state.items() if n.startswith(f"blocks.{index}.")}
        layer = nn.TransformerEncoderLayer(
            *(DIM, DIM // 64, HIDDEN, 0.0, "gelu", 1e-6), batch_first=True, norm_first=True
        )
        layer.load_state_dict(
            {
                "self_attn.in_proj_weight": own["attn.qkv.weight"],
                "self_attn.in_proj_bias": own["attn.qkv.bias"],
                "self_attn.out_proj.weight": own["attn.proj.weight"] * own["ls1.gamma"][:, None],
                "self_attn.out_proj.bias": own["attn.proj.bias"] * own["ls1.gamma"],
                "linear1.weight": own["mlp.fc1.weight"],
                "linear1.bias": own["mlp.fc1.bias"],
                "linear2.weight": own["mlp.fc2.weight"] * own["ls2.gamma"][:, None],
                "linear2.bias": own["mlp.fc2.bias"] * own["ls2.gamma"],
                **{name: own[name] for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias")},
            }
        )
        x = layer.eval()(x)
    return nn.functional.layer_norm(x, (DIM,), state["norm.weight"], state["norm.bias"], 1e-6)[:, 0]


def test_dinov2(tmp_path: Path, images: Tensor) -> None:
    state = dinov2_state(gated=False)
    path = tmp_path / PUBLISHED["dinov2-vit-b-14"][0].file
    torch.save(state, path)
    extractor = make("dinov2-vit-b-14", tmp_path)
    features = check(extractor, "dinov2-vit-b-14", path, images)
    assert features.shape == (3, DIM)
    pixels = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        assert torch.allclose(extractor.model(pixels), by_torch(state, pixels), atol=1e-5)
    with pytest.raises(NotImplementedError):  # why the network is written here
        FeatureExtractorDinoV2("dinov2-vit-b-14", ["dinov2"], str(path))


def test_dinov2_of_another_grid_and_the_gated_one(tmp_path: Path, images: Tensor) -> None:
    """The published files hold the positions of a grid of 37; the images here have one of 16."""
    state = dinov2_state(gated=True)
    state["pos_embed"] = torch.randn(1, 1 + 37 * 37, DIM)
    path = tmp_path / PUBLISHED["dinov2-vit-g-14"][0].file
    torch.save(state, path)
    extractor = make("dinov2-vit-g-14", tmp_path)
    check(extractor, "dinov2-vit-g-14", path, images)
    grid = state["pos_embed"][:, 1:].reshape(1, 37, 37, DIM).permute(0, 3, 1, 2)
    wanted = nn.functional.interpolate(grid, scale_factor=(16.1 / 37, 16.1 / 37), mode="bicubic", antialias=False)
    assert torch.equal(extractor.model._positions(16, 16)[0, 1:], wanted[0].flatten(1).T)
    block, x = extractor.model.blocks[0].mlp, torch.randn(1, 2, DIM)
    gate, value = block.w12(x).split(HIDDEN // 2, dim=-1)
    assert torch.allclose(block(x), block.w3(gate * torch.sigmoid(gate) * value), atol=1e-6)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    from ganbench.errors import MissingError

    for name in ("dinov2-vit-s-14", "clip-rn50"):
        torch.save({"some": torch.zeros(1)}, tmp_path / PUBLISHED[name][0].file)
        with pytest.raises(MissingError, match=f"extractor '{name}' cannot be made from"):
            make(name, tmp_path)
