"""Read and validate the configuration of a training from YAML."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from tfseg.config.model import ModelConfig, NetworkConfig
from tfseg.config.section import Positive, Section
from tfseg.config.training import TrainingConfig
from tfseg.config.yaml_files import merge, parse_override, parse_yaml, read_yaml_chain
from tfseg.core.errors import ConfigError

# Settings that a stage cannot change.
PER_NETWORK = {"input", "rates", "start_from", "precision", "threads"}
# Settings that may differ when a training resumes; the threads in use are checked separately.
MAY_CHANGE = ("threads", "picture_every")

VALIDATION_SHARE = 0.2


class HoldoutConfig(Section):
    """One split of the subjects, in place of a cross-validation."""

    scheme: Literal["holdout"]
    """The scheme."""
    ratio: tuple[Positive, Positive, Positive] = (7, 2, 1)
    """Proportions of training, validation and test subjects."""


class ScoringConfig(Section):
    """Scoring of predictions."""

    tolerance_mm: Positive = 1.0
    """Surface distance that NSD tolerates, in millimetres."""
    background: bool = False
    """Score the background as a label too, and the share of all voxels that have the right label."""
    prepared_grid: bool = False
    """Score on the grid that scans were resampled to as well.

    Before clean-up, as metrics with the suffix `_prepared`.
    """
    postprocess: Literal["none", "auto"] = "none"
    """Clean up predictions before they are scored.

    `auto` keeps, for each label, the rule that helps most on a fold's validation subjects, if one does.
    """


class UncertaintyConfig(Section):
    """Measure on test subjects how far probabilities can be trusted, beside the scores of masks."""

    samples: Annotated[int, Field(ge=2)] | None = None
    """Passes with dropout on, whose mean is measured beside the plain network; null: none."""
    temperature: Literal["none", "one", "per_class"] = "one"
    """Temperature that is fitted within each fold on its validation subjects.

    `one` for all channels, or one `per_class` (or region), for which a fold needs two validation subjects.
    """
    band_mm: Positive = 3.0
    """Reach of the band around the truth's border to either side in millimetres."""


class StageConfig(Section):
    """A stage of a training, by the settings that it changes."""

    loss: dict[str, Any] | None = None
    """Loss of the stage; null: that of the whole training."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Settings of `training` that the stage changes."""

    @field_validator("loss", mode="before")
    @classmethod
    def _loss_by_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _network_stays(cls, values: object) -> object:
        if isinstance(values, Mapping) and "model" in values:
            raise ValueError("a stage continues with the network of the stage before; model can only be set outside")
        return values


class Config(Section):
    """Everything that determines a run, apart from the data."""

    loss: dict[str, Any] = Field(default_factory=lambda: {"name": "dice_ce"})
    """The loss and its parameters, or `{sum: [{name: dice, weight: 0.9}, …]}`.

    A file replaces the loss of its `base:` as a whole. A weight may be a ramp, `{from: 0, to: 0.1, epochs: 20}`.
    """
    model: NetworkConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    stages: tuple[StageConfig, ...] = ()
    """Stages, as `[{loss: dice, training: {epochs: 10}}, …]`.

    Each starts from the last weights of the one before.
    """
    folds: Annotated[int, Field(ge=2)] | HoldoutConfig = 5
    """Folds of the cross-validation, or `{scheme: holdout, ratio: [7, 2, 1]}`."""
    validation_share: Annotated[float, Field(gt=0, lt=1)] = VALIDATION_SHARE
    """Share of validation subjects among those that a fold does not test; the rest train. A holdout uses its ratio."""
    redraw_folds: bool = True
    """Draw new folds for every seed of a comparison; splits that are given stay as they are."""
    select_on: Literal["validation", "test"] = "validation"
    """Subjects that choose the epoch.

    With `test` they are those that are scored, as in some printed studies, and the validation subjects train: the
    scores flatter, and every report says so.
    """
    scoring: ScoringConfig = ScoringConfig()
    uncertainty: UncertaintyConfig | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of splits, initial weights, order, augmentation and dropout."""

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
    def _network_takes_its_input(self) -> Self:
        kind = self.training.input.kind
        if isinstance(self.model, ModelConfig) and (self.model.rank == 2) != (kind == "slices"):
            takes = "slices" if self.model.rank == 2 else "patches or volumes"
            raise ConfigError(f"model.name: {self.model.name} takes {takes}, but training.input.kind is {kind}")
        return self

    @model_validator(mode="after")
    def _scored_subjects_choose_no_more_than_the_epoch(self) -> Self:
        fitted = {
            "scoring.postprocess: auto": self.scoring.postprocess == "auto",
            "uncertainty.temperature": self.uncertainty is not None and self.uncertainty.temperature != "none",
        }
        if self.select_on == "test" and (chosen := [name for name, is_so in fitted.items() if is_so]):
            raise ConfigError(f"{chosen[0]}: would be fitted on the subjects that are scored, with select_on: test")
        return self

    @model_validator(mode="after")
    def _stages_are_trainings(self) -> Self:
        self.resolved_stages()
        return self

    def resolved_stages(self) -> list["Config"]:
        """Return one configuration, without stages, for each stage; only itself if it has no stages.

        Raises:
            ConfigError: if a stage sets something that it cannot change, or to a wrong value.
        """
        resolved = []
        for number, stage in enumerate(self.stages):
            if fixed := PER_NETWORK & stage.training.keys():
                raise ConfigError(f"stages.{number}.training: {min(fixed)} can only be set for the whole training")
            values = merge(self.training.model_dump(), stage.training)
            training = validate(TrainingConfig, values, f"stages.{number}.training")
            loss = self.loss if stage.loss is None else stage.loss
            resolved.append(self.model_copy(update={"loss": loss, "training": training, "stages": ()}))
        return resolved or [self]

    def by_rate(self) -> list["Config"]:
        """Return a configuration for each of `training.rates`; only itself if there are none."""
        return [
            self.model_copy(
                update={"training": self.training.model_copy(update={"learning_rate": rate, "rates": None})}
            )
            for rate in self.training.rates or ()
        ] or [self]

    @property
    def total_epochs(self) -> int:
        """Total number of epochs of all stages."""
        return sum(stage.training.epochs for stage in self.resolved_stages())

    def decisive(self) -> dict[str, Any]:
        """Return everything that must stay equal for a run to resume, as JSON values."""
        values = self.model_dump(mode="json")
        for part in (values, *values["stages"]):
            for name in MAY_CHANGE:
                part["training"].pop(name, None)
        return values

    def to_yaml(self) -> str:
        """Return the resolved configuration as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


