"""What two ranks cost beyond the work: a step of theirs beside a step of one rank with as many images.

The two share a machine's memory and caches, and often its cores' clock. What that takes is measured by two
processes that know nothing of each other, each with the batch of one rank; what the ranks take beyond it is
theirs. Every process has one thread and waits without working while it is not its turn.
"""

from __future__ import annotations

import os
import socket
import statistics
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from ganbench import ranks
from ganbench.batches import Batches
from ganbench.loading import load_images
from ganbench.networks import build_networks
from ganbench.objective import build_objective
from ganbench.places import Places
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import resolve
from ganbench.train_step import Trainer

WORLD, ROUNDS, STEPS, BATCH = 2, 7, 6, 64
"""``BATCH`` images for each process: as many as a GPU is given, where it is not the whole."""
PROMISED = 0.10
"""The most that ranks may cost per image beyond what independent processes do."""
TOY = Path(__file__).parents[1] / "plugins" / "toy.py"
CPU = torch.device("cpu")


def make_trainer(model: str, world: int) -> Trainer:
    """A trainer of the quick profile's networks."""
    registry, book = Registry.discover([TOY]), RecipeBook(())
    shared = {"seed": 0, "batch": BATCH * world, "world": world}
    resolved = resolve(registry, book, model, "quick", [shared])
    spec, entries = resolved.spec, resolved.entries
    data = load_images(entries["dataset"], spec.dataset, spec.resolution, Places())
    batches = Batches(data.train, spec.batch, spec.seed, CPU, flip=spec.flip, part=ranks.part())
    trainer = Trainer(spec, build_networks(spec, entries), build_objective(spec, entries), batches, CPU)
    trainer.share()
    return trainer


def work(orders: Connection, model: str, rank: int, world: int, port: int) -> None:
    """A process: at each order so many steps, answered by seconds per image of this process."""
    torch.set_num_threads(1)
    if world > 1:
        os.environ |= {"TORCHELASTIC_RUN_ID": "two-ranks", "WORLD_SIZE": str(world), "RANK": str(rank)}
        os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    with ranks.joined(CPU, world):
        trainer, step = make_trainer(model, world), 0
        shown = STEPS * trainer.spec.n_dis * trainer.spec.batch // world
        while orders.recv():
            begun = time.perf_counter()
            for _ in range(STEPS):
                trainer.step(step, 0.0)
                ranks.most(0.0)  # as the training loop agrees on whether to stop
                step += 1
            orders.send((time.perf_counter() - begun) / shown)


class Processes:
    """Some processes that work at the same time."""

    def __init__(self, model: str, count: int, world: int) -> None:
        spawn, port = get_context("spawn"), free_port()
        self._orders = []
        for rank in range(count):
            ours, theirs = spawn.Pipe()
            spawn.Process(target=work, args=(theirs, model, rank, world, port), daemon=True).start()
            self._orders.append(ours)

    def seconds(self) -> float:
        """Per real image of one process, until the last has done its steps."""
        for orders in self._orders:
            orders.send(True)
        return max(orders.recv() for orders in self._orders)

    def end(self) -> None:
        """Let them go."""
        for orders in self._orders:
            orders.send(False)


def free_port() -> int:
    """One that nobody listens at."""
    with socket.create_server(("localhost", 0)) as server:
        return int(server.getsockname()[1])


def measure(model: str) -> str:
    """A row of the table: each round times all three, in another order than the last."""
    kinds = {
        "alone": Processes(model, 1, 1),
        "apart": Processes(model, WORLD, 1),
        "ranks": Processes(model, WORLD, WORLD),
    }
    names = list(kinds)
    times: dict[str, list[float]] = {name: [] for name in names}
    for processes in kinds.values():
        processes.seconds()  # to warm up
    for turn in range(ROUNDS):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(kinds[name].seconds())
    for processes in kinds.values():
        processes.end()
    shared = statistics.median(b / a - 1 for a, b in zip(times["alone"], times["apart"], strict=True))
    beyond = [c / b - 1 for b, c in zip(times["apart"], times["ranks"], strict=True)]
    low, median, high = statistics.quantiles(beyond, n=4, method="inclusive")
    milliseconds = " | ".join(f"{1000 * statistics.median(times[name]):.3f}" for name in names)
    kept = "yes" if median <= PROMISED else "NO"
    return (
        f"| {model} | {milliseconds} | {shared:+.1%} | {median:+.1%} ({low:+.1%} to {high:+.1%}) | {PROMISED:.0%} "
        f"| {kept} | {ROUNDS} |"
    )


def main() -> None:
    """Print the table."""
    print(
        "| quick networks | 1 rank, ms an image | 2 apart | 2 ranks | apart over 1 | ranks over apart (quartiles) ",
        end="",
    )
    print("| promised | kept | rounds |\n|---|---|---|---|---|---|---|---|---|")
    for model in ("sngan", "sagan", "dcgan"):
        print(measure(model), flush=True)


if __name__ == "__main__":
    main()
