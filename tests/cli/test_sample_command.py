"""`ganbench sample`: what it writes, that it is the same every time, and what it refuses."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import PLUGINS, TOY_PLUGIN, Outcome, call, digest, load, newest, run_folder, tree
from PIL import Image

from ganbench.checkpoint import Checkpoints
from ganbench.evaluate.bank import quantise
from ganbench.networks import build_networks
from ganbench.registry import Registry
from ganbench.resolve import reopen
from ganbench.store import read_spec

RunOf = Callable[[str], Path]


@pytest.fixture
def sagan(undisturbed: RunOf) -> Path:
    """The folder of a finished run with ten classes and a moving average."""
    return run_folder(undisturbed("sagan"))


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder holds ``thirdparty.py``."""
    monkeypatch.chdir(PLUGINS)
    monkeypatch.delitem(sys.modules, "thirdparty", raising=False)


def sample(source: str | Path, *arguments: str | Path) -> Outcome:
    return call("sample", source, "--plugin", TOY_PLUGIN, "--device", "cpu", *arguments)


def complaint(outcome: Outcome, code: int, *fragments: str | Path) -> None:
    assert outcome.code == code, outcome
    for fragment in fragments:
        assert str(fragment) in outcome.complaint


def pixels(folder: Path) -> list[bytes]:
    return [Image.open(path).tobytes() for path in sorted(folder.iterdir())]


def test_the_three_forms_hold_the_same_images(sagan: Path, tmp_path: Path) -> None:
    for out in ("pngs", "all.npz", "grid.png"):
        done = sample(sagan, "-n", "13", "--out", tmp_path / out)
        assert done.code == 0, done.err
        assert done.out.startswith("13 images of sagan-")
    with np.load(tmp_path / "all.npz", allow_pickle=False) as arrays:
        images, labels = arrays["arr_0"], arrays["arr_1"]
    assert (images.shape, images.dtype) == ((13, 32, 32, 3), np.uint8)
    assert labels.tolist() == [i % 10 for i in range(13)]
    names = sorted(path.name for path in (tmp_path / "pngs").iterdir())
    assert names == [f"{i:06d}-class{i % 10}.png" for i in range(13)]
    for name, image in zip(names, images, strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "pngs" / name)), image)
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert np.array_equal(grid[2:34, 2:34], images[0])
    assert np.array_equal(grid[2 + 34 : 34 + 34, 2:34], images[4])  # four in a row
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_same_seed_gives_the_same_and_the_first_of_more(sagan: Path, tmp_path: Path) -> None:
    for out, *more in (
        ("one", "--seed", "5"),
        ("again", "--seed", "5", "--batch", "3"),
        ("longer", "--seed", "5"),
        ("other", "--seed", "6"),
        ("own",),
        ("zero", "--seed", "0"),
    ):
        assert sample(sagan, "-n", "9" if out == "longer" else "7", "--out", tmp_path / out, *more).code == 0
    one = pixels(tmp_path / "one")
    near = np.frombuffer(b"".join(one), np.uint8).astype(int)
    again = np.frombuffer(b"".join(pixels(tmp_path / "again")), np.uint8).astype(int)
    assert abs(near - again).max() <= 1  # another batch may round otherwise
    assert pixels(tmp_path / "longer")[:7] == one
    assert pixels(tmp_path / "other") != one
    assert pixels(tmp_path / "own") == pixels(tmp_path / "zero")  # the run's own seed is 0


def test_one_class(sagan: Path, tmp_path: Path) -> None:
    assert sample(sagan, "-n", "4", "--class", "7", "--out", tmp_path / "sevens").code == 0
    assert sorted(path.name for path in (tmp_path / "sevens").iterdir()) == [f"{i:06d}-class7.png" for i in range(4)]
    assert sample(sagan, "-n", "8", "--out", tmp_path / "all").code == 0
    assert pixels(tmp_path / "sevens")[:3] != pixels(tmp_path / "all")[:3]
    # the same latents under another label: image 7 is of class 7 in either
    assert sample(sagan, "-n", "8", "--class", "7", "--out", tmp_path / "more").code == 0
    assert pixels(tmp_path / "more")[7] == pixels(tmp_path / "all")[7]


