"""The tables of how far probabilities can be trusted, of a run or a comparison."""

from pathlib import Path

import pandas as pd

from tfseg import statistics
from tfseg.core import files

SOURCES_FILE, FLAGS_FILE = "sources.csv", "flags.csv"


def write_trust_tables(scores: pd.DataFrame, folder: Path) -> None:
    """Write `sources.csv` and `flags.csv` if probabilities were measured.

    Args:
        scores: columns `loss, seed, fold, subject, case, label, metric, value`, and `arm`.
        folder: of the run or the comparison.
    """
    if statistics.has_probabilities(scores):
        files.write_text(folder / SOURCES_FILE, statistics.source_differences(scores).to_csv(index=False))
        files.write_text(folder / FLAGS_FILE, statistics.flagging(scores).to_csv(index=False))
