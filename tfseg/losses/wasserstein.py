"""An overlap loss that knows which classes are alike."""

from typing import Any

import numpy as np
from keras import ops

from tfseg.losses.checks import check_distances
from tfseg.losses.overlap import RegionOptions, sums
from tfseg.losses.registry import Tensor, registered


@registered
class GeneralizedWassersteinDice(RegionOptions):
    """Generalized Wasserstein Dice loss: one Dice index in which confusing similar classes costs less.

    `1 - (TP + s) / (TP + ½ E + s)`, with W = Σ_kl y_k M_kl p_l the error of a voxel, E = Σ W over all voxels, and
    TP = Σ (1 - W) over the voxels of the foreground (of all classes with `include_background`). If all errors cost the
    same, and on one channel, it is the Dice loss. One channel, and each of several regions, is the two classes 1 - p
    and p.

    Args:
        class_distances: M, numbers ≥ 0: a row for each true class with the cost of predicting each other class in its
            place, the background first, 0 on the diagonal; divided by its largest number. None: 1 for every error.
        **region: as `RegionOptions`; `class_weights` multiply the voxels of each true class.

    Raises:
        ValueError: `class_distances` is not such a matrix; when called, its size is not the number of classes.

    Source: Fidon et al. 2017, "Generalised Wasserstein Dice score for imbalanced multi-class segmentation using
        holistic convolutional networks", arXiv:1707.00478.
    """

    def __init__(self, class_distances: list[list[float]] | None = None, **region: Any) -> None:
        super().__init__(**region)
        self.class_distances = check_distances("class_distances", class_distances)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        softmax = self.is_softmax(prediction)
        if softmax and not self.include_background:
            self.weights_from(1)  # refuses weights of the background only
        if softmax:
            truth, prediction = (ops.expand_dims(values, -2) for values in (truth, prediction))
        else:
            counted = 1.0 if mask is None else mask
            truth, prediction = (ops.stack([counted - values, values], axis=-1) for values in (truth, prediction))
        # From here on [batch, *spatial, regions, classes], with one region for a softmax.
        error = ops.matmul(prediction, ops.transpose(self.matrix(truth.shape[-1])))  # of each class that may be true
        weighted = truth if self.class_weights is None or not softmax else truth * self.weights_from(0)
        background = weighted[..., :1] if self.include_background else ops.zeros_like(weighted[..., :1])
        agreeing = ops.concatenate([background, weighted[..., 1:]], axis=-1)
        fields = (ops.sum(agreeing * (1 - error), axis=-1), ops.sum(weighted * error, axis=-1))
        agreement, errors = sums(fields, self.overlap_over)
        cost = 1 - (agreement + self.smoothing) / (agreement + 0.5 * errors + self.smoothing)
        mean = cost[:, 0] if softmax else self.class_mean(cost)
        return ops.broadcast_to(mean, (ops.shape(prediction)[0],))

    def matrix(self, classes: int) -> Tensor:
        """M of so many classes, its largest number 1."""
        distances = np.array(self.class_distances or 1 - np.eye(classes))
        if distances.shape != (classes, classes):
            raise ValueError(
                f"class_distances must have {classes} rows and columns for this prediction; received {len(distances)}"
            )
        return ops.convert_to_tensor(distances / distances.max(), dtype=self.dtype)
