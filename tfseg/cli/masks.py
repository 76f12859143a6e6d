"""Compare label maps of any origin."""

import json
import os
from itertools import chain
from pathlib import Path

import pandas as pd

from tfseg.cli.terminal import Terminal
from tfseg.comparison.masks import RECORD, MaskComparison
from tfseg.core import files, geometry
from tfseg.core.claims import claimed
from tfseg.core.errors import ConfigError
from tfseg.core.resumable import resumable
from tfseg.datasets.formats import read_label_header
from tfseg.datasets.names import stem
from tfseg.evaluation.contestants import (
    label_maps_of,
    left_out,
    parse_contestants,
    score_contestants,
    truths_of,
)
from tfseg.evaluation.label_maps import Scoring
from tfseg.evaluation.pairs import Pair, structures_of
from tfseg.preparation.index import hashes_of
from tfseg.reports.masks import write_mask_comparison

# A process starts in about the time that packed label maps of this size take to be scored.
BYTES_PER_PROCESS = 256 * 1024


def compare_masks(
    truth: Path,
    predictions: str,
    labels: str | None,
    tolerance_mm: float,
    ignore_label: int | None,
    out: Path,
    command: str,
) -> None:
    """Score the label maps of several methods on the same truths, and report which is better.

    Raises:
        ConfigError: if the call is wrong, or `out` holds something else.
        DataError: if a method lacks a case, or a file cannot be scored.
    """
    terminal = Terminal()
    sources = parse_contestants(predictions)
    if len(sources) < 2:
        raise ConfigError(f"--predictions: expected two methods or more, received {', '.join(sources)}")
    truths = truths_of(truth)
    contestants = {name: label_maps_of(source, truths) for name, source in sources.items()}
    pairs = [Pair(case, path, maps[case]) for maps in contestants.values() for case, path in truths.items()]
    packed_bytes = sum(path.stat().st_size for path in truths.values())
    workers = max(1, min(len(truths), os.cpu_count() or 1, packed_bytes // BYTES_PER_PROCESS))
    structures = structures_of(labels, truth, pairs, ignore_label)
    scoring = Scoring(structures, tolerance_mm)
    hashes = {name: hashes_of(of_cases.values()) for name, of_cases in {"truth": truths, **contestants}.items()}
    record = {"labels": dict(structures.labels), "tolerance_mm": tolerance_mm, "sha256": hashes}
    with resumable(out), claimed(out, {RECORD: json.dumps(record, indent=1)}, "comparison"):
        total = len(truths) * len(contestants)
        with terminal.bar("scoring", total) as advance:
            scores = score_contestants(truths, contestants, scoring, workers, advance)
        warnings = [line for each in scores.values() for line in each.warnings]
        others = [left_out(truth, truths), *(left_out(sources[name], maps) for name, maps in contestants.items())]
        for line in dict.fromkeys((*chain(*others), *structures.warnings, *warnings)):
            terminal.say(f"warning: {line}")
        table = pd.concat([each.table for each in scores.values()], ignore_index=True)
        files.write_text(out / "scores.csv", table.assign(arm=table["loss"]).to_csv(index=False))
        headers = {case: read_label_header(path) for case, path in truths.items()}
        compared = MaskComparison(
            folder=out,
            dataset=stem(truth.resolve()),
            scores=table,
            diagonals={case: geometry.diagonal_mm(each.shape, each.spacing_mm) for case, each in headers.items()},
            unit=next(iter(scores.values())).unit,
            tolerance_mm=tolerance_mm,
            sources={name: str(source) for name, source in sources.items()},
            environment={"command": command},
        )
        write_mask_comparison(compared)
    for sentence in compared.headline:
        terminal.say(sentence)
    terminal.show_losses(compared.means, compared.unit, "Mean ± SD over n subjects")
    terminal.show_paths(out, "report.html", "scores.csv", "means.csv", "verdicts.csv", "tables")
