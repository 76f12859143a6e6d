"""Dropout passes over a volume beside as many naive passes, beside as many plain passes, and their peak memory.

    python benchmarks/sampling.py                # 8 slices of 256×256, 20 passes, dropout as in Kethavath 2025
    python benchmarks/sampling.py --dropout 0 0.2  # the default network
    python benchmarks/sampling.py --threads 1

A naive pass is the same network, its dropout layers drawn as Keras draws them, on every batch of slices. The bar: at
most 0.85 of its time. Rounds alternate between the kinds, and the least time of each counts. The peak memory is that of
a process that samples with 5 passes, and of another with 40.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import numpy as np

SLICES, SIDE, BATCH, PASSES, CLASSES = 8, 256, 4, 20, 3


def kinds(passes: int, dropout: tuple[float, float]) -> dict[str, Callable[[], object]]:
    """Return a call for each kind, which makes all passes over the volume."""
    import keras
    import tensorflow as tf

    from tfseg.models import unet_2d
    from tfseg.prediction.dropout import dropout_passes
    from tfseg.prediction.forward import compiled_forward
    from tfseg.prediction.moments import Moments
    from tfseg.prediction.sampling import sample, sampling_predictor
    from tfseg.prediction.slices import SlicePredictor

    keras.utils.set_random_seed(0)
    network = unet_2d((SIDE, SIDE, 1), CLASSES, dropout=dropout)
    image = np.random.default_rng(0).normal(size=(SLICES, SIDE, SIDE, 1)).astype(np.float32)
    moments = Moments(CLASSES, "softmax")
    drawn = moments.of_passes(dropout_passes(network))
    predictor = sampling_predictor([drawn], moments, lambda each: SlicePredictor(each, BATCH), "a", passes, 0, BATCH)
    plain = compiled_forward(network)
    naive_network = keras.models.clone_model(network, clone_function=lambda layer: layer)
    for layer in naive_network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False  # so that training=True leaves it in inference mode
    signature = [tf.TensorSpec([None, SIDE, SIDE, 1])]
    naive = tf.function(lambda images: naive_network(images, training=True), input_signature=signature, autograph=False)

    def all_passes(forward: Callable[[np.ndarray], object]) -> None:
        for _ in range(passes):
            for start in range(0, SLICES, BATCH):
                np.asarray(forward(image[start : start + BATCH]))

    return {
        "plain passes": lambda: all_passes(plain),
        "naive dropout passes": lambda: all_passes(naive),
        "tfseg's sampling": lambda: sample(predictor, moments, image),
    }


def compare(rounds: int, dropout: tuple[float, float]) -> None:
    """Print the seconds of each kind, and the ratios."""
    from timing import once

    calls = kinds(PASSES, dropout)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):  # the first traces graphs, too
        for name, call in calls.items():
            seconds[name].append(once(call)["cpu_s"])
    best = {name: min(each) for name, each in seconds.items()}
    for name, each in best.items():
        print(f"{PASSES} {name:22} {each:7.2f} s of processors")
    ours = best["tfseg's sampling"]
    print(
        f"sampling takes {ours / best['naive dropout passes']:.3f} of naive, {ours / best['plain passes']:.3f} of plain"
    )


def peak_mib(passes: int, dropout: tuple[float, float]) -> float:
    """Return by how much the memory of this process grows at most while it samples, after one call to warm up."""
    from measuring import peak_mib as grown

    call = kinds(passes, dropout)["tfseg's sampling"]
    call()
    return grown(call)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dropout", type=float, nargs=2, default=(0.15, 0.3), help="first and last rate")
    parser.add_argument("--peak", type=int, help="print the peak memory of so many passes, in MiB")
    asked = parser.parse_args()

    from tfseg.training.strategy import set_threads

    set_threads(asked.threads)
    if asked.peak:
        print(f"{peak_mib(asked.peak, asked.dropout):.0f}")
        return
    for passes in (5, 40):
        same = ["--threads", str(asked.threads), "--dropout", *map(str, asked.dropout)]
        command = [sys.executable, __file__, *same, "--peak", str(passes)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"{passes} passes: peak of {printed.strip()} MiB")
    compare(asked.rounds, asked.dropout)


if __name__ == "__main__":
    main()
