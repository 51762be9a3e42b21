"""Inception's features: ours, folded, channels last and resized as a batch, beside torch-fidelity's own call.

Both sides take the same uint8 images of 32 px, resize included, and return the layers that IS, FID, KID and
precision/recall read. Weights are random: they do not change the work.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from pairs import compare, report
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from ganbench.evaluate.extractors import make_extractor
from ganbench.places import Places
from ganbench.random import generator
from ganbench.registry import Registry
from ganbench.spec import ExtractorChoice

sys.path.append(str(Path(__file__).parents[1]))
from inception_weights import make_inception_weights

IMAGES = 32


def main() -> None:
    """Print the row."""
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        weights = make_inception_weights(Path(folder) / "weights")
        theirs = FeatureExtractorInceptionV3("theirs", ["2048", "logits_unbiased"], str(weights.pth))
        ours = make_extractor(
            Registry.discover().find("extractor", "inception"),
            ExtractorChoice(name="inception", provider="ganbench"),
            Places(weights=weights.torch_fidelity, unverified_weights=True),
            torch.device("cpu"),
        )
        images = torch.randint(0, 256, (IMAGES, 3, 32, 32), generator=generator(0, "bench")).to(torch.uint8)
        what = f"Inception features of {IMAGES} images, {torch.get_num_threads()} threads"
        report([compare(what, lambda: ours(images), lambda: theirs(images), promised=1.7)])


if __name__ == "__main__":
    main()
