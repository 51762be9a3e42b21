"""Weight files are compared with the published ones before anything of them is loaded, on every use."""

from __future__ import annotations

import os
import pickle
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from inception_weights import PT, PTH, InceptionWeights

from ganbench import weights
from ganbench.errors import MissingError, StoreError, UsageError
from ganbench.evaluate.extractors import make_extractor
from ganbench.places import Places
from ganbench.published import INCEPTION, PUBLISHED, PublishedWeights
from ganbench.registry import Registry
from ganbench.spec import ExtractorChoice
from ganbench.store import file_sha256

CONTENT = b"the weights"
SMALL = PublishedWeights("small.pth", "https://example.org/small.pth", "", len(CONTENT))


@pytest.fixture
def small(tmp_path: Path) -> PublishedWeights:
    """A file that is the published one, in ``weights``."""
    path = tmp_path / "weights" / SMALL.file
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return replace(SMALL, sha256=file_sha256(path))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(weights=tmp_path / "weights")


def lax(places: Places) -> Places:
    return replace(places, unverified_weights=True)


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


def make(name: str, places: Places) -> object:
    entry = Registry.discover().find("extractor", name)
    return make_extractor(entry, ExtractorChoice(name=name, provider="ganbench"), places, torch.device("cpu"))


def test_the_published_file_is_found_and_read(small, places) -> None:
    found = weights.find("any", [small], places)
    assert found.verified
    assert found.sha256 == small.sha256
    assert found.content().read() == CONTENT


@pytest.mark.parametrize(
    ("content", "says"),
    [(CONTENT[:-1], "it has 10 bytes and the published file 11"), (b"The weights", "its sha256 is"), (b"", "0 bytes")],
    ids=["truncated", "tampered", "empty"],
)
def test_another_file_is_refused_and_taken_only_where_allowed(small, places, content, says) -> None:
    path = places.weights / small.file
    path.write_bytes(content)
    with pytest.raises(MissingError) as refused:
        weights.find("any", [small], places)
    for part in (says, str(path), f"curl -LO {small.url} && ganbench weights add small.pth", weights.ALLOW):
        assert part in str(refused.value)
    found = weights.find("any", [small], lax(places))
    assert not found.verified
    assert found.sha256 == file_sha256(path)


def test_absent_weights_are_told_with_the_commands_that_mend_it(small, places) -> None:
    shutil.rmtree(places.weights)
    with pytest.raises(MissingError, match=r"'any' needs small\.pth in .*: curl -LO https://example\.org/small\.pth"):
        weights.find("any", [small], lax(places))


def test_a_good_file_is_found_beside_a_bad_one(small, places) -> None:
    bad = replace(small, file="bad.pth")
    (places.weights / "bad.pth").write_bytes(b"bad")
    assert weights.find("any", [bad, small], places).published == small


def test_what_has_no_published_hash_is_never_verified(small, places) -> None:
    unknown = replace(small, sha256=None)
    with pytest.raises(MissingError, match="its publisher states no sha256: --allow-unverified-weights"):
        weights.find("any", [unknown], places)
    assert not weights.find("any", [unknown], lax(places)).verified


def test_a_file_that_changes_after_the_check_is_not_loaded(small, places) -> None:
    found = weights.find("any", [small], places)
    found.path.write_bytes(b"The weights")
    with pytest.raises(MissingError, match="changed while they were in use"):
        found.content()
    found.path.unlink()
    with pytest.raises(MissingError, match="cannot be read"):
        found.content()


@pytest.mark.parametrize("name", ["inception", "inception-clean", "vgg16", "clip-vit-b-32", "dinov2-vit-s-14"])
@pytest.mark.parametrize("allowed", [False, True])
def test_a_pickle_that_would_run_code_does_not(tmp_path, places, name, allowed) -> None:
    """Of the published size where that is known and small, so that the hash alone tells."""
    (published, *_) = PUBLISHED[name]
    path = places.weights / published.file
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    if not allowed and published.size is not None and published.size < 100_000_000:
        os.truncate(path, published.size)
    with pytest.raises(MissingError, match="were not loaded" if not allowed else "cannot be made from"):
        make(name, lax(places) if allowed else places)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("file", [PTH, PT])
