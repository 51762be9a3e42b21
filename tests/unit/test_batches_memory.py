"""What training on a set far larger than memory keeps in memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from harness import TOY_PLUGIN, python

SET_BYTES = 20 * 10**9
BOUND = 1.5 * 2**30
SIDE = 64
# Two steps of the whole loop's inner part, then the batches of many more: what is kept of each would add up.
TRAINING = """
import json, sys, threading
from pathlib import Path
import torch
from ganbench.batches import Batches
from ganbench.data import ImageSplit
from ganbench.flops import count_step
from ganbench.images import ImageFile
from ganbench.networks import build_networks
from ganbench.objective import build_objective
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import resolve
from ganbench.train_step import Trainer

images = ImageFile(Path(sys.argv[1]))
labels = torch.arange(len(images)) % 10
asked = {"seed": 0, "resolution": images.shape[2], "batch": 64, "architecture": {"width": 4}, "flip": True}
asked |= {"fake_labels": "empirical", "evaluation": {"extractor": "thumbnail"}}
resolved = resolve(Registry.discover([Path(sys.argv[2])]), RecipeBook(), "sagan", "quick", [asked])
spec, cpu = resolved.spec, torch.device("cpu")
networks, objective = build_networks(spec, resolved.entries), build_objective(spec, resolved.entries)
with Batches(ImageSplit(images, labels), spec.batch, spec.seed, cpu, flip=spec.flip) as batches:
    trainer = Trainer(spec, networks, objective, batches, cpu)
    count_step(trainer)
    for step in range(2):
        trainer.step(step, 0.0)
    epoch = len(images) // spec.batch
    for step in range(epoch - 400, epoch + 400):
        batches(step)
    threads = threading.active_count()
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = 1024 * int(status["VmHWM"].split()[0])  # getrusage's would be the test process's where that is larger
print(json.dumps({"peak": peak, "threads": threads, "finite": trainer.finite()}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak resident memory is read from /proc")
def test_training_on_twenty_gigabytes_stays_below_one_and_a_half(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    count = SET_BYTES // (3 * SIDE * SIDE) + 1
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, SIDE, SIDE)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + count * 3 * SIDE * SIDE)
    try:
        assert path.stat().st_size > SET_BYTES
        end = python("-c", TRAINING, path, TOY_PLUGIN)
    finally:
        path.unlink()
    assert end.code == 0, end.err
    found = json.loads(end.out)
    assert found["finite"]
    assert found["threads"] == 2
    assert found["peak"] < BOUND, f"{found['peak'] / 2**20:.0f} MiB"
