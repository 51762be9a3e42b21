"""`ganbench eval` of folders, end to end with Inception, against both libraries' own way with the same folders.

The weights are random, in the published files' formats. The strict form of the extractor takes the libraries' own
forward passes and resizes, so what is compared is everything else: files, order, splits, subsets, distances.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch_fidelity
from cleanfid.fid import compare_folders
from cleanfid.inception_torchscript import InceptionV3W
from harness import call
from inception_weights import InceptionWeights
from PIL import Image

COUNT = 10
ISC_SPLITS, KID_SUBSETS, KID_SUBSET_SIZE = 2, 5, 6
SETTINGS = [
    *("--set", f"evaluation.isc_splits={ISC_SPLITS}", "--set", f"evaluation.kid_subsets={KID_SUBSETS}"),
    *("--set", f"evaluation.kid_subset_size={KID_SUBSET_SIZE}", "--set", "evaluation.extractor.strict=true"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Generated and real: PNGs of 40x32 px, so far apart that torch-fidelity's kernel in float32 keeps six digits."""
    root = tmp_path_factory.mktemp("folders")
    draw = np.random.default_rng(1)
    for name, shift in (("fake", 0), ("real", 60)):
        (root / name).mkdir()
        for index in range(COUNT):
            tiles = np.kron(draw.integers(0, 200, (4, 5, 3)), np.ones((8, 8, 1)))
            pixels = np.clip(tiles + draw.normal(0, 15, tiles.shape) + shift, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")  # 0, 1, ..., 9 as text too
    return root / "fake", root / "real"


def evaluate(folders: tuple[Path, Path], weights: Path, *arguments: str) -> Any:
    done = call(
        *("eval", folders[0], "--against", folders[1], "--device", "cpu", "--json", *SETTINGS, *arguments),
        *("--weights-dir", weights, "--allow-unverified-weights"),
    )
    assert done.code == 0, done.err
    return done.json


def test_as_torch_fidelity(folders: tuple[Path, Path], inception_weights: InceptionWeights) -> None:
    families = [f"--metric={family}" for family in ("isc", "fid", "kid", "prc")]
    found = evaluate(folders, inception_weights.torch_fidelity, *families)
    assert found["protocol"]["extractor"]["name"] == "inception"
    theirs = torch_fidelity.calculate_metrics(
        **{"input1": str(folders[0]), "input2": str(folders[1]), "cuda": False, "verbose": False, "cache": False},
        **{"isc": True, "fid": True, "kid": True, "prc": True, "save_cpu_ram": True},
        **{"isc_splits": ISC_SPLITS, "kid_subsets": KID_SUBSETS, "kid_subset_size": KID_SUBSET_SIZE},
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(inception_weights.pth),
    )
    names = {
        "inception_score": "inception_score_mean",
        "inception_score_std": "inception_score_std",
        "fid": "frechet_inception_distance",
        "kid": "kernel_inception_distance_mean",
        "kid_std": "kernel_inception_distance_std",
        "precision": "precision",
        "recall": "recall",
    }
    for ours, name in names.items():
        assert found["scores"][ours] == pytest.approx(theirs[name], rel=1e-6), ours


def test_as_clean_fid(folders: tuple[Path, Path], inception_weights: InceptionWeights) -> None:
    found = evaluate(folders, inception_weights.clean_fid, "--metric=clean-fid")
    assert found["scores"].keys() == {"clean_fid"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit, Pillow's mode and SciPy's disp, all deprecated
        network = InceptionV3W(str(inception_weights.clean_fid), download=False)
        theirs = compare_folders(
            *map(str, folders), network, "clean", device=torch.device("cpu"), num_workers=0, verbose=False
        )
    assert found["scores"]["clean_fid"] == pytest.approx(theirs, rel=1e-4)
