"""Properties of every loss on any input."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfseg.losses import FAMILIES, LOSSES, get
from tfseg.losses.cards import card

CE = 16.2  # -log(1e-7) and a little
UPPER = {
    "bce": CE,
    "weighted_bce": 2 * CE,
    "ce": CE,
    "weighted_ce": CE,
    "top_k": CE,
    "focal": CE / 2,
    "log_cosh": 0.434,
    "nacl": CE + 0.1,
    "ml1_ace": 1,
    "dice": 1,
    "squared_dice": 1,
    "log_dice": np.inf,
    "log_cosh_dice": 0.434,
    "generalized_dice": 1,
    "penalty_generalized_dice": 1,
    "jaccard": 1,
    "lovasz": 1,
    "tversky": 1,
    "focal_tversky": 1,
    "asymmetric_similarity": 1,
    "sensitivity_specificity": 1,
    "generalized_wasserstein_dice": 1,
    "mcc": 2,
    "ssim": 2,
    "ms_ssim": 1,
    "cldice": 1,
    "skeleton_recall": 1,
    "boundary": np.inf,
    "hausdorff_dt": np.inf,
    "log_hausdorff_dt": np.inf,
    "hausdorff_erosion": sum(step**2 for step in range(1, 11)),
    "distance_penalized_ce": 2 * CE,
    "dice_ce": 1 + CE,
    "dice_bce": 1 + CE,
    "dice_focal": 1 + CE / 2,
    "dice_top_k": 1 + CE,
    "combo": (1 + CE / 2) / 2,
    "exponential_logarithmic": np.inf,
    "symmetric_unified_focal": (1 + 0.6 * CE) / 2,
    "asymmetric_unified_focal": (1 + 0.6 * CE) / 2,
    "hybrid": 1 + CE + 2,
    "tversky_hausdorff": np.inf,
    "dice_focal_hausdorff": np.inf,
    "mis_seg_focus": 2 * (1 + CE),
    "blob_dice": 3,
}
# The cost of a voxel depends on its surroundings.
NEIGHBOURS = {
    *FAMILIES["structural"],
    *FAMILIES["boundary"],
    "hybrid",
    "tversky_hausdorff",
    "dice_focal_hausdorff",
    "mis_seg_focus",
    "nacl",
    "blob_dice",
}
BACKGROUND_IS_SPECIAL = {"symmetric_unified_focal", "asymmetric_unified_focal"}  # it weighs 1-δ
# The foreground alone, each class for itself.
FOREGROUND = [
    name
    for family in ("region", "structural", "boundary")
    for name in FAMILIES[family]
    if "generalized" not in name and name != "distance_penalized_ce"
]
MONOTONE = [name for name in LOSSES if not card(name).not_monotone]
OVERLAP = [name for name, loss in LOSSES.items() if "overlap_over" in loss.parameters]
OVERLAP_ONLY = {  # arguments that leave only the overlap terms of a loss
    f"{term}_weight": 0.0 for term in ("ce", "bce", "ssim", "focal", "top_k", "hausdorff", "blob")
}
MARGIN = 5  # voxels; farther than a skeleton or a dilation reaches
BINARY, SOFTMAX, REGIONS = "binary", "softmax", "regions"


class Segmentation(NamedTuple):
    truth: np.ndarray  # a channel per class
    prediction: np.ndarray
    params: dict[str, bool]


@st.composite
def segmentations(draw, forms=(BINARY, SOFTMAX, REGIONS), samples=3, ends=True):
    """Truth and prediction of any form and size in 2D and 3D; with `ends`, some probabilities are exactly 0 or 1.

    Each sample has a share of foreground, and a share of such voxels, of its own.
    """
    form = draw(st.sampled_from(forms))
    classes = 1 if form == BINARY else draw(st.integers(2, 4), label="classes")
    space = draw(st.lists(st.integers(1, 8), min_size=2, max_size=3), label="space")
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    shape = (samples, *space, classes)
    each = (samples, *[1] * len(space))
    dense = rng.choice([0.0, 0.1, 0.4, 0.9, 1.0], (*each, 1))
    noise = rng.uniform(0.05, 0.95, shape)
    sure = rng.random((*shape[:-1], 1)) < rng.choice([0.0, 0.3, 1.0] if ends else [0.0], (*each, 1))
    if form == SOFTMAX:
        some = rng.random(shape[:-1]) < dense[..., 0]
        truth = np.eye(classes)[np.where(some, rng.integers(1, classes, shape[:-1]), 0)]
        prediction = np.where(sure, np.eye(classes)[noise.argmax(-1)], noise / noise.sum(-1, keepdims=True))
    else:
        truth = (rng.random(shape) < dense).astype(float)
        prediction = np.where(sure, noise.round(), noise)
    return Segmentation(truth, prediction, {"regions": True} if form == REGIONS else {})


search = settings(max_examples=8, deadline=None, derandomize=True)


def per_sample(name, truth, prediction, **params):
    return get(name, reduction=None, dtype="float64", **params)(truth, prediction).numpy()


def together(name, *pairs, **params):
    """Evaluate pairs of truth and prediction as one batch, which costs as much as one of them; an array per pair."""
    truth, prediction = (np.concatenate(images) for images in zip(*pairs, strict=True))
    return np.split(per_sample(name, truth, prediction, **params), len(pairs))


def opposite(truth, params):
    """A prediction that is wrong everywhere."""
    return np.roll(truth, 1, axis=-1) if truth.shape[-1] > 1 and not params else 1 - truth


def nothing(truth, params):
    """A prediction of no structure at all."""
    empty = np.zeros_like(truth)
    empty[..., 0] = truth.shape[-1] > 1 and not params
    return empty


def test_every_loss_has_a_bound():
    assert set(UPPER) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
@given(case=segmentations())
@search
def test_bounds(name, case):
    truth, prediction, params = case
    *others, perfect = together(
        name, *((truth, each) for each in (prediction, opposite(truth, params), truth)), **params
    )
    for values in others:
        assert values.shape == (3,)
        assert (values >= -1e-12).all() and (values <= UPPER[name]).all(), values
    np.testing.assert_allclose(perfect, 0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(NEIGHBOURS))
@given(case=segmentations())
@search
def test_flips_change_nothing(name, case):
    truth, prediction, params = case
    flips = [(np.flip(truth, axis), np.flip(prediction, axis)) for axis in range(1, truth.ndim - 1)]
    value, *flipped = together(name, (truth, prediction), *flips, **params)
    for axis, each in enumerate(flipped, start=1):
        np.testing.assert_allclose(each, value, rtol=1e-9, atol=1e-12, err_msg=f"axis {axis}")


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - NEIGHBOURS))
@given(case=segmentations(), seed=st.integers(0, 2**32 - 1))
@search
def test_voxels_may_change_places(name, case, seed):
    truth, prediction, params = case
    order = np.random.default_rng(seed).permutation(truth[0, ..., 0].size)
    shuffled = (image.reshape(3, -1, image.shape[-1])[:, order].reshape(image.shape) for image in (truth, prediction))
    value, moved = together(name, (truth, prediction), tuple(shuffled), **params)
    np.testing.assert_allclose(moved, value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@given(case=segmentations([SOFTMAX]), data=st.data())
@search
def test_classes_may_change_places_with_their_weights(name, case, data):
    truth, prediction, _ = case
    classes = truth.shape[-1]
    order = data.draw(st.permutations(range(classes)))
    if name in BACKGROUND_IS_SPECIAL:
        order = [0, *filter(None, order)]
    weights = np.array([1.0, 2.0, 5.0, 3.0])[:classes]
    known = LOSSES[name]().get_config()
    params: dict[str, bool | None] = {"include_background": True} if "include_background" in known else {}
    params |= {"alpha": None} if "focal" in name and name != "focal_tversky" and "alpha" in known else {}
    value = per_sample(name, truth, prediction, class_weights=weights, **params)
    permuted = per_sample(name, truth[..., order], prediction[..., order], class_weights=weights[list(order)], **params)
    np.testing.assert_allclose(permuted, value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@given(case=segmentations())
@search
def test_other_samples_change_nothing(name, case):
    truth, prediction, params = case
    values = per_sample(name, truth, prediction, **params)
    alone = per_sample(name, truth[1:2], prediction[1:2], **params)
    np.testing.assert_allclose(values[1:2], alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", sorted(NEIGHBOURS))
@given(case=segmentations(), seed=st.integers(0, 2**32 - 1))
@search
def test_predictions_under_the_ignore_label_change_nothing(name, case, seed):
    truth, prediction, params = case
    ignored = np.random.default_rng(seed).random(truth.shape[:-1]) < 0.3
    truth = np.where(ignored[..., None], 255, truth)
    other = np.where(ignored[..., None], np.roll(prediction, 1, axis=1), prediction)
    value, changed = together(name, (truth, prediction), (truth, other), ignore_label=255, **params)
    np.testing.assert_allclose(changed, value, rtol=1e-12)


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - NEIGHBOURS))
@given(case=segmentations(), seed=st.integers(0, 2**32 - 1))
@search
def test_ignored_voxels_may_as_well_be_absent(name, case, seed):
    truth, prediction, params = case
    kept = np.random.default_rng(seed).random(truth[0, ..., 0].shape) < 0.7
    kept.flat[0] = True
    ignored = np.where(kept[..., None], truth, 255)
    value = per_sample(name, ignored, prediction, ignore_label=255, **params)
    only_kept = per_sample(name, truth[:, kept][:, None], prediction[:, kept][:, None], **params)
    np.testing.assert_allclose(value, only_kept, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", MONOTONE)
@given(case=segmentations(samples=1), start=st.sampled_from([nothing, opposite]))
@search
def test_a_better_prediction_never_costs_more(name, case, start):
    truth, _, params = case
    wrong = start(truth, params)
    steps = np.linspace(0, 1, 21).reshape(-1, *[1] * (truth.ndim - 1))
    values = per_sample(name, np.repeat(truth, 21, axis=0), wrong + steps * (truth - wrong), **params)
    assert (np.diff(values) <= 1e-9).all(), values


@pytest.mark.parametrize("name", OVERLAP)
@given(case=segmentations())
@search
def test_overlap_over_batch_is_one_large_sample(name, case):
    """The samples behind one another, with a margin of background around each."""
    *images, params = case
    params |= {key: value for key, value in OVERLAP_ONLY.items() if key in LOSSES[name].parameters}
    params |= {"alpha": 0.0} if name == "combo" else {}
    around = [(0, 0), (MARGIN, MARGIN), *[(0, 0)] * (images[0].ndim - 2)]
    truth, prediction = (np.pad(image, around) for image in images)
    if truth.shape[-1] > 1 and "regions" not in params:
        for image in (truth, prediction):
            image[..., 0] = 1 - image[..., 1:].sum(axis=-1)
    batch = per_sample(name, truth, prediction, overlap_over="batch", **params)
    joined = (image.reshape(1, -1, *image.shape[2:]) for image in (truth, prediction))
    np.testing.assert_allclose(batch, np.repeat(per_sample(name, *joined, **params), 3), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"mis_seg_focus"}))  # its focus is on all regions together
@given(case=segmentations([REGIONS]))
@search
def test_regions_are_the_mean_of_their_binary_losses(name, case):
    truth, prediction, params = case
    value = per_sample(name, truth, prediction, **params)
    channels = range(truth.shape[-1])
    separate = together(name, *((truth[..., c : c + 1], prediction[..., c : c + 1]) for c in channels))
    np.testing.assert_allclose(value, np.mean(separate, axis=0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"weighted_bce"}))  # its foreground of a softmax is each class
@given(case=segmentations([BINARY]))
@search
def test_one_channel_is_a_softmax_of_two(name, case):
    truth, prediction, _ = case
    params = {"include_background": True} if "generalized" in name else {}
    two = (np.concatenate([1 - image, image], axis=-1) for image in (truth, prediction))
    value = per_sample(name, truth, prediction, **params)
    np.testing.assert_allclose(per_sample(name, *two, **params), value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", FOREGROUND)
@given(case=segmentations([SOFTMAX]))
@search
def test_the_foreground_of_a_softmax_is_regions(name, case):
    truth, prediction, _ = case
    weights = [5.0, 2.0, 3.0, 1.0][: truth.shape[-1]]
    regions = per_sample(name, truth[..., 1:], prediction[..., 1:], regions=True, class_weights=weights[1:])
    softmax = per_sample(name, truth, prediction, class_weights=weights)
    np.testing.assert_allclose(softmax, regions, rtol=1e-9, atol=1e-12)
