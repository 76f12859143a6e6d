"""What to train: a typed, validated configuration read from YAML."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from tfseg.training_config import Count, Fraction, Positive, Section, TrainingConfig

# What a stage of a training cannot change.
PER_NETWORK = {"start_from", "precision", "threads"}
# What a training that was stopped may go on with another value of: threads are checked as they are, set or not.
MAY_CHANGE = ("threads", "picture_every")


class ConfigError(ValueError):
    """A configuration or call that cannot be carried out as written."""


class ModelConfig(Section):
    """The network: 16 filters at depth 4 with dropout 0.15 to 0.3 are Kethavath 2025's (10.1088/2057-1976/ae2b73)."""

    name: Literal["unet_2d"] = "unet_2d"
    filters: Count = 16
    depth: Annotated[int, Field(ge=1, le=7)] = 4
    dropout: tuple[Fraction, Fraction] = (0.15, 0.3)
    norm: Literal["batch", "instance", "none"] = "batch"


class HoldoutConfig(Section):
    """One split of the subjects, in parts that go as `ratio` (train, val, test)."""

    scheme: Literal["holdout"]
    ratio: tuple[Positive, Positive, Positive] = (7, 2, 1)


class ScoringConfig(Section):
    """How predictions are scored: the surface tolerance of NSD in millimetres."""

    tolerance_mm: Positive = 1.0


class StageConfig(Section):
    """A stage of a training: what it changes in the configuration; it goes on from the weights of the one before."""

    loss: dict[str, Any] | None = None
    training: dict[str, Any] = Field(default_factory=dict)

    @field_validator("loss", mode="before")
    @classmethod
    def _loss_by_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value


class Config(Section):
    """Everything that decides what a run trains, apart from the data."""

    loss: dict[str, Any] = Field(default_factory=lambda: {"name": "dice_ce"})
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    stages: tuple[StageConfig, ...] = ()
    folds: Annotated[int, Field(ge=2)] | HoldoutConfig = 5
    scoring: ScoringConfig = ScoringConfig()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @field_validator("loss", mode="before")
    @classmethod
    def _loss_by_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _loss_is_named(self) -> Self:
        parts = self.loss.get("sum")
        if not isinstance(self.loss.get("name"), str) and not (isinstance(parts, list) and parts):
            raise ValueError(
                "loss needs a name, as in {name: dice}, or a sum, as in {sum: [{name: dice, weight: 1}]}; "
                f"received {self.loss}"
            )
        return self

    @model_validator(mode="after")
    def _stages_are_trainings(self) -> Self:
        self.resolved_stages()
        return self

    def resolved_stages(self) -> list["Config"]:
        """Return one configuration, without stages, for each stage; itself alone where it has none.

        Raises:
            ConfigError: where a stage changes something to what a training cannot be.
        """
        resolved = []
        for number, stage in enumerate(self.stages):
            if fixed := PER_NETWORK & stage.training.keys():
                raise ConfigError(f"stages.{number}.training: {min(fixed)} is that of the whole training")
            values = merge(self.training.model_dump(), stage.training)
            training = validate(TrainingConfig, values, f"stages.{number}.training")
            loss = self.loss if stage.loss is None else stage.loss
            resolved.append(self.model_copy(update={"loss": loss, "training": training, "stages": ()}))
        return resolved or [self]

    @property
    def total_epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.training.epochs for stage in self.resolved_stages())

    def decisive(self) -> dict[str, Any]:
        """Return all, as JSON has it, that must stay the same where a run goes on."""
        values = self.model_dump(mode="json")
        for part in (values, *values["stages"]):
            for name in MAY_CHANGE:
                part["training"].pop(name, None)
        return values

    def to_yaml(self) -> str:
        """Return the resolved configuration as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


SectionT = TypeVar("SectionT", bound=Section)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number; YAML 1.1 knows it as 1.0e-3 alone and reads a text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration, with its `base:` chain and `a.b=c` overrides on top of the defaults.

    Raises:
        ConfigError: on an unreadable file, an unknown key (naming the nearest valid one) or a value out of range.
    """
    values = read_yaml_chain(path) if path else {}
    for override in overrides:
        values = merge(values, parse_override(override))
    return validate(Config, values, str(path) if path else "the configuration")


