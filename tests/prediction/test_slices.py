"""Probabilities become labels on the scan's grid."""

import numpy as np

from tfseg.datasets.formats import read_label
from tfseg.datasets.layouts import read_dataset
from tfseg.prediction.slices import SlicePredictor, label_volume
from tfseg.preparation.slicing import SliceGrid
from tfseg.prepared.prepared import PreparedCase
from tfseg.prepared.targets import Targets


class Known:
    """Predict known probabilities, in blocks of uneven size."""

    def __init__(self, probabilities):
        self._probabilities = probabilities

    def blocks(self, image):
        assert len(image) == len(self._probabilities)
        yield from np.split(self._probabilities, [1, 1, 3][: len(image)])


def test_slices_are_predicted_in_batches_and_returned_in_order():
    sizes = []

    def forward(image):
        sizes.append(len(image))
        return image * 2

    image = np.arange(7, dtype="float32").reshape(7, 1, 1, 1)
    blocks = list(SlicePredictor(forward, 3).blocks(image))
    np.testing.assert_array_equal(np.concatenate(blocks), image * 2)
    assert sizes == [3, 3, 1]


def test_a_perfect_network_reproduces_the_label_file(prepared, decathlon):
    """Slices are mapped back to the scan's own grid and label values."""
    dataset = read_dataset(decathlon)
    classes = len(prepared.labels) + 1
    for source in dataset.cases:
        case = prepared.case(source.name)
        truth = np.eye(classes, dtype="float32")[case.label]
        prediction = label_volume(Known(truth), case, prepared.targets)
        np.testing.assert_array_equal(prediction, read_label(source.label).array)


def test_probabilities_are_resampled_before_classes_are_decided():
    """At twice the scan's spacing the border of a class lies between voxels, where its probability crosses 0.5."""
    grid = SliceGrid.of((8, 1, 1), np.eye(4), "axial", (4, 1), resampled=(4, 1, 1))
    foreground = np.array([0.0, 0.3, 0.9, 1.0], "float32").reshape(1, 4, 1, 1)
    case = PreparedCase("a", "a", foreground, foreground[..., 0], grid)
    expected = [0, 0, 0, 0, 300, 300, 300, 300]  # 0, 0.075, 0.225, 0.45, 0.75, 0.925, 0.975, 1
    assert label_volume(Known(foreground), case, Targets({300: "organ"})).ravel().tolist() == expected
    softmax = np.concatenate([1 - foreground, foreground, 0 * foreground], axis=-1)
    assert label_volume(Known(softmax), case, Targets({300: "organ", 2: "other"})).ravel().tolist() == expected


def test_voxels_outside_the_crop_are_background():
    grid = SliceGrid.of((6, 1, 1), np.eye(4), "axial", (4, 1), crop=((2, 4), (0, 1), (0, 1)), resampled=(4, 1, 1))
    case = PreparedCase("a", "a", np.zeros((1, 4, 1, 1)), np.zeros((1, 4, 1)), grid)
    labels = {2: "organ", 7: "other"}
    softmax, regions = Targets(labels), Targets(labels, {"all": (2, 7), "organ": (2,)})
    for targets, organ in ((softmax, [0.1, 0.9, 0.0]), (regions, [0.9, 0.9])):
        everywhere = np.tile(np.array(organ, "float32"), (1, 4, 1, 1))
        assert label_volume(Known(everywhere), case, targets).ravel().tolist() == [0, 0, 2, 2, 0, 0]
