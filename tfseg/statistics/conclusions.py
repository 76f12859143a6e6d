"""What a comparison allows to say, in sentences: who is best, by how much, how sure, and where nothing can be said."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from tfseg.metrics.summary import MEAN_LABEL
from tfseg.metrics.table import METRICS, write_value
from tfseg.statistics.paired import Paired
from tfseg.statistics.pairwise import ALPHA, MIN_SUBJECTS
from tfseg.statistics.quantities import write_p
from tfseg.statistics.verdicts import Lead, Verdict, lead_over


@dataclass(frozen=True)
class Conclusion:
    """One label and metric: the loss with the best mean, the verdict on each other loss, and the text.

    `subjects`: those that have a value under every loss; `seeds`: the most that a loss was trained with.
    """

    label: str
    metric: str
    best: str
    subjects: int
    seeds: int
    verdicts: dict[str, Verdict]
    text: str

    @property
    def what(self) -> str:
        """The metric and the label: "Dice of spleen"."""
        return describe(self.label, self.metric)

    @property
    def beaten(self) -> list[str]:
        """The losses that the best one is better than."""
        return [loss for loss, verdict in self.verdicts.items() if verdict is Verdict.BETTER]

    @property
    def surely_best(self) -> bool:
        """Whether the best loss is better than every other one."""
        return len(self.beaten) == len(self.verdicts) > 0


def conclude(paired: Paired, tests: pd.DataFrame, unit: str = "mm") -> Conclusion:
    """Draws the conclusion on one label and metric, by the rule of `Lead.verdict`.

    Args:
        paired: one label and metric.
        tests: as `pairs_table` gives them; rows of other labels and metrics are passed over.
        unit: of the distances.
    """
    values = paired.values.dropna()
    what = describe(paired.label, paired.metric)
    what = what[0].upper() + what[1:]
    seeds = int(paired.runs.columns.to_frame()["seed"].groupby(level="loss").nunique().max())
    if values.empty:
        text = f"{what}: no subject has a value under every loss, so nothing can be said."
        return Conclusion(paired.label, paired.metric, "", 0, seeds, {}, text)
    own = tests[(tests["label"] == paired.label) & (tests["metric"] == paired.metric)]
    best = str((values.mean().round(10) * METRICS[paired.metric].sign).idxmax())
    leads = [lead_over(paired, own, best, loss) for loss in paired.losses if loss != best]
    equal = [best, *(lead.loss for lead in leads if lead.lead == 0)]
    who = f"{best} has" if len(equal) == 1 else f"{_join(equal)} share"
    mean = write_value(paired.metric, values[best].mean(), unit)
    counted = f"{_count(len(values), 'subject')}, {_count(seeds, 'seed')}"
    text = " ".join([f"{what} ({counted}): {who} the best mean, {mean}.", *_sentences(leads, unit)])
    verdicts = {lead.loss: lead.verdict for lead in leads}
    return Conclusion(paired.label, paired.metric, best, len(values), seeds, verdicts, text)


def overall(conclusions: Sequence[Conclusion]) -> list[str]:
    """Sums up: where a loss is surely best, where better than some, where nothing can be said, and the limits."""
    told = [each for each in conclusions if each.verdicts]
    lines = []
    for loss in dict.fromkeys(each.best for each in told if each.surely_best):
        won = [each.what for each in told if each.best == loss and each.surely_best]
        lines.append(f"{loss} is better than every other loss on {_join(won)}.")
    for each in told:
        if each.beaten and not each.surely_best:
            rest = [loss for loss in each.verdicts if loss not in each.beaten]
            lines.append(
                f"On {each.what}, {each.best} is better than {_join(each.beaten)}, not surely than {_join(rest)}."
            )
    if unclear := [each.what for each in told if not each.beaten]:
        lines.append(f"On {_join(unclear)}, the loss with the best mean is not surely better than any other.")
    if any(each.seeds < 2 for each in told):
        lines.append("With one seed it cannot be told how much of a difference the seed alone makes.")
    if few := [each.subjects for each in told if each.subjects < MIN_SUBJECTS]:
        lines.append(f"{_count(min(few), 'subject')} cannot carry a test, which needs {MIN_SUBJECTS}.")
    if len(told) > 1:
        lines.append(
            f"{len(told)} questions were asked, each a metric of a label, and p was adjusted within each alone: where "
            "losses do not differ, up to one question in 20 still finds that some do."
        )
    return lines


def describe(label: str, metric: str) -> str:
    """Name a metric of a label: "Dice of spleen", "mean Dice over labels"."""
    name = METRICS[metric].name
    return f"mean {name} over labels" if label == MEAN_LABEL else f"{name} of {label}"


def _sentences(leads: list[Lead], unit: str) -> Iterator[str]:
    of = {verdict: [lead for lead in leads if lead.verdict is verdict] for verdict in Verdict}
    if better := of[Verdict.BETTER]:
        yield f"It is better than {_join([_won(lead, unit) for lead in better])}."
    for lead in of[Verdict.NOISE]:
        noise = write_value(lead.metric, lead.noise.noise, unit)
        yield (
            f"Its lead over {lead.loss}, {_size(lead, unit)}, holds over the subjects but is inside the noise of seeds "
            f"(±{noise}): other seeds may turn it."
        )
    for lead in of[Verdict.HINT]:
        tests = f"t-test {write_p(lead.t_p)}, Wilcoxon {write_p(lead.wilcoxon_p)}"
        why = ": ranks point the other way" if lead.rank_lead <= 0 else ""
        if lead.few:
            why = f": so few subjects cannot bring Wilcoxon below {ALPHA}"
        yield f"Its lead over {lead.loss}, {_size(lead, unit, tests)}, is a hint, not more{why}."
    if undecided := of[Verdict.OPEN]:
        yield f"Nothing can be said against {_join([f'{lead.loss}, {_size(lead, unit)}' for lead in undecided])}."
    for reason, untested in groupby(of[Verdict.UNTESTED], key=lambda lead: lead.reason):
        yield f"No test could be done against {_join([lead.loss for lead in untested])}: {reason}."


def _won(lead: Lead, unit: str) -> str:
    seeds = f"; seeds alone: up to {write_value(lead.metric, lead.noise.noise, unit)}" if lead.noise.known else ""
    return f"{lead.loss} by {_size(lead, unit, write_p(lead.p) + seeds)}"


def _size(lead: Lead, unit: str, tests: str = "") -> str:
    size, low, high = (write_value(lead.metric, value, unit) for value in (lead.lead, lead.low, lead.high))
    return f"{size} (95 % interval {low.removesuffix(f' {unit}')} to {high}, {tests or write_p(lead.p)})"


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
