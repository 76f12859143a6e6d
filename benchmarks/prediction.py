"""The time of `tfseg predict` on every scan of a dataset beside the bare forward passes over its prepared slices.

    python benchmarks/prediction.py Task04_Hippocampus

Trains the default network for two steps, since its speed does not depend on what it learnt, then predicts all scans
from their files, in this process. The bar: at most twice the time of the forward passes.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from timing import once

SETTINGS = [
    "folds={scheme: holdout}",
    "training.epochs=1",
    "training.steps_per_epoch=2",
    "training.picture_every=null",
]


def measure(data: Path, folder: Path) -> None:
    """Print the seconds of both, and their ratio."""
    from tfseg.cli.datasets import Source
    from tfseg.cli.predict import Chosen, predict
    from tfseg.cli.train import fit
    from tfseg.config.config import load_config
    from tfseg.prediction.predict import Options
    from tfseg.runs.folder import open_prepared
    from tfseg.runs.members import model_of

    run = folder / "run"
    fit(load_config(None, SETTINGS), Source(data=data), run, None, None, "benchmarks/prediction.py")
    model, prepared = model_of(run), open_prepared(run)
    forward, batch = model.members[0].load(), model.description.batch_size
    images = [np.asarray(prepared.case(name).image) for name in prepared.index["case"]]
    forward(np.ascontiguousarray(images[0][:batch]))  # traces the graph

    def passes() -> None:
        for image in images:
            for start in range(0, len(image), batch):
                forward(image[start : start + batch])

    bare = once(passes)
    whole = once(lambda: predict(Chosen((run,)), data / "imagesTr", folder / "out", Options()))
    for name, seconds in (("forward passes", bare), ("tfseg predict", whole)):
        print(f"{name:16} {seconds['clock_s']:7.1f} s, {seconds['cpu_s']:7.1f} s of processors")
    print(
        f"{len(images)} scans: {whole['clock_s'] / bare['clock_s']:.2f} times the clock, "
        f"{whole['cpu_s'] / bare['cpu_s']:.2f} times the processor time"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a dataset with imagesTr")
    with tempfile.TemporaryDirectory() as name:
        measure(parser.parse_args().data, Path(name))
