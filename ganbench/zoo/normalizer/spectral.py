"""Spectral normalization."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils import parametrizations, parametrize

from ganbench.api import PositiveFloat, PositiveInt, UsageError, normalizes
from ganbench.zoo.normalizer.weights import output_axis, weight_of

M = TypeVar("M", bound=nn.Module)
_ITERATIONS_AT_WRAPPING = 15
Advance = Literal["always", "real-only"]


class _Divide(torch.autograd.Function):
    """Matrices W / sigma with sigma = u'Wv, u and v constant.

    Autograd would do; the closed form of the gradient, (g - <g, W/sigma> u v') / sigma, halves its time and
    saves no second copy of the weights. It is not differentiable again, which only a second derivative with
    respect to the weights themselves would need: a gradient penalty on images does not.
    """

    @staticmethod
    def forward(
        ctx: Any, us: list[Tensor], vs: list[Tensor], sigmas: list[Tensor], *matrices: Tensor
    ) -> tuple[Tensor, ...]:
        normalized = torch._foreach_div(matrices, sigmas)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*normalized, *us, *vs, *sigmas)
        return tuple(normalized)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        saved, count = ctx.saved_tensors, len(grads)
        matrices, us, vs, sigmas = (saved[start : start + count] for start in range(0, 4 * count, count))
        results: list[Tensor | None] = [None] * count  # which it stays for a layer that the pass did not use
        for index, (grad, matrix, u, v, sigma) in enumerate(zip(grads, matrices, us, vs, sigmas, strict=True)):
            if grad is not None:
                inner = torch.dot(grad.flatten(), matrix.flatten())
                results[index] = torch.addcmul(grad, (u * -inner)[:, None], v).div_(sigma)
        return None, None, None, *results


class SpectralNorm(nn.Module):
    """The parametrization: a weight to itself over its largest singular value, as estimated by u and v.

    The weight counts as a matrix [outputs, rest]; ``dim`` is the axis of the outputs. Each use in training
    mode does ``iterations`` power iterations, one in evaluation mode none; nor, where ``advance`` is
    'real-only', one while ``fake_pass`` is set, as :class:`ganbench.api.FreezesOnFakes` has it. The estimate
    is made in float32, or in float64 for a float64 weight, also under autocast.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor, dim: int, *, iterations: int, eps: float, advance: Advance = "always") -> None:
        super().__init__()
        self.advance = advance
        self.fake_pass = False
        self.dim = dim
        self.iterations = iterations
        self.eps = eps
        self.ready: list[Tensor] = []
        outputs, dtype = weight.shape[dim], _wide(weight)
        for name, size in (("u", outputs), ("v", weight.numel() // outputs)):
            start = torch.empty(size, dtype=dtype, device=weight.device).normal_()
            self.register_buffer(name, F.normalize(start, dim=0, eps=eps))
        if not weight.is_meta:  # which has nothing to estimate, and would take its time about it
            axes = self._axes(weight)
            matrix = weight.detach().permute(axes).flatten(1).to(dtype)
            _estimate([self], [matrix], [self._v_like(weight, axes)], [_ITERATIONS_AT_WRAPPING])

    def _axes(self, weight: Tensor) -> list[int]:
        """The outputs' axis, then the others as they lie in memory: the matrix is then a view of the weight,
        whether it is channels_last or not.
        """
        rest = [axis for axis in range(weight.dim()) if axis != self.dim]
        return [self.dim, *sorted(rest, key=weight.stride, reverse=True)]

    def _v_like(self, weight: Tensor, axes: list[int]) -> Tensor:
        """The buffer v, which is kept in the axes' own order, as a view in the order of ``axes``."""
        rest = sorted(axes[1:])
        return self.v.view([weight.shape[axis] for axis in rest]).permute([rest.index(a) for a in axes[1:]])

    @property
    def _moves(self) -> bool:
        """Whether this use advances u and v."""
        return self.training and not (self.fake_pass and self.advance == "real-only")

    def forward(self, weight: Tensor) -> Tensor:
        """The weight, in its shape, type and memory format, over the estimate of its spectral norm."""
        return self.ready.pop() if self.ready else self.all_at_once([self], [weight])[0]

    @staticmethod
    def all_at_once(parts: Sequence[SpectralNorm], weights: Sequence[Tensor]) -> list[Tensor]:
        """What each part's :meth:`forward` gives for its weight, with the power iterations side by side."""
        with _without_autocast(weights[0].device.type):
            axes = [part._axes(weight) for part, weight in zip(parts, weights, strict=True)]
            rows = [weight.permute(order) for weight, order in zip(weights, axes, strict=True)]
            matrices = [each.flatten(1).to(_wide(each)) for each in rows]
            kept = [part._v_like(weight, order) for part, weight, order in zip(parts, weights, axes, strict=True)]
            iterations = [part.iterations if part._moves else 0 for part in parts]
            estimates = _estimate(parts, [matrix.detach() for matrix in matrices], kept, iterations)
            normalized = _Divide.apply(*estimates, *matrices)
            return [
                matrix.view(each.shape).permute(sorted(range(len(order)), key=order.__getitem__)).to(each.dtype)
                for matrix, each, order in zip(normalized, rows, axes, strict=True)
            ]

    def make_plain(self, owner: nn.Module) -> None:
        """Put torch's own parametrization in its place, with the same vectors."""
        parametrize.remove_parametrizations(owner, "weight", leave_parametrized=False)
        parametrizations.spectral_norm(owner, n_power_iterations=self.iterations, eps=self.eps, dim=self.dim)
        plain: Any = owner.parametrizations.weight[0]  # type: ignore[union-attr,index]
        plain._u.copy_(self.u)
        plain._v.copy_(self.v)
        if self.advance == "real-only":
            plain.fake_pass = False

            def hold_on_fakes(norm: nn.Module, _: object) -> None:
                norm.train(owner.training and not norm.fake_pass)

            plain.register_forward_pre_hook(hold_on_fakes)


@torch.no_grad()
def _estimate(
    parts: Sequence[SpectralNorm], matrices: Sequence[Tensor], kept: Sequence[Tensor], iterations: Sequence[int]
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """u, v and sigma of each matrix after so many power iterations.

    ``kept`` are the parts' buffers v in the order of the matrices' columns. The new vectors go into the buffers,
    but are never the buffers themselves: the next use would overwrite them under a pending backward pass.
    """
    us = [part.u.to(matrix.dtype, copy=True) for part, matrix in zip(parts, matrices, strict=True)]
    vs = [v.flatten().to(matrix.dtype, copy=True) for v, matrix in zip(kept, matrices, strict=True)]
    sigmas: dict[int, Tensor] = {}
    for done in range(max(iterations)):
        turn = [index for index, count in enumerate(iterations) if done < count]
        eps = [parts[index].eps for index in turn]
        new_us, _ = _normalized([matrices[index] @ vs[index] for index in turn], eps)
        # The norm of W'u is u'Wv, for v is W'u over it.
        new_vs, norms = _normalized([matrices[i].T @ u for i, u in zip(turn, new_us, strict=True)], eps)
        for index, u, v, sigma in zip(turn, new_us, new_vs, norms, strict=True):
            us[index], vs[index], sigmas[index] = u, v, sigma
    for index, (part, v) in enumerate(zip(parts, kept, strict=True)):
        if iterations[index]:
            part.u.copy_(us[index])
            v.copy_(vs[index].view(v.shape))
        else:
            sigmas[index] = torch.dot(us[index], matrices[index] @ vs[index])
    return us, vs, [sigmas[index] for index in range(len(parts))]


def _normalized(vectors: list[Tensor], eps: list[float]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The vectors over their norms, of which none counts as less than its eps; and the norms."""
    norms = torch._foreach_norm(vectors)
    return torch._foreach_div(vectors, torch._foreach_clamp_min(norms, eps)), norms


def _wide(weight: Tensor) -> torch.dtype:
    return torch.promote_types(weight.dtype, torch.float32)


def _without_autocast(device: str) -> AbstractContextManager[object]:
    # Asked in this order: the meta device has no autocast, and fails at the second question.
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if on else nullcontext()


@normalizes("weight")
def spectral(module: M, *, iterations: PositiveInt = 1, eps: PositiveFloat = 1e-12, advance: Advance = "always") -> M:
    """Miyato et al. (2018): ``module.weight`` over its spectral norm, by the power method.

    As in the paper, one iteration per use in training, and the gradient stops at the singular vectors.
    The singular vectors start at random and are iterated 15 times at once, so that the first sigma is
    already within a few percent. A transposed convolution has its outputs on axis 1. With
    ``advance="real-only"`` the vectors of D stand still while it sees generated images only, as in the
    released code of SAGAN; else they move on every use in training, as with torch's own.
    """
    weight = weight_of(module)
    if not weight.is_meta and not weight.any():
        raise UsageError(
            "a weight of zeros has no spectral norm: initialise it otherwise, or scale the block's output by "
            "a parameter that starts at 0, as the built-in self-attention does"
        )
    # unsafe=True skips a trial run, which would advance u and v.
    norm = SpectralNorm(weight, output_axis(module), iterations=iterations, eps=eps, advance=advance)
    parametrize.register_parametrization(module, "weight", norm, unsafe=True)
    return module
