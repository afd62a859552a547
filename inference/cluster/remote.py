"""The driver: a child process of the bot that asks Ray for an engine on any machine, and relays its messages.

Ray is imported only in dedicated processes: those that run this module, `node_watch` or `examination`.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from inference.cluster.address import split_address
from inference.cluster.host import EngineHost
from inference.cluster.joining import join_cluster
from inference.cluster.messages import HostLoaded, HostModels, HostStep
from inference.cluster.ray_settings import TOKEN_VARIABLE, ray_environment
from inference.cluster.token import TokenError, check_token
from inference.cluster.version import engine_resource, head_mismatch
from inference.process import EngineDied, EngineFailed
from inference.request import (
    Cancelled,
    EncodedImage,
    EngineDescription,
    GenerationRequest,
    IsCancelled,
    OnProgress,
    OnStage,
    Stage,
)
from inference.watchdog import Timeouts

T = TypeVar("T")

#: Seconds within which the head's port must answer.
CONNECT_TIMEOUT = 5.0
#: Seconds that a host waits for messages before it returns none, and seconds without an answer after which it counts as
#: hung or cut off.
POLL_TIMEOUT, HOST_TIMEOUT = 1.0, 15.0
#: Seconds between two checks whether to cancel.
POLL_INTERVAL = 0.05
#: Loading has no limit because it includes the wait for a machine. The host has its own watchdog for its engine.
REMOTE_TIMEOUTS = Timeouts(loading=math.inf)
#: Threads of a host: it must answer other calls, such as a cancellation, while one waits for messages.
HOST_THREADS = 4


def load_remote_engine(address: str, token_file: str, make_host: Callable[[], Any] | None = None) -> RemoteEngine:
    """Load an engine on any machine of the cluster at `address` (`host:port`).

    Waits without a limit until a machine is free. Raises EngineDied if the cluster cannot be used now, and the engine's
    own errors when it fails to load. `make_host` makes the host's engine; None to use the settings of its machine.
    """
    ip = own_address(address)
    try:
        check_token(Path(token_file))
    except TokenError as error:
        raise EngineDied(str(error)) from None
    os.environ.pop(TOKEN_VARIABLE, None)
    os.environ.update(ray_environment(Path(token_file)))  # Ray reads it when it is imported
    import ray

    try:
        join_cluster(address, ip, configure_logging=False)
    except Exception as error:
        raise EngineDied(
            f"The cluster at {address} cannot be joined: {_first_line(error)}. Is {token_file} a copy of the file on "
            "the machine that runs `anima cluster`? `anima doctor` says more."
        ) from None
    if mismatch := head_mismatch(ray.cluster_resources()):
        raise EngineDied(mismatch)
    options = {
        "num_cpus": 0,
        "resources": {engine_resource(): 1},
        "max_restarts": 0,
        "max_task_retries": 0,
        "max_concurrency": HOST_THREADS,
    }
    return RemoteEngine(ray.remote(EngineHost).options(**options).remote(make_host))


def own_address(address: str) -> str:
    """This machine's IP on the way to `address` (`host:port`), by which the cluster knows the machine.

    Raises EngineDied if nothing answers at `address`: Ray itself would try for minutes.
    """
    try:
        with socket.create_connection(split_address(address), CONNECT_TIMEOUT) as connection:
            ip: str = connection.getsockname()[0]
            return ip
    except (OSError, ValueError) as error:
        raise EngineDied(
            f"Nothing answers at {address} ({error}). Is `anima cluster` running there, and does a firewall let this "
            "machine through?"
        ) from None


class RemoteEngine:
    """A `RelayedEngine` that sends requests to an `EngineHost` and relays its messages."""

    def __init__(self, host: Any) -> None:
        """Waits until the host has loaded its engine. Raises EngineDied, and the engine's errors from loading."""
        self._host = host
        self._batches = count(1)
        self._machine = "a machine"
        batch = next(self._batches)
        with self._reaching_host():
            self._wait_for(self._host.start.remote(batch), None)  # no timeout: there may be no machine yet
            loaded = self._follow(batch, HostLoaded)
        self._machine, self.description = loaded.machine, loaded.description
        self._loaded_models = loaded.description.loaded

    description: EngineDescription

    def loaded_models(self) -> tuple[str, ...]:
        return self._loaded_models

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
        on_stage: OnStage | None = None,
    ) -> Sequence[EncodedImage]:
        batch = next(self._batches)
        with self._reaching_host():
            self._wait_for(self._host.begin.remote(batch, list(requests)), HOST_TIMEOUT + _sending_time(requests))
            images: list[EncodedImage] = self._follow(batch, list, on_progress, cancelled, on_stage)
        return images

    def check(self) -> None:
        with self._reaching_host():
            self._wait_for(self._host.check.remote(), HOST_TIMEOUT)

    @contextmanager
    def _reaching_host(self) -> Iterator[None]:
        """Raise EngineDied instead of an OSError, which Ray's calls raise when Ray on this machine has died."""
        try:
            yield
        except OSError as error:
            raise EngineDied(f"The engine on {self._machine} cannot be reached: {_first_line(error)}.") from None

    def _follow(
        self,
        batch: int,
        end: type[T],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
        on_stage: OnStage | None = None,
    ) -> T:
        """Relay a batch's messages until one is an `end`, which is returned, or an error, which is raised.

        Raises Cancelled if the batch ended after it was asked to cancel.
        """
        asked_to_cancel = False

        def cancel_if_asked() -> None:
            nonlocal asked_to_cancel
            if not asked_to_cancel and cancelled is not None and cancelled():
                asked_to_cancel = True
                self._host.cancel.remote(batch)

        while True:
            for message in self._wait_for(
                self._host.messages.remote(batch, POLL_TIMEOUT), POLL_TIMEOUT + HOST_TIMEOUT, cancel_if_asked
            ):
                match message:
                    case HostStep():
                        if on_progress is not None:
                            on_progress(message.progress())
                    case Stage():
                        if on_stage is not None:
                            on_stage(message)
                    case HostModels():
                        self._loaded_models = message.names
                    case Exception():
                        raise message
                    case _ if isinstance(message, end):
                        if asked_to_cancel:
                            raise Cancelled
                        return message

    def _wait_for(self, reference: Any, timeout: float | None, meanwhile: Callable[[], None] = lambda: None) -> Any:
        """The result of a call to the host, calling `meanwhile` every POLL_INTERVAL seconds until it is there.

        Raises EngineDied if that takes `timeout` seconds or the host is gone, EngineFailed for the host's other errors.
        """
        import ray
        from ray.exceptions import RayError

        waited = 0.0
        try:
            while not ray.wait([reference], timeout=POLL_INTERVAL, fetch_local=True)[0]:
                meanwhile()
                waited += POLL_INTERVAL  # counted in polls: time in which this process was suspended must not count
                if timeout is not None and waited >= timeout:
                    ray.kill(self._host)
                    raise EngineDied(f"The engine on {self._machine} was silent for {waited:.0f} s.")
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, EngineDied | EngineFailed):
                raise cause from None
            raise EngineFailed(f"The engine on {self._machine} failed: {_first_line(error)}.") from None
        except RayError as error:
            raise EngineDied(f"The engine on {self._machine} is gone: {_first_line(error)}.") from None


def _sending_time(requests: Sequence[GenerationRequest]) -> float:
    """Extra seconds for sending input images: on a slow connection each takes some seconds."""
    return 30.0 * sum(request.image is not None for request in requests)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
