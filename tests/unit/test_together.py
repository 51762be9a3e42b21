"""Weights computed for a whole network at once are those that each use would have computed."""

from __future__ import annotations

import copy

import pytest
import torch
from harness import assert_same_tensors
from torch import nn
from torch.nn.utils import parametrize

from ganbench.together import compute_apart, compute_together
from ganbench.zoo.normalizer.spectral import spectral


class Halved(nn.Module):
    def forward(self, weight):
        return weight / 2


class Net(nn.Module):
    """Layers of every kind; one is used twice, one not at all, one has another parametrization too."""

    def __init__(self):
        super().__init__()
        self.conv, self.twice = spectral(nn.Conv2d(3, 4, 3, padding=1)), spectral(nn.Conv2d(4, 4, 1), iterations=3)
        self.up = spectral(nn.ConvTranspose2d(4, 2, 4, 2, 1), advance="real-only")
        self.linear, self.unused = spectral(nn.Linear(2, 1)), spectral(nn.Linear(5, 5))
        self.both = spectral(nn.Linear(2, 2))
        parametrize.register_parametrization(self.both, "weight", Halved())

    def forward(self, x):
        h = self.up(self.twice(self.twice(self.conv(x)).relu()).relu()).mean((2, 3))
        return self.linear(self.both(h))


def networks(dtype, memory_format):
    torch.manual_seed(0)
    apart = Net().to(dtype, memory_format=memory_format)
    together = copy.deepcopy(apart)
    compute_together(together)
    return apart, together


def steps(network, count=3):
    """State and outputs after some updates, in training and in evaluation mode, D's passes of both kinds.

    Not the state of the layer that is never used: together its vectors move too.
    """
    x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    optimizer, outputs = torch.optim.SGD(network.parameters(), 0.1), []
    for step in range(count):
        network.up.parametrizations.weight[0].fake_pass = step == 1
        out = network(x.to(network.linear.bias.dtype))
        optimizer.zero_grad()
        out.square().sum().backward()
        optimizer.step()
        outputs.append(out.detach())
    with torch.no_grad():
        outputs.append(network.eval()(x.to(network.linear.bias.dtype)))
    state = network.train().state_dict()
    return {key: value for key, value in state.items() if not key.startswith("unused")}, outputs


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_together_is_apart_to_the_last_bit(dtype, memory_format):
    apart, together = networks(dtype, memory_format)
    assert_same_tensors(steps(together), steps(apart))


def test_a_copy_works_for_itself_and_so_does_one_taken_apart_again():
    _, together = networks(torch.float32, torch.contiguous_format)
    twin, undone = copy.deepcopy(together), copy.deepcopy(together)
    compute_apart(undone)
    before = copy.deepcopy(together.state_dict())
    expected = steps(twin)
    assert_same_tensors(together.state_dict(), before)
    assert_same_tensors(steps(undone), expected)
    assert_same_tensors(steps(together), expected)


def test_nothing_is_left_from_a_pass_for_a_use_outside_of_one():
    _, together = networks(torch.float32, torch.contiguous_format)
    together(torch.randn(1, 3, 6, 6))
    with torch.no_grad():
        together.unused.parametrizations.weight.original.mul_(2)
        sigma = torch.linalg.matrix_norm(together.eval().unused.weight, 2)
    torch.testing.assert_close(sigma, torch.ones(()), rtol=0.1, atol=0)


def test_a_pass_that_fails_leaves_nothing_either():
    _, together = networks(torch.float32, torch.contiguous_format)
    with pytest.raises(RuntimeError):
        together(torch.randn(1, 7, 6, 6))
    assert not any(part.ready for group in together.weights_together for _, part in group)


def test_the_power_iterations_and_the_division_are_done_for_all_layers_at_once():
    _, together = networks(torch.float32, torch.contiguous_format)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
        together(torch.randn(1, 3, 6, 6))
    counts = {event.key: event.count for event in profiled.key_averages()}
    # One for the pass, one for the layer that is used a second time, one for the layer with two norms.
    assert counts["_Divide"] == 3
