"""Scores: what both libraries' own entry points say, ordered as the eye orders, refused in time."""

import random

import numpy as np
import pytest
import torch
import torch_fidelity
from judges import (
    SETTINGS,
    CleanResizing,
    Exact,
    OnlyResizing,
    Resizing,
    StrictlyResizing,
    Tiny,
    by_clean_fid,
    by_torch_fidelity,
    made,
)
from pydantic import ValidationError
from torch.nn.functional import avg_pool2d, interpolate

import ganbench.evaluate.crosscheck
from ganbench.errors import EvaluationError, MissingError, UsageError
from ganbench.evaluate.features import extract, feature_layers, metric_layers
from ganbench.evaluate.names import score_names
from ganbench.evaluate.scoring import Reference
from ganbench.images import ImageFile
from ganbench.spec import DEFAULT_FAMILIES, MetricSettings
from ganbench.zoo.dataset.digits import digits
from ganbench.zoo.extractor.digits_classifier import CNNDigits

ALL = ("isc", "fid", "clean-fid", "kid", "prc", "intra-fid")


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
    return reference.score(held_out).values


# --- against the libraries ------------------------------------------------------------------------


@pytest.mark.parametrize(("real_count", "fake_count"), [(901, 333), (120, 400)])
def test_scores_equal_torch_fidelity(exact, real, held_out, real_count, fake_count):
    fake, real = held_out[:fake_count], real[:real_count]
    scores = Reference(exact, real, SETTINGS).score(fake).values
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
    assert set(scores) == {*pairs, "clean_fcd", "density", "coverage"}
    for mine, key in pairs.items():
        assert scores[mine] == pytest.approx(theirs[key], rel=1e-6), mine


def test_scores_of_a_float32_extractor_are_near_torch_fidelitys(real, held_out):
    # torch-fidelity then averages and multiplies in float32, ganbench in float64.
    extractor, fake, real = made(CNNDigits), held_out[:300], real[:300]
    scores = Reference(extractor, real, SETTINGS).score(fake).values
    theirs = by_torch_fidelity(extractor, fake, real, SETTINGS)
    assert scores["fcd"] == pytest.approx(theirs[torch_fidelity.KEY_METRIC_FID], rel=1e-4)
    assert scores["classifier_score"] == pytest.approx(theirs[torch_fidelity.KEY_METRIC_ISC_MEAN], rel=1e-5)


def test_another_of_torch_fidelitys_extractors_serves(real, held_out):
    extractor = made(Tiny)
    scores = Reference(extractor, real, SETTINGS).score(held_out).values
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
        "density",
        "coverage",
    ]
    assert scores["inception_score"] == pytest.approx(theirs[torch_fidelity.KEY_METRIC_ISC_MEAN], rel=1e-6)
    # Grey images: of twelve features four are different, and torch-fidelity's eigenvalues lose half their digits.
    assert scores["fid"] == pytest.approx(theirs[torch_fidelity.KEY_METRIC_FID], rel=1e-5)
    assert scores["recall"] == pytest.approx(theirs[torch_fidelity.KEY_METRIC_RECALL], rel=1e-6)


def test_the_clean_distance_equals_clean_fid_on_files(exact, real, held_out, tmp_path):
    fake, some = held_out[:210], real[:300]
    mine = Reference(exact, some, SETTINGS).score(fake).values["clean_fcd"]

    def model(images):
        # clean-fid hands out files as float32, 0 to 255.
        return exact(images.round().to(torch.uint8))[exact.features_list.index("pool")]

    theirs = by_clean_fid(model, fake, some, tmp_path, custom_fn_resize=lambda image: image)
    assert mine == pytest.approx(theirs, rel=1e-6)


def test_clean_fids_own_resize_goes_before_an_extractor_that_resizes(real, held_out, tmp_path):
    extractor = made(StrictlyResizing)
    settings = MetricSettings(isc_splits=1, kid_subset_size=10)
    mine = Reference(extractor, real[:50], settings).score(held_out[:45]).values
    theirs = by_clean_fid(lambda resized: Tiny.forward(extractor, resized)[0], held_out[:45], real[:50], tmp_path)
    assert mine["clean_fid"] == pytest.approx(theirs, rel=1e-6)


def test_both_libraries_agree_where_nothing_is_resized(exact, real, held_out):
    scores = Reference(exact, real[:300], SETTINGS).score(held_out[:300]).values
    assert scores["clean_fcd"] == pytest.approx(scores["fcd"], rel=1e-9)


@pytest.mark.parametrize("batch", [1, 7, 10, 64, 1000])
def test_no_image_is_lost_whatever_the_batch(exact, real, batch):
    features = extract(exact, real[:50], ["pool"], batch=batch).layers["pool"]
    assert features.dtype == torch.float64
    expected = exact(real[:50])[exact.features_list.index("pool")]
    torch.testing.assert_close(features, expected, rtol=1e-12, atol=1e-12)
    resizing = made(Resizing)
    clean = extract(resizing, real[:50], [], clean=True, batch=batch).clean
    torch.testing.assert_close(clean, resizing.clean_features(real[:50]), rtol=1e-12, atol=1e-12)


