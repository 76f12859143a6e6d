import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tfseg import metrics
from tfseg.config.config import Config
from tfseg.core import geometry
from tfseg.core.errors import RunError
from tfseg.datasets.formats import read_label
from tfseg.datasets.layouts import read_dataset
from tfseg.datasets.splits import make_splits, to_json
from tfseg.datasets.volume import write_volume
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.prepared import Prepared
from tfseg.reports import run as report

HOSTILE = '<script>alert("x")</script> $y^2$ \' & 海馬'
CASES = ["s<i>0", "s$1$", "s2", "s3", "s4", "s5"]
SHAPE = (14, 16, 8)
AFFINE = np.diag([-1.0, 1.0, 2.5, 1.0])


def write_dataset(folder: Path, labels: list[str]) -> None:
    """A Decathlon folder: every label a block of its own, moved a little from case to case."""
    rng = np.random.default_rng(0)
    for number, case in enumerate(CASES):
        label = np.zeros(SHAPE, np.uint8)
        for value in range(1, len(labels) + 1):
            row, column = divmod(value - 1, 4)
            x, y = 1 + 4 * row + number % 2, 4 * column
            label[x : x + 3, y : y + 3, 2:6] = value
        if case == "s5":
            label[label == 1] = 0
        image = label + rng.normal(0, 0.3, SHAPE)
        write_volume(folder / "imagesTr" / f"{case}.nii.gz", image.astype(np.float32), AFFINE)
        write_volume(folder / "labelsTr" / f"{case}.nii.gz", label, AFFINE)
    names = {"0": "background", **{str(value): name for value, name in enumerate(labels, start=1)}}
    training = [{"image": f"imagesTr/{case}.nii.gz", "label": f"labelsTr/{case}.nii.gz"} for case in CASES]
    description = {"name": f"Tiny {HOSTILE}", "modality": {"0": "MRI"}, "labels": names, "training": training}
    (folder / "dataset.json").write_text(json.dumps(description))


def predict(case: str, truth: np.ndarray) -> np.ndarray:
    """What a network might say: s2 misses label 1, s4 is right, s5 rightly has no label 1, s3 is far off."""
    shift = {"s2": 0, "s3": 2, "s4": 0, "s5": 0}.get(case, 1)
    found = np.roll(truth, shift, axis=1)
    if case == "s2":
        found[found == 1] = 0
    return found


def make_run(folder: Path, labels: list[str], folds: int | dict = 3) -> Path:
    """A finished run folder, its networks left out."""
    write_dataset(folder / "data", labels)
    dataset = read_dataset(folder / "data")
    prepare_dataset(dataset, resolve(Recipe(), dataset), folder / "prepared")
    prepared = Prepared(folder / "prepared")
    config = Config.model_validate({"folds": folds})
    run = folder / "run"
    tables = []
    splits = make_splits(prepared.subjects, config.folds, seed=0)
    for fold, split in enumerate(splits):
        for case in prepared.cases_of(split.test):
            truth = read_label(folder / "data" / "labelsTr" / f"{case.name}.nii.gz").array
            found = predict(case.name, truth)
            write_volume(run / f"fold_{fold}" / "predictions" / f"{case.name}.nii.gz", found, AFFINE)
            table = metrics.score(truth, found, spacing_mm=case.grid.spacing_mm, labels=prepared.labels)
            known = {"seed": 0, "fold": fold, "subject": case.subject, "case": case.name}
            tables.append(table.assign(arm="dice_ce", loss="dice_ce", **known))
        history = {"epoch": [1, 2], "loss": [0.9, 0.4], "val_loss": [0.8, 0.5], "val_dice": [0.5, 0.7]}
        pd.DataFrame(history).to_csv(run / f"fold_{fold}" / "history.csv", index=False)
        summary = {"best_epoch": 2, "epochs": 2, "train_seconds": 192.4}
        (run / f"fold_{fold}" / "fold.json").write_text(json.dumps(summary))
    scores = pd.concat(tables)[["arm", *metrics.summary.COLUMNS]]
    scores.to_csv(run / "scores.csv", index=False)
    diagonal = geometry.diagonal_mm(SHAPE, (1, 1, 2.5))
    metrics.summarise(scores, dict.fromkeys(CASES, diagonal)).to_csv(run / "summary.csv", index=False)
    (run / "config.yaml").write_text(config.to_yaml())
    (run / "splits.json").write_text(to_json(splits))
    environment = {
        "dataset": prepared.name,
        "prepared": str(prepared.folder),
        "prepared_sha256": prepared.digest,
        "versions": {"tensorflow": "2.21.0"},
        "devices": ["CPU:0"],
        "command": "tfseg fit --loss dice_ce && echo '<done>'",
    }
    (run / "environment.json").write_text(json.dumps(environment))
    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("made"), ["first", HOSTILE])


