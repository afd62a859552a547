"""*Anima: moderate…* and the buttons of reports: for moderators alone, however they are pressed."""

from __future__ import annotations

import pytest

from bot.components.moderation.panel import (
    NOT_A_MODERATOR,
    NOT_A_SERVERS_MODERATOR,
    NOT_YOURSELF,
    NOTHING_TO_MODERATE,
)
from bot.sandbox import ClientRefused, Message, User
from bot.sandbox.model.world import Permissions
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.harness import Stage, until

MENU = "Anima: moderate…"


async def moderate(stage: Stage, message: Message, user: User | None = None) -> Message:
    return await (await stage.discord.menu(user or stage.bob, message, MENU)).response()


async def is_blocked(stage: Stage, user: User) -> bool:
    return await stage.database.servers.block_of(user.id, stage.discord.world.guild.id) is not None


async def waiting(stage: Stage) -> tuple[Job, Message]:
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.emi)).id, JobState.RUNNING)
    job = await stage.ask("1girl")
    return job, await stage.discord.wait_for_message(stage.general, lambda m: m.id == job.message_id)


async def test_the_panel_names_the_asker_and_offers_three_things_to_the_moderator_alone(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    panel = await moderate(stage, message)
    assert panel.is_ephemeral and panel.visible_to == stage.bob
    assert f"<@{stage.alice.id}>" in panel.text and str(message.id) in panel.text
    assert [each["custom_id"].split(":")[2] for each in panel.inputs()] == ["delete", "block", "both"]


async def test_members_do_not_have_the_menu_and_nobody_has_it_in_private(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    with pytest.raises(ClientRefused):
        await moderate(stage, message, stage.alice)
    _, private = await stage.draw("1girl", stage.bob, stage.discord.dm(stage.bob))
    with pytest.raises(ClientRefused):
        await moderate(stage, private)


async def test_delete_removes_the_image_and_blocks_nobody(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    panel = await moderate(stage, message)
    assert "Deleted." in (await stage.turned(panel, "Delete", stage.bob)).text
    assert stage.discord.messages.get(message.id) is None
    assert not await is_blocked(stage, stage.alice)


async def test_block_keeps_the_image_and_can_be_undone(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    panel = await stage.turned(await moderate(stage, message), "Block", stage.bob)
    assert await is_blocked(stage, stage.alice) and stage.discord.messages.get(message.id) is not None
    assert "is blocked here" in panel.text
    panel = await stage.turned(panel, "Unblock", stage.bob)
    assert not await is_blocked(stage, stage.alice) and "can draw again" in panel.text


async def test_delete_and_block_of_a_queued_job_cancels_it_with_a_refund(stage: Stage) -> None:
    job, message = await waiting(stage)
    panel = await moderate(stage, message)
    assert "queued job" in panel.text.lower()
    await stage.turned(panel, "Delete and block", stage.bob)
    await stage.in_state(job.id, JobState.CANCELLED)
    assert await is_blocked(stage, stage.alice)

    async def is_gone() -> bool:
        return stage.discord.messages.get(message.id) is None

    await until(is_gone)
    stage.engine.let_go()
    await stage.draw("next", stage.emi)
    assert not any("1girl" in each.text for each in stage.discord.messages_in(stage.general))
    assert not any("1girl" in each.text for each in stage.discord.messages_in(stage.discord.dm(stage.alice)))


async def test_the_panel_works_after_a_restart(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    panel = await moderate(stage, message)
    await stage.restart()
    await stage.turned(panel, "Block", stage.bob)
    assert await is_blocked(stage, stage.alice)


@pytest.mark.parametrize("action", ["delete", "block", "both", "unblock"])
async def test_forged_buttons_of_a_member_do_nothing(stage: Stage, action: str) -> None:
    job, message = await stage.draw("1girl", stage.bob)
    sent = await stage.press_forged(message, f"anima:moderate:{action}:{job.id}", stage.alice)
    assert (await sent.response()).text == NOT_A_MODERATOR
    assert stage.discord.messages.get(message.id) is not None
    assert not await is_blocked(stage, stage.bob)


async def test_a_moderator_of_one_channel_deletes_there_and_blocks_nobody(stage: Stage) -> None:
    dan = stage.discord.world.add_user("dan", stage.discord.world.guild)
    stage.discord.set_overwrite(stage.general, dan, allow=Permissions.MANAGE_MESSAGES)
    job, message = await stage.draw("1girl")
    for action in ("block", "both", "unblock"):
        sent = await stage.press_forged(message, f"anima:moderate:{action}:{job.id}", dan)
        assert (await sent.response()).text == NOT_A_SERVERS_MODERATOR
    assert not await is_blocked(stage, stage.alice)
    other, elsewhere = await stage.draw("1girl", where=stage.discord.world.gallery)
    sent = await stage.press_forged(message, f"anima:moderate:delete:{other.id}", dan)
    assert (await sent.response()).text == NOT_A_MODERATOR
    sent = await stage.press_forged(message, f"anima:moderate:delete:{job.id}", dan)
    await sent.response()
    assert stage.discord.messages.get(message.id) is None and stage.discord.messages.get(elsewhere.id) is not None


async def test_a_private_job_and_a_foreign_message_have_nothing_to_moderate(stage: Stage) -> None:
    secret = await stage.in_state((await stage.ask("secret", private=True)).id, JobState.DELIVERED)
    _, message = await stage.draw("1girl")
    sent = await stage.press_forged(message, f"anima:moderate:block:{secret.id}", stage.bob)
    assert (await sent.response()).text == NOTHING_TO_MODERATE
    chatter = await stage.discord.say(stage.alice, stage.general, "look")
    assert (await moderate(stage, chatter)).text == NOTHING_TO_MODERATE


async def test_the_message_of_a_job_whose_image_is_in_another_one_is_moderated_too(stage: Stage) -> None:
    """It still shows the prompt."""
    thread = stage.discord.world.thread
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl", where=thread)).id, JobState.RUNNING)
    stage.discord.archive_thread(thread)
    stage.engine.let_go()
    done = await stage.in_state(job.id, JobState.DELIVERED)
    assert done.message_id != job.message_id
    panel = await moderate(stage, stage.discord.messages.get(job.message_id))
    await (await stage.press(panel, "Delete", stage.bob)).response()
    assert stage.discord.messages.get(done.message_id) is None


async def test_a_moderator_cannot_act_on_a_job_of_another_server(stage: Stage) -> None:
    """Bob owns the other server, where Carol uses the bot; its button is forged here."""
    world = stage.discord.world
    job = await stage.in_state((await stage.ask("1girl", world.carol, world.lounge)).id, JobState.DELIVERED)
    _, message = await stage.draw("1girl")
    sent = await stage.press_forged(message, f"anima:moderate:delete:{job.id}", stage.bob)
    assert (await sent.response()).text == NOT_A_MODERATOR
    assert stage.discord.messages.get(job.message_id) is not None


async def test_a_moderator_cannot_block_themselves(stage: Stage) -> None:
    _, message = await stage.draw("1girl", stage.bob)
    panel = await stage.turned(await moderate(stage, message), "Block", stage.bob)
    assert NOT_YOURSELF in panel.text and not await is_blocked(stage, stage.bob)


async def test_an_admin_without_the_permission_in_the_channel_may_moderate_too(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    panel = await moderate(stage, message, stage.discord.world.owner)
    await stage.turned(panel, "Block", stage.discord.world.owner)
    assert await is_blocked(stage, stage.alice)
