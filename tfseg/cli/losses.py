"""List the losses, or show the card of one."""

from tfseg import losses
from tfseg.cli.terminal import Terminal
from tfseg.core.errors import ConfigError
from tfseg.core.quiet import quiet_stderr
from tfseg.losses.listing import list_losses


def show_list() -> None:
    """Print a line for every loss."""
    Terminal().say(list_losses())


def show_card(name: str) -> None:
    """Print the card of a loss.

    Raises:
        ConfigError: if no loss has that name.
    """
    with quiet_stderr():  # TensorFlow reports its devices when it is imported, and when the loss is computed
        from tfseg.losses.cards import card
        from tfseg.losses.page import to_markdown

        try:
            losses.get(name)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        markdown = to_markdown(card(name))
    Terminal().show(markdown)
