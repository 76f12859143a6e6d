"""Run exported files by the runtimes of their own formats, which are optional dependencies."""

from pathlib import Path
from typing import Any

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.prediction.forward import Forward


def litert_forward(path: Path) -> Forward:
    """Load a LiteRT file with ai-edge-litert.

    Raises:
        RuntimeError: if it cannot run the file.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(model_path=str(path))
    (image,) = interpreter.get_input_details()
    (probability,) = interpreter.get_output_details()

    def forward(images: Array) -> Array:
        interpreter.resize_tensor_input(image["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(image["index"], images)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(probability["index"]))

    return forward


def onnx_forward(path: Path) -> Forward:
    """Load an ONNX file with onnxruntime.

    Raises:
        RuntimeError: if it cannot run the file.
    """
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def forward(images: Array) -> Array:
        return np.asarray(session.run(["probability"], {"image": images})[0])

    return forward
