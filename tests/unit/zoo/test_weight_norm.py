"""Weight normalization against its definition."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.linalg import vector_norm as norm

from ganbench.api import UsageError
from ganbench.zoo.normalizer.weight import weight

KINDS = {
    "conv": (lambda: nn.Conv2d(5, 7, 3), (1, 2, 3), 7),
    "transposed": (lambda: nn.ConvTranspose2d(5, 7, 4), (0, 2, 3), 7),
    "linear": (lambda: nn.Linear(6, 9), (1,), 9),
    "embedding": (lambda: nn.Embedding(10, 4), (1,), 10),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def lengths_and_directions(module):
    parameters = module.parametrizations.weight
    return parameters.original0, parameters.original1


@every_kind
def test_wrapping_keeps_the_weight_and_gives_each_output_a_length(kind):
    make, rest, outputs = KINDS[kind]
    module = make()
    before = module.weight.detach().clone()
    weight(module)
    torch.testing.assert_close(module.weight, before)
    lengths, directions = lengths_and_directions(module)
    assert lengths.numel() == outputs
    torch.testing.assert_close(lengths, norm(before, dim=rest, keepdim=True))
    assert torch.equal(directions, before)


@every_kind
def test_the_weight_is_the_length_times_the_direction(kind):
    make, rest, _ = KINDS[kind]
    module = weight(make()).double()
    lengths, directions = lengths_and_directions(module)
    nn.init.uniform_(lengths, 1, 2)
    nn.init.normal_(directions)
    expected = lengths * directions / norm(directions, dim=rest, keepdim=True)
    torch.testing.assert_close(module.weight, expected)
    torch.testing.assert_close(norm(module.weight, dim=rest, keepdim=True), lengths)


def test_both_parts_learn_and_a_gradient_penalty_reaches_them():
    module = weight(nn.Conv2d(3, 2, 3)).double()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(module(x).sigmoid().sum(), x, create_graph=True)
    slope.norm().backward()
    for part in lengths_and_directions(module):
        assert part.grad.any()


def test_an_output_of_zeros_is_refused_with_the_mend():
    linear = nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight[1] = 0
    with pytest.raises(UsageError, match="no direction for weight normalization: initialise it otherwise"):
        weight(linear)
    transposed = nn.ConvTranspose2d(3, 2, 4)
    with torch.no_grad():
        transposed.weight[:, 1] = 0
    with pytest.raises(UsageError, match="no direction"):
        weight(transposed)


def test_layers_take_it_in_every_kind(layers):
    asked = layers("weight")
    assert asked.conv(3, 4, 3, init=lambda w: nn.init.constant_(w, 0.5)).weight.unique().item() == pytest.approx(0.5)
    for module in (asked.linear(3, 4), asked.conv_transpose(3, 4, 4), asked.embedding(5, 4)):
        assert hasattr(module.parametrizations.weight, "original1")
    with torch.device("meta"):
        assert layers("weight").conv(3, 4, 3).weight.shape == (4, 3, 3, 3)