# --- as the eye orders ----------------------------------------------------------------------------


def test_the_reference_against_itself_is_perfect(reference, real):
    scores = reference.score(real).values
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
        "one dropped": reference.score(held_out[labels != 7]).values,
        "half dropped": reference.score(held_out[labels < 5]).values,
        "blurred": reference.score(blurred).values,
        "repeated": reference.score(held_out[:1].repeat(500, 1, 1, 1)).values,
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
        scores = reference.score(bank).values
        assert scores["clean_fcd"] == pytest.approx(scores["fcd"], rel=1e-6)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


# --- names ----------------------------------------------------------------------------------------


def test_only_inception_gives_inceptions_names(floor):
    assert tuple(floor) == score_names(DEFAULT_FAMILIES, inception=False)
    assert not {"fid", "inception_score", "kid", "clean_fid"} & set(floor)


def test_an_extractor_that_cannot_take_resized_images_has_no_clean_score(real):
    extractor = made(OnlyResizing)
    scores = Reference(extractor, real[:50], MetricSettings(kid_subset_size=10)).score(real[50:100]).values
    assert "fcd" in scores
    assert not [name for name in scores if "clean" in name]


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
    if layer == "pool":  # of real images no logits are needed
        with pytest.raises(EvaluationError, match=f"layer '{layer}' is not finite"):
            Reference(extractor, real[:100], SETTINGS)


def test_a_clean_feature_that_is_not_finite_is_an_error(real):
    class Broken(Resizing):
        def clean_features(self, images):
            return super().clean_features(images).fill_(float("nan"))

    with pytest.raises(EvaluationError, match="a feature of the clean layer is not finite"):
        extract(Broken("broken", ["patches"]), real[:3], [], clean=True)


def test_a_score_that_is_not_finite_is_an_error(real):
    class Steep(Tiny):
        """A class so unlikely that its probability is exactly 0 in every image, and its logarithm infinite."""

        def forward(self, images):
            features = super().forward(images)[0]
            return (torch.cat([features, torch.full_like(features[:, :1], -1e4)], dim=1),)

    reference = Reference(Steep("steep", ["patches"]), real[:200], SETTINGS)
    with pytest.raises(EvaluationError, match="score inception_score is not finite"):
        reference.score(real[200:400])


# --- one pass ---------------------------------------------------------------------------------------


def counted(cls):
    class Counted(cls):
        """Remembers how many images it was shown by its own resize and by the other."""

        seen, cleaned = 0, 0

        def forward(self, images):
            self.seen += len(images)
            return super().forward(images)

        def clean_features(self, images):
            self.cleaned += len(images)
            return super().clean_features(images)

    if not hasattr(cls, "clean_features"):
        del Counted.clean_features
    Counted.__name__ = f"Counted{cls.__name__}"
    return Counted(Counted.__name__, feature_layers(cls))


@pytest.mark.parametrize(
    ("judge", "families", "passes"),
    [
        (Exact, ALL, (1, 0)),
        (Exact, ("fid",), (1, 0)),
        (Exact, ("clean-fid",), (1, 0)),
        (CleanResizing, ALL, (1, 0)),
        (Resizing, ALL, (1, 1)),
        (Resizing, ("isc", "fid", "kid", "prc", "intra-fid"), (1, 0)),
        (Resizing, ("clean-fid",), (0, 1)),
    ],
)
def test_every_image_is_seen_once_and_once_more_only_for_the_other_resize(judge, families, passes, data):
    extractor, real = counted(judge), data.train
    reference = Reference(extractor, real.images[:200], SETTINGS, labels=real.labels[:200], families=families)
    # Of a reference, the features are kept whatever is asked of them first.
    assert (extractor.seen, extractor.cleaned) == (200 * passes[0], 200 * passes[1])
    extractor.seen = extractor.cleaned = 0
    scores = reference.score(data.held_out.images[:150], data.held_out.labels[:150])
    assert (extractor.seen, extractor.cleaned) == (150 * passes[0], 150 * passes[1])
    assert scores.n == 150
    assert scores.seconds > 0
    assert tuple(scores.values) == score_names(families, inception=judge is not Exact)


def test_a_score_is_the_same_whatever_is_asked_beside_it(data):
    real, fake = data.train, data.held_out
    whole = Reference(made(Resizing), real.images, SETTINGS, labels=real.labels, families=ALL)
    together = whole.score(fake.images, fake.labels)
    alone = {}
    for family in ALL:
        one = Reference(made(Resizing), real.images, SETTINGS, labels=real.labels, families=[family])
        alone |= one.score(fake.images, fake.labels).values
        alone_by_request = whole.score(fake.images, fake.labels, families=[family]).values
        assert alone_by_request == {name: together.values[name] for name in alone_by_request}
    assert {name: alone[name] for name in together.values} == together.values


# --- crosscheck -------------------------------------------------------------------------------------


