"""What a run was made with, for `environment.json`."""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tfseg.config.config import Config
from tfseg.core import files
from tfseg.core.errors import ConfigError
from tfseg.prepared.prepared import Prepared
from tfseg.training.strategy import processor_name, threads_used

LIBRARIES = ("tfseg", "tensorflow", "keras", "numpy", "scipy", "nibabel", "opencv-python-headless", "edt")


def describe_environment(prepared: Prepared, devices: Sequence[str], **more: object) -> str:
    """Return the text of `environment.json`: versions, processor, devices, threads and hashes of the inputs."""
    described = {
        "dataset": prepared.name,
        "prepared": str(prepared.folder.resolve()),
        "prepared_sha256": prepared.digest,
        "devices": list(devices),
        "threads": threads_used(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "versions": {library: version(library) for library in LIBRARIES},
        **more,
    }
    return json.dumps(described, indent=1)


def describe_start(config: Config) -> dict[str, str]:
    """Return `start_from.json`, with the hash of the weights that a training starts from, where it is given any.

    Raises:
        ConfigError: where they cannot be read.
    """
    path = config.training.start_from
    if path is None:
        return {}
    try:
        return {"start_from.json": json.dumps({"sha256": files.sha256(Path(path))})}
    except OSError as error:
        raise ConfigError(f"training.start_from: cannot read {path}: {error}") from error
