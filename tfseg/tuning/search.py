"""Define how a space is searched: the method, the budget, and what is watched."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from tfseg.config.config import validate
from tfseg.config.section import Count, Positive, Section


class HalvingConfig(Section):
    """Synchronous successive halving (Jamieson 2016, arXiv:1502.07943): train all trials of a batch for `epochs`, keep
    the best `1 / factor` of them for `factor` times as many, and so on up to all epochs.
    """

    epochs: Count = 2
    factor: Annotated[int, Field(ge=2)] = 3


class SearchConfig(Section):
    """Settings of a search.

    `method`: `grid` tries every combination of lists, `random` draws, `optuna` follows a model of the scores so far;
    by default `grid` if everything is a `grid`, else `random`. `trials` and `hours`: the budget; a grid needs none.
    `batch`: trials that `optuna` proposes at a time, before it sees their scores. `watch`: the score of validation
    subjects, best over the epochs of a training, mean over `inner_folds`; 1 is the validation part of the fold itself.
    """

    method: Literal["grid", "random", "optuna"] | None = None
    trials: Count | None = None
    hours: Positive | None = None
    batch: Count = 4
    halving: HalvingConfig | None = None
    inner_folds: Count = 1
    watch: Literal["val_dice", "val_iou"] = "val_dice"


def with_options(search: SearchConfig, options: Mapping[str, object]) -> SearchConfig:
    """Return a search changed by the options of a command line that are not None.

    Raises:
        ConfigError: if a value is wrong.

    >>> with_options(SearchConfig(), {"trials": 8, "hours": None}).trials
    8
    """
    given = {name: value for name, value in options.items() if value is not None}
    return validate(SearchConfig, {**search.model_dump(), **given}, "the command line")
