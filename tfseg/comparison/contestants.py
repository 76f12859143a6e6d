"""Masks of methods that were trained elsewhere, beside the trained arms of a comparison."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tfseg.config.config import ScoringConfig
from tfseg.core import files
from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.formats import read_label
from tfseg.datasets.grids import same_grid, stored_like
from tfseg.evaluation.contestants import label_maps_of
from tfseg.evaluation.label_maps import check_values
from tfseg.evaluation.networks import score_targets
from tfseg.prepared.prepared import Prepared
from tfseg.runs.folder import read_json, read_scores
from tfseg.statistics.headline import join

FOLDER, RECORD = "contestants", "contestants.json"


def caution(names: Collection[str]) -> str:
    """Say what is not known of some contestants.

    >>> caution(["nnunet"])
    'Nothing is known of how nnunet was trained: verdicts on it are about these masks and new subjects.'
    >>> caution(["nnunet", "monai"])
    'Nothing is known of how nnunet and monai were trained: verdicts on them are about these masks and new subjects.'
    """
    listed = join(list(names))
    if len(names) == 1:
        return f"Nothing is known of how {listed} was trained: verdicts on it are about these masks and new subjects."
    return f"Nothing is known of how {listed} were trained: verdicts on them are about these masks and new subjects."


def note(name: str) -> str:
    """Say in a few words what a verdict on a contestant is about.

    >>> note("nnunet")
    'nnunet: these masks and new subjects, no other training of it'
    """
    return f"{name}: these masks and new subjects, no other training of it"


def find_contestants(
    out: Path, sources: Mapping[str, Path], arms: Collection[str], prepared: Prepared, subjects: Collection[str]
) -> dict[str, dict[str, Path]]:
    """Find the masks of contestants that a comparison does not have yet: name → case → path.

    Args:
        out: the comparison.
        sources: where each method's masks are, as for `label_maps_of`.
        arms: names that are taken.
        prepared: has the cases.
        subjects: those that the comparison tests.

    Raises:
        ConfigError: if a name is taken by an arm, or by another source.
        DataError: if a source lacks a case.
    """
    known = contestants_of(out)
    cases = prepared.index.loc[prepared.index["subject"].isin(list(subjects)), "case"].tolist()
    found = {}
    for name, source in sources.items():
        masks = label_maps_of(source, cases)
        if name in arms or known.get(name, _resolved(masks)) != _resolved(masks):
            raise ConfigError(f"--predictions: the comparison has another {name}; give the masks a name of their own")
        if name not in known:
            found[name] = masks
    return found


def add_contestants(
    out: Path,
    contestants: Mapping[str, Mapping[str, Path]],
    prepared: Prepared,
    scoring: ScoringConfig,
    advance: Callable[[], None] = lambda: None,
) -> None:
    """Score masks on the truths of a prepared folder, and add them to a comparison.

    Args:
        out: the comparison.
        contestants: as `find_contestants` returns them.
        prepared: has the truths.
        scoring: what is scored, and the tolerance of NSD.
        advance: called after each case.

    Raises:
        DataError: if a mask cannot be scored.
    """
    for name, masks in contestants.items():
        scores = _scores(name, masks, prepared, scoring, advance)
        files.write_text(out / FOLDER / f"{name}.csv", scores.to_csv(index=False))
        files.write_text(out / RECORD, json.dumps({**contestants_of(out), name: _resolved(masks)}, indent=1))


def contestants_of(out: Path) -> dict[str, dict[str, str]]:
    """Return the masks of every contestant of a comparison: name → case → path.

    Raises:
        RunError: if the record is damaged.
    """
    known: dict[str, dict[str, str]] = read_json(out / RECORD) if (out / RECORD).is_file() else {}
    return known


def with_contestants(scores: pd.DataFrame, out: Path) -> pd.DataFrame:
    """Add the contestants' scores to those of the trained arms, under every seed, in the fold that tested a subject.

    Their masks are the same under all seeds: what differs between networks is then that of the trained arm alone.
    """
    folds = scores.groupby(["seed", "subject"], sort=False)["fold"].first().reset_index()
    added = [read_scores(out / FOLDER / f"{name}.csv").merge(folds, on="subject") for name in contestants_of(out)]
    return pd.concat([scores, *(table[scores.columns] for table in added)], ignore_index=True)


def _scores(
    name: str, masks: Mapping[str, Path], prepared: Prepared, scoring: ScoringConfig, advance: Callable[[], None]
) -> pd.DataFrame:
    tables = []
    for case_name, path in masks.items():
        case = prepared.case(case_name)
        truth = case.label_volume(prepared.labels, prepared.ignore_label)
        affine = np.asarray(case.grid.affine)
        mask = stored_like(read_label(path), affine)
        if mask.array.shape != truth.shape or not same_grid(truth.shape, affine, mask.affine):
            raise DataError(f"{path}: its grid is not that of the scan of {case_name}, {truth.shape}")
        check_values(path, mask.array, prepared.labels, prepared.ignore_label)
        spacing_mm = None if case.in_pixels else case.grid.spacing_mm
        scores = score_targets(truth, mask.array, prepared, scoring, spacing_mm)
        tables.append(scores.assign(arm=name, loss=name, subject=case.subject, case=case.name))
        advance()
    return pd.concat(tables, ignore_index=True)


def _resolved(masks: Mapping[str, Path]) -> dict[str, str]:
    return {case: str(path.resolve()) for case, path in masks.items()}
