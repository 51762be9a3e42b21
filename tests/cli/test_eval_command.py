"""`ganbench eval`: a run scored again, images and generators from elsewhere, and what is refused."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import PLUGINS, TOY_PLUGIN, Outcome, call, run_folder, tree
from PIL import Image

RunOf = Callable[[str], Path]
SMALL = ["--set", "evaluation.kid_subset_size=8", "--set", "evaluation.isc_splits=2"]
"""Settings for some twenty images."""
COUNT = 12


def evaluate(source: str | Path, *arguments: str | Path) -> Outcome:
    return call("eval", source, "--plugin", TOY_PLUGIN, "--device", "cpu", *arguments)


def record(source: str | Path, *arguments: str | Path) -> Any:
    done = evaluate(source, "--json", *arguments)
    assert done.code == 0, done.err
    return done.json


def given(source: str | Path, against: str | Path, *arguments: str | Path) -> Any:
    """The record of images that are no run's, judged by their tiles."""
    return record(source, "--against", against, "--extractor", "thumbnail", *SMALL, *arguments)


def complaint(outcome: Outcome, code: int, *fragments: str | Path) -> None:
    assert outcome.code == code, outcome
    for fragment in fragments:
        assert str(fragment) in outcome.complaint


@pytest.fixture
def run(undisturbed: RunOf, tmp_path: Path) -> Path:
    """A copy of a finished run's folder, with ten classes and a moving average."""
    folder = run_folder(undisturbed("sagan"))
    shutil.copytree(folder, tmp_path / folder.name)
    return tmp_path / folder.name


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of pictures of 32 px, ``fake``, with folders in it, and ``real``."""
    root = tmp_path_factory.mktemp("folders")
    draw = np.random.default_rng(0)
    for name, shift in (("fake", 0), ("real", 40)):
        for index in range(COUNT):
            path = root / name / ("a-b" if index % 2 else "a") / f"{index:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            tiles = np.kron(draw.integers(0, 256, (4, 4, 3)), np.ones((8, 8, 1)))
            pixels = np.clip(tiles + draw.normal(0, 20, (32, 32, 3)) + shift, 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


def pictures(folder: Path) -> list[Path]:
    """As text sorts them: ``a-b/`` before ``a/``."""
    return sorted(folder.rglob("*.png"), key=str)


@pytest.mark.parametrize("which", ["final", "best"])
def test_a_run_scores_what_its_result_says_to_the_last_digit(which: str, run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    before = tree(run)
    found = record(run, "--checkpoint", which)
    assert found["scores"] == result["scores"][which]
    assert found["protocol"] == result["protocol"]
    assert found["protocol_id"] == result["protocol_id"]
    assert found["n"] == 32
    assert found["source"]["step"] == (6 if which == "final" else result["best_step"])
    kept = Path(found["path"])
    checkpoint = found["source"]["checkpoint"].removesuffix(".pt")
    assert kept == run / "evaluations" / f"{found['protocol_id'][:12]}-{checkpoint}.json"
    assert json.loads(kept.read_text()) == {key: value for key, value in found.items() if key != "path"}
    again = record(run, "--checkpoint", which)
    assert again.pop("seconds") != found.pop("seconds")
    assert again == found
    assert list((run / "evaluations").iterdir()) == [kept]
    assert {name: stamp for name, stamp in tree(run).items() if not name.startswith("evaluations")} == before


def test_a_checkpoint_between_and_an_interrupted_run(run: Path) -> None:
    (run / "result.json").unlink()
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert record(run)["source"]["step"] == 6
    between = record(run, "--checkpoint", "4")
    assert between["source"]["checkpoint"] == "step-000000004.pt"
    # chosen by other samples of the same generator: near, and never the same
    (row,) = [row["scores"] for row in rows if row["event"] == "scores" and row["step"] == 4]
    assert between["scores"]["fcd"] == pytest.approx(row["fcd_32"], rel=0.5)
    assert between["scores"]["fcd"] != row["fcd_32"]


def test_a_run_that_diverged_has_a_last_step_and_no_final_result(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "status": "diverged"}))
    done = evaluate(run, "--json")
    assert done.json["source"]["step"] == 6
    assert done.err == "the run diverged: this is step 6, the last that was kept, and no final result\n"
    assert evaluate(run, "--checkpoint", "best").err == ""


def test_every_choice_is_another_protocol(run: Path, folders: Path) -> None:
    choices: list[list[str | Path]] = [
        [],
        ["--weights", "raw"],
        ["--samples", "24"],
        ["--set", "evaluation.kid_subsets=3"],
        ["--set", "evaluation.truncation=0.5"],
        ["--set", "evaluation.labels=uniform"],
        ["--set", "evaluation.reference=held-out"],
        ["--set", "evaluation.reference_samples=30"],
        ["--metric", "fid", "--metric", "isc"],
        ["--extractor", "cnn-digits"],
        ["--against", "few-digits", "--set", "dataset.count=50"],
        ["--against", folders / "real", *SMALL],
    ]
    found = [record(run, *choice) for choice in choices]
    assert len({each["protocol_id"] for each in found}) == len(choices)
    assert len(list((run / "evaluations").iterdir())) == len(choices)
    assert found[1]["protocol"]["samples"]["generator"] == "raw"
    assert found[2]["n"] == 24
    assert list(found[8]["scores"]) == ["classifier_score", "classifier_score_std", "fcd"]
    assert found[10]["protocol"]["reference"]["count"] == 50
    fcd = [each["scores"]["fcd"] for each in found]
    assert len(set(fcd)) == len(choices) - 2  # neither KID's subsets nor the choice of metrics changes it
    # in words, the settings that are the run's own change nothing
    same = ["--extractor", "thumbnail", "--samples", "32", "--set", "evaluation.truncation=9.5"]
    assert record(run, *same)["scores"] == found[0]["scores"]


def test_repeats_tell_the_resampling_error(run: Path) -> None:
    found = record(run, "--repeats", "3", "--crosscheck")
    one, resampling = record(run), found["resampling"]
    assert found["scores"] == one["scores"]
    assert found["protocol_id"] == one["protocol_id"]
    assert found["crosschecked"] is True
    assert (resampling["repeats"], resampling["n"]) == (3, 32)
    for name in ("fcd", "kcd", "classifier_score"):
        assert resampling["std"][name] > 0
        assert abs(resampling["mean"][name] - found["scores"][name]) < 3 * resampling["std"][name]
    assert record(run, "--repeats", "3")["resampling"] == resampling
    assert record(run, "--repeats", "2")["resampling"]["mean"]["fcd"] != resampling["mean"]["fcd"]


def test_the_table(run: Path) -> None:
    done = evaluate(run, "--repeats", "2", "--crosscheck")
    scores = record(run)["scores"]
    assert done.code == 0
    assert done.err == "repeat 2 of 2\n"
    lines = done.out.splitlines()
    assert "step 6, weights ema" in lines[0]
    assert lines[1] == "against 40 few-digits train, judged by thumbnail"
    assert "mean of 2" in lines[2]
    rows = [line.split() for line in lines[3 : 3 + len(scores)]]
    assert {row[0]: row[1] for row in rows} == {name: f"{value:.4g}" for name, value in scores.items()}
    assert {len(row) for row in rows} == {4}
    assert "n 32; " in done.out
    assert "protocol " in done.out
    assert "both libraries" in done.out
    assert "of this one generator; training seeds differ by more" in done.out
    assert f"kept in {run / 'evaluations'}" in done.out


def test_a_score_that_a_library_denies(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganbench.evaluate.crosscheck._by_torch_fidelity", lambda *_: 1.0)
    refused = evaluate(run, "--crosscheck")
    complaint(refused, 1, "fcd is ", "1.0 by the library's own function")
    assert not (run / "evaluations").exists()


def test_classes_by_themselves(run: Path, tmp_path: Path) -> None:
    families = ("--metric", "fid", "--metric", "intra-fid", "--samples", "40")
    found = record(run, *families)
    assert len(found["intra"]) == 10
    assert found["scores"]["intra_fcd"] == pytest.approx(np.mean(found["intra"]))
    # and of samples in a file that holds their labels
    assert call("sample", run, "--plugin", TOY_PLUGIN, "-n", "40", "--out", tmp_path / "s.npz").code == 0
    against = ("--against", "few-digits", "--extractor", "thumbnail")
    assert len(record(tmp_path / "s.npz", *against, *families[:4])["intra"]) == 10
    assert call("sample", run, "--plugin", TOY_PLUGIN, "-n", "40", "--out", tmp_path / "pngs").code == 0
    refused = evaluate(tmp_path / "pngs", *against, *families[:4])
    complaint(refused, 2, "intra-fid", "no labels")


def test_a_folder_a_zip_and_arrays_of_the_same_images_score_the_same(folders: Path, tmp_path: Path) -> None:
    paths = pictures(folders / "fake")
    with zipfile.ZipFile(tmp_path / "fake.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "not a picture")
        archive.writestr("__MACOSX/a/._00.png", "not a picture")
        for path in reversed(paths):
            archive.write(path, path.relative_to(folders / "fake"))
    images = np.stack([np.asarray(Image.open(path)) for path in paths])
    np.savez(tmp_path / "last.npz", images)
    np.savez_compressed(tmp_path / "first.npz", images.transpose(0, 3, 1, 2))
    found = [
        given(source, folders / "real")
        for source in (folders / "fake", *(tmp_path / name for name in ("fake.zip", "last.npz", "first.npz")))
    ]
    for other in found[1:]:
        assert other["scores"] == found[0]["scores"]
        assert other["protocol_id"] == found[0]["protocol_id"]
        assert other["source"]["sha256"] == found[0]["source"]["sha256"]
    assert found[0]["n"] == COUNT
    assert found[0]["path"] is None
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == [
        "fake.zip",
        "first.npz",
        "last.npz",
    ]
    # against one another: nothing between them
    itself = given(tmp_path / "fake.zip", tmp_path / "first.npz")["scores"]
    assert abs(itself["fcd"]) < 1e-6
    assert (itself["precision"], itself["recall"], itself["coverage"]) == (1, 1, 1)


def test_grey_and_transparent_pictures(folders: Path, tmp_path: Path) -> None:
    """Grey is all three channels alike; what is transparent is white."""
    for index, path in enumerate(pictures(folders / "fake")):
        image = Image.open(path)
        kinds = {
            "grey": image.convert("L"),
            "grey-rgb": image.convert("L").convert("RGB"),
            "clear": Image.merge("RGBA", (*image.split(), Image.new("L", image.size, 0))),
            "white": Image.new("RGB", image.size, "white"),
        }
        for kind, made in kinds.items():
            (tmp_path / kind).mkdir(exist_ok=True)
            made.save(tmp_path / kind / f"{index:02d}.png")
    for one, other in (("grey", "grey-rgb"), ("clear", "white")):
        hashes = {given(tmp_path / kind, folders / "real")["source"]["sha256"] for kind in (one, other)}
        assert len(hashes) == 1


def test_some_of_the_images(folders: Path) -> None:
    some = given(folders / "fake", folders / "real", "--samples", "10")
    assert some["n"] == 10
    assert some["scores"] == given(folders / "fake", folders / "real", "--samples", "10")["scores"]
    assert some["protocol_id"] != given(folders / "fake", folders / "real")["protocol_id"]
    more = evaluate(folders / "fake", "--against", folders / "real", "--extractor", "thumbnail", "--samples", "13")
    complaint(more, 2, "has 12 images", "--samples")


def test_a_data_set_by_name(folders: Path, tmp_path: Path) -> None:
    found = given(folders / "fake", "few-digits", "--set", "dataset.count=20")
    assert found["protocol"]["reference"] | {"fingerprint": "", "provider": ""} == {
        **{"name": "few-digits", "provider": "", "options": {"count": 20}, "fingerprint": ""},
        **{"resolution": 32, "split": "train", "count": 20},
    }
    shutil.copytree(folders / "real", tmp_path / "few-digits")  # the data set all the same; ./ means the folder
    assert given(folders / "fake", "few-digits")["protocol"]["reference"]["count"] == 40
    assert given(folders / "fake", "./few-digits")["protocol"]["reference"]["count"] == COUNT


def test_a_third_partys_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PLUGINS)
    monkeypatch.delitem(sys.modules, "thirdparty", raising=False)
    size = ("--samples", "20", "--latent-dim", "8", "--set", "dataset.count=20")
    done = given("thirdparty:digit_like", "few-digits", *size, "--repeats", "2")
    assert done["source"] == {"callable": "thirdparty:digit_like"}
    assert done["protocol"]["samples"]["generator"] == "as given"
    assert done["n"] == 20
    assert done["resampling"]["std"]["fcd"] > 0
    settings = ("--against", "few-digits", "--extractor", "thumbnail", *SMALL, "--latent-dim", "8")
    complaint(evaluate("thirdparty:digit_like", *settings), 2, "--samples N")
    settings = (*settings, "--samples", "20")
    complaint(evaluate("thirdparty:no_number", *settings), 3, "not finite")
    complaint(evaluate("thirdparty:grey", *settings), 3, "[20, 1, 8, 8]")
    refused = evaluate("thirdparty:stripes", "--against", PLUGINS, *settings[2:])
    complaint(refused, 3, "holds no picture")


def test_who_waits_is_told_how_far_it_is(run: Path, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganbench.evaluate.watched.SECONDS", 0.0)
    done = evaluate(run, "--against", folders / "real", *SMALL, "--json")
    assert done.json["n"] == 32
    assert done.err.splitlines() == [
        "samples: 32 of 32",
        f"pictures of {folders / 'real'}: 12 of 12",
        "features of the reference: 12 of 12",
        "features of the samples: 32 of 32",
    ]


def test_a_run_whose_record_cannot_be_kept(run: Path) -> None:
    (run / "evaluations").write_text("mine")
    done = evaluate(run, "--json")
    assert done.code == 0
    assert done.json["path"] is None
    assert "the evaluation is not kept with the run" in done.err


def test_data_that_have_changed(run: Path) -> None:
    spec = json.loads((run / "spec.json").read_text())
    spec["dataset"]["fingerprint"] = "0" * 64
    (run / "spec.json").write_text(json.dumps(spec))
    complaint(evaluate(run), 3, "few-digits is not what the run was trained on", "--against")
    assert not (run / "evaluations").exists()


def broken(folder: Path) -> dict[str, Path]:
    """By what is wrong with it: things that cannot be scored."""
    good = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    for name in ("empty", "no-picture", "text", "cut", "mixed"):
        (folder / name).mkdir()
    (folder / "no-picture" / "notes.txt").write_text("mine")
    for name in ("text", "cut", "mixed"):
        Image.fromarray(good[0]).save(folder / name / "a.png")
    (folder / "text" / "b.png").write_text("I am a picture")
    (folder / "cut" / "b.png").write_bytes((folder / "cut" / "a.png").read_bytes()[:50])
    Image.new("RGB", (9, 8)).save(folder / "mixed" / "b.png")
    with zipfile.ZipFile(folder / "out.zip", "w") as archive:
        archive.writestr("../../a.png", (folder / "cut" / "a.png").read_bytes())
    (folder / "no.zip").write_text("no zip")
    (folder / "no.npz").write_text("no npz")
    (folder / "one.png").write_bytes((folder / "cut" / "a.png").read_bytes())
    np.savez(folder / "objects.npz", np.array([{"a": 1}] * 3, dtype=object))
    np.savez(folder / "names.npz", images=good)
    np.savez(folder / "float.npz", good / 255)
    np.savez(folder / "flat.npz", good[..., 0])
    np.savez(folder / "labels.npz", good, np.zeros(2, np.int64))
    np.savez(folder / "object-labels.npz", good, np.array([{}] * 3, dtype=object))
    content = bytearray((folder / "labels.npz").read_bytes())
    (folder / "torn.npz").write_bytes(content[: len(content) // 2])
    return {path.name: path for path in folder.iterdir()}


REFUSED: dict[str, tuple[int, list[str]]] = {
    "empty": (3, ["holds no picture", ".png"]),
    "no-picture": (3, ["holds no picture"]),
    "text": (3, ["b.png cannot be read: no image", "--skip-broken"]),
    "cut": (3, ["b.png cannot be read", "--skip-broken"]),
    "mixed": (3, ["b.png has 9x8 px and a.png 8x8 px", "one size"]),
    "out.zip": (3, ["../../a.png", "leads out"]),
    "no.zip": (3, ["no.zip"]),
    "no.npz": (3, ["no.npz is no .npz that can be read"]),
    "one.png": (2, ["give a folder, a .zip or an .npz"]),
    "objects.npz": (3, ["never unpickled"]),
    "names.npz": (3, ["no arr_0, but images"]),
    "float.npz": (3, ["float64 [3, 8, 8, 3]", "uint8"]),
    "flat.npz": (3, ["uint8 [3, 8, 8]"]),
    "labels.npz": (3, ["arr_1", "not a label for each of 3"]),
    "object-labels.npz": (3, ["object-labels.npz is no .npz that can be read"]),
    "torn.npz": (3, ["torn.npz is no .npz that can be read"]),
}


@pytest.mark.parametrize("side", ["samples", "reference"])
def test_images_that_cannot_be_scored(side: str, folders: Path, tmp_path: Path) -> None:
    there = broken(tmp_path)
    assert there.keys() - REFUSED.keys() <= {"cache"}
    for name, (code, fragments) in REFUSED.items():
        good = folders / "fake"
        source, against = (there[name], good) if side == "samples" else (good, there[name])
        refused = evaluate(source, "--against", against, "--extractor", "thumbnail", *SMALL)
        assert refused.code == code, (name, refused)
        last = refused.err.splitlines()[-1]
        assert last.startswith("ganbench: ")
        for fragment in fragments:
            assert fragment in last, (name, last)


def test_broken_pictures_may_be_left_out(folders: Path, tmp_path: Path) -> None:
    shutil.copytree(folders / "fake", tmp_path / "fake")
    whole = given(tmp_path / "fake", folders / "real")
    (tmp_path / "fake" / "a" / "broken.png").write_text("no picture")
    done = evaluate(
        *(tmp_path / "fake", "--against", folders / "real", "--extractor", "thumbnail", *SMALL),
        *("--skip-broken", "--json"),
    )
    assert done.json["scores"] == whole["scores"]
    assert "left out: " in done.err
    assert "a/broken.png" in done.err


def test_refused(run: Path, folders: Path, tmp_path: Path) -> None:
    fake, real = folders / "fake", folders / "real"
    tiles = ("--extractor", "thumbnail")
    complaint(evaluate(fake), 2, f"{fake} is no run", "--against")
    complaint(evaluate("0123456789", "--results", tmp_path), 2, "0123456789 is no run")
    complaint(evaluate(fake, "--against", "nowhere", *tiles), 2, "--against nowhere", "few-digits")
    complaint(evaluate(fake, "--against", real, "--repeats", "2"), 2, "--repeats", "leave it out")
    complaint(evaluate(fake, "--against", real, "--weights", "raw"), 2, "--weights is for runs")
    complaint(evaluate(fake, "--against", real, *tiles), 2, "isc_splits=10" if COUNT < 10 else "kid_subset_size=1000")
    complaint(evaluate(fake, "--against", real, *tiles, "--set", "dataset.count=3"), 2, "dataset", "leave it out")
    complaint(evaluate(run, "--set", "dataset.count=3"), 2, "dataset", "--against")
    complaint(evaluate(run, "--set", "batch=3"), 2, "--set batch", "evaluation.KEY")
    complaint(evaluate(run, "--set", "evaluation.kid_subset=3"), 2, "evaluation.kid_subset", "kid_subsets")
    complaint(evaluate(run, "--set", "evaluation.samples=1"), 2, "evaluation.samples")
    complaint(evaluate(run, "--samples", "8"), 2, "kid_subset_size=16", "8 samples")
    complaint(evaluate(run, "--extractor", "thumbnial"), 2, "unknown extractor 'thumbnial'", "thumbnail")
    complaint(evaluate(run, "--extractor", "cnn-digits", "--set", "evaluation.extractor.a=1"), 2, "takes no options")
    complaint(evaluate(run, "--checkpoint", "5"), 2, "--checkpoint 5 was not kept", "4, 6")
    complaint(evaluate(run, "--metric", "fid-inf"), 2, "--metric", "clean-fid")
    complaint(evaluate(run, "--device", "tpu"), 2, "--device tpu")
    small = ("--set", "evaluation.kid_subset_size=3", "--set", "evaluation.isc_splits=1", "--set", "evaluation.prc_k=1")
    np.savez(tmp_path / "small.npz", np.zeros((4, 16, 16, 3), np.uint8))
    refused = evaluate(tmp_path / "small.npz", "--against", real, *tiles, *small)
    complaint(refused, 2, "16x16 px", "32x32 px")
    np.savez(tmp_path / "oblong.npz", np.zeros((4, 16, 32, 3), np.uint8))
    complaint(evaluate(tmp_path / "oblong.npz", "--against", "few-digits", *tiles, *small), 2, "square", "32x16 px")
    assert not (run / "evaluations").exists()


def test_inception_is_the_default_and_its_weights_are_asked_for(folders: Path, tmp_path: Path) -> None:
    refused = evaluate(folders / "fake", "--against", folders / "real", "--weights-dir", tmp_path)
    complaint(refused, 3, "extractor 'inception' needs", tmp_path, "ganbench weights add")


@pytest.mark.parametrize("where", ["features", "record"])
def test_ctrl_c_leaves_nothing(where: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Iterator[None]:
        signal.raise_signal(signal.SIGINT)
        yield

    with monkeypatch.context() as patch:
        if where == "features":
            patch.setattr("ganbench.evaluate.comparison.Watched.__getitem__", lambda *_: next(interrupted()))
        else:
            patch.setattr("os.fsync", lambda *_: next(interrupted()))
        stopped = evaluate(run)
    assert (stopped.code, stopped.err.strip(), stopped.out) == (130, "ganbench: interrupted", "")
    assert not list(run.glob("evaluations/*.json"))
    assert not [path for path in run.glob("evaluations/.*") if path.is_file()]
    assert evaluate(run).code == 0
