"""Record how a run is made: configuration, threads, machine, and hashes of its inputs."""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tfseg.config.config import Config, parse_config
from tfseg.config.yaml_files import read_yaml
from tfseg.core import files
from tfseg.core.errors import ConfigError
from tfseg.core.machine import processor_name, usable_cores
from tfseg.prepared.prepared import Prepared

LIBRARIES = ("tfseg", "tensorflow", "keras", "numpy", "scipy", "nibabel", "opencv-python-headless", "edt")


def with_threads(config: Config, out: Path) -> Config:
    """Resolve `training.threads`: the number recorded in `out`, else the configured one, else the number of cores.

    Results are bit-identical only if every network of a run uses the same number.

    Raises:
        ConfigError: if the configuration asks for another number than the one recorded in `out`.
    """
    asked = config.training.threads
    recorded = _recorded_threads(out / "config.yaml")
    if recorded and asked not in (None, recorded):
        raise ConfigError(
            f"training.threads: {out} was started with {recorded}, received {asked}; choose another folder"
        )
    training = config.training.model_copy(update={"threads": recorded or asked or usable_cores()})
    return config.model_copy(update={"training": training})


def same_config(earlier: str, now: str) -> bool:
    """Return whether two texts of `config.yaml` describe the same networks; `picture_every` may differ."""
    return parse_config(earlier, "config.yaml").decisive() == parse_config(now, "config.yaml").decisive()


SAME = {"config.yaml": same_config}


def describe_environment(prepared: Prepared, devices: Sequence[str], threads: int, **more: object) -> str:
    """Return the text of `environment.json`: versions, processor, devices, threads and hashes of the inputs."""
    described = {
        "dataset": prepared.name,
        "prepared": str(prepared.folder.resolve()),
        "prepared_sha256": prepared.digest,
        "devices": list(devices),
        "threads": threads,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "versions": {library: version(library) for library in LIBRARIES},
        **more,
    }
    return json.dumps(described, indent=1)


def describe_start(config: Config) -> dict[str, str]:
    """Return `start_from.json`, with the hash of the weights that a training starts from, if any are given.

    Raises:
        ConfigError: if the weights cannot be read.
    """
    path = config.training.start_from
    if path is None:
        return {}
    try:
        return {"start_from.json": json.dumps({"sha256": files.sha256(Path(path))})}
    except OSError as error:
        raise ConfigError(f"training.start_from: cannot read {path}: {error}") from error


def _recorded_threads(config: Path) -> int | None:
    if not config.is_file():
        return None
    training = read_yaml(config).get("training")
    threads = training.get("threads") if isinstance(training, dict) else None
    return threads if isinstance(threads, int) else None
