"""The learning rate of a network is chosen on its validation subjects."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
import tensorflow as tf

from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError
from tfseg.training import rates
from tfseg.training.divergence import Diverged
from tfseg.training.fit import Trained, train
from tfseg.training.progress import QUIET, Progress, Stopped
from tfseg.training.rates import RATES, train_best_rate

SMALL = ["model.filters=2", "model.depth=1", "training.epochs=2", "training.batch_size=6", "folds=3", "loss=dice"]
RATED = [*SMALL, "training.rates=[1e-6, 0.01]"]


@pytest.fixture
def scored(monkeypatch):
    """Replace `train`: every rate has a known score, or diverges at None; return the rates that were trained."""
    scores, seen = {}, []

    def fake(config, prepared, split, seed, out, strategy, progress):
        rate = config.training.learning_rate
        seen.append((rate, config.training.rates))
        if scores[rate] is None:
            raise Diverged(float("nan"), 1, 1, "a slice")
        (out / "logs").mkdir(parents=True)
        for name in ("history.csv", "controls.json", "best.keras"):
            (out / name).write_text(str(rate))
        return Trained(out / "best.keras", 1, 2, scores[rate])

    monkeypatch.setattr(rates, "train", fake)
    return SimpleNamespace(scores=scores, seen=seen)


def choose(out, *settings):
    config = load_config(None, ["training.rates=[0.001, 0.003, 0.01]", *settings])
    quiet = replace(QUIET, say=lambda line: None)
    return train_best_rate(config, None, None, 0, out, None, quiet)


@pytest.mark.parametrize(
    ("settings", "scores", "best"),
    [
        ([], (0.5, 0.8, 0.7), 0.003),
        ([], (0.8, 0.8, 0.7), 0.001),
        ([], (0.5, None, 0.7), 0.01),
        (["training.select_by=val_loss"], (0.5, 0.8, 0.7), 0.001),
    ],
)
def test_the_best_validation_score_decides(scored, tmp_path, settings, scores, best):
    scored.scores.update(zip((0.001, 0.003, 0.01), scores, strict=True))
    chosen = choose(tmp_path, *settings)
    assert scored.seen == [(0.001, None), (0.003, None), (0.01, None)]
    assert chosen.config.training.learning_rate == best
    assert chosen.scores == scored.scores
    assert chosen.trained.path == tmp_path / "best.keras"
    for name in ("history.csv", "controls.json", "best.keras"):
        assert (tmp_path / name).read_text() == str(best)


def test_a_network_fails_only_if_it_diverges_under_every_rate(scored, tmp_path):
    scored.scores.update(dict.fromkeys((0.001, 0.003, 0.01)))
    with pytest.raises(Diverged):
        choose(tmp_path)


def test_the_kept_network_is_the_one_that_its_rate_gives_and_a_stopped_choice_resumes(prepared, split, tmp_path):
    strategy, config = tf.distribute.get_strategy(), load_config(None, RATED)
    seen, resumed = [], []
    stopping = Progress(stop_after=lambda epoch, logs: seen.append(epoch) or epoch == 2)
    with pytest.raises(Stopped) as stop:
        train_best_rate(config, prepared, split, 0, tmp_path / "b", strategy, stopping)
    assert (seen, stop.value.epochs) == ([0, 1, 2], 3)
    again = Progress(on_resume=resumed.append)
    chosen = train_best_rate(config, prepared, split, 0, tmp_path / "b", strategy, again)
    assert resumed == [2, 3]
    assert chosen.config.training.rates is None
    assert chosen.trained.score == max(chosen.scores.values()) == chosen.scores[chosen.config.training.learning_rate]
    rate = f"training.learning_rate={chosen.config.training.learning_rate}"
    alone = train(load_config(None, [*SMALL, rate]), prepared, split, 0, tmp_path / "a", strategy)
    assert chosen.trained.score == alone.score
    histories = [pd.read_csv(tmp_path / each / "history.csv").filter(regex="loss|dice|rate") for each in "ab"]
    pd.testing.assert_frame_equal(*histories)
    assert json.loads((tmp_path / "b" / "controls.json").read_text()) == json.loads(
        (tmp_path / "a" / "controls.json").read_text()
    )
    assert {path.name for path in (tmp_path / "b" / RATES).iterdir()} == {"1e-06", "0.01"}


def test_without_rates_a_network_is_trained_once(scored, tmp_path):
    scored.scores[0.003] = 0.5
    config = load_config(None, ["training.learning_rate=0.003"])
    assert train_best_rate(config, None, None, 0, tmp_path, None).scores == {}
    assert not (tmp_path / RATES).exists()


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("0.001", "training.rates: expected two or more different learning rates"),
        ("0.001, 1e-3", "training.rates: expected two or more different learning rates"),
        ("", "training.rates: expected two or more different learning rates"),
        ("0.001, -1", r"training\.rates.*greater than 0; received -1"),
        ("0, 0.001", r"training\.rates.*greater than 0; received 0"),
        ("0.001, fast", r"training\.rates.*valid number.*received 'fast'"),
    ],
)
def test_rates_are_two_positive_numbers_or_more(listed, message):
    with pytest.raises(ConfigError, match=message):
        load_config(None, [f"training.rates=[{listed}]"])
