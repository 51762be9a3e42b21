"""Sizing a block to the reference, on blocks whose cost is known by hand."""

from __future__ import annotations

import pytest
import torch
from harness import call
from torch import nn

from ganbench.api import Layers, UsageError
from ganbench.cost import Cost, block_cost
from ganbench.matching import TOLERANCE, Matcher, check_matchable, closest_sizes
from ganbench.zoo.attention.linear import LinearAttention
from ganbench.zoo.attention.multi_head import MultiHeadAttention
from ganbench.zoo.attention.residual import Residual
from ganbench.zoo.attention.residual_gated import GatedResidual
from ganbench.zoo.attention.self_attention import SelfAttention
from ganbench.zoo.attention.self_paper import SelfAttentionPaper
from ganbench.zoo.attention.squeeze_excite import SqueezeExcite
from ganbench.zoo.normalizer.none import no_normalizer
from ganbench.zoo.normalizer.spectral import spectral

THIRD_PARTY = """
from typing import ClassVar
from ganbench.api import Layers, PositiveInt, register
from torch import Tensor, nn

@register("attention", "two-convs")
class TwoConvs(nn.Module):
    size_option: ClassVar[str] = "hidden"

    def __init__(self, channels: int, layers: Layers, *, hidden: PositiveInt | None = None) -> None:
        super().__init__()
        self.a = layers.conv(channels, hidden or channels, 1, bias=False)
        self.b = layers.conv(hidden or channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(self.a(x))
"""


def make_layers(weight_norm=no_normalizer) -> Layers:
    return Layers(
        num_classes=0,
        latent_dim=8,
        conditioning="none",
        weight_norm=weight_norm,
        activation_norm=no_normalizer,
        attention_block=SelfAttention,
        attention_at=(),
    )


def matcher(kind, by):
    return Matcher("it", kind, getattr(kind, "size_option", None), SelfAttention, by)


def test_cost_of_the_reference_is_the_formula():
    # Projections, then queries padded from 2 to 8 channels times 16 keys, then the same for the values.
    flops = 2 * 64 * 16 * (2 + 2 + 8 + 8) + 2 * 2 * 64 * 16 * 8
    assert block_cost(SelfAttention, 16, 8, make_layers()) == Cost(1.25 * 16**2 + 1, flops)


def test_the_weight_normalizer_does_not_count_as_flops_of_an_image():
    plain, normalized = (block_cost(SelfAttention, 16, 8, make_layers(norm)) for norm in (no_normalizer, spectral))
    assert plain == normalized


def test_counting_draws_no_random_number():
    before = torch.random.get_rng_state()
    block_cost(SelfAttention, 16, 8, make_layers())
    assert torch.equal(torch.random.get_rng_state(), before)


SIZED = (SelfAttentionPaper, MultiHeadAttention, LinearAttention, Residual, GatedResidual, SqueezeExcite)


@pytest.mark.parametrize("channels", [64, 128, 256, 512, 1024])
@pytest.mark.parametrize("kind", SIZED)
def test_parameters_are_matched_within_the_tolerance(kind, channels):
    layers = make_layers()
    size = matcher(kind, "parameters")(channels, 8, layers)
    assert list(size) == [kind.size_option]
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in block(channels, layers, **s).parameters())
            for block, s in ((kind, size), (SelfAttention, {}))
        ]
    assert counts[0] == pytest.approx(counts[1], rel=TOLERANCE)


@pytest.mark.parametrize(("channels", "resolution"), [(64, 64), (128, 64), (256, 32), (512, 16)])
@pytest.mark.parametrize("kind", [LinearAttention, Residual, GatedResidual])
def test_flops_are_matched_within_the_tolerance(kind, channels, resolution):
    layers = make_layers()
    size = matcher(kind, "flops")(channels, resolution, layers)
    ours, reference = (
        block_cost(k, channels, resolution, layers, **s).flops for k, s in ((kind, size), (SelfAttention, {}))
    )
    assert ours == pytest.approx(reference, rel=TOLERANCE)


def test_the_closest_sizes_stand_on_either_side():
    assert closest_sizes(lambda size: 10 * size, 95) == [(9, 90), (10, 100)]
    assert closest_sizes(lambda size: 10 * size, 100) == [(10, 100), (11, 110)]
    assert closest_sizes(lambda size: 10 * size, 3) == [(1, 10)]


def test_sizes_that_a_block_refuses_are_not_offered():
    def at_most_6(size):
        if size > 6:
            raise UsageError("too large")
        return 10 * size

    assert closest_sizes(at_most_6, 95) == [(6, 60)]

    def nothing(size):
        raise UsageError("not here")

    with pytest.raises(UsageError, match="not here"):
        closest_sizes(nothing, 95)


