"""Make the weights of the extractor cnn-digits: ``python -m ganbench.zoo.extractor.make_cnn_digits [OUT]``.

It trains on the train half of the digits, prints the accuracy on both halves and the scores of held-out and
of spoilt images, and writes OUT (``cnn_digits.pt`` in the working folder if not given) with its sha256 for
the source. The seed is fixed, but other machines and torch versions may make other weights: the file in the
package is the one that counts.
"""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, avg_pool2d, cross_entropy, grid_sample, interpolate
from torch.nn.utils import fuse_conv_bn_eval
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from ganbench.api import ImageSplit, generator
from ganbench.zoo.dataset.digits import digits
from ganbench.zoo.extractor.digits_classifier import RESOLUTION, Network

SEED, EPOCHS, BATCH = 2020, 60, 64
SHIFT, TURN, SCALE, NOISE = 0.06, 0.12, 0.08, 8.0
"""Augmentation: shares of the image's half, radians, share of the size, standard deviation on 0 to 255."""


class TrainedNetwork(nn.Module):
    """:class:`Network` with batch normalization after each convolution and dropout before the logits.

    Dropout keeps the features of training images near those of unseen ones: held-out images are the floor
    of every score, and it should be low.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = Network()
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(layer.out_channels) for layer in self.network.convolutions if isinstance(layer, nn.Conv2d)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Float [B, 3, 32, 32] with values 0 to 255 -> logits [B, 10]."""
        norms = iter(self.norms)
        x = (images - 127.5) / 127.5
        for layer in self.network.convolutions:
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                x = next(norms)(x)
        pool = nn.functional.dropout(x.mean(dim=(2, 3)), 0.3, self.training)
        logits: Tensor = self.network.classify(pool)
        return logits

    def folded(self) -> Network:
        """The plain network that does in eval mode what this one does."""
        self.eval()
        network, norms = Network(), iter(self.norms)
        for index, layer in enumerate(self.network.convolutions):
            if isinstance(layer, nn.Conv2d):
                norm = next(norms)
                assert isinstance(norm, nn.BatchNorm2d)
                network.convolutions[index] = fuse_conv_bn_eval(layer, norm)
        network.classify = self.network.classify
        return network.eval()


def augment(images: Tensor, draw: torch.Generator) -> Tensor:
    """Shift, turn, scale and add noise, mildly: uint8 [B, 3, R, R] -> float32 of that shape."""
    turn, size, *shift = (torch.rand(4, len(images), generator=draw) * 2 - 1).unbind()
    turn, size = turn * TURN, 1 + size * SCALE
    cos, sin = turn.cos() * size, turn.sin() * size
    rows = [
        torch.stack([cos, -sin, shift[0] * SHIFT], dim=1),
        torch.stack([sin, cos, shift[1] * SHIFT], dim=1),
    ]
    grid = affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    moved = grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    noise = torch.randn(moved.shape, generator=draw) * torch.rand(len(images), 1, 1, 1, generator=draw)
    return (moved + NOISE * noise).clamp(0, 255)


def train(split: ImageSplit) -> Network:
    """A network trained on one half, in half a minute on two cores."""
    torch.manual_seed(SEED)
    model = TrainedNetwork().train()
    steps = EPOCHS * (len(split) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    draw = generator(SEED, "make-cnn-digits")
    for _ in range(EPOCHS):
        order = torch.randperm(len(split), generator=draw)
        for index in torch.split(order, BATCH)[: len(split) // BATCH]:
            logits = model(augment(split.images[index], draw))
            loss = cross_entropy(logits, split.labels[index])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return model.folded()


def report(network: Network) -> None:
    """Print accuracies, and Frechet distances to the train half."""
    data = digits(RESOLUTION)
    assert data.held_out is not None
    real = network(data.train.images[:])
    held_out = network(data.held_out.images[:])
    for name, (_, logits), split in (("train", real, data.train), ("held-out", held_out, data.held_out)):
        print(f"accuracy, {name}: {(logits.argmax(1) == split.labels).double().mean():.4f}")
    images, labels = data.held_out.images[:], data.held_out.labels
    small = avg_pool2d(images.float(), 8)
    cases = {
        "held-out (the floor)": images,
        "blurred": interpolate(small, size=RESOLUTION, mode="bilinear").round().to(torch.uint8),
        "classes 0 to 4 only": images[labels < 5],
        "one class missing": images[labels != 7],
        "one image repeated": images[:1].repeat(len(images), 1, 1, 1),
        "inverted": 255 - images,
        "noise": torch.randint(0, 256, images.shape, generator=generator(SEED, "noise")).to(torch.uint8),
        "tinted": (images * torch.tensor([1.0, 0.8, 0.6]).view(3, 1, 1)).to(torch.uint8),
    }
    reference = fid_features_to_statistics(real[0].double())
    for name, case in cases.items():
        statistics = fid_features_to_statistics(network(case)[0].double())
        distance = fid_statistics_to_metric(reference, statistics, verbose=False)[KEY_METRIC_FID]
        print(f"fcd, {name}: {distance:.4f}")


def main(out: Path) -> None:
    """Train, report, write."""
    network = train(digits(RESOLUTION).train)
    with torch.no_grad():
        report(network)
    buffer = io.BytesIO()  # a file would put its own name into the archive, and so into the sha256
    torch.save(network.state_dict(), buffer)
    out.write_bytes(buffer.getvalue())
    print(f"{out}: sha256 {hashlib.sha256(buffer.getvalue()).hexdigest()}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "cnn_digits.pt"))
