"""Turn what was typed into what commands take. Heavy modules are imported when they are used."""

import importlib
import shlex
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from tfseg.cli.options import Phantoms
from tfseg.core.errors import ConfigError

if TYPE_CHECKING:
    from tfseg.datasets.phantoms.stand_ins import StandIn
    from tfseg.runs.pools import Parallel as Ray

AT_MOST = "max"  # for --parallel without a number


def overrides_of(
    settings: list[str] | None,
    *,
    folds: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    rates: str | None = None,
    postprocess: str | None = None,
) -> list[str]:
    """Return the settings of a command line as `name=value`; options of their own come last and win.

    Raises:
        ConfigError: if the value of such an option is wrong, naming the option.

    >>> overrides_of(["seed=1", "model.depth=3"], epochs=20)
    ['seed=1', 'model.depth=3', 'training.epochs=20']
    """
    from tfseg.config.config import Config, validate
    from tfseg.config.yaml_files import parse_override

    options = {
        "--folds": ("folds", folds),
        "--epochs": ("training.epochs", epochs),
        "--batch-size": ("training.batch_size", batch_size),
        "--seed": ("seed", seed),
        "--rates": ("training.rates", None if rates is None else f"[{rates}]"),
        "--postprocess": ("scoring.postprocess", postprocess),
    }
    shortcuts = []
    for option, (name, value) in options.items():
        if value is not None:
            shortcuts.append(f"{name}={value}")
            validate(Config, parse_override(shortcuts[-1]), option)
    return [*(settings or ()), *shortcuts]


def stand_in(phantoms: Phantoms | None) -> "StandIn | None":
    """Return the phantoms that are asked for by name."""
    from tfseg.datasets.phantoms.stand_ins import STAND_INS

    return None if phantoms is None else STAND_INS[phantoms.value]


def parallel_of(parallel: str | None, ray_address: str | None, devices: str | None) -> "Ray | None":
    """Return how to train at once, if that is asked for; check that a cluster answers.

    Raises:
        ConfigError: if the number, the address or the devices are wrong.
        RunError: if no cluster answers.

    >>> parallel_of("2", None, None)
    Parallel(at_once=2, address=None)
    """
    if parallel is None and ray_address is None:
        return None
    from tfseg.runs.cluster import check_answers, check_shared_devices
    from tfseg.runs.pools import Parallel

    if parallel not in (None, AT_MOST) and not (parallel.isdecimal() and int(parallel)):
        raise ConfigError(f"--parallel: expected a number from 1, or none for as many as possible; received {parallel}")
    check_shared_devices(devices)
    if ray_address is not None:
        check_answers(ray_address)
    return Parallel(None if parallel in (None, AT_MOST) else int(parallel), ray_address)


def load(commands: str) -> ModuleType:
    """Import a module of commands that need TensorFlow, which takes seconds."""
    from tfseg.core.quiet import quiet_stderr

    with quiet_stderr():
        return importlib.import_module(f"tfseg.cli.{commands}")


def typed() -> str:
    """Return the command line as it was typed."""
    return shlex.join(["tfseg", *sys.argv[1:]])
