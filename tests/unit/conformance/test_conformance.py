"""The checks pass what is sound and catch what is broken, with a message that helps."""

from __future__ import annotations

import json
import shutil

import pytest
from formats import MAKERS
from harness import PLUGINS, call, shell

from ganbench.api import UsageError
from ganbench.conformance import check_entry, compiled
from ganbench.registry import Registry
from ganbench.testing import check_component
from ganbench.zoo import COMPONENTS

BROKEN = PLUGINS / "broken_parts.py"
COMPILE = ("torch.compile",)
"""Takes seconds for each component: one is compiled, in a test of its own."""
NEEDS_A_CLUSTER = {("executor", "ray"), ("executor", "slurm")}
"""Checked where there is one, in tests/cli/test_executors.py."""
BUILT_IN = [(kind, name) for kind, table in COMPONENTS.items() for name in table if (kind, name) not in NEEDS_A_CLUSTER]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover([BROKEN])


def report_of(registry, kind, name):
    skip = COMPILE if kind in ("attention", "normalizer") else ()
    return check_entry(registry.find(kind, name), skip=skip)


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    """Every data set that is read from files, a few images of each."""
    root = tmp_path_factory.mktemp("data")
    for make in MAKERS.values():
        make(root)
    return root


@pytest.mark.parametrize(("kind", "name"), BUILT_IN)
def test_every_built_in_passes(registry, kind, name, data_root, monkeypatch):
    monkeypatch.setenv("GANBENCH_DATA", str(data_root))
    report = report_of(registry, kind, name)
    assert report.passed, str(report)
    without_weights = any("weights are absent" in result.seen for result in report.results)
    assert sum(result.status == "passed" for result in report.results) >= (1 if without_weights else 4)


@pytest.mark.skipif(compiled.no_compiler() is not None, reason=str(compiled.no_compiler()))
def test_the_reference_block_compiles():
    report = check_component("attention", "self")
    assert next(r for r in report.results if r.check == "torch.compile").status == "passed"


