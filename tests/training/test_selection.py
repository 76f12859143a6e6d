"""The best epoch is kept, and patience ends a training."""

import math

import keras
import numpy as np
import pytest

from tfseg.training.selection import BestWeights, EarlyStopping, is_whole


def small_model():
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.Conv2D(1, 1, activation="sigmoid")(image))
    model.compile("adam", "binary_crossentropy")
    return model


def watch(callback, model, monitor, values, first=0):
    """Run epochs in which every weight equals the epoch's number."""
    callback.set_model(model)
    for epoch, value in enumerate(values, first):
        model.set_weights([np.full(weight.shape, epoch, "float32") for weight in model.get_weights()])
        callback.on_epoch_end(epoch, {} if value is None else {monitor: value})


@pytest.mark.parametrize(
    ("monitor", "values", "best"),
    [
        ("val_dice", [0.2, 0.6, 0.4], 1),
        ("val_loss", [0.9, 0.3, 0.2], 2),
        ("val_dice", [0.5, 0.5], 0),
        ("val_dice", [math.nan, None, 0.1, math.nan], 2),
    ],
)
def test_best_weights_are_those_of_the_best_epoch(tmp_path, monitor, values, best):
    callback = BestWeights(tmp_path / "best.keras", monitor)
    watch(callback, small_model(), monitor, values)
    assert callback.best_epoch == best
    saved = keras.saving.load_model(tmp_path / "best.keras")
    assert not saved.compiled
    assert all((weight == best).all() for weight in saved.get_weights())


def test_a_file_with_any_damaged_byte_is_not_whole_or_still_loads_the_same_weights(tmp_path):
    path = tmp_path / "best.keras"
    callback = BestWeights(path, "val_dice")
    watch(callback, small_model(), "val_dice", [0.2])
    assert is_whole(path)
    data = path.read_bytes()
    whole = []
    for place in range(0, len(data), 61):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        whole.append(is_whole(path))
        if whole[-1]:
            assert all((weight == 0).all() for weight in keras.saving.load_model(path).get_weights())
    assert sum(whole) < 0.1 * len(whole)
    for damaged in (data[:-1], data[: len(data) // 2], b""):
        path.write_bytes(damaged)
        assert not is_whole(path)
    path.unlink()
    assert not is_whole(path)


def test_a_restored_best_score_is_not_replaced_by_a_lower_one(tmp_path):
    first = BestWeights(tmp_path / "best.keras", "val_dice")
    watch(first, small_model(), "val_dice", [0.2, 0.6])
    again = BestWeights(tmp_path / "best.keras", "val_dice")
    again.restore(first.state())
    watch(again, small_model(), "val_dice", [0.5], first=2)
    assert again.best_epoch == 1


def test_a_new_stage_keeps_its_own_best(tmp_path):
    callback = BestWeights(tmp_path / "best.keras", "val_dice", epochs_before=10)
    watch(callback, small_model(), "val_dice", [0.1])
    assert callback.best_epoch == 10
    assert (callback.waited(1), callback.waited(4)) == (0, 3)


@pytest.mark.parametrize(
    ("values", "over_after"),
    [
        ([0.5, 0.4, 0.4], 3),
        ([0.4, 0.5, 0.5, 0.4], 4),
        ([0.1, 0.2, 0.3], None),
        ([math.nan, math.nan], 2),
        ([0.5, None, None, None, 0.4], 5),  # only a scored epoch ends a training
    ],
)
def test_patience_counts_epochs_without_a_better_network(tmp_path, values, over_after):
    best = BestWeights(tmp_path / "best.keras", "val_dice")
    stopping = EarlyStopping(best, patience=2, is_scored=lambda epoch: values[epoch] is not None)
    model = small_model()
    over = []
    for epoch, value in enumerate(values):
        watch(best, model, "val_dice", [value], first=epoch)
        over.append(stopping.is_over(epoch + 1))
    assert (over.index(True) + 1 if True in over else None) == over_after
