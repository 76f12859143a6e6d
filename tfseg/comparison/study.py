"""A study: which losses are compared, under which seeds, and all that they have in common."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tfseg import losses
from tfseg.config.config import Config, validate
from tfseg.config.yaml_files import merge, parse_override, read_yaml, read_yaml_chain
from tfseg.core import files
from tfseg.core.errors import ConfigError
from tfseg.losses.spec import parse, parse_list

Loss = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """What to compare: losses as a config writes them, and how many seeds, the first being that of `config`.

    All else in `config` is the same for all; its own loss plays no part.

    Raises:
        ConfigError: on a loss that is unknown, does not take its parameters, is there twice, or would be
            replaced by a stage's own; on no seed.
    """

    config: Config
    losses: tuple[Loss, ...]
    seeds: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.seeds, int) or self.seeds < 1:
            raise ConfigError(f"seeds: expected a whole number of at least 1, received {self.seeds!r}")
        for number, stage in enumerate(self.config.stages):
            if stage.loss is not None:
                raise ConfigError(f"stages.{number}.loss: would take the place of the losses compared; leave it out")
        for loss in self.losses:
            try:
                losses.make(loss, overlap_over=self.config.training.overlap_over)
            except ValueError as error:
                raise ConfigError(f"losses: {error}") from error
        for names in ([losses.title(loss) for loss in self.losses], list(self._folders(0))):
            name, times = Counter(names).most_common(1)[0] if names else ("", 0)
            if times > 1:
                raise ConfigError(f"losses: {name} is there {times} times")

    @property
    def titles(self) -> list[str]:
        """The losses as tables name them."""
        return [losses.title(loss) for loss in self.losses]

    def runs(self) -> dict[str, Config]:
        """Return the configuration of every run, by the name of its folder: each loss under each seed."""
        seeds = range(self.config.seed, self.config.seed + self.seeds)
        return {
            folder: self.config.model_copy(update={"loss": loss, "seed": seed})
            for seed in seeds
            for folder, loss in zip(self._folders(seed), self.losses, strict=True)
        }

    def _folders(self, seed: int) -> list[str]:
        return [f"{re.sub(r'[^A-Za-z0-9.=-]+', '_', title).strip('_')}_s{seed}" for title in self.titles]

    def shared_yaml(self) -> str:
        """Return what all runs have in common, as YAML."""
        shared = self.config.model_dump(mode="json", exclude={"loss"})
        return yaml.safe_dump(shared, sort_keys=False)

    def joined_to(self, path: Path) -> "Study":
        """Return this study with the losses and seeds of the one written at `path`, if there is one, before its own.

        Raises:
            ConfigError: where the file is damaged.
        """
        if not path.is_file():
            return self
        before = _read_parts(read_yaml(path), str(path))
        new = tuple(loss for loss in self.losses if loss not in before[0])
        return replace(self, losses=(*before[0], *new), seeds=max(before[1], self.seeds))

    def write(self, path: Path) -> None:
        """Write the losses and the number of seeds."""
        files.write_text(path, yaml.safe_dump({"losses": list(self.losses), "seeds": self.seeds}, sort_keys=False))


def load_study(
    study: Path | None, config: Path | None, overrides: Sequence[str], listed: str | None, seeds: int | None
) -> Study:
    """Read a study: a file of `losses`, `seeds` and what a configuration holds, changed by the command line.

    Args:
        study: YAML, with a `base:` chain if it likes; or
        config: a configuration, for a study whose losses the command line lists.
        overrides: settings as `training.epochs=20`.
        listed: losses as `dice,tversky:alpha=0.3`, in place of the study's.
        seeds: how many, in place of the study's.

    Raises:
        ConfigError: on both files, an unreadable one, or a wrong value.
    """
    if study and config:
        raise ConfigError("--study holds a configuration: leave out --config")
    path = study or config
    values = read_yaml_chain(path) if path else {}
    found, found_seeds = _read_parts(values, str(path)) if study else ((), 1)
    values = {key: value for key, value in values.items() if not study or key not in ("losses", "seeds")}
    for override in overrides:
        values = merge(values, parse_override(override))
    common = validate(Config, values, str(path) if path else "the configuration")
    chosen = _listed(listed) if listed is not None else found
    return Study(common, chosen, found_seeds if seeds is None else seeds)


def _listed(text: str) -> tuple[Loss, ...]:
    try:
        return tuple({"name": name, **settings} for name, settings in parse_list(text))
    except ValueError as error:
        raise ConfigError(f"--losses: {error}") from error


def _read_parts(values: Mapping[str, Any], where: str) -> tuple[tuple[Loss, ...], int]:
    listed = values.get("losses", [])
    if not isinstance(listed, list):
        raise ConfigError(f"{where}: losses: expected a list, received {listed!r}")
    return tuple(_loss(each, where) for each in listed), values.get("seeds", 1)


def _loss(value: object, where: str) -> Loss:
    if isinstance(value, str):
        try:
            name, settings = parse(value)
        except ValueError as error:
            raise ConfigError(f"{where}: losses: {error}") from error
        return {"name": name, **settings}
    if isinstance(value, dict) and ("name" in value or "sum" in value):
        return value
    raise ConfigError(f"{where}: losses: expected a name, a mapping with name, or a sum; received {value!r}")
