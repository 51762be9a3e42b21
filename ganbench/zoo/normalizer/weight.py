"""Weight normalization."""

from __future__ import annotations

from typing import TypeVar

from torch import nn
from torch.nn.utils import parametrizations

from ganbench.api import UsageError, normalizes
from ganbench.zoo.normalizer.weights import output_axis, weight_of

M = TypeVar("M", bound=nn.Module)


@normalizes("weight")
def weight(module: M) -> M:
    """Salimans & Kingma (2016): ``module.weight`` as g * V / |V|, with a length g for each output.

    Torch's parametrization, which starts at the weight that it finds. Flagged: the paper's data-dependent
    start of g and the bias, from the first batch, is left out: it would tie an initialisation to data.
    An embedding has a length for each entry.
    """
    found, axis = weight_of(module), output_axis(module)
    if not found.is_meta and not found.transpose(0, axis).flatten(1).any(1).all():
        raise UsageError(
            "an output whose weights are all 0 has no direction for weight normalization: initialise it "
            "otherwise, or scale the block's output by a parameter that starts at 0"
        )
    parametrizations.weight_norm(module, "weight", axis)
    return module
