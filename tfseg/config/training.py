"""Define the training part of a configuration: how a network is trained."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tfseg.config.augmentation import AugmentationConfig
from tfseg.config.section import Count, Fraction, NotNegative, Positive, Section

ValidationScore = Literal["val_dice", "val_iou", "val_loss"]


class InputConfig(Section):
    """What a network sees: single slices; patches of `patch` voxels, slices by rows by columns; or whole volumes.

    `per_case` patches are drawn from every case and epoch. Their centre voxels are of every class equally often
    (`classes`, the background is one), any voxel (`uniform`), or any labelled voxel (`foreground`). Windows of the same
    size predict a volume, each with at least `overlap` of its side in common with the next.
    """

    kind: Literal["slices", "patches", "volumes"] = "slices"
    patch: tuple[Count, Count, Count] = (64, 64, 64)
    per_case: Count = 24
    centres: Literal["classes", "uniform", "foreground"] = "classes"
    overlap: Fraction = 0.5


class ScheduleConfig(Section):
    """The schedule of the learning rate, after a linear warm-up.

    `step` multiplies it by `factor` every `every` epochs; `exponential` spreads the same factor evenly over those
    epochs; `cosine` ends at zero, and so does `polynomial`, as `(1 - t)^power`; `plateau` multiplies it by `factor` if
    `watch` has not improved by more than `min_delta` for `patience` epochs. `loss_average` is a moving average of the
    training loss, `average·last + (1 - average)·new`.
    """

    name: Literal["constant", "step", "exponential", "cosine", "polynomial", "plateau"] = "cosine"
    every: Count = 4
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    power: Positive = 0.9
    watch: ValidationScore | Literal["loss_average"] = "loss_average"
    patience: Count = 10
    min_delta: NotNegative = 0.0
    average: Fraction = 0.93
    warmup_epochs: NotNegative = 0.0


class TrainingConfig(Section):
    """How a network is trained; `overlap_over` is passed to every loss that measures overlap.

    If there are `rates`, every network is trained under each, in place of `learning_rate`; the one that validates best
    is kept.
    """

    input: InputConfig = InputConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    epochs: Count = 20
    steps_per_epoch: Count | None = None
    batch_size: Count = 4
    foreground_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    momentum: Fraction = 0.9
    weight_decay: NotNegative = 0.0
    l1: NotNegative = 0.0
    clip_norm: Positive | None = None
    learning_rate: Positive = 3e-3
    rates: tuple[Positive, ...] | None = None
    schedule: ScheduleConfig = ScheduleConfig()
    overlap_over: Literal["sample", "batch"] = "batch"
    validate_every: Count = 1
    validate_every_steps: Count | None = None
    select_by: ValidationScore = "val_dice"
    patience: Count | None = None
    start_from: str | None = None
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    picture_every: Count | None = 5
    threads: Count | None = None

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
