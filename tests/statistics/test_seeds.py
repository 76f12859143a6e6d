from math import sqrt

import numpy as np
import pandas as pd
import pytest

from tfseg.statistics import paired_values, pairs_table, seed_means, seed_noise

T2, T3 = 4.302653, 3.182446  # 97.5 % points of Student's t with 2 and 3 degrees of freedom


def runs_of(means: dict[tuple[str, int], float], subjects: int = 3) -> pd.DataFrame:
    offsets = np.arange(subjects) - (subjects - 1) / 2
    columns = pd.MultiIndex.from_tuples(list(means), names=["loss", "seed"])
    return pd.DataFrame({run: mean + offsets for run, mean in means.items()}).set_axis(columns, axis=1)


def test_noise_by_hand():
    runs = runs_of({("a", 0): 0.80, ("a", 1): 0.82, ("b", 0): 0.70, ("b", 1): 0.74})
    noise = seed_noise(runs, "a", "b")
    assert noise.sd == pytest.approx(sqrt((0.0002 + 0.0008) / 2))
    assert noise.noise == pytest.approx(T2 * noise.sd, rel=1e-6)
    assert noise.known
    assert noise.holds(0.09)
    assert noise.holds(-0.09)
    assert not noise.holds(0.10)
    assert seed_noise(runs, "b", "a") == noise


def test_unequal_numbers_of_seeds():
    runs = runs_of({("a", 0): 0.1, ("a", 1): 0.2, ("a", 2): 0.3, ("b", 0): 0.5, ("b", 1): 0.7})
    noise = seed_noise(runs, "a", "b")
    assert noise.sd == pytest.approx(sqrt((2 * 0.01 + 0.02) / 3))
    assert noise.noise == pytest.approx(T3 * noise.sd * sqrt(1 / 3 + 1 / 2), rel=1e-6)


def test_one_seed_tells_nothing():
    noise = seed_noise(runs_of({("a", 0): 0.1, ("a", 1): 0.2, ("b", 0): 0.5}), "a", "b")
    assert not noise.known
    assert not noise.holds(0)
    assert np.isnan(noise.sd)


def test_means_are_taken_over_the_subjects_of_all_runs():
    runs = runs_of({("a", 0): 0.8, ("a", 1): 0.8, ("b", 0): 0.7, ("b", 1): 0.7})
    runs.iloc[2, 3] = np.nan
    assert seed_means(runs)["mean"].tolist() == pytest.approx([0.3, 0.3, 0.2, 0.2])
    assert seed_noise(runs, "a", "b").sd == pytest.approx(0)
    assert not seed_noise(runs.iloc[2:], "a", "b").known, "no subject is left"


@pytest.mark.parametrize("seeds", [2, 4])
def test_seeds_alone_stay_inside_the_noise_in_95_of_100(seeds):
    rng = np.random.default_rng(0)
    repeats, inside = 250, 0
    names = [(loss, seed) for loss in "ab" for seed in range(seeds)]
    for means in rng.normal(0.8, 0.02, (repeats, 2 * seeds)):
        noise = seed_noise(runs_of(dict(zip(names, means, strict=True)), subjects=1), "a", "b")
        inside += noise.holds(means[:seeds].mean() - means[seeds:].mean())
    assert inside / repeats == pytest.approx(0.95, abs=4 * sqrt(0.95 * 0.05 / repeats))


def test_the_table_tells_of_seeds(draw_scores):
    noisy, quiet = (draw_scores({"a": 0.03, "b": 0.0}, seed_noise=sd, draw=1) for sd in (0.05, 0.0))
    single = quiet[quiet["seed"] == 0]
    notes = [
        pairs_table(paired_values(scores, {})).set_index("metric").loc["dice", ["note", "seed_sd"]]
        for scores in (noisy, quiet, single)
    ]
    assert notes[0]["note"].startswith("inside the noise of seeds (±0.")
    assert notes[1]["note"] == ""
    assert notes[2]["note"] == "fewer than two seeds: what the seed makes is unknown"
    assert notes[0]["seed_sd"] > 0.01 > notes[1]["seed_sd"] > 0
    assert np.isnan(notes[2]["seed_sd"])
    assert "mm)" in pairs_table(paired_values(noisy, {})).set_index("metric").loc["hd95", "note"]


def test_the_table_is_tidy(draw_scores):
    scores = pd.concat(
        [draw_scores({"a": 0.03, "b": 0.0, "c": 0.1}).assign(label=label) for label in ("left", "right")]
    )
    table = pairs_table(paired_values(scores, {}))
    assert list(table.columns) == [
        "label", "metric", "first", "second", "n", "mean_difference", "ci_low", "ci_high", "t_p", "t_p_holm",
        "wilcoxon_p", "wilcoxon_p_holm", "d_z", "rank_biserial", "seed_sd", "note",
    ]  # fmt: skip
    assert table.index.tolist() == list(range(3 * 2 * 3))
    assert table["label"].unique().tolist() == ["left", "right", "mean"]
    assert not table.duplicated(["label", "metric", "first", "second"]).any()
    assert pairs_table([]).empty
