"""From scans to the prepared folder: slices, their labels, and all that undoing needs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfseg import files
from tfseg.config import ConfigError
from tfseg.data import intensity
from tfseg.data.layouts import Case, Dataset
from tfseg.data.recipe import Recipe
from tfseg.data.skull_strip import skull_strip
from tfseg.data.slicing import SliceGrid
from tfseg.data.volume import Array, DataError, read_image, read_label


def prepare_image(image: Array, grid: SliceGrid, recipe: Recipe) -> Array:
    """Take a scan `[i, j, k]` or `[i, j, k, channels]` through a resolved recipe to `[slice, h, w, channels]`.

    Padding takes each channel's least value, so that air goes on beyond the border.
    """
    image = image[..., np.newaxis] if image.ndim == 3 else image
    if recipe.window_hu:
        image = intensity.clip_window(image, recipe.window_hu)
    inside = None
    if recipe.skull_strip == "region":
        inside = skull_strip(image[..., recipe.skull_strip_channel], grid.spacing_mm)
    if recipe.median_kernel:
        unpadded = SliceGrid(grid.shape, grid.affine, grid.axis, grid.slice_shape[1:])
        slices = intensity.median_filter(unpadded.to_slices(image), recipe.median_kernel)
        image = unpadded.from_slices(slices)
    channels = [_scale(image[..., channel], inside, recipe) for channel in range(image.shape[3])]
    scaled = np.stack(channels, axis=-1)
    return grid.to_slices(scaled, fill=scaled.min(axis=(0, 1, 2)))


def _scale(channel: Array, inside: Array | None, recipe: Recipe) -> Array:
    if inside is None and recipe.scaling_over == "nonzero":
        inside = channel != 0
    if inside is not None and not inside.any():
        raise DataError("no voxel to measure the scaling over: every one is 0 or stripped")
    if recipe.scaling == "zscore":
        scaled = intensity.zscore(channel, inside)
    elif recipe.scaling == "minmax":
        values = channel if inside is None else channel[inside]
        low, high = recipe.window_hu or (float(values.min()), float(values.max()))
        scaled = intensity.rescale(channel, low, high)
    else:
        scaled = channel.astype(np.float32)
    return scaled if inside is None else np.where(inside, scaled, scaled[inside].min()).astype(np.float32)


def prepare_label(label: Array, grid: SliceGrid, labels: dict[int, str]) -> Array:
    """Turn label values `[i, j, k]` into class indices uint8 `[slice, h, w]`: 0 background, then `labels` in order."""
    classes = np.zeros(label.shape, np.uint8)
    for index, value in enumerate(labels, start=1):
        classes[label == value] = index
    return grid.to_slices(classes)


def restore_label(classes: Array, grid: SliceGrid, labels: dict[int, str]) -> Array:
    """Put class indices `[slice, h, w]` back on the scan's grid as label values; the inverse of `prepare_label`."""
    values = np.array([0, *labels])
    smallest = np.min_scalar_type(int(values.max()))
    return values.astype(smallest)[grid.from_slices(classes)]


def prepare_dataset(dataset: Dataset, recipe: Recipe, out: Path, on_case: Callable[[], None] = lambda: None) -> None:
    """Prepare every case of a dataset into `out`, going on where an interrupted run stopped; once finished, stay.

    Args:
        dataset: what to prepare.
        recipe: resolved.
        out: folder for `recipe.yaml`, `dataset.json`, `cases/` and, written last, `index.csv`.
        on_case: called after each case.

    Raises:
        ConfigError: where `out` holds something else than this preparation.
        DataError: on a case that cannot be prepared.
    """
    description = json.dumps(_describe(dataset), indent=1)
    _claim(out, {"recipe.yaml": recipe.to_yaml(), "dataset.json": description})
    if (out / "index.csv").is_file():
        return
    rows = []
    for case in dataset.cases:
        folder = out / "cases" / case.name
        if not folder.is_dir():
            with files.replacing(folder) as unfinished:
                _prepare_case(case, dataset, recipe, unfinished)
        rows.append(json.loads((folder / "case.json").read_text())["index"])
        on_case()
    files.write_text(out / "index.csv", pd.DataFrame(rows).to_csv(index=False))


def _describe(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "channels": list(dataset.channels),
        "labels": {str(value): name for value, name in dataset.labels.items()},
        "cases": {case.name: [str(case.image.resolve()), str(case.label.resolve())] for case in dataset.cases},
    }


def _claim(out: Path, made_by: dict[str, str]) -> None:
    """Take `out` for this preparation, unless it holds something else."""
    for name, text in made_by.items():
        if (out / name).is_file():
            if (out / name).read_text(encoding="utf-8") != text:
                raise ConfigError(f"{out} holds another preparation ({name} differs); choose another folder")
        elif out.is_dir() and any(
            path.name not in made_by and not path.name.startswith(files.UNFINISHED) for path in out.iterdir()
        ):
            raise ConfigError(f"{out} holds something else than a preparation; choose another folder")
    for name, text in made_by.items():
        files.write_text(out / name, text)


def _prepare_case(case: Case, dataset: Dataset, recipe: Recipe, out: Path) -> None:
    image, label = read_image(case.image), read_label(case.label)
    channels = image.array.shape[3] if image.array.ndim == 4 else 1
    if channels != len(dataset.channels):
        raise DataError(f"{case.image}: {channels} channels, but {len(dataset.channels)} are declared")
    if image.array.shape[:3] != label.array.shape:
        raise DataError(f"{case.label}: shape {label.array.shape}, but its image has {image.array.shape[:3]}")
    if not np.allclose(image.affine, label.affine, atol=1e-3):
        raise DataError(f"{case.label}: its affine is not that of its image")
    undeclared = set(np.unique(label.array).tolist()) - {0, *dataset.labels}
    if undeclared:
        raise DataError(f"{case.label}: label values {sorted(undeclared)} are not declared; {list(dataset.labels)} are")
    if recipe.axis is None or recipe.size is None:
        raise ValueError(f"recipe: expected one that is resolved, received {recipe}")
    grid = SliceGrid.of(label.array.shape, image.affine, recipe.axis, recipe.size)
    try:
        prepared_image = prepare_image(image.array, grid, recipe)
        prepared_label = prepare_label(label.array, grid, dataset.labels)
    except ValueError as error:
        raise DataError(f"{case.image}: {error}") from error
    out.mkdir()
    np.save(out / "image.npy", prepared_image)
    np.save(out / "label.npy", prepared_label)
    counts = np.bincount(prepared_label.ravel(), minlength=len(dataset.labels) + 1)
    index = {
        "case": case.name,
        "subject": case.subject,
        "shape": "x".join(map(str, grid.shape)),
        "spacing_mm": "x".join(f"{length:g}" for length in grid.spacing_mm),
        "slices": prepared_label.shape[0],
        **{f"voxels_{name}": int(count) for name, count in zip(dataset.labels.values(), counts[1:], strict=True)},
        "image": case.image.name,
        "image_sha256": files.sha256(case.image),
        "label": case.label.name,
        "label_sha256": files.sha256(case.label),
    }
    (out / "case.json").write_text(json.dumps({"grid": grid.to_json(), "index": index}, indent=1))
