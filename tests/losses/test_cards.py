"""The cards of the losses, and the page in docs/ that is generated from them."""

import io
import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from rich.console import Console

from tfseg.cli import app as cli
from tfseg.cli.terminal import Terminal
from tfseg.losses import FAMILIES, LOSSES, cards, page
from tfseg.losses.base import SegmentationLoss
from tfseg.losses.behaviour import SURE, courses, four_inputs, tube
from tfseg.losses.overlap import RegionOptions
from tfseg.losses.region import Tversky

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| (?:perfect|all wrong|empty truth|both empty) \|", flags=re.MULTILINE)
# Their gradient is not unique if voxels tie: among the worst, in sorting, or as the extreme of their neighbours.
TIED = {"top_k", "dice_top_k", "lovasz", "cldice"}


def test_every_loss_has_a_card_and_every_card_a_loss():
    assert set(cards.notes()["losses"]) == set(LOSSES)


def test_notes_have_what_a_card_shows():
    for name, written in cards.notes()["losses"].items():
        assert "choose" in written, name
        assert set(written) <= {"choose", "reading", "not_monotone", "companion", "peers"}, name
        assert set(written.get("peers", {})) <= set(cards.notes()["collections"]), name


def test_every_parameter_is_on_the_card_with_its_default():
    for name in LOSSES:
        shown = {each.name: each.default for each in cards.card(name).parameters}
        assert set(shown) == set(LOSSES[name]().get_config()), name
        assert shown == {each: parameter.default for each, parameter in LOSSES[name].parameters.items()}, name


def test_every_number_among_the_parameters_has_a_range():
    without = [
        (name, each.name)
        for name in LOSSES
        for each in cards.card(name).parameters
        if "float" in str(LOSSES[name].parameters[each.name].annotation)
        or LOSSES[name].parameters[each.name].annotation is int
        if not re.search(r"[≥>] ?\d|in [\[(]\d|at least \d", each.meaning)
    ]
    assert without == []


def test_every_card_has_a_formula_and_a_source():
    for name in LOSSES:
        card = cards.card(name)
        assert any("`" in paragraph for paragraph in card.explanation), name
        assert re.search(r"\b(19|20)\d\d\b", card.source), name


def test_a_parameter_is_described_by_the_class_nearest_to_the_loss():
    described = {each.name: each for each in cards.card("focal_tversky").parameters}
    assert described["gamma"].described_by is LOSSES["focal_tversky"]
    assert described["alpha"].described_by is Tversky
    assert described["smoothing"].described_by is RegionOptions
    assert described["reduction"].described_by is SegmentationLoss
    assert described["alpha"].meaning == "α ≥ 0, the weight of false positives."


def test_docstring_in_its_parts():
    docstring = cards.read_docstring(
        """One line.

        `a`, over
        two lines.

        A second paragraph.

        Args:
            gain: in [0, 1], a number
                that is explained: at length.
            **others: as `Parent`; but more.

        Raises:
            ValueError: never.

        Source: Somebody 2020, "A
            title", 10.1000/x.
        """
    )
    assert docstring == cards.Docstring(
        "One line.",
        ("`a`, over two lines.", "A second paragraph."),
        {"gain": "in [0, 1], a number that is explained: at length.", "**others": "as `Parent`; but more."},
        'Somebody 2020, "A title", 10.1000/x.',
    )


def test_remarks_on_inherited_parameters_are_notes():
    assert cards.card("dice_ce").notes == ("the cross-entropy always includes the background.",)
    assert cards.card("tversky").notes == ()
    for name in ("symmetric_unified_focal", "asymmetric_unified_focal"):
        assert cards.card(name).notes == ("the focal term always includes the background.",)
    assert cards.card("penalty_generalized_dice").notes == ("`class_weights` multiply w_c.",)


def test_values_on_the_card_are_those_of_the_loss():
    for name, loss_class in LOSSES.items():
        loss = loss_class(dtype="float64")
        for given, (truth, mask) in four_inputs().items():
            shown = cards.card(name).behaviour[given]
            for prediction, value in ((mask, shown.exact), (np.where(mask, SURE[1], SURE[0]), shown.sure)):
                images = (image.astype(float)[np.newaxis, ..., np.newaxis] for image in (truth, prediction))
                assert value == pytest.approx(float(loss(*images)), rel=1e-9, abs=1e-12), (name, given)


