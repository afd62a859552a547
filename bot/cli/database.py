"""`anima database copy`: moves everything from one database to another, for example from SQLite to PostgreSQL."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import closing

from bot.cli import Commands, fail

COPYING = {"copy": "copying", "compare": "comparing"}


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("database", help="copy the bot's data to another database")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    copy = actions.add_parser(
        "copy",
        help="copy everything from one database into another, empty one",
        description="Copies everything from one database into another, empty one, and compares every row. Stop the bot "
        "first. If anything goes wrong, the other database stays empty. The first one is only migrated, as at every "
        "start of the bot; keep it until the bot works with the new one.",
    )
    copy.add_argument("source", metavar="FROM", help="where the data is, for example sqlite:///anima.db")
    copy.add_argument(
        "target", metavar="TO", help="an empty database, for example postgresql://user:password@host/name"
    )
    copy.set_defaults(command=_copy)


def _copy(options: argparse.Namespace) -> None:
    from bot.cli.startup_errors import explain

    try:
        asyncio.run(_copy_all(options.source, options.target))
    except Exception as error:
        if (sentence := explain(error)) is None:
            raise
        fail(sentence)


async def _copy_all(source: str, target: str) -> None:
    from tqdm import tqdm

    from storage.backend.copying import copy_database
    from storage.database import Database

    old = await Database.open(source)
    try:
        new = await Database.open(target)
        try:
            with closing(tqdm(unit=" rows", total=0)) as bar:

                def show(what: str, done: int, rows: int) -> None:
                    bar.set_description_str(COPYING[what])
                    bar.total, bar.n = rows, done
                    bar.refresh()

                rows = await copy_database(old, new, show)
            counted = "\n".join(f"{table:<12} {count:>12,}" for table, count in rows.items())
            print(f"{counted}\nEvery row was compared. Now set DATABASE_URL to the new address ({new.address}).")
        finally:
            await new.close()
    finally:
        await old.close()
