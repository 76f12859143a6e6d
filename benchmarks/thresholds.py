"""Segment the phantoms by thresholds, so that a network's Dice on them can be judged.

    python benchmarks/thresholds.py [--kind abdomen --subjects 16 --size 45]

The best window of intensities is fitted, per label, on all but the last quarter of the subjects, and tested there.
Otsu's three thresholds make four classes; the best of them is chosen with the truth in hand. Of several channels the
better one counts.
"""

import argparse

import numpy as np
from skimage.filters import threshold_multiotsu

from tfseg.datasets.phantoms.dataset import CHANNELS, LABELS, make_phantom

BINS = 200
OTSU_CLASSES = 4


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Dice of two masks."""
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def in_range(kind: str, image: np.ndarray) -> np.ndarray:
    """CT within a wide window of soft tissue; MR, whose units are arbitrary, divided by its bright end."""
    return np.clip(image, -200, 300) if kind == "abdomen" else np.minimum(image / np.percentile(image, 99), 1.5)


def best_window(images: list[np.ndarray], truths: list[np.ndarray]) -> tuple[float, float]:
    """The window of the highest pooled Dice, out of all pairs of edges."""
    values, truth = (np.concatenate([part.ravel() for part in parts]) for parts in (images, truths))
    counts, edges = np.histogram(values, BINS)
    everything, inside = (np.append(0, np.cumsum(part)) for part in (counts, np.histogram(values[truth], edges)[0]))
    lower, upper = np.triu_indices(len(edges), 1)
    hits, size = inside[upper] - inside[lower], everything[upper] - everything[lower]
    best = np.argmax(2 * hits / (size + truth.sum()))
    return edges[lower[best]], edges[upper[best]]


def otsu(image: np.ndarray, truth: np.ndarray) -> float:
    """Dice of the best of Otsu's classes."""
    classes = np.digitize(image, threshold_multiotsu(image, OTSU_CLASSES))
    return max(dice(classes == value, truth) for value in range(OTSU_CLASSES))


def main() -> None:
    """Print a row for each label."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=list(LABELS), default="abdomen")
    parser.add_argument("--subjects", type=int, default=16)
    parser.add_argument("--size", type=int, default=45)
    asked = parser.parse_args()
    phantoms = [make_phantom(asked.kind, 0, subject, asked.size) for subject in range(asked.subjects)]
    fitted = asked.subjects - asked.subjects // 4
    channels = [
        [in_range(asked.kind, p.image if p.image.ndim == 3 else p.image[..., channel]) for p in phantoms]
        for channel in range(len(CHANNELS[asked.kind]))
    ]
    print("| label | best window | Otsu, best class |\n| --- | ---: | ---: |")
    for number, name in LABELS[asked.kind].items():
        truths = [phantom.label == number for phantom in phantoms]
        windows, classes = [], []
        for images in channels:
            low, high = best_window(images[:fitted], truths[:fitted])
            tested = [pair for pair in zip(images[fitted:], truths[fitted:], strict=True) if pair[1].any()]
            windows.append(np.mean([dice((image >= low) & (image <= high), truth) for image, truth in tested]))
            classes.append(np.mean([otsu(image, truth) for image, truth in tested]))
        print(f"| {name} | {max(windows):.3f} | {max(classes):.3f} |")


if __name__ == "__main__":
    main()
