"""Settings for Ray: its environment and the commands that start it. Also explains its errors."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from inference.cluster.version import engine_resource, head_resource

#: Bytes of Ray's shared memory, which images pass through. Ray's default is a third of the machine's memory.
OBJECT_STORE = 200_000_000

#: Settings for the head: it notices within 15 s, instead of a minute, that a machine has vanished.
HEALTH_CHECKS = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "5",
}


#: Ray prefers a token in this variable to the one in a file; the bot's is always in the file.
TOKEN_VARIABLE = "RAY_AUTH_TOKEN"


def ray_environment(token_file: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`environment` with the variables that a process which uses Ray needs."""
    return {
        **{name: value for name, value in environment.items() if name != TOKEN_VARIABLE},
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file.absolute()),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Engines choose their devices themselves; Ray would hide all GPUs from an actor that asks for none.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        # By default an actor and its engine have a lower priority than all other programs on the machine.
        "RAY_worker_niceness": "0",
        **HEALTH_CHECKS,
    }


def head_command(port: int, address: str | None) -> list[str]:
    """The command that runs the head, in the foreground. address: the IP by which other machines reach it."""
    return [
        *_ray_start("--head", f"--port={port}", "--include-dashboard=false", "--num-gpus=0"),
        *(() if address is None else (f"--node-ip-address={address}",)),
        f"--temp-dir={_head_folder(port)}",
        f'--resources={{"{head_resource()}": 1}}',
    ]


def forget_last_head(port: int) -> None:
    """Delete the address that a killed head left behind. Call it once no program listens on the port any more.

    Ray refuses to start a head while the last one's address is in its folder and some process still uses that address,
    such as those of engines on the same machine.
    """
    with suppress(OSError):  # Ray itself reports what is wrong with its folder
        (_head_folder(port) / "ray_current_cluster").unlink(missing_ok=True)


def node_command(head: str, engines: int, address: str) -> list[str]:
    """The command that runs the node of a machine with engines, in the foreground. head: `host:port`."""
    return [
        *_ray_start(f"--address={head}", "--num-gpus=0"),
        f"--node-ip-address={address}",
        f'--resources={{"{engine_resource()}": {engines}}}',
    ]


def refusal(output: str) -> str | None:
    """A sentence that explains an error in Ray's output which no retry will fix; None if there is none."""
    if "InvalidAuthToken" in output or "authentication token" in output.lower():
        return "The cluster refuses this token. Copy the token's file from the machine that runs `anima cluster`."
    if "Version mismatch" in output:
        return "The cluster runs another version of Ray or Python. Install the same versions on all machines."
    return None


def _head_folder(port: int) -> Path:
    return Path(tempfile.gettempdir()) / f"anima-ray-{port}"


def _ray_start(*arguments: str) -> Sequence[str]:
    return (
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *arguments, "--num-cpus=1"),
        *(f"--object-store-memory={OBJECT_STORE}", "--disable-usage-stats", "--log-color=false"),
        *("--min-worker-port=0", "--max-worker-port=0"),
    )
