"""Read a study: the arms to compare, the seeds, and everything that the arms have in common."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from tfseg import losses
from tfseg.comparison import protocol
from tfseg.comparison.endpoint import KEYS, Endpoint, read_endpoint
from tfseg.comparison.protocol import Protocol, apply_mode, read_protocol
from tfseg.config.config import Config, validate, with_overrides
from tfseg.config.yaml_files import merge, read_yaml, read_yaml_chain
from tfseg.core import files
from tfseg.core.errors import ConfigError
from tfseg.core.modes import Mode, Scale
from tfseg.losses.spec import parse, parse_list

SEEDS = 3  # fewer cannot tell small differences from the luck of a training

# Settings that an arm may change; a comparison holds the rest equal.
MAY_DIFFER = ("loss", "model", "training", "stages")
_OWN_KEYS = ("losses", "arms", "seeds", *KEYS, *protocol.KEYS)


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: a name, and the settings it overrides; often just a loss.

    Raises:
        ConfigError: if it has no name, overrides nothing, or overrides what a comparison holds equal.
    """

    name: str
    overrides: dict[str, Any]

    def __post_init__(self) -> None:
        if not re.sub(r"\W+", "", self.name):
            raise ConfigError(f"arms: expected a name with letters or digits, received {self.name!r}")
        if not self.overrides:
            raise ConfigError(f"arms.{self.name}: expected a mapping of settings to change, received nothing")
        for key in self.overrides.keys() - set(MAY_DIFFER):
            held = f"arms.{self.name}.{key}: held equal in a comparison"
            raise ConfigError(f"{held}; an arm may change {', '.join(MAY_DIFFER)}")
        if "threads" in (self.overrides.get("training") or {}):
            raise ConfigError(f"arms.{self.name}.training.threads: held equal in a comparison")

    @classmethod
    def of_loss(cls, loss: Mapping[str, Any]) -> "Arm":
        """Return the arm that changes only the loss.

        >>> Arm.of_loss({"name": "tversky", "alpha": 0.3, "beta": 0.7}).name
        'tversky:alpha=0.3,beta=0.7'
        """
        return cls(losses.title(dict(loss)), {"loss": dict(loss)})

    @property
    def is_loss(self) -> bool:
        """Whether the arm changes only the loss and bears its title."""
        return self.overrides.keys() == {"loss"} and self.name == losses.title(self.overrides["loss"])

    def apply(self, common: Config) -> Config:
        """Return the common configuration with the settings of the arm.

        Raises:
            ConfigError: if a setting is unknown or out of range.
        """
        return validate(Config, merge(common.model_dump(mode="json"), self.overrides), f"arms.{self.name}")


@dataclass(frozen=True)
class Study:
    """Comparison to make: the arms, the number of seeds, counted from that of `config`, and what is asked of them.

    Everything else in `config` is the same for all arms. If `seeds` is None, it is 3, or as many as the comparison has
    that the study joins.

    Raises:
        ConfigError: if a loss or setting is unknown or out of range, two arms have the same name, a stage would
            replace the loss of an arm, or there is no seed.
    """

    config: Config
    arms: tuple[Arm, ...]
    seeds: int | None = None
    endpoint: Endpoint = field(default_factory=Endpoint)
    protocol: Protocol = field(default_factory=Protocol)

    def __post_init__(self) -> None:
        if self.seeds is not None and (not isinstance(self.seeds, int) or self.seeds < 1):
            raise ConfigError(f"seeds: expected a whole number of at least 1, received {self.seeds!r}")
        for arm in self.arms:
            self._check(arm)
        for names in ([arm.name for arm in self.arms], [folder_of(arm, 0) for arm in self.arms]):
            name, times = Counter(names).most_common(1)[0] if names else ("", 0)
            if times > 1:
                raise ConfigError(f"arms: {name} is given {times} times")

    def _check(self, arm: Arm) -> None:
        config = arm.apply(self.config)
        if config.training.rates and "learning_rate" in (arm.overrides.get("training") or {}):
            raise ConfigError(
                f"arms.{arm.name}.training.learning_rate: leave it out, it is chosen among training.rates"
            )
        for number, stage in enumerate(config.stages):
            if stage.loss is not None and "loss" in arm.overrides and "stages" not in arm.overrides:
                raise ConfigError(f"stages.{number}.loss: would replace the loss of {arm.name}; leave it out")
        for each in config.resolved_stages():
            try:
                losses.make(each.loss, overlap_over=each.training.overlap_over)
            except ValueError as error:
                raise ConfigError(f"arms.{arm.name}: {error}") from error

    def configs(self, seed: int) -> list[tuple[Arm, Config]]:
        """Return every arm with its configuration under a seed."""
        return [(arm, arm.apply(self.config).model_copy(update={"seed": seed})) for arm in self.arms]

    @property
    def every_seed(self) -> range:
        """All seeds, from that of `config` on."""
        return range(self.config.seed, self.config.seed + (SEEDS if self.seeds is None else self.seeds))

    def shared_yaml(self) -> str:
        """Return the settings common to all runs, as YAML."""
        shared = self.config.model_dump(mode="json", exclude={"loss"})
        return yaml.safe_dump(shared, sort_keys=False)

    def joined_to(self, path: Path) -> "Study":
        """Return this study, preceded by the arms and seeds of the study at `path` if it exists.

        Raises:
            ConfigError: if the file is damaged, is of another mode or scale, or holds an arm of the same name with
                other settings.
        """
        if not path.is_file():
            return self
        values = read_yaml(path)
        if values.get("protocol") != self.protocol.to_parts().get("protocol"):
            raise ConfigError(f"{path}: a study of another --mode or --scale; give the same, or another --out")
        before, seeds = _read_parts(values, str(path))
        known = {arm.name: arm for arm in before}
        for arm in self.arms:
            if known.get(arm.name, arm) != arm:
                raise ConfigError(f"{path}: holds another arm {arm.name}; give the new one a name of its own")
        new = tuple(arm for arm in self.arms if arm.name not in known)
        asked = self.endpoint.joined_to(read_endpoint(values, str(path)))
        return replace(self, arms=(*before, *new), seeds=max(seeds or 1, self.seeds or 1), endpoint=asked)

    def write(self, path: Path) -> None:
        """Write the arms, the number of seeds, and what is asked."""
        parts: dict[str, Any] = {"losses": [arm.overrides["loss"] for arm in self.arms if arm.is_loss]}
        if others := {arm.name: arm.overrides for arm in self.arms if not arm.is_loss}:
            parts["arms"] = others
        parts |= {"seeds": len(self.every_seed), **self.endpoint.to_parts(), **self.protocol.to_parts()}
        files.write_text(path, yaml.safe_dump(parts, sort_keys=False))


