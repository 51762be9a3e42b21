"""The LeCam regularizer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench.api import Combination, Decay, DiscriminatorUpdate, NonNegativeInt


class LeCam(nn.Module):
    """D's logits held near running averages of those of the other kind: Tseng et al. (2021).

    The paper squares the distance on both sides (eq. 3). The released code, followed here, counts it only
    while real images are judged more real than generated ones are on average, and the reverse:
    E[relu(D(x) - a_fake)^2] + E[relu(a_real - D(G(z)))^2]. Averages of the batch means with a decay of 0.99,
    freed of their start at 0, as in the code's StyleGAN2 form. Its BigGAN form is silent for the first 1,000
    updates: ``start``. The weight is that form's for a tenth of CIFAR-10. The averages move only in the
    updates that the regularizer is applied to.
    """

    default_weight = 0.3
    default_interval = 1

    real: Tensor
    fake: Tensor
    uses: Tensor

    def __init__(self, *, decay: Decay = 0.99, start: NonNegativeInt = 0) -> None:
        super().__init__()
        self.decay, self.start = decay, start
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))
        self.register_buffer("uses", torch.zeros((), dtype=torch.int64))

    def forward(self, update: DiscriminatorUpdate) -> Tensor:
        """The penalty, a scalar; the averages include this batch."""
        with torch.no_grad():
            self.real.lerp_(update.real_logits.mean(), 1 - self.decay)
            self.fake.lerp_(update.fake_logits.mean(), 1 - self.decay)
            self.uses += 1
            # The share of the averages that is not their start at 0; float64, as it is a difference of near equals.
            seen = 1 - self.decay ** self.uses.double()
            anchor_real, anchor_fake = self.real / seen, self.fake / seen
        penalty = (
            F.relu(update.real_logits - anchor_fake).square().mean()
            + F.relu(anchor_real - update.fake_logits).square().mean()
        )
        return penalty * (self.uses > self.start)

    @staticmethod
    def doubts(combination: Combination) -> list[str]:
        """Why a combination may make little sense."""
        if not combination.relativistic:
            return []
        return [
            f"it ties logits to their averages, and the loss '{combination.loss}' looks at differences only, "
            "whose common level it leaves free to drift"
        ]
