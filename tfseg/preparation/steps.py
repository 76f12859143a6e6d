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
    """A second label map per case: its path, what its values become, and whether it wins over the first.

    `path` may contain {case} and {subject}; a relative path starts at the folder of the case's image.
    """

    path: str
    values: dict[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]]
    over: bool = True


class Recipe(Section):
    """Preparation steps, in the order in which they are applied; what is absent is derived from the data.

    Labels, on the scan's own voxels: `second_map` is fused with the first; `labels` makes new labels of old values or
    names, merges several into one, and drops the others; `ignore` lists labels without loss and score; `regions` are
    unions of labels, which may overlap; `largest_component` and `min_component_voxels` clean up.

    Intensities, on the scan's own voxels: `window_hu` clips to [low, high] or {width, level}; `skull_strip` keeps the
    brain, found by `region` in channel `skull_strip_channel`, in a given `mask` (a path that may contain {case} and
    {subject}, relative to the folder of the image), or by a `command` that contains {image} and {mask}, and sets the
    rest to the brain's least value; `median_kernel` is in pixels of a slice, 0 for none; `blur_mm` is a Gaussian's
    standard deviation; `scaling` is measured over the `volume`, its `nonzero` voxels or the `body`, or the brain
    after skull stripping.

    Geometry: `crop` to the box of the `nonzero` voxels or of the `body` (after skull stripping, of the brain);
    `spacing_mm` along x, y and z, null to keep the scan's own, `median` for the dataset's within slices, `median_3d`
    for it along all axes; slices across `axis`, of `size` pixels: `pad` keeps their scale and pads, `resize` scales
    both sides alike until they fit, `stretch` scales each side and so distorts; `slices` is the number of slices,
    padded to or, with `stretch`, scaled to.

    Training only: `empty_slices` is the share of slices without a label that it sees.
    """

    second_map: SecondMap | None = None
    labels: dict[str, References] | None = None
    ignore: tuple[Reference, ...] = ()
    regions: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    largest_component: tuple[str, ...] = ()
    min_component_voxels: dict[str, Count] = Field(default_factory=dict)

    window_hu: tuple[float, float] | None = None
    skull_strip: Literal["none", "region", "mask", "command"] = "none"
    skull_strip_channel: Annotated[int, Field(ge=0)] = 0
    skull_strip_mask: str | None = None
    skull_strip_command: str | None = None
    median_kernel: Annotated[int, Field(ge=0)] = 0
    blur_mm: Annotated[float, Field(ge=0)] = 0
    scaling: Literal["zscore", "minmax", "percentile", "none"] | None = None
    scaling_percentiles: tuple[Percentile, Percentile] = FOREGROUND_PERCENTILES
    scaling_over: Literal["volume", "nonzero", "body"] = "volume"

    crop: Literal["none", "nonzero", "body"] = "none"
    crop_margin_mm: Annotated[float, Field(ge=0)] = 5
    spacing_mm: Literal["own", "median", "median_3d"] | tuple[Positive | None, Positive | None, Positive | None] = "own"
    image_interpolation: Literal["spline", "linear"] = "spline"
    label_interpolation: Literal["linear", "nearest"] = "linear"
    axis: Literal["sagittal", "coronal", "axial"] | None = None
    fit: Literal["pad", "resize", "stretch"] = "pad"
    size: tuple[Count, Count] | None = None
    slices: Count | None = None

    empty_slices: Annotated[float, Field(ge=0, le=1)] = 1

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
        """Which voxels of a scan have to be found before its steps."""
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
