"""Every executor keeps the same promises: what is killed goes on, ends the same, and is counted."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from clusters import RayNodes, ray_cluster, slurm_cluster
from harness import PLUGINS, assert_same_folder, call, launched, outcome, shell, wait_until
from sweeps import at_work, attempts, is_alive, runs, toy_sweep, wait_until_gone
from test_readme import README, SMALL

from ganbench.attempts import read_attempts


@dataclass(frozen=True)
class Placement:
    """An executor as the command line names it."""

    arguments: list[str]
    budget: str
    """Long enough to be met in mid-run."""
    leashed: bool
    """Whether runs end with their driver."""


@pytest.fixture(scope="module")
def ray_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    with ray_cluster(tmp_path_factory.mktemp("ray")) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with slurm_cluster(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.fixture(params=["local", "ray", "slurm"])
def placement(request: pytest.FixtureRequest) -> Placement:
    if request.param == "local":
        return Placement(["--jobs", "2"], "120steps", leashed=True)
    if request.param == "slurm":
        request.getfixturevalue("slurm")
        return on_slurm()
    return on_ray(request.getfixturevalue("ray_nodes"))


def on_slurm() -> Placement:
    return Placement(["--executor", "slurm", "--partition", "main", "--time", "1:00:00"], "400steps", leashed=False)


def on_ray(nodes: RayNodes) -> Placement:
    arguments = ["--executor", "ray", "--address", nodes.address, "--executor-set", "sync_seconds=0.1"]
    return Placement(arguments, "400steps", leashed=True)


@pytest.fixture
def sweep(tmp_path: Path, placement: Placement) -> list[str]:
    """The arguments of a sweep of six runs into ``tmp_path / "results"``."""
    return six_runs(tmp_path, placement)


def six_runs(root: Path, placement: Placement) -> list[str]:
    return placed(placement, root, toy_sweep(root, seeds=3), "dcgan,spectral")


def placed(placement: Placement, root: Path, sweep: list[str], rows: str) -> list[str]:
    what = ["--rows", rows, "--budget", placement.budget, "--set", "evaluation.every=20steps"]
    return [*sweep, *what, "--results", str(root / "results"), "--device", "cpu", *placement.arguments]


def in_mid_run(results: Path, gone: set[int]) -> list[int]:
    """The processes that have trained for a while."""
    return [pid for pid, folder in at_work(results, gone).items() if len([*(folder / "samples").iterdir()]) > 2]


def wait_for_one_in_mid_run(results: Path, gone: set[int], process: subprocess.Popen[str]) -> int:
    wait_until(lambda: bool(in_mid_run(results, gone)), process)
    return in_mid_run(results, gone)[0]


def kill(pid: int) -> bool:
    """SIGKILL; whether there was anything to kill."""
    alive = is_alive(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return alive


def assert_as_undisturbed(results: Path, root: Path) -> None:
    """Every run equals one that was trained here from its spec, one after the other."""
    for name, folder in runs(results).items():
        alone = ["run", "--spec", folder / "spec.json", "--results", root / "alone", "--device", "cpu"]
        assert call(*alone, "--plugin", PLUGINS / "toy.py").code == 0
        assert_same_folder(folder, runs(root / "alone")[name])


@pytest.mark.slow
def test_a_killed_run_and_a_killed_driver_leave_no_trace_but_an_attempt_each(
    placement: Placement, sweep: list[str], tmp_path: Path
) -> None:
    results, gone = tmp_path / "results", set[int]()
    with launched(*sweep) as driver:
        gone.add(wait_for_one_in_mid_run(results, gone, driver))
        killed = sum(kill(pid) for pid in gone)
        wait_until(lambda: any(results.glob("runs/*/result.json")) and bool(in_mid_run(results, gone)), driver)
        driver.kill()
        driver.wait()
        lost = {pid for pid, folder in at_work(results, gone).items() if not (folder / "result.json").exists()}
    assert killed == 1
    if placement.leashed:
        killed += len(lost)
        wait_until_gone(lost)
    with launched(*sweep) as driver:
        again = outcome(driver)
    assert again.code == 0, again.err
    assert len(runs(results)) == 6
    assert_as_undisturbed(results, tmp_path)
    assert len(attempts(results)) == 6 + killed
    third = shell(*sweep)
    assert third.code == 0
    assert "6 runs, all done" in third.err
    assert "begins" not in third.err
    assert len(attempts(results)) == 6 + killed


def assert_passes_the_checks(name: str, *options: str) -> None:
    checked = shell("check", "executor", name, *(word for option in options for word in ("--set", option)), "--json")
    assert checked.code == 0, checked.out + checked.err
    assert [result["status"] for result in checked.json["checks"]] == ["passed"] * 4


def test_ray_passes_the_checks_of_its_kind(ray_nodes: RayNodes) -> None:
    assert_passes_the_checks("ray", f"address={ray_nodes.address}", "sync_seconds=0.1")


@pytest.mark.usefixtures("slurm")
def test_slurm_passes_the_checks_of_its_kind() -> None:
    assert_passes_the_checks("slurm", "time=10")


@pytest.mark.slow
def test_on_ray_a_run_whose_machine_is_lost_goes_on_at_another(ray_nodes: RayNodes, tmp_path: Path) -> None:
    """Last of those on Ray: it leaves the cluster with one node less."""
    results = tmp_path / "results"
    sweep = six_runs(tmp_path, on_ray(ray_nodes))
    with launched(*sweep) as driver:
        wait_until(lambda: len(in_mid_run(results, set())) == 2, driver)
        (lost, moved), (kept, _) = at_work(results, set()).items()
        ray_nodes.kill_node_of(lost)
        wait_until_gone([lost])
        assert is_alive(kept)
        ended = outcome(driver)
    assert ended.code == 0, ended.err
    assert_as_undisturbed(results, tmp_path)
    assert [attempt.ended for attempt in read_attempts(moved)] == ["killed", "done"]
    assert len(attempts(results)) == 7
    places = [Path(line.split()[-1]) for line in (moved / "log.txt").read_text().splitlines() if line[:4] == "run "]
    assert len({place.parents[2] for place in places}) == 2
    assert not any(place.exists() for place in places[1:])
    assert "going on from step" in (moved / "log.txt").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_on_slurm_a_run_at_its_time_limit_saves_and_is_requeued(tmp_path: Path) -> None:
    results = tmp_path / "results"
    with launched(*placed(on_slurm(), tmp_path, toy_sweep(tmp_path, seeds=1), "dcgan")) as driver:
        wait_for_one_in_mid_run(results, set(), driver)
        (folder,) = runs(results).values()
        job = json.loads((folder / "slurm.json").read_text())["job_id"]
        subprocess.run(["scancel", "--signal=USR2", job], check=True)  # as Slurm does, near the end
        ended = outcome(driver)
    assert ended.code == 0, ended.err
    assert_as_undisturbed(results, tmp_path)
    assert [attempt.ended for attempt in read_attempts(folder)] == ["interrupted", "done"]
    assert "trying again" not in ended.err
    assert not [*(results / "slurm").glob("*.exit")]
    shown = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=True)
    assert "Restarts=1" in shown.stdout


MANY = """
from ganbench.api import Demand, PositiveInt, register


