"""Every reader, on small files in the real format: pixels, labels and splits, and how broken files are told."""

from __future__ import annotations

import gzip
import os
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import formats
import numpy as np
import pytest
import torchvision
from formats import MAKERS, Split, drawn, python2_pickle, write_images, zipped

from ganbench.decode import decode
from ganbench.errors import MissingError, UsageError
from ganbench.options import resolve_options, typed_options
from ganbench.registry import built_in
from ganbench.sources import AbsentError, RawData, RawSplit, Source
from ganbench.zoo import COMPONENTS


def source(name: str, root: Path, **options: Any) -> Source:
    component = built_in("dataset", name).load()
    return component(root, **typed_options(component, resolve_options(component, options, "dataset")))


def read(name: str, root: Path, **options: Any) -> RawData:
    return source(name, root, **options).read()


def pixels(split: RawSplit) -> np.ndarray:
    """uint8 [N, H, W, 3], of square images at their own size, after a pickle has carried them."""
    images = pickle.loads(pickle.dumps(split.images))
    side = 96 if "_Binary" in type(images).__name__ else None
    raws = [images[k] for k in range(len(images))]
    side = side or (28 if getattr(raws[0], "shape", ())[:1] == (28,) else 32)
    return np.stack([decode(raw, side) for raw in raws]).transpose(0, 2, 3, 1)


def assert_is(split: RawSplit | None, expected: Split) -> None:
    assert split is not None
    assert np.array_equal(split.labels, expected.labels)
    assert split.labels.dtype == np.int64
    wanted = expected.pixels if expected.pixels.ndim == 4 else np.repeat(expected.pixels[..., None], 3, 3)
    assert np.array_equal(pixels(split), wanted)


def test_every_data_set_of_files_has_a_maker() -> None:
    assert {*MAKERS, "digits"} == set(COMPONENTS["dataset"])


NAMES = {
    "celeba": ("train", "test", 0),
    "cifar10": ("train", "test", 10),
    "cifar100": ("train", "test", 100),
    "fashion-mnist": ("train", "test", 10),
    "folder": ("train", "test", 2),
    "imagenet": ("train", "val", 3),
    "lsun": ("train", "val", 0),
    "mnist": ("train", "test", 10),
    "npz": ("train", "test", 3),
    "stl10": ("train+unlabeled", "test", 0),
    "svhn": ("train", "test", 10),
}


@pytest.mark.parametrize("name", MAKERS)
def test_pixels_labels_and_splits(name: str, tmp_path: Path) -> None:
    train, held_out = MAKERS[name](tmp_path)
    raw = read(name, tmp_path)
    assert_is(raw.train, train)
    assert_is(raw.held_out, held_out)
    assert raw.held_out is not None
    assert (raw.train.name, raw.held_out.name, len(raw.classes)) == NAMES[name]
    assert len({raw.train.images.name(k) for k in range(len(raw.train))}) == len(raw.train)