def test_without_a_compiler_the_check_is_skipped_with_the_reason(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    report = check_component("attention", "none")
    (result,) = (r for r in report.results if r.check == "torch.compile")
    assert (result.status, result.seen) == ("skipped", "no C++ compiler (g++ or clang++)")


CAUGHT = [
    # kind, name, check, in the message
    ("attention", "hard-coded-channels", "builds with the right output shape", "a channel count is hard-coded"),
    ("attention", "wrong-shape", "builds with the right output shape", "expected: the shape [2, 8, 4, 4]"),
    ("attention", "wrong-shape", "builds with the right output shape", "seen: [2, 8, 2, 2]"),
    ("attention", "softmax-over-queries", "attention map", "the softmax runs over the wrong axis"),
    ("attention", "softmax-over-batch", "evaluation changes nothing", "over the batch axis (0)"),
    ("attention", "in-place", "leaves its input alone", "nn.ReLU(inplace=True)"),
    ("attention", "unused-parameter", "gradients reach every parameter", "not zero throughout, for idle"),
    ("attention", "unused-parameter", "gradients reach every parameter", "forward never uses it"),
    ("attention", "detached", "gradients reach every parameter", "for conv.weight"),
    ("attention", "behind-a-gate", "gradients reach every parameter", "for conv.weight"),
    ("attention", "wrong-type", "types", "seen: torch.float32"),
    ("attention", "wrong-type", "types", "a float32 parameter that is not cast to x.dtype"),
    ("attention", "by-chance", "deterministic", "random numbers in forward that are not torch's"),
    ("attention", "dropout-in-eval", "deterministic", "the same output twice in evaluation mode"),
    ("attention", "moving-buffer", "evaluation changes nothing", "seen changed"),
    ("attention", "moving-buffer", "evaluation changes nothing", "without looking at self.training"),
    ("attention", "hidden-state", "state dict restores it", "state outside parameters and buffers"),
    ("attention", "view", "any memory layout", "use reshape in place of view"),
    ("attention", "no-identity", "identity at init", "drop identity_at_init"),
    ("attention", "stuck-identity", "identity at init", "neither ever moves"),
    ("attention", "empty-layer", "few channels are refused well", "inner.weight has no element"),
    ("attention", "fixed-device", "builds on the meta device", "make constants on x.device"),
    ("attention", "overflow", "finite output", "use softmax, an eps"),
    ("attention", "idle-size", "size option", "does not reach the layers"),
    ("attention", "wrong-backward", "derivatives in float64", "a wrong backward"),
    ("attention", "only-if", "builds with the right output shape", "ZeroDivisionError"),
    ("normalizer", "no-role", "has a role", "@ganbench.api.normalizes"),
    ("normalizer", "wide-activations", "types", "finite torch.bfloat16 from bfloat16 under autocast"),
    ("normalizer", "flat-weight", "keeps the weight's shape", "expected: a weight of torch.float32 [8, 6, 3, 3]"),
    ("architecture", "no-tanh", "images are in range", "the last layer lacks a tanh"),
    (
        "architecture",
        "misplaced-attention",
        "parts stand where announced",
        "attention(8, 4) was given [8, 8, 8]",
    ),
    ("loss", "wrong-sign", "points the right way", "real and fake exchanged"),
    ("loss", "overflow", "finite", "use softplus or logsigmoid"),
    ("loss", "per-image", "gives scalars", "the mean over the batch is missing"),
    ("regularizer", "flat", "moves the discriminator", "create_graph=True"),
    ("regularizer", "global-draws", "draws from the update alone", "generator=update.draws"),
    ("regularizer", "forgetful", "keeps its state", "use register_buffer"),
    ("regularizer", "weighted", "schedule and doubts", "other names than weight and interval"),
    ("augmentation", "cropping", "keeps shape and type", "seen: torch.float32 [8, 3, 7, 7]"),
    ("augmentation", "rounding", "passes gradients", "rounding to pixels"),
    ("augmentation", "unseeded", "draws as told", "generator=draws"),
    ("dataset", "shuffled", "the same again", "the harness draws batches itself"),
    ("dataset", "labels-from-one", "images and labels", "classes counted from 1"),
    ("dataset", "moving-key", "key of its files", "something else than names, sizes and times"),
    ("dataset", "forgetful-images", "read in other processes", "seen: 0 images, or others"),
    ("dataset", "nameless", "names of images", "name(index) ignores the index"),
]


@pytest.mark.parametrize(("kind", "name", "check", "message"), CAUGHT)
def test_what_is_broken_is_caught(registry, kind, name, check, message):
    report = report_of(registry, kind, name)
    (failure,) = (result for result in report.failures if result.check == check)
    assert message in str(failure)
    for line in ("FAILED   ", "expected: ", "seen: ", "likely cause: "):
        assert line in str(failure)


def test_one_fault_is_one_failure(registry):
    for name in ("unused-parameter", "in-place", "moving-buffer", "view", "hard-coded-channels"):
        assert len(report_of(registry, "attention", name).failures) == 1, name


def test_what_is_sound_passes(registry):
    report = report_of(registry, "attention", "sound")
    assert report.passed, str(report)
    cost, none = report.costs
    assert (cost.parameters, none.parameters) == (64 * 65, 0)
    assert (cost.flops, none.flops) == (2 * 64 * 64 * 256, 0)
    assert cost.milliseconds > none.milliseconds > 0


def test_what_an_author_should_know_is_noted(registry):
    leak = report_of(registry, "dataset", "leaking")
    assert leak.passed
    assert "noted    splits are apart: 6 of 6 held-out images are in the train split as well" in str(leak)
    outside = report_of(registry, "attention", "empty-layer")
    assert "inner, outer did not come from layers.conv" in str(outside)


def test_a_data_set_that_is_not_at_hand_is_skipped(registry):
    report = report_of(registry, "dataset", "cifar10")
    assert report.passed
    assert {result.status for result in report.results} == {"skipped"}
    assert "set GANBENCH_DATA to where data sets lie" in str(report)


def test_the_helper_lists_every_failure_and_takes_files():
    with pytest.raises(AssertionError) as failed:
        check_component("attention", "empty-layer", [BROKEN], skip=COMPILE)
    assert str(failed.value).startswith("attention empty-layer fails 1 of ")
    assert "likely cause: a share of 1 channels is 0" in str(failed.value)
    assert check_component("attention", "squeeze-excite", options={"reduction": 2}, skip=COMPILE).passed
    for wrong in ({"skip": ["nonsense"]}, {"options": {"nonsense": 1}}):
        with pytest.raises(UsageError, match="nonsense"):
            check_component("attention", "none", **wrong)


def test_the_command_says_the_same_and_exits_by_it():
    broken = call("check", "attention", "in-place", "--plugin", BROKEN, "--skip", "torch.compile")
    assert broken.code == 1
    assert "FAILED   leaves its input alone\n         expected: an unchanged input in training mode" in broken.out
    sound = call("check", "attention", "sound", "--plugin", BROKEN, "--skip", "torch.compile", "--json")
    assert (sound.code, sound.json["passed"], sound.json["name"]) == (0, True, "sound")
    assert {check["status"] for check in sound.json["checks"]} == {"passed", "skipped"}
    assert sound.json["costs"][1]["parameters"] == 0
    sized = call("check", "attention", "multi-head", "--set", "heads=2", "--skip", "torch.compile", "--json")
    assert sized.code == 0


def test_mistakes_are_one_line():
    assert (call("check", "attention", "nothing").code, call("check", "nothing", "self").code) == (2, 2)
    assert "heads" in call("check", "attention", "multi-head", "--set", "head=2").complaint
    assert call("check", "attention", "self", "--plugin", "absent.py").code == 3


def test_a_third_partys_distribution_passes(installed):
    done = shell("check", "attention", "cbam", "--skip", "torch.compile", "--json", path=installed("ganbench-cbam"))
    assert done.code == 0, done.out
    assert done.json["provider"] == "ganbench-cbam 1.2.0"
    assert json.dumps(done.json["checks"]).count('"failed"') == 0
