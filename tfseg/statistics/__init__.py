"""From tables of scores to verdicts: which arm is better, and how sure that is."""

from tfseg.statistics.anova import IGNORES, Anova, one_way_anova
from tfseg.statistics.conventions import CONVENTIONS, rankings
from tfseg.statistics.headline import against, best_arm, described_findings, headline, secondary_findings
from tfseg.statistics.means import arm_means, network_means, ranking, t_interval
from tfseg.statistics.questions import Question, questions
from tfseg.statistics.sizes import scores_by_size, truth_volumes_ml
from tfseg.statistics.trust import flagging, has_probabilities, source_differences, study_k
from tfseg.statistics.verdicts import (
    MARGINS,
    SECONDARY_METRICS,
    VERDICT_COLUMNS,
    Role,
    Verdict,
    compare_arms,
    describe,
    primary_question,
)

__all__ = [
    "CONVENTIONS",
    "IGNORES",
    "MARGINS",
    "SECONDARY_METRICS",
    "VERDICT_COLUMNS",
    "Anova",
    "Question",
    "Role",
    "Verdict",
    "against",
    "arm_means",
    "best_arm",
    "compare_arms",
    "describe",
    "described_findings",
    "flagging",
    "has_probabilities",
    "headline",
    "network_means",
    "one_way_anova",
    "primary_question",
    "questions",
    "ranking",
    "rankings",
    "scores_by_size",
    "secondary_findings",
    "source_differences",
    "study_k",
    "t_interval",
    "truth_volumes_ml",
]
