"""Read a run folder after a move, with failed folds, and list its networks."""

import json
import re
import shutil

import pytest

from tfseg.core.errors import ConfigError, DataError, RunError
from tfseg.prepared.prepared import Prepared
from tfseg.runs.folder import (
    networks_of,
    open_prepared,
    read_failures,
    read_fold,
    read_folds,
    read_history,
    read_json,
    read_scores,
)


@pytest.fixture
def run(prepared, tmp_path):
    """Make a run folder with its prepared folder inside and folds 0 and 1 unfinished."""
    folder = tmp_path / "first" / "run"
    shutil.copytree(prepared.folder, folder / "prepared")
    described = {"prepared": str(folder / "prepared"), "prepared_sha256": prepared.digest}
    (folder / "environment.json").write_text(json.dumps(described))
    (folder / "splits.json").write_text(json.dumps([{"train": ["a"], "val": ["b"], "test": ["c"]}] * 12))
    for fold in range(12):
        (folder / f"fold_{fold}").mkdir()
        (folder / f"fold_{fold}" / "best.keras").touch()
        if fold > 1:
            (folder / f"fold_{fold}" / "scores.csv").touch()
    (folder / "report.html").touch()
    return folder


def test_a_moved_run_uses_the_prepared_folder_inside_it(run, prepared, tmp_path):
    moved = run.rename(tmp_path / "elsewhere")
    assert open_prepared(moved).folder == moved / "prepared"
    assert open_prepared(moved).digest == prepared.digest


def test_a_run_of_a_moved_comparison_uses_the_prepared_folder_of_the_comparison(run, tmp_path):
    comparison = tmp_path / "cmp"
    shutil.copytree(run, comparison / "runs" / "dice_s0")
    (comparison / "runs" / "dice_s0" / "prepared").rename(comparison / "prepared")
    shutil.rmtree(run)
    assert open_prepared(comparison / "runs" / "dice_s0").folder == comparison / "prepared"


def test_a_prepared_folder_that_changed_is_refused(run):
    index = run / "prepared" / "index.csv"
    index.write_text(index.read_text().replace("case_0", "case_9"))
    with pytest.raises(RunError, match="its hash differs"):
        open_prepared(run)


def test_networks_are_listed_for_finished_folds_in_numerical_order(run):
    assert [path.parent.name for path in networks_of(run)] == [f"fold_{fold}" for fold in range(2, 12)]
    assert networks_of(run, fold=10) == [run / "fold_10" / "best.keras"]


@pytest.mark.parametrize("fold", [0, 1, 12, -1])
def test_a_fold_that_is_not_finished_is_refused(run, fold):
    with pytest.raises(ConfigError, match=f"--fold: expected one of 2, .*, 11, received {fold}"):
        networks_of(run, fold)


def test_a_run_that_is_not_finished_is_refused(run):
    (run / "report.html").unlink()
    with pytest.raises(ConfigError, match="not a finished run"):
        networks_of(run)


def test_a_comparison_is_refused_with_the_names_of_its_runs(run):
    for name in ("dice_s0", "bce_s0"):
        (run / "runs" / name).mkdir(parents=True)
    (run / "study.yaml").touch()
    with pytest.raises(ConfigError) as refused:
        networks_of(run)
    expected = ", ".join(f"{run}/runs/{name}" for name in ("bce_s0", "dice_s0"))
    assert str(refused.value) == f"{run} is a comparison; expected one of its runs, such as {expected}"


def test_a_run_without_a_finished_fold_is_refused(run):
    for path in run.glob("fold_*/scores.csv"):
        path.unlink()
    for fold in (None, 2):
        with pytest.raises(ConfigError, match="no fold is finished"):
            networks_of(run, fold)


def test_any_kind_of_damaged_file_is_named(run):
    for name, read in (
        ("environment.json", read_json),
        ("scores.csv", read_scores),
        ("history.csv", read_history),
        ("fold_3/failure.json", lambda path: read_failures(path.parents[1])),
    ):
        for content in (b"", b"\xff\xfe\x00", b'{"half', b'fold,reason\n"1,x'):
            path = run / name
            path.write_bytes(content)
            with pytest.raises(RunError, match=f"{re.escape(str(path))}: cannot be read: .") as refused:
                read(path)
            assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["[]", "null", "3", "[3]", "[{}]", '{"0": []}', '[{"train": 1}]'])
def test_splits_without_folds_are_refused_by_name(run, content):
    (run / "splits.json").write_text(content)
    for read in (read_folds, networks_of):
        with pytest.raises(RunError, match=r"splits\.json: cannot be read: ."):
            read(run)


@pytest.mark.parametrize("content", ["[]", "null", "3", "{}", '{"best_epoch": "x"}', '{"best_epoch": null}'])
def test_a_fold_without_its_best_epoch_is_refused_by_name(run, content):
    (run / "fold_2" / "fold.json").write_text(content)
    with pytest.raises(RunError, match=r"fold_2/fold\.json: cannot be read: ."):
        read_fold(run / "fold_2")


def test_a_missing_entry_is_named(run):
    (run / "environment.json").write_text("{}")
    with pytest.raises(RunError, match=r"environment\.json: cannot be read: it lacks 'prepared'"):
        open_prepared(run)
    for name, content, lacking in (
        ("dataset.json", "{}", "it lacks 'name'"),
        ("dataset.json", "[", "Expecting value"),
        ("index.csv", "a,b\n1,2\n", "it lacks 'case'"),
        ("index.csv", "", "No columns to parse"),
    ):
        kept = (run / "prepared" / name).read_bytes()
        (run / "prepared" / name).write_text(content)
        with pytest.raises(DataError, match=rf"{name}: cannot be read: {lacking}"):
            Prepared(run / "prepared")
        (run / "prepared" / name).write_bytes(kept)
