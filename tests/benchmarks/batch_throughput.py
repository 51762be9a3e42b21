"""Batches of a file that was prepared once, against decoding the same JPEGs for every batch.

Ours gathers from the array file by its thread, mirrors at random and scales; torchvision's ImageFolder does the
same from the JPEGs, with two workers that stay alive. Both deliver one epoch of batches of 64 at 128 px on two
cores: this process computes by one thread on either side.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pairs import compare, report
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.io import write_jpeg
from torchvision.transforms import CenterCrop, Compose, Normalize, RandomHorizontalFlip, Resize, ToTensor

from ganbench.batches import Batches
from ganbench.data import ImageSplit
from ganbench.images import ImageFile
from ganbench.random import generator

COUNT, BATCH, SOURCE_SIDE, SIDE = 1024, 64, 256, 128


def make_jpegs(folder: Path) -> None:
    """Noise at three scales: files of some 25 kB, as photographs of this size have."""
    draws = generator(0, "jpegs")
    for number in range(COUNT):
        image = torch.zeros(1, 3, SOURCE_SIDE, SOURCE_SIDE)
        for side, height in ((8, 60.0), (32, 30.0), (128, 15.0)):
            noise = torch.randn(1, 3, side, side, generator=draws) * height
            image += F.interpolate(noise, size=SOURCE_SIDE, mode="bicubic")
        path = folder / str(number % 10) / f"{number:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_jpeg((image[0] + 128).clamp(0, 255).to(torch.uint8), str(path), quality=90)


def prepare(folder: Path, file: Path) -> ImageSplit:
    """Decode once."""
    source = ImageFolder(str(folder), Compose([Resize(SIDE), CenterCrop(SIDE)]))
    np.save(file, np.stack([np.asarray(image).transpose(2, 0, 1) for image, _ in source]))
    return ImageSplit(ImageFile(file), torch.tensor(source.targets))


def main() -> None:
    """Print the row."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        jpegs = Path(temporary) / "jpegs"
        make_jpegs(jpegs)
        split = prepare(jpegs, Path(temporary) / "images.npy")
        transform = Compose(
            [Resize(SIDE), CenterCrop(SIDE), RandomHorizontalFlip(), ToTensor(), Normalize([0.5] * 3, [0.5] * 3)]
        )
        folder = ImageFolder(str(jpegs), transform)
        loader = DataLoader(folder, BATCH, shuffle=True, drop_last=True, num_workers=2, persistent_workers=True)
        steps = itertools.count()
        with Batches(split, BATCH, 0, torch.device("cpu"), flip=True, room=0) as batches:

            def ours() -> None:
                for step in itertools.islice(steps, COUNT // BATCH):
                    assert batches(step)[0].shape == (BATCH, 3, SIDE, SIDE)

            def baseline() -> None:
                for images, _ in loader:
                    assert images.shape == (BATCH, 3, SIDE, SIDE)

            what = f"an epoch of {COUNT} images in batches: prepared file / ImageFolder with 2 workers"
            report([compare(what, ours, baseline, promised=10)])
        size = sum(path.stat().st_size for path in jpegs.rglob("*.jpg")) / COUNT / 1000
        print(f"JPEGs of {SOURCE_SIDE} px, {size:.0f} kB each")


if __name__ == "__main__":
    main()