def test_values_computed_by_hand():
    voxels = int(tube().sum())
    dice, bce = cards.card("dice").behaviour, cards.card("bce").behaviour
    assert dice["perfect"].exact == 0
    assert dice["all wrong"].exact == pytest.approx(1 - 1e-5 / (1e-5 + 1024 / 2), rel=1e-12)
    assert dice["empty truth"].exact == pytest.approx(1 - 1e-5 / (1e-5 + voxels / 2), rel=1e-12)
    assert dice["both empty"].exact == 0
    assert bce["all wrong"].exact == pytest.approx(-np.log(1e-7), rel=1e-6)
    assert bce["perfect"].inside == pytest.approx(-voxels / 1024 / 0.98, rel=1e-6)
    assert bce["perfect"].outside == pytest.approx((1024 - voxels) / 1024 / 0.99, rel=1e-4)
    assert bce["both empty"].inside is None


def test_gradients_on_the_card_are_those_of_the_loss():
    for name in LOSSES.keys() - TIED:
        loss = LOSSES[name](dtype="float64")
        for given, (truth, mask) in four_inputs().items():
            inside = truth if truth.any() else mask
            prediction = tf.constant(np.where(mask, SURE[1], SURE[0])[np.newaxis, ..., np.newaxis])
            with tf.GradientTape() as tape:
                tape.watch(prediction)
                value = loss(truth.astype(float)[np.newaxis, ..., np.newaxis], prediction)
            gradient = tape.gradient(value, prediction).numpy()[0, ..., 0]
            shown = cards.card(name).behaviour[given]
            assert shown.outside == pytest.approx(gradient[~inside].sum(), rel=1e-3, abs=1e-6), (name, given)
            if inside.any():
                assert shown.inside == pytest.approx(gradient[inside].sum(), rel=1e-3, abs=1e-6), (name, given)


def test_courses_end_at_the_structure_itself():
    for name, loss_class in LOSSES.items():
        for series, (dice, loss) in courses(loss_class).items():
            assert dice[-1] == 1, series
            assert (np.diff(dice) > -1e-12).all(), series
            assert loss[-1] == pytest.approx(loss.min(), abs=1e-5) == pytest.approx(0, abs=1e-5), (name, series)


def test_a_card_in_markdown():
    text = page.to_markdown(cards.card("tversky"))
    assert text.startswith("# tversky\n\nTversky loss: ")
    assert "\n| `alpha` | 0.3 | α ≥ 0, the weight of false positives. |\n" in text
    assert "\n| `smoothing` | 1e-5 | s > 0, " in text
    assert "\n| all wrong | 1.00 | " in text
    assert "\n- Keras: Tversky: " in text
    assert text.endswith("[arXiv:1706.05721](https://arxiv.org/abs/1706.05721).")


def test_a_card_names_every_collection_with_its_version():
    for name in LOSSES:
        text = page.to_markdown(cards.card(name))
        _, _, elsewhere = text.partition("\n**In other packages**, MONAI (1.6.1), Keras (")
        lines = re.findall(r"^- (.+?): (no such loss\.$)?", elsewhere, flags=re.MULTILINE)
        named = [each for names, absent in lines for each in (names.split(", ") if absent else [names])]
        assert sorted(named) == sorted(cards.notes()["collections"]), name
        assert {names for names, absent in lines if not absent} == set(cards.card(name).peers), name


def test_a_bar_in_a_cell_does_not_end_it():
    assert page._table(("a", "b"), [("|x|", "y")], numbers=1).splitlines() == [
        "| a | b |",
        "| --- | ---: |",
        r"| \|x\| | y |",
    ]


def test_numbers_have_three_digits():
    texts = {
        None: "–",
        0.0: "0",
        -2e-9: "≈ 0",
        1.5e-6: "1.50e-6",
        0.0012345: "0.00123",
        0.99999: "1.00",
        -0.5: "-0.500",
        16.118: "16.1",
        999.6: "1000",
        51234.0: "5.12e4",
    }
    assert {value: page.number(value) for value in texts} == texts


