"""Choose the phantoms that stand in for scans."""

from typing import NamedTuple


class StandIn(NamedTuple):
    """Phantoms to train on without scans: their kind, number and size."""

    kind: str
    subjects: int
    size: int


# Small enough for minutes on two cores, large enough to learn three organs or five tissues from.
STAND_INS = {"abdomen": StandIn("abdomen", 16, 45), "head": StandIn("healthy_head", 16, 48)}
