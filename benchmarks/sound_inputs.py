"""Make sound inputs of every layout and file kind that tfseg reads, from phantoms."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian

from tfseg.datasets.phantoms.dataset import LABELS, Phantom, make_phantom, write_dataset

KIND, SIZE, SUBJECTS = "abdomen", 32, 4
SMALL = [
    *("--epochs", "1", "--folds", "3", "--batch-size", "8", "--set", "model.filters=2", "--set", "model.depth=1"),
    *("--set", "training.threads=1"),
]
SUFFIXES = {"pair": ".hdr", "nrrd": ".nrrd", "nhdr": ".nhdr", "mha": ".mha", "mhd": ".mhd"}
RECIPE = "window_hu: [-160, 240]\nscaling: minmax\ncrop: body\nlabels: {organ: [liver, spleen]}\n"
CONFIG = "seed: 1\nfolds: 3\nmodel: {filters: 2, depth: 1}\ntraining: {epochs: 1, batch_size: 8}\n"
STUDY = "losses: [dice, bce]\nseeds: 1\n" + CONFIG


def phantoms() -> dict[str, Phantom]:
    """Return a phantom of each case."""
    return {f"case_{subject}": make_phantom(KIND, 0, subject, SIZE) for subject in range(SUBJECTS)}


def save_volume(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write a volume in the format of its suffix, compressed if that is usual."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".hdr":
        nib.save(nib.Nifti1Pair(array, affine), path)
    elif path.name.endswith((".nii", ".nii.gz")):
        nib.save(nib.Nifti1Image(array, affine), path)
    else:
        image = SimpleITK.GetImageFromArray(array.transpose(2, 1, 0))
        to_lps = np.diag([-1, -1, 1, 1]) @ affine
        spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((to_lps[:3, :3] / spacing).ravel().tolist())
        image.SetOrigin(to_lps[:3, 3].tolist())
        SimpleITK.WriteImage(image, str(path), useCompression=path.suffix in (".nrrd", ".mha", ".mhd"))


def load_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read what `save_volume` wrote: the array `[x, y, z]` and its affine."""
    if path.name.endswith((".nii", ".nii.gz", ".hdr")):
        nifti = nib.load(path)
        return np.array(nifti.dataobj), nifti.affine  # not mapped: the file is written anew
    image = SimpleITK.ReadImage(str(path))
    to_lps = np.eye(4)
    to_lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    to_lps[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ to_lps


def write_decathlon(folder: Path) -> None:
    """Write compressed NIfTI in the Decathlon's layout."""
    write_dataset(folder, KIND, SUBJECTS, SIZE)


def write_nnunet(folder: Path) -> None:
    """Write NIfTI in nnU-Net's layout, with an ignored value and no compression."""
    for name, phantom in phantoms().items():
        save_volume(folder / "imagesTr" / f"{name}_0000.nii", phantom.image, phantom.affine)
        save_volume(folder / "labelsTr" / f"{name}.nii", phantom.label, phantom.affine)
    labels = {"background": 0, **{name: value for value, name in LABELS[KIND].items()}, "ignore": 9}
    description = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": SUBJECTS, "file_ending": ".nii"}
    (folder / "dataset.json").write_text(json.dumps(description))


def write_bids(folder: Path) -> None:
    """Write compressed NIfTI in BIDS, with a table of names."""
    for number, phantom in enumerate(phantoms().values()):
        subject = f"sub-{number}"
        save_volume(folder / subject / "anat" / f"{subject}_T1w.nii.gz", phantom.image, phantom.affine)
        derived = folder / "derivatives" / "drawn" / subject / "anat" / f"{subject}_dseg.nii.gz"
        save_volume(derived, phantom.label, phantom.affine)
    rows = "".join(f"{value}\t{name}\n" for value, name in LABELS[KIND].items())
    (folder / "derivatives" / "drawn" / "dseg.tsv").write_text(f"index\tname\n{rows}")


def write_manifest(folder: Path) -> None:
    """Write volumes of the format that the folder is called after, listed in a manifest."""
    rows = ["subject,image,label"]
    for name, phantom in phantoms().items():
        paths = [Path(kind) / f"{name}{SUFFIXES[folder.name]}" for kind in ("images", "labels")]
        for path, array in zip(paths, (phantom.image, phantom.label), strict=True):
            save_volume(folder / path, array, phantom.affine)
        rows.append(f"{name},{paths[0]},{paths[1]}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "labels.json").write_text(json.dumps({str(value): name for value, name in LABELS[KIND].items()}))


def write_head_images(folder: Path) -> None:
    """Write the middle slices as 2D images of the format that the folder is called after, in colour if it is BMP."""
    for name, phantom in phantoms().items():
        middle = phantom.image.shape[2] // 2
        grey = np.clip((phantom.image[:, :, middle].T + 200) / 2, 0, 255).astype(np.uint8)
        image = np.repeat(grey[..., np.newaxis], 3, axis=2) if folder.name == "bmp" else grey
        mask = np.where(phantom.label[:, :, middle].T > 0, 255, 0).astype(np.uint8)
        for kind, pixels in (("images", image), ("masks", mask)):
            path = folder / kind / f"{name}.{folder.name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def write_dicom(folder: Path) -> None:
    """Write DICOM series beside label maps."""
    for name, phantom in phantoms().items():
        to_lps = np.diag([-1, -1, 1, 1]) @ phantom.affine
        for place in range(phantom.image.shape[2]):
            tags = {**_geometry(to_lps), "ImagePositionPatient": (to_lps @ [0, 0, place, 1])[:3].round(4).tolist()}
            tags |= {"SOPClassUID": CTImageStorage, "Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": 0}
            pixels = phantom.image[:, :, place].T
            _save_dicom(folder / "images" / name / f"{place:03d}.dcm", f"1.2.3.{name[-1]}", tags, pixels)
        save_volume(folder / "labels" / f"{name}.nii.gz", phantom.label, phantom.affine)


def write_enhanced(folder: Path) -> None:
    """Write enhanced DICOM files beside label maps."""
    for name, phantom in phantoms().items():
        to_lps = np.diag([-1, -1, 1, 1]) @ phantom.affine
        geometry = _geometry(to_lps)
        frames = []
        for place in range(phantom.image.shape[2]):
            position = (to_lps @ [0, 0, place, 1])[:3].round(4).tolist()
            frames.append(_group("PlanePositionSequence", ImagePositionPatient=position))
        measures = {key: geometry[key] for key in ("PixelSpacing", "SliceThickness")}
        shared = _group("PixelMeasuresSequence", **measures)
        orientation = _item(ImageOrientationPatient=geometry["ImageOrientationPatient"])
        shared.PlaneOrientationSequence = Sequence([orientation])
        tags = {"SOPClassUID": EnhancedMRImageStorage, "Modality": "MR", "NumberOfFrames": len(frames)}
        tags |= {
            "SharedFunctionalGroupsSequence": Sequence([shared]),
            "PerFrameFunctionalGroupsSequence": Sequence(frames),
        }
        pixels = phantom.image.transpose(2, 1, 0)
        _save_dicom(folder / "images" / name / "1.dcm", f"1.2.4.{name[-1]}", tags, pixels)
        save_volume(folder / "labels" / f"{name}.nii.gz", phantom.label, phantom.affine)


def write_settings(folder: Path) -> None:
    """Write a recipe, a configuration, a study and splits for the Decathlon's cases."""
    folder.mkdir()
    for name, text in (("recipe", RECIPE), ("config", CONFIG), ("study", STUDY)):
        (folder / f"{name}.yaml").write_text(text)
    cases = [f"{KIND}_{subject:03d}" for subject in range(SUBJECTS)]
    (folder / "splits.json").write_text(json.dumps([{"train": cases[:2], "val": [cases[2]], "test": [cases[3]]}]))


def write_prepared(folder: Path) -> None:
    """Prepare the Decathlon's cases, with kept masks."""
    sound = folder.parent
    _tfseg("prep", "--data", sound / "decathlon", "--recipe", sound / "settings" / "recipe.yaml", "--out", folder)


def write_run(folder: Path) -> None:
    """Train a small network on the prepared cases."""
    _tfseg("fit", "--prepared", folder.parent / "prepared", "--loss", "dice", "--out", folder, *SMALL)


def write_comparison(folder: Path) -> None:
    """Compare two losses on the prepared cases."""
    _tfseg("compare", "--prepared", folder.parent / "prepared", "--losses", "dice,bce", "--out", folder, *SMALL)


# Each writes a folder of its name; later ones need earlier ones, the last two need TensorFlow.
SOUND: dict[str, Callable[[Path], None]] = {
    "decathlon": write_decathlon,
    "nnunet": write_nnunet,
    "bids": write_bids,
    **dict.fromkeys(SUFFIXES, write_manifest),
    **dict.fromkeys(("png", "jpg", "tif", "bmp"), write_head_images),
    "dicom": write_dicom,
    "enhanced": write_enhanced,
    "settings": write_settings,
    "prepared": write_prepared,
    "run": write_run,
    "comparison": write_comparison,
}


def _tfseg(*arguments: str | Path) -> None:
    command = [sys.executable, "-c", "from tfseg.cli.app import main; main()", *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


def _geometry(to_lps: np.ndarray) -> dict[str, object]:
    spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
    return {
        "ImageOrientationPatient": (to_lps[:3, :2] / spacing[:2]).T.ravel().round(6).tolist(),
        "PixelSpacing": spacing[[1, 0]].round(6).tolist(),
        "SliceThickness": float(spacing[2]),
    }


def _item(**tags: object) -> Dataset:
    item = Dataset()
    for name, value in tags.items():
        setattr(item, name, value)
    return item


def _group(sequence: str, **tags: object) -> Dataset:
    return _item(**{sequence: Sequence([_item(**tags)])})


def _save_dicom(path: Path, series: str, tags: dict[str, object], pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = tags["SOPClassUID"]
    meta.MediaStorageSOPInstanceUID = f"{series}.{int(path.stem)}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    stored = pixels.round().astype("<i2")
    own = {"SOPInstanceUID": meta.MediaStorageSOPInstanceUID, "StudyInstanceUID": "1.2", "SeriesInstanceUID": series}
    own |= {"Rows": stored.shape[-2], "Columns": stored.shape[-1], "SamplesPerPixel": 1, "BitsAllocated": 16}
    own |= {"BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1, "PhotometricInterpretation": "MONOCHROME2"}
    for name, value in {**own, **tags, "PixelData": stored.tobytes()}.items():
        setattr(file, name, value)
    file.save_as(path, enforce_file_format=True)
