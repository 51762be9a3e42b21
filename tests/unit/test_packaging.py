"""What pip gets: wheel and sdist hold the registry and the weights, and the installed package finds them."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import pip_install
from harness import ROOT, Outcome, python

NEEDED = ("registry", "ganbench", "tests", "pyproject.toml", "README.md", "LICENSE", "tox.ini")
REGISTRY = sorted(str(p.relative_to(ROOT / "registry")) for p in (ROOT / "registry").rglob("*.toml"))


def build(project: Path, kind: str) -> Path:
    built: Outcome = python("-m", "hatchling", "build", "-t", kind, "-d", project / "dist", cwd=project)
    assert built.code == 0, built.err
    (archive,) = (project / "dist").glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree."""
    copy = tmp_path_factory.mktemp("project")
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(project: Path) -> Path:
    return build(project, "wheel")


@pytest.fixture(scope="module")
def sdist(project: Path) -> Path:
    return build(project, "sdist")


def test_the_wheel_holds_all_that_runs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"ganbench/_registry/{path}" for path in REGISTRY} <= names
    assert {"ganbench/py.typed", "ganbench/zoo/extractor/cnn_digits.pt", "ganbench/__main__.py"} <= names
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "ganbench").rglob("*.py")}
    assert modules <= names
    assert not [name for name in names if name.startswith(("tests", "registry", "results")) or "__pycache__" in name]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_holds_all_that_builds(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"registry/{path}" for path in REGISTRY} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "tox.ini", "ganbench/py.typed"} <= names
    assert {"ganbench/zoo/extractor/cnn_digits.pt", "tests/conftest.py", "tests/harness.py"} <= names


def test_a_wheel_from_the_sdist_is_the_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    other = build(unpacked, "wheel")
    contents = [{n: archive.read(n) for n in archive.namelist()} for archive in map(zipfile.ZipFile, (wheel, other))]
    assert contents[0] == contents[1]


def test_an_installed_wheel_finds_its_registry_and_its_entry_point(wheel: Path, tmp_path: Path) -> None:
    target = pip_install(wheel, tmp_path / "target")
    listed = python("-m", "ganbench", "list", "model", "--json", path=target, cwd=tmp_path)
    assert listed.code == 0, listed.err
    recipes = target / "ganbench" / "_registry" / "recipes"
    assert {row["provider"] for row in listed.json} == {str(path) for path in recipes.glob("*.toml")}
    assert "ganbench = ganbench.__main__:main" in next(target.glob("*.dist-info/entry_points.txt")).read_text()


def test_a_checkout_finds_the_registry_beside_the_package(tmp_path: Path) -> None:
    where = python("-c", "import ganbench.recipes as r; print(r._shipped_root())", path=ROOT, cwd=tmp_path)
    assert where.out.strip() == str(ROOT / "registry")


def test_without_its_registry_it_says_so(wheel: Path, tmp_path: Path) -> None:
    target = pip_install(wheel, tmp_path / "target")
    shutil.rmtree(target / "ganbench" / "_registry")
    shown = python("-m", "ganbench", "list", "model", path=target, cwd=tmp_path)
    assert shown.code == 3
    assert "the registry that ganbench ships is missing" in shown.complaint
