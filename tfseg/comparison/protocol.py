"""Read how a study file follows a published protocol: its data, its own rules beside fair ones, a small scale."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfseg.config.yaml_files import merge
from tfseg.core.errors import ConfigError
from tfseg.core.modes import Mode, Scale
from tfseg.datasets.phantoms.stand_ins import StandIn

_OF_DATA = ("data", "recipe", "subject_pattern", "phantoms", "subjects")
KEYS = (*_OF_DATA[1:], "printed", "as_printed", "small", "datasets")


@dataclass(frozen=True)
class Protocol:
    """Settings of a study file other than what to train.

    Args:
        study: path of the file; None if there is none.
        mode, scale: which of its settings apply.
        recipe: how its data are prepared; None if that is derived from them.
        subject_pattern: a regular expression that finds the subject in a case's name.
        phantoms: what stands in for scans.
        subjects: how many are used, the first by a fixed draw; None for all.
        data: the scans, if the study names them.
        datasets: name → what a study says of each of several datasets.
        printed: a CSV file of published numbers, and the setting in it that this study follows.
    """

    study: Path | None = None
    mode: Mode = Mode.fair
    scale: Scale = Scale.full
    recipe: Path | None = None
    subject_pattern: str | None = None
    phantoms: StandIn | None = None
    subjects: int | None = None
    printed: tuple[Path, str] | None = None
    data: Path | None = None
    datasets: Mapping[str, "Protocol"] = field(default_factory=dict)

    def to_parts(self) -> dict[str, Any]:
        """Return what the `study.yaml` of a comparison keeps of it: nothing of a study in its fair, full form."""
        if (self.mode, self.scale) == (Mode.fair, Scale.full):
            return {}
        limit = {} if self.subjects is None else {"subjects": self.subjects}
        return {"protocol": {"mode": self.mode.value, "scale": self.scale.value, **limit}}


def apply_mode(values: Mapping[str, Any], mode: Mode, scale: Scale, where: str) -> dict[str, Any]:
    """Merge the settings of a mode and a scale into those of a study.

    Raises:
        ConfigError: if the study has none for them.

    >>> apply_mode({"training": {"epochs": 20}, "small": {"training": {"epochs": 2}}}, Mode.fair, Scale.small, "a")
    {'training': {'epochs': 2}, 'small': {'training': {'epochs': 2}}}
    """
    merged = dict(values)
    for name, option, is_asked in (
        ("as_printed", "--mode as_printed", mode is Mode.as_printed),
        ("small", "--scale small", scale is Scale.small),
    ):
        changes = values.get(name, {})
        if not isinstance(changes, Mapping):
            raise ConfigError(f"{where}: {name}: expected a mapping of settings, received {changes!r}")
        if is_asked and not changes:
            raise ConfigError(f"{option}: {where} has no settings for it, under the key {name}")
        merged = merge(merged, changes if is_asked else {})
    return merged


def read_protocol(values: Mapping[str, Any], path: Path, mode: Mode, scale: Scale) -> Protocol:
    """Read what a study says of its data; paths are relative to the study file.

    Raises:
        ConfigError: if a value is wrong.
    """
    recipe = None if values.get("recipe") is None else _beside(path, values["recipe"], "recipe")
    pattern, subjects = values.get("subject_pattern"), values.get("subjects")
    if pattern is not None and not isinstance(pattern, str):
        raise ConfigError(f"{path}: subject_pattern: expected a regular expression, received {pattern!r}")
    if subjects is not None and (not isinstance(subjects, int) or subjects < 1):
        raise ConfigError(f"{path}: subjects: expected a whole number of at least 1, received {subjects!r}")
    return Protocol(
        path,
        mode,
        scale,
        recipe,
        pattern,
        _stand_in(values.get("phantoms"), path),
        subjects,
        _printed(values.get("printed"), path),
        data=path.parent / str(values["data"]) if values.get("data") else None,
        datasets=_datasets(values.get("datasets"), path, mode, scale),
    )


def _datasets(value: object, study: Path, mode: Mode, scale: Scale) -> dict[str, Protocol]:
    if value is None:
        return {}
    listed = value if isinstance(value, Mapping) else {}
    if len(listed) < 2 or not all(isinstance(each, Mapping) for each in listed.values()):
        raise ConfigError(f"{study}: datasets: expected two names or more with settings of each, received {value!r}")
    for name, own in listed.items():
        if not re.fullmatch(r"\w[\w.-]*", str(name)):
            raise ConfigError(f"{study}: datasets: expected names that can name a folder, received {name!r}")
        if unknown := own.keys() - set(_OF_DATA):
            raise ConfigError(f"{study}: datasets.{name}: expected {', '.join(_OF_DATA)}; received {min(unknown)}")
        if not own.keys() & {"data", "phantoms"}:
            raise ConfigError(f"{study}: datasets.{name}: expected data or phantoms, received neither")
    return {str(name): read_protocol(own, study, mode, scale) for name, own in listed.items()}


def _printed(value: object, study: Path) -> tuple[Path, str] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or value.keys() != {"file", "setting"}:
        raise ConfigError(f"{study}: printed: expected file and setting, received {value!r}")
    return _beside(study, value["file"], "printed.file"), str(value["setting"])


def _beside(study: Path, value: object, name: str) -> Path:
    found = study.parent / str(value)
    if not found.is_file():
        raise ConfigError(f"{study}: {name}: expected a file, found none at {found}")
    return found


def _stand_in(value: object, study: Path) -> StandIn | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or value.keys() != set(StandIn._fields):
        raise ConfigError(f"{study}: phantoms: expected {', '.join(StandIn._fields)}, received {value!r}")
    return StandIn(**value)
