"""Generators that are given by name: a stored run's, or a third party's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from ganbench.errors import UsageError
from ganbench.evaluate.sources.third_party import LATENT_DIM, ThirdParty, names_callable
from ganbench.registry import Registry
from ganbench.resolve import Resolved, reopen
from ganbench.store import read_result, read_spec
from ganbench.stored_generator import StoredGenerator, Weights, find_run, load_generator


@dataclass(frozen=True)
class NamedGenerator:
    """A network that is called as ``g(z, y)``, and what to call it with."""

    name: str
    facts: dict[str, str | int]
    """What it is, as JSON."""
    network: nn.Module
    latent_dim: int
    num_classes: int
    """0 for one that takes no labels."""
    seed: int
    """Of its samples where the user names none."""


@dataclass(frozen=True)
class OpenedRun:
    """A stored run with the parts that it names and the generator of one checkpoint."""

    folder: Path
    resolved: Resolved
    stored: StoredGenerator

    @property
    def diverged(self) -> bool:
        """Whether its result says so. Raises StoreError for a result that cannot be read."""
        return (self.folder / "result.json").exists() and read_result(self.folder)["status"] == "diverged"

    @property
    def generator(self) -> NamedGenerator:
        """What samples are drawn from."""
        spec = self.resolved.spec
        name = f"{spec.directory}, step {self.stored.step}, {self.stored.weights} weights"
        facts = {"run_id": spec.run_id, **self.stored.facts()}
        return NamedGenerator(name, facts, self.stored.network, spec.latent_dim, spec.network_classes, spec.seed)


@dataclass(frozen=True)
class WantedGenerator:
    """A generator as the user names it."""

    source: str
    """A run, by its folder or the first letters of its id, or ``module:callable``."""
    results: Path
    """Where runs are looked for."""
    plugins: tuple[Path, ...]
    checkpoint: str | None
    """final, best or a step; None: final. Of a run alone, as ``weights``."""
    weights: Weights | None
    latent_dim: int | None
    """Of a ``module:callable`` alone, as ``classes``; what is None, the generator may say."""
    classes: int | None

    @cached_property
    def registry(self) -> Registry:
        """What is installed, and the plug-in files."""
        return Registry.discover(self.plugins)

    @property
    def kind(self) -> Literal["run", "callable", "images"]:
        """What the name means: images are a folder or a file that is there and is no run."""
        if names_callable(self.source):
            return "callable"
        path = Path(self.source)
        return "images" if path.exists() and not (path / "spec.json").is_file() else "run"

    def check_options(self) -> None:
        """Raise UsageError for an option that means nothing for this kind."""
        options: dict[str, dict[str, object]] = {
            "run": {"--checkpoint": self.checkpoint, "--weights": self.weights},
            "callable": {"--latent-dim": self.latent_dim, "--classes": self.classes},
        }
        told = {"run": "runs", "callable": "module:callable"}
        for kind, flags in options.items():
            for flag, value in flags.items():
                if kind != self.kind and value is not None:
                    raise UsageError(f"{flag} is for {told[kind]}, which {self.source} is not: leave it out")

    def open(self, device: torch.device) -> NamedGenerator:
        """Whatever it is. Raises as :func:`open_run` and :func:`open_third_party`."""
        self.check_options()
        return open_third_party(self, device) if self.kind == "callable" else open_run(self, device).generator


def open_run(wanted: WantedGenerator, device: torch.device) -> OpenedRun:
    """A run. Raises as :func:`ganbench.stored_generator.find_run`, :func:`ganbench.resolve.reopen` and
    :func:`ganbench.stored_generator.load_generator`.
    """
    folder = find_run(wanted.results, wanted.source)
    resolved = reopen(wanted.registry, read_spec(folder))
    which = wanted.checkpoint or "final"
    stored = load_generator(folder, resolved.spec, resolved.entries, which, wanted.weights, device)
    return OpenedRun(folder, resolved, stored)


def open_third_party(wanted: WantedGenerator, device: torch.device) -> NamedGenerator:
    """A ``module:callable``. Raises as :class:`.third_party.ThirdParty`."""
    network = ThirdParty(wanted.source, device)
    latent_dim = wanted.latent_dim or network.latent_dim or LATENT_DIM
    classes = wanted.classes if wanted.classes is not None else network.num_classes
    return NamedGenerator(wanted.source, {"callable": wanted.source}, network, latent_dim, classes or 0, 0)


def class_labels(generator: NamedGenerator, which: int | None, count: int) -> torch.Tensor | None:
    """``count`` times the one class, int64; None for all classes in turn. Raises UsageError for no class of it."""
    if which is None:
        return None
    if which >= generator.num_classes:
        has = f"classes 0 to {generator.num_classes - 1}" if generator.num_classes else "no classes"
        raise UsageError(f"--class {which}: {generator.name} has {has}")
    return torch.full((count,), which)