@pytest.mark.parametrize("name", MAKERS)
def test_absent_files_are_told_by_their_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(AbsentError) as caught:
        source(name, tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(caught.value)


@pytest.mark.parametrize("name", MAKERS)
def test_the_key_changes_with_any_file(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    key = source(name, tmp_path).key
    assert source(name, tmp_path).key == key
    files = [p for p in tmp_path.rglob("*") if p.is_file() and p.name not in UNREAD]
    for path in files[:: max(len(files) // 12, 1)]:
        before = path.stat()
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        assert source(name, tmp_path).key != key, path
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source(name, tmp_path).key == key


UNREAD = {
    *("identity_CelebA.txt", "list_attr_celeba.txt", "train_y.bin", "test_y.bin", "class_names.txt"),
    *("lock.mdb", "meta.mat.txt"),
}
"""Files that the defaults do not look at."""


# What torchvision makes of the same files.


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_what_torchvision_reads(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MAKERS[name](tmp_path)
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_: True)
    raw = read(name, tmp_path)
    for split, train in ((raw.train, True), (raw.held_out, False)):
        theirs = getattr(torchvision.datasets, name.upper())(tmp_path, train=train)
        assert_is(split, Split(theirs.data, theirs.targets))
        assert list(raw.classes) == theirs.classes


def test_svhn_is_what_torchvision_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats.svhn(tmp_path)
    monkeypatch.setattr(torchvision.datasets.svhn, "check_integrity", lambda *_: True)
    theirs = torchvision.datasets.SVHN(tmp_path / "svhn", split="train")
    assert_is(read("svhn", tmp_path).train, Split(theirs.data.transpose(0, 2, 3, 1), theirs.labels))


@pytest.mark.parametrize("split", ["train", "unlabeled", "train+unlabeled"])
def test_stl10_is_what_torchvision_reads(split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats.stl10(tmp_path)
    monkeypatch.setattr(torchvision.datasets.stl10, "check_integrity", lambda *_: True)
    theirs = torchvision.datasets.STL10(tmp_path, split=split)
    raw = read("stl10", tmp_path, split=split)
    labels = theirs.labels if split == "train" else np.zeros(len(theirs), np.int64)
    assert_is(raw.train, Split(theirs.data.transpose(0, 2, 3, 1), labels))
    assert raw.classes == (tuple(theirs.classes) if split == "train" else ())


def test_idx_is_what_torchvision_reads(tmp_path: Path) -> None:
    formats.mnist(tmp_path, compressed=False)
    theirs = torchvision.datasets.MNIST(tmp_path, train=False)
    assert_is(read("mnist", tmp_path).held_out, Split(theirs.data.numpy(), theirs.targets.numpy()))


def test_imagenet_is_what_torchvision_reads(tmp_path: Path) -> None:
    train, val = formats.imagenet(tmp_path, flat=False)
    raw = read("imagenet", tmp_path)
    theirs = torchvision.datasets.ImageFolder(str(tmp_path / "imagenet" / "val"))
    assert raw.held_out is not None
    assert raw.held_out.labels.tolist() == theirs.targets == val.labels.tolist()
    assert_is(raw.train, train)
    assert raw.classes == tuple(f"{wnid} {wnid[:4]} word" for wnid in theirs.classes)


# Options.


def test_coarse_labels(tmp_path: Path) -> None:
    train, _ = formats.cifar100(tmp_path)
    raw = read("cifar100", tmp_path, coarse=True)
    assert raw.train.labels.tolist() == (train.labels // 5).tolist()
    assert len(raw.classes) == 20


def test_extra_house_numbers(tmp_path: Path) -> None:
    train, _ = formats.svhn(tmp_path)
    folder = tmp_path / "svhn"
    (folder / "extra_32x32.mat").write_bytes((folder / "test_32x32.mat").read_bytes())
    assert len(read("svhn", tmp_path, split="train+extra").train) == len(train.labels) + 10


def test_labels_of_celeba(tmp_path: Path) -> None:
    formats.celeba(tmp_path)
    assert read("celeba", tmp_path, labels="Smiling").train.labels.tolist() == [0, 1, 0]
    assert read("celeba", tmp_path, labels="Smiling").classes == ("no", "yes")
    identity = read("celeba", tmp_path, labels="identity", held_out="valid")
    assert identity.train.labels.tolist() == [0, 3, 2]
    assert identity.held_out is not None
    assert (identity.held_out.labels.tolist(), identity.held_out.name) == ([1, 0, 3], "valid")
    with pytest.raises(UsageError, match="one of Smiling, Bald, not 'Smilling'"):
        read("celeba", tmp_path, labels="Smilling")


def test_celeba_in_its_zip(tmp_path: Path) -> None:
    train, test = formats.celeba(tmp_path)
    folder = tmp_path / "celeba" / "img_align_celeba"
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"img_align_celeba/{path.name}")
            path.unlink()
    folder.rmdir()
    raw = read("celeba", tmp_path)
    assert_is(raw.train, train)
    assert_is(raw.held_out, test)


def test_several_categories_of_lsun_are_classes(tmp_path: Path) -> None:
    formats.lsun(tmp_path)
    formats.write_lmdb(tmp_path / "lsun" / "tower_train_lmdb", drawn(2, 32, 1, 0).pixels)
    raw = read("lsun", tmp_path, categories="bedroom+tower")
    assert raw.classes == ("bedroom", "tower")
    assert raw.train.labels.tolist() == [0] * 5 + [1] * 2
    assert raw.held_out is None
    with pytest.raises(UsageError, match="not 'castle'"):
        read("lsun", tmp_path, categories="castle")


def test_lsun_says_how_to_get_lmdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats.lsun(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(MissingError, match="pip install lmdb"):
        read("lsun", tmp_path)


def test_an_archive_without_labels_or_test_images(tmp_path: Path) -> None:
    split = drawn(4, 32, 1, 0, ())
    np.savez_compressed(tmp_path / "mine.npz", split.pixels)
    raw = read("npz", tmp_path, path="mine.npz")
    assert_is(raw.train, split)
    assert raw.held_out is None
    assert raw.classes == ()


# Trees.


def test_a_folder_without_classes_or_splits(tmp_path: Path) -> None:
    images = drawn(4, 32, 1, 0)
    write_images(tmp_path, ["b.png", "a/2.PNG", "a/10.png", ".hidden/x.png"], images.pixels)
    (tmp_path / "notes.txt").write_text("hello")
    raw = read("folder", tmp_path)
    assert_is(raw.train, Split(images.pixels[[2, 1, 0]], np.zeros(3, np.int64)))
    assert raw.held_out is None
    assert raw.notes == ("1 files have no picture's suffix and are left out, such as notes.txt",)
    with pytest.raises(MissingError, match=r"'b\.png' lies in none"):
        read("folder", tmp_path, classes="folders")


def test_a_zip_is_a_folder(tmp_path: Path) -> None:
    images = drawn(4, 32, 1, 0)
    names = ["top/cat/1.png", "top/cat/2.png", "top/dog/1.png", "top/dog/2.png"]
    zipped(tmp_path / "pets.zip", names, images.pixels)
    assert read("folder", tmp_path, path="pets.zip").classes == ()
    zipped(tmp_path / "pets.zip", [name[4:] for name in names], images.pixels)
    raw = read("folder", tmp_path, path="pets.zip")
    assert raw.classes == ("cat", "dog")
    assert_is(raw.train, Split(images.pixels, np.array([0, 0, 1, 1])))


def test_a_fraction_is_held_out_of_each_class(tmp_path: Path) -> None:
    images = drawn(20, 32, 1, 0)
    names = [f"{'ab'[k % 2]}/{k:02}.png" for k in range(20)]
    write_images(tmp_path, names, images.pixels)
    raw = read("folder", tmp_path, held_out_fraction=0.2)
    assert raw.held_out is not None
    held = [raw.held_out.images.name(k) for k in range(len(raw.held_out))]
    assert held == ["a/08.png", "a/18.png", "b/09.png", "b/19.png"]
    assert raw.held_out.labels.tolist() == [0, 0, 1, 1]
    assert len(raw.train) == 16
    with pytest.raises(MissingError, match=r"holds out none of the 20"):
        read("folder", tmp_path, held_out_fraction=0.01)


def test_a_named_folder_is_held_out(tmp_path: Path) -> None:
    images = drawn(3, 32, 1, 0)
    write_images(tmp_path, ["train/1.png", "test/1.png", "later/1.png"], images.pixels)
    raw = read("folder", tmp_path, held_out="later")
    assert raw.held_out is not None
    assert raw.held_out.name == "later"
    assert raw.notes == ("1 pictures lie in neither split's folder and are left out",)
    with pytest.raises(MissingError, match="no folders train/ and nowhere/"):
        read("folder", tmp_path, held_out="nowhere")


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    images = drawn(2, 32, 1, 0)
    write_images(tmp_path / "elsewhere", ["1.png", "2.png"], images.pixels)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "tree")
    assert len(read("folder", tmp_path, path="tree").train) == 2


# Broken sources, each told in one line.


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("it-went-off",)


PICKLES = {
    "os": (lambda: pickle.dumps({"data": Bomb()}, 2), r"names (posix|nt)\.mkdir, which no batch"),
    "builtins": (lambda: b"cbuiltins\neval\n(V1\ntR.", r"names builtins\.eval"),
    "getattr": (lambda: b"c__builtin__\ngetattr\n.", r"names __builtin__\.getattr"),
    "a dotted name": (
        lambda: b"\x80\x04\x8c\x05numpy\x8c\x12ndarray.__reduce__\x93.",
        r"names numpy\.ndarray\.__reduce__",
    ),
    "objects": (lambda: python2_pickle({"data": np.array([[1, "a"]], object)}), "an array of"),
    "floats": (lambda: python2_pickle({"data": np.zeros((1, 3072))}), "an array of"),
    "nothing": (lambda: b"", "no batch of CIFAR: Ran out of input"),
    "half": (lambda: python2_pickle({"data": np.zeros((1, 3072), np.uint8), "labels": [1]})[:200], "no batch of CIFAR"),
    "a list": (lambda: python2_pickle([1]), "it holds no dict"),
    "other rows": (lambda: python2_pickle({"data": np.zeros((1, 30), np.uint8), "labels": [1]}), "no array 'data'"),
    "no labels": (lambda: python2_pickle({"data": np.zeros((1, 3072), np.uint8)}), "no list 'labels'"),
    "labels of another length": (
        lambda: python2_pickle({"data": np.zeros((1, 3072), np.uint8), "labels": [1, 2]}),
        "1 images and 2 labels",
    ),
}


@pytest.mark.parametrize("which", PICKLES)
def test_a_pickle_makes_images_or_nothing(which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    formats.cifar10(tmp_path)
    content, message = PICKLES[which]
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(content())
    with pytest.raises(MissingError, match=message) as caught:
        read("cifar10", tmp_path)
    assert "data_batch_3" in str(caught.value)
    assert not (tmp_path / "it-went-off").exists()


def test_the_bomb_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps({"data": Bomb()}, 2))
    assert (tmp_path / "it-went-off").is_dir()


def test_the_pickles_are_those_of_python_2() -> None:
    codes = {code.name for code, _, _ in pickletools.genops(python2_pickle({"data": np.zeros((2, 9), np.uint8)}))}
    assert {"SHORT_BINSTRING", "GLOBAL", "REDUCE", "BUILD"} <= codes
    assert not {name for name in codes if "UNICODE" in name or "BINBYTES" in name}


def test_a_pickle_of_python_3_is_read_as_well(tmp_path: Path) -> None:
    train, _ = formats.cifar10(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_1"
    content = {"data": formats._rows(train)[:4], "labels": train.labels[:4].tolist()}
    path.write_bytes(pickle.dumps(content, protocol=2))
    assert_is(read("cifar10", tmp_path).train, train)


KIT = "imagenet/ILSVRC2012_devkit_t12/data"
TRUTH = f"{KIT}/ILSVRC2012_validation_ground_truth.txt"
GREY, CLOTHES = "MNIST/raw/train-images-idx3-ubyte.gz", "FashionMNIST/raw/t10k-images-idx3-ubyte"
NINETEEN, TENTH = formats.idx(np.zeros(19, np.uint8)), formats.idx(np.zeros((10, 28, 28), np.uint8))[:-1]
BROKEN = [
    # name, file, its new content, in the message
    ("mnist", "MNIST/raw/train-labels-idx1-ubyte.gz", gzip.compress(NINETEEN, mtime=0), "20 images and 19 labels"),
    ("mnist", GREY, b"text", "cannot be read: Not a gzipped file"),
    ("mnist", GREY, gzip.compress(b"text", mtime=0), "no IDX file of bytes"),
    ("fashion-mnist", CLOTHES, TENTH, "has 7839 bytes, not those of"),
    ("stl10", "stl10_binary/unlabeled_X.bin", bytes(27648 + 5), "5 bytes beyond 1 whole images"),
    ("svhn", "svhn/train_32x32.mat", b"text", "cannot be read as a MATLAB file"),
    ("npz", "images.npz", b"text", "cannot be read as a NumPy archive"),
    ("celeba", "celeba/list_eval_partition.txt", b"000001.jpg zero\n", "no table of names and numbers"),
    ("imagenet", TRUTH, b"1\n2\n", "has 2 labels, and .* 6 images"),
    ("imagenet", TRUTH, b"9\n" * 6, "names the class 9"),
    ("imagenet", f"{KIT}/meta.mat", b"text", "the kit's table of classes"),
    ("imagenet", "imagenet/train/loose.JPEG", b"text", "lies in no folder of a class"),
    ("imagenet", "imagenet/val/other.JPEG", b"text", "has 6 labels, and .* 7 images"),
    ("folder", "test/class9/1.png", b"text", "has the class 'class9', which train/ has not"),
    ("lsun", "lsun/bedroom_train_lmdb/data.mdb", b"text" * 5000, "cannot be opened as an LMDB database"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "content", "message"), BROKEN)
def test_a_broken_file_is_told(name: str, file: str, content: bytes, message: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(MissingError, match=message):
        read(name, tmp_path)


def test_tables_of_celeba_that_do_not_fit(tmp_path: Path) -> None:
    formats.celeba(tmp_path)
    (tmp_path / "celeba" / "identity_CelebA.txt").write_text("000001.jpg 1\n")
    with pytest.raises(MissingError, match="has 1 rows, not one for each of the 9"):
        read("celeba", tmp_path, labels="identity")


def test_archives_that_do_not_fit(tmp_path: Path) -> None:
    images = drawn(4, 8, 2, 0)
    for arrays, message in (
        ({"pictures": images.pixels}, "no array 'images' but pictures"),
        ({"images": images.pixels.astype(np.float32)}, r"is float32 \[4, 8, 8, 3\]"),
        ({"images": images.pixels, "labels": np.arange(3)}, "4 images and 3 labels"),
        ({"images": images.pixels, "labels": np.zeros(4)}, "not whole numbers"),
        ({"images": np.array([{}], object)}, "cannot be read as a NumPy archive: Object arrays"),
        ({"images": images.pixels, "labels": images.labels, "test_images": images.pixels}, "labels one split"),
    ):
        np.savez(tmp_path / "images.npz", **arrays)
        with pytest.raises(MissingError, match=message):
            read("npz", tmp_path)


@pytest.mark.parametrize("name", ["../out.png", "/etc/x.png", "a/../../x.png", "..\\x.png"])
def test_a_zip_that_leads_out_of_itself(name: str, tmp_path: Path) -> None:
    zipped(tmp_path / "evil.zip", [name], drawn(1, 8, 1, 0).pixels)
    with pytest.raises(MissingError, match="a name that leads out of it"):
        read("folder", tmp_path, path="evil.zip")
