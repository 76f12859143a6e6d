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
from tfseg.datasets.phantoms import neonate as phantom_neonate
from tfseg.datasets.phantoms import two_tools as phantom_two_tools
from tfseg.datasets.phantoms.head_images import write_head_images

LABELS: dict[str, dict[int, str]] = {
    "head": phantom_head.LABELS,
    "healthy_head": phantom_head.TISSUES,
    "abdomen": phantom_abdomen.LABELS,
    "neonate": phantom_neonate.LABELS,
    "two_tools": phantom_two_tools.LABELS,
}
CHANNELS: dict[str, tuple[str, ...]] = {
    "head": phantom_head.CHANNELS,
    "healthy_head": phantom_head.CHANNELS,
    "abdomen": phantom_abdomen.CHANNELS,
    "neonate": phantom_neonate.CHANNELS,
    "two_tools": phantom_two_tools.CHANNELS,
}
_MAKERS: dict[str, Callable[[np.random.Generator, int], Any]] = {
    "head": phantom_head.head,
    "healthy_head": partial(phantom_head.head, tumour_chance=0),
    "abdomen": phantom_abdomen.abdomen,
    "neonate": phantom_neonate.neonate,
    "two_tools": phantom_two_tools.two_tools,
}
HEAD_IMAGES = "head_images"  # 2D images of heads with a tumour, in files of their own
KINDS = (*_MAKERS, HEAD_IMAGES)
HEAD_IMAGES_DESCRIPTION = "phantoms.json"  # what says how they were made
SECOND_TOOL = "tissue"  # folder of the label maps of the second tool
_SIZES = (32, 256)


@dataclass(frozen=True)
class Phantom:
    """A synthetic subject on a RAS+ grid."""

    image: NDArray[np.float32]  # [x, y, z] for one channel, else [x, y, z, channels]
    label: NDArray[np.uint8]  # [x, y, z]
    affine: NDArray[np.float64]  # [4, 4], voxel index to millimetres
    second: NDArray[np.uint8] | None = None  # [x, y, z], the labels of a second tool


def make_phantom(kind: str, seed: int = 0, subject: int = 0, size: int = 64) -> Phantom:
    """Make one subject; the same arguments always give the same subject.

    Args:
        kind: "head" (MR: T1-like and FLAIR-like channel), "healthy_head" (as that, without tumours), "abdomen" (CT in
            Hounsfield units), "neonate" (diffusion MR: ADC and its z-score, with lesions) or "two_tools" (T1 of a
            healthy head, labelled by one tool around the brain and by another inside).
        seed: 0 or more; another seed is another population.
        subject: 0 or more; independent of how many others are made.
        size: voxels along x and y, 32 to 256; slices are about a third as many, and thicker. The anatomy does
            not depend on it, only sampling and noise do.

    Raises:
        ConfigError: if the kind is unknown or a number is out of range.
    """
    _check_call(kind, seed, size, tuple(_MAKERS))
    if subject < 0:
        raise ConfigError(f"subject: expected 0 or more, received {subject}")
    rng = np.random.default_rng([seed, subject, *kind.encode()])
    image, label, affine, *second = _MAKERS[kind](rng, size)
    return Phantom(image[..., 0] if image.shape[-1] == 1 else image, label, affine, *second)


def write_dataset(
    out: Path,
    kind: str,
    subjects: int = 20,
    size: int = 64,
    seed: int = 0,
    on_case: Callable[[], None] = lambda: None,
) -> None:
    """Write a dataset in the Medical Segmentation Decathlon's layout: dataset.json, imagesTr/, labelsTr/.

    The label maps of a second tool are in tissue/. "head_images" are 2D images of heads with a tumour, six of every
    subject, in images/ beside masks/: PLANE_SUBJECT_NUMBER.png.

    Args:
        out: a new or empty folder. It appears only when it is complete; a folder that was written with the same
            arguments is left unchanged.
        kind, size, seed: as in `make_phantom`; the same values give the same bytes.
        subjects: number of subjects, 1 or more.
        on_case: called after each subject is written.

    Raises:
        ConfigError: if `out` holds something else, or an argument is out of range.
    """
    _check_call(kind, seed, size, KINDS)
    if subjects < 1:
        raise ConfigError(f"subjects: expected 1 or more, received {subjects}")
    names = [f"{kind}_{subject:03d}.nii.gz" for subject in range(subjects)]
    described = HEAD_IMAGES_DESCRIPTION if kind == HEAD_IMAGES else "dataset.json"
    about = _made_from(kind, size, seed) if kind == HEAD_IMAGES else _description(kind, size, seed, names)
    description = json.dumps(about, indent=1) + "\n"
    check(out, {described: description}, "phantom dataset")
    if (out / described).is_file():
        return

    with files.replacing(out) as unfinished:
        if kind == HEAD_IMAGES:
            write_head_images(unfinished, subjects, size, seed, on_case)
        else:
            _write_volumes(unfinished, kind, names, size, seed, on_case)
        (unfinished / described).write_text(description, encoding="utf-8")


def _write_volumes(
    folder: Path, kind: str, names: list[str], size: int, seed: int, on_case: Callable[[], None]
) -> None:
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for subject, name in enumerate(names):
        phantom = make_phantom(kind, seed, subject, size)
        _save(phantom.image.astype(np.int16), phantom.affine, folder / "imagesTr" / name)  # whole numbers
        _save(phantom.label, phantom.affine, folder / "labelsTr" / name)
        if phantom.second is not None:
            (folder / SECOND_TOOL).mkdir(exist_ok=True)
            _save(phantom.second, phantom.affine, folder / SECOND_TOOL / name)
        on_case()


def _description(kind: str, size: int, seed: int, names: list[str]) -> dict[str, object]:
    return {
        **_made_from(kind, size, seed),
        "tensorImageSize": "3D" if len(CHANNELS[kind]) == 1 else "4D",
        "modality": {str(i): name for i, name in enumerate(CHANNELS[kind])},
        "labels": {"0": "background"} | {str(i): name for i, name in LABELS[kind].items()},
        "numTraining": len(names),
        "numTest": 0,
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
        "test": [],
    }


def _made_from(kind: str, size: int, seed: int) -> dict[str, object]:
    return {
        "name": f"tfseg {kind} phantoms",
        "description": f"Synthetic subjects of {size} pixels made by tfseg from seed {seed}",
    }


def _save(array: NDArray[np.generic], affine: NDArray[np.float64], path: Path) -> None:
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def _check_call(kind: str, seed: int, size: int, kinds: tuple[str, ...]) -> None:
    if kind not in kinds:
        raise ConfigError(f"kind: expected one of {', '.join(kinds)}, received {kind!r}")
    if seed < 0:
        raise ConfigError(f"seed: expected 0 or more, received {seed}")
    if not _SIZES[0] <= size <= _SIZES[1]:
        raise ConfigError(f"size: expected {_SIZES[0]} to {_SIZES[1]} voxels, received {size}")
