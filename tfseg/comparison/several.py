"""Read the comparisons of several datasets that one study lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from tfseg.comparison.fairness import network_notes
from tfseg.comparison.folder import Comparison, read_comparison
from tfseg.config.yaml_files import read_yaml
from tfseg.core.errors import RunError
from tfseg.metrics.table import METRICS
from tfseg.statistics import several

RECORD = "datasets.yaml"


@dataclass(frozen=True)
class SeveralComparisons:
    """The same arms on several datasets, each with a comparison of its own."""

    folder: Path
    by_name: dict[str, Comparison]

    @property
    def metric(self) -> str:
        """The metric of the primary question."""
        return next(iter(self.by_name.values())).primary[1]

    @property
    def subjects(self) -> dict[str, int]:
        """Dataset → the number of its scored subjects."""
        return {name: int(each.scores["subject"].nunique()) for name, each in self.by_name.items()}

    @cached_property
    def means(self) -> pd.DataFrame:
        """A row per dataset and arm: the mean on the primary question, its interval, and the rank."""
        tables = []
        for name, each in self.by_name.items():
            label, metric = each.primary
            own = each.means[(each.means["label"] == label) & (each.means["metric"] == metric)]
            rank = (-METRICS[metric].sign * own["mean"]).round(10).rank()
            tables.append(own[["label", "arm", "mean", "low", "high"]].assign(rank=rank, dataset=name))
        return pd.concat(tables, ignore_index=True)[["dataset", "label", "arm", "mean", "low", "high", "rank"]]

    @cached_property
    def wide(self) -> pd.DataFrame:
        """The means, a row per dataset and a column per arm that all of them have, in the order of the study."""
        table = self.means.pivot(index="dataset", columns="arm", values="mean")
        return table.loc[list(self.by_name), list(self.means["arm"].unique())].dropna(axis=1)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Every pair of arms over the datasets, as `tfseg.statistics.several.compare_over_datasets` gives them."""
        tables = []
        for name, each in self.by_name.items():
            label, metric = each.primary
            own = each.tests[(each.tests["label"] == label) & (each.tests["metric"] == metric)]
            tables.append(own[["first", "second", "difference"]].assign(dataset=name))
        return several.compare_over_datasets(pd.concat(tables, ignore_index=True), self.metric)

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """The arms by their mean rank, as `tfseg.statistics.several.ranks_over_datasets` gives them."""
        return several.ranks_over_datasets(self.wide, self.metric)

    @property
    def friedman_p(self) -> float:
        """The p of equal ranks over datasets."""
        return several.friedman(self.wide.to_numpy(), METRICS[self.metric].sign)

    @property
    def headline(self) -> list[str]:
        """Return the conclusions over all datasets."""
        notes = {name: "; ".join(network_notes(each.cells).values()) for name, each in self.by_name.items()}
        doubtful = [f"Doubtful networks on {name}: {note}." for name, note in notes.items() if note]
        return [*several.headline(self.pairs, self.ranks, self.subjects), *doubtful]


def read_several(folder: Path) -> SeveralComparisons:
    """Read a folder with the comparisons of several datasets.

    Raises:
        ConfigError, RunError: as `read_comparison`, or if they do not have two arms in common.
    """
    names: Sequence[str] = read_yaml(folder / RECORD)["datasets"]
    found = SeveralComparisons(folder, {name: read_comparison(folder / name) for name in names})
    if found.wide.shape[1] < 2:
        raise RunError(f"{folder}: expected two arms that are finished on every dataset, found {found.wide.shape[1]}")
    return found
