"""`python -m inference.cluster.node_watch HEAD IP` prints `alive` while Ray's head considers this machine alive.

It prints that every few seconds, and ends when it is no longer true. If the cluster runs other code, it prints
`mismatch: …` and ends. It is a process of its own because Ray ends the process that uses it when the head is lost.
"""

import sys
import time

from inference.cluster.joining import join_cluster
from inference.cluster.version import head_mismatch

#: Seconds between two checks.
INTERVAL = 5.0
ALIVE, MISMATCH = "alive", "mismatch: "


def main() -> None:
    import ray

    head, address = sys.argv[1:]
    join_cluster(head, address, logging_level="ERROR")
    if mismatch := head_mismatch(ray.cluster_resources()):
        print(MISMATCH + mismatch, file=sys.__stdout__, flush=True)
        return
    node = ray.get_runtime_context().get_node_id()
    while any(each["NodeID"] == node and each["Alive"] for each in ray.nodes()):
        print(ALIVE, file=sys.__stdout__, flush=True)
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main()
