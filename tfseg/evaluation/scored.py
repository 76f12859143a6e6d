"""Name what is scored: labels or regions, and the background if asked for."""

from tfseg.config.config import ScoringConfig
from tfseg.core.errors import ConfigError
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
