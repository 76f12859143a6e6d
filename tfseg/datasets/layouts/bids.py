"""Read the Brain Imaging Data Structure: subjects and sessions in file names, label maps known by their suffix."""

import csv
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from tfseg.core.errors import DataError
from tfseg.datasets.layouts.dataset import Case, Dataset, by_number
from tfseg.datasets.layouts.labels import DECLARATION, labels_of
from tfseg.datasets.names import stem

# Entities that say whose scan a file is and when it was made; a case is one of each.
CASE_ENTITIES = ("sub", "ses", "run")
# Entities of the grid, which do not say which channel or label a file is.
GRID_ENTITIES = ("space", "res")
# Suffixes of label maps; if a dataset has several, the first of these is used.
LABEL_SUFFIXES = ("dseg", "seg", "roi", "mask")
# Suffixes of probability maps and of masks of faces, which are neither images nor label maps.
NEITHER = ("probseg", "defacemask")


@dataclass(frozen=True)
class _File:
    path: Path
    entities: dict[str, str]
    suffix: str

    @property
    def case(self) -> str:
        return "_".join(f"{key}-{self.entities[key]}" for key in CASE_ENTITIES if key in self.entities)

    @property
    def kind(self) -> str:
        """The name without the case and the grid: `acq-3d_T1w`, `label-lesion_mask`."""
        others = (f"{key}-{value}" for key, value in self.entities.items() if key not in CASE_ENTITIES + GRID_ENTITIES)
        return "_".join((*others, self.suffix))

    @property
    def grid(self) -> tuple[str | None, ...]:
        """The names of its space and resolution."""
        return tuple(self.entities.get(key) for key in GRID_ENTITIES)

    @property
    def datatype(self) -> str:
        """The name of its folder: `anat`, `dwi`, `func`."""
        return self.path.parent.name

    @property
    def is_label(self) -> bool:
        return self.suffix in LABEL_SUFFIXES


def is_bids(folder: Path) -> bool:
    """Whether a folder or its derivatives have `sub-…` folders with NIfTI files of such names."""
    folders = (path for pattern in ("sub-*", "derivatives/*/sub-*") for path in folder.glob(pattern))
    return any(any(path.rglob("sub-*_*.nii*")) for path in folders)


def read_bids(folder: Path) -> Dataset:
    """Read images with label maps, a case per subject, session and run.

    A case's images are those of the label map's datatype (`anat`, `dwi`, …), or of any datatype if there are none; of
    these, those beside the label map, or else those in the raw data. If an image exists in several spaces or
    resolutions, the one in the label map's is used. Channels are the kinds of image that more than half of the label
    maps have. Images without a label map are cases too, whose label map is missing.
    Labels are declared in `labels.json` or a `dseg.tsv` (index, name), or are the values found in the label maps.

    Source: Gorgolewski 2016 (10.1038/sdata.2016.44).

    Raises:
        DataError: if there are no label maps, several kinds of them that are equally likely, or no images, or if a
            case has two files of one kind.
    """
    parsed = map(_parse, sorted(folder.rglob("sub-*_*.nii*")))
    files = [file for file in parsed if file and file.suffix not in NEITHER]
    labels = _labels(folder, [file for file in files if file.is_label])
    usual = {label.datatype for label in labels.values()}
    images: dict[str, dict[str, Path]] = defaultdict(dict)
    for case in sorted({file.case for file in files}):
        datatypes = {labels[case].datatype} if case in labels else usual
        any_type = [file for file in files if file.case == case and not file.is_label]
        candidates = [file for file in any_type if file.datatype in datatypes] or any_type
        beside = [file for file in candidates if case in labels and file.path.parent == labels[case].path.parent]
        raw = [file for file in candidates if "derivatives" not in file.path.relative_to(folder).parts]
        images[case] = _one_of_each_kind(folder, beside or raw or candidates, labels.get(case))
    times = Counter(kind for case in labels for kind in images[case])
    channels = sorted(kind for kind, number in times.items() if 2 * number > len(labels))
    if not channels:
        raise DataError(
            f"{folder}: no kind of image exists for most label maps; found {', '.join(sorted(times)) or 'none'}"
        )
    label_kind = next(iter(labels.values())).kind
    cases = []
    for case, kinds in images.items():
        if case not in labels and not kinds.keys() & set(channels):
            continue
        place = labels[case].path.parent if case in labels else next(iter(kinds.values())).parent
        paths = tuple(kinds.get(kind, place / f"{case}_{kind}.nii.gz") for kind in channels)
        label = labels[case].path if case in labels else place / f"{case}_{label_kind}.nii.gz"
        cases.append(Case(case, case.split("_")[0].removeprefix("sub-"), paths, label))
    table = next(iter(sorted(folder.rglob("*dseg.tsv"))), None)
    names = _read_table(table) if table and not (folder / DECLARATION).is_file() else None
    return Dataset(
        name=folder.resolve().name,
        channels=tuple(channels),
        labels=names or labels_of(folder, (case.label_file for case in cases)),
        cases=tuple(cases),
        layout="bids",
    )


def _parse(path: Path) -> _File | None:
    *pairs, suffix = stem(path).split("_")
    entities = dict(pair.split("-", 1) for pair in pairs if "-" in pair)
    return _File(path, entities, suffix) if len(entities) == len(pairs) and "sub" in entities else None


def _labels(folder: Path, files: list[_File]) -> dict[str, _File]:
    """The label map of each case, of the suffix that comes first."""
    if not files:
        suffixes = ", ".join(f"_{suffix}" for suffix in LABEL_SUFFIXES)
        raise DataError(f"{folder}: no label maps, whose names end in {suffixes}")
    best = min(LABEL_SUFFIXES.index(file.suffix) for file in files)
    chosen = [file for file in files if file.suffix == LABEL_SUFFIXES[best]]
    # A brain mask beside a lesion mask is not the truth.
    structures = [file for file in chosen if file.entities.get("desc") != "brain"] or chosen
    kinds = sorted({file.kind for file in structures})
    if len(kinds) > 1:
        raise DataError(
            f"{folder}: label maps of several kinds: {', '.join(kinds)}; list those to use in a manifest.csv"
        )
    one_each: dict[str, _File] = {}
    for file in structures:
        if (other := one_each.setdefault(file.case, file)) is not file:
            raise _two_of_a_kind(folder, other, file)
    return one_each


def _one_of_each_kind(folder: Path, files: list[_File], label: _File | None) -> dict[str, Path]:
    """Images by kind; of several, the one on the label map's grid."""
    by_kind: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        by_kind[file.kind].append(file)
    chosen = {}
    for kind, alike in by_kind.items():
        first, *others = [file for file in alike if label and file.grid == label.grid] or alike
        if others:
            raise _two_of_a_kind(folder, first, others[0])
        chosen[kind] = first.path
    return chosen


def _two_of_a_kind(folder: Path, *files: _File) -> DataError:
    first, second = (str(file.path.relative_to(folder)) for file in files)
    return DataError(f"{folder}: {first} and {second} are of one kind; list those to use in a manifest.csv")


def _read_table(path: Path) -> dict[int, str]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            names = by_number((row["index"], row["name"]) for row in csv.DictReader(file, delimiter="\t"))
        return {value: name for value, name in names.items() if value != 0}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected the columns index and name: {error!r}") from error
