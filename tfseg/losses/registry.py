"""The type of tensors in annotations, and registration with Keras as `tfseg`."""

from typing import Any

import keras

Tensor = Any  # of whichever backend Keras runs on

registered = keras.saving.register_keras_serializable(package="tfseg")
