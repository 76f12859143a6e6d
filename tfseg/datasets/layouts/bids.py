"""Read the Brain Imaging Data Structure: subjects and sessions in file names, label maps known by their suffix."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from tfseg.core.errors import DataError
from tfseg.datasets.layouts.bids_names import BidsFile, files_of
from tfseg.datasets.layouts.bids_tables import names_in_tables
from tfseg.datasets.layouts.dataset import Case, Dataset, not_read
from tfseg.datasets.layouts.label_names import DECLARATION
from tfseg.datasets.layouts.labels import Labels, labels_of

# Suffixes of label maps; if a dataset has several, the first of these is used.
LABEL_SUFFIXES = ("dseg", "seg", "roi", "mask")
# Suffixes of probability maps and of masks of faces, which are neither images nor label maps.
NEITHER = ("probseg", "defacemask")


def is_bids(folder: Path) -> bool:
    """Whether a folder or its derivatives have `sub-…` folders with volumes of such names."""
    folders = (path for pattern in ("sub-*", "derivatives/*/sub-*") for path in folder.glob(pattern))
    return any(files_of(path)[0] for path in folders)


def read_bids(folder: Path) -> Dataset:
    """Read images with label maps, a case per subject, session and run.

    A case's images are those of the label map's datatype (`anat`, `dwi`, …), or of any datatype if there are none; of
    these, those beside the label map, or else those in the raw data. If an image exists in several spaces or
    resolutions, the one in the label map's is used. Channels are the kinds of image that more than half of the label
    maps have. Images without a label map are cases too, whose label map is missing. A label map whose name has no
    session or run belongs to the only one of its subject.
    Labels are declared in `labels.json` or in the `dseg.tsv` (index, name) nearest to each label map, or are the
    values found in the label maps.

    Source: Gorgolewski 2016 (10.1038/sdata.2016.44).

    Raises:
        DataError: if there are no label maps, several kinds of them that are equally likely, or no images, if a
            case has two files of one kind, or if tables of names contradict each other.
    """
    named, others = files_of(folder)
    files = [file for file in named if file.suffix not in NEITHER]
    images_of: dict[str, list[BidsFile]] = defaultdict(list)
    for file in files:
        if file.suffix not in LABEL_SUFFIXES:
            images_of[file.case].append(file)
    maps = _structures(folder, [file for file in files if file.suffix in LABEL_SUFFIXES])
    labels = _by_case(folder, maps, images_of)
    usual = {label.datatype for label in labels.values()}
    images = {
        case: _images(folder, images_of[case], labels.get(case), usual)
        for case in sorted(images_of.keys() | labels.keys())
    }
    times = Counter(kind for case in labels for kind in images[case])
    channels = sorted(kind for kind, number in times.items() if 2 * number > len(labels))
    if not channels:
        raise DataError(
            f"{folder}: no kind of image exists for most label maps; found {', '.join(sorted(times)) or 'none'}"
        )
    cases = [
        _case(name, kinds, channels, labels.get(name), maps[0].kind)
        for name, kinds in images.items()
        if name in labels or kinds.keys() & set(channels)
    ]
    table = {} if (folder / DECLARATION).is_file() else names_in_tables(folder, labels.values())
    found = Labels(table) if table else labels_of(folder, (case.label_file for case in cases))
    return Dataset(
        name=folder.resolve().name,
        channels=tuple(channels),
        labels=found.names,
        cases=tuple(cases),
        layout="bids",
        ignore_label=found.ignore_label,
        warnings=(
            *not_read(folder, others, "not named as BIDS files, such as sub-01_T1w"),
            *_left_out(folder, files, maps, channels),
            *found.warnings,
        ),
    )


def _structures(folder: Path, files: list[BidsFile]) -> list[BidsFile]:
    """The label maps of the one kind to use: of the suffix that comes first."""
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
    return structures


def _by_case(folder: Path, maps: Iterable[BidsFile], images: Mapping[str, list[BidsFile]]) -> dict[str, BidsFile]:
    """The label map of each case; one whose name lacks a session or run belongs to the only case that it may."""
    labels: dict[str, BidsFile] = {}
    for file in maps:
        alike = [case for case, others in images.items() if others and file.may_be_of(others[0])]
        if file.case not in images and len(alike) > 1:
            path = file.path.relative_to(folder)
            raise DataError(f"{folder}: {path} may belong to {', '.join(sorted(alike))}; name its session and run")
        case = alike[0] if file.case not in images and alike else file.case
        if (other := labels.setdefault(case, file)) is not file:
            raise _two_of_a_kind(folder, other, file)
    return labels


def _images(folder: Path, files: list[BidsFile], label: BidsFile | None, usual: set[str]) -> dict[str, Path]:
    """The images of a case by kind; of several, the one on the label map's grid."""
    datatypes = {label.datatype} if label else usual
    candidates = [file for file in files if file.datatype in datatypes] or files
    beside = [file for file in candidates if label and file.path.parent == label.path.parent]
    raw = [file for file in candidates if "derivatives" not in file.path.relative_to(folder).parts]
    by_kind: dict[str, list[BidsFile]] = defaultdict(list)
    for file in beside or raw or candidates:
        by_kind[file.kind].append(file)
    chosen = {}
    for kind, alike in by_kind.items():
        first, *others = [file for file in alike if label and file.grid == label.grid] or alike
        if others:
            raise _two_of_a_kind(folder, first, others[0])
        chosen[kind] = first.path
    return chosen


def _case(
    name: str, kinds: Mapping[str, Path], channels: Iterable[str], label: BidsFile | None, label_kind: str
) -> Case:
    place = label.path.parent if label else next(iter(kinds.values())).parent
    paths = tuple(kinds.get(kind, place / f"{name}_{kind}.nii.gz") for kind in channels)
    label_file = label.path if label else place / f"{name}_{label_kind}.nii.gz"
    return Case(name, name.split("_")[0].removeprefix("sub-"), paths, label_file)


def _left_out(
    folder: Path, files: Iterable[BidsFile], maps: Iterable[BidsFile], channels: Iterable[str]
) -> tuple[str, ...]:
    """Lines about label maps of another suffix or kind, and images of a kind that few cases have."""
    used = {file.path for file in maps}
    labels = [file.path for file in files if file.suffix in LABEL_SUFFIXES and file.path not in used]
    rare = [file.path for file in files if file.suffix not in LABEL_SUFFIXES and file.kind not in channels]
    return (
        *not_read(folder, labels, "label maps of another kind than those used"),
        *not_read(folder, rare, "images of a kind that most label maps do not have"),
    )


def _two_of_a_kind(folder: Path, *files: BidsFile) -> DataError:
    first, second = (str(file.path.relative_to(folder)) for file in files)
    return DataError(f"{folder}: {first} and {second} are of one kind; list those to use in a manifest.csv")
