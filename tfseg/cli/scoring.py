"""Score label maps, and show what was scored."""

import os
from pathlib import Path

from tfseg.cli.terminal import Terminal
from tfseg.core import files
from tfseg.datasets.names import stem
from tfseg.evaluation.label_maps import Scoring, check_out, score_pairs
from tfseg.evaluation.pairs import label_map_folder, listed, other_files, pair_up, structures_of

# A process starts in about the time that packed label maps of this size take to be scored.
BYTES_PER_PROCESS = 256 * 1024


def score_label_maps(
    truth: Path,
    prediction: Path,
    labels: str | None,
    tolerance_mm: float,
    ignore_label: int | None,
    lesions: bool,
    out: Path | None,
) -> None:
    """Score label maps, print the table, and write every case's scores to `out` if it is given.

    Raises:
        ConfigError: if the call is wrong, or `out` holds something else.
        DataError: if a file cannot be scored.
    """
    terminal, name = Terminal(), stem(prediction)
    pairs = pair_up(truth, prediction)
    if out:
        check_out(out, name)
    for folder in (label_map_folder(path) for path in (truth, prediction) if path.is_dir()):
        if other := other_files(folder):
            terminal.say(f"{folder}: not scored, no label maps by their suffix: {listed(file.name for file in other)}")
    packed_bytes = sum(pair.truth.stat().st_size for pair in pairs)
    workers = max(1, min(len(pairs), os.cpu_count() or 1, packed_bytes // BYTES_PER_PROCESS))
    structures = structures_of(labels, truth, pairs, ignore_label)
    scoring = Scoring(structures, tolerance_mm, lesions)
    if structures.ignore_label is not None:
        terminal.say(f"voxels of value {structures.ignore_label} in the truth do not count")
    with terminal.bar(f"scoring {name}", len(pairs)) as advance:
        scores = score_pairs(pairs, scoring, name, workers, advance)
    for warning in (*structures.warnings, *scores.warnings):
        terminal.say(f"warning: {warning}")
    terminal.show_summary(scores.summary, means="Mean", unit=scores.unit)
    if lesions:
        terminal.show_lesions(scores.table, scores.summary)
    if out:
        files.write_text(out, scores.table.to_csv(index=False))
        terminal.say(f"scores   {out}")
