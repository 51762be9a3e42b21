"""Spectral normalization."""

from __future__ import annotations

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
    """W / sigma with sigma = u'Wv, u and v constant.

    Autograd would do; the closed form of the gradient, (g - <g, W/sigma> u v') / sigma, halves its time and
    saves no second copy of the weight. It is not differentiable again, which only a second derivative with
    respect to the weights themselves would need: a gradient penalty on images does not.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, u: Tensor, v: Tensor, sigma: Tensor) -> Tensor:
        normalized = matrix / sigma
        ctx.save_for_backward(normalized, u, v, sigma)
        return normalized

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        normalized, u, v, sigma = ctx.saved_tensors
        inner = torch.dot(grad.flatten(), normalized.flatten())
        return torch.addcmul(grad, (u * -inner)[:, None], v).div_(sigma), None, None, None


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
        outputs, dtype = weight.shape[dim], _wide(weight)
        for name, size in (("u", outputs), ("v", weight.numel() // outputs)):
            start = torch.empty(size, dtype=dtype, device=weight.device).normal_()
            self.register_buffer(name, F.normalize(start, dim=0, eps=eps))
        axes = self._axes(weight)
        if not weight.is_meta:  # which has nothing to estimate, and would take its time about it
            self._estimate(
                weight.detach().permute(axes).flatten(1).to(dtype),
                self._v_like(weight, axes),
                _ITERATIONS_AT_WRAPPING,
            )

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

    @torch.no_grad()
    def _estimate(self, matrix: Tensor, v_buffer: Tensor, iterations: int) -> tuple[Tensor, Tensor, Tensor]:
        """u, v and sigma after so many power iterations, which the buffers keep. Never the buffers
        themselves: the next use would overwrite them under a pending backward pass.
        """
        v = v_buffer.flatten().to(matrix.dtype)
        if iterations == 0:
            u = self.u.to(matrix.dtype, copy=True)
            return u, v.clone(), torch.dot(u, matrix @ v)
        for _ in range(iterations):
            u = F.normalize(matrix @ v, dim=0, eps=self.eps)
            v = matrix.T @ u
            sigma = torch.linalg.vector_norm(v)  # u'Wv, since v is about to be W'u over this norm
            v = v / sigma.clamp_min(self.eps)
        self.u.copy_(u)
        v_buffer.copy_(v.view(v_buffer.shape))
        return u, v, sigma

    def forward(self, weight: Tensor) -> Tensor:
        """The weight, in its shape, type and memory format, over the estimate of its spectral norm."""
        axes = self._axes(weight)
        with _without_autocast(weight.device.type):
            rows = weight.permute(axes)
            matrix = rows.flatten(1).to(_wide(weight))
            u, v, sigma = self._estimate(
                matrix.detach(), self._v_like(weight, axes), self.iterations if self._moves else 0
            )
            normalized: Tensor = _Divide.apply(matrix, u, v, sigma)
            back = sorted(range(len(axes)), key=axes.__getitem__)
            return normalized.view(rows.shape).permute(back).to(weight.dtype)


    def make_plain(self, owner: nn.Module) -> None:
        """Put torch's own parametrization in its place, with the same vectors."""
        parametrize.remove_parametrizations(owner, "weight", leave_parametrized=False)
        parametrizations.spectral_norm(owner, n_power_iterations=self.iterations, eps=self.eps, dim=self.dim)
        plain = owner.parametrizations.weight[0]  # type: ignore[union-attr,index]
        plain._u.copy_(self.u)
        plain._v.copy_(self.v)
        if self.advance == "real-only":
            plain.fake_pass = False


            def hold_on_fakes(norm: nn.Module, _: object) -> None:
                norm.train(owner.training and not norm.fake_pass)

            plain.register_forward_pre_hook(hold_on_fakes)


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