def test_what_cannot_be_matched_says_how_close_it_gets():
    with pytest.raises(UsageError) as refused:
        matcher(MultiHeadAttention, "parameters")(16, 8, make_layers())
    assert "at 16 channels at 8 px: that has 321 parameters" in str(refused.value)
    assert "head_size=1 gives 257 (-19.9%) and head_size=2 gives 513 (+59.8%), not within 2%" in str(refused.value)
    assert "--attention-match none" in str(refused.value)
    with pytest.raises(UsageError, match=r"hidden=16 gives 1,024 \(-98\.6%\), not within"):
        matcher(SqueezeExcite, "flops")(16, 8, make_layers())


class Unsized(nn.Module):
    def __init__(self, channels, layers):
        super().__init__()
        self.conv = layers.conv(channels, channels, 1)

    def forward(self, x):
        return self.conv(x)


def test_a_block_without_a_size_is_taken_where_it_fits_as_it_is():
    assert matcher(SelfAttention, "parameters")(64, 8, make_layers()) == {}
    with pytest.raises(UsageError, match=r"its only size gives 272 \(-15\.3%\)"):
        matcher(Unsized, "parameters")(16, 8, make_layers())


def test_a_set_or_unknown_size_is_refused():
    check_matchable(Residual, {"width": None})
    check_matchable(SelfAttention, {})
    with pytest.raises(UsageError, match=r"attention\.width is set"):
        check_matchable(Residual, {"width": 4})
    with pytest.raises(UsageError, match="names 'width' as its size, which is no option"):
        check_matchable(Residual, {})


SHOWN = ("show", "--model", "sagan", "--json")


def test_show_gives_the_cost_of_every_block_beside_none_and_self():
    blocks = call(*SHOWN, "--width", "64", "--attention", "multi-head").json["attention"]
    assert [(b["network"], b["resolution"], b["channels"], b["size"]) for b in blocks] == [
        ("generator", 16, 256, {}),
        ("discriminator", 16, 128, {}),
    ]
    for block in blocks:
        assert block["parameters"] == 4 * block["channels"] ** 2 + 1
        assert block["references"]["none"] == {"parameters": 0, "flops": 0}
        assert block["references"]["self"]["parameters"] == 1.25 * block["channels"] ** 2 + 1
        assert block["flops"] > block["references"]["self"]["flops"] > 0
    text = call(*SHOWN[:-1], "--width", "64", "--attention", "multi-head", "--attention-match", "parameters").out
    assert "attention.generator.16 = 256 channels, head_size=20\n" in text
    assert "attention.generator.16.parameters = 81,921 (none: 0; self: 81,921, +0.0%)\n" in text


def test_show_says_where_the_reference_cannot_stand():
    shown = call(
        *SHOWN,
        "--width",
        "2",
        "--attention-at",
        "16",
        "--attention",
        "squeeze-excite",
        "--set",
        "attention.reduction=2",
    )
    assert [block["references"]["self"] is None for block in shown.json["attention"]] == [False, True]


def test_a_third_partys_block_is_matched_in_every_place(tmp_path):
    plugin = tmp_path / "two.py"
    plugin.write_text(THIRD_PARTY)
    arguments = ["--plugin", plugin, "--attention", "two-convs", "--attention-at", "16", "--attention-at", "8"]
    shown = call(*SHOWN, *arguments, "--width", "16", "--attention-match", "parameters", "--attention-in", "g").json
    assert [block["size"] for block in shown["attention"]] == [{"hidden": 40}, {"hidden": 40}]
    assert shown["spec"]["attention_match"] == "parameters"
    plain = call(*SHOWN, *arguments, "--width", "16", "--attention-in", "g").json
    assert plain["run_id"] != shown["run_id"]
    assert plain["parameters"]["generator"] != shown["parameters"]["generator"]


def test_matching_the_reference_or_nothing_is_no_other_run():
    for attention in ("self", "none"):
        at = [] if attention == "none" else ["--attention-at", "16"]
        ids = {
            call(*SHOWN, "--attention", attention, *at, "--attention-match", match).json["run_id"]
            for match in ("none", "parameters", "flops")
        }
        assert len(ids) == 1


def test_mistakes_are_refused_before_training(tmp_path):
    for command in ("show", "run"):
        both = call(
            command,
            "--model",
            "sagan",
            "--attention",
            "residual",
            "--set",
            "attention.width=3",
            "--attention-match",
            "flops",
        )
        assert (both.code, "drop one of the two" in both.complaint) == (2, True)
        results = ["--results", tmp_path] if command == "run" else []
        far = call(command, "--model", "sagan", "--attention", "squeeze-excite", "--attention-match", "flops", *results)
        assert (far.code, "cannot be matched to 'self'" in far.complaint) == (2, True)
    assert not (tmp_path / "runs").exists()


def test_searching_draws_nothing_from_the_initialisation():
    layers = make_layers()
    found = matcher(Residual, "parameters")
    torch.manual_seed(0)
    block = Residual(256, layers, **found(256, 8, layers))
    torch.manual_seed(0)
    expected = Residual(256, layers, width=71)
    for name, weight in expected.state_dict().items():
        assert torch.equal(block.state_dict()[name], weight)
