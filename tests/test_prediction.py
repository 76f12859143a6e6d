"""From probabilities to labels on the scan's grid."""

import numpy as np

from tfseg.data.layouts import read_dataset
from tfseg.data.prepared import PreparedCase
from tfseg.data.slicing import SliceGrid
from tfseg.data.volume import read_label
from tfseg.prediction import classes_of, label_volume, predict_cases, predict_slices


def test_one_class_is_decided_at_one_half():
    probabilities = np.array([0.49, 0.5, 0.51], "float32")[:, np.newaxis]
    assert classes_of(probabilities).tolist() == [0, 1, 1]


def test_several_classes_go_to_the_largest():
    assert classes_of(np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])).tolist() == [0, 2]


def test_slices_go_through_in_batches_and_come_back_in_order():
    sizes = []

    def forward(image):
        sizes.append(len(image))
        return image * 2

    image = np.arange(7, dtype="float32").reshape(7, 1, 1, 1)
    np.testing.assert_array_equal(predict_slices(forward, image, 3), image * 2)
    assert sizes == [3, 3, 1]


def test_a_perfect_network_gives_back_the_label_file(prepared, decathlon):
    """Through slices and back, on the scan's own grid and with its own label values."""
    dataset = read_dataset(decathlon)
    classes = len(prepared.labels) + 1
    for source in dataset.cases:
        case = prepared.case(source.name)
        truth = np.eye(classes, dtype="float32")[case.label]
        ((_, probabilities),) = predict_cases(lambda image, truth=truth: truth, [case], batch_size=len(truth))
        np.testing.assert_array_equal(
            label_volume(probabilities, case, prepared.labels), read_label(source.label).array
        )


def test_probabilities_are_resampled_before_classes_are_decided():
    """At twice the scan's spacing the border of a class lies between voxels, wherever its probabilities cross 0.5."""
    grid = SliceGrid.of((8, 1, 1), np.eye(4), "axial", (4, 1), resampled=(4, 1, 1))
    foreground = np.array([0.0, 0.3, 0.9, 1.0], "float32").reshape(1, 4, 1, 1)
    case = PreparedCase("a", "a", foreground, foreground[..., 0], grid)
    expected = [0, 0, 0, 0, 300, 300, 300, 300]  # 0, 0.075, 0.225, 0.45, 0.75, 0.925, 0.975, 1
    assert label_volume(foreground, case, {300: "organ"}).ravel().tolist() == expected
    both = np.concatenate([1 - foreground, foreground], axis=-1)
    assert label_volume(both, case, {300: "organ"}).ravel().tolist() == expected


def test_what_was_cropped_off_is_background():
    grid = SliceGrid.of((6, 1, 1), np.eye(4), "axial", (4, 1), crop=((2, 4), (0, 1), (0, 1)), resampled=(4, 1, 1))
    probabilities = np.tile(np.array([0.1, 0.9], "float32"), (1, 4, 1, 1))
    case = PreparedCase("a", "a", probabilities, probabilities[..., 0], grid)
    assert label_volume(probabilities, case, {2: "organ"}).ravel().tolist() == [0, 0, 2, 2, 0, 0]
