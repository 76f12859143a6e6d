"""`tune` searches on validation subjects, trains the best values again, and says what is wrong in one line."""

import json
import shutil

import pandas as pd
import pytest

from tfseg.config.config import load_config
from tfseg.prepared.prepared import Prepared
from tfseg.runs.pools import OneAtATime
from tfseg.tuning.proposals import resolve_search
from tfseg.tuning.space import read_space
from tfseg.tuning.sweep import Sweep
from tfseg.tuning.trials import inner_splits

SPACE = "training.epochs: {grid: [1, 3]}\nmodel.depth: {grid: [1, 2]}\n"
SMALL = ["--set", "model.filters=2", "--set", "model.depth=1", "--set", "training.schedule.name=constant"]
FEW = [*SMALL, "--folds", "3", "--batch-size", "6", "--loss", "dice"]


@pytest.fixture
def space(tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    return tmp_path / "space.yaml"


@pytest.fixture
def tune(tfseg, prepared, space, tmp_path):
    """Calls the command on the small dataset: exit code, output, errors."""
    return lambda *more: tfseg(
        *("tune", "--prepared", prepared.folder, "--space", space, "--out", tmp_path / "sweep", *FEW, *more)
    )


def test_a_sweep_ends_with_its_best_values_trained_again(
    tune, tfseg, jobs_here, prepared, tmp_path, read_page, monkeypatch
):
    code, printed, errors = tune()
    assert code == 0, errors
    out = tmp_path / "sweep"
    trials = pd.read_csv(out / "trials.csv")
    assert len(trials) == 4 and (trials["status"] == "finished").all()
    assert trials["training"].nunique() == 2, "three epochs give the score of one"
    assert "4 trials are read from 2 trainings" in printed
    best = trials.loc[trials["score"].idxmax()]
    assert f"best of 4 trials: training.epochs={best['training.epochs']}" in printed
    chosen = load_config(out / "best.yaml")
    assert (chosen.training.epochs, chosen.model.depth) == tuple(best[["training.epochs", "model.depth"]])
    splits = json.loads((out / "splits.json").read_text())
    *searched, again = jobs_here
    assert all(len(job.config["model"]["pooling"]) == job.config["model"]["depth"] for job in jobs_here)
    assert all(
        job.split["test"] == [] and not {*job.split["train"], *job.split["val"]} & {*splits[0]["test"]}
        for job in searched
    )
    assert again.split == splits[0] and again.seed == 1
    scores = pd.read_csv(out / "best" / "scores.csv")
    assert set(scores["subject"]) == set(splits[0]["test"])
    luck = json.loads((out / "luck.json").read_text())
    history = pd.read_csv(out / "best" / "fold_0" / "history.csv")
    assert luck == {"best": best["score"], "again": history["val_dice"].max()}
    page = read_page((out / "report.html").read_text())
    assert f"these values reach {luck['again']:.4f} on the same subjects" in page.text
    assert len(page.tables[1]) == 5 and not page.open[3:]
    before = len(jobs_here)
    assert tune()[0] == 0 and len(jobs_here) == before, "nothing is trained twice"
    code, printed, errors = tfseg("report", out)
    assert (code, errors) == (0, "")
    monkeypatch.setattr("tfseg.cli.train.write_report", lambda run: None)
    code, printed, errors = tfseg(
        *("fit", "--config", out / "best.yaml", "--set", "folds={scheme: holdout}"),
        *("--prepared", prepared.folder, "--out", tmp_path / "run"),
    )
    assert code == 0, errors


def test_a_nested_search_scores_every_subject_once(tune, tfseg, jobs_here, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("tfseg.cli.tune.write_report", lambda run: None)  # of the best values
    (tmp_path / "space.yaml").write_text("loss.alpha: {grid: [0.3, 0.7]}\n")
    search = ("--loss", "focal", "--epochs", "1", "--folds", "2")
    code, _, errors = tune("--nested", *search)
    assert code == 0, errors
    scores = pd.read_csv(tmp_path / "sweep" / "scores.csv")
    assert set(scores["arm"]) == {"focal"}, "whatever each fold chose"
    assert set(scores["case"]) == set(prepared.index["case"])
    assert not scores.duplicated(["case", "label", "metric"]).any()
    (tmp_path / "sweep" / "fold_1" / "report.html").unlink()
    code, printed, errors = tfseg("report", tmp_path / "sweep")
    assert (code, errors) == (0, "") and f"{tmp_path / 'sweep' / 'fold_0' / 'report.html'}" in printed
    assert (tmp_path / "sweep" / "fold_1" / "report.html").is_file()
    code, _, errors = tune(*search)
    assert code == 2 and "another inner_splits.json" in errors, "a search of one fold is another"


def test_a_search_cannot_reach_test_subjects(prepared, jobs_here, tmp_path):
    """Without the files of its test subjects, a fold is searched anyway; they are what a test would need."""
    from tfseg.datasets.splits import make_splits
    from tfseg.runs.parallel import run_cells_in
    from tfseg.training.progress import QUIET

    class Quiet:
        def begin(self, name, steps):
            return QUIET

        def skipped(self, name):
            raise AssertionError(name)

    space = tmp_path / "space.yaml"
    space.write_text("training.learning_rate: {grid: [0.003]}\n")
    config = load_config(None, [*SMALL[1::2], "loss=dice", "training.batch_size=6", "training.epochs=1", "folds=3"])
    split = make_splits(prepared.subjects, 3, 0)[0]
    without = tmp_path / "without"
    shutil.copytree(prepared.folder, without)
    for case in prepared.index.loc[prepared.index["subject"].isin(split.test), "case"]:
        shutil.rmtree(without / "cases" / case)
    tables = []
    for name, data in (("whole", prepared), ("part", Prepared(without))):
        read = read_space(space)
        sweep = Sweep(
            tmp_path / name, config, read, resolve_search(read.search, read, config), inner_splits(split, 1, 0)
        )
        train = lambda cells, stop, data=data: run_cells_in(OneAtATime(), cells, data, None, Quiet(), stop)  # noqa: E731
        tables.append(sweep.run(train).drop(columns="seconds"))
    pd.testing.assert_frame_equal(*tables)
    assert any(name in str(job.split) for job in jobs_here for name in split.train)
    assert not any(name in str(job.split) for job in jobs_here for name in split.test)


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("training.epoch: {grid: [1]}", (), "the space: unknown key training.epoch; did you mean training.epochs?"),
        ("training.l1: {uniform: [1, 0]}", (), "an empty range; expected low < high, received [1, 0]"),
        ("loss.alpha: {grid: [0.5]}", (), "loss.alpha: the loss dice has no parameter 'alpha'"),
        (SPACE, ("--inner-folds", 7), "inner_folds: expected at most 4, the training and validation"),
        (SPACE, ("--method", "optuna", "--trials", 3), "trials: a budget of 3 is smaller than one batch, 4"),
        (SPACE, ("--method", "gird"), "the command line: method"),
        (SPACE, ("--fold", 3), "--fold: expected 0 to 2, received 3"),
        (SPACE, ("--parallel", 0), "--parallel: expected a number from 1, or none for as many as possible; received 0"),
        (SPACE, ("--parallel", -1), "as many as possible; received -1"),
        (SPACE, ("--parallel", "two", "--nested"), "as many as possible; received two"),
        (SPACE + "search: {halving: {epochs: 1}}", (), "training.epochs: halving decides how long a trial is trained"),
        (
            "training.augmentation.flip.axes: {choice: [[left_right], [superior_inferior]]}",
            (),
            "training.augmentation.flip.axes: expected axes within axial slices",
        ),
        (
            SPACE,
            ("--ray-address", "head", "--set", "training.threads=2"),
            "--ray-address: expected HOST:PORT of the head machine, or auto",
        ),
    ],
)
def test_what_is_wrong_is_one_line(tune, space, text, more, message):
    space.write_text(text)
    code, _, errors = tune(*more)
    assert code == 2
    assert message in errors and len(errors.strip().splitlines()) == 1
    assert not (space.parent / "sweep").exists(), "nothing is left of a call that is refused"


def test_a_cluster_that_does_not_answer_is_one_line(tune, tmp_path):
    code, _, errors = tune("--ray-address", "127.0.0.1:1", "--set", "training.threads=2")
    assert (code, errors) == (1, "tfseg: --ray-address 127.0.0.1:1: no cluster answers: Connection refused\n")
    assert not (tmp_path / "sweep").exists()