def test_the_weights_are_those_of_the_checkpoint(sagan: Path, tmp_path: Path) -> None:
    """Each choice against the networks built and fed by hand."""
    best = newest(sagan, "best")
    choices = {
        ("--checkpoint", "final"): load(newest(sagan))["trainer"]["ema"],
        ("--checkpoint", "final", "--weights", "raw"): load(newest(sagan))["trainer"]["generator"],
        ("--checkpoint", "4"): load(sagan / "checkpoints" / "step-000000004.pt")["trainer"]["ema"],
        ("--checkpoint", "best"): load(best)["generator"],
    }
    spec = read_spec(sagan)
    network = build_networks(spec, reopen(Registry.discover([TOY_PLUGIN]), spec).entries).generator.eval()
    for number, (arguments, state) in enumerate(choices.items()):
        out = tmp_path / f"{number}.npz"
        told = sample(sagan, "-n", "2", "--class", "1", "--seed", "3", "--out", out, "--json", *arguments).json
        with np.load(out) as arrays:
            written = arrays["arr_0"].astype(int)
        network.load_state_dict(state)
        with torch.no_grad():
            z = torch.randn(256, spec.latent_dim, generator=_draws(3))[:2]
            expected = quantise(network(z, torch.tensor([1, 1]))).permute(0, 2, 3, 1).numpy().astype(int)
        assert abs(written - expected).max() <= 1
        path = sagan / "checkpoints" / told["source"]["checkpoint"]
        assert told["source"]["checkpoint_sha256"] == digest(path)
        assert told["source"]["step"] == int(path.stem[-9:])
        assert told["source"]["weights"] == ("raw" if "raw" in arguments else "ema")


def _draws(seed: int) -> torch.Generator:
    from ganbench.random import generator

    return generator(seed, "sample", 0)


def test_truncation_draws_anew(sagan: Path, tmp_path: Path) -> None:
    for name, more in (("full", []), ("cut", ["--truncation", "0.1"]), ("wide", ["--truncation", "9.5"])):
        assert sample(sagan, "-n", "4", "--out", tmp_path / f"{name}.npz", *more).code == 0
    full, cut, wide = (np.load(tmp_path / f"{name}.npz")["arr_0"] for name in ("full", "cut", "wide"))
    assert np.array_equal(full, wide)  # nothing lay beyond
    assert not np.array_equal(full, cut)


def test_a_run_by_its_id_and_by_its_name(sagan: Path, tmp_path: Path) -> None:
    run_id = read_spec(sagan).run_id
    results = sagan.parent.parent
    for number, name in enumerate((run_id, run_id[:6], run_id[:12], sagan.name, "sagan")):
        done = sample(name, "--results", results, "-n", "1", "--out", tmp_path / f"{number}.npz", "--json")
        assert done.json["source"]["run_id"] == run_id


