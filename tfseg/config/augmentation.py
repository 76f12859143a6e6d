"""Define the augmentation part of a configuration: which changes of training images, how often and how strong."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tfseg.config.section import NotNegative, Positive, Section

Anatomical = Literal["left_right", "anterior_posterior", "superior_inferior"]


def _ordered(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError("a range expects low <= high")
    return ends


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
RangeFromZero = Annotated[tuple[NotNegative, NotNegative], AfterValidator(_ordered)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]
FromOne = Annotated[float, Field(ge=1)]


class Step(Section):
    """A change of an image, made with a probability."""

    probability: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Probability of the step."""


class FlipConfig(Step):
    """Mirror along each of these axes of the body, each with the probability; paired structures swap sides."""

    probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Probability that an axis is mirrored."""
    axes: Annotated[tuple[Anatomical, ...], Field(min_length=1)]
    """Axes of the body to mirror along."""


class RotateConfig(Step):
    """Turn within slices and, in 3D, about the other two axes too, each by an angle of its own."""

    degrees: Range = (-15.0, 15.0)
    """Range of the angles."""


class ScaleConfig(Step):
    """Enlarge by a factor about the middle."""

    factor: PositiveRange = (0.85, 1.2)
    """Range of the factor; above 1 enlarges."""


class ElasticConfig(Step):
    """Deform smoothly, by displacements of this standard deviation."""

    displacement_mm: RangeFromZero = (0.0, 3.0)
    """Range of the standard deviation of the displacements, in millimetres."""


class BiasFieldConfig(Step):
    """Multiply by the exponential of a smooth field of this standard deviation; the least value stays."""

    amplitude: RangeFromZero = (0.0, 0.3)
    """Range of the standard deviation of the field's logarithm."""


class BrightnessConfig(Step):
    """Add a number, in units of the prepared image, to each image."""

    shift: Range = (-0.2, 0.2)
    """Range of the number that is added, in units of the prepared image."""


class ContrastConfig(Step):
    """Multiply differences from each channel's mean by a factor."""

    factor: PositiveRange = (0.75, 1.25)
    """Range of the factor."""


class GammaConfig(Step):
    """Raise each channel, between its least and greatest value, to the power of e^`log_gamma`."""

    log_gamma: Range = (-0.3, 0.3)
    """Range of the logarithm of the power."""


class BlurConfig(Step):
    """Blur by a Gaussian of this standard deviation in voxels."""

    sd_voxels: RangeFromZero = (0.0, 1.0)
    """Range of the standard deviation, in voxels."""


class AnisotropyConfig(Step):
    """Sample one axis more coarsely by a factor, and interpolate back."""

    factor: Annotated[tuple[FromOne, FromOne], AfterValidator(_ordered)] = (1.2, 2.0)
    """Range of the factor."""


class NoiseConfig(Step):
    """Add Gaussian noise of this standard deviation, in units of the prepared image."""

    sd: RangeFromZero = (0.0, 0.1)
    """Range of the standard deviation, in units of the prepared image."""


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
