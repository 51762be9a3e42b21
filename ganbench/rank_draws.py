"""Draws of a component that knows nothing of ranks, on one rank's part of a batch.

An augmentation or a regularizer draws for as many images as it is given. On one of several ranks these are a
part of the batch, and what is drawn for them has to be that part of what would be drawn for the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ganbench import ranks
from ganbench.errors import UsageError

_SIZE_AT = {torch.rand: 0, torch.randn: 0, torch.randint: 1}
"""What may be drawn, and which positional argument is the size; one further where ``randint`` has a lower bound."""


class SlicedDraws(TorchFunctionMode):
    """Inside the block, whatever is drawn from a generator for ``count`` images is rank's part of a whole draw.

    That is a draw of a size that begins with ``count``: made for ``count * world`` images, of which every
    ``world``-th is given, beginning with number ``rank``. A draw of another size is the same on all ranks. Raises
    UsageError for a function other than rand, randn and randint: of its draws nobody knows what is whose.
    """

    def __init__(self, count: int, rank: int, world: int) -> None:
        super().__init__()
        self._count, self._part, self._whole = count, slice(rank, None, world), count * world

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call ``func``, with the size of the whole where it draws for the part."""
        kwargs = kwargs or {}
        if not isinstance(kwargs.get("generator"), torch.Generator):
            return func(*args, **kwargs)
        if func not in _SIZE_AT:
            name = getattr(func, "__name__", str(func))
            raise UsageError(
                f"a component draws by '{name}', which cannot be shared by several ranks: use one, or a component that "
                "draws by torch.rand, randn and randint"
            )
        before, size = _size_of(func, args, kwargs)
        if not size or size[0] != self._count:
            return func(*args, **kwargs)
        return func(*before, **kwargs | {"size": (self._whole, *size[1:])})[self._part]


def _size_of(
    func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Sequence[Any], Sequence[int]]:
    """The positional arguments before the size, and the size."""
    if "size" in kwargs:
        return args, kwargs["size"]
    at = _SIZE_AT[func]
    if func is torch.randint and not isinstance(args[at], Sequence):
        at += 1
    return args[:at], args[at] if isinstance(args[at], Sequence) else args[at:]


def sliced_draws(count: int) -> AbstractContextManager[object]:
    """Draws inside the block for ``count`` images are this rank's part of a draw for all ranks' images."""
    return nullcontext() if ranks.world() == 1 else SlicedDraws(count, ranks.rank(), ranks.world())
