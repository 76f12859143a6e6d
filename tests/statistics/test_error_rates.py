"""A small form of `benchmarks/verdicts.py`: how often verdicts are wrong where the truth is known."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from tfseg.statistics.effects import ALPHA, holm

SOURCE = Path(__file__).parents[2] / "benchmarks" / "verdicts.py"
TABLES = 500


@pytest.fixture(scope="module")
def simulation():
    spec = importlib.util.spec_from_file_location("benchmark_of_verdicts", SOURCE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a NamedTuple looks up its module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def highest(bound: float) -> float:
    return bound + 2 * np.sqrt(bound * (1 - bound) / TABLES)


def test_few_studies_name_a_false_winner(simulation):
    """The settings in which the old rule erred most and the new one is closest to its bound."""
    settings = {
        "one seed": simulation.Setting(2, 60, 1),
        "one seed, networks that vary more": simulation.Setting(4, 24, 1, 0.02),
        "three seeds": simulation.Setting(2, 60, 3),
        "arms that suit other subjects": simulation.Setting(2, 24, 5, subject_sd=0.01),
        "three folds": simulation.Setting(2, 24, 1, 0.02, folds=3),
        "heavy tails": simulation.Setting(2, 24, 2, 0.02, heavy=True),
        "collapsed networks": simulation.Setting(4, 24, 3, collapse=0.05),
    }
    shares = {name: simulation.false_winners(setting, TABLES, seed=3) for name, setting in settings.items()}
    assert {name: new for name, (new, _) in shares.items() if new > highest(ALPHA)} == {}
    assert max(new for new, _ in shares.values()) > 0.02  # the bound is within reach
    assert min(shares[name][1] for name in list(settings)[:2]) > 0.15


def test_few_studies_on_given_splits_name_a_false_winner_though_their_seeds_share_training_sets(simulation):
    of_set = simulation.NETWORK_SD / 2  # a quarter of the variance
    own = simulation.NETWORK_SD * np.sqrt(0.75)
    setting = simulation.Setting(2, 24, 5, own, fixed=True, training_set_sd=of_set)
    assert simulation.false_winners(setting, TABLES)[0] <= highest(ALPHA)


def test_few_reports_name_a_false_winner_anywhere(simulation):
    primary, report = simulation.false_reports(simulation.Setting(4, 24, 2, labels=3), TABLES // 2, seed=1)
    assert primary <= report < highest(0.10)


def test_power_grows_with_seeds_and_is_that_which_is_promised(simulation):
    powers = [simulation.power(simulation.Setting(2, 24, seeds), TABLES, seed=2) for seeds in (1, 2, 3)]
    assert powers[0] < powers[1] - 0.05
    assert powers[2] > powers[1] - 0.02
    assert powers[2] > 0.8 - 2 * np.sqrt(0.8 * 0.2 / TABLES)


def test_the_screened_pairs_decide_as_all_pairs_do(simulation):
    for setting in (simulation.Setting(4, 10, 3), simulation.Setting(3, 24, 1, 0.02, heavy=True)):
        folds, values = next(simulation.draw_tables(setting, 200, 0))
        paired = simulation.differences(values.mean(axis=2))
        p = simulation.fit(paired.reshape(-1, *folds.shape), folds).p_value().reshape(paired.shape[:2])
        assert (simulation.any_winner(paired, folds) == (holm(p) < ALPHA).any(axis=1)).all()


def test_relabelled_trainings_keep_every_value(simulation, draw_scores):
    runs = [draw_scores({"a": 0.0}, seeds=1, draw=number).assign(seed=number) for number in range(4)]
    rng = np.random.default_rng(0)
    drawn = simulation.relabelled(runs, arms=2, seeds=2, by="network", rng=rng)
    assert sorted(drawn["value"]) == pytest.approx(sorted(np.concatenate([run["value"] for run in runs])))
    assert drawn.groupby(["loss", "seed", "subject", "metric"]).size().eq(1).all()
