"""The one-way order of tfseg's parts, read from the import statements of every file."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tfseg

# A part, a module or a package directly inside tfseg, imports parts of rows above its own, and itself, alone.
ORDER = (
    {"training_config", "yaml_files"},
    {"files", "config", "geometry", "memory", "quiet"},
    {"losses", "metrics", "models", "data"},
    {"prediction", "statistics", "instructions"},
    {"training"},
    {"evaluation", "uncertainty", "export", "scoring", "doctor"},
    {"experiment"},
    {"figures", "run_folder"},
    {"figures_comparison", "figures_slices"},
    {"report", "contact_sheet"},
    {"comparison", "tuning"},
    {"terminal"},
    {"setting"},
    {"workflow"},
    {"cli"},
)
ROW = {part: row for row, parts in enumerate(ORDER) for part in parts}

USES_TENSORFLOW = (
    "losses/distance.py",
    "data/pipeline.py",
    "data/augmentation.py",
    "training/",
    "export.py",
    "experiment.py",
    "comparison/",
    "setting.py",
)

ROOT = Path(tfseg.__file__).parent
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def part_of(file: str) -> str:
    return file.split("/")[0].removesuffix(".py")


def imported(source: str) -> Iterator[str]:
    """The dotted names that a source imports, wherever in it; a name from a package counts as inside it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def against_the_order(part: str, source: str) -> list[str]:
    """What a file of `part` imports that it must not: relative names too, whose part would not be seen."""
    wrong = []
    for name in imported(source):
        first, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        is_part = first == "tfseg" and other != "" and not other.startswith("__")
        if not first or (is_part and other != part and ROW.get(other, len(ORDER)) >= ROW[part]):
            wrong.append(name)
    return wrong


def test_every_part_has_its_place():
    parts = {part_of(file) for file in FILES} - {"__init__"}
    assert parts <= ROW.keys(), "give each new part its row in ORDER"
    assert {"files", "config", "geometry", "losses", "metrics", "models", "data", "cli"} <= parts


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_a_file_imports_earlier_parts_alone(file):
    assert against_the_order(part_of(file), (ROOT / file).read_text(encoding="utf-8")) == []


def test_the_package_itself_imports_none_of_its_parts():
    names = imported((ROOT / "__init__.py").read_text(encoding="utf-8"))
    assert [name for name in names if name.partition(".")[0] in ("tfseg", "")] == []


def test_tensorflow_is_imported_in_its_places_alone():
    users = {
        file
        for file in FILES
        for name in imported((ROOT / file).read_text(encoding="utf-8"))
        if name.partition(".")[0] == "tensorflow"
    }
    assert {file for file in users if not file.startswith(USES_TENSORFLOW)} == set()
    assert "data/pipeline.py" in users


@pytest.mark.parametrize(
    ("part", "source", "wrong"),
    [
        ("data", "from tfseg import files, geometry", []),
        ("data", "from tfseg.data.volume import Array", []),
        ("data", "import numpy, tfseg", []),
        ("export", "from tfseg import __version__", []),
        ("data", "from tfseg import geometry, metrics", ["tfseg.metrics"]),
        ("losses", "import tfseg.models.unet", ["tfseg.models.unet"]),
        ("metrics", "from tfseg.data.volume import Array", ["tfseg.data.volume.Array"]),
        ("config", "def later():\n    from tfseg.files import sha256", ["tfseg.files.sha256"]),
        ("prediction", "if x:\n    import tfseg.training", ["tfseg.training"]),
        ("cli", "from tfseg import newcomer", ["tfseg.newcomer"]),
        ("data", "from .volume import Array", [".volume.Array"]),
        ("data", "from .. import files", ["...files"]),
    ],
)
def test_what_counts_as_against_the_order(part, source, wrong):
    assert against_the_order(part, source) == wrong


@pytest.mark.parametrize(
    "statement",
    [
        "import tfseg",
        "import tfseg; tfseg.losses.parse('tversky:alpha=0.3')",
        "import tfseg; tfseg.metrics.score([[0, 1]], [[0, 1]], labels={1: 'organ'})",
        "import tfseg.data.prepare",
        "import tfseg.statistics, tfseg.figures_comparison",
        "import tfseg.cli",
    ],
)
def test_keras_is_not_loaded_before_it_is_needed(statement):
    code = f"import sys; {statement}; print(sorted({{'keras', 'tensorflow', 'jax', 'torch'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
