"""`anima sandbox`: starts a stand-in for Discord and the bot, in a browser or for one image."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from pydantic import SecretStr
from tqdm import tqdm

from bot.app import open_client
from bot.cli.request_checks import ensure_writable, wrong_fields
from bot.client import AnimaClient
from bot.commands.admin.suggestions import SUGGESTIONS
from bot.messages.job import PREVIEW_NAME
from bot.ops.errors import StartupError
from bot.ops.settings import MINIATURE, Settings
from bot.prompting.miniature import EXAMPLES
from bot.rules.server_settings import ServerSettings
from bot.sandbox import page_server
from bot.sandbox.archive import Archive
from bot.sandbox.fake_discord import FakeDiscord
from bot.sandbox.model.messages import Message
from bot.sandbox.server.limits.sharding import STRICT
from storage.backend.address import in_schema
from storage.jobs import Job
from storage.servers import EVERYWHERE

T = TypeVar("T")

#: Seconds that one image may take, including loading the model. A CPU with real weights is slow.
TIMEOUT = 600.0


#: The sandbox's own SQLite database, kept between runs; the operator's data is not touched.
DATABASE = Path("anima-sandbox.db")
#: The same on PostgreSQL: a schema next to the operator's.
SCHEMA = "anima_sandbox"
#: The file with the stand-in's messages and images, and the one used with PostgreSQL.
MESSAGES, POSTGRESQL_MESSAGES = Path("anima-sandbox-messages.db"), Path("anima-sandbox-postgresql-messages.db")


async def serve_page(settings: Settings, port: int) -> None:
    """Show the stand-in as a page in the browser, until cancelled. Raises CannotListen if the port is taken."""
    address, messages = sandbox_database(settings.database_url)
    settings = settings.model_copy(update={"database_url": address})
    async with open_sandbox(settings, port, messages) as sandbox:
        known = dict(await sandbox.client.database.servers.all_settings())
        if sandbox.discord.world.guild.id not in known:
            await lift_limits(sandbox, in_private="credits_outside_servers" not in settings.model_fields_set)
        print(f"The sandbox is at {sandbox.discord.page_url} (this computer only). Stop it with Ctrl-C.", flush=True)
        await sandbox.while_running(asyncio.Event().wait())


def sandbox_database(address: str) -> tuple[str, Path]:
    """The sandbox's own database for the operator's DATABASE_URL, and the file of the messages that go with it.

    It is a schema on the same server for PostgreSQL, and a file for SQLite.
    """
    if not address.startswith("postgres"):
        return f"sqlite:///{DATABASE}", MESSAGES
    return in_schema(address, SCHEMA), POSTGRESQL_MESSAGES


async def lift_limits(sandbox: Sandbox, *, in_private: bool) -> None:
    """Lifts the limits that are meant for many users, so that a first-time user does not run into them.

    in_private: lifts the quota in private messages too; False if `.env` sets one.
    """
    world, servers = sandbox.discord.world, sandbox.client.database.servers
    friends = ServerSettings().changes_to(SUGGESTIONS["friends"].applied_to(ServerSettings()))
    await servers.change(world.guild.id, friends, by=world.owner.id)
    outside = {"limits": friends["limits"]}
    if in_private:
        outside |= {"quota": friends["quota"], "unlimited_unless_set": True}
    await servers.change(EVERYWHERE, outside, by=world.owner.id)


async def draw_one(settings: Settings, prompt: str, folder: Path) -> None:
    """Run `/anima imagine` with `prompt`, show its progress, and save the images to `folder`.

    Raises StartupError, before anything is started, if the prompt cannot be used or the folder not be written to.
    """
    _check(prompt, folder)
    started = time.perf_counter()
    print(f"Sandbox: a local stand-in for Discord. Nothing leaves this computer.\n/anima imagine prompt:{prompt}")
    async with _temporary_database(settings) as settings, open_sandbox(settings) as sandbox:
        discord, client = sandbox.discord, sandbox.client
        connected = time.perf_counter()
        user, channel, asked = discord.world.alice, discord.world.general, datetime.now(UTC)
        with closing(tqdm(total=1, unit="step", desc="loading", bar_format="{desc:<8}|{bar:30}| {n}/{total}")) as bar:
            client.workers.watch(lambda _, progress: _update_bar(bar, progress.step, progress.steps))
            await discord.slash(user, channel, "anima imagine", prompt=prompt)
            message = await sandbox.while_running(discord.wait_for_message(channel, is_final, TIMEOUT))
        job = await _finished_job(client, message)
    folder.mkdir(parents=True, exist_ok=True)
    for attachment in message.attachments:
        path = _free_path(folder / attachment.filename)
        path.write_bytes(attachment.data)
        print(f"Saved {path}")
    if not message.attachments:
        raise SystemExit("No picture was generated. The bot said: " + message.text)
    print(_timing_report(job, asked, connected - started))


def _free_path(path: Path) -> Path:
    """`path`, or one with a number, so that no earlier image is overwritten."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(each for each in chain([path], numbered) if not each.exists())


