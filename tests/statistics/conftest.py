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
    """Dice of losses that differ by their gains, and metrics that follow it; every seed draws its folds anew."""

    def draw(
        gains: Mapping[str, float],
        subjects: int = 20,
        seeds: int = 3,
        folds: int = 5,
        labels: tuple[str, ...] = ("lesion",),
        residual_sd: float = 0.01,
        network_sd: float = 0.004,
        draw: int = 0,
    ) -> pd.DataFrame:
        rng = np.random.default_rng(draw)
        tables = []
        for label in labels:
            base = rng.normal(0.8, 0.05, subjects)
            for seed in range(seeds):
                fold = np.random.default_rng(seed).permutation(np.arange(subjects) % folds)
                for loss, gain in gains.items():
                    network = rng.normal(0, network_sd, folds)[fold]
                    dice = base + gain + network + rng.normal(0, residual_sd, subjects)
                    metrics = {"dice": dice, "nsd": dice + 0.05, "hd95": 20 * (1 - dice), "iou": dice / (2 - dice)}
                    for metric, value in metrics.items():
                        names = [f"s{index:03}" for index in range(subjects)]
                        tables.append(
                            pd.DataFrame(
                                {
                                    "loss": loss, "seed": seed, "fold": fold, "subject": names, "case": names,
                                    "label": label, "metric": metric, "value": value,
                                }
                            )
                        )  # fmt: skip
        return pd.concat(tables, ignore_index=True)[COLUMNS]

    return draw
