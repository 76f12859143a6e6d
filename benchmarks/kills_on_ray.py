"""Kill commands, workers, networks and machines of parallel folds and searches again and again; compare how they end.

    python benchmarks/kills_on_ray.py --kills 40

A run trains on this machine, or on a cluster of two machines, which are Ray nodes of one core each beside a head. Each
kill is SIGKILL at a random time to the command, to one of Ray's workers, to the process of a network, or to all
processes of a node on which a network trains; another node then joins. A command that was killed is started again.
Scores and trials (without seconds) must be the same as those of a run that was never killed, bit for bit; the exit code
is 1 if they are not. Folds and searches are run at least once on this machine and once on the cluster.
"""

import argparse
import collections
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}

import pandas as pd
from ray.cluster_utils import Cluster

MAIN = "import sys; sys.argv[0] = 'tfseg'; from tfseg.cli.app import main; main()"
SMALL = ("model.filters=2", "model.depth=2", "training.batch_size=8", "training.epochs=20", "training.threads=1")
COMMAND, WORKER, NETWORK, MACHINE = "the command", "a worker of Ray", "the process of a network", "a machine"
# A network's process that is killed once more before its next epoch is reported as failed, as if memory were short.
MOST_IN_AN_EPOCH = 2
MEMORY = {"object_store_memory": 80 * 2**20}


class Machines:
    """A cluster of a head that trains nothing and two machines of one core each, all of them on this one."""

    def __init__(self) -> None:
        self.cluster = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False, **MEMORY})
        self.nodes = [self.cluster.add_node(num_cpus=1, **MEMORY) for _ in range(2)]

    def lose(self, network: int) -> None:
        """Kill the machine on which a network trains, and let another one join."""
        of_raylet = {node.all_processes["raylet"][0].process.pid: node for node in self.nodes}
        process = network
        while process not in of_raylet:
            process = parent_of(process)
        lost = of_raylet[process]
        self.cluster.remove_node(lost, allow_graceful=False)
        self.nodes.remove(lost)
        self.nodes.append(self.cluster.add_node(num_cpus=1, **MEMORY))


def command(data: Path, out: Path, space: Path | None) -> list[str]:
    """The call of `tfseg fit`, or of `tfseg tune` if there is a space."""
    settings = [word for setting in SMALL for word in ("--set", setting)]
    what = ["fit"] if space is None else ["tune", "--space", str(space)]
    words = ["--prepared", str(data), "--out", str(out), "--loss", "dice_ce", "--folds", "2"]
    return [sys.executable, "-c", MAIN, *what, *words, *settings]


def networks(out: Path) -> dict[int, tuple[Path, int]]:
    """The processes that train, from the locks of their folders, with these folders and the epochs trained in them."""
    found = {}
    for lock in out.rglob("fold_*/.lock"):
        try:
            process = int(json.loads(lock.read_text())["pid"])
        except (OSError, ValueError, KeyError):
            continue
        if Path(f"/proc/{process}").exists():
            history = lock.with_name("history.csv")
            found[process] = lock.parent, len(history.read_text().splitlines()) if history.exists() else 0
    return found


def parent_of(process: int) -> int:
    """The id of a process's parent."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def kill_some(
    process: subprocess.Popen[bytes], out: Path, machines: Machines | None, draw: random.Random, longest_s: float
) -> list[str]:
    """Kill until the command itself is killed or ends; return what was killed."""
    targets = [COMMAND, WORKER, NETWORK] + [MACHINE] * (machines is not None)
    killed: list[str] = []
    in_epoch = collections.Counter[tuple[Path, int]]()
    while process.poll() is None:
        target = draw.choice(targets)
        try:
            process.wait(draw.uniform(2, longest_s))
        except subprocess.TimeoutExpired:
            while target != COMMAND and process.poll() is None and not networks(out):
                time.sleep(0.05)
        if process.poll() is not None:
            break
        try:
            if target == COMMAND:
                process.kill()
                process.wait()
            else:
                network, epoch = draw.choice(list(networks(out).items()))
                if target == NETWORK and in_epoch[epoch] == MOST_IN_AN_EPOCH:
                    continue
                if machines is not None and target == MACHINE:
                    machines.lose(network)
                else:
                    os.kill(parent_of(network) if target == WORKER else network, signal.SIGKILL)
                in_epoch[epoch] += target == NETWORK
        except (IndexError, OSError):
            continue  # what trained has just ended
        killed.append(target)
    return killed


def result(out: Path) -> list[object]:
    """Return what must be the same."""
    scores = [path.read_bytes() for path in sorted(out.glob("fold_*/scores.csv")) + sorted(out.glob("best/scores.csv"))]
    trials = out / "trials.csv"
    return [*scores, pd.read_csv(trials).drop(columns="seconds").to_csv() if trials.is_file() else ""]


def main() -> None:
    """Kill, compare, and print what was killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw, counts = random.Random(arguments.seed), collections.Counter[str]()
    different = runs = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        quiet = {"check": True, "stdout": subprocess.DEVNULL}
        subprocess.run(
            [sys.executable, "-c", MAIN, "phantom", str(folder / "p"), "--subjects", "4", "--size", "32"], **quiet
        )
        subprocess.run(
            [sys.executable, "-c", MAIN, "prep", "--data", str(folder / "p"), "--out", str(folder / "d")], **quiet
        )
        space = folder / "space.yaml"
        space.write_text("training.learning_rate: {grid: [0.001, 0.003]}\n")
        expected, usual_s = {}, {}
        for kind in (None, space):
            started = time.monotonic()
            subprocess.run(command(folder / "d", folder / f"whole_{kind is None}", kind), **quiet)
            usual_s[kind] = time.monotonic() - started
            expected[kind] = result(folder / f"whole_{kind is None}")
        cluster = Machines()
        plans = itertools.cycle(itertools.product((space, None), (cluster, None)))
        while counts.total() < arguments.kills or runs < 4:
            runs += 1
            kind, machines = next(plans)
            out = folder / f"run_{runs}"
            call: Sequence[str] = [*command(folder / "d", out, kind), "--parallel", "2"]
            if machines is not None:
                call = [*call, "--ray-address", machines.cluster.address]
            code, killed = None, collections.Counter[str]()
            while code != 0:
                process = subprocess.Popen(call, stdout=subprocess.DEVNULL)
                killed.update(kill_some(process, out, machines, draw, usual_s[kind] / 2))
                code = process.returncode
                if code not in (0, -signal.SIGKILL):
                    sys.exit(f"run {runs} ended with code {code}")
            is_same = result(out) == expected[kind]
            different += not is_same
            counts += killed
            where = "this machine" if machines is None else "two machines"
            what = "folds" if kind is None else "search"
            end = "the same bits" if is_same else "DIFFERENT"
            print(f"run {runs}, {what} on {where}: {dict(killed)}, {end}", flush=True)
        cluster.cluster.shutdown()
    print(f"{counts.total()} kills in {runs} runs, {different} of which ended with other scores")
    for target, count in counts.most_common():
        print(f"{count:4} {target}")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
