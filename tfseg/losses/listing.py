"""List the losses from their source, since importing them imports Keras, which takes seconds."""

import ast
import inspect
from pathlib import Path

FOLDER = Path(__file__).parent


def read_families() -> dict[str, dict[str, str]]:
    """Return the first paragraph of every loss's docstring: family → name → text on one line."""
    classes = {
        node.name: ast.get_docstring(node) or ""
        for path in FOLDER.glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    families = _families(ast.parse((FOLDER / "catalogue.py").read_text(encoding="utf-8")))
    return {
        family: {name: _summary(classes[loss]) for name, loss in losses.items()} for family, losses in families.items()
    }


def list_losses() -> str:
    """List every loss on one line, by family.

    Example:
        >>> list_losses().splitlines()[1].split(maxsplit=1)
        ['bce', 'Binary cross-entropy; on several channels the mean of the one-against-rest values.']
    """
    families = read_families()
    width = max(len(name) for losses in families.values() for name in losses)
    lines = []
    for family, losses in families.items():
        lines += ["", family, *(f"  {name:{width}}  {summary}" for name, summary in losses.items())]
    return "\n".join(lines[1:])


def _families(catalogue: ast.Module) -> dict[str, dict[str, str]]:
    """Return the dict `FAMILIES` of the catalogue's source: family → name → name of the class."""
    for node in catalogue.body:
        if (
            isinstance(node, ast.AnnAssign)
            and ast.unparse(node.target) == "FAMILIES"
            and isinstance(node.value, ast.Dict)
        ):
            return {family: _names(losses) for family, losses in _items(node.value)}
    raise LookupError("tfseg/losses/catalogue.py has no dict FAMILIES")


def _names(losses: ast.expr) -> dict[str, str]:
    return {name: ast.unparse(loss) for name, loss in _items(losses)}


def _items(literal: ast.expr) -> list[tuple[str, ast.expr]]:
    if not isinstance(literal, ast.Dict):
        raise LookupError(f"tfseg/losses/catalogue.py: expected a dict, found {ast.unparse(literal)}")
    return [(ast.literal_eval(key), value) for key, value in zip(literal.keys, literal.values, strict=True) if key]


def _summary(docstring: str) -> str:
    return " ".join(inspect.cleandoc(docstring).split("\n\n")[0].split())
