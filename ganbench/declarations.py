"""Files of registry/ that are checked as a whole: what is wrong is told with file, line and the nearest name."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from ganbench.errors import UsageError, unknown
from ganbench.recipes import read_toml


class Declaration(BaseModel):
    """A table of such a file: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DeclarationFile(Declaration):
    """A whole file; its name is the file's stem."""

    _path: Path = PrivateAttr()

    @property
    def path(self) -> Path:
        """Where it was read."""
        return self._path

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return self._path.stem

    def where(self, array: str, index: int, word: str = "") -> str:
        """``FILE, line N`` of an item of an array, or of the first line in it that has the word."""
        return _place(self._path, _line_of_item(self._path, array, index, word))


F = TypeVar("F", bound=DeclarationFile)


def read_declaration(path: Path, model: type[F]) -> F:
    """Read and check one file. Raises UsageError for what is malformed, unknown, missing or of a wrong type."""
    content = read_toml(path)
    try:
        declared = model.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise UsageError(_complaint(path, model, error)) from None
    declared._path = path
    return declared


def _complaint(path: Path, model: type[BaseModel], error: ValidationError) -> str:
    """One line for the first thing that pydantic found wrong; a misspelt key before what is then missing."""
    found = error.errors()
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    keys: Sequence[str | int] = first["loc"]
    where = _place(path, _line_of(path, keys))
    dotted = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")
    if first["type"] == "extra_forbidden":
        return f"{where}: {unknown('key', str(keys[-1]), _fields_at(model, keys[:-1]))}"
    if first["type"] == "missing":
        return f"{where}: {dotted} is not given"
    message = first["msg"].removeprefix("Value error, ")
    shown = f" (it is {json.dumps(first['input'], default=str)})" if not isinstance(first["input"], dict) else ""
    return f"{where}: {dotted + ': ' if dotted else ''}{message[0].lower()}{message[1:]}{shown}"


def _fields_at(model: type[BaseModel], keys: Sequence[str | int]) -> list[str]:
    """The keys that the table at this place may have."""
    fields: dict[str, Any] = dict(model.model_fields)
    for key in (key for key in keys if isinstance(key, str)):
        annotation = fields[key].annotation
        models = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
        fields = dict(models[0].model_fields) if models else {}
    return list(fields)


def _place(path: Path, line: int | None) -> str:
    return f"{path}, line {line}" if line is not None else str(path)


def _line_of(path: Path, keys: Sequence[str | int]) -> int | None:
    """The line of a key, as far as a text search finds it: TOML's parser keeps no lines."""
    words = [key for key in keys if isinstance(key, str)]
    if len(keys) > 1 and isinstance(keys[1], int):
        line = _line_of_item(path, words[0], keys[1], words[-1])
        if line is not None:
            return line
    lines = path.read_text(encoding="utf-8").splitlines()
    having = (n for n, line in enumerate(lines, 1) if words and re.search(rf"\b{re.escape(words[-1])}\b", line))
    return next(having, None)


def _line_of_item(path: Path, array: str, index: int, word: str) -> int | None:
    """The line where an item of an array begins, or the first in it that has the word."""
    lines = path.read_text(encoding="utf-8").splitlines()
    starts = [n for n, line in enumerate(lines) if re.match(rf"\s*\[\[\s*{array}\s*\]\]", line)]
    if not starts:
        opening = next((n for n, line in enumerate(lines) if re.match(rf"\s*{array}\s*=", line)), len(lines))
        starts = [n for n in range(opening, len(lines)) if re.match(r"\s*\{", lines[n])]
    if index >= len(starts):
        return None
    end = starts[index + 1] if index + 1 < len(starts) else len(lines)
    having = (n for n in range(starts[index], end) if word and re.search(rf"\b{re.escape(word)}\b", lines[n]))
    return next(having, starts[index]) + 1
