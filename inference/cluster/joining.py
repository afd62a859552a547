"""Connects a process of its own to the cluster. Nothing of what Ray prints there gets into the process's output."""

from __future__ import annotations

import io
import logging
import sys
from typing import Any

logger = logging.getLogger(__name__)


def join_cluster(address: str, ip: str, **options: Any) -> None:
    """Connect to the cluster at `address`, as `host:port`, from this machine with the IP `ip`. Raises what Ray raises.

    options: further ones of `ray.init`. From here on only `sys.__stdout__` is the process's own output.
    """
    import ray

    # Ray prints there what becomes of the cluster's processes, such as the last lines of one that died, whatever
    # `log_to_driver` says. Who waits for the engine is told in one sentence.
    sys.stdout = _DebugLog()
    ray.init(address=address, _node_ip_address=ip, log_to_driver=False, **options)


class _DebugLog(io.TextIOBase):
    """Each line that is written to it is one of the log."""

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line.strip():
                logger.debug("Ray: %s", line)
        return len(text)
