"""What holds for every loss on any input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfseg.losses import LOSSES, get
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
    "ssim": 2,
    "ms_ssim": 1,
    "cldice": 1,
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
}
BACKGROUND_IS_SPECIAL = {"symmetric_unified_focal", "asymmetric_unified_focal"}  # it weighs 1-δ
OVERLAP = [name for name, loss in LOSSES.items() if "overlap_over" in loss.parameters]
OVERLAP_ALONE = {  # arguments that leave nothing of a loss but its overlap terms
    f"{term}_weight": 0.0 for term in ("ce", "bce", "ssim", "focal", "top_k", "hausdorff")
}
MARGIN = 5  # voxels; farther than a skeleton or a dilation sees
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=2, deadline=None, derandomize=True)


def per_sample(name, truth, prediction, **params):
    return get(name, reduction=None, dtype="float64", **params)(truth, prediction).numpy()


def opposite(truth, params):
    """A prediction that is wrong everywhere."""
    return np.roll(truth, 1, axis=-1) if truth.shape[-1] > 1 and not params else 1 - truth


def test_every_loss_has_a_bound():
    assert set(UPPER) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
@given(seed=seeds)
@few
def test_bounds(example, kind, name, seed):
    truth, prediction, params = example(kind, seed)
    for found in (prediction, opposite(truth, params)):
        values = per_sample(name, truth, found, **params)
        assert values.shape == (3,)
        assert (values >= 0).all() and (values <= UPPER[name]).all()
    np.testing.assert_allclose(per_sample(name, truth, truth, **params), 0, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@given(seed=seeds)
@few
def test_flips_change_nothing(example, kind, name, seed):
    truth, prediction, params = example(kind, seed)
    value = per_sample(name, truth, prediction, **params)
    for axis in range(1, truth.ndim - 1):
        flipped = per_sample(name, np.flip(truth, axis), np.flip(prediction, axis), **params)
        np.testing.assert_allclose(flipped, value, rtol=1e-9)


@pytest.mark.parametrize("kind", ["softmax2d", "softmax3d"])
@pytest.mark.parametrize("name", LOSSES)
@given(seed=seeds, order=st.permutations(range(3)))
@settings(few, max_examples=3)
def test_classes_may_change_places_with_their_weights(example, kind, name, seed, order):
    truth, prediction, _ = example(kind, seed)
    if name in BACKGROUND_IS_SPECIAL:
        order = [0, *filter(None, order)]
    weights = np.array([1.0, 2.0, 5.0])
    known = LOSSES[name]().get_config()
    params: dict[str, bool | None] = {"include_background": True} if "include_background" in known else {}
    params |= {"alpha": None} if "focal" in name and name != "focal_tversky" and "alpha" in known else {}
    value = per_sample(name, truth, prediction, class_weights=weights, **params)
    permuted = per_sample(name, truth[..., order], prediction[..., order], class_weights=weights[list(order)], **params)
    np.testing.assert_allclose(permuted, value, rtol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
@given(seed=seeds)
@few
def test_other_samples_change_nothing(example, kind, name, seed):
    truth, prediction, params = example(kind, seed)
    alone = per_sample(name, truth[:1], prediction[:1], **params)
    np.testing.assert_allclose(per_sample(name, truth, prediction, **params)[:1], alone, rtol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
@given(seed=seeds)
@few
def test_what_lies_under_the_ignore_label_changes_nothing(example, kind, name, seed):
    truth, prediction, params = example(kind, seed)
    ignored = np.random.default_rng(seed).random(truth.shape[:-1]) < 0.3
    truth = np.where(ignored[..., None], 255, truth)
    other = np.where(ignored[..., None], 1 - prediction, prediction)
    value = per_sample(name, truth, prediction, ignore_label=255, **params)
    np.testing.assert_allclose(per_sample(name, truth, other, ignore_label=255, **params), value, rtol=1e-12)


@pytest.mark.parametrize("start", ["nothing", "the opposite"])
@pytest.mark.parametrize("name", LOSSES)
@given(seed=seeds)
@settings(few, max_examples=1)
def test_a_better_prediction_never_costs_more(example, kind, name, start, seed):
    if card(name).not_monotone:
        pytest.skip(card(name).not_monotone)
    truth, _, params = example(kind, seed, samples=1)
    wrong = opposite(truth, params)
    if start == "nothing":
        wrong = np.zeros_like(truth)
        wrong[..., 0] = truth.shape[-1] > 1 and not params
    steps = np.linspace(0, 1, 21).reshape(-1, *[1] * (truth.ndim - 1))
    values = per_sample(name, np.repeat(truth, 21, axis=0), wrong + steps * (truth - wrong), **params)
    assert (np.diff(values) <= 1e-9).all()


@pytest.mark.parametrize("name", OVERLAP)
def test_overlap_over_batch_is_one_large_sample(example, kind, name):
    """The samples behind one another, with a margin of background about each."""
    *images, params = example(kind)
    params |= {key: value for key, value in OVERLAP_ALONE.items() if key in LOSSES[name].parameters}
    params |= {"alpha": 0.0} if name == "combo" else {}
    around = [(0, 0), (MARGIN, MARGIN), *[(0, 0)] * (images[0].ndim - 2)]
    truth, prediction = (np.pad(image, around) for image in images)
    if kind.startswith("softmax"):
        for image in (truth, prediction):
            image[..., 0] = 1 - image[..., 1:].sum(axis=-1)
    batch = per_sample(name, truth, prediction, overlap_over="batch", **params)
    joined = (image.reshape(1, -1, *image.shape[2:]) for image in (truth, prediction))
    np.testing.assert_allclose(batch, np.repeat(per_sample(name, *joined, **params), 3))
