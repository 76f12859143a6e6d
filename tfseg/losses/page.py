"""Cards as Markdown, for the terminal and for `docs/losses.md`, which `python -m tfseg.losses.page docs` writes."""

import io
import math
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tfseg.core import files
from tfseg.core.colors import BLACK, BLUE, GREEN, VERMILLION
from tfseg.losses.behaviour import RADIUS, SIDE, SURE, courses, tube
from tfseg.losses.cards import SHARED, Card, Parameter, card, notes, one_line
from tfseg.losses.catalogue import FAMILIES, LOSSES

COLORS = {"shifted": BLUE, "too thin": VERMILLION, "too thick": GREEN, "unsure": BLACK}
DASHES = {"shifted": "-", "too thin": "--", "too thick": "-.", "unsure": ":"}
COLUMNS, PANEL_IN = 4, (2.3, 1.75)

NOTATION = """
p is the prediction, y the truth, TP = Σ p y, FP = Σ p (1-y), FN = Σ (1-p) y, s the smoothing; means are over voxels and
classes unless a card says otherwise. In logarithms, probabilities stay 1e-7 from 0 and 1; beyond, the value stands
still and the gradient is the one there, so that a voxel that is wrong for certain still pulls.
"""
EXAMPLE = f"""
One channel of {SIDE}×{SIDE} voxels, in float64; the structure is a tube of radius {RADIUS}, {tube().sum()} voxels.
*Empty truth* is that tube predicted where there is none. *Value* is for predictions of exactly 0 and 1, *value if
sure* for {SURE[0]} and {SURE[1]} in their place, as networks give them. There the gradient is taken: dL/dp, summed over
the voxels of the tube (*inside*) and over all others (*outside*). Training raises the probabilities where it is
negative, and lowers them where it is positive.
"""
INTRODUCTION = f"""
# Losses

Written from the code by `make docs`. `tfseg losses` lists these losses, `tfseg losses NAME` prints the card of one. The
conventions that all of them share are in the [README](../README.md#losses).

{NOTATION.strip()}

**What it does** shows a loss with its defaults, computed for this page.
{EXAMPLE.strip()}

**The pictures** show the loss of the same tube over the Dice index of the prediction, each on its own scale: the tube
shifted sideways, too thin, too thick, and in its place with a probability that grows from 0 to 1 (*unsure*).

**Loading.** A model saved with one of these losses opens in a new process once they are registered with Keras, which
`from tfseg.losses import LOSSES` does; `import tfseg` alone loads no Keras, and does not. The networks that training
leaves, `best.keras`, need neither.

**Elsewhere** compares with {{collections}}. Of MONAI's segmentation losses three have no counterpart here: MCCLoss,
NACLLoss (of logits) and GeneralizedWassersteinDiceLoss. Two are sums: GeneralizedDiceFocalLoss of `generalized_dice`
and `focal`, SoftDiceclDiceLoss of `dice` and `cldice`.
"""


def to_markdown(shown: Card) -> str:
    """A card that stands alone."""
    return "\n\n".join([f"# {shown.name}", *_sections(shown, shown.parameters, alone=True)])


def _sections(shown: Card, listed: Sequence[Parameter], *, alone: bool = False) -> list[str]:
    """What stands under a card's name, with some of its parameters; `alone` with what else the page says once."""
    parts = [f"{shown.summary} *`{shown.class_name}`, {shown.family}*", *shown.explanation]
    remarks = {
        "When": shown.choose,
        "Reading": shown.reading,
        "A better prediction may cost more": shown.not_monotone,
        "Needs beside it": shown.companion,
    }
    parts += [f"**{title}.** {text}" for title, text in remarks.items() if text]
    if listed:
        parts.append(_parameters(listed))
    further = [f"`{each.name}`" for each in shown.parameters if each not in listed]
    if further:
        parts.append(f"Also {', '.join(further)}: see [parameters in common](#parameters-in-common).")
    parts += [_sentence(note) for note in shown.notes]
    rows = [
        (name, *map(number, (seen.exact, seen.sure, seen.inside, seen.outside)))
        for name, seen in shown.behaviour.items()
    ]
    titles = ("**What it does** on", "value", "value if sure", "gradient inside", "outside")
    parts.append(_table(titles, rows, numbers=4))
    if alone:
        parts.append(one_line(EXAMPLE + NOTATION))
    parts.append(f"**Elsewhere**, in {_collections()}" if alone else "**Elsewhere**")
    others = [f"- {collection}: {text}" for collection, text in shown.peers.items()]
    absent = [collection for collection in notes()["collections"] if collection not in shown.peers]
    parts.append("\n".join([*others, *([f"- {', '.join(absent)}: no such loss."] if absent else [])]))
    return [*parts, f"Source: {_linked(shown.source)}"]


