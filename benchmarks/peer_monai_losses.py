"""Measure forward and backward of MONAI's losses, for `losses.py`.

    python benchmarks/peer_monai_losses.py INPUTS.npz THREADS PAIRS [--clock] [--memory NAME]

For each name on standard input, write the milliseconds of a call on PAIRS pairs of truth and prediction to standard
output; with --memory, only the peak memory of a call on one pair in MiB. INPUTS.npz has truth and prediction
`[batch, *spatial]`.
"""

import argparse
import json
import sys
from collections.abc import Callable

import numpy as np
import torch
from measuring import peak_mib, round_ms
from monai import losses
from torch import Tensor, nn

CORNER = 32  # voxels along each axis of the inputs of a first call, which loads libraries and starts threads

# tfseg's name → MONAI's loss with tfseg's settings.
LOSSES: dict[str, Callable[[int], nn.Module]] = {
    "focal": lambda _: losses.FocalLoss(gamma=2.0, alpha=0.5),
    "dice": lambda _: losses.DiceLoss(),
    "squared_dice": lambda _: losses.DiceLoss(squared_pred=True),
    "generalized_dice": lambda _: losses.GeneralizedDiceLoss(),
    "jaccard": lambda _: losses.DiceLoss(jaccard=True),
    "tversky": lambda _: losses.TverskyLoss(alpha=0.3, beta=0.7),
    "asymmetric_similarity": lambda _: losses.TverskyLoss(alpha=1 / 3.25, beta=2.25 / 3.25),
    "mcc": lambda _: losses.MCCLoss(),
    "ssim": lambda axes: losses.SSIMLoss(axes),
    "cldice": lambda _: losses.SoftclDiceLoss(iter_=3),
    "boundary": lambda _: losses.BoundaryLoss(),
    "hausdorff_dt": lambda _: losses.HausdorffDTLoss(),
    "log_hausdorff_dt": lambda _: losses.LogHausdorffDTLoss(),
    "dice_ce": lambda _: losses.DiceCELoss(sigmoid=True),
    "dice_bce": lambda _: losses.DiceCELoss(sigmoid=True),
    "dice_focal": lambda _: losses.DiceFocalLoss(sigmoid=True, gamma=2.0, alpha=0.5),
    "asymmetric_unified_focal": lambda _: losses.AsymmetricUnifiedFocalLoss(weight=0.5, gamma=0.5, delta=0.6),
}
ON_LOGITS = {"focal", "dice_ce", "dice_bce", "dice_focal"}  # MONAI has these only on logits


def step(name: str, truth: np.ndarray, prediction: np.ndarray, times: int = 1) -> Callable[[], list[Tensor]]:
    """A call that returns losses and gradients of `times` pairs of truth and prediction, as `losses.step`."""
    pairs = []
    for n in range(times):
        y, p = (torch.from_numpy(np.roll(values, n, 1))[:, None].contiguous() for values in (truth, prediction))
        pairs.append(((torch.logit(p) if name in ON_LOGITS else p).requires_grad_(), y))
    loss = LOSSES[name](prediction.ndim - 1)

    def forward_backward() -> list[Tensor]:
        results = []
        for x, y in pairs:
            value = loss(x, y)
            results += [value, *torch.autograd.grad(value, x)]
        return results

    return forward_backward


def main() -> None:
    """Measure the losses named on standard input, or the memory of one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs")
    parser.add_argument("threads", type=int)
    parser.add_argument("pairs", type=int)
    parser.add_argument("--clock", action="store_true")
    parser.add_argument("--memory", metavar="NAME")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with np.load(arguments.inputs) as inputs:
        truth, prediction = inputs["truth"], inputs["prediction"]
    if arguments.memory:
        corner = (slice(1), *[slice(CORNER)] * (truth.ndim - 1))
        step(arguments.memory, truth[corner], prediction[corner])()
        print(peak_mib(step(arguments.memory, truth, prediction)))
        return
    print(json.dumps({name: type(make(2)).__name__ for name, make in LOSSES.items()}), flush=True)
    for line in sys.stdin:
        print(round_ms(step(line.strip(), truth, prediction, arguments.pairs), arguments.clock), flush=True)


if __name__ == "__main__":
    main()
