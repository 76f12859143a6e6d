"""The time of `tfseg score` on a folder of label maps, against themselves shifted by one voxel.

python benchmarks/scoring_folder.py LABELS
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tfseg.datasets.formats import read_label
from tfseg.datasets.volume import write_volume


def main() -> None:
    """Shift, then run the command as a user does, from its start to its end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path, help="folder of NIfTI label maps")
    folder = parser.parse_args().labels
    with tempfile.TemporaryDirectory() as shifted:
        paths = sorted(folder.glob("*.nii.gz"))
        for path in paths:
            label = read_label(path)
            write_volume(Path(shifted) / path.name, np.roll(label.array, 1, axis=0), label.affine)
        command = [sys.executable, "-c", "from tfseg.cli.app import main; main()", "score", str(folder), shifted]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{len(paths)} cases: {seconds:.1f} s on the clock, {used.ru_utime + used.ru_stime:.1f} s of processors")


if __name__ == "__main__":
    main()
