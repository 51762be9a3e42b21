"""The updates of D and G."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganbench import ranks
from ganbench.batches import RealBatches
from ganbench.ema import EMA
from ganbench.judge import Judge, frozen
from ganbench.networks import Networks
from ganbench.objective import Objective, is_relativistic
from ganbench.penalty import DiscriminatorUpdate
from ganbench.precision import autocast, float32_products, widened
from ganbench.random import generator, isolated
from ganbench.rank_draws import sliced_draws
from ganbench.spec import RunSpec
from ganbench.together import compute_together


class Trainer:
    """Both networks with their optimizers; one step is ``n_dis`` updates of D and one of G.

    Every draw is made from (seed, stream, step): step t is a pure function of the state before it and t.
    """

    memory_format = torch.channels_last

    def __init__(
        self, spec: RunSpec, networks: Networks, objective: Objective, batches: RealBatches, device: torch.device
    ) -> None:
        self.spec, self.objective, self.batches, self.device = spec, objective, batches, device
        self.generator, self.discriminator = (
            net.to(device=device, memory_format=self.memory_format).train()  # type: ignore[call-overload]
            for net in networks
        )
        for network in (self.generator, self.discriminator):
            compute_together(network)
        self.judge = Judge(self.discriminator)
        self._shared_generator, self._shared_judge = self.generator, self.judge
        """What passes go through whose gradients are averaged over the ranks: :meth:`share`."""
        self.objective.regularizers.to(device)
        self.ema = EMA(self.generator, spec.ema) if spec.ema else None
        self.optimizer_g = self._optimizer(self.generator, spec.optimizer.lr_g)
        self.optimizer_d = self._optimizer(self.discriminator, spec.optimizer.lr_d)

    def _optimizer(self, network: nn.Module, lr: float) -> torch.optim.Optimizer:
        chosen = self.spec.optimizer
        return torch.optim.Adam(
            network.parameters(),
            lr,
            (chosen.beta1, chosen.beta2),
            chosen.eps,
            weight_decay=chosen.weight_decay,
            fused=True,
        )

    def share(self) -> None:
        """From now on average every gradient over the ranks, whose weights and buffers are made equal here."""
        self._shared_generator = ranks.wrap(self.generator)
        self._shared_judge = Judge(ranks.wrap(self.discriminator))

    @property
    def sampler(self) -> nn.Module:
        """The generator that is scored: the moving average where there is one."""
        return self.generator if self.ema is None else self.ema.module

    def _autocast(self) -> torch.autocast:
        return autocast(self.spec.precision, self.device)

    def _draw(self, stream: str, step: int, count: int) -> tuple[Tensor, Tensor | None]:
        """Latents N(0, I) [count, latent_dim] and labels [count], drawn as the spec says: this rank's of them."""
        draws = generator(self.spec.seed, stream, step)
        latents = torch.randn(count, self.spec.latent_dim, generator=draws)
        part = ranks.part()
        if not self.spec.network_classes:
            return latents[part].to(self.device), None
        if self.spec.fake_labels == "empirical":
            known = self.batches.labels
            labels = known[torch.randint(len(known), (count,), generator=draws)]
        else:
            labels = torch.randint(self.spec.network_classes, (count,), generator=draws)
        return latents[part].to(self.device), labels[part].to(self.device)

    def learning_rates(self, progress: float) -> None:
        """Set both rates for this share of the budget spent, 0 to 1."""
        start = self.spec.optimizer.decay_from
        factor = 1.0
        if start is not None and progress > start:
            factor = max(0.0, (1 - progress) / (1 - start))
        self.optimizer_g.param_groups[0]["lr"] = self.spec.optimizer.lr_g * factor
        self.optimizer_d.param_groups[0]["lr"] = self.spec.optimizer.lr_d * factor

    def _real(self, step: int) -> tuple[Tensor, Tensor | None]:
        """The real batch of D's update number ``step``, its labels where the networks see them."""
        images, labels = self.batches(step)
        return images, labels if self.spec.network_classes else None

    def _augmented(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """What D is shown of these images: float32 at least, so that no augmentation rounds."""
        with sliced_draws(len(images)):
            return self.objective.augment(widened(images), draws)

    def _discriminator_loss(
        self, step: int, real: Tensor, fake: Tensor, y_real: Tensor | None, y_fake: Tensor | None
    ) -> Tensor:
        """All that D minimises in its update number ``step``: loss, class term, regularizers."""
        objective, draws = self.objective, generator(self.spec.seed, "augment-d", step)
        real, fake = self._augmented(real, draws), self._augmented(fake, draws)
        on_real, on_fake = self._shared_judge.both(real, fake, y_real, y_fake)
        update = DiscriminatorUpdate(
            self._shared_judge.logits, real, fake, y_real, y_fake, on_real.logits, on_fake.logits, draws
        )
        loss = objective.loss.discriminator(on_real.logits, on_fake.logits)
        loss = loss + objective.classification.discriminator(on_real, y_real, on_fake, y_fake)
        penalty: Tensor = objective.regularizers(step, update)
        return loss + penalty

    def discriminator_step(self, step: int, keep_fakes: bool) -> tuple[Tensor, tuple[Tensor, Tensor | None]]:
        """Update D once; returns its loss and the generated images with their labels.

        ``step`` counts D's updates. The images keep their graph where ``keep_fakes``.
        """
        real, y_real = self._real(step)
        latents, y_fake = self._draw("z-d", step, self.spec.batch)
        with torch.set_grad_enabled(keep_fakes), self._autocast():
            fake = self._shared_generator(latents, y_fake)
        with self._autocast():
            loss = self._discriminator_loss(step, real, fake.detach(), y_real, y_fake)
        self.optimizer_d.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer_d.step()
        return loss.detach(), (fake, y_fake)

    def _generator_loss(self, step: int, images: Tensor, labels: Tensor | None) -> Tensor:
        """All that G minimises in its update number ``step``: loss and class term."""
        objective, draws = self.objective, generator(self.spec.seed, "augment-g", step)
        output = self.judge(self._augmented(images, draws), labels)
        if is_relativistic(objective.loss):
            loss = objective.loss.generator(output.logits, self._real_logits(step, draws))
        else:
            loss = objective.loss.generator(output.logits)
        return loss + objective.classification.generator(output, labels)

    def _real_logits(self, step: int, draws: torch.Generator) -> Tensor:
        """What D says of the batch of its last update, repeated to the number of generated images.

        No new batch: G's update then shows D no real images that the budget does not count.
        """
        real, labels = self._real((step + 1) * self.spec.n_dis - 1)
        with torch.no_grad():
            logits = self.judge.logits(self._augmented(real, draws), labels)
        return logits.repeat(self.spec.batch_g_factor)

    def generator_step(self, step: int, fakes: tuple[Tensor, Tensor | None] | None) -> Tensor:
        """Update G once, on the given images or on fresh ones; returns its loss."""
        with frozen(self.discriminator), self.judge.fakes_only():
            with self._autocast():
                if fakes is None:
                    latents, labels = self._draw("z-g", step, self.spec.batch_g)
                    fakes = (self._shared_generator(latents, labels), labels)
                loss = self._generator_loss(step, *fakes)
            self.optimizer_g.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer_g.step()
        if self.ema is not None:
            self.ema.update(step + 1)
        return loss.detach()

    def step(self, step: int, progress: float) -> tuple[Tensor, Tensor]:
        """Step number ``step``, counted from 0; returns the last loss of D and the loss of G, on the device."""
        self.learning_rates(progress)
        with isolated(self.spec.seed, ranks.own("step"), step), float32_products(self.spec.precision == "tf32"):
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
            "regularizers": self.objective.regularizers.state_dict(),
        }

    def load(self, state: dict[str, dict[str, object]]) -> None:
        """Restore what :meth:`state` gave."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        if self.ema is not None:
            self.ema.module.load_state_dict(state["ema"])
        self.optimizer_g.load_state_dict(state["optimizer_g"])
        self.optimizer_d.load_state_dict(state["optimizer_d"])
        self.objective.regularizers.load_state_dict(state["regularizers"])

    def finite(self) -> bool:
        """Whether every weight of both networks is finite."""
        weights = [p for net in (self.generator, self.discriminator) for p in net.parameters()]
        return bool(torch.stack([torch.isfinite(p).all() for p in weights]).all())
