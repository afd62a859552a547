"""The `anima` command."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

DEFAULT_PROMPT = "@micah, long hair, pink hair, green background"


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

    run = commands.add_parser("run", help="run the bot on Discord (needs DISCORD_TOKEN)")
    run.set_defaults(command=_run)

    sandbox = commands.add_parser("sandbox", help="try the bot without Discord, on this machine alone")
    sandbox.add_argument("--prompt", default=DEFAULT_PROMPT, help="what to draw")
    sandbox.add_argument("--pictures", type=Path, default=Path("pictures"), help="the folder to save pictures in")
    sandbox.set_defaults(command=_sandbox)
    return parser


def _run(options: argparse.Namespace) -> None:
    logging.getLogger("bot").setLevel(logging.INFO)
    from bot.client import run
    from bot.settings import Settings

    asyncio.run(run(Settings.read()))


def _sandbox(options: argparse.Namespace) -> None:
    from bot.sandbox.session import draw_one
    from bot.settings import Settings

    asyncio.run(draw_one(Settings.read(), options.prompt, options.pictures))


if __name__ == "__main__":
    main()
