"""Which stored runs stand behind each row of a suite, and whether they may stand in one table."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ganbench.drafts import Draft
from ganbench.errors import StoreError
from ganbench.spec import RunSpec, canonical, flatten
from ganbench.store import StoredRun
from ganbench.suites import PlannedRow, Suite

_CIRCUMSTANCES = ("seed", "algo_version", "budget", "evaluation")
"""Keys of a spec that do not tell one row from another: they are held to be alike in all rows instead."""
_FOUND = ("provider", "fingerprint", "weights_sha256")
"""Keys at any depth that resolving or the data fill in."""


@dataclass(frozen=True)
class RowRuns:
    """A row with the runs that were found of it."""

    planned: PlannedRow
    runs: tuple[StoredRun, ...]
    """By seed."""

    @property
    def finished(self) -> list[StoredRun]:
        """Those that are in the means."""
        return [run for run in self.runs if run.status == "finished"]

    @property
    def with_result(self) -> list[StoredRun]:
        """The finished and the diverged."""
        return [run for run in self.runs if run.result]

    @property
    def reason(self) -> str:
        """Why there is nothing to show; empty where there is."""
        return self.planned.absent or ("" if self.runs else "not run yet")


def find_runs(
    suite: Suite, planned: Sequence[PlannedRow], stored: Iterable[StoredRun], overrides: Sequence[Draft] = ()
) -> list[RowRuns]:
    """The runs of each row: those whose spec is the row's, whatever their seed.

    Budget and evaluation may be any, unless the user's overrides give them, but have to be alike in all runs, as
    has all else that scores depend on and that a row does not choose: raises StoreError where they differ.
    """
    given = {key for override in overrides for key in override}
    runs = list(stored)
    rows = [RowRuns(each, tuple(_runs_of(each, runs, given))) for each in planned]
    _check_alike(suite, [run for row in rows for run in row.runs])
    for row in rows:
        _check_seeds(suite, row)
    return rows


def _runs_of(planned: PlannedRow, runs: Iterable[StoredRun], given: set[str]) -> list[StoredRun]:
    if not planned.specs:
        return []
    wanted = _content(planned.specs[0], given)
    return sorted((run for run in runs if _content(run.spec, given) == wanted), key=lambda run: run.spec.seed)


def _content(spec: RunSpec, given: set[str]) -> str:
    """What tells a row from another, as one text."""
    content = spec.model_dump(mode="json", exclude_defaults=True)
    return canonical(_without_found({k: v for k, v in content.items() if k not in _CIRCUMSTANCES or k in given}))


def _without_found(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_found(item) for key, item in value.items() if key not in _FOUND}
    return [_without_found(item) for item in value] if isinstance(value, list) else value


def _check_alike(suite: Suite, runs: Sequence[StoredRun]) -> None:
    seen: dict[str, dict[str, list[StoredRun]]] = {}
    for run in runs:
        for key, value in _circumstances(run).items():
            seen.setdefault(key, {}).setdefault(value, []).append(run)
    for key, by_value in seen.items():
        if len(by_value) > 1:
            told = " against ".join(_told(value, of) for value, of in list(by_value.items())[:2])
            raise StoreError(
                f"{suite.name} cannot stand in one table, since its runs differ in {key}: {told}; "
                + ("name one with --budget" if key == "budget" else "move the runs of one away, or use --results")
            )


def _check_seeds(suite: Suite, row: RowRuns) -> None:
    for one, other in itertools.pairwise(row.runs):
        if one.spec.seed == other.spec.seed:
            raise StoreError(
                f"row '{row.planned.row.name}' of {suite.name} has two runs of seed {one.spec.seed}, "
                f"{one.folder.name} and {other.folder.name}: move one away"
            )


def _told(value: str, runs: Sequence[StoredRun]) -> str:
    more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    return f"{value} ({runs[0].folder.name}{more})"


def _circumstances(run: StoredRun) -> dict[str, str]:
    """By key: what every run of one table must have alike, the plainest first."""
    spec = run.spec
    told: dict[str, Any] = {
        "budget": str(spec.budget),
        "algo_version": spec.algo_version,
        "the data's fingerprint": spec.dataset.fingerprint,
        **flatten(spec.evaluation.model_dump(mode="json", exclude={"batch"}), "evaluation."),
        **_providers(spec.model_dump(mode="json")),
    }
    if run.result:
        told |= {f"protocol {key}": value for key, value in flatten(run.result["protocol"]).items()}
        told["protocol_id"] = run.result["protocol_id"][:12]
    return {key: str(value) for key, value in told.items()}


def _providers(value: Any, where: str = "spec") -> dict[str, str]:
    """By component: who provides it, with the version."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {}
    found = {f"the provider of {where} '{value['name']}'": value["provider"]} if "provider" in value else {}
    for key, item in value.items():
        found |= _providers(item, key if isinstance(key, str) else where)
    return found
