"""Scores: what both libraries' own entry points say, ordered as the eye orders, refused in time."""

import random
import warnings

import cleanfid.fid
import numpy as np
import pytest
import torch
import torch_fidelity
from ganbench.evaluate.metrics import (
    MetricSettings,
    Reference,
    extract,
    extract_clean,
    feature_layers,
    metric_layers,
    score_names,
)
from PIL import Image
from pydantic import ValidationError
from torch.nn.functional import avg_pool2d, interpolate
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from ganbench.api import ExtractorCard
from ganbench.errors import EvaluationError, MissingError, UsageError
from ganbench.zoo.dataset.digits import digits
from ganbench.zoo.extractor.digits_classifier import CNNDigits

SETTINGS = MetricSettings(isc_splits=5, kid_subsets=20, kid_subset_size=100, prc_k=3)


class Exact(CNNDigits):
    """The digits' classifier in float64: what it gives does not depend on how images are batched."""

    def __init__(self, name, features_list, **kwargs):
        super().__init__(name, features_list, **kwargs)
        self.double()


class Tiny(FeatureExtractorBase):
    """Another of torch-fidelity's extractors: the means of patches, of images of any size."""

    card = ExtractorCard(weights_sha256="", resize="none", resolutions=None, inception=True)

    def __init__(self, name, features_list, **_):
        super().__init__(name, features_list)

    @staticmethod
    def get_provided_features_list():
        return ("patches",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return {"isc": "patches", "fid": "patches", "kid": "patches", "prc": "patches"}[metric]

    def forward(self, images):
        return (torch.nn.functional.adaptive_avg_pool2d(images.double() / 64, 2).flatten(1),)


class Resizing(Tiny):
    """One that resizes, and takes what clean-fid resized through a method of its own."""

    card = ExtractorCard(weights_sha256="", resize="bilinear", resolutions=None, inception=True)

    def clean_features(self, images):
        assert images.dtype == torch.float32
        assert images.shape[1:] == (3, 299, 299)
        return super().forward(images)[0]


class OnlyResizing(Tiny):
    """One that resizes and takes nothing else."""

    card = ExtractorCard(weights_sha256="", resize="bilinear", resolutions=None, inception=False)


class Images(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


def made(cls):
    name = f"test-metrics-{cls.__name__.lower()}"
    if name not in FEATURE_EXTRACTORS_REGISTRY:
        torch_fidelity.register_feature_extractor(name, cls)
    return cls(name, feature_layers(cls))


def by_torch_fidelity(extractor, fake, real, settings):
    """What torch-fidelity's front door says of the same images."""
    with torch.random.fork_rng(devices=[]):
        return torch_fidelity.calculate_metrics(
            input1=Images(fake),
            input2=Images(real),
            feature_extractor=extractor.get_name(),
            isc=True,
            fid=True,
            kid=True,
            prc=True,
            isc_splits=settings.isc_splits,
            kid_subsets=settings.kid_subsets,
            kid_subset_size=settings.kid_subset_size,
            prc_neighborhood=settings.prc_k,
            cuda=False,
            cache=False,
            save_cpu_ram=True,
            verbose=False,
        )


def by_clean_fid(model, fake, real, folder, **options):
    """What clean-fid's front door says of the same images, as PNG files."""
    for name, images in (("fake", fake), ("real", real)):
        (folder / name).mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / name / f"{index:04}.png")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The `disp` argument is deprecated", DeprecationWarning)
        return cleanfid.fid.compute_fid(
            str(folder / "fake"),
            str(folder / "real"),
            mode="clean",
            custom_feat_extractor=model,
            num_workers=0,
            device=torch.device("cpu"),
            verbose=False,
            use_dataparallel=False,
            **options,
        )


@pytest.fixture(scope="module")
def data():
    return digits(32)


@pytest.fixture(scope="module")
def real(data):
    return data.train.images


@pytest.fixture(scope="module")
def held_out(data):
    return data.held_out.images


@pytest.fixture(scope="module")
def exact():
    return made(Exact)


@pytest.fixture(scope="module")
def reference(real):
    extractor = CNNDigits("cnn-digits", feature_layers(CNNDigits))
    return Reference(extractor, real, SETTINGS)


@pytest.fixture(scope="module")
def floor(reference, held_out):
    return reference.score(held_out)


# --- against the libraries ------------------------------------------------------------------------


@pytest.mark.parametrize(("real_count", "fake_count"), [(901, 333), (120, 400)])
def test_scores_equal_torch_fidelity(exact, real, held_out, real_count, fake_count):
    fake, real = held_out[:fake_count], real[:real_count]
    scores = Reference(exact, real, SETTINGS).score(fake)
    theirs = by_torch_fidelity(exact, fake, real, SETTINGS)
    pairs = {
        "classifier_score": torch_fidelity.KEY_METRIC_ISC_MEAN,
        "classifier_score_std": torch_fidelity.KEY_METRIC_ISC_STD,
        "fcd": torch_fidelity.KEY_METRIC_FID,
        "kcd": torch_fidelity.KEY_METRIC_KID_MEAN,
        "kcd_std": torch_fidelity.KEY_METRIC_KID_STD,
        "precision": torch_fidelity.KEY_METRIC_PRECISION,
        "recall": torch_fidelity.KEY_METRIC_RECALL,
    }
    assert set(scores) == {*pairs, "clean_fcd"}
    for mine, key in pairs.items():
        assert scores[mine] == pytest.approx(theirs[key], rel=1e-6), mine


def test_scores_of_a_float32_extractor_are_near_torch_fidelitys(real, held_out):
    # torch-fidelity then averages and multiplies in float32, ganbench in float64.
    extractor, fake, real = made(CNNDigits), held_out[:300], real[:300]
    scores = Reference(extractor, real, SETTINGS).score(fake)
    theirs = by_torch_fidelity(extractor, fake, real, SETTINGS)
    assert scores["fcd"] == pytest.approx(theirs[torch_fidelity.KEY_METRIC_FID], rel=1e-4)
    assert scores["classifier_score"] == pytest.approx(theirs[torch_fidelity.KEY_METRIC_ISC_MEAN], rel=1e-5)


def test_another_of_torch_fidelitys_extractors_serves(real, held_out):
    extractor = made(Tiny)
    scores = Reference(extractor, real, SETTINGS).score(held_out)
    theirs = by_torch_fidelity(extractor, held_out, real, SETTINGS)
    assert list(scores) == [
        "inception_score",
        "inception_score_std",
        "fid",
        "clean_fid",
        "kid",
        "kid_std",
        "precision",
        "recall",
    ]
    assert scores["inception_score"] == pytest.approx(theirs[torch_fidelity.KEY_METRIC_ISC_MEAN], rel=1e-6)
    assert scores["fid"] == pytest.approx(theirs[torch_fidelity.KEY_METRIC_FID], rel=1e-6)
    assert scores["recall"] == pytest.approx(theirs[torch_fidelity.KEY_METRIC_RECALL], rel=1e-6)


def test_the_clean_distance_equals_clean_fid_on_files(exact, real, held_out, tmp_path):
    fake, some = held_out[:210], real[:300]
    mine = Reference(exact, some, SETTINGS).score(fake)["clean_fcd"]

    def model(images):
        # clean-fid hands out files as float32, 0 to 255.
        return exact(images.round().to(torch.uint8))[exact.features_list.index("pool")]

    theirs = by_clean_fid(model, fake, some, tmp_path, custom_fn_resize=lambda image: image)
    assert mine == pytest.approx(theirs, rel=1e-6)


def test_clean_fids_own_resize_goes_before_an_extractor_that_resizes(real, held_out, tmp_path):
    extractor = made(Resizing)
    settings = MetricSettings(isc_splits=1, kid_subset_size=10)
    mine = Reference(extractor, real[:50], settings).score(held_out[:45])
    theirs = by_clean_fid(extractor.clean_features, held_out[:45], real[:50], tmp_path)
    assert mine["clean_fid"] == pytest.approx(theirs, rel=1e-6)


def test_both_libraries_agree_where_nothing_is_resized(exact, real, held_out):
    scores = Reference(exact, real[:300], SETTINGS).score(held_out[:300])
    assert scores["clean_fcd"] == pytest.approx(scores["fcd"], rel=1e-9)


@pytest.mark.parametrize("batch", [1, 7, 10, 64, 1000])
def test_no_image_is_lost_whatever_the_batch(exact, real, batch):
    features = extract(exact, real[:50], batch)["pool"]
    assert features.dtype == torch.float64
    expected = exact(real[:50])[exact.features_list.index("pool")]
    torch.testing.assert_close(features, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(extract_clean(exact, real[:50], batch), expected, rtol=1e-12, atol=1e-12)


# --- as the eye orders ----------------------------------------------------------------------------


def test_the_reference_against_itself_is_perfect(reference, real):
    scores = reference.score(real)
    assert scores["fcd"] == pytest.approx(0, abs=1e-8)
    assert scores["clean_fcd"] == pytest.approx(0, abs=1e-8)
    assert scores["kcd"] == pytest.approx(0, abs=0.02)
    assert (scores["precision"], scores["recall"]) == (1, 1)


def test_held_out_images_are_the_floor(floor):
    assert 0 < floor["fcd"] < 0.15
    assert abs(floor["kcd"]) < 0.02
    assert floor["classifier_score"] > 9
    assert floor["precision"] > 0.8
    assert floor["recall"] > 0.85


def test_what_is_worse_scores_worse(reference, data, held_out, floor):
    labels = data.held_out.labels
    blurred = interpolate(avg_pool2d(held_out.float(), 8), size=32, mode="bilinear").to(torch.uint8)
    scores = {
        "one dropped": reference.score(held_out[labels != 7]),
        "half dropped": reference.score(held_out[labels < 5]),
        "blurred": reference.score(blurred),
        "repeated": reference.score(held_out[:1].repeat(500, 1, 1, 1)),
    }
    for distance in ("fcd", "clean_fcd"):
        order = [floor[distance], *(score[distance] for score in scores.values())]
        assert order == sorted(order)
        assert order[1] > 10 * order[0]
        assert order[2] > 50 * order[0]
        assert order[3] > 300 * order[0]
    assert all(score["kcd"] > floor["kcd"] for score in scores.values())
    assert scores["half dropped"]["classifier_score"] < 6
    assert scores["half dropped"]["recall"] < 0.7 < scores["half dropped"]["precision"]
    assert scores["repeated"]["classifier_score"] == pytest.approx(1)
    assert scores["repeated"]["recall"] == 0


def test_a_collapsed_bank_is_scored_in_silence(reference, held_out, capfd):
    # clean-fid's square root of a singular matrix warns or prints; the suite runs with warnings as errors.
    for bank in (held_out[:1].repeat(100, 1, 1, 1), held_out[:2].repeat(50, 1, 1, 1)):
        scores = reference.score(bank)
        assert scores["clean_fcd"] == pytest.approx(scores["fcd"], rel=1e-6)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


# --- names ----------------------------------------------------------------------------------------


def test_only_inception_gives_inceptions_names(floor):
    assert tuple(floor) == score_names(CNNDigits)
    assert not {"fid", "inception_score", "kid", "clean_fid"} & set(floor)
    assert score_names(Tiny)[:3] == ("inception_score", "inception_score_std", "fid")


def test_an_extractor_that_cannot_take_resized_images_has_no_clean_score(real):
    extractor = made(OnlyResizing)
    scores = Reference(extractor, real[:50], MetricSettings(kid_subset_size=10)).score(real[50:100])
    assert tuple(scores) == score_names(OnlyResizing)
    assert not [name for name in scores if "clean" in name]
    assert extract_clean(extractor, real[:5]) is None


def test_layers():
    assert metric_layers(CNNDigits) == {"isc": "logits", "fid": "pool", "kid": "pool", "prc": "pool"}
    assert feature_layers(CNNDigits) == ["logits", "pool"]
    assert feature_layers(Tiny) == ["patches"]


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "count", "message"),
    [
        (MetricSettings(), 896, "kid_subset_size=1000 needs at least 1000 images, but there are 896"),
        (
            MetricSettings(kid_subset_size=2, isc_splits=20),
            19,
            "isc_splits=20 needs at least 20 images, but there are 19",
        ),
        (
            MetricSettings(kid_subset_size=2, isc_splits=1, prc_k=5),
            5,
            "prc_k=5 needs at least 6 images, but there are 5",
        ),
        (MetricSettings(kid_subset_size=2, isc_splits=1, prc_k=1), 1, "at least 2 images, but there are 1"),
        (MetricSettings(kid_subset_size=2, isc_splits=1, prc_k=1), 0, "at least 2 images, but there are 0"),
    ],
)
def test_too_few_images_are_refused_before_any_work(settings, count, message, real, monkeypatch):
    extractor = CNNDigits("cnn-digits", ["pool", "logits"])
    enough = max(100, settings.kid_subset_size)
    reference = Reference(extractor, real.repeat(2, 1, 1, 1)[:enough], settings)
    monkeypatch.setattr(CNNDigits, "forward", lambda *_: pytest.fail("the extractor was asked"))
    with pytest.raises(UsageError, match=f"{message} generated images"):
        reference.score(real[:count])
    with pytest.raises(UsageError, match=f"{message} reference images"):
        Reference(extractor, real[:count], settings)


