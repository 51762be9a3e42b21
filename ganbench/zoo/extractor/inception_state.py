"""The state of torch-fidelity's Inception from either of the two published files.

torch-fidelity's file is that state. clean-fid's is a scripted module that names its parts as TensorFlow's graph
does: a convolution has ``weight``, ``beta``, ``mean`` and ``var``, no gamma, and lies under ``layers``; the
classifier is ``output``. :data:`NAMES` says which is which.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from ganbench.api import WeightFile


def _row(tower: str, *ours: str) -> dict[str, str]:
    """The convolutions of one tower, in their order."""
    return {name: f"{tower}.conv_{i}" if i else f"{tower}.conv" for i, name in enumerate(ours)}


def _numbered(stem: str, count: int) -> list[str]:
    return [f"{stem}_{i}" for i in range(1, count + 1)]


_A = {
    "branch1x1": "conv",
    **_row("tower", *_numbered("branch5x5", 2)),
    **_row("tower_1", *_numbered("branch3x3dbl", 3)),
    **_row("tower_2", "branch_pool"),
}
_B = {"branch3x3": "conv", **_row("tower", *_numbered("branch3x3dbl", 3))}
_C = {
    "branch1x1": "conv",
    **_row("tower", *_numbered("branch7x7", 3)),
    **_row("tower_1", *_numbered("branch7x7dbl", 5)),
    **_row("tower_2", "branch_pool"),
}
_D = {**_row("tower", *_numbered("branch3x3", 2)), **_row("tower_1", *_numbered("branch7x7x3", 4))}
_E = {
    "branch1x1": "conv",
    "branch3x3_1": "tower_conv",
    "branch3x3_2a": "tower_mixed_conv",
    "branch3x3_2b": "tower_mixed_conv_1",
    "branch3x3dbl_1": "tower_1_conv",
    "branch3x3dbl_2": "tower_1_conv_1",
    "branch3x3dbl_3a": "tower_1_mixed_conv",
    "branch3x3dbl_3b": "tower_1_mixed_conv_1",
    "branch_pool": "tower_2_conv",
}
_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
_BLOCKS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
_KINDS = (_A, _A, _A, _B, _C, _C, _C, _C, _D, _E, _E)

NAMES = {ours: f"conv_{i}" if i else "conv" for i, ours in enumerate(_STEM)} | {
    f"Mixed_{block}.{ours}": f"mixed_{i}.{theirs}" if i else f"mixed.{theirs}"
    for i, (block, kind) in enumerate(zip(_BLOCKS, _KINDS, strict=True))
    for ours, theirs in kind.items()
}
"""torch-fidelity's name of each convolution -> clean-fid's under ``layers``."""


def inception_state(weights: WeightFile) -> tuple[dict[str, Tensor], torch.jit.ScriptModule | None]:
    """The state of torch-fidelity's network, and clean-fid's module where the file holds that."""
    if weights.published.file.endswith(".pth"):
        return torch.load(weights.content(), map_location="cpu", weights_only=True), None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*torch\.jit", FutureWarning)  # deprecated, and the format of the file
        scripted: torch.jit.ScriptModule = torch.jit.load(weights.content(), map_location="cpu")  # type: ignore[no-untyped-call]
    return _translated(scripted.state_dict()), scripted


def _translated(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Raises KeyError for a name that the scripted module lacks."""
    state = {"fc.weight": theirs["output.weight"], "fc.bias": theirs["output.bias"]}
    for ours, name in NAMES.items():
        state[f"{ours}.conv.weight"] = theirs[f"layers.{name}.weight"]
        state[f"{ours}.bn.weight"] = torch.ones_like(theirs[f"layers.{name}.beta"])
        state[f"{ours}.bn.bias"] = theirs[f"layers.{name}.beta"]
        state[f"{ours}.bn.running_mean"] = theirs[f"layers.{name}.mean"]
        state[f"{ours}.bn.running_var"] = theirs[f"layers.{name}.var"]
        state[f"{ours}.bn.num_batches_tracked"] = torch.tensor(0)
    return {name: value.detach() for name, value in state.items()}
