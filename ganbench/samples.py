"""The sample grid of a run: the same latents at every evaluation, so that grids can be compared by eye."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import nn
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from ganbench.evaluate.bank import sample_bank
from ganbench.spec import RunSpec
from ganbench.store import write_atomically

COLUMNS, ROWS = 10, 8


def write_grid(path: Path, sampler: nn.Module, spec: RunSpec, device: torch.device) -> None:
    """Write 8 rows of 10 samples as PNG; with classes, column c is class c (modulo their number)."""
    bank = sample_bank(
        sampler,
        count=COLUMNS * ROWS,
        latent_dim=spec.latent_dim,
        num_classes=min(spec.network_classes, COLUMNS),
        seed=spec.seed,
        stream="grid",
        batch=COLUMNS * ROWS,
        device=device,
    )
    buffer = io.BytesIO()
    to_pil_image(make_grid(bank.images[:], nrow=COLUMNS, padding=2, pad_value=255)).save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())
