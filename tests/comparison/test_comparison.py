"""A comparison from end to end: equal conditions, kept networks, failures, masks of other methods, and the report."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from tfseg import metrics
from tfseg.cli import several, train
from tfseg.cli.datasets import Source
from tfseg.comparison import estimate
from tfseg.comparison.contestants import add_contestants, find_contestants, with_contestants
from tfseg.comparison.endpoint import Endpoint
from tfseg.comparison.folder import model_of_arm, read_comparison
from tfseg.comparison.several import read_several
from tfseg.comparison.study import load_study
from tfseg.config.config import ScoringConfig
from tfseg.core import files
from tfseg.core.errors import ConfigError, DataError, RunError
from tfseg.prediction.ensemble import unseen_by
from tfseg.reports.comparison import write_comparison
from tfseg.runs import cells
from tfseg.runs.cell import CellFailed
from tfseg.runs.folder import open_prepared, read_scores
from tfseg.statistics import VERDICT_COLUMNS

STUDY = """
losses: [dice, ce]
datasets:
  one: {phantoms: {kind: abdomen, subjects: 6, size: 32}}
  two: {data: scans, recipe: recipe.yaml}
  three: {data: scans}
"""
UNFIT, UNFIT_RUN = "jaccard:class_weights=[1, 2, 3, 4]", "jaccard_class_weights=_1_2_3_4_s0"


@pytest.fixture(scope="module")
def page(compared, read_page):
    out, _, _ = compared
    return read_page((out / "report.html").read_text(encoding="utf-8"))


def test_a_loss_added_later_does_not_change_the_other_networks(compared):
    out, trained, _ = compared
    assert len(trained) == 4
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert sorted(path.name for path in (out / "runs").iterdir()) == ["bce_s0", "ce_s0", "dice_s0", UNFIT_RUN]
    assert sorted(path.parent.name for path in out.glob("runs/*/report.html")) == ["bce_s0", "ce_s0", "dice_s0"]


def test_losses_have_the_same_initial_weights_batches_and_steps(compared, cell_facts):
    out, _, _ = compared
    facts = cell_facts(out)
    for fold in ("fold_0", "fold_1"):
        own = [each for (_, name), each in facts.items() if name == fold]
        assert len(own) == 3
        for held in ("initial_weights_sha256", "batches_sha256", "steps"):
            assert len({each[held] for each in own}) == 1, held
    assert len({each["batches_sha256"] for each in facts.values()}) == 2, "each fold has its own batches"
    assert all(each["steps"] == 2 * 2 and each["peak_memory_bytes"] > 1e8 for each in facts.values())


def test_a_network_that_fails_is_reported_and_the_others_finish(compared, page):
    out, _, message = compared
    assert f"{UNFIT}, seed 0, fold 0" in message
    failures = [json.loads(path.read_text()) for path in out.glob(f"runs/{UNFIT_RUN}/*/failure.json")]
    assert sorted((each["arm"], each["seed"], each["fold"]) for each in failures) == [
        (UNFIT, 0, fold) for fold in (0, 1)
    ]
    assert "2 networks failed" in page.text
    assert failures[0]["reason"] in page.text


def test_the_other_folds_of_a_seed_count_if_one_fails(compared, compare, read_page, tmp_path, monkeypatch):
    out = shutil.copytree(compared[0], tmp_path / "cmp")
    shutil.rmtree(out / "runs" / "ce_s0" / "fold_1")

    def run_out_of_memory(config, prepared, split, fold, seed, devices, threads, folder, *, arm, progress) -> None:
        files.write_text(
            folder / "failure.json", json.dumps({"arm": arm, "seed": seed, "fold": fold, "reason": "full"})
        )
        raise CellFailed("full")

    monkeypatch.setattr(cells, "run_cell_here", run_out_of_memory)
    monkeypatch.setattr(estimate, "estimate", lambda *_: estimate.Estimate(np.nan, 1, 0, 1, {}))
    with pytest.raises(RunError, match="3 of 8 networks failed"):
        compare("dice,ce", out)
    scores = read_scores(out / "scores.csv")
    assert {arm: set(own["fold"]) for arm, own in scores.groupby("arm")} == {"dice": {0, 1}, "ce": {0}, "bce": {0, 1}}
    tests = pd.read_csv(out / "tests.csv")
    primary = tests[tests["role"] == "primary"].set_index(["first", "second"])
    assert primary["networks"].to_dict() == {("dice", "ce"): 1, ("dice", "bce"): 2, ("ce", "bce"): 1}
    assert primary.loc[("dice", "ce"), "verdict"] == "untested"
    assert "3 networks failed" in read_page((out / "report.html").read_text()).text


def test_scores_are_collected_from_the_runs(compared):
    out, _, _ = compared
    scores = read_scores(out / "scores.csv")
    assert list(scores["loss"].unique()) == ["dice", "ce", "bce"]
    assert list(scores.columns) == ["arm", *metrics.summary.COLUMNS]
    assert (scores["arm"] == scores["loss"]).all()
    assert not scores.duplicated(["loss", "seed", "case", "label", "metric"]).any()
    runs = pd.concat([read_scores(out / "runs" / f"{loss}_s0" / "scores.csv") for loss in ("dice", "ce", "bce")])
    keys = ["loss", "case", "label", "metric"]
    pd.testing.assert_frame_equal(
        scores.sort_values(keys, ignore_index=True), runs.sort_values(keys, ignore_index=True)
    )


def test_every_pair_is_tested(compared):
    out, _, _ = compared
    tests, verdicts = (pd.read_csv(out / name) for name in ("tests.csv", "verdicts.csv"))
    pd.testing.assert_frame_equal(verdicts, tests[list(VERDICT_COLUMNS)])
    assert set(verdicts["verdict"]) <= {"better", "worse", "equivalent", "open", "untested"}
    assert set(zip(tests["first"], tests["second"], strict=True)) == {("dice", "ce"), ("dice", "bce"), ("ce", "bce")}
    assert set(tests["metric"]) >= {"dice", "nsd", "hd95"}
    assert tests["label"].nunique() == 3
    scores = read_scores(out / "scores.csv").query("metric == 'dice' and label == 'liver'")
    means = scores.groupby("loss")["value"].mean()
    row = tests.query("metric == 'dice' and label == 'liver' and first == 'dice' and second == 'bce'").iloc[0]
    assert row["difference"] == pytest.approx(means["dice"] - means["bce"])


@pytest.fixture(scope="module")
def changed(compared, tmp_path_factory):
    """Write the report again after one arm's scores and one network's initial weights were changed."""
    out = shutil.copytree(compared[0], tmp_path_factory.mktemp("changed") / "cmp")
    path = out / "runs" / "ce_s0" / "scores.csv"
    scores = read_scores(path)
    scores.loc[scores["metric"] == "dice", "value"] = 0.25
    scores.to_csv(path, index=False)
    path = out / "runs" / "ce_s0" / "fold_1" / "fold.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"initial_weights_sha256": "f" * 64}))
    for name in ("scores.csv", "means.csv", "tests.csv", "verdicts.csv"):
        (out / name).unlink()
    return out, write_comparison(out)


def test_a_report_written_again_follows_the_run_folders(compared, changed):
    out, _ = changed
    before = pd.read_csv(compared[0] / "verdicts.csv")
    after, means = pd.read_csv(out / "verdicts.csv"), pd.read_csv(out / "means.csv")
    liver = means.query("label == 'liver' and metric == 'dice'").set_index("arm")["mean"]
    row = after.query("label == 'liver' and metric == 'dice' and first == 'dice' and second == 'ce'").iloc[0]
    assert liver["ce"] == 0.25
    assert row["difference"] == pytest.approx(liver["dice"] - 0.25)
    others = (before["first"] != "ce") & (before["second"] != "ce") & (before["label"] == "liver")
    columns = ["label", "metric", "first", "second", "difference", "low", "high"]
    pd.testing.assert_frame_equal(after.loc[others, columns], before.loc[others, columns])


def test_unequal_training_is_reported_as_unfair(changed, read_page):
    text = read_page((changed[0] / "report.html").read_text(encoding="utf-8")).text
    assert "Not a fair comparison" in text
    assert "no: initial weights" in text


def test_the_conclusion_comes_first(changed, read_page):
    out, conclusion = changed
    text = read_page((out / "report.html").read_text(encoding="utf-8")).text
    assert conclusion
    for sentence in conclusion:
        assert " ".join(sentence.split()) in text.partition("Scores")[0]


def test_a_row_per_case_and_a_column_per_arm(compared):
    out, _, _ = compared
    table = pd.read_csv(out / "tables" / "by_case.csv")
    assert list(table.columns[-3:]) == ["dice", "ce", "bce"]
    scores = read_scores(out / "scores.csv").query("metric == 'dice' and label == 'liver' and loss == 'ce'")
    own = table.query("metric == 'dice' and label == 'liver'").set_index("case")["ce"]
    assert own.to_dict() == pytest.approx(scores.set_index("case")["value"].to_dict())


def test_a_primary_question_that_is_not_scored_is_refused_before_training(compare, tmp_path):
    with pytest.raises(ConfigError, match=r"primary\.label: expected one of liver, .*, mean, received kidney"):
        compare("dice,ce", tmp_path / "cmp", endpoint=Endpoint("kidney", given=True))
    with pytest.raises(ConfigError, match=r"primary\.metric: expected one that is scored here, .* received nll_band"):
        compare("dice,ce", tmp_path / "cmp", endpoint=Endpoint(metric="nll_band", given=True))
    with pytest.raises(ConfigError, match=r"margins: expected one that is scored here, .* received nll_band"):
        compare("dice,ce", tmp_path / "cmp", endpoint=Endpoint(margins={"nll_band": 0.01}))
    assert not (tmp_path / "cmp" / "runs").exists()


def test_the_report_shows_the_primary_question_whatever_it_is(compared, read_page, tmp_path):
    out = shutil.copytree(compared[0], tmp_path / "cmp")
    study = yaml.safe_load((out / "study.yaml").read_text())
    asked = {"primary": {"label": "liver", "metric": "iou"}, "margins": {"iou": 0.02}}
    (out / "study.yaml").write_text(yaml.safe_dump({**study, **asked}))
    write_comparison(out)
    page = read_page((out / "report.html").read_text(encoding="utf-8"))
    verdicts = pd.read_csv(out / "verdicts.csv").query("role == 'primary'")
    assert set(zip(verdicts["label"], verdicts["metric"], strict=True)) == {("liver", "iou")}
    means = pd.read_csv(out / "means.csv").query("label == 'liver' and metric == 'iou' and arm == 'ce'")
    assert page.tables[0][0][-2:] == ["IoU", "Failed"]
    ce = next(row for row in page.tables[0] if row[0] == "ce")
    assert ce[6].startswith(f"{means['mean'].iloc[0]:.3f} ± ")
    for text in ("Figure 4. Differences in IoU", "Differences in Dice", "IoU, liver", "Rank of every loss on liver"):
        assert text in page.text
    pairs = next(table for table in page.tables if table[0][0] == "Losses")
    written = [float(row[2].replace("−", "-")) for row in pairs[1:]]
    assert written == pytest.approx(verdicts["difference"].tolist(), abs=6e-4)


def test_the_report_says_whether_seeds_draw_their_folds(page):
    answers = next(table for table in page.tables if table[0] == ["Question", "answer", "found"])
    assert ["every seed draws its folds anew", "yes", "one seed: 2 training sets"] in answers


def test_tables_are_those_that_studies_print(compared):
    out, _, _ = compared
    scores = read_scores(out / "scores.csv").query("metric == 'dice' and label == 'liver' and loss == 'dice'")
    by_fold = pd.read_csv(out / "tables" / "by_fold.csv", dtype={"fold": str})
    own = by_fold[(by_fold["label"] == "liver") & (by_fold["loss"] == "dice")].set_index("fold")["Dice (%)"]
    expected = 100 * scores.groupby("fold")["value"].mean()
    assert own[["0", "1"]].to_numpy() == pytest.approx(expected.to_numpy())
    assert own["mean"] == pytest.approx(expected.mean())
    for name in ("by_fold", "by_class", "by_surface", "by_label"):
        assert (out / "tables" / f"{name}.md").read_text().startswith("| ")
        assert r"\toprule" in (out / "tables" / f"{name}.tex").read_text()


def test_the_page_is_complete_and_self_contained(compared, page):
    out, _, _ = compared
    assert page.open == []
    text = (out / "report.html").read_text(encoding="utf-8")
    sources = [value for tag, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")]
    assert sources and all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"<script|@import|url\(", text)


def test_names_are_escaped(compared, page):
    out, _, _ = compared
    label = read_comparison(out).labels[1]
    assert "<script>" in label
    assert label not in (out / "report.html").read_text(encoding="utf-8")
    assert html.escape(label, quote=False)[:20] in (out / "report.html").read_text(encoding="utf-8")
    assert " ".join(label.split()) in page.text


def test_the_page_agrees_with_the_scores(compared, page):
    out, _, _ = compared
    scores = read_scores(out / "scores.csv").query("metric == 'dice' and label == 'liver'")
    by_loss = scores.groupby("loss")["value"]
    rows = {row[0]: row for row in page.tables[0]}
    for loss in ("dice", "ce", "bce"):
        assert rows[loss][1] == "6"
        assert rows[loss][2].startswith(f"{by_loss.mean()[loss]:.3f} ± {by_loss.std()[loss]:.3f} ")


def test_the_page_shows_the_hashes(compared, page, cell_facts):
    out, _, _ = compared
    for facts in cell_facts(out).values():
        assert facts["initial_weights_sha256"][:16] in page.text
        assert facts["batches_sha256"][:16] in page.text
    assert "all losses started from the same weights" in page.text


def test_runs_with_other_splits_are_refused(compared, compare, tmp_path):
    out = shutil.copytree(compared[0], tmp_path / "cmp")
    splits = json.loads((out / "splits.json").read_text())
    (out / "runs" / "ce_s0" / "splits.json").write_text(json.dumps(splits["0"][::-1]))
    with pytest.raises(RunError, match="made with other splits"):
        write_comparison(out)
    with pytest.raises(ConfigError, match=r"another splits\.json"):
        compare((), out)
    with pytest.raises(ConfigError, match=r"another config\.yaml"):
        compare("dice,ce", out, "folds=3")


def test_a_dry_run_trains_nothing(compare, tmp_path, capsys):
    compare("dice,ce", tmp_path / "cmp", dry_run=True)
    printed = capsys.readouterr().out
    assert "2 arms × 2 folds × 1 seeds: 4 networks, 0 finished before" in printed
    assert re.search(r"one step: dice \d+ ms, ce \d+ ms", printed)
    assert not (tmp_path / "cmp" / "runs").exists()


@pytest.mark.parametrize("losses", [(), "dice"])
def test_one_loss_is_no_comparison(compare, tmp_path, losses):
    with pytest.raises(ConfigError, match="a comparison needs two losses or arms"):
        compare(losses, tmp_path / "cmp")
    assert not (tmp_path / "cmp").exists()


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium to draw the page")
@pytest.mark.parametrize("width", [500, 1200])
def test_a_browser_draws_the_page_without_horizontal_scrolling(compared, tmp_path, width):
    out, _, _ = compared
    probe = tmp_path / "probe.html"
    script = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script></body>"
    probe.write_text((out / "report.html").read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    command = ["chromium", *options, f"--window-size={width},900", "--dump-dom", probe.as_uri()]
    drawn = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    needed, available = map(int, re.search(r"<title>(\d+) of (\d+)", drawn).groups())
    assert needed <= available
    assert np.isclose(available, width, atol=20)


def test_an_arm_has_the_networks_of_every_seed(compared):
    out, *_ = compared
    model = model_of_arm(out, "dice")
    assert [member.name for member in model.members] == ["dice_s0, fold 0", "dice_s0, fold 1"]
    splits = json.loads((out / "runs" / "dice_s0" / "splits.json").read_text())
    for member, split in zip(model.members, splits, strict=True):
        assert member.seen == {*split["train"], *split["val"]}
    subject = splits[1]["test"][0]
    assert [member.name for member in unseen_by(model.members, {subject})] == ["dice_s0, fold 1"]
    assert subject in model.description.subjects.values()
    with pytest.raises(ConfigError, match=r"expected one of the finished arms .* received focal"):
        model_of_arm(out, "focal")


def test_a_seed_that_is_not_finished_is_named(compared, tmp_path):
    out = shutil.copytree(compared[0], tmp_path / "cmp")
    assert model_of_arm(out, "dice").warnings == ()
    for run in ("dice_s7", "bce_s7"):
        (out / "runs" / run).mkdir()
    assert model_of_arm(out, "dice").warnings == (f"{out}: without dice_s7, not finished",)


@pytest.fixture(scope="module")
def joined(compared, scans, tmp_path_factory):
    """A finished comparison with an oracle: masks that are the truth, one of them stored in another order."""
    folder = tmp_path_factory.mktemp("joined")
    out = shutil.copytree(compared[0], folder / "cmp")
    masks = shutil.copytree(scans / "labelsTr", folder / "masks")
    first = sorted(masks.glob("*.nii.gz"))[0]
    turned = nib.load(first).as_reoriented(np.array([[2, 1], [0, -1], [1, 1]]))
    nib.save(turned, folder / "turned.nii.gz")
    shutil.move(folder / "turned.nii.gz", first)
    settings = ["model.filters=2", "model.depth=1", "training.epochs=2", "training.batch_size=6", "folds=2"]
    study = load_study(None, None, settings, "dice,ce", None)
    with pytest.raises(RunError, match="2 of 8 networks failed"):  # an arm of the comparison cannot be trained
        train.compare(study, Source(data=scans), out, None, None, "tfseg compare", False, {"oracle": masks})
    return out, masks


def test_a_contestant_is_scored_under_every_seed_and_compared(joined, read_page):
    out, _ = joined
    scores = pd.read_csv(out / "scores.csv", keep_default_na=False)
    oracle, dice = (scores[scores["arm"] == arm].reset_index(drop=True) for arm in ("oracle", "dice"))
    keys = ["seed", "fold", "subject", "case"]
    assert set(map(tuple, oracle[keys].to_numpy())) == set(map(tuple, dice[keys].to_numpy()))
    assert set(oracle.loc[oracle["metric"] == "dice", "value"]) <= {"1.0", ""}
    verdicts = pd.read_csv(out / "verdicts.csv")
    primary = verdicts[(verdicts["role"] == "primary") & (verdicts["second"] == "oracle")]
    assert (primary["difference"] < -0.1).all()
    page = read_page((out / "report.html").read_text())
    assert "Nothing is known of how oracle was trained: verdicts on it are about these masks" in page.text
    assert "Beyond this dataset" not in page.text
    assert primary["note"].str.endswith("oracle: these masks and new subjects, no other training of it").all()
    means = pd.read_csv(out / "means.csv").groupby("arm")["networks"].max()
    assert (means["oracle"], means["dice"]) == (1, 2)
    assert "oracle" in {row[0] for row in page.tables[0]}


def test_names_and_cases_must_be_clear(joined, compared, tmp_path):
    out, masks = joined
    run = next(path for path in (out / "runs").iterdir() if (path / "scores.csv").is_file())
    prepared = open_prepared(run)
    for name, arms in (("dice", ["dice"]), ("oracle", [])):
        other = shutil.copytree(masks, tmp_path / name)
        with pytest.raises(ConfigError, match=f"the comparison has another {name}"):
            find_contestants(out, {name: other}, arms, prepared, prepared.subjects)
    assert find_contestants(out, {"oracle": masks}, ["dice"], prepared, prepared.subjects) == {}
    lacking = shutil.copytree(masks, tmp_path / "lacking")
    next(lacking.glob("*.nii.gz")).unlink()
    with pytest.raises(DataError, match="no label map of"):
        find_contestants(tmp_path, {"new": lacking}, [], prepared, prepared.subjects)
    white = shutil.copytree(masks, tmp_path / "white")
    for path in white.glob("*.nii.gz"):
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.uint8(255 * (image.get_fdata() > 0)), image.affine), path)
    found = find_contestants(out, {"white": white}, [], prepared, prepared.subjects)
    with pytest.raises(DataError, match=r"values 255 are not among the labels"):
        add_contestants(out, found, prepared, ScoringConfig())
    assert json.loads((out / "contestants.json").read_text()).keys() == {"oracle"}
    scores = pd.DataFrame({"seed": [0], "fold": [1], "subject": ["a"], "value": [0.5]})
    pd.testing.assert_frame_equal(with_contestants(scores, Path(tmp_path / "none")), scores)


@pytest.mark.parametrize("dry_run", [True, False])
def test_masks_are_looked_for_before_anything_is_trained(joined, scans, tmp_path, dry_run):
    lacking = shutil.copytree(joined[1], tmp_path / "lacking")
    next(lacking.glob("*.nii.gz")).unlink()
    study = load_study(None, None, ["model.filters=2", "model.depth=1", "folds=2"], "dice,ce", 1)
    arguments = (Source(data=scans), tmp_path / "cmp", None, None, "tfseg compare", dry_run)
    with pytest.raises(DataError, match=r"lacking: no label map of s<i>\d$"):
        train.compare(study, *arguments, {"other": lacking})
    assert not (tmp_path / "cmp" / "runs").exists()


def test_every_dataset_is_compared_as_the_study_says(compared, tmp_path, monkeypatch, capsys):
    """The comparisons themselves are copies of one, so their differences agree to the last digit."""
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "recipe.yaml").write_text("axis: axial\n")
    study = load_study(tmp_path / "study.yaml", None, [], None, None)
    asked = {}

    def compare(study, source, out, *_, **__):
        asked[out.name] = source
        shutil.copytree(compared[0], out)

    monkeypatch.setattr(several.train, "compare", compare)
    several.compare(study, Source(), tmp_path / "cmp", None, "tfseg compare", dry_run=False)
    assert asked["one"].phantoms.kind == "abdomen" and asked["one"].data is None
    assert asked["two"] == Source(data=tmp_path / "scans", recipe=tmp_path / "recipe.yaml")
    assert "Over 3 datasets (one: 6 subjects; two: 6 subjects; three: 6 subjects)" in capsys.readouterr().out

    found = read_several(tmp_path / "cmp")
    own = found.by_name["one"]
    label, metric = own.primary
    tests = own.tests.set_index(["label", "metric", "first", "second"])["difference"]
    for row in found.pairs.itertuples():
        assert row.difference == pytest.approx(tests[label, metric, row.first, row.second])
    means = pd.read_csv(tmp_path / "cmp" / "datasets.csv").set_index(["dataset", "arm"])["mean"]
    assert means["one", "dice"] == means["three", "dice"] != means["one", "ce"]
    page = (tmp_path / "cmp" / "report.html").read_text()
    assert 'href="two/report.html"' in page and "Over 3 datasets" in page
    with pytest.raises(ConfigError, match="leave out --data"):
        several.compare(study, replace(Source(), data=tmp_path), tmp_path / "other", None, "", dry_run=False)
