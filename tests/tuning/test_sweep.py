"""A sweep proposes from the seed, reads scores from folders, and resumes where it was killed."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError, RunError
from tfseg.datasets.splits import Split
from tfseg.reports.sweep import at_ends, importance
from tfseg.tuning.folder import check_same_space, space_text
from tfseg.tuning.proposals import batch_size, resolve_search
from tfseg.tuning.space import read_space
from tfseg.tuning.sweep import Sweep, best_row
from tfseg.tuning.trials import describe_lengths, inner_splits

CONSTANT = load_config(None, ["training.schedule={name: constant}", "training.epochs=9", "loss=focal"])
SPLIT = Split(("a", "b", "c", "d"), ("e", "f"), ("t",))
RATE = "training.learning_rate: {loguniform: [0.0001, 0.1]}\n"


class Trainings:
    """Stand in for trainings: the score rises with the epochs and is best at a rate of 0.01."""

    def __init__(self, failing=(), killed_after=None):
        self.asked, self.failing, self.killed_after = [], failing, killed_after

    def __call__(self, cells, stop_after):
        for cell in cells:
            if self.killed_after == len(self.asked):
                raise KeyboardInterrupt
            training = cell.config.training
            self.asked.append((cell.run.name, stop_after))
            epochs = stop_after or training.epochs
            distance = abs(np.log10(training.learning_rate) + 2) + cell.config.loss.get("alpha", 0.5)
            scores = [1 / (1 + distance) - 1 / (epoch + 1) for epoch in range(1, epochs + 1)]
            rows = {"epoch": range(1, epochs + 1), "val_dice": scores, "train_seconds": 1.0, "validation_seconds": 0.5}
            cell.folder.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(rows).to_csv(cell.folder / "history.csv", index=False)
            if len(self.asked) in self.failing:
                failure = {"fold": cell.fold, "reason": "the loss is nan", "arm": cell.arm}
                (cell.folder / "failure.json").write_text(json.dumps(failure))
                (cell.folder / "history.csv").unlink()
            elif stop_after:
                (cell.folder / "stopped.json").write_text(json.dumps({"epochs": stop_after}))
            else:
                (cell.folder / "stopped.json").unlink(missing_ok=True)
                (cell.folder / "scores.csv").write_text("")
        return {}


@pytest.fixture
def sweep(tmp_path):
    """Makes a sweep of a space given as text."""

    def make(text, config=CONSTANT, out="sweep", splits=None):
        (tmp_path / "space.yaml").write_text(text)
        space = read_space(tmp_path / "space.yaml")
        search = resolve_search(space.search, space, config)
        (tmp_path / out).mkdir(exist_ok=True)
        return Sweep(tmp_path / out, config, space, search, splits or inner_splits(SPLIT, search.inner_folds, 0))

    return make


def test_one_training_gives_the_scores_of_every_number_of_epochs(sweep):
    text = "training.epochs: {grid: [3, 6, 9]}\nloss.alpha: {grid: [0.5, 0.7]}"
    trainings = Trainings()
    table = sweep(text).run(trainings)
    assert len(trainings.asked) == 2 and len(table) == 6
    best = table[table["loss.alpha"] == 0.5].set_index("training.epochs")["score"]
    assert best[9] - best[3] == pytest.approx(1 / 4 - 1 / 10)
    assert best_row(table)["training.epochs"] == 9
    cosine = CONSTANT.model_copy(update={"training": load_config().training})
    trainings = Trainings()
    sweep(text, cosine, "cosine").run(trainings)
    assert len(trainings.asked) == 6


def test_it_is_said_whether_every_number_of_epochs_is_a_training(sweep):
    text = "training.epochs: {grid: [3, 6, 9]}\nloss.alpha: {grid: [0.5, 0.7]}"
    for settings, message in (
        (("schedule={name: constant}",), "2 trainings: the longest one also gives the scores of fewer epochs."),
        ((), "6 trainings: every number of epochs is trained anew because of training.schedule.name: cosine."),
        (("schedule={name: constant}", "validate_every=2"), "trained anew because of training.validate_every: 2."),
    ):
        made = sweep(text, load_config(None, ["loss=focal", *(f"training.{setting}" for setting in settings)]))
        said = describe_lengths(made.space, made.search, made.config)
        assert said.startswith("6 trials are read from ") and said.endswith(message)
    drawn = sweep(RATE)
    assert describe_lengths(drawn.space, drawn.search, drawn.config) is None


def test_inner_folds_hold_no_test_subject_and_validate_everyone_once():
    inner = inner_splits(SPLIT, 3, 0)
    assert sorted(subject for part in inner for subject in part.val) == list("abcdef")
    for part in inner:
        assert part.test == () and set(part.train) | set(part.val) == set("abcdef")
        assert not set(part.train) & set(part.val)
    assert inner_splits(SPLIT, 1, 0) == [Split(SPLIT.train, SPLIT.val, ())]
    with pytest.raises(ConfigError, match=r"inner_folds: expected at most 6, .*; received 7"):
        inner_splits(SPLIT, 7, 0)


def test_the_score_is_the_mean_over_inner_folds(sweep):
    made = sweep("loss.alpha: {grid: [0.5]}\nsearch: {inner_folds: 2}")
    row = made.run(Trainings()).iloc[0]
    run = made.trial(row).run(made.out)
    history = pd.read_csv(run / "fold_1" / "history.csv")
    history["val_dice"] += 0.2
    history.to_csv(run / "fold_1" / "history.csv", index=False)
    assert made.run(Trainings()).iloc[0]["score"] == pytest.approx(row["score"] + 0.1)
    assert row["seconds"] == 2 * 9 * 1.5


@pytest.mark.parametrize("search", ["method: random, trials: 8, batch: 4", "method: optuna, trials: 8, batch: 4"])
def test_a_killed_sweep_goes_on_and_proposes_the_same(sweep, search):
    text = RATE + f"search: {{{search}}}"
    whole = sweep(text, out="whole").run(Trainings())
    with pytest.raises(KeyboardInterrupt):
        sweep(text).run(Trainings(killed_after=6))
    trainings = Trainings()
    table = sweep(text).run(trainings)
    assert len(trainings.asked) == 2
    pd.testing.assert_frame_equal(table, whole)
    assert whole["training.learning_rate"].nunique() == 8


def test_a_model_of_the_scores_comes_closer_than_chance(sweep):
    text = RATE + "search: {method: METHOD, trials: 40, batch: 4}"
    distances = {
        method: abs(
            np.log10(sweep(text.replace("METHOD", method), out=method).run(Trainings())["training.learning_rate"]) + 2
        )
        for method in ("random", "optuna")
    }
    assert distances["optuna"][20:].mean() < 0.6 * distances["random"][20:].mean()


def test_no_warning_is_left_to_the_user(sweep):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sweep("training.optimizer: {choice: [adam, sgd]}\nsearch: {method: optuna, trials: 4}").run(Trainings())


def test_a_failed_trial_is_recorded_and_the_others_go_on(sweep):
    text = RATE + "search: {method: optuna, trials: 8, batch: 4}"
    made = sweep(text)
    table = made.run(Trainings(failing=[3]))
    failed = table[table["status"] == "failed"]
    assert failed["trial"].tolist() == [2] and failed["reason"].tolist() == ["the loss is nan"]
    assert failed["score"].isna().all() and len(table) == 8
    trainings = Trainings()
    made.run(trainings)
    assert trainings.asked == []
    with pytest.raises(RunError, match="every trial failed; the first: the loss is nan"):
        sweep(text, out="none").run(Trainings(failing=range(1, 9)))


def test_halving_trains_the_best_share_on(sweep):
    text = RATE + "search: {method: random, trials: 9, batch: 9, halving: {epochs: 1, factor: 3}}"
    trainings = Trainings()
    table = sweep(text).run(trainings)
    assert [stop for _, stop in trainings.asked] == [1] * 9 + [3] * 3 + [None]
    assert table["status"].value_counts().to_dict() == {"stopped": 8, "finished": 1}
    assert sorted(table["epochs"]) == [1] * 6 + [3] * 2 + [9]
    closest = abs(np.log10(table["training.learning_rate"]) + 2).idxmin()
    assert table["status"][closest] == "finished"
    again = Trainings()
    pd.testing.assert_frame_equal(sweep(text).run(again), table)
    assert again.asked == []
    with pytest.raises(ConfigError, match="epochs: halving decides how long a trial is trained"):
        sweep("training.epochs: {grid: [3, 9]}\nsearch: {halving: {epochs: 1}}")


def test_a_budget_is_at_least_a_batch_and_no_grid_is_cut(sweep):
    with pytest.raises(ConfigError, match="trials: a budget of 3 is smaller than one batch, 4"):
        sweep(RATE + "search: {method: optuna, trials: 3}")
    assert sweep(RATE + "search: {trials: 3}").search.trials == 3, "all are one batch"
    with pytest.raises(ConfigError, match="trials: the grid has 4, more than the budget of 3"):
        sweep("loss.alpha: {grid: [0.1, 0.2, 0.3, 0.4]}\nsearch: {trials: 3}")
    with pytest.raises(ConfigError, match="learning_rate: a grid search needs a list; received loguniform"):
        sweep(RATE + "search: {method: grid}")
    made = sweep(RATE + "search: {hours: 1, trials: 8}")
    assert batch_size(made.search) == 4
    (made.out / "clock.json").write_text('{"seconds": 4000}')
    with pytest.raises(RunError, match="hours are over"):
        made.run(Trainings())


def test_a_grid_may_gain_values_and_nothing_else(sweep):
    earlier = sweep("loss.alpha: {grid: [0.5, 0.7]}")
    (earlier.out / "space.yaml").write_text(space_text(earlier.space, earlier.search))
    assert len(earlier.run(Trainings())) == 2
    grown = sweep("loss.alpha: {grid: [0.5, 0.6, 0.7]}")
    check_same_space(grown.out, grown.space, grown.search)
    trainings = Trainings()
    assert len(grown.run(trainings)) == 3 and len(trainings.asked) == 1
    for text, message in (
        ("loss.alpha: {grid: [0.5]}", r"loss.alpha \{'grid': \[0.5, 0.7\]\} → \{'grid': \[0.5\]\}"),
        ("loss.gamma: {grid: [1.0]}", "loss.alpha is gone; loss.gamma is new; a grid may only gain values"),
        ("loss.alpha: {grid: [0.5, 0.7]}\nsearch: {watch: val_iou}", "watch val_dice → val_iou"),
    ):
        other = sweep(text)
        with pytest.raises(ConfigError, match=message):
            check_same_space(other.out, other.space, other.search)


def test_a_drawn_sweep_does_not_grow(sweep):
    earlier = sweep("training.optimizer: {choice: [adam]}\n" + RATE)
    (earlier.out / "space.yaml").write_text(space_text(earlier.space, earlier.search))
    more = sweep("training.optimizer: {choice: [adam, sgd]}\n" + RATE + "search: {trials: 40}")
    with pytest.raises(ConfigError, match="what random proposes follows from the space"):
        check_same_space(more.out, more.space, more.search)


def test_numbers_at_an_end_of_what_was_tried_are_named():
    tried = pd.DataFrame(
        {
            "training.learning_rate": [0.003, 0.01, 0.03],
            "loss.alpha": [0.5, np.nan, 0.7],  # conditional: two values have no middle
            "training.optimizer": ["adam", "sgd", "adamw"],
            "model.depth": [2, 3, 4],
        }
    )
    best = tried.iloc[0]
    assert at_ends(best, tried, list(tried)) == [
        "training.learning_rate 0.003 is the least that was tried: a better one may lie beyond.",
        "model.depth 2 is the least that was tried: a better one may lie beyond.",
    ]
    assert at_ends(tried.iloc[1], tried, list(tried)) == []


def test_importance_is_the_share_of_variance_between_values(sweep):
    space = sweep("loss.alpha: {grid: [0.1, 0.2]}\nloss.gamma: {grid: [1.0, 2.0]}").space
    alpha, gamma, noise = np.array([0.1, 0.2] * 20), np.repeat([1.0, 2.0], 20), np.tile([0, 0, 0.1, 0.1], 10)
    table = pd.DataFrame({"loss.alpha": alpha, "loss.gamma": gamma, "score": 10 * alpha + noise})
    shares = importance(table, space.parameters)
    assert list(shares) == ["loss.alpha", "loss.gamma"]
    within, total = 40 * 0.05**2 / 38, (40 * 0.05**2 + 40 * 0.5**2) / 39
    assert shares["loss.alpha"] == pytest.approx(1 - within / total)
    assert shares["loss.gamma"] == 0
