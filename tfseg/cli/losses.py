"""List the losses, or show the card of one."""

from tfseg import losses
from tfseg.cli.terminal import Terminal
from tfseg.core.errors import ConfigError
from tfseg.core.quiet import quiet_stderr
from tfseg.losses.cards import card, list_losses
from tfseg.losses.page import to_markdown


def show_losses(name: str | None) -> None:
    """Print the card of a loss, or a line for every loss if no name is given.

    Raises:
        ConfigError: if no loss has that name.
    """
    if name is None:
        Terminal().say(list_losses())
        return
    try:
        losses.get(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    with quiet_stderr():  # TensorFlow reports its devices when the loss is computed
        markdown = to_markdown(card(name))
    Terminal().show(markdown)
