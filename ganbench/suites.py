"""A suite: the rows of one table, what is matched between them, and the runs that they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, JsonValue, model_validator

from ganbench.budget import CounterName
from ganbench.declarations import Declaration, DeclarationFile, read_declaration
from ganbench.errors import UsageError, unknown
from ganbench.papers import load_paper
from ganbench.recipes import RecipeBook

if TYPE_CHECKING:
    from ganbench.resolve import Resolved
    from ganbench.spec import RunSpec

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Overrides = dict[str, JsonValue]
"""Part of a spec, nested as in a recipe."""


class Layout(Declaration):
    """How the paper shows it."""

    kind: Literal["table", "curves"] = "table"
    transposed: bool = False
    """Whether rows are the columns of the table, under their groups."""
    x: CounterName = "real_images"
    """What curves are drawn over."""


class Row(Declaration):
    """A row: a recipe with what is changed in it."""

    name: Name
    label: str
    """As it is printed."""
    group: str = ""
    """What it has in common with its neighbours, printed before or above their labels."""
    recipe: str
    paper_row: str | None = None
    """Its name in the paper's file; None: nothing was published."""
    set: Overrides = Field(default_factory=dict)
    """Over the suite's own, in every profile."""
    profiles: dict[str, Overrides] = Field(default_factory=dict)
    """Over that, in one profile."""


class Suite(DeclarationFile):
    """What ``ganbench sweep`` and ``ganbench table`` name."""

    title: str
    description: str
    matched: CounterName = "real_images"
    """The counter of which every row gets the same amount."""
    seeds: Annotated[int, Field(ge=1)] = 3
    """How many, from 0 on, unless the user says otherwise."""
    reference: str
    """The row that the others are compared with."""
    metrics: tuple[Literal["fid", "clean_fid", "kid", "inception_score", "intra_fid", "precision", "recall"], ...]
    """What is shown, by Inception's names; another extractor's scores take their places under their own."""
    layout: Layout = Layout()
    paper: str | None = None
    paper_tables: tuple[str, ...] = ()
    """The tables of the paper's file that hold the published numbers of the rows."""
    set: Overrides = Field(default_factory=dict)
    """Over the recipes, in every profile."""
    profiles: dict[str, Overrides]
    """Over that, by profile: those that the suite has, each of which its recipes must have as well."""
    rows: tuple[Row, ...]

    @model_validator(mode="after")
    def _names_fit(self) -> Suite:
        names = [row.name for row in self.rows]
        doubled = [name for name in names if names.count(name) > 1]
        if doubled:
            raise ValueError(f"two rows are named '{doubled[0]}'")
        if self.reference not in names:
            raise ValueError(unknown("reference row", self.reference, names))
        return self

    def row(self, name: str) -> Row:
        """One row. Raises UsageError for an unknown name, with the nearest."""
        for row in self.rows:
            if row.name == name:
                return row
        raise UsageError(unknown(f"row of {self.name}", name, [row.name for row in self.rows]))

    def overrides(self, row: Row, profile: str) -> list[Overrides]:
        """What is laid over the row's recipe, the weaker first."""
        return [self.set, self.profiles[profile], row.set, row.profiles.get(profile, {})]


def load_suite(book: RecipeBook, name: str) -> Suite:
    """Read a suite of the registry, and check what it names there.

    Raises UsageError, with file and line, for an unknown suite, recipe, profile, paper, table or published row.
    """
    paths = book.files("suites")
    if name not in paths:
        raise UsageError(unknown("suite", name, paths, "'ganbench list suite' shows all."))
    suite = read_declaration(paths[name], Suite)
    for index, row in enumerate(suite.rows):
        if row.recipe not in book.recipe_names:
            where = suite.where("rows", index, row.recipe)
            raise UsageError(f"{where}: {unknown('recipe', row.recipe, book.recipe_names)}")
        for profile in row.profiles:
            if profile not in suite.profiles:
                where = suite.where("rows", index, profile)
                raise UsageError(f"{where}: {unknown('profile', profile, suite.profiles)}")
    _check_paper(suite, book)
    return suite


def _check_paper(suite: Suite, book: RecipeBook) -> None:
    if suite.paper is None:
        return
    if suite.paper not in book.files("papers"):
        raise UsageError(f"{suite.path}: {unknown('paper', suite.paper, book.files('papers'))}")
    paper = load_paper(book, suite.paper)
    for table in suite.paper_tables:
        if table not in paper.tables:
            raise UsageError(f"{suite.path}: {unknown(f'table of {paper.name}', table, paper.tables)}")
    known = paper.rows(suite.paper_tables)
    for index, row in enumerate(suite.rows):
        if row.paper_row is not None and row.paper_row not in known:
            where = suite.where("rows", index, row.paper_row)
            raise UsageError(f"{where}: {unknown(f'row of {paper.name}', row.paper_row, known)}")


def select_rows(suite: Suite, names: Sequence[str]) -> list[Row]:
    """The named rows in the suite's order; all where none is named. Raises UsageError for an unknown name."""
    chosen = {suite.row(name).name for name in names}
    return [row for row in suite.rows if not chosen or row.name in chosen]


@dataclass(frozen=True)
class PlannedRow:
    """A row in a profile: the runs it asks for, or why it cannot be."""

    row: Row
    resolved: Resolved | None
    """With the spec of the first seed; None where the row is absent."""
    specs: tuple[RunSpec, ...] = ()
    """By seed. Fingerprints of data and weights are None until :func:`ganbench.planning.with_data`."""
    absent: str = ""
    """Why this profile has no such row: a feature map or a resolution that a network lacks."""

    def with_content(self, spec: RunSpec) -> PlannedRow:
        """The same with the data set and the extractor of ``spec``, which has their fingerprints."""
        content: dict[str, Any] = {"dataset": spec.dataset, "evaluation": spec.evaluation}
        return replace(self, specs=tuple(each.model_copy(update=content) for each in self.specs))
