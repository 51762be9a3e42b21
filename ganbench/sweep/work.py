"""The work of a step that nobody has made yet: counted on the meta device, without memory, data or time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from ganbench.batches import RealBatches
from ganbench.flops import count_step
from ganbench.networks import build_networks
from ganbench.objective import build_objective
from ganbench.registry import Entry
from ganbench.spec import RunSpec
from ganbench.train_step import Trainer

_META = torch.device("meta")


class _Shapes(RealBatches):
    """Batches of which only the shape is known."""

    labels = torch.zeros(1, dtype=torch.int64)
    waited_seconds = 0.0

    def __init__(self, spec: RunSpec) -> None:
        self._shape = (spec.batch, 3, spec.resolution, spec.resolution)

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """uint8 [B, 3, R, R] and int64 [B]."""
        images = torch.empty(self._shape, dtype=torch.uint8, device=_META)
        return images, torch.empty(self._shape[0], dtype=torch.int64, device=_META)


class _Imagined(Trainer):
    """A trainer whose tensors have no content; a product counts the same in every precision."""

    def _autocast(self) -> AbstractContextManager[object]:  # type: ignore[override]
        return nullcontext()


def imagined_flops(spec: RunSpec, entries: Mapping[str, Entry]) -> int | None:
    """FLOPs of a step as :func:`ganbench.flops.count_step` counts them.

    None where a component cannot do without content: a gradient penalty, or a third party's that looks at values.
    """
    try:
        with _META:
            networks, objective = build_networks(spec, entries), build_objective(spec, entries)
        return count_step(_Imagined(spec, networks, objective, _Shapes(spec), _META))
    except Exception:  # whatever a component raises of its own: it can be run all the same
        return None