@pytest.mark.parametrize(
    "given",
    [
        {"kid_subset_size": 1},
        {"kid_subsets": 0},
        {"isc_splits": 0},
        {"prc_k": 0},
        {"prc_k": 2.5},
        {"unknown": 1},
    ],
)
def test_settings_out_of_range_are_refused(given):
    with pytest.raises(ValidationError):
        MetricSettings(**given)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(200, 3, 32, 32), "uint8"),
        (torch.zeros(200, 1, 32, 32, dtype=torch.uint8), "uint8"),
        (torch.zeros(200, 3, 32, dtype=torch.uint8), "uint8"),
        (torch.zeros(200, 3, 64, 64, dtype=torch.uint8), "takes images of 32 px, not 64x64"),
        (torch.zeros(200, 3, 32, 16, dtype=torch.uint8), "takes images of 32 px, not 32x16"),
    ],
)
def test_images_that_the_extractor_does_not_take_are_refused(reference, images, message):
    with pytest.raises(UsageError, match=message):
        reference.score(images)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("layer", ["pool", "logits"])
def test_features_that_are_not_finite_are_an_error(real, monkeypatch, value, layer):
    extractor = CNNDigits("cnn-digits", ["pool", "logits"])
    reference = Reference(extractor, real[:100], SETTINGS)

    def broken(self, images):
        sound = original(self, images)
        sound[self.features_list.index(layer)][-1, 0] = value
        return sound

    original = CNNDigits.forward
    monkeypatch.setattr(CNNDigits, "forward", broken)
    with pytest.raises(EvaluationError, match=f"layer '{layer}' is not finite"):
        reference.score(real[:100])
    with pytest.raises(EvaluationError, match=f"layer '{layer}' is not finite"):
        Reference(extractor, real[:100], SETTINGS)


