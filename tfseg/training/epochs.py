"""Set dropout seeds and loss weights at the beginning of an epoch; both depend only on the epoch's number."""

import keras
import numpy as np

from tfseg import losses


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


class LossRamps(keras.callbacks.Callback):
    """Set the ramped weights of a sum of losses at each epoch of a stage."""

    def __init__(self, loss: keras.losses.Loss) -> None:
        super().__init__()
        self._loss = loss

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set the weights."""
        if isinstance(self._loss, losses.WeightedSum):
            self._loss.set_epoch(epoch)
