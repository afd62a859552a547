"""What users do reaches discord.py's client, and what the client answers is what users see."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import discord
import pytest

from bot.sandbox import ClientRefused, Clock, InteractionFailed, Permissions, UnexpectedAnswer, Upload
from bot.sandbox.model import interactions
from tests.bot.sandbox.conftest import SpecimenStage

MINUTE = 60.0


async def test_a_bot_is_ready_soon_and_its_commands_are_registered(stage: SpecimenStage) -> None:
    names = {command["name"] for command in stage.discord.commands.visible_in(stage.discord.world.guild.id)}
    assert names == {"anima", "specimen", "settings", "Parameters", "Portrait"}
    assert stage.bot.get_guild(stage.discord.world.guild.id).get_channel(stage.discord.world.after_dark.id).is_nsfw()
    thread = stage.bot.get_guild(stage.discord.world.guild.id).get_thread(stage.discord.world.thread.id)
    assert thread.is_nsfw()
    assert stage.bot.get_guild(stage.discord.world.elsewhere.id) is None


async def test_a_deferred_answer_becomes_a_picture(stage: SpecimenStage, clock: Clock) -> None:
    world = stage.discord.world
    interaction = await stage.discord.slash(world.alice, world.general, "anima imagine", prompt="1girl")
    callback = await interaction.acknowledged()
    assert callback.type == 5
    assert 0 < callback.latency < interactions.DEADLINE
    message = await interaction.response()
    assert message.content == "1girl"
    [picture] = message.attachments
    assert (picture.filename, picture.width, picture.height, picture.description) == ("picture.png", 8, 6, "navy")
    assert picture.data.startswith(b"\x89PNG")


async def test_every_kind_of_option_arrives_as_what_it_is(stage: SpecimenStage) -> None:
    world = stage.discord.world
    interaction = await stage.discord.slash(
        world.alice,
        world.general,
        "anima imagine",
        prompt="1girl",
        steps=12,
        cfg=5.5,
        hidden=True,
        source=Upload("source.png", b"not really a picture"),
        friend=world.bob,
        where=world.gallery,
        role=world.moderator,
        size="portrait",
        lora="turbo",
    )
    message = await interaction.response()
    assert message.is_ephemeral and message.visible_to == world.alice
    [(prompt, steps, cfg, hidden, source, friend, where, role, size, lora)] = stage.bot.seen
    assert (prompt, steps, cfg, hidden, lora) == ("1girl", 12, 5.5, True, "turbo")
    assert (friend.id, where.id, role.id, size.value) == (world.bob.id, world.gallery.id, world.moderator.id, 1)
    assert [role.id for role in friend.roles] == [world.guild.id, world.moderator.id]
    assert await source.read() == b"not really a picture"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "needs the option 'prompt'"),
        ({"prompt": "x" * 51}, "1 to 50 characters"),
        ({"prompt": "x", "steps": 61}, "takes 1 to 60"),
        ({"prompt": "x", "steps": "many"}, "takes int"),
        ({"prompt": "x", "size": "huge"}, "not a choice of the option 'size'"),
        ({"prompt": "x", "sampler": "euler"}, "has no options"),
        ({"prompt": "x", "source": Upload("big.png", bytes(10 * 2**20 + 1))}, "limit is 10 MiB"),
    ],
)
async def test_the_client_refuses_options_that_the_command_does_not_take(
    stage: SpecimenStage, options, complaint
) -> None:
    world = stage.discord.world
    with pytest.raises(ClientRefused, match=re.escape(complaint)):
        await stage.discord.slash(world.alice, world.general, "anima imagine", options)


async def test_commands_are_hidden_from_those_who_may_not_use_them(stage: SpecimenStage) -> None:
    world, discord_ = stage.discord.world, stage.discord
    with pytest.raises(ClientRefused, match="permissions"):
        await discord_.slash(world.alice, world.general, "settings")
    for user in (world.bob, world.owner):
        assert (await (await discord_.slash(user, world.general, "settings")).response()).content == "settings"
    with pytest.raises(ClientRefused, match="can't see #staff"):
        await discord_.slash(world.alice, world.staff, "specimen")
    discord_.set_overwrite(world.general, world.alice, deny=Permissions.USE_APPLICATION_COMMANDS)
    with pytest.raises(ClientRefused, match="may not use commands"):
        await discord_.slash(world.alice, world.general, "specimen")


async def test_autocomplete_offers_what_the_bot_answers(stage: SpecimenStage) -> None:
    world = stage.discord.world
    choices = await stage.discord.autocomplete(
        world.alice, world.general, "anima imagine", option="lora", value="tu", prompt="1girl"
    )
    assert [choice.name for choice in choices] == ["turbo", "tundra"]
    assert stage.bot.seen == ["1girl"]


async def test_context_menus_get_their_target(stage: SpecimenStage) -> None:
    world = stage.discord.world
    said = await stage.discord.say(world.bob, world.general, "hello")
    about = await (await stage.discord.menu(world.alice, said, "Parameters")).response()
    assert about.content == "about hello" and about.is_ephemeral
    of_bob = await (await stage.discord.menu(world.alice, world.bob, "Portrait", world.general)).response()
    assert of_bob.content == "of bob, 2"


async def test_a_dynamic_button_works_after_a_restart(stage: SpecimenStage) -> None:
    world = stage.discord.world
    message = await (await stage.discord.slash(world.alice, world.general, "anima imagine", prompt="a")).response()
    await stage.restart()
    answer = await (await stage.discord.press(world.bob, message, label="Re-roll")).response()
    assert answer.content == "seed 8"
    assert answer.reply_to.id == message.id
    again = await stage.discord.press(world.bob, message, custom_id=re.compile(r"roll:\d+"))
    assert (await again.response()).content == "seed 8"


async def test_buttons_that_users_cannot_press_are_refused(stage: SpecimenStage) -> None:
    world = stage.discord.world

    async def answer(interaction: discord.Interaction) -> None:
        view = discord.ui.View()
        view.add_item(discord.ui.Button(label="Off", custom_id="off", disabled=True))
        view.add_item(discord.ui.Button(label="Docs", url="https://example.com"))
        view.add_item(discord.ui.Button(label="Mine", custom_id="mine"))
        await interaction.response.send_message("private", view=view, ephemeral=True)

    message = await (await stage.ask(answer)).response()
    for label, complaint in (("Off", "disabled"), ("Docs", "opens a link"), ("None", "there are: 'Off'")):
        with pytest.raises(ClientRefused, match=complaint):
            await stage.discord.press(world.alice, message, label=label)
    with pytest.raises(ClientRefused, match="Only alice can see"):
        await stage.discord.press(world.bob, message, label="Mine")
    assert message not in stage.discord.messages_in(world.general, world.bob)
    assert message in stage.discord.messages_in(world.general, world.alice)


async def test_a_select_menu_updates_its_message(stage: SpecimenStage) -> None:
    world = stage.discord.world

    class SamplerView(discord.ui.View):
        @discord.ui.select(
            custom_id="sampler",
            max_values=2,
            options=[discord.SelectOption(label=name) for name in ("Euler", "ER SDE")],
        )
        async def choose(self, interaction: discord.Interaction, select: Any) -> None:
            await interaction.response.edit_message(content="+".join(select.values), view=None)

    message = await (await stage.ask(lambda i: i.response.send_message("which?", view=SamplerView()))).response()
    for values, complaint in (([], "takes 1 to 2"), (["DDIM"], "is not an option")):
        with pytest.raises(ClientRefused, match=complaint):
            await stage.discord.choose(world.alice, message, "sampler", values)
    changed = await (await stage.discord.choose(world.alice, message, "sampler", ["ER SDE", "Euler"])).response()
    assert (changed.id, changed.content, changed.components) == (message.id, "ER SDE+Euler", ())


async def test_a_user_select_resolves_the_users(stage: SpecimenStage) -> None:
    world = stage.discord.world

    class UserSelectView(discord.ui.View):
        @discord.ui.select(cls=discord.ui.UserSelect, custom_id="who")
        async def choose(self, interaction: discord.Interaction, select: Any) -> None:
            await interaction.response.send_message(select.values[0].name)

    message = await (await stage.ask(lambda i: i.response.send_message("who?", view=UserSelectView()))).response()
    assert (await (await stage.discord.choose(world.alice, message, "who", [world.bob])).response()).content == "bob"


class SettingsModal(discord.ui.Modal, title="Settings"):
    prompt: discord.ui.Label[Any] = discord.ui.Label(
        text="Prompt", component=discord.ui.TextInput(custom_id="prompt", default="1girl", max_length=20)
    )
    sampler: discord.ui.Label[Any] = discord.ui.Label(
        text="Sampler",
        component=discord.ui.Select(
            custom_id="sampler",
            options=[discord.SelectOption(label="Euler", default=True), discord.SelectOption(label="Heun")],
        ),
    )
    hidden: discord.ui.Label[Any] = discord.ui.Label(text="Hidden", component=discord.ui.Checkbox(custom_id="hidden"))
    file: discord.ui.Label[Any] = discord.ui.Label(
        text="Source", component=discord.ui.FileUpload(custom_id="source", required=False)
    )

    async def on_submit(self, interaction: discord.Interaction) -> None:
        parts = [
            self.prompt.component.value,
            self.sampler.component.values[0],
            str(self.hidden.component.value),
            str([file.filename for file in self.file.component.values]),
        ]
        await interaction.response.send_message(" ".join(parts))


async def test_a_modal_comes_back_filled_in(stage: SpecimenStage) -> None:
    world = stage.discord.world
    interaction = await stage.ask(lambda i: i.response.send_modal(SettingsModal()))
    modal = await interaction.modal()
    assert (modal.title, [label for label, _ in modal.inputs()]) == (
        "Settings",
        ["Prompt", "Sampler", "Hidden", "Source"],
    )
    values = {"Prompt": "2girls", "sampler": ["Heun"], "hidden": True, "Source": [Upload("a.png", b"a")]}
    answer = await (await stage.discord.submit(world.alice, modal, values)).response()
    assert answer.content == "2girls Heun True ['a.png']"
    with pytest.raises(UnexpectedAnswer, match="no message"):
        await interaction.response()


async def test_a_modal_keeps_what_was_left_alone_and_refuses_what_does_not_fit(stage: SpecimenStage) -> None:
    world = stage.discord.world
    modal = await (await stage.ask(lambda i: i.response.send_modal(SettingsModal()))).modal()
    for user, values, complaint in (
        (world.bob, {}, "for alice only"),
        (world.alice, {"prompt": "x" * 21}, "1 to 20 characters"),
        (world.alice, {"seed": "1"}, "has no fields"),
        (world.alice, {"sampler": ["DDIM"]}, "is not an option"),
    ):
        with pytest.raises(ClientRefused, match=complaint):
            await stage.discord.submit(user, modal, values)
    assert (await (await stage.discord.submit(world.alice, modal)).response()).content == "1girl Euler False []"


async def test_a_modal_from_a_button_can_edit_the_message_under_it(stage: SpecimenStage) -> None:
    class Rename(discord.ui.Modal, title="Rename"):
        name = discord.ui.TextInput(label="Name", custom_id="name")

        async def on_submit(self, interaction: discord.Interaction) -> None:
            await interaction.response.edit_message(content=self.name.value)

    class RenameView(discord.ui.View):
        @discord.ui.button(label="Rename")
        async def rename(self, interaction: discord.Interaction, button: Any) -> None:
            await interaction.response.send_modal(Rename())

    world = stage.discord.world
    message = await (await stage.ask(lambda i: i.response.send_message("old", view=RenameView()))).response()
    modal = await (await stage.discord.press(world.alice, message, label="Rename")).modal()
    changed = await (await stage.discord.submit(world.alice, modal, {"name": "new"})).response()
    assert (changed.id, changed.content) == (message.id, "new")


async def test_follow_ups_come_after_the_answer_and_can_be_edited_and_deleted(stage: SpecimenStage) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("first")
        second = await interaction.followup.send("second", wait=True)
        await second.edit(content="second, edited")
        third = await interaction.followup.send("third", ephemeral=True, wait=True)
        await third.delete()
        await interaction.followup.send("fourth")

    interaction = await stage.ask(answer)
    assert (await interaction.followup(2)).content == "fourth"
    second = await interaction.followup(0)
    assert (second.content, second.reply_to.content) == ("second, edited", "first")
    with pytest.raises(UnexpectedAnswer, match="deleted"):
        await interaction.followup(1)
    texts = [message.content for message in stage.discord.messages_in(stage.discord.world.general)]
    assert texts == ["first", "second, edited", "fourth"]


async def test_the_first_follow_up_fills_a_deferred_answer_and_keeps_its_visibility(stage: SpecimenStage) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        await interaction.response.defer(ephemeral=True)
        await interaction.followup.send("filled in", ephemeral=False)

    interaction = await stage.ask(answer)
    message = await interaction.response()
    assert (message.content, message.is_ephemeral) == ("filled in", True)
    assert len(stage.discord.messages_in(stage.discord.world.general)) == 1


async def test_an_answer_that_is_late_fails_with_unknown_interaction(stage: SpecimenStage, clock: Clock) -> None:
    go = asyncio.Event()

    async def answer(interaction: discord.Interaction) -> None:
        await go.wait()
        await interaction.response.send_message("too late")

    interaction = await stage.ask(answer)
    clock.turn(interactions.DEADLINE + 0.1)
    with pytest.raises(InteractionFailed, match="did not respond to alice's 'specimen'"):
        await interaction.acknowledged()
    go.set()
    [error] = await stage.errors(1)
    assert isinstance(error, discord.NotFound) and error.code == 10062


async def test_a_second_answer_fails_as_already_acknowledged(stage: SpecimenStage) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("one")
        interaction.response._response_type = None
        await interaction.response.send_message("two")

    await (await stage.ask(answer)).response()
    [error] = await stage.errors(1)
    assert isinstance(error, discord.HTTPException) and error.code == 40060


async def test_the_token_dies_after_fifteen_minutes_but_the_channel_still_edits(
    stage: SpecimenStage, clock: Clock
) -> None:
    deferred, go = asyncio.Event(), asyncio.Event()

    async def answer(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        message = await interaction.original_response()
        deferred.set()
        await go.wait()
        with pytest.raises(discord.HTTPException) as refusal:
            await interaction.edit_original_response(content="by token")
        stage.bot.seen.append((refusal.value.status, refusal.value.code))
        await interaction.channel.get_partial_message(message.id).edit(content="by channel")

    interaction = await stage.ask(answer)
    await deferred.wait()
    clock.turn(15 * MINUTE + 1)
    go.set()
    assert (await interaction.response()).content == "by channel"
    assert stage.bot.seen == [(401, 50027)]


async def test_following_up_before_any_answer_is_an_unknown_webhook(stage: SpecimenStage) -> None:
    await stage.ask(lambda i: i.followup.send("hello"))
    [error] = await stage.errors(1)
    assert isinstance(error, discord.NotFound) and error.code == 10015


async def test_a_deleted_answer_is_an_unknown_message(stage: SpecimenStage) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("gone soon")
        await interaction.delete_original_response()
        await interaction.edit_original_response(content="anyone?")

    await stage.ask(answer)
    [error] = await stage.errors(1)
    assert isinstance(error, discord.NotFound) and error.code == 10008


async def test_in_user_installs_only_the_interaction_and_five_follow_ups_remain(stage: SpecimenStage) -> None:
    world = stage.discord.world

    async def answer(interaction: discord.Interaction) -> None:
        assert interaction.is_user_integration() and not interaction.is_guild_integration()
        await interaction.response.send_message("first")
        for number in range(6):
            try:
                await interaction.followup.send(str(number))
            except discord.HTTPException as error:
                stage.bot.seen.append(error.code)
        with pytest.raises(discord.Forbidden) as refusal:
            await stage.bot.http.send_message(world.lounge.id, params=discord.http.handle_message_parameters("hello"))
        stage.bot.seen.append(refusal.value.code)
        dm = await interaction.user.create_dm()
        await dm.send("in private")

    stage.bot.answer = answer
    await stage.discord.slash(world.carol, world.lounge, "specimen")
    await stage.discord.wait_for_message(stage.discord.dm(world.carol), lambda m: m.content == "in private")
    assert stage.bot.seen == [40094, 50001]
    with pytest.raises(ClientRefused, match="installed neither"):
        await stage.discord.slash(world.bob, world.lounge, "specimen")


async def test_private_channels_work_like_servers(stage: SpecimenStage) -> None:
    world = stage.discord.world
    dm = stage.discord.dm(world.alice)
    message = await (await stage.discord.slash(world.alice, dm, "anima imagine", prompt="secret")).response()
    assert (await (await stage.discord.press(world.alice, message, label="Re-roll")).response()).content == "seed 8"
    group = await stage.discord.slash(world.carol, world.group, "anima imagine", prompt="club")
    assert (await group.response()).content == "club"


async def test_the_bot_sees_the_users_language_and_limits(stage: SpecimenStage) -> None:
    world = stage.discord.world

    async def answer(interaction: discord.Interaction) -> None:
        stage.bot.seen.append((interaction.locale.value, interaction.filesize_limit, interaction.app_permissions))
        await interaction.response.send_message("ok")

    stage.bot.answer = answer
    await (await stage.discord.slash(world.bob, world.general, "specimen")).response()
    [(locale, limit, permissions)] = stage.bot.seen
    assert (locale, limit) == ("de", 10 * 2**20)
    assert permissions.attach_files and not permissions.manage_messages


async def test_a_wait_that_ends_in_vain_says_what_happened_instead(stage: SpecimenStage) -> None:
    world = stage.discord.world
    await (await stage.ask(lambda i: i.response.send_message("hello"))).response()
    with pytest.raises(TimeoutError, match=r"such a message in #general.*message_create.*hello"):
        await stage.discord.wait_for_message(world.general, lambda m: m.content == "bye", timeout=0.05)


async def test_mentions_notify_only_whom_the_bot_allows(stage: SpecimenStage) -> None:
    world = stage.discord.world
    text = f"<@{world.alice.id}> <@{world.bob.id}> @everyone"

    async def answer(interaction: discord.Interaction) -> None:
        only_alice = discord.AllowedMentions(users=[discord.Object(world.alice.id)])
        await interaction.response.send_message(text, allowed_mentions=only_alice)

    message = await (await stage.ask(answer)).response()
    assert (message.mentions.users, message.mentions.everyone) == ((world.alice,), False)


async def test_a_picture_sent_at_once_is_an_answer_too(stage: SpecimenStage) -> None:
    file = discord.File(io.BytesIO(b"abc"), "a b.png")
    message = await (await stage.ask(lambda i: i.response.send_message(file=file))).response()
    assert (message.attachments[0].filename, message.attachments[0].data) == ("a_b.png", b"abc")


async def test_boxes_and_people_of_a_form_stay_as_they_came_or_are_chosen_again(stage: SpecimenStage) -> None:
    world = stage.discord.world
    boxes = [discord.CheckboxGroupOption(label=name, value=name, default=name != "C") for name in "ABC"]
    extras = discord.ui.Label(text="Extras", component=discord.ui.CheckboxGroup(custom_id="extras", options=boxes))
    who = discord.ui.Label(
        text="Who", component=discord.ui.UserSelect(custom_id="who", default_values=[discord.Object(world.bob.id)])
    )

    class Boxes(discord.ui.Modal, title="Boxes"):
        async def on_submit(self, interaction: discord.Interaction) -> None:
            names = [user.name for user in who.component.values]
            await interaction.response.send_message(f"{extras.component.values} {names}")

    async def ask(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Boxes().add_item(extras).add_item(who))

    for values, answer in (
        ({}, "['A', 'B'] ['bob']"),
        ({"Extras": ["A", "B", "C"], "Who": [world.emi]}, "['A', 'B', 'C'] ['emi']"),
    ):
        modal = await (await stage.ask(ask)).modal()
        assert (await (await stage.discord.submit(world.alice, modal, values)).response()).content == answer
    modal = await (await stage.ask(ask)).modal()
    with pytest.raises(ClientRefused, match="takes 1 to 3 values, not 0"):
        await stage.discord.submit(world.alice, modal, {"Extras": []})


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({"max_values": 4}, "the 3 options"),
        ({"min_values": 3, "max_values": 2}, "not below min_values"),
        ({"max_values": 1}, "More defaults"),
    ],
)
async def test_boxes_that_cannot_be_are_refused(stage: SpecimenStage, limits: dict[str, int], complaint: str) -> None:
    boxes = [discord.CheckboxGroupOption(label=name, value=name, default=name != "C") for name in "ABC"]

    async def ask(interaction: discord.Interaction) -> None:
        modal = discord.ui.Modal(title="Boxes")
        group = discord.ui.CheckboxGroup(custom_id="g", options=boxes, **limits)
        await interaction.response.send_modal(modal.add_item(discord.ui.Label(text="Extras", component=group)))

    await stage.ask(ask)
    [error] = await stage.errors(1)
    assert complaint in str(error)
