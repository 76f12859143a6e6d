"""One study on several datasets: a comparison of each, and what holds over all of them."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tfseg.comparison import estimate
from tfseg.comparison.several import read_several
from tfseg.comparison.study import load_study
from tfseg.core.errors import ConfigError
from tfseg.core.modes import Mode, Scale

STUDY = """
losses: [dice, ce]
datasets:
  one: {phantoms: {kind: abdomen, subjects: 6, size: 32}}
  two: {data: scans, recipe: recipe.yaml}
  three: {data: scans}
"""


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "recipe.yaml").write_text("axis: axial\n")
    return load_study(tmp_path / "study.yaml", None, [], None, None)


@pytest.fixture(scope="module")
def compared(compare, tmp_path_factory):
    """Compare two losses."""
    out = tmp_path_factory.mktemp("cmp") / "cmp"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(estimate, "estimate", lambda *_: estimate.Estimate(np.nan, 1, 0, 1, {}))  # it trains both again
        compare("dice,ce", out)
    return out


def test_every_dataset_is_compared_as_the_study_says(study, compared, tmp_path, monkeypatch, capsys):
    """The comparisons themselves are copies of one, so their differences agree to the last digit."""
    from tfseg.cli import several
    from tfseg.cli.datasets import Source

    asked = {}

    def compare(study, source, out, *_, **__):
        asked[out.name] = source
        shutil.copytree(compared, out)

    monkeypatch.setattr(several.train, "compare", compare)
    several.compare(study, Source(), tmp_path / "cmp", None, "tfseg compare", dry_run=False)
    assert asked["one"].phantoms.kind == "abdomen" and asked["one"].data is None
    assert asked["two"] == Source(data=tmp_path / "scans", recipe=tmp_path / "recipe.yaml")
    assert "Over 3 datasets (one, 6 subjects, two, 6 subjects, three, 6 subjects)" in capsys.readouterr().out

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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{one: {data: a}}", "expected two names or more"),
        ("{one: {data: a}, ../two: {data: b}}", "names that can name a folder, received '../two'"),
        ("{one: {data: a}, two: {scans: b}}", r"datasets\.two: expected data, recipe, .* received scans"),
        ("{one: {data: a}, two: {recipe: recipe.yaml}}", r"datasets\.two: expected data or phantoms"),
    ],
)
def test_wrong_lists_of_datasets(tmp_path, text, message):
    (tmp_path / "study.yaml").write_text(f"losses: [dice, ce]\ndatasets: {text}\n")
    with pytest.raises(ConfigError, match=message):
        load_study(tmp_path / "study.yaml", None, [], None, None, Mode.fair, Scale.full)
