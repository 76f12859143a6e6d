"""A U-Net in PyTorch, trained for some steps; prints images per second and the peak memory in MiB.

python benchmarks/peer_torch_unet.py BATCH HEIGHT WIDTH CHANNELS CLASSES STEPS
python benchmarks/peer_torch_unet.py BATCH DEPTH HEIGHT WIDTH CHANNELS CLASSES STEPS
"""

import resource
import sys
import time

import torch
from torch import nn

CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED_CONVOLUTIONS = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOLINGS = {2: nn.functional.max_pool2d, 3: nn.functional.max_pool3d}
CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
# As `tfseg.models.unet_2d` and `unet_3d`: filters, dropout, and width and padding of the transposed convolutions.
WIDTHS = {2: [16, 32, 64, 128], 3: [16, 32, 64]}
RATES = {2: [0.15, 0.2, 0.25, 0.3], 3: [0.0, 0.0, 0.0]}
UP = {2: {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}, 3: {"kernel_size": 2, "stride": 2}}


def double(inputs: int, outputs: int, rank: int) -> nn.Sequential:
    """Twice: convolution, batch norm, ReLU."""
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        convolution = CONVOLUTIONS[rank](width, outputs, 3, padding=1, bias=False)
        layers += [convolution, NORMS[rank](outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """The network of `tfseg.models.unet_2d` or `unet_3d`, by its rank."""

    def __init__(self, channels: int, classes: int, rank: int) -> None:
        super().__init__()
        self.rank = rank
        widths, rates = WIDTHS[rank], RATES[rank]
        self.encoder = nn.ModuleList(double(i, o, rank) for i, o in zip([channels, *widths], widths, strict=False))
        self.bottom = double(widths[-1], 2 * widths[-1], rank)
        up = TRANSPOSED_CONVOLUTIONS[rank]
        self.up = nn.ModuleList(up(2 * width, width, **UP[rank]) for width in reversed(widths))
        self.decoder = nn.ModuleList(double(2 * width, width, rank) for width in reversed(widths))
        self.dropouts = nn.ModuleList(map(nn.Dropout, rates))
        self.head = CONVOLUTIONS[rank](widths[0], classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[batch, classes, *spatial]`."""
        skips = []
        for block, dropout in zip(self.encoder, self.dropouts, strict=True):
            skips.append(block(x))
            x = dropout(POOLINGS[self.rank](skips[-1], 2))
        x = self.bottom(x)
        for up, block, dropout in zip(self.up, self.decoder, reversed(self.dropouts), strict=True):
            x = block(dropout(torch.cat([up(x), skips.pop()], dim=1)))
        return self.head(x)


def dice_ce(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Batch Dice without background, plus cross-entropy."""
    probability = logits.softmax(1)
    truth = nn.functional.one_hot(labels, logits.shape[1]).movedim(-1, 1).float()
    axes = (0, *range(2, logits.ndim))
    overlap, total = (probability * truth).mean(axes), (probability + truth).mean(axes)
    dice = 1 - (2 * overlap + 1e-5) / (total + 1e-5)
    return dice[1:].mean() + nn.functional.cross_entropy(logits, labels)


def main() -> None:
    """Train and measure, after three steps to warm up."""
    batch, *sides, channels, classes, steps = map(int, sys.argv[1:])
    torch.manual_seed(0)
    rank = len(sides)
    model = UNet(channels, classes, rank).to(memory_format=CHANNELS_LAST[rank])
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    images = torch.randn(batch, channels, *sides).to(memory_format=CHANNELS_LAST[rank])
    labels = torch.randint(classes, (batch, *sides))
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
