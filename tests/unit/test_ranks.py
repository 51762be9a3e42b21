"""Two ranks compute what one does on the same batch, and how a batch, its draws and the samples are shared."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import double_training
import pytest
import torch
from double_training import CASES, WORLD, in_float64, make_trainer, train
from harness import assert_same_tensors, load, python
from hypothesis import given
from hypothesis import strategies as st

from ganbench.batches import Batches, Plan
from ganbench.data import ImageSplit
from ganbench.environment import choose_device
from ganbench.errors import GanbenchError, UsageError
from ganbench.evaluate.shares import shares_of
from ganbench.launch import _verdict, launch
from ganbench.random import generator
from ganbench.rank_draws import SlicedDraws
from ganbench.ranks import AgreedError, agreed, by_first, joined

CPU = torch.device("cpu")
Trained = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """By case: what each of two ranks has."""
    folder = tmp_path_factory.mktemp("ranks")
    script = Path(double_training.__file__)
    end = python("-m", "torch.distributed.run", "--nproc-per-node", str(WORLD), script, folder)
    assert end.code == 0, end.err
    return {name: [load(folder / f"{name}-{rank}.pt") for rank in range(WORLD)] for name in ("meeting", *CASES)}


@pytest.fixture(scope="module")
def by_one() -> dict[str, dict[str, Any]]:
    """By case: what one rank has."""
    with in_float64():
        return {name: train(make_trainer(case, 1)) for name, case in CASES.items()}


def tensors(value: Any, where: str = "") -> dict[str, torch.Tensor]:
    """All tensors of a nested value, by where they are."""
    if isinstance(value, torch.Tensor):
        return {where: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {name: t for key, item in items for name, t in tensors(item, f"{where}.{key}").items()}


@pytest.mark.parametrize("case", CASES)
def test_losses_and_weights_are_those_of_one_rank(
    case: str, by_two: Trained, by_one: dict[str, dict[str, Any]]
) -> None:
    one, first = by_one[case], by_two[case][0]
    assert torch.tensor(one["losses"]).isfinite().all()
    for ours, theirs in zip(first["losses"], one["losses"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)
    found, expected = tensors(first["state"]), tensors(one["state"])
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("case", CASES)
def test_all_ranks_have_the_same_weights_and_the_same_u_and_v(case: str, by_two: Trained) -> None:
    one, other = (tensors(trained["state"]) for trained in by_two[case])
    own = {name for name in one if "running_" in name}
    assert bool(own) == (case == "normalized")
    assert not any(torch.equal(one[name], other[name]) for name in own)
    for name in one.keys() - own:
        assert torch.equal(one[name], other[name]), name
    assert any(name.endswith(".u") for name in one)
    assert any(name.endswith(".v") for name in one)


@pytest.mark.parametrize("case", CASES)
def test_the_ranks_parts_are_the_batch(case: str, by_two: Trained, by_one: dict[str, dict[str, Any]]) -> None:
    for name, whole in by_one[case]["drawn"].items():
        if whole is None:
            continue
        for rank, trained in enumerate(by_two[case]):
            assert_same_tensors(trained["drawn"][name], whole[rank::WORLD])


def test_what_one_rank_has_all_are_told(by_two: Trained) -> None:
    for rank, met in enumerate(by_two["meeting"]):
        assert met["told"] == [("on rank 1", 3, True), ("on rank 0", 2, True)]
        assert met["first"] == "rank 0"
        assert met["most"] == [1, 0]
        assert met["mean"] == 0.5
        assert (met["rows"] is None) == (rank == 1)
    assert by_two["meeting"][0]["rows"].tolist() == [[0] * 3, [0] * 3, [1] * 3]


@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 20), st.booleans())
def test_parts_of_a_batch_make_it_up(each: int, world: int, step: int, flip: bool) -> None:
    batch, images = each * world, torch.arange(13 * 3 * 4, dtype=torch.uint8).view(13, 3, 2, 2)
    split = ImageSplit(images, torch.arange(13))
    whole, labels = Batches(split, batch, 7, CPU, flip=flip)(step)
    for rank in range(world):
        part, own = Batches(split, batch, 7, CPU, flip=flip, part=slice(rank, None, world))(step)
        assert torch.equal(part, whole[rank::world])
        assert torch.equal(own, labels[rank::world])
    index = Plan(13, batch, 7, flip, slice(None)).index(step)
    assert torch.equal(index, labels)


DRAWS = [
    lambda n, g: torch.rand(n, 1, 2, generator=g),
    lambda n, g: torch.rand((n, 3), generator=g, dtype=torch.float64),
    lambda n, g: torch.randn(torch.Size([n, 2]), generator=g),
    lambda n, g: torch.randn(size=(n,), generator=g),
    lambda n, g: torch.randint(5, (n, 2), generator=g),
    lambda n, g: torch.randint(-3, 4, (n,), generator=g),
    lambda n, g: torch.randint(high=9, size=(n,), generator=g),
]


@pytest.mark.parametrize("draw", DRAWS)
def test_draws_for_a_part_are_a_part_of_the_draws(draw: Any) -> None:
    count, world = 4, 3
    draws = generator(0, "x")
    whole = [draw(count * world, draws) for _ in range(2)]
    for rank in range(world):
        draws = generator(0, "x")
        with SlicedDraws(count, rank, world):
            parts = [draw(count, draws) for _ in range(2)]
            torch.rand(count)  # nobody's draw: left alone
        for part, of in zip(parts, whole, strict=True):
            assert torch.equal(part, of[rank::world])


def test_a_draw_for_the_whole_batch_is_alike_on_all_ranks() -> None:
    with SlicedDraws(4, 1, 2):
        drawn = [torch.rand((), generator=generator(0, "x")), torch.rand(3, 4, generator=generator(0, "x"))]
    assert torch.equal(drawn[0], torch.rand((), generator=generator(0, "x")))
    assert torch.equal(drawn[1], torch.rand(3, 4, generator=generator(0, "x")))


@pytest.mark.parametrize(
    "draw", [lambda g: torch.randperm(4, generator=g), lambda g: torch.empty(4).uniform_(generator=g)]
)
def test_a_draw_that_cannot_be_shared_is_refused(draw: Any) -> None:
    with SlicedDraws(4, 0, 2), pytest.raises(UsageError, match="cannot be shared by several ranks"):
        draw(generator(0, "x"))


@given(st.integers(1, 400), st.integers(1, 70), st.integers(1, 9))
def test_samples_are_shared_by_whole_batches(count: int, batch: int, world: int) -> None:
    shares = shares_of(count, batch, world)
    assert [sample for share in shares for sample in share] == list(range(count))
    assert len(shares) == world
    assert all(share.start % batch == 0 for share in shares if share)
    sizes = [-(-len(share) // batch) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert shares[0]


def failure(rank: int, code: int) -> Any:
    return SimpleNamespace(local_rank=rank, exitcode=code)


@pytest.mark.parametrize(
    ("failures", "code"),
    [
        ([(0, 1), (1, -9)], -9),
        ([(0, -15), (1, -9)], -9),
        ([(0, 1), (1, 3)], 3),
        ([(0, 4), (1, -15)], 4),
        ([(0, -15), (1, 1)], 1),
        ([(0, 1)], 1),
        ([(1, 130), (0, 130)], 130),
    ],
)
def test_a_kill_speaks_before_what_it_caused(failures: list[tuple[int, int]], code: int) -> None:
    assert _verdict([failure(*each) for each in failures])[0] == code


def test_an_answer_of_the_ranks_is_told_once_and_tried_once(capfd: pytest.CaptureFixture[str]) -> None:
    variables, handler = os.environ.copy(), signal.getsignal(signal.SIGTERM)
    told: list[str] = []
    assert launch(["no-such-command"], 2, 3, told.append) == 2
    assert told == []
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("ganbench: unknown command 'no-such-command'")
    assert launch(["--version"], 2, 0, told.append) == 0
    assert os.environ == variables
    assert signal.getsignal(signal.SIGTERM) == handler


def test_a_rank_that_is_lost_for_good_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object) -> Any:
        def run(*_: object) -> None:
            raise LostChild

        return run

    class LostChild(Exception):
        def __init__(self) -> None:
            self.failures = {1: failure(1, -9)}

    monkeypatch.setattr("ganbench.launch.elastic_launch", lose)
    monkeypatch.setattr("ganbench.launch.ChildFailedError", LostChild)
    told: list[str] = []
    with pytest.raises(GanbenchError, match="rank 1 was ended by SIGKILL: the same command goes on"):
        launch([], 2, 1, told.append)
    assert told == ["rank 1 was ended by SIGKILL: all ranks go on from the last checkpoint (restart 1 of 1)"]


def test_alone_nothing_is_waited_for() -> None:
    with joined(CPU, 1), agreed():
        assert by_first(lambda: 3) == 3
    with pytest.raises(UsageError), joined(CPU, 1), agreed():
        raise UsageError("as it is")
    with pytest.raises(UsageError, match="a world of 2 and torchrun started 1"), joined(CPU, 2):
        pass


def test_an_agreed_error_keeps_its_exit_code() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(AgreedError("what", 3)))
    assert (str(error), error.exit_code, error.alike) == ("what", 3, True)


def test_each_rank_has_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert choose_device("cuda", 8) == choose_device("auto", 8) == torch.device("cuda:3")
    with pytest.raises(UsageError, match="is one GPU, and 2 ranks have one each"):
        choose_device("cuda:1", 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "5")
    with pytest.raises(UsageError, match="5 ranks on this machine need a GPU each, and it has 4"):
        choose_device("cuda", 5)
    assert choose_device("cpu", 5) == CPU
