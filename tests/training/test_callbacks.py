"""What callbacks do to a training."""

import math

import keras
import numpy as np
import pandas as pd
import pytest

from tfseg.training.callbacks import BestWeights, EpochSeeds, FiniteLoss, VolumeValidation


def small_model(dropout=0.5):
    image = keras.Input((8, 8, 1))
    x = keras.layers.Dropout(dropout)(image)
    return keras.Model(image, keras.layers.Conv2D(1, 1, activation="sigmoid")(x))


def with_model(callback, model):
    callback.set_model(model)
    return callback


def masks(model, epoch, seed=3):
    with_model(EpochSeeds(seed), model).on_epoch_begin(epoch)
    image = np.ones((1, 8, 8, 1), "float32")
    return [np.asarray(model.layers[1](image, training=True)) for _ in range(2)]


def test_dropout_is_a_function_of_seed_epoch_and_step():
    first, second = masks(small_model(), epoch=4)
    again, _ = masks(small_model(), epoch=4)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, masks(small_model(), epoch=5)[0])
    assert not np.array_equal(first, masks(small_model(), epoch=4, seed=4)[0])


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_training(loss):
    with pytest.raises(FloatingPointError, match="in epoch 3"):
        FiniteLoss().on_epoch_end(2, {"loss": loss})
    FiniteLoss().on_epoch_end(2, {"loss": 0.5})


@pytest.mark.parametrize(
    ("monitor", "values", "best"), [("val_dice", [0.2, 0.6, 0.4], 1), ("val_loss", [0.9, 0.3, 0.2], 2)]
)
def test_best_weights_are_those_of_the_best_epoch(tmp_path, monitor, values, best):
    model = small_model()
    model.compile("adam", "binary_crossentropy")
    callback = with_model(BestWeights(tmp_path / "best.keras", monitor), model)
    for epoch, value in enumerate(values):
        model.set_weights([np.full(weight.shape, epoch, "float32") for weight in model.get_weights()])
        callback.on_epoch_end(epoch, {monitor: value})
    assert callback.best_epoch == best
    saved = keras.saving.load_model(tmp_path / "best.keras")
    assert not saved.compiled
    assert all((weight == best).all() for weight in saved.get_weights())


def test_validation_scores_volumes_by_subject_then_label(prepared):
    """The network says the truth, except on one case, where it finds nothing."""
    cases = prepared.cases_of(prepared.subjects[:3])
    labels = list(prepared.labels.values())
    answers = {case.image[...].tobytes(): np.eye(3, dtype="float32")[case.label] for case in cases}
    silent = cases[0]
    answers[silent.image[...].tobytes()] = np.eye(3, dtype="float32")[np.zeros_like(silent.label)]

    def slice_loss(truth, probability):
        return np.mean(truth[..., 0] != np.argmax(probability, -1))

    most_slices = max(len(case.label) for case in cases)
    validation = VolumeValidation(cases, labels, lambda image: answers[image.tobytes()], slice_loss, most_slices)
    logs = {}
    validation.on_epoch_end(0, logs)
    assert logs["val_dice"] == pytest.approx(2 / 3)
    assert logs["val_iou"] == pytest.approx(2 / 3)
    assert all(logs[f"val_dice_{label}"] == pytest.approx(2 / 3) for label in labels)
    slices = np.array([len(case.label) for case in cases])
    wrong = (silent.label != 0).mean() * slices[0] / slices.sum()
    assert logs["val_loss"] == pytest.approx(wrong)
    assert validation.seconds > 0


def test_a_label_that_is_nowhere_and_not_found_does_not_lower_the_score(prepared):
    case = prepared.cases_of(prepared.subjects[:1])[0]
    labels = [*prepared.labels.values(), "absent"]
    truth = np.eye(4, dtype="float32")[case.label]
    validation = VolumeValidation([case], labels, lambda image: truth, lambda t, p: 0.0, len(truth))
    logs = {}
    validation.on_epoch_end(0, logs)
    assert logs["val_dice"] == 1
    assert math.isnan(logs["val_dice_absent"])


def test_history_has_a_row_per_epoch(trained):
    history = pd.read_csv(trained.path.with_name("history.csv"))
    assert history["epoch"].tolist() == [1, 2, 3]
    assert {"loss", "val_dice", "val_iou", "val_loss", "learning_rate", "train_seconds"} <= set(history.columns)
    assert history["learning_rate"].is_monotonic_decreasing
    assert (history["train_seconds"] > 0).all()
