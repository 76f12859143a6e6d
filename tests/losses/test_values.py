"""Values computed by hand, and losses that must agree with one another."""

import math

import numpy as np
import pytest

from tfseg.losses import LOSSES, get
from tfseg.losses.skeleton import skeleton, widened

TRUTH = np.array([1.0, 1.0, 0.0, 0.0]).reshape(1, 2, 2, 1)
PREDICTION = np.array([0.8, 0.4, 0.2, 0.0]).reshape(1, 2, 2, 1)  # TP 1.2, FP 0.2, FN 0.8
LOG = math.log
BCE = -(LOG(0.8) + LOG(0.4) + LOG(0.8)) / 4
FOCAL = -(0.6 * 0.2**2 * LOG(0.8) + 0.6 * 0.6**2 * LOG(0.4) + 0.4 * 0.2**2 * LOG(0.8)) / 4
DICE = 1 - 1.2 / 1.7
JACCARD = 1 - 1.2 / 2.2
TVERSKY = 1 - 1.2 / (1.2 + 0.3 * 0.2 + 0.7 * 0.8)
WORST_HALF = -(LOG(0.4) + LOG(0.8)) / 2
HAUSDORFF = 2 * (0.04 + 0.36 + 0.04) / 4  # all at distance 1 of both boundaries
UNIFIED_TVERSKY = 1 - 1.2 / (1.2 + 0.4 * 0.2 + 0.6 * 0.8)


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
    ("weighted_bce", {}, -(2 * LOG(0.8) + 2 * LOG(0.4) + LOG(0.8)) / 4),
    ("weighted_ce", {}, -((LOG(0.8) + LOG(0.4)) / 2 + LOG(0.8) / 2) / 2),
    ("top_k", {"fraction": 0.5}, WORST_HALF),
    ("squared_dice", {}, 1 - 2.4 / (0.64 + 0.16 + 0.04 + 2)),
    ("log_cosh_dice", {}, LOG(math.cosh(DICE))),
    ("nacl", {}, BCE + 0.1 * (0.3 - 0.5)),  # half of each window is foreground
    ("ml1_ace", {}, (0.2 + 0.6 + 0.2) / 4),  # every voxel in a bin of its own
    ("ml1_ace", {"bins": 1}, (2 - 1.4) / 4),
    ("ml1_ace", {"bins": 2}, (0.2 / 1 + (1.0 - 0.6) / 3) / 2),
    ("mcc", {}, 1 - (1.2 * 1.8 - 0.2 * 0.8) / math.sqrt(1.4 * 2 * 2 * 2.6)),
    ("generalized_wasserstein_dice", {}, DICE),
    ("skeleton_recall", {}, 1 - 1.2 / 2),  # the skeleton is the structure
    ("blob_dice", {}, 3 * DICE),  # one blob
    ("generalized_dice", {}, 1 - 2 * (1.2 + 1.8) / (2 * (1.2 + 1.8) + 2 * (0.2 + 0.8))),
    ("penalty_generalized_dice", {}, 0.25 / (1 + 2.5 * 0.75)),
    ("lovasz", {}, 0.6 * 0.5 + 0.2 * 0.5),  # Jaccard loss ½ after the worst voxel, 1 after the two next
    ("asymmetric_similarity", {}, 1 - 3.25 * 1.2 / (3.25 * 1.2 + 0.2 + 2.25 * 0.8)),
    ("sensitivity_specificity", {}, 0.05 * (0.04 + 0.36) / 2 + 0.95 * 0.04 / 2),
    ("ms_ssim", {}, 1 - ssim_by_hand()),  # a single scale fits
    ("cldice", {}, 1 - 2 * 1 * 0.6 / (1 + 0.6)),  # the skeleton of p is 0.68 and 0.2, inside the truth
    ("boundary", {}, (0.2 + 0.6 + 0.2) / 4),  # every voxel lies at the boundary
    ("hausdorff_dt", {}, HAUSDORFF),
    ("log_hausdorff_dt", {}, LOG(1 + HAUSDORFF)),
    ("hausdorff_erosion", {}, 0),  # no error is large enough to survive
    ("distance_penalized_ce", {}, 2 * BCE),
    ("dice_bce", {"bce_weight": 3.0}, DICE + 3 * BCE),
    ("dice_focal", {"alpha": 0.6}, DICE + FOCAL),
    ("dice_top_k", {"fraction": 0.5}, DICE + WORST_HALF),
    ("combo", {"alpha": 0.25, "beta": 0.7}, -0.25 * (0.7 * LOG(0.8 * 0.4) + 0.3 * LOG(0.8)) / 4 + 0.75 * DICE),
    (
        "exponential_logarithmic",
        {},
        0.8 * LOG(1.7 / 1.2) ** 0.3 + 0.2 * (2 * (-LOG(0.8)) ** 0.3 + (-LOG(0.4)) ** 0.3) / 4,
    ),
    (
        "symmetric_unified_focal",
        {},
        -(LOG(0.8) * 0.2**0.5 + 0.6 * 0.6**0.5 * LOG(0.4)) / 8 + UNIFIED_TVERSKY**0.5 / 2,
    ),
    (
        "asymmetric_unified_focal",
        {},
        -(0.6 * LOG(0.8 * 0.4) + 0.4 * 0.2**0.5 * LOG(0.8)) / 8 + UNIFIED_TVERSKY**0.5 / 2,
    ),
    ("tversky_hausdorff", {}, 0.9 * TVERSKY + 0.1 * LOG(1 + HAUSDORFF)),
    ("dice_focal_hausdorff", {"alpha": 0.6}, 0.45 * (DICE + FOCAL) + 0.1 * LOG(1 + HAUSDORFF)),
    (
        "mis_seg_focus",  # one voxel is wrong, and a ball of radius 1 leaves out the voxel diagonal to it
        {"radius": 1},
        DICE + BCE + 1 - 2.4 / 3.2 - LOG(0.8 * 0.4) / 3,
    ),
]