def _check(prompt: str, folder: Path) -> None:
    """Raises StartupError with all problems, before anything is started."""
    problems = wrong_fields(prompt, {})
    if not prompt.strip():
        problems.append("prompt is empty: say what to generate.")
    try:
        ensure_writable(folder)
    except OSError as error:
        problems.append(
            f"Pictures cannot be saved in {folder} ({error.strerror}). Name another folder with --pictures, or allow "
            "this user to write there."
        )
    if problems:
        raise StartupError("\n".join(problems))


@asynccontextmanager
async def _temporary_database(settings: Settings) -> AsyncIterator[Settings]:
    """Temporary storage: leaves nothing behind, and allows generating an image while another sandbox runs."""
    with TemporaryDirectory(prefix="anima-sandbox-", ignore_cleanup_errors=True) as folder:  # of Windows' locks
        yield settings.model_copy(update={"database_url": f"sqlite:///{folder}/anima.db"})


@dataclass(frozen=True)
class Sandbox:
    """A stand-in for Discord with the bot connected to it, both in this process; the engine has its own."""

    discord: FakeDiscord
    client: AnimaClient
    running: asyncio.Task[None]

    async def while_running(self, awaitable: Coroutine[Any, Any, T]) -> T:
        """Wait for something the bot should do; if the bot stops instead, raise the exception that stopped it."""
        waiting = asyncio.create_task(awaitable)
        try:
            await asyncio.wait({self.running, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
        finally:
            waiting.cancel()
        await self.running
        raise self.client.failure or RuntimeError("The bot stopped unexpectedly.")


@asynccontextmanager
async def open_sandbox(settings: Settings, port: int = 0, archive: Path | None = None) -> AsyncIterator[Sandbox]:
    """The stand-in and the bot, connected. `archive` keeps the stand-in's messages between starts."""
    examples = EXAMPLES if settings.models == MINIATURE else ()
    add_page = partial(page_server.add_routes, examples=examples)
    async with FakeDiscord(port=port, routes=[add_page], sharding=STRICT) as discord:
        settings = settings.model_copy(
            update={
                "discord_token": SecretStr(discord.token),
                "discord_api_url": discord.api_url,
                "discord_gateway_url": discord.gateway_url,
            }
        )
        async with open_client(settings) as client, AsyncExitStack() as stack:
            if archive is not None:  # after the database, whose errors explain problems with a disk or folder better
                stack.enter_context(Archive(archive, discord))
            sandbox = Sandbox(discord, client, asyncio.create_task(client.start(discord.token)))
            try:
                await sandbox.while_running(discord.wait_until_ready())
                yield sandbox
            finally:
                await client.close()
                await sandbox.running


def _update_bar(bar: tqdm[None], step: int, steps: int) -> None:
    bar.set_description_str("drawing")
    bar.total, bar.n = steps, step
    bar.refresh()


def is_final(message: Message) -> bool:
    """Whether a job's message shows its images, not only a preview, or says why there are none."""
    images = [file for file in message.attachments if not file.filename.endswith(PREVIEW_NAME)]
    return bool(images) or "You were not charged" in message.text


async def _finished_job(client: AnimaClient, message: Message) -> Job:
    """The job of a message. Waits until the database records that the message was posted."""
    async with asyncio.timeout(TIMEOUT):
        while (job := await client.database.jobs.by_message(message.id)) is None or job.finished_at is None:
            await asyncio.sleep(0.01)
    return job


def _timing_report(job: Job, asked: datetime, connecting: float) -> str:
    """How long each step took, from the times in the database."""
    parts = [("connect", connecting)]
    times = [
        ("load the model", asked, job.queued_at),
        ("wait in queue", job.queued_at, job.started_at),
        ("generate", job.started_at, job.rendered_at),
        ("post", job.rendered_at, job.finished_at),
    ]
    parts += [(name, (end - begin).total_seconds()) for name, begin, end in times if begin and end]
    return "\n".join(f"{name:<18} {seconds:6.2f} s" for name, seconds in parts)
