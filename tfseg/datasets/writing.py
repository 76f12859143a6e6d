"""Write label maps and probabilities that lie on a scan, in the scan's own format if that holds labels."""

from pathlib import Path

import numpy as np

from tfseg.core.files import replacing
from tfseg.datasets import names
from tfseg.datasets.grids import Array, spacing_of
from tfseg.datasets.itk import LPS_TO_RAS
from tfseg.datasets.volume import write_volume

# The suffix of a label map by that of its scan; JPEG would change its values. Other scans have NIfTI label maps.
LABEL_SUFFIX = {
    ".nrrd": ".nrrd",
    ".nhdr": ".nrrd",
    ".mha": ".mha",
    ".mhd": ".mha",
    ".png": ".png",
    ".jpg": ".png",
    ".jpeg": ".png",
    ".tif": ".tif",
    ".tiff": ".tiff",
    ".bmp": ".png",
}
NIFTI = ".nii.gz"


def label_map_suffix(scan: Path) -> str:
    """Return the suffix of the label map of a scan, a file or the folder of a DICOM series.

    >>> label_map_suffix(Path("a.MHD")), label_map_suffix(Path("a.jpg")), label_map_suffix(Path("a.nii"))
    ('.mha', '.png', '.nii.gz')
    """
    return LABEL_SUFFIX.get(names.suffix(scan).lower(), NIFTI)


def write_label_map(path: Path, values: Array, affine: Array) -> None:
    """Write label values `[x, y, z]` in the format that the suffix names, in one step.

    Args:
        path: ends in one of the suffixes that `label_map_suffix` returns.
        values: unsigned integers; a 2D image has one slice.
        affine: 4×4 to RAS+ millimetres; 2D images have none in their file.
    """
    suffix = names.suffix(path).lower()
    if suffix in names.IMAGES_2D:
        _write_image_2d(path, values)
    elif suffix in names.ITK:
        _write_itk(path, values, affine)
    else:
        write_volume(path, values, affine)


def _write_image_2d(path: Path, values: Array) -> None:
    from PIL import Image

    rows = np.ascontiguousarray(values[:, :, 0].swapaxes(0, 1))
    with replacing(path) as temporary:
        Image.fromarray(rows).save(temporary)


def _write_itk(path: Path, values: Array, affine: Array) -> None:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    placed = LPS_TO_RAS @ affine
    spacing_mm = spacing_of(placed)
    image.SetSpacing(spacing_mm)
    image.SetOrigin(placed[:3, 3].tolist())
    image.SetDirection((placed[:3, :3] / spacing_mm).ravel().tolist())
    with replacing(path) as temporary:
        SimpleITK.WriteImage(image, str(temporary), useCompression=True)
