"""Curves over training: the mean and the range over seeds, and the published points in a panel of their own scale."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ganbench.curves import read_curve
from ganbench.errors import UsageError
from ganbench.paper_numbers import ORIGINALS, SHORT, differences_to_paper, published_numbers
from ganbench.papers import Published
from ganbench.suite_table import SuiteTable
from ganbench.tables import LOWER_IS_BETTER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
_X_WORDS = {
    "g_steps": "updates of G",
    "real_images": "real images shown to D",
    "train_seconds": "training seconds",
    "flops": "FLOPs",
}
_MARKERS = {"table": "o", "plot": "s", "reproduction": "^"}
_KIND_WORDS = {"table": "printed", "plot": "read off a plot", "reproduction": "another group's"}


def curve_frame(table: SuiteTable) -> pd.DataFrame:
    """All that :func:`draw` shows of our runs: a row per run and evaluation.

    Columns: ``row``, ``seed``, ``status``, ``step``, the suite's counter, ``n`` (samples behind the scores) and the
    table's metrics. Runs without a result, which are still under way, are left out.
    """
    x = table.suite.layout.x
    rows = [
        {
            "row": row.planned.row.name,
            "seed": run.spec.seed,
            "status": run.status,
            "step": point.step,
            x: getattr(point.spent, x),
            "n": point.n,
            **{metric: point.scores.get(metric) for metric in table.metrics},
        }
        for row in table.rows
        for run in row.with_result
        for point in read_curve(run.folder)
    ]
    columns = list(dict.fromkeys(["row", "seed", "status", "step", x, "n", *table.metrics]))
    return pd.DataFrame(rows, columns=columns)


def draw(table: SuiteTable, suffix: str) -> bytes:
    """The figure as PNG or SVG (``suffix``); the same bytes for the same records, on one version of Matplotlib.

    One panel per metric with our runs: a line through the means of the finished seeds, a band from the least to
    the greatest, a dashed line for a diverged seed up to where it ended. Beside it, where the paper has numbers
    over training, those, each drawn by its kind; they share our panel only where they are on our scale.
    Raises UsageError where there is nothing to draw.
    """
    curves = curve_frame(table)
    if curves.empty:
        raise UsageError(f"there is nothing to draw of {table.suite.name} yet: 'ganbench sweep' makes its runs")
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "ganbench", "font.family": "DejaVu Sans", "font.size": 9}):
        figure = _figure(table, curves)
        content = io.BytesIO()
        undated: dict[str, Any] = {"Date": None} if suffix == ".svg" else {}
        figure.savefig(content, format=suffix[1:], dpi=150, metadata=undated)
    return content.getvalue()


def _figure(table: SuiteTable, curves: pd.DataFrame) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    published = {metric: _published(table, metric) for metric in table.metrics}
    beside = any(published.values()) and not _on_our_scale(table)
    width = 2 if beside else 1
    figure = Figure(figsize=(5.2 * width, 3.6 * len(table.metrics)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(table.metrics), width, squeeze=False)
    for place, metric in enumerate(table.metrics):
        _draw_ours(axes[place][0], table, curves, metric)
        if beside and published[metric]:
            _draw_published(axes[place][1], table, published[metric])
            _title_published(axes[place][1], table, metric)
        elif beside:
            axes[place][1].set_axis_off()
        elif published[metric]:
            _draw_published(axes[place][0], table, published[metric])
    figure.suptitle(table.suite.title, fontsize=10)
    return figure


def _on_our_scale(table: SuiteTable) -> bool:
    if table.paper is None or table.suite.layout.x != "g_steps" or not table.runs:
        return False
    return not differences_to_paper(table.paper, table.runs[0].spec, table.inception)


def _published(table: SuiteTable, metric: str) -> dict[str, list[Published]]:
    """By row: the numbers that belong to a step, or to a stretch of steps."""
    if table.paper is None:
        return {}
    found = {
        row.planned.row.name: [
            number
            for number in published_numbers(table.paper, table.suite, row.planned.row, metric)
            if number.step is not None or number.steps is not None
        ]
        for row in table.rows
    }
    return {name: numbers for name, numbers in found.items() if numbers}


def _colors(table: SuiteTable) -> dict[str, str]:
    return {row.planned.row.name: f"C{place % 10}" for place, row in enumerate(table.rows)}


def _draw_ours(axes: Axes, table: SuiteTable, curves: pd.DataFrame, metric: str) -> None:
    x, colors = table.suite.layout.x, _colors(table)
    for row in table.rows:
        name = row.planned.row.name
        mine = curves[curves["row"] == name]
        diverged = sum(run.status == "diverged" for run in row.runs)
        counted = f"n = {len(row.runs)}" + (f", {diverged} diverged" if diverged else "")
        label = f"{row.planned.row.group} {row.planned.row.label} ({counted})".strip()
        finished = mine[mine["status"] == "finished"].groupby("step")
        if len(finished):
            at = finished[x].mean().to_numpy()
            axes.plot(at, finished[metric].mean().to_numpy(), color=colors[name], label=label)
            least, greatest = finished[metric].min().to_numpy(), finished[metric].max().to_numpy()
            axes.fill_between(at, least, greatest, color=colors[name], alpha=0.2, linewidth=0)
        for _, run in mine[mine["status"] == "diverged"].groupby("seed"):
            axes.plot(run[x].to_numpy(), run[metric].to_numpy(), color=colors[name], linestyle="--", linewidth=0.8)
            axes.plot(run[x].to_numpy()[-1:], run[metric].to_numpy()[-1:], color=colors[name], marker="x")
    if metric in LOWER_IS_BETTER and (curves[metric].dropna() > 0).all():
        axes.set_yscale("log")
    samples = ", ".join(f"{n:,}" for n in sorted(set(curves["n"])))
    axes.set(xlabel=_X_WORDS[x], ylabel=f"{metric} ({samples} samples)")
    axes.set_title("ours: mean and range (least to greatest) over seeds", fontsize=8)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)


def _draw_published(axes: Axes, table: SuiteTable, numbers: dict[str, list[Published]]) -> None:
    colors, shown = _colors(table), set()
    for name, of_row in numbers.items():
        for number in of_row:
            shown.add(number.kind)
            _draw_number(axes, number, colors[name])
    for kind in sorted(shown):
        axes.plot([], [], color="grey", marker=_MARKERS[kind], linestyle="", label=_KIND_WORDS[kind])
    axes.legend(fontsize=7)


def _draw_number(axes: Axes, number: Published, color: str) -> None:
    """A point; a line or a box where it holds over a stretch of steps or is known as a range only."""
    start, end = _extent(number.step, number.steps)
    low, high = _extent(number.value, number.range)
    if number.range is None and number.steps is None:
        hollow = "none" if number.kind != "table" else color
        axes.plot([start], [low], color=color, marker=_MARKERS[number.kind], markerfacecolor=hollow, linestyle="")
    else:
        axes.fill_between([start, end], [low, low], [high, high], color=color, alpha=0.15, hatch="//")


def _extent(one: float | None, pair: tuple[float, float] | None) -> tuple[float, float]:
    """Of a number that is given as one or as a pair."""
    if pair is not None:
        return pair
    assert one is not None
    return one, one


def _title_published(axes: Axes, table: SuiteTable, metric: str) -> None:
    assert table.paper is not None
    tables: Sequence[str] = table.suite.paper_tables
    axes.set_title(f"published, on another scale: {', '.join(tables)} of {table.paper.name}", fontsize=8)
    axes.set(xlabel=_X_WORDS["g_steps"], ylabel=SHORT[ORIGINALS.get(metric, metric)])
    if metric in LOWER_IS_BETTER:
        axes.set_yscale("log")


def check_suffix(path: Path) -> None:
    """Refuse a file that :func:`draw` could not make, before anything is computed. Raises UsageError."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"--plot draws {' or '.join(SUFFIXES)}, not '{path.name}': give the file one of these endings")
