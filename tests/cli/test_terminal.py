"""Progress and tables as they are printed."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from rich.text import Text

from tfseg.cli.terminal import Terminal


@pytest.fixture
def printed():
    """Plain output of 80 columns, and the text that was printed."""
    file = io.StringIO()
    return Terminal(Console(file=file, width=80, soft_wrap=True, highlight=False)), file.getvalue


def summary(label, n, sd):
    values = {"dice": 0.8123, "hd95": 12.34, "nsd": 0.5}
    counts = {"n": n, "both_empty": 3, "missed": 2, "false_alarm": 1}
    rows = [{"label": label, "metric": m, "mean_finite": v, "sd_finite": sd, **counts} for m, v in values.items()]
    return pd.DataFrame(rows)


def test_table_has_a_row_per_label_with_failures_beside_the_means(printed):
    terminal, text = printed
    terminal.show_summary(pd.concat([summary("spleen", 9, 0.05), summary("mean", 9, np.nan)]))
    row = next(line.split() for line in text().splitlines() if line.strip().startswith("spleen"))
    assert row == ["spleen", "9", "0.812±0.050", "12.34±0.05", "0.500±0.050", "2", "1", "3"]
    assert any(line.strip().startswith("mean") for line in text().splitlines())


def test_losses_are_shown_with_the_means_of_the_report_and_failures_of_how_many(printed):
    terminal, text = printed
    counts = {"subjects": 9, "cases": 36, "missed": 2, "false_alarm": 1, "both_empty": 3}
    values = {"dice": (0.8123, 0.05), "hd95": (22.034, 40.5), "nsd": (0.5, np.nan)}
    means = [
        {"label": "spleen", "arm": arm, "metric": metric, "mean": mean, "sd": sd, **counts}
        for arm in ("dice", "[b]ce")
        for metric, (mean, sd) in values.items()
    ]
    terminal.show_losses(pd.DataFrame(means), "mm")
    lines = [" ".join(line.split()) for line in text().splitlines()]
    for arm in ("dice", "[b]ce"):
        assert f"{arm} 9 0.812±0.050 22.03±40.50 0.500 2 of 32 1 of 4 3 of 36" in lines


def test_names_from_the_data_are_printed_as_they_are(printed):
    terminal, text = printed
    terminal.show_summary(summary("[b]x[/b]", 9, 0.05))
    terminal.say("[bold]a path[/bold]")
    assert "[b]x[/b]" in text()
    assert "[bold]a path[/bold]" in text()


def test_without_a_terminal_an_epoch_is_a_line_with_the_time_left(printed):
    terminal, text = printed
    with terminal.training("dice", networks=2) as lines:
        lines.skipped("fold 1/2")
        progress = lines.begin("fold 2/2", steps=[10] * 3)
        progress.on_step()
        progress.on_epoch(0, {"loss": 0.25, "val_dice": 0.5})
    first, second = text().splitlines()
    assert first == "fold 1/2: finished before"
    begin, _, times = second.partition("val_dice 0.5000  ")
    assert begin == "fold 2/2  epoch 1/3  loss 0.2500  "
    assert re.fullmatch(r"\d+\.\d s/epoch, \d+ s left, \d+ s of the run", times)


def test_a_score_is_left_out_while_it_is_unknown(printed):
    terminal, text = printed
    with terminal.training("dice", networks=1) as lines:
        lines.begin("fold 1/1", steps=[10] * 3).on_epoch(0, {"loss": 0.25})
    assert re.match(r"fold 1/1  epoch 1/3  loss 0\.2500  \d+\.\d s/epoch", text())


def test_a_training_that_resumes_says_from_where(printed):
    terminal, text = printed
    with terminal.training("dice", networks=1) as lines:
        progress = lines.begin("fold 1/1", steps=[10] * 3)
        progress.on_resume(2)
        progress.on_epoch(2, {"loss": 0.25, "val_dice": 0.5})
    first, second = text().splitlines()
    assert first == "fold 1/1: resumes after epoch 2/3"
    assert second.startswith("fold 1/1  epoch 3/3")


def test_without_a_terminal_a_stage_is_two_lines(printed):
    terminal, text = printed
    with terminal.bar("preparing", 3) as advance:
        advance()
    assert re.fullmatch(r"preparing \.\.\.\npreparing: done in \d+\.\d s\n", text())


def test_on_a_terminal_a_bar_counts_to_its_end():
    file = io.StringIO()
    terminal = Terminal(Console(file=file, force_terminal=True, width=80))
    with terminal.bar("preparing", 3) as advance:
        for _ in range(3):
            advance()
    assert "3/3" in file.getvalue()


def test_on_a_terminal_epoch_network_and_run_have_a_bar_each():
    file = io.StringIO()
    terminal = Terminal(Console(file=file, force_terminal=True, width=120))
    with terminal.training("dice: folds", networks=3) as lines:
        lines.skipped("fold 1/3")
        progress = lines.begin("fold 2/3", steps=[4, 4, 6])
        progress.on_resume(1)
        for _ in range(4):
            progress.on_step()
        progress.on_epoch(1, {"loss": 0.25, "val_dice": 0.5})
        for _ in range(5):
            progress.on_step()
    drawn = Text.from_ansi(file.getvalue()).plain.splitlines()
    rows = {
        name: next(line for line in reversed(drawn) if line.startswith(name)) for name in ("dice", "fold 2", "epoch")
    }
    assert re.search(r" 1/3 +\d+ s$", rows["dice"].rstrip())
    assert rows["fold 2"].startswith("fold 2/3  epoch 2/3  loss 0.2500  val_dice 0.5000")
    assert re.search(r" 13/14 +\d+ s$", rows["fold 2"].rstrip())
    assert rows["epoch"].startswith("epoch 3")
    assert re.search(r" 5/6 +\d+ s$", rows["epoch"].rstrip())
