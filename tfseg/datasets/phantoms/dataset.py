"""Make phantoms: synthetic subjects from a seed, which no threshold can segment."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from tfseg.core import files
from tfseg.core.claims import check
from tfseg.core.errors import ConfigError
from tfseg.datasets.phantoms import abdomen as phantom_abdomen
from tfseg.datasets.phantoms import head as phantom_head

LABELS: dict[str, dict[int, str]] = {
    "head": phantom_head.LABELS,
    "healthy_head": phantom_head.TISSUES,
    "abdomen": phantom_abdomen.LABELS,
}
CHANNELS: dict[str, tuple[str, ...]] = {
    "head": phantom_head.CHANNELS,
    "healthy_head": phantom_head.CHANNELS,
    "abdomen": phantom_abdomen.CHANNELS,
}
_MAKERS: dict[str, Callable[[np.random.Generator, int], Any]] = {
    "head": phantom_head.head,
    "healthy_head": partial(phantom_head.head, tumour_chance=0),
    "abdomen": phantom_abdomen.abdomen,
}
_SIZES = (32, 256)


@dataclass(frozen=True)
class Phantom:
    """A synthetic subject on a RAS+ grid."""

    image: NDArray[np.float32]  # [x, y, z] for one channel, else [x, y, z, channels]
    label: NDArray[np.uint8]  # [x, y, z]
    affine: NDArray[np.float64]  # [4, 4], voxel index to millimetres


def make_phantom(kind: str, seed: int = 0, subject: int = 0, size: int = 64) -> Phantom:
    """Make one subject; the same arguments always give the same subject.

    Args:
        kind: "head" (MR: T1-like and FLAIR-like channel), "healthy_head" (as that, without tumours) or "abdomen" (CT in
            Hounsfield units).
        seed: 0 or more; another seed is another population.
        subject: 0 or more; independent of how many others are made.
        size: voxels along x and y, 32 to 256; slices are about a third as many, and thicker. The anatomy does
            not depend on it, only sampling and noise do.

    Raises:
        ConfigError: if the kind is unknown or a number is out of range.
    """
    _check_call(kind, seed, size)
    if subject < 0:
        raise ConfigError(f"subject: expected 0 or more, received {subject}")
    rng = np.random.default_rng([seed, subject, *kind.encode()])
    image, label, affine = _MAKERS[kind](rng, size)
    return Phantom(image[..., 0] if image.shape[-1] == 1 else image, label, affine)


def write_dataset(
    out: Path,
    kind: str,
    subjects: int = 20,
    size: int = 64,
    seed: int = 0,
    on_case: Callable[[], None] | None = None,
) -> None:
    """Write a dataset in the Medical Segmentation Decathlon's layout: dataset.json, imagesTr/, labelsTr/.

    Args:
        out: a new or empty folder. It appears only when it is complete; a folder that was written with the same
            arguments is left unchanged.
        kind, size, seed: as in `make_phantom`; the same values give the same bytes.
        subjects: number of subjects, 1 or more.
        on_case: called after each subject is written.

    Raises:
        ConfigError: if `out` holds something else, or an argument is out of range.
    """
    _check_call(kind, seed, size)
    if subjects < 1:
        raise ConfigError(f"subjects: expected 1 or more, received {subjects}")
    names = [f"{kind}_{subject:03d}.nii.gz" for subject in range(subjects)]
    description = json.dumps(_description(kind, size, seed, names), indent=1) + "\n"
    check(out, {"dataset.json": description}, "phantom dataset")
    if (out / "dataset.json").is_file():
        return

    with files.replacing(out) as unfinished:
        for folder in ("imagesTr", "labelsTr"):
            (unfinished / folder).mkdir(parents=True)
        for subject, name in enumerate(names):
            phantom = make_phantom(kind, seed, subject, size)
            _save(phantom.image.astype(np.int16), phantom.affine, unfinished / "imagesTr" / name)  # whole numbers
            _save(phantom.label, phantom.affine, unfinished / "labelsTr" / name)
            if on_case:
                on_case()
        (unfinished / "dataset.json").write_text(description, encoding="utf-8")


def _description(kind: str, size: int, seed: int, names: list[str]) -> dict[str, object]:
    return {
        "name": f"tfseg {kind} phantoms",
        "description": f"Synthetic subjects of {size} pixels made by tfseg from seed {seed}",
        "tensorImageSize": "3D" if len(CHANNELS[kind]) == 1 else "4D",
        "modality": {str(i): name for i, name in enumerate(CHANNELS[kind])},
        "labels": {"0": "background"} | {str(i): name for i, name in LABELS[kind].items()},
        "numTraining": len(names),
        "numTest": 0,
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
        "test": [],
    }


def _save(array: NDArray[np.generic], affine: NDArray[np.float64], path: Path) -> None:
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def _check_call(kind: str, seed: int, size: int) -> None:
    if kind not in _MAKERS:
        raise ConfigError(f"kind: expected one of {', '.join(_MAKERS)}, received {kind!r}")
    if seed < 0:
        raise ConfigError(f"seed: expected 0 or more, received {seed}")
    if not _SIZES[0] <= size <= _SIZES[1]:
        raise ConfigError(f"size: expected {_SIZES[0]} to {_SIZES[1]} voxels, received {size}")