@pytest.fixture(scope="module")
def page(made: Path, read_page):
    return read_page(report.write_report(made).read_text(encoding="utf-8"))


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_the_page_is_whole(made: Path, page) -> None:
    assert page.open == []
    assert (made / "report.html").stat().st_size < 1_000_000
    assert not list(made.glob(".unfinished*"))


def test_the_page_needs_nothing_else(page) -> None:
    sources = [attributes["src"] or "" for tag, attributes in page.tags if "src" in attributes]
    assert len(sources) > 10
    assert all(source.startswith("data:image/") for source in sources)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not any("href" in attributes for _, attributes in page.tags)
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")


def test_names_are_escaped(made: Path, page) -> None:
    text = (made / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<i>0" not in text
    assert "http:" not in text
    assert "https:" not in text
    assert f"Tiny {HOSTILE}" in page.text
    assert "echo '<done>'" in page.text
    assert re.search(r"<title>[^<]*&lt;script&gt;", text)
    assert html.escape("s<i>0") in text


def test_paths_stay_out_of_the_page(made: Path) -> None:
    assert str(made.parent) not in (made / "report.html").read_text(encoding="utf-8")


def test_tables_say_what_the_summary_says(made: Path, page) -> None:
    summary = pd.read_csv(made / "summary.csv").set_index(["label", "metric"])
    overlap, surfaces = page.tables[0], page.tables[1]
    for row, label in enumerate(["first", HOSTILE, "mean"], start=2):
        expected = [label if label != "mean" else "Mean", str(summary.loc[label, "dice"]["n"])]
        for metric in ("dice", "iou", "precision", "recall"):
            values = summary.loc[(label, metric)]
            expected += [f"{values['mean_finite']:.3f} ± {values['sd_finite']:.3f}", f"{values['median']:.3f}"]
        assert overlap[row] == expected
        values = summary.loc[(label, "hd95")]
        finite = f"{values['mean_finite']:.2f} ± {values['sd_finite']:.2f}"
        assert surfaces[row][3:6] == [finite, f"{values['penalised_mean']:.2f}", f"{values['median']:.2f}"]
        assert surfaces[row][9] == "{mean_finite:.3f} ± {sd_finite:.3f}".format(**summary.loc[(label, "nsd")])


def test_failures_are_counted_and_said(page) -> None:
    assert page.tables[2][1:] == [["first", "1", "0", "1"], [HOSTILE, "0", "0", "0"]]
    assert "first was missed in 1, absent from truth and prediction in 1 of 6 cases." in page.text
    assert [row[2] for row in page.tables[1][2:]] == ["1", "0", "1"]


def test_every_case_is_listed_worst_first(page) -> None:
    rows = page.tables[4][2:]
    assert len(rows) == len(CASES)
    dice = [float(row[2]) for row in rows]
    assert dice == sorted(dice)
    by_case = {row[0]: row for row in rows}
    assert by_case["s2"][3:] == ["0.000", "1.000", "missed ∞", "0.00"]
    assert by_case["s5"][3:] == ["–", "1.000", "both empty –", "0.00"]


def test_every_fold_is_listed(page) -> None:
    rows = page.tables[3][2:]
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert rows[0][1:5] == ["3", "1", "2", "2 of 2"]
    assert rows[0][-1] == "3 min 12 s"


def test_the_page_says_what_made_it(page) -> None:
    assert "tensorflow" in page.text
    assert "tolerance_mm: 1.0" in page.text
    assert "tfseg fit --loss dice_ce" in page.text
    assert "scaling: zscore" in page.text


def test_an_arm_whose_folds_have_chosen_their_losses_is_named_by_itself(run: Path, read_page) -> None:
    scores = pd.read_csv(run / "scores.csv", dtype={"case": str, "subject": str}).assign(arm="focal (tuned)")
    scores["loss"] = "focal:alpha=0." + scores["fold"].astype(str)
    scores.to_csv(run / "scores.csv", index=False)
    diagonal = geometry.diagonal_mm(SHAPE, (1, 1, 2.5))
    metrics.summarise(scores, dict.fromkeys(CASES, diagonal)).to_csv(run / "summary.csv", index=False)
    assert "trained with focal (tuned)" in read_page(report.write_report(run).read_text(encoding="utf-8")).text


def test_phantoms_are_named(run: Path, page, read_page) -> None:
    assert "phantoms" not in page.text
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps({**environment, "phantoms": True}))
    text = read_page(report.write_report(run).read_text(encoding="utf-8")).text
    assert text.index("Trained on synthetic phantoms") < text.index("The mean Dice over 2 labels")


@pytest.mark.parametrize("labels", [["only"], [f"label {number}" for number in range(10)]])
def test_one_split_with_one_label_or_ten(tmp_path: Path, labels: list[str], read_page) -> None:
    run = make_run(tmp_path, labels, folds={"scheme": "holdout", "ratio": [3, 1, 2]})
    page = read_page(report.write_report(run).read_text(encoding="utf-8"))
    assert page.open == []
    assert len(page.tables[0]) == 2 + len(labels) + (len(labels) > 1)
    assert "one split into training, validation and test" in page.text
    assert ("The mean Dice of only is" in page.text) == (len(labels) == 1)
    for table in page.tables[:2]:
        assert len({len(row) for row in table[1:]}) == 1, "as many cells as heads"


