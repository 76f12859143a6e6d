"""Compare real, tiny networks on scans with names that a page must escape."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfseg.comparison import estimate
from tfseg.comparison.endpoint import Endpoint
from tfseg.core.errors import RunError

HOSTILE = '<script>alert("x")</script> $y^2$ | & 海馬'
SUBJECTS = [f"s<i>{number}" for number in range(6)]


@pytest.fixture(scope="module")
def scans(tmp_path_factory, make_decathlon) -> Path:
    """Write six subjects of 24×28×6 voxels with two labels, the second absent in one subject."""
    rng = np.random.default_rng(0)
    pairs = {}
    for number, name in enumerate(SUBJECTS):
        label = np.zeros((24, 28, 6), np.uint8)
        label[4 : 12 + number % 3, 6:20, 1:5] = 1
        if number:
            label[15:20, 8 : 16 + number % 2, 1:5] = 2
        image = 100 * label + rng.normal(0, 15, label.shape).astype(np.float32)
        affine = np.diag([1.0, 1.0, 3.0, 1.0])
        pairs[name] = (nib.Nifti1Image(image.astype(np.float32), affine), nib.Nifti1Image(label, affine))
    return make_decathlon(tmp_path_factory.mktemp("data") / "scans", pairs, {1: "liver", 2: HOSTILE})


@pytest.fixture(scope="module")
def compare(scans):
    """Return a function that runs `tfseg compare` in this process on some losses and a folder.

    The reports of its runs, which take as long as their training, are only begun: `fit` is tested with them.
    """
    from tfseg.cli import train
    from tfseg.cli.datasets import Source
    from tfseg.comparison.study import Arm, load_study

    settings = ["model.filters=2", "model.depth=1", "training.epochs=2", "training.batch_size=6", "folds=2"]

    def run(
        losses: str | tuple, out: Path, *more: str, dry_run: bool = False, endpoint: Endpoint | None = None, tuning=None
    ) -> None:
        study = load_study(None, None, [*settings, *more], losses if isinstance(losses, str) else None, 1)
        if not isinstance(losses, str):
            study = replace(study, arms=tuple(map(Arm.of_loss, losses)))
        study = replace(study, endpoint=endpoint or study.endpoint)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(train, "write_report", lambda run: (run / "report.html").touch())
            train.compare(study, Source(data=scans), out, None, None, "tfseg compare", dry_run, tuning=tuning)

    return run


@pytest.fixture(scope="module")
def compared(compare, tmp_path_factory):
    """Compare two losses, then add a third and one that cannot be trained; return also the modification times."""
    out = tmp_path_factory.mktemp("cmp") / "cmp"
    with pytest.MonkeyPatch.context() as patched:
        # The estimate, which trains every arm once more, is tested on its own and by a dry run.
        patched.setattr(estimate, "estimate", lambda *_: estimate.Estimate(np.nan, 1, 0, 1, {}))
        compare("dice,ce", out)
        trained = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/*/best.keras")}
        unfit = {"name": "jaccard", "class_weights": [1, 2, 3, 4]}  # the scans have three classes
        with pytest.raises(RunError, match="2 of 8 networks failed") as failed:
            compare(({"name": "bce"}, unfit), out)
    return out, trained, str(failed.value)


@pytest.fixture
def cell_facts():
    """Return a function that reads the `fold.json` of every finished network: (run, fold) → content."""

    def read(out: Path) -> dict[tuple[str, str], dict]:
        return {
            (path.parent.parent.name, path.parent.name): json.loads(path.read_text())
            for path in out.glob("runs/*/*/fold.json")
        }

    return read
