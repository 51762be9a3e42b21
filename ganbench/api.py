"""The one module that a plug-in imports.

==============  ==========================================================================================
kind            what a component is (options are its keyword-only parameters)
==============  ==========================================================================================
architecture    :class:`Architecture`: ``C(resolution, *, ...)`` that builds a generator and a discriminator
attention       ``C(channels, layers, *, ...)``: an nn.Module, [B, C, H, W] -> [B, C, H, W]
normalizer      decorated with :func:`normalizes`; for the role ``weight`` ``f(module, *, ...) -> module``; for
                the role ``activation`` ``C(channels, layers, *, ...)``: an nn.Module, ``norm(x, condition)``
loss            :class:`Loss` or :class:`RelativisticLoss`: ``C(*, ...)`` with D's and G's term
regularizer     :class:`Regularizer`: ``C(*, ...)``, called as ``r(update) -> penalty``; an nn.Module where it has
                state, which is then part of every checkpoint
augmentation    :class:`Augmentation`: ``C(*, ...)``, called as ``a(images, draws) -> images``
dataset         decorated with :func:`reads`: ``f(root, *, ...) -> Source``, whose images the harness brings to one
                size and keeps; or, made in memory, ``f(resolution, *, ...) -> ImageData``
extractor       decorated with :func:`extracts`: ``f(*, ...)``, or ``f(weights, *, ...)`` where its card names weight
                files, that makes a torch-fidelity FeatureExtractorBase with the layers that isc, fid, kid and
                prc read by default
executor        :class:`Executor`: ``C(demand, *, ...)`` that places the runs of a sweep; no part of a run's identity
==============  ==========================================================================================

What an attention block may say of itself, as class attributes:

``size_option = "hidden"``
    One of its integer options is its size; the default, None, is the published one. ``--attention-match``
    searches it, for each place, until the block has the parameters or the FLOPs of ``self``. A larger size
    must cost more; a size too large for the place is refused with UsageError.
``identity_at_init = True``
    A fresh block returns its input, bit for bit, and yet has a gradient. ``ganbench check`` holds it to that.

A block that attends to places may offer ``attention_map(x)``, [B, ..., HW, keys] with rows of probabilities.

A run on several GPUs averages gradients, so that it takes only losses and regularizers that are means over images,
and, with augmentations, draw by torch.rand, randn and randint: that is tried out before the run, and another refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from ganbench.clean_fid import CLEAN_RESIZE, clean_network, clean_resize, clean_resize_strict
from ganbench.conditioning import DiscriminatorOutput
from ganbench.data import ImageData, ImageSplit
from ganbench.environment import choose_device
from ganbench.errors import INTERRUPTED, MissingError, StoreError, UsageError
from ganbench.fused import attend, conv_pooled, conv_upsampled
from ganbench.layers import Condition, Initializer, Layers
from ganbench.options import Decay, Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from ganbench.penalty import Combination, DiscriminatorUpdate, input_gradients, per_image_doubts
from ganbench.published import PublishedWeights, published_weights
from ganbench.random import generator
from ganbench.registry import register
from ganbench.sources import (
    AbsentError,
    ArrayImages,
    DatasetCard,
    RawData,
    RawImages,
    RawSplit,
    Source,
    files_key,
    reads,
)
from ganbench.store import RunFolder, write_atomically
from ganbench.sweep.executor import Demand, Executor, Handle, Job
from ganbench.sweep.parcel import Packer, Parcel, unpack
from ganbench.trees import Tree, open_tree
from ganbench.weights import WeightFile

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CLEAN_RESIZE",
    "INTERRUPTED",
    "AbsentError",
    "Architecture",
    "ArrayImages",
    "Augmentation",
    "Combination",
    "Condition",
    "DatasetCard",
    "Decay",
    "Demand",
    "DiscriminatorOutput",
    "DiscriminatorUpdate",
    "Executor",
    "ExtractorCard",
    "Fraction",
    "FreezesOnFakes",
    "Handle",
    "HasPlainForm",
    "ImageData",
    "ImageSplit",
    "Initializer",
    "Job",
    "Layers",
    "Loss",
    "MissingError",
    "NonNegativeFloat",
    "NonNegativeInt",
    "Packer",
    "Parcel",
    "PositiveFloat",
    "PositiveInt",
    "PublishedWeights",
    "RawData",
    "RawImages",
    "RawSplit",
    "Regularizer",
    "RelativisticLoss",
    "RunFolder",
    "Source",
    "StoreError",
    "Tree",
    "UsageError",
    "WeightFile",
    "WorksTogether",
    "attend",
    "choose_device",
    "clean_network",
    "clean_resize",
    "clean_resize_strict",
    "conv_pooled",
    "conv_upsampled",
    "extracts",
    "files_key",
    "generator",
    "input_gradients",
    "load_results",
    "normalizes",
    "open_tree",
    "per_image_doubts",
    "published_weights",
    "reads",
    "register",
    "table",
    "unpack",
    "write_atomically",
]

C = TypeVar("C", bound=Callable[..., object])
Role = Literal["weight", "activation"]


class Architecture(Protocol):
    """A generator and a discriminator for one resolution. Constructed as ``C(resolution, *, options)``."""

    resolutions: tuple[int, ...]
    """What the constructor takes; anything else is refused before anything is built."""

    def generator(self, layers: Layers) -> nn.Module:
        """A module called as ``g(z, y)``.

        float [B, layers.latent_dim], int64 [B] or None -> [B, 3, R, R] in [-1, 1].
        """

    def discriminator(self, layers: Layers) -> nn.Module:
        """A module called as ``d(x, y)``: [B, 3, R, R], int64 [B] or None -> DiscriminatorOutput."""


class Loss(Protocol):
    """The two terms of a GAN loss on logits [B]; each returns a scalar. A loss never steps an optimizer."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """What D minimises."""

    def generator(self, fake: Tensor) -> Tensor:
        """What G minimises."""


@runtime_checkable
class FreezesOnFakes(Protocol):
    """A module that may hold its state still while the discriminator sees generated images only.

    The training step sets ``fake_pass`` on every module of D that has it: True around such a pass, as in
    an update of G, and False again after it. A pass over real images, or over both kinds at once, has
    False. A module that does not care leaves the attribute out.
    """

    fake_pass: bool


@runtime_checkable
class HasPlainForm(Protocol):
    """A parametrization of ``weight`` that is a faster way of computing what another one computes."""

    def make_plain(self, owner: nn.Module) -> None:
        """Put the other one in its place on ``owner``, in the same state: ``ganbench bench`` compares the two."""


@runtime_checkable
class WorksTogether(Protocol):
    """A parametrization of ``weight`` that costs less for many layers at once than for one after the other.

    As a network begins a pass, the harness calls ``all_at_once`` of each such class for all layers that have it,
    used in that pass or not, and leaves each result in the part's ``ready``. ``forward`` takes it out from there,
    and computes for itself where the list is empty.
    """

    ready: list[Tensor]

    @staticmethod
    def all_at_once(parts: Sequence[Any], weights: Sequence[Tensor]) -> list[Tensor]:
        """What the ``forward`` of each part would give for its weight."""


class RelativisticLoss(Protocol):
    """A loss on differences between real and generated images, which G's term needs too."""

    needs_real: Literal[True]

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """What D minimises."""

    def generator(self, fake: Tensor, real: Tensor) -> Tensor:
        """What G minimises; as many real logits as fake ones, without a graph.

        They are of the images that D's last update was shown, each repeated where G's update draws more.
        """


