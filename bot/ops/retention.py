"""Deletes prompts and images after the number of days that the operator has set."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from bot.ops.settings import Settings
from storage.backend.errors import StorageUnavailable
from storage.privacy import Privacy

logger = logging.getLogger(__name__)

INTERVAL = timedelta(hours=1)


class Retention:
    """`prompts_kept`: how long prompts and settings are stored; `images_kept`: how long images. None: forever."""

    def __init__(self, privacy: Privacy, settings: Settings) -> None:
        self._privacy = privacy
        self.prompts_kept = _days(settings.prompts_kept_days)
        self.images_kept = _days(settings.pictures_kept_days)

    async def run(self) -> None:
        """Delete old data now and once an hour, until cancelled. After an error, the next round tries again."""
        while True:
            try:
                await self._forget()
            except StorageUnavailable as error:
                logger.warning("old data was not deleted: %s", error)
            except Exception:
                logger.exception("old data was not deleted")
            await asyncio.sleep(INTERVAL.total_seconds())

    async def _forget(self) -> None:
        forgotten = await self._privacy.forget_older_than(prompts=self.prompts_kept, images=self.images_kept)
        if forgotten.prompts or forgotten.jobs:
            logger.info("deleted the prompts of %d jobs, and %d whole jobs", forgotten.prompts, forgotten.jobs)


def _days(days: float | None) -> timedelta | None:
    return None if days is None else timedelta(days=days)
