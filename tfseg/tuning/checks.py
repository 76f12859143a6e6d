"""Check a space against a configuration, before anything is trained."""

import difflib

from tfseg import losses
from tfseg.config.config import Config
from tfseg.core.errors import ConfigError
from tfseg.tuning.space import Space, Values, with_values

SEARCHED = ("loss", "model", "training", "stages")  # the rest says what is measured, and is held
HELD = ("training.threads",)
MOST = 1000  # combinations to check


def check_space(space: Space, config: Config) -> list[Config]:
    """Check every combination of listed values and ends of ranges as a change of the configuration.

    Of more than 1000 combinations, 1000 are drawn evenly and checked.

    Returns:
        Configurations that together have each of these values, for checks against the data.

    Raises:
        ConfigError: if a field is unknown (with the nearest name) or held, no condition can hold, the configuration
            does not take a combination, or it selects on test subjects.
    """
    if config.select_on == "test":
        raise ConfigError("select_on: test would search on test subjects; a search needs select_on: validation")
    for parameter in space.parameters:
        _check_field(parameter.field)
        for name, allowed in parameter.conditions.items():
            if name not in space.fields:
                _check_condition(name, allowed, config, f"the space: {parameter.field}: if")
    if not space.applicable_to(config).parameters:
        raise ConfigError(f"the space: none of its fields is searched for the loss {losses.title(config.loss)}")
    examples: list[Config] = []
    had: set[tuple[str, str]] = set()
    for point in space.corners(config, MOST):
        changed = with_values(config, point, "the space")
        _check_losses(changed, point)
        has = {(field, repr(value)) for field, value in point.items()}
        if not has <= had:
            had |= has
            examples.append(changed)
    return examples


def _check_field(field: str) -> None:
    if field in HELD:
        raise ConfigError(f"{field}: cannot be searched: it changes the last digits of every score")
    section = field.split(".")[0]
    if section not in SEARCHED:
        nearest = difflib.get_close_matches(section, SEARCHED, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"a search may change {', '.join(SEARCHED)}"
        raise ConfigError(f"{field}: cannot be searched; {hint}")


def _check_condition(name: str, allowed: tuple[object, ...], config: Config, where: str) -> None:
    """Refuse a condition about a field, or with a value, that no configuration has."""
    for value in allowed:
        with_values(config, {name: value}, where)
        if name == "loss.name":
            try:
                losses.make({"name": value})
            except ValueError as error:
                raise ConfigError(f"{where}: {name}: {error}") from error


def _check_losses(config: Config, point: Values) -> None:
    for stage in config.resolved_stages():
        try:
            losses.make(stage.loss, overlap_over=stage.training.overlap_over)
        except ValueError as error:
            fields = [field for field in point if field.split(".")[0] == "loss"]
            raise ConfigError(f"{', '.join(fields) or 'loss'}: {error}") from error
