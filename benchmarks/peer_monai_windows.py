"""Predict a volume by MONAI's sliding windows, for `windows.py`.

    python benchmarks/peer_monai_windows.py FOLDER THREADS WINDOW OVERLAP BATCH CLASSES

FOLDER has `image.npy`, `[d, h, w, 1]`, and `weights.npz` of `tfseg.models.unet_3d`. Writes the probabilities to
`monai.npy`, `[d, h, w, classes]`, and prints times and memory as JSON.
"""

import json
import resource
import sys
from pathlib import Path

import numpy as np
import torch
from measuring import peak_mib
from monai.inferers import sliding_window_inference
from peer_torch_unet import UNet
from timing import once
from torch import nn

SIGMA = 1 / 8  # of a window's side, as MONAI's default


def copy_weights(network: UNet, arrays: list[np.ndarray]) -> None:
    """Copy the weights of the Keras network, which are in the order in which its layers are called."""
    stages = [*network.encoder, network.bottom]
    for up, block in zip(network.up, network.decoder, strict=True):
        stages += [up, block]
    remaining = iter(arrays)
    for module in (each for stage in [*stages, network.head] for each in stage.modules()):
        for name in ("weight", "bias", "running_mean", "running_var"):
            target = getattr(module, name, None)
            if target is not None:
                array = next(remaining)
                target.data = torch.from_numpy(array.transpose(4, 3, 0, 1, 2) if array.ndim == 5 else array).clone()
        if isinstance(module, nn.BatchNorm3d):
            module.eps = 1e-3  # Keras's


def gaussian(window: int) -> torch.Tensor:
    """Return the weights `[window, window, window]` of a window; MONAI's own are the same, but never below 0.001."""
    distance = (torch.arange(window) - (window - 1) / 2) / (SIGMA * window)
    along = torch.exp(-0.5 * distance**2)
    return torch.einsum("i,j,k->ijk", along, along, along)


def main() -> None:
    """Predict and measure, after one window to warm up."""
    folder, threads, window = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    overlap, batch, classes = float(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6])
    torch.set_num_threads(threads)
    network = UNet(1, classes, 3)
    with np.load(folder / "weights.npz") as weights:
        copy_weights(network, [weights[name] for name in weights.files])
    network = network.eval().to(memory_format=torch.channels_last_3d)
    image = torch.from_numpy(np.load(folder / "image.npy")).movedim(-1, 0)[None].contiguous()
    weights = gaussian(window)

    def softmax(images: torch.Tensor) -> torch.Tensor:
        return network(images.to(memory_format=torch.channels_last_3d)).softmax(1)

    def probabilities() -> torch.Tensor:
        return sliding_window_inference(
            image, (window,) * 3, batch, softmax, overlap, "gaussian", SIGMA, roi_weight_map=weights
        )

    with torch.inference_mode():
        softmax(image[:, :, :window, :window, :window])
        grown: list[float] = []
        seconds = once(lambda: grown.append(peak_mib(lambda: probabilities().argmax(1).to(torch.uint8))))
        whole_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        np.save(folder / "monai.npy", probabilities()[0].movedim(0, -1).numpy())
    print(json.dumps({**seconds, "grown_mib": grown[0], "peak_mib": whole_mib}))


if __name__ == "__main__":
    main()
