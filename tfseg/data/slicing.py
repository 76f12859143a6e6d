"""Between a scan's own grid and its stack of 2D slices, both ways."""

from dataclasses import asdict, dataclass
from typing import Any

import nibabel as nib
import numpy as np

from tfseg.data.volume import Array, DataError, spacing_of

AXES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class SliceGrid:
    """How a scan's voxels map to slices: canonical (RAS+) orientation, one axis to slice along, centred padding.

    Args:
        shape: voxels of the scan as stored, `(i, j, k)`.
        affine: 4×4, from voxel indices to RAS+ millimetres.
        axis: "sagittal", "coronal" or "axial".
        size: pixels `(h, w)` of a slice after padding.
    """

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    axis: str
    size: tuple[int, int]

    @classmethod
    def of(cls, shape: tuple[int, ...], affine: Array, axis: str, size: tuple[int, int]) -> "SliceGrid":
        """Make the grid of a scan with this shape and affine."""
        return cls((shape[0], shape[1], shape[2]), tuple(map(tuple, np.asarray(affine).tolist())), axis, size)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "SliceGrid":
        """Read back what `to_json` gave."""
        shape, affine, size = (
            tuple(values["shape"]),
            tuple(map(tuple, values["affine"])),
            tuple(values["size"]),
        )
        return cls(shape, affine, values["axis"], size)

    def to_json(self) -> dict[str, Any]:
        """Return the grid as plain values."""
        return asdict(self)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the axes of the scan as stored."""
        return spacing_of(np.asarray(self.affine))

    @property
    def slice_spacing_mm(self) -> tuple[float, float, float]:
        """Distance between slices, between rows and between columns."""
        ordered = np.asarray(self.spacing_mm)[self._stored_axes()]
        return float(ordered[0]), float(ordered[1]), float(ordered[2])

    @property
    def slice_shape(self) -> tuple[int, int, int]:
        """Slices, rows and columns before padding."""
        slices, rows, columns = np.asarray(self.shape)[self._stored_axes()].tolist()
        return slices, rows, columns

    def to_slices(self, volume: Array, fill: float | Array = 0) -> Array:
        """Turn `[i, j, k]` or `[i, j, k, channels]` into `[slice, h, w]` or `[slice, h, w, channels]`.

        Padding takes the value `fill`, one for all or one per channel.

        Raises:
            DataError: where the slices are larger than `size`.
        """
        canonical = nib.orientations.apply_orientation(volume, self._orientation())
        slices = np.moveaxis(canonical, AXES.index(self.axis), 0)
        rows, columns = self._window()
        padded = np.empty((slices.shape[0], *self.size, *slices.shape[3:]), volume.dtype)
        padded[:] = fill
        padded[:, rows, columns] = slices
        return padded

    def unpad(self, slices: Array) -> Array:
        """Cut the padding off `[slice, h, w, ...]`."""
        rows, columns = self._window()
        return slices[:, rows, columns]

    def from_slices(self, slices: Array) -> Array:
        """Put `[slice, h, w, ...]` back on the scan's own grid, `[i, j, k, ...]`; the inverse of `to_slices`."""
        canonical = np.moveaxis(self.unpad(slices), 0, AXES.index(self.axis))
        identity = nib.orientations.axcodes2ornt("RAS")
        back = nib.orientations.ornt_transform(identity, self._orientation())
        return np.ascontiguousarray(nib.orientations.apply_orientation(canonical, back))

    def _orientation(self) -> Array:
        orientation: Array = nib.orientations.io_orientation(np.asarray(self.affine))
        return orientation

    def _stored_axes(self) -> Array:
        """The stored axes in the order slice, row, column."""
        canonical = np.argsort(self._orientation()[:, 0])
        first = AXES.index(self.axis)
        return canonical[[first, *(axis for axis in range(3) if axis != first)]]

    def _window(self) -> tuple[slice, slice]:
        window = []
        for length, padded in zip(self.slice_shape[1:], self.size, strict=True):
            if length > padded:
                raise DataError(f"slices of {self.slice_shape[1:]} pixels do not fit the size {self.size}")
            start = (padded - length) // 2
            window.append(slice(start, start + length))
        return window[0], window[1]
