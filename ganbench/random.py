"""Stateless randomness: every draw is a pure function of (seed, stream, step).

Nothing keeps a generator between steps, so a resume needs no saved state and evaluation cannot disturb
training.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, stream: str, step: int = 0) -> int:
    """A 63-bit seed for one stream at one step; the same on every machine."""
    digest = hashlib.blake2b(f"{seed}/{stream}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(seed: int, stream: str, step: int = 0) -> torch.Generator:
    """A CPU generator for one stream at one step: draws are made on the CPU, alike for every device."""
    return torch.Generator().manual_seed(derive(seed, stream, step))


@contextmanager
def isolated(seed: int, stream: str, step: int = 0) -> Iterator[None]:
    """Seed torch's global generators inside the block and restore them after it.

    For code that draws from global state and cannot be told otherwise: layer constructors, dropout.
    """
    with torch.random.fork_rng():
        torch.manual_seed(derive(seed, stream, step))
        yield