SectionT = TypeVar("SectionT", bound=Section)


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration, with its `base:` chain and `a.b=c` overrides on top of the defaults.

    Raises:
        ConfigError: if the file is unreadable, a key unknown (naming the nearest valid one) or a value out of range.
    """
    values = read_yaml_chain(path) if path else {}
    return with_overrides(values, overrides, str(path) if path else "the configuration")


def with_overrides(values: Mapping[str, Any], overrides: Sequence[str], where: str) -> Config:
    """Check `values` with `a.b=c` overrides on top, and return the configuration.

    Raises:
        ConfigError: as `validate`; the message begins with the override that brought the fault, or with `where` if the
            fault is there without overrides.
    """
    steps = list(accumulate(map(parse_override, overrides), merge, initial=dict(values)))
    try:
        return validate(Config, steps[-1], where)
    except ConfigError as error:
        without = [place for place, step in enumerate(steps) if _fault(step, where) != str(error)]
        if not without:
            raise
        raise ConfigError(f"--set {overrides[without[-1]]}{str(error).removeprefix(where)}") from error


def parse_config(text: str, where: str) -> Config:
    """Parse a configuration, complete or partial, as written by `to_yaml`.

    Raises:
        ConfigError: if it is not valid.
    """
    return validate(Config, parse_yaml(text, where), where)


# What pydantic says of Python's types, for users of YAML.
_SAID = {"tuple_type": "expected a list, such as [1, 2]", "dict_type": "expected keys and values"}


def validate(section: type[SectionT], values: Mapping[str, Any], where: str) -> SectionT:
    """Check `values` against a section and return it.

    Raises:
        ConfigError: in one line, naming the key, the expected and the received value.
    """
    _refuse_unknown(section, values, where, "")
    try:
        return section.model_validate(dict(values))
    except ValidationError as error:
        # The best matching branch of a union fails deepest; each branch adds its type's name to the path.
        deepest = max(error.errors(), key=lambda each: len(each["loc"]))
        path = [str(part) for part in deepest["loc"] if re.fullmatch(r"[a-z_0-9]+", str(part))]
        message = _SAID.get(deepest["type"]) or deepest["msg"].removeprefix("Value error, ")
        if deepest["type"] == "missing" and isinstance(deepest["loc"][-1], int):  # a list that is too short
            path, message = path[:-1], f"expected {1 + max(_places(error, deepest['loc'][:-1]))} values"
        # A check across keys names them and their values itself; what it received is all of its section.
        across_keys = deepest["type"] == "value_error" and isinstance(deepest["input"], Mapping | BaseModel)
        received = "" if across_keys else f"; received {deepest['input']!r}"
        key = f"{'.'.join(path)}: " if path else ""
        raise ConfigError(f"{where}: {key}{message}{received}") from error


def _places(error: ValidationError, of_list: tuple[int | str, ...]) -> Iterator[int]:
    """Yield the places of a list at which something is wrong."""
    for each in error.errors():
        *parent, place = each["loc"]
        if tuple(parent) == of_list and isinstance(place, int):
            yield place


def _fault(values: Mapping[str, Any], where: str) -> str:
    """Return what `validate` says of the values of a configuration; nothing if they are valid."""
    try:
        validate(Config, values, where)
    except ConfigError as error:
        return str(error)
    return ""


def _refuse_unknown(section: type[BaseModel], values: Mapping[str, Any], where: str, prefix: str) -> None:
    fields = _fields(section)
    for key, value in values.items():
        if key not in fields:
            nearest = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.5)
            hint = f"did you mean {prefix}{nearest[0]}?" if nearest else f"known: {', '.join(fields)}"
            raise ConfigError(f"{where}: unknown key {prefix}{key}; {hint}")
        inner = _section_of(fields[key].annotation, value) if isinstance(value, Mapping) else None
        if inner is not None:
            _refuse_unknown(inner, value, where, f"{prefix}{key}.")


def _fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a section by the names that a user writes."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _section_of(annotation: Any, values: Mapping[str, Any]) -> type[BaseModel] | None:
    """Return the section that a mapping is read as: of several, the last one whose required keys it has."""
    annotations = (annotation, *get_args(annotation))
    types = [get_args(each)[0] if get_origin(each) is Annotated else each for each in annotations]
    sections = [each for each in types if isinstance(each, type) and issubclass(each, BaseModel)]
    required = [{name for name, field in _fields(each).items() if field.is_required()} for each in sections]
    fitting = [each for each, names in zip(sections, required, strict=True) if names <= values.keys()]
    return next(reversed(fitting or sections), None)
