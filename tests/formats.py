"""Small data sets in the formats of their publishers, as bytes on the disk."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import lmdb
import numpy as np
from PIL import Image
from scipy.io import savemat

Array = Any


@dataclass(frozen=True)
class Split:
    """What a reader must give: uint8 [N, H, W] or [N, H, W, 3], and labels [N]."""

    pixels: Array
    labels: Array


def drawn(count: int, side: int, classes: int, seed: int, channels: tuple[int, ...] = (3,)) -> Split:
    """Random pixels; every class in turn, shuffled."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    return Split(rng.integers(0, 256, (count, side, side, *channels), np.uint8), labels)


def encoded(pixels: Array, style: str = "PNG") -> bytes:
    """One picture as a file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=style)
    return buffer.getvalue()


def bomb() -> bytes:
    """A small PNG that says it has 30,000 x 30,000 pixels."""
    png = bytearray(encoded(np.zeros((1, 1), np.uint8)))
    png[16:24] = struct.pack(">II", 30_000, 30_000)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    return bytes(png)


def write_images(folder: Path, names: list[str], pixels: Array) -> None:
    """Pictures as PNG, whatever their names say, so that no pixel is lost."""
    for name, image in zip(names, pixels, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(image))


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined, misc]
    """Writes bytes as Python 2 wrote its strings, which is how CIFAR was pickled; arrays under numpy's old names."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_string(self, value: bytes) -> None:
        short = len(value) < 256
        self.write(pickle.SHORT_BINSTRING + bytes([len(value)]) if short else pickle.BINSTRING + _int(len(value)))
        self.write(value)
        self.memoize(value)

    def save_text(self, value: str) -> None:
        self.save_string(value.encode("latin1"))

    dispatch[bytes] = save_string
    dispatch[str] = save_text

    def save_global(self, value: Any, name: str | None = None) -> None:
        module = {"numpy._core.multiarray": "numpy.core.multiarray"}.get(value.__module__, value.__module__)
        self.write(pickle.GLOBAL + f"{module}\n{name or value.__qualname__}\n".encode())
        self.memoize(value)

    for kind in (type, type(lambda: 0), type(len)):
        dispatch[kind] = save_global


def _int(value: int) -> bytes:
    return struct.pack("<i", value)


def python2_pickle(content: Any) -> bytes:
    """A pickle as Python 2 and its numpy made it."""
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(content)
    return buffer.getvalue()


def _rows(split: Split) -> Array:
    return np.ascontiguousarray(split.pixels.transpose(0, 3, 1, 2).reshape(len(split.pixels), -1))


def cifar10(root: Path) -> tuple[Split, Split]:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    train, test = drawn(20, 32, 10, 1), drawn(10, 32, 10, 2)
    parts = {f"data_batch_{k + 1}": slice(4 * k, 4 * k + 4) for k in range(5)}
    for name, split, part in [*((n, train, p) for n, p in parts.items()), ("test_batch", test, slice(None))]:
        content = {
            "batch_label": "a batch",
            "labels": split.labels[part].tolist(),
            "data": _rows(split)[part],
            "filenames": [f"{name}_{k}.png" for k in range(len(split.labels[part]))],
        }
        (folder / name).write_bytes(python2_pickle(content))
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (folder / "batches.meta").write_bytes(python2_pickle({"num_cases_per_batch": 4, "label_names": names}))
    return train, test


