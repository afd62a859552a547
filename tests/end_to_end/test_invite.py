"""`anima invite` as a process, with the fake Discord."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.cli.invite import PUBLIC_WITHOUT_LIST
from bot.cli.permissions import NEEDED, WHAT_FOR
from bot.sandbox import FakeDiscord
from bot.sandbox.model.serializers import application_json
from tests.end_to_end.bot_process import TIMEOUT, openapi, settings_for
from tests.end_to_end.test_startup_errors import OWN, ROOT, failed_start


async def invite(folder: Path, discord: FakeDiscord, command: str = "invite", **settings: str) -> str:
    environment = {**OWN, **settings_for(discord, folder), "PYTHONPATH": str(ROOT), **settings}
    arguments = (sys.executable, "-m", "bot", command)
    process = await asyncio.create_subprocess_exec(*arguments, cwd=folder, env=environment, stdout=PIPE, stderr=STDOUT)
    said, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
    assert process.returncode == 0, said.decode()
    return said.decode()


def queries(said: str) -> list[dict[str, list[str]]]:
    """The query parameters of the printed addresses."""
    addresses = [urlsplit(line.strip()) for line in said.splitlines() if line.strip().startswith("https://")]
    assert all(address[1:3] == ("discord.com", "/oauth2/authorize") for address in addresses)
    return [parse_qs(address.query) for address in addresses]


async def test_the_addresses_ask_for_what_the_bot_needs(tmp_path: Path) -> None:
    async with FakeDiscord(openapi=openapi()) as discord:
        said = await invite(tmp_path, discord)
        client_id = [str(discord.world.application.id)]
        assert all(request.method == "GET" for request in discord.request_log.requests), "nothing is changed"
    to_server, to_person = queries(said)
    assert to_server == {
        "client_id": client_id,
        "scope": ["bot applications.commands"],
        "permissions": [str(NEEDED.value)],
    }
    assert to_person == {"client_id": client_id, "scope": ["applications.commands"], "integration_type": ["1"]}
    assert all(reason in said for reason in WHAT_FOR.values())
    assert "Send Messages in Threads" in said
    assert not list(tmp_path.iterdir())


async def test_a_public_bot_without_a_list_of_servers_is_warned_of(tmp_path: Path) -> None:
    async with FakeDiscord() as discord:
        assert PUBLIC_WITHOUT_LIST in await invite(tmp_path, discord)
        assert PUBLIC_WITHOUT_LIST not in await invite(tmp_path, discord, ALLOWED_SERVERS="1")
        body: dict[str, Any] = application_json(discord.world.application, 1) | {"bot_public": False}
        discord.faults.answer("GET", "applications/@me", 200, body, times=2)
        assert PUBLIC_WITHOUT_LIST not in await invite(tmp_path, discord)


async def test_doctor_warns_of_a_public_bot_too(tmp_path: Path) -> None:
    async with FakeDiscord() as discord:
        assert PUBLIC_WITHOUT_LIST in await invite(tmp_path, discord, command="doctor")


async def test_restrictions_of_the_developer_portal_are_reported(tmp_path: Path) -> None:
    async with FakeDiscord() as discord:
        body: dict[str, Any] = application_json(discord.world.application, 1)
        body |= {"bot_public": False, "integration_types_config": {"0": {}}}
        body["interactions_endpoint_url"] = "https://elsewhere.example/interactions"
        discord.faults.answer("GET", "applications/@me", 200, body, times=2)
        said = await invite(tmp_path, discord)
    assert len(queries(said)) == 1
    assert "clear the Interactions Endpoint URL" in said and "https://elsewhere.example/interactions" in said
    assert "enable User Install in the developer portal" in said and "Only its owner can add it" in said


@pytest.mark.parametrize("token", ["", "no-token-of-ours"])
async def test_without_a_token_that_discord_knows_it_is_one_sentence(tmp_path: Path, token: str) -> None:
    async with FakeDiscord() as discord:
        said = await failed_start(tmp_path, "invite", **{**settings_for(discord, tmp_path), "DISCORD_TOKEN": token})
    assert said.startswith("Discord rejected DISCORD_TOKEN" if token else "DISCORD_TOKEN is not set")
