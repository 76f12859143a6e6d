"""Run jobs on this machine one after another, or on Ray, which is imported only here and when it is used."""

import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from tfseg.core.errors import RunError
from tfseg.core.machine import usable_cores
from tfseg.core.quiet import quiet_stderr
from tfseg.runs.dispatch import Outcome, run_fresh
from tfseg.runs.job import Job

QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
# Networks are as important as the command that asks for them, and the pool plans memory by what they take.
SETTINGS = {"RAY_worker_niceness": "0", "RAY_memory_monitor_refresh_ms": "0", "RAY_BACKEND_LOG_LEVEL": "error"}
RETRIES = 100  # of a job whose worker or machine is lost; each resumes from the last epoch
STORE_BYTES = 100 * 2**20  # Ray's object store carries nothing but jobs and outcomes
# A network's memory is measured after its first epoch; validation and scoring may take somewhat more.
MARGIN = 1.2


class Pool(Protocol):
    """Run jobs, each in a fresh process."""

    def learn(self, peak_bytes: int) -> None:
        """Take note of the memory that a job has taken."""

    def capacity(self) -> int:
        """Return how many jobs may run at once: one, until it is known what memory they take."""

    def submit(self, job: Job) -> Any:
        """Start a job, or queue it; return its handle."""

    def ended(self, handles: Sequence[Any], timeout_s: float) -> list[Any]:
        """Return those handles whose jobs have ended, after waiting for one at most `timeout_s`."""

    def outcome(self, handle: Any) -> Outcome:
        """Return how a job ended.

        Raises:
            RunError: if it could not be run, or its workers and machines were lost again and again.
        """


@dataclass(frozen=True)
class Parallel:
    """Number of networks to train at once, None for as many as there are cores or GPUs, and the cluster."""

    at_once: int | None = None
    address: str | None = None

    def threads(self, networks: int) -> int:
        """Return the threads of a network that leave room for the others: on a cluster one, whatever its machines."""
        if self.address is not None:
            return 1
        cores = usable_cores()
        return max(1, cores // min(self.at_once or cores, max(networks, 1)))


@contextmanager
def ray_pool(parallel: Parallel, threads: int, devices: str | None) -> Iterator[Pool]:
    """Start Ray on this machine, or connect to a cluster, and yield a pool on it.

    Args:
        parallel: how many networks at once, and where.
        threads: of each network.
        devices: of each network; None for a GPU, or a share of one, or the CPU if there are none.

    Raises:
        RunError: if the cluster refuses.
    """
    os.environ.update(QUIET)
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray").setLevel(logging.ERROR)
    import ray

    shown = {"log_to_driver": False, "logging_level": "ERROR"}
    if parallel.address is None:
        with quiet_stderr():  # Ray reports even that it is to report nothing
            ray.init(
                address="local",
                num_cpus=usable_cores(),
                include_dashboard=False,
                object_store_memory=STORE_BYTES,
                _node_ip_address=_loopback(),
                _temp_dir=_short_temporary_folder(),
                **shown,
            )
    else:
        try:
            with quiet_stderr():
                ray.init(address=parallel.address, **shown)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            has_token = os.environ.get("RAY_AUTH_MODE") == "token"
            hint = "" if has_token else "; if the cluster asks for a token, set RAY_AUTH_MODE=token"
            raise RunError(f"--ray-address {parallel.address}: {' '.join(str(error).split())}{hint}") from error
    try:
        yield _OnRay(parallel.at_once, threads, is_gpu_free=devices is not None)
    finally:
        ray.shutdown()


class OneAtATime:
    """A pool that runs one job at a time on this machine, without Ray."""

    def learn(self, peak_bytes: int) -> None:
        """One job at a time has the machine to itself."""

    def capacity(self) -> int:
        """One."""
        return 1

    def submit(self, job: Job) -> Future[Outcome]:
        """Start a job."""
        future: Future[Outcome] = Future()

        def run() -> None:
            try:
                future.set_result(run_fresh(job))
            except BaseException as error:
                future.set_exception(error)

        # The end of this process does not wait for a daemon; the job's own process then ends too.
        threading.Thread(target=run, daemon=True).start()
        return future

    def ended(self, handles: Sequence[Future[Outcome]], timeout_s: float) -> list[Future[Outcome]]:
        """Wait for the job."""
        return list(wait(handles, timeout_s, FIRST_COMPLETED).done)

    def outcome(self, handle: Future[Outcome]) -> Outcome:
        """Return how it ended."""
        return handle.result()


def run_on_ray(job: Job) -> Outcome:
    """Run a job in a fresh process on the GPUs that Ray gave to this worker, which itself holds no TensorFlow."""
    import ray

    return run_fresh(job, [str(gpu) for gpu in ray.get_gpu_ids()])


@dataclass
class _OnRay:
    at_once: int | None
    threads: int
    is_gpu_free: bool
    cpus: int = field(init=False)
    gpus: float = field(init=False)
    peak_bytes: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        nodes = self._nodes()
        self.cpus = min(self.threads, int(max(node.get("CPU", 1) for node in nodes)))
        gpus = 0 if self.is_gpu_free else int(sum(node.get("GPU", 0) for node in nodes))
        # More networks than GPUs share them evenly: Ray takes a share of one, never one and a half.
        self.gpus = 1 / -(-(self.at_once or gpus) // gpus) if gpus else 0

    def learn(self, peak_bytes: int) -> None:
        self.peak_bytes = max(self.peak_bytes, peak_bytes)

    def capacity(self) -> int:
        """As many as the machines that live have room for."""
        if not self.peak_bytes:
            return 1
        room = sum(self._room(node) for node in self._nodes())
        return max(1, room if self.at_once is None else min(room, self.at_once))

    def submit(self, job: Job) -> Any:
        import ray

        remote = ray.remote(run_on_ray)
        memory = self._need() if self.peak_bytes else None
        return remote.options(num_cpus=self.cpus, num_gpus=self.gpus, memory=memory, max_retries=RETRIES).remote(job)

    def ended(self, handles: Sequence[Any], timeout_s: float) -> list[Any]:
        import ray

        done: list[Any] = ray.wait(list(handles), num_returns=1, timeout=timeout_s)[0]
        return done

    def outcome(self, handle: Any) -> Outcome:
        import ray

        try:
            outcome: Outcome = ray.get(handle)
        except ray.exceptions.RayError as error:
            cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
            raise RunError(f"Ray did not finish a network: {' '.join(str(cause).split())[:300]}") from error
        return outcome

    def _room(self, node: dict[str, float]) -> int:
        counts = [node.get("CPU", 0) // self.cpus, node.get("memory", 0) // self._need()]
        if self.gpus:
            counts.append(node.get("GPU", 0) // self.gpus)
        return int(min(counts))

    def _need(self) -> int:
        """Memory to reserve: at most what the largest machine has, since a network that does not fit there fails."""
        largest = max(node.get("memory", 0) for node in self._nodes())
        return int(min(MARGIN * self.peak_bytes, largest) or 1)

    def _nodes(self) -> list[dict[str, float]]:
        import ray

        return [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"]] or [{}]


def _loopback() -> str:
    """An address of this machine alone. Ray replaces 127.0.0.1 by that of the network card; Linux has more of them."""
    return "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"


def _short_temporary_folder() -> str | None:
    """None for Ray's own choice; the path of a socket in it may have about 100 characters."""
    return None if len(tempfile.gettempdir()) < 30 else "/tmp/ray"
