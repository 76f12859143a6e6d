"""Preparing scans with MONAI's transforms, nothing written; prints seconds as JSON.

python benchmarks/peer_preparation.py TASK.json, which holds the cases' files, the steps and the number of workers
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from monai.data import DataLoader, Dataset
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    MedianSmoothd,
    NormalizeIntensityd,
    Orientationd,
    SpatialPadd,
)
from timing import once


def transforms(median: bool, nonzero: bool, size: list[int]) -> Compose:
    """Canonical orientation, 3×3 median in axial slices, z-score of each channel, padding of slices."""
    both = ["image", "label"]
    steps: list[Any] = [LoadImaged(both), EnsureChannelFirstd(both), Orientationd(both, "RAS", labels=None)]
    if median:
        steps.append(MedianSmoothd("image", radius=[1, 1, 0]))
    steps.append(NormalizeIntensityd("image", nonzero=nonzero, channel_wise=True))
    steps.append(SpatialPadd(both, [*size, -1]))
    return Compose(steps)


def main() -> None:
    """Go through every case, in this process or in workers."""
    task = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(task["threads"])
    dataset = Dataset(task["cases"], transforms(task["median"], task["nonzero"], task["size"]))

    def through() -> None:
        for _ in DataLoader(dataset, batch_size=1, num_workers=task["workers"]):
            pass

    print(json.dumps(once(through)))


if __name__ == "__main__":
    main()
