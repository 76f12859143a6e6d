"""Predict one scan and write its label map, its probabilities and its uncertainty, on the scan's own grid."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np

from tfseg.core.errors import ConfigError
from tfseg.core.files import replacing
from tfseg.datasets.grids import Array
from tfseg.datasets.layouts import Case
from tfseg.datasets.writing import label_map_suffix, write_label_map
from tfseg.prediction.choice import predictor_of_large_slices, predictor_of_shape
from tfseg.prediction.clean_up import CleanUp, agreed
from tfseg.prediction.description import Description
from tfseg.prediction.draws import Sampling
from tfseg.prediction.ensemble import Member, check_temperatures, predictor_of, unseen_by
from tfseg.prediction.flips import FlippedPredictor, flip_axes
from tfseg.prediction.forward import Forward
from tfseg.prediction.model import Model
from tfseg.prediction.predictor import Predictor
from tfseg.prediction.scans import PreparedScan, read_scan
from tfseg.prediction.slices import Record, class_volume
from tfseg.preparation.label_maps import to_values
from tfseg.prepared.targets import Targets

ProbabilityType = Literal["float32", "uint8"]


@dataclass(frozen=True)
class Options:
    """Options for predicting scans.

    Args:
        clean: rules for the label map; None: those that more than half of the networks have.
        flips: names of axes; the probabilities of mirrored images are averaged with the others.
        force: allow flips that the training never made.
        probabilities: the type in which probabilities are written; uint8 counts 1/255. None: they are not written.
        sampling: how predictions are drawn for maps of uncertainty. None: there are none, and nothing is drawn.
        calibrated: scale the probabilities of each network by the temperature of its validation subjects.
    """

    clean: CleanUp | None = None
    flips: tuple[str, ...] = ()
    force: bool = False
    probabilities: ProbabilityType | None = None
    sampling: Sampling | None = None
    calibrated: bool = False

    def check(self, model: Model) -> None:
        """Refuse labels and flips that the networks do not know, and draws and temperatures that they do not have.

        Raises:
            ConfigError: with what they know.
        """
        if self.clean is not None:
            self.clean.check(model.description.targets.labels)
        self.flip_axes(model.description)
        if self.calibrated:
            check_temperatures(model.members, model.name)
        if self.calibrated and self.sampling is not None:
            raise ConfigError("--calibrated: temperatures are fitted to plain predictions; leave out the draws")
        if self.sampling is not None:
            self.sampling.check(model.members)

    def flip_axes(self, description: Description) -> tuple[int, ...]:
        """Return the axes of an image that the flips mirror.

        Raises:
            ConfigError: as `tfseg.prediction.flips.flip_axes`.
        """
        return flip_axes(self.flips, str(description.recipe.axis), description.flips, self.force, description.by_slices)

    def record(self) -> dict[str, object]:
        """Return the options as a folder of predictions records them."""
        clean = None if self.clean is None else str(self.clean)
        sampling = {} if self.sampling is None else {"sampling": asdict(self.sampling)}
        calibrated = {"calibrated": True} if self.calibrated else {}
        shown = {"clean": clean, "flips": list(self.flips), "probabilities": self.probabilities}
        return {**shown, **calibrated, **sampling}


@dataclass(frozen=True)
class Predicted:
    """Report on a predicted scan.

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

    If every network has seen the scan, all predict it, and the result is not out of sample; uncertainty is never drawn
    from several of them.

    Raises:
        DataError: if the scan cannot be used, or too few networks have not seen it for the uncertainty.
        RunError: if a network is damaged.
    """
    scan = read_scan(case, model.description)
    members = unseen_by(model.members, scan.subjects)
    path = label_map_path(case, out)
    targets, labels = model.description.targets, model.description.targets.labels
    if options.sampling is not None:
        options.sampling.check_unseen(members, scan.subjects)
    predictor = _predictor(case, scan, model, members, options, batch_size)
    with _recording(case, scan, targets, options, out) as record:
        classes = class_volume(predictor, scan.image, scan.grid, targets, record)
    clean = agreed([member.clean for member in members]) if options.clean is None else options.clean
    write_label_map(path, to_values(clean.apply(classes, labels), labels), scan.affine)
    unseen = all(member.seen.isdisjoint(scan.subjects) for member in members)
    names = tuple(member.name for member in members)
    return Predicted(path, names, scan.subjects, unseen, scan.warnings, scan.digests)


def _predictor(
    case: Case, scan: PreparedScan, model: Model, members: Sequence[Member], options: Options, batch_size: int
) -> Predictor:
    description = model.description
    shape = description.shape

    def make(forward: Forward) -> Predictor:
        if description.by_slices and scan.image.shape[1:3] != shape:
            return predictor_of_large_slices(forward, shape, batch_size, description.neighbours)
        return predictor_of_shape(forward, shape, description.overlap, batch_size, description.neighbours)

    if options.sampling is None:
        predictor = predictor_of(members, make, options.calibrated)
    else:
        predictor = options.sampling.predictor(members, description.targets, make, case.name, batch_size)
    axes = options.flip_axes(description)
    return FlippedPredictor(predictor, axes) if axes else predictor


@contextmanager
def _recording(
    case: Case, scan: PreparedScan, targets: Targets, options: Options, out: Path
) -> Iterator[Record | None]:
    """Yield what records probabilities and measures in files, which are written if the block succeeds."""
    moments = None if options.sampling is None else options.sampling.moments(targets)
    with ExitStack() as stack:

        def volume(name: str, channels: tuple[int, ...] = (), dtype: str = "float32") -> Array:
            path, shape = out / f"{case.name}_{name}.nii.gz", (*scan.grid.shape, *channels)
            return stack.enter_context(_volume(path, shape, dtype, scan.affine))

        volumes = {}
        if options.probabilities is not None:
            volumes["probability"] = volume("probability", (targets.channels,), options.probabilities)
            volumes["probability"][...] = _as_type(targets.background, volumes["probability"])
        if moments is not None:
            volumes |= {name: volume(name) for name in ("entropy", "std", "mutual_information")}
            if moments.per_class:
                volumes["class_std"] = volume("class_std", (targets.channels,))

        def record(place: tuple[slice, ...], block: Array) -> None:
            values = {"probability": block[..., : targets.channels]}
            if moments is not None:
                values |= vars(moments.sampled(block))
            for name, array in volumes.items():
                array[place] = _as_type(values[name], array)

        yield record if volumes else None


@contextmanager
def _volume(path: Path, shape: tuple[int, ...], dtype: str, affine: Array) -> Iterator[Array]:
    """Yield an array of zeros in a temporary file, which is written as NIfTI if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent) as file:
        array = np.memmap(file, np.dtype(dtype), "w+", 0, shape, "F")
        yield array
        image = nib.Nifti1Image(array, affine)
        image.header.set_xyzt_units("mm")
        if dtype == "uint8":
            image.header.set_slope_inter(1 / 255, 0)
        with replacing(path) as temporary:
            nib.save(image, temporary)


def _as_type(values: Array, like: Array) -> Array:
    return np.rint(values * 255) if like.dtype == np.uint8 else values
