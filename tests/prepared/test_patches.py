"""Patches are drawn by seed and epoch alone, with centres of every class equally often."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfseg.preparation.label_maps import IGNORED
from tfseg.preparation.slicing import SliceGrid
from tfseg.prepared.patches import PatchBatches, VolumeBatches, count_voxels, draw_voxels
from tfseg.prepared.pipeline import as_dataset
from tfseg.prepared.prepared import PreparedCase


def make_case(label, name="a", channels=1):
    """A case whose image holds the index of every voxel."""
    label = np.asarray(label, np.uint8)
    image = np.arange(label.size, dtype=np.float32).reshape(*label.shape, 1).repeat(channels, axis=-1)
    return PreparedCase(name, name, image, label, SliceGrid.of(label.shape, np.eye(4), "axial", label.shape[1:]))


def classes_at(cases, plan):
    return [int(cases[case].label[tuple(centre)]) for case, *centre in plan.reshape(-1, 4).tolist()]


labels = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).choice([0, 1, 2, IGNORED], (3, 4, 5), p=[0.7, 0.1, 0.1, 0.1])
)


@given(st.lists(labels, min_size=1, max_size=3), st.integers(1, 7), st.integers(0, 9), st.integers(0, 9))
def test_centres_are_of_every_class_of_a_case_equally_often(maps, per_case, seed, epoch):
    cases = [make_case(label) for label in maps]
    plan = PatchBatches(cases, (2, 2, 2), len(cases), seed, per_case).plan(epoch)
    assert plan.shape == (per_case, len(cases), 4)
    for number, case in enumerate(cases):
        found = classes_at(cases, plan[plan[..., 0] == number])
        classes, counts = np.unique(found, return_counts=True)
        there = np.setdiff1d(case.label, [IGNORED])
        assert len(found) == per_case and set(classes) <= set(there)
        assert len(classes) == min(per_case, len(there))
        assert counts.max() - counts.min() <= 1


@given(labels, st.integers(0, 2**31 - 1), st.integers(0, 99))
def test_a_plan_is_a_function_of_seed_and_epoch(label, seed, epoch):
    cases = [make_case(label), make_case(np.roll(label, 1))]
    for centres in ("classes", "uniform", "foreground"):
        first, second = (PatchBatches(cases, (2, 2, 2), 3, seed, 4, centres) for _ in range(2))
        second.plan(epoch + 1)
        np.testing.assert_array_equal(first.plan(epoch), second.plan(epoch))
        assert first.plan(epoch).tobytes() != first.plan(epoch + 1).tobytes()


def test_every_voxel_of_a_class_may_be_a_centre():
    label = np.zeros((3, 4, 4), np.uint8)
    label[0, 1, 2] = label[2, 3, 3] = label[2, 0, 0] = 1
    drawn = draw_voxels(label, count_voxels(label)[1], lambda plane: plane == 1, 3000, np.random.default_rng(0))
    places, counts = np.unique(drawn, axis=0, return_counts=True)
    assert places.tolist() == [[0, 1, 2], [2, 0, 0], [2, 3, 3]]
    assert counts.min() > 900


def test_voxels_are_counted_by_class_and_slice():
    label = np.array([[[0, 2], [2, IGNORED]], [[0, 0], [0, 1]]], np.uint8)
    assert count_voxels(label).tolist() == [[1, 3], [0, 1], [2, 0]]


def test_foreground_and_uniform_centres():
    label = np.zeros((4, 6, 6), np.uint8)
    label[1, 2, 3], label[2, 4, 4], label[0, 0, 0] = 1, 3, IGNORED
    cases = [make_case(label), make_case(np.zeros((4, 6, 6)))]
    foreground = PatchBatches(cases, (2, 2, 2), 1, 0, 40, "foreground").plan(0)
    assert set(classes_at(cases, foreground[foreground[..., 0] == 0])) == {1, 3}
    for plan in (foreground[foreground[..., 0] == 1], PatchBatches(cases, (2, 2, 2), 1, 0, 2000, "uniform").plan(0)):
        centres = plan.reshape(-1, 4)[:, 1:]
        assert centres.min(axis=0).tolist() == [0, 0, 0] and centres.max(axis=0).tolist() == [3, 5, 5]
    ignored = [make_case(np.full((2, 2, 2), IGNORED))]
    assert PatchBatches(ignored, (2, 2, 2), 1, 0, 5).plan(0).shape == (5, 1, 4)


def test_batches_hold_the_patches_of_the_plan():
    label = np.random.default_rng(0).integers(0, 3, (5, 9, 9))
    cases = [make_case(label, "a", channels=2), make_case(label[:2], "b", channels=2)]
    batches = PatchBatches(cases, (4, 3, 3), 3, 0, per_case=2)
    assert batches.shapes == ((3, 4, 3, 3, 2), (3, 4, 3, 3, 1))
    assert batches.steps_per_epoch == 2
    plan = batches.plan(1)
    assert plan.reshape(-1, 4)[4:].tolist() == plan.reshape(-1, 4)[:2].tolist()  # completed from the beginning
    for images, truths, patches in ((*batches.load(step), step) for step in plan):
        assert (images.dtype, truths.dtype) == (np.float32, np.uint8)
        for image, truth, (number, z, y, x) in zip(images, truths, patches.tolist(), strict=True):
            case = cases[number]
            rows, columns = (slice(min(max(c - 1, 0), 6), min(max(c - 1, 0), 6) + 3) for c in (y, x))
            if number == 0:
                first = min(max(z - 2, 0), 1)
                np.testing.assert_array_equal(image, case.image[first : first + 4, rows, columns])
                np.testing.assert_array_equal(truth[..., 0], case.label[first : first + 4, rows, columns])
            else:  # two slices in the middle of four
                np.testing.assert_array_equal(image[1:3], case.image[:, rows, columns])
                np.testing.assert_array_equal(truth[1:3, ..., 0], case.label[:, rows, columns])
                assert (image[[0, 3]] == image.min(axis=(0, 1, 2))).all() and not truth[[0, 3]].any()


def test_whole_volumes_come_once_an_epoch_in_the_middle_of_their_padding():
    cases = [make_case(np.ones((slices, 2, 2)), str(slices)) for slices in (1, 2, 3)]
    batches = VolumeBatches(cases, (3, 2, 2), 1, 0)
    plans = [batches.plan(epoch) for epoch in range(5)]
    assert all(sorted(plan[:, 0, 0].tolist()) == [0, 1, 2] for plan in plans)
    assert len({plan.tobytes() for plan in plans}) > 1
    for step, plan in enumerate(plans[0]):
        truth = batches.load(plan)[1][0, :, 0, 0, 0].tolist()
        assert truth == {"1": [0, 1, 0], "2": [1, 1, 0], "3": [1, 1, 1]}[batches.describe(0, step)]


def test_patches_are_described_by_case_and_centre():
    cases = [replace(make_case(np.zeros((2, 3, 4)), "a"), subject="s")]
    batches = PatchBatches(cases, (1, 1, 1), 1, 0)
    z, y, x = batches.plan(0)[0, 0, 1:].tolist()
    assert batches.describe(0, 0) == f"a of s (patches around {z}-{y}-{x})"


def test_patches_reach_tensorflow_in_the_order_of_the_plan(prepared):
    batches = PatchBatches(prepared.cases_of(["case_0", "case_1"]), (4, 16, 16), 3, 5, per_case=3)
    expected = [batches.load(batch) for epoch in (2, 3) for batch in batches.plan(epoch)]
    for (images, truths), read in zip(expected, as_dataset(batches, 2).as_numpy_iterator(), strict=False):
        np.testing.assert_array_equal(read[0], images)
        np.testing.assert_array_equal(read[1], truths)


def test_a_patch_of_another_type_of_centre_is_another_plan(prepared):
    cases = prepared.cases_of(["case_0"])
    plans = {PatchBatches(cases, (4, 8, 8), 2, 0, 6, kind).plan(0).tobytes() for kind in ("classes", "uniform")}
    assert len(plans) == 2


@pytest.mark.parametrize("kind", ["classes", "foreground"])
def test_counts_do_not_grow_with_the_voxels(kind):
    label = np.zeros((6, 64, 64), np.uint8)
    label[3, 5, 5] = 2
    batches = PatchBatches([make_case(label)], (2, 2, 2), 1, 0, 6, kind)
    assert sum(counts.size for counts in batches._counts) == 3 * 6
