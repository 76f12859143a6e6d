"""The truth at the sizes of deep supervision."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.prepared.batches import SliceBatches
from tfseg.prepared.pipeline import as_dataset, at_sizes
from tfseg.prepared.supervision import middles, stride_of


def test_a_length_that_was_padded_is_divided_by_what_it_was_pooled_with():
    for length in range(3, 70):
        for stride in (1, 2, 4):
            assert stride_of(length, -(-length // stride)) == min(
                each for each in (1, 2, 4) if -(-length // each) == -(-length // stride)
            )
    assert (stride_of(27, 9), stride_of(10, 3)) == (3, 4)
    with pytest.raises(ValueError, match="30 voxels are no reduction of 45"):
        stride_of(45, 30)


def test_a_coarse_voxel_has_the_truth_of_its_middle():
    """Of 7 by 4 voxels, 4 by 2 remain: rows 1, 3, 5 and the last, columns 1 and 3."""
    truth = np.arange(28, dtype=np.uint8).reshape(1, 7, 4, 1)
    fine, coarse = at_sizes(tf.constant(truth), [(7, 4), (4, 2)])
    np.testing.assert_array_equal(fine, truth)
    np.testing.assert_array_equal(coarse[0, ..., 0], [[5, 7], [13, 15], [21, 23], [25, 27]])


def test_a_middle_is_half_a_voxel_from_the_centre_at_most():
    for coarse in (32, 16, 8, 4):
        centres = (np.arange(coarse) + 0.5) * 32 / coarse - 0.5
        assert abs(middles(32, coarse) - centres).max() <= 0.5


def test_batches_have_a_truth_for_every_output(prepared):
    batches = SliceBatches(prepared.cases_of(prepared.subjects[:1]), 3, 0)
    _, truths = as_dataset(batches, sizes=[(32, 32), (16, 16)]).element_spec
    assert [tuple(truth.shape) for truth in truths] == [(3, 32, 32, 1), (3, 16, 16, 1)]
