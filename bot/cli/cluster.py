"""`anima cluster` and `anima engine`: run engines on several machines with Ray."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from bot.cli import USAGE_ERROR, CheckResult, Commands, fail, ok, problem, warning

if TYPE_CHECKING:
    from bot.ops.settings import Settings

INSTALL = "This needs Ray, which is not installed. Install it with: pip install 'anima-bot[cluster]'"
HEAD_PORT = 6379


def add_parser(commands: Commands) -> None:
    cluster = commands.add_parser(
        "cluster",
        help="let engines on other machines join (run it on the bot's machine)",
        description="Runs the head of a Ray cluster, on the bot's machine and as the bot's user. "
        "The other machines run `anima engine`. Anyone with the token can run programs on all these "
        "machines: share it only with people you would give root to, and never open Ray's ports to the internet.",
    )
    cluster.add_argument("--port", type=_port, default=HEAD_PORT, help="the head's port (default: %(default)s)")
    cluster.add_argument(
        "--rotate-token", action="store_true", help="replace the token, print what to do next, and exit"
    )
    cluster.set_defaults(command=run_head)
    engine = commands.add_parser(
        "engine",
        help="generate images for a bot on another machine",
        description="Joins the cluster that `anima cluster` runs on HOST, and generates images for its bot with this "
        "machine's model (ANIMA_MODELS) and GPUs (ANIMA_DEVICE). It can join and leave at any time.",
    )
    engine.add_argument("head", metavar="HOST[:PORT]", type=_head, help=f"where `anima cluster` runs ({HEAD_PORT})")
    engine.set_defaults(command=run_engines)
    for parser in (cluster, engine):
        parser.add_argument("--address", metavar="IP", help="this machine's IP address, as other machines reach it")
        parser.add_argument("--token", type=Path, metavar="FILE", help="the token's file (ANIMA_CLUSTER_TOKEN)")


def run_head(options: argparse.Namespace) -> None:
    """Replace this process by Ray's head, which runs until it gets a signal."""
    from inference.cluster.head_port import wait_until_free
    from inference.cluster.ray_settings import forget_last_head, head_command, ray_environment
    from inference.cluster.token import TokenError, ensure_token, rotate_token

    path = _token_file(options)
    try:
        if options.rotate_token:
            rotate_token(path)
            print(f"{path} has a new token. Copy it to each machine, and restart `anima cluster`, bot and engines.")
            return
        if ensure_token(path):
            print(f"A token was created in {path}. Copy that file to each machine with a GPU, and keep it secret.")
    except TokenError as error:
        fail(str(error))
    except OSError as error:
        fail(f"The token cannot be written to {path}: {error}.")
    _require_ray()
    if not wait_until_free(options.port):
        fail(
            f"Port {options.port} is already in use on this machine, by another `anima cluster`, by leftovers of one, "
            "or by another program. Stop it (`ray stop` ends all of Ray here), or choose another port with --port."
        )
    forget_last_head(options.port)
    print(f"Engines join with: anima engine {options.address or 'THIS-MACHINE'}:{options.port}", flush=True)
    command = head_command(options.port, options.address)
    os.execvpe(command[0], command, ray_environment(path))


def run_engines(options: argparse.Namespace) -> None:
    """Run a node of the cluster until SIGTERM or SIGINT."""
    from bot.jobs.engines import engine_devices
    from bot.ops.settings import Settings, SettingsError
    from inference.cluster.host import HOST_SETTINGS, HostSettings
    from inference.cluster.ray_settings import ray_environment
    from inference.cluster.supervisor import NodeRefused, NodeSupervisor
    from inference.cluster.token import TokenError, check_token

    logging.getLogger().setLevel(logging.INFO)
    path = _token_file(options)
    try:
        settings = Settings.read()
        check_token(path)
        _check_model(settings)
    except (SettingsError, TokenError) as error:
        fail(str(error), USAGE_ERROR)
    _require_ray()
    devices = tuple(engine_devices(settings.devices).values())
    engine = replace(settings.engine, models=str(settings.models.absolute()))
    host = HostSettings(engine, devices)
    environment = {**ray_environment(path), HOST_SETTINGS: host.to_json()}
    supervisor = NodeSupervisor(options.head, options.address, len(devices), environment)

    def stop(_number: int, _frame: FrameType | None) -> None:
        supervisor.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"Generating with {', '.join(devices)} for the bot at {options.head}. Stop with Ctrl-C.", flush=True)
    try:
        supervisor.run()
    except NodeRefused as error:
        fail(str(error))


def check_cluster(address: str, token_file: Path, wanted: int) -> Iterator[CheckResult]:
    """The results of `anima doctor` for ANIMA_CLUSTER. wanted: ANIMA_ENGINES."""
    from inference.cluster.examination import ClusterFault, examine_cluster
    from inference.cluster.version import code_version

    if find_spec("ray") is None:
        yield problem(INSTALL)
        return
    try:
        found = examine_cluster(address, token_file)
    except ClusterFault as error:
        yield problem(str(error))
        return
    yield ok(f"the head at {address} answers, accepts the token, and runs the same version, {code_version()}")
    for version, count in found.other_versions.items():
        text = f"{count} engines run {version} and are not used. Install the same version there."
        yield warning(text)
    if not found.engines:
        yield warning(f"No engine has joined: run `anima engine {address}` on a machine with a GPU.")
        return
    text = f"engines: {found.engines}, of which {found.free} are free; machines with engines: {found.machines}"
    if found.engines > wanted:
        yield warning(f"{text}, but ANIMA_ENGINES is {wanted}: the bot uses no more than that.")
    else:
        yield ok(f"{text}; ANIMA_ENGINES is {wanted}")


def _check_model(settings: Settings) -> None:
    """End the command if this machine has no usable model."""
    from inference.request import CheckpointError
    from inference.weights.headers.model_list import list_models

    try:
        list_models(settings.models, settings.anima_diffusion_model)
    except CheckpointError as error:
        fail(str(error))


def _require_ray() -> None:
    if find_spec("ray") is None:
        fail(INSTALL)


def _token_file(options: argparse.Namespace) -> Path:
    from bot.ops.settings import Settings, SettingsError

    try:
        path: Path = options.token or Settings.read().cluster_token_file
    except SettingsError as error:
        fail(str(error), USAGE_ERROR)
    return path


def _head(text: str) -> str:
    from inference.cluster.address import head_address

    try:
        return head_address(text, HEAD_PORT)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; it is a number from 1 to 65535")
    return int(text)
