"""Measures how late anything is in a busy channel: `python -m tests.end_to_end.benchmark_busy_channel`.

Thirty members ask for an image at once in one channel, each of which takes four seconds; then three of them cancel. The
real bot runs as a process with a fake engine, connected to the fake Discord and under its rate limits.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.sandbox import FakeDiscord, InteractionHandle, Message
from storage.database import Database
from storage.jobs import Job
from storage.schema import JobState
from tests.end_to_end.bot_process import FAKE_ENGINE_BOT, TIMEOUT, bot_process

#: Seconds: what is asked for.
FIRST_STATUS, LATE_IMAGE, CANCEL = 1.5, 0.5, 1.0
#: How many members cancel, from the end of the line.
CANCELLING = 3


@dataclass(frozen=True)
class BusyChannelFigures:
    """Seconds, and how many requests were refused with 429."""

    first_status: list[float]
    cancel: list[float]
    late: list[float]
    refused: int


async def measure(jobs: int, seconds: int, folder: Path) -> BusyChannelFigures:
    async with FakeDiscord() as discord:
        environment = {"ANIMA_LARGEST_BATCH": "1", "LOG_LEVEL": "WARNING"}
        async with bot_process(discord, folder, FAKE_ENGINE_BOT, **environment) as process:
            await _warm_up(discord)
            sent, first_status = await _ask(discord, jobs, seconds)
            cancel = [await _cancel(discord, each) for each in sent[-CANCELLING:]]
            posted = {each.id: await _posted(discord, each, jobs * seconds) for each in sent[:-CANCELLING]}
            await asyncio.sleep(1)  # until the bot has written down that the last one was accepted
            process.terminate()
            await asyncio.wait_for(process.wait(), TIMEOUT)
        found = await _jobs(folder, list(posted))
        refused = len(discord.request_log.find(status=429))
    late = [posted[job.interaction_id] - job.rendered_at.timestamp() for job in found if job.rendered_at is not None]
    return BusyChannelFigures(first_status, cancel, late, refused)


async def _warm_up(discord: FakeDiscord) -> None:
    """One image somewhere else, so that the engine has started."""
    sent = await discord.slash(discord.world.alice, discord.world.gallery, "anima imagine", prompt="1girl")
    await sent.acknowledged()
    await _posted(discord, sent, TIMEOUT)


async def _ask(discord: FakeDiscord, jobs: int, seconds: int) -> tuple[list[InteractionHandle], list[float]]:
    """The commands of as many members, and the seconds until each one's message said something."""
    members = [discord.world.add_user(f"member{number}", discord.world.guild) for number in range(jobs)]

    async def ask(number: int) -> tuple[InteractionHandle, float]:
        asked = time.perf_counter()
        prompt = f"picture {number}, takes {seconds} s"
        sent = await discord.slash(members[number], discord.world.general, "anima imagine", prompt=prompt)
        await sent.response(TIMEOUT)
        return sent, time.perf_counter() - asked

    answers = await asyncio.gather(*map(ask, range(jobs)))
    return [sent for sent, _ in answers], [waited for _, waited in answers]


async def _cancel(discord: FakeDiscord, sent: InteractionHandle) -> float:
    """Seconds from a press of Cancel until the message no longer offers it."""
    message = await sent.response()
    user, pressed = sent.interaction.user, time.perf_counter()
    await discord.press(user, message, label="Cancel")
    await discord.wait_for_message(
        message.channel, lambda each: each.id == message.id and not _can_be_cancelled(each), TIMEOUT
    )
    return time.perf_counter() - pressed


def _can_be_cancelled(message: Message) -> bool:
    return any(item.get("label") == "Cancel" for item in message.inputs())


async def _posted(discord: FakeDiscord, sent: InteractionHandle, longest: float) -> float:
    """When the image of a command was posted, in seconds since 1970."""
    original = sent.interaction.original_id

    def has_image(message: Message | None) -> bool:
        return message is not None and any(file.filename.startswith("anima-") for file in message.shown)

    event = await discord.wait_for_event(
        lambda event: event.message is not None and event.message.id == original and has_image(event.message),
        TIMEOUT + longest,
    )
    return event.at


async def _jobs(folder: Path, interactions: Sequence[int]) -> list[Job]:
    database = await Database.open(f"sqlite:///{folder}/anima.db")
    try:
        found = [await database.jobs.by_interaction(each) for each in interactions]
    finally:
        await database.close()
    jobs = [job for job in found if job is not None]
    assert [job.state for job in jobs] == [JobState.DELIVERED] * len(interactions)
    return jobs


def _row(name: str, seconds: Sequence[float], limit: float) -> str:
    ordered = sorted(seconds)
    p90, worst = ordered[int(0.9 * (len(ordered) - 1))], ordered[-1]
    kept = "kept" if worst <= limit else "BROKEN"
    return f"| {name} | {statistics.median(ordered):.2f} s | {p90:.2f} s | {worst:.2f} s | {limit} s, {kept} |"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=30)
    parser.add_argument("--seconds", type=int, default=4, help="of drawing for each image")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = await measure(options.jobs, options.seconds, Path(folder))
    print(f"| {options.jobs} jobs of {options.seconds} s in one channel | median | p90 | worst | at most |")
    print("|---|---|---|---|---|")
    print(_row("from the command to the first status in its message", measured.first_status, FIRST_STATUS))
    print(_row("from a drawn image to its message", measured.late, LATE_IMAGE))
    print(_row("from Cancel to a message that says so", measured.cancel, CANCEL))
    print(f"| requests refused with 429 | | | {measured.refused} | 0, {'BROKEN' if measured.refused else 'kept'} |")


if __name__ == "__main__":
    asyncio.run(main())
