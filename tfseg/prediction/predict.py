"""Predict one scan and write its label map, and its probabilities if asked, on the scan's own grid."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np

from tfseg.core.files import replacing
from tfseg.datasets.grids import Array
from tfseg.datasets.layouts import Case
from tfseg.datasets.writing import label_map_suffix, write_label_map
from tfseg.prediction.choice import predictor_of_large_slices, predictor_of_shape
from tfseg.prediction.clean_up import CleanUp, agreed
from tfseg.prediction.description import Description
from tfseg.prediction.ensemble import Member, predictor_of, unseen_by
from tfseg.prediction.flips import FlippedPredictor, flip_axes
from tfseg.prediction.forward import Forward
from tfseg.prediction.model import Model
from tfseg.prediction.predictor import Predictor
from tfseg.prediction.scans import PreparedScan, read_scan
from tfseg.prediction.slices import class_volume
from tfseg.preparation.label_maps import to_values

ProbabilityType = Literal["float32", "uint8"]


@dataclass(frozen=True)
class Options:
    """How scans are predicted.

    Args:
        clean: rules for the label map; None: those that more than half of the networks have.
        flips: names of axes; the probabilities of mirrored images are averaged with the others.
        force: allow flips that the training never made.
        probabilities: the type in which probabilities are written; uint8 counts 1/255. None: they are not written.
    """

    clean: CleanUp | None = None
    flips: tuple[str, ...] = ()
    force: bool = False
    probabilities: ProbabilityType | None = None

    def check(self, description: Description) -> None:
        """Refuse labels and flips that a network does not know.

        Raises:
            ConfigError: with what it knows.
        """
        if self.clean is not None:
            self.clean.check(description.targets.labels)
        self.flip_axes(description)

    def flip_axes(self, description: Description) -> tuple[int, ...]:
        """Return the axes of an image that the flips mirror.

        Raises:
            ConfigError: as `tfseg.prediction.flips.flip_axes`.
        """
        return flip_axes(self.flips, str(description.recipe.axis), description.flips, self.force, description.by_slices)

    def record(self) -> dict[str, object]:
        """Return the options as a folder of predictions records them."""
        clean = None if self.clean is None else str(self.clean)
        return {"clean": clean, "flips": list(self.flips), "probabilities": self.probabilities}


@dataclass(frozen=True)
class Predicted:
    """What is reported of a predicted scan.

    Args:
        path: its label map.
        members: the networks that predicted it.
        subjects: whose scan of the training data it is; empty if it is none of theirs.
        out_of_sample: whether none of the networks has seen these subjects.
        unlike: in what the scan is unlike the training scans.
        digests: of its channels.
    """

    path: Path
    members: tuple[str, ...]
    subjects: frozenset[str]
    out_of_sample: bool
    unlike: tuple[str, ...]
    digests: tuple[str, ...]


def label_map_path(case: Case, out: Path) -> Path:
    """Return the path of a case's label map in a folder of predictions."""
    return out / f"{case.name}{label_map_suffix(case.images[0])}"


def predict_scan(case: Case, model: Model, options: Options, batch_size: int, out: Path) -> Predicted:
    """Predict a scan and write the result into a folder; a training scan only by networks that have not seen it.

    If every network has seen the scan, all predict it, and the result is not out of sample.

    Raises:
        DataError: if the scan cannot be used.
        RunError: if a network is damaged.
    """
    scan = read_scan(case, model.description)
    members = unseen_by(model.members, scan.subjects)
    path = label_map_path(case, out)
    with _probabilities(scan, model, options, out / f"{case.name}_probability.nii.gz") as probabilities:
        classes = _classes(scan, model, members, options, batch_size, probabilities)
    labels = model.description.targets.labels
    clean = agreed([member.clean for member in members]) if options.clean is None else options.clean
    write_label_map(path, to_values(clean.apply(classes, labels), labels), scan.affine)
    unseen = all(member.seen.isdisjoint(scan.subjects) for member in members)
    names = tuple(member.name for member in members)
    return Predicted(path, names, scan.subjects, unseen, scan.warnings, scan.digests)


def _classes(
    scan: PreparedScan,
    model: Model,
    members: Sequence[Member],
    options: Options,
    batch_size: int,
    probabilities: Array | None,
) -> Array:
    description = model.description

    def make(forward: Forward) -> Predictor:
        if description.by_slices and scan.image.shape[1:3] != description.shape:
            return predictor_of_large_slices(forward, description.shape, batch_size)
        return predictor_of_shape(forward, description.shape, description.overlap, batch_size)

    predictor = predictor_of(members, make)
    if axes := options.flip_axes(description):
        predictor = FlippedPredictor(predictor, axes)
    return class_volume(predictor, scan.image, scan.grid, description.targets, probabilities)


@contextmanager
def _probabilities(scan: PreparedScan, model: Model, options: Options, path: Path) -> Iterator[Array | None]:
    """An array in a temporary file for the probabilities, written as NIfTI if the block succeeds; None if not asked."""
    if options.probabilities is None:
        yield None
        return
    shape = (*scan.grid.shape, model.description.targets.channels)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent) as file:
        array = np.memmap(file, np.dtype(options.probabilities), "w+", 0, shape, "F")
        yield array
        image = nib.Nifti1Image(array, scan.affine)
        image.header.set_xyzt_units("mm")
        if options.probabilities == "uint8":
            image.header.set_slope_inter(1 / 255, 0)
        with replacing(path) as temporary:
            nib.save(image, temporary)
