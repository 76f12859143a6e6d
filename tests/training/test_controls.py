"""Hashes show whether trainings started from the same weights and batches."""

import keras
import numpy as np
import pytest

from tfseg.prepared.batches import SliceBatches
from tfseg.training.controls import controls


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def test_a_change_of_weights_or_batches_changes_its_hash(prepared, model):
    names = prepared.index["case"].tolist()
    first, second = ([prepared.case(name) for name in part] for part in (names[:3], names[3:]))
    start = controls(model, [(SliceBatches(first, 4, seed=0), 2)])
    assert start == controls(model, [(SliceBatches(first, 4, seed=0), 2)])
    others = [
        controls(model, [(SliceBatches(first, 4, seed=1), 2)]),
        controls(model, [(SliceBatches(second, 4, seed=0), 2)]),
        controls(model, [(SliceBatches(first, 3, seed=0), 2)]),
        controls(model, [(SliceBatches(first, 4, seed=0), 3)]),
        controls(model, [(SliceBatches(first, 4, seed=0), 2), (SliceBatches(first, 3, seed=0), 2)]),
        controls(model, [(SliceBatches(first, 4, seed=0), 2), (SliceBatches(first, 3, seed=0), 1)]),
    ]
    assert controls(model, [(SliceBatches(first, 4, seed=0), 1)] * 2) == start
    assert len({each["batches_sha256"] for each in (start, *others)}) == 7
    assert {each["initial_weights_sha256"] for each in others} == {start["initial_weights_sha256"]}
    kernel, bias = model.get_weights()
    model.set_weights([np.nextafter(kernel, 2), bias])
    assert (
        controls(model, [(SliceBatches(first, 4, seed=0), 2)])["initial_weights_sha256"]
        != (start["initial_weights_sha256"])
    )
