"""Values that no network can learn from are named; all others pass."""

import numpy as np

from tfseg.prepared.targets import Targets
from tfseg.training.impossible import impossible_values

IMAGE = np.zeros((1, 2, 2, 1), np.float32)


def test_truths_and_images_by_what_the_channels_mean():
    softmax, sigmoid = Targets({1: "a", 7: "b"}), Targets({3: "a"})
    regions = Targets({1: "a", 2: "b", 3: "c"}, {"whole": (1, 2, 3), "core": (2, 3)})
    for targets, values, ignores, said in (
        (softmax, [0, 1, 2], False, ""),
        (softmax, [0, 3, 255], False, "the truth holds 3, 255, expected 0 to 2"),
        (softmax, [0, 2, 255], True, ""),
        (sigmoid, [0, 1], False, ""),
        (sigmoid, [0, 2], False, "the truth holds 2, expected 0 to 1"),
        (regions, [0, 1], False, ""),
        (regions, [0, 2], True, "the truth holds 2, expected 0 to 1"),
    ):
        assert impossible_values(IMAGE, np.uint8(values), targets, ignores) == said
    for value in (np.nan, np.inf):
        assert impossible_values(IMAGE + value, np.uint8([0]), softmax) == "the image holds NaN or infinite values"
