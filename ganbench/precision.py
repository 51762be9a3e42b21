"""The arithmetic of a training step, as its spec's ``precision`` says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ganbench.errors import UsageError
from ganbench.spec import Precision


def check_precision(precision: Precision, device: torch.device) -> None:
    """Raise UsageError where the device does not have this arithmetic."""
    if precision == "tf32" and device.type != "cuda":
        raise UsageError(
            f"precision tf32 is arithmetic of CUDA's tensor cores, and {device} has none: take fp32 or bf16"
        )


def widened(tensor: Tensor) -> Tensor:
    """The tensor in float32, or in its own type where that is wider."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Of the forward passes: to bfloat16 for ``bf16``, else none."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False)


@contextmanager
def float32_products(tf32: bool) -> Iterator[None]:
    """What float32 products and convolutions are in the block: TF32, or IEEE float32.

    torch's own habit on CUDA is TF32 for convolutions and IEEE for products, so that nothing is left to it.
    """
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 in float32, whatever training chose: no TF32, no bfloat16 products, no autocast."""
    with float32_products(tf32=False), torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
        yield
