"""Keep a completed recipe, so that scans which have not changed are not measured again."""

import json
from pathlib import Path

from tfseg.core import files
from tfseg.datasets.layouts import Dataset
from tfseg.preparation.case_files import sources, stamp
from tfseg.preparation.recipe import Recipe, derive, parse_recipe, resolve
from tfseg.preparation.survey import Survey

KEPT = "completed.json"


def complete(recipe: Recipe | None, dataset: Dataset, survey: Survey, out: Path, volumes: bool = False) -> Recipe:
    """Complete a recipe, or derive one; if it was kept in `out` for the same scans, no scan is read.

    Args:
        recipe: as written; None to derive one.
        dataset: what to prepare.
        survey: measures its cases.
        out: the prepared folder; it may not exist.
        volumes: whether networks see volumes or patches of them, not slices.

    Raises:
        ConfigError, DataError: as `derive` and `resolve`.
    """
    kept = _read(out / KEPT)
    if kept.get("made_from") == _made_from(recipe, dataset, volumes):
        return parse_recipe(kept["recipe"], str(out / KEPT))
    return resolve(recipe or derive(dataset, survey, volumes), dataset, survey)


def keep(completed: Recipe, recipe: Recipe | None, dataset: Dataset, out: Path, volumes: bool = False) -> None:
    """Keep what `complete` returned for these arguments; `out` is the finished folder."""
    made_from = _made_from(recipe, dataset, volumes)
    files.write_text(out / KEPT, json.dumps({"made_from": made_from, "recipe": completed.to_yaml()}))


def _read(path: Path) -> dict[str, str]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    is_whole = isinstance(kept, dict) and all(isinstance(kept.get(name), str) for name in ("made_from", "recipe"))
    return kept if is_whole else {}


def _made_from(recipe: Recipe | None, dataset: Dataset, volumes: bool) -> str:
    """Everything that determines the completed recipe; a file counts by its name, size and times."""
    listed = [sources(case, recipe or Recipe()) for case in dataset.cases]
    stamps = [[stamp(path) for paths in each.values() for path in paths] for each in listed]
    declared = [dataset.channels, list(dataset.labels.items()), dataset.ignore_label, dataset.masks_as_shown]
    return json.dumps([recipe.to_yaml() if recipe else None, volumes, declared, stamps])