def page() -> str:
    """The text of `docs/losses.md`."""
    parts = [INTRODUCTION.format(collections=_collections()).strip()]
    for family, names in FAMILIES.items():
        parts.append(_table((family, ""), [(f"[{name}](#{name})", card(name).summary) for name in names]))
    shared = {each.name: each for name in LOSSES for each in card(name).parameters if each.described_by in SHARED}
    parts += ["## Parameters in common", _parameters(shared.values())]
    for family, names in FAMILIES.items():
        picture = f"![Loss over the Dice index of the prediction](losses/{family}.png)"
        parts += [f"## {family.capitalize()} losses", picture]
        for name in names:
            own = [each for each in card(name).parameters if each.described_by not in SHARED]
            parts += [f"### {name}", *_sections(card(name), own)]
    return "\n\n".join(parts) + "\n"


def _collections() -> str:
    """The collections that the cards compare with, and their versions."""
    return ", ".join(f"{name} ({version})" for name, version in notes()["collections"].items())


def draw(names: Sequence[str]) -> bytes:
    """A panel for each loss as PNG: the loss over the Dice index of four series of predictions."""
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure((columns * PANEL_IN[0], rows * PANEL_IN[1] + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).flatten()
    for place, axes in enumerate(panels):
        if place >= len(names):
            axes.set_visible(False)
            continue
        for series, (dice, loss) in courses(LOSSES[names[place]]).items():
            axes.plot(dice, loss, color=COLORS[series], linestyle=DASHES[series], linewidth=1.4, label=series)
        axes.set_title(names[place], fontsize=9)
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=7, length=2)
        axes.grid(color="#E4E4E4", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        if place + columns >= len(names):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("Dice index", fontsize=8)
    lines, labels = panels[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()


def write(folder: Path) -> None:
    """Write `losses.md` and its pictures into a folder."""
    for family, names in FAMILIES.items():
        with files.replacing(folder / "losses" / f"{family}.png") as temporary:
            temporary.write_bytes(draw(list(names)))
    files.write_text(folder / "losses.md", page())


def number(value: float | None) -> str:
    """Three significant digits; what is hardly there is said to be so."""
    if value is None:
        return "–"
    if abs(value) < 1e-6:
        return "≈ 0" if value else "0"
    digits = f"{value:.2e}"
    if not 1e-3 <= abs(value) < 1e4:
        return digits.replace("e-0", "e-").replace("e+0", "e")
    return f"{float(digits):.{max(0, 2 - int(digits.partition('e')[2]))}f}"


def _parameters(listed: Iterable[Parameter]) -> str:
    rows = [(f"`{each.name}`", _default(each.default), each.meaning) for each in listed]
    return _table(("parameter", "default", "meaning and range"), rows)


def _default(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}".replace("e-0", "e-")
    return f'"{value}"' if isinstance(value, str) else str(value)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    rule = ["---"] * (len(titles) - numbers) + ["---:"] * numbers
    escaped = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in (titles, rule, *escaped))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _linked(source: str) -> str:
    source = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", source)
    return re.sub(r"\b(10\.\d{4,}/[\w./-]*\w)", r"[doi:\1](https://doi.org/\1)", source)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
