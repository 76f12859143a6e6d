"""Small datasets that every test may read, none may change."""

import gc
import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

# TensorFlow reads these when it is imported; the command line sets them too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# TensorFlow and JAX compile by XLA for a few calls on small arrays here, which faster machine code would not shorten.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

import nibabel as nib
import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")


# The files that take longest, longest first: begun early, none of them is left over while the other worker has ended.
LONGEST = (
    "test_studies.py",
    "runs/test_parallel.py",
    "training/test_fit.py",
    "losses/test_keras.py",
    "cli/test_tune.py",
    "cli/test_train.py",
    "comparison/test_comparison.py",
    "tuning/test_sweep_on_ray.py",
    "training/test_resuming.py",
    "cli/test_predict.py",
    "test_style.py",
    "comparison/test_tuned.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first; the others keep their order."""
    place = {Path(__file__).parent / file: number for number, file in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))


def pytest_collection_finish() -> None:
    """Keep what is imported by now out of garbage collection, which would walk through all of TensorFlow each time."""
    gc.collect()
    gc.freeze()


SHAPE = (24, 28, 6)
SPACING_MM = (1.0, 1.0, 3.0)


def write_decathlon(
    folder: Path,
    scans: Mapping[str, tuple[nib.Nifti1Image, nib.Nifti1Image]],
    labels: Mapping[int, str],
    channels: Sequence[str] = ("MRI",),
) -> Path:
    """Write images and label maps, by case, in the layout of the Medical Segmentation Decathlon."""
    for name, (image, label) in scans.items():
        for kind, volume in (("imagesTr", image), ("labelsTr", label)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            nib.save(volume, folder / kind / f"{name}.nii.gz")
    description = {
        "name": folder.name,
        "modality": {str(index): channel for index, channel in enumerate(channels)},
        "labels": {"0": "background", **{str(value): name for value, name in labels.items()}},
        "training": [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in scans],
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def blobs(seed: int, labels: int) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """A noisy scan of one bright ellipsoid a label, each brighter than the one before."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.indices(SHAPE), axis=-1)
    label = np.zeros(SHAPE, np.uint8)
    for value in range(1, labels + 1):
        centre = np.array([6 + 11 * (value - 1), 14, 2.5]) + rng.uniform(-1.5, 1.5, 3)
        radii = np.array([4.5, 7, 2.5]) + rng.uniform(-0.5, 0.5, 3)
        label[(((grid - centre) / radii) ** 2).sum(axis=-1) <= 1] = value
    image = (100 + 80 * label + rng.normal(0, 15, SHAPE)).astype(np.float32)
    affine = np.diag([*SPACING_MM, 1.0])
    return nib.Nifti1Image(image, affine), nib.Nifti1Image(label, affine)


def _prepare(folder: Path, out: Path):
    from tfseg.datasets.layouts import read_dataset
    from tfseg.preparation.prepare import prepare_dataset
    from tfseg.preparation.recipe import Recipe, resolve
    from tfseg.prepared.prepared import Prepared

    dataset = read_dataset(folder)
    prepare_dataset(dataset, resolve(Recipe(), dataset), out)
    return Prepared(out)


@pytest.fixture(scope="session")
def make_decathlon() -> Callable[..., Path]:
    """Writes a dataset of given images and label maps: `write_decathlon`."""
    return write_decathlon


@pytest.fixture(scope="session")
def decathlon(tmp_path_factory) -> Path:
    """Six subjects with two labels, 24×28×6 voxels of 1×1×3 mm."""
    scans = {f"case_{seed}": blobs(seed, labels=2) for seed in range(6)}
    return write_decathlon(tmp_path_factory.mktemp("data") / "blobs", scans, {1: "left", 2: "right"})


@pytest.fixture(scope="session")
def decathlon_one_label(tmp_path_factory) -> Path:
    """As `decathlon`, with one label."""
    scans = {f"case_{seed}": blobs(seed, labels=1) for seed in range(6)}
    return write_decathlon(tmp_path_factory.mktemp("data") / "blob", scans, {1: "blob"})


@pytest.fixture(scope="session")
def prepared(decathlon, tmp_path_factory):
    """`decathlon` prepared by the recipe derived from it: six slices of 32×32 a case."""
    return _prepare(decathlon, tmp_path_factory.mktemp("prepared") / "blobs")


@pytest.fixture(scope="session")
def prepared_one_label(decathlon_one_label, tmp_path_factory):
    """`decathlon_one_label` prepared by the recipe derived from it."""
    return _prepare(decathlon_one_label, tmp_path_factory.mktemp("prepared") / "blob")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real scans beside the checkout; tests that need it are skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder shared/ with real scans beside the checkout")
    return folder


class Page(HTMLParser):
    """Read a page: its tags with attributes, whether they close, its text, and its tables' cells."""

    VOID = ("meta", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="session")
def read_page() -> Callable[[str], Page]:
    """Reads the text of an HTML page: `Page`."""
    return Page


def _save_volume(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine, dtype=array.dtype), path)
    return path


def _save_image_2d(path: Path, rows: np.ndarray, mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(rows)
    (image.convert(mode) if mode else image).save(path)
    return path


@pytest.fixture(scope="session")
def save_volume() -> Callable[..., Path]:
    """Writes an array as NIfTI, of its own type."""
    return _save_volume


@pytest.fixture(scope="session")
def save_image_2d() -> Callable[..., Path]:
    """Writes `[row, column]` or `[row, column, colour]` as a 2D image."""
    return _save_image_2d


@pytest.fixture(scope="session")
def alone_on_network() -> list[str]:
    """Words before a command, by which Ray listens where nobody else can reach it; none if the system refuses."""
    inside = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    try:
        return inside if subprocess.run([*inside, "true"], capture_output=True).returncode == 0 else []
    except OSError:
        return []


@pytest.fixture
def jobs_here(monkeypatch):
    """Runs jobs in this process, which saves the seconds in which a fresh one starts; returns them as they come."""
    from tfseg.runs.cell import CellFailed, run_cell_here
    from tfseg.runs.dispatch import Outcome
    from tfseg.runs.reporting import Reporter

    jobs = []

    def run(job, gpus=None):
        jobs.append(job)
        progress = Reporter(job.cell, job.stop_after).progress
        where = (Path(job.prepared), job.split, job.fold, job.seed, job.devices, job.threads, job.cell)
        try:
            run_cell_here(job.config, *where, arm=job.arm, progress=progress)
        except CellFailed as error:
            return Outcome(failed=str(error))
        return Outcome()

    monkeypatch.setattr("tfseg.runs.pools.run_fresh", run)
    return jobs
