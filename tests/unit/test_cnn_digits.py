"""The frozen classifier behind the scores of the embedded digits."""

import hashlib
import inspect
import pickle

import pytest
import torch

from ganbench.errors import MissingError
from ganbench.evaluate.features import extract
from ganbench.options import option_model
from ganbench.zoo.dataset.digits import digits
from ganbench.zoo.extractor import digits_classifier
from ganbench.zoo.extractor.digits_classifier import CNNDigits, CNNDigitsArea


@pytest.fixture(scope="module")
def data():
    return digits(32)


@pytest.fixture(scope="module")
def extractor():
    return CNNDigits("cnn-digits", ["pool", "logits"])


def test_it_reads_digits_that_it_never_saw(extractor, data):
    logits = extract(extractor, data.held_out.images, ["logits"]).layers["logits"]
    assert (logits.argmax(1) == data.held_out.labels).double().mean() >= 0.99


def test_layers_come_in_the_requested_order(extractor, data):
    pool, logits = extractor(data.train.images[:5])
    assert (pool.shape, logits.shape) == ((5, 128), (5, 10))
    assert (pool >= 0).all()
    swapped = CNNDigits("cnn-digits", ("logits", "pool"))(data.train.images[:5])
    assert torch.equal(swapped[0], logits)
    assert torch.equal(swapped[1], pool)
    (alone,) = CNNDigits("cnn-digits", ["pool"])(data.train.images[:5])
    assert torch.equal(alone, pool)


def test_an_image_has_the_same_features_in_any_company(extractor, data):
    together, alone = extractor(data.train.images[:64])[0], extractor(data.train.images[:1])[0]
    torch.testing.assert_close(together[:1], alone, rtol=1e-5, atol=1e-6)


def test_it_is_frozen_and_stays_in_eval_mode():
    extractor = CNNDigits("cnn-digits", ["pool"])
    extractor.train()
    assert not any(module.training for module in extractor.modules())
    assert not any(parameter.requires_grad for parameter in extractor.parameters())


def test_making_one_leaves_the_global_generator_where_it_was():
    # Layers are initialised before the weights are loaded over them.
    before = torch.get_rng_state()
    CNNDigits("cnn-digits", ["pool"])
    assert torch.equal(torch.get_rng_state(), before)


def test_what_torch_fidelity_asks_of_it(extractor):
    assert CNNDigits.get_provided_features_list() == ("pool", "logits")
    layers = {m: CNNDigits.get_default_feature_layer_for_metric(m) for m in ("isc", "fid", "kid", "prc")}
    assert layers == {"isc": "logits", "fid": "pool", "kid": "pool", "prc": "pool"}
    assert CNNDigits.can_be_compiled()
    assert extractor(CNNDigits.get_dummy_input_for_compile())[0].shape == (1, 128)


def test_it_takes_what_torch_fidelity_passes_but_has_no_option():
    CNNDigits("cnn-digits", ["pool"], feature_extractor_internal_dtype=None, verbose=False)
    assert not option_model(CNNDigits).model_fields
    assert list(inspect.signature(CNNDigits).parameters)[:2] == ["name", "features_list"]


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 32, 32),
        torch.zeros(2, 3, 64, 64, dtype=torch.uint8),
        torch.zeros(2, 1, 32, 32, dtype=torch.uint8),
    ],
)
def test_other_images_are_refused(extractor, images):
    with pytest.raises(ValueError, match=r"cnn-digits takes uint8 \[B, 3, 32, 32\]"):
        extractor(images)


def test_an_unknown_layer_is_refused():
    with pytest.raises(ValueError, match="not on the list"):
        CNNDigits("cnn-digits", ["2048"])


def test_the_card_names_the_frozen_file():
    content = digits_classifier.WEIGHTS.read_bytes()
    assert CNNDigits.card.weights_sha256 == hashlib.sha256(content).hexdigest()
    assert (CNNDigits.card.resize, CNNDigits.card.resolutions, CNNDigits.card.inception) == (
        "none",
        (32,),
        False,
    )
    assert len(content) < 1_000_000


class Bomb:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_foreign_weights_are_refused_before_they_are_unpickled(tmp_path, monkeypatch):
    trace = tmp_path / "trace"
    weights = tmp_path / "cnn_digits.pt"
    weights.write_bytes(pickle.dumps(Bomb(trace)))
    monkeypatch.setattr(digits_classifier, "WEIGHTS", weights)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was unpickled"))
    with pytest.raises(MissingError, match=r"not the frozen ones: .*cnn_digits\.pt has sha256 .*[Rr]einstall"):
        CNNDigits("cnn-digits", ["pool"])
    assert not trace.exists()


def test_one_flipped_bit_is_refused(tmp_path, monkeypatch):
    content = bytearray(digits_classifier.WEIGHTS.read_bytes())
    content[len(content) // 2] ^= 1
    weights = tmp_path / "cnn_digits.pt"
    weights.write_bytes(content)
    monkeypatch.setattr(digits_classifier, "WEIGHTS", weights)
    with pytest.raises(MissingError, match="not the frozen ones"):
        CNNDigits("cnn-digits", ["pool"])


def test_absent_weights_are_told_with_the_mend(tmp_path, monkeypatch):
    monkeypatch.setattr(digits_classifier, "WEIGHTS", tmp_path / "cnn_digits.pt")
    with pytest.raises(MissingError, match=r"cannot be read: .*\(No such file or directory\).*[Rr]einstall"):
        CNNDigits("cnn-digits", ["pool"])


@pytest.mark.parametrize("resolution", [64, 128])
def test_larger_images_are_averaged_to_what_the_network_takes(resolution, data, extractor):
    area = CNNDigitsArea("cnn-digits-area", ["pool", "logits"])
    larger = digits(resolution)
    factor = resolution // 32
    blocks = data.train.images[:5].repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    assert torch.equal(area(blocks)[0], extractor(data.train.images[:5])[0])
    averaged = larger.train.images[:].float().unfold(2, factor, factor).unfold(3, factor, factor).mean((4, 5))
    apart = (averaged - data.train.images[:].float()).abs()
    assert apart.mean() < 0.5
    assert apart.max() < 9
    logits = extract(area, larger.held_out.images, ["logits"]).layers["logits"]
    assert (logits.argmax(1) == larger.held_out.labels).double().mean() >= 0.99


@pytest.mark.parametrize(
    "images", [torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 48, 48, dtype=torch.uint8)], ids=["float", "48 px"]
)
def test_other_images_are_not_averaged(images):
    with pytest.raises(ValueError, match=r"takes uint8 \[B, 3, R, R\] with R a multiple of 32"):
        CNNDigitsArea("cnn-digits-area", ["pool"])(images)
