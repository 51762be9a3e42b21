"""How labels enter the two networks, whatever their architecture.

==============  ==================================================  ============================================
conditioning    generator                                           discriminator
==============  ==================================================  ============================================
``none``        no labels                                           no labels
``projection``  by its normalizer                                   plus <embed(y), features>
``acgan``       by its normalizer                                   a second output that tells the class
``concat``      z with embed(y) behind it, and by its normalizer    features with embed(y) behind them
==============  ==================================================  ============================================

"By its normalizer" means one that takes labels, such as ``conditional-batch``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONCAT_LABEL_UNITS = 50
CONCAT_JOINT_UNITS = 240


class DiscriminatorOutput(NamedTuple):
    """What a discriminator says of a batch."""

    logits: Tensor
    """[B]: the higher, the more real."""
    class_logits: Tensor | None = None
    """[B, num_classes] where the conditioning has an auxiliary classifier."""


def label_embedding(num_classes: int, features: int) -> nn.Embedding:
    """A table [num_classes, features] from N(0, 1), the scale of z, without a weight normalizer.

    Spectral norm would shrink all labels together to a largest singular value of 1, far below z.
    """
    return nn.Embedding(num_classes, features)


class Head(nn.Module):
    """Features to logits; with projection, Miyato & Koyama (2018), eq. 3: plus <embed(y), features>."""

    def __init__(self, linear: nn.Module, embedding: nn.Module | None = None) -> None:
        super().__init__()
        self.linear = linear
        self.embedding = embedding

    def forward(self, features: Tensor, labels: Tensor | None) -> DiscriminatorOutput:
        """[B, F] and int64 [B] to logits [B]."""
        logits = self.linear(features).squeeze(1)
        if self.embedding is not None:
            logits = logits + (self.embedding(labels) * features).sum(1)
        return DiscriminatorOutput(logits)


class ClassifyingHead(nn.Module):
    """Features to logits and class logits: AC-GAN, Odena et al. (2017). The labels are not looked at."""

    def __init__(self, linear: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.linear = linear
        self.classifier = classifier

    def forward(self, features: Tensor, labels: Tensor | None) -> DiscriminatorOutput:
        """[B, F] to logits [B] and class logits [B, num_classes]."""
        return DiscriminatorOutput(self.linear(features).squeeze(1), self.classifier(features))


class ConcatHead(nn.Module):
    """Features and embedded label, concatenated, through a joint hidden layer to logits.

    Mirza & Osindero (2014), section 4.1: x and y each have hidden units of their own, which meet in one
    joint layer before the output. The hidden units of x are here the features of any architecture, which
    therefore need not know. Their sizes are kept: 50 units for y, 240 joint ones. Flagged: theirs are
    maxout units, here y has an embedding table and the joint layer is LeakyReLU 0.2. The joint layer is
    what makes the label matter: joined to a last linear layer, it would only shift all logits of a class.
    """

    def __init__(self, joint: nn.Module, linear: nn.Module, embedding: nn.Module) -> None:
        super().__init__()
        self.joint = joint
        self.linear = linear
        self.embedding = embedding

    def forward(self, features: Tensor, labels: Tensor | None) -> DiscriminatorOutput:
        """[B, F] and int64 [B] to logits [B]."""
        both = torch.cat([features, self.embedding(labels).to(features.dtype)], 1)
        return DiscriminatorOutput(self.linear(F.leaky_relu(self.joint(both), 0.2)).squeeze(1))


class ConcatGenerator(nn.Module):
    """A generator that is driven by z with the embedded label behind it, of the same size.

    Mirza & Osindero (2014), section 4.1, where z and y are joined after a hidden layer each; flagged: here
    z enters as it is, and y by an embedding table.
    """

    def __init__(self, generator: nn.Module, embedding: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.embedding = embedding

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        """[B, Z] and int64 [B] -> [B, 3, R, R]; the generator inside sees [B, 2Z]."""
        images: Tensor = self.generator(torch.cat([z, self.embedding(y)], 1), y)
        return images
