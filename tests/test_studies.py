"""Each of the five studies runs as one command: in a small form, on phantoms, with the paper's tables."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tfseg.comparison.estimate import Estimate
from tfseg.comparison.study import load_study
from tfseg.core.modes import Mode, Scale

CONFIGS = Path(__file__).parents[1] / "configs"
TINY = ["model.filters=2", "training.epochs=1", "training.augmentation={}"]
# Study → mode, further settings, and the arms that are trained here: all are checked in test_configs.py.
STUDIES = {
    "kethavath_2025/spleen": (Mode.as_printed, ["model.depth=1", "training.batch_size=32"], ("dice", "hybrid")),
    "neyestanak_2025/focal_and_bce": (
        Mode.as_printed,
        ["model.depth=1", "folds={scheme: holdout}", "training.batch_size=32"],
        ("focal:alpha=0.6", "bce"),
    ),
    "kim_2025/dice_and_dice_ce": (Mode.fair, ["model.depth=1", "training.input.per_case=2"], ("dice", "dice_ce")),
    "he_2024/stages": (
        Mode.fair,
        ["model.depth=1", "model.deep_supervision=1", "training.input.per_case=1"],
        ("global", "global then total"),
    ),
    "bonbid_hie_2025/six_losses": (Mode.as_printed, ["model.depth=1"], ("dice", "tversky_hausdorff")),
}
NOTHING = Estimate(0, 0, 0, 1, {})


@pytest.fixture(scope="module")
def run_study(tmp_path_factory):
    """Return a function that runs some arms of a study on tiny phantoms, and returns its folder."""

    def run(name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
        from tfseg.cli import train
        from tfseg.cli.datasets import Source, follow

        monkeypatch.setattr(train.estimate, "estimate", lambda *_: NOTHING)  # it trains every arm once more
        monkeypatch.setattr(train, "write_report", lambda run: None)  # of each arm; that of the study is written
        mode, settings, arms = STUDIES[name]
        study = load_study(CONFIGS / f"{name}.yaml", None, [*TINY, *settings], None, None, mode, Scale.small)
        stand_in = study.protocol.phantoms._replace(subjects=7, size=32)
        source = follow(Source(), replace(study.protocol, phantoms=stand_in))
        out = tmp_path_factory.mktemp("study") / "cmp"
        study = replace(study, arms=tuple(arm for arm in study.arms if arm.name in arms))
        train.compare(study, source, out, None, None, f"tfseg compare --study configs/{name}.yaml", dry_run=False)
        return out

    return run


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_runs_on_phantoms_and_writes_its_tables(run_study, monkeypatch, name):
    out = run_study(name, monkeypatch)
    is_printed = STUDIES[name][0] is Mode.as_printed
    networks = pd.read_csv(out / "networks.csv")
    assert tuple(networks["arm"]) == STUDIES[name][2]
    protocol = yaml.safe_load((out / "study.yaml").read_text())["protocol"]
    assert (protocol["mode"], protocol["scale"]) == (STUDIES[name][0].value, "small")
    splits = json.loads((out / "splits.json").read_text())
    assert all((split["val"] == split["test"]) == is_printed for folds in splits.values() for split in folds)
    page = (out / "report.html").read_text()
    assert "A small form of the study." in page and "Trained on synthetic phantoms." in page
    assert ("also chose the epoch" in page) == is_printed
    assert not re.search(r"\.0 of \d", page), "cases are whole numbers"
    printed = pd.read_csv(out / "tables" / "printed.csv")
    assert set(networks["arm"]) <= set(printed["arm"])
    assert printed.loc[printed["arm"].isin(networks["arm"]), "here"].notna().mean() > 0.2
    for table in ("by_class", "by_label", "by_surface", "paired_t"):
        assert ("also chose the epoch" in (out / "tables" / f"{table}.md").read_text()) == is_printed
    by_label = pd.read_csv(out / "tables" / "by_label.csv")
    assert list(by_label["loss"]) == list(dict.fromkeys(networks["arm"]))
    if name.startswith("bonbid"):
        by_surface = pd.read_csv(out / "tables" / "by_surface.csv").set_index("loss")
        here = printed.set_index(["arm", "label", "metric"])["here"]
        assert here["dice", "lesion", "Dice (prepared grid)"] == pytest.approx(
            by_surface.loc["dice", "Dice, prepared grid"]
        )
        assert by_surface.loc["dice", "epochs"] == here["dice", "lesion", "epochs"] == 1, "it may stop early"
    if name.startswith("kim"):
        by_class = pd.read_csv(out / "tables" / "by_class.csv").set_index("loss")
        assert {"global accuracy", "accuracy, background", "IoU, mean"} <= set(by_class.columns)
        here = printed.set_index(["arm", "label", "metric"])["here"]
        assert here["dice", "all voxels", "Global accuracy"] == pytest.approx(by_class.loc["dice", "global accuracy"])
