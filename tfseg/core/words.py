"""How numbers and names are written for people."""


def duration(seconds: float) -> str:
    """Write a number of seconds as people do.

    >>> duration(41.2), duration(192), duration(7500)
    ('41 s', '3 min 12 s', '2 h 05 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def shorten(name: str, length: int = 24) -> str:
    """Cut a longer name, with an ellipsis for the rest.

    >>> shorten("left hippocampus", 8)
    'left hi…'
    """
    return name if len(name) <= length else f"{name[: length - 1]}…"
