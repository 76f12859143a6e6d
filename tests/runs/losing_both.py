"""Train two folds on two machines of a cluster, and lose a worker and a machine on the way; run by test_parallel.py.

Arguments: a prepared folder, a run folder to write, the text of a configuration. The last line says which folds failed
(none should), what was lost, and which folds resumed.
"""

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
from ray.cluster_utils import Cluster

from tfseg.config.config import parse_config
from tfseg.core.claims import owner_of
from tfseg.datasets.splits import make_splits
from tfseg.prepared.prepared import Prepared
from tfseg.runs.cells import Cell
from tfseg.runs.folder import is_finished
from tfseg.runs.parallel import run_cells_in
from tfseg.runs.pools import Parallel, ray_pool
from tfseg.training.progress import Progress


class Followed:
    """Count what is reported."""

    def __init__(self):
        self.begun, self.resumed = [], []

    def begin(self, name, steps):
        self.begun.append(name)
        return Progress(on_resume=lambda epochs: self.resumed.append(name))

    def skipped(self, name):
        raise AssertionError(name)


def epochs_in(folder):
    history = folder / "history.csv"
    return len(history.read_text().splitlines()) - 1 if history.is_file() else 0


def in_work(folders, epochs):
    """Stop the first process whose training has written more than so many epochs, and return its id.

    The last epoch's weights may not be saved yet, so that a training resumes after two epochs or more.
    """
    while True:
        for folder in folders:
            owner = owner_of(folder)
            is_alive = owner is not None and is_running(owner["pid"])
            if is_alive and epochs_in(folder) > epochs[folder] and not is_finished(folder):
                os.kill(owner["pid"], signal.SIGSTOP)
                return owner["pid"]
        time.sleep(0.01)


def wait_until(happened):
    while not happened():
        time.sleep(0.01)


def is_running(process):
    return Path(f"/proc/{process}").exists()


def end_with(process, lose):
    """Lose what a stopped process works for, then the process itself, which can no longer finish on its own."""
    worker = parent_of(process)
    lose(worker)
    wait_until(lambda: not is_running(worker))
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: not is_running(process))


def machine_of(process, nodes):
    """The node whose raylet is an ancestor of a process."""
    raylets = {node.all_processes["raylet"][0].process.pid: node for node in nodes}
    while process not in raylets:
        process = parent_of(process)
    return raylets[process]


def parent_of(process):
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def main():
    prepared, out, text = Prepared(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
    config = parse_config(text, "config.yaml")
    splits = make_splits(prepared.subjects, 2, 0)
    cells = [Cell(f"fold {fold}", "dice", config, split, fold, out) for fold, split in enumerate(splits)]
    memory = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False, **memory})
    nodes = [cluster.add_node(num_cpus=1, **memory) for _ in range(2)]
    folders, followed, lost = [cell.folder for cell in cells], Followed(), []

    def lose():
        process = in_work(folders, dict.fromkeys(folders, 1))
        end_with(process, lambda worker: os.kill(worker, signal.SIGKILL))
        lost.append("worker")
        process = in_work(folders, {folder: max(1, epochs_in(folder)) for folder in folders})
        wait_until(lambda: followed.resumed)
        end_with(process, lambda worker: cluster.remove_node(machine_of(worker, nodes), allow_graceful=False))
        lost.append("machine")

    threading.Thread(target=lose, daemon=True).start()
    with ray_pool(Parallel(2, cluster.address), 1, "CPU:0") as pool:
        failed = run_cells_in(pool, cells, prepared, "CPU:0", followed)
    cluster.shutdown()
    print(json.dumps({"failed": failed, "lost": lost, "begun": followed.begun, "resumed": followed.resumed}))


if __name__ == "__main__":
    main()
