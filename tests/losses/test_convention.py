"""The convention of the base class: shapes, labels, arguments, configuration."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfseg.losses import LOSSES, get
from tfseg.losses.base import SegmentationLoss

PREDICTION = np.full((2, 12, 12, 3), 1 / 3)
LABELS = np.zeros((2, 12, 12), int)


@pytest.mark.parametrize("name", LOSSES)
def test_labels_and_channels_give_the_same_value(examples, name):
    loss = get(name, reduction=None)
    for kind in ("binary2d", "binary3d", "softmax2d", "softmax3d"):
        truth, prediction, _ = examples[kind]
        labels = (truth.argmax(-1) if truth.shape[-1] > 1 else truth[..., 0]).astype("uint8")
        value = loss(truth, prediction)
        assert value.shape == (3,)
        for form in (labels, labels[..., None], labels.astype("int64")):
            np.testing.assert_array_equal(loss(form, prediction), value, err_msg=f"{kind}, {form.dtype} {form.shape}")


@pytest.mark.parametrize("name", LOSSES)
def test_ignoring_labels_is_ignoring_channels(examples, name):
    truth, prediction, _ = examples["softmax2d"]
    for ignore_label in (255, 1, 0):
        labels = truth.argmax(-1)
        labels[:, 2:5] = ignore_label
        channels = (labels[..., None] == np.arange(3)).astype("float32")  # no class at all if the label is 255
        loss = get(name, ignore_label=ignore_label, reduction=None)
        by_label = loss(labels, prediction)
        np.testing.assert_array_equal(by_label, loss(channels, prediction), err_msg=f"ignore_label {ignore_label}")


@pytest.mark.parametrize(
    ("truth", "prediction", "params", "message"),
    [
        (np.zeros((2, 12)), np.zeros((2, 12)), {}, r"y_pred must have the shape.*received \(2, 12\)"),
        (np.zeros((2, 6, 6, 0)), np.zeros((2, 6, 6, 0)), {}, r"y_pred must have voxels.*received .*\(2, 6, 6, 0\)"),
        (np.zeros((2, 0, 6, 1)), np.zeros((2, 0, 6, 1)), {}, r"y_pred must have voxels.*received .*\(2, 0, 6, 1\)"),
        (np.zeros((2, 12, 12, 2)), PREDICTION, {}, r"\(2, 12, 12, 3\).*received \(2, 12, 12, 2\)"),
        (np.zeros((2, 12, 11)), PREDICTION, {}, r"received \(2, 12, 11\)"),
        (np.zeros((2, 12, 12, 12, 3)), PREDICTION, {}, r"received \(2, 12, 12, 12, 3\)"),
        (LABELS, PREDICTION, {"regions": True}, r"must have the shape \(2, 12, 12, 3\) to match"),
        (LABELS, PREDICTION, {"class_weights": [1, 2]}, "class_weights must have 3 numbers.*received 2"),
        (LABELS + 3, PREDICTION, {}, r"whole numbers from 0 to 2; received \[3.0\]"),
        (LABELS - 1, PREDICTION, {}, r"whole numbers from 0 to 2; received \[-1.0\]"),
        (LABELS + 0.5, PREDICTION, {}, r"whole numbers.*received \[0.5\]"),
        (LABELS + 3, PREDICTION, {"ignore_label": 255}, r"or ignore_label; received \[3.0\]"),
        (np.ones((2, 12, 12, 3)), PREDICTION, {}, "sum to 1 over the classes"),
        (LABELS + 255, PREDICTION[..., :1], {}, r"values from 0 to 1; received \[255.0\]"),
        (LABELS * np.nan, PREDICTION[..., :1], {}, r"received \[nan\]"),
        (LABELS, 4 * PREDICTION, {}, r"y_pred must contain values from 0 to 1; received \[1.33\d*\]"),
        (LABELS, PREDICTION - 0.5, {}, r"y_pred must contain values from 0 to 1; received \[-0.16\d*\]"),
        (LABELS, np.linspace(-4, 4, 864).reshape(2, 12, 12, 3), {}, r"y_pred must .*; received -4 to 4$"),
        (LABELS, PREDICTION * np.nan, {}, r"y_pred must contain values from 0 to 1; received \[nan\]"),
        (LABELS, 4 * PREDICTION, {"ignore_label": 255}, "values from 0 to 1 where they count; received"),
    ],
)
def test_bad_input_is_refused(truth, prediction, params, message):
    with pytest.raises(ValueError, match=message):
        get("ce", **params)(truth, prediction)


def refusal(loss) -> str:
    """The message with which a loss refuses the prediction, or no text."""
    try:
        loss(LABELS, PREDICTION)
    except ValueError as error:
        return str(error)
    return ""


def test_a_prediction_may_be_a_variable(examples):
    """As in a search for the prediction that a loss wants."""
    truth, prediction, _ = examples["softmax2d"]
    for name in LOSSES:
        loss = get(name)
        for variable in (keras.Variable(prediction), tf.Variable(prediction)):
            assert float(loss(truth, variable)) == pytest.approx(float(loss(truth, prediction)))


def test_spacing_must_match_the_rank():
    for name in [name for name, loss in LOSSES.items() if "spacing_mm" in loss.parameters]:
        message = refusal(get(name, spacing_mm=[1, 1, 3]))
        assert re.search(r"spacing_mm must have 2 numbers .* received \[1.0, 1.0, 3.0\]", message), name


def test_weights_on_the_background_only_are_refused_if_it_does_not_count():
    for name in [name for name, loss in LOSSES.items() if "include_background" in loss.parameters]:
        assert "a number above 0 for the foreground" in refusal(get(name, class_weights=[1, 0, 0])), name
        assert refusal(get(name, class_weights=[1, 0, 0], include_background=True)) == "", name


@pytest.mark.parametrize("name", LOSSES)
def test_equal_weights_are_none(examples, name):
    smoothing = {"smoothing": 1.0} if "smoothing" in LOSSES[name].parameters else {}
    for kind in ("softmax2d", "regions2d"):
        truth, prediction, params = examples[kind]
        weights = [3.0] * truth.shape[-1]
        weighted = get(name, class_weights=weights, reduction=None, **params, **smoothing)(truth, prediction)
        plain = get(name, reduction=None, **params, **smoothing)(truth, prediction)
        np.testing.assert_allclose(weighted, plain, rtol=1e-6, err_msg=kind)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("dice", {"smoothing": 0}, r"smoothing must be a number in \(0, inf\); received 0"),
        ("dice", {"smoothing": INF}, r"smoothing must be .*received inf"),
        (
            "dice",
            {"smoothing": 1e-50},
            r"in \(0, inf\) within the range of float32; received 1e-50",
        ),
        (
            "dice",
            {"smoothing": 10**400},
            r"in \(0, inf\) within the range of float32; received 1000",
        ),
        (
            "dice",
            {"overlap_over": "image"},
            "overlap_over must be one of 'sample', 'batch'; received 'image'",
        ),
        ("dice", {"include_background": 1}, "include_background must be one of True, False; received 1"),
        ("ssim", {"include_background": None}, "include_background must be"),
        ("bce", {"regions": "yes"}, "regions must be one of True, False; received 'yes'"),
        ("bce", {"ignore_label": 1.5}, "ignore_label must be an integer or None; received 1.5"),
        ("bce", {"class_weights": 3}, "class_weights must be a sequence.*received 3"),
        ("bce", {"class_weights": {0: 1.0, 1: 5.0}}, r"class_weights must be a sequence.*received \{0: 1.0, 1: 5.0\}"),
        ("bce", {"class_weights": {1, 5}}, r"class_weights must be a sequence.*received \{1, 5\}"),
        ("bce", {"class_weights": [1, -1]}, r"class_weights must be a number in \[0, inf\); received -1"),
        (
            "bce",
            {"class_weights": [1e308, 1e308]},
            "class_weights .* range of float32; received 1e[+]308",
        ),
        ("bce", {"class_weights": b"ab"}, "class_weights must be a sequence; received b'ab'"),
        ("bce", {"class_weights": [0, 0]}, "class_weights must have a number above 0"),
        ("bce", {"class_weights": [1, NAN]}, "class_weights must be .*received nan"),
        ("bce", {"reduction": "average"}, "reduction"),
        ("focal", {"gamma": -1}, r"gamma must be a number in \[0, inf\); received -1"),
        ("focal", {"alpha": 1.1}, r"alpha must be a number in \[0, 1\]; received 1.1"),
        ("tversky", {"alpha": 1.5}, r"alpha must be a number in \[0, 1\]; received 1.5"),
        ("tversky", {"alpha": 0, "beta": 0}, "alpha and beta must not both be 0"),
        ("focal_tversky", {"gamma": 0}, r"gamma must be a number in \(0, inf\); received 0"),
        ("hybrid", {"ssim_weight": INF}, "ssim_weight must be"),
        ("top_k", {"fraction": 0}, r"fraction must be a number in \(0, 1\]; received 0"),
        ("sensitivity_specificity", {"sensitivity_weight": 2}, "sensitivity_weight must be"),
        ("lovasz", {"overlap_over": "all"}, "overlap_over must be"),
        ("cldice", {"iterations": 0}, "iterations must be a whole number of at least 1; received 0"),
        ("cldice", {"iterations": 1.5}, "iterations must be a whole number"),
        ("boundary", {"spacing_mm": [1, 0]}, r"each of spacing_mm must be a number in \(0, inf\); received 0"),
        ("boundary", {"spacing_mm": {0: 1, 1: 2}}, r"spacing_mm must be a number .*received \{0: 1, 1: 2\}"),
        ("boundary", {"spacing_mm": [1, 1, 1, 1]}, "spacing_mm must have one number per spatial axis"),
        ("hausdorff_dt", {"alpha": 0}, "alpha must be"),
        ("hausdorff_dt", {"alpha": 9}, r"alpha must be a number in \(0, 8\]; received 9"),
        ("combo", {"beta": 1.5}, "beta must be"),
        ("exponential_logarithmic", {"dice_gamma": 0}, "dice_gamma must be"),
        ("symmetric_unified_focal", {"gamma": 1}, r"gamma must be a number in \[0, 1\); received 1"),
        ("mis_seg_focus", {"radius": 0}, "radius must be a whole number"),
        ("nacl", {"alpha": 1.5}, r"alpha must be a number in \[0, 1\]; received 1.5"),
        ("ml1_ace", {"bins": 0}, "bins must be .*received 0"),
        ("nacl", {"window": 4}, "window must be an odd number of at least 3; received 4"),
        ("generalized_wasserstein_dice", {"class_distances": [[0, 1]]}, r"square matrix .*received \[\[0, 1\]\]"),
        ("generalized_wasserstein_dice", {"class_distances": [[0, 1], [-1, 0]]}, "numbers of at least 0"),
        ("generalized_wasserstein_dice", {"class_distances": [[1, 1], [1, 0]]}, "0 on the diagonal"),
        ("generalized_wasserstein_dice", {"class_distances": [[0, 0], [0, 0]]}, "not 0 everywhere"),
        ("generalized_wasserstein_dice", {"class_distances": [[0, 1], 3]}, "class_distances must be a square matrix"),
    ],
)
def test_bad_arguments_are_refused(name, params, message):
    with pytest.raises(ValueError, match=message):
        get(name, **params)


@pytest.mark.parametrize("name", LOSSES)
def test_every_parameter_that_takes_numbers_refuses_what_is_no_number_in_its_range(name):
    """Only `ignore_label` may be negative."""
    numeric = [key for key, each in LOSSES[name].parameters.items() if re.search("float|int", str(each.annotation))]
    assert {"class_weights", "ignore_label"} <= set(numeric)
    for parameter in numeric:
        for wrong in (NAN, "x", True) if parameter == "ignore_label" else (NAN, -1, "x", True):
            with pytest.raises(ValueError, match=rf"{parameter} must be .*received {wrong!r}$"):
                get(name, **{parameter: wrong})


UNUSUAL = {
    "regions": True,
    "class_weights": [1.0, 2.0],
    "ignore_label": 7,
    "name": "mine",
    "reduction": None,
    "dtype": "float64",
    "smoothing": 0.5,
    "overlap_over": "batch",
    "include_background": True,
    "alpha": 0.25,
    "beta": 0.5,
    "gamma": 0.75,
    "dice_weight": 0.5,
    "ce_weight": 2.0,
    "jaccard_weight": 0.5,
    "bce_weight": 2.0,
    "ssim_weight": 0.25,
    "positive_weight": 3.0,
    "fraction": 0.3,
    "k": 1.5,
    "sensitivity_weight": 0.2,
    "iterations": 2,
    "spacing_mm": [1.0, 2.0],
    "erosions": 3,
    "focal_weight": 0.75,
    "top_k_weight": 0.75,
    "dice_gamma": 0.6,
    "ce_gamma": 0.7,
    "delta": 0.7,
    "tversky_weight": 0.8,
    "hausdorff_weight": 0.2,
    "global_weight": 0.9,
    "focus_weight": 0.6,
    "radius": 1,
    "window": 5,
    "bins": 7,
    "blob_weight": 0.5,
    "class_distances": [[0.0, 1.0], [2.0, 0.0]],
}


def test_configuration_round_trip(examples):
    truth, prediction, _ = examples["regions2d"]
    for name in LOSSES:
        params = {argument: UNUSUAL[argument] for argument in LOSSES[name].parameters}
        loss = get(name, **params)
        assert loss.get_config() == params, name
        stored = keras.saving.serialize_keras_object(loss)
        assert stored["registered_name"] == f"tfseg>{LOSSES[name].__name__}", name
        restored = keras.saving.deserialize_keras_object(stored)
        assert type(restored) is LOSSES[name] and restored.get_config() == params, name
        np.testing.assert_array_equal(restored(truth, prediction), loss(truth, prediction), err_msg=name)


def test_every_loss_follows_the_convention():
    for name in LOSSES:
        loss = get(name)
        assert isinstance(loss, SegmentationLoss), name
        common = {"regions": False, "ignore_label": None, "dtype": "float32"}
        assert loss.get_config().items() >= common.items(), name
        assert "Source: " in str(type(loss).__doc__), name
        assert "weight" not in loss.parameters, name  # in a sum it is the weight of the term


def test_small_types_become_float32():
    assert [get("bce", dtype=dtype).dtype for dtype in (None, "float16", "mixed_bfloat16")] == ["float32"] * 3
    assert get("bce", dtype="float64").dtype == "float64"
