"""Write numbers and names for people."""

from collections.abc import Mapping


def duration(seconds: float) -> str:
    """Write a number of seconds as people do.

    >>> duration(41.2), duration(192), duration(7500)
    ('41 s', '3 min 12 s', '2 h 05 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def counted(number: int, noun: str) -> str:
    """Write a number of things, whose plural ends in s.

    >>> counted(1, "channel"), counted(2, "channel")
    ('1 channel', '2 channels')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def shorten(name: str, length: int = 24) -> str:
    """Cut a longer name, with an ellipsis for the rest.

    >>> shorten("left hippocampus", 8)
    'left hi…'
    """
    return name if len(name) <= length else f"{name[: length - 1]}…"


def epoch_line(name: str, epoch: int, epochs: int, logs: Mapping[str, float]) -> str:
    """Say how a network stands after an epoch, counted from 0.

    >>> epoch_line("fold 1/5", 1, 20, {"loss": 0.51234, "val_dice": 0.7, "val_loss": 0.6})
    'fold 1/5  epoch 2/20  loss 0.5123  val_dice 0.7000'
    """
    known = "  ".join(f"{score} {logs[score]:.4f}" for score in ("loss", "val_dice") if score in logs)
    return f"{name}  epoch {epoch + 1}/{epochs}  {known}"
