"""The public names of tfseg as Markdown with directives of mkdocstrings, read without importing them."""

import re
from pathlib import Path

import griffe
from keys import table

ROOT = Path(__file__).parents[2]
# A heading of docs/losses.md, and the line below it.
CARD = re.compile(r"^### (\w+)\n\n(.+?) \*`(\w+)`, \w+\*$", flags=re.MULTILINE)


def api() -> str:
    """Write a section for each public module: its summary, its functions and classes, and the table of losses."""
    package = griffe.load("tfseg", search_paths=[ROOT])
    parts = []
    for name in ("losses", "metrics", "models", "errors"):
        module = package["core.errors" if name == "errors" else name]
        assert module.docstring is not None
        parts += [f"## tfseg.{name}", module.docstring.value]
        names = module.exports or [each for each, member in module.members.items() if not member.is_alias]
        parts += [f"::: {module.path}.{each}" for each in map(str, names) if not each.startswith("_")]
        if name == "losses":
            parts += ["::: tfseg.losses.base.SegmentationLoss", loss_classes()]
    return "\n\n".join(parts)


def loss_classes() -> str:
    """Write a table of the classes, from the cards of the losses."""
    cards = CARD.findall((ROOT / "docs/losses.md").read_text(encoding="utf-8"))
    rows = [(f"`{kind}`", f"[{name}](losses.md#{name})", summary) for name, summary, kind in cards]
    return table(("class", "name and card", "loss"), rows)
