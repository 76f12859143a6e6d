"""Define the training part of a configuration: how a network is trained."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tfseg.config.augmentation import AugmentationConfig
from tfseg.config.section import Count, Fraction, NotNegative, Positive, Section

ValidationScore = Literal["val_dice", "val_iou", "val_loss"]


class InputConfig(Section):
    """Input of a network: single slices, patches of volumes, or whole volumes."""

    kind: Literal["slices", "patches", "volumes"] = "slices"
    """Kind of input."""
    neighbours: Annotated[int, Field(ge=0)] = 0
    """Slices on either side of a slice that are seen as further channels; with slices only.

    At the ends of a scan, the outermost slice is repeated.
    """
    patch: tuple[Count, Count, Count] = (64, 64, 64)
    """Slices, rows and columns of a patch, and of a window at prediction."""
    per_case: Count = 24
    """Patches drawn from every case in every epoch."""
    centres: Literal["classes", "uniform", "foreground"] = "classes"
    """Voxels among which the centre of a patch is drawn.

    `classes`: those of every class equally often, the background included; `uniform`: any voxel; `foreground`: any
    labelled voxel.
    """
    overlap: Fraction = 0.5
    """Overlap of neighbouring windows at prediction, as a share of their sides."""

    @model_validator(mode="after")
    def _slices_have_neighbours(self) -> Self:
        if self.neighbours and self.kind != "slices":
            raise ValueError(f"neighbours belong to slices; expected 0 with {self.kind}, received {self.neighbours}")
        return self


class ScheduleConfig(Section):
    """The schedule of the learning rate, after a linear warm-up."""

    name: Literal["constant", "step", "exponential", "cosine", "polynomial", "plateau"] = "cosine"
    """The schedule, after the warm-up.

    `step` multiplies the rate by `factor` every `every` epochs; `exponential` spreads the same factor evenly over those
    epochs; `cosine` ends at zero, and so does `polynomial`, as `(1 - t)^power`, with t from 0 to 1 over the training;
    `plateau` multiplies the rate by `factor` if `watch` has not improved by more than `min_delta` for `patience`
    epochs.
    """
    every: Count = 4
    """Epochs after which `step` and `exponential` have multiplied the rate by `factor`."""
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Factor of `step`, `exponential` and `plateau`."""
    power: Positive = 0.9
    """Power of `polynomial`."""
    watch: ValidationScore | Literal["loss_average"] = "loss_average"
    """Value that `plateau` watches.

    `loss_average` is a moving average of the training loss, `average·last + (1 - average)·new`.
    """
    patience: Count = 10
    """Epochs without a gain after which `plateau` lowers the rate."""
    min_delta: NotNegative = 0.0
    """Gain that `plateau` ignores."""
    average: Fraction = 0.93
    """Share of the past in `loss_average`."""
    warmup_epochs: NotNegative = 0.0
    """Epochs in which the rate first rises linearly from near zero; any schedule follows."""


class TrainingConfig(Section):
    """Training of a network."""

    input: InputConfig = InputConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    epochs: Count = 8
    """Epochs of every network."""
    steps_per_epoch: Count | None = None
    """Batches per epoch; null: every slice, patch or volume once."""
    batch_size: Count = 2
    """Slices, patches or volumes per batch, over all devices."""
    foreground_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of each batch that is drawn only from slices with foreground."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Optimiser."""
    momentum: Fraction = 0.9
    """Momentum of sgd."""
    weight_decay: NotNegative = 0.0
    """Weight decay of adamw and sgd, decoupled from the gradient; kernels only."""
    l1: NotNegative = 0.0
    """This times the sum of the kernels' absolute values is added to the loss."""
    clip_norm: Positive | None = None
    """Largest global norm of the gradient; null: no limit."""
    learning_rate: Positive = 6e-3
    """Learning rate at the start of the schedule."""
    rates: tuple[Positive, ...] | None = None
    """Learning rates, as `[0.001, 0.003, 0.01]`, in place of `learning_rate`; null: none.

    A network is trained under each, and the one that validates best is kept.
    """
    schedule: ScheduleConfig = ScheduleConfig()
    overlap_over: Literal["sample", "batch"] = "batch"
    """Range over which every overlap loss sums."""
    class_prior: bool = True
    """Start every class at its share of the voxels, at least 0.01, and not all classes at equal probabilities.

    Every class also begins with as many features of the last layer in its favour. With tfseg's own networks only. See
    the page on training.
    """
    label_smoothing: Fraction = 0.0
    """Share ε by which every loss's truth is smoothed, to `y (1 - ε) + ε/K` for K classes; 0: not smoothed.

    A channel of its own, and each region, is two classes. Validation is against the truth as it is. Losses that need a
    border or a skeleton take it from the truth above 0.5.
    """
    validate_every: Count = 1
    """Epochs between validations; the last epoch is always validated."""
    validate_every_steps: Count | None = None
    """Steps between further validations within epochs; null: none.

    The best network may come from there.
    """
    select_by: ValidationScore = "val_dice"
    """Score on validation subjects that chooses the epoch."""
    patience: Count | None = None
    """Epochs without improvement after which training stops; null: never."""
    start_from: str | None = None
    """A .keras file of the same network, whose weights training starts from."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Precision of the computation.

    Weights, losses and probabilities are float32 in any case.
    """
    picture_every: Count | None = 5
    """Epochs between images of validation slices in logs/; null: no images."""
    threads: Count | None = None
    """Threads of an operation; null: as many as there are cores when the run begins."""

    @field_validator("rates")
    @classmethod
    def _rates_differ(cls, rates: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if rates is not None and len(set(rates)) < max(len(rates), 2):
            raise ValueError("expected two or more different learning rates")
        return rates

    @model_validator(mode="after")
    def _decay_is_taken(self) -> Self:
        if self.weight_decay and self.optimizer == "adam":
            raise ValueError("weight_decay needs the optimizer adamw or sgd; received adam")
        return self

    @model_validator(mode="after")
    def _foreground_is_of_slices(self) -> Self:
        if self.foreground_share and self.input.kind != "slices":
            raise ValueError(f"foreground_share chooses slices; for {self.input.kind} set input.centres")
        return self