def cifar100(root: Path) -> tuple[Split, Split]:
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    splits = drawn(120, 32, 100, 3), drawn(100, 32, 100, 4)
    for name, split in zip(("train", "test"), splits, strict=True):
        content = {
            "filenames": ["x.png"] * len(split.labels),
            "batch_label": name,
            "fine_labels": split.labels.tolist(),
            "coarse_labels": (split.labels // 5).tolist(),
            "data": _rows(split),
        }
        (folder / name).write_bytes(python2_pickle(content))
    meta = {"fine_label_names": [f"fine {k}" for k in range(100)], "coarse_label_names": [f"c {k}" for k in range(20)]}
    (folder / "meta").write_bytes(python2_pickle(meta))
    return splits


def idx(array: Array) -> bytes:
    """Bytes in the IDX format."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist(root: Path, base: str = "MNIST", compressed: bool = True) -> tuple[Split, Split]:
    folder = root / base / "raw"
    folder.mkdir(parents=True)
    splits = drawn(20, 28, 10, 5, ()), drawn(10, 28, 10, 6, ())
    for name, split in zip(("train", "t10k"), splits, strict=True):
        for kind, array in (("images-idx3", split.pixels), ("labels-idx1", split.labels.astype(np.uint8))):
            content, path = idx(array), folder / f"{name}-{kind}-ubyte"
            if compressed:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content, mtime=0))
            else:
                path.write_bytes(content)
    return splits


def fashion_mnist(root: Path) -> tuple[Split, Split]:
    return mnist(root, "FashionMNIST", compressed=False)


def stl10(root: Path) -> tuple[Split, Split]:
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    train, test, unlabeled = drawn(12, 96, 10, 7), drawn(10, 96, 10, 8), drawn(6, 96, 1, 9)
    for name, split in (("train", train), ("test", test), ("unlabeled", unlabeled)):
        # Planes of columns: channel, then x, then y.
        (folder / f"{name}_X.bin").write_bytes(split.pixels.transpose(0, 3, 2, 1).tobytes())
        (folder / f"{name}_y.bin").write_bytes((split.labels + 1).astype(np.uint8).tobytes())
    (folder / "unlabeled_y.bin").unlink()
    (folder / "class_names.txt").write_text("airplane\nbird\ncar\ncat\ndeer\ndog\nhorse\nmonkey\nship\ntruck\n")
    mixed = Split(np.concatenate([train.pixels, unlabeled.pixels]), np.zeros(18, np.int64))
    return mixed, Split(test.pixels, np.zeros(10, np.int64))


def svhn(root: Path) -> tuple[Split, Split]:
    folder = root / "svhn"
    folder.mkdir(parents=True)
    splits = drawn(20, 32, 10, 10), drawn(10, 32, 10, 11)
    for name, split in zip(("train", "test"), splits, strict=True):
        labels = np.where(split.labels == 0, 10, split.labels).astype(np.uint8)[:, None]
        savemat(
            folder / f"{name}_32x32.mat",
            {"X": split.pixels.transpose(1, 2, 3, 0), "y": labels},
            do_compression=True,
        )
    return splits


def celeba(root: Path) -> tuple[Split, Split]:
    """Nine pictures, as wide as they are high; every third is of the part valid."""
    folder = root / "celeba"
    faces = drawn(9, 32, 1, 12)
    names = [f"{k + 1:06}.jpg" for k in range(9)]
    write_images(folder / "img_align_celeba", names, faces.pixels)
    parts = np.arange(9) % 3
    lines = [f"{name} {part}" for name, part in zip(names, parts, strict=True)]
    (folder / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    (folder / "identity_CelebA.txt").write_text("".join(f"{name} {k % 4 + 1}\n" for k, name in enumerate(names)))
    rows = [f"{name}  {1 if k % 2 else -1} -1" for k, name in enumerate(names)]
    (folder / "list_attr_celeba.txt").write_text("\n".join(["9", "Smiling Bald ", *rows]) + "\n")
    return tuple(Split(faces.pixels[parts == p], faces.labels[parts == p]) for p in (0, 2))  # type: ignore[return-value]


WNIDS = ("n02087394", "n01440764", "n03028079")
"""In the order of the development kit, which is not the sorted one."""


def imagenet(root: Path, flat: bool = True) -> tuple[Split, Split]:
    """Three classes; the validation images without folders, labelled by the kit."""
    folder = root / "imagenet"
    train, val = drawn(9, 32, 3, 13), drawn(6, 32, 3, 14)
    order = np.argsort(train.labels, kind="stable")
    train = Split(train.pixels[order], train.labels[order])
    classes = sorted(WNIDS)
    names = [f"{classes[label]}/{classes[label]}_{k}.JPEG" for k, label in enumerate(train.labels)]
    write_images(folder / "train", names, train.pixels)
    names = [f"ILSVRC2012_val_{k + 1:08}.JPEG" for k in range(6)]
    if not flat:
        names = [f"{classes[label]}/{name}" for name, label in zip(names, val.labels, strict=True)]
    write_images(folder / "val", names, val.pixels)
    kit = folder / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    fields = [
        "ILSVRC2012_ID",
        "WNID",
        "words",
        "gloss",
        "num_children",
        "children",
        "wordnet_height",
        "num_train_images",
    ]
    synsets = np.zeros((4, 1), [(field, object) for field in fields])
    rows = [(k + 1, w, f"{w[:4]} word, other", "a gloss", 0, [], 0, 3) for k, w in enumerate(WNIDS)]
    for k, row in enumerate([*rows, (4, "n00001740", "entity", "a gloss", 3, [1, 2, 3], 1, 0)]):
        synsets[k, 0] = row
    savemat(kit / "meta.mat", {"synsets": synsets})
    truth = [WNIDS.index(classes[label]) + 1 for label in val.labels]
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{number}\n" for number in truth))
    if not flat:
        order = np.argsort(val.labels, kind="stable")
        val = Split(val.pixels[order], val.labels[order])
    return train, val


def lsun(root: Path) -> tuple[Split, Split]:
    splits = drawn(5, 32, 1, 15), drawn(3, 32, 1, 16)
    for name, split in zip(("train", "val"), splits, strict=True):
        write_lmdb(root / "lsun" / f"bedroom_{name}_lmdb", split.pixels)
    return splits


def write_lmdb(path: Path, pixels: Array) -> None:
    """Pictures under keys that sort as they are given."""
    path.mkdir(parents=True)
    with lmdb.open(str(path), map_size=2**24) as environment, environment.begin(write=True) as transaction:
        for k, image in enumerate(pixels):
            transaction.put(f"{k:040x}".encode(), encoded(image))


def folder(root: Path) -> tuple[Split, Split]:
    """Two folders of classes in each of two splits, as the data root itself."""
    train, test = (Split(s.pixels, np.sort(s.labels)) for s in (drawn(8, 32, 2, 17), drawn(4, 32, 2, 18)))
    for name, split in (("train", train), ("test", test)):
        write_images(root / name, [f"class{y}/{k:02}.png" for k, y in enumerate(split.labels)], split.pixels)
    return train, test


def npz(root: Path) -> tuple[Split, Split]:
    train, test = drawn(8, 32, 3, 19), drawn(6, 32, 3, 20)
    root.mkdir(parents=True, exist_ok=True)
    np.savez(
        root / "images.npz",
        images=train.pixels,
        labels=train.labels,
        test_images=test.pixels.transpose(0, 3, 1, 2),
        test_labels=test.labels,
    )
    return train, test


def zipped(path: Path, names: list[str], pixels: Array) -> Path:
    """Pictures in a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, image in zip(names, pixels, strict=True):
            archive.writestr(name, encoded(image))
    return path


MAKERS = {
    "celeba": celeba,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "fashion-mnist": fashion_mnist,
    "folder": folder,
    "imagenet": imagenet,
    "lsun": lsun,
    "mnist": mnist,
    "npz": npz,
    "stl10": stl10,
    "svhn": svhn,
}
"""Every built-in data set that is read from files: its maker writes it into a data root and tells what is in it."""
