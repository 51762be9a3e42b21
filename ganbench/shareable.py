"""Whether the parts of an objective can be shared by several ranks: tried out before a run, not taken on trust.

Gradients are averaged over ranks, so that D's and G's loss on the whole batch has to be the mean of the losses on
the ranks' parts. That is so for a mean over images, and for pairs at the same place of the batch; a term that
compares an image with the others of its batch would be another one on every number of ranks. The exception is
batch norm, whose statistics are each rank's own and belong to the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ganbench.errors import UsageError
from ganbench.objective import build_objective, is_relativistic
from ganbench.penalty import DiscriminatorUpdate
from ganbench.random import generator
from ganbench.rank_draws import SlicedDraws
from ganbench.registry import Entry
from ganbench.spec import RunSpec

if TYPE_CHECKING:
    from ganbench.objective import Objective

_SEED, _TRIALS, _SIDE = 0, 4, 16
"""Of the batches that terms are tried on: any of them may lie where a term is linear. The images are small."""
_CLOSE = 1e-4
"""How near terms come in float32 that are equal but for the order of their sums."""
Term = Callable[["Objective", Tensor, Tensor, torch.Generator], tuple[Tensor, Mapping[str, Any]]]
"""A part of an objective on real and generated images, and the state that it is left in."""


def check_shareable(spec: RunSpec, entries: Mapping[str, Entry], device: torch.device) -> None:
    """Raise UsageError for a component whose term on the spec's batch is not the mean of those on its ranks' parts,
    and for common statistics of batch norm on a device that cannot have them.
    """
    if spec.world == 1:
        return
    if spec.sync_bn and device.type != "cuda":
        raise UsageError("--sync-bn needs GPUs: on the CPU leave it out, and each rank has statistics of its own")
    terms: dict[str, Term] = {f"loss '{spec.loss.name}'": _loss, f"augmentation '{spec.augmentation.name}'": _augmented}
    for number, choice in enumerate(spec.regularizers):
        terms[f"regularizer '{choice.name}'"] = _penalty(number)
    for name, term in terms.items():
        if not all(_is_mean_of_parts(term, spec, entries, trial) for trial in range(_TRIALS)):
            raise UsageError(
                f"the {name} compares images of a batch with each other, so that {spec.world} ranks, with a part of it "
                "each, would train otherwise than one: leave out --gpus, or choose another"
            )


def _is_mean_of_parts(term: Term, spec: RunSpec, entries: Mapping[str, Entry], trial: int) -> bool:
    draws, shape = generator(_SEED, "shareable", trial), (spec.batch, 3, _SIDE, _SIDE)
    # Each rank's images are larger than the last one's, so that no statistic of a part is that of the whole.
    scales = torch.linspace(0.5, 3, spec.world).repeat(spec.batch // spec.world)[:, None, None, None]
    real, fake = (torch.randn(shape, generator=draws) * scales for _ in range(2))

    def value(part: slice) -> tuple[Tensor, Mapping[str, Any]]:
        return term(build_objective(spec, entries), real[part], fake[part], generator(_SEED, "component", trial))

    whole, state = value(slice(None))
    parts = []
    for rank in range(spec.world):
        with SlicedDraws(spec.batch // spec.world, rank, spec.world):
            part, left = value(slice(rank, None, spec.world))
        if any(not torch.equal(left[name], state[name]) for name in state):
            return False
        parts.append(part)
    return torch.allclose(torch.stack(parts).mean(0), whole, rtol=_CLOSE, atol=_CLOSE)


def _loss(objective: Objective, real: Tensor, fake: Tensor, _: torch.Generator) -> tuple[Tensor, Mapping[str, Any]]:
    loss, on_real, on_fake = objective.loss, _judge(real), _judge(fake)
    of_g = loss.generator(on_fake, on_real) if is_relativistic(loss) else loss.generator(on_fake)
    return torch.stack([loss.discriminator(on_real, on_fake), of_g]), {}


def _augmented(
    objective: Objective, real: Tensor, fake: Tensor, draws: torch.Generator
) -> tuple[Tensor, Mapping[str, Any]]:
    return torch.stack([objective.augment(images, draws).sin().mean() for images in (real, fake)]), {}


def _penalty(number: int) -> Term:
    def term(
        objective: Objective, real: Tensor, fake: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Any]]:
        regularizer = objective.regularizers.parts[number].regularizer
        labels = torch.zeros(len(real), dtype=torch.int64)
        update = DiscriminatorUpdate(
            lambda images, _: _judge(images), real, fake, labels, labels, _judge(real), _judge(fake), draws
        )
        return regularizer(update).detach(), regularizer.state_dict() if isinstance(regularizer, nn.Module) else {}

    return term


def _judge(images: Tensor) -> Tensor:
    """Logits in the place of D's: a smooth function of each image alone, with slopes of about 4."""
    weights = torch.randn(images.shape[1:], generator=generator(_SEED, "shareable-judge")).requires_grad_()
    projected: Tensor = (images * weights).sum((1, 2, 3)) / weights.numel() ** 0.5
    return 6 * projected.sin()
