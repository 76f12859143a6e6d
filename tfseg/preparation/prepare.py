"""Prepare a dataset: write slices, their labels, and what is needed to put predictions back on the scans."""

import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tfseg.core import claims, files
from tfseg.core.errors import DataError
from tfseg.core.processes import in_processes
from tfseg.datasets.formats import read_label
from tfseg.datasets.grids import Array, Volume, same_grid, stored_like
from tfseg.datasets.layouts import Case, Dataset
from tfseg.datasets.reading import read_case
from tfseg.preparation.case_files import beside, check_has, naming, sources
from tfseg.preparation.compared import compare, traits
from tfseg.preparation.index import is_complete, is_made_from, make_index, make_row
from tfseg.preparation.kept_masks import KeptMasks
from tfseg.preparation.label_maps import IGNORED, LabelPlan, clean_up, fuse, has_foreground, plan_labels, translate
from tfseg.preparation.recipe import Recipe, is_completed, parse_recipe
from tfseg.preparation.scan import LABEL_RESAMPLERS, prepare_label, prepare_scan, restore_label

__all__ = ["prepare_case", "prepare_dataset", "prepare_label", "restore_label"]


def prepare_dataset(
    dataset: Dataset,
    recipe: Recipe,
    out: Path,
    on_case: Callable[[], None] = lambda: None,
    processes: int = 1,
    skip_bad: bool = False,
) -> list[str]:
    """Prepare every case of a dataset into `out`; an interrupted preparation resumes.

    A finished case is left alone unless its source files changed. The result does not depend on `processes`.

    Args:
        dataset: what to prepare.
        recipe: resolved.
        out: folder for `recipe.yaml`, `dataset.json`, `cases/` and, written last, `index.csv`.
        on_case: called after each case.
        processes: cases that are prepared at a time; more than 1 only from a main module that can be imported.
        skip_bad: leave out cases that cannot be prepared or share a scan with another subject; the index says why.

    Returns:
        Lines that name cases in other units than the rest.

    Raises:
        ConfigError: if `out` holds something else than this preparation, or the recipe does not fit the dataset.
        DataError: if a case cannot be prepared, or two subjects share a scan; with `skip_bad`, if none is left.
    """
    check_has(dataset, recipe)
    plan = plan_labels(dataset.labels, recipe, dataset.ignore_label, dataset.regions)
    records = {"dataset.json": json.dumps(_describe(dataset, plan), indent=1), "recipe.yaml": recipe.to_yaml()}
    claims.claim(out, records, "preparation", {"dataset.json": _same_json, "recipe.yaml": _same_recipe})
    skipped = {case.name: reason for case, reason in dataset.left_out.items()}
    singles = (replace(dataset, cases=(case,)) for case in dataset.cases)
    anew = partial(_prepare_unless_done, recipe, plan, out)
    with closing(in_processes(anew, singles, min(processes, len(dataset.cases)))) as prepared:
        for single, wrong in prepared:
            if wrong and not skip_bad:
                raise DataError(wrong)
            if wrong:
                skipped[single.cases[0].name] = wrong
            on_case()
    compared = compare(out, dataset, skipped)
    if compared.shared and not skip_bad:
        raise DataError(next(iter(compared.shared.values())))
    skipped |= compared.shared
    if skipped or not is_complete(out / "index.csv"):
        files.write_text(out / "index.csv", make_index(out, dataset, skipped))
    KeptMasks.of(out).finish()
    return compared.warnings


def prepare_case(
    case: Case, dataset: Dataset, plan: LabelPlan, recipe: Recipe, out: Path, masks: KeptMasks | None = None
) -> None:
    """Read a case and write it, prepared, into the new folder `out`; `masks` are brains and bodies found before.

    Raises:
        DataError: if it cannot be prepared.
    """
    image, label_map = read_case(case, dataset)
    classes = _classes_of(label_map, case, plan, recipe)
    scan = prepare_scan(image, case, recipe, masks)
    lost = _cropped_off(classes, scan.grid.crop)
    if labelled := int(lost[1:IGNORED].sum()):
        raise DataError(f"{case.label}: {labelled} labelled voxels are cropped off; a larger crop_margin_mm keeps them")
    label = scan.grid.to_slices(classes, resample=LABEL_RESAMPLERS[recipe.label_interpolation])
    out.mkdir()
    np.save(out / "image.npy", scan.slices)
    np.save(out / "label.npy", label)
    if scan.grid.resampled or lost[IGNORED]:
        np.save(out / "truth.npy", classes)
    seen = training_slices(label, recipe.empty_slices)
    description = {
        "grid": scan.grid.to_json(),
        **({"in_pixels": True} if image.in_pixels else {}),
        **({"training_slices": seen.tolist()} if len(seen) < len(label) else {}),
        "traits": traits(image),
        "index": make_row(case, image, classes, scan, len(seen), plan, sources(case, recipe)),
    }
    (out / "case.json").write_text(json.dumps(description, indent=1), encoding="utf-8")


