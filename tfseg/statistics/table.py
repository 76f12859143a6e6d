"""Every pair of losses on every label and metric, as one table."""

from collections.abc import Sequence

import pandas as pd

from tfseg.metrics.table import write_value
from tfseg.statistics.paired import Paired
from tfseg.statistics.pairwise import PAIR_COLUMNS, pairwise_tests
from tfseg.statistics.seeds import SeedNoise, seed_noise

TEST_COLUMNS = ("label", "metric", *PAIR_COLUMNS[:-1], "seed_sd", "note")


def pairs_table(paired: Sequence[Paired], unit: str = "mm") -> pd.DataFrame:
    """Tests every pair of losses on every label and metric; p-values are adjusted over the pairs of each.

    Args:
        paired: as `paired_values` gives them.
        unit: of the distances.

    Returns:
        Columns `label, metric`; those of `pairwise_tests`, in which a difference is first minus second, so that
        a negative one of a distance speaks for the first; `seed_sd`: SD over seeds of the losses' means, pooled
        over the two; `note`: why there is no test, what it cannot tell, whether seeds alone make the difference.
    """
    tables = [_of_one(each, unit) for each in paired] or [pd.DataFrame()]
    return pd.concat(tables, ignore_index=True).reindex(columns=list(TEST_COLUMNS))


def _of_one(paired: Paired, unit: str) -> pd.DataFrame:
    table = pairwise_tests(paired.values)
    noises = [seed_noise(paired.runs, *pair) for pair in zip(table["first"], table["second"], strict=True)]
    notes = [
        "; ".join(filter(None, (note, _seed_note(noise, difference, paired.metric, unit))))
        for note, noise, difference in zip(table["note"], noises, table["mean_difference"], strict=True)
    ]
    return table.assign(label=paired.label, metric=paired.metric, seed_sd=[noise.sd for noise in noises], note=notes)


def _seed_note(noise: SeedNoise, difference: float, metric: str, unit: str) -> str:
    if not noise.known:
        return "fewer than two seeds: what the seed makes is unknown"
    if noise.holds(difference):
        return f"inside the noise of seeds (±{write_value(metric, noise.noise, unit)})"
    return ""
