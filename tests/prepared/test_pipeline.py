"""Batches follow from seed and epoch, and reach TensorFlow in that order."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tfseg.prepared.batches import SliceBatches
from tfseg.prepared.pipeline import as_dataset


@pytest.fixture(scope="module")
def cases(prepared):
    return prepared.cases_of(["case_0", "case_2", "case_5"])  # 18 slices


def every_slice(cases):
    return {(case, index) for case, opened in enumerate(cases) for index in range(len(opened.label))}


def test_the_order_depends_only_on_seed_and_epoch(cases):
    first, second = SliceBatches(cases, 4, 7), SliceBatches(cases, 4, 7)
    for epoch in (3, 0):
        second.plan(epoch)  # earlier calls make no difference
    for epoch in range(4):
        np.testing.assert_array_equal(first.plan(epoch), second.plan(epoch))


def test_epochs_and_seeds_differ_in_order(cases):
    orders = [SliceBatches(cases, 4, seed).plan(epoch) for seed in range(3) for epoch in range(3)]
    assert len({order.tobytes() for order in orders}) == 9


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 18), (4, 5), (6, 3), (18, 1), (25, 1)])
def test_an_epoch_holds_every_slice_in_full_batches(cases, batch_size, steps):
    batches = SliceBatches(cases, batch_size, 0)
    order = batches.plan(1)
    assert batches.steps_per_epoch == steps
    assert order.shape == (steps, batch_size, 2)
    slices = [tuple(pair) for pair in order.reshape(-1, 2).tolist()]
    assert set(slices) == set(slices[:18]) == every_slice(cases)
    assert slices[18:] == slices[: len(slices) - 18]  # the last batch is completed from the beginning


def test_batches_hold_the_slices_of_the_order(cases):
    batches = SliceBatches(cases, 4, 0)
    for chosen, (images, labels) in zip(batches.plan(2), map(batches.load, batches.plan(2)), strict=True):
        assert (images.shape, images.dtype) == ((4, 32, 32, 1), np.float32)
        assert (labels.shape, labels.dtype) == ((4, 32, 32, 1), np.uint8)
        for image, label, (case, index) in zip(images, labels, chosen, strict=True):
            np.testing.assert_array_equal(image, cases[case].image[index])
            np.testing.assert_array_equal(label[..., 0], cases[case].label[index])


@pytest.mark.parametrize("initial_epoch", [0, 2])
def test_the_dataset_starts_at_an_epoch(cases, initial_epoch):
    batches = SliceBatches(cases, 5, 3)
    dataset = as_dataset(batches, initial_epoch)
    expected = [
        batch for epoch in range(initial_epoch, initial_epoch + 2) for batch in map(batches.load, batches.plan(epoch))
    ]
    read = list(itertools.islice(dataset.as_numpy_iterator(), len(expected) + 1))
    assert len(read) == len(expected) + 1  # it is endless
    for (images, labels), (expected_images, expected_labels) in zip(read, expected, strict=False):
        np.testing.assert_array_equal(images, expected_images)
        np.testing.assert_array_equal(labels, expected_labels)


def test_the_dataset_declares_the_shape_of_full_batches(cases):
    images, labels = as_dataset(SliceBatches(cases, 5, 0)).element_spec
    assert (images.shape.as_list(), images.dtype.name) == ([5, 32, 32, 1], "float32")
    assert (labels.shape.as_list(), labels.dtype.name) == ([5, 32, 32, 1], "uint8")


def test_an_epoch_may_have_a_fixed_number_of_steps(cases):
    few, many = SliceBatches(cases, 4, 0, steps=2), SliceBatches(cases, 4, 0, steps=11)
    np.testing.assert_array_equal(few.plan(3), SliceBatches(cases, 4, 0).plan(3)[:2])
    assert many.plan(3).shape == (11, 4, 2)
    assert set(map(tuple, many.plan(3).reshape(-1, 2).tolist())) == every_slice(cases)


@pytest.mark.parametrize(("share", "least"), [(0.3, 2), (0.5, 2), (1.0, 4)])
def test_a_share_of_every_batch_holds_foreground(cases, share, least):
    batches = SliceBatches(cases, 4, 0, foreground_share=share)
    order = batches.plan(1)
    assert order.shape == (5, 4, 2)
    filled = np.array([[cases[case].label[index].any() for case, index in batch] for batch in order])
    assert filled[:, -least:].all()
    assert not all(case.label[index].any() for case in cases for index in range(len(case.label)))
    np.testing.assert_array_equal(order, SliceBatches(cases, 4, 0, foreground_share=share).plan(1))
    chosen = order[:, -least:].reshape(-1, 2).tolist()
    distinct = {tuple(pair) for pair in chosen}
    full = {(c, s) for c, s in every_slice(cases) if cases[c].label[s].any()}
    assert len(distinct) == min(len(chosen), len(full))  # none is repeated before all were used


def test_a_batch_is_described_by_case_and_slice(cases):
    batches = SliceBatches(cases, 4, 0)
    description = batches.describe(2, 1)
    for case, index in batches.plan(2)[1]:
        part = next(part for part in description.split("), ") if part.startswith(f"{cases[case].name} (slices"))
        assert str(index) in part.split("slices ")[1].rstrip(")").split(", ")


def test_a_case_named_differently_from_its_subject_is_described_with_both_names(cases):
    batches = SliceBatches([replace(case, subject="subject_1") for case in cases[:1]], 2, 0)
    assert batches.describe(0, 0).startswith(f"{cases[0].name} of subject_1 (slices ")


def test_training_uses_only_the_slices_that_preparation_chose(cases):
    chosen = [replace(cases[0], training_slices=np.array([1, 4])), replace(cases[1], training_slices=np.array([2]))]
    batches = SliceBatches(chosen, 2, 0)
    assert batches.steps_per_epoch == 2
    seen = {tuple(pair) for epoch in range(3) for pair in batches.plan(epoch).reshape(-1, 2).tolist()}
    assert seen == {(0, 1), (0, 4), (1, 2)}


def test_foreground_is_drawn_from_the_training_slices(cases):
    full = [index for index in range(len(cases[0].label)) if cases[0].label[index].any()]
    seen = replace(cases[0], training_slices=np.array([full[1], full[0]]))
    batches = SliceBatches(
        [seen, replace(cases[1], label=np.full(cases[1].label.shape, 255))], 2, 0, foreground_share=0.5
    )
    drawn = {tuple(pair) for epoch in range(3) for pair in batches.plan(epoch)[:, -1].tolist()}
    assert drawn == {(0, full[0]), (0, full[1])}


def test_nothing_tunes_the_pipeline_while_it_runs(cases):
    """The thread that would can hold up the end of a training until its next round, a minute later."""
    assert as_dataset(SliceBatches(cases, 5, 0)).options().autotune.enabled is False
