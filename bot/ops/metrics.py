"""Counters and histograms for Prometheus. None of them shows users or prompts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from inference import EncodedImage
from storage.jobs import Job
from storage.schema import JobState

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
LATENESS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """Has a registry of its own, so that several bots can run in one process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._jobs = Counter("anima_jobs", "Finished jobs by final state.", ["state"], registry=registry)
        self._credits = Counter(
            "anima_credits", "Credits of delivered jobs; a default image costs 1.", registry=registry
        )
        self._refusals = Counter("anima_refusals", "Refused requests by rule.", ["rule"], registry=registry)
        self._pictures = Counter("anima_pictures", "Images that the engine has generated.", registry=registry)
        self._stages = Histogram(
            "anima_stage_seconds",
            "Duration of each stage: waiting, drawing and posting of a delivered job; conditioning, sampling and "
            "decoding of a batch, by engine.",
            ["stage", "engine"],
            buckets=SECONDS,
            registry=registry,
        )
        self.loop_lateness = Histogram(
            "anima_event_loop_lateness_seconds",
            "How late the event loop runs its callbacks.",
            buckets=LATENESS,
            registry=registry,
        )
        self._gpu_peak = Gauge(
            "anima_gpu_memory_peak_bytes", "Peak GPU memory use of the latest batch.", ["engine"], registry=registry
        )
        self._gpu_total = Gauge("anima_gpu_memory_bytes", "Total GPU memory.", ["engine"], registry=registry)

    def ended(self, job: Job) -> None:
        self._jobs.labels(job.state.value).inc()
        if job.state is JobState.DELIVERED:
            self._credits.inc(job.cost)
            self._time("waiting", job.queued_at, job.started_at)
            self._time("drawing", job.started_at, job.rendered_at)
            self._time("posting", job.rendered_at, job.finished_at)

    def refused(self, rule: str) -> None:
        self._refusals.labels(rule).inc()

    def drawn(self, engine: str, images: Sequence[EncodedImage]) -> None:
        self._pictures.inc(len(images))
        for timings in dict.fromkeys(image.timings for image in images):  # images of one batch share them
            self._stages.labels("conditioning", engine).observe(timings.conditioning)
            self._stages.labels("sampling", engine).observe(timings.sampling)
            self._stages.labels("decoding", engine).observe(timings.decoding)
        if (memory := images[-1].gpu_memory) is not None:
            self._gpu_peak.labels(engine).set(memory.peak)
            self._gpu_total.labels(engine).set(memory.total)

    def _time(self, stage: str, begin: datetime | None, end: datetime | None) -> None:
        if begin is not None and end is not None:
            self._stages.labels(stage, "").observe((end - begin) / timedelta(seconds=1))
