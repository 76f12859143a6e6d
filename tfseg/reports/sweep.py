"""Write the report of a sweep: the best values, what each field did, and how much of the best score is luck."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfseg import losses
from tfseg.core import files
from tfseg.core.words import duration
from tfseg.reports import figures_sweep
from tfseg.reports.run import facts, pages
from tfseg.tuning.folder import BEST, SPACE, SweepFolder, read_sweep
from tfseg.tuning.space import Parameter
from tfseg.tuning.sweep import FAILED
from tfseg.tuning.trials import describe_lengths

ENOUGH = 20  # trials, to say which field matters
SEVERAL = 3  # values of a field, of which one is in the middle
_BINS = 4
WATCHED = {"val_dice": "validation Dice", "val_iou": "validation IoU"}
_MOST_CELLS = 12  # of a side of a heat map


def write_sweep(folder: Path) -> list[str]:
    """Write `report.html` of a sweep; return its headline, one sentence each.

    Raises:
        RunError: as `read_sweep`.
    """
    sweep = read_sweep(folder)
    said = headline(sweep)
    files.write_text(folder / "report.html", _render(sweep, said))
    return said


def headline(sweep: SweepFolder) -> list[str]:
    """Say which values are best, and what they reach under another seed."""
    best, watched = sweep.best, WATCHED[sweep.search.watch]
    values = ", ".join(f"{field} {_text(best[field])}" for field in sweep.space.fields if not pd.isna(best[field]))
    gain = best["score"] - sweep.again
    failed = int((sweep.trials["status"] == FAILED).sum())
    return [
        f"{values} is best of {len(sweep.trials)} trials, by {watched}: {best['score']:.4f}.",
        f"Trained again under another seed, these values reach {sweep.again:.4f} on the same subjects: "
        f"of the best of {len(sweep.trials)}, {gain:+.4f} is luck.",
        *([f"{failed} of {len(sweep.trials)} trials failed; their reasons are below."] if failed else []),
        *at_ends(best, sweep.finished, sweep.space.fields),
    ]


def at_ends(best: Mapping[str, Any], finished: pd.DataFrame, fields: Sequence[str]) -> list[str]:
    """Say for every number of the best trial whether it is the least or the greatest of three or more that were tried.

    Args:
        best: the best trial, a value per field.
        finished: a row per trial, a column per field.
        fields: what was searched.

    >>> tried = pd.DataFrame({"epochs": [10, 20, 30], "rate": [0.1, 0.01, 0.001]})
    >>> at_ends({"epochs": 30, "rate": 0.01}, tried, ["epochs", "rate"])
    ['epochs 30 is the greatest that was tried: a better one may lie beyond.']
    """
    said = []
    for field in fields:
        tried = finished[field].dropna()
        if not pd.api.types.is_numeric_dtype(tried) or tried.nunique() < SEVERAL:
            continue
        for end, value in (("least", tried.min()), ("greatest", tried.max())):
            if best[field] == value:
                said.append(f"{field} {_text(value)} is the {end} that was tried: a better one may lie beyond.")
    return said


def importance(table: pd.DataFrame, parameters: Sequence[Parameter], score: str = "score") -> dict[str, float]:
    """Return for every field the share of the scores' variance that lies between its values, at least 0.

    It is ε² (Kelley 1935, 10.1073/pnas.21.9.554), `1 - (SSW / (n - k)) / (SST / (n - 1))`, for k values, or
    quarters of a range; fields of which too few trials have a value are left out.

    Args:
        table: a row per trial.
        parameters: the fields.
        score: the column of the score.
    """
    shares = {}
    for each in parameters:
        known = table.dropna(subset=[each.field, score])
        values = known[each.field]
        groups = values.astype(str) if each.is_list else pd.qcut(values, _BINS, duplicates="drop").astype(str)
        by_value = known.groupby(groups.to_numpy())[score]
        n, k = len(known), by_value.ngroups
        if k < 2 or n <= k:
            continue
        total = float(((known[score] - known[score].mean()) ** 2).sum())
        within = float(((known[score] - by_value.transform("mean")) ** 2).sum())
        shares[each.field] = max(0.0, 1 - (within / (n - k)) / (total / (n - 1))) if total else 0.0
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _render(sweep: SweepFolder, said: Sequence[str]) -> str:
    watched, finished = WATCHED[sweep.search.watch], sweep.finished
    fields = [each for each in sweep.space.parameters if finished[each.field].notna().any()]
    return (
        pages()
        .get_template("sweep.html")
        .render(
            dataset=sweep.environment.get("dataset", ""),
            phantoms=bool(sweep.environment.get("phantoms")),
            loss=losses.title(sweep.config.loss),
            headline=said,
            watched=watched,
            search=sweep.search,
            lengths=describe_lengths(sweep.space, sweep.search, sweep.config),
            time=duration(sweep.seconds),
            trained=duration(_seconds(sweep.trials)),
            best_so_far=figures_sweep.best_so_far(sweep.trials["score"].tolist(), sweep.again, watched),
            plots={
                each.field: figures_sweep.parameter(
                    finished[each.field], finished["score"], watched, each.kind == "loguniform"
                )
                for each in fields
            },
            heat_map=_heat_map(sweep, fields),
            importance=importance(finished, fields) if len(finished) >= ENOUGH and len(fields) > 1 else {},
            enough=ENOUGH,
            fields=sweep.space.fields,
            trials=[
                {**row, "values": [_text(row[field]) for field in sweep.space.fields]}
                for row in sweep.trials.sort_values("score", ascending=False).to_dict("records")
            ],
            tested=_tested(sweep.summary),
            space_text=(sweep.folder / SPACE).read_text(encoding="utf-8"),
            best_text=(sweep.folder / BEST).read_text(encoding="utf-8"),
            command=sweep.environment.get("command"),
            facts=facts(sweep.environment),
        )
    )


def _heat_map(sweep: SweepFolder, fields: Sequence[Parameter]) -> str | None:
    """The map of the two fields, if there are two, both lists."""
    if len(fields) != 2 or any(not each.is_list or len(each.values) > _MOST_CELLS for each in fields):
        return None
    rows, columns = (each.field for each in fields)
    return figures_sweep.heat_map(sweep.finished, rows, columns, "score", WATCHED[sweep.search.watch])


def _tested(summary: pd.DataFrame) -> list[dict[str, object]]:
    dice = summary[summary["metric"] == "dice"]
    return [{"label": row["label"], "n": row["n"], "dice": row["mean_finite"]} for _, row in dice.iterrows()]


def _seconds(trials: pd.DataFrame) -> float:
    """Return the time of the trainings; several trials may be read from one."""
    return float(trials.groupby("training")["seconds"].max().sum())


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4g}"
    return str(value)
