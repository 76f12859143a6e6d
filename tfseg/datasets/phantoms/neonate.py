"""A synthetic diffusion MR of a newborn's brain with hypoxic-ischaemic lesions, many of them small."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfseg.datasets.phantoms.shapes import Array, Canvas, ellipsoid, intersection, rotated, smooth_field, voxel_centres

LABELS = {1: "lesion"}
CHANNELS = ("ADC", "Z_ADC")  # 10⁻⁶ mm²/s; hundredths of a standard deviation from normal newborns

_HEIGHT_MM = 92.0
# Mean and spread of the apparent diffusion coefficient over normal newborns.
_WHITE, _GREY, _FLUID = (1500.0, 130.0), (1150.0, 80.0), (2600.0, 260.0)


def neonate(
    rng: np.random.Generator, size: int, blobs: tuple[int, int] = (1, 6)
) -> tuple[Array, NDArray[np.uint8], NDArray[np.float64]]:
    """One subject: image [x, y, z, 2], labels [x, y, z], affine (RAS+); `blobs`: fewest and most lesions."""
    width_mm, slice_mm = rng.uniform(125, 140), rng.uniform(3.6, 4.4) * 64 / size
    spacing_mm = (width_mm / size, width_mm / size, slice_mm)
    shape = (size, size, round(_HEIGHT_MM / slice_mm))
    axes_mm = voxel_centres(shape, spacing_mm, rng.normal(0, 2, 3).tolist())
    affine = np.diag((*spacing_mm, 1.0))
    affine[:3, 3] = [axis[0] for axis in axes_mm]

    grid = np.meshgrid(*axes_mm, indexing="ij", sparse=True)
    points = [each + 2 * smooth_field(rng, axes_mm, 40) for each in rotated(grid, rng.normal(0, 5))]
    brain = ellipsoid(points, (0, 0, 0), np.array((46.0, 56.0, 38.0)) * rng.uniform(0.94, 1.06), power=2.2)
    folds = 7 * np.abs(smooth_field(rng, axes_mm, 11))
    canvas, normal = Canvas(shape, [0.0]), Canvas(shape, [0.0, 1.0])
    tissues = [
        (brain - 3, _FLUID),
        (brain, _GREY),
        (intersection(brain + 4, 4 - folds), _WHITE),
        *((ellipsoid(points, (side * 9, 0, 8), (4, 22, 6)), _FLUID) for side in (-1, 1)),
        *((ellipsoid(points, (side * 15, 2, 0), (8, 15, 10)), _GREY) for side in (-1, 1)),
    ]
    for tissue, (mean, spread) in tissues:
        own = mean + spread * rng.normal(0, 0.4)
        canvas.paint(tissue, (own + 0.5 * spread * smooth_field(rng, axes_mm, 9))[..., None])
        normal.paint(tissue, [mean, spread])
    for _ in range(rng.integers(*blobs, endpoint=True)):
        radii = rng.uniform(2.5, 9) * np.exp(rng.normal(0, 0.25, 3))
        centre = rng.uniform(-0.75, 0.75, 3) * (40, 50, 32)
        lesion = intersection(ellipsoid(points, centre, radii) + 1.5 * smooth_field(rng, axes_mm, 6), brain + 1)
        drop = rng.uniform(0.5, 0.75) * (1 + 0.08 * smooth_field(rng, axes_mm, 8))
        canvas.paint(lesion, canvas.image * drop[..., None], 1)
    adc = np.maximum(canvas.image + rng.normal(0, 55, (*shape, 1)).astype(np.float32), 0)
    z = np.where(brain[..., None] < 0, 100 * (adc - normal.image[..., :1]) / normal.image[..., 1:], 0)
    return np.round(np.concatenate([adc, np.clip(z, -1500, 1500)], axis=-1)).astype(np.float32), canvas.label, affine
