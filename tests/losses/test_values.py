"""Values worked out by hand, and losses that must agree with one another."""

import math

import numpy as np
import pytest

from tfseg.losses import LOSSES, get

TRUTH = np.array([1.0, 1.0, 0.0, 0.0]).reshape(1, 2, 2, 1)
PREDICTION = np.array([0.8, 0.4, 0.2, 0.0]).reshape(1, 2, 2, 1)  # TP 1.2, FP 0.2, FN 0.8
LOG = math.log
BCE = -(LOG(0.8) + LOG(0.4) + LOG(0.8)) / 4
FOCAL = -(0.6 * 0.2**2 * LOG(0.8) + 0.6 * 0.6**2 * LOG(0.4) + 0.4 * 0.2**2 * LOG(0.8)) / 4
DICE = 1 - 1.2 / 1.7
JACCARD = 1 - 1.2 / 2.2
TVERSKY = 1 - 1.2 / (1.2 + 0.3 * 0.2 + 0.7 * 0.8)


def ssim_by_hand() -> float:
    """The window of a 2×2 image is 2×2 with equal weights."""
    t, p = TRUTH.ravel(), PREDICTION.ravel()
    covariance = (t * p).mean() - t.mean() * p.mean()
    luminance = (2 * t.mean() * p.mean() + 1e-4) / (t.mean() ** 2 + p.mean() ** 2 + 1e-4)
    return luminance * (2 * covariance + 9e-4) / (t.var() + p.var() + 9e-4)


HAND = [
    ("bce", {}, BCE),
    ("ce", {}, BCE),
    ("focal", {"alpha": 0.6}, FOCAL),
    ("log_cosh", {}, sum(LOG(math.cosh(e)) for e in (0.2, 0.6, 0.2, 0.0)) / 4),
    ("dice", {}, DICE),
    ("jaccard", {}, JACCARD),
    ("tversky", {}, TVERSKY),
    ("tversky", {"alpha": 0.9}, 1 - 1.2 / (1.2 + 0.9 * 0.2 + 0.1 * 0.8)),
    ("focal_tversky", {}, TVERSKY ** (4 / 3)),
    ("log_dice", {}, -LOG(1.2 / 1.7)),
    ("ssim", {}, 1 - ssim_by_hand()),
    ("dice_ce", {"dice_weight": 2.0, "ce_weight": 0.5}, 2 * DICE + 0.5 * BCE),
    ("hybrid", {}, JACCARD + BCE + 1 - ssim_by_hand()),
]


@pytest.mark.parametrize(("name", "params", "expected"), HAND)
def test_value_by_hand(name, params, expected):
    if "smoothing" in LOSSES[name]().get_config():
        params = {**params, "smoothing": 1e-12}
    assert float(get(name, dtype="float64", **params)(TRUTH, PREDICTION)) == pytest.approx(expected, abs=1e-6)


def test_every_loss_has_a_value_by_hand():
    assert {name for name, _, _ in HAND} == set(LOSSES)


def test_smoothing_stands_in_numerator_and_denominator():
    assert float(get("jaccard", smoothing=1.0)(TRUTH, PREDICTION)) == pytest.approx(1 - 2.2 / 3.2, abs=1e-6)


def test_softmax_by_hand():
    labels = np.array([[[0, 1], [2, 2]]])
    p = np.array([[[[0.7, 0.2, 0.1], [0.5, 0.4, 0.1]], [[0.1, 0.3, 0.6], [0.2, 0.6, 0.2]]]])
    logs = [LOG(0.7), LOG(0.4), LOG(0.6), LOG(0.2)]
    focal = [0.4 * 0.3**2, 0.6 * 0.6**2, 0.6 * 0.4**2, 0.6 * 0.8**2]
    dice = [1 - 2 * 0.4 / (1 + 1.5), 1 - 2 * 0.8 / (2 + 1.0)]  # classes 1 and 2
    expected = {
        ("ce", ()): -sum(logs) / 4,
        ("focal", (("alpha", 0.6),)): -np.dot(focal, logs) / 4,
        ("dice", ()): sum(dice) / 2,
        ("dice", (("class_weights", (5.0, 1.0, 3.0)),)): (dice[0] + 3 * dice[1]) / 4,
        ("ce", (("class_weights", (1.0, 2.0, 3.0)),)): -(0.5 * logs[0] + logs[1] + 1.5 * sum(logs[2:])) / 4,
        ("dice_ce", ()): sum(dice) / 2 - sum(logs) / 4,
    }
    for (name, params), value in expected.items():
        assert float(get(name, **dict(params))(labels, p)) == pytest.approx(value, abs=2e-5), (name, params)


EQUAL = [
    ("dice", {}, [(1, "tversky", {"alpha": 0.5, "beta": 0.5})]),
    ("jaccard", {}, [(1, "tversky", {"alpha": 1, "beta": 1})]),
    ("focal", {"gamma": 0, "alpha": 0.5}, [(0.5, "ce", {})]),
    ("focal", {"gamma": 0, "alpha": None}, [(1, "ce", {})]),
    ("focal_tversky", {"gamma": 1}, [(1, "tversky", {})]),
    ("hybrid", {}, [(1, "jaccard", {}), (1, "bce", {}), (1, "ssim", {})]),
    ("dice_ce", {"dice_weight": 0.3, "ce_weight": 2}, [(0.3, "dice", {}), (2, "ce", {})]),
]


@pytest.mark.parametrize(("name", "params", "terms"), EQUAL)
def test_identities(example, kind, name, params, terms):
    truth, prediction, common = example(kind)
    common = {**common, "reduction": None, "dtype": "float64", "class_weights": [1, 2, 3][: truth.shape[-1]]}
    value = get(name, **params, **common)(truth, prediction)
    expected = sum(weight * get(term, **options, **common)(truth, prediction) for weight, term, options in terms)
    np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_log_dice_is_the_logarithm_of_dice(example):
    truth, prediction, _ = example("binary2d")
    dice = get("dice", reduction=None, dtype="float64")(truth, prediction)
    log_dice = get("log_dice", reduction=None, dtype="float64")(truth, prediction)
    np.testing.assert_allclose(log_dice, -np.log(1 - dice))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_a_perfect_constant_image_costs_nothing(name, fill):
    image = np.full((2, 12, 12, 1), fill)
    np.testing.assert_allclose(get(name, reduction=None)(image, image), 0, atol=1e-6)
