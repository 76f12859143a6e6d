"""Moments of a prediction that is drawn several times: its mean, its spread, and what the draws disagree on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfseg.datasets.grids import Array
from tfseg.prediction.dropout import Passes
from tfseg.prediction.forward import Forward
from tfseg.prediction.uncertainty import entropy, foreground

# Maps images `[batch, *spatial, channels]`, seeds int32 `[batch, passes, 2]` and the number of passes that are run
# together to moments `[batch, *spatial, moments]`.
DrawnForward = Callable[[Array, Array, int], Array]


@dataclass(frozen=True)
class Sampled:
    """Statistics of each voxel over several draws of a prediction.

    Args:
        mean: predictive mean, float32 `[..., classes]`.
        entropy: of the predictive mean, in nats, `[...]`; see `tfseg.prediction.uncertainty.entropy`.
        std: standard deviation of the foreground's probability over draws (divided by their number), `[...]`.
        mutual_information: entropy of the mean minus mean of the entropies, in nats, `[...]`.
        class_std: standard deviation of each channel's probability, `[..., classes]`, if it was asked for.

    Source: mutual information: Houlsby 2011 (arXiv:1112.5745); these measures on medical images: Nair 2020
    (10.1016/j.media.2019.101557).
    """

    mean: Array
    entropy: Array
    std: Array
    mutual_information: Array
    class_std: Array | None = None


@dataclass(frozen=True)
class Moments:
    """The moments of draws as channels of one array, so that predictors average and resample them as probabilities.

    In order: the mean of each class, the mean and the variance of the foreground's probability, the mutual information,
    and on request the variance of each class. Where windows or mirror images overlap, all are weighted means of
    theirs: the variance is that of a window's draws, whatever the number of windows.

    Args:
        classes: output channels.
        activation: "softmax" or "sigmoid".
        per_class: whether there is a variance of each class.
    """

    classes: int
    activation: str
    per_class: bool = False

    @property
    def measures(self) -> int:
        """The number of channels beside the mean of each class."""
        return 3 + (self.classes if self.per_class else 0)

    def of_passes(self, passes: Passes) -> DrawnForward:
        """Compile a network's dropout passes to one graph, which keeps running sums, not the passes."""
        images = tf.TensorSpec([None, *passes.image_shape], tf.float32)
        seeds = tf.TensorSpec([None, None, 2], tf.int32)
        signature = [images, seeds, tf.TensorSpec([], tf.int32)]

        def call(images: tf.Tensor, seeds: tf.Tensor, together: tf.Tensor) -> tf.Tensor:
            batch, total = tf.shape(images)[0], tf.shape(seeds)[1]
            features = passes.before(images)
            nothing = tf.zeros([batch, *passes.image_shape[:-1], self.classes + 2])

            def more(
                done: tf.Tensor, first: tf.Tensor, sums: tf.Tensor, squares: tf.Tensor
            ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
                own = seeds[:, done : done + together]
                count = tf.shape(own)[1]
                repeated = tf.cond(
                    count > 1, lambda: [tf.repeat(each, count, axis=0) for each in features], lambda: features
                )
                drawn = passes.after(repeated, tf.reshape(own, [-1, 2]))
                values = self._values(tf.reshape(drawn, [batch, count, *passes.image_shape[:-1], self.classes]))
                first = tf.cond(done == 0, lambda: values[:, 0], lambda: first)
                away = values - first[:, tf.newaxis]  # small sums lose no digits
                return done + count, first, sums + tf.reduce_sum(away, 1), squares + tf.reduce_sum(away**2, 1)

            _, first, sums, squares = tf.while_loop(
                lambda done, *_: done < total, more, (0, nothing, nothing, nothing), parallel_iterations=1
            )
            mean = sums / tf.cast(total, tf.float32)
            variance = tf.maximum(squares / tf.cast(total, tf.float32) - mean**2, 0)
            return self._joined(first + mean, variance)

        graph = tf.function(call, input_signature=signature, autograph=False)

        def forward(images: Array, seeds: Array, together: int) -> Array:
            return np.asarray(graph(images, seeds, together))

        return forward

    def of_forward(self, forward: Forward) -> DrawnForward:
        """Return the moments of a network's plain prediction, its only draw."""

        def drawn(images: Array, seeds: Array, together: int) -> Array:
            values = self._values(forward(images))
            return np.asarray(self._joined(values, tf.zeros_like(values)))

        return drawn

    def pool(self, each: Sequence[Array]) -> Array:
        """Return the moments of the draws of several networks from the moments of each, of as many draws."""
        if len(each) == 1:
            return each[0]
        count, stacked = self.classes, np.stack(each)
        pooled = stacked.mean(axis=0)
        means, variances = stacked[..., : count + 1].var(axis=0), pooled[..., count + 1 :]
        information = stacked[..., count + 2]
        entropies = np.asarray(entropy(stacked[..., :count], self.activation)) - information
        variances[..., 0] += means[..., count]
        variances[..., 1] = np.asarray(entropy(pooled[..., :count], self.activation)) - entropies.mean(axis=0)
        variances[..., 2:] += means[..., : count if self.per_class else 0]
        return pooled

    def sampled(self, moments: Array) -> Sampled:
        """Return the measures of moments `[..., moments]`."""
        count = self.classes
        mean = moments[..., :count]
        class_std = np.sqrt(moments[..., count + 3 :]) if self.per_class else None
        spread, information = np.sqrt(moments[..., count + 1]), moments[..., count + 2]
        return Sampled(mean, np.asarray(entropy(mean, self.activation)), spread, information, class_std)

    def _values(self, probability: tf.Tensor) -> tf.Tensor:
        """Append the foreground's probability and the entropy to probabilities `[..., classes]`."""
        added = [measure(probability, self.activation)[..., tf.newaxis] for measure in (foreground, entropy)]
        return tf.concat([probability, *added], axis=-1)

    def _joined(self, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        """Return the moments from the mean and the variance of `_values`."""
        count = self.classes
        information = entropy(mean[..., :count], self.activation) - mean[..., count + 1]
        parts = [mean[..., : count + 1], variance[..., count : count + 1], tf.maximum(information, 0)[..., tf.newaxis]]
        return tf.concat([*parts, variance[..., : count if self.per_class else 0]], axis=-1)
