"""Compare arms over several datasets."""

from pathlib import Path

import yaml

from tfseg.cli import train
from tfseg.cli.datasets import Source, follow
from tfseg.cli.terminal import Terminal
from tfseg.comparison.several import RECORD
from tfseg.comparison.study import Study
from tfseg.core.claims import claimed
from tfseg.core.errors import ConfigError
from tfseg.core.resumable import resumable
from tfseg.reports.several import write_several
from tfseg.runs.pools import Parallel


def compare(
    study: Study,
    source: Source,
    out: Path,
    devices: str | None,
    command: str,
    dry_run: bool,
    parallel: Parallel | None = None,
) -> None:
    """Run a study on each of its datasets, in folders of their names, and report what holds over all of them.

    Raises:
        ConfigError: if the call or the study is wrong, or `out` holds something else.
        DataError, RunError: as the comparison of one dataset.
    """
    if source.data or source.prepared or source.phantoms or source.recipe:
        raise ConfigError("the study lists its datasets: leave out --data, --prepared, --phantoms and --prep")
    terminal = Terminal()
    names = list(study.protocol.datasets)
    with resumable(out), claimed(out, {RECORD: yaml.safe_dump({"datasets": names})}, "comparison of datasets"):
        for name, protocol in study.protocol.datasets.items():
            terminal.say(f"dataset {name}")
            train.compare(
                study, follow(source, protocol), out / name, None, devices, command, dry_run, parallel=parallel
            )
        if dry_run:
            return
        for sentence in write_several(out):
            terminal.say(sentence)
    terminal.show_paths(out, "report.html", "datasets.csv", "verdicts.csv", "ranks.csv", "tables")
