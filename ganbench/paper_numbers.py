"""Which published number stands beside which of ours, and what the two have in common."""

from __future__ import annotations

from collections.abc import Sequence

from ganbench.papers import Paper, Published
from ganbench.spec import RunSpec
from ganbench.suites import Row, Suite

STAND_INS = {
    "fid": "fcd",
    "clean_fid": "clean_fcd",
    "kid": "kcd",
    "inception_score": "classifier_score",
    "intra_fid": "intra_fcd",
}
"""What a score is called where another network than Inception judged."""
ORIGINALS = {stand_in: name for name, stand_in in STAND_INS.items()}
SHORT = {"fid": "FID", "inception_score": "IS", "intra_fid": "intra-FID"}
"""What papers call the scores that they publish."""


def published_numbers(paper: Paper, suite: Suite, row: Row, metric: str) -> list[Published]:
    """All that is published of a row and a metric (ours or Inception's) in the suite's tables, over all classes."""
    name = ORIGINALS.get(metric, metric)
    return [
        result
        for result in paper.results
        if result.table in suite.paper_tables
        and row.paper_row is not None
        and (result.row, result.metric, result.category) == (row.paper_row, name, None)
    ]


def headline_number(numbers: Sequence[Published]) -> Published | None:
    """The one to stand in a table: of a whole run where there is one, else of the latest step."""
    single = [number for number in numbers if number.value is not None]
    whole = [number for number in single if number.step is None]
    return whole[0] if whole else max(single, key=lambda number: number.step or 0, default=None)


def source(number: Published) -> str:
    """Where a number stands and at which step, as ``figure4 at step 10,000``."""
    where = number.source or number.table
    return where if number.step is None else f"{where} at step {number.step:,}"


def differences_to_paper(paper: Paper, spec: RunSpec, inception: bool) -> list[str]:
    """Why our scores are not on the paper's scale; empty where data set, size and judge are the paper's."""
    reasons = []
    if spec.dataset.name != paper.dataset:
        reasons.append(f"{spec.dataset.name} is not {paper.dataset}")
    if spec.resolution != paper.resolution:
        reasons.append(f"{spec.resolution} px are not {paper.resolution} px")
    if not inception:
        reasons.append(f"{spec.evaluation.extractor.name} is not Inception")
    return reasons
