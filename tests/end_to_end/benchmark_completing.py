"""Measures completing tags under load: `python -m tests.end_to_end.benchmark_completing`.

Members type words into `prompt` of /anima imagine, a key every fifth of a second and a pause after each word, so that
Discord asks for completions `--rate` times a second together. Meanwhile others give commands. The real bot runs as a
process with a fake engine and a list of 150,000 made-up tags, connected to the fake Discord.

What people see is the answer to the newest text: what they typed last before a pause. Discord shows no other.
"""

import argparse
import asyncio
import gc
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bot.sandbox import FakeDiscord, InteractionHandle, User
from tests.end_to_end.bot_process import FAKE_ENGINE_BOT, TIMEOUT, bot_process
from tests.watched_loop import watch_the_loop

TAGS = 150_000
#: Seconds: between two keys of a word, and from a word's last key to the next word.
KEY, PAUSE = 0.2, 1.4
KEYS = 6
#: What is wanted, in seconds.
ANSWERED, COMMAND_DELAY = 1.0, 0.1
COMMAND_EVERY = 0.25
#: What counts for a command that was not acknowledged: Discord waits no longer.
FAILED = 3.0
SYLLABLES = [consonant + vowel for consonant in "bcdfghklmnprstvwz" for vowel in "aeiou"]


@dataclass
class Completing:
    """newest: what somebody typed last before a pause, and all else in `superseded`. Seconds."""

    newest: list[InteractionHandle] = field(default_factory=list)
    superseded: int = 0
    commands: list[float] = field(default_factory=list)
    quiet_commands: list[float] = field(default_factory=list)
    own_lags: list[float] = field(default_factory=list)
    bot_seconds: float = 0.0
    own_seconds: float = 0.0
    lasted: float = 0.0


def write_tags(file: Path) -> list[str]:
    """A list of TAGS made-up tags, with aliases; returns their names, the most frequent first."""
    chance = random.Random(0)

    def word() -> str:
        return "".join(chance.choices(SYLLABLES, k=chance.randint(1, 4)))

    names = ["_".join(word() for _ in range(chance.choice((1, 1, 2, 2, 3)))) for _ in range(TAGS)]
    lines = [
        f'{name},{0 if chance.random() < 0.7 else 1},{10**7 // (rank + 1)},"{word()}"'
        for rank, name in enumerate(names)
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    return names


async def type_words(
    discord: FakeDiscord, member: User, names: Sequence[str], start: float, until: float, found: Completing
) -> None:
    """Type words from `start` to `until` by the loop's clock; what falls behind is typed at once."""
    loop, chance = asyncio.get_running_loop(), random.Random(member.id)
    due = start
    while due < until:
        typed = chance.choice(names).replace("_", " ")[:KEYS].ljust(KEYS, "a")
        for length in range(1, KEYS + 1):
            await asyncio.sleep(max(0.0, due - loop.time()))
            sent = await discord.type_into(member, discord.world.general, "anima imagine", "prompt", typed[:length], {})
            due += KEY
        found.newest.append(sent)
        found.superseded += KEYS - 1
        due += PAUSE


async def give_commands(discord: FakeDiscord, members: Sequence[User], until: float) -> list[float]:
    """Seconds from each command to its acknowledgement, a new one every COMMAND_EVERY."""
    loop, number, sent = asyncio.get_running_loop(), 0, []
    while loop.time() < until:
        member = members[number % len(members)]
        sent.append(await discord.slash(member, discord.world.gallery, "anima queue"))
        number += 1
        await asyncio.sleep(COMMAND_EVERY)
    await asyncio.gather(*(each.failed(TIMEOUT) for each in sent))
    return [FAILED if each.interaction.callback is None else each.interaction.callback.latency for each in sent]


async def measure(rate: float, seconds: float, folder: Path) -> Completing:
    names = write_tags(folder / "tags.csv")[:20_000]
    found = Completing()
    async with FakeDiscord() as discord:
        environment = {"LOG_LEVEL": "WARNING", "TAG_FILE": str(folder / "tags.csv")}
        async with bot_process(discord, folder, FAKE_ENGINE_BOT, **environment) as process:
            members = [discord.world.add_user(f"member{number}", discord.world.guild) for number in range(20)]
            word = KEYS * KEY + PAUSE
            people = round(rate * word / KEYS)
            typing = [discord.world.add_user(f"typing{number}", discord.world.guild) for number in range(people)]
            loop = asyncio.get_running_loop()
            found.quiet_commands = await give_commands(discord, members, loop.time() + 5)
            gc.disable()  # the stand-in keeps everything, and would look through all of it again and again
            watching = asyncio.create_task(watch_the_loop(found.own_lags.append))
            bot = psutil.Process(process.pid)
            before, own, began = _processor_seconds(bot), time.process_time(), loop.time()
            chance = random.Random(1)
            starts = [began + chance.random() * word for _ in typing]
            people_typing = [
                type_words(discord, member, names, start, began + seconds, found)
                for member, start in zip(typing, starts, strict=True)
            ]
            *_, found.commands = await asyncio.gather(*people_typing, give_commands(discord, members, began + seconds))
            found.lasted = loop.time() - began
            await asyncio.sleep(3)  # after that Discord gives up what is not answered
            watching.cancel()
            found.bot_seconds, found.own_seconds = _processor_seconds(bot) - before, time.process_time() - own
    return found


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _row(name: str, seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[int(0.99 * (len(ordered) - 1))]
    values = (statistics.median(ordered), p99, ordered[-1])
    return f"| {name} | " + " | ".join(f"{1000 * value:.0f} ms" for value in values) + " |"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1000, help="completions asked for in a second (default: 1000)")
    parser.add_argument("--seconds", type=float, default=20, help="of typing (default: 20)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = await measure(options.rate, options.seconds, Path(folder))
    answered = [each.interaction.callback.latency for each in found.newest if each.interaction.callback is not None]
    in_time = sum(latency <= ANSWERED for latency in answered) / len(found.newest)
    asked = len(found.newest) + found.superseded
    print(f"{asked / found.lasted:.0f} completions a second, for {found.lasted:.0f} s; of people's newest texts")
    print(f"{in_time:.2%} were answered within {ANSWERED:g} s, {len(answered) / len(found.newest):.2%} at all")
    print("| | median | p99 | worst |")
    print("|---|---|---|---|")
    print(_row("from a newest text to its answer", answered))
    print(_row("from a command to its acknowledgement meanwhile", found.commands))
    print(_row("from a command to its acknowledgement, nothing else happening", found.quiet_commands))
    print(_row("the stand-in's own event loop late", found.own_lags))
    late = max(found.commands) - statistics.median(found.quiet_commands)
    print(f"commands delayed by at most {1000 * late:.0f} ms; wanted: {1000 * COMMAND_DELAY:.0f}")
    print(f"processor time for each completion: the bot {1000 * found.bot_seconds / asked:.2f} ms, ", end="")
    print(f"the stand-in {1000 * found.own_seconds / asked:.2f} ms")


if __name__ == "__main__":
    asyncio.run(main())
