"""What holds for every loss on any input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfseg.losses import LOSSES, get
from tfseg.losses.cards import card

UPPER = {"log_cosh": 0.434, "dice": 1, "jaccard": 1, "tversky": 1, "focal_tversky": 1, "ssim": 2}
BACKGROUND_IS_SPECIAL = {"symmetric_unified_focal", "asymmetric_unified_focal"}  # it weighs 1-δ
OVERLAP = [name for name, loss in LOSSES.items() if "overlap_over" in loss.parameters and name != "cldice"]
OVERLAP_ALONE = {  # arguments that leave nothing of a loss but its overlap term
    **{f"{term}_weight": 0.0 for term in ("ce", "bce", "ssim", "focal", "top_k", "hausdorff", "focus")},
    "weight": 0.0,
}
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=6, deadline=None, derandomize=True)


def per_sample(name, truth, prediction, **params):
    return get(name, reduction=None, dtype="float64", **params)(truth, prediction).numpy()


@pytest.mark.parametrize("name", LOSSES)
@given(seed=seeds)
@few
def test_bounds(example, kind_of_seed, name, seed):
    truth, prediction, params = example(kind_of_seed(seed), seed)
    values = per_sample(name, truth, prediction, **params)
    assert values.shape == (3,)
    assert (values >= 0).all() and (values <= UPPER.get(name, np.inf)).all()
    np.testing.assert_allclose(per_sample(name, truth, truth, **params), 0, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@given(seed=seeds)
@few
def test_flips_change_nothing(example, kind_of_seed, name, seed):
    truth, prediction, params = example(kind_of_seed(seed), seed)
    value = per_sample(name, truth, prediction, **params)
    for axis in range(1, truth.ndim - 1):
        flipped = per_sample(name, np.flip(truth, axis), np.flip(prediction, axis), **params)
        np.testing.assert_allclose(flipped, value, rtol=1e-9)


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - BACKGROUND_IS_SPECIAL))
@given(seed=seeds, order=st.permutations(range(3)))
@few
def test_classes_may_change_places_with_their_weights(example, name, seed, order):
    truth, prediction, _ = example("softmax2d", seed)
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
def test_other_samples_change_nothing(example, kind_of_seed, name, seed):
    truth, prediction, params = example(kind_of_seed(seed), seed)
    alone = per_sample(name, truth[:1], prediction[:1], **params)
    np.testing.assert_allclose(per_sample(name, truth, prediction, **params)[:1], alone, rtol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
@given(seed=seeds)
@few
def test_what_lies_under_the_ignore_label_changes_nothing(example, kind_of_seed, name, seed):
    truth, prediction, params = example(kind_of_seed(seed), seed)
    ignored = np.random.default_rng(seed).random(truth.shape[:-1]) < 0.3
    truth = np.where(ignored[..., None], 255, truth)
    other = np.where(ignored[..., None], 1 - prediction, prediction)
    value = per_sample(name, truth, prediction, ignore_label=255, **params)
    np.testing.assert_allclose(per_sample(name, truth, other, ignore_label=255, **params), value, rtol=1e-12)


@pytest.mark.parametrize("start", ["nothing", "the opposite"])
@pytest.mark.parametrize("name", LOSSES)
@given(seed=seeds)
@settings(few, max_examples=3)
def test_a_better_prediction_never_costs_more(example, name, start, seed):
    if card(name).not_monotone:
        pytest.skip(card(name).not_monotone)
    truth, _, _ = example("binary2d", seed, samples=1)
    wrong = np.zeros_like(truth) if start == "nothing" else 1 - truth
    steps = np.linspace(0, 1, 21).reshape(-1, 1, 1, 1)
    values = per_sample(name, np.repeat(truth, 21, axis=0), wrong + steps * (truth - wrong))
    assert (np.diff(values) <= 1e-9).all()


@pytest.mark.parametrize("name", OVERLAP)
def test_overlap_over_batch_is_one_large_sample(example, name):
    truth, prediction, _ = example("binary2d")
    kept = {key: value for key, value in OVERLAP_ALONE.items() if key in LOSSES[name].parameters}
    kept |= {"alpha": 0.0} if name == "combo" else {}
    batch = per_sample(name, truth, prediction, overlap_over="batch", **kept)
    joined = per_sample(name, truth.reshape(1, -1, 12, 1), prediction.reshape(1, -1, 12, 1), **kept)
    np.testing.assert_allclose(batch, np.repeat(joined, 3))


@pytest.fixture(scope="session")
def kind_of_seed():
    """Hypothesis draws the kind of segmentation with the seed."""
    return lambda seed: ("binary2d", "binary3d", "softmax2d", "regions2d")[seed % 4]
