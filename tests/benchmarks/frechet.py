"""Frechet distances in 2,048 dimensions, beside the libraries' own functions on the same features.

The reference is given to both sides as each keeps it: as moments to the libraries, as its factor to ours. A side
starts from the generated features, as after a pass of the extractor, and computes their moments too.
"""

from __future__ import annotations

import warnings

import torch
from cleanfid.fid import frechet_distance
from pairs import compare, report
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from ganbench.evaluate.frechet import distance, fit
from ganbench.evaluate.intra import ClassReferences
from ganbench.random import generator

SIZE = 2048
WHOLE = 5000
CLASSES, OF_A_CLASS = 10, 500


def features(count: int, seed: int) -> Tensor:
    """Like Inception's: positive, correlated, with a spectrum that falls."""
    draws = generator(seed, "bench")
    mix = torch.randn(SIZE, SIZE, generator=generator(0, "mix")) / torch.arange(1, SIZE + 1)[:, None]
    return (torch.randn(count, SIZE, generator=draws) @ mix).relu()


def clean_fid(fake: Tensor, real: dict[str, Tensor]) -> float:
    """As its ``fid_from_feats``, with the reference's moments at hand."""
    statistics = fid_features_to_statistics(fake.double())
    return float(frechet_distance(statistics["mu"], statistics["sigma"], real["mu"], real["sigma"]))


def main() -> None:
    """Print both rows."""
    warnings.filterwarnings("ignore", "The `disp` argument is deprecated", DeprecationWarning)
    fake, real = features(WHOLE, 1), features(WHOLE, 2)
    moments, gaussian = fid_features_to_statistics(real.double()), fit(real)

    labels = torch.arange(WHOLE) % CLASSES
    classes = ClassReferences(real, labels, CLASSES)
    by_class = [fid_features_to_statistics(real[labels == label].double()) for label in range(CLASSES)]

    def in_a_loop() -> list[float]:
        found = []
        for label, reference in enumerate(by_class):
            statistics = fid_features_to_statistics(fake[labels == label].double())
            found.append(fid_statistics_to_metric(statistics, reference, verbose=False)[KEY_METRIC_FID])
        return found

    threads = f"{torch.get_num_threads()} threads"
    report(
        [
            compare(
                f"Frechet distance, 2048-d, N = {WHOLE}, beside clean-fid, {threads}",
                lambda: distance(fake, gaussian),
                lambda: clean_fid(fake, moments),
                promised=10,
                pairs=5,
            ),
            compare(
                f"intra-FID of {CLASSES} x {OF_A_CLASS}, beside torch-fidelity in a loop, {threads}",
                lambda: classes.distances(fake, labels),
                in_a_loop,
                promised=20,
                pairs=5,
            ),
        ]
    )


if __name__ == "__main__":
    main()
