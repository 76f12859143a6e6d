"""Over several datasets, the dataset is the unit."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from tfseg.statistics import several
from tfseg.statistics.effects import holm
from tfseg.statistics.verdicts import Verdict


def pairs_of(means: np.ndarray, arms="abc") -> pd.DataFrame:
    return pd.DataFrame(
        {"dataset": f"d{row}", "first": arms[i], "second": arms[j], "difference": values[i] - values[j]}
        for row, values in enumerate(means)
        for i, j in itertools.combinations(range(len(values)), 2)
    )


def test_a_pair_is_tested_by_t_over_datasets():
    means = np.random.default_rng(3).normal([0.8, 0.81, 0.85], 0.02, (6, 3))
    table = several.compare_over_datasets(pairs_of(means), "dice")
    for row, (i, j) in zip(table.itertuples(), itertools.combinations(range(3), 2), strict=True):
        expected = scipy.stats.ttest_rel(means[:, i], means[:, j])
        assert row.p == pytest.approx(expected.pvalue)
        assert (row.low, row.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert table["p_holm"].tolist() == pytest.approx(holm(table["p"]).tolist())
    assert (table.loc[table["p_holm"] < 0.05, "verdict"] == Verdict.WORSE).all() and (table["p_holm"] < 0.05).any()


def test_for_distances_less_is_better():
    means = 5 + np.array([[0.0, 1.0], [0.1, 1.2], [0.0, 0.9], [0.2, 1.1]])
    (row,) = several.compare_over_datasets(pairs_of(means), "hd95").itertuples()
    assert row.verdict == Verdict.BETTER and row.difference < 0 and row.p_better > 0.95
    (other,) = several.compare_over_datasets(pairs_of(means), "dice").itertuples()
    assert other.verdict == Verdict.WORSE and other.p_better == pytest.approx(1 - row.p_better)


def test_two_datasets_decide_nothing():
    table = several.compare_over_datasets(pairs_of(np.array([[0.9, 0.1], [0.9, 0.1]])), "dice")
    assert table["verdict"].tolist() == [Verdict.UNTESTED]
    assert "at least 3 are needed" in table["note"][0]


def test_ranks_within_and_over_datasets():
    means = pd.DataFrame({"a": [0.9, 0.8, 0.7], "b": [0.8, 0.9, 0.6], "c": [0.1, 0.1, 0.7]})
    ranks = several.ranks_over_datasets(means, "dice").set_index("arm")
    assert ranks["mean_rank"].to_dict() == pytest.approx({"a": 4.5 / 3, "b": 2.0, "c": 7.5 / 3})
    assert ranks["best"].sum() == pytest.approx(1)
    assert ranks["best"].idxmax() == "a"


def test_friedman_agrees_with_its_chi_square_where_datasets_are_many():
    means = np.random.default_rng(1).normal([0, 0, 0.2, 0.5], 1, (40, 4))
    own, expected = several.friedman(means, 1), scipy.stats.friedmanchisquare(*means.T).pvalue
    assert own == pytest.approx(expected, abs=0.02)
    assert several.friedman(means, 1) == several.friedman(-means, -1)


@pytest.mark.parametrize(("datasets", "arms"), [(3, 2), (4, 6), (8, 3)])
def test_a_false_winner_is_named_in_at_most_one_study_of_twenty(datasets, arms):
    """Arms are equal on average and differ from one dataset to the next, with heavy tails; some sets are small."""
    rng = np.random.default_rng(0)
    tables = 4000
    spread = rng.uniform(0.002, 0.03, (tables, datasets, 1))  # some datasets are small, some large
    means = 0.01 * rng.standard_t(4, (tables, datasets, arms)) + spread * rng.normal(0, 1, (tables, datasets, arms))
    first, second = np.array(list(itertools.combinations(range(arms), 2))).T
    p = several.effect_over_datasets(np.moveaxis(means[..., first] - means[..., second], 1, -1)).p
    wrong = (holm(p) < 0.05).any(axis=1).mean()
    assert wrong < 0.05 + 2 * np.sqrt(0.05 * 0.95 / tables)


def test_power_grows_with_datasets():
    rng = np.random.default_rng(0)
    shares = [
        (several.effect_over_datasets(rng.normal(0.02, 0.02, (2000, count))).p < 0.05).mean() for count in (3, 5, 10)
    ]
    assert shares[0] < shares[1] < shares[2] and shares[2] > 0.7
