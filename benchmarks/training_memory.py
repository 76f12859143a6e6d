"""Memory of a training: its peak beside PyTorch's with the same network, and whether it grows over epochs.

    python benchmarks/training_memory.py [--epochs 50] [--peer-python .venv-peers/bin/python]

Each runs in a process of its own, so that the peak is that of the library, the network and the data together.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import tensorflow as tf
from training_throughput import prepare_phantoms

from tfseg.config.config import load_config
from tfseg.datasets.splits import Split
from tfseg.prepared.prepared import Prepared
from tfseg.training.fit import Progress, train

SETTLED = 3  # epochs after which graphs are made and the data are in memory


def resident_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def train_here(folder: Path, out: Path, batch_size: int, epochs: int) -> None:
    """Train in this process; print the resident memory after each epoch, and the peak, in MiB."""
    config = load_config(None, [f"training.batch_size={batch_size}", f"training.epochs={epochs}"])
    prepared = Prepared(folder)
    split = Split(*((subject,) for subject in prepared.subjects))
    resident: list[float] = []
    listener = Progress(on_epoch=lambda epoch, logs: resident.append(resident_mib()))
    train(config, prepared, split, 0, out, tf.distribute.get_strategy(), listener)
    print(json.dumps({"resident": resident, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def torch_peak_mib(python: str, prepared: Prepared, batch_size: int) -> float:
    """Run the peer in its own environment for ten steps."""
    height, width, channels = prepared.image_shape
    numbers = map(str, (batch_size, height, width, channels, prepared.targets.channels, 10))
    script = Path(__file__).with_name("peer_torch_unet.py")
    done = subprocess.run([python, str(script), *numbers], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[1])


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--peer-python")
    parser.add_argument("--here", nargs=2, type=Path, metavar=("PREPARED", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        train_here(*arguments.here, arguments.batch_size, arguments.epochs)
        return
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare_phantoms(Path(folder), arguments.size)
        numbers = ["--batch-size", str(arguments.batch_size), "--epochs", str(arguments.epochs)]
        here = ["--here", str(prepared.folder), str(Path(folder) / "run")]
        done = subprocess.run([sys.executable, __file__, *numbers, *here], check=True, capture_output=True, text=True)
        measured = json.loads(done.stdout.splitlines()[-1])
        peer = torch_peak_mib(arguments.peer_python, prepared, arguments.batch_size) if arguments.peer_python else None
    settled, last = measured["resident"][SETTLED - 1], measured["resident"][-1]
    print(f"{arguments.batch_size}×{arguments.size}×{arguments.size}, resident memory of the whole process")
    print(f"after epoch {SETTLED}: {settled:.0f} MiB")
    print(f"after epoch {arguments.epochs}: {last:.0f} MiB, {last / settled:.3f} of it")
    print(f"peak of tfseg: {measured['peak']:.0f} MiB")
    if peer is not None:
        print(f"peak of PyTorch, channels last: {peer:.0f} MiB; tfseg's is {measured['peak'] / peer:.2f} of it")


if __name__ == "__main__":
    main()
