"""Connects a process to the cluster, and keeps what Ray prints out of the process's output."""

from __future__ import annotations

import io
import logging
import sys
from typing import Any

logger = logging.getLogger(__name__)


def join_cluster(address: str, ip: str, **options: Any) -> None:
    """Connect to the cluster at `address` (`host:port`) from this machine, whose IP is `ip`. Raises Ray's errors.

    options: more arguments for `ray.init`. Afterwards `sys.stdout` goes to the log: print to `sys.__stdout__` instead.
    """
    import ray

    # Whatever `log_to_driver` says, Ray prints news of the cluster's processes, such as the last lines of one that
    # died. Users get one sentence about that instead.
    sys.stdout = _DebugLog()
    ray.init(address=address, _node_ip_address=ip, log_to_driver=False, **options)


class _DebugLog(io.TextIOBase):
    """A stream that writes each line to the log, as DEBUG."""

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line.strip():
                logger.debug("Ray: %s", line)
        return len(text)
