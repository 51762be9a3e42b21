"""Whether a component does what its kind must: the checks behind ``ganbench check``.

One file for each kind with ``subject_of(component, options)``, ``CHECKS`` (functions on that subject, which
raise Broken) and ``costs(subject)``. To extend a kind, write a function and name it in ``CHECKS``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from ganbench.conformance.report import Report, run_checks
from ganbench.errors import UsageError, unknown
from ganbench.options import resolve_options, typed_options
from ganbench.registry import Entry


def check_entry(entry: Entry, options: Mapping[str, Any] | None = None, skip: Sequence[str] = ()) -> Report:
    """Make every check of the entry's kind, but for those named in ``skip``.

    Raises MissingError where the component cannot be imported, UsageError for an option or a check that
    does not exist.
    """
    component = entry.load()
    resolved = resolve_options(component, options or {}, entry.kind)
    kind = importlib.import_module(f"ganbench.conformance.{entry.kind}")
    names = [check.name for check in kind.CHECKS]
    for name in skip:
        if name not in names:
            raise UsageError(unknown("check", name, names))
    subject = kind.subject_of(component, typed_options(component, resolved))
    results = run_checks(kind.CHECKS, subject, skip)
    failed = any(result.status == "failed" for result in results)
    costs = () if failed else tuple(kind.costs(subject))
    return Report(entry.kind, entry.name, entry.identity, results, costs)