@pytest.mark.parametrize("judge", [Exact, Resizing])
def test_the_libraries_own_functions_agree(judge, data):
    real, fake = data.train, data.held_out
    reference = Reference(made(judge), real.images[:300], SETTINGS, labels=real.labels[:300], families=ALL)
    banks = {
        "fewer images than features": slice(0, 101),
        "more": slice(0, 250),
    }
    for part in banks.values():
        images, labels = fake.images[part], fake.labels[part]
        checked = reference.score(images, labels, checked=True)
        assert checked.values == reference.score(images, labels).values
    reference.score(real.images[:300], real.labels[:300], checked=True)
    collapsed = fake.images[:1].repeat(120, 1, 1, 1)
    reference.score(collapsed, torch.arange(120) % 10, checked=True)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("fid_statistics_to_metric", "fcd"),
        ("frechet_distance", "clean_fcd"),
        ("kid_features_to_metric", "kcd"),
        ("prc_features_to_metric", "precision"),
    ],
)
def test_a_library_that_says_otherwise_is_an_error(function, name, real, held_out, monkeypatch):
    reference = Reference(made(Exact), real[:200], SETTINGS)
    original = getattr(ganbench.evaluate.crosscheck, function)

    def other(*given, **options):
        result = original(*given, **options)
        return {k: v * 1.001 for k, v in result.items()} if isinstance(result, dict) else result * 1.001

    monkeypatch.setattr(ganbench.evaluate.crosscheck, function, other)
    with pytest.raises(EvaluationError, match=f"^{name} is .* by the library's own function: more than 0.0001 apart"):
        reference.score(held_out[:150], checked=True)


def test_a_library_that_has_no_answer_is_passed_over(real, held_out, monkeypatch):
    def failing(*_):
        raise ValueError("Imaginary component 1.0")

    monkeypatch.setattr(ganbench.evaluate.crosscheck, "frechet_distance", failing)
    reference = Reference(made(Exact), real[:200], SETTINGS)
    assert reference.score(held_out[:150], checked=True).values["clean_fcd"] > 0


# --- few images -------------------------------------------------------------------------------------


def test_two_images_have_a_distance(real, held_out):
    two = MetricSettings(isc_splits=1, kid_subsets=3, kid_subset_size=2, prc_k=1)
    exact = made(Exact)
    scores = Reference(exact, real[:50], two).score(held_out[:2]).values
    theirs = by_torch_fidelity(exact, held_out[:2], real[:50], two)
    assert scores["fcd"] == pytest.approx(theirs[torch_fidelity.KEY_METRIC_FID], rel=1e-6)
    assert scores["kcd"] == pytest.approx(theirs[torch_fidelity.KEY_METRIC_KID_MEAN], rel=1e-6)
    assert Reference(exact, real[:2], two).score(real[:2]).values["fcd"] == pytest.approx(0, abs=1e-9)


def test_only_what_a_metric_needs_is_asked_of_the_number_of_images(real, held_out):
    strict = MetricSettings(isc_splits=50, kid_subset_size=1000, prc_k=40)
    reference = Reference(made(Exact), real[:40], strict, families=["fid"])
    assert list(reference.score(held_out[:2]).values) == ["fcd"]


def test_intra_classes_need_labels(data, real, held_out):
    with pytest.raises(UsageError, match="the reference has no labels"):
        Reference(made(Exact), real, SETTINGS, families=ALL)
    reference = Reference(made(Exact), real, SETTINGS, labels=data.train.labels, families=ALL)
    with pytest.raises(UsageError, match="the generated images have no labels"):
        reference.score(held_out)


def test_broken_extractors_are_told(real):
    class Cardless(Tiny):
        card = None

    with pytest.raises(MissingError, match="the extractor Cardless is broken"):
        Reference(Cardless("cardless", ["patches"]), real, SETTINGS)
    with pytest.raises(MissingError, match="made without the layer 'logits'"):
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
    assert reference.score(bank).values == reference.score(bank).values
    assert torch.equal(bank, copy)


def test_features_do_not_depend_on_the_precision_of_training(reference, real):
    extractor = CNNDigits("cnn-digits", ["pool", "logits"])
    expected = extract(extractor, real[:64], ["pool"]).layers["pool"]
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            found = extract(extractor, real[:64], ["pool"]).layers["pool"]
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(found, expected)


def test_a_file_of_images_is_read_a_batch_at_a_time(real, held_out, tmp_path, monkeypatch):
    np.save(tmp_path / "real.npy", real.numpy())
    np.save(tmp_path / "fake.npy", held_out.numpy())
    expected = Reference(made(Exact), real, SETTINGS, batch=32).score(held_out).values
    read = []
    original = ImageFile._read
    monkeypatch.setattr(
        ImageFile, "_read", lambda self, into, first: read.append(len(into)) or original(self, into, first)
    )
    reference = Reference(made(Exact), ImageFile(tmp_path / "real.npy"), SETTINGS, batch=32)
    assert reference.score(ImageFile(tmp_path / "fake.npy")).values == expected
    assert max(read) == 32 * 3 * 32 * 32
    assert sum(read) == real.numel() + held_out.numel()
