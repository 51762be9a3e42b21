"""The updates of D and G."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganbench.data import Batches
from ganbench.ema import EMA
from ganbench.networks import Networks
from ganbench.random import generator, isolated
from ganbench.spec import RunSpec

if TYPE_CHECKING:
    from ganbench.api import Loss


def has_batch_statistics(network: nn.Module) -> bool:
    """Whether an image's output depends on the others of its batch in training mode."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradient for the parameters inside the block."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


class Trainer:
    """Both networks with their optimizers; one step is ``n_dis`` updates of D and one of G.

    Every draw is made from (seed, stream, step): step t is a pure function of the state before it and t.
    Real and generated images go through D in one pass unless D has batch statistics, which the published
    models take of each kind alone.
    """

    def __init__(self, spec: RunSpec, networks: Networks, loss: Loss, batches: Batches, device: torch.device) -> None:
        self.spec, self.loss, self.batches, self.device = spec, loss, batches, device
        self.generator, self.discriminator = (
            net.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
            for net in networks
        )
        self.ema = EMA(self.generator, spec.ema) if spec.ema else None
        betas, eps = (spec.optimizer.beta1, spec.optimizer.beta2), spec.optimizer.eps
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), spec.optimizer.lr_g, betas, eps, fused=True)
        self.optimizer_d = torch.optim.Adam(
            self.discriminator.parameters(), spec.optimizer.lr_d, betas, eps, fused=True
        )
        self.joint = not has_batch_statistics(self.discriminator)

    @property
    def sampler(self) -> nn.Module:
        """The generator that is scored: the moving average where there is one."""
        return self.generator if self.ema is None else self.ema.module

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.spec.precision == "bf16", cache_enabled=False
        )

    def _draw(self, stream: str, step: int, count: int) -> tuple[Tensor, Tensor | None]:
        """Latents N(0, I) [count, latent_dim] and uniform labels."""
        draws = generator(self.spec.seed, stream, step)
        latents = torch.randn(count, self.spec.latent_dim, generator=draws)
        labels = None
        if self.spec.network_classes:
            labels = torch.randint(self.spec.network_classes, (count,), generator=draws).to(self.device)
        return latents.to(self.device), labels

    def learning_rates(self, progress: float) -> None:
        """Set both rates for this share of the budget spent, 0 to 1."""
        start = self.spec.optimizer.decay_from
        factor = 1.0
        if start is not None and progress > start:
            factor = max(0.0, (1 - progress) / (1 - start))
        self.optimizer_g.param_groups[0]["lr"] = self.spec.optimizer.lr_g * factor
        self.optimizer_d.param_groups[0]["lr"] = self.spec.optimizer.lr_d * factor

    def _judge(self, real: Tensor, fake: Tensor, y_real: Tensor | None, y_fake: Tensor | None) -> Tensor:
        """D's loss on a real and a generated batch."""
        if self.joint:
            labels = None if y_real is None or y_fake is None else torch.cat([y_real, y_fake])
            logits = self.discriminator(torch.cat([real, fake]), labels).logits.float()
            on_real, on_fake = logits[: len(real)], logits[len(real) :]
        else:
            on_real = self.discriminator(real, y_real).logits.float()
            on_fake = self.discriminator(fake, y_fake).logits.float()
        return self.loss.discriminator(on_real, on_fake)

    def discriminator_step(self, step: int, keep_fakes: bool) -> tuple[Tensor, tuple[Tensor, Tensor | None]]:
        """Update D once; returns its loss and the generated images with their labels.

        ``step`` counts D's updates. The images keep their graph where ``keep_fakes``.
        """
        real, y_real = self.batches(step)
        latents, y_fake = self._draw("z-d", step, self.spec.batch)
        with torch.set_grad_enabled(keep_fakes), self._autocast():
            fake = self.generator(latents, y_fake)
        with self._autocast():
            loss = self._judge(real, fake.detach().float(), None if y_fake is None else y_real, y_fake)
        self.optimizer_d.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer_d.step()
        return loss.detach(), (fake, y_fake)

    def generator_step(self, step: int, fakes: tuple[Tensor, Tensor | None] | None) -> Tensor:
        """Update G once, on the given images or on fresh ones; returns its loss."""
        with frozen(self.discriminator):
            with self._autocast():
                if fakes is None:
                    latents, labels = self._draw("z-g", step, self.spec.batch_g)
                    fakes = (self.generator(latents, labels), labels)
                images, labels = fakes
                logits = self.discriminator(images, labels).logits.float()
                loss = self.loss.generator(logits)
            self.optimizer_g.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer_g.step()
        if self.ema is not None:
            self.ema.update(step + 1)
        return loss.detach()

    def step(self, step: int, progress: float) -> tuple[Tensor, Tensor]:
        """Step number ``step``, counted from 0; returns the last loss of D and the loss of G, on the device."""
        self.learning_rates(progress)
        with isolated(self.spec.seed, "step", step):
            for k in range(self.spec.n_dis):
                reuse = self.spec.reuse_fakes and k == self.spec.n_dis - 1
                loss_d, fakes = self.discriminator_step(step * self.spec.n_dis + k, reuse)
            loss_g = self.generator_step(step, fakes if self.spec.reuse_fakes else None)
        return loss_d, loss_g

    def state(self) -> dict[str, object]:
        """All that step t + 1 depends on besides the spec."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "ema": None if self.ema is None else self.ema.module.state_dict(),
            "optimizer_g": self.optimizer_g.state_dict(),
            "optimizer_d": self.optimizer_d.state_dict(),
        }

    def load(self, state: dict[str, dict[str, object]]) -> None:
        """Restore what :meth:`state` gave."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        if self.ema is not None:
            self.ema.module.load_state_dict(state["ema"])
        self.optimizer_g.load_state_dict(state["optimizer_g"])
        self.optimizer_d.load_state_dict(state["optimizer_d"])

    def finite(self) -> bool:
        """Whether every weight of both networks is finite."""
        weights = [p for net in (self.generator, self.discriminator) for p in net.parameters()]
        return bool(torch.stack([torch.isfinite(p).all() for p in weights]).all())
