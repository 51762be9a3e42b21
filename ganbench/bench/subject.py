"""The training steps that are timed, on images of noise: what they show changes nothing of the time."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ganbench.batches import Batches
from ganbench.bench.plain import PlainTrainer
from ganbench.data import ImageSplit
from ganbench.networks import build_networks
from ganbench.objective import build_objective
from ganbench.random import generator
from ganbench.registry import Entry
from ganbench.spec import RunSpec
from ganbench.train_step import Trainer

_IMAGES = 2048
"""At least, so that an epoch is not over at once; more where a batch is larger."""


def noise(spec: RunSpec) -> ImageSplit:
    """Images uint8 [N, 3, R, R] and labels [N] drawn from the spec's seed, in the spec's sizes."""
    draws, count = generator(spec.seed, "bench", 0), max(_IMAGES, spec.batch)
    images = torch.randint(256, (count, 3, spec.resolution, spec.resolution), generator=draws, dtype=torch.uint8)
    return ImageSplit(images, torch.randint(max(1, spec.num_classes), (count,), generator=draws), "train")


def own_trainer(spec: RunSpec, entries: Mapping[str, Entry], device: torch.device) -> Trainer:
    """The step as ``ganbench run`` takes it."""
    batches = Batches(noise(spec), spec.batch, spec.seed, device, flip=spec.flip)
    return Trainer(spec, build_networks(spec, entries), build_objective(spec, entries), batches, device)


def plain_trainer(spec: RunSpec, entries: Mapping[str, Entry], device: torch.device) -> PlainTrainer:
    """The plain form of the same step, from the same state."""
    return PlainTrainer(spec, build_networks(spec, entries), build_objective(spec, entries), noise(spec), device)
