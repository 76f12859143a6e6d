"""Fuse, merge, rename and clean up label maps; turn label values into class indices and back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from tfseg.core import geometry
from tfseg.core.errors import ConfigError
from tfseg.datasets.grids import Array
from tfseg.preparation.steps import Recipe

# The class index of voxels without loss and without score.
IGNORED = 255


@dataclass(frozen=True)
class LabelPlan:
    """The classes that the label values of a scan become.

    Args:
        labels: names by label value after preparation; classes 1, 2, … in this order, 0 is background.
        classes: class index by value in the scan's label map; other values become background.
        ignore_label: value after preparation of class `IGNORED`.
        regions: label values after preparation by the name of their union.
    """

    labels: dict[int, str]
    classes: dict[int, int]
    ignore_label: int | None = None
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def class_of(self, name: str) -> int:
        """Return the class index of a label's name."""
        return list(self.labels.values()).index(name) + 1


def plan_labels(
    declared: Mapping[int, str],
    recipe: Recipe,
    ignore_label: int | None = None,
    regions: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> LabelPlan:
    """Plan what a recipe does to the declared labels of a dataset.

    A merged label keeps the first of its values; labels that `recipe.labels` does not list become background.

    Args:
        declared: names by label value, without the background.
        recipe: with `labels`, `ignore`, `regions`, clean-up and a second map.
        ignore_label: the dataset's own.
        regions: the dataset's own, label values by name; those of the recipe replace them.

    Raises:
        ConfigError: if the recipe names a label that does not exist, or uses a label or a name twice.

    >>> plan_labels({1: "pancreas", 2: "cancer"}, Recipe(labels={"organ": ("pancreas", "cancer")})).classes
    {1: 1, 2: 1}
    """
    added = recipe.second_map.values.values() if recipe.second_map else ()
    known: dict[int, str] = {**{value: str(value) for value in added}, **declared}
    by_name = {name: value for value, name in known.items()}

    def values_of(where: str, references: Iterable[int | str]) -> tuple[int, ...]:
        values = []
        for reference in references:
            value = by_name.get(reference) if isinstance(reference, str) else reference
            if value is None or value not in (*known, ignore_label):
                raise ConfigError(f"{where}: expected labels of {known}, received {reference!r}")
            values.append(value)
        return tuple(values)

    ignored = [*([] if ignore_label is None else [ignore_label]), *values_of("ignore", recipe.ignore)]
    kept: dict[str, tuple[int, ...]] = {name: (value,) for value, name in known.items() if value not in ignored}
    if recipe.labels is not None:
        kept = {name: values_of(f"labels.{name}", old) for name, old in recipe.labels.items()}
    used = [*(value for old in kept.values() for value in old), *ignored]
    if twice := sorted({value for value in used if used.count(value) > 1}):
        raise ConfigError(f"labels: expected each label once, in one label or in ignore; {twice} appear more than once")
    classes = {value: index for index, old in enumerate(kept.values(), start=1) for value in old}
    first = {name: old[0] for name, old in kept.items()}
    labels = {value: name for name, value in first.items()}

    if "mean" in (*first, *recipe.regions) or not 0 < len(first) < IGNORED:
        received = [*first, *recipe.regions]
        raise ConfigError(f"labels and regions: expected 1 to {IGNORED - 1}, none called mean, received {received}")

    values = list(labels)
    if recipe.regions:
        unions = {name: tuple(first[part] for part in parts if part in first) for name, parts in recipe.regions.items()}
    else:
        indices = {name: dict.fromkeys(classes[v] for v in old if v in classes) for name, old in regions.items()}
        unions = {name: tuple(values[index - 1] for index in found) for name, found in indices.items() if found}
    named = [*recipe.largest_component, *recipe.min_component_voxels, *(n for r in recipe.regions.values() for n in r)]
    if unknown := [name for name in named if name not in first]:
        raise ConfigError(f"regions and clean-up: expected labels of {list(first)}, received {unknown[0]!r}")
    ignored_classes = dict.fromkeys(ignored, IGNORED)
    return LabelPlan(labels, {**classes, **ignored_classes}, ignored[0] if ignored else None, unions)


def fuse(first: Array, second: Array, values: Mapping[int, int], over: bool) -> Array:
    """Lay a second label map over a first one, or under it.

    Args:
        first: label values, any shape.
        second: label values, same shape.
        values: new values by values of the second map; its other values are background.
        over: whether the second map wins if both have a label.

    >>> first, second = np.array([1, 1, 0]), np.array([7, 0, 7])
    >>> fuse(first, second, {7: 4}, over=True).tolist(), fuse(first, second, {7: 4}, over=False).tolist()
    ([4, 1, 4], [1, 1, 4])
    """
    translated = translate(second, values)
    wins = translated != 0 if over else (first == 0) & (translated != 0)
    return np.where(wins, translated, first)


def translate(label: Array, values: Mapping[int, int]) -> Array:
    """Replace whole numbers as `values` says, all others by 0; in the smallest type that holds the result."""
    dtype = np.min_scalar_type(max([0, *values.values()]))
    if label.dtype == np.uint8:
        table = np.zeros(256, dtype)
        for old in values.keys() & set(range(256)):
            table[old] = values[old]
        return table.take(label.T).T  # files store the first axis contiguously
    translated = np.zeros(label.shape, dtype)
    for old, new in values.items():
        translated[label == old] = new
    return translated


def has_foreground(classes: Array) -> Array:
    """Whether each slice of class indices `[slice, h, w]` has a labelled pixel: booleans `[slice]`."""
    found: Array = ((classes != 0) & (classes != IGNORED)).any(axis=(1, 2))
    return found


def to_values(classes: Array, labels: Iterable[int], ignore_label: int | None = None) -> Array:
    """Turn class indices into label values, in the smallest type that holds them.

    Args:
        classes: class indices, any shape.
        labels: the values of classes 1, 2, …
        ignore_label: the value of class `IGNORED`; 0 if absent.
    """
    values = dict(enumerate(labels, start=1))
    return translate(classes, values if ignore_label is None else {**values, IGNORED: ignore_label})


def clean_up(classes: Array, largest: Iterable[int], min_voxels: Mapping[int, int]) -> Array:
    """Keep the largest component of some classes, and drop small components of others.

    Voxels that touch by a face, an edge or a corner are connected.

    Args:
        classes: class indices `[i, j, k]`.
        largest: classes that keep only their largest component.
        min_voxels: fewest voxels of a component, by class.
    """
    cleaned = classes.copy()
    for index in largest:
        mask = classes == index
        cleaned[mask & ~geometry.largest_component(mask)] = 0
    for index, fewest in min_voxels.items():
        mask = cleaned == index
        cleaned[mask & ~geometry.remove_small_components(mask, fewest)] = 0
    return cleaned
