"""A bank of samples: what every metric of one evaluation is computed from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ganbench.errors import EvaluationError, StoreError
from ganbench.images import ImageFile, Images
from ganbench.precision import full_precision
from ganbench.random import generator as draws_of

DRAWN_TOGETHER = 256
"""Latents and labels of so many samples come from one generator, whatever the batch: sample i is a function of
the seed, the stream and i.
"""
MEMORY_BYTES = 256 * 2**20
"""A larger bank is kept in a temporary file."""

Schedule = Literal["balanced", "uniform"]


class Bank(NamedTuple):
    """Samples, and what they were asked to show."""

    images: Images
    """uint8 [N, 3, H, W], on the CPU: a tensor, or a file that nobody else sees and that goes with this object."""
    labels: Tensor | None
    """int64 [N], on the CPU; None for a generator that takes none."""


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Eval mode inside the block; afterwards every module's own mode again."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield network
    finally:
        for module, mode in modes:
            module.training = mode


def quantise(images: Tensor) -> Tensor:
    """Float [-1, 1] to uint8 [0, 255]: round((x + 1) * 127.5), clamped.

    Raises EvaluationError for a value that is not finite: as a pixel it would pass for black.
    """
    if not bool(images.isfinite().all()):
        raise EvaluationError("the generator's images are not finite: it has diverged; take another --checkpoint")
    return images.float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def draw_latents(
    first: int, last: int, latent_dim: int, seed: int, stream: str, truncation: float | None = None
) -> Tensor:
    """The latents of samples ``first`` to ``last`` - 1, float32 [last - first, latent_dim]: N(0, I).

    With ``truncation`` t, every coordinate outside [-t, t] is drawn again until it is inside: resampled, not
    clipped, as BigGAN has it.
    """
    blocks = []
    for block in range(first // DRAWN_TOGETHER, -(-last // DRAWN_TOGETHER)):
        draw = draws_of(seed, stream, block)
        z = torch.randn(DRAWN_TOGETHER, latent_dim, generator=draw)
        while truncation is not None and bool((outside := z.abs() > truncation).any()):
            z[outside] = torch.randn(int(outside.sum()), generator=draw)
        blocks.append(z)
    offset = first // DRAWN_TOGETHER * DRAWN_TOGETHER
    return torch.cat(blocks)[first - offset : last - offset]


def draw_labels(count: int, num_classes: int, schedule: Schedule, seed: int, stream: str) -> Tensor:
    """The labels of a bank, int64 [count]: 0, 1, 2, ... in turn where balanced, else drawn, each class alike."""
    if schedule == "balanced":
        return torch.arange(count) % num_classes
    blocks = [
        torch.randint(num_classes, (DRAWN_TOGETHER,), generator=draws_of(seed, f"{stream}-labels", block))
        for block in range(-(-count // DRAWN_TOGETHER))
    ]
    return torch.cat(blocks)[:count]


@torch.no_grad()
def sample_bank(
    sampler: nn.Module,
    *,
    count: int,
    latent_dim: int,
    num_classes: int,
    seed: int,
    stream: str,
    batch: int,
    device: torch.device,
    schedule: Schedule = "balanced",
    truncation: float | None = None,
    labels: Tensor | None = None,
    share: range | None = None,
) -> Bank:
    """``count`` >= 1 samples of ``sampler(z, y)``, which returns float [B, 3, H, W] in [-1, 1].

    ``labels``, int64 [count], take the place of the schedule's; without classes there are none and y is None.
    ``share`` says which of the samples are made and returned, in steps of 1 and at least one; None: all.
    ``batch`` is a matter of memory alone. The sampler is left as it was, and float32 is used whatever the
    precision of training. Raises StoreError where a bank that is too large for memory cannot be written.
    """
    if num_classes and labels is None:
        labels = draw_labels(count, num_classes, schedule, seed, stream)
    whole = range(count)
    share = whole if share is None else share

    def batches() -> Iterator[Tensor]:
        for start in range(share.start, share.stop, batch):
            end = min(start + batch, share.stop)
            z = draw_latents(start, end, latent_dim, seed, stream, truncation).to(device)
            y = None if labels is None else labels[start:end].to(device)
            with full_precision():
                images = quantise(sampler(z, y))
            yield images.contiguous().cpu()

    with evaluating(sampler):
        images = gather(batches(), len(share))
    return Bank(images, labels if labels is None or share == whole else labels[share.start : share.stop])


def gather(batches: Iterator[Tensor], count: int) -> Images:
    """One stack of uint8 [B, 3, H, W] batches, ``count`` >= 1 images in all, each put where it belongs as it comes.

    In memory up to MEMORY_BYTES, else in a temporary file without a name, which ends with the stack. Raises
    StoreError where that cannot be written.
    """
    first = next(batches)
    if count * first[0].numel() > MEMORY_BYTES:
        return _gather_in_file(first, batches, count)
    images = torch.empty(count, *first.shape[1:], dtype=torch.uint8)
    images[: len(first)] = first
    done = len(first)
    for part in batches:
        images[done : done + len(part)] = part
        done += len(part)
    return images


def _gather_in_file(first: Tensor, batches: Iterator[Tensor], count: int) -> Images:
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *first.shape[1:])}
    try:
        with tempfile.NamedTemporaryFile(prefix="ganbench-bank-", suffix=".npy") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.write(first.numpy().data)
            for part in batches:
                file.write(part.numpy().data)
            file.flush()
            return ImageFile(Path(file.name))  # holds the file open, which loses its name here
    except OSError as error:
        raise StoreError(
            f"the samples cannot be kept in {tempfile.gettempdir()}: {error.strerror}; set TMPDIR to a folder with "
            f"{count * first[0].numel() / 1e9:.1f} GB free"
        ) from error
