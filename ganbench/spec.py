"""A run's complete, frozen configuration, and the identities made from it.

The spec holds all that changes the experiment and nothing else: no path, device, thread count or logging.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from ganbench.budget import Amount
from ganbench.errors import UsageError
from ganbench.options import Decay, Fraction, NonNegativeFloat, PositiveFloat, PositiveInt

ALGO_VERSION = 2
"""Raised whenever the harness would compute something else from the same spec."""


Precision = Literal["fp32", "tf32", "bf16"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Choice(_Frozen):
    """One component with all its options."""

    name: str
    provider: str
    """``ganbench``, a distribution with its version, or a plug-in file with its sha256; empty if absent."""
    options: dict[str, JsonValue] = {}


class RegularizerChoice(Choice):
    """A penalty on D, added to its loss."""

    weight: PositiveFloat
    interval: PositiveInt
    """Updates of D from one in which it is applied, at so many times its weight, to the next."""


class DatasetChoice(Choice):
    """A data set, and the sha256 of the pixels and labels that it gave."""

    fingerprint: str | None = None


class ExtractorChoice(Choice):
    """An extractor, and the sha256 of the file that its weights are read from."""

    weights_sha256: str | None = None


class NetworkSpec(_Frozen):
    """The normalizers of one network."""

    weight_norm: Choice
    norm: Choice


class OptimizerSpec(_Frozen):
    """Adam for both networks; two learning rates make the two time-scale update rule."""

    lr_g: PositiveFloat
    lr_d: PositiveFloat
    beta1: Decay
    beta2: Decay
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0
    """An L2 penalty in both networks' gradients, as Adam (not AdamW) has it."""
    decay_from: Fraction | None = None
    """Share of the budget at which both learning rates start to fall linearly to 0; None: never."""


class ClassificationSpec(_Frozen):
    """Weights of the class cross-entropy where D has an auxiliary classifier; 1 as in AC-GAN's paper."""

    real: NonNegativeFloat = 1.0
    """In D's loss, on real images."""
    fake: NonNegativeFloat = 1.0
    """In D's loss, on generated images; 0 in the codes that let D learn classes from real images alone."""
    generator: NonNegativeFloat = 1.0
    """In G's loss; the code of WGAN-GP has 0.1."""


class EMASpec(_Frozen):
    """An exponential moving average of the generator's weights."""

    decay: Decay
    start: Annotated[int, Field(ge=0)] = 0
    """Generator step up to which the average is a plain copy."""


MetricFamily = Literal["isc", "fid", "clean-fid", "kid", "prc", "intra-fid"]
"""Scores that are computed together; ``prc`` is precision, recall, density and coverage."""

DEFAULT_FAMILIES: tuple[MetricFamily, ...] = ("isc", "fid", "clean-fid", "kid", "prc")
"""All that no labels are needed for."""


class MetricSettings(_Frozen):
    """How the scores are computed; the defaults are torch-fidelity's."""

    isc_splits: PositiveInt = 10
    """Parts into which the bank is cut; the score is their mean."""
    kid_subsets: PositiveInt = 100
    """Random subsets over which KID is averaged."""
    kid_subset_size: Annotated[int, Field(ge=2)] = 1000
    """Images in each of them, drawn from either side."""
    prc_k: PositiveInt = 3
    """Which nearest neighbour sets the radius for precision and recall."""

    def check(self, count: int, what: str, families: Collection[str] = DEFAULT_FAMILIES) -> None:
        """Raise UsageError where ``count`` images are too few for these metrics; ``what`` names them."""
        if count < 2:
            raise UsageError(f"scores need at least 2 images, but there are {count} {what}")
        for family, name, needed in (
            ("kid", "kid_subset_size", self.kid_subset_size),
            ("isc", "isc_splits", self.isc_splits),
            ("prc", "prc_k", self.prc_k + 1),
        ):
            if family in families and count < needed:
                raise UsageError(
                    f"{name}={getattr(self, name)} needs at least {needed} images, but there are {count} "
                    f"{what}: lower {name} or give more images"
                )


class EvaluationSpec(MetricSettings):
    """What is scored, when, and by which settings."""

    extractor: ExtractorChoice
    metrics: tuple[MetricFamily, ...] = DEFAULT_FAMILIES
    every: Amount
    samples: Annotated[int, Field(ge=2)]
    """Generated images behind the final scores, and behind the best checkpoint's."""
    select_samples: Annotated[int, Field(ge=2)] | None = None
    """Generated images behind the scores during training, which choose the best; None: as many as behind the final."""
    reference: Literal["train", "held-out"] = "train"
    """The split whose images are the reference."""
    reference_samples: Annotated[int, Field(ge=2)] | None = None
    """Images drawn from that split, without repeats; None: all."""
    labels: Literal["balanced", "uniform"] = "balanced"
    """Labels of the samples: each class in turn, or drawn."""
    truncation: PositiveFloat | None = None
    """Latents beyond it, in either direction, are drawn again; None: the full normal distribution."""
    batch: PositiveInt = 100
    """Images at a time; no part of the protocol."""

    @property
    def count_selecting(self) -> int:
        """Generated images behind the scores during training."""
        return self.select_samples or self.samples


