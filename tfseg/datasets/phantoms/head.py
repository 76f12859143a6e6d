"""A synthetic head MR: scalp, skull, folded cortex, ventricles and, in most subjects, a tumour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfseg.datasets.phantoms.shapes import (
    Array,
    Canvas,
    ellipsoid,
    intersection,
    rotated,
    smooth_field,
    voxel_centres,
)

TISSUES = {1: "skin", 2: "skull", 3: "CSF", 4: "grey_matter", 5: "white_matter"}
LABELS = {**TISSUES, 6: "tumour"}
CHANNELS = ("T1", "FLAIR")

_SKIN, _SKULL, _CSF, _GREY, _WHITE, _TUMOUR = LABELS
_HEIGHT_MM = 154.0
_TUMOUR_CHANCE = 0.8
_SIGNAL = {  # T1 and FLAIR, white matter on T1 about 0.8
    "scalp": (0.50, 0.42),
    "fat": (1.50, 1.05),
    "skull": (0.13, 0.12),
    "marrow": (0.40, 0.28),
    "fluid": (0.22, 0.16),
    "grey": (0.55, 0.62),
    "white": (0.80, 0.50),
    "oedema": (0.66, 0.88),
    "tumour": (0.46, 0.76),
    "necrosis": (0.30, 0.52),
}


def head(
    rng: np.random.Generator, size: int, tumour_chance: float = _TUMOUR_CHANCE
) -> tuple[Array, NDArray[np.uint8], NDArray[np.float64]]:
    """One subject: image in a scanner's arbitrary units [x, y, z, 2], labels [x, y, z], affine (RAS+)."""
    width_mm, slice_mm = rng.uniform(225, 245), rng.uniform(6.4, 7.4) * 64 / size
    spacing_mm = (width_mm / size, width_mm / size, slice_mm)
    shape = (size, size, round(_HEIGHT_MM / slice_mm))
    axes_mm = voxel_centres(shape, spacing_mm, (rng.normal(0, 3), rng.normal(0, 3), rng.normal(6, 3)))
    affine = np.diag((*spacing_mm, 1.0))
    affine[:3, 3] = [axis[0] for axis in axes_mm]

    subject = _Head(rng, axes_mm)
    canvas = Canvas(shape, [0.0, 0.0])
    subject.draw_scalp_and_skull(canvas)
    subject.draw_cortex(canvas)
    lesion = subject.lesion() if rng.uniform() < tumour_chance else None
    if lesion is not None:
        subject.draw_oedema(canvas, lesion)
    subject.draw_deep_structures(canvas)
    if lesion is not None:
        subject.draw_tumour(canvas, lesion)
    return _acquired(rng, axes_mm, canvas.image), canvas.label, affine


def _acquired(rng: np.random.Generator, axes_mm: list[Array], signal: Array) -> Array:
    """Apply what a scanner does to the signal: a smooth bias field, an arbitrary gain, Rician noise."""
    bias = np.exp(0.12 * smooth_field(rng, axes_mm, 100))[..., None]
    level = rng.uniform(0.02, 0.04)
    gain = rng.uniform(350, 900, signal.shape[-1])
    noise = level * rng.standard_normal((2, *signal.shape), dtype=np.float32)
    magnitude = np.hypot(signal * bias + noise[0], noise[1])  # real and imaginary part are noisy alike
    return np.round(gain * magnitude).astype(np.float32)


