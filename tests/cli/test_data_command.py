"""``ganbench data`` from outside: prepared once whatever happens, told in one line what is wrong."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import formats
import numpy as np
import pytest
from formats import MAKERS, bomb, drawn, encoded, write_images, zipped
from harness import PLUGINS, Crash, Outcome, call, crash, launched, outcome, python, train, tree, wait_until
from PIL import Image
from torchvision import datasets

from ganbench import loading
from ganbench.prepare import decoding, preparation, splits
from ganbench.registry import built_in
from ganbench.zoo import COMPONENTS

PLUGIN = PLUGINS / "counted_pictures.py"
COUNT, HELD_OUT = 1200, 300
SLOWLY = ("--set", "dataset.side=320")
"""The same images, of large pictures: so that there is time to interrupt."""
READINGS = COUNT + HELD_OUT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with the counted pictures."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "size").write_text("here")
    return tmp_path / "data"


def prepare(root: Path, *arguments: str | Path) -> list[str | Path]:
    return [
        *("data", "prepare", "counted", "--resolution", "8", "--data-root", root, "--json"),
        *("--set", f"dataset.count={COUNT}", "--plugin", PLUGIN, *arguments),
    ]


def readings(root: Path) -> list[tuple[int, int]]:
    """Number and process of every picture that was read."""
    path = root / "readings"
    rows = path.read_text().splitlines() if path.exists() else []
    return [(int(number), int(process)) for number, process in map(str.split, rows)]


def only_set(cache: Path) -> Path:
    (folder,) = (path for path in (cache / "prepared").iterdir() if path.is_dir())
    return folder


@pytest.fixture
def cache() -> Path:
    return Path(os.environ["GANBENCH_CACHE"])


@pytest.fixture
def undisturbed(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What one process makes of the counted pictures, in another cache; the readings are forgotten."""
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "other"))
    made = call(*prepare(root, "--workers", "1")).json
    monkeypatch.setenv("GANBENCH_CACHE", str(cache))
    assert len(readings(root)) == READINGS
    (root / "readings").unlink()
    return content(made)


def content(made: dict[str, Any]) -> dict[str, Any]:
    """All that is the same however often the work was interrupted, and however large the pictures were."""
    return {key: value for key, value in made.items() if key not in ("folder", "options")}


def test_the_pixels_are_those_of_the_pictures(root: Path, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    folder = only_set(tmp_path / "other")
    images, labels = np.load(folder / "train.npy"), np.load(folder / "train-labels.npy")
    assert images.shape == (COUNT, 3, 8, 8)
    numbers = np.arange(COUNT)
    assert (images[:, 0] == (numbers % 256)[:, None, None]).all()
    assert (images[:, 1] == (numbers // 256)[:, None, None]).all()
    assert (labels == numbers % 10).all()
    assert np.load(folder / "held_out.npy").shape == (HELD_OUT, 3, 8, 8)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("held_out-labels.npy", "held_out.npy", "manifest.json", "stamp.json", "train-labels.npy", "train.npy")
    ]
    assert content(json.loads((folder / "manifest.json").read_text())) == undisturbed


def test_the_same_however_many_processes_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = drawn(600, 8, 10, 0)
    np.savez(tmp_path / "images.npz", images=split.pixels, labels=split.labels)
    pools: list[decoding.Decoder] = []
    original = decoding.Decoder._start_pool
    monkeypatch.setattr(decoding.Decoder, "_start_pool", lambda self: (pools.append(self), original(self))[1])
    monkeypatch.setattr(decoding, "processors", lambda: 2)
    made = []
    for cache, workers, seconds in (("a", ["--workers", "1"], 0.0), ("b", ["--workers", "2"], 1e9), ("c", [], 0.0)):
        monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / cache))
        monkeypatch.setattr(decoding, "POOL_SECONDS", seconds)
        command = ["data", "prepare", "npz", "--resolution", "8", "--data-root", tmp_path, "--json", *workers]
        made.append(call(*command).json)
        folder = Path(made[-1].pop("folder"))
        assert (np.load(folder / "train.npy") == split.pixels.transpose(0, 3, 1, 2)).all()
    assert made[0] == made[1] == made[2]
    assert [decoder._measured for decoder in pools] == [False, True]


def alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_and_gone_on_with(root: Path, cache: Path, undisturbed: dict[str, Any], workers: str) -> None:
    chunk = splits.chunk_size(8)
    with launched(*prepare(root, *SLOWLY, "--workers", workers)) as process:
        wait_until(lambda: len(readings(root)) > 3 * chunk, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for worker in {number for _, number in readings(root)}:
            wait_until_gone(worker)
    folder = only_set(cache)
    assert not (folder / "manifest.json").exists()
    assert (folder / "train.npy.part").exists()
    assert READINGS > len(readings(root)) >= 3 * chunk
    assert content(call(*prepare(root, *SLOWLY, "--workers", "1")).json) == undisturbed
    assert len(readings(root)) <= READINGS + chunk
    count = len(readings(root))
    assert call(*prepare(root, *SLOWLY)).code == 0
    assert len(readings(root)) == count


def wait_until_gone(process: int) -> None:
    """Poll as the harness does, for a process that is not this one's child."""

    class Anything:
        def poll(self) -> None:
            return None

    wait_until(lambda: not alive(process), Anything())  # type: ignore[arg-type]


@pytest.mark.parametrize("crashing", ["write_stamp", "write_json", "content_sha256"])
def test_ended_between_the_last_image_and_the_manifest(
    root: Path, undisturbed: dict[str, Any], crashing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(preparation, crashing, lambda *_: crash())
        with pytest.raises(Crash):
            call(*prepare(root))
    assert len(readings(root)) == READINGS
    assert content(call(*prepare(root)).json) == undisturbed
    assert len(readings(root)) == READINGS


@pytest.mark.parametrize("torn", [b'{"broken": [], "cou', b"\0\0\0"])
def test_a_torn_note_costs_one_chunk(
    root: Path, cache: Path, undisturbed: dict[str, Any], torn: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = splits.SplitWriter.append

    def append(writer: splits.SplitWriter, decoded: decoding.Decoded) -> None:
        original(writer, decoded)
        if writer.done == 3 * splits.chunk_size(8):
            crash()

    with monkeypatch.context() as patch:
        patch.setattr(splits.SplitWriter, "append", append)
        with pytest.raises(Crash):
            call(*prepare(root))
    with (only_set(cache) / "train.jsonl").open("ab") as notes:
        notes.write(torn)
    with (only_set(cache) / "train.npy.part").open("ab") as pixels:
        pixels.write(b"half a chunk")
    assert content(call(*prepare(root)).json) == undisturbed
    assert len(readings(root)) == READINGS


def test_two_at_once_do_the_work_once(root: Path, undisturbed: dict[str, Any]) -> None:
    with launched(*prepare(root, *SLOWLY)) as one, launched(*prepare(root, *SLOWLY)) as other:
        ends = [outcome(one), outcome(other)]
    assert [content(end.json) for end in ends] == [undisturbed, undisturbed]
    assert len(readings(root)) == READINGS


def test_ctrl_c_says_how_to_go_on(root: Path, undisturbed: dict[str, Any]) -> None:
    with launched(*prepare(root, *SLOWLY, "--workers", "1")) as process:
        wait_until(lambda: len(readings(root)) > splits.chunk_size(8), process)
        process.send_signal(signal.SIGINT)
        end = outcome(process)
    assert end.code == 130
    assert end.complaint == "ganbench: interrupted: the same command goes on behind the last whole chunk"
    assert content(call(*prepare(root, *SLOWLY)).json) == undisturbed


# A source that changes, and images that are broken.


def test_another_source_is_another_set(root: Path, cache: Path) -> None:
    first = call(*prepare(root)).json
    os.utime(root / "size", ns=(1, 1))
    second = call(*prepare(root)).json
    assert first["folder"] != second["folder"]
    assert first["content_sha256"] == second["content_sha256"]
    assert len(readings(root)) == 2 * READINGS
    rows = {row["name"]: row for row in call("data", "list", "--json", "--plugin", PLUGIN).json}
    assert len(rows["counted"]["prepared"]) == 2


def test_broken_images_are_named_counted_and_skipped_only_when_told(root: Path, cache: Path) -> None:
    whole = call(*prepare(root)).json
    for number in (1, 300, 301, COUNT + 7):
        (root / f"broken-{number}").touch()
    os.utime(root / "size", ns=(1, 1))
    refused = call(*prepare(root))
    assert refused.code == 3
    assert "4 of 1500 images of counted cannot be read: picture 1 (OSError: out of order), " in refused.complaint
    assert "and 1 more (all in " in refused.complaint
    assert refused.complaint.endswith("mend or remove them, or leave them out with --skip-broken")
    count = len(readings(root))
    made = call(*prepare(root, "--skip-broken")).json
    assert len(readings(root)) == count + 4, "only the broken were tried again"
    assert made["content_sha256"] != whole["content_sha256"]
    assert [image["name"] for image in made["splits"]["train"]["broken"]] == ["picture 1", "picture 300", "picture 301"]
    assert made["splits"]["train"]["count"] == COUNT - 3
    assert made["splits"]["held_out"]["count"] == HELD_OUT - 1
    images, labels = (np.load(Path(made["folder"]) / f"train{kind}.npy") for kind in ("", "-labels"))
    numbers = np.delete(np.arange(COUNT), [1, 300, 301])
    assert (images[:, 0, 0, 0] == numbers % 256).all()
    assert (labels == numbers % 10).all()
    verified = call("data", "verify", *prepare(root)[2:])
    assert verified.json["content_sha256"] == made["content_sha256"]


def test_images_that_can_be_read_again_are_not_left_out_for_ever(root: Path) -> None:
    whole = call(*prepare(root)).json
    os.utime(root / "size", ns=(1, 1))
    (root / "broken-5").touch()
    assert call(*prepare(root)).code == 3
    (root / "broken-5").unlink()
    assert call(*prepare(root)).json["content_sha256"] == whole["content_sha256"]


# Bytes that change.


def changed(path: Path, place: int, quietly: bool = False) -> None:
    """Flip a byte; quietly: the file keeps its time."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))
    times = (before.st_atime_ns, before.st_mtime_ns + (0 if quietly else 1))
    os.utime(path, ns=times)


def test_changed_bytes_are_found(root: Path, cache: Path) -> None:
    made = call(*prepare(root)).json
    folder = Path(made["folder"])
    verify, info = ["data", "verify", *prepare(root)[2:]], ["data", "info", *prepare(root)[2:]]
    assert call(*info).json["content_sha256"] == made["content_sha256"]
    for name, place, message in (
        ("train.npy", 128 + 300 * 192, "images 256 to 511 of"),
        ("held_out.npy", -1, "images 256 to 299 of"),
        ("train-labels.npy", -8, "train-labels.npy was changed"),
    ):
        changed(folder / name, place, quietly=True)
        assert call(*info).code == 0, "a look at the times is all that a run affords"
        assert message in call(*verify).complaint
        (folder / name).touch()
        refused = call(*info)
        assert refused.code == 3
        assert message in refused.complaint
        assert "and prepare the set anew" in refused.complaint
        changed(folder / name, place)
        assert call(*info).code == 0, "touched, but as it was"
        assert call(*verify).json["verified"] is True
    shutil.rmtree(folder)
    assert "prepare it with 'ganbench data prepare counted --resolution 8" in call(*verify).complaint


def test_files_that_are_lost_cut_or_none(root: Path) -> None:
    folder = Path(call(*prepare(root)).json["folder"])
    info = ["data", "info", *prepare(root)[2:]]

    def cut(path: Path) -> None:
        os.truncate(path, 1000)

    for name, harm, message in (
        ("train.npy", cut, "has 872 bytes of pixels"),
        ("train.npy", Path.unlink, "train.npy cannot be read"),
        ("train-labels.npy", lambda path: path.write_bytes(b"text"), "train-labels.npy cannot be read"),
        ("manifest.json", lambda path: path.write_text("{}"), "manifest.json is damaged"),
    ):
        kept = (folder / name).read_bytes()
        harm(folder / name)
        refused = call(*info)
        assert refused.code == 3
        assert message in refused.complaint
        (folder / name).write_bytes(kept)
    assert call(*info).code == 0


# Bad input: one line each, nothing half-written.


def tree_with(*broken: tuple[str, bytes]) -> Callable[[Path], object]:
    """Twenty pictures, and some that are none."""

    def make(root: Path) -> None:
        write_images(root, [f"{k:02}.png" for k in range(20)], drawn(20, 32, 1, 0).pixels)
        for name, data in broken:
            (root / name).write_bytes(data)

    return make


def a_folder_named_as_a_picture(root: Path) -> None:
    tree_with()(root)
    (root / "folder.png").mkdir()


JPEG = encoded(drawn(1, 64, 1, 0).pixels[0], "JPEG")
BAD = {
    "empty folder": (lambda root: None, "holds no picture: 0 files with other suffixes"),
    "no pictures": (lambda root: (root / "a.txt").write_text("text"), "holds no picture: 1 files"),
    "text": (tree_with(("text.png", b"no image")), "text.png (no image that Pillow knows)"),
    "truncated": (tree_with(("cut.jpg", JPEG[: len(JPEG) // 2])), "cut.jpg (image file is truncated"),
    "bomb": (tree_with(("bomb.png", bomb())), "bomb.png (more than 89,478,485 pixels, a decompression bomb)"),
    "empty file": (tree_with(("empty.png", b"")), "empty.png (no image that Pillow knows)"),
    "a folder as a picture": (a_folder_named_as_a_picture, "folder.png (Is a directory)"),
    "a dangling link": (lambda root: (tree_with()(root), (root / "x.png").symlink_to("no")), "x.png (No such file"),
    "nothing but text": (lambda root: (root / "text.png").write_text("no image"), "none of the 1 images in the split"),
}


@pytest.mark.parametrize("which", BAD)
def test_bad_input_is_one_line(which: str, tmp_path: Path, cache: Path) -> None:
    make, message = BAD[which]
    root = tmp_path / "pictures"
    root.mkdir()
    make(root)
    before = tree(root)
    refused = call("data", "prepare", "folder", "--resolution", "8", "--data-root", root)
    assert refused.code == 3
    assert message in refused.complaint
    assert tree(root) == before
    assert_nothing_half_written(cache)
    if "images of folder cannot be read" in refused.complaint:
        skipped = call("data", "prepare", "folder", "--resolution", "8", "--data-root", root, "--skip-broken", "--json")
        assert skipped.json["splits"]["train"]["count"] == 20
        assert_nothing_half_written(cache)


def assert_nothing_half_written(cache: Path) -> None:
    folders = [path for path in (cache / "prepared").glob("*") if path.is_dir()]
    assert all((folder / "manifest.json").exists() for folder in folders)
    assert not [path for path in cache.rglob("*") if path.suffix in (".part", ".jsonl")]


@pytest.mark.parametrize("which", ["zip", "labels"])
def test_bad_archives_are_one_line(which: str, tmp_path: Path, cache: Path) -> None:
    if which == "zip":
        zipped(tmp_path / "evil.zip", ["../out.png"], drawn(1, 8, 1, 0).pixels)
        refused = call("data", "prepare", "folder", "--resolution", "8", "--data-root", tmp_path / "evil.zip")
        assert refused.code == 2
        refused = call(
            *("data", "prepare", "folder", "--resolution", "8", "--data-root", tmp_path),
            *("--set", "dataset.path=evil.zip"),
        )
        assert "a name that leads out of it" in refused.complaint
        assert not (tmp_path.parent / "out.png").exists()
    else:
        formats.mnist(tmp_path)
        short = formats.gzip.compress(formats.idx(np.zeros(19, np.uint8)))
        (tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte.gz").write_bytes(short)
        refused = call("data", "prepare", "mnist", "--resolution", "8", "--data-root", tmp_path)
        assert "the split 'train' has 20 images and 19 labels" in refused.complaint
    assert refused.code == 3
    assert_nothing_half_written(cache)


DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2
"""The capabilities by which root passes over permissions, numbered as in capabilities(7)."""


class Capabilities(ctypes.Structure):
    """Of this thread, as capset(2) takes the first 32 of version 3."""

    _fields_ = (
        *(("version", ctypes.c_uint32), ("pid", ctypes.c_int)),
        *(("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)),
        ("the_rest", ctypes.c_uint32 * 3),
    )


@contextlib.contextmanager
def bound_by_permissions() -> Iterator[None]:
    """Inside the block permissions bind root as they bind others. Root it stays: what is installed may be root's."""
    if os.geteuid() != 0:
        yield
        return
    libc, mine = ctypes.CDLL(None, use_errno=True), Capabilities(version=0x20080522)
    body = ctypes.byref(mine, Capabilities.effective.offset)
    assert libc.capget(ctypes.byref(mine), body) == 0
    before = mine.effective
    mine.effective = before & ~(1 << DAC_OVERRIDE | 1 << DAC_READ_SEARCH)
    assert libc.capset(ctypes.byref(mine), body) == 0
    try:
        yield
    finally:
        mine.effective = before
        assert libc.capset(ctypes.byref(mine), body) == 0


@pytest.fixture
def unprivileged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder, and until the end of the test a user whom permissions bind."""
    folder = Path(tempfile.mkdtemp())
    monkeypatch.setenv("GANBENCH_CACHE", str(folder / "cache"))
    monkeypatch.chdir(folder)
    with bound_by_permissions():
        yield folder
    for path in [folder, *folder.rglob("*")]:
        with contextlib.suppress(FileNotFoundError):
            path.chmod(path.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(folder)


def test_paths_without_permission(unprivileged: Path) -> None:
    tree_with()(unprivileged / "pictures")
    command = ["data", "prepare", "folder", "--resolution", "8", "--data-root", unprivileged / "pictures"]
    (unprivileged / "pictures" / "03.png").chmod(0)
    assert "03.png (Permission denied)" in call(*command).complaint
    (unprivileged / "pictures").chmod(0)
    refused = call(*command)
    assert (refused.code, refused.complaint.rpartition("/")[2]) == (3, "pictures cannot be read: Permission denied")
    (unprivileged / "pictures").chmod(0o755)
    shutil.rmtree(unprivileged / "cache")
    unprivileged.chmod(0o555)
    refused = call(*command, "--skip-broken")
    assert refused.code == 1
    assert "cache/prepared cannot be written: Permission denied; set GANBENCH_CACHE" in refused.complaint


def test_a_full_disk_is_told_before_anything_is_written(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    refused = call(*prepare(root))
    assert refused.code == 1
    assert "free the disk or set GANBENCH_CACHE" in refused.complaint
    assert_nothing_half_written(cache)


# Runs.


def run(root: Path, results: Path, *arguments: str) -> Outcome:
    return train("dcgan", results, "--data-root", root, "--conditioning", "none", *arguments)


def test_a_run_prepares_what_is_small(tmp_path: Path, cache: Path) -> None:
    formats.imagenet(tmp_path / "a", flat=False)
    tree_with()(tmp_path / "b")
    first = run(tmp_path / "b", tmp_path / "results", "--dataset", "folder")
    assert first.code == 0, first.err
    assert first.json["scores"]["floor"] is None
    assert "note: of folder nothing is held out: the training images are their own reference" in first.err
    spec = json.loads((Path(first.json["path"]) / "spec.json").read_text())
    manifest = json.loads((only_set(cache) / "manifest.json").read_text())
    assert spec["dataset"]["fingerprint"] == manifest["content_sha256"]
    assert any("the training images are their own reference" in note for note in manifest["notes"])


def test_a_run_does_not_prepare_what_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MAKERS["cifar10"](tmp_path)
    monkeypatch.setattr(loading, "SMALL_BYTES", 1000)
    options = ["--dataset", "cifar10", "--resolution", "32", "--set", "evaluation.kid_subset_size=8"]
    refused = run(tmp_path, tmp_path / "results", *options)
    assert refused.code == 3
    command = f"ganbench data prepare cifar10 --resolution 32 --data-root {tmp_path}"
    assert f"too large to be prepared on the way: prepare it with '{command}'" in refused.complaint
    assert call(*command.split()[1:]).code == 0
    assert run(tmp_path, tmp_path / "results", *options).code == 0


def test_broken_images_end_a_run_unless_told(tmp_path: Path) -> None:
    tree_with(("text.png", b"no image"))(tmp_path / "a")
    refused = run(tmp_path / "a", tmp_path / "results", "--dataset", "folder")
    assert refused.code == 3
    assert "1 of 21 images of folder cannot be read: text.png" in refused.complaint
    assert run(tmp_path / "a", tmp_path / "results", "--dataset", "folder", "--skip-broken").code == 0


def test_one_image_is_too_few_to_train_on(tmp_path: Path, cache: Path) -> None:
    write_images(tmp_path / "a", ["1.png"], drawn(1, 32, 1, 0).pixels)
    refused = run(tmp_path / "a", tmp_path / "results", "--dataset", "folder")
    assert refused.code == 2
    assert "batch 8 is above the 1 training images of folder: lower it" in refused.complaint
    assert not (tmp_path / "results").exists()
    assert call("data", "info", "folder", "--resolution", "32", "--data-root", tmp_path / "a").code == 0


def test_no_held_out_reference_without_held_out_images(tmp_path: Path) -> None:
    tree_with()(tmp_path / "a")
    options = ["--dataset", "folder", "--set", "evaluation.reference=held-out"]
    assert "no held-out images to be the reference" in run(tmp_path / "a", tmp_path, *options).complaint
    refused = train("sagan", tmp_path, "--data-root", tmp_path / "a", "--dataset", "folder")
    assert refused.complaint.endswith("folder has no classes: set --conditioning none")


def test_absent_data_is_shown_and_not_run(tmp_path: Path) -> None:
    refused = run(tmp_path, tmp_path / "results", "--dataset", "svhn", "--resolution", "32")
    assert refused.code == 3
    assert f"looked for {tmp_path}/svhn/train_32x32.mat. Get it from http" in refused.complaint
    assert "--download fetches it" in refused.complaint
    shown = call("show", "--model", "dcgan", "--dataset", "svhn", "--data-root", tmp_path, "--json")
    assert shown.json["run_id"] is None
    assert "can be shown, not run" in shown.err


def test_digits_import_nothing_of_the_preparation(tmp_path: Path) -> None:
    code = """
import sys
from ganbench.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code
print([name for name in sys.modules if name.startswith(("ganbench.prepare", "ganbench.decode"))])
"""
    shown = python("-c", code, "run", "--model", "sagan", "--dry-run")
    assert shown.out.splitlines()[-1] == "[]", shown.err


# The commands.


def test_every_set_is_listed_with_its_place(tmp_path: Path) -> None:
    MAKERS["mnist"](tmp_path)
    listed = call("data", "list", "--data-root", tmp_path, "--json").json
    assert {row["name"] for row in listed} == set(COMPONENTS["dataset"])
    states = {row["name"]: row["status"] for row in listed}
    assert states["digits"] == "embedded"
    assert states["mnist"] == "present"
    assert states["celeba"] == "absent"
    rows = {row["name"]: row for row in listed}
    assert rows["celeba"]["looked_for"] == str(tmp_path / "celeba")
    assert rows["celeba"]["get"].startswith("https://")
    assert "celeba        absent " in call("data", "list", "--data-root", tmp_path).out


def test_info_and_a_grid(tmp_path: Path) -> None:
    train_split, _ = MAKERS["cifar10"](tmp_path)
    grid = tmp_path / "grid.png"
    command = ["data", "info", "cifar10", "--resolution", "32", "--data-root", tmp_path]
    shown = call(*command, "--grid", grid, "--json").json
    assert shown["images_per_class"]["train"] == [2] * 10
    assert (shown["splits"]["held_out"]["name"], shown["splits"]["held_out"]["count"]) == ("test", 10)
    with Image.open(grid) as image:
        picture = np.asarray(image)
    assert picture.shape == (8 * 34 + 2, 10 * 34 + 2, 3)
    for column in range(10):
        cell = picture[2:34, 2 + 34 * column : 34 + 34 * column]
        assert any(np.array_equal(cell, real) for real in train_split.pixels[train_split.labels == column])
    assert "classes   10: airplane, " in call(*command).out
    digits = call("data", "info", "digits", "--resolution", "8", "--grid", grid, "--json").json
    assert digits["folder"] is None
    assert digits["splits"]["train"]["count"] == 901


def test_a_grid_without_classes(tmp_path: Path) -> None:
    tree_with()(tmp_path / "a")
    grid = tmp_path / "grid.png"
    assert call("data", "info", "folder", "--resolution", "8", "--data-root", tmp_path / "a", "--grid", grid).code == 0
    with Image.open(grid) as picture:
        assert picture.size == (10 * 10 + 2, 8 * 10 + 2)


def test_mistakes_in_the_command(tmp_path: Path) -> None:
    for arguments, message in (
        (["prepare", "digits", "--resolution", "8"], "digits makes its images itself"),
        (["prepare", "cifra10", "--resolution", "8"], "did you mean cifar10"),
        (["prepare", "stl10", "--resolution", "8", "--set", "split=train"], "as in --set dataset.path=flowers"),
        (["prepare", "stl10", "--resolution", "8", "--set", "dataset.splt=train"], "did you mean dataset.split"),
        (["prepare", "stl10", "--resolution", "8", "--set", "dataset.split=all"], "dataset.split"),
    ):
        refused = call("data", *arguments)
        assert refused.code == 2
        assert message in refused.complaint


def test_a_download_is_made_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    component = built_in("dataset", "mnist").load()
    asked: list[Path] = []

    def download(root: Path) -> None:
        asked.append(root)
        print("progress of a library")
        MAKERS["mnist"](root)

    monkeypatch.setattr(component, "card", dataclasses.replace(component.card, download=download))
    command = ["data", "prepare", "mnist", "--resolution", "28", "--data-root", tmp_path / "new", "--json"]
    assert call(*command).code == 3
    assert asked == []
    made = call(*command, "--download")
    assert made.json["splits"]["train"]["count"] == 20
    assert "progress of a library" in made.err
    assert asked == [tmp_path / "new"]


def test_downloads_are_torchvisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str]] = []

    def fetch(url: str, root: str, filename: str, md5: str) -> None:
        asked.append((url, root, md5))

    monkeypatch.setattr(datasets.utils, "download_and_extract_archive", fetch)
    for name, known in (("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100), ("stl10", datasets.STL10)):
        card = built_in("dataset", name).load().card
        assert known.url.partition("://")[2] in card.get
        card.download(tmp_path)
        assert asked.pop() == (known.url, str(tmp_path), known.tgz_md5)
    formats.mnist(tmp_path, compressed=False)
    built_in("dataset", "mnist").load().card.download(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(datasets.svhn, "check_integrity", lambda *_: True)
        patch.setattr(datasets.svhn, "download_url", lambda url, *_: asked.append((url, "", "")))
        formats.svhn(tmp_path)
        shutil.copy(tmp_path / "svhn" / "test_32x32.mat", tmp_path / "svhn" / "extra_32x32.mat")
        built_in("dataset", "svhn").load().card.download(tmp_path)
    assert [url.rpartition("/")[2] for url, *_ in asked] == ["train_32x32.mat", "test_32x32.mat", "extra_32x32.mat"]


def test_a_download_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    component = built_in("dataset", "mnist").load()

    def download(root: Path) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(component, "card", dataclasses.replace(component.card, download=download))
    failed = call("data", "prepare", "mnist", "--resolution", "28", "--data-root", tmp_path, "--download")
    assert failed.code == 3
    assert "mnist could not be downloaded (no route to host): get it from https://" in failed.err
