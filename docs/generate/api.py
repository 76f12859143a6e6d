"""The public names of tfseg as Markdown with directives of mkdocstrings, read without importing them."""

import ast
import re
from pathlib import Path

from keys import table

ROOT = Path(__file__).parents[2]
# Public module → its source.
MODULES = {
    "tfseg.losses": "tfseg/losses/__init__.py",
    "tfseg.metrics": "tfseg/metrics/__init__.py",
    "tfseg.models": "tfseg/models/__init__.py",
    "tfseg.errors": "tfseg/core/errors.py",
}
# A heading of docs/losses.md, and the line below it.
CARD = re.compile(r"^### (\w+)\n\n(.+?) \*`(\w+)`, \w+\*$", flags=re.MULTILINE)


def api() -> str:
    """Write a section for each public module: its summary, its functions and classes, and the table of losses."""
    parts = []
    for module, source in MODULES.items():
        tree = ast.parse((ROOT / source).read_text(encoding="utf-8"))
        path = source.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        parts += [f"## {module}", ast.get_docstring(tree) or "", *(f"::: {path}.{name}" for name in exported(tree))]
        if module == "tfseg.losses":
            parts += ["::: tfseg.losses.base.SegmentationLoss", loss_classes()]
    return "\n\n".join(parts)


def exported(tree: ast.Module) -> list[str]:
    """Read `__all__`."""
    (names,) = (
        each.value for each in tree.body if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "__all__"
    )
    return list(ast.literal_eval(names))


def loss_classes() -> str:
    """Write a table of the classes, from the cards of the losses."""
    cards = CARD.findall((ROOT / "docs/losses.md").read_text(encoding="utf-8"))
    rows = [(f"`{kind}`", f"[{name}](losses.md#{name})", summary) for name, summary, kind in cards]
    return table(("class", "name and card", "loss"), rows)
