"""The plain form of a training step: the same computation as a first version of it would be written.

Eager, contiguous, in float32; torch's own spectral norm and Adam, attention written out, and images that a
DataLoader transforms one by one on the host.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.data import DataLoader, Dataset

from ganbench.api import HasPlainForm
from ganbench.batches import Plan, RealBatches
from ganbench.data import ImageSplit
from ganbench.fused import written_out
from ganbench.networks import Networks
from ganbench.objective import Objective
from ganbench.spec import RunSpec
from ganbench.train_step import Trainer


class _HostImages(Dataset[tuple[Tensor, int]]):
    """Single images as a transform on the host gives them: float32 [3, R, R] in [-1, 1], and a label."""

    def __init__(self, split: ImageSplit) -> None:
        self._split = split

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self._split.images[index : index + 1][0]
        return image.float() * (2 / 255) - 1, int(self._split.labels[index])


class HostBatches(RealBatches):
    """The batches of :class:`ganbench.batches.Batches` through a DataLoader, in their order from the first."""

    def __init__(self, split: ImageSplit, batch: int, seed: int, device: torch.device) -> None:
        self.labels, self.waited_seconds = split.labels, 0.0
        self._plan, self._device, self._step = Plan(len(split), batch, seed, flip=False, part=slice(None)), device, 0
        on_cuda = device.type == "cuda"
        # Workers of their own would take the cores that compute, where the CPU does.
        loader = DataLoader(
            _HostImages(split), batch_sampler=self._order(), num_workers=2 if on_cuda else 0, pin_memory=on_cuda
        )
        self._batches = iter(loader)

    def _order(self) -> Iterator[list[int]]:
        for step in itertools.count():
            yield self._plan.index(step).tolist()

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Images float32 [B, 3, R, R] in [-1, 1] and labels int64 [B]. Raises ValueError out of order."""
        if step != self._step:
            raise ValueError(f"batch {step} was asked for after batch {self._step - 1}")
        started = time.perf_counter()
        self._step += 1
        images, labels = next(self._batches)
        batch = images.to(self._device), labels.to(self._device)
        self.waited_seconds += time.perf_counter() - started
        return batch


def make_plain(network: nn.Module) -> None:
    """Give every part of a network that has one its plain form, in place; what the network computes stays."""
    for owner in list(network.modules()):
        if parametrize.is_parametrized(owner):
            for part in list(owner.parametrizations.weight):  # type: ignore[union-attr,arg-type]
                if isinstance(part, HasPlainForm):
                    part.make_plain(owner)


class PlainTrainer(Trainer):
    """The plain form of a :class:`Trainer`, by the same updates in the same order: only how differs.

    ``networks`` are fresh ones, which are made plain; a spec's networks start from its seed, so they have the
    weights and singular vectors that the other trainer's had.
    """

    def __init__(
        self, spec: RunSpec, networks: Networks, objective: Objective, split: ImageSplit, device: torch.device
    ) -> None:
        for network in networks:
            make_plain(network)
        # What torch would do by itself on CUDA is TF32, for convolutions.
        plain = spec.model_copy(update={"precision": "tf32" if device.type == "cuda" else "fp32"})
        super().__init__(plain, networks, objective, HostBatches(split, spec.batch, spec.seed, device), device)

    memory_format = torch.contiguous_format

    def _optimizer(self, network: nn.Module, lr: float) -> torch.optim.Optimizer:
        chosen = self.spec.optimizer
        return torch.optim.Adam(
            network.parameters(), lr, (chosen.beta1, chosen.beta2), chosen.eps, weight_decay=chosen.weight_decay
        )

    def step(self, step: int, progress: float) -> tuple[Tensor, Tensor]:
        """As :meth:`Trainer.step`, with attention written out."""
        with written_out():
            return super().step(step, progress)
