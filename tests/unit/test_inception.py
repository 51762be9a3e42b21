"""Inception from either file: the fast form beside both libraries' own paths, on the same uint8 images."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from inception_weights import BlockE, InceptionWeights, as_clean_fid_has_it
from torch import Tensor, nn
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from ganbench.conformance import extractor as conformance
from ganbench.conformance.report import run_checks
from ganbench.errors import MissingError
from ganbench.evaluate.extractors import make_extractor
from ganbench.places import Places
from ganbench.registry import Registry
from ganbench.spec import ExtractorChoice
from ganbench.store import file_sha256

TOLERANCE = 1e-3


def make(
    folder: Path, name: str = "inception", *, sha256: str | None = None, **options: str | bool
) -> FeatureExtractorBase:
    choice = ExtractorChoice(name=name, provider="ganbench", options=options, weights_sha256=sha256)
    places = Places(weights=folder, unverified_weights=True)
    return make_extractor(Registry.discover().find("extractor", name), choice, places, torch.device("cpu"))


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Four images, uint8 [4, 3, 40, 32]: smooth ones and noise."""
    draw = torch.Generator().manual_seed(4)
    coarse = torch.rand(4, 3, 5, 4, generator=draw) * 255
    smooth = torch.nn.functional.interpolate(coarse, size=(40, 32), mode="bilinear")
    return (smooth + torch.randn(smooth.shape, generator=draw) * 10).clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def fast(inception_weights: InceptionWeights) -> FeatureExtractorBase:
    return make(inception_weights.torch_fidelity)


@pytest.fixture(scope="module")
def strict(inception_weights: InceptionWeights) -> FeatureExtractorBase:
    """Of clean-fid's file, so that clean-fid's network runs too."""
    return make(inception_weights.clean_fid, strict=True)


@pytest.fixture(scope="module")
def theirs(inception_weights: InceptionWeights, images: Tensor) -> dict[str, Tensor]:
    """All layers by torch-fidelity."""
    layers = ["64", "192", "768", "2048", "logits_unbiased"]
    network = FeatureExtractorInceptionV3("theirs", layers, str(inception_weights.pth))
    return dict(zip(layers, network(images), strict=True))


@pytest.fixture(scope="module")
def clean(inception_weights: InceptionWeights, images: Tensor) -> Tensor:
    """By clean-fid: its resize, image by image, and its network."""
    from cleanfid.inception_torchscript import InceptionV3W
    from cleanfid.resize import build_resizer

    resize = build_resizer("clean")
    resized = np.stack([resize(image.permute(1, 2, 0).numpy()) for image in images])
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", r".*torch\.jit", FutureWarning)
        network = InceptionV3W(str(inception_weights.clean_fid), download=False)
        features: Tensor = network(torch.from_numpy(resized).permute(0, 3, 1, 2))
    return features


def error(ours: Tensor, expected: Tensor) -> float:
    """Relative, of the worst image."""
    return float(((ours - expected).norm(dim=1) / expected.norm(dim=1)).max())


def named(extractor: FeatureExtractorBase, images: Tensor) -> dict[str, Tensor]:
    features: dict[str, Tensor] = extractor.convert_features_tuple_to_dict(extractor(images))
    return features


def test_the_random_weights_make_images_differ(theirs: dict[str, Tensor]) -> None:
    for layer, values in theirs.items():
        assert values.isfinite().all()
        assert 0.01 < values.std() < 100, layer
        assert error(values[:2], values[2:]) > 10 * TOLERANCE, layer


def test_fast_features_are_torch_fidelitys(fast, theirs, images) -> None:
    features = named(fast, images)
    assert list(features) == ["2048", "logits_unbiased"]
    for layer, values in features.items():
        assert values.dtype == torch.float32
        assert error(values, theirs[layer]) < TOLERANCE


def test_strict_features_are_torch_fidelitys_to_the_last_bit(strict, theirs, images) -> None:
    for layer, values in named(strict, images).items():
        assert torch.equal(values, theirs[layer])


def test_clean_features_are_clean_fids(fast, strict, clean, images) -> None:
    assert error(fast.clean_features(images), clean) < TOLERANCE
    assert error(strict.clean_features(images), clean) < 1e-4
    assert error(clean, fast(images)[0]) > 10 * TOLERANCE  # the resizes do differ