@pytest.mark.parametrize(
    "missing",
    ["summary.csv", "splits.json", "fold_1", "fold_1/history.csv", "fold_2/predictions", "fold_0/fold.json"],
)
def test_what_is_missing_is_named(run: Path, missing: str) -> None:
    path = run / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(RunError, match=re.escape(str(path))):
        report.write_report(run)


def test_a_missing_prediction_is_named(run: Path) -> None:
    (worst,) = run.glob("fold_*/predictions/s3.nii.gz")
    worst.unlink()
    with pytest.raises(RunError, match=re.escape(str(worst))):
        report.write_report(run)


def test_a_prediction_of_another_shape_is_refused(run: Path) -> None:
    (worst,) = run.glob("fold_*/predictions/s3.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), AFFINE), worst)
    with pytest.raises(RunError, match="expected the scan's shape"):
        report.write_report(run)


def test_a_fold_without_scores_is_refused(run: Path) -> None:
    scores = pd.read_csv(run / "scores.csv")
    scores[scores["fold"] != 1].to_csv(run / "scores.csv", index=False)
    with pytest.raises(RunError, match="no scores in fold 1 of s"):
        report.write_report(run)


def test_another_preparation_is_refused(run: Path) -> None:
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps({**environment, "prepared_sha256": "0"}))
    with pytest.raises(RunError, match="its hash differs"):
        report.write_report(run)


def scores_of(dice: dict[str, list[float]]) -> pd.DataFrame:
    rows = [(case, case, 0, "dice", value) for case, values in dice.items() for value in values]
    return pd.DataFrame(rows, columns=["case", "subject", "fold", "metric", "value"])


def test_cases_are_ranked_by_mean_dice() -> None:
    nan = float("nan")
    ranked = report.rank_cases(scores_of({"a": [0.9, nan], "b": [0.8, 0.2], "c": [nan, nan], "d": [0.8, 0.6]}))
    assert ranked["case"].tolist() == ["b", "d", "a", "c"]
    assert ranked["dice"].tolist()[:3] == pytest.approx([0.5, 0.7, 0.9])
    assert report.pick_cases(ranked) == {"Best": "a", "Median": "d", "Worst": "b"}


@pytest.mark.parametrize(
    ("dice", "picked"),
    [
        ([0.1, 0.2, 0.3, 0.4], {"Best": "3", "Median": "1", "Worst": "0"}),
        ([0.1, 0.2], {"Best": "1", "Worst": "0"}),
        ([0.1], {"Only": "0"}),
        ([float("nan")], {}),
    ],
)
def test_few_cases_are_picked_once(dice: list[float], picked: dict[str, str]) -> None:
    ranked = report.rank_cases(scores_of({str(case): [value] for case, value in enumerate(dice)}))
    assert report.pick_cases(ranked) == picked


def test_numbers_are_written() -> None:
    assert report.fixed(0.12345, 3) == "0.123"
    assert report.fixed(float("nan"), 3) == "–"
    assert report.fixed(float("inf"), 3) == "∞"
    assert [report.score(0.8126, metric, "mm") for metric in ("dice", "hd95")] == ["0.813", "0.81 mm"]
    assert [report.score(value, "hd95", "mm") for value in (float("nan"), float("inf"))] == ["–", "∞"]


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium to draw the page")
def test_a_browser_draws_the_page(made: Path, page, tmp_path: Path) -> None:
    page = tmp_path / "page.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--window-size=500,900"]
    command = ["chromium", *options, f"--screenshot={page}", (made / "report.html").as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert page.stat().st_size > 10_000


def test_a_fold_that_failed_is_reported_and_counted(run: Path, read_page) -> None:
    """Of three folds the last could not be trained: its subjects are in none of the numbers."""
    scores = pd.read_csv(run / "scores.csv", dtype={"label": str, "subject": str, "case": str})
    kept = scores[scores["fold"] < 2]
    kept.to_csv(run / "scores.csv", index=False)
    metrics.summarise(kept, dict.fromkeys(CASES, 30.0)).to_csv(run / "summary.csv", index=False)
    shutil.rmtree(run / "fold_2")
    (run / "fold_2").mkdir()
    failure = {"arm": "dice", "seed": 0, "fold": 2, "reason": "the loss is nan in epoch 1"}
    (run / "fold_2" / "failure.json").write_text(json.dumps(failure))
    page = read_page(report.write_report(run).read_text(encoding="utf-8"))
    assert "3-fold cross-validation; 2 folds were trained" in page.text
    assert "Fold 2: the loss is nan in epoch 1" in page.text
    assert "split into 3 folds; each fold that could be trained was the test set once" in page.text
    assert f"Segmentation of {kept['subject'].nunique()} subjects" in page.text