def test_real_formats_are_refused_unless_allowed_and_when_cut_short(inception_weights, places, file) -> None:
    with pytest.raises(MissingError, match="were not loaded"):
        make("inception", Places(weights=inception_weights.both))
    path = places.weights / file
    path.parent.mkdir()
    shutil.copy(inception_weights.both / file, path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(MissingError, match=r"cannot be made from .* \(the file is not the published one\)"):
        make("inception", lax(places))


def test_a_file_is_known_by_its_content_whatever_its_name(small, places, tmp_path) -> None:
    given = tmp_path / "download (1)"
    shutil.move(places.weights / small.file, given)
    shutil.rmtree(places.weights)
    added = weights.add(given, [*INCEPTION, small], places)
    assert added.path == places.weights / "small.pth"
    assert added.path.read_bytes() == given.read_bytes() == CONTENT
    assert weights.add(added.path, [small], places).path == added.path  # where it is already
    assert list(places.weights.iterdir()) == [added.path]


def test_another_file_is_added_by_its_name_only_where_allowed(small, places, tmp_path) -> None:
    given = tmp_path / "small.pth"
    given.write_bytes(b"other")
    with pytest.raises(MissingError, match="5 bytes"):
        weights.add(given, [small], places)
    assert (places.weights / "small.pth").read_bytes() == CONTENT
    assert weights.add(given, [small], lax(places)).sha256 == file_sha256(given)
    assert (places.weights / "small.pth").read_bytes() == b"other"


def test_what_cannot_be_added(small, places, tmp_path) -> None:
    with pytest.raises(MissingError, match="cannot be read: No such file"):
        weights.add(tmp_path / "absent", [small], places)
    with pytest.raises(MissingError, match="cannot be read: Is a directory"):
        weights.add(tmp_path, [small], places)
    (tmp_path / "smal.pth").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"unknown weight file 'smal\.pth': did you mean small\.pth"):
        weights.add(tmp_path / "smal.pth", [small], lax(places))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be written"):
        weights.add(places.weights / small.file, [small], Places(weights=tmp_path / "file"))


def test_a_copy_that_breaks_off_leaves_the_old_file(small, places, tmp_path, monkeypatch) -> None:
    given = shutil.copy(places.weights / small.file, tmp_path / "given")
    (places.weights / small.file).write_bytes(b"old")

    def half(source: object, target: object, *_: object) -> None:
        target.write(CONTENT[:4])  # type: ignore[attr-defined]

    monkeypatch.setattr(weights.shutil, "copyfileobj", half)
    with pytest.raises(MissingError, match="changed while they were copied"):
        weights.add(Path(given), [small], places)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights.shutil, "copyfileobj", full)
    with pytest.raises(StoreError, match="No space left"):
        weights.add(Path(given), [small], places)
    assert (places.weights / small.file).read_bytes() == b"old"
    assert [path.name for path in places.weights.iterdir()] == [small.file]


def test_the_survey(small, places) -> None:
    wrong, unknown = replace(small, file="wrong.pth"), replace(small, file="unknown.pth", sha256=None)
    (places.weights / "wrong.pth").write_bytes(b"wrong")
    (places.weights / "unknown.pth").write_bytes(CONTENT)
    known = {"one": (small, wrong), "two": (wrong, unknown), "three": INCEPTION}
    states = {state.published.file: state for state in weights.survey(known, places)}
    assert [state.state for state in states.values()] == ["present", "wrong", "unverifiable", "absent", "absent"]
    assert states["wrong.pth"].extractors == ("one", "two")
    assert states["wrong.pth"].fault == "it has 5 bytes and the published file 11"


def test_the_published_table() -> None:
    """Against what both libraries' sources state."""
    from cleanfid.downloads_helper import inception_url
    from torch_fidelity.feature_extractor_clip import MODEL_METADATA, MODEL_URLS
    from torch_fidelity.feature_extractor_dinov2 import MODEL_METADATA as DINOV2
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
    from torchvision.models import VGG16_Weights

    assert [each.url for each in INCEPTION] == [URL_INCEPTION_V3, inception_url]
    assert PUBLISHED["vgg16"][0].url == VGG16_Weights.IMAGENET1K_V1.url
    for name, metadata in MODEL_METADATA.items():
        assert PUBLISHED[name][0].sha256 == metadata["hash"]
        assert PUBLISHED[name][0].url == MODEL_URLS[name]
    for name, model in DINOV2.items():
        assert PUBLISHED[name][0].file == f"{model}_pretrain.pth"
    # Tests register their own, under names that begin so.
    registered = {name for name in FEATURE_EXTRACTORS_REGISTRY if not name.startswith("test-")}
    theirs = registered - {"inception-v3-compat"}
    assert set(PUBLISHED) == theirs | {"inception", "inception-clean"}
    for files in PUBLISHED.values():
        for each in files:
            assert each.url.endswith(f"/{each.file}")
            assert each.sha256 is None or re.fullmatch("[0-9a-f]{64}", each.sha256)
            (told,) = re.findall("-([0-9a-f]{8})[.]pth", each.file) or [""]
            assert (each.sha256 or "").startswith(told)
    built_in = [entry for entry in Registry.discover().entries("extractor") if entry.built_in]
    assert {entry.name: entry.load().card.weights for entry in built_in if entry.load().card.weights} == PUBLISHED


def test_the_fixture_comes_near_the_real_files(inception_weights: InceptionWeights) -> None:
    """As many parameters, to a fifth of a per cent of the bytes."""
    for path, published in zip((inception_weights.pth, inception_weights.pt), INCEPTION, strict=True):
        assert path.name == published.file
        assert path.stat().st_size == pytest.approx(published.size, rel=0.002)
