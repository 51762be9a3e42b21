"""A third party's generator, named as ``module:callable``.

It is called as ``g(z, y)``: z float32 [B, latent_dim] from N(0, I) and y int64 [B], or None without classes, on
the device -> float [B, 3, H, W] in [-1, 1], as in :meth:`ganbench.api.Architecture.generator`. Anything that
cannot take two arguments, and any class, is a factory: it is called once, without arguments, and gives the
generator. ``latent_dim`` and ``num_classes`` are read from attributes of the generator where it has them. An
``nn.Module`` is moved to the device and called in eval mode.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.errors import MissingError

LATENT_DIM = 128
"""Where neither the user nor the generator says."""

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_SLACK = 1e-3
"""How far from [-1, 1] a value may be: a tanh in half precision rounds."""


def names_callable(source: str) -> bool:
    """Whether a source is written as ``module:callable``."""
    return _NAME.fullmatch(source) is not None


_MANY = 16
"""Images that are never all without a dark pixel, unless they are in [0, 1]."""


class ThirdParty(nn.Module):
    """A generator that is held to what it must return.

    Raises MissingError where it cannot be imported or made; its calls raise MissingError for whatever the
    generator raises, and for images of another type, shape or range, or that are not finite.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        super().__init__()
        self.name = name
        with self._blamed("cannot be imported"):
            self._call = _made(_imported(name))
        if isinstance(self._call, nn.Module):
            self._call.to(device)
        self.latent_dim = self._said("latent_dim", 1)
        """What the generator says of it; None where it says nothing."""
        self.num_classes = self._said("num_classes", 0)
        self._size: tuple[int, int] | None = None
        """Width and height of the first images."""

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        """[B, latent_dim], int64 [B] or None -> float32 [B, 3, H, W] in [-1, 1]."""
        with self._blamed("failed"), torch.no_grad():
            images = self._call(z, y)
        self._check(images, len(z))
        checked: Tensor = images.float()
        return checked

    def _said(self, attribute: str, least: int) -> int | None:
        value = getattr(self._call, attribute, None)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= least else None

    @contextmanager
    def _blamed(self, what: str) -> Iterator[None]:
        """Tell an error as the third party's; what it prints is not our data, and goes to stderr."""
        try:
            with redirect_stdout(sys.stderr):
                yield
        except Exception as error:
            raise MissingError(f"{self.name} {what}: {type(error).__name__}: {error}") from error

    def _check(self, images: Any, count: int) -> None:
        wanted = f"a generator is called as g(z, y) and returns float [{count}, 3, H, W] in [-1, 1]"
        if not isinstance(images, Tensor):
            raise MissingError(f"{self.name} returned {type(images).__name__}: {wanted}")
        shape = images.shape
        if not images.is_floating_point() or len(shape) != 4 or shape[:2] != (count, 3) or 0 in shape:
            raise MissingError(f"{self.name} returned {images.dtype} {list(shape)}: {wanted}")
        size = (shape[3], shape[2])
        if self._size not in (None, size):
            raise MissingError(f"{self.name} returned images of {size} px after {self._size}: all must have one size")
        low, high = (float(bound) for bound in torch.aminmax(images.detach().float()))
        if not -1 - _SLACK <= low <= high <= 1 + _SLACK:  # NaN is in no range
            seen = f"values from {low:.4g} to {high:.4g}" if low <= high else "values that are not finite"
            raise MissingError(f"{self.name} returned {seen}: {wanted}")
        if self._size is None and low >= 0 and count >= _MANY:
            raise MissingError(
                f"{self.name} returned no value below 0 in {count} images: {wanted}, "
                "so images in [0, 1] have to be scaled by x * 2 - 1"
            )
        self._size = size


def _imported(name: str) -> Any:
    """The named object; a module is looked for in the working folder first, as ``python -m`` does."""
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    finally:
        sys.path.remove(here)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def _made(found: Any) -> Callable[[Tensor, Tensor | None], Any]:
    """The generator: what was found, or what it makes."""
    generator = found() if inspect.isclass(found) or not _takes_two(found) else found
    if not callable(generator):
        raise TypeError(f"it gives {type(generator).__name__}, which cannot be called")
    called: Callable[[Tensor, Tensor | None], Any] = generator
    return called


def _takes_two(function: Any) -> bool:
    if not callable(function):
        raise TypeError(f"it is {type(function).__name__}, which cannot be called")
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a function of C without a signature
        return True
    return True
