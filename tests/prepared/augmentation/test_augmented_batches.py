"""Augmented batches follow from seed and epoch, and their plan says what each image undergoes."""

import numpy as np
import pytest

from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError
from tfseg.prepared.inputs import check_input, make_batches
from tfseg.prepared.pipeline import as_dataset

EVERY = (
    "training.augmentation={flip: {axes: [left_right]}, "
    "rotate: {probability: 1}, scale: {probability: 1}, elastic: {probability: 1}, bias_field: {probability: 1}, "
    "brightness: {probability: 1}, contrast: {probability: 1}, gamma: {probability: 1}, blur: {probability: 1}, "
    "anisotropy: {probability: 1}, noise: {probability: 1}}"
)
KINDS = ("{kind: slices}", "{kind: patches, patch: [4, 16, 16], per_case: 3}", "{kind: volumes}")


def batches_of(prepared, kind, *more):
    settings = [f"model.name={'unet_2d' if 'slices' in kind else 'unet_3d'}", f"training.input={kind}", *more]
    return make_batches(load_config(None, settings).training, prepared, ["case_0", "case_1"], 7)


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_images(prepared, kind):
    first, second = (batches_of(prepared, kind, "training.batch_size=2", EVERY) for _ in range(2))
    plain = batches_of(prepared, kind, "training.batch_size=2")
    second.plan(5)
    plan = first.plan(1)
    np.testing.assert_array_equal(plan, second.plan(1))
    columns = plain.plan(1).shape[-1]
    np.testing.assert_array_equal(plan[..., :columns], plain.plan(1))
    assert len(np.unique(plan[..., columns:].reshape(plan.shape[0] * 2, -1), axis=0)) == plan.shape[0] * 2
    assert first.describe(1, 0) == plain.describe(1, 0)
    changed = [first.load(batch) for batch in plan]
    for images, (again, truths), (own, _) in zip(
        (images for images, _ in changed), map(second.load, plan), map(plain.load, plain.plan(1)), strict=True
    ):
        np.testing.assert_array_equal(images, again)
        assert (images.dtype, truths.dtype) == (np.float32, np.uint8)
        assert images.shape == own.shape and np.isfinite(images).all()
        assert all(not np.allclose(image, unchanged, atol=0.01) for image, unchanged in zip(images, own, strict=True))
    for (images, truths), read in zip(changed, as_dataset(first, 1).as_numpy_iterator(), strict=False):
        np.testing.assert_array_equal(read[0], images)
        np.testing.assert_array_equal(read[1], truths)


def test_truths_keep_their_values(prepared):
    training = load_config(None, ["training.batch_size=6", EVERY]).training
    batches = make_batches(training, prepared, ["case_0"], 0)
    _, truths = batches.load(batches.plan(0)[0])
    assert set(np.unique(truths)) == {0, 1, 2}


def test_a_flip_is_of_the_body(prepared):
    """Slices are axial: rows run from left to right, columns from back to front."""
    for kind, axis, name in (("slices", 0, "left_right"), ("volumes", 2, "anterior_posterior")):
        flip = f"training.augmentation.flip={{axes: [{name}], probability: 1}}"
        plain, flipped = (batches_of(prepared, f"{{kind: {kind}}}", *more) for more in ([], [flip]))
        pair = plain.load(plain.plan(0)[0]), flipped.load(flipped.plan(0)[0])
        for before, after in zip(*pair, strict=True):
            np.testing.assert_array_equal(after, np.flip(before, axis + 1))


def test_a_flip_across_slices_is_refused(prepared):
    training = load_config(None, ["training.augmentation.flip={axes: [superior_inferior]}"]).training
    message = "expected axes within axial slices, left_right or anterior_posterior; received superior_inferior"
    with pytest.raises(ConfigError, match=message):
        check_input(training, prepared)
