"""The steps of a preparation recipe."""

import shlex
from collections.abc import Mapping
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationInfo, field_validator, model_validator

from tfseg.config.section import Count, Positive, Section

# CT is clipped to these percentiles of the labelled voxels (Isensee 2021, 10.1038/s41592-020-01008-z).
FOREGROUND_PERCENTILES = (0.5, 99.5)
Reference = int | str
References = Annotated[tuple[Reference, ...], Field(min_length=1)]
# Voxels that are found in a scan: the brain, the body, or those that are not 0 in some channel.
Inside = Literal["brain", "body", "nonzero"]
Percentile = Annotated[float, Field(ge=0, le=100)]


class SecondMap(Section):
    """A second label map per case."""

    path: str
    """Path of the map; it may contain `{case}` and `{subject}`, and starts at the folder of the case's image."""
    values: dict[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]]
    """New values of its labels, as `{1: 7}`; its other values are left out."""
    over: bool = True
    """Whether it is laid over the first map; if not, under it."""


class Recipe(Section):
    """Preparation steps, in the order in which they are applied.

    Labels and intensities change on the scan's own voxels, before the geometry does.
    """

    channels: Count | None = None
    """Number of channels that a dataset must have; null: any."""
    second_map: SecondMap | None = None
    """A second label map that is fused with the first."""
    labels: dict[str, References] | None = None
    """New labels from old values or names, as `{lesion: [1, 2]}`; labels that are not listed become background."""
    ignore: tuple[Reference, ...] = ()
    """Labels whose voxels have no loss and no score."""
    regions: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Unions of labels, which may overlap, as `{whole: [core, oedema]}`."""
    largest_component: tuple[str, ...] = ()
    """Labels of which only the largest component is kept."""
    min_component_voxels: dict[str, Count] = Field(default_factory=dict)
    """Smallest components that are kept, in voxels, as `{lesion: 10}`."""

    window_hu: tuple[float, float] | None = None
    """Clip to [low, high], or to `{width: 400, level: 40}`; null: derived for CT, unless `scaling` is set."""
    skull_strip: Literal["none", "region", "mask", "command"] = "none"
    """Keep the brain.

    `region` finds it by thresholds and morphology in millimetres (2D images in 2D), `mask` takes it from a file,
    `command` from another program. Voxels elsewhere get the brain's least value.
    """
    skull_strip_channel: Annotated[int, Field(ge=0)] = 0
    """Channel in which `region` finds the brain, counted from 0."""
    skull_strip_mask: str | None = None
    """File for `mask`; it may contain `{case}` and `{subject}`. Voxels above 0 are brain."""
    skull_strip_command: str | None = None
    """Program for `command`, as `"PROGRAM {image} {mask}"`; no shell is involved."""
    median_kernel: Annotated[int, Field(ge=0)] = 0
    """Width of a median filter within slices, in pixels, odd; 0: none."""
    blur_mm: Annotated[float, Field(ge=0)] = 0
    """Standard deviation of a Gaussian along every axis, in millimetres; 0: none."""
    scaling: Literal["zscore", "minmax", "percentile", "none"] | None = None
    """Scale intensities; null: minmax after a window, zscore otherwise."""
    scaling_percentiles: tuple[Percentile, Percentile] = FOREGROUND_PERCENTILES
    """Percentiles that `percentile` maps to 0 and 1."""
    scaling_over: Literal["volume", "nonzero", "body"] = "volume"
    """Voxels over which scaling is measured; after skull stripping always the brain.

    Voxels elsewhere get the least value.
    """

    crop: Literal["none", "nonzero", "body"] = "none"
    """Crop to the box of these voxels; after skull stripping, of the brain. A label outside it is an error."""
    crop_margin_mm: Annotated[float, Field(ge=0)] = 5
    """Margin around the box, in millimetres."""
    spacing_mm: Literal["own", "median", "median_3d"] | tuple[Positive | None, Positive | None, Positive | None] = "own"
    """Resample to this spacing along x, y and z; null keeps the scan's own.

    `own` resamples nothing, `median` takes the median of the dataset within slices, `median_3d` along all axes.
    """
    image_interpolation: Literal["spline", "linear"] = "spline"
    """Interpolation of images."""
    label_interpolation: Literal["linear", "nearest"] = "linear"
    """Interpolation of labels; `linear` interpolates the mask of each label, and the largest wins."""
    axis: Literal["sagittal", "coronal", "axial"] | None = None
    """Axis that slices are perpendicular to; null: derived from the voxels' sides."""
    fit: Literal["pad", "resize", "stretch"] = "pad"
    """Way to bring a slice to `size`.

    `pad` keeps its scale and pads; `resize` scales both sides alike until they fit, then pads; `stretch` scales each
    side, which distorts.
    """
    size: tuple[Count, Count] | None = None
    """Rows and columns of a slice; null: the largest slice, rounded up to a multiple of 16."""
    slices: Count | None = None
    """Number of slices, which volumes are padded to, or scaled to with `fit: stretch`; null: their own."""

    empty_slices: Annotated[float, Field(ge=0, le=1)] = 1
    """Share of the slices without a label that training sees; scoring sees all."""

    @field_validator("labels", mode="before")
    @classmethod
    def _one_label_needs_no_list(cls, labels: object) -> object:
        if isinstance(labels, Mapping):
            return {name: [old] if isinstance(old, Reference) else old for name, old in labels.items()}
        return labels

    @field_validator("window_hu", mode="before")
    @classmethod
    def _width_and_level_are_a_range(cls, window: object) -> object:
        if isinstance(window, Mapping):
            if window.keys() != {"width", "level"} or not all(isinstance(n, int | float) for n in window.values()):
                raise ValueError("window_hu expects [low, high] or {width: …, level: …}")
            return window["level"] - window["width"] / 2, window["level"] + window["width"] / 2
        return window

    @field_validator("window_hu", "scaling_percentiles")
    @classmethod
    def _low_is_below_high(cls, ends: tuple[float, float] | None, info: ValidationInfo) -> tuple[float, float] | None:
        if ends is not None and not ends[0] < ends[1]:
            raise ValueError(f"{info.field_name} expects low < high")
        return ends

    @field_validator("median_kernel")
    @classmethod
    def _kernel_is_odd(cls, kernel: int) -> int:
        if kernel and kernel % 2 == 0:
            raise ValueError("median_kernel expects an odd number of pixels, or 0")
        return kernel

    @model_validator(mode="after")
    def _stripping_has_what_it_needs(self) -> Self:
        if (self.skull_strip == "mask") != (self.skull_strip_mask is not None):
            raise ValueError("skull_strip_mask belongs to skull_strip: mask, which needs it")
        if (self.skull_strip == "command") != (self.skull_strip_command is not None):
            raise ValueError("skull_strip_command belongs to skull_strip: command, which needs it")
        command = self.skull_strip_command
        if command is not None and not all(place in command for place in ("{image}", "{mask}")):
            raise ValueError("skull_strip_command needs {image} and {mask} in it")
        try:
            shlex.split(self.skull_strip_command or "")
        except ValueError as error:
            raise ValueError(f"skull_strip_command: {error}") from error
        return self

    @property
    def inside(self) -> Inside:
        """The voxels of a scan that its steps need to know first."""
        if self.skull_strip != "none":
            return "brain"
        return "body" if "body" in (self.scaling_over, self.crop) else "nonzero"

    @property
    def cropped_to(self) -> Inside | None:
        """The voxels whose box is kept; None without a crop."""
        if self.crop == "none":
            return None
        return "brain" if self.skull_strip != "none" else self.crop

    def to_yaml(self) -> str:
        """Return the recipe as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
