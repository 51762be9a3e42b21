"""The checks on a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ganbench.conformance.report import Broken, Check, Cost, describe, expecting

Term = Callable[[Tensor, Tensor], Tensor]


class LossSubject:
    """A loss with both of its terms as functions of the logits on real and on generated images."""

    def __init__(self, component: Any, options: dict[str, Any]) -> None:
        self.component, self.options = component, options

    def terms(self) -> dict[str, Term]:
        """``discriminator`` and ``generator``; one that looks at real images too says so by ``needs_real``."""
        loss = self.component(**self.options)
        needs_real = bool(getattr(loss, "needs_real", False))
        return {
            "discriminator": loss.discriminator,
            "generator": lambda real, fake: loss.generator(fake, real) if needs_real else loss.generator(fake),
        }


def subject_of(component: Any, options: dict[str, Any]) -> LossSubject:
    """The loss."""
    return LossSubject(component, options)


def _is_a_scalar(subject: LossSubject) -> None:
    for name, term in subject.terms().items():
        for batch in (2, 7):
            for dtype in (torch.float32, torch.float64):
                with expecting(f"a scalar from the {name}'s term on logits [{batch}]"):
                    out = term(torch.randn(batch, dtype=dtype), torch.randn(batch, dtype=dtype))
                if out.shape != () or out.dtype != dtype:
                    raise Broken(
                        f"a scalar of {dtype} from the {name}'s term on logits [{batch}]",
                        f"{list(out.shape)}, {out.dtype}",
                        "the mean over the batch is missing, or a constant has a fixed type",
                    )


def _is_finite(subject: LossSubject) -> None:
    for name, term in subject.terms().items():
        for size in (0.0, 1.0, 100.0, 1e4):
            for sign in (1, -1):
                logits = [torch.full((4,), sign * size * way, requires_grad=True) for way in (1, -1)]
                out = term(*logits)
                out.backward()  # type: ignore[no-untyped-call]
                slopes = [x.grad for x in logits if x.grad is not None]
                if not out.isfinite() or not all(slope.isfinite().all() for slope in slopes):
                    raise Broken(
                        f"a finite value and gradient of the {name}'s term at logits of {sign * size:g}",
                        f"{out.item():g}",
                        "the logarithm of a sigmoid that has become 0: use softplus or logsigmoid",
                    )


def _points_the_right_way(subject: LossSubject) -> None:
    """The higher a logit, the more real: where D is undecided, it wants real ones up and fakes down."""
    real, fake = torch.zeros(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    terms = subject.terms()
    slopes = _slopes(terms["discriminator"], real, fake)
    if slopes[0] > 0 or slopes[1] < 0 or slopes == (0, 0):
        raise Broken(
            "a discriminator's term that falls as real logits rise, and rises with those of fakes, at 0",
            f"slopes of {slopes[0]:.3g} and {slopes[1]:.3g}",
            "a sign, or real and fake exchanged: the higher the logit, the more real",
        )
    slope = _slopes(terms["generator"], real + 0.5, fake - 0.5)[1]
    if slope >= 0:
        raise Broken(
            "a generator's term that falls as the logits of its images rise, from -0.5",
            f"a slope of {slope:.3g}",
            "a sign: the generator minimises this term",
        )


def _slopes(term: Term, real: Tensor, fake: Tensor) -> tuple[float, float]:
    leaves = [x.clone().requires_grad_() for x in (real, fake)]
    grads = torch.autograd.grad(term(*leaves), leaves, allow_unused=True)
    first, second = (0.0 if grad is None else grad.sum().item() for grad in grads)
    return first, second


def _derivatives_are_right(subject: LossSubject) -> None:
    for name, term in subject.terms().items():
        real, fake = (torch.randn(5, dtype=torch.float64, requires_grad=True) for _ in range(2))
        try:
            torch.autograd.gradcheck(term, (real, fake))
        except RuntimeError as error:
            raise Broken(
                f"the {name}'s gradient by finite differences in float64", describe(error), "a detached path"
            ) from error


def _is_pure(subject: LossSubject) -> None:
    for name, term in subject.terms().items():
        real, fake = torch.randn(6), torch.randn(6)
        kept = real.clone(), fake.clone()
        values = [term(real, fake) for _ in range(2)]
        if not torch.equal(*values):
            raise Broken(
                f"the same value twice from the {name}'s term", f"{values[0]:g} and {values[1]:g}", "state or chance"
            )
        if not (torch.equal(real, kept[0]) and torch.equal(fake, kept[1])):
            raise Broken(f"unchanged logits after the {name}'s term", "other values", "an in-place operation")


def costs(subject: LossSubject) -> Iterator[Cost]:
    """A loss has no parameters and next to no cost."""
    yield from ()


CHECKS: tuple[Check[LossSubject], ...] = (
    Check("gives scalars", _is_a_scalar),
    Check("finite", _is_finite),
    Check("points the right way", _points_the_right_way),
    Check("derivatives in float64", _derivatives_are_right),
    Check("pure", _is_pure),
)
