"""Turn a scan into a stack of 2D slices, and slices back into the scan's own grid."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import nibabel as nib
import numpy as np

from tfseg.core.errors import DataError
from tfseg.datasets.grids import AXES, Array, orientation_of, spacing_of
from tfseg.preparation.resampling import Resampler, linear_slabs, nearest


@dataclass(frozen=True)
class SliceGrid:
    """Map a scan's voxels to slices: crop, resampling, RAS+ orientation, slice axis, centred padding.

    Args:
        shape: voxels of the scan as stored, `(i, j, k)`.
        affine: 4×4, from voxel indices to RAS+ millimetres.
        axis: "sagittal", "coronal" or "axial".
        size: pixels `(h, w)` of a slice after padding.
        crop: (first, one past the last) voxel that is kept along each stored axis; all if absent.
        resampled: voxels along each stored axis after resampling; not resampled if absent.
        slices: number of slices after padding; not padded if absent.
    """

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    axis: str
    size: tuple[int, int]
    crop: tuple[tuple[int, int], ...] | None = None
    resampled: tuple[int, int, int] | None = None
    slices: int | None = None

    @classmethod
    def of(cls, shape: tuple[int, ...], affine: Array, axis: str, size: tuple[int, int], **more: Any) -> "SliceGrid":
        """Make the grid of a scan with this shape and affine."""
        return cls((shape[0], shape[1], shape[2]), _as_tuples(np.asarray(affine).tolist()), axis, size, **more)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "SliceGrid":
        """Make a grid from what `to_json` returned."""
        return cls(**{name: _as_tuples(value) for name, value in values.items()})

    def to_json(self) -> dict[str, Any]:
        """Return the grid as plain values, without those that are absent."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the axes of the scan as stored."""
        return spacing_of(np.asarray(self.affine))

    @property
    def cropped_shape(self) -> tuple[int, int, int]:
        """Voxels along the stored axes after the crop."""
        if self.crop is None:
            return self.shape
        i, j, k = (stop - start for start, stop in self.crop)
        return i, j, k

    @property
    def slice_spacing_mm(self) -> tuple[float, float, float]:
        """Distance between slices, between rows and between columns, after resampling."""
        kept, resampled = np.asarray(self.cropped_shape), np.asarray(self.resampled or self.cropped_shape)
        slices, rows, columns = (self.spacing_mm * kept / resampled)[self.stored_axes].tolist()
        return slices, rows, columns

    @property
    def slice_shape(self) -> tuple[int, int, int]:
        """Slices, rows and columns before padding."""
        slices, rows, columns = np.asarray(self.resampled or self.cropped_shape)[self.stored_axes].tolist()
        return slices, rows, columns

    @property
    def padded_shape(self) -> tuple[int, int, int]:
        """Slices, rows and columns after padding."""
        return self.slices or self.slice_shape[0], *self.size

    def grown(self) -> "SliceGrid":
        """Return the grid with padding that is large enough: its slices are never refused."""
        slices, height, width = (max(pair) for pair in zip(self.padded_shape, self.slice_shape, strict=True))
        return replace(self, size=(height, width), slices=slices if self.slices else None)

    def to_slices(self, volume: Array, fill: float | Array = 0, resample: Resampler = nearest) -> Array:
        """Turn `[i, j, k]` or `[i, j, k, channels]` into `[slice, h, w]` or `[slice, h, w, channels]`.

        Args:
            volume: on the scan's own grid.
            fill: value of the padding, one for all or one per channel.
            resample: how to interpolate.

        Raises:
            DataError: if the slices are larger than `size`, or more than `slices`.
        """
        volume = volume[self._box()]
        if self.resampled:
            volume = resample(volume, self.resampled)
        canonical = nib.orientations.apply_orientation(volume, self._orientation)
        slices = np.moveaxis(canonical, AXES.index(self.axis), 0)
        window = self._window()
        padded = np.empty((*self.padded_shape, *slices.shape[3:]), volume.dtype)
        padded[:] = fill
        padded[window] = slices
        return padded

    def unpad(self, slices: Array) -> Array:
        """Remove the padding of `[slice, h, w, ...]`."""
        return slices[self._window()]

    def from_slices(self, slices: Array, fill: float | Array = 0, resample: Resampler = nearest) -> Array:
        """Put `[slice, h, w, ...]` back on the scan's own grid, `[i, j, k, ...]`; the inverse of `to_slices`.

        Args:
            slices: as `to_slices` returns them.
            fill: value of what was cropped off, one for all or one per channel.
            resample: how to interpolate.
        """
        volume = np.ascontiguousarray(self._as_stored(self.unpad(slices)))
        if self.resampled:
            volume = resample(volume, self.cropped_shape)
        if self.crop is None:
            return volume
        whole = np.empty((*self.shape, *volume.shape[3:]), volume.dtype)
        whole[:] = fill
        whole[self._box()] = volume
        return whole

    def slabs(self, blocks: Iterable[Array]) -> Iterator[tuple[tuple[slice, ...], Array]]:
        """Put consecutive blocks of padded slices back on the scan's own grid, as `from_slices` does all at once.

        Args:
            blocks: parts `[slice, h, w, channels]` of the padded slices, in order.

        Yields:
            A part of the scan's grid and its values `[i, j, k, channels]`, resampled linearly; only what was cropped
            off is in none of them.
        """
        axis = int(self.stored_axes[0])
        backwards = bool(self._orientation[axis, 1] < 0)
        i, j, k = self.resampled or self.cropped_shape
        box = list(self._box()) or [slice(0, length) for length in self.shape]
        stored = (self._as_stored(block) for block in self._without_padding(blocks))
        for place, part in linear_slabs(stored, axis, (i, j, k), self.cropped_shape, backwards):
            first = box[axis].start
            yield (
                tuple(
                    slice(first + place.start, first + place.stop) if each == axis else box[each] for each in range(3)
                ),
                part,
            )

    def _without_padding(self, blocks: Iterable[Array]) -> Iterator[Array]:
        """Cut the padding off consecutive blocks; those that are nothing else are left out."""
        slices, *within = self._window()
        begin = 0
        for block in blocks:
            first, last = (min(max(place - begin, 0), len(block)) for place in (slices.start, slices.stop))
            begin += len(block)
            if first < last:
                yield block[(slice(first, last), *within)]

    def _as_stored(self, slices: Array) -> Array:
        """Turn unpadded slices `[slice, h, w, ...]` into voxels in the order in which the scan stores them."""
        canonical = np.moveaxis(slices, 0, AXES.index(self.axis))
        identity = nib.orientations.axcodes2ornt("RAS")
        back = nib.orientations.ornt_transform(identity, self._orientation)
        stored: Array = nib.orientations.apply_orientation(canonical, back)
        return stored

    @cached_property
    def stored_axes(self) -> Array:
        """The stored axes in the order slice, row, column."""
        canonical = np.argsort(self._orientation[:, 0])
        first = AXES.index(self.axis)
        return canonical[[first, *(axis for axis in range(3) if axis != first)]]

    def _box(self) -> tuple[slice, ...]:
        return tuple(slice(*sides) for sides in self.crop or ())

    @property
    def _orientation(self) -> Array:
        return orientation_of(self.affine)

    def _window(self) -> tuple[slice, ...]:
        """The place of the slices within the padding."""
        room = np.subtract(self.padded_shape, self.slice_shape)
        if room[0] < 0:
            raise DataError(f"{self.slice_shape[0]} slices do not fit the {self.slices} asked for")
        if room.min() < 0:
            raise DataError(f"slices of {self.slice_shape[1:]} pixels do not fit the size {self.size}")
        starts = (room // 2).tolist()
        return tuple(slice(start, start + length) for start, length in zip(starts, self.slice_shape, strict=True))


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value
