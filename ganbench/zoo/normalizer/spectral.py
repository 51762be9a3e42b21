"""Spectral normalization."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple, TypeVar

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
    """Weights W / sigma with sigma = u'Wv, u and v constant; u and v come shaped to broadcast to their weight.

    Autograd would do; the closed form of the gradient, (g - <g, W/sigma> u v') / sigma, halves its time and
    saves no second copy of the weights. It is not differentiable again, which only a second derivative with
    respect to the weights themselves would need: a gradient penalty on images does not.
    """

    @staticmethod
    def forward(
        ctx: Any, us: list[Tensor], vs: list[Tensor], sigmas: list[Tensor], *weights: Tensor
    ) -> tuple[Tensor, ...]:
        normalized = torch._foreach_div(weights, sigmas)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*normalized, *us, *vs, *sigmas)
        return tuple(normalized)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        saved, count = ctx.saved_tensors, len(grads)
        weights, us, vs, sigmas = (saved[start : start + count] for start in range(0, 4 * count, count))
        results: list[Tensor | None] = [None] * count  # which it stays for a layer that the pass did not use
        used = [(index, grad) for index, grad in enumerate(grads) if grad is not None]
        if used:
            inner = [(grad * weights[index]).sum() for index, grad in used]
            scaled = torch._foreach_mul([us[index] for index, _ in used], inner)
            found = [torch.addcmul(grad, u, vs[index], value=-1) for (index, grad), u in zip(used, scaled, strict=True)]
            torch._foreach_div_(found, [sigmas[index] for index, _ in used])
            for (index, _), grad in zip(used, found, strict=True):
                results[index] = grad
        return None, None, None, *results


class _View(NamedTuple):
    """A weight as the power method sees it."""

    matrix: Tensor
    """[outputs, rest], without a gradient, float32 or wider."""
    v: Tensor
    """The buffer v with the axes of the rest, in the order of the columns."""
    back: list[int]
    """That order undone: the axes of v for a permutation to the weight's own."""


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
            _estimate([self], [self.view(weight)], [_ITERATIONS_AT_WRAPPING])

    def view(self, weight: Tensor) -> _View:
        """The weight as a matrix, and v in the order of its columns.

        The columns lie as they do in memory, channels_last or not, so that nothing is copied.
        """
        rest = [axis for axis in range(weight.dim()) if axis != self.dim]
        columns = sorted(rest, key=weight.stride, reverse=True)
        matrix = weight.detach().permute([self.dim, *columns]).flatten(1)
        v = self.v.view([weight.shape[axis] for axis in rest]).permute([rest.index(axis) for axis in columns])
        return _View(matrix.to(_wide(weight)), v, [columns.index(axis) for axis in rest])

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
            views = [part.view(weight) for part, weight in zip(parts, weights, strict=True)]
            us, vs, sigmas = _estimate(parts, views, [part.iterations if part._moves else 0 for part in parts])
            wide = [weight.to(_wide(weight)) for weight in weights]
            if torch.is_grad_enabled():
                us = [
                    u.view([-1 if a == part.dim else 1 for a in range(w.dim())])
                    for part, u, w in zip(parts, us, wide, strict=True)
                ]
                vs = [
                    v.view(view.v.shape).permute(view.back).unsqueeze(part.dim)
                    for part, v, view in zip(parts, vs, views, strict=True)
                ]
            normalized = _Divide.apply(us, vs, sigmas, *wide)
            return [each.to(weight.dtype) for each, weight in zip(normalized, weights, strict=True)]

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
    parts: Sequence[SpectralNorm], views: Sequence[_View], iterations: Sequence[int]
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """u, v and sigma of each weight after so many power iterations, v in the order of its view.

    The new vectors go into the parts' buffers, but are never the buffers themselves: the next use would overwrite
    them under a pending backward pass.
    """
    matrices = [view.matrix for view in views]
    us = [part.u.to(matrix.dtype, copy=True) for part, matrix in zip(parts, matrices, strict=True)]
    vs = [view.v.flatten().to(view.matrix.dtype, copy=True) for view in views]
    sigmas: dict[int, Tensor] = {}
    for done in range(max(iterations)):
        turn = [index for index, count in enumerate(iterations) if done < count]
        eps = [parts[index].eps for index in turn]
        new_us, _ = _normalized([matrices[index] @ vs[index] for index in turn], eps)
        # The norm of W'u is u'Wv, for v is W'u over it.
        new_vs, norms = _normalized([matrices[i].T @ u for i, u in zip(turn, new_us, strict=True)], eps)
        for index, u, v, sigma in zip(turn, new_us, new_vs, norms, strict=True):
            us[index], vs[index], sigmas[index] = u, v, sigma
    for index, (part, view) in enumerate(zip(parts, views, strict=True)):
        if iterations[index]:
            part.u.copy_(us[index])
            view.v.copy_(vs[index].view(view.v.shape))
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
