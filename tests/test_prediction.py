"""From probabilities to labels on the scan's grid."""

import numpy as np

from tfseg.data.layouts import read_dataset
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
