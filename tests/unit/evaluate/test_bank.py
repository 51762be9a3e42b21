"""A bank of samples: quantised once, drawn from its own stream, and the sampler is left as it was."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import assert_same_tensors, python
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import ganbench.evaluate.bank as module
from ganbench.errors import EvaluationError, StoreError
from ganbench.evaluate.bank import Bank, evaluating, quantise, sample_bank
from ganbench.images import ImageFile


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


def bank(sampler: nn.Module, count: int = 7, **options: Any) -> Bank:
    usual = {"batch": 3, "num_classes": 3, "seed": 5, "stream": "s"}
    return sample_bank(
        sampler,
        count=count,
        latent_dim=4,
        device=torch.device("cpu"),
        **usual | options,
    )


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


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_no_pixel(value: float) -> None:
    with pytest.raises(EvaluationError, match="are not finite"):
        quantise(torch.tensor([0.0, value]))


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
    images, labels = bank(sampler)
    assert labels is not None
    assert labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert images.shape == (7, 3, 2, 2)
    assert images[:].dtype == torch.uint8
    assert [len(z) for z, _ in sampler.asked] == [3, 3, 1]
    assert torch.cat([y for _, y in sampler.asked if y is not None]).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert bank(sampler, num_classes=0).labels is None
    assert sampler.asked[-1][1] is None


def test_samples_depend_on_seed_and_stream_alone() -> None:
    first = bank(Recorder()).images[:]
    torch.manual_seed(99)
    assert torch.equal(bank(Recorder()).images[:], first)
    assert not torch.equal(bank(Recorder(), seed=6).images[:], first)
    assert not torch.equal(bank(Recorder(), stream="t").images[:], first)
    assert torch.equal(bank(Recorder(), count=6).images[:], first[:6])


def asked(count: int, **options: Any) -> tuple[Tensor, Tensor]:
    """All latents and labels that a generator is given."""
    sampler = Recorder()
    bank(sampler, count, **options)
    return torch.cat([z for z, _ in sampler.asked]), torch.cat([y for _, y in sampler.asked if y is not None])


@settings(max_examples=20)
@given(st.integers(1, 700), st.integers(1, 800), st.sampled_from(["balanced", "uniform"]))
def test_neither_the_batch_nor_the_number_changes_a_sample(count: int, batch: int, schedule: str) -> None:
    options = {"schedule": schedule, "truncation": 1.5}
    z, labels = asked(count, batch=batch, **options)
    whole_z, whole_labels = asked(700, batch=700, **options)
    assert torch.equal(z, whole_z[:count])
    assert torch.equal(labels, whole_labels[:count])


def test_latents_are_normal_and_truncation_draws_again() -> None:
    z, _ = asked(20000, batch=5000)
    assert abs(float(z.mean())) < 0.02
    assert abs(float(z.std()) - 1) < 0.01
    cut, _ = asked(20000, batch=5000, truncation=0.5)
    assert cut.abs().max() <= 0.5
    assert len(cut.unique()) > 0.95 * cut.numel()  # clipped, a third would lie on either bound
    inside = z.abs() <= 0.5
    assert torch.equal(cut[inside], z[inside])
    expected = 0.5 / math.sqrt(3)  # of a density that is almost flat there
    assert abs(float(cut.std()) - expected) < 0.01


def test_labels_in_turn_or_drawn_or_given() -> None:
    _, labels = asked(3000, batch=1000)
    assert torch.bincount(labels).tolist() == [1000] * 3
    _, labels = asked(3000, batch=1000, schedule="uniform")
    counts = torch.bincount(labels).tolist()
    assert all(900 < count < 1100 for count in counts)
    assert counts != [1000] * 3
    given = torch.tensor([2] * 7)
    _, labels = asked(7, labels=given)
    assert torch.equal(labels, given)
    assert bank(Recorder(), labels=given).labels is given


def test_a_large_bank_lies_in_a_file_that_nobody_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = bank(Recorder(), 50).images
    assert isinstance(in_memory, Tensor)
    monkeypatch.setattr(module, "MEMORY_BYTES", 100)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    in_file = bank(Recorder(), 50).images
    assert isinstance(in_file, ImageFile)
    assert in_file.shape == in_memory.shape
    assert torch.equal(in_file[:], in_memory)
    assert torch.equal(in_file[torch.tensor([49, 3])], in_memory[[49, 3]])
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_gone_where_the_generator_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Recorder):
        def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
            if len(self.asked) == 3:
                raise KeyError
            return super().forward(z, y)

    monkeypatch.setattr(module, "MEMORY_BYTES", 100)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KeyError):
        bank(Failing(), 50)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY_BYTES", 100)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(StoreError, match=r"cannot be kept in .*absent: No such file or directory; set TMPDIR"):
        bank(Recorder(), 50)


LARGE = """
import re, torch
from pathlib import Path
from ganbench.evaluate.bank import sample_bank
class Flat(torch.nn.Module):
    def forward(self, z, y):
        return z[:, :3, None, None].expand(-1, 3, 128, 128)
def peak_after(count):
    images = sample_bank(Flat(), count=count, latent_dim=3, num_classes=0, seed=0, stream="s", batch=50,
                         device=torch.device("cpu")).images
    assert images.shape == (count, 3, 128, 128)
    assert len(images[count - 5 : count].unique()) > 1
    # Of this process alone: ru_maxrss begins with what its parent had.
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(peak_after(100), peak_after(8000))
"""


def test_a_large_bank_takes_no_more_memory_than_a_small_one() -> None:
    """It is written as it comes: 400 MB here, 2.5 GB of 50,000 images."""
    outcome = python("-c", LARGE)
    assert outcome.code == 0, outcome.err
    small, large = map(int, outcome.out.split())
    assert large < small + 50 * 2**20
    assert large < 2**30
