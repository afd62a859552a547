"""What the page asks the stand-in for: seen and done as one user, and by nobody from elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import discord
import pytest

from bot.sandbox import Permissions, Upload, User
from bot.text.languages import LANGUAGES
from tests.bot.sandbox.conftest import SpecimenStage


class Browser:
    """Asks as the page does, as one user."""

    def __init__(self, stage: SpecimenStage, session: aiohttp.ClientSession) -> None:
        self._origin = stage.discord.page_url.rstrip("/")
        self._session = session

    async def ask(self, user: User, method: str, path: str, payload: Any = None) -> tuple[int, Any]:
        address = f"{self._origin}/sandbox/as/{user.id}{path}"
        async with self._session.request(method, address, json=payload) as response:
            body = await response.read()
            return response.status, json.loads(body) if response.content_type == "application/json" else body.decode()

    async def plain(self, method: str, path: str, **headers: str) -> aiohttp.ClientResponse:
        async with self._session.request(method, self._origin + path, headers=headers) as response:
            await response.read()
            return response

    async def happened(self, user: User, until: str, after: int = 0) -> list[dict[str, Any]]:
        """The events that `user` is told, up to the first of a kind."""
        events: list[dict[str, Any]] = []
        address = f"{self._origin}/sandbox/as/{user.id}/events?after={after}"
        async with asyncio.timeout(60), self._session.get(address) as response:
            while not events or events[-1].get("kind") != until:
                line = (await response.content.readline()).decode()
                if line.startswith("data: "):
                    events.append(json.loads(line.removeprefix("data: ")))
        return events


@pytest.fixture
async def browser(stage: SpecimenStage) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession() as session:
        yield Browser(stage, session)


async def test_the_people_are_an_admin_members_and_a_stranger(browser: Browser) -> None:
    answer = await browser.plain("GET", "/sandbox/people")
    people = {person["username"]: person for person in json.loads(await answer.text())["people"]}
    standing = {name: (person["is_owner"], person["is_member"], person["roles"]) for name, person in people.items()}
    assert standing["olivia"] == (True, True, []) and standing["bob"] == (False, True, ["moderator"])
    assert standing["alice"] == standing["emi"] == (False, True, []) and standing["carol"] == (False, False, [])


async def test_a_view_has_the_channels_that_its_user_sees(stage: SpecimenStage, browser: Browser) -> None:
    world = stage.discord.world

    async def seen_by(user: User) -> set[str]:
        _, view = await browser.ask(user, "GET", "/view")
        return {channel["name"] for guild in view["guilds"] for channel in guild["channels"]}

    assert await seen_by(world.alice) == {"general", "gallery", "after-dark", "late sketches"}
    assert await seen_by(world.owner) == {"general", "gallery", "after-dark", "late sketches", "staff"}
    assert await seen_by(world.carol) == {"lounge"}
    _, view = await browser.ask(world.alice, "GET", "/view")
    restricted = {c["name"] for c in view["guilds"][0]["channels"] if c["nsfw"]}
    assert restricted == {"after-dark", "late sketches"}
    assert [c["type"] for c in view["private_channels"]] == [3, 1]


async def test_a_channel_that_is_not_seen_is_not_there(stage: SpecimenStage, browser: Browser) -> None:
    world = stage.discord.world
    for path in ("messages", "commands"):
        assert (await browser.ask(world.alice, "GET", f"/channels/{world.staff.id}/{path}"))[0] == 404
        assert (await browser.ask(world.bob, "GET", f"/channels/{world.staff.id}/{path}"))[0] == 200
        assert (await browser.ask(world.bob, "GET", f"/channels/1/{path}"))[0] == 404
    assert (await browser.ask(world.bot, "GET", "/view"))[0] == 404


async def test_an_ephemeral_answer_is_shown_to_its_user_only(stage: SpecimenStage, browser: Browser) -> None:
    world = stage.discord.world
    await (await stage.ask(lambda i: i.response.send_message("hidden", ephemeral=True))).response()
    await stage.discord.say(world.alice, world.general, "the end")
    for user, texts in ((world.alice, ["hidden", "the end"]), (world.bob, ["the end"])):
        _, messages = await browser.ask(user, "GET", f"/channels/{world.general.id}/messages")
        assert [message["content"] for message in messages] == texts
        told = await browser.happened(user, "message_create") if user == world.bob else None
        assert told is None or [e["data"]["content"] for e in told if e.get("kind") == "message_create"] == ["the end"]
    _, messages = await browser.ask(world.alice, "GET", f"/channels/{world.general.id}/messages")
    assert (messages[0]["command"], messages[0]["visible_to"]) == ("specimen", str(world.alice.id))


async def test_interactions_are_shown_to_whoever_began_them(stage: SpecimenStage, browser: Browser) -> None:
    world = stage.discord.world
    stage.bot.answer = lambda i: i.response.send_modal(
        discord.ui.Modal(title="Form", custom_id="form").add_item(field())
    )
    path = f"/channels/{world.general.id}/slash"
    status, sent = await browser.ask(world.alice, "POST", path, {"command": "specimen", "options": {}})
    assert status == 200
    told = await browser.happened(world.alice, "interaction_acknowledged")
    assert told[-1]["data"]["id"] == sent["interaction"]
    assert told[-1]["data"]["modal"]["title"] == "Form"
    await stage.discord.say(world.alice, world.general, "the end")
    others = await browser.happened(world.bob, "message_create")
    assert not [event for event in others if event.get("kind", "").startswith("interaction")]


def field() -> discord.ui.Label[Any]:
    return discord.ui.Label(text="Prompt", component=discord.ui.TextInput(custom_id="prompt"))


async def test_commands_are_offered_as_discords_client_shows_them(stage: SpecimenStage, browser: Browser) -> None:
    world = stage.discord.world

    async def offered(user: User) -> set[str]:
        _, commands = await browser.ask(user, "GET", f"/channels/{world.general.id}/commands")
        return {command["name"] for command in commands}

    assert await offered(world.alice) == {"anima imagine", "specimen", "Parameters", "Portrait"}
    assert await offered(world.bob) == {"anima imagine", "specimen", "Parameters", "Portrait", "settings"}
    stage.discord.set_overwrite(world.general, world.alice, deny=Permissions.USE_APPLICATION_COMMANDS)
    assert await offered(world.alice) == set()


async def test_commands_are_worded_in_the_language_that_the_user_chose(stage: SpecimenStage, browser: Browser) -> None:
    world = stage.discord.world
    [imagine] = [c for c in stage.discord.commands.of(None) if c["name"] == "anima"]
    definition = {key: imagine[key] for key in ("name", "description", "options")}
    definition["name_localizations"] = {"ja": "アニマ"}
    option = definition["options"][0]["options"][0]
    option["description_localizations"] = {"ja": "何を描くか"}
    stage.discord.commands.overwrite(None, [definition])
    path = f"/channels/{world.general.id}/commands"
    assert (await browser.ask(world.alice, "PUT", "/language", {"locale": "ja"}))[0] == 200
    _, [command] = await browser.ask(world.alice, "GET", path)
    assert (command["name"], command["shown"]) == ("anima imagine", "アニマ imagine")
    assert command["options"][0]["description"] == "何を描くか"
    _, [command] = await browser.ask(world.owner, "GET", path)
    assert command["shown"] == "anima imagine"
    status, refusal = await browser.ask(world.alice, "PUT", "/language", {"locale": "tlh"})
    assert status == 422 and "no language tlh" in refusal["refused"]


async def test_every_language_of_the_bot_is_offered_by_the_name_that_its_readers_use(browser: Browser) -> None:
    answer = await browser.plain("GET", "/sandbox/people")
    offered = {language["code"]: language["name"] for language in json.loads(await answer.text())["languages"]}
    assert offered == {code: language.name for code, language in LANGUAGES.items()}
    assert offered["ja"] == "日本語"


async def test_the_bot_hears_the_language_that_the_user_chose(stage: SpecimenStage, browser: Browser) -> None:
    await browser.ask(stage.discord.world.alice, "PUT", "/language", {"locale": "ja"})
    heard = await (await stage.ask(lambda i: i.response.send_message(str(i.locale)))).response()
    assert heard.content == "ja"


async def test_actions_that_discords_client_refuses_are_refused_with_an_explanation(
    stage: SpecimenStage, browser: Browser
) -> None:
    world = stage.discord.world
    general = f"/channels/{world.general.id}"
    for path, payload, sentence in (
        ("/slash", {"command": "anima imagine", "options": {}}, "needs the option 'prompt'"),
        ("/slash", {"command": "anima imagine", "options": {"prompt": "a", "steps": 61}}, "takes 1 to 60"),
        ("/slash", {"command": "anima imagine", "options": {"prompt": "a", "friend": {"user": "1"}}}, "no user 1"),
        ("/slash", {"command": "anima imagine", "options": {"prompt": "a", "source": {"file": "0"}}}, "no file 0"),
        ("/slash", {"command": "settings"}, "does not have the permissions"),
        ("/messages", {"content": "x" * 2001}, "limit is 2000 characters"),
        ("/messages", {"content": ""}, "The message is empty"),
        ("/user-menu", {"command": "Portrait", "user": "1"}, "There is no user 1"),
    ):
        status, refusal = await browser.ask(world.alice, "POST", general + path, payload)
        assert (status, sentence in refusal["refused"]) == (422, True), refusal
    for path in ("/messages/1/press", "/messages/1/choose", "/messages/1/menu"):
        assert (await browser.ask(world.alice, "POST", path, {}))[1] == {"refused": "That message was deleted."}
    assert (await browser.ask(world.alice, "POST", "/modals/1", {}))[1] == {"refused": "That form is not open."}
    assert (await browser.ask(world.alice, "POST", general + "/slash", [1]))[0] == 400


async def test_messages_are_deleted_by_their_author_or_a_moderator(stage: SpecimenStage, browser: Browser) -> None:
    world = stage.discord.world
    message = await stage.discord.say(world.alice, world.general, "hello")
    status, refusal = await browser.ask(world.emi, "DELETE", f"/messages/{message.id}")
    assert status == 422 and refusal["refused"] == "emi さんにはそのメッセージを削除する権限がありません。", (
        "in her language"
    )
    assert (await browser.ask(world.alice, "DELETE", f"/messages/{message.id}"))[0] == 200
    another = await stage.discord.say(world.alice, world.general, "hello")
    assert (await browser.ask(world.bob, "DELETE", f"/messages/{another.id}"))[0] == 200
    assert stage.discord.messages_in(world.general) == []


async def test_files_may_be_sent_only_where_the_user_may_attach_some(stage: SpecimenStage, browser: Browser) -> None:
    world = stage.discord.world
    form = aiohttp.FormData()
    form.add_field("payload_json", json.dumps({"content": "look"}))
    form.add_field("files[0]", b"data", filename="a.txt")
    address = f"{stage.discord.page_url}sandbox/as/{world.alice.id}/channels/{world.general.id}/messages"
    async with aiohttp.ClientSession() as session:
        async with session.post(address, data=form) as response:
            assert response.status == 200
        [message] = stage.discord.messages_in(world.general)
        assert [attachment.filename for attachment in message.attachments] == ["a.txt"]
        stage.discord.set_overwrite(world.general, world.alice, deny=Permissions.ATTACH_FILES)
        form = aiohttp.FormData()
        form.add_field("payload_json", "{}")
        form.add_field("files[0]", b"data", filename="a.txt")
        async with session.post(address, data=form) as response:
            assert "may not attach files" in (await response.json())["refused"]


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/sandbox/people", "/api/v10/gateway"])
async def test_other_sites_reach_nothing(browser: Browser, path: str) -> None:
    assert (await browser.plain("GET", path)).status == 200
    rebound = await browser.plain("GET", path, Host="attacker.example")
    assert rebound.status == 421 and "answers only at http://127.0.0.1:" in await rebound.text()
    for headers in (
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "script"},
    ):
        assert (await browser.plain("GET", path, **headers)).status == 403


async def test_a_link_elsewhere_may_lead_here(browser: Browser) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
    assert (await browser.plain("GET", "/", **headers)).status == 200
    assert (await browser.plain("POST", "/", **headers)).status == 403


async def test_nothing_but_the_page_may_do_anything_in_a_browser(stage: SpecimenStage, browser: Browser) -> None:
    world = stage.discord.world
    page = await browser.plain("GET", "/")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    svg = Upload("evil.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    message = await stage.discord.say(world.alice, world.general, "", [svg])
    address = stage.discord.cdn.url(message.attachments[0]).removeprefix(stage.discord.page_url.rstrip("/"))
    file = await browser.plain("GET", address)
    assert file.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert file.headers["Content-Disposition"] == "attachment"
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert (await browser.plain("GET", "/page/..%2Fstandin.py")).status == 404


async def test_a_page_of_an_older_sandbox_is_notified_that_this_is_another(
    stage: SpecimenStage, browser: Browser
) -> None:
    """It asks for what comes after an event that has not happened yet, and must not keep the stand-in busy with it."""
    world = stage.discord.world
    address = f"{stage.discord.page_url}sandbox/as/{world.alice.id}/events?after=1000000"
    async with asyncio.timeout(60), aiohttp.ClientSession() as session, session.get(address) as response:
        assert await response.content.readline() == b"event: hello\n"
        assert (await browser.ask(world.alice, "GET", "/view"))[0] == 200
