"""Statistics of a comparison of losses: the subject is the unit, and all losses are scored on the same subjects."""

from tfseg.statistics.anova import IGNORES, Anova, one_way_anova
from tfseg.statistics.conclusions import Conclusion, conclude, overall
from tfseg.statistics.conventions import CONVENTIONS, rankings
from tfseg.statistics.folds import corrected_t, fold_tests
from tfseg.statistics.paired import Paired, paired_values
from tfseg.statistics.pairwise import pairwise_tests
from tfseg.statistics.ranks import Ranking, friedman_nemenyi
from tfseg.statistics.seeds import seed_means, seed_noise
from tfseg.statistics.sizes import scores_by_size, truth_volumes_ml
from tfseg.statistics.table import pairs_table

__all__ = [
    "CONVENTIONS",
    "IGNORES",
    "Anova",
    "Conclusion",
    "Paired",
    "Ranking",
    "conclude",
    "corrected_t",
    "fold_tests",
    "friedman_nemenyi",
    "one_way_anova",
    "overall",
    "paired_values",
    "pairs_table",
    "pairwise_tests",
    "rankings",
    "scores_by_size",
    "seed_means",
    "seed_noise",
    "truth_volumes_ml",
]
