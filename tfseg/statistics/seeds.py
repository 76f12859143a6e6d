"""What the seed alone makes: the spread of a loss's mean over its seeds, beside the differences between losses."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.stats

from tfseg.statistics.pairwise import ALPHA


@dataclass(frozen=True)
class SeedNoise:
    """The spread over seeds of two losses.

    `sd`: of the losses' mean values over seeds, pooled over the two; `noise`: the difference between two losses
    that seeds alone reach in 5 of 100 comparisons. Both NaN where a loss has one seed.
    """

    sd: float
    noise: float

    @property
    def known(self) -> bool:
        """Whether both losses have two seeds or more."""
        return not np.isnan(self.noise)

    def holds(self, difference: float) -> bool:
        """Whether a difference of two losses' means is inside the noise of seeds."""
        return self.known and abs(difference) <= self.noise


def seed_means(runs: pd.DataFrame) -> pd.DataFrame:
    """The mean of every loss under every seed, over the subjects that all runs scored.

    Args:
        runs: a row per subject, columns (loss, seed), as `Paired.runs`.

    Returns:
        Columns `loss, seed, mean`.
    """
    return runs.dropna().mean().rename("mean").reset_index()


def seed_noise(runs: pd.DataFrame, first: str, second: str) -> SeedNoise:
    """Measures what the seed alone makes of the difference between two losses.

    `noise = t · sd · √(1/S₁ + 1/S₂)`, where sd² is the variance of a loss's mean over its S seeds, pooled over
    the two losses, and t the 97.5 % point of Student's t with S₁ + S₂ - 2 degrees of freedom: two groups of
    trainings that differ by seed alone have means that differ by less, 95 times in 100. With two seeds t is 4.3.

    Args:
        runs: a row per subject, columns (loss, seed), as `Paired.runs`.
        first, second: losses.
    """
    means = seed_means(runs[[first, second]]).groupby("loss")["mean"]
    seeds = means.size()
    if len(seeds) < 2 or seeds.min() < 2 or means.mean().isna().any():
        return SeedNoise(np.nan, np.nan)
    freedom = int(seeds.sum() - 2)
    sd = float(np.sqrt((means.var() * (seeds - 1)).sum() / freedom))
    t = scipy.stats.t.ppf(1 - ALPHA / 2, freedom)
    return SeedNoise(sd, float(t * sd * np.sqrt((1 / seeds).sum())))