@pytest.mark.parametrize(("name", "params", "expected"), HAND)
def test_value_by_hand(name, params, expected):
    if "smoothing" in LOSSES[name]().get_config():
        params = {**params, "smoothing": 1e-12}
    assert float(get(name, dtype="float64", **params)(TRUTH, PREDICTION)) == pytest.approx(expected, abs=1e-6)


def test_every_loss_has_a_value_by_hand():
    assert {name for name, _, _ in HAND} == set(LOSSES)


def test_smoothing_is_added_to_numerator_and_denominator():
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


def test_erosions_by_hand():
    """Nine wrong voxels: one erosion leaves 1, 0.6 and 0.2 in centre, edges and corners, two leave 0.36."""
    truth = np.ones((1, 3, 3, 1))
    loss = get("hausdorff_erosion", reduction=None, dtype="float64")
    expected = (1 + 4 * 0.6 + 4 * 0.2 + 2**2 * 0.36) / 9
    assert float(loss(truth, 1 - truth)[0]) == pytest.approx(expected)


def test_boundary_by_hand():
    """A row of eight: two voxels of a false tail cost 2 and 3, one missed inside a structure of three costs 2."""
    truth = np.array([1.0, 1, 1, 0, 0, 0, 0, 0]).reshape(1, 1, 8, 1)
    prediction = np.array([1.0, 0, 1, 0, 1, 1, 0, 0]).reshape(1, 1, 8, 1)
    loss = get("boundary", reduction=None)
    assert float(loss(truth, prediction)[0]) == pytest.approx((2 + 2 + 3) / 8)


def test_small_classes_weigh_as_much_in_the_generalized_dice():
    """Volumes 1 and 4, one voxel of each missed: weights 1 and 1/16."""
    labels = np.array([1, 2, 2, 2, 2, 0, 0, 0]).reshape(1, 1, 8)
    prediction = np.eye(3)[np.array([0, 2, 2, 2, 0, 0, 0, 0])].reshape(1, 1, 8, 3)
    expected = 1 - (2 * 3 / 16) / (2 * 3 / 16 + 1 + 1 / 16)
    assert float(get("generalized_dice", smoothing=1e-9)(labels, prediction)) == pytest.approx(expected, rel=1e-6)


