"""Surface scores of two masks by MONAI, medpy and surface-distance; prints times and values as JSON.

python benchmarks/peer_scores.py MASKS.npz, which holds truth, prediction, spacing_mm and tolerance_mm
"""

import json
import sys

import numpy as np
import torch
from medpy.metric.binary import hd95
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from surface_distance import compute_surface_dice_at_tolerance, compute_surface_distances
from timing import least


def main() -> None:
    """Measure each call."""
    with np.load(sys.argv[1]) as masks:
        truth, prediction = masks["truth"], masks["prediction"]
        spacing_mm, tolerance_mm = masks["spacing_mm"].tolist(), float(masks["tolerance_mm"])
    y, y_pred = (torch.from_numpy(mask[None, None]) for mask in (truth, prediction))

    def hausdorff(percentile: float | None) -> float:
        return compute_hausdorff_distance(y_pred, y, True, percentile=percentile, spacing=spacing_mm).item()

    def average(first: torch.Tensor, second: torch.Tensor, symmetric: bool) -> float:
        return compute_average_surface_distance(first, second, True, symmetric, spacing=spacing_mm).item()

    def surface_dice() -> float:
        return compute_surface_dice(y_pred, y, [tolerance_mm], True, spacing=spacing_mm).item()

    def area_nsd() -> float:
        distances = compute_surface_distances(truth, prediction, spacing_mm)
        return float(compute_surface_dice_at_tolerance(distances, tolerance_mm))

    measured = {
        "MONAI HD": least(lambda: hausdorff(None)),
        "MONAI HD95": least(lambda: hausdorff(95)),
        "MONAI ASSD": least(lambda: average(y_pred, y, symmetric=True)),
        "MONAI NSD": least(surface_dice),
        "MONAI, both directed ASD": least(lambda: (average(y, y_pred, False) + average(y_pred, y, False)) / 2, calls=1),
        "medpy HD95": least(lambda: float(hd95(prediction, truth, spacing_mm)), calls=2),
        "surface-distance NSD": least(area_nsd, calls=2),
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