def training_slices(label: Array, empty_share: float) -> Array:
    """Return the indices of the slices that training sees: all with a label, and an even share of the others.

    Args:
        label: class indices `[slice, h, w]`; ignored voxels have no label.
        empty_share: share of the slices without a label, 0 to 1; their number is rounded.

    >>> training_slices(np.array([0, 0, 1, 0, 0]).reshape(5, 1, 1), empty_share=0.5)
    array([0, 2, 3])
    """
    full = has_foreground(label)
    empty = np.flatnonzero(~full)
    count = round(empty_share * len(empty))
    seen: Array = np.sort(np.concatenate([np.flatnonzero(full), empty[np.arange(count) * len(empty) // max(count, 1)]]))
    return seen


def _prepare_unless_done(recipe: Recipe, plan: LabelPlan, out: Path, single: Dataset) -> str | None:
    """Prepare a dataset's only case; return what is wrong with it if it cannot be prepared."""
    (case,) = single.cases
    folder = out / "cases" / case.name
    try:
        if is_made_from(folder, sources(case, recipe)):
            return None
        # The folder is unfinished until the index is written again.
        (out / "index.csv").unlink(missing_ok=True)
        with files.replacing(folder) as unfinished, naming(case, recipe):
            prepare_case(case, single, plan, recipe, unfinished, KeptMasks.of(out))
    except DataError as error:
        return str(error)
    return None


def _classes_of(label: Volume, case: Case, plan: LabelPlan, recipe: Recipe) -> Array:
    """A case's class indices on the scan's own grid, from its label map and the recipe's second one, if it has one."""
    values = label.array
    if recipe.second_map:
        path = beside(case, recipe.second_map.path)
        second = stored_like(read_label(path), label.affine)
        if second.array.shape != values.shape or not same_grid(values.shape, label.affine, second.affine):
            raise DataError(
                f"{path}: its grid, {second.array.shape}, is not that of {case.label_file.name}, {values.shape}"
            )
        values = fuse(values, second.array, recipe.second_map.values, recipe.second_map.over)
    classes = translate(values, plan.classes)
    largest = [plan.class_of(name) for name in recipe.largest_component]
    fewest = {plan.class_of(name): voxels for name, voxels in recipe.min_component_voxels.items()}
    return clean_up(classes, largest, fewest) if largest or fewest else classes


def _cropped_off(classes: Array, crop: tuple[tuple[int, int], ...] | None) -> Array:
    """The number of voxels of each class outside a crop, `[IGNORED + 1]`."""
    if crop is None:
        return np.zeros(IGNORED + 1, np.int64)
    kept = classes[tuple(slice(*sides) for sides in crop)]
    return np.subtract(*(np.bincount(each.ravel(), minlength=IGNORED + 1) for each in (classes, kept)))


def _describe(dataset: Dataset, plan: LabelPlan) -> dict[str, Any]:
    """The content of the prepared folder's dataset.json: labels after preparation, and all cases.

    Cases that are left out are listed too, so that the folder is still that of the dataset once they are repaired.
    """
    everyone = (*dataset.cases, *dataset.left_out)
    cases = {case.name: [os.path.realpath(path) for path in case.files] for case in everyone}
    splits = [asdict(split) for split in dataset.splits or ()]
    more = {"ignore_label": plan.ignore_label, "regions": plan.regions, "splits": splits}
    return {
        "name": dataset.name,
        "channels": list(dataset.channels),
        "labels": {str(value): name for value, name in plan.labels.items()},
        **{name: value for name, value in more.items() if value not in (None, {}, [])},
        "cases": cases,
    }


def check_out(out: Path, dataset: Dataset, recipe: Recipe | None) -> None:
    """Refuse a dataset or a folder that cannot be this preparation's, before scans are read.

    Args:
        out: the folder; it may not exist.
        dataset: what is to be prepared.
        recipe: as written, what it leaves open may be anything; None if it is to be derived.

    Raises:
        ConfigError: if `out` holds another preparation or something else, or the recipe does not fit the dataset.
    """
    check_has(dataset, recipe or Recipe())
    plan = plan_labels(dataset.labels, recipe or Recipe(), dataset.ignore_label, dataset.regions)
    records = {"dataset.json": json.dumps(_describe(dataset, plan))}
    if recipe is not None:
        records["recipe.yaml"] = recipe.to_yaml()
    claims.check(out, records, "preparation", {"dataset.json": _same_json, "recipe.yaml": _is_completed})


def _same_json(earlier: str, now: str) -> bool:
    return bool(json.loads(earlier) == json.loads(now))


def _same_recipe(earlier: str, now: str) -> bool:
    return parse_recipe(earlier, "recipe.yaml") == parse_recipe(now, "recipe.yaml")


def _is_completed(earlier: str, now: str) -> bool:
    return is_completed(parse_recipe(now, "recipe.yaml"), parse_recipe(earlier, "recipe.yaml"))
