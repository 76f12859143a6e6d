"""Predict a volume by sliding windows beside MONAI: the same weights, windows, overlap and Gaussian.

    python benchmarks/windows.py --peer-python .venv-peers/bin/python
    python benchmarks/windows.py --peer-python .venv-peers/bin/python --threads 1 --rounds 1

The network is `unet_3d`, and its weights are copied to the same network in PyTorch. Both average probabilities, and
return classes. Rounds alternate between the two, each call in a process of its own. The bar: no slower, less memory.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import numpy as np
from measuring import peak_mib
from timing import once

WINDOW, OVERLAP, BATCH, CLASSES = 64, 0.5, 4, 3
PEER = Path(__file__).with_name("peer_monai_windows.py")


def write_inputs(folder: Path, side: int) -> None:
    """Write a noise volume `[side, side, side, 1]`, a network and its weights in the order of its layers."""
    import keras

    from tfseg.models import unet_3d

    keras.utils.set_random_seed(0)
    network = unet_3d((WINDOW, WINDOW, WINDOW, 1), CLASSES)
    network.save(folder / "network.keras")
    np.savez(folder / "weights.npz", *(array for layer in network.layers for array in layer.get_weights()))
    np.save(folder / "image.npy", np.random.default_rng(0).normal(size=(side, side, side, 1)).astype(np.float32))


def predict(folder: Path, threads: int) -> dict[str, float]:
    """Predict in this process; return its times and memory, and write the probabilities `[d, h, w, classes]`."""
    import keras

    from tfseg.core import memory
    from tfseg.prediction.forward import compiled_forward
    from tfseg.prediction.windows import WindowPredictor
    from tfseg.training.strategy import set_threads

    set_threads(threads)
    image = np.load(folder / "image.npy")
    forward = compiled_forward(keras.saving.load_model(folder / "network.keras"))
    predictor = WindowPredictor(forward, (WINDOW, WINDOW, WINDOW), OVERLAP, BATCH)
    forward(np.zeros((1, WINDOW, WINDOW, WINDOW, 1), np.float32))  # traces the graph
    grown: list[float] = []

    def classes() -> np.ndarray:
        return np.concatenate([block.argmax(axis=-1).astype(np.uint8) for block in predictor.blocks(image)])

    seconds = once(lambda: grown.append(peak_mib(classes)))
    measured = {**seconds, "grown_mib": grown[0], "peak_mib": memory.peak_bytes() / 2**20}
    np.save(folder / "tfseg.npy", np.concatenate(list(predictor.blocks(image))))
    return measured


def main() -> None:
    """Measure, and print medians, ratios within a round and the difference between the probabilities."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        print(json.dumps(predict(asked.only, asked.threads)))
        return
    rounds: list[list[dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, asked.side)
        own = [sys.executable, __file__, "--peer-python", "", "--only", name, "--threads", str(asked.threads)]
        peer = [asked.peer_python, str(PEER), name, *map(str, (asked.threads, WINDOW, OVERLAP, BATCH, CLASSES))]
        for _ in range(asked.rounds):
            rounds.append([])
            for command in (own, peer):
                printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                rounds[-1].append(json.loads(printed.splitlines()[-1]))
        ours, monai = np.load(folder / "tfseg.npy"), np.load(folder / "monai.npy")
    print(f"{asked.side}³, windows of {WINDOW}³, overlap {OVERLAP}, {CLASSES} classes, {asked.threads} threads")
    units = {
        "clock_s": "s on the clock",
        "cpu_s": "s of processors",
        "grown_mib": "MiB more while predicting",
        "peak_mib": "MiB at the peak",
    }
    for key, unit in units.items():
        own_median, peer_median = (statistics.median(each[key] for each in side) for side in zip(*rounds, strict=True))
        ratio = statistics.median(own[key] / peer[key] for own, peer in rounds)
        print(f"tfseg {own_median:7.1f}, MONAI {peer_median:7.1f} {unit}: {ratio:.2f} of MONAI's")
    print(f"probabilities differ by at most {np.abs(ours - monai).max():.1e}")


if __name__ == "__main__":
    main()
