"""The one-way order of tfseg's parts, read from the import statements of every file."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tfseg

# A room imports only itself and rooms before it in this list; rooms in one line never import one another.
ROOMS = (
    {"core"},
    {"config"},
    {"losses", "metrics", "models"},
    {"statistics"},
    {"datasets"},
    {"preparation"},
    {"prepared"},
    {"prediction"},
    {"training"},
    {"evaluation"},
    {"runs"},
    {"comparison", "tuning"},
    {"reports"},
    {"cli"},
)
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}

USES_TENSORFLOW = (
    "losses/host.py",
    "prepared/pipeline.py",
    "training/",
    "prediction/",
    "runs/",
    "comparison/",
    "cli/",
)

ROOT = Path(tfseg.__file__).parent
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def room_of(file: str) -> str:
    return file.split("/")[0]


def imported(source: str) -> Iterator[str]:
    """The dotted names that a source imports, wherever in it; a name from a package counts as inside it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def against_the_order(room: str, source: str) -> list[str]:
    """What a file of `room` imports that it must not: relative names too, whose room would not be seen."""
    wrong = []
    for name in imported(source):
        first, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        is_room = first == "tfseg" and other != "" and not other.startswith("__")
        if not first or (is_room and other != room and FLOOR.get(other, len(ROOMS)) >= FLOOR[room]):
            wrong.append(name)
    return wrong


def test_every_file_is_in_a_room():
    assert {file for file in FILES if "/" not in file} == {"__init__.py"}
    assert {room_of(file) for file in FILES if "/" in file} <= FLOOR.keys()


def test_a_file_imports_only_its_own_room_and_earlier_ones():
    files = [file for file in FILES if file != "__init__.py"]
    wrong = {file: against_the_order(room_of(file), (ROOT / file).read_text(encoding="utf-8")) for file in files}
    assert {file: names for file, names in wrong.items() if names} == {}
    assert len(files) > 100


def test_the_package_itself_loads_none_of_its_rooms():
    code = "import sys, tfseg; print([name for name in sys.modules if name.startswith('tfseg.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_package_offers_its_public_rooms():
    assert dir(tfseg) == sorted(tfseg.__all__) == ["__version__", "errors", "losses", "metrics", "models"]
    for room in (tfseg.losses, tfseg.metrics, tfseg.models):
        assert set(dir(room)) >= set(room.__all__)
        assert all(getattr(room, name) for name in room.__all__)
    assert {"get", "LOSSES", "RampCallback", "Dice", "LogHausdorffDT"} < set(dir(tfseg.losses))
    assert dir(tfseg.metrics) == tfseg.metrics.__all__
    assert issubclass(tfseg.errors.ConfigError, tfseg.errors.TfsegError)
    assert all(getattr(tfseg, name) for name in tfseg.__all__)
    with pytest.raises(AttributeError, match="module 'tfseg' has no attribute 'loses'"):
        _ = tfseg.loses


def test_only_some_rooms_import_tensorflow():
    users = {
        file
        for file in FILES
        for name in imported((ROOT / file).read_text(encoding="utf-8"))
        if name.partition(".")[0] == "tensorflow"
    }
    assert {file for file in users if not file.startswith(USES_TENSORFLOW)} == set()
    assert "prepared/pipeline.py" in users


def test_what_counts_as_against_the_order():
    for room, source, wrong in (
        ("preparation", "from tfseg.core import files, geometry", []),
        ("preparation", "from tfseg.datasets.volume import Array", []),
        ("datasets", "import numpy, tfseg", []),
        ("prediction", "from tfseg import __version__", []),
        ("core", "from tfseg.core import files\nfrom tfseg import metrics", ["tfseg.metrics"]),
        ("losses", "import tfseg.models.unet", ["tfseg.models.unet"]),
        ("metrics", "from tfseg.datasets.volume import Array", ["tfseg.datasets.volume.Array"]),
        ("core", "def later():\n    from tfseg.config.config import validate", ["tfseg.config.config.validate"]),
        ("prediction", "if x:\n    import tfseg.training", ["tfseg.training"]),
        ("cli", "from tfseg import newcomer", ["tfseg.newcomer"]),
        ("datasets", "from .volume import Array", [".volume.Array"]),
        ("datasets", "from .. import core", ["...core"]),
    ):
        assert against_the_order(room, source) == wrong


def test_keras_is_not_loaded_before_it_is_needed():
    for statement in (
        "import tfseg",
        "import tfseg; tfseg.losses.parse('tversky:alpha=0.3')",
        "import tfseg; tfseg.metrics.score([[0, 1]], [[0, 1]], labels={1: 'organ'})",
        "import tfseg.preparation.prepare",
        "import tfseg.statistics, tfseg.reports.figures_comparison",
        "import tfseg.cli.app",
    ):
        code = f"import sys; {statement}; print(sorted({{'keras', 'tensorflow', 'jax', 'torch'}} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n", statement


def test_commands_that_train_nothing_load_no_keras_no_tensorflow_and_no_matplotlib(decathlon, tmp_path):
    for arguments in (
        "--help",
        "losses",
        "phantom {folder}/made --subjects 1 --size 32",
        "inspect {data}",
        "prep --data {data} --out {folder}/prepared",
        "score {data} {data}/labelsTr",
    ):
        code = (
            "import atexit, sys\n"
            "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'ray', 'matplotlib'}\n"
            "atexit.register(lambda: print(sorted(heavy & set(sys.modules))))\n"
            "from tfseg.cli.app import main; main()"
        )
        words = [word.format(data=decathlon, folder=tmp_path) for word in arguments.split()]
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]", arguments