class Regularizer(Protocol):
    """A penalty that is added to D's loss. It never steps an optimizer.

    ``default_weight`` and ``default_interval`` (1 and 1 where it has none) are what the user may change; see
    :class:`ganbench.regularizers.Regularizers`. No option may have the name ``weight`` or ``interval``. A
    static method ``doubts(combination: Combination) -> list[str]``, where it has one, says in a line each why
    a combination may make little sense: the user is warned and the run goes on.
    """

    def __call__(self, update: DiscriminatorUpdate) -> Tensor:
        """The penalty on one update, a scalar."""


class Augmentation(Protocol):
    """A random view of the images that D is shown, real and generated, in D's and in G's update."""

    def __call__(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """[B, 3, R, R] in [-1, 1] -> the same shape, differentiable; all chance comes from ``draws`` (CPU)."""


@dataclass(frozen=True)
class ExtractorCard:
    """What a score's protocol records of an extractor; the argument of :func:`extracts`."""

    weights_sha256: str
    """Of the weight file that was checked before it was loaded. Where ``weights`` names files it is empty, and
    the card of each network that is made holds what was really loaded.
    """
    resize: str
    """How images reach the size that the network takes; 'none' where they already have it. An extractor that
    resizes has clean-fid's distance only if it has a method ``clean_features``: uint8 [B, 3, H, W] -> [B, D], by
    :func:`clean_resize` in place of its own.
    """
    resolutions: tuple[int, ...] | None
    """The image sizes it takes; None for any."""
    inception: bool
    """Whether its scores may be called IS, FID and KID; else they are classifier_score, fcd and kcd. A network
    that is made with other options may have a ``card`` of its own, which then counts.
    """
    weights: tuple[PublishedWeights, ...] = ()
    """Published files of which any one will do, the preferred first. The harness finds and checks one and passes
    it as the first argument, a :class:`WeightFile`; load only what its ``content()`` gives. Empty where the
    extractor brings its own weights.
    """
    dataset: str | None = None
    """The data set that it was made for, to which it is offered where other weights are absent; None for any."""


def normalizes(*roles: Role) -> Callable[[C], C]:
    """Mark a normalizer with what it normalizes: ``weight``, ``activation`` or both."""

    def mark(component: C) -> C:
        component.roles = roles  # type: ignore[attr-defined]
        return component

    return mark


def extracts(card: ExtractorCard) -> Callable[[C], C]:
    """Give an extractor its card."""

    def mark(component: C) -> C:
        component.card = card  # type: ignore[attr-defined]
        return component

    return mark


def load_results(path: str | Path = "results") -> pd.DataFrame:
    """The table of all runs under ``path``: one row per cell, as ``ganbench table`` prints it.

    See :func:`ganbench.tables.results_frame` for the columns. Raises StoreError for a folder that does
    not exist.
    """
    from ganbench.store import load_runs
    from ganbench.tables import results_frame

    return results_frame(load_runs(Path(path)))


def table(
    suite: str,
    results: str | Path = "results",
    profile: str = "quick",
    *,
    metrics: Sequence[str] = (),
    best: bool = False,
    match: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    plugins: Sequence[str | Path] = (),
) -> pd.DataFrame:
    """The table of a suite: one row per row of the suite, the published numbers beside ours.

    ``best`` compares the best checkpoints in place of the final generators; ``match`` (``seconds``, ``flops``,
    ``images``, ``10min``, ``64kimg``) cuts all runs at equal cost; ``overrides`` are the keys that the sweep was
    given by ``--set``, nested. See :func:`ganbench.suite_frame.suite_frame` for the columns.

    Raises UsageError for an unknown name, StoreError for a folder that does not exist and for runs that cannot
    stand in one table.
    """
    from ganbench.suite_frame import suite_frame
    from ganbench.suite_table import load_table

    loaded = load_table(
        suite,
        Path(results),
        profile,
        metrics=metrics,
        scores="best" if best else "final",
        match=match,
        overrides=[dict(overrides)] if overrides else [],
        plugins=[Path(plugin) for plugin in plugins],
    )
    return suite_frame(loaded)
