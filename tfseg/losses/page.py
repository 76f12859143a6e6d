"""Cards as Markdown, for the terminal and for `docs/losses.md` (`python -m tfseg.losses.page docs`)."""

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
classes unless a card says otherwise. In logarithms, probabilities are clipped to [1e-7, 1 - 1e-7]; clipped voxels have
the value and the gradient at the limit, so that they still learn.
"""
EXAMPLE = f"""
One channel of {SIDE}×{SIDE} voxels, in float64; the structure is a tube of radius {RADIUS}, {tube().sum()} voxels.
*Empty truth* is a prediction of that tube for an empty truth. *Value* is for predictions of exactly 0 and 1, *value if
sure* for {SURE[0]} and {SURE[1]} in their place, as networks predict them. The gradient of the latter is dL/dp, summed
over the voxels of the tube (*inside*) and over all others (*outside*): training raises probabilities with a negative
gradient and lowers those with a positive one.
"""
INTRODUCTION = f"""
# Losses

Generated from the code by `make docs`. `tfseg losses` lists these losses, `tfseg losses NAME` prints the card of one.
On the command line a loss is `--loss tversky:alpha=0.3,beta=0.7`. A weighted sum is a loss too:
`0.9 * Tversky(0.3) + 0.1 * LogHausdorffDT()` in Python, and in a configuration

    loss: {{sum: [{{name: tversky, alpha: 0.3, weight: 0.9}}, {{name: log_hausdorff_dt, weight: 0.1}}]}}

A weight may also be a ramp, `{{from: 0, to: 0.1, epochs: 20}}`. tfseg's training advances it; in `keras.Model.fit`,
pass `callbacks=[tfseg.losses.RampCallback()]`. A loss whose ramp was never advanced warns.

## Convention

Losses of the same name differ between libraries. Here one base class sets the convention for all:

- Predictions are probabilities `[batch, *spatial, classes]`, 2D or 3D: one channel (sigmoid), several that sum to 1
  (softmax), or independent regions (`regions=True`). The truth has the same shape, or holds integer labels.
- A loss returns one value per sample; Keras reduces and weights them.
- `smoothing` (1e-5) is added to numerator and denominator, so an empty prediction of an empty truth costs 0.
- `overlap_over` is `sample` or `batch` for every overlap loss. A loss by itself defaults to `sample`, training to
  `batch`, which measured no worse here and is not dominated by empty slices.
- Region terms leave out the background of a softmax; cross-entropy includes every class.
- Tversky: α weights false positives, β false negatives.
- Focal: γ = 2, α = 0.5 on the foreground, 1 - α on the background.
- `ignore_label`: no loss and no gradient there.
- Distances are exact, in units of `spacing_mm` (voxels if it is not given). A mask without a boundary has distance 0.

## How to read a card

{NOTATION.strip()}

**Behaviour** shows a loss with its default parameters, computed for this page.
{EXAMPLE.strip()}

**The plots** show the loss of the same tube against the Dice index of the prediction, each on its own scale: the tube
shifted sideways, too thin, too thick, and in its place with a probability that rises from 0 to 1 (*unsure*).

**Loading.** Keras opens a model that was saved with one of these losses after `from tfseg.losses import LOSSES`, which
registers them; `import tfseg` does not import Keras and so does not register them. The networks that training saves,
`best.keras`, need neither.

**In other packages** compares with {{collections}}.

Every segmentation loss of MONAI has a counterpart here. Two are sums: GeneralizedDiceFocalLoss of `generalized_dice`
and `focal`, SoftDiceclDiceLoss of `dice` and `cldice`. MaskedLoss is `ignore_label`, which every loss has.

**Backends.** The losses run on Keras's TensorFlow, JAX and PyTorch backends with the same values. Commands run on
TensorFlow, whatever `KERAS_BACKEND` says.

## All losses
"""


def to_markdown(shown: Card) -> str:
    """A card on its own."""
    return "\n\n".join([f"# {shown.name}", *_sections(shown, shown.parameters, complete=True)])


def _sections(shown: Card, listed: Sequence[Parameter], *, complete: bool = False) -> list[str]:
    """The sections of a card with the `listed` parameters; `complete` adds the notes that the page has only once."""
    parts = [f"{shown.summary} *`{shown.class_name}`, {shown.family}*", *shown.explanation]
    remarks = {
        "When": shown.choose,
        "Reading": shown.reading,
        "A better prediction may cost more": shown.not_monotone,
        "Combine with": shown.companion,
    }
    parts += [f"**{title}.** {text}" for title, text in remarks.items() if text]
    if listed:
        parts.append(_parameters(listed))
    further = [f"`{each.name}`" for each in shown.parameters if each not in listed]
    if further:
        parts.append(f"Also {', '.join(further)}: see [common parameters](#common-parameters).")
    parts += [_sentence(note) for note in shown.notes]
    rows = [
        (name, *map(number, (seen.exact, seen.sure, seen.inside, seen.outside)))
        for name, seen in shown.behaviour.items()
    ]
    titles = ("**Behaviour** on", "value", "value if sure", "gradient inside", "outside")
    parts.append(_table(titles, rows, numbers=4))
    if complete:
        parts.append(one_line(EXAMPLE + NOTATION))
    parts.append(f"**In other packages**, {_collections()}" if complete else "**In other packages**")
    others = [f"- {collection}: {text}" for collection, text in shown.peers.items()]
    absent = [collection for collection in notes()["collections"] if collection not in shown.peers]
    parts.append("\n".join([*others, *([f"- {', '.join(absent)}: no such loss."] if absent else [])]))
    return [*parts, f"Source: {_linked(shown.source)}"]


def page() -> str:
    """The text of `docs/losses.md`."""
    parts = [INTRODUCTION.replace("{collections}", _collections()).strip()]
    for family, names in FAMILIES.items():
        parts.append(_table((family, ""), [(f"[{name}](#{name})", card(name).summary) for name in names]))
    shared = {each.name: each for name in LOSSES for each in card(name).parameters if each.described_by in SHARED}
    parts += ["## Common parameters", _parameters(shared.values())]
    for family, names in FAMILIES.items():
        plot = f"![Loss against the Dice index of the prediction](losses/{family}.png)"
        parts += [f"## {family.capitalize()} losses", plot]
        for name in names:
            own = [each for each in card(name).parameters if each.described_by not in SHARED]
            parts += [f"### {name}", *_sections(card(name), own)]
    return "\n\n".join(parts) + "\n"


def _collections() -> str:
    """The packages that the cards compare with, and their versions."""
    return ", ".join(f"{name} ({version})" for name, version in notes()["collections"].items())


def draw(names: Sequence[str]) -> bytes:
    """Draw a panel for each loss as PNG: the loss against the Dice index of four series of predictions."""
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
    """Write `losses.md` and its plots into a folder."""
    for family, names in FAMILIES.items():
        with files.replacing(folder / "losses" / f"{family}.png") as temporary:
            temporary.write_bytes(draw(list(names)))
    files.write_text(folder / "losses.md", page())


def number(value: float | None) -> str:
    """Format with three significant digits; "≈ 0" below 1e-6."""
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
