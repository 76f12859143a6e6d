"""Record how a run is made: configuration, threads, machine, and hashes of its inputs."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tfseg.config.config import Config, parse_config
from tfseg.config.model import ImportedModelConfig
from tfseg.config.pooling import pooling_factors
from tfseg.config.yaml_files import read_yaml
from tfseg.core import files
from tfseg.core.errors import ConfigError
from tfseg.core.machine import processor_name, usable_cores
from tfseg.models.imported import RECORD, module_digest
from tfseg.prepared.inputs import input_shape
from tfseg.prepared.prepared import Prepared

LIBRARIES = ("tfseg", "tensorflow", "keras", "numpy", "scipy", "nibabel", "opencv-python-headless", "edt")


def with_threads(config: Config, out: Path, default: int | None = None) -> Config:
    """Resolve `training.threads`: the number recorded in `out`, else the configured one, else `default`.

    The default is the number of cores.

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
    training = config.training.model_copy(update={"threads": recorded or asked or default or usable_cores()})
    return config.model_copy(update={"training": training})


def with_pooling(config: Config, prepared: Prepared) -> Config:
    """Resolve `model.pooling` from the size and the spacing of the prepared images, if it is null."""
    model = config.model
    size = input_shape(config.training.input, prepared)[:-1]
    if isinstance(model, ImportedModelConfig) or model.pooling is not None or model.rank != len(size):
        return config
    factors = pooling_factors(size, prepared.spacing_mm[-len(size) :], model.depth)
    return config.model_copy(update={"model": model.model_copy(update={"pooling": factors})})


def same_config(earlier: str, now: str) -> bool:
    """Return whether two texts of `config.yaml` describe the same networks.

    `picture_every` may differ, and a pooling that was decided from the data may not be decided yet.
    """
    before, after = (parse_config(text, "config.yaml").decisive() for text in (earlier, now))
    if "pooling" in before["model"] and after["model"].get("pooling") is None:
        before["model"]["pooling"] = None
    return before == after


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
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "as TensorFlow chooses"),
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


def describe_network(config: Config) -> dict[str, str]:
    """Return `network.json`, with the function that builds an imported network and the hash of its file.

    Raises:
        ConfigError: if there is no such function.
    """
    code = _code_of(config)
    return {RECORD: json.dumps(code)} if code else {}


def imported_networks(configs: Sequence[Config]) -> dict[str, list[str]]:
    """Return the functions that build imported networks and the hashes of their files, for `environment.json`."""
    codes = [code for code in map(_code_of, configs) if code]
    listed = sorted({f"{code['import']} (SHA-256 {code['sha256']})" for code in codes})
    return {"imported_networks": listed} if listed else {}


def _code_of(config: Config) -> dict[str, str]:
    if not isinstance(config.model, ImportedModelConfig):
        return {}
    return {"import": config.model.import_, "sha256": module_digest(config.model.import_)}


def _recorded_threads(config: Path) -> int | None:
    if not config.is_file():
        return None
    training = read_yaml(config).get("training")
    threads = training.get("threads") if isinstance(training, dict) else None
    return threads if isinstance(threads, int) else None
