"""Define the network part of a configuration, and the settings of the named networks."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from tfseg.config.section import Count, Fraction, Section

PLAIN: dict[str, Any] = {"dropout": (0.0, 0.0), "transposed_width": None}
LIGHT: dict[str, Any] = {
    "filters": 8,
    "depth": 3,
    "dropout": (0.1, 0.3),
    "activation": "leaky_relu",
    "transposed_width": None,
}
DEEP: dict[str, Any] = {
    **PLAIN,
    "filters": 32,
    "doublings": 3,
    "depth": 5,
    "convolutions": (2, 1),
    "norm": "instance",
    "activation": "leaky_relu",
    "deep_supervision": 4,
}

# Settings of each named network; the rest are the defaults of ModelConfig.
PRESETS: dict[str, dict[str, Any]] = {
    "unet_2d": {},
    "unet_2d_standard": {**PLAIN, "filters": 64},
    "unet_2d_light": LIGHT,
    "unet_2d_deep": DEEP,
    "unet_3d": {**PLAIN, "depth": 3},
    "unet_3d_light": LIGHT,
    "unet_3d_deep": DEEP,
}


class ModelConfig(Section):
    """A network of tfseg by its name; what is not set is as the name says.

    The defaults are those of `unet_2d`: 16 filters and depth 4 follow Kethavath 2025
    (10.1088/2057-1976/ae2b73).
    """

    name: Literal[
        "unet_2d", "unet_2d_standard", "unet_2d_light", "unet_2d_deep", "unet_3d", "unet_3d_light", "unet_3d_deep"
    ] = "unet_2d"
    """The network.

    A name, in a file or with `--set`, replaces the whole of `model`: what is not set beside it is as the name says.
    """
    filters: Count = 16
    """Filters of the first stage."""
    doublings: Annotated[int, Field(ge=0)] | None = None
    """Stages after the first at which the filters double; null: every stage."""
    depth: Annotated[int, Field(ge=1, le=7)] = 4
    """Number of down-samplings."""
    pooling: tuple[tuple[Count, ...], ...] | None = None
    """Factors of each down-sampling along each axis, as `[[1, 2, 2], [2, 2, 2]]`; null: chosen.

    They are chosen from size and spacing of the prepared images, and a run's `config.yaml` holds them.
    """
    convolutions: tuple[Count, Count] = (2, 2)
    """Convolutions per stage of the encoder and of the decoder."""
    dropout: tuple[Fraction, Fraction] = (0.0, 0.2)
    """Dropout rates of the finest and the coarsest stage; those between are interpolated."""
    norm: Literal["batch", "instance", "group", "none"] = "batch"
    """Normalisation after every convolution."""
    norm_momentum: Fraction = 0.9
    """Share of the past in the moving statistics of batch norm; 0.99 needs hundreds of steps to follow."""
    norm_groups: Count = 8
    """Groups of group norm."""
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu"] = "relu"
    """Activation after every normalisation."""
    downsampling: Literal["max_pool", "strided_convolution"] = "max_pool"
    """Way to make a stage coarser.

    LiteRT has no max pooling in 3D.
    """
    upsampling: Literal["transposed", "linear"] = "transposed"
    """Way to make a stage finer.

    `transposed` is a convolution; `linear` interpolates and applies a convolution of width 1.
    """
    transposed_width: Count | None = 3
    """Width of the transposed convolutions; null: that of their strides."""
    attention: bool = False
    """Put an attention gate on every skip connection."""
    residual: bool = False
    """Add the input of every stage to its output."""
    deep_supervision: Count = 1
    """Levels that have an output, from the finest on."""

    @model_validator(mode="before")
    @classmethod
    def _as_its_name_says(cls, values: object) -> object:
        return {**PRESETS.get(str(values.get("name")), {}), **values} if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _levels_agree(self) -> Self:
        if self.deep_supervision > self.depth:
            raise ValueError(f"deep_supervision needs as many levels: at most {self.depth}, the depth")
        if self.pooling is not None and [len(each) for each in self.pooling] != [self.rank] * self.depth:
            raise ValueError(f"pooling needs factors of {self.rank} axes for each of {self.depth} levels, the depth")
        if self.norm == "group" and self.filters % self.norm_groups:
            raise ValueError(f"norm_groups must divide the {self.filters} filters, received {self.norm_groups}")
        return self

    @property
    def rank(self) -> int:
        """The number of spatial axes of the images that the network takes."""
        return 3 if "3d" in self.name else 2


def _reference(text: str) -> str:
    if not re.fullmatch(r"\w+(\.\w+)*:\w+", text):
        raise ValueError("expected package.module:function")
    return text


class ImportedModelConfig(Section):
    """A network of someone else's code."""

    model_config = ConfigDict(serialize_by_alias=True)

    import_: Annotated[str, AfterValidator(_reference), Field(alias="import")]
    """The function, as `package.module:function`; it is called as `function(image_shape, classes, **settings)`."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the function."""
    deep_supervision: Count = 1
    """Number of the network's outputs, the full size first."""


def imported_functions(model: ModelConfig | ImportedModelConfig) -> tuple[str, ...]:
    """Return the function that builds a network; none for tfseg's own."""
    return (model.import_,) if isinstance(model, ImportedModelConfig) else ()


def _kind(values: object) -> str:
    is_imported = "import" in values if isinstance(values, Mapping) else isinstance(values, ImportedModelConfig)
    return "Imported" if is_imported else "Named"


NetworkConfig = Annotated[
    Annotated[ModelConfig, Tag("Named")] | Annotated[ImportedModelConfig, Tag("Imported")], Discriminator(_kind)
]
