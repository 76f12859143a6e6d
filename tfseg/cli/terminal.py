"""Show progress, messages and tables: bars with the time left on a terminal, plain lines elsewhere."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from tfseg.cli.parallel_lines import ParallelLines
from tfseg.cli.training_lines import TrainingLines
from tfseg.core.words import duration

if TYPE_CHECKING:
    import pandas as pd

    from tfseg.comparison.estimate import Estimate
    from tfseg.runs.cells import Listener

SUMMARY_METRICS = ("dice", "hd95", "nsd")
PLAIN_WIDTH = 120  # of tables, if there is no terminal
# What the means of a comparison are of.
OUT_OF_FOLD = "Out of fold, mean ± SD over n subjects, seeds averaged and the failures of every seed counted"


class Terminal:
    """Standard output: progress, messages and tables."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        if not self._console.is_terminal:
            self._console.width = max(self._console.width, PLAIN_WIDTH)

    def say(self, text: str) -> None:
        """Print a line of plain text."""
        self._console.print(text, markup=False)

    def show(self, markdown: str) -> None:
        """Print Markdown: formatted on a terminal, as plain text elsewhere."""
        if self._console.is_terminal:
            from rich.markdown import Markdown

            self._console.print(Markdown(markdown), soft_wrap=False)
        else:
            self.say(markdown)

    @contextmanager
    def bar(self, description: str, total: int) -> Iterator[Callable[[], None]]:
        """Show the progress of `total` equal pieces of work; yields the function to call after each."""
        if not self._console.is_terminal:
            started = time.perf_counter()
            self.say(f"{description} ...")
            yield lambda: None
            self.say(f"{description}: done in {time.perf_counter() - started:.1f} s")
            return
        with _progress(self._console, TimeRemainingColumn()) as progress:
            task = progress.add_task(description, total=total)
            yield lambda: progress.advance(task)
            progress.update(task, completed=total)  # some work may have been skipped

    @contextmanager
    def training(self, what: str, networks: int, at_once: bool = False) -> Iterator["Listener"]:
        """Show the training of some networks, one after another or several at once; yields the listener of a run."""
        lines = ParallelLines if at_once else TrainingLines
        if not self._console.is_terminal:
            yield lines(self.say, what, networks, None)
            return
        with _progress(self._console, TextColumn("{task.fields[left]}")) as progress:
            yield lines(self.say, what, networks, progress)

    def show_paths(self, folder: Path, *names: str) -> None:
        """Print the paths of files in a folder."""
        for name in names:
            self.say(f"{name.removesuffix('.html').removesuffix('.csv'):8} {folder / name}")

    def show_summary(self, summary: "pd.DataFrame", means: str = "Out of fold, mean", unit: str = "mm") -> None:
        """Print a summary, one row per label: means, which the line below the table calls `means`, and failures."""
        table = _summary_table("label", unit)
        for label in summary.loc[summary["metric"] == "dice", "label"].unique():
            table.add_row(Text(str(label)), *_summary_cells(summary[summary["label"] == label]))
        self._console.print(table, soft_wrap=False)
        self.say(
            f"{means} ± SD of finite values, over n subjects. Number of cases in which the structure is missed, "
            "a false alarm, or empty in truth and prediction."
        )

    def show_losses(
        self,
        means: "pd.DataFrame",
        unit: str,
        of: str = OUT_OF_FOLD,
    ) -> None:
        """Print the means of several losses, as their report does: one table per label, one row per loss.

        The line below the tables begins with what the means are `of`.
        """
        for label in means.loc[means["metric"] == "dice", "label"].unique():
            table = _summary_table(str(label), unit)
            own = means[means["label"] == label]
            for loss in own["arm"].unique():
                rows = own[own["arm"] == loss].set_index("metric")
                values = [_mean_and_sd(metric, *rows.loc[metric, ["mean", "sd"]]) for metric in SUMMARY_METRICS]
                counts = rows.loc["dice", ["subjects", "cases", "missed", "false_alarm", "both_empty"]]
                subjects, cases, missed, false_alarm, both_empty = counts.astype(int)
                without = false_alarm + both_empty
                failures = (f"{missed} of {cases - without}", f"{false_alarm} of {without}", f"{both_empty} of {cases}")
                table.add_row(Text(str(loss)), str(subjects), *values, *failures)
            self._console.print(table, soft_wrap=False)
        self.say(
            f"{of}; infinite distances count as the diagonal of the scan. Missed: of the cases with the structure; "
            "false: false alarms of those without."
        )

    def show_estimate(self, needed: "Estimate") -> None:
        """Print what a grid of trainings needs."""
        steps = ", ".join(f"{loss} {seconds * 1000:.0f} ms" for loss, seconds in needed.seconds_per_step.items())
        if not steps:
            self.say("no loss could take a step: the time is unknown")
            return
        self.say(f"one step: {steps}")
        self.say(
            f"about {duration(needed.seconds)}, {needed.memory_bytes / 2**30:.1f} GiB of memory and "
            f"{needed.disk_bytes / 2**20:.0f} MiB of disk ({needed.free_bytes / 2**30:.1f} GiB free)"
        )

    def show_lesions(self, scores: "pd.DataFrame", summary: "pd.DataFrame") -> None:
        """Print the lesions of all cases together and the mean F1 per case, one row per label."""
        columns = ("truth", "detected", "missed", "false")
        table = _table("label", "lesions", *columns[1:], "F1")
        totals = scores.groupby(["label", "metric"])["value"].sum()
        f1 = summary[summary["metric"] == "lesion_f1"].set_index("label")
        for label in scores["label"].unique():
            counts = (str(int(totals[label, f"lesions_{column}"])) for column in columns)
            table.add_row(Text(str(label)), *counts, _mean_and_spread(f1.loc[label]))
        self._console.print(table, soft_wrap=False)


def _table(rows: str, *columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(Text(rows), min_width=8, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _summary_table(rows: str, unit: str) -> Table:
    from tfseg.metrics import heading

    scores = (heading(metric, unit) for metric in SUMMARY_METRICS)
    return _table(rows, "n", *scores, "missed", "false", "empty")


def _summary_cells(summary: "pd.DataFrame") -> list[str]:
    """Return n, means with their spread, and counts of failures for one loss and label."""
    rows = {str(row["metric"]): row for _, row in summary.iterrows()}
    values = [_mean_and_spread(rows[metric]) for metric in SUMMARY_METRICS]
    n, *failures = (str(int(rows["dice"][column])) for column in ("n", "missed", "false_alarm", "both_empty"))
    return [n, *values, *failures]


def _progress(console: Console, time_left: ProgressColumn) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), time_left)
    return Progress(*columns, console=console)


def _mean_and_spread(row: "pd.Series") -> str:
    return _mean_and_sd(row["metric"], row["mean_finite"], row["sd_finite"])


def _mean_and_sd(metric: str, mean: float, sd: float) -> str:
    from tfseg.metrics import metric_of

    digits = metric_of(metric).digits
    spread = "" if math.isnan(sd) else f"±{sd:.{digits}f}"
    return f"{mean:.{digits}f}{spread}"
