"""Define the `tfseg` command: put its commands together, and report errors in one line."""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from tfseg.cli.commands import data, information, results, training
from tfseg.cli.commands.call import AT_MOST
from tfseg.core.errors import ConfigError, is_fault, one_line

INTERRUPTED = 130  # the exit code that typer gives a command that Ctrl+C stops
UsageError: type = typer.BadParameter.__bases__[0]  # what typer raises for a wrong call, which it does not export

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def show_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        from tfseg import __version__

        typer.echo(f"tfseg {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train U-Nets on medical images, in 2D and 3D, and compare loss functions fairly.

    With --debug, an error also prints its traceback.
    """


for _command in (
    training.fit,
    training.compare,
    training.tune,
    data.prep,
    data.inspect,
    data.phantom,
    results.export,
    results.predict,
    results.score,
    information.doctor,
    information.losses,
    results.report,
):
    app.command()(_command)


def with_numbers(arguments: Sequence[str]) -> list[str]:
    """Return arguments in which `--parallel` has a number: `max` if none follows.

    >>> with_numbers(["fit", "--parallel", "--epochs", "3"])
    ['fit', '--parallel=max', '--epochs', '3']
    >>> with_numbers(["fit", "--parallel", "2"])
    ['fit', '--parallel', '2']
    """
    following = [*arguments[1:], "--"]
    return [
        f"--parallel={AT_MOST}" if each == "--parallel" and after.startswith("--") else each
        for each, after in zip(arguments, following, strict=True)
    ]


def main() -> None:
    """Run the command line: exit 0 if done, 1 if the work failed, 2 if the call or the config is wrong."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # oneDNN's convolutions are several times faster; TensorFlow chooses them only on processors with AVX-512.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Only the losses run on Keras's other backends, one of which a user may have chosen for other work.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        code = app(with_numbers(arguments or ["--help"]), prog_name="tfseg", standalone_mode=False)
        if code == INTERRUPTED:
            typer.echo("tfseg: interrupted; the same command resumes from here", err=True)
        sys.exit(code or 0)
    except Exception as error:
        debug = "--debug" in sys.argv
        if debug:
            traceback.print_exc()
        typer.echo(f"tfseg: {explain(error, debug)}", err=True)
        sys.exit(2 if isinstance(error, ConfigError | UsageError) else 1)


def explain(error: Exception, debug: bool) -> str:
    """Return the line that reports an error; a fault of tfseg is named as such, with how to report it."""
    if isinstance(error, UsageError):
        return wrong_call(error)
    if not is_fault(error):
        return one_line(error)
    how = (
        "to report it, send the command, the traceback above and what `tfseg doctor` prints"
        if debug
        else "--debug shows where, and how to report it"
    )
    return f"this is a fault of tfseg, not of your input: {type(error).__name__}: {one_line(error)}; {how}"


def wrong_call(error: Any) -> str:
    """Return the line that reports a usage error, with the command whose help describes the call.

    >>> wrong_call(typer.BadParameter("0 is not in the range x>=1."))
    'Invalid value: 0 is not in the range x>=1 (tfseg --help)'
    """
    command = error.ctx.command_path if error.ctx else "tfseg"
    return f"{' '.join(error.format_message().split()).rstrip('.')} ({command} --help)"
