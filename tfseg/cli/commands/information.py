"""Declare the commands that describe this machine and the losses."""

from typing import Annotated

import typer

from tfseg.cli.options import Devices


def doctor(devices: Devices = None) -> None:
    """Show versions, devices, threads and memory, and train one step on every device."""
    from tfseg.cli.doctor import show_doctor

    show_doctor(devices)


def losses(
    name: Annotated[str | None, typer.Argument(help="Show the card of this loss.")] = None,
) -> None:
    """List the losses, or show the card of one: formula, parameters, behaviour, names elsewhere."""
    from tfseg.cli.losses import show_card, show_list

    show_list() if name is None else show_card(name)
