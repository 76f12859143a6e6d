"""Peak memory of predicting one large scan: 512×512×600 voxels, 6 classes, the whole process counted.

    python benchmarks/prediction_memory.py              # slices as the scan stores them
    python benchmarks/prediction_memory.py --resampled  # slices of 384×384, interpolated back to the scan's grid

The network is small, since its own activations do not depend on the number of slices. The bar is 4 GiB.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SHAPE, CLASSES, BATCH = (512, 512, 600), 6, 8
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resampled", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        seconds = predict(Path(name), 384 if asked.resampled else SHAPE[0])
    unit = 1 if sys.platform == "darwin" else 1024
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    print(f"{'×'.join(map(str, SHAPE))}, {CLASSES} classes: {peak_gib:.2f} GiB at the peak, {seconds:.0f} s")