def test_the_other_file_makes_the_same_network(inception_weights, fast, images) -> None:
    other = make(inception_weights.clean_fid)
    for ours, values in zip(other(images), fast(images), strict=True):
        assert torch.equal(ours, values)
    assert torch.equal(other.clean_features(images), fast.clean_features(images))
    assert other.card.weights_sha256 == file_sha256(inception_weights.pt)
    assert fast.card.weights_sha256 == file_sha256(inception_weights.pth)


def test_inception_clean_is_the_same_network_after_clean_fids_resize(inception_weights, fast, clean, images) -> None:
    extractor = make(inception_weights.torch_fidelity, "inception-clean")
    features, logits = extractor(images)
    assert torch.equal(features, fast.clean_features(images))
    assert torch.equal(features, extractor.clean_features(images))
    assert error(logits, clean @ fast.fc.weight.T) < TOLERANCE
    assert "clean-fid" in extractor.card.resize
    exact = make(inception_weights.torch_fidelity, "inception-clean", strict=True)
    assert error(exact(images)[0], clean) < 1e-4
    assert torch.equal(exact(images)[0], exact.clean_features(images))


@pytest.mark.parametrize("layer", ["64", "768"])
def test_an_earlier_layer_is_no_fid(inception_weights, theirs, images, layer) -> None:
    extractor = make(inception_weights.torch_fidelity, layer=layer)
    assert error(extractor(images)[0], theirs[layer]) < TOLERANCE
    assert {extractor.get_default_feature_layer_for_metric(metric) for metric in ("fid", "kid", "prc")} == {layer}
    assert extractor.clean_features(images).shape == theirs[layer].shape
    assert not extractor.card.inception


def test_making_and_using_it_draws_no_random_number(inception_weights, images) -> None:
    before, pixels = torch.random.get_rng_state(), images.clone()
    extractor = make(inception_weights.both)
    extractor(images)
    extractor.clean_features(images)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(images, pixels)
    assert not extractor.train().training
    assert not any(parameter.requires_grad for parameter in extractor.parameters())


def test_the_file_of_the_run_is_taken_where_both_are_there(inception_weights) -> None:
    for path in (inception_weights.pth, inception_weights.pt):
        extractor = make(inception_weights.both, sha256=file_sha256(path))
        assert extractor.card.weights_sha256 == file_sha256(path)
    with pytest.raises(MissingError, match="the run began with 0000"):
        make(inception_weights.both, sha256="0" * 64)


class Swapped(BlockE):
    """Two towers that use each other's convolutions."""

    def forward(self, x: Tensor) -> Tensor:
        a = self.tower_conv(x)
        b = self.tower_1_conv_1(self.tower_1_conv(x))
        mixed = torch.cat([self.tower_1_mixed_conv(a), self.tower_1_mixed_conv_1(a)], 1)
        mixed_1 = torch.cat([self.tower_mixed_conv(b), self.tower_mixed_conv_1(b)], 1)
        return torch.cat([self.conv(x), mixed, mixed_1, self.tower_2_conv(self.tower_2_pool(x))], 1)


def test_a_module_whose_parts_are_mixed_up_is_refused(inception_weights, tmp_path) -> None:
    """Convolutions of one shape under each other's names: no key and no shape would show it."""
    network = FeatureExtractorInceptionV3("any", ["2048"], str(inception_weights.pth))
    module = as_clean_fid_has_it(network)
    module.layers.mixed_9 = Swapped(network.Mixed_7b, nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*torch\.jit", FutureWarning)
        torch.jit.script(module).save(str(tmp_path / inception_weights.pt.name))
    with pytest.raises(MissingError, match="hold another network"):
        make(tmp_path)


def test_it_passes_the_checks_of_its_kind(inception_weights) -> None:
    component = Registry.discover().find("extractor", "inception").load()
    places = Places(weights=inception_weights.clean_fid, unverified_weights=True)
    results = run_checks(conformance.CHECKS, conformance.ExtractorSubject(component, {}, places))
    assert [result.status for result in results] == ["passed"] * len(conformance.CHECKS), results