class _Head:
    """One subject's proportions and pose; the middle of the brain is the origin."""

    def __init__(self, rng: np.random.Generator, axes_mm: list[Array]) -> None:
        self.rng, self.axes_mm = rng, axes_mm
        grid = np.meshgrid(*axes_mm, indexing="ij", sparse=True)
        posed = rotated(rotated(grid, rng.normal(0, 5)), rng.normal(0, 5), (1, 2))
        self.at = [p + np.float32(rng.normal(0, 2)) + 3 * self.field(60) for p in posed]

        x, y, z = self.at
        self.radii_mm = np.array((66.0, 82.0, 66.0)) * rng.uniform(0.95, 1.05) * np.exp(rng.normal(0, 0.025, 3))
        flat_base = z * np.where(z < 0, np.float32(1.2), np.float32(1))
        self.inner_skull = ellipsoid((x, y, flat_base), (0, 0, 0), self.radii_mm + 3.5, power=2.2)
        self.brain = self.inner_skull + rng.uniform(3, 4.5) * (1 + 0.3 * self.field(30))
        self.skull = self.inner_skull - rng.uniform(6, 8) * (1 + 0.15 * self.field(40))
        long_face = z * np.where(z < 0, np.float32(0.4), np.float32(1))
        self.scalp = ellipsoid((x, y, long_face), (0, 0, 0), self.radii_mm + rng.uniform(16, 19), power=2.2)

        # The sheets where a random field changes sign are sulci; its absolute value tells how far they are.
        sulcus_mm = 8 * np.abs(self.field(12))
        self.sulci = intersection(sulcus_mm - rng.uniform(0.8, 1.4), -18 - self.brain)
        folds = np.minimum(4.6 - sulcus_mm, self.brain + 20)
        self.white = intersection(self.brain + 4, folds)

    def field(self, scale_mm: float) -> Array:
        return smooth_field(self.rng, self.axes_mm, scale_mm)

    def textured(self, tissue: str, scale_mm: float = 8.0, spread: float = 0.04) -> Array:
        return np.asarray(_SIGNAL[tissue], np.float32) * (1 + spread * self.field(scale_mm)[..., None])

    def blob(self, centre_mm: tuple[float, ...], radii_mm: tuple[float, ...], ripple_mm: float = 1.0) -> Array:
        """An ellipsoid with an uneven surface, at about this place and of about this size."""
        centre = np.asarray(centre_mm) + self.rng.normal(0, 1.5, 3)
        radii = np.asarray(radii_mm) * np.exp(self.rng.normal(0, 0.1, 3))
        return ellipsoid(self.at, centre, radii) + ripple_mm * self.field(14)

    def draw_scalp_and_skull(self, canvas: Canvas) -> None:
        canvas.paint(self.scalp, self.textured("scalp", 10, 0.1), _SKIN)
        canvas.paint(self.scalp + 2, self.textured("fat", 14, 0.12), _SKIN)
        face = self.at[2] + 20  # muscle between fat below the skull, a plain layer of fat above
        muscle = intersection(self.scalp + 6, face, 10 * (self.field(12) - 0.1))
        canvas.paint(muscle, self.textured("scalp", 14, 0.1), _SKIN)
        for side in (-1, 1):
            eye = self.blob((side * 32, 74, -48), (12, 12, 12), 0.3)
            canvas.paint(eye - 4, self.textured("fat"), _SKIN)
            canvas.paint(eye, self.textured("fluid"), _SKIN)
        nose = self.blob((0, 72, -66), (13, 24, 18), 2)
        canvas.paint(nose, [0.0, 0.0])
        canvas.paint(self.skull, self.textured("skull"), _SKULL)
        marrow = np.abs(0.5 * (self.skull + self.inner_skull)) - 1
        canvas.paint(marrow, self.textured("marrow", 12, 0.2), _SKULL)

    def draw_cortex(self, canvas: Canvas) -> None:
        x, _, z = self.at
        canvas.paint(self.inner_skull, self.textured("fluid"), _CSF)
        canvas.paint(self.brain, self.textured("grey"), _GREY)
        canvas.paint(intersection(self.white, self.brain), self.textured("white"), _WHITE)
        canvas.paint(intersection(self.sulci, self.brain), self.textured("fluid"), _CSF)
        midline = np.abs(x + 1.5 * self.field(40))
        above = 24 - z  # the corpus callosum joins the halves below
        canvas.paint(intersection(midline - 4.5, self.brain, above), self.textured("grey"), _GREY)
        canvas.paint(intersection(midline - 1.3, self.brain, above), self.textured("fluid"), _CSF)

    def draw_deep_structures(self, canvas: Canvas) -> None:
        """Basal ganglia, ventricles, brainstem and cerebellum."""
        x, y, _ = self.at
        cerebellum = intersection(self.blob((0, -44, -38), (46, 28, 18)), self.brain)
        canvas.paint(cerebellum - 2, self.textured("fluid"), _CSF)
        canvas.paint(cerebellum, self.textured("grey", 5, 0.1), _GREY)
        canvas.paint(cerebellum + 7 + 2 * self.field(6), self.textured("white"), _WHITE)
        stem = intersection(self.blob((0, -16, -46), (14, 13, 28)), self.brain)
        canvas.paint(stem - 2, self.textured("fluid"), _CSF)
        canvas.paint(stem, self.textured("white"), _WHITE)
        width_mm = self.rng.uniform(5, 10)  # ventricles grow with age
        for side in (-1, 1):
            canvas.paint(self.blob((side * 14, -10, 3), (10, 15, 11)), self.textured("grey"), _GREY)
            canvas.paint(self.blob((side * 26, 8, 3), (8, 19, 12)), self.textured("grey"), _GREY)
            centre = (side * 13.0, 0.0, 16.0)
            bent = (x - side * (y / 22) ** 2, y, self.at[2])  # horns spread at both ends
            ventricle = ellipsoid(bent, centre, (width_mm, 36, 9)) + 0.8 * self.field(14)
            canvas.paint(ventricle, self.textured("fluid"), _CSF)
        canvas.paint(self.blob((0, -6, 2), (2.5, 13, 9), 0.3), self.textured("fluid"), _CSF)

    def lesion(self) -> Array:
        """A lobed mass in one half of the brain, off the middle, above the cerebellum."""
        side = self.rng.choice((-1, 1))
        centre = (side * self.rng.uniform(22, 42), self.rng.uniform(-42, 46), self.rng.uniform(-14, 36))
        radii = self.rng.uniform(13, 25) * np.exp(self.rng.normal(0, 0.15, 3))
        return ellipsoid(self.at, centre, radii) + 3 * self.field(13)

    def draw_oedema(self, canvas: Canvas, lesion: Array) -> None:
        """A halo in the white matter, bright on FLAIR; it stays white matter in the labels."""
        halo = lesion - self.rng.uniform(5, 12) * (1 + 0.4 * self.field(22))
        canvas.paint(intersection(halo, self.white, self.brain), self.textured("oedema", 10, 0.06), _WHITE)

    def draw_tumour(self, canvas: Canvas, lesion: Array) -> None:
        mass = intersection(lesion, self.brain + 1)
        canvas.paint(mass, self.textured("tumour", 8, 0.1), _TUMOUR)
        canvas.paint(mass + self.rng.uniform(7, 11), self.textured("necrosis", 8, 0.1), _TUMOUR)
