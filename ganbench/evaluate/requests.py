"""What a user asks of an evaluation: settings laid over a run's own, or over torch-fidelity's defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ganbench.drafts import Draft, as_table, merge, nest
from ganbench.errors import UsageError
from ganbench.options import complain, parse_assignment
from ganbench.registry import Entry, Registry
from ganbench.resolve import resolve_choice
from ganbench.spec import EvaluationSpec

DEFAULTS: Draft = {"extractor": "inception", "every": "1steps", "samples": 2}
"""Of what is no run: all else is as :class:`ganbench.spec.EvaluationSpec` has it. The last two are never used."""


def asked_draft(flags: Mapping[str, Any], assignments: Sequence[str]) -> Draft:
    """``--extractor``, ``--samples`` and their like under their keys, and the ``--set`` over them, as one draft.

    Raises UsageError for a key that is neither of the evaluation nor of the reference's data set.
    """
    asked: Draft = {"evaluation": {key: value for key, value in flags.items() if value}}
    for text in assignments:
        path, value = parse_assignment(text)
        if path[0] not in ("evaluation", "dataset") or len(path) < 2:
            raise UsageError(
                f"--set {'.'.join(path)} is no setting of an evaluation: set evaluation.KEY, or dataset.KEY for the "
                "data set that --against names"
            )
        asked = merge(asked, nest(path, value))
    return asked


def settle(registry: Registry, base: EvaluationSpec | None, asked: Draft) -> tuple[EvaluationSpec, Entry | None]:
    """The settings of an evaluation, and the entry of the extractor; None where that is still the run's own.

    ``base`` is a run's; None for what is no run. Raises UsageError for unknown keys and values out of range,
    MissingError for an extractor that cannot be imported.
    """
    own = DEFAULTS if base is None else base.model_dump(mode="json")
    merged = merge({"evaluation": own}, {"evaluation": asked.get("evaluation", {})})["evaluation"]
    entry = None
    if base is None or merged["extractor"] != own["extractor"]:
        chosen = as_table(merged["extractor"])
        if "provider" in chosen:  # still the run's extractor, with other options
            provider = chosen.pop("provider")
            chosen.pop("weights_sha256")
            name = f"{provider.rpartition(' ')[0] or provider}:{chosen.pop('name')}"
            chosen = {"name": name, **chosen.pop("options"), **chosen}
        entry, merged["extractor"] = resolve_choice(registry, "extractor", "evaluation.extractor", chosen)
    try:
        return EvaluationSpec.model_validate_json(json.dumps(merged)), entry
    except ValidationError as error:
        raise complain("evaluation", error, EvaluationSpec.model_fields) from None
