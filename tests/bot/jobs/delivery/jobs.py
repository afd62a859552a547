"""Jobs for tests that have no database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bot.generation.recipe import Recipe
from bot.generation.spec import JobSpec
from storage.jobs import Job
from storage.schema import JobState

NOW = datetime(2026, 8, 1, tzinfo=UTC)


def a_job(job_id: int = 1, **changes: Any) -> Job:
    recipe = Recipe(
        prompt="1girl",
        negative_prompt="",
        width=64,
        height=64,
        steps=4,
        cfg_scale=4.0,
        sampler="er_sde",
        scheduler="simple",
        seed=1,
    )
    known: dict[str, Any] = {
        "id": job_id,
        "interaction_id": job_id,
        "user_id": 7,
        "channel_id": 8,
        "kind": "imagine",
        "cost": 1.0,
        "prompt": "1girl",
        "parameters": JobSpec(recipes=(recipe,)).as_json(),
        "state": JobState.QUEUED,
        "attempts": 0,
        "reason": None,
        "ended_by": None,
        "notified": False,
        "queued_at": NOW,
        "started_at": None,
        "rendered_at": None,
        "finished_at": None,
    }
    return Job(**known | changes)
