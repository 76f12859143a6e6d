"""The Matthews correlation loss, the one overlap loss that counts true negatives."""

from keras import ops

from tfseg.losses.overlap import RegionOptions, sums
from tfseg.losses.registry import Tensor, registered


@registered
class MatthewsCorrelation(RegionOptions):
    """Matthews correlation loss: one minus the correlation of prediction and truth over voxels.

    `1 - (TP TN - FP FN) / √((TP + FP) (TP + FN) (TN + FP) (TN + FN))`, TN = Σ (1-p) (1-y), with s added to TP and TN.
    A prediction that is wrong everywhere costs 2.

    Args:
        **region: as `RegionOptions`.

    Source: Abhishek and Hamarneh 2021, "Matthews correlation coefficient loss for deep convolutional networks:
        application to skin lesion segmentation", 10.1109/ISBI48211.2021.9433782.
    """

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        outside = (1.0 if mask is None else mask) - truth
        fields = (truth * prediction, outside * (1 - prediction), outside * prediction, truth * (1 - prediction))
        tp, tn, fp, fn = sums(fields, self.overlap_over)
        tp, tn = tp + self.smoothing, tn + self.smoothing
        scale = ops.sqrt((tp + fp) * (tp + fn)) * ops.sqrt((tn + fp) * (tn + fn))
        return self.region_mean(1 - (tp * tn - fp * fn) / scale, prediction)