def test_an_interrupted_run_is_sampled_and_nothing_in_it_changes(sagan: Path, tmp_path: Path) -> None:
    shutil.copytree(sagan, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    before = tree(tmp_path / "run")
    assert sample(tmp_path / "run", "-n", "2", "--out", tmp_path / "out").code == 0
    assert tree(tmp_path / "run") == before


@pytest.mark.usefixtures("third_party")
def test_a_third_partys_generator(tmp_path: Path) -> None:
    told = sample("thirdparty:stripes", "-n", "5", "--out", tmp_path / "s.npz", "--latent-dim", "8", "--json").json
    assert told["source"] == {"callable": "thirdparty:stripes"}
    with np.load(tmp_path / "s.npz") as arrays:
        assert arrays.files == ["arr_0"]
        z = torch.randn(256, 8, generator=_draws(0))[:5]
        expected = quantise(torch.tanh(z))[:, None, :, None].expand(-1, 8, -1, 3)
        assert np.array_equal(arrays["arr_0"], expected.numpy())
    for name in ("Classes", "make"):
        done = sample(f"thirdparty:{name}", "-n", "5", "--out", tmp_path / f"{name}.npz", "--json")
        assert done.json["count"] == 5  # and what it printed is not on stdout
        with np.load(tmp_path / f"{name}.npz") as arrays:
            assert arrays["arr_1"].tolist() == [0, 1, 2, 3, 0]
            assert arrays["arr_0"][:, 0, 0, 0].tolist() == [64, 96, 128, 159, 64]  # eval mode: nothing dropped


BROKEN = {
    "no_number": ["not finite"],
    "bytes_like": ["values from", "[-1, 1]"],
    "from_zero": ["no value below 0", "x * 2 - 1"],
    "grey": ["[20, 1, 8, 8]", "[20, 3, H, W]"],
    "too_few": ["[19, 3, 8, 8]"],
    "whole_numbers": ["int64"],
    "an_array": ["returned ndarray"],
    "growing": ["(6, 8) px after (7, 8)"],
    "failing": ["ValueError: the disk is on fire"],
    "makes_nothing": ["NoneType", "cannot be called"],
    "NUMBER": ["int", "cannot be called"],
    "absent": ["AttributeError", "absent"],
}


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize("name", BROKEN)
def test_a_third_party_that_breaks_its_promise(name: str, tmp_path: Path) -> None:
    size = ["-n", "40", "--batch", "20", "--latent-dim", "8"]
    refused = sample(f"thirdparty:{name}", *size, "--out", tmp_path / "out")
    complaint(refused, 3, f"thirdparty:{name}", *BROKEN[name])
    assert not list(tmp_path.glob("out*"))


def test_refused(sagan: Path, tmp_path: Path) -> None:
    free = ("-n", "1", "--out", tmp_path / "out")
    complaint(sample("nosuchmodule:g", *free), 3, "nosuchmodule:g cannot be imported")
    complaint(sample("abc", *free, "--results", sagan.parent.parent), 2, "abc is no run", sagan.parent, "--results")
    complaint(sample(tmp_path, *free), 2, f"{tmp_path} is no run")
    complaint(sample(sagan, *free, "--checkpoint", "3"), 2, "--checkpoint 3 was not kept", "4, 6")
    complaint(sample(sagan, *free, "--checkpoint", "last"), 2, "final, best or a step's number", "'last'")
    complaint(sample(sagan, *free, "--checkpoint", "best", "--weights", "raw"), 2, "moving average alone")
    complaint(sample(sagan, *free, "--class", "10"), 2, "--class 10", "classes 0 to 9")
    complaint(sample(sagan, *free, "--latent-dim", "4"), 2, "--latent-dim is for module:callable")
    complaint(sample("thirdparty:stripes", *free, "--weights", "ema"), 2, "--weights is for runs")
    complaint(sample(sagan, "-n", "5000", "--out", tmp_path / "g.png"), 2, "grid of 5000")
    complaint(sample(sagan, "-n", "0", "--out", tmp_path / "out"), 2, "-n")
    complaint(call("sample", sagan, *free), 3, "the plug-in file toy.py", "--plugin toy.py")
    assert not (tmp_path / "out").exists()


def test_a_run_without_what_is_asked(undisturbed: RunOf, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folder(undisturbed("sngan")), folder)
    free = ("-n", "1", "--out", tmp_path / "out")
    if read_spec(folder).ema is None:
        complaint(sample(folder, *free, "--weights", "ema"), 2, "keeps no moving average", "--weights raw")
    shutil.rmtree(folder / "checkpoints")
    complaint(sample(folder, *free), 3, "no 'final' checkpoint", "goes on")


def test_two_runs_of_one_beginning(sagan: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for seed in ("a", "b"):
        shutil.copytree(sagan, tmp_path / "runs" / f"sagan-{seed}")
    refused = sample("sagan", "--results", tmp_path, "-n", "1", "--out", tmp_path / "out")
    complaint(refused, 2, "sagan may be sagan-a or sagan-b")


@pytest.mark.parametrize("damage", ["flip", "cut", "digest"])
def test_a_damaged_checkpoint_is_never_loaded(damage: str, sagan: Path, tmp_path: Path) -> None:
    shutil.copytree(sagan, tmp_path / "run")
    path = newest(tmp_path / "run")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "digest":
        path.with_name(f"{path.name}.sha256").unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:99])
    refused = sample(tmp_path / "run", "-n", "1", "--out", tmp_path / "out")
    complaint(refused, 3, path, "damaged", "--checkpoint")
    assert sample(tmp_path / "run", "--checkpoint", "4", "-n", "1", "--out", tmp_path / "out").code == 0


