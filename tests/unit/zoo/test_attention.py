"""The attention blocks against the formulas, written out."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from ganbench.api import UsageError
from ganbench.zoo.attention.linear import LinearAttention
from ganbench.zoo.attention.multi_head import MultiHeadAttention
from ganbench.zoo.attention.none import NoAttention
from ganbench.zoo.attention.residual import Residual
from ganbench.zoo.attention.residual_gated import GatedResidual
from ganbench.zoo.attention.self_attention import SelfAttention
from ganbench.zoo.attention.self_paper import SelfAttentionPaper
from ganbench.zoo.attention.squeeze_excite import SqueezeExcite

BLOCKS = {"self": SelfAttention, "self-paper": SelfAttentionPaper, "multi-head": MultiHeadAttention}


ALL = (*BLOCKS.values(), LinearAttention, SqueezeExcite, Residual, GatedResidual)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def block_with_gamma(layers, channels, gamma, kind="self", **options):
    block = BLOCKS[kind](channels, layers(), **options).double()
    nn.init.constant_(block.gamma, gamma)
    # Large logits: a wrong scale or axis cannot hide in a nearly uniform softmax.
    nn.init.normal_(block.query.weight)
    nn.init.normal_(block.key.weight)
    return block


def max_pool(x):
    return F.max_pool2d(x, 2)


def avg_pool(x):
    return F.avg_pool2d(x, 2)


def unpooled(x):
    return x


PUBLISHED = {"self": {"pool": max_pool}, "self-paper": {"pool": unpooled}, "multi-head": {"pool": unpooled, "heads": 4}}


def written_out(block, x, *, pool, heads=1, axis=3, scale=1.0):
    """The published formula with nothing fused; ``scale`` is beside the published one."""
    b, _, h, w = x.shape

    def project(conv, inputs):
        return torch.einsum("oc,bchw->bohw", conv.weight[:, :, 0, 0], inputs)

    def by_place(features):
        return features.reshape(b, heads, features.shape[1] // heads, -1)

    query = by_place(project(block.query, x))
    key = by_place(pool(project(block.key, x)))
    value = by_place(pool(project(block.value, x)))
    published = query.shape[2] ** -0.5 if heads > 1 else 1.0
    attention = (scale * published * torch.einsum("bnci,bncj->bnij", query, key)).softmax(axis)
    attended = torch.einsum("bnij,bncj->bnci", attention, value).reshape(b, -1, h, w)
    return x + block.gamma * project(block.output, attended), attention


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("channels", "height", "width"), [(8, 4, 6), (16, 8, 8), (24, 6, 4), (64, 16, 16)])
def test_the_fused_block_is_the_published_formula(layers, kind, channels, height, width, memory_format):
    block = block_with_gamma(layers, channels, 0.7, kind).to(memory_format=memory_format)
    x = torch.randn(2, channels, height, width, dtype=torch.float64).to(memory_format=memory_format)
    expected, attention = written_out(block, x, **PUBLISHED[kind])
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-10)
    shown = block.attention_map(x)
    torch.testing.assert_close(shown, attention if shown.dim() == 4 else attention.squeeze(1), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        *((kind, {"axis": 2}) for kind in BLOCKS),
        *((kind, {"scale": 2**-0.5}) for kind in BLOCKS),
        ("self", {"pool": avg_pool}),
        ("self", {"pool": unpooled}),
        ("self-paper", {"pool": max_pool}),
        ("multi-head", {"pool": max_pool}),
        ("multi-head", {"heads": 2}),
    ],
)
def test_the_formula_tells_a_wrong_axis_scale_or_pool_apart(layers, kind, wrong):
    block = block_with_gamma(layers, 16, 0.7, kind)
    x = torch.randn(2, 16, 8, 8, dtype=torch.float64)
    assert (block(x) - written_out(block, x, **(PUBLISHED[kind] | wrong))[0]).abs().max() > 1e-2


@pytest.mark.parametrize("kind", BLOCKS)
def test_gradients_are_those_of_the_formula(layers, kind):
    block = block_with_gamma(layers, 16, 0.7, kind)
    x = torch.randn(2, 16, 4, 4, dtype=torch.float64, requires_grad=True)
    inputs = [x, *block.parameters()]
    ours = torch.autograd.grad(block(x).square().mean(), inputs)
    expected = torch.autograd.grad(written_out(block, x, **PUBLISHED[kind])[0].square().mean(), inputs)
    for first, second in zip(ours, expected, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", BLOCKS)
def test_in_bfloat16_the_fused_block_errs_no_more_than_the_formula(layers, kind):
    exact = block_with_gamma(layers, 32, 0.7, kind)
    nn.init.xavier_uniform_(exact.query.weight)  # the rounding of a sharp softmax's logits would drown all else
    nn.init.xavier_uniform_(exact.key.weight)
    rounded = copy.deepcopy(exact).bfloat16()
    exact.load_state_dict(rounded.state_dict())  # the same weights: those of bfloat16, in float64
    x = torch.randn(2, 32, 8, 8).bfloat16()
    expected = written_out(exact, x.double(), **PUBLISHED[kind])[0]
    by_formula = (written_out(rounded, x, **PUBLISHED[kind])[0] - expected).abs().max()
    fused = (rounded(x) - expected).abs().max()
    assert rounded(x).dtype == torch.bfloat16
    one_rounding = expected.abs().max() * torch.finfo(torch.bfloat16).eps
    assert fused <= torch.maximum(by_formula, one_rounding) * 1.5


@pytest.mark.parametrize("kind", [*BLOCKS.values(), LinearAttention, GatedResidual])
def test_a_gated_block_starts_as_the_identity_and_its_gate_learns_first(layers, kind):
    block = kind(16, layers("spectral"))
    x = torch.randn(2, 16, 8, 8)
    out = block(x)
    assert torch.equal(out, x)
    (out * torch.randn_like(out)).sum().backward()
    assert block.gamma.shape == ()
    assert block.gamma.grad.item() != 0
    for name, p in block.named_parameters():
        if name != "gamma":
            assert torch.count_nonzero(p.grad) == 0


def test_attention_map_has_a_row_of_probabilities_for_each_place(layers):
    x = torch.randn(3, 16, 8, 6).double()
    shapes = {"self": (3, 48, 12), "self-paper": (3, 48, 48), "multi-head": (3, 4, 48, 48)}
    for kind, shape in shapes.items():
        attention = block_with_gamma(layers, 16, 0.0, kind).attention_map(x)
        assert attention.shape == shape
        assert (attention >= 0).all()
        torch.testing.assert_close(attention.sum(-1), torch.ones(shape[:-1], dtype=torch.float64))


@pytest.mark.parametrize("channels", [64, 128, 256, 512, 1024])
def test_parameter_counts(layers, channels):
    with torch.device("meta"):
        blocks = {kind: kind(channels, layers("spectral")) for kind in ALL}
    counts = {kind: parameters(block) for kind, block in blocks.items()}
    c2 = channels**2
    assert counts[SelfAttention] == 1.25 * c2 + 1
    assert counts[SelfAttentionPaper] == 0.5 * c2 + 1
    assert counts[MultiHeadAttention] == 4 * c2 + 1
    assert counts[LinearAttention] == 1.25 * c2 + 1
    assert counts[SqueezeExcite] == 2 * c2 / 16
    assert counts[Residual] == pytest.approx(counts[SelfAttention], rel=0.02)
    assert counts[GatedResidual] == counts[Residual] + 1
    for block in blocks.values():
        assert not any(isinstance(m, nn.Conv2d) and m.bias is not None for m in block.modules())


def test_all_convolutions_of_the_blocks_are_normalized(layers):
    for kind in ALL:
        block = kind(16, layers("spectral"))
        convs = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
        assert convs
        assert all(hasattr(m, "parametrizations") for m in convs)


def test_a_second_derivative_needs_and_gets_the_math_kernel(layers):
    block = block_with_gamma(layers, 16, 0.7)
    x = torch.randn(2, 16, 4, 4, dtype=torch.float64, requires_grad=True)
    with sdpa_kernel(SDPBackend.MATH):
        (slope,) = torch.autograd.grad(block(x).square().sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert block.query.weight.grad.any()


def test_residual_is_the_bottleneck_and_leaves_its_skip_alone(layers):
    block = Residual(18, layers())
    assert (block.conv1.out_channels, block.conv2.kernel_size) == (5, (3, 3))
    x = torch.randn(2, 18, 6, 6)
    before = x.clone()
    out = block(x)
    assert torch.equal(x, before)
    h = F.conv2d(F.relu(x), block.conv1.weight)
    h = F.conv2d(F.relu(h), block.conv2.weight, padding=1)
    torch.testing.assert_close(out, x + F.conv2d(F.relu(h), block.conv3.weight))
    assert not torch.equal(out, x)


@pytest.mark.parametrize("kind", [SelfAttention, SelfAttentionPaper, LinearAttention, Residual, GatedResidual])
def test_too_few_channels_are_refused_with_the_mend(layers, kind):
    kind(8, layers())
    with pytest.raises(UsageError, match=r"8 channels or more.*architecture\.width"):
        kind(7, layers())


def test_heads_divide_the_channels_or_have_a_size(layers):
    with pytest.raises(UsageError, match=r"6 channels do not divide among 4 heads.*attention\.head_size"):
        MultiHeadAttention(6, layers())
    block = MultiHeadAttention(6, layers(), head_size=5)
    assert block.query.out_channels == 20
    assert block.scale == 5**-0.5


def test_linear_attention_is_the_formula_with_the_queries_taken_last(layers):
    block = LinearAttention(16, layers()).double()
    nn.init.constant_(block.gamma, 0.7)
    nn.init.normal_(block.query.weight)
    nn.init.normal_(block.key.weight)
    x = torch.randn(2, 16, 4, 6, dtype=torch.float64)

    def project(conv, inputs):
        return torch.einsum("oc,bchw->bohw", conv.weight[:, :, 0, 0], inputs)

    def formula(query_axis, key_axis):
        query = project(block.query, x).reshape(2, 2, 24).softmax(query_axis)
        key = project(block.key, x).reshape(2, 2, 24).softmax(key_axis)
        every_pair = torch.einsum("bci,bcj->bij", query, key)  # what is never made in the block
        values = project(block.value, x).reshape(2, 8, 24)
        attended = torch.einsum("bij,bcj->bci", every_pair, values).reshape(2, 8, 4, 6)
        return x + block.gamma * project(block.output, attended)

    torch.testing.assert_close(block(x), formula(1, 2), rtol=0, atol=1e-10)
    assert (block(x) - formula(2, 1)).abs().max() > 1e-2


class LargestTensor(TorchDispatchMode):
    """The most elements that any operation's output had."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in (out if isinstance(out, (tuple, list)) else (out,)) if isinstance(t, torch.Tensor)]
        self.elements = max([self.elements, *(t.numel() for t in tensors)])
        return out


