"""Complete the pages while MkDocs builds them: tables made from the code, links out of docs/, the navigation."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api import api
from commands import commands
from keys import reference

from tfseg.config.config import Config
from tfseg.preparation.steps import Recipe

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# A page takes one of these in by `<!-- generated: NAME -->`.
GENERATED: dict[str, Callable[[], str]] = {
    "configuration": lambda: reference(Config),
    "recipe": lambda: reference(Recipe),
    "commands": commands,
    "api": api,
}
PLACE = re.compile(r"<!-- generated: (\w+) -->")
OUTWARD = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]+)(?:#[^)]*)?\)")


def on_config(config: Any) -> Any:
    """Fill the patterns of the navigation, such as `studies/*.md`, with pages by name, `index.md` first."""
    config.nav = _filled(config.nav)
    return config


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Put generated parts in their places, and write links out of docs/ as paths in the repository."""
    folder = (DOCS / page.file.src_uri).parent

    def path_of(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        if target.is_relative_to(DOCS) or not target.exists():
            return link[0]  # MkDocs checks it
        path = target.relative_to(ROOT).as_posix()
        return f"`{path}`" if link[1].strip("`") in (path, target.name) else f"{link[1]} (`{path}`)"

    return OUTWARD.sub(path_of, PLACE.sub(lambda place: GENERATED[place[1]](), markdown))


def _filled(entries: list[Any]) -> list[Any]:
    """The entries with their pages; without those that have none."""
    filled: list[Any] = []
    for entry in entries:
        if isinstance(entry, dict):
            ((title, inside),) = entry.items()
            filled += [{title: pages}] if (pages := _filled(inside)) else []
        else:
            found = sorted(DOCS.glob(entry), key=lambda path: (path.name != "index.md", path.name))
            filled += [path.relative_to(DOCS).as_posix() for path in found]
    return filled
