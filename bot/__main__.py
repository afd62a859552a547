"""The `anima` command."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.cli import benchmark, doctor, download, fail, generate, invite

if TYPE_CHECKING:
    from bot.ops.settings import Settings

SANDBOX_PORT = 8642


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        options.command(options)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anima", description="The Discord bot that draws with Anima.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    start = commands.add_parser(
        "start",
        help="run the bot on Discord if there is a DISCORD_TOKEN, else in the sandbox",
        description="What `make run` does: `anima run` where .env or the environment has a DISCORD_TOKEN, "
        "else `anima sandbox`.",
    )
    start.set_defaults(command=_start)

    run = commands.add_parser("run", help="run the bot on Discord (needs DISCORD_TOKEN)")
    run.set_defaults(command=_run)

    sandbox = commands.add_parser(
        "sandbox",
        help="try the bot without Discord, on this machine alone",
        description="Shows a Discord of one's own, with the bot in it, as a page in the browser. "
        "Only this computer can reach it, and nothing is sent anywhere.",
    )
    sandbox.add_argument("--port", type=_port, default=SANDBOX_PORT, help="where the page is (default: %(default)s)")
    sandbox.add_argument("--prompt", help="draw this one picture instead, without a page")
    sandbox.add_argument("--pictures", type=Path, default=Path("pictures"), help="the folder to save that picture in")
    sandbox.set_defaults(command=_sandbox)
    start.set_defaults(**{name: sandbox.get_default(name) for name in ("port", "prompt", "pictures")})

    for command in (invite, generate, download, doctor, benchmark):
        command.add_parser(commands)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; it is a number up to 65535, or 0 for any that is free")
    return int(text)


def _start(options: argparse.Namespace) -> None:
    from bot.ops.settings import Settings, SettingsError

    try:
        has_token = Settings.read().discord_token is not None
    except SettingsError as error:
        fail(str(error))
    (_run if has_token else _sandbox)(options)


def _run(options: argparse.Namespace) -> None:
    from bot.client import run

    _until_it_ends(run, log_level=logging.INFO)


def _sandbox(options: argparse.Namespace) -> None:
    if options.prompt is not None:
        _draw_one(options)
        return
    try:
        _serve_page(options)
    except KeyboardInterrupt:
        print()  # Ctrl-C is how the sandbox ends


def _draw_one(options: argparse.Namespace) -> None:
    from bot.sandbox.session import draw_one

    _until_it_ends(lambda settings: draw_one(settings, options.prompt, options.pictures))


def _serve_page(options: argparse.Namespace) -> None:
    from bot.sandbox.session import serve_page

    _until_it_ends(lambda settings: serve_page(settings, options.port))


def _until_it_ends(serve: Callable[[Settings], Coroutine[Any, Any, None]], log_level: int = logging.WARNING) -> None:
    """Run what needs the settings; what an operator can mend ends in a sentence, anything else in a traceback."""
    from bot.cli.startup_errors import explain
    from bot.ops import logs
    from bot.ops.settings import Settings

    try:
        settings = Settings.read()
        logs.set_up(settings.log_format, log_level)
        asyncio.run(serve(settings))
    except Exception as error:
        if (sentence := explain(error)) is None:
            raise
        fail(sentence)


if __name__ == "__main__":
    main()
