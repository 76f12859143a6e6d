"""Write phantom heads with a tumour as 2D images of three planes, beside their masks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from tfseg.datasets.phantoms.head import CHANNELS, LABELS, head

PLANES = ("sagittal", "coronal", "axial")  # across x, y and z of a RAS+ grid
TUMOUR = next(value for value, name in LABELS.items() if name == "tumour")
_T1 = CHANNELS.index("T1")
_PER_PLANE = 2
_SIZE_MM = 3.0  # of a pixel


def write_head_images(folder: Path, subjects: int, size: int, seed: int, on_case: Callable[[], None]) -> None:
    """Write `images/PLANE_SUBJECT_NUMBER.png` and `masks/` of the same names, six of every subject."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for subject in range(subjects):
        rng = np.random.default_rng([seed, subject, *b"pictures"])  # not the heads of `head` under this seed
        image, label, affine = head(rng, size, tumour_chance=1)
        zoom = np.diag(affine)[:3] / _SIZE_MM
        grey = ndimage.zoom(image[..., _T1], zoom, order=1)
        tumour = ndimage.zoom(label == TUMOUR, zoom, order=0)
        bright = np.clip(255 * grey / np.percentile(grey, 99.5), 0, 255).astype(np.uint8)
        for axis, plane in enumerate(PLANES):
            for number, index in enumerate(_through(tumour, axis)):
                name = f"{plane}_{subject:03d}_{number}.png"
                _save(bright.take(index, axis), folder / "images" / name)
                _save(np.where(tumour.take(index, axis), 255, 0).astype(np.uint8), folder / "masks" / name)
        on_case()


def _through(tumour: NDArray[np.bool_], axis: int) -> list[int]:
    """Return slices across an axis at even steps through the tumour."""
    others = tuple(each for each in range(3) if each != axis)
    held = np.flatnonzero(tumour.any(axis=others))
    shares = (np.arange(_PER_PLANE) + 1) / (_PER_PLANE + 1)
    return [int(held[round(share * (len(held) - 1))]) for share in shares]


def _save(plane: NDArray[np.uint8], path: Path) -> None:
    """Save a plane as a person sees it: its second axis upwards."""
    Image.fromarray(np.ascontiguousarray(np.rot90(plane))).save(path)
