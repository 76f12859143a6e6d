"""Set dropout seeds at the beginning of an epoch; they depend only on the epoch's number."""

import keras
import numpy as np


class EpochSeeds(keras.callbacks.Callback):
    """Make every dropout mask a function of (seed, epoch, layer, step), so that a resumed epoch repeats its masks.

    `epochs_before`: epochs of earlier stages.
    """

    def __init__(self, seed: int, epochs_before: int = 0) -> None:
        super().__init__()
        self._seed = seed
        self._before = epochs_before

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set the state of each dropout layer."""
        for index, layer in enumerate(self.model.layers):
            if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
                state = np.random.SeedSequence([self._seed, self._before + epoch, index]).generate_state(2)
                layer.seed_generator.state.assign(state.astype(layer.seed_generator.state.dtype))
