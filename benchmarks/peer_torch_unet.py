"""The default U-Net in PyTorch, trained for some steps; prints images per second and the peak memory in MiB.

python benchmarks/peer_torch_unet.py BATCH HEIGHT WIDTH CHANNELS CLASSES STEPS
"""

import resource
import sys
import time

import torch
from torch import nn


def double(inputs: int, outputs: int) -> nn.Sequential:
    """Twice: convolution, batch norm, ReLU."""
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """16 to 256 filters, four halvings, dropout 0.15 to 0.3, as `tfseg.models.unet_2d` by default."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        widths, rates = [16, 32, 64, 128], [0.15, 0.2, 0.25, 0.3]
        self.encoder = nn.ModuleList(double(i, o) for i, o in zip([channels, *widths], widths, strict=False))
        self.bottom = double(128, 256)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1) for width in reversed(widths)
        )
        self.decoder = nn.ModuleList(double(2 * width, width) for width in reversed(widths))
        self.dropouts = nn.ModuleList(map(nn.Dropout, rates))
        self.head = nn.Conv2d(16, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[batch, classes, h, w]`."""
        skips = []
        for block, dropout in zip(self.encoder, self.dropouts, strict=True):
            skips.append(block(x))
            x = dropout(nn.functional.max_pool2d(skips[-1], 2))
        x = self.bottom(x)
        for up, block, dropout in zip(self.up, self.decoder, reversed(self.dropouts), strict=True):
            x = block(dropout(torch.cat([up(x), skips.pop()], dim=1)))
        return self.head(x)


def dice_ce(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Batch Dice without background, plus cross-entropy."""
    probability = logits.softmax(1)
    truth = nn.functional.one_hot(labels, logits.shape[1]).movedim(-1, 1).float()
    axes = (0, 2, 3)
    overlap, total = (probability * truth).mean(axes), (probability + truth).mean(axes)
    dice = 1 - (2 * overlap + 1e-5) / (total + 1e-5)
    return dice[1:].mean() + nn.functional.cross_entropy(logits, labels)


def main() -> None:
    """Train and measure, after three steps to warm up."""
    batch, height, width, channels, classes, steps = map(int, sys.argv[1:])
    torch.manual_seed(0)
    model = UNet(channels, classes).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    images = torch.randn(batch, channels, height, width).to(memory_format=torch.channels_last)
    labels = torch.randint(classes, (batch, height, width))
    started = 0.0
    for step in range(steps + 3):
        if step == 3:
            started = time.perf_counter()
        optimizer.zero_grad()
        dice_ce(model(images), labels).backward()
        optimizer.step()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(steps * batch / (time.perf_counter() - started), peak_mib)


if __name__ == "__main__":
    main()
