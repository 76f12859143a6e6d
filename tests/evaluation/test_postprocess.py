"""A rule is kept only if it helps on validation subjects."""

import numpy as np
import pytest

from tfseg.evaluation.postprocess import choose_clean_up
from tfseg.prediction.clean_up import CleanUp


class Known:
    """Predicts each image as the classes that belong to it."""

    def __init__(self, cases, change):
        self._known = [
            (np.asarray(case.image), np.eye(3, dtype="float32")[change(np.array(case.label))]) for case in cases
        ]

    def blocks(self, image):
        yield next(found for known, found in self._known if np.array_equal(known, image))


@pytest.fixture
def cases(prepared):
    return prepared.cases_of(prepared.subjects[:2])


def with_strays(label):
    """The truth, a stray component of four voxels of the first label, and the second label cut in two."""
    label[0, 4:6, 4:6] = 1
    rows = np.flatnonzero((label == 2).any(axis=(0, 2)))
    label[:, rows[len(rows) // 2]][label[:, rows[len(rows) // 2]] == 2] = 0
    return label


def test_a_rule_is_kept_for_the_label_that_it_helps(prepared, cases):
    chosen = choose_clean_up(Known(cases, with_strays), prepared, cases)
    assert chosen.rules == CleanUp(largest=("left",))
    assert chosen.lines[0].startswith("largest:left: Dice 0.9")
    assert chosen.lines[0].endswith("to 1.0000 on validation subjects")
    assert chosen.lines[1].startswith("right: no rule helps on validation subjects (Dice 0.9")


def test_without_an_error_no_rule_is_kept(prepared, cases):
    assert choose_clean_up(Known(cases, lambda label: label), prepared, cases).rules == CleanUp()
