"""The ranks of one run: the seam between the harness and ``torch.distributed``.

A rank is a process that torchrun started, with a GPU of its own or, on the CPU, with a share of the cores. All
ranks run the same program on the same draws, each on its part of every batch; DistributedDataParallel averages
the gradients. Rank 0 alone writes. Without torchrun there is one rank: nothing here is then waited for, sent
or wrapped.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ganbench.errors import GanbenchError, UsageError
from ganbench.sweep.leash import fasten

T = TypeVar("T")
TIMEOUT = timedelta(hours=6)
"""How long a rank waits for another one that lives: the first computes statistics and scores alone."""
_LOST = ("gloo", "NCCL", "Connection closed", "Connection reset", "Broken pipe")
"""What torch's errors say when another rank has gone; over gloo they have no type of their own."""


class LostRankError(GanbenchError):
    """Another rank of the run is gone; what is the matter was told there, or by who ended it."""

    alike = True


class AgreedError(GanbenchError):
    """The error of one rank, raised by all."""

    alike = True

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[type[AgreedError], tuple[str, int]]:
        return AgreedError, (str(self), self.exit_code)


def launched() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank() -> int:
    """The number of this rank, counted from 0."""
    return dist.get_rank() if _together() else 0


def world() -> int:
    """How many ranks there are."""
    return dist.get_world_size() if _together() else 1


def leads() -> bool:
    """Whether this is rank 0, which writes."""
    return rank() == 0


def part() -> slice:
    """This rank's images of a batch: every ``world``-th, beginning with its own number."""
    return slice(rank(), None, world())


def own(stream: str) -> str:
    """A stream of draws that nobody shares out, such as dropout's: each rank has another, and rank 0 this one."""
    return stream if leads() else f"{stream}-rank-{rank()}"


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()


@contextmanager
def joined(device: torch.device, expected: int) -> Iterator[None]:
    """Be one of the ranks inside the block; alone where torchrun did not start this process.

    ``expected`` is the world of the spec. Raises UsageError where torchrun started another number of ranks,
    LostRankError where one of them is gone.
    """
    started = int(os.environ["WORLD_SIZE"]) if launched() else 1
    if started != expected:
        raise UsageError(
            f"the spec is of a world of {expected} and torchrun started {started}: give it --nproc-per-node so that "
            "they are as many, or --gpus to a new run"
        )
    if started == 1:
        yield
        return
    fasten(os.getppid())
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        with warnings.catch_warnings():
            # Said of 1x1 convolutions alone, of whose strides those that matter are the same in either order.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            yield
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _LOST):
            raise
        raise LostRankError(
            "another rank of this run is gone: the same command goes on from the last checkpoint"
        ) from error
    finally:
        dist.destroy_process_group()


def wrap(network: nn.Module) -> nn.Module:
    """The network as a pass with gradients has to go through it, so that these are averaged over the ranks.

    Buffers are made equal here and not again: u and v of spectral norm move alike on all ranks, and a broadcast
    in the middle of an update would change them between two passes. A network that is frozen is wrapped no more
    than a lone one.
    """
    if world() == 1 or not any(parameter.requires_grad for parameter in network.parameters()):
        return network
    return DistributedDataParallel(network, forward_sync_buffers=False)


def with_common_statistics(network: nn.Module) -> nn.Module:
    """The network with torch's batch norms over the images of all ranks; only on CUDA can they be used."""
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return converted


@torch.no_grad()
def equalise(network: nn.Module) -> None:
    """Give all ranks the weights and buffers of rank 0's network."""
    if world() == 1:
        return
    for tensor in network.state_dict().values():
        plain = tensor.contiguous()
        dist.broadcast(plain, 0)
        tensor.copy_(plain)


def most(*values: float) -> tuple[float, ...]:
    """Of each value, the largest that any rank has."""
    if world() == 1:
        return values
    largest = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return tuple(largest.tolist())


def mean(value: Tensor) -> float:
    """The mean of a scalar over the ranks."""
    if world() == 1:
        return value.item()
    total = value.detach().to(device="cpu", dtype=torch.float64, copy=True)
    dist.all_reduce(total)
    return total.item() / world()


def by_first(compute: Callable[[], T]) -> T:
    """What rank 0 computes, for all ranks; a GanbenchError there is raised by all."""
    if world() == 1:
        return compute()
    answer: list[tuple[T | None, AgreedError | None]] = [(None, None)]
    if leads():
        try:
            answer = [(compute(), None)]
        except GanbenchError as error:
            answer = [(None, AgreedError(str(error), error.exit_code))]
    dist.broadcast_object_list(answer, 0, device=torch.device("cpu"))
    value, failure = answer[0]
    if failure is not None:
        raise failure
    return value  # type: ignore[return-value]  # None where T has it


@contextmanager
def agreed() -> Iterator[None]:
    """A GanbenchError of any rank inside the block is raised by all at its end; they do not meet inside it."""
    failure: GanbenchError | None = None
    try:
        yield
    except GanbenchError as error:
        if world() == 1:
            raise
        failure = error
    if world() == 1:
        return
    told = None if failure is None else AgreedError(str(failure), failure.exit_code)
    failures: list[AgreedError | None] = [None] * world()
    dist.all_gather_object(failures, told)
    for each in failures:
        if each is not None:
            raise each from failure


def gather_rows(mine: Tensor, shares: list[range]) -> Tensor | None:
    """Rows that the ranks hold, [N, ...] on rank 0 and None on the others.

    ``shares`` says by rank which rows of the N those are, one share after the other; ``mine``, on the CPU, are
    this rank's. Rank 0 has at least one, and a rank that has none does not call this.
    """
    if not leads():
        dist.send(mine.contiguous(), 0)
        return None
    if world() == 1:
        return mine
    rows = mine.new_empty(shares[-1].stop, *mine.shape[1:])
    rows[shares[0].start : shares[0].stop] = mine
    for sender, share in enumerate(shares[1:], 1):
        if len(share):
            dist.recv(rows[share.start : share.stop], sender)
    return rows
