"""Name the modes and scales of a study, which the command line and studies share."""

from enum import StrEnum


class Mode(StrEnum):
    """The rules that a study follows: fair ones, or those of the printed study, even if they flatter."""

    fair = "fair"
    as_printed = "as_printed"


class Scale(StrEnum):
    """Scale of a study: as it should be, or small enough for minutes on two cores."""

    full = "full"
    small = "small"
