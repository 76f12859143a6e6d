"""Show the losses."""

from tfseg import losses
from tfseg.cli.terminal import Terminal
from tfseg.core.errors import ConfigError
from tfseg.core.quiet import quiet_stderr
from tfseg.losses.cards import card, list_losses
from tfseg.losses.page import to_markdown


def show_losses(name: str | None) -> None:
    """Print the card of a loss; every loss in a line where no name is given.

    Raises:
        ConfigError: where no loss has that name.
    """
    if name is None:
        Terminal().say(list_losses())
        return
    try:
        losses.get(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    with quiet_stderr():  # the devices are looked for when the loss is computed
        markdown = to_markdown(card(name))
    Terminal().show(markdown)
