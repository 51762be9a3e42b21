"""From a suite to specs: every row resolved in a profile, checked to be buildable, and matched."""

from __future__ import annotations

from collections.abc import Sequence

from ganbench.budget import Amount
from ganbench.drafts import Draft
from ganbench.errors import GanbenchError, SizeError, UsageError, unknown
from ganbench.loading import load_data
from ganbench.networks import check_networks
from ganbench.places import Places
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import Resolved, resolve
from ganbench.spec import RunSpec
from ganbench.suites import PlannedRow, Row, Suite


def plan(
    suite: Suite,
    profile: str,
    registry: Registry,
    book: RecipeBook,
    seeds: Sequence[int],
    overrides: Sequence[Draft] = (),
    rows: Sequence[Row] | None = None,
) -> list[PlannedRow]:
    """The rows of a suite (``rows``, or all) in a profile, with the user's overrides over all of them.

    A row that the networks of this profile cannot have, but those of another can, is planned as absent.
    Raises UsageError where a row cannot be resolved, has a map that no profile has, is the same experiment as
    another, or does not spend what the others spend; what is wrong in the suite's file with file and line.
    """
    if profile not in suite.profiles:
        raise UsageError(unknown(f"profile of {suite.name}", profile, suite.profiles))
    if not seeds:
        raise UsageError("0 seeds make no run: ask for at least 1")
    planned = [
        _plan_row(suite, row, profile, registry, book, seeds, overrides)
        for row in (suite.rows if rows is None else rows)
    ]
    _check_distinct(planned)
    _check_matched(suite, planned)
    return planned


def _plan_row(
    suite: Suite,
    row: Row,
    profile: str,
    registry: Registry,
    book: RecipeBook,
    seeds: Sequence[int],
    overrides: Sequence[Draft],
) -> PlannedRow:
    try:
        resolved = _build(suite, row, profile, registry, book, overrides)
    except SizeError as error:
        if not _buildable_elsewhere(suite, row, registry, book):
            where = suite.where("rows", suite.rows.index(row), "attention_at")
            raise UsageError(f"{where}: {error.reason}, nor has any profile of {suite.name} it") from None
        return PlannedRow(row, None, absent=error.reason)
    except GanbenchError as error:
        raise _blamed(suite, row, profile, registry, book, error) from None
    specs = tuple(resolved.spec.model_copy(update={"seed": seed}) for seed in seeds)
    return PlannedRow(row, resolved, specs)


def _build(
    suite: Suite, row: Row, profile: str, registry: Registry, book: RecipeBook, overrides: Sequence[Draft]
) -> Resolved:
    """Resolve a row and build its networks without memory."""
    layers = [*suite.overrides(row, profile), *overrides, {"seed": 0}]
    resolved = resolve(registry, book, row.recipe, profile, layers)
    check_networks(resolved.spec, resolved.entries)
    return resolved


def _buildable_elsewhere(suite: Suite, row: Row, registry: Registry, book: RecipeBook) -> bool:
    """Whether some profile of the suite, without the user's overrides, has what the row asks for."""
    for profile in reversed(suite.profiles):  # the largest comes last, and has most maps
        try:
            _build(suite, row, profile, registry, book, ())
        except GanbenchError:
            continue
        return True
    return False


def _blamed(
    suite: Suite, row: Row, profile: str, registry: Registry, book: RecipeBook, error: GanbenchError
) -> GanbenchError:
    """The error with the place it comes from: the suite's file where it is there without overrides as well."""
    try:
        _build(suite, row, profile, registry, book, ())
    except GanbenchError as own:
        return type(own)(f"{_where(suite, row, str(own))}: {own}")
    return type(error)(f"row '{row.name}' of {suite.name} with your overrides: {error}")


def _where(suite: Suite, row: Row, message: str) -> str:
    """File and line of the row, or of the first name in it that the message quotes."""
    index = suite.rows.index(row)
    start = suite.where("rows", index)
    for quoted in message.split("'")[1::2]:
        place = suite.where("rows", index, quoted)
        if place != start:
            return place
    return start


def _check_distinct(planned: Sequence[PlannedRow]) -> None:
    """Refuse two rows that are one experiment, as overrides can make them."""
    seen: dict[str, str] = {}
    for each in planned:
        for spec in each.specs[:1]:
            if spec.cell_id in seen:
                raise UsageError(
                    f"rows '{seen[spec.cell_id]}' and '{each.row.name}' are the same experiment here: "
                    "leave out the override that makes them so, or one of them"
                )
            seen[spec.cell_id] = each.row.name


def matched_amount(suite: Suite, spec: RunSpec) -> float | None:
    """How much of the suite's matched counter the spec's budget is; None where that cannot be told beforehand."""
    per_step = {"g_steps": 1, "real_images": spec.n_dis * spec.batch}
    budget = spec.budget
    if budget.counter == suite.matched:
        return budget.amount
    if budget.counter in per_step and suite.matched in per_step:
        return budget.amount * per_step[suite.matched] / per_step[budget.counter]
    return None


def _check_matched(suite: Suite, planned: Sequence[PlannedRow]) -> None:
    """Refuse rows that would spend unequal amounts of the matched counter."""
    first: tuple[str, float] | None = None
    for each in planned:
        for spec in each.specs[:1]:
            amount = matched_amount(suite, spec)
            if amount is None:
                raise UsageError(
                    f"{suite.name} matches {suite.matched}, and the budget of row '{each.row.name}', {spec.budget}, "
                    f"is of {spec.budget.counter}: give one of {suite.matched}, as in --budget {_example(suite)}"
                )
            if first is None:
                first = (each.row.name, amount)
            elif amount != first[1]:
                raise UsageError(
                    f"{suite.name} matches {suite.matched}, and row '{first[0]}' would spend {first[1]:,.0f} of them, "
                    f"row '{each.row.name}' {amount:,.0f}: give a budget of that counter, as in "
                    f"--budget {_example(suite)}"
                )


def _example(suite: Suite) -> str:
    amounts = {"g_steps": 2000, "real_images": 64e3, "train_seconds": 600, "flops": 5e15}
    return str(Amount(counter=suite.matched, amount=amounts[suite.matched]))


def with_data(planned: Sequence[PlannedRow], places: Places, may_prepare: bool = True) -> list[PlannedRow]:
    """The plan with the fingerprints of data and weights, by which runs are known.

    ``may_prepare`` is that of :func:`ganbench.loading.load_data`. Raises MissingError where data or weights are
    not at hand, UsageError where a row does not fit the data.
    """
    return [
        each
        if each.resolved is None
        else each.with_content(load_data(each.resolved, places, may_prepare=may_prepare)[0])
        for each in planned
    ]