class RunSpec(_Frozen):
    """Everything that defines one run. ``run_id`` is its content."""

    algo_version: int = ALGO_VERSION
    model: str
    """The recipe that it came from."""
    dataset: DatasetChoice
    resolution: PositiveInt
    num_classes: Annotated[int, Field(ge=0)]
    """Classes of the data set; networks see them where ``conditioning`` is not 'none'."""
    conditioning: Literal["none", "projection", "acgan", "concat"]
    """How labels enter the networks: see :mod:`ganbench.conditioning`."""
    latent_dim: PositiveInt
    architecture: Choice
    generator: NetworkSpec
    discriminator: NetworkSpec
    attention: Choice
    attention_at: tuple[PositiveInt, ...] = ()
    """Resolutions of the feature maps that carry the block."""
    attention_in: Literal["g", "d", "both"] = "both"
    attention_match: Literal["none", "parameters", "flops"] = "none"
    """What the block is sized to share with the reference block 'self', place by place."""
    loss: Choice
    regularizers: tuple[RegularizerChoice, ...] = ()
    """Of D; each at most once, by name."""
    augmentation: Choice = Choice(name="none", provider="ganbench")
    """Of all images that D is shown."""
    flip: bool = False
    """Whether real images are mirrored at random, each with chance one half, every time they are shown."""
    fake_labels: Literal["uniform", "empirical"] = "uniform"
    """Labels of generated images in training: every class alike, or as often as in the training images."""
    classification: ClassificationSpec = ClassificationSpec()
    optimizer: OptimizerSpec
    n_dis: PositiveInt
    """Updates of D for one of G."""
    batch: PositiveInt
    batch_g_factor: PositiveInt = 1
    """Generated images in an update of G, in batches: SNGAN's code uses 2."""
    reuse_fakes: bool = False
    """Whether G's update uses the images that D's update drew, as DCGAN's code does."""
    ema: EMASpec | None = None
    precision: Precision = "fp32"
    """Of a training step's convolutions and products; scores are always made in float32."""
    world: PositiveInt = 1
    """Ranks that share every batch, a process and a GPU each."""
    sync_bn: bool = False
    """Whether batch norm's statistics are over the images of all ranks; else each rank has its own."""
    budget: Amount
    evaluation: EvaluationSpec
    seed: Annotated[int, Field(ge=0, lt=2**63)]

    @model_validator(mode="after")
    def _reused_fakes_fit(self) -> RunSpec:
        if self.reuse_fakes and self.batch_g_factor != 1:
            raise ValueError("reuse_fakes needs batch_g_factor=1: G's update has only the images of D's")
        return self

    @property
    def bn_batch(self) -> int:
        """Real, or generated, images of an update of D that batch norm's statistics are over."""
        return self.batch if self.sync_bn else self.batch // self.world

    @property
    def batch_g(self) -> int:
        """Generated images in an update of G."""
        return self.batch * self.batch_g_factor

    @property
    def network_classes(self) -> int:
        """Classes that the networks are conditioned on; 0 without conditioning."""
        return self.num_classes if self.conditioning != "none" else 0

    def attends(self, network: Literal["g", "d"]) -> tuple[int, ...]:
        """The feature maps of one network that carry attention."""
        return self.attention_at if self.attention_in in (network, "both") else ()

    @property
    def run_id(self) -> str:
        """sha256 of the canonical JSON of what is not at its default, and of ``algo_version``.

        A later version that knows one more setting so gives a run that does not use it the same id.
        """
        return identity(self._content())

    @property
    def cell_id(self) -> str:
        """The id without the seed: runs that share it are replicates."""
        return identity({key: value for key, value in self._content().items() if key != "seed"})

    def _content(self) -> dict[str, Any]:
        return {**self.model_dump(mode="json", exclude_defaults=True), "algo_version": self.algo_version}

    @property
    def directory(self) -> str:
        """The name of the run's folder."""
        return f"{self.model}-{self.run_id[:12]}"


def canonical(content: Any) -> str:
    """One JSON text for one content: keys sorted, no spaces, shortest float forms."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def identity(content: Any) -> str:
    """sha256 of the canonical JSON."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys, as ``--set`` takes them; components in a list by their names."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value):
            for item in value:
                rest = {k: v for k, v in item.items() if k != "name"}
                flat |= flatten(rest, f"{prefix}{key}.{item['name']}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