def parse_config(text: str, where: str) -> Config:
    """Return the configuration that `to_yaml` wrote, or a part of it.

    Raises:
        ConfigError: where it is none.
    """
    return validate(Config, parse_yaml(text, where), where)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping, safely.

    Raises:
        ConfigError: where the file is absent, is not YAML or holds something other than a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Return the YAML mapping that a text is, safely.

    Raises:
        ConfigError: where it is not YAML or something other than a mapping.
    """
    try:
        values = _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{where} must hold a mapping of names to values, received a {type(values).__name__}")
    return values


def read_yaml_chain(path: Path, leaves: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a YAML mapping whose `base:` names another file, beside it, that it changes.

    Raises:
        ConfigError: as `read_yaml`, or where the chain of bases closes on itself.
    """
    if path.resolve() in leaves:
        raise ConfigError(f"{path} is its own base, by way of {leaves[-1]}")
    values = read_yaml(path)
    base = values.pop("base", None)
    if base is None:
        return values
    return merge(read_yaml_chain(path.parent / str(base), (*leaves, path.resolve())), values)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one nested mapping over another; a named loss or a sum is replaced whole: its parameters are its own."""
    merged = dict(below)
    for key, value in above.items():
        replaced = key == "loss" and isinstance(value, Mapping) and ("name" in value or "sum" in value)
        if not replaced and isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def parse_override(text: str) -> dict[str, Any]:
    """Turn `training.epochs=20` into the mapping it stands for.

    Raises:
        ConfigError: where there is no `=`, no name before it, or a value that is not YAML.
    """
    dotted, equals, value = text.partition("=")
    if not equals or not all(dotted.strip().split(".")):
        raise ConfigError(f"--set expects name=value, as in training.epochs=20; received {text!r}")
    try:
        nested: Any = _Loader(value).get_single_data()
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {dotted}: the value {value!r} is not valid YAML") from error
    for key in reversed(dotted.strip().split(".")):
        nested = {key: nested}
    return dict(nested)


def validate(section: type[SectionT], values: Mapping[str, Any], where: str) -> SectionT:
    """Check `values` against a section and return it.

    Raises:
        ConfigError: one line that names the key, what was expected and what was received.
    """
    _refuse_unknown(section, values, where, "")
    try:
        return section.model_validate(dict(values))
    except ValidationError as error:
        # Of a union's branches the one that fits best fails deepest; each adds its type's name to the path.
        deepest = max(error.errors(), key=lambda each: len(each["loc"]))
        path = [str(part) for part in deepest["loc"] if re.fullmatch(r"[a-z_0-9]+", str(part))]
        message = deepest["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"{where}: {'.'.join(path) or 'the whole'}: {message}; received {deepest['input']!r}"
        ) from error


def _refuse_unknown(section: type[BaseModel], values: Mapping[str, Any], where: str, prefix: str) -> None:
    for key, value in values.items():
        if key not in section.model_fields:
            nearest = difflib.get_close_matches(str(key), section.model_fields, n=1, cutoff=0.5)
            hint = f"did you mean {prefix}{nearest[0]}?" if nearest else f"known: {', '.join(section.model_fields)}"
            raise ConfigError(f"{where}: unknown key {prefix}{key}; {hint}")
        annotation = section.model_fields[key].annotation
        for inner in (annotation, *get_args(annotation)):
            if isinstance(value, Mapping) and isinstance(inner, type) and issubclass(inner, BaseModel):
                _refuse_unknown(inner, value, where, f"{prefix}{key}.")
