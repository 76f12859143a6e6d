"""Flip, turn, scale and deform an image together with its truth, in one resampling."""

from collections.abc import Sequence

import cv2
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from tfseg.datasets.grids import Array
from tfseg.prepared.augmentation.fields import smooth_field

POINTS = 5  # of the deformation, along each axis


def move(image: Array, truth: Array, drawn: np.void, spacing_mm: Sequence[float]) -> tuple[Array, Array]:
    """Move an image, interpolated linearly, and its truth, from the nearest voxel; beyond the border both are mirrored.

    Args:
        image: float32 `[*spatial, channels]`.
        truth: uint8 `[*spatial, channels]`.
        drawn: the parameters of `flip`, `rotate`, `scale` and `elastic`.
        spacing_mm: of the spatial axes; angles and displacements are those in the body.
    """
    flips = tuple(np.flatnonzero(drawn["flip"]).tolist())
    image, truth = np.flip(image, flips), np.flip(truth, flips)
    if not drawn["rotate"].any() and drawn["scale"] == 1 and drawn["elastic"] == 0:
        return image, truth
    places = places_of(image.shape[:-1], drawn, spacing_mm)
    return _sampled(image, places, smooth=True), _sampled(truth, places, smooth=False)


def places_of(shape: Sequence[int], drawn: np.void, spacing_mm: Sequence[float]) -> Array:
    """Return where each voxel of the result lies in the image, in voxels, float32 `[rank, *shape]`.

    `p = c + S⁻¹ (R⁻¹ S (q - c) / scale + displacement)`, c the middle, S the spacing, R the rotation.
    """
    rank, spacing = len(shape), np.asarray(spacing_mm)
    middle = (np.array(shape) - 1) / 2
    turned = Rotation.from_euler("xyz", drawn["rotate"], degrees=True).as_matrix()[3 - rank :, 3 - rank :]
    matrix = (turned.T / drawn["scale"]) * spacing / spacing[:, np.newaxis]
    offsets = np.ix_(*((np.arange(n) - c).astype(np.float32) for n, c in zip(shape, middle, strict=True)))
    if drawn["elastic"]:
        rng = np.random.default_rng([drawn["seed"], 0])
        places = smooth_field(rng, shape, rank, POINTS)
        places *= (drawn["elastic"] / spacing).astype(np.float32).reshape(rank, *[1] * rank)
    else:
        places = np.zeros((rank, *shape), np.float32)
    for place, row, centre in zip(places, matrix.astype(np.float32), middle, strict=True):
        place += np.float32(centre)
        for weight, offset in zip(row, offsets, strict=True):
            place += weight * offset
    return places


def _sampled(values: Array, places: Array, smooth: bool) -> Array:
    channels = [values[..., channel] for channel in range(values.shape[-1])]
    if len(places) == 2:
        how = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
        rows, columns = places
        sampled = [
            cv2.remap(np.ascontiguousarray(channel), columns, rows, how, borderMode=cv2.BORDER_REFLECT_101)
            for channel in channels
        ]
    else:
        sampled = [ndimage.map_coordinates(channel, places, order=int(smooth), mode="mirror") for channel in channels]
    return np.stack(sampled, axis=-1)