def test_a_clean_feature_that_is_not_finite_is_an_error(real):
    class Broken(Resizing):
        def clean_features(self, images):
            return super().clean_features(images).fill_(float("nan"))

    with pytest.raises(EvaluationError, match="clean-fid computed is not finite"):
        extract_clean(Broken("broken", ["patches"]), real[:3])


def test_a_score_that_is_not_finite_is_an_error(real):
    class Steep(Tiny):
        """A class so unlikely that its probability is exactly 0 in every image, and its logarithm infinite."""

        def forward(self, images):
            features = super().forward(images)[0]
            return (torch.cat([features, torch.full_like(features[:, :1], -1e4)], dim=1),)

    reference = Reference(Steep("steep", ["patches"]), real[:200], SETTINGS)
    with pytest.raises(EvaluationError, match="score inception_score is not finite"):
        reference.score(real[200:400])


def test_a_square_root_that_clean_fid_gives_up_on_is_taken_by_eigenvalues(real, monkeypatch):
    # Only where clean-fid itself raises, so that there is no other number that it could be taken for.
    reference = Reference(made(Exact), real[:300], SETTINGS)
    expected = reference.score(real[300:500])

    def failing(*_):
        raise ValueError("Imaginary component 1.0")

    monkeypatch.setattr("ganbench.evaluate.metrics.frechet_distance", failing)
    assert reference.score(real[300:500]) == pytest.approx(expected, rel=1e-9)


