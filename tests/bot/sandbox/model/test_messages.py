"""Messages: what is refused, what is idempotent, what is written back."""

from __future__ import annotations

import io
from typing import Any

import aiohttp
import discord
import pytest
from discord.http import handle_message_parameters
from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox import Clock, FakeDiscord, Permissions, RateLimits
from bot.sandbox.model.errors import ApiError, FormErrors
from bot.sandbox.model.messages import NONCE_LIFETIME, Body
from bot.sandbox.model.schema import check_types
from tests.bot.sandbox.conftest import DOCUMENT, SpecimenStage, noise, png, request_as_bot

DAY = 24 * 3600.0


@pytest.fixture
def channel(stage: SpecimenStage) -> discord.TextChannel:
    return stage.bot.get_channel(stage.discord.world.general.id)


async def test_a_nonce_posts_once_and_gives_the_same_message_again(
    stage: SpecimenStage, channel: discord.TextChannel, clock: Clock
) -> None:
    first = await channel.send("picture", nonce="job-1")
    again = await channel.send("picture", nonce="job-1")
    other = await channel.send("notice", nonce="job-1-notice")
    assert first.id == again.id != other.id
    assert first.nonce == "job-1"
    assert len(stage.discord.messages_in(stage.discord.world.general)) == 2
    clock.turn(NONCE_LIFETIME + 1)
    assert (await channel.send("picture", nonce="job-1")).id != first.id


