"""Some steps in float64, alone or as the ranks that torchrun started, and all that they left.

That two ranks compute what one does takes more digits to see than float32 has, in which training is. As a script,
started by torchrun, it writes ``FOLDER/<case>-<rank>.pt`` for each of :data:`CASES`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench import ranks
from ganbench.batches import Batches
from ganbench.environment import choose_device
from ganbench.errors import GanbenchError, MissingError, UsageError
from ganbench.loading import load_images
from ganbench.networks import Networks, build_networks
from ganbench.objective import build_objective
from ganbench.places import Places
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import resolve
from ganbench.train_step import Trainer

STEPS, WORLD = 3, 2
SHARED = {
    "seed": 5,
    "dataset": "few-digits",
    "batch": 4,
    "n_dis": 2,
    "flip": True,
    "ema": {"decay": 0.9},
    "evaluation": {"extractor": "thumbnail"},
    "generator": {"weight_norm": "spectral", "norm": "none"},
    "discriminator": {"weight_norm": "spectral", "norm": "none"},
}
CASES: dict[str, dict[str, Any]] = {
    "penalized": {
        "augmentation": "diffaugment",
        "batch_g_factor": 2,
        "regularizers": ["consistency", {"name": "gradient-penalty", "interval": 2}, {"name": "r1", "interval": 3}],
    },
    "paired": {"loss": "relativistic-paired", "batch_g_factor": 2},
    "classes": {"conditioning": "acgan", "num_classes": 10, "reuse_fakes": True, "batch_g_factor": 1},
    "normalized": {"generator": {"norm": "batch"}, "discriminator": {"weight_norm": "none", "norm": "batch"}}
    | {"optimizer": {"eps": 1e-2}},
}
"""Of these only the last has batch norm, with statistics of each rank's own. There the gradient of a bias that a norm
takes off again is 0 but for rounding, of which Adam with a small epsilon would make whole steps."""


class OfEachRank(nn.BatchNorm2d):
    """Batch norm as all ranks together do it, on one: each part of the batch by itself; the first moves the buffers."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        if not self.training:
            return super().forward(x)
        output = torch.empty_like(x)
        output[::WORLD] = super().forward(x[::WORLD])
        for rank in range(1, WORLD):
            part = x[rank::WORLD]
            output[rank::WORLD] = F.batch_norm(part, None, None, self.weight, self.bias, training=True, eps=self.eps)
        return output


class DoubleBatches(Batches):
    """Real images in float64."""

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """[B, 3, R, R] and [B]."""
        images, labels = super().__call__(step)
        return images.double(), labels


def make_trainer(case: dict[str, Any], world: int) -> Trainer:
    """A trainer of an architecture with four channels, in float64."""
    device = choose_device("cpu")
    registry = Registry.discover([Path(__file__).parent / "plugins" / "toy.py"])
    small = {"architecture": {"name": "sngan", "width": 4}, "world": world}
    resolved = resolve(registry, RecipeBook(()), "sngan", "quick", [SHARED, small, case])
    spec = resolved.spec
    data = load_images(resolved.entries["dataset"], spec.dataset, spec.resolution, Places())
    networks = Networks(*(network.double() for network in build_networks(spec, resolved.entries)))
    for module in (module for network in networks for module in network.modules()):
        if world == 1 and isinstance(module, nn.BatchNorm2d):
            module.__class__ = OfEachRank
    batches = DoubleBatches(data.train, spec.batch, spec.seed, device, flip=spec.flip, part=ranks.part())
    trainer = Trainer(spec, networks, build_objective(spec, resolved.entries), batches, device)
    trainer.share()
    return trainer


def train(trainer: Trainer) -> dict[str, Any]:
    """Train; returns the losses, what was drawn for the first update of D, and the weights and buffers."""
    losses = [[ranks.mean(loss) for loss in trainer.step(step, 0.0)] for step in range(STEPS)]
    (real, real_labels), (latents, labels) = trainer.batches(0), trainer._draw("z-d", 0, trainer.spec.batch)
    drawn = {"real": real, "real_labels": real_labels, "latents": latents, "labels": labels}
    return {"losses": losses, "drawn": drawn, "state": trainer.state()}


@contextmanager
def in_float64() -> Iterator[None]:
    """Inside the block everything is that is drawn or made."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def meet() -> dict[str, Any]:
    """What comes of the seam's functions on this rank."""
    rank, told = ranks.rank(), []

    def fail() -> None:
        raise UsageError(f"on rank {ranks.rank()}")

    try:
        with ranks.agreed():
            if rank == 1:
                raise MissingError("on rank 1")
    except GanbenchError as error:
        told.append((str(error), error.exit_code, error.alike))
    try:
        ranks.by_first(fail)
    except GanbenchError as error:
        told.append((str(error), error.exit_code, error.alike))
    with ranks.agreed():
        pass
    rows = ranks.gather_rows(torch.full((2 - rank, 3), float(rank)), [range(2), range(2, 3)])
    return {
        "told": told,
        "first": ranks.by_first(lambda: f"rank {ranks.rank()}"),
        "most": list(ranks.most(rank, -rank)),
        "mean": ranks.mean(torch.tensor(float(rank))),
        "rows": rows,
    }


def main(folder: Path) -> None:
    """Train every case as one of the ranks."""
    with in_float64(), ranks.joined(torch.device("cpu"), WORLD):
        torch.save(meet(), folder / f"meeting-{ranks.rank()}.pt")
        for name, case in CASES.items():
            torch.save(train(make_trainer(case, WORLD)), folder / f"{name}-{ranks.rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
