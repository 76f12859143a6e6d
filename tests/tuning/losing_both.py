"""Search on two machines of a cluster, and lose a machine and the command on the way; run by test_sweep_on_ray.py.

Arguments: the words of `tfseg tune`, without `--ray-address`. The last line says what was lost.
"""

import json
import os
import subprocess
import sys

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
from ray.cluster_utils import Cluster

TFSEG = [sys.executable, "-c", "import sys; sys.argv[0] = 'tfseg'; from tfseg.cli.app import main; main()"]


def main():
    memory = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(True, head_node_args={"num_cpus": 1, "include_dashboard": False, **memory})
    node = cluster.add_node(num_cpus=1, **memory)
    command = [*TFSEG, *sys.argv[1:], "--ray-address", cluster.address, "--parallel", "2"]
    lost = []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        print(line, end="")
        if "epoch 2/" in line and not lost:
            cluster.remove_node(node, allow_graceful=False)
            lost.append("machine")
        elif "epoch" in line and lost:
            process.kill()
            lost.append("command")
            break
    process.stdout.close()
    process.wait()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    cluster.shutdown()
    print(json.dumps({"lost": lost, "code": done.returncode}))


if __name__ == "__main__":
    main()
