"""Forgets prompts and pictures once they are as old as the operator lets them become."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from bot.ops.settings import Settings
from storage.backend.transactions import StorageUnavailable
from storage.privacy import Privacy

logger = logging.getLogger(__name__)

EVERY = timedelta(hours=1)


class Housekeeping:
    """`prompts_kept`: for how long words and settings are remembered; `pictures_kept`: pictures. None: for ever."""

    def __init__(self, privacy: Privacy, settings: Settings) -> None:
        self._privacy = privacy
        self.prompts_kept = _days(settings.prompts_kept_days)
        self.pictures_kept = _days(settings.pictures_kept_days)

    async def run(self) -> None:
        """Forget now and once an hour, until cancelled; what goes wrong is tried again the next time."""
        while True:
            try:
                await self._forget()
            except StorageUnavailable as error:
                logger.warning("what is old was not forgotten: %s", error)
            except Exception:
                logger.exception("what is old was not forgotten")
            await asyncio.sleep(EVERY.total_seconds())

    async def _forget(self) -> None:
        forgotten = await self._privacy.forget_older_than(prompts=self.prompts_kept, images=self.pictures_kept)
        if forgotten.worded_jobs or forgotten.jobs:
            logger.info("forgot the words of %d jobs, and %d jobs altogether", forgotten.worded_jobs, forgotten.jobs)


def _days(days: float | None) -> timedelta | None:
    return None if days is None else timedelta(days=days)
