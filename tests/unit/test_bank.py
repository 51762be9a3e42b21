"""A bank of samples: quantised once, drawn from its own stream, and the sampler is left as it was."""

from __future__ import annotations

import pytest
import torch
from harness import assert_same_tensors
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ganbench.evaluate.bank import evaluating, quantise, sample_bank


class Recorder(nn.Module):
    """A generator that remembers what it was asked, and has batch statistics and dropout to disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.frozen = nn.BatchNorm1d(4).eval()
        self.asked: list[tuple[Tensor, Tensor | None]] = []

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.asked.append((z, y))
        return torch.tanh(self.drop(self.frozen(self.norm(z)))[:, :3, None, None].expand(-1, 3, 2, 2))


def bank(
    sampler: nn.Module, count: int = 7, batch: int = 3, classes: int = 3, seed: int = 5, stream: str = "s"
) -> Tensor:
    return sample_bank(
        sampler,
        count=count,
        latent_dim=4,
        num_classes=classes,
        seed=seed,
        stream=stream,
        batch=batch,
        device=torch.device("cpu"),
    ).images[:]


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=20))
def test_quantisation_rounds_to_the_nearest(values: list[float]) -> None:
    found = quantise(torch.tensor(values, dtype=torch.float32))
    assert found.dtype == torch.uint8
    for value, level in zip(values, found.tolist(), strict=True):
        clamped = min(max(value, -1.0), 1.0)
        assert abs((clamped + 1) * 127.5 - level) <= 0.5 + 1e-4


def test_quantisation_is_the_inverse_of_what_training_sees() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(quantise(levels.float() * (2 / 255) - 1), levels)
    assert quantise(torch.tensor([-1.0, 1.0, -9.0, 9.0])).tolist() == [0, 255, 0, 255]
    assert quantise(torch.tensor([0.5], dtype=torch.bfloat16)).tolist() == [191]


def test_the_sampler_is_left_as_it_was() -> None:
    sampler = Recorder().train()
    sampler.frozen.eval()
    modes = {name: module.training for name, module in sampler.named_modules()}
    state = {key: value.clone() for key, value in sampler.state_dict().items()}
    torch_state = torch.get_rng_state()
    bank(sampler)
    assert {name: module.training for name, module in sampler.named_modules()} == modes
    assert_same_tensors(dict(sampler.state_dict()), state)
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_modes_come_back_after_an_error() -> None:
    sampler = Recorder().train()
    with pytest.raises(KeyError), evaluating(sampler):
        raise KeyError
    assert sampler.training
    assert sampler.drop.training


def test_shape_labels_and_batches() -> None:
    sampler = Recorder()
    images = bank(sampler)
    assert images.shape == (7, 3, 2, 2)
    assert images.dtype == torch.uint8
    assert [len(z) for z, _ in sampler.asked] == [3, 3, 1]
    assert torch.cat([y for _, y in sampler.asked if y is not None]).tolist() == [0, 1, 2, 0, 1, 2, 0]
    bank(sampler, classes=0)
    assert sampler.asked[-1][1] is None


def test_samples_depend_on_seed_and_stream_alone() -> None:
    first = bank(Recorder())
    torch.manual_seed(99)
    assert torch.equal(bank(Recorder()), first)
    assert not torch.equal(bank(Recorder(), seed=6), first)
    assert not torch.equal(bank(Recorder(), stream="t"), first)
    assert torch.equal(bank(Recorder(), count=6), first[:6])
