"""Define the augmentation part of a configuration: which changes of training images, how often and how strong."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tfseg.config.section import NotNegative, Positive, Section

Anatomical = Literal["left_right", "anterior_posterior", "superior_inferior"]


def _ordered(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError(f"a range expects low <= high, received [{ends[0]:g}, {ends[1]:g}]")
    return ends


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
RangeFromZero = Annotated[tuple[NotNegative, NotNegative], AfterValidator(_ordered)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]
FromOne = Annotated[float, Field(ge=1)]


class Step(Section):
    """A change of an image, made with a probability."""

    probability: Annotated[float, Field(ge=0, le=1)] = 0.2


class FlipConfig(Step):
    """Mirror along each of these axes of the body, each with the probability; paired structures swap sides."""

    probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    axes: Annotated[tuple[Anatomical, ...], Field(min_length=1)]


class RotateConfig(Step):
    """Turn within slices and, in 3D, about the other two axes too, each by an angle of its own."""

    degrees: Range = (-15.0, 15.0)


class ScaleConfig(Step):
    """Enlarge by a factor about the middle."""

    factor: PositiveRange = (0.85, 1.2)


class ElasticConfig(Step):
    """Deform smoothly, by displacements of this standard deviation."""

    displacement_mm: RangeFromZero = (0.0, 3.0)


class BiasFieldConfig(Step):
    """Multiply by the exponential of a smooth field of this standard deviation; the least value stays."""

    amplitude: RangeFromZero = (0.0, 0.3)


class BrightnessConfig(Step):
    """Add a number, in units of the prepared image, to each image."""

    shift: Range = (-0.2, 0.2)


class ContrastConfig(Step):
    """Multiply differences from each channel's mean by a factor."""

    factor: PositiveRange = (0.75, 1.25)


class GammaConfig(Step):
    """Raise each channel, between its least and greatest value, to the power of e^`log_gamma`."""

    log_gamma: Range = (-0.3, 0.3)


class BlurConfig(Step):
    """Blur by a Gaussian of this standard deviation in voxels."""

    sd_voxels: RangeFromZero = (0.0, 1.0)


class AnisotropyConfig(Step):
    """Sample one axis more coarsely by a factor, and interpolate back."""

    factor: Annotated[tuple[FromOne, FromOne], AfterValidator(_ordered)] = (1.2, 2.0)


class NoiseConfig(Step):
    """Add Gaussian noise of this standard deviation, in units of the prepared image."""

    sd: RangeFromZero = (0.0, 0.1)


class AugmentationConfig(Section):
    """Changes of training images, in the order in which they are made; those that are not named are not made.

    Flip, rotation, scale and deformation change image and truth alike; what comes from beyond the border is mirrored.
    """

    flip: FlipConfig | None = None
    rotate: RotateConfig | None = None
    scale: ScaleConfig | None = None
    elastic: ElasticConfig | None = None
    bias_field: BiasFieldConfig | None = None
    brightness: BrightnessConfig | None = None
    contrast: ContrastConfig | None = None
    gamma: GammaConfig | None = None
    blur: BlurConfig | None = None
    anisotropy: AnisotropyConfig | None = None
    noise: NoiseConfig | None = None
