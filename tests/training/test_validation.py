"""Validation subjects are scored as volumes, when it is time."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tfseg.prediction.slices import SlicePredictor
from tfseg.prepared.targets import Targets
from tfseg.training.validation import Validation, ValidationWithin, score_volumes


def test_validation_scores_volumes_by_subject_then_label(prepared):
    """The network says the truth, except on one case, where it finds nothing."""
    cases = prepared.cases_of(prepared.subjects[:3])
    answers = {case.image[...].tobytes(): np.eye(3, dtype="float32")[case.label] for case in cases}
    silent = cases[0]
    answers[silent.image[...].tobytes()] = np.eye(3, dtype="float32")[np.zeros_like(silent.label)]

    def slice_loss(truth, probability):
        return np.mean(truth[..., 0] != np.argmax(probability, -1))

    most_slices = max(len(case.label) for case in cases)
    scores = score_volumes(
        cases, prepared.targets, SlicePredictor(lambda image: answers[image.tobytes()], most_slices), slice_loss
    )
    assert scores["val_dice"] == pytest.approx(2 / 3)
    assert scores["val_iou"] == pytest.approx(2 / 3)
    assert all(scores[f"val_dice_{label}"] == pytest.approx(2 / 3) for label in prepared.labels.values())
    slices = np.array([len(case.label) for case in cases])
    wrong = (np.asarray(silent.label) != 0).mean() * slices[0] / slices.sum()
    assert scores["val_loss"] == pytest.approx(wrong)


def test_a_label_that_is_nowhere_and_not_found_does_not_lower_the_score(prepared):
    case = prepared.cases_of(prepared.subjects[:1])[0]
    targets = Targets({**prepared.labels, 9: "absent"})
    truth = np.eye(4, dtype="float32")[case.label]
    scores = score_volumes([case], targets, SlicePredictor(lambda image: truth, len(truth)), lambda t, p: 0.0)
    assert scores["val_dice"] == 1
    assert math.isnan(scores["val_dice_absent"])


def test_what_is_ignored_is_not_scored(prepared):
    """Every voxel that the network gets wrong is ignored."""
    case = prepared.cases_of(prepared.subjects[:1])[0]
    wrong = np.eye(3, dtype="float32")[np.roll(case.label, 3, axis=2)]
    ignoring = replace(case, label=np.where(wrong.argmax(-1) == case.label, case.label, 255))
    seen = [
        score_volumes([each], prepared.targets, SlicePredictor(lambda image: wrong, len(wrong)), lambda t, p: 0.0)
        for each in (case, ignoring)
    ]
    assert seen[0]["val_dice"] < 1
    assert seen[1]["val_dice"] == seen[1]["val_iou"] == 1


def test_regions_are_scored_in_place_of_labels(prepared):
    """`right` is all taken for `left`, which the region of both does not mind."""
    case = prepared.cases_of(prepared.subjects[:1])[0]
    targets = Targets(prepared.labels, {"both": (1, 2), "right": (2,)})
    prediction = targets.encode(np.minimum(case.label, 1)).astype("float32")
    shapes = []

    def slice_loss(truth, probability):
        shapes.append((truth.shape, probability.shape))
        return np.abs(truth - probability).mean()

    scores = score_volumes([case], targets, SlicePredictor(lambda image: prediction, len(prediction)), slice_loss)
    assert (scores["val_dice_both"], scores["val_dice_right"], scores["val_dice"]) == (1, 0, 0.5)
    assert scores["val_loss"] == pytest.approx((np.asarray(case.label) == 2).mean() / 2)
    assert shapes == [(prediction.shape, prediction.shape)]
    assert "val_dice_left" not in scores


def scored(epochs, steps_per_epoch, every, every_steps):
    """When scores are made: `(epoch, step)` within epochs, `epoch` at their ends."""
    when, asked = [], []

    def score(epoch, step):
        asked.append((epoch, step))
        return {"val_dice": 0.5}

    validation = Validation(score, every, epochs, steps_per_epoch)
    if every_steps:
        within = lambda epoch, step, scores: when.append((epoch, step))  # noqa: E731
        validation = ValidationWithin(score, every, epochs, steps_per_epoch, every_steps, within)
    for epoch in range(epochs):
        validation.on_epoch_begin(epoch)
        for step in range(steps_per_epoch):
            validation.on_train_batch_end(step, {})
        logs = {}
        validation.on_epoch_end(epoch, logs)
        if logs:
            assert logs == {"val_dice": 0.5}
            when.append(epoch)
    ends = [(each, steps_per_epoch - 1) if isinstance(each, int) else each for each in when]
    assert asked == ends
    return when


@pytest.mark.parametrize(
    ("every", "every_steps", "when"),
    [
        (1, None, [0, 1, 2, 3, 4]),
        (2, None, [1, 3, 4]),
        (9, None, [4]),
        (2, 4, [(1, 0), 1, (2, 1), 3, 4]),  # after steps 4 and 8; the 12th is an end that is scored
        (3, 3, [(0, 2), (1, 2), 2, (3, 2), 4]),
    ],
)
def test_when_validation_scores(every, every_steps, when):
    scorings = scored(5, 3, every, every_steps)
    assert sorted(scorings, key=str) == sorted(when, key=str)
