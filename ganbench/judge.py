"""How images go through the discriminator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ganbench.conditioning import DiscriminatorOutput
from ganbench.precision import widened


def has_batch_statistics(network: nn.Module) -> bool:
    """Whether an image's output depends on the others of its batch in training mode.

    torch's batch norms are known; another module says so by an attribute ``batch_statistics = True``.
    """
    known = nn.modules.batchnorm._BatchNorm
    return any(isinstance(m, known) or getattr(m, "batch_statistics", False) for m in network.modules())


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradient for the parameters inside the block; those that a part keeps constant stay so after it."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


class Judge:
    """D on batches, with logits in float32 at least, whatever the precision of the pass.

    A module of D that has a bool attribute ``fake_pass`` finds it True in a pass over generated images alone
    and in all passes of G's update, else False: a normalizer may keep its estimates from moving there.
    """

    def __init__(self, discriminator: nn.Module) -> None:
        self._discriminator = discriminator
        self.joint = not has_batch_statistics(discriminator)
        """Whether real and generated images share a pass. With batch statistics the published models take
        those of each kind alone.
        """
        self._told = [m for m in discriminator.modules() if isinstance(getattr(m, "fake_pass", None), bool)]

    @contextmanager
    def fakes_only(self) -> Iterator[None]:
        """Tell D's modules that passes inside the block are over generated images."""
        self._tell(True)
        try:
            yield
        finally:
            self._tell(False)

    def _tell(self, fakes: bool) -> None:
        for module in self._told:
            module.fake_pass = fakes  # type: ignore[assignment]

    def __call__(self, images: Tensor, labels: Tensor | None) -> DiscriminatorOutput:
        """One pass: [B, 3, R, R] and int64 [B] or None."""
        logits, class_logits = self._discriminator(images, labels)
        return DiscriminatorOutput(widened(logits), None if class_logits is None else widened(class_logits))

    def logits(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """The logits [B] of one pass."""
        return self(images, labels).logits

    def both(
        self, real: Tensor, fake: Tensor, y_real: Tensor | None, y_fake: Tensor | None
    ) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
        """What D says of a real and of a generated batch, in one pass or in two."""
        if not self.joint:
            on_real = self(real, y_real)
            with self.fakes_only():
                return on_real, self(fake, y_fake)
        labels = None if y_real is None or y_fake is None else torch.cat([y_real, y_fake])
        logits, class_logits = self(torch.cat([real, fake]), labels)
        of_class = (None, None) if class_logits is None else class_logits.tensor_split([len(real)])
        on_real, on_fake = map(DiscriminatorOutput, logits.tensor_split([len(real)]), of_class)
        return on_real, on_fake
