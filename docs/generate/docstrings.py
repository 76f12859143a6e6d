"""Let mkdocstrings read docstrings as they are written here: bare examples, and tables as results."""

import re
import textwrap
from typing import Any

import griffe

BARE_EXAMPLE = re.compile(r"^\n(>>> .*?)(?=\n\n|\Z)", flags=re.MULTILINE | re.DOTALL)


class Docstrings(griffe.Extension):
    """Rewrite every docstring before it is parsed."""

    def on_function(self, *, func: griffe.Function, **kwargs: Any) -> None:
        """Name the type of what a function returns, which the parser expects before the colon."""
        if func.docstring:
            typed = rf"\1{func.returns}: "
            func.docstring.value = re.sub(r"^(Returns:\n    )", typed, func.docstring.value, flags=re.MULTILINE)

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Make a section of examples."""
        if obj.docstring:
            text = re.sub("^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = BARE_EXAMPLE.sub(_as_section, text)


def _as_section(example: re.Match[str]) -> str:
    return f"\nExamples:\n{textwrap.indent(example[1], '    ')}"
