"""Find faults in a dataset before anything is made of it, and measure its fingerprint."""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tfseg.core import memory
from tfseg.core.errors import DataError
from tfseg.datasets import cautions, formats
from tfseg.datasets.checks import check_encodable
from tfseg.datasets.duplicates import check_not_label, digests_of, shared_voxels
from tfseg.datasets.fingerprint import CaseMeasures, Fingerprint, measure, summarise
from tfseg.datasets.grids import Header, Opened, stored_like
from tfseg.datasets.layouts import Case, Dataset
from tfseg.datasets.names import printable
from tfseg.datasets.reading import check_channels, check_declared, check_label_grid, join_headers, read_varied

Result = TypeVar("Result")

# Each thread holds a case in memory, this many times over while it is measured.
MOST_THREADS, COPIES = 8, 4


@dataclass(frozen=True)
class Fault:
    """A reason why a case cannot be used; the message starts with the name of the file."""

    case: str
    file: Path
    message: str


class Inspection(NamedTuple):
    """The faults of a dataset, the fingerprint of the cases without one if there are any, and lines to report."""

    faults: list[Fault]
    fingerprint: Fingerprint | None
    warnings: tuple[str, ...]


class Sound(NamedTuple):
    """The cases of a dataset without a fault, and the header of each by the case's name."""

    dataset: Dataset
    headers: dict[str, Header]


class _Examined(NamedTuple):
    """A case with its faults, its headers by file and the joined one, its measures and the digests of its channels."""

    case: Case
    faults: list[Fault]
    headers: dict[Path, Header]
    header: Header | None = None
    measures: CaseMeasures | None = None
    digests: tuple[str, ...] = ()


def find_faults(dataset: Dataset, on_case: Callable[[], None] = lambda: None, *, values: bool = True) -> list[Fault]:
    """Find every fault of every case, in the order of the cases.

    Args:
        dataset: the cases to examine.
        on_case: called after each case.
        values: read every voxel; reading only headers takes seconds, and misses faults of the values.
    """
    return [fault for case in _examine_all(dataset, on_case, values=values) for fault in case.faults]


def inspect(dataset: Dataset, on_case: Callable[[], None] = lambda: None) -> Inspection:
    """Find every fault and everything unusual, and measure the fingerprint of the cases without a fault.

    Args:
        dataset: the cases to examine; each file is opened once.
        on_case: called after each case.
    """
    examined = _examine_all(dataset, on_case, values=True)
    faults = [fault for case in examined for fault in case.faults]
    sound = [(each.case, each.measures) for each in examined if each.measures and not each.faults]
    fingerprint = summarise(without_faulty(dataset, faults), [measures for _, measures in sound]) if sound else None
    warnings = (*dataset.warnings, *_header_warnings(dataset, examined), *cautions.of_values(dataset, sound))
    return Inspection(faults, fingerprint, tuple(dict.fromkeys(warnings)))


def sound_cases(dataset: Dataset, skip_bad: bool, on_case: Callable[[], None] = lambda: None) -> Sound:
    """Return a dataset without a fault in its headers or, with `skip_bad`, without the cases that have any fault.

    What is unusual in names and headers is added to the dataset's `warnings`.

    Args:
        dataset: the cases to examine.
        skip_bad: read every voxel too, and leave out the cases with faults.
        on_case: called after each case.

    Raises:
        DataError: if there is a fault, or with `skip_bad` if every case has one.
    """
    examined = _examine_all(dataset, on_case, values=skip_bad)
    faults = [fault for case in examined for fault in case.faults]
    if faults and not skip_bad:
        cases = len({fault.case for fault in faults})
        raise DataError(
            f"{faults[0].message} (cases with a fault: {cases} of {len(dataset.cases)}; tfseg inspect lists all, "
            "--skip-bad leaves those cases out)"
        )
    warnings = tuple(dict.fromkeys((*dataset.warnings, *_header_warnings(dataset, examined))))
    sound = replace(without_faulty(dataset, faults) if faults else dataset, warnings=warnings)
    headers = {each.case.name: each.header for each in examined if each.header and not each.faults}
    return Sound(sound, headers)


def _header_warnings(dataset: Dataset, examined: Sequence[_Examined]) -> list[str]:
    headers = {path: header for each in examined for path, header in each.headers.items()}
    return [*cautions.of_headers(headers), *cautions.of_names(dataset)]


