"""Write `configs/base.yaml`: every setting with its default and its meaning."""

from collections.abc import Iterator
from pathlib import Path

from keys import REQUIRED, Key, as_yaml, keys_of
from pydantic import BaseModel

from tfseg.config.config import Config

FILE = Path(__file__).parents[2] / "configs/base.yaml"
HEADER = """\
# tfseg fit --config configs/base.yaml --data DIR
# Every setting with its default. `tfseg losses NAME` lists the parameters of a loss.
"""
COLUMN = 25  # of the comments, unless a value is longer


def base_yaml() -> str:
    """The text of `configs/base.yaml`."""
    return HEADER + "\n".join(lines_of(Config())) + "\n"


def lines_of(section: BaseModel, indent: str = "") -> Iterator[str]:
    """A line for each key of a section: its default, and as a comment the first line of its docstring."""
    values = section.model_dump(mode="json")
    for key in keys_of(type(section)):
        value = getattr(section, key.name)
        text = "" if isinstance(value, BaseModel) else f" {as_yaml(values[key.name])}"
        yield f"{indent}{key.name}:{text}".ljust(COLUMN - 2) + f"  # {comment(key)}"
        if isinstance(value, BaseModel):
            yield from lines_of(value, indent + "  ")


def comment(key: Key) -> str:
    """Return what a key means, in one line, with the values that it may have."""
    summary = key.meaning.partition("\n")[0].removesuffix(".")
    if key.default == "null" and key.sections:
        inner = (
            f"{each.name}: {each.type if each.default == REQUIRED else each.default}"
            for each in keys_of(key.sections[0])
        )
        summary = ", ".join(inner)
    elif key.type.startswith("`") and key.default not in ("true", "false"):
        summary = f"{summary}: {key.type}"
    return summary.replace("`", "")


if __name__ == "__main__":
    FILE.write_text(base_yaml(), encoding="utf-8")
