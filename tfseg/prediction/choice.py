"""Choose the predictor that fits what a network sees."""

from tfseg.config.config import TrainingConfig
from tfseg.prediction.forward import Forward
from tfseg.prediction.predictor import Predictor
from tfseg.prediction.slices import SlicePredictor
from tfseg.prediction.windows import WindowPredictor
from tfseg.prepared.inputs import input_shape
from tfseg.prepared.prepared import Prepared


def make_predictor(forward: Forward, training: TrainingConfig, prepared: Prepared) -> Predictor:
    """Return a predictor of slices for a network of slices, else of windows as large as the network's input."""
    seen = training.input
    if seen.kind == "slices":
        return SlicePredictor(forward, training.batch_size)
    slices, height, width, _ = input_shape(seen, prepared)
    return WindowPredictor(forward, (slices, height, width), seen.overlap, training.batch_size)
