"""What every file of losses needs from Keras: the name of a tensor's type, and registration as `tfseg`."""

from typing import Any

import keras

Tensor = Any  # of whichever backend Keras runs on

registered = keras.saving.register_keras_serializable(package="tfseg")
