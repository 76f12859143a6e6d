"""The rule by which one loss is called better than another."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from tfseg.metrics.table import METRICS
from tfseg.statistics.paired import Paired
from tfseg.statistics.pairwise import ALPHA, TOO_FEW_DIFFER, paired_differences, why_untestable
from tfseg.statistics.seeds import SeedNoise, seed_noise


class Verdict(StrEnum):
    """What the comparison of a leading loss with another one allows to say."""

    BETTER = "better"
    NOISE = "inside the noise of seeds"
    HINT = "a hint"
    OPEN = "open"
    UNTESTED = "not tested"


@dataclass(frozen=True)
class Lead:
    """A leading loss against another: `lead` and its interval are positive where the leading one is better.

    `t_p, wilcoxon_p`: adjusted over the pairs; `rank_lead`: rank-biserial correlation; all NaN, with the `reason`,
    where there was no test. `few`: Wilcoxon's test cannot reach 0.05 with as many subjects as differ.
    """

    loss: str
    metric: str
    lead: float
    low: float
    high: float
    t_p: float
    wilcoxon_p: float
    rank_lead: float
    noise: SeedNoise
    few: bool
    reason: str

    @property
    def verdict(self) -> Verdict:
        """Better: both adjusted tests below 0.05, mean and ranks agree, and more than seeds alone make.

        One test alone, or mean and ranks that point in opposite directions: a hint. Neither test: open.
        """
        significant = [self.t_p < ALPHA, self.wilcoxon_p < ALPHA]
        if self.reason:
            return Verdict.UNTESTED
        if self.lead <= 0 or not any(significant):
            return Verdict.OPEN
        if not all(significant) or self.rank_lead <= 0:
            return Verdict.HINT
        return Verdict.NOISE if self.noise.holds(self.lead) else Verdict.BETTER

    @property
    def p(self) -> float:
        """The larger p of the two tests."""
        return max(self.t_p, self.wilcoxon_p)


def lead_over(paired: Paired, tests: pd.DataFrame, best: str, loss: str) -> Lead:
    """Reads what the tests say of the loss with the best mean against another.

    Args:
        paired: one label and metric.
        tests: as `pairs_table` gives them for this label and metric.
    """
    forward = (tests["first"] == best) & (tests["second"] == loss)
    backward = (tests["first"] == loss) & (tests["second"] == best)
    row = tests[forward | backward].iloc[0]
    sign = METRICS[paired.metric].sign * (1 if forward.any() else -1)
    low, high = sorted((sign * row["ci_low"], sign * row["ci_high"]))
    reason = ""
    if np.isnan(row["t_p"]):
        reason = why_untestable(paired_differences(paired.values[best], paired.values[loss]))
    return Lead(
        loss=loss,
        metric=paired.metric,
        lead=sign * row["mean_difference"],
        low=low,
        high=high,
        t_p=row["t_p_holm"],
        wilcoxon_p=row["wilcoxon_p_holm"],
        rank_lead=sign * row["rank_biserial"],
        noise=seed_noise(paired.runs, best, loss),
        few=TOO_FEW_DIFFER in row["note"],
        reason=reason,
    )
