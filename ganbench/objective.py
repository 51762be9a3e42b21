"""What the two networks minimise, and on which view of the images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from ganbench.classification import Classification
from ganbench.registry import Entry
from ganbench.regularizers import Regularizers, Scheduled
from ganbench.resolve import instantiate
from ganbench.spec import RunSpec

if TYPE_CHECKING:
    from ganbench.api import Augmentation, Loss, RelativisticLoss


def is_relativistic(loss: object) -> TypeGuard[RelativisticLoss]:
    """Whether G's term needs what D says of real images."""
    return bool(getattr(loss, "needs_real", False))


@dataclass(frozen=True)
class Objective:
    """The components of both networks' losses, ready to use."""

    loss: Loss
    """Or a RelativisticLoss, by its ``needs_real``."""
    augment: Augmentation
    """Of all that D is shown, in both networks' updates."""
    regularizers: Regularizers
    classification: Classification


def build_objective(spec: RunSpec, entries: Mapping[str, Entry]) -> Objective:
    """The components that a spec names, with their options."""
    regularizers = [
        Scheduled(c.name, instantiate(entries[f"regularizers.{c.name}"], c)(), c.weight, c.interval)
        for c in spec.regularizers
    ]
    return Objective(
        loss=instantiate(entries["loss"], spec.loss)(),
        augment=instantiate(entries["augmentation"], spec.augmentation)(),
        regularizers=Regularizers(regularizers, spec.seed),
        classification=Classification(spec.classification),
    )
