"""TensorBoard receives curves and images."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from tfseg.training.logs import Logs, fullest_slice, side_by_side


def test_side_by_side_shows_the_image_in_grey_and_the_labels_in_colour():
    slice_2d = np.array([[[0.0, 9], [1, 9]], [[2, 9], [4, 9]]])
    image = side_by_side(slice_2d, np.array([[0, 1], [0, 2]]), np.zeros((2, 2), int))
    assert (image.shape, image.dtype) == ((2, 6, 3), np.uint8)
    grey = np.array([[0, 64], [128, 255]])
    np.testing.assert_array_equal(image[:, :2], np.repeat(grey[..., np.newaxis], 3, axis=-1))
    np.testing.assert_array_equal(image[:, 4:], image[:, :2])  # nothing predicted
    np.testing.assert_array_equal(image[0, 3], np.round((63.75 + np.array([0xE6, 0x9F, 0x00])) / 2))
    np.testing.assert_array_equal(image[1, 3], np.round((255 + np.array([0x56, 0xB4, 0xE9])) / 2))


def test_a_flat_image_is_black():
    assert not side_by_side(np.full((2, 2, 1), 7.0), np.zeros((2, 2)), np.zeros((2, 2))).any()


def test_the_fullest_slice_is_the_one_with_the_most_foreground(prepared):
    case = prepared.case("case_0")
    image, middle, label = fullest_slice(case)
    assert (label != 0).sum() == max((each != 0).sum() for each in case.label)
    assert (len(image), middle) == (1, 0)
    assert any(np.array_equal(image[0], each) for each in case.image)


def test_a_network_of_volumes_is_given_the_slices_around_the_fullest(prepared):
    case = prepared.case("case_0")
    alone, _, label = fullest_slice(case)
    for depth in (3, 4, 6, 9):
        image, middle, same = fullest_slice(case, depth)
        assert len(image) == min(depth, 6)
        np.testing.assert_array_equal(image[middle], alone[0])
        np.testing.assert_array_equal(same, label)


@pytest.fixture(scope="module")
def events(trained):
    return events_of(trained.path.parent / "logs")


def events_of(folder):
    files = sorted(folder.iterdir())
    records = [record.numpy() for file in files for record in tf.data.TFRecordDataset(str(file))]
    return [event for event in map(tf.compat.v1.Event.FromString, records) if event.summary.value]


def test_tensorboard_reads_the_file(trained):
    """TensorBoard's own reader loads the curves and images."""
    reader = event_accumulator.EventAccumulator(str(trained.path.parent / "logs"), size_guidance={"tensors": 0})
    reader.Reload()
    tags = reader.Tags()
    assert {"loss", "val_dice"} <= {*tags["scalars"], *tags["tensors"]}
    assert "validation/0" in {*tags["images"], *tags["tensors"]}


def test_every_number_of_the_history_is_a_curve(events, trained):
    history = pd.read_csv(trained.path.with_name("history.csv"))
    for name in ("loss", "val_dice", "val_loss", "learning_rate"):
        values = {e.step: v.simple_value for e in events for v in e.summary.value if v.tag == name}
        np.testing.assert_allclose([values[step] for step in (1, 2, 3)], history[name], rtol=1e-6)


def test_scores_within_epochs_are_curves_over_steps(prepared, tmp_path):
    logs = Logs(tmp_path, [], prepared.targets, None, 1, None)
    logs.on_train_begin()
    logs.write_within(4, {"val_dice": 0.25})
    logs.write_within(8, {"val_dice": 0.5})
    curves = [(e.step, v.tag, v.simple_value) for e in events_of(tmp_path) for v in e.summary.value]
    assert curves == [(4, "steps/val_dice", 0.25), (8, "steps/val_dice", 0.5)]


def test_images_are_written_in_the_first_epoch(events, small_config, split, prepared):
    images = {(e.step, v.tag): v for e in events for v in e.summary.value if v.tag.startswith("validation")}
    assert {step for step, _ in images} == {1}  # then every fifth
    assert len(images) == len(split.val)
    value = images[1, "validation/0"]
    image = tf.io.decode_png(value.image.encoded_image_string)
    assert image.shape == (value.image.height, value.image.width, 3) == (32, 96, 3)