async def test_a_nonce_of_a_deleted_message_answers_unknown_message(
    stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    first = await channel.send("picture", nonce="job-1")
    await first.delete()
    with pytest.raises(discord.NotFound) as refusal:
        await channel.send("picture", nonce="job-1")
    assert refusal.value.code == 10008


async def test_a_nonce_without_enforcement_posts_twice(standin: FakeDiscord) -> None:
    path = f"/channels/{standin.world.general.id}/messages"
    ids = {(await request_as_bot(standin, "POST", path, {"content": "a", "nonce": "n"}))[1]["id"] for _ in range(2)}
    assert len(ids) == 2


async def test_a_refused_message_does_not_use_up_its_nonce(stage: SpecimenStage, channel: discord.TextChannel) -> None:
    with pytest.raises(discord.HTTPException):
        await channel.send("x" * 2001, nonce="job-1")
    assert (await channel.send("short", nonce="job-1")).content == "short"


def button(custom_id: str = "a", **more: Any) -> dict[str, Any]:
    return {"type": 2, "style": 1, "label": "A", "custom_id": custom_id} | more


def row(*components: dict[str, Any]) -> dict[str, Any]:
    return {"type": 1, "components": list(components)}


def select(count: int, **more: Any) -> dict[str, Any]:
    options = [{"label": f"{i}", "value": f"{i}"} for i in range(count)]
    return {"type": 3, "custom_id": "s", "options": options} | more


def text(content: str = "t") -> dict[str, Any]:
    return {"type": 10, "content": content}


V2 = 1 << 15

REFUSED = {
    "too much content": ({"content": "x" * 2001}, "content"),
    "a nonce of 26 characters": ({"content": "a", "nonce": "x" * 26}, "nonce"),
    "eleven embeds": ({"embeds": [{"title": "t"}] * 11}, "embeds"),
    "an embed without anything": ({"embeds": [{}]}, "embeds"),
    "too large an embed": ({"embeds": [{"description": "x" * 4096}, {"description": "x" * 1905}]}, "embeds"),
    "six rows": ({"content": "a", "components": [row(button(f"{i}")) for i in range(6)]}, "components"),
    "six buttons in a row": ({"content": "a", "components": [row(*(button(f"{i}") for i in range(6)))]}, "components"),
    "an empty row": ({"content": "a", "components": [row()]}, "components"),
    "a select beside a button": ({"content": "a", "components": [row(select(1), button())]}, "components"),
    "duplicate custom ids": ({"content": "a", "components": [row(button()), row(button())]}, "components"),
    "a custom id of 101 characters": ({"content": "a", "components": [row(button("x" * 101))]}, "components"),
    "a button without custom id": (
        {"content": "a", "components": [row({"type": 2, "style": 1, "label": "a"})]},
        "components",
    ),
    "a button without label": ({"content": "a", "components": [row(button(label=None))]}, "components"),
    "a label of 81 characters": ({"content": "a", "components": [row(button(label="x" * 81))]}, "components"),
    "a link that is pressed": ({"content": "a", "components": [row(button(style=5, url="https://a.b"))]}, "components"),
    "an unknown style": ({"content": "a", "components": [row(button(style=9))]}, "components"),
    "26 options": ({"content": "a", "components": [row(select(26))]}, "components"),
    "no options": ({"content": "a", "components": [row(select(0))]}, "components"),
    "more values than options": ({"content": "a", "components": [row(select(2, max_values=3))]}, "components"),
    "a bare button": ({"content": "a", "components": [button()]}, "components"),
    "text without the flag": ({"content": "a", "components": [text()]}, "components"),
    "content beside v2": ({"flags": V2, "content": "a", "components": [text()]}, "content"),
    "embeds beside v2": ({"flags": V2, "embeds": [{"title": "a"}], "components": [text()]}, "embeds"),
    "41 components": ({"flags": V2, "components": [text() for _ in range(41)]}, "components"),
    "41 components, nested": (
        {"flags": V2, "components": [{"type": 17, "components": [text() for _ in range(40)]}]},
        "components",
    ),
    "4001 characters of text": ({"flags": V2, "components": [text("x" * 2000), text("x" * 2001)]}, "components"),
    "a container in a container": (
        {"flags": V2, "components": [{"type": 17, "components": [{"type": 17, "components": [text()]}]}]},
        "components",
    ),
    "a section without accessory": ({"flags": V2, "components": [{"type": 9, "components": [text()]}]}, "components"),
    "a file that is not there": (
        {"flags": V2, "components": [{"type": 13, "file": {"url": "attachment://a.png"}}]},
        "components",
    ),
    "two same component numbers": ({"flags": V2, "components": [text() | {"id": 5}, text() | {"id": 5}]}, "components"),
    "an attachment that is not there": ({"content": "a", "attachments": [{"id": 0, "filename": "a"}]}, "attachments"),
    "users both parsed and listed": (
        {"content": "a", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
        "allowed_mentions",
    ),
    "content that is a number": ({"content": 3}, "content"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_discord_refuses(case: str, clock: Clock) -> None:
    body, where = REFUSED[case]
    for document in (None, DOCUMENT) if DOCUMENT.exists() else (None,):
        async with FakeDiscord(openapi=document, clock=clock) as standin:
            path = f"/channels/{standin.world.general.id}/messages"
            status, answer = await request_as_bot(standin, "POST", path, body)
            assert (status, answer["code"]) == (400, 50035)
            assert where in answer["errors"]
            assert standin.messages_in(standin.world.general) == []


@pytest.mark.parametrize(
    "body", [{}, {"content": ""}, {"content": "  "}, {"components": [row(button())]}, {"flags": V2}]
)
async def test_an_empty_message_is_refused(body, standin: FakeDiscord) -> None:
    status, answer = await request_as_bot(standin, "POST", f"/channels/{standin.world.general.id}/messages", body)
    assert (status, answer["code"]) == (400, 50006)


async def test_the_largest_allowed_message_is_taken(stage: SpecimenStage, channel: discord.TextChannel) -> None:
    view = discord.ui.View()
    for number in range(25):
        view.add_item(discord.ui.Button(label="x" * 80, custom_id=f"{number:0100}"))
    embed = discord.Embed(description="d" * 4096)
    files = [discord.File(io.BytesIO(b"a"), f"{number}.png") for number in range(10)]
    message = await channel.send("x" * 2000, view=view, embed=embed, files=files)
    assert len(message.attachments) == 10 and len(message.components) == 5
    assert stage.discord.openapi is None or stage.discord.openapi.violations == []


async def test_an_eleventh_file_is_refused(stage: SpecimenStage, channel: discord.TextChannel) -> None:
    message = await channel.send(files=[discord.File(io.BytesIO(b"a"), f"{number}.png") for number in range(10)])
    with pytest.raises(discord.HTTPException) as refusal:
        await message.add_files(discord.File(io.BytesIO(b"a"), "eleventh.png"))
    assert refusal.value.code in (30015, 50035)


async def test_ten_mebibytes_are_the_limit_until_the_server_is_boosted(
    stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    limit = 10 * 2**20
    assert len((await channel.send(file=discord.File(io.BytesIO(noise(limit)), "a.png"))).attachments) == 1
    with pytest.raises(discord.HTTPException) as refusal:
        await channel.send(file=discord.File(io.BytesIO(noise(limit + 1)), "a.png"))
    assert (refusal.value.status, refusal.value.code) == (413, 40005)
    stage.discord.world.guild.premium_tier = 2
    assert await channel.send(file=discord.File(io.BytesIO(noise(limit + 1)), "a.png"))


async def test_attachments_are_served_signed_and_for_a_day(
    stage: SpecimenStage, channel: discord.TextChannel, clock: Clock
) -> None:
    message = await channel.send(file=discord.File(io.BytesIO(png()), "a.png"))
    [attachment] = message.attachments
    assert await attachment.read() == png()
    async with aiohttp.ClientSession() as session:
        for wrong in (attachment.url.split("?")[0], attachment.url.replace("a.png", "b.png")):
            async with session.get(wrong) as response:
                assert response.status == 404
    clock.turn(DAY + 1)
    with pytest.raises(discord.NotFound):
        await attachment.read()
    fresh = await channel.fetch_message(message.id)
    assert await fresh.attachments[0].read() == png()


async def test_an_edit_keeps_what_it_does_not_name(stage: SpecimenStage, channel: discord.TextChannel) -> None:
    view = discord.ui.View()
    view.add_item(discord.ui.Button(label="A", custom_id="a"))
    message = await channel.send("one", view=view, file=discord.File(io.BytesIO(b"a"), "a.png"))
    edited = await channel.get_partial_message(message.id).edit(content="two")
    assert (edited.content, len(edited.attachments), len(edited.components)) == ("two", 1, 1)
    assert edited.edited_at is not None
    replaced = await edited.edit(attachments=[discord.File(io.BytesIO(b"b"), "b.png")], view=None)
    assert ([a.filename for a in replaced.attachments], replaced.components) == (["b.png"], [])
    both = await replaced.add_files(discord.File(io.BytesIO(b"c"), "c.png"))
    assert [a.filename for a in both.attachments] == ["b.png", "c.png"]
    with pytest.raises(discord.HTTPException) as refusal:
        await both.edit(content=None, attachments=[])
    assert refusal.value.code == 50006


async def test_files_shown_in_embeds_are_no_attachments_of_their_own(
    stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    embed = discord.Embed(title="t").set_image(url="attachment://a.png").set_thumbnail(url="attachment://missing.png")
    files = [discord.File(io.BytesIO(png()), "a.png"), discord.File(io.BytesIO(b"b"), "b.txt")]
    message = await channel.send(embed=embed, files=files)
    assert [attachment.filename for attachment in message.attachments] == ["b.txt"]
    assert message.embeds[0].image.url.startswith(stage.discord.cdn.base)
    assert (message.embeds[0].image.width, message.embeds[0].thumbnail.url) == (8, None)
    assert [a.filename for a in stage.discord.messages_in(stage.discord.world.general)[0].attachments] == [
        "a.png",
        "b.txt",
    ]


class Card(discord.ui.LayoutView):
    def __init__(self) -> None:
        super().__init__()
        gallery = discord.ui.MediaGallery(discord.MediaGalleryItem("attachment://a.png", description="d"))
        section: Any = discord.ui.Section("text", accessory=discord.ui.Thumbnail("https://example.com/a.png"))
        row: Any = discord.ui.ActionRow(discord.ui.Button(label="A", custom_id="a"))
        parts = (gallery, discord.ui.Separator(), section, row, discord.ui.File("attachment://b.txt"))
        self.add_item(discord.ui.Container(*parts, accent_color=3))


async def test_a_layout_is_written_back_with_its_media(stage: SpecimenStage, channel: discord.TextChannel) -> None:
    files = [
        discord.File(io.BytesIO(png()), "a.png"),
        discord.File(io.BytesIO(b"b"), "b.txt"),
        discord.File(io.BytesIO(b"c"), "c.txt"),
    ]
    message = await channel.send(view=Card(), files=files)
    assert message.flags.components_v2 and message.attachments == []
    [container] = message.components
    gallery = container.children[0]
    assert (gallery.items[0].media.width, gallery.items[0].media.attachment_id is not None) == (8, True)
    assert (container.children[4].name, container.children[4].size) == ("b.txt", 1)
    [shown] = stage.discord.messages_in(stage.discord.world.general)
    assert [a.filename for a in shown.shown] == ["a.png", "b.txt"]
    assert [a.filename for a in shown.attachments] == ["a.png", "b.txt", "c.txt"]
    assert shown.text == "text"
    with pytest.raises(discord.HTTPException, match="IS_COMPONENTS_V2"):
        await message.edit(content="no")


@pytest.mark.parametrize("rate_limits", [RateLimits().times(10)])
async def test_history_is_paged_newest_first(stage: SpecimenStage, channel: discord.TextChannel) -> None:
    sent = [await channel.send(str(number)) for number in range(5)]
    assert [m.content async for m in channel.history(limit=2)] == ["4", "3"]
    assert [m.content async for m in channel.history(limit=2, before=sent[2])] == ["1", "0"]
    assert [m.content async for m in channel.history(limit=2, after=sent[2])] == ["3", "4"]
    assert [m.content async for m in channel.history(limit=3, around=sent[2])] == ["3", "2", "1"]


async def test_ephemeral_messages_are_not_in_the_channel_for_the_bot(
    stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    interaction = await stage.ask(lambda i: i.response.send_message("hidden", ephemeral=True))
    hidden = await interaction.response()
    assert [m async for m in channel.history()] == []
    with pytest.raises(discord.NotFound):
        await channel.get_partial_message(hidden.id).edit(content="seen?")


async def test_a_deleted_message_answers_10008_and_a_deleted_channel_10003(
    stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    message = await channel.send("a")
    stage.discord.delete_message(stage.discord.messages_in(stage.discord.world.general)[0])
    for attempt in (message.edit(content="b"), message.delete(), channel.fetch_message(message.id)):
        with pytest.raises(discord.NotFound) as refusal:
            await attempt
        assert refusal.value.code == 10008
    stage.discord.delete_channel(stage.discord.world.general)
    with pytest.raises(discord.NotFound) as refusal:
        await channel.send("anyone?")
    assert refusal.value.code == 10003


@pytest.mark.parametrize(
    ("denied", "code"),
    [(Permissions.VIEW_CHANNEL, 50001), (Permissions.SEND_MESSAGES, 50013), (Permissions.ATTACH_FILES, 50013)],
)
async def test_lost_permissions_are_felt(
    denied: Permissions, code: int, stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    world = stage.discord.world
    stage.discord.set_overwrite(world.general, world.bot, deny=denied)
    with pytest.raises(discord.Forbidden) as refusal:
        await channel.send("a", file=discord.File(io.BytesIO(b"a"), "a.png"))
    assert refusal.value.code == code


async def test_the_bot_hears_of_permissions_channels_and_servers_that_change(
    stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    world = stage.discord.world
    heard = stage.bot.wait_for("guild_channel_update", timeout=60)
    stage.discord.set_age_restricted(world.general, True)
    _, after = await heard
    assert after.is_nsfw() and channel.is_nsfw()
    stage.discord.set_overwrite(world.general, world.bot, deny=Permissions.SEND_MESSAGES)
    await stage.bot.wait_for("guild_channel_update", timeout=60)
    assert not channel.permissions_for(channel.guild.me).send_messages
    stage.discord.remove_bot(world.guild)
    await stage.bot.wait_for("guild_remove", timeout=60)
    with pytest.raises(discord.Forbidden) as refusal:
        await channel.send("a")
    assert refusal.value.code == 50001


async def test_only_own_messages_are_edited_and_only_with_permission_deleted(
    stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    said = await stage.discord.say(stage.discord.world.alice, stage.discord.world.general, "mine")
    params = handle_message_parameters("yours")
    with pytest.raises(discord.Forbidden) as refusal:
        await stage.bot.http.edit_message(channel.id, said.id, params=params)
    assert refusal.value.code == 50005
    with pytest.raises(discord.Forbidden) as refusal:
        await channel.get_partial_message(said.id).delete()
    assert refusal.value.code == 50013


async def test_users_may_close_their_private_messages(stage: SpecimenStage) -> None:
    world = stage.discord.world
    user = await stage.bot.fetch_user(world.alice.id)
    assert (await user.send("hello")).channel.id == stage.discord.dm(world.alice).id
    world.closed_to_dms.add(world.alice.id)
    with pytest.raises(discord.Forbidden) as refusal:
        await user.send("hello?")
    assert refusal.value.code == 50007


async def test_replies_name_their_message_and_notify_its_author(
    stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    said = await stage.discord.say(stage.discord.world.alice, stage.discord.world.general, "question")
    reply = await channel.send("answer", reference=channel.get_partial_message(said.id), mention_author=True)
    assert reply.reference.resolved.content == "question"
    assert [user.name for user in reply.mentions] == ["alice"]
    with pytest.raises(discord.HTTPException, match="Unknown message"):
        await channel.send("answer", reference=channel.get_partial_message(said.id + 1))


async def test_everyone_is_notified_only_with_the_permission(
    stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    everyone = discord.AllowedMentions(everyone=True)
    assert not (await channel.send("@everyone", allowed_mentions=everyone)).mention_everyone
    world = stage.discord.world
    stage.discord.set_overwrite(world.general, world.bot, allow=Permissions.MENTION_EVERYONE)
    assert (await channel.send("@everyone", allowed_mentions=everyone)).mention_everyone


async def test_the_bot_fetches_what_it_may_see(stage: SpecimenStage) -> None:
    world = stage.discord.world
    guild = await stage.bot.fetch_guild(world.guild.id)
    assert (guild.name, guild.approximate_member_count) == ("Atelier", 5)
    assert (await guild.fetch_member(world.bob.id)).name == "bob"
    assert {channel.name for channel in await guild.fetch_channels()} == {"general", "gallery", "after-dark", "staff"}
    assert {role.name for role in await guild.fetch_roles()} >= {"moderator"}
    assert (await stage.bot.fetch_channel(world.after_dark.id)).is_nsfw()
    for attempt, code in (
        (guild.fetch_member(world.carol.id), 10007),
        (stage.bot.fetch_user(1), 10013),
        (stage.bot.fetch_channel(1), 10003),
        (stage.bot.fetch_channel(world.staff.id), 50001),
        (stage.bot.fetch_guild(world.elsewhere.id), 50001),
        (stage.bot.fetch_guild(1), 10004),
    ):
        with pytest.raises(discord.HTTPException) as refusal:
            await attempt
        assert refusal.value.code == code


async def test_strangers_and_nonsense_are_turned_away(standin: FakeDiscord) -> None:
    path = f"/channels/{standin.world.general.id}/messages"
    assert (await request_as_bot(standin, "GET", path, token="wrong"))[0] == 401
    assert (await request_as_bot(standin, "GET", path, token=None))[0] == 401
    assert (await request_as_bot(standin, "GET", "/nothing/here"))[0] == 404
    assert (await request_as_bot(standin, "DELETE", path))[0] == 405
    for query in ("limit=0", "limit=many", "before=x"):
        assert (await request_as_bot(standin, "GET", f"{path}?{query}"))[1]["code"] == 50035
    assert (await request_as_bot(standin, "POST", "/users/@me/channels", {"recipient_id": "x"}))[0] == 400
    assert (await request_as_bot(standin, "POST", path, {"content": "a", "message_reference": {}}))[0] == 400
    assert (await request_as_bot(standin, "POST", path, ["a"]))[0] == 400
    async with aiohttp.ClientSession(headers={"Authorization": f"Bot {standin.token}"}) as session:
        headers = {"Content-Type": "application/json"}
        async with session.post(standin.api_url + path, data=b"{", headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (400, 50109)


values = st.none() | st.booleans() | st.integers(-5, 70_000) | st.text(max_size=3) | st.just("attachment://a.png")
KEYS = """
    content embeds components attachments flags nonce allowed_mentions type custom_id label style
    options value id items media url file accessory description fields name image footer parse users
    min_values title
"""
keys = st.sampled_from(KEYS.split())
anything = st.recursive(
    values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5), max_leaves=20
)


@given(body=st.dictionaries(keys, anything, max_size=5), lists=st.lists(anything, max_size=2), kind=st.integers(1, 23))
def test_a_body_of_any_shape_is_taken_or_refused_but_breaks_nothing(
    body: dict[str, Any], lists: list[Any], kind: int
) -> None:
    standin = FakeDiscord()
    body = {"components": [{"type": kind, "components": lists, "items": lists, "options": lists}]} | body
    errors = FormErrors()
    try:
        check_types(body, errors)
        errors.raise_if_any()
        message = standin.messages.create(standin.world.general, standin.world.bot, Body(body))
    except ApiError as error:
        assert error.refusal.status == 400
        assert standin.messages.in_channel(standin.world.general) == []
    else:
        assert standin.messages.as_json(message)["id"] == str(message.id)


def test_form_errors_gather_every_complaint_at_its_place() -> None:
    errors = FormErrors()
    errors.check_length(("content",), "xx", 1)
    errors.add(("components", 0, "custom_id"), "A", "a")
    errors.add(("components", 0, "custom_id"), "B", "b")
    with pytest.raises(ApiError) as refusal:
        errors.raise_if_any()
    tree = refusal.value.as_json()["errors"]
    assert [e["code"] for e in tree["components"]["0"]["custom_id"]["_errors"]] == ["A", "B"]
    assert tree["content"]["_errors"][0]["message"] == "Must be 1 or fewer in length."
