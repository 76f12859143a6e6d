"""Tables of scores, written by hand or drawn at random."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

COLUMNS = ["loss", "seed", "fold", "subject", "case", "label", "metric", "value"]


@pytest.fixture
def make_scores() -> Callable[..., pd.DataFrame]:
    """Scores of one label: {loss or (loss, seed): {subject or (subject, case): {metric: value}}}."""

    def make(runs: Mapping, label: str = "lesion", fold: int = 0) -> pd.DataFrame:
        rows = []
        for run, subjects in runs.items():
            loss, seed = run if isinstance(run, tuple) else (run, 0)
            for name, metrics in subjects.items():
                subject, case = name if isinstance(name, tuple) else (name, name)
                rows += [(loss, seed, fold, subject, case, label, metric, value) for metric, value in metrics.items()]
        return pd.DataFrame(rows, columns=COLUMNS)

    return make


@pytest.fixture
def draw_scores() -> Callable[..., pd.DataFrame]:
    """Dice and HD95 of losses that differ by their gains, on subjects that differ more; folds by turns."""

    def draw(
        gains: Mapping[str, float],
        subjects: int = 20,
        seeds: int = 2,
        folds: int = 5,
        noise: float = 0.01,
        seed_noise: float = 0.0,
        draw: int = 0,
    ) -> pd.DataFrame:
        rng = np.random.default_rng(draw)
        base = rng.normal(0.8, 0.05, subjects)
        rows = []
        for loss, gain in gains.items():
            for seed in range(seeds):
                values = base + gain + rng.normal(0, noise, subjects) + rng.normal(0, seed_noise)
                for index, value in enumerate(values):
                    name = f"s{index:03}"
                    cells = (loss, seed, index % folds, name, name, "lesion")
                    rows += [(*cells, "dice", value), (*cells, "hd95", 20 * (1 - value))]
        return pd.DataFrame(rows, columns=COLUMNS)

    return draw
