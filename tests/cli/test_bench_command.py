"""``ganbench bench``, and runs whose steps are compiled."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from harness import TOY_PLUGIN, assert_same_run, call, command, launched, shell, train, wait_until

from ganbench.bench.phases import PHASES

SMALL = ["--width", "4", "--batch", "4", "--device", "cpu", "--pairs", "5"]


def test_both_forms_are_measured_in_turn_and_their_ratio_is_of_pairs() -> None:
    report = shell("bench", "--model", "sagan", *SMALL, "--precision", "bf16", "--against", "plain", "--json").json
    assert {"model": "sagan", "resolution": 32, "batch": 4, "precision": "bf16"}.items() <= report.items()
    for form in (report, report["plain"]):
        low, high = form["seconds_per_step_spread"]
        assert 0 < low <= form["seconds_per_step"] <= high
        assert form["steps_per_second"] == pytest.approx(1 / form["seconds_per_step"])
        assert form["images_per_second"] == pytest.approx(4 * form["steps_per_second"])
        assert form["flops_per_second"] == pytest.approx(report["flops_per_step"] * form["steps_per_second"])
        assert set(form["phases"]) == set(PHASES)
        assert all(0 < share < 1 for share in form["phases"].values())
        assert 0.5 < sum(form["phases"].values()) <= 1
    low, high = report["ratio_spread"]
    assert 0 < low <= report["ratio"] <= high
    assert 0 < report["peak_memory_bytes"] < report["plain"]["peak_memory_bytes"]
    assert report["share_of_peak"] is None
    assert report["compiled"] is False


def test_the_figures_are_printed_and_nothing_is_on_stderr_but_what_it_does() -> None:
    done = shell("bench", "--model", "dcgan", *SMALL)
    assert done.code == 0
    assert done.err.splitlines() == ["ganbench: timing 5 blocks of steps; nothing else should run here meanwhile"]
    first, *rest = done.out.splitlines()
    assert first.startswith("dcgan at 32 px, batch 4, fp32, eager; ")
    assert [line.split("  ")[0] for line in rest[1:]] == [
        *("steps/s", "images/s", "GFLOP/s", "peak memory MiB"),
        *(phase.replace("_", " ") for phase in PHASES),
    ]


def test_a_part_of_a_plug_in_can_be_timed() -> None:
    timed = call("bench", "--model", "sngan", *SMALL, "--plugin", TOY_PLUGIN, "--dataset", "few-digits", "--json")
    assert timed.json["n_dis"] == 5


@pytest.mark.parametrize("which", ["bench", "run"])
def test_tensor_cores_are_asked_of_devices_that_have_them(which: str, tmp_path: Path) -> None:
    results = ["--results", str(tmp_path)] if which == "run" else ["--pairs", "5"]
    done = call(which, "--model", "sagan", "--device", "cpu", "--precision", "tf32", *results)
    assert done.code == 2
    assert "precision tf32 is arithmetic of CUDA's tensor cores, and cpu has none" in done.err


def test_the_step_of_several_ranks_is_not_what_is_timed() -> None:
    refused = call("bench", "--model", "sagan", *SMALL, "--gpus", "2")
    assert refused.code == 2
    assert "leave out --gpus" in refused.err


def test_a_median_of_few_pairs_is_refused() -> None:
    assert call("bench", "--model", "sagan", "--pairs", "4").code == 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_a_compiled_run_goes_on_compiled_and_ends_as_if_undisturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    whole = shell(*command("dcgan", tmp_path / "whole", "--compile"))
    assert whole.code == 0, whole.err
    stopped = tmp_path / "stopped"
    with launched(*command("dcgan", stopped, "--compile")) as process:
        wait_until(lambda: any(stopped.glob("runs/*/checkpoints/step-*.pt")), process)
        process.kill()
    end = shell(*command("dcgan", stopped))  # without being told again: a run stays what it was
    assert end.code == 0, end.err
    assert "going on from step" in end.err
    assert end.json["cost"]["compiled"] is True
    assert end.json["cost"]["compile_seconds"] > 0
    assert_same_run(stopped, tmp_path / "whole")
    eager = train("dcgan", tmp_path / "eager").json
    assert eager["cost"]["compiled"] is False
    assert whole.json["scores"]["final"]["fcd"] == pytest.approx(eager["scores"]["final"]["fcd"], rel=0.05)
