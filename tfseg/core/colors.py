"""The colours of plots, outlines and overlays: Okabe and Ito's, which stay distinct under every colour blindness."""

from collections.abc import Iterable

BLACK = "#000000"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"

LINE_COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK)  # on white, in this order
LABEL_COLORS = (ORANGE, SKY_BLUE, GREEN, YELLOW, PURPLE, VERMILLION, BLUE)  # on grey, in this order

MISSED, FALSE_ALARM, CONFUSED = VERMILLION, SKY_BLUE, YELLOW  # wrong voxels, by what is wrong


def label_color(index: int) -> str:
    """Return the colour of a class, from 1.

    >>> label_color(1), label_color(8)
    ('#E69F00', '#E69F00')
    """
    return LABEL_COLORS[(index - 1) % len(LABEL_COLORS)]


def label_colors(names: Iterable[str]) -> dict[str, str]:
    """Return the colours of labels, by their names in order.

    >>> label_colors(["liver", "spleen"])
    {'liver': '#E69F00', 'spleen': '#56B4E9'}
    """
    return {name: label_color(index) for index, name in enumerate(names, start=1)}


def rgb(color: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255.

    >>> rgb(ORANGE)
    (230, 159, 0)
    """
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue
