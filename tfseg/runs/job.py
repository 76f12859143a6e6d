"""A cell as plain values and absolute paths, so that it can be trained in another process or on another machine."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# Environment variables that decide numbers and messages of a training; Ray changes the first of them.
TRAVELS = (
    *("OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL", "TF_DETERMINISTIC_OPS"),
    *("KERAS_HOME", "KERAS_BACKEND"),
)


def _environment() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in TRAVELS}


@dataclass(frozen=True)
class Job:
    """The arguments of `run_cell_here`, and what a new process needs to be as the one that asks for it.

    `stop_after`: epochs, over all stages, after which the training stops; `folder`: to work in, so that relative paths
    of a configuration mean the same; `path`: where modules are found; `environment`: variables, None for unset ones.
    """

    config: Mapping[str, Any]
    prepared: str
    split: Mapping[str, list[str]]
    fold: int
    seed: int
    devices: str | None
    threads: int | None
    out: str
    arm: str
    stop_after: int | None = None
    folder: str = field(default_factory=os.getcwd)
    path: tuple[str, ...] = field(default_factory=lambda: tuple(os.path.abspath(each) for each in sys.path))
    environment: Mapping[str, str | None] = field(default_factory=_environment)

    def to_json(self) -> str:
        """Return the job as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Read what `to_json` returned.

        >>> job = Job({}, "/p", {"train": ["a"], "val": ["b"], "test": []}, 0, 1, None, 2, "/out", "dice")
        >>> Job.from_json(job.to_json()).out
        '/out'
        """
        values = json.loads(text)
        return cls(**{**values, "path": tuple(values["path"])})

    def process_environment(self) -> dict[str, str]:
        """Return the environment of the process that runs the job, on whatever machine this is."""
        changed = {**os.environ, **self.environment, "PYTHONPATH": os.pathsep.join(self.path)}
        # Several networks may share a GPU: TensorFlow would take all of its memory for the first.
        changed.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        return {name: value for name, value in changed.items() if value is not None}

    def failure(self, reason: str, traceback: str) -> str:
        """Return the text of `failure.json`."""
        failed = {"arm": self.arm, "seed": self.seed, "fold": self.fold, "reason": reason, "traceback": traceback}
        return json.dumps(failed, indent=1)

    @property
    def cell(self) -> Path:
        """The folder that the job fills."""
        return Path(self.out)