def without_faulty(dataset: Dataset, faults: Sequence[Fault]) -> Dataset:
    """Leave out the cases that have faults; the result's `left_out` holds the reasons.

    Raises:
        DataError: if no case is left.
    """
    reasons: dict[str, str] = {}
    for fault in faults:
        reasons.setdefault(fault.case, fault.message)
    cases = tuple(case for case in dataset.cases if case.name not in reasons)
    if not cases:
        raise DataError(f"{dataset.name}: every case has a fault; the first: {faults[0].message}")
    left_out = {
        replace(case, name=printable(case.name)): reasons[case.name] for case in dataset.cases if case.name in reasons
    }
    return replace(dataset, cases=cases, left_out={**dataset.left_out, **left_out})


def _examine_all(dataset: Dataset, on_case: Callable[[], None], *, values: bool) -> list[_Examined]:
    """Examine cases in threads: decompression releases Python's lock, and processes take longer to start."""
    times = Counter(case.name for case in dataset.cases)
    threads = min(os.cpu_count() or 1, MOST_THREADS)
    alone = _Alone(memory.memory_bytes() // threads)
    results = []
    with ThreadPoolExecutor(threads) as pool:
        examine = partial(_examine, dataset=dataset, values=values, alone=alone)
        for case, examined in zip(dataset.cases, pool.map(examine, dataset.cases), strict=True):
            if times[case.name] > 1:
                repeated = f"{times[case.name]} cases have the name {case.name}"
                message = f"{case.images[0]}: {repeated}; the column case of a manifest.csv can tell them apart"
                examined.faults.append(Fault(case.name, case.images[0], message))
            results.append(examined)
            on_case()
    sound = {each.case: each for each in results if not each.faults}
    for case, message in shared_voxels((case, each.digests) for case, each in sound.items()):
        sound[case].faults.append(Fault(case.name, case.images[0], message))
    return results


class _Alone:
    """Keeps cases that take more than a thread's share of memory from being read at the same time."""

    def __init__(self, share_bytes: int) -> None:
        self._share_bytes = share_bytes
        self._lock = Lock()

    def if_large(self, headers: Iterable[Header]) -> AbstractContextManager[object]:
        voxels = sum(math.prod(header.shape) * header.channels for header in headers)
        return self._lock if 4 * COPIES * voxels > self._share_bytes else nullcontext()


def _examine(case: Case, dataset: Dataset, values: bool, alone: _Alone) -> _Examined:
    faults: list[Fault] = []

    def attempt(read: Callable[..., Result], *arguments: Any) -> Result | None:
        try:
            return read(*arguments)
        except DataError as error:
            faults.append(Fault(case.name, _file_of(case, str(error)), str(error)))
            return None

    for path in case.files:
        attempt(check_encodable, path)
    if faults:
        return _Examined(case, faults, {})
    with ExitStack() as stack:
        opened: dict[Path, Opened] = {}

        def open_file(manager: AbstractContextManager[Opened], path: Path) -> None:
            opened[path] = stack.enter_context(manager)

        for path in case.images:
            attempt(open_file, formats.open_image(path), path)
        if case.label:
            attempt(open_file, formats.open_label(case.label, dataset.masks_as_shown), case.label)
        headers = {path: file.header for path, file in opened.items()}
        of_images = [headers[path] for path in case.images if path in headers]
        header = attempt(join_headers, case, of_images) if len(of_images) == len(case.images) else None
        if header:
            attempt(check_channels, case, header, dataset)
        if header and case.label in headers:
            attempt(check_label_grid, case, headers[case.label], header)
        if not values:
            return _Examined(case, faults, headers, header)
        with alone.if_large(of_images):
            images = [attempt(read_varied, path, opened[path]) for path in case.images if path in opened]
            label = attempt(opened[case.label].read) if case.label in opened else None
            if label:
                attempt(check_declared, case.label, label.array, dataset)
            if faults or header is None:
                return _Examined(case, faults, headers)
            read = [image for image in images if image]
            digests = [digest for image in read for digest in digests_of(image)]
            turned = stored_like(label, header.affine).array if label else None
            if turned is not None:
                for image in read:
                    attempt(check_not_label, case, image.array, turned)
            channels = [channel for image in read for channel in np.moveaxis(image.array, 3, 0)]
            return _Examined(case, faults, headers, header, measure(header, channels, turned, dataset), tuple(digests))


def _file_of(case: Case, message: str) -> Path:
    return next((path for path in case.files if message.startswith(f"{path}:")), case.images[0])
