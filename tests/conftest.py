"""What all tests share: one thread, the same examples every time, runs and installations made once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from harness import MODELS, PLUGINS, environment, train
from hypothesis import settings
from inception_weights import InceptionWeights, make_inception_weights

settings.register_profile("ganbench", derandomize=True, deadline=None, database=None)
settings.load_profile("ganbench")

RunOf = Callable[[str], Path]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """As the subprocesses have: for networks this small, a second thread is waited for."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def _signals_count() -> None:
    """However the tests were started: what a shell starts in the background ignores SIGINT, under nohup SIGHUP."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _no_cache_of_the_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is made once for all tests meets no statistics that another version left in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the user's shell counts, and what a command leaves lies in a temporary folder."""
    for name in [name for name in os.environ if name.startswith("GANBENCH")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunOf:
    """By model: the results folder of a toy run that nothing disturbed. Read-only."""
    made: dict[str, Path] = {}

    def of(model: str) -> Path:
        if model not in made:
            assert model in MODELS
            results = tmp_path_factory.mktemp(f"undisturbed-{model}")
            assert train(model, results).code == 0
            made[model] = results
        return made[model]

    return of


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> InceptionWeights:
    """Random Inception weights in both real file formats. Read-only; to be allowed as unverified."""
    return make_inception_weights(tmp_path_factory.mktemp("inception"))


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> RunOf:
    """By name: the folder into which pip installed a distribution of tests/plugins."""
    made: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in made:
            made[name] = pip_install(PLUGINS / name, tmp_path_factory.mktemp(name))
        return made[name]

    return of


def pip_install(what: Path, target: Path) -> Path:
    """Install a project or a wheel into a folder, by pip, without the network; returns the folder."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--no-build-isolation", "--no-deps", "--target", target, what),
        ],
        check=True,
        env=environment(),
    )
    return target
