"""A table as text, Markdown, CSV, LaTeX, HTML or JSON, by pandas."""

from __future__ import annotations

import html
import json
import math
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ganbench.store import jsonable

STYLES = ("text", "md", "csv", "latex", "html", "json")
"""What :func:`render` takes; csv and json hold every column in full precision, the others the short form."""

_LATEX = {"↓": r"$\downarrow$", "↑": r"$\uparrow$", "±": r"$\pm$"}
"""The signs of the short form that LaTeX has in mathematics only."""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem; max-width: 90rem; }}
table {{ border-collapse: collapse; margin: 1rem 0; border-top: 2px solid; border-bottom: 2px solid; }}
thead {{ border-bottom: 1px solid; }}
th, td {{ padding: .2rem .7rem; text-align: right; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
.note {{ color: #555; margin: .2rem 0; }}
</style>
{body}
</html>"""


@dataclass(frozen=True)
class Document:
    """What is printed of a table."""

    title: str
    lines: list[str]
    """Above the tables: what a reader must know."""
    tables: list[pd.DataFrame]
    """The short form: all cells are text, all that is shown is a column."""
    notes: list[str]
    """Below them."""
    frame: pd.DataFrame
    """Every number, two levels of columns."""
    if_empty: str
    """In place of the tables where the frame has no row."""
    about: dict[str, Any] = field(default_factory=dict)
    """Further keys of the JSON document."""


def render(document: Document, style: str) -> str:
    """The document in one of :data:`STYLES`, without a line break at its end."""
    if style == "csv":
        return str(_flat(document.frame).to_csv(index=False)).rstrip("\n")
    if style == "json":
        return _json(document)
    if style == "html":
        return _html(document)
    tables = [document.if_empty] if document.frame.empty else [_table(table, style) for table in document.tables]
    mark = "% " if style == "latex" else ""
    lines = "\n".join(mark + line for line in document.lines)
    notes = [f"{mark}note: {note}" for note in document.notes]
    return "\n\n".join([lines, *tables, *notes])


def _table(shown: pd.DataFrame, style: str) -> str:
    if style == "latex":
        styler = shown.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
        latex = str(styler.to_latex(hrules=True, multicol_align="c")).rstrip("\n")
        for sign, command in _LATEX.items():
            latex = latex.replace(sign, command)
        return latex
    if style == "md":
        # It knows one level of columns.
        names = list(shown.columns)
        if isinstance(shown.columns, pd.MultiIndex):
            names = [" ".join(column).strip() for column in shown.columns]
        return str(shown.set_axis(names, axis=1).to_markdown(index=False, disable_numparse=True))
    return shown.to_string(index=False)


def _html(document: Document) -> str:
    lines = [line for line in document.lines if line != document.title]
    parts = [f"<h1>{html.escape(document.title)}</h1>", *(f"<p>{html.escape(line)}</p>" for line in lines)]
    if document.frame.empty:
        parts.append(f"<p>{html.escape(document.if_empty)}</p>")
    else:
        parts += [str(table.to_html(index=False, border=0)) for table in document.tables]
    parts += [f'<p class="note">note: {html.escape(note)}</p>' for note in document.notes]
    return _PAGE.format(title=html.escape(document.title), body="\n".join(parts))


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Two levels of columns as ``metric.mean``, the index as columns."""
    flat = frame.copy()
    flat.columns = [".".join(column) for column in frame.columns]
    return flat.reset_index()


def _json(document: Document) -> str:
    rows = [
        {key: None if pd.isna(value) else value for key, value in row.items()}
        for row in _flat(document.frame).astype(object).to_dict("records")
    ]
    return json.dumps(jsonable({**document.about, "notes": document.notes, "rows": rows}), allow_nan=False)


def spread(mean: float, std: float) -> str:
    """``12.3 ± 0.45``; without the deviation where there is none."""
    return rounded(mean, 4) + ("" if pd.isna(std) else f" ± {rounded(std, 2)}")


def rounded(value: float, digits: int) -> str:
    """So many digits, and never an exponent for a number that has more before its point."""
    return f"{value:.0f}" if 10**digits <= abs(value) < 1e9 else f"{value:.{digits}g}"


def si(value: float) -> str:
    """A count in short, as 1.5M."""
    if math.isnan(value):
        return "nan"
    for unit, scale in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.0f}"


def count_words(counts: pd.Series[Any]) -> str:
    """``7 (1 diverged)``: how many runs, and which of them did not finish."""
    others = [f"{counts[status]} {status}" for status in ("diverged", "failed", "unfinished") if counts[status]]
    return str(counts["n"]) + (f" ({', '.join(others)})" if others else "")
