"""A stored job as the queue sees it."""

from __future__ import annotations

from bot.generation.spec import JobSpec
from bot.jobs.queue import QueuedJob
from storage.jobs import Job


def queued_job(job: Job) -> QueuedJob:
    """The queue's entry for an accepted job. One that failed before is drawn alone the next time."""
    spec = JobSpec.of(job)
    batch_key = spec.batch_key() if job.attempts == 0 else ("alone", job.id)
    tokens = max(recipe.tokens for recipe in spec.recipes)
    return QueuedJob(job.id, job.user_id, job.cost, len(spec.recipes), batch_key, spec.models, tokens)
