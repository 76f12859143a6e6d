"""Name what is scored: labels or regions, and the background if asked for; and by which metrics."""

from tfseg.config.config import Config, ScoringConfig
from tfseg.core.errors import ConfigError
from tfseg.metrics.table import CALIBRATED, DROPOUT, METRICS, PREPARED
from tfseg.prepared.prepared import Prepared

BACKGROUND = "background"
ALL = "all voxels"  # the label of quantities of whole cases


def scored_labels(prepared: Prepared, scoring: ScoringConfig) -> list[str]:
    """Return the names of what is scored: the background if asked for, then the labels or regions.

    Raises:
        ConfigError: if the background cannot be scored beside them.
    """
    names = list(prepared.targets.scored)
    if not scoring.background:
        return names
    if prepared.regions or BACKGROUND in names:
        found = "regions, which have no background" if prepared.regions else f"a label called {BACKGROUND}"
        raise ConfigError(f"scoring.background: expected labels without one; {prepared.folder} has {found}")
    return [BACKGROUND, *names]


def compared_metrics(config: Config) -> list[str]:
    """Return the metrics with a better direction by which a configuration scores networks.

    >>> compared_metrics(Config())[:3], "ece_band" in compared_metrics(Config())
    (['dice', 'iou', 'precision'], False)
    """
    measured = config.uncertainty
    is_measured = {
        PREPARED: config.scoring.prepared_grid,
        DROPOUT: measured is not None and measured.samples is not None,
        CALIBRATED: measured is not None and measured.temperature != "none",
        "global_accuracy": config.scoring.background,
        "lesion_f1": False,  # of `tfseg score --lesions`
    }
    without = tuple(suffix for suffix, is_so in is_measured.items() if not is_so)
    return [
        name
        for name, metric in METRICS.items()
        if metric.better and not name.endswith(without) and (measured is not None or not metric.of_probabilities)
    ]
