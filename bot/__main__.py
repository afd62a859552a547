"""The `anima` command: parses its arguments, and starts the bot or the sandbox."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from bot.cli import benchmark, cluster, database, doctor, download, fail, generate, invite
from bot.cli.system import prepare_process
from inference.startup.garbage import without_garbage_collection

if TYPE_CHECKING:
    from bot.ops.settings import Settings

#: A coroutine function that runs with the settings until it is done.
Serve: TypeAlias = "Callable[[Settings], Coroutine[Any, Any, None]]"
SANDBOX_PORT = 8642
#: Further modules that an engine's process imports: the started program, and the one that calls the engine.
ENGINE_MODULES = ("bot.__main__", "bot.ops.logs")
#: Matches a line of .env that sets ANIMA_CLUSTER.
CLUSTER = re.compile(r"^\s*(?:export\s+)?ANIMA_CLUSTER\s*=\s*[^\s#]", re.MULTILINE)


def main(arguments: list[str] | None = None) -> None:
    prepare_process()
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        options.command(options)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anima", description="A Discord bot for the Anima image model.")
    commands = parser.add_subparsers(metavar="COMMAND")
    parser.set_defaults(command=lambda _: parser.print_help())

    start = commands.add_parser(
        "start",
        help="run the bot on Discord if DISCORD_TOKEN is set, otherwise in the sandbox",
        description="Runs `anima run` if DISCORD_TOKEN is set in .env or the environment, otherwise `anima sandbox`. "
        "This is what `make run` does.",
    )
    start.set_defaults(command=_start)

    run = commands.add_parser(
        "run",
        help="run the bot on Discord (needs DISCORD_TOKEN)",
        description="Runs the bot on Discord until it is stopped. Unlike `anima start` it never opens the sandbox.",
    )
    run.set_defaults(command=_run)

    sandbox = commands.add_parser(
        "sandbox",
        help="try the bot in the browser, without Discord",
        description="Opens a local Discord look-alike in your browser, with the real bot in it. "
        "Only this computer can reach it, and nothing is sent anywhere.",
    )
    sandbox.add_argument("--port", type=_port, default=SANDBOX_PORT, help="the port of the page (default: %(default)s)")
    sandbox.add_argument("--prompt", help="generate one image instead of opening the page")
    sandbox.add_argument(
        "--pictures",
        type=Path,
        default=Path("pictures"),
        help="the folder to save that image in (default: %(default)s)",
    )
    sandbox.set_defaults(command=_sandbox)
    start.set_defaults(**{name: sandbox.get_default(name) for name in ("port", "prompt", "pictures")})

    for command in (invite, generate, download, doctor, database, benchmark, cluster):
        command.add_parser(commands)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; use a number up to 65535, or 0 for any free port")
    return int(text)


def _start(options: argparse.Namespace) -> None:
    _prepare_engines()
    with without_garbage_collection():
        from bot.ops.settings import Settings, SettingsError

    try:
        has_token = Settings.read().discord_token is not None
    except SettingsError as error:
        fail(str(error))
    (_run if has_token else _sandbox)(options)


def _run(options: argparse.Namespace) -> None:
    _prepare_engines()

    def load() -> Serve:
        from bot.app import run

        return run

    _run_until_done(load, log_level=logging.INFO)


def _sandbox(options: argparse.Namespace) -> None:
    _prepare_engines()
    if options.prompt is not None:
        _generate_one(options)
        return
    try:
        _serve_page(options)
    except KeyboardInterrupt:
        print()  # Ctrl-C is the normal way to stop the sandbox


def _prepare_engines() -> None:
    """Import PyTorch in another process while this one imports the rest, unless the engines run in a cluster.

    This reads .env itself because importing the settings takes too long. A wrong guess only costs an idle process.
    """
    from inference.startup.preparation import prepare_engines

    with suppress(OSError, UnicodeDecodeError):
        if CLUSTER.search(Path(".env").read_text("utf-8")):
            return
    if not os.environ.get("ANIMA_CLUSTER"):
        prepare_engines(ENGINE_MODULES)


def _generate_one(options: argparse.Namespace) -> None:
    def load() -> Serve:
        from bot.sandbox.session import draw_one

        return lambda settings: draw_one(settings, options.prompt, options.pictures)

    _run_until_done(load)


def _serve_page(options: argparse.Namespace) -> None:
    def load() -> Serve:
        from bot.sandbox.session import serve_page

        return lambda settings: serve_page(settings, options.port)

    _run_until_done(load)


def _run_until_done(load: Callable[[], Serve], log_level: int = logging.WARNING) -> None:
    """Run a coroutine with the settings. Errors that an operator can fix end in a sentence, others in a traceback.

    `load` imports and returns it. It is called after reading the settings, so that mistakes in them are reported at
    once.
    """
    with without_garbage_collection():
        from bot.cli.startup_errors import explain
        from bot.ops import logs
        from bot.ops.settings import Settings

    try:
        settings = Settings.read()
        with without_garbage_collection():
            serve = load()
        logs.set_up(settings.log_format, log_level)
        asyncio.run(serve(settings))
    except Exception as error:
        if (sentence := explain(error)) is None:
            raise
        fail(sentence)


if __name__ == "__main__":
    main()
