"""From a dataset to the prepared folder: slices, their labels, and all that undoing needs."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfseg import files
from tfseg.config import ConfigError
from tfseg.data import workers
from tfseg.data.body import beside
from tfseg.data.formats import read_label
from tfseg.data.label_maps import IGNORED, LabelPlan, clean_up, fuse, plan_labels, translate
from tfseg.data.layouts import Case, Dataset
from tfseg.data.reading import read_case_image, read_case_label
from tfseg.data.recipe import Recipe, load_recipe
from tfseg.data.scan import LABEL_RESAMPLERS, Scan, prepare_label, prepare_scan, restore_label
from tfseg.data.volume import Array, DataError, same_grid, stored_like

__all__ = ["prepare_case", "prepare_dataset", "prepare_label", "restore_label"]


def prepare_dataset(
    dataset: Dataset,
    recipe: Recipe,
    out: Path,
    on_case: Callable[[], None] = lambda: None,
    processes: int = 1,
    skip_bad: bool = False,
) -> None:
    """Prepare every case of a dataset into `out`, going on where an interrupted run stopped.

    A case whose files are those that it was made from stays as it is; the result does not depend on `processes`.

    Args:
        dataset: what to prepare.
        recipe: resolved.
        out: folder for `recipe.yaml`, `dataset.json`, `cases/` and, written last, `index.csv`.
        on_case: called after each case.
        processes: cases that are prepared at a time; more than 1 only from a main module that can be imported.
        skip_bad: go on without a case that cannot be prepared; the index says why.

    Raises:
        ConfigError: where `out` holds something else than this preparation, or the recipe does not fit the labels.
        DataError: on a case that cannot be prepared, or where none can.
    """
    plan = plan_labels(dataset.labels, recipe, dataset.ignore_label, dataset.regions)
    _claim(out, recipe, _describe(dataset, plan))
    skipped = dict(dataset.left_out)
    singles = (replace(dataset, cases=(case,)) for case in dataset.cases)
    anew = partial(_prepare_unless_done, recipe, plan, out)
    with closing(workers.each(anew, singles, min(processes, len(dataset.cases)))) as prepared:
        for single, wrong in prepared:
            if wrong and not skip_bad:
                raise DataError(wrong)
            if wrong:
                skipped[single.cases[0].name] = wrong
            on_case()
    if skipped or not (out / "index.csv").is_file():
        files.write_text(out / "index.csv", _index(out, dataset, skipped))


def prepare_case(case: Case, dataset: Dataset, plan: LabelPlan, recipe: Recipe, out: Path) -> None:
    """Read a case and write it, prepared, into the new folder `out`.

    Raises:
        DataError: where it cannot be prepared.
    """
    image = read_case_image(case)
    classes = _read_classes(case, dataset, plan, recipe)
    scan = prepare_scan(image, case, recipe)
    if lost := _labelled_outside(classes, scan.grid.crop):
        raise DataError(f"{case.label}: {lost} labelled voxels are cropped off; a larger crop_margin_mm keeps them")
    label = scan.grid.to_slices(classes, resample=LABEL_RESAMPLERS[recipe.label_interpolation])
    out.mkdir()
    np.save(out / "image.npy", scan.slices)
    np.save(out / "label.npy", label)
    if scan.grid.resampled:
        np.save(out / "truth.npy", classes)
    seen = training_slices(label, recipe.empty_slices)
    description = {
        "grid": scan.grid.to_json(),
        "scaling": [asdict(scaling) for scaling in scan.scalings],
        **({"in_pixels": True} if image.in_pixels else {}),
        **({"training_slices": seen.tolist()} if len(seen) < len(label) else {}),
        "index": _row(case, classes, scan, len(seen), plan, sources(case, recipe)),
    }
    (out / "case.json").write_text(json.dumps(description, indent=1), encoding="utf-8")


def training_slices(label: Array, empty_share: float) -> Array:
    """Return the slices that training sees: all with a label, and an even share of those without, rounded.

    Args:
        label: class indices `[slice, h, w]`; what is ignored is no label.
        empty_share: of the slices without, 0 to 1.
    """
    full = ((label != 0) & (label != IGNORED)).any(axis=(1, 2))
    empty = np.flatnonzero(~full)
    count = round(empty_share * len(empty))
    seen: Array = np.sort(np.concatenate([np.flatnonzero(full), empty[np.arange(count) * len(empty) // max(count, 1)]]))
    return seen


def sources(case: Case, recipe: Recipe) -> dict[str, list[Path]]:
    """Return the files that a case is made from, by what they are."""
    made_from = {"image": list(case.images), "label": [case.label]}
    if recipe.second_map:
        made_from["second_map"] = [beside(case, recipe.second_map.path)]
    if recipe.skull_strip_mask:
        made_from["mask"] = [beside(case, recipe.skull_strip_mask)]
    return made_from


def _prepare_unless_done(recipe: Recipe, plan: LabelPlan, out: Path, single: Dataset) -> str | None:
    """Prepare a dataset's only case, and return what is wrong where it cannot be done."""
    (case,) = single.cases
    folder = out / "cases" / case.name
    try:
        if _is_made_from(folder, sources(case, recipe)):
            return None
        # From here on, and should it end here, this is no finished folder.
        (out / "index.csv").unlink(missing_ok=True)
        with files.replacing(folder) as unfinished:
            prepare_case(case, single, plan, recipe, unfinished)
    except DataError as error:
        return str(error)
    return None