def test_linear_attention_costs_in_proportion_to_the_places_and_self_attention_does_not(layers):
    costs = {}
    for kind in (LinearAttention, SelfAttentionPaper):
        with torch.device("meta"):
            block = kind(64, layers())
            for side in (16, 32, 64):
                # On the meta device nothing is fused, so that the matrix of all pairs shows.
                with FlopCounterMode(display=False) as flops, LargestTensor() as largest:
                    block(torch.empty(1, 64, side, side))
                costs[kind, side] = (flops.get_total_flops(), largest.elements)
    for before, after in ((16, 32), (32, 64)):
        assert [b / a for a, b in zip(costs[LinearAttention, before], costs[LinearAttention, after], strict=True)] == [
            4,
            4,
        ]
        slower = [
            b / a for a, b in zip(costs[SelfAttentionPaper, before], costs[SelfAttentionPaper, after], strict=True)
        ]
        assert min(slower) > 8


def test_squeeze_excite_weighs_channels_by_their_means(layers):
    block = SqueezeExcite(32, layers(), reduction=8)
    x = torch.randn(2, 32, 4, 4)
    hidden = F.relu(x.mean((2, 3)) @ block.squeeze.weight[:, :, 0, 0].T)
    weights = torch.sigmoid(hidden @ block.excite.weight[:, :, 0, 0].T)
    torch.testing.assert_close(block(x), x * weights[:, :, None, None])


def test_squeeze_excite_leaves_at_least_one_channel_and_stays_a_bottleneck(layers):
    assert SqueezeExcite(16, layers()).squeeze.out_channels == 1
    assert SqueezeExcite(16, layers(), hidden=5, bias=True).excite.bias.shape == (16,)
    with pytest.raises(UsageError, match=r"reduces 15 channels by 16, which leaves none: set attention\.reduction"):
        SqueezeExcite(15, layers())
    with pytest.raises(UsageError, match=r"attention\.hidden=17 is above 16 channels"):
        SqueezeExcite(16, layers(), hidden=17)


def test_no_attention_is_the_identity(layers):
    x = torch.randn(1, 3, 2, 2)
    assert NoAttention(3, layers())(x) is x
