"""Deletes images: their message in Discord, and their entry in the history."""

from __future__ import annotations

import logging

import discord

from bot.client import AnimaClient
from bot.components.base import AnimaInteraction
from bot.components.moderation.permission import may_moderate
from bot.generation.spec import JobSpec
from bot.jobs.delivery.outbox import retry
from bot.jobs.delivery.refusals import is_temporary
from bot.text.translation import say
from storage.jobs import LIVE, Job

logger = logging.getLogger(__name__)


async def may_delete(interaction: AnimaInteraction, job: Job) -> bool:
    """The user who asked for it, and anyone who may delete its message. Nobody else sees a private job's message."""
    return job.user_id == interaction.user.id or (not job.private and await may_moderate(interaction, job))


async def delete_job(client: AnimaClient, job: Job, by: int) -> str:
    """Deletes a job's message and images, also in the gallery; returns the result for the user with the id `by`."""
    if job.state in LIVE and not await client.cancellation.cancel(job, by=by):
        job = await client.database.jobs.get(job.id) or job  # delivered meanwhile, and maybe in another message
    if job.message_id is None:
        return say("There is no message to delete.")
    gone = await delete_images(client, job.id, job.channel_id, job.message_id, private=job.private)
    if by != job.user_id:
        await client.moderation.deleted(job, by=by)
    if gone:
        return say("Deleted.")
    if by == job.user_id:
        return say("Removed from your history. I can't delete its message, so please delete it yourself.")
    return say(
        "Removed from {who}'s history. I can't delete the message, so please delete it yourself.",
        who=f"<@{job.user_id}>",
    )


async def delete_images(client: AnimaClient, job_id: int, channel_id: int, message_id: int, *, private: bool) -> bool:
    """Delete a job's message, its images' posts in the gallery, and its images. Returns whether the message is gone.

    The message first: if that is as far as it gets, the images are still there to be deleted. Of the private ones the
    bot reaches those that it sent as private messages, and the others for as long as a token is valid.
    """
    job = await client.database.jobs.get(job_id)
    gone = job is not None and await _delete_by_token(client, job, message_id)
    if not gone and (not private or (job is not None and job.is_private_message)):
        gone = await delete_message(client, channel_id, message_id)
    await client.gallery.remove_of_job(job_id)
    await client.database.images.delete_message(message_id)
    return gone


async def _delete_by_token(client: AnimaClient, job: Job, message_id: int) -> bool:
    """Delete a job's message that the bot cannot reach otherwise, while the interaction's token is valid."""
    by_token_only = (job.private or JobSpec.is_by_token_only(job)) and not job.is_private_message
    if not by_token_only or job.message_id != message_id:
        return False
    if job.interaction_token is None or client.application_id is None:
        return False
    webhook = discord.Webhook.partial(client.application_id, job.interaction_token, client=client)
    try:
        await retry(lambda: webhook.delete_message(message_id), is_temporary)
    except discord.HTTPException as error:
        logger.info("message %d could not be deleted by its interaction's token (%s)", message_id, error)
        return False
    return True


async def delete_message(client: discord.Client, channel_id: int, message_id: int) -> bool:
    """Delete one of the bot's messages. True: it is gone, by this or already; False: the bot cannot reach it.

    Waits for as long as Discord cannot be reached: somebody whose data was erased cannot ask for it again.
    """
    message = client.get_partial_messageable(channel_id).get_partial_message(message_id)
    try:
        await retry(message.delete, is_temporary)
    except discord.NotFound:
        return True
    except discord.HTTPException as error:
        logger.info("message %d could not be deleted (%s)", message_id, error)
        return False
    return True