def without_numbers(text: str) -> tuple[str, list[float]]:
    """The text without computed numbers, and these."""
    lines, values = [], []
    for line in text.splitlines():
        if ROW.match(line):
            first, *cells = line.strip("| ").split(" | ")
            values += [0.0 if cell == "≈ 0" else float("nan") if cell == "–" else float(cell) for cell in cells]
            line = first
        lines.append(line)
    return "\n".join(lines), values


def test_the_page_is_up_to_date():
    """`make docs` writes it. Numbers may differ between processors."""
    written, written_values = without_numbers((DOCS / "losses.md").read_text(encoding="utf-8"))
    current, current_values = without_numbers(page.page())
    assert written == current
    assert len(current_values) == 16 * len(LOSSES)
    np.testing.assert_allclose(written_values, current_values, rtol=0.02, atol=2e-6)


def test_the_page_links_to_every_card_and_plot():
    text = (DOCS / "losses.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    anchors = [heading.lower().replace(" ", "-") for heading in headings]
    assert len(set(anchors)) == len(anchors)
    assert set(LOSSES) <= set(headings)
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= set(anchors)
    plots = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert plots == [f"losses/{family}.png" for family in FAMILIES]
    assert all((DOCS / plot).is_file() for plot in plots)


def test_a_plot_has_a_panel_for_each_loss():
    one, five = (Image.open(io.BytesIO(page.draw(names))) for names in (["dice"], list(LOSSES)[:5]))
    assert one.width * page.COLUMNS == pytest.approx(five.width, abs=4)
    assert five.height > 1.5 * one.height


def test_writing_the_docs(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "draw", lambda names: b"".join(name.encode() for name in names))
    page.write(tmp_path)
    assert (tmp_path / "losses.md").read_text(encoding="utf-8") == page.page()
    assert (tmp_path / "losses" / "structural.png").read_bytes() == b"ssimms_ssimcldiceskeleton_recall"


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["tfseg", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


def test_losses_are_listed_by_family(monkeypatch, capsys):
    assert call(monkeypatch, "losses") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == list(FAMILIES)
    assert {line.split()[0] for line in lines if line.startswith(" ")} == set(LOSSES)
    assert any(re.fullmatch(r"  dice +Dice loss: one minus the soft Dice index\.", line) for line in lines)


def test_a_loss_is_shown_by_its_card(monkeypatch, capsys):
    assert call(monkeypatch, "losses", "tversky") == 0
    assert capsys.readouterr().out == page.to_markdown(cards.card("tversky")) + "\n"


def test_an_unknown_loss_is_refused_with_the_nearest_names(monkeypatch, capsys):
    assert call(monkeypatch, "losses", "dise") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(r"tfseg: no loss is called 'dise'; did you mean dice\b.*\?\n", printed.err)


def test_a_terminal_shows_tables_not_markdown():
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    Terminal(console).show(page.to_markdown(cards.card("tversky")))
    shown = console.file.getvalue()
    assert re.search(r"^ alpha +0\.3 +α ≥ 0, the weight of false positives\.", shown, flags=re.MULTILINE)
    assert "| `alpha`" not in shown


@pytest.mark.skipif(
    keras.__version__ != cards.notes()["collections"]["Keras"], reason="the cards compare with another version of Keras"
)
def test_statements_on_keras():
    """α on the false negatives in its Tversky loss; 1 for empty on empty; α of the categorical focal on all classes."""
    truth, full, empty = np.zeros((1, 4, 4, 1)), np.ones((1, 4, 4, 1)), np.zeros((1, 4, 4, 1))
    truth[0, :2] = 1
    swapped = LOSSES["tversky"](alpha=0.1, beta=0.9)(truth, full)
    assert float(keras.losses.Tversky(alpha=0.9, beta=0.1)(truth, full)) == pytest.approx(float(swapped), rel=1e-4)
    assert float(keras.losses.Dice()(empty, empty)) == float(keras.losses.Tversky()(empty, empty)) == 1
    labels = np.eye(2)[np.array([[0, 1]])][np.newaxis]
    focal = keras.losses.CategoricalFocalCrossentropy()(labels, np.full((1, 1, 2, 2), 0.5))
    ours = LOSSES["focal"](alpha=None)(labels, np.full((1, 1, 2, 2), 0.5))
    assert float(focal) == pytest.approx(0.25 * float(ours), rel=1e-5)
