"""Published numbers, each with its table, its row and what kind of number it is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, model_validator

from ganbench.declarations import Declaration, DeclarationFile, read_declaration
from ganbench.errors import UsageError, unknown
from ganbench.recipes import RecipeBook

Steps = Annotated[int, Field(ge=0)]


class Published(Declaration):
    """One number, or a range where no more can be read."""

    table: str
    """Where it stands: ``table1``, ``figure4``; ``reproductions`` for other groups' results."""
    row: str
    metric: Literal["fid", "inception_score", "intra_fid"]
    value: FiniteFloat | None = None
    range: tuple[FiniteFloat, FiniteFloat] | None = None
    """Lowest and highest, in place of ``value``."""
    kind: Literal["table", "plot", "reproduction"]
    """``table``: printed in the paper; ``plot``: read off a plot; ``reproduction``: another group's."""
    step: Steps | None = None
    """G steps at which it was measured; None: the best, or the last, of the run."""
    steps: tuple[Steps, Steps] | None = None
    """From step to step, where it holds over a stretch of training."""
    category: str | None = None
    """The class that it was computed on; None: all."""
    dataset: str | None = None
    """None: the paper's."""
    resolution: Annotated[int, Field(gt=0)] | None = None
    """None: the paper's."""
    source: str = ""
    """Who found it, where that is not the paper."""
    note: str = ""

    @model_validator(mode="after")
    def _one_of_both(self) -> Published:
        if (self.value is None) == (self.range is None):
            raise ValueError("give one of value and range")
        if self.step is not None and self.steps is not None:
            raise ValueError("give one of step and steps")
        for name in ("range", "steps"):
            pair = getattr(self, name)
            if pair is not None and pair[0] > pair[1]:
                raise ValueError(f"{name} should be the lower, then the higher")
        return self


class Paper(DeclarationFile):
    """What a paper published, and what others found who repeated it."""

    title: str
    authors: str
    url: str
    dataset: str
    """On which the paper's own numbers were measured."""
    resolution: Annotated[int, Field(gt=0)]
    protocol: str
    """How they were measured, in a line."""
    results: tuple[Published, ...]

    def rows(self, tables: tuple[str, ...]) -> list[str]:
        """The rows of these tables, in the paper's order."""
        return list(dict.fromkeys(result.row for result in self.results if result.table in tables))

    @property
    def tables(self) -> list[str]:
        """All tables, in the paper's order."""
        return list(dict.fromkeys(result.table for result in self.results))


def load_paper(book: RecipeBook, name: str) -> Paper:
    """Read a paper of the registry. Raises UsageError for an unknown name or a file that is not one (with line)."""
    paths = book.files("papers")
    if name not in paths:
        raise UsageError(unknown("paper", name, paths, "'ganbench list paper' shows all."))
    return read_declaration(paths[name], Paper)