def test_broken_extractors_are_told(real):
    class Cardless(Tiny):
        card = None

    with pytest.raises(MissingError, match="the extractor Cardless is broken"):
        Reference(Cardless("cardless", ["patches"]), real, SETTINGS)
    with pytest.raises(MissingError, match="made without the layer 'logits', which isc reads"):
        Reference(CNNDigits("cnn-digits", ["pool"]), real, SETTINGS)


# --- side effects ---------------------------------------------------------------------------------


def test_scoring_leaves_every_global_state_alone(real, held_out):
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.is_grad_enabled()
    extractor = CNNDigits("cnn-digits", ["pool", "logits"])
    Reference(extractor, real[:150], SETTINGS).score(held_out[:130])
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]
    after = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.is_grad_enabled()
    assert after == before


def test_scoring_twice_gives_the_same_and_leaves_the_bank_alone(reference, held_out):
    bank = held_out[:100]
    copy = bank.clone()
    assert reference.score(bank) == reference.score(bank)
    assert torch.equal(bank, copy)


def test_features_do_not_depend_on_the_precision_of_training(reference, real):
    extractor = CNNDigits("cnn-digits", ["pool", "logits"])
    expected = extract(extractor, real[:64])["pool"]
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            found = extract(extractor, real[:64])["pool"]
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(found, expected)
