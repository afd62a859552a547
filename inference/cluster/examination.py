"""Checks a cluster for `anima doctor`: whether it answers, accepts the token and runs this version; its engines.

`python -m inference.cluster.examination HOST:PORT` prints the result as a JSON object. It runs as a process of its own
because Ray ends the process that uses it when the head is lost.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from inference.cluster.joining import join_cluster
from inference.cluster.ray_settings import ray_environment, refusal
from inference.cluster.remote import own_address
from inference.cluster.token import TokenError, check_token
from inference.cluster.version import RESOURCE, code_version, engine_resource, head_mismatch
from inference.process import EngineDied

#: Seconds until the cluster counts as unreachable. Ray retries a wrong token for 20 s.
TIMEOUT = 90.0


class ClusterFault(Exception):
    """The bot cannot use the cluster; the message says why and what to do."""


@dataclass(frozen=True)
class ClusterReport:
    """machines: how many have engines. engines: how many run this code. free: how many of these no bot uses.

    other_versions: how many engines run other code, by version.
    """

    machines: int
    engines: int
    free: int
    other_versions: Mapping[str, int]


def examine_cluster(address: str, token_file: Path) -> ClusterReport:
    """Check the cluster in a child process, which takes some seconds. Needs Ray. Raises ClusterFault."""
    try:
        check_token(token_file)
        own_address(address)
    except (TokenError, EngineDied) as error:
        raise ClusterFault(str(error)) from None
    try:
        done = subprocess.run(
            [sys.executable, "-m", "inference.cluster.examination", address],
            env=ray_environment(token_file),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise ClusterFault(f"The cluster at {address} did not answer within {TIMEOUT:.0f} s.") from None
    if why := refusal(done.stderr):
        raise ClusterFault(why)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ClusterFault(f"The cluster at {address} cannot be joined: {reason.rstrip('.')}.")
    found = json.loads(done.stdout.splitlines()[-1])
    if mismatch := found.pop("mismatch"):
        raise ClusterFault(mismatch)
    return ClusterReport(**found)


def report(nodes: list[Mapping[str, float]], free: Mapping[str, float]) -> ClusterReport:
    """Count engines. nodes: the resources of each machine. free: the cluster's resources that are not in use."""
    engines: Counter[str] = Counter()
    machines = 0
    for offered in nodes:
        for name, count in offered.items():
            if name.startswith(f"{RESOURCE}-"):
                engines[name.removeprefix(f"{RESOURCE}-")] += round(count)
                machines += 1
    ours = engines.pop(code_version(), 0)
    return ClusterReport(machines, ours, round(free.get(engine_resource(), 0.0)), dict(engines))


def main() -> None:
    import ray

    address = sys.argv[1]
    join_cluster(address, own_address(address), logging_level="ERROR")
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    found = asdict(report(nodes, ray.available_resources()))
    found["mismatch"] = head_mismatch(ray.cluster_resources())
    print(json.dumps(found), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    main()