@register("executor", "many")
class Many:
    \"\"\"Room for many.\"\"\"

    def __init__(self, demand: Demand, *, room: PositiveInt = 1) -> None:
        self.slots = 2 * room
"""


def test_another_executor_is_a_plug_in_and_changes_no_run(tmp_path: Path) -> None:
    plugin = tmp_path / "many.py"
    plugin.write_text(MANY)
    sweep = [*toy_sweep(tmp_path, seeds=1), "--plugin", str(plugin), "--dry-run", "--json"]
    many = call(*sweep, "--executor", "many", "--executor-set", "room=4")
    assert many.code == 0, many.err
    assert "with 8 at a time" in many.err
    assert many.json == call(*sweep).json
    listed = call("list", "executor", "--plugin", plugin, "--json").json
    assert [row["name"] for row in listed] == ["local", "many", "ray", "slurm"]


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_executor_that_is_not_installed_says_how_to_install_it(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    refused = call(*toy_sweep(tmp_path, seeds=1), "--executor", name)
    assert refused.code == 3
    assert f"pip install 'ganbench[{name}]'" in refused.complaint
    assert call("list", "executor").code == 0


def readme_command(engine: str) -> list[str]:
    """The command that the README shows for it, made one of seconds."""
    block = re.search(rf"^```sh {engine}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert block is not None
    install, shown = block[1].splitlines()
    assert install == f"pip install '.[{engine}]'"
    name, *arguments = shlex.split(shown)
    assert name == "ganbench"
    return [*arguments, *SMALL["sweep"], "--device", "cpu"]


@pytest.mark.slow
def test_ray_does_what_the_readme_says(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    assert_swept(readme_command("ray"), tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_slurm_does_what_the_readme_says(tmp_path: Path) -> None:
    assert_swept(readme_command("slurm"), tmp_path)


def assert_swept(command: list[str], tmp_path: Path) -> None:
    end = shell(*command, "--results", str(tmp_path), "--json")
    assert end.code == 0, end.err
    assert {run["state"] for row in end.json["rows"] for run in row["runs"]} == {"finished"}
