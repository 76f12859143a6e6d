"""The history has one row per epoch."""

import math

import numpy as np
import pandas as pd

from tfseg.training.history import History


def test_history_has_a_row_per_epoch(trained):
    history = pd.read_csv(trained.path.with_name("history.csv"))
    assert history["epoch"].tolist() == [1, 2, 3]
    assert {"loss", "val_dice", "val_iou", "val_loss", "learning_rate", "train_seconds"} <= set(history.columns)
    rates = 3e-3 * (1 + np.cos(np.pi * np.arange(3) / 3)) / 2  # first step of each epoch: a cosine over three epochs
    np.testing.assert_allclose(history["learning_rate"], rates, rtol=1e-5)
    assert (history["train_seconds"] > 0).all()


def test_latest_returns_the_last_known_value_of_every_column(tmp_path):
    history = History(tmp_path / "history.csv")
    history.rows = [{"loss": 3.0, "val_dice": 0.5}, {"loss": 2.0}, {"loss": 1.0, "val_dice": math.nan}]
    assert history.latest() == {"loss": 1.0, "val_dice": 0.5}
