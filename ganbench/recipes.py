"""Reads registry/: recipes, the profiles that they share, and where its other files lie."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.errors import MissingError, UsageError, unknown

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Recipe:
    """A named model: overrides by layer, the earlier ones the weaker."""

    name: str
    path: Path
    base: dict[str, Any]
    profiles: dict[str, dict[str, Any]]

    @property
    def description(self) -> str:
        """One line on what the recipe is."""
        return str(self.base.get("description", ""))


class RecipeBook:
    """The recipes and profiles of the shipped registry and of further roots."""

    def __init__(self, roots: Sequence[Path] = ()) -> None:
        self.roots = [_shipped_root(), *roots]
        for root in roots:
            if not root.is_dir():
                raise UsageError(f"--registry {root} is not a folder")
        self._recipes = self._collect("recipes")
        self._profiles = self._collect("profiles")

    def _collect(self, folder: str) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for root in self.roots:
            for path in sorted((root / folder).glob("*.toml")):
                if path.stem in found:
                    raise UsageError(
                        f"{folder[:-1]} '{path.stem}' is in two registries: {found[path.stem]} and {path}; rename one"
                    )
                found[path.stem] = path
        return found

    @property
    def recipe_names(self) -> list[str]:
        """What ``--model`` may name."""
        return sorted(self._recipes)

    def files(self, folder: str) -> dict[str, Path]:
        """The files of a folder of every root, such as ``suites``, by name."""
        return self._collect(folder)

    def recipe(self, name: str) -> Recipe:
        """Read a recipe. Raises UsageError for an unknown name or malformed TOML (file and line)."""
        if name not in self._recipes:
            raise UsageError(unknown("model", name, self._recipes, "'ganbench list model' shows all."))
        path = self._recipes[name]
        content = read_toml(path)
        profiles = content.pop("profiles", {})
        if not isinstance(profiles, dict) or not all(isinstance(p, dict) for p in profiles.values()):
            raise UsageError(f"{path}: 'profiles' should hold a table for each profile, as in [profiles.quick]")
        return Recipe(name, path, content, profiles)

    def profile(self, recipe: Recipe, name: str) -> list[dict[str, Any]]:
        """The layers of a profile: what all recipes share, the recipe, the recipe's own profile."""
        if name not in recipe.profiles:
            raise UsageError(
                unknown("profile", name, recipe.profiles, f"{recipe.path} declares the profiles of {recipe.name}.")
            )
        shared = read_toml(self._profiles[name]) if name in self._profiles else {}
        return [shared, recipe.base, recipe.profiles[name]]


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file. Raises UsageError with the file, the line and what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise MissingError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        end = f"at the end, line {len(text.splitlines())}"
        raise UsageError(f"{path}: {str(error).replace('at end of document', end)}") from None


def _shipped_root() -> Path:
    """Inside the wheel, or beside the package in a checkout."""
    for root in (_PACKAGE / "_registry", _PACKAGE.parent / "registry"):
        if root.is_dir():
            return root
    raise MissingError(f"the registry that ganbench ships is missing beside {_PACKAGE}: reinstall ganbench")
