"""The rules by which the harness stays pluggable, read from its source."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT

import ganbench
from ganbench.zoo import COMPONENTS

PACKAGE = Path(ganbench.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
ZOO_MAY_IMPORT = {
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "lmdb",
    "sklearn",
    "torch_fidelity",
    "ray",
    "submitit",
    *sys.stdlib_module_names,
}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """The absolute name of every module that a file imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield str(node.module)


@pytest.mark.parametrize("path", [p for p in SOURCES if PACKAGE / "zoo" in p.parents], ids=module_name)
def test_the_zoo_imports_the_api_and_nothing_else_of_the_harness(path: Path) -> None:
    for name in imports(path):
        if name.split(".")[0] == "ganbench":
            assert name == "ganbench.api" or name.startswith("ganbench.zoo."), name
        else:
            assert name.split(".")[0] in ZOO_MAY_IMPORT, name


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_nothing_imports_the_command_line(path: Path) -> None:
    if PACKAGE / "cli" in path.parents or path.name == "__main__.py":
        return
    assert not [name for name in imports(path) if name.startswith("ganbench.cli")]


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_only_the_registry_knows_the_zoo(path: Path) -> None:
    if PACKAGE / "zoo" in path.parents or path.name == "registry.py":
        return
    assert not [name for name in imports(path) if name.startswith("ganbench.zoo")]


@pytest.mark.parametrize("name", ["train.py", "train_step.py", "run.py", "networks.py", "layers.py", "flops.py"])
def test_the_training_core_names_no_component(name: str) -> None:
    tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    known = {component for table in COMPONENTS.values() for component in table} - {"none"}
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in documentation]
    assert not known & {text for text in texts if isinstance(text, str)}
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | set(re.findall(r"\w+", name))
    assert not {"SAGAN", "SNGAN", "DCGAN", "SelfAttention", "Hinge"} & names


def public(path: Path) -> Iterator[ast.AST]:
    """A module, and its public classes, functions and methods."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield tree
    open_nodes: list[ast.AST] = [tree]
    while open_nodes:
        for node in getattr(open_nodes.pop(), "body", []):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
                yield node
                if isinstance(node, ast.ClassDef):
                    open_nodes.append(node)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_everything_public_is_documented(path: Path) -> None:
    bare = [getattr(node, "name", path.name) for node in public(path) if not ast.get_docstring(node)]  # type: ignore[arg-type]
    assert bare == []


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 65, node.name


def test_every_module_can_be_imported() -> None:
    for found in pkgutil.walk_packages([str(PACKAGE)], "ganbench."):
        if found.name != "ganbench.__main__":
            importlib.import_module(found.name)


def test_the_api_offers_what_it_names() -> None:
    api = importlib.import_module("ganbench.api")
    for name in api.__all__:
        assert getattr(api, name) is not None
    assert sorted(api.__all__, key=lambda name: (not name.isupper(), name)) == list(api.__all__)


@pytest.mark.parametrize(
    ("kind", "target"), [(kind, target) for kind, table in COMPONENTS.items() for target in table.values()]
)
def test_every_component_says_what_it_is(kind: str, target: str) -> None:
    module, _, attribute = target.partition(":")
    component = getattr(importlib.import_module(module), attribute)
    assert inspect.getdoc(component), f"{kind} {target}"
    assert inspect.getdoc(importlib.import_module(module))


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "plugins").glob("*/src/*/__init__.py")), ids=str)
def test_a_third_party_needs_the_api_alone(path: Path) -> None:
    assert {name for name in imports(path) if name.startswith("ganbench")} <= {"ganbench.api"}