@pytest.mark.parametrize("command", ["sample", "eval"])
def test_a_generator_whose_images_are_not_finite(command: str, sagan: Path, tmp_path: Path) -> None:
    shutil.copytree(sagan, tmp_path / "run")
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    path = newest(tmp_path / "run")
    state = load(path)
    for weight in state["trainer"]["ema"].values():
        if weight.is_floating_point():
            weight.fill_(torch.nan)
    checkpoints.save("step", int(path.stem[-9:]), state)
    more = ("-n", "2", "--out", tmp_path / "out") if command == "sample" else ()
    refused = call(command, tmp_path / "run", "--plugin", TOY_PLUGIN, "--device", "cpu", *more)
    complaint(refused, 1, "not finite", "--checkpoint")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "run" / "evaluations").exists()


def test_nothing_is_overwritten(sagan: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "mine.npz").write_text("mine")
    (tmp_path / "mine.png").write_text("mine")
    (tmp_path / "empty").mkdir()
    before = tree(tmp_path)
    complaint(sample(sagan, "-n", "1", "--out", tmp_path / "full"), 2, tmp_path / "full", "not empty")
    for name in ("mine.npz", "mine.png"):
        complaint(sample(sagan, "-n", "1", "--out", tmp_path / name), 2, name, "there already")
    complaint(sample(sagan, "-n", "1", "--format", "npz", "--out", tmp_path / "full"), 2, "there already")
    below = sample(sagan, "-n", "1", "--out", tmp_path / "mine.npz" / "out")
    complaint(below, 1, "cannot be written", "--out")
    assert tree(tmp_path) == before
    assert sample(sagan, "-n", "1", "--out", tmp_path / "empty").code == 0
    assert sample(sagan, "-n", "1", "--format", "grid", "--out", tmp_path / "deep" / "er").code == 0
    assert (tmp_path / "deep" / "er").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("out", ["folder", "array.npz"])
def test_ctrl_c_leaves_nothing(out: str, sagan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("PIL.Image.Image.save", interrupted)
    monkeypatch.setattr("numpy.savez", interrupted)
    stopped = sample(sagan, "-n", "3", "--out", tmp_path / out)
    assert (stopped.code, stopped.err.strip(), stopped.out) == (130, "ganbench: interrupted", "")
    assert not [path for path in tmp_path.iterdir() if out in path.name]


def test_json(sagan: Path, tmp_path: Path) -> None:
    done = sample(sagan, "-n", "2", "--out", tmp_path / "out", "--seed", "4", "--truncation", "1.5", "--json")
    told = json.loads(done.out)
    assert (told["path"], told["format"], told["count"]) == (str(tmp_path / "out"), "png", 2)
    assert (told["seed"], told["class"], told["truncation"]) == (4, None, 1.5)
