"""Components by kind and name: the built-in table, entry points of other distributions, plug-in files.

Nothing is imported until a component is used: an :class:`Entry` is a name and a target. A plug-in that
cannot be imported therefore fails alone, when it is asked for.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from ganbench.errors import MissingError, UsageError, unknown
from ganbench.zoo import COMPONENTS

KINDS = (
    "architecture",
    "loss",
    "regularizer",
    "augmentation",
    "normalizer",
    "attention",
    "dataset",
    "extractor",
    "executor",
)
"""The kinds of component; ``ganbench.<kind>`` is the entry-point group of each."""

BUILT_IN = "ganbench"
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One component of one provider, not yet imported."""

    kind: str
    name: str
    target: str
    """``module:attribute``."""
    provider: str
    """The distribution that brings it, or ``file:NAME`` for a plug-in file."""
    version: str
    """The distribution's version; the file's sha256 for a plug-in file; empty for a built-in."""
    loaded: Any = field(default=None, compare=False, repr=False)

    @property
    def built_in(self) -> bool:
        """Whether the harness itself brings this component."""
        return self.provider == BUILT_IN

    @property
    def identity(self) -> str:
        """The provider as it enters a run's identity: ``ganbench``, or the provider with its version."""
        return self.provider if self.built_in else f"{self.provider} {self.version}"

    def load(self) -> Any:
        """Import the component. Raises MissingError, naming the provider, when its module fails."""
        if self.loaded is not None:
            return self.loaded
        module, _, attribute = self.target.partition(":")
        try:
            loaded: Any = importlib.import_module(module)
            for part in attribute.split("."):
                loaded = getattr(loaded, part)
        except Exception as error:
            raise MissingError(
                f"{self.kind} '{self.name}' of {self.provider} {self.version} cannot be imported: "
                f"{type(error).__name__}: {error}; mend or uninstall {self.provider} "
                "(ganbench doctor shows the traceback)"
            ) from error
        return loaded


def built_in(kind: str, name: str) -> Entry:
    """The harness's own component of that name. Raises KeyError where it has none."""
    return Entry(kind, name, COMPONENTS[kind][name], BUILT_IN, "")


_registered: list[tuple[str, str, Any]] = []


def register(kind: str, name: str) -> Callable[[T], T]:
    """Register the decorated component under ``name``; for files given with ``--plugin``.

    A distribution needs no decorator: it declares an entry point in the group ``ganbench.<kind>``.
    Raises UsageError for a kind that does not exist.
    """
    if kind not in KINDS:
        raise UsageError(unknown("kind", kind, KINDS))

    def keep(component: T) -> T:
        _registered.append((kind, name, component))
        return component

    return keep


def _run_plugin_file(path: Path) -> list[Entry]:
    """Import the file under a name made from its content and collect what it registered."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise MissingError(f"plug-in file {path} cannot be read: {error.strerror or error}") from error
    module_name = f"ganbench_plugin_{path.stem.replace('-', '_')}_{digest[:8]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise MissingError(f"plug-in file {path} is no Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    _registered.clear()
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        line = _line_in(path, error)
        raise MissingError(f"plug-in file {path}{line} raised {type(error).__name__}: {error}") from error
    if not _registered:
        raise MissingError(f"plug-in file {path} registers nothing: use @ganbench.api.register(KIND, NAME)")
    return [
        Entry(
            kind,
            name,
            f"{path.name}:{getattr(component, '__qualname__', name)}",
            f"file:{path.name}",
            digest,
            component,
        )
        for kind, name, component in _registered
    ]


def _line_in(path: Path, error: BaseException) -> str:
    """The last line of ``path`` in the traceback, as ``, line N``; for a syntax error, where it stands."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f", line {error.lineno}"
    line, frame = "", error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == str(path):
            line = f", line {frame.tb_lineno}"
        frame = frame.tb_next
    return line


class Registry:
    """All components that can be named, by kind."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = list(entries)

    @classmethod
    def discover(cls, plugin_files: Sequence[Path] = ()) -> Registry:
        """The built-ins, then every installed entry point, then the given plug-in files."""
        entries = [built_in(kind, name) for kind, table in COMPONENTS.items() for name in table]
        for kind in KINDS:
            for point in entry_points(group=f"ganbench.{kind}"):
                provider = point.dist.name if point.dist else "unknown"
                version = point.dist.version if point.dist else ""
                entries.append(Entry(kind, point.name, point.value, provider, version))
        for path in plugin_files:
            entries.extend(_run_plugin_file(path))
        return cls(entries)

    def entries(self, kind: str) -> list[Entry]:
        """All entries of a kind, by name, then provider. Raises UsageError for an unknown kind."""
        if kind not in KINDS:
            raise UsageError(unknown("kind", kind, KINDS))
        return sorted((e for e in self._entries if e.kind == kind), key=lambda e: (e.name, e.provider))

    def find(self, kind: str, name: str) -> Entry:
        """The one entry of that name; ``PROVIDER:NAME`` picks among several providers.

        Raises UsageError for an unknown name (with the nearest) or one that several providers claim.
        """
        of_kind = self.entries(kind)
        provider, separator, bare = name.rpartition(":")
        found = [e for e in of_kind if e.name == bare and (not separator or e.provider == provider)]
        if not found:
            known = {e.name for e in of_kind} | {f"{e.provider}:{e.name}" for e in of_kind if separator}
            raise UsageError(unknown(kind, name, known, f"'ganbench list {kind}' shows all."))
        if len(found) > 1:
            claims = " and ".join(f"{e.provider} {e.version}".strip() for e in found)
            picks = " or ".join(f"{e.provider}:{e.name}" for e in found)
            raise UsageError(f"{kind} '{bare}' is provided by {claims}: pick one with {picks}")
        return found[0]
