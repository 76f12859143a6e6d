"""Read where a NIfTI header places its voxels, and check that it does not contradict itself."""

from typing import Any

import numpy as np

from tfseg.datasets.grids import Array, corners_apart_mm, spacing_of

# Millimetres in NIfTI's units of space, metres and micrometres; a file without a unit is in millimetres.
UNIT_MM = {1: 1e3, 3: 1e-3}
# A quaternion may be this much longer than 1 through rounding.
QUATERNION_ROUNDING = 1e-4
# Two voxel sizes are the same if they differ by less than this share.
SIZE_TOLERANCE = 0.01


def affine_mm(header: Any) -> Array:
    """Return a header's affine to RAS+ millimetres, whatever the unit of its file."""
    unit_mm = UNIT_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    affine: Array = np.array(header.get_best_affine(), float)
    affine[:3] *= unit_mm
    return affine


def is_placed(header: Any) -> bool:
    """Whether a header says where the voxels are: a sform or qform code is not 0."""
    return bool(header["sform_code"] or header["qform_code"])


def normalise_quaternion(header: Any) -> None:
    """Scale a quaternion to length 1 if rounding made it longer: the rotation by 180 degrees is such a one."""
    stored = [float(header[f"quatern_{axis}"]) for axis in "bcd"]
    length = float(np.linalg.norm(stored))
    if 1 < length < 1 + QUATERNION_ROUNDING:
        for axis, value in zip("bcd", stored, strict=True):
            header[f"quatern_{axis}"] = value / length


def contradictions(header: Any) -> list[str]:
    """Describe where the sform differs from pixdim or the qform, if it matters which of them is right.

    Raises:
        ValueError: if sform and qform, both set, give other voxel sizes: there is no way to know which is right.
    """
    if not header["sform_code"]:
        return []
    sform, pixdim = header.get_sform(), np.abs(header["pixdim"][1:4].astype(float))
    size = np.array(spacing_of(sform))
    if not np.allclose(size, pixdim, rtol=SIZE_TOLERANCE, atol=0):
        sizes = f"its sform gives voxels of {_times(size)}, its pixdim {_times(pixdim)}"
        if header["qform_code"]:
            raise ValueError(f"{sizes}: correct the one that is wrong")
        return [f"{sizes}; the sform is used"]
    if header["qform_code"] == header["sform_code"]:
        shape = (*header.get_data_shape(), 1, 1, 1)[:3]
        apart_mm = corners_apart_mm(shape, sform, header.get_qform())
        if apart_mm > min(size):
            return [f"its sform and qform place the same voxels {apart_mm:.3g} mm apart; the sform is used"]
    return []


def _times(sizes: Array) -> str:
    return " × ".join(f"{size:.3g}" for size in sizes)