def arm_names(path: Path) -> list[str]:
    """Return the names of the arms of a study file, in its order.

    Raises:
        ConfigError: if the file is damaged.
    """
    return [arm.name for arm in _read_parts(read_yaml(path), str(path))[0]]


def folder_of(arm: Arm, seed: int) -> str:
    """Return the name of the run folder of an arm under a seed.

    >>> folder_of(Arm.of_loss({"name": "tversky", "alpha": 0.3}), 0)
    'tversky_alpha=0.3_s0'
    """
    return f"{re.sub(r'[^A-Za-z0-9.=-]+', '_', arm.name).strip('_')}_s{seed}"


def without_seed(folder: str) -> str:
    """Return a name that `folder_of` made without its seed: it is the same for all seeds of an arm.

    >>> without_seed("tversky_alpha=0.3_s12")
    'tversky_alpha=0.3'
    """
    return folder.rpartition("_s")[0]


def load_study(
    study: Path | None,
    config: Path | None,
    overrides: Sequence[str],
    listed: str | None,
    seeds: int | None,
    mode: Mode = Mode.fair,
    scale: Scale = Scale.full,
) -> Study:
    """Read a study from a file or the command line, which takes precedence.

    Args:
        study: YAML with `losses`, `arms`, `seeds`, `primary`, `margins`, the keys of a protocol and the settings of a
            configuration; may have a `base:`.
        config: a configuration, in place of a study, for losses listed on the command line.
        overrides: settings such as `training.epochs=20`.
        listed: losses such as `dice,tversky:alpha=0.3`, in place of the study's arms.
        seeds: number of seeds, in place of the study's; 3 if neither gives it.
        mode, scale: which of the study's settings apply.

    Raises:
        ConfigError: if both files are given, one is unreadable, or a value is wrong.
    """
    if study is None and (mode, scale) != (Mode.fair, Scale.full):
        raise ConfigError("--mode and --scale choose among the settings of a --study")
    if study and config:
        raise ConfigError("--study holds a configuration: leave out --config")
    path = study or config
    values = read_yaml_chain(path) if path else {}
    if study:
        values = apply_mode(values, mode, scale, str(study))
    arms, own_seeds = _read_parts(values, str(path)) if study else ((), None)
    asked = read_endpoint(values, str(path)) if study else Endpoint()
    followed = read_protocol(values, study, mode, scale) if study else Protocol()
    if study:
        values = {key: value for key, value in values.items() if key not in _OWN_KEYS}
    common = with_overrides(values, overrides, str(path) if path else "the configuration")
    chosen = _named(listed) if listed is not None else arms
    return Study(common, chosen, own_seeds if seeds is None else seeds, asked, followed)


def _named(text: str) -> tuple[Arm, ...]:
    try:
        return tuple(Arm.of_loss({"name": name, **settings}) for name, settings in parse_list(text))
    except ValueError as error:
        raise ConfigError(f"--losses: {error}") from error


def _read_parts(values: Mapping[str, Any], where: str) -> tuple[tuple[Arm, ...], int | None]:
    listed, arms = values.get("losses", []), values.get("arms", {})
    if not isinstance(listed, list):
        raise ConfigError(f"{where}: losses: expected a list, received {listed!r}")
    if not isinstance(arms, Mapping) or not all(isinstance(each, Mapping) for each in arms.values()):
        raise ConfigError(f"{where}: arms: expected a mapping of names to settings, received {arms!r}")
    named = (Arm(str(name), _with_named_loss(overrides, where)) for name, overrides in arms.items())
    return (*(_loss_arm(each, where) for each in listed), *named), values.get("seeds")


def _loss_arm(value: object, where: str) -> Arm:
    try:
        return Arm.of_loss(_loss(value, where))
    except (ValueError, KeyError, TypeError) as error:
        raise error if isinstance(error, ConfigError) else ConfigError(f"{where}: losses: {error}") from error


def _with_named_loss(overrides: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return an arm's settings, with a loss given by name expanded to a mapping."""
    return {key: _loss(value, where) if key == "loss" else value for key, value in overrides.items()}


def _loss(value: object, where: str) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            name, settings = parse(value)
        except ValueError as error:
            raise ConfigError(f"{where}: losses: {error}") from error
        return {"name": name, **settings}
    if isinstance(value, dict) and ("name" in value or "sum" in value):
        return value
    raise ConfigError(f"{where}: losses: expected a name, a mapping with name, or a sum; received {value!r}")
