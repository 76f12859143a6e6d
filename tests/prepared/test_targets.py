"""Output channels are labels or regions: how truths are encoded and classes decided."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfseg.prepared.targets import Targets

LABELS = {1: "necrosis", 2: "oedema", 4: "enhancing"}
# The regions of BraTS.
REGIONS = {"whole": (1, 2, 4), "core": (1, 4), "enhancing": (4,)}
WHOLE, CORE, ENHANCING = range(3)


def test_one_label_is_a_sigmoid_several_a_softmax_and_regions_a_sigmoid_each():
    one, several, regions = Targets({3: "liver"}), Targets(LABELS), Targets(LABELS, REGIONS)
    assert (one.channels, one.activation) == (1, "sigmoid")
    assert (several.channels, several.activation) == (4, "softmax")
    assert (regions.channels, regions.activation) == (3, "sigmoid")
    assert several.scored == {"necrosis": (1,), "oedema": (2,), "enhancing": (4,)}
    assert regions.scored == REGIONS


def test_one_channel_is_decided_at_one_half():
    probabilities = np.array([0.49, 0.5, 0.51], "float32")[:, np.newaxis]
    assert Targets({3: "liver"}).decide(probabilities).tolist() == [0, 1, 1]


def test_a_softmax_is_decided_by_the_largest_channel():
    probabilities = np.array([[0.5, 0.3, 0.2, 0.0], [0.2, 0.3, 0.5, 0.0]])
    assert Targets(LABELS).decide(probabilities).tolist() == [0, 2]


def test_the_truth_has_class_indices_for_labels_and_one_channel_per_region():
    classes = np.array([0, 1, 2, 3, 255], np.uint8)
    assert Targets(LABELS).encode(classes).tolist() == [[0], [1], [2], [3], [255]]
    expected = [[0, 0, 0], [1, 1, 0], [1, 0, 0], [1, 1, 1], [255, 255, 255]]
    assert Targets(LABELS, REGIONS).encode(classes).tolist() == expected


@pytest.mark.parametrize(
    ("probabilities", "label"),
    [
        ([0.4, 0.1, 0.1], 0),
        ([0.6, 0.4, 0.1], 2),  # only in whole: oedema
        ([0.9, 0.8, 0.2], 1),
        ([0.9, 0.8, 0.7], 4),
        ([0.4, 0.9, 0.1], 1),  # a core needs a whole: log odds -0.41 + 2.20 > 0
        ([0.1, 0.6, 0.1], 0),  # -2.20 + 0.41 < 0
        ([0.3, 0.3, 0.99], 4),  # -0.85 - 0.85 + 4.60 > 0
    ],
)
def test_regions_are_decided_together(probabilities, label):
    decided = Targets(LABELS, REGIONS).decide(np.array(probabilities, "float32"))
    assert [0, *LABELS][int(decided)] == label


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3))
def test_regions_are_decided_for_the_most_probable_class(probabilities):
    """Compare with the probability of each class's regions, written out."""
    targets = Targets(LABELS, REGIONS)
    p = np.clip(np.array(probabilities, np.float64), 1e-7, 1 - 1e-7)
    likelihoods = np.where(targets.members, p, 1 - p).prod(axis=1)
    decided = likelihoods[int(targets.decide(p))]
    assert decided == pytest.approx(likelihoods.max(), rel=1e-6)


def test_the_encoded_truth_is_decided_as_itself():
    targets, classes = Targets(LABELS, REGIONS), np.arange(4, dtype=np.uint8)
    np.testing.assert_array_equal(targets.decide(targets.encode(classes).astype("float32")), classes)


def test_a_class_in_no_region_is_background():
    targets = Targets(LABELS, {"core": (1, 4)})
    assert targets.encode(np.uint8([2])).tolist() == [[0]]
    assert targets.decide(np.array([[0.2], [0.9]])).tolist() == [0, 1]


@pytest.mark.parametrize("targets", [Targets({3: "liver"}), Targets(LABELS), Targets(LABELS, REGIONS)])
def test_background_is_decided_as_background(targets):
    assert targets.background.shape == (targets.channels,)
    assert targets.decide(targets.background) == 0
