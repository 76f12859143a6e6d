"""HD, HD95, ASSD and NSD of a tumour of 240×240×155 voxels, beside MONAI, medpy and surface-distance.

    python benchmarks/scores.py --peer-python .venv-peers/bin/python [--label LABEL.nii.gz]

Rounds alternate between tfseg and the peers, so that what else the machine does falls on all of them alike, and of
all calls the least time counts. Each peer's value stands beside tfseg's by the same definition; where that is not
the definition of a tfseg score, tfseg's distances are reduced by the peer's.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from timing import least

from tfseg import metrics
from tfseg.core.geometry import Mask, dilate
from tfseg.datasets.formats import read_label
from tfseg.metrics import surface

SHAPE = (240, 240, 155)
SPACING_MM = (1.0, 1.0, 1.0)
TOLERANCE_MM = 1.0
FOUR, SCORE = "tfseg HD, HD95, ASSD, NSD", "tfseg score (all twelve)"


def synthetic_tumour() -> Mask:
    """A ball of radius 32 whose boundary smooth noise moves by 8 (standard deviation)."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), 6)
    offsets = np.indices(SHAPE).reshape(3, -1).T - (150, 110, 80)
    return np.linalg.norm(offsets, axis=1).reshape(SHAPE) + 8 * noise / noise.std() < 32


def prediction_of(truth: Mask) -> Mask:
    """The truth moved by (2, -1, 1) voxels and grown by 1 mm."""
    return dilate(np.roll(truth, (2, -1, 1), axis=(0, 1, 2)), 1.0, SPACING_MM)


def four_scores(truth: Mask, prediction: Mask) -> dict[str, float]:
    """HD, HD95, ASSD and NSD from distances that are measured once."""
    distances = surface.surface_distances(truth, prediction, SPACING_MM)
    return {
        "hd": surface.hd(distances),
        "hd95": surface.hd95(distances),
        "assd": surface.assd(distances),
        "nsd": surface.nsd(distances, TOLERANCE_MM),
    }


def by_definition(truth: Mask, prediction: Mask) -> dict[str, float]:
    """Each peer's score, by its own definition, from tfseg's distances; NSD by areas has none."""
    scores = four_scores(truth, prediction)
    distances = surface.surface_distances(truth, prediction, SPACING_MM)
    return {
        "MONAI HD": scores["hd"],
        "MONAI HD95": scores["hd95"],
        "MONAI ASSD": scores["assd"],
        "MONAI NSD": scores["nsd"],
        "MONAI, both directed ASD": surface.masd(distances),
        "medpy HD95": float(np.percentile(np.concatenate(distances), 95)),
    }


def measure(truth: Mask, prediction: Mask, peer_python: str, masks: Path) -> dict[str, dict[str, Any]]:
    """One round: tfseg here, the peers in their environment."""
    labels = {1: "tumour"}
    measured = {
        FOUR: least(lambda: four_scores(truth, prediction)),
        SCORE: least(lambda: metrics.score(truth, prediction, labels=labels, spacing_mm=SPACING_MM)),
    }
    script = Path(__file__).with_name("peer_scores.py")
    done = subprocess.run([peer_python, str(script), str(masks)], check=True, capture_output=True, text=True)
    return measured | json.loads(done.stdout)


def main() -> None:
    """Measure, and print times, values and the ratio to MONAI's four calls."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--label", type=Path, help="label map of 1 mm, a tumour where not 0; a synthetic one if absent")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    truth = read_label(arguments.label).array > 0 if arguments.label else synthetic_tumour()
    prediction = prediction_of(truth)
    with tempfile.TemporaryDirectory() as folder:
        masks = Path(folder) / "masks.npz"
        np.savez(masks, truth=truth, prediction=prediction, spacing_mm=SPACING_MM, tolerance_mm=TOLERANCE_MM)
        rounds = [measure(truth, prediction, arguments.peer_python, masks) for _ in range(arguments.rounds)]
    same = by_definition(truth, prediction)
    size = "×".join(map(str, truth.shape))
    print(f"{size}, {truth.sum()} voxels of truth, {prediction.sum()} of prediction; least of {len(rounds)} rounds, ms")
    best = {name: {time: min(r[name][time] for r in rounds) for time in ("cpu_ms", "clock_ms")} for name in rounds[0]}
    print(f"{'':26} {'processor':>9} {'clock':>7} {'value':>10} {'tfseg, same definition':>23}")
    for name, times in best.items():
        values = ""
        if name in same:
            values = f"{rounds[0][name]['value']:10.5f} {same[name]:23.5f}"
        print(f"{name:26} {times['cpu_ms']:9.0f} {times['clock_ms']:7.0f} {values}")
    for time, word in (("cpu_ms", "processor time"), ("clock_ms", "the clock")):
        monai = sum(best[f"MONAI {score}"][time] for score in ("HD", "HD95", "ASSD", "NSD"))
        print(f"by {word}, tfseg's four take {best[FOUR][time] / monai:.2f} of MONAI's four calls ({monai:.0f} ms)")
    worst = max(abs(rounds[0][name]["value"] - value) for name, value in same.items())
    print(f"largest difference from a peer, by its own definition: {worst:.1e}")


if __name__ == "__main__":
    main()
