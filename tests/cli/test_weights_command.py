"""``ganbench weights`` from outside, and what other commands say of weights that are absent or wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from harness import TOY_PLUGIN, call, python
from inception_weights import PT, PTH, InceptionWeights

from ganbench.published import INCEPTION, PUBLISHED
from ganbench.store import file_sha256

HERE = ["--weights-dir", "weights"]
ALLOW = "--allow-unverified-weights"
WITH_INCEPTION = ["--model", "sagan", "--set", "evaluation.extractor=inception"]
FETCH = f"curl -LO {INCEPTION[0].url} && ganbench weights add {PTH}"


@pytest.fixture
def wrong() -> Path:
    """A weight file that is not the published one, at its place."""
    path = Path("weights") / PTH
    path.parent.mkdir()
    path.write_bytes(b"something else")
    return path


def test_help_and_list_say_where_all_files_come_from() -> None:
    about = call("weights", "--help").out
    for each in INCEPTION:
        assert each.url in about
    listed = call("weights", "list")
    assert listed.code == 0
    for files in PUBLISHED.values():
        for each in files:
            assert each.url in listed.out
    assert "for inception, inception-clean" in listed.out
    assert "sha256 not published" in listed.out


@pytest.mark.parametrize("command", ["list", "add", "path"])
def test_every_subcommand_explains_itself(command: str) -> None:
    shown = call("weights", command, "--help")
    assert shown.code == 0
    assert "--json" in shown.out
    assert "--weights-dir" in shown.out


def test_the_list_imports_no_torch() -> None:
    script = "import sys; from ganbench.cli import main\ntry: main(['weights', 'list'])\nexcept SystemExit: pass\n"
    outcome = python("-c", f"{script}print('torch' in sys.modules)")
    assert outcome.out.splitlines()[-1] == "False", outcome.err


def test_the_list_as_json(wrong: Path) -> None:
    rows = {row["file"]: row for row in call("weights", "list", *HERE, "--json").json}
    assert len(rows) == len({each for files in PUBLISHED.values() for each in files})
    assert rows[PTH]["state"] == "wrong"
    assert rows[PTH]["fault"] == "it has 14 bytes and the published file 95,628,359"
    assert (rows[PT]["state"], rows[PT]["fault"]) == ("absent", None)
    assert rows[PT]["extractors"] == ["inception", "inception-clean"]
    assert (rows[PT]["bytes"], rows[PT]["sha256"]) == (95_607_719, INCEPTION[1].sha256)
    assert rows[PT]["path"] == str(Path("weights") / PT)
    assert "14 bytes" in call("weights", "list", *HERE).out


def test_add_checks_before_it_copies(inception_weights: InceptionWeights) -> None:
    refused = call("weights", "add", inception_weights.pth, *HERE)
    assert refused.code == 3
    assert "bytes and the published file 95,628,359" in refused.complaint
    assert f"{FETCH} --weights-dir weights" in refused.complaint
    assert not Path("weights").exists()
    added = call("weights", "add", inception_weights.pth, *HERE, ALLOW, "--json")
    place, sha256 = Path("weights") / PTH, file_sha256(inception_weights.pth)
    assert added.json == {"path": str(place), "sha256": sha256, "verified": False}
    assert file_sha256(place) == sha256
    assert [path.name for path in Path("weights").iterdir()] == [PTH]
    assert f"unverified, sha256 {sha256}" in call("weights", "add", inception_weights.pth, *HERE, ALLOW).out


def test_what_cannot_be_added() -> None:
    Path("weights.pth").write_bytes(b"")
    absent = call("weights", "add", "absent.pth", *HERE)
    assert (absent.code, absent.complaint) == (
        3,
        "ganbench: weights absent.pth cannot be read: No such file or directory",
    )
    unknown = call("weights", "add", "weights.pth", *HERE, ALLOW)
    assert unknown.code == 2
    assert "unknown weight file 'weights.pth'" in unknown.complaint


def test_path(inception_weights: InceptionWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("weights", "path", *HERE).out == "weights\n"
    monkeypatch.setenv("GANBENCH_WEIGHTS", str(inception_weights.clean_fid))
    assert call("weights", "path", "--json").json == {"path": str(inception_weights.clean_fid)}
    assert call("weights", "path", "inception", ALLOW).out == f"{inception_weights.pt}\n"
    found = call("weights", "path", PT, ALLOW, "--json").json
    assert found == {"path": str(inception_weights.pt), "sha256": file_sha256(inception_weights.pt), "verified": False}
    assert call("weights", "path", "inception").code == 3
    assert call("weights", "path", PTH, ALLOW).code == 3
    unknown = call("weights", "path", "incption")
    assert unknown.code == 2
    assert "did you mean inception" in unknown.complaint


def test_a_run_without_weights_says_what_mends_it() -> None:
    refused = call("run", *WITH_INCEPTION)
    assert refused.code == 3
    assert FETCH in refused.complaint
    assert refused.complaint.endswith("; or score digits without: --set evaluation.extractor=cnn-digits")
    assert not Path("results").exists()
    larger = call("run", *WITH_INCEPTION, "--resolution", "64")
    assert larger.complaint.endswith("evaluation.extractor=cnn-digits-area")


def test_the_digits_extractor_is_offered_for_digits_alone() -> None:
    refused = call("run", *WITH_INCEPTION, "--dataset", "few-digits", "--plugin", TOY_PLUGIN)
    assert refused.code == 3
    assert FETCH in refused.complaint
    assert "cnn-digits" not in refused.complaint


def test_the_digits_extractor_on_other_data_is_doubted() -> None:
    doubt = "warning: cnn-digits: it was made for digits, and its scores of few-digits say little"
    assert doubt in call("show", "--model", "sagan", "--dataset", "few-digits", "--plugin", TOY_PLUGIN).err
    assert call("show", "--model", "sagan", "--json").json["warnings"] == []


def test_a_run_with_wrong_weights_is_refused(wrong: Path) -> None:
    refused = call("run", *WITH_INCEPTION, *HERE)
    assert refused.code == 3
    assert f"weights {wrong} were not loaded, since it has 14 bytes" in refused.complaint


def test_the_weights_are_part_of_a_runs_identity(inception_weights: InceptionWeights) -> None:
    shown = []
    for folder in (inception_weights.torch_fidelity, inception_weights.clean_fid, inception_weights.both):
        shown.append(call("show", *WITH_INCEPTION, "--weights-dir", folder, ALLOW, "--json").json)
    found = [each["spec"]["evaluation"]["extractor"]["weights_sha256"] for each in shown]
    digests = [file_sha256(inception_weights.pth), file_sha256(inception_weights.pt)]
    assert found == [*digests, digests[0]]
    ids = [each["run_id"] for each in shown]
    assert ids[0] == ids[2] != ids[1]
    without = call("show", *WITH_INCEPTION, "--json")
    assert without.json["run_id"] is None
    assert FETCH in without.err


def test_doctor_says_which_weights_are_at_hand(inception_weights: InceptionWeights, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_WEIGHTS", str(inception_weights.torch_fidelity))
    told = call("doctor")
    assert f"wrong           {PTH}" in told.out
    assert "weight files are absent: 'ganbench weights list'" in told.out
    assert call("doctor", "--json").json["weights"][PT] == "absent"


def test_a_plugins_weights_are_listed_added_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"tiny"
    Path("tiny.bin").write_bytes(content)
    plugin = Path("plugin.py")
    plugin.write_text(PLUGIN.format(sha256=file_sha256(Path("tiny.bin"))))
    rows = call("weights", "list", *HERE, "--plugin", plugin, "--json").json
    assert (rows[-1]["file"], rows[-1]["extractors"], rows[-1]["state"]) == ("tiny.bin", ["tiny"], "absent")
    shutil.move("tiny.bin", "download")
    added = call("weights", "add", "download", *HERE, "--plugin", plugin)
    assert (added.code, added.out) == (0, f"{Path('weights') / 'tiny.bin'}: the published file\n")
    monkeypatch.setenv("GANBENCH_WEIGHTS", "weights")
    checked = call("check", "extractor", "tiny", "--plugin", plugin, "--json")
    results = {check["check"]: check["status"] for check in checked.json["checks"]}
    assert results["features"] == results["layers for every metric"] == results["frozen"] == "passed"


PLUGIN = '''
import torch
from ganbench.api import ExtractorCard, PublishedWeights, WeightFile, extracts, register
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

TINY = PublishedWeights("tiny.bin", "https://example.org/tiny.bin", "{sha256}", 4)


class Tiny(FeatureExtractorBase):
    def __init__(self, weights):
        super().__init__("tiny", ["mean"])
        self.scale = len(weights.content().read())
        self.eval()

    @staticmethod
    def get_provided_features_list():
        return ("mean",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "mean"

    def train(self, mode=True):
        return super().train(False)

    def forward(self, images):
        return (images.float().mean((2, 3)) * self.scale,)


@register("extractor", "tiny")
@extracts(ExtractorCard(weights_sha256="", resize="none", resolutions=None, inception=False, weights=(TINY,)))
def tiny(weights: WeightFile) -> FeatureExtractorBase:
    """Mean colours."""
    return Tiny(weights)
'''
