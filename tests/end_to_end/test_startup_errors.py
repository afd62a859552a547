"""Every failed start ends with one sentence that says what to do, a nonzero exit code and no traceback."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bot.ops.settings import Settings
from bot.sandbox import FakeDiscord
from tests.end_to_end.bot_process import FAKE_ENGINE_BOT, ROOT, TIMEOUT, settings_for
from tests.ports import closed_port

if sys.platform != "win32":
    import resource

pytestmark = pytest.mark.posix

SETTINGS = {field.upper() for field in Settings.model_fields}
OWN = {name: value for name, value in os.environ.items() if name not in SETTINGS}
TOKEN = "MTA.a-token.that-nobody-has"


async def failed_start(
    folder: Path, *arguments: str, limit: Callable[[], None] | None = None, **environment: str
) -> str:
    """The one line that `anima` prints before it ends."""
    return await last_line(*(sys.executable, "-m", "bot", *arguments), folder=folder, limit=limit, **environment)


async def failed_run(folder: Path, **environment: str) -> str:
    """The same of `anima run` where Discord, a port or the database is at fault: the engine is fake, and soon there."""
    return await last_line(sys.executable, *FAKE_ENGINE_BOT, folder=folder, **environment)


async def last_line(*command: str, folder: Path, limit: Callable[[], None] | None = None, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**OWN, "PYTHONPATH": str(ROOT), **environment},
        stdout=PIPE,
        stderr=PIPE,
        preexec_fn=limit,
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), TIMEOUT)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode != 0
    [sentence] = said.decode().splitlines()
    return sentence


@pytest.fixture
async def discord() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as discord:
        yield discord


async def test_a_wrong_token(tmp_path: Path, discord: FakeDiscord) -> None:
    environment = {**settings_for(discord, tmp_path), "DISCORD_TOKEN": TOKEN}
    said = await failed_start(tmp_path, "run", **environment)
    assert said.startswith("Discord rejected DISCORD_TOKEN. Copy the token again from the developer portal")
    assert TOKEN not in said


async def test_an_invalid_token_is_not_sent_and_not_shown(tmp_path: Path, discord: FakeDiscord) -> None:
    environment = {**settings_for(discord, tmp_path), "DISCORD_TOKEN": "Bot täken"}
    said = await failed_start(tmp_path, "run", **environment)
    assert said.startswith("DISCORD_TOKEN: a token contains no spaces") and "copy it again" in said
    assert "täken" not in said and not discord.request_log.requests


async def test_no_token(tmp_path: Path) -> None:
    said = await failed_start(tmp_path, "run")
    assert said.startswith("DISCORD_TOKEN is not set. Put your bot's token into .env, or try `anima sandbox`")


async def test_no_models_folder(tmp_path: Path, discord: FakeDiscord) -> None:
    environment = {**settings_for(discord, tmp_path), "ANIMA_MODELS": "models"}
    said = await failed_start(tmp_path, "run", **environment)
    assert said.startswith(f"There is no models folder at {tmp_path}/models. Run `anima download`")
    assert not list(tmp_path.iterdir()), "no database is made for a bot that does not start"


async def test_a_models_folder_without_models(tmp_path: Path, discord: FakeDiscord) -> None:
    (tmp_path / "models").mkdir()
    environment = {**settings_for(discord, tmp_path), "ANIMA_MODELS": "models"}
    said = await failed_start(tmp_path, "run", **environment)
    assert said.endswith("contains an Anima diffusion model. Run `anima download`, or put one there.")


async def test_a_command_says_that_discord_cannot_be_reached(tmp_path: Path, discord: FakeDiscord) -> None:
    with closed_port() as port:
        environment = {**settings_for(discord, tmp_path), "DISCORD_API_URL": f"http://127.0.0.1:{port}/api/v10"}
        said = await failed_start(tmp_path, "invite", **environment)
    assert said.startswith(f"Discord cannot be reached (Cannot connect to host 127.0.0.1:{port}")
    assert "https://discordstatus.com" in said


async def test_an_invalid_discord_address(tmp_path: Path, discord: FakeDiscord) -> None:
    environment = {**settings_for(discord, tmp_path), "DISCORD_GATEWAY_URL": "gateway"}
    said = await failed_start(tmp_path, "run", **environment)
    assert said.startswith("DISCORD_GATEWAY_URL is 'gateway', but must be a full address")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (4011, "The bot is in more servers than Discord allows on its connections (4011). Start it again"),
        (4013, "Discord does not know the intents"),
        (4014, "Discord refused the intents"),
    ],
)
async def test_a_gateway_that_refuses_the_bot(tmp_path: Path, discord: FakeDiscord, code: int, sentence: str) -> None:
    discord.gateway.refuses_identifying_with = code
    assert (await failed_run(tmp_path, **settings_for(discord, tmp_path))).startswith(sentence)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (50240, "Discord refused the bot's commands, because the application has an entry point command (50240)"),
        (30034, "Discord refused the bot's commands, because this application has reached the daily limit"),
    ],
)
async def test_commands_that_discord_refuses(tmp_path: Path, discord: FakeDiscord, code: int, sentence: str) -> None:
    discord.faults.answer("PUT", "/commands$", 400, {"message": "Refused.", "code": code})
    assert (await failed_run(tmp_path, **settings_for(discord, tmp_path))).startswith(sentence)


async def test_a_health_port_in_use(tmp_path: Path, discord: FakeDiscord) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = await failed_run(tmp_path, **{**settings_for(discord, tmp_path), "HEALTH_PORT": str(port)})
    assert said.startswith(f"HEALTH_PORT {port} at 127.0.0.1 is in use by another program. Choose another port in .env")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"ANIMA_DTYPE=auto\nhello world\n", ".env, line 2 is invalid. Lines look like NAME=value"),
        (b"DISCORD_TOKEN='never ends\n", ".env, line 1 is invalid"),
        (b"DISCORD_TOKEN=\xff\xfe\n", ".env is not a UTF-8 text file. Copy .env.example to it"),
        (b"ANIMA_LARGEST_BATCH=many\n", "ANIMA_LARGEST_BATCH: Input should be a valid integer"),
    ],
)
async def test_a_corrupt_env_file(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / ".env").write_bytes(content)
    assert (await failed_start(tmp_path, "start")).startswith(sentence)


@pytest.mark.parametrize("command", ["run", "sandbox", "download", "generate a"])
async def test_a_corrupt_env_file_for_every_command(tmp_path: Path, command: str) -> None:
    (tmp_path / ".env").write_text("hello world\n")
    assert (await failed_start(tmp_path, *command.split())).startswith(".env, line 1 is invalid")


async def test_a_folder_where_the_env_file_should_be(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert (await failed_start(tmp_path, "start")).startswith(".env is a folder, but must be a file")


#: Where not even root can write.
READ_ONLY = Path("/proc/anima")


async def test_a_database_where_nothing_can_be_written(tmp_path: Path, discord: FakeDiscord) -> None:
    environment = {**settings_for(discord, tmp_path), "DATABASE_URL": f"sqlite:///{READ_ONLY}/anima.db"}
    said = await failed_run(tmp_path, **environment)
    assert said.startswith(f"The database {READ_ONLY}/anima.db cannot be written")
    assert "Allow this user to write in" in said


async def test_a_file_where_the_folder_of_the_database_should_be(tmp_path: Path, discord: FakeDiscord) -> None:
    (tmp_path / "data").touch()
    environment = {**settings_for(discord, tmp_path), "DATABASE_URL": "sqlite:///data/anima.db"}
    assert (await failed_run(tmp_path, **environment)).startswith("The database data/anima.db cannot be written")


async def test_a_sandbox_where_nothing_can_be_written() -> None:
    said = await failed_start(READ_ONLY.parent, "sandbox", "--port", "0")
    assert said.startswith("The database anima-sandbox.db cannot be written")
    assert f"Allow this user to write in {READ_ONLY.parent}" in said


async def test_a_picture_of_the_sandbox_where_nothing_can_be_written(tmp_path: Path) -> None:
    said = await failed_start(tmp_path, "sandbox", "--prompt", "1girl", "--pictures", str(READ_ONLY))
    assert said.startswith(f"Pictures cannot be saved in {READ_ONLY}") and "--pictures" in said


async def test_a_disk_that_is_full_for_the_process(tmp_path: Path, discord: FakeDiscord) -> None:
    """The kernel refuses to let any file grow, as on a full disk."""

    def no_file_may_grow() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    for arguments in (("run",), ("sandbox", "--port", "0")):
        said = await failed_start(tmp_path, *arguments, limit=no_file_may_grow, **settings_for(discord, tmp_path))
        assert "The database's disk reports an error (disk I/O error). Check whether it is full." in said


def may_mount() -> bool:
    return shutil.which("unshare") is not None and os.system("unshare -rm mount -t tmpfs t /mnt 2>/dev/null") == 0


@pytest.mark.skipif(not may_mount(), reason="A disk of 64 kB cannot be mounted here; see the limit above instead.")
async def test_a_full_disk(tmp_path: Path) -> None:
    mount_and_run = 'mount -t tmpfs -o size=64k full "$0" && cd "$0" && exec "$@"'
    anima = (sys.executable, "-m", "bot", "sandbox", "--port", "0")
    said = await last_line("unshare", "-rm", "sh", "-c", mount_and_run, str(tmp_path), *anima, folder=tmp_path)
    assert said.endswith("The database's disk is full. Free some space.")


SITECUSTOMIZE = """
import sys
sys.version_info = (3, 10, 12, "final", 0)
sys.version = "3.10.12 (main)"
"""


@pytest.fixture
def old_python(tmp_path: Path) -> Path:
    """An interpreter that reports an older version."""
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    python = tmp_path / "python3.10"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}:{ROOT}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python


async def test_an_old_python_for_the_command(tmp_path: Path, old_python: Path) -> None:
    script = "from bot.__main__ import main; main()"  # as the console script has it
    for arguments in (("-m", "bot", "run"), ("-c", script)):
        said = await last_line(str(old_python), *arguments, folder=tmp_path)
        assert said.startswith("Anima Bot needs Python 3.11 to 3.14, and this is 3.10.12. Install one of these")


async def test_an_old_python_for_make(tmp_path: Path, old_python: Path) -> None:
    for name in ("Makefile", "run.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    process = await asyncio.create_subprocess_exec(
        *("make", "run", f"PYTHON={old_python}"), cwd=tmp_path, env=OWN, stdout=PIPE, stderr=PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), TIMEOUT)
    assert process.returncode == 2
    assert said.decode().startswith("Anima Bot needs Python 3.11 to 3.14, and this is 3.10.12 (")
    assert re.search(r"Use another Python: (python3\.\d+) run\.py, or make PYTHON=\1 run", said.decode())
    assert not (tmp_path / ".venv").exists()


async def test_make_run_starts_the_bot_where_there_is_a_token_and_else_the_sandbox(tmp_path: Path) -> None:
    assert "$(BIN)/python run.py $(if $(PROMPT),sandbox --prompt" in (ROOT / "Makefile").read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(f"DISCORD_TOKEN={TOKEN}\n")
    assert "There is no models folder" in await failed_start(tmp_path, "start")
    (tmp_path / ".env").write_text("DISCORD_TOKEN=\nDATABASE_URL=nowhere\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "start"),
        cwd=tmp_path,
        env={**OWN, "PYTHONPATH": str(ROOT)},
        stdout=PIPE,
        stderr=STDOUT,
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), TIMEOUT)
        in_use = b"Port 8642 is in use"  # by a sandbox that somebody has open
        assert line.startswith((b"The sandbox is at http://127.0.0.1:8642/", in_use)), line
    finally:
        process.kill()
        await process.wait()