def test_multi_scale_is_single_scale_on_a_small_image_only():
    rng = np.random.default_rng(0)
    truth = (rng.random((1, 44, 47, 1)) < 0.5).astype("float64")
    for side, same in ((21, True), (44, False)):
        part, prediction = truth[:, :side], 0.2 + 0.6 * truth[:, :side]
        values = [float(get(name, dtype="float64")(part, prediction)) for name in ("ssim", "ms_ssim")]
        assert (abs(values[0] - values[1]) < 1e-9) is same


EQUAL = [
    ("dice", {}, [(1, "tversky", {"alpha": 0.5, "beta": 0.5})]),
    ("jaccard", {}, [(1, "tversky", {"alpha": 1, "beta": 1})]),
    ("focal", {"gamma": 0, "alpha": 0.5}, [(0.5, "ce", {})]),
    ("focal", {"gamma": 0, "alpha": None}, [(1, "ce", {})]),
    ("focal_tversky", {"gamma": 1}, [(1, "tversky", {})]),
    ("hybrid", {}, [(1, "jaccard", {}), (1, "bce", {}), (1, "ssim", {})]),
    ("dice_ce", {"dice_weight": 0.3, "ce_weight": 2}, [(0.3, "dice", {}), (2, "ce", {})]),
    ("dice_bce", {}, [(1, "dice", {}), (1, "bce", {})]),
    ("dice_focal", {"gamma": 1}, [(1, "dice", {}), (1, "focal", {"gamma": 1})]),
    ("dice_top_k", {}, [(1, "dice", {}), (1, "top_k", {})]),
    ("top_k", {"fraction": 1}, [(1, "ce", {})]),
    ("weighted_bce", {"positive_weight": 1}, [(1, "bce", {})]),
    ("combo", {"alpha": 0.6}, [(0.3, "bce", {}), (0.4, "dice", {})]),
    ("asymmetric_similarity", {"beta": 1}, [(1, "dice", {})]),
    ("asymmetric_similarity", {"beta": 2}, [(1, "tversky", {"alpha": 0.2, "beta": 0.8})]),
    ("penalty_generalized_dice", {"k": 0}, [(1, "generalized_dice", {})]),
    ("exponential_logarithmic", {"dice_gamma": 1, "ce_gamma": 1}, [(0.8, "log_dice", {}), (0.2, "ce", {})]),
    (
        "symmetric_unified_focal",
        {"gamma": 0, "delta": 0.5, "focal_weight": 0.4},
        [(0.2, "ce", {}), (0.6, "dice", {})],
    ),
    (
        "asymmetric_unified_focal",
        {"gamma": 0},
        [(1, "symmetric_unified_focal", {"gamma": 0})],
    ),
    ("mis_seg_focus", {"focus_weight": 0}, [(1, "dice_ce", {})]),
    ("nacl", {"alpha": 0}, [(1, "ce", {})]),
    ("blob_dice", {"global_weight": 0.5, "blob_weight": 0}, [(0.5, "dice", {})]),
    ("tversky_hausdorff", {}, [(0.9, "tversky", {}), (0.1, "log_hausdorff_dt", {})]),
    (
        "dice_focal_hausdorff",
        {},
        [(0.45, "dice", {}), (0.45, "focal", {}), (0.1, "log_hausdorff_dt", {})],
    ),
]


@pytest.mark.parametrize(("name", "params", "terms"), EQUAL)
def test_identities(examples, name, params, terms):
    for kind, (truth, prediction, common) in examples.items():
        weights = [1, 2, 3][: truth.shape[-1]]
        common = {**common, "reduction": None, "dtype": "float64", "class_weights": weights}
        value = get(name, **params, **common)(truth, prediction)
        expected = sum(weight * get(term, **options, **common)(truth, prediction) for weight, term, options in terms)
        np.testing.assert_allclose(value, expected, rtol=1e-9, err_msg=kind)


def test_log_dice_is_the_logarithm_of_dice(example):
    truth, prediction, _ = example("binary2d")
    dice = get("dice", reduction=None, dtype="float64")(truth, prediction)
    log_dice = get("log_dice", reduction=None, dtype="float64")(truth, prediction)
    np.testing.assert_allclose(log_dice, -np.log(1 - dice))


