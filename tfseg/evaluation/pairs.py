"""Pair label maps of truth and prediction by their names, and name the structures in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.checks import check_encodable, check_exists
from tfseg.datasets.layouts.label_names import read_declaration
from tfseg.datasets.layouts.labels import find_labels
from tfseg.datasets.layouts.palettes import are_read_as_shown
from tfseg.datasets.names import image_files, stem

# Files that declare labels, beside the label maps or beside their folder.
DECLARATIONS = ("dataset.json", "labels.json")


class Pair(NamedTuple):
    """A case: the files of its truth and its prediction."""

    case: str
    truth: Path
    prediction: Path


@dataclass(frozen=True)
class Structures:
    """Structures to score, and the way to read their label maps.

    Args:
        labels: names by value, without the background.
        ignore_label: the value of unknown voxels in truths.
        regions: label values by the name of their union.
        is_complete: whether truths have no other values than these and the background.
        masks_as_shown: whether palettes of 2D masks are read as the grey levels that they show, not as indices.
        warnings: lines to report.
    """

    labels: dict[int, str]
    ignore_label: int | None = None
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    is_complete: bool = False
    masks_as_shown: bool = False
    warnings: tuple[str, ...] = ()


def pair_up(truth: Path, prediction: Path) -> list[Pair]:
    """Pair two files, or the label maps of two folders by their names; the truths of a dataset are in `labelsTr`.

    Raises:
        ConfigError: if one is a file and the other a folder.
        DataError: if a path does not exist, a folder has no label maps or two of one name, a file has no partner, or
            a name is not UTF-8.
    """
    for path in (truth, prediction):
        check_exists(path)
    if truth.is_dir() != prediction.is_dir():
        raise ConfigError(f"expected two files or two folders, received {truth} and {prediction}")
    if truth.is_file():
        return [Pair(stem(truth), truth, prediction)]
    truths, predictions = (_by_name(label_map_folder(folder)) for folder in (truth, prediction))
    lacking = {"prediction": truths.keys() - predictions.keys(), "truth": predictions.keys() - truths.keys()}
    wrong = [f"no {what} of {listed(cases)}" for what, cases in lacking.items() if cases]
    if wrong:
        raise DataError(f"{truth} and {prediction} do not match: {'; '.join(wrong)}")
    return [Pair(case, truths[case], predictions[case]) for case in sorted(truths)]


def label_map_folder(folder: Path) -> Path:
    """Return the folder of label maps inside a dataset, which is `labelsTr`, or the folder itself."""
    return folder / "labelsTr" if (folder / "labelsTr").is_dir() else folder


def other_files(folder: Path) -> list[Path]:
    """Return the visible files of a folder that are not label maps by their suffix, nor declare labels."""
    return [path for path in image_files(folder)[1] if path.name not in DECLARATIONS]


def structures_of(text: str | None, truth: Path, pairs: Sequence[Pair], ignore_label: int | None = None) -> Structures:
    """Return the structures that `text` names, as `1=spleen,2=liver` or as the path of a dataset.json.

    Without a text, they are those that the truths' dataset declares or, without a declaration, the values in the
    truths, each named by its number. All are read as the layouts of `tfseg.datasets` read them. The background and the
    ignored value are left out.

    Args:
        text: as typed.
        truth: a file or folder, as given to `pair_up`.
        pairs: the cases; a truth may be in several, with the predictions of several methods.
        ignore_label: the value of unknown voxels; the declared one if absent.

    Raises:
        ConfigError: if the text is neither.
        DataError: if a file cannot be read, there are no labels in it, or palettes contradict each other.
    """
    shown = are_read_as_shown(list(dict.fromkeys(path for pair in pairs for path in (pair.truth, pair.prediction))))
    path = Path(text) if text and text.endswith(".json") else None
    if text is not None and path is None:
        return Structures(_parsed(text), ignore_label, masks_as_shown=shown)
    path = path or _declaration_of(truth)
    if path:
        declared = read_declaration(path)
        ignored = declared.ignore_label if ignore_label is None else ignore_label
        labels = {value: declared.labels[value] for value in sorted(declared.labels.keys() - {ignored})}
        structures = Structures(labels, ignored, dict(declared.regions), is_complete=True, masks_as_shown=shown)
    else:
        found = find_labels(truth, list(dict.fromkeys(pair.truth for pair in pairs)), shown, ignore_label)
        labels = {value: str(value) for value in found.names}
        structures = Structures(labels, found.ignore_label, masks_as_shown=shown, warnings=found.warnings)
    if not structures.labels:
        raise DataError(f"{path or truth}: no label in it; name the values with --labels")
    return structures


def listed(values: Iterable[Any], most: int = 5) -> str:
    """Return the first values in order, and how many there are if there are more.

    >>> listed([3, 1, 2], most=2)
    '1, 2, … (3 in all)'
    """
    ordered = sorted(values)
    text = ", ".join(map(str, ordered[:most]))
    return text if len(ordered) <= most else f"{text}, … ({len(ordered)} in all)"


def _declaration_of(truth: Path) -> Path | None:
    """The file that declares the labels of truths: beside them or, if their folder is one of a dataset, above it."""
    folder = truth if truth.is_dir() else truth.parent
    in_dataset = folder.resolve().name.lower().startswith(("label", "mask"))
    folders = [folder, folder.parent] if in_dataset else [folder]
    files = (each / name for each in folders for name in DECLARATIONS)
    return next((file for file in files if file.is_file()), None)


def _parsed(text: str) -> dict[int, str]:
    try:
        pairs = [(int(value), name.strip()) for value, name in (part.split("=", 1) for part in text.split(","))]
    except ValueError:
        pairs = []
    labels = dict(pairs)
    if not labels or len(labels) < len(pairs) or not all(labels.values()):
        raise ConfigError(f"--labels: expected value=name,value=name or a dataset.json, received {text}")
    return labels


def _by_name(folder: Path) -> dict[str, Path]:
    """The label maps of a folder by case; hidden files, which macOS leaves in archives, are none."""
    found: dict[str, Path] = {}
    for path in image_files(folder)[0]:
        check_encodable(path)
        if (first := found.setdefault(stem(path), path)) is not path:
            raise DataError(f"{path}: the same case as {first.name}")
    if not found:
        other = listed(path.name for path in folder.iterdir()) or "nothing"
        raise DataError(f"{folder}: no label maps in it (.nii.gz, .nrrd, .png or another format); it holds {other}")
    return found
