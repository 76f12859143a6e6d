"""Judge a network by its learning curves: converged, collapsed, diverged, best at the end of its budget."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

RISE = 0.01  # of Dice or IoU; of a loss, as a share of its mean
NOTHING = 0.01  # Dice
HALF = 0.5  # of the best Dice
FEWEST = 4  # scored epochs


def check_training(history: pd.DataFrame, best_epoch: int, epochs: int, select_by: str = "val_dice") -> dict[str, str]:
    """Return what is wrong with a network: the name of each check that it fails, and why.

    The last quarter of the scored epochs, at least two, is looked at:

    - `unconverged`: a line fitted to the score that selects still rises by more than 0.01 (a loss: falls by more than
      1 % of its mean); or fewer than four epochs were scored, which cannot tell.
    - `collapsed`: validation Dice of a label is below 0.01 at the epoch that was kept; or validation Dice is the same
      in three epochs or more, and not 1.
    - `diverged`: the median of validation Dice is below half of the best.
    - `edge`: the last epoch of the budget was the best.

    Args:
        history: rows as in `history.csv`, of which the last stage counts.
        best_epoch: the epoch that was kept, from 1.
        epochs: the budget.
        select_by: the score that selects.

    >>> history = pd.DataFrame({"epoch": [1, 2, 3, 4], "val_dice": [0.1, 0.3, 0.5, 0.7]})
    >>> check_training(history, best_epoch=4, epochs=4)["unconverged"]
    'val_dice still rose by 0.200 in the last quarter'
    """
    if "stage" in history:
        history = history[history["stage"] == history["stage"].max()]
    scored = history.dropna(subset=select_by)
    last = scored.iloc[-max(len(scored) // 4, 2) :]
    reasons = {
        "unconverged": _improvement(last, select_by) if len(scored) >= FEWEST else f"{len(scored)} epochs cannot tell",
        "collapsed": "; ".join(_collapses(scored[scored["epoch"] == best_epoch], last)),
        "diverged": _fall(scored["val_dice"], last["val_dice"]),
        "edge": f"the last of {epochs} epochs was the best" if best_epoch == epochs else "",
    }
    return {check: reason for check, reason in reasons.items() if reason}


def _improvement(last: pd.DataFrame, select_by: str) -> str:
    epochs, score = last["epoch"].to_numpy(float), last[select_by].to_numpy(float)
    rise = np.polyfit(epochs - epochs.mean(), score, 1)[0] * (epochs[-1] - epochs[0])
    if select_by == "val_loss":
        fall = -rise / max(abs(score.mean()), 1e-12)
        return f"val_loss still fell by {100 * fall:.0f} % in the last quarter" if fall > RISE else ""
    return f"{select_by} still rose by {rise:.3f} in the last quarter" if rise > RISE else ""


def _collapses(kept: pd.DataFrame, last: pd.DataFrame) -> Iterator[str]:
    for name in filter(lambda column: column.startswith("val_dice_"), kept.columns):
        if (dice := kept[name].min()) < NOTHING:
            yield f"validation Dice of {name.removeprefix('val_dice_')} is {dice:.3f}"
    dice = last["val_dice"]
    if len(dice) > 2 and np.ptp(dice) < 1e-6 and dice.iloc[-1] < 1:
        yield f"val_dice stays {dice.iloc[-1]:.3f}"


def _fall(dice: pd.Series, last: pd.Series) -> str:
    return f"val_dice fell from {dice.max():.3f} to {last.median():.3f}" if last.median() < HALF * dice.max() else ""
