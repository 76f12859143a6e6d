"""Build the blocks of a U-Net, in 2D and 3D."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

CONVOLUTIONS = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}
TRANSPOSED_CONVOLUTIONS = {2: keras.layers.Conv2DTranspose, 3: keras.layers.Conv3DTranspose}
MAX_POOLINGS = {2: keras.layers.MaxPooling2D, 3: keras.layers.MaxPooling3D}
LEAKY_SLOPE = 0.01  # of nnU-Net and PyTorch; Keras's own is 0.3

Strides = tuple[int, ...]


def rank_of(x: keras.KerasTensor) -> int:
    """Return the number of spatial dimensions of a tensor `[batch, *spatial, channels]`."""
    return len(x.shape) - 2


def convolution(x: keras.KerasTensor, filters: int, width: Any, use_bias: bool = True, strides: Any = 1) -> Any:
    """Apply a convolution with He initialisation; `width` and `strides` are numbers, or one number per axis."""
    layer = CONVOLUTIONS[rank_of(x)]
    options = {"padding": "same", "kernel_initializer": "he_normal", "use_bias": use_bias}
    return layer(filters, width, strides=strides, **options)(x)


@dataclass(frozen=True)
class Blocks:
    """The blocks of one network, which all normalise and activate alike.

    Args:
        norm: "batch", "instance", "group" or "none".
        norm_momentum: share of the past in the moving statistics of batch norm, in [0, 1).
        norm_groups: groups of group norm.
        activation: "leaky_relu" (slope 0.01), or a name that Keras knows: "relu", "elu", "gelu", "silu".
        residual: add a block's input to its output, through a 1×1 convolution if their channels differ.
        synchronized: share batch statistics between replicas.
    """

    norm: str = "batch"
    norm_momentum: float = 0.9
    norm_groups: int = 8
    activation: str = "relu"
    residual: bool = False
    synchronized: bool = False

    def normalize(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Normalise channels.

        Raises:
            ValueError: if `norm` is unknown, or `norm_groups` does not divide the channels.
        """
        if self.norm == "batch":
            layer = keras.layers.BatchNormalization(momentum=self.norm_momentum, synchronized=self.synchronized)
            return layer(x)
        if self.norm == "instance":
            return keras.layers.GroupNormalization(groups=-1)(x)
        if self.norm == "group":
            if x.shape[-1] % self.norm_groups:
                raise ValueError(
                    f"norm_groups: expected a divisor of {x.shape[-1]} filters, received {self.norm_groups}"
                )
            return keras.layers.GroupNormalization(groups=self.norm_groups)(x)
        if self.norm != "none":
            raise ValueError(f"norm: expected batch, instance, group or none, received {self.norm!r}")
        return x

    def activate(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Apply the activation."""
        if self.activation == "leaky_relu":
            return keras.layers.LeakyReLU(negative_slope=LEAKY_SLOPE)(x)
        return keras.layers.Activation(self.activation)(x)

    def convolve(self, x: keras.KerasTensor, filters: int, width: Any = 3, strides: Any = 1) -> keras.KerasTensor:
        """Apply a convolution and the norm."""
        return self.normalize(convolution(x, filters, width, use_bias=self.norm == "none", strides=strides))

    def stage(self, x: keras.KerasTensor, filters: int, convolutions: int) -> keras.KerasTensor:
        """Apply so many times: convolution of width 3, norm, activation.

        Source: residual blocks: He 2016 (arXiv:1512.03385).
        """
        shortcut = x
        for number in range(convolutions):
            x = self.convolve(x, filters)
            if self.residual and number == convolutions - 1:
                matches = shortcut.shape[-1] == filters
                x = keras.layers.Add()([x, shortcut if matches else self.convolve(shortcut, filters, width=1)])
            x = self.activate(x)
        return x

    def down(self, x: keras.KerasTensor, strides: Strides, strided: bool) -> keras.KerasTensor:
        """Shrink the image by max pooling, or by a strided convolution of width 3."""
        if strided:
            return self.activate(self.convolve(x, x.shape[-1], strides=strides))
        return MAX_POOLINGS[rank_of(x)](strides)(x)

    def up(self, x: keras.KerasTensor, filters: int, strides: Strides, width: int | None) -> keras.KerasTensor:
        """Enlarge the image by a transposed convolution; `width` None: as wide as its strides."""
        layer = TRANSPOSED_CONVOLUTIONS[rank_of(x)]
        return layer(filters, width or strides, strides=strides, padding="same", kernel_initializer="he_normal")(x)


def attention_gate(skip: keras.KerasTensor, gate: keras.KerasTensor, strides: Strides) -> keras.KerasTensor:
    """Weigh the encoder's features by where the coarser stage looks, with one weight per voxel.

    `α = sigmoid(ψ · ReLU(W_x x + W_g g))` on the grid of `g`, interpolated linearly to that of `x`; returns `α x`.

    Args:
        skip: features x of the encoder, `strides` times as large as `gate`.
        gate: features g of the coarser stage.
        strides: ratio of their sizes, per axis.

    Source: Oktay 2018 (arXiv:1804.03999).
    """
    filters = max(skip.shape[-1] // 2, 1)
    features = convolution(skip, filters, strides, use_bias=False, strides=strides)
    features = keras.layers.Add()([features, convolution(gate, filters, 1)])
    weights = convolution(keras.layers.Activation("relu")(features), 1, 1)
    weights = keras.layers.Activation("sigmoid")(weights)
    return keras.layers.Multiply()([skip, enlarge(weights, strides)])


def enlarge(x: keras.KerasTensor, strides: Strides) -> keras.KerasTensor:
    """Enlarge the image by linear interpolation: bilinear in 2D, trilinear in 3D.

    Keras interpolates images only, so a volume is enlarged within its slices, then along its first axis.

    Raises:
        ValueError: if the size of a volume is unknown.
    """
    if rank_of(x) == 2:
        return keras.layers.UpSampling2D(strides, interpolation="bilinear")(x)
    depth, height, width, channels = x.shape[1:]
    if None in x.shape[1:]:
        raise ValueError(f"image_shape: trilinear interpolation needs a fixed size, received {x.shape[1:-1]}")
    along, *within = strides
    rows, columns = height * within[0], width * within[1]
    x = keras.layers.Permute((2, 3, 1, 4))(x)
    x = keras.layers.Reshape((height, width, depth * channels))(x)
    x = keras.layers.UpSampling2D(within, interpolation="bilinear")(x)
    x = keras.layers.Reshape((rows * columns, depth, channels))(x)
    x = keras.layers.UpSampling2D((1, along), interpolation="bilinear")(x)
    x = keras.layers.Permute((2, 1, 3))(x)
    return keras.layers.Reshape((depth * along, rows, columns, channels))(x)


def dropout_rates(first_and_last: Sequence[float], depth: int) -> list[float]:
    """Return the dropout rates of `depth` stages, interpolated linearly from the finest to the coarsest.

    >>> dropout_rates((0.0, 0.5), 3)
    [0.0, 0.25, 0.5]
    """
    first, last = first_and_last
    return [first + (last - first) * stage / max(depth - 1, 1) for stage in range(depth)]
