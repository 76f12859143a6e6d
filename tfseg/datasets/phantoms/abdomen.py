"""A synthetic abdominal CT: organs as dense as muscle, distinguished by place, shape and texture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tfseg.datasets.phantoms.shapes import (
    Array,
    Canvas,
    ellipsoid,
    intersection,
    rotated,
    smooth_field,
    voxel_centres,
)

LABELS = {1: "liver", 2: "spleen", 3: "pancreas"}
CHANNELS = ("CT",)

_AIR_HU, _FAT_HU = -1000.0, -100.0
_HEIGHT_MM = 172.0

Triple = tuple[float, float, float]


def abdomen(rng: np.random.Generator, size: int) -> tuple[Array, NDArray[np.uint8], NDArray[np.float64]]:
    """One subject: image in Hounsfield units [x, y, z, 1], labels [x, y, z], affine (RAS+)."""
    width_mm, slice_mm = rng.uniform(375, 415), rng.uniform(7, 9) * 64 / size
    spacing_mm = (width_mm / size, width_mm / size, slice_mm)
    shape = (size, size, round(_HEIGHT_MM / slice_mm))
    axes_mm = voxel_centres(shape, spacing_mm, (rng.normal(0, 5), rng.normal(-8, 4), rng.normal(-8, 8)))
    affine = np.diag((*spacing_mm, 1.0))
    affine[:3, 3] = [axis[0] for axis in axes_mm]

    body = _Body(rng, axes_mm)
    canvas = Canvas(shape, [_AIR_HU])
    body.draw_wall(canvas)
    body.draw_ribs(canvas)
    body.draw_bowel_and_stomach(canvas)
    body.draw_kidneys(canvas)
    body.draw_organs(canvas)
    body.draw_chest(canvas)
    body.draw_spine_and_vessels(canvas)

    noise = rng.standard_normal(shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, (0.6, 0.6, 0))  # reconstruction correlates neighbours in plane
    canvas.image += (rng.uniform(10, 18) / noise.std() * noise)[..., None]
    return np.clip(np.round(canvas.image), -1024, 3071), canvas.label, affine


class _Body:
    """One subject's proportions, pose and contrast phase; supine, the spine at low y."""

    def __init__(self, rng: np.random.Generator, axes_mm: list[Array]) -> None:
        self.rng, self.axes_mm = rng, axes_mm
        grid = np.meshgrid(*axes_mm, indexing="ij", sparse=True)
        posed = rotated(rotated(grid, rng.normal(0, 4)), rng.normal(0, 2), (1, 2))
        self.at = [p + np.float32(rng.normal(0, 3)) + 6 * self.field(90) for p in posed]

        x, y, z = self.at
        self.build = rng.uniform(0.92, 1.08)
        fat_mm, muscle_mm = rng.uniform(9, 26), rng.uniform(11, 16)  # around a cavity that the organs fill
        half_width = 127 * self.build + fat_mm + muscle_mm
        half_depth = 77 * self.build * rng.uniform(0.94, 1.06) + fat_mm + muscle_mm
        waist = 1 + z * np.float32(rng.uniform(-0.05, 0.05) / 100)
        flat_back = y * np.where(y < 0, np.float32(1.12), np.float32(1))
        self.skin = ellipsoid((x / waist, flat_back), (0, 0), (half_width, half_depth), power=2.4)
        self.muscle = self.skin + fat_mm * (1 + 0.2 * self.field(70))
        self.cavity = self.muscle + muscle_mm * (1 + 0.15 * self.field(60))
        self.table_top_mm = -half_depth / 1.12 - 4
        self.diaphragm_mm = rng.normal(62, 5)  # the height of its right half

        phase = rng.uniform(0, 1)  # from no contrast agent towards a portal venous scan
        self.hu = {
            "fat": rng.normal(_FAT_HU, 4),
            "lung": rng.normal(-830, 20),
            "muscle": rng.normal(54, 4) + 8 * phase,
            "liver": rng.normal(58, 7) + 24 * phase,
            "spleen": rng.normal(50, 5) + 30 * phase,
            "pancreas": rng.normal(42, 5) + 26 * phase,
            "kidney": rng.normal(38, 5) + 50 * phase,
            "vessel": rng.normal(42, 4) + 60 * phase,
            "bowel": rng.normal(35, 6) + 16 * phase,
        }

    def field(self, scale_mm: float) -> Array:
        return smooth_field(self.rng, self.axes_mm, scale_mm)

    def textured(self, tissue: str, scale_mm: float = 9.0, spread_hu: float = 5.0) -> Array:
        return (np.float32(self.hu[tissue]) + spread_hu * self.field(scale_mm))[..., None]

    def blob(self, centre_mm: Triple, radii_mm: Triple, ripple_mm: float = 3.0) -> Array:
        """An ellipsoid with an uneven surface, at about this place and of about this size."""
        centre = self.build * np.asarray(centre_mm) + self.rng.normal(0, 5, 3)
        radii = self.build * np.asarray(radii_mm) * np.exp(self.rng.normal(0, 0.08, 3))
        return ellipsoid(self.at, centre, radii) + ripple_mm * self.field(35)

    def draw_wall(self, canvas: Canvas) -> None:
        """Table, skin, the fat below it, the muscle wall, and fat as the filling of the cavity."""
        x, y = self.axes_mm[0][:, None, None], self.axes_mm[1][None, :, None]
        trough = self.table_top_mm + (x / 36) ** 2 - y
        canvas.paint(intersection(np.abs(trough - 5) - 5, np.abs(x) - 195), [100.0])
        canvas.paint(self.skin, [20.0])
        canvas.paint(self.skin + 2, self.textured("fat", 40, 8))
        canvas.paint(self.muscle, self.textured("muscle", 8))
        canvas.paint(self.cavity, self.textured("fat", 30, 8))

    def draw_ribs(self, canvas: Canvas) -> None:
        """Ribs in the middle of the wall, 30 mm apart, descending towards the front, none below the flank."""
        _, y, z = self.at
        mid_wall = 0.5 * (self.muscle + self.cavity)
        height = (z + 0.45 * y + self.rng.uniform(0, 30)) % 30 - 15
        ribs = intersection(np.abs(mid_wall) - 4.5, np.abs(height) - 6, 0.5 * y - z - 30)
        canvas.paint(ribs, [self.rng.uniform(250, 400)])

    def draw_bowel_and_stomach(self, canvas: Canvas) -> None:
        _, y, z = self.at
        bowel = intersection(10 * (0.2 - self.field(17)), self.cavity + 5, z + 5 + 6 * self.field(40), -y)
        canvas.paint(bowel, self.textured("bowel", 12, 8))
        canvas.paint(bowel + 9, [-700.0])
        stomach = intersection(self.blob((-52, 42, 22), (40, 32, 48)), self.cavity + 5)
        canvas.paint(stomach, self.textured("bowel", 15, 8))
        gas = intersection(stomach + 5, self.build * 58 - y)  # it rises to the front
        canvas.paint(gas, [-900.0])

    def draw_kidneys(self, canvas: Canvas) -> None:
        for side in (-1, 1):
            kidney = self.blob((side * 64, -38, -28 - 6 * side), (25, 27, 50), 2)
            canvas.paint(kidney - 4, [_FAT_HU])
            canvas.paint(kidney, self.textured("kidney", 10))
            canvas.paint(kidney + 15, [_FAT_HU / 2])

    def draw_organs(self, canvas: Canvas) -> None:
        """Each organ lies in a thin rim of fat, which shows its border where a neighbour is as dense."""
        x, y, z = self.at
        right, left = self.blob((72, 8, 12), (76, 82, 64), 5), self.blob((8, 46, 26), (72, 36, 34), 5)
        liver = intersection(np.minimum(right, left), self.cavity + 3)
        hilum = self.blob((-46, 2, 20), (28, 34, 44))
        spleen = intersection(self.blob((-100, -28, 20), (42, 56, 54)), self.cavity + 3, -hilum)

        u = (x / np.float32(self.build) + 24) / 60  # along the pancreas: -1 at the spleen, 1 at its head
        bent = (x, y + np.float32(20 * self.build) * u**2, z + np.float32(16 * self.build) * u)
        centre = self.build * np.asarray((-24, 10, -6)) + self.rng.normal(0, 4, 3)
        radii = self.build * np.asarray((62, 14, 17)) * np.exp(self.rng.normal(0, 0.08, 3))
        pancreas = ellipsoid(bent, centre, radii) + 2.5 * self.field(18)

        grains = ((9, 5), (13, 14), (7, 9))  # mm and HU: a spleen is mottled, a pancreas finely lobed
        organs = (("liver", liver, 3), ("spleen", spleen, 3), ("pancreas", pancreas, 4))
        for number, (grain, (name, organ, rim_mm)) in enumerate(zip(grains, organs, strict=True), start=1):
            canvas.paint(organ - rim_mm, [_FAT_HU])
            canvas.paint(organ, self.textured(name, *grain), number)

    def draw_chest(self, canvas: Canvas) -> None:
        """Lungs and heart above the diaphragm, whose domes cap liver and spleen."""
        x, y, z = self.at
        heights_mm = {1: self.diaphragm_mm, -1: self.diaphragm_mm - self.rng.uniform(4, 16)}
        right, left = (
            np.float32(height) - ((x - side * 70) / 14) ** 2 - ((y + 5) / 15) ** 2
            for side, height in heights_mm.items()
        )
        chest = intersection(np.maximum(right, left) - z, self.cavity + 2)
        heart = self.blob((-18, 28, 92), (58, 44, 46))
        lungs = intersection(chest, 24 + 5 * self.field(40) - np.abs(x), -4 - heart)
        canvas.paint(chest, self.textured("fat", 30, 8))
        canvas.paint(lungs, self.textured("lung", 12, 25))
        canvas.label[canvas.image[..., 0] < -120] = 0  # a voxel that looks like lung is no organ's
        canvas.paint(intersection(heart, chest + 4), self.textured("vessel", 15))

    def draw_spine_and_vessels(self, canvas: Canvas) -> None:
        x, y, z = self.at
        s = self.build

        def column(x_mm: float, y_mm: float, width_mm: float, depth_mm: float) -> Array:
            return ellipsoid((x, y), (s * x_mm, s * y_mm), (s * width_mm / 2, s * depth_mm / 2))

        for side in (-1, 1):
            canvas.paint(column(side * 34, -80, 68, 40), self.textured("muscle", 8))
            psoas = column(side * 34, -52, 30, 34) + 0.12 * (z + 10)  # thicker further down
            canvas.paint(psoas, self.textured("muscle", 8))
        bone_hu = self.rng.uniform(350, 550)
        canvas.paint(column(0, -92, 14, 36), [bone_hu])
        canvas.paint(column(0, -82, 34, 26), [bone_hu])
        canvas.paint(column(0, -80, 18, 16), [25.0])  # the canal
        vertebrae = column(0, -54, 44, 34) + 2 * np.cos(z * np.float32(2 * np.pi / 32))
        canvas.paint(vertebrae, [bone_hu])
        canvas.paint(vertebrae + 4, [self.rng.uniform(130, 210)])
        for x_mm in (-12, 17):
            vessel = column(x_mm + self.rng.normal(0, 2), -25, 22, 20)
            canvas.paint(vessel, [self.hu["vessel"]])
