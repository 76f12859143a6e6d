"""Point out what is unusual in a dataset, though not wrong: units, labels, names and headers that stand out."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfseg.datasets.fingerprint import CaseMeasures
from tfseg.datasets.grids import Header
from tfseg.datasets.layouts import Case, Dataset
from tfseg.datasets.layouts.labels import no_background
from tfseg.datasets.modality import ChannelMeasures, in_other_units

LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


def of_headers(headers: Mapping[Path, Header]) -> list[str]:
    """Report what headers warn of, and the files without an orientation if others state theirs."""
    placed = {path: header.is_placed for path, header in headers.items() if not header.in_pixels}
    without = [path for path, is_placed in placed.items() if not is_placed] if any(placed.values()) else []
    return [line for header in headers.values() for line in header.warnings] + [
        f"{path}: its header states no orientation (in NIfTI: sform and qform codes 0), other files' headers do; its "
        "left and right may be swapped"
        for path in without
    ]


def of_names(dataset: Dataset) -> list[str]:
    """Report subjects whose names differ only in leading zeros, such as 001 and 1, or case_01 and case_1."""
    alike: dict[str, set[str]] = defaultdict(set)
    for case in dataset.cases:
        alike[LEADING_ZEROS.sub("", case.subject)].add(case.subject)
    return [
        f"{dataset.name}: the subjects {' and '.join(sorted(names))} differ only in leading zeros; if they are one "
        "patient, train and test may share scans"
        for names in alike.values()
        if len(names) > 1
    ]


def of_values(dataset: Dataset, measured: Sequence[tuple[Case, CaseMeasures]]) -> list[str]:
    """Report cases in other units than the rest, labels that are in no case or in one, and a missing background.

    Args:
        dataset: declares channels and labels.
        measured: the sound cases.
    """
    if not measured:
        return []
    return [
        *other_units(dataset, [(case, measures.channels) for case, measures in measured]),
        *_rare_labels(dataset, measured),
        *_missing_background(dataset, [measures for _, measures in measured]),
    ]


def other_units(dataset: Dataset, cases: Sequence[tuple[Case, Sequence[ChannelMeasures]]]) -> list[str]:
    """Report the cases whose channels are in other units than those of most.

    Args:
        dataset: names the channels.
        cases: with the `ChannelMeasures` of their channels.
    """
    lines = []
    for index, name in enumerate(dataset.channels):
        measures = [channels[index] for _, channels in cases]
        low, high = (np.median([getattr(each, figure) for each in measures]) for figure in ("lowest", "highest"))
        for other in in_other_units(name, measures):
            case, own = cases[other][0], measures[other]
            path = case.images[min(index, len(case.images) - 1)]
            lines.append(
                f"{path}: values of {own.lowest:.6g} to {own.highest:.6g} in {name}, {low:.6g} to {high:.6g} in most "
                "cases: are they in other units?"
            )
    return lines


def _rare_labels(dataset: Dataset, measured: Sequence[tuple[Case, CaseMeasures]]) -> list[str]:
    subjects = {case.subject for case, _ in measured}
    lines = []
    for value, name in dataset.labels.items():
        having = sorted({case.subject for case, measures in measured if measures.voxels[value]})
        if not having:
            lines.append(f"{dataset.name}: the label {name} ({value}) is in no case")
        elif len(having) == 1 and len(subjects) > 2:
            lines.append(
                f"{dataset.name}: the label {name} ({value}) is in one subject, {having[0]}: no split can train and "
                "test it"
            )
    return lines


def _missing_background(dataset: Dataset, measured: Iterable[CaseMeasures]) -> list[str]:
    has_background = any(measures.background_voxels for measures in measured)
    return [] if has_background else [no_background(dataset.name, min(dataset.labels))]
