"""Write the tables of a comparison in the form of published studies, as CSV, Markdown and LaTeX."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats

from tfseg.comparison.printed import reproduced
from tfseg.core import files
from tfseg.metrics import METRICS, heading
from tfseg.metrics.outcomes import arm_column
from tfseg.metrics.summary import MEAN_LABEL
from tfseg.metrics.table import PREPARED
from tfseg.statistics import Question, t_interval
from tfseg.statistics.questions import nan_mean

_EQUAL = 1e-9  # differences that vary by no more do so by rounding
_OF_CLASS = {"recall": "accuracy", "iou": "IoU"}
_IN_PERCENT = ("accuracy", "dice", "precision", "recall", "specificity")


@dataclass(frozen=True)
class Table:
    """A table of results: the name of its files, a caption, its numbers, and how those of each column are written.

    `digits`: column → decimals, or a format such as ".2e"; a column without is text.
    """

    name: str
    caption: str
    numbers: pd.DataFrame
    digits: Mapping[str, int | str]

    def texts(self) -> pd.DataFrame:
        """Return every cell as it is printed; a dash if there is no value."""
        return pd.DataFrame({str(column): self._column(str(column)) for column in self.numbers})

    def _column(self, column: str) -> list[str]:
        digits = self.digits.get(column, "")
        form = f".{digits}f" if isinstance(digits, int) else digits
        return ["–" if pd.isna(value) else format(value, form) for value in self.numbers[column]]

    def to_markdown(self) -> str:
        """Return the table in Markdown, numbers aligned to the right."""
        texts = self.texts()
        lines = [
            list(texts.columns),
            ["---:" if column in self.digits else "---" for column in texts],
            *texts.to_numpy().tolist(),
        ]
        rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
        return "\n".join([*rows, "", self.caption, ""])

    def to_latex(self) -> str:
        """Return the table in LaTeX, for `\\input`; it needs the package booktabs."""
        texts = self.texts().map(_escape)
        texts.columns = [_escape(str(column)) for column in texts]
        shape = "".join("r" if column in self.digits else "l" for column in self.numbers)
        return texts.to_latex(index=False, column_format=shape, caption=_escape(self.caption), label=f"tab:{self.name}")

    def write(self, folder: Path) -> None:
        """Write NAME.csv with all digits, NAME.md and NAME.tex."""
        files.write_text(folder / f"{self.name}.csv", self.numbers.to_csv(index=False))
        files.write_text(folder / f"{self.name}.md", self.to_markdown())
        files.write_text(folder / f"{self.name}.tex", self.to_latex())


def study_tables(
    questions: Sequence[Question], folds: Mapping[str, int], epochs: Mapping[str, float], tolerance_mm: float, unit: str
) -> list[Table]:
    """Return the tables of the studies that tfseg follows, seeds averaged within each subject first.

    An infinite distance counts as the diagonal of the volume, as everywhere in a comparison.

    Args:
        questions: as returned by `tfseg.statistics.questions`.
        folds: subject → the fold that tested it under the first seed, whose table by fold it is; no table if empty.
        epochs: loss → the epochs that were trained, the mean over folds and seeds; no column if empty.
        tolerance_mm: of NSD.
        unit: of the distances.
    """
    values = {(each.label, each.metric): _subject_means(each) for each in questions}
    labels = [label for label, metric in values if metric == "dice"]
    losses = questions[0].arms if questions else ()
    first = {(each.label, each.metric): _first_seed(each) for each in questions}
    return [
        *([_by_fold(first, labels, losses, folds, unit)] if folds else []),
        _by_class(values, labels, losses),
        *([_paired_t(values, labels, losses)] if len(losses) > 1 else []),
        _by_surface(values, labels, losses, epochs, tolerance_mm, unit),
        _by_label(values, labels, losses, unit),
    ]


def printed_table(beside: pd.DataFrame, unit: str) -> Table:
    """Return the printed numbers of a study beside those of a comparison.

    Args:
        beside: as `tfseg.comparison.printed.beside_printed` returns it.
        unit: of the distances.
    """
    caption = (
        "What the study printed, what this comparison found, its 95 % interval over new subjects (and new trainings, "
        "if an arm has several and arms are compared by the metric), and whether the printed number lies inside. "
        f"{reproduced(beside)}"
    )
    digits = dict.fromkeys(("printed", "here", "low", "high"), "#.4g")
    return Table("printed", caption, beside.assign(metric=[heading(name, unit) for name in beside["metric"]]), digits)


def _first_seed(question: Question) -> pd.DataFrame:
    """Return the values under the first seed, a row per subject and a column per arm."""
    columns = {arm: question.of_arm(arm)[0] for arm in question.arms}
    return pd.DataFrame(columns, index=pd.Index(question.subjects))


def values_by_case(scores: pd.DataFrame, diagonal_mm: Mapping[str, float]) -> pd.DataFrame:
    """Return a row per label, metric and case, and a column per arm, seeds averaged: what rankings of others read.

    An infinite distance counts as the diagonal of the volume; a case that is empty in truth and prediction has no
    value. `subject` and `better` ("higher", "lower") say which rows belong together, and how to rank.

    Args:
        scores: columns `loss, seed, subject, case, label, metric, value`, and `arm` if arms are not losses.
        diagonal_mm: case → diagonal of its volume, in the unit of the distances.
    """
    scores = scores[scores["metric"].isin([name for name, metric in METRICS.items() if metric.better])]
    failed = np.isinf(scores["value"])
    values = scores.assign(
        value=scores["value"].mask(failed, scores["case"].map(diagonal_mm)),
        better=scores["metric"].map(lambda name: METRICS[name].better),
    )
    keys = ["label", "metric", "better", "subject", "case"]
    arm = arm_column(scores)
    means = values.groupby([*keys, arm], sort=False)["value"].mean().unstack(arm, sort=False)
    return means.rename_axis(columns=None).reset_index()


Values = Mapping[tuple[str, str], pd.DataFrame]


def _subject_means(question: Question) -> pd.DataFrame:
    """Return a row per subject and a column per arm, whose means are those of the arms."""
    columns = {arm: nan_mean(question.of_arm(arm)) for arm in question.arms}
    return pd.DataFrame(columns, index=pd.Index(question.subjects))


def _by_fold(
    values: Values, labels: Sequence[str], losses: Sequence[str], folds: Mapping[str, int], unit: str
) -> Table:
    """As Neyestanak 2025 (10.18502/jbe.v11i1.19315) prints each loss."""
    percent = {metric: f"{METRICS[metric].name} (%)" for metric in _IN_PERCENT}
    distance = heading("hd", unit)
    interval = f"{distance}, 95 % interval"
    rows: list[dict[str, object]] = []
    for label in labels:
        for loss in losses:
            own = {name: 100 * values[label, metric][loss] for metric, name in percent.items()}
            own[distance] = values[label, "hd"][loss]
            means = pd.DataFrame({name: _fold_means(each, folds) for name, each in own.items()})
            for fold, row in means.iterrows():
                rows.append({"label": label, "loss": loss, "fold": str(fold), **row})
            low, high = t_interval(means[distance].to_numpy())
            ends = "" if np.isnan(low) else f"{low:.2f} to {high:.2f}"
            rows.append({"label": label, "loss": loss, "fold": "mean", **means.mean(), interval: ends or None})
    columns = ["label", "loss", "fold", *percent.values(), distance, interval]
    caption = (
        "Means over the test subjects of each fold under the first seed, and their mean; the 95 % interval of the "
        "Hausdorff distance is Student's over the folds."
    )
    digits = dict.fromkeys((*percent.values(), distance), 2)
    return Table("by_fold", caption, pd.DataFrame(rows, columns=columns), digits)


def _by_class(values: Values, labels: Sequence[str], losses: Sequence[str]) -> Table:
    """As Kim 2025 (Journal of Magnetics) prints each loss."""
    whole = [key for key in values if key[1] == "global_accuracy"]
    of_classes = [(label, metric) for metric in _OF_CLASS for label in labels]
    numbers = pd.DataFrame({"loss": losses})
    for label, metric in [*whole, *of_classes]:
        of_loss = [values[label, metric][loss] for loss in losses]
        name = "global accuracy" if (label, metric) in whole else f"{_OF_CLASS[metric]}, {label}"
        numbers[name] = [each.mean() for each in of_loss]
        if (label, metric) in whole or label == MEAN_LABEL:
            numbers[f"{name}, SD"] = [each.std() for each in of_loss]
    counted = "Background is a class." if whole else "Background is no class."
    caption = f"IoU, and accuracy of a class: the share of its voxels that are predicted; SD over subjects. {counted}"
    return Table("by_class", caption, numbers, dict.fromkeys(numbers.columns[1:], 4))


def _paired_t(values: Values, labels: Sequence[str], losses: Sequence[str]) -> Table:
    """As Kim 2025 (Journal of Magnetics) tests two losses."""
    main = MEAN_LABEL if MEAN_LABEL in labels else labels[0]
    asked = [key for key in values if key[1] == "global_accuracy"] + [(main, metric) for metric in ("recall", "iou")]
    rows = []
    for label, metric in asked:
        for first, second in itertools.combinations(losses, 2):
            pair = values[label, metric][[first, second]].dropna().to_numpy().T
            differ = pair.shape[1] > 1 and np.ptp(pair[0] - pair[1]) > _EQUAL
            test = scipy.stats.ttest_rel(*pair) if differ else None
            found = {"t": test.statistic, "p": test.pvalue} if test else {"t": np.nan, "p": np.nan}
            rows.append({"label": label, "metric": METRICS[metric].name, "first": first, "second": second, **found})
    caption = (
        "Paired t-tests over subjects, as some studies print them. They take the networks as given: another training "
        "of the same losses may turn them. The verdicts of the comparison count the networks too."
    )
    return Table("paired_t", caption, pd.DataFrame(rows), {"t": 2, "p": ".2e"})


def _by_surface(
    values: Values,
    labels: Sequence[str],
    losses: Sequence[str],
    epochs: Mapping[str, float],
    tolerance_mm: float,
    unit: str,
) -> Table:
    """As the study of compound losses for HIE lesions (BONBID-HIE 2024) prints each loss."""
    own = {"dice": "Dice", "masd": f"MSD ({unit})", "nsd": f"NSD at {tolerance_mm:g} {unit}"}
    resampled = {f"{metric}{PREPARED}": f"{name}, prepared grid" for metric, name in own.items()}
    is_scored = any(metric in resampled for _, metric in values)
    names = {**own, **resampled} if is_scored else own
    rows = [
        {"label": label, "loss": loss}
        | {name: values[label, metric][loss].mean() for metric, name in names.items()}
        | ({"epochs": epochs.get(loss, np.nan)} if epochs else {})
        for label in labels
        for loss in losses
    ]
    trained = ", and the epochs that were trained, the mean over folds and seeds" if epochs else ""
    caption = f"Dice, mean surface distance (MASD), normalised surface Dice{trained}."
    digits = dict.fromkeys(names.values(), 4)
    return Table("by_surface", caption, pd.DataFrame(rows), {**digits, "epochs": 1} if epochs else digits)


def _by_label(values: Values, labels: Sequence[str], losses: Sequence[str], unit: str) -> Table:
    """As He 2024 (Bioengineering 11:427) prints each loss."""
    columns = {f"{heading(metric, unit)}, {label}": (label, metric) for metric in ("dice", "hd95") for label in labels}
    rows = [{"loss": loss} | {name: values[key][loss].mean() for name, key in columns.items()} for loss in losses]
    caption = "Dice and the 95th percentile of the Hausdorff distance of every label."
    return Table("by_label", caption, pd.DataFrame(rows), dict.fromkeys(columns, 4))


def _fold_means(values: pd.Series, folds: Mapping[str, int]) -> pd.Series:
    return values.groupby(values.index.map(folds)).mean()


def _escape(text: str) -> str:
    """Escape a text so that LaTeX prints it literally."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--"}
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text)
