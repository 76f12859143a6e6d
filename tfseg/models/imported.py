"""Build a network with a function of someone else's code, and load it again."""

import importlib
import json
import shlex
import sys
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import keras

from tfseg.core import files
from tfseg.core.errors import ConfigError, RunError, one_line

RECORD = "network.json"  # beside a network's file: what rebuilds it
_digests: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()


class Imported(keras.Model):
    """A network that only its own code can rebuild; Keras saves its weights and its name."""

    def get_config(self) -> dict[str, Any]:
        """Return only the name: the layers may not be serialisable."""
        return {"name": self.name}


def build_imported(reference: str, image_shape: tuple[int, ...], classes: int, settings: Mapping[str, Any]) -> Imported:
    """Build the network that `function(image_shape, classes, **settings)` returns.

    The module is imported from the Python path, else from the working directory. Probabilities in half precision become
    float32.

    Args:
        reference: `package.module:function`. It returns a Keras model or layer that maps images
            `[batch, *spatial, channels]` to probabilities `[batch, *spatial, classes]`, or to a list of them, the full
            size first.
        image_shape: `(*spatial, channels)`.
        classes: output channels.
        settings: the function's other arguments.

    Raises:
        ConfigError: if there is no such function, it fails, or its network does not take such images.
    """
    with _working_directory():
        function = _function(reference)
        try:
            network = function(tuple(image_shape), classes, **settings)
        except Exception as error:
            call = f"{reference} failed for images {tuple(image_shape)} and {classes} classes"
            raise ConfigError(f"model.import: {call}: {_kind(error)}") from error
        if not isinstance(network, keras.Layer):
            raise ConfigError(f"model.import: expected a Keras network from {reference}, received {_name(network)}")
        image = keras.Input(image_shape, name="image")
        try:
            outputs = network(image)
        except Exception as error:
            message = f"{reference} does not take images {tuple(image_shape)}"
            raise ConfigError(f"model.import: the network of {message}: {_kind(error)}") from error
    outputs = keras.tree.map_structure(_in_float32, outputs)
    return Imported(image, outputs, name=reference.replace(".", "_").replace(":", "_"))


def module_digest(reference: str) -> str:
    """Return the SHA-256 of the file that holds the function, as it was when this process first asked.

    Python does not import a module again, so this is the code that runs, even if the file changes meanwhile.

    Raises:
        ConfigError: if there is no such function, or no file.
    """
    with _working_directory():
        module = sys.modules[_function(reference).__module__]
    if module not in _digests:
        path = getattr(module, "__file__", None)
        if path is None:
            raise ConfigError(f"model.import: {reference} is not in a file")
        _digests[module] = files.sha256(Path(path))
    return _digests[module]


def inference_network(model: keras.Model) -> keras.Model:
    """Return the network from an image to its first output, the one of full size, around the same layers."""
    kind = Imported if isinstance(model, Imported) else keras.Model
    return kind(model.input, model.outputs[0], name=model.name)


def load_network(path: Path, trusted: Collection[str] = ()) -> keras.Model:
    """Load a `best.keras`, uncompiled; an imported network is rebuilt as `network.json` beside it says.

    Args:
        path: the network's file.
        trusted: the functions that may be called to rebuild it, `package.module:function`.

    Raises:
        ConfigError: as `check_trusted` and `build_imported`.
        RunError: if a file is missing or damaged, or the function's file has changed since.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such network")
    check_trusted(path, trusted)
    record = _read_record(path)
    if record is None:
        with files.reading(path):
            _refuse_outside(path)
            return keras.saving.load_model(path, compile=False)
    if module_digest(record.reference) != record.digest:
        changed = f"the file of {record.reference} has changed since the network was trained (its hash differs)"
        raise RunError(f"{path}: {changed}")
    built = build_imported(record.reference, record.image_shape, record.classes, record.settings)
    network = inference_network(built)
    with files.reading(path):
        _refuse_outside(path)
        network.load_weights(path)
    return network


def check_trusted(path: Path, trusted: Collection[str]) -> None:
    """Refuse a network that a function builds which is not in `trusted`.

    A run folder may come from anyone and could name any function on this machine, so whoever loads it names the
    function too. Networks of tfseg's own need none.

    Raises:
        ConfigError: with the option that names the function.
        RunError: if `network.json` is damaged.
    """
    record = _read_record(path)
    if record and record.reference not in trusted:
        raise ConfigError(
            f"{path}: loading this network runs {record.reference}; if you trust that code, add --trust "
            f"{shlex.quote(record.reference)} to predict or export, or set model.import to train"
        )


@dataclass(frozen=True)
class _Record:
    """What rebuilds a network."""

    reference: str
    digest: str
    image_shape: tuple[int, ...]
    classes: int
    settings: Mapping[str, Any]


def _read_record(network: Path) -> _Record | None:
    path = network.with_name(RECORD)
    if not path.is_file():
        return None
    with files.reading(path):
        record = json.loads(path.read_text(encoding="utf-8"))
        image_shape = tuple(int(length) for length in record["image_shape"])
        named = str(record["import"]), str(record["sha256"])
        return _Record(*named, image_shape, int(record["classes"]), dict(record["settings"]))


def _refuse_outside(path: Path) -> None:
    """Refuse an archive with members that lie outside the folder to which it is extracted."""
    with zipfile.ZipFile(path) as archive:
        members = map(PurePosixPath, archive.namelist())
        if outside := [str(each) for each in members if each.is_absolute() or ".." in each.parts]:
            raise RunError(f"{path}: cannot be read: it holds files outside its own folder, {', '.join(outside[:3])}")


@contextmanager
def _working_directory() -> Iterator[None]:
    """Look for modules in the working directory last; not within a run folder, whose code is never run."""
    here = Path.cwd()
    added = [] if any((folder / "environment.json").is_file() for folder in (here, *here.parents)) else [str(here)]
    before = list(sys.path)
    sys.path.extend(added)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _function(reference: str) -> Any:
    module_name, _, name = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigError(f"model.import: {module_name} cannot be imported: {_kind(error)}") from error
        places = "the Python path or in the working directory"
        raise ConfigError(f"model.import: there is no module {error.name} on {places}") from error
    except Exception as error:
        raise ConfigError(f"model.import: {module_name} cannot be imported: {_kind(error)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(f"model.import: {module_name} has no function {name}")
    return function


def _in_float32(output: keras.KerasTensor) -> keras.KerasTensor:
    return output if output.dtype == "float32" else keras.ops.cast(output, "float32")


def _kind(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)}"


def _name(value: object) -> str:
    return type(value).__name__