def _is_made_from(folder: Path, made_from: Mapping[str, Iterable[Path]]) -> bool:
    try:
        row = json.loads((folder / "case.json").read_text(encoding="utf-8"))["index"]
    except (OSError, ValueError, KeyError):
        return False
    return all(row.get(f"{kind}_sha256") == _hashes(paths) for kind, paths in made_from.items())


def _hashes(paths: Iterable[Path]) -> str:
    return " ".join(_sha256(path) for path in paths)


def _sha256(path: Path) -> str:
    """The hash of a file, or of the hashes of a folder's files in the order of their names."""
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if not path.is_dir():
        return files.sha256(path)
    each = (files.sha256(file) for file in sorted(path.rglob("*")) if file.is_file())
    return hashlib.sha256("".join(each).encode()).hexdigest()


def _read_classes(case: Case, dataset: Dataset, plan: LabelPlan, recipe: Recipe) -> Array:
    """A case's class indices on the scan's own grid."""
    label = read_case_label(case, dataset)
    values = label.array
    if recipe.second_map:
        path = beside(case, recipe.second_map.path)
        second = stored_like(read_label(path), label.affine)
        if second.array.shape != values.shape or not same_grid(values.shape, label.affine, second.affine):
            raise DataError(f"{path}: its grid, {second.array.shape}, is not that of {case.label.name}, {values.shape}")
        values = fuse(values, second.array, recipe.second_map.values, recipe.second_map.over)
    classes = translate(values, plan.classes)
    largest = [plan.class_of(name) for name in recipe.largest_component]
    fewest = {plan.class_of(name): voxels for name, voxels in recipe.min_component_voxels.items()}
    return clean_up(classes, largest, fewest) if largest or fewest else classes


def _labelled_outside(classes: Array, crop: tuple[tuple[int, int], ...] | None) -> int:
    kept = classes[tuple(slice(*sides) for sides in crop or ())]
    return int(np.count_nonzero(classes) - np.count_nonzero(kept)) if crop else 0


def _row(
    case: Case, classes: Array, scan: Scan, seen: int, plan: LabelPlan, made_from: Mapping[str, list[Path]]
) -> dict[str, Any]:
    """A case's row of the index; voxels are counted on the scan's own grid."""
    voxels = {name: int(np.count_nonzero(classes == index)) for index, name in enumerate(plan.labels.values(), start=1)}
    in_body = int(np.count_nonzero(scan.body))
    return {
        "case": case.name,
        "subject": case.subject,
        "shape": "x".join(map(str, scan.grid.shape)),
        "spacing_mm": "x".join(f"{length:g}" for length in scan.grid.spacing_mm),
        "slices": len(scan.slices),
        "training_slices": seen,
        **{f"voxels_{name}": count for name, count in voxels.items()},
        "body": scan.body_is,
        "body_voxels": in_body,
        **{f"ratio_{name}": round(count / max(1, in_body), 6) for name, count in voxels.items()},
        **({"strata": case.strata} if case.strata is not None else {}),
        **{kind: " ".join(path.name for path in paths) for kind, paths in made_from.items()},
        **{f"{kind}_sha256": _hashes(paths) for kind, paths in made_from.items()},
    }


def _index(out: Path, dataset: Dataset, skipped: Mapping[str, str]) -> str:
    """The rows of all cases; those that were skipped come last, with zeros and the reason."""
    folders = [out / "cases" / case.name for case in dataset.cases if case.name not in skipped]
    if not folders:
        raise DataError(f"{dataset.name}: no case can be prepared: {'; '.join(skipped.values())}")
    rows = [json.loads((folder / "case.json").read_text(encoding="utf-8"))["index"] for folder in folders]
    if skipped:
        nothing = {column: 0 if isinstance(value, int | float) else "" for column, value in rows[0].items()}
        rows = [{**row, "skipped": ""} for row in rows]
        rows += [{**nothing, "case": name, "skipped": reason} for name, reason in skipped.items()]
    return pd.DataFrame(rows).to_csv(index=False)


def _describe(dataset: Dataset, plan: LabelPlan) -> dict[str, Any]:
    """What the prepared folder says of its dataset: labels are those after preparation."""
    cases = {case.name: [str(path.resolve()) for path in (*case.images, case.label)] for case in dataset.cases}
    splits = [asdict(split) for split in dataset.splits or ()]
    more = {"ignore_label": plan.ignore_label, "regions": plan.regions, "splits": splits}
    return {
        "name": dataset.name,
        "channels": list(dataset.channels),
        "labels": {str(value): name for value, name in plan.labels.items()},
        **{name: value for name, value in more.items() if value not in (None, {}, [])},
        "cases": cases,
    }


def _claim(out: Path, recipe: Recipe, description: Mapping[str, Any]) -> None:
    """Take `out` for this preparation, unless it holds something else."""
    made_by = {
        "recipe.yaml": (recipe.to_yaml(), lambda path: load_recipe(path) == recipe),
        "dataset.json": (
            json.dumps(description, indent=1),
            lambda path: json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(description)),
        ),
    }
    for name, (_, is_same) in made_by.items():
        if (out / name).is_file():
            if not is_same(out / name):
                raise ConfigError(f"{out} holds another preparation ({name} differs); choose another folder")
        elif out.is_dir() and any(
            path.name not in made_by and not path.name.startswith(files.UNFINISHED) for path in out.iterdir()
        ):
            raise ConfigError(f"{out} holds something else than a preparation; choose another folder")
    for name, (text, _) in made_by.items():
        (out / f"{files.UNFINISHED}{name}").unlink(missing_ok=True)
        if not (out / name).is_file():
            files.write_text(out / name, text)
