"""Peak memory of predicting one large scan, the whole process counted: 512×512×600 voxels, 6 classes, or 256³.

    python benchmarks/prediction_memory.py              # slices as the scan stores them
    python benchmarks/prediction_memory.py --resampled  # slices of 384×384, interpolated back to the scan's grid
    python benchmarks/prediction_memory.py --scan       # as tfseg predict: read from NIfTI and prepared, too
    python benchmarks/prediction_memory.py --windows    # 256³ voxels from NIfTI, windows of 64³ by `unet_3d`

The network of slices is small, since its own activations do not depend on the number of slices. The bar is 4 GiB.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SHAPE, CLASSES, BATCH = (512, 512, 600), 6, 8
CUBE, WINDOW, WINDOWS_BATCH = (256, 256, 256), (64, 64, 64), 4
SPACING_MM = (0.7, 0.7, 1.0)


def write_slices(path: Path, slices: int, side: int) -> None:
    """Write noise float32 `[slice, side, side, 1]`, slice by slice."""
    image = np.lib.format.open_memmap(path, "w+", np.float32, (slices, side, side, 1))
    for index in range(slices):
        image[index] = np.random.default_rng(index).random((side, side, 1))
    image.flush()


def predict(folder: Path, side: int) -> float:
    """Predict a scan whose prepared slices have `side` pixels, and write its label map; return the seconds."""
    from tfseg.datasets.volume import write_volume
    from tfseg.models import unet_2d
    from tfseg.prediction.forward import compiled_forward
    from tfseg.prediction.slices import SlicePredictor, label_volume
    from tfseg.preparation.slicing import SliceGrid
    from tfseg.prepared.prepared import PreparedCase
    from tfseg.prepared.stored import StoredArray
    from tfseg.prepared.targets import Targets

    write_slices(folder / "image.npy", SHAPE[2], side)
    resampled = None if side == SHAPE[0] else (side, side, SHAPE[2])
    grid = SliceGrid.of(SHAPE, np.diag([*SPACING_MM, 1.0]), "axial", (side, side), resampled=resampled)
    case = PreparedCase("scan", "scan", StoredArray.open(folder / "image.npy"), np.zeros((1, 1, 1), np.uint8), grid)
    model = unet_2d((side, side, 1), CLASSES, filters=2, depth=2)
    started = time.perf_counter()
    targets = Targets({value: str(value) for value in range(1, CLASSES)})
    labels = label_volume(SlicePredictor(compiled_forward(model), BATCH), case, targets)
    write_volume(folder / "labels.nii.gz", labels, np.asarray(grid.affine))
    return time.perf_counter() - started


def predict_file(folder: Path, side: int, windows: bool = False) -> float:
    """Predict a scan from its NIfTI file, as `tfseg predict` does; return the seconds, and print the estimate."""
    import nibabel as nib

    from tfseg.core import memory
    from tfseg.datasets.layouts import Case
    from tfseg.datasets.reading import read_case_header
    from tfseg.models import unet_2d, unet_3d
    from tfseg.prediction.description import Description
    from tfseg.prediction.ensemble import Member
    from tfseg.prediction.forward import compiled_forward
    from tfseg.prediction.likeness import UsualScans
    from tfseg.prediction.memory_needs import peak_bytes
    from tfseg.prediction.model import Model
    from tfseg.prediction.predict import Options, predict_scan
    from tfseg.preparation.steps import Recipe
    from tfseg.prepared.targets import Targets

    scan = CUBE if windows else SHAPE
    hounsfield = np.empty(scan, np.int16, order="F")
    for index in range(scan[2]):
        hounsfield[:, :, index] = np.random.default_rng(index).integers(-1000, 1000, scan[:2])
    nib.save(nib.Nifti1Image(hounsfield, np.diag([*SPACING_MM, 1.0])), folder / "scan.nii")
    del hounsfield
    step_mm = SPACING_MM[0] * scan[0] / side
    recipe = Recipe(
        axis="axial",
        window_hu=(-160, 240),
        scaling="minmax",
        size=(side, side),
        spacing_mm="own" if side == scan[0] else (step_mm, step_mm, None),
    )
    shape, overlap, batch = (WINDOW, 0.5, WINDOWS_BATCH) if windows else ((side, side), 0.0, BATCH)
    network = unet_3d((*WINDOW, 1), CLASSES) if windows else unet_2d((side, side, 1), CLASSES, filters=2, depth=2)
    targets = Targets({value: str(value) for value in range(1, CLASSES)})
    scans = UsualScans(("RAS",), tuple((step, step) for step in SPACING_MM), ())
    description = Description(recipe, ("CT",), targets, False, shape, overlap, batch, (), scans, {})
    forward = compiled_forward(network)
    model = Model("small", description, (Member("small", frozenset(), lambda: forward),), ())
    case = Case("scan", "scan", (folder / "scan.nii",))
    estimate = memory.resident_bytes() + peak_bytes(read_case_header(case), description, batch)
    print(f"estimated peak: {estimate / 2**30:.2f} GiB")
    memory.reset_peak()
    started = time.perf_counter()
    predict_scan(case, model, Options(), batch, folder / "out")
    print(f"peak while predicting: {memory.peak_bytes() / 2**30:.2f} GiB")
    return time.perf_counter() - started


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resampled", action="store_true")
    parser.add_argument("--scan", action="store_true")
    parser.add_argument("--windows", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if asked.windows:
            seconds = predict_file(Path(name), CUBE[0], windows=True)
        else:
            measured = predict_file if asked.scan else predict
            seconds = measured(Path(name), 384 if asked.resampled else SHAPE[0])
    unit = 1 if sys.platform == "darwin" else 1024
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    size = CUBE if asked.windows else SHAPE
    print(f"{'×'.join(map(str, size))}, {CLASSES} classes: {peak_gib:.2f} GiB at the peak, {seconds:.0f} s")
