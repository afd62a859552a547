"""Jobs and pictures as the tests ask for them."""

from itertools import count
from typing import Any

from storage.database import Database
from storage.images import NewImage
from storage.jobs import Accepted, Allowance, Job, NewJob
from storage.unanswered import UnansweredRequest

ALICE, BOB, ADMIN = 1001, 1002, 1003
GUILD, CHANNEL, MESSAGE = 2001, 3001, 4001
UNLIMITED = Allowance()

_interactions = count(9_000_000)


def an_imagine(**changes: Any) -> NewJob:
    asked: dict[str, Any] = {
        "interaction_id": next(_interactions),
        "user_id": ALICE,
        "guild_id": GUILD,
        "channel_id": CHANNEL,
        "kind": "imagine",
        "cost": 1.0,
        "prompt": "red hair, blue background",
    }
    return NewJob(**asked | changes)


def an_image(index: int = 0, **changes: Any) -> NewImage:
    drawn: dict[str, Any] = {
        "prompt": "red hair, blue background",
        "seed": 7,
        "width": 1024,
        "height": 1024,
        "file_name": f"{index}.png",
        "content": b"the file",
        "metadata": "red hair, blue background\nSteps: 30",
        "notes": ("The LoRA ink is used without 2 keys.",),
    }
    return NewImage(index=index, **drawn | changes)


async def accepted(database: Database, **changes: Any) -> Job:
    verdict = await database.jobs.accept(an_imagine(**changes), UNLIMITED)
    assert isinstance(verdict, Accepted)
    return verdict.job


async def running(database: Database, **changes: Any) -> Job:
    job = await accepted(database, **changes)
    assert [job.id] == [started.id for started in await database.jobs.start([job.id])]
    return job


async def rendered(database: Database, images: int = 1, **changes: Any) -> Job:
    job = await running(database, **changes)
    drawn = [an_image(index, prompt=job.prompt) for index in range(images)]
    assert await database.jobs.rendered(job.id, drawn)
    return job


async def delivered(database: Database, images: int = 1, message_id: int = MESSAGE, **changes: Any) -> Job:
    job = await rendered(database, images, **changes)
    attachments = {index: message_id * 10 + index for index in range(images)}
    assert await database.jobs.delivered(
        job.id, channel_id=job.channel_id, message_id=message_id, attachments=attachments
    )
    return job


def a_request(prompt: str = "1girl", interaction_id: int = 77, user_id: int = ALICE) -> UnansweredRequest:
    """What Discord sent, which names others too."""
    data = {"name": "imagine", "options": [{"name": "prompt", "value": prompt}], "resolved": {"users": {str(BOB): {}}}}
    return UnansweredRequest(
        interaction_id=interaction_id,
        interaction_token="token",
        user_id=user_id,
        payload={"id": str(interaction_id), "data": data, "message": {"author": {"id": str(BOB)}}},
        private=False,
    )
