"""The commands with their arguments and options as Markdown, read from the command line itself."""

from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from keys import table

from tfseg.cli.app import app

NAMES = {int: "whole number", float: "number", str: "text", Path: "path"}


def commands() -> str:
    """Write a heading, the summary, and a table of arguments and options for every command."""
    parts = []
    for name, command in typer.main.get_command(app).commands.items():
        hints = get_type_hints(command.callback, include_extras=True)
        required = [_usage(each) for each in command.params if each.required]
        parts += [
            f"## tfseg {name} {{ #{name} }}",
            command.help,
            f"    tfseg {' '.join([name, *required, '[OPTIONS]'])}",
        ]
        rows = [(_names(each), _value(hints[each.name]), _meaning(each)) for each in command.params]
        parts.append(table(("argument or option", "value", "meaning"), rows))
    return "\n\n".join(parts)


def _is_option(parameter: Any) -> bool:
    return parameter.opts[0].startswith("-")


def _usage(parameter: Any) -> str:
    value = parameter.name.rstrip("_").upper()
    return f"{parameter.opts[0]} {value}" if _is_option(parameter) else value


def _names(parameter: Any) -> str:
    name = ", ".join(parameter.opts) if _is_option(parameter) else _usage(parameter)
    return f"`{name}`, required" if parameter.required else f"`{name}`"


def _value(hint: Any) -> str:
    """Return what a parameter takes, from its type; nothing for a switch."""
    declared, info = get_args(hint)
    while inner := get_args(declared):
        declared = inner[0]
    if declared is bool:
        return ""
    if issubclass(declared, Enum):
        return ", ".join(f"`{each.value}`" for each in declared)
    limits = [f"{sign} {end}" for sign, end in (("≥", info.min), ("≤", info.max)) if end is not None]
    return f"{NAMES[declared]} {' and '.join(limits)}".rstrip()


def _meaning(parameter: Any) -> str:
    default = parameter.default
    if default is None or default is False:
        return str(parameter.help)
    return f"{parameter.help} Default: {default.value if isinstance(default, Enum) else default}."
