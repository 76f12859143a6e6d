"""Weighted sums of losses, with fixed and ramped weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfseg.losses import CrossEntropy, Dice, LogHausdorffDT, RampCallback, Tversky, WeightedSum, get, make

RAMP = {"from": 0.0, "to": 1.0, "epochs": 4}


def value(loss, example):
    truth, prediction, _ = example("binary2d")
    return loss(truth, prediction).numpy()


def test_a_sum_is_the_sum_of_its_terms(example):
    loss = 0.9 * Tversky(0.3) + 0.1 * LogHausdorffDT()
    expected = 0.9 * value(get("tversky", alpha=0.3), example) + 0.1 * value(get("log_hausdorff_dt"), example)
    assert value(loss, example) == pytest.approx(expected, rel=1e-6)
    assert value(2 * loss + Dice(), example) == pytest.approx(2 * expected + value(Dice(), example), rel=1e-6)
    named = get("tversky_hausdorff")
    assert value(named, example) == pytest.approx(expected, rel=1e-6)


def test_pythons_sum_adds_losses(example):
    assert value(sum([Dice(), get("bce")]), example) == value(Dice() + get("bce"), example)
    assert isinstance(sum([Dice()]), Dice)


def test_a_configuration_makes_the_same_sum(example):
    spec = {"sum": [{"name": "tversky", "alpha": 0.3, "weight": 0.9}, {"name": "log_hausdorff_dt", "weight": 0.1}]}
    assert value(make(spec), example) == value(0.9 * Tversky(0.3) + 0.1 * LogHausdorffDT(), example)
    overlaps = make({"sum": ["dice", "ce"]}, overlap_over="batch")
    assert overlaps.terms[0].overlap_over == "batch" and overlaps.weights == [1.0, 1.0]


def test_sample_weights_and_reduction(example):
    truth, prediction, _ = example("binary2d")
    terms = [get("dice", reduction="sum"), get("bce", reduction=None)]
    loss = WeightedSum(terms, [1.0, 2.0], reduction=None)
    each = get("dice", reduction=None)(truth, prediction) + 2 * get("bce", reduction=None)(truth, prediction)
    np.testing.assert_allclose(loss(truth, prediction), each, rtol=1e-6)
    np.testing.assert_allclose(loss(truth, prediction, np.array([0.0, 1.0, 3.0])), each * [0, 1, 3], rtol=1e-6)


def test_a_ramp_moves_with_the_epochs(example):
    loss = Dice() + RAMP * get("bce")
    dice, bce = value(Dice(), example), value(get("bce"), example)
    for epoch, weight in ((0, 0.0), (1, 0.25), (3, 0.75), (4, 1.0), (9, 1.0)):
        loss.set_epoch(epoch)
        assert value(loss, example) == pytest.approx(dice + weight * bce, rel=1e-6)


def test_a_ramp_moves_inside_a_graph_and_inside_a_sum_that_is_a_term(example):
    inner = {"sum": [{"name": "bce", "weight": RAMP}, "jaccard"], "weight": 2}
    loss = make({"sum": ["dice", inner]})
    graph = tf.function(loss)
    dice, bce, jaccard = (value(get(name), example) for name in ("dice", "bce", "jaccard"))
    for epoch, weight in ((0, 0.0), (2, 0.5), (5, 1.0)):
        loss.set_epoch(epoch)
        assert value(graph, example) == pytest.approx(dice + 2 * (weight * bce + jaccard), rel=1e-6)
    assert graph.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("params", [{"class_weights": [1, 2, 3]}, {"ignore_label": 2}])
@pytest.mark.parametrize(("dtype", "other"), [("float64", None), (None, "float64"), ("float64", "float64")])
def test_terms_compute_in_their_own_types(example, dtype, other, params):
    truth, prediction, _ = example("softmax2d")
    terms = [Dice(dtype=dtype, **params), CrossEntropy(dtype=other, **params)]
    loss = terms[0] + terms[1]
    assert loss.dtype == loss(truth, prediction).dtype == "float64"
    each = [float(term(truth, prediction)) for term in terms]
    assert float(loss(truth, prediction)) == pytest.approx(sum(each), rel=1e-6)


def test_small_types_become_float32(example):
    loss = WeightedSum([Dice(), get("bce")], [1, 1], dtype="float16")
    assert loss.dtype == value(loss, example).dtype == "float32"


def test_a_multiple_of_a_sum_keeps_its_arguments():
    loss = 2 * WeightedSum([Dice()], [0.5], name="mine", reduction=None, dtype="float64")
    assert (loss.weights, loss.name, loss.reduction, loss.dtype) == ([1.0], "mine", None, "float64")


def test_adding_a_sum_keeps_its_type(example):
    loss = Dice() + WeightedSum([get("bce"), Dice()], [1, 2], dtype="float64", name="inner", reduction="sum")
    assert (loss.weights, loss.dtype, value(loss, example).dtype) == ([1.0, 1.0, 2.0], "float64", "float64")


def test_a_ramp_that_was_never_advanced_warns(example):
    message = "never advanced: pass tfseg.losses.RampCallback"
    for loss in (Dice() + RAMP * get("bce"), make({"sum": ["dice", {"sum": [{"name": "bce", "weight": RAMP}]}]})):
        with pytest.warns(UserWarning, match=message):
            before = value(loss, example)
        with pytest.warns(UserWarning, match=message):
            assert value(tf.function(loss), example) == before
        with pytest.warns(UserWarning, match=message):
            value(keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss)), example)
        loss.set_epoch(0)
        assert value(loss, example) == before


def test_the_callback_advances_the_ramps_of_every_output():
    image = keras.Input((8, 8, 1))
    heads = [keras.layers.Conv2D(1, 1, activation="sigmoid", name=name)(image) for name in ("a", "b", "c")]
    losses = {
        "a": RAMP * Dice() + get("bce"),
        "b": get("dice"),
        "c": WeightedSum([Dice(), RAMP * get("bce")], [1, 1]),
    }
    model = keras.Model(image, heads)
    model.compile("sgd", loss=losses, jit_compile=False)
    epochs = []

    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            epochs.append((losses["a"].epoch, losses["c"].terms[1].epoch))

    truth = np.zeros((2, 8, 8, 1), "float32")
    labels = dict.fromkeys(losses, truth)
    model.fit(truth, labels, epochs=3, verbose=0, callbacks=[RampCallback(), Note()])
    assert epochs == [(0, 0), (1, 1), (2, 2)]


def test_the_callback_advances_a_loss_that_it_is_given():
    loss = get("dice") + RAMP * get("bce")
    truth, prediction = np.ones((1, 2, 2, 1), "float32"), np.full((1, 2, 2, 1), 0.5, "float32")
    callback = RampCallback(loss)
    values = []
    for epoch in range(6):
        callback.on_epoch_begin(epoch)
        values.append(float(loss(truth, prediction)))
    np.testing.assert_allclose(np.diff(values), [np.log(2) / 4] * 4 + [0], rtol=1e-5, atol=1e-7)


def test_a_ramp_is_saved_with_its_epoch(example):
    loss = RAMP * Dice() + WeightedSum([RAMP * get("bce")], [1.0])
    loss.set_epoch(3)
    loaded = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert loaded.get_config() == loss.get_config()
    assert value(loaded, example) == value(loss, example) == value(2 * loss, example) / 2
    loaded.set_epoch(0)
    assert value(loaded, example) != value(loss, example)


def test_a_sum_saves_and_loads_as_one_loss(example, tmp_path):
    image = keras.Input((12, 12, 1))
    model = keras.Model(image, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(image))
    loss = 0.5 * Tversky(0.3, overlap_over="batch") + RAMP * LogHausdorffDT(spacing_mm=[1, 2])
    model.compile("sgd", loss=loss)
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").loss
    assert isinstance(loaded, WeightedSum) and loaded.get_config() == loss.get_config()
    for each in (loss, loaded):
        each.set_epoch(2)
    assert value(loaded, example) == value(loss, example)


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: -1 * Dice(), "a weight must be a number of at least 0.*received -1"),
        (lambda: float("nan") * Dice(), "a weight must be .*received nan"),
        (lambda: {"from": 0, "to": 1} * Dice(), "a weight must be"),
        (lambda: {"from": 0, "to": 1, "epochs": 0} * Dice(), "a weight must be"),
        (lambda: RAMP * (Dice() + Dice()), "a sum of losses can only be multiplied by a number .*received {'from'"),
        (lambda: -1 * (Dice() + Dice()), "a sum of losses can only be multiplied by a number .*received -1"),
        (lambda: "x" * (Dice() + Dice()), "a sum of losses can only be multiplied by a number .*received 'x'"),
        (lambda: 1e39 * Dice(), r"a weight must be .*received 1e\+39"),
        (lambda: 10**400 * Dice(), "a weight must be .*received 1000"),
        (lambda: WeightedSum([], []), "received 0 for 0 terms"),
        (lambda: WeightedSum(["dice"], [1]), "each of terms must be a loss of tfseg; received 'dice'"),
        (lambda: WeightedSum(Dice(), [1]), "terms must be a sequence; received <"),
        (lambda: WeightedSum([Dice()], 1), "weights must be a sequence; received 1"),
        (lambda: WeightedSum([Dice()], [1], epoch=-1), "epoch must be a whole number of at least 0; received -1"),
        (lambda: WeightedSum([Dice()], [1, 2]), "received 2 for 1 terms"),
        (lambda: make({"sum": []}), "expected a loss as"),
        (lambda: make({"sum": "dice"}), "expected a loss as .*received {'sum': 'dice'}"),
        (lambda: make({"name": 3}), "expected a loss as"),
        (lambda: make({"sum": [{"name": "dice", 3: 4}]}), "parameters of a loss have names; received 3 in"),
        (lambda: make({"sum": [{"name": "dise"}]}), "did you mean dice"),
    ],
)
def test_invalid_sums_are_refused(make_it, message):
    with pytest.raises(ValueError, match=message):
        make_it()


def test_only_losses_of_this_package_are_added():
    with pytest.raises(TypeError):
        Dice() + 1
    with pytest.raises(TypeError):
        1 + Dice()
