"""Set dropout seeds at the beginning of an epoch; they depend only on the epoch's number."""

import keras
import numpy as np

RANDOM_STATE = "seed_generator_state"  # Keras's name for the variable of a layer that draws random numbers


class EpochSeeds(keras.callbacks.Callback):
    """Make every dropout mask a function of (seed, epoch, layer, step), so that a resumed epoch repeats its masks.

    These are all layers that draw random numbers, nested ones too, in the order of the model.

    `epochs_before`: epochs of earlier stages.
    """

    def __init__(self, seed: int, epochs_before: int = 0) -> None:
        super().__init__()
        self._seed = seed
        self._before = epochs_before

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set the random state of each layer."""
        states = [variable for variable in self.model.variables if variable.name == RANDOM_STATE]
        for index, state in enumerate(states):
            drawn = np.random.SeedSequence([self._seed, self._before + epoch, index]).generate_state(2)
            state.assign(drawn.astype(state.dtype))
