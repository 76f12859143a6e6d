"""The final network stops after the median best epoch of the whole schedule, and is not chosen by a score."""

import json

from tfseg.config.config import Config
from tfseg.runs.final import final_epochs, stopped_after


def test_the_only_scored_epoch_is_the_last_one_trained():
    plain = stopped_after(Config(training={"epochs": 20, "patience": 3, "validate_every_steps": 5}), 7).training
    assert (plain.epochs, plain.validate_every, plain.validate_every_steps, plain.patience) == (20, 7, None, None)
    stages = Config(stages=({"training": {"epochs": 4}}, {"training": {"epochs": 6, "learning_rate": 1e-4}}))
    *_, last = stopped_after(stages, 7).resolved_stages()
    assert (last.training.epochs, last.training.validate_every, last.training.learning_rate) == (6, 3, 1e-4)


def test_the_epoch_is_the_median_of_the_finished_folds(tmp_path):
    for fold, epoch in enumerate((3, 9, 5, 1)):
        (tmp_path / f"fold_{fold}").mkdir()
        (tmp_path / f"fold_{fold}" / "fold.json").write_text(json.dumps({"best_epoch": epoch}))
        (tmp_path / f"fold_{fold}" / "scores.csv").touch()
    (tmp_path / "fold_3" / "scores.csv").unlink()
    assert final_epochs(tmp_path, 4) == 5
