"""A study names the datasets that it compares on; test_comparison.py compares on several."""

import pytest

from tfseg.comparison.study import load_study
from tfseg.core.errors import ConfigError
from tfseg.core.modes import Mode, Scale


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
