"""Propose the values of trials in synchronous batches, so that the seed and the scores so far decide all of them."""

import warnings
from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np

from tfseg.config.config import Config
from tfseg.core.errors import ConfigError
from tfseg.tuning.search import SearchConfig
from tfseg.tuning.space import Parameter, Space, Values
from tfseg.tuning.trials import EPOCHS

TRIALS = 20  # if neither the space nor the command line says how many
_TRIES = 100  # to draw values that no trial has had


class Proposer(Protocol):
    """Propose batches of values."""

    def ask(self, number: int) -> list[Values]:
        """Return the next values, at most `number`; fewer, or none, if all have been tried."""

    def tell(self, scores: Sequence[float | None]) -> None:
        """Receive the scores of the last batch, in its order; None for a trial that failed."""


def resolve_search(search: SearchConfig, space: Space, config: Config) -> SearchConfig:
    """Return the search with its method and number of trials.

    Raises:
        ConfigError: if the budget is smaller than one batch, a grid is asked of ranges, or halving of epochs.
    """
    if search.halving and EPOCHS in space.fields:
        raise ConfigError(f"{EPOCHS}: halving decides how long a trial is trained; leave out one of them")
    is_grid = all(parameter.kind == "grid" for parameter in space.parameters)
    method = search.method or ("grid" if is_grid else "random")
    if method == "grid":
        points = sum(1 for _ in space.points(config))
        if (search.trials or points) < points:
            raise ConfigError(f"trials: the grid has {points}, more than the budget of {search.trials}")
        return search.model_copy(update={"method": method, "trials": points})
    resolved = search.model_copy(update={"method": method, "trials": search.trials or TRIALS})
    if (resolved.trials or 0) < batch_size(resolved):
        raise ConfigError(
            f"trials: a budget of {resolved.trials} is smaller than one batch, {search.batch}; "
            "the space may set a smaller one, as in search: {batch: 2}"
        )
    return resolved


def batch_size(search: SearchConfig) -> int:
    """Return how many trials are proposed at a time: all of them, unless something is decided between batches."""
    decides = search.method == "optuna" or search.hours is not None or (search.halving and search.method == "random")
    return search.batch if decides else search.trials or TRIALS


def make_proposer(search: SearchConfig, space: Space, config: Config, seed: int) -> Proposer:
    """Return the proposer of a resolved search."""
    if search.method == "grid":
        return _Grid(space, config)
    return _Random(space, config, seed) if search.method == "random" else _Optuna(space, config, seed)


class _Grid:
    def __init__(self, space: Space, config: Config) -> None:
        self._points = space.points(config)

    def ask(self, number: int) -> list[Values]:
        return list(islice(self._points, number))

    def tell(self, scores: Sequence[float | None]) -> None:
        pass


class _Random:
    def __init__(self, space: Space, config: Config, seed: int) -> None:
        self._space, self._config = space, config
        self._rng = np.random.default_rng(seed)
        self._seen: list[Values] = []

    def ask(self, number: int) -> list[Values]:
        proposed: list[Values] = []
        for _ in range(number * _TRIES):
            if len(proposed) == number:
                break
            values = self._space.propose(self._config, lambda parameter: parameter.draw(self._rng))
            if values not in self._seen:
                self._seen.append(values)
                proposed.append(values)
        return proposed

    def tell(self, scores: Sequence[float | None]) -> None:
        pass


class _Optuna:
    """Tree-structured Parzen estimators (Bergstra 2011, 10.5555/2986459.2986743), by Ray Tune and Optuna."""

    def __init__(self, space: Space, config: Config, seed: int) -> None:
        import optuna
        from ray.tune.search.optuna import OptunaSearch

        def propose(trial: Any) -> dict[str, Values]:
            return {"values": space.propose(config, lambda parameter: _suggest(trial, parameter))}

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # trials of one batch keep their distance: experimental, but seeded
            sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._searcher = OptunaSearch(propose, metric="score", mode="max", sampler=sampler)
        self._batch: range = range(0)

    def ask(self, number: int) -> list[Values]:
        self._batch = range(self._batch.stop, self._batch.stop + number)
        return [self._searcher.suggest(str(trial))["values"] for trial in self._batch]

    def tell(self, scores: Sequence[float | None]) -> None:
        for trial, score in zip(self._batch, scores, strict=True):
            result = None if score is None else {"score": score}
            self._searcher.on_trial_complete(str(trial), result, error=score is None)


def _suggest(trial: Any, parameter: Parameter) -> Any:
    """Ask for one value; lists by the place of a value, which may be of any type. A grid is ordered."""
    if parameter.kind == "grid":
        return parameter.values[trial.suggest_int(parameter.field, 0, len(parameter.values) - 1)]
    if parameter.kind == "choice":
        return parameter.values[trial.suggest_categorical(parameter.field, range(len(parameter.values)))]
    low, high = parameter.values
    if parameter.kind == "randint":
        return trial.suggest_int(parameter.field, low, high)
    return trial.suggest_float(parameter.field, low, high, log=parameter.kind == "loguniform")
