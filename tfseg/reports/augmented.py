"""Draw a contact sheet of augmented training images, to see whether they are still plausible."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfseg.config.training import TrainingConfig
from tfseg.core import files, geometry
from tfseg.core.colors import label_color
from tfseg.core.words import shorten
from tfseg.datasets.grids import Array
from tfseg.preparation.label_maps import IGNORED
from tfseg.prepared.augmentation.batches import augment
from tfseg.prepared.augmentation.drawing import RANGES, draw
from tfseg.prepared.inputs import check_input, flipped_axes, unchanged_batches
from tfseg.prepared.prepared import Prepared, PreparedCase
from tfseg.reports.contact_sheet import upright

CASES, DRAWS = 4, 5
_PANEL_IN, _DPI = 2.0, 130


def write_augmented_sheet(
    training: TrainingConfig, prepared: Prepared, seed: int, out: Path, on_case: Callable[[], None] = lambda: None
) -> None:
    """Write a PNG: of up to four cases an image as it is, and as five epochs might change it, with its truth outlined.

    The first channel is shown; of patches and volumes the slice with the most label, the same for every draw.

    Args:
        training: the input and the augmentation.
        prepared: the prepared folder.
        seed: determines what is drawn.
        out: the file.
        on_case: called after each case.

    Raises:
        ConfigError: as `check_input`.
    """
    check_input(training, prepared)
    names = prepared.index["case"].tolist()
    chosen = [names[place] for place in np.unique(np.linspace(0, len(names) - 1, CASES).round().astype(int))]
    figure = Figure((_PANEL_IN * (1 + DRAWS), (_PANEL_IN + 0.25) * len(chosen)), layout="constrained")
    grid = figure.subplots(len(chosen), 1 + DRAWS, squeeze=False)
    for number, (row, name) in enumerate(zip(grid, chosen, strict=True)):
        case = prepared.case(name)
        image, truth = _fullest_sample(training, prepared, case, seed)
        rank = image.ndim - 1
        spacing_mm = case.grid.slice_spacing_mm[3 - rank :]
        window = np.percentile(image[..., 0], [0.5, 99.5])
        drawn = draw(training.augmentation, flipped_axes(training, prepared), rank, DRAWS, [seed, number])
        changed = [augment(image, truth, of_one, spacing_mm) for of_one in drawn]
        titles = [shorten(name, 24), *map(_made, drawn)]
        shown = geometry.fullest_slice(_labelled(truth)) if rank == 3 else ...
        for axes, (of_draw, its_truth), title in zip(row, [(image, truth), *changed], titles, strict=True):
            _draw(axes, of_draw[shown], its_truth[shown], window, spacing_mm)
            axes.set_title(title, fontsize=5, pad=2)
        on_case()
    with files.replacing(out) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def _fullest_sample(training: TrainingConfig, prepared: Prepared, case: PreparedCase, seed: int) -> tuple[Array, Array]:
    """Of the samples of a case in an epoch, the one with the most labelled voxels."""
    single = training.model_copy(update={"batch_size": 1, "steps_per_epoch": None})
    batches = unchanged_batches(single, prepared, [case], seed)
    samples = ((image[0], truth[0]) for image, truth in map(batches.load, batches.plan(0)))
    return max(samples, key=lambda sample: np.count_nonzero(_labelled(sample[1])))


def _labelled(truth: Array) -> Array:
    labelled: Array = ((truth != 0) & (truth != IGNORED)).any(axis=-1)
    return labelled


def _made(drawn: np.void) -> str:
    """Name what was drawn, two steps to a line."""
    made = ["flip"] if drawn["flip"].any() else []
    for name, (_, neutral) in RANGES.items():
        values = [f"{value:.2g}" for value in np.atleast_1d(drawn[name]) if value != neutral]
        made += [f"{name.replace('_', ' ')} {', '.join(values)}"] if values else []
    lines = [", ".join(made[first : first + 2]) for first in range(0, len(made), 2)]
    return "\n".join(lines) or "nothing"


def _draw(axes: Axes, image: Array, truth: Array, window: Array, spacing_mm: tuple[float, ...]) -> None:
    axes.set_axis_off()
    height_mm, width_mm = spacing_mm[-2:]
    low, high = window
    aspect = width_mm / height_mm
    axes.imshow(upright(image[..., 0]), cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=aspect)
    masks = [truth[..., 0] == index for index in range(1, IGNORED) if (truth[..., 0] == index).any()]
    if truth.shape[-1] > 1:
        masks = [truth[..., region] == 1 for region in range(truth.shape[-1])]
    for index, mask in enumerate(masks, start=1):
        if mask.any() and not mask.all() and min(mask.shape) > 1:
            axes.contour(upright(mask), levels=[0.5], colors=[label_color(index)], linewidths=0.7)
