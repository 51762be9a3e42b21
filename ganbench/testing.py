"""For the tests of a plug-in: the checks of ``ganbench check`` as one assertion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganbench.conformance import check_entry
from ganbench.conformance.report import Report
from ganbench.registry import Registry


def check_component(
    kind: str,
    name: str,
    plugins: Sequence[str | Path] = (),
    *,
    options: Mapping[str, Any] | None = None,
    skip: Sequence[str] = (),
) -> Report:
    """Assert that a component does what its kind must; returns the report, which prints as text.

    ``plugins`` are files as ``--plugin`` takes them, ``options`` the component's own, ``skip`` names of
    checks, such as ``torch.compile``, which takes seconds. As a test::

        def test_gated():
            check_component("attention", "gated", ["gated.py"])

    Raises AssertionError that lists every failure, UsageError for what does not exist, MissingError for
    what cannot be imported.
    """
    entry = Registry.discover([Path(plugin) for plugin in plugins]).find(kind, name)
    report = check_entry(entry, options, skip)
    if not report.passed:
        failures = "\n".join(map(str, report.failures))
        raise AssertionError(f"{kind} {name} fails {len(report.failures)} of {len(report.results)} checks\n{failures}")
    return report