def test_a_perfect_constant_image_costs_nothing():
    for name in LOSSES:
        for fill in (0.0, 1.0):
            image = np.full((2, 12, 12, 1), fill)
            value = get(name, reduction=None)(image, image)
            np.testing.assert_allclose(value, 0, atol=1e-6, err_msg=f"{name} of an image of {fill:g}")


def test_confusing_similar_classes_costs_less():
    """Two voxels of class 1 predicted as class 2, at ¼ of the largest distance: TP is 1 + 2 · ¾, the errors 2 · ¼."""
    labels = np.array([0, 1, 1, 2]).reshape(1, 1, 4)
    prediction = np.eye(3)[np.array([0, 2, 2, 2])].reshape(1, 1, 4, 3)
    distances = [[0, 8, 8], [8, 0, 2], [8, 2, 0]]
    loss = get("generalized_wasserstein_dice", class_distances=distances, dtype="float64")
    assert float(loss(labels, prediction)) == pytest.approx(1 - 2.5 / (2.5 + 0.25), rel=1e-4)
    background = get("generalized_wasserstein_dice", class_distances=distances, include_background=True)
    assert float(background(labels, prediction)) == pytest.approx(1 - 3.5 / (3.5 + 0.25), rel=1e-4)
    with pytest.raises(ValueError, match=r"class_distances must have 2 rows and columns .*received 3"):
        loss(labels[..., None] > 0, prediction[..., :1])


def test_every_blob_counts_the_same():
    """Of blobs with 4 and 1 voxels the small one is not predicted; one voxel lies outside both."""
    truth = np.array([1.0, 1, 1, 1, 0, 0, 1, 0, 0]).reshape(1, 1, 9, 1)
    prediction = np.array([1.0, 1, 1, 1, 0, 0, 0, 0, 1]).reshape(1, 1, 9, 1)
    whole, large, small = 1 - 8 / (5 + 5), 1 - 8 / (5 + 4), 1 - 0 / (1 + 1)
    loss = get("blob_dice", global_weight=0.5, blob_weight=2.0, dtype="float64")
    assert float(loss(truth, prediction)) == pytest.approx(0.5 * whole + large + small, rel=1e-4)
    assert float(get("blob_dice", global_weight=0)(0 * truth, prediction)) == 0


def test_skeleton_recall_by_hand():
    """A bar of 3 × 9 voxels, radius 1: the skeleton's middle row and what it touches, without the far ends' corners."""
    truth = np.zeros((1, 7, 13, 1))
    truth[0, 2:5, 2:11] = 1
    tube = np.asarray(widened(skeleton(truth), truth, 1))[0, ..., 0]
    assert (tube[3, 2:11] == 1).all() and tube.max() == 1 and (tube <= truth[0, ..., 0]).all()
    prediction = 0.25 * truth
    prediction[0, 3] *= 2
    loss = get("skeleton_recall", radius=1, dtype="float64")
    assert float(loss(truth, prediction)) == pytest.approx(
        1 - (tube * prediction[0, ..., 0]).sum() / tube.sum(), rel=1e-6
    )
    assert float(loss(truth, np.ones_like(truth))) == pytest.approx(0, abs=1e-12)


def test_shares_of_the_neighbourhood_by_hand():
    """A corner voxel has four voxels in its window; an ignored one is not counted."""
    truth = np.zeros((1, 3, 3, 1))
    truth[0, 0, 1] = truth[0, 1, 1] = 1
    for ignored, share in (((2, 2), 2 / 4), ((1, 0), 2 / 3)):
        marked = truth.copy()
        marked[(0, *ignored, 0)] = 255
        prediction = truth.copy()
        prediction[0, 0, 0] = 0.1  # away from its share by less than the truth, 0, is
        values = [
            float(get("nacl", alpha=a, ignore_label=255, dtype="float64")(marked, prediction)) for a in (0.0, 1.0)
        ]
        assert values[1] - values[0] == pytest.approx((abs(0.1 - share) - share) / 8, rel=1e-9)
