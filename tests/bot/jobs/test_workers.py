"""Several engines draw side by side: who draws what, and what becomes of an engine's batch when it dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.jobs import engines
from bot.jobs.engines import engine_devices
from bot.jobs.queue_entry import queued_job
from bot.ops.shutdown import Shutdown
from bot.sandbox import FakeDiscord
from inference import CheckpointError, EngineDescription
from inference.process import EngineDied, EngineFailed
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.fake_engine import FakeEngine
from tests.bot.harness import TIMEOUT, Stage, until
from tests.header_only import write_diffusion_model


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MIN_START_DELAY", 0.01)


async def test_an_engine_whose_process_cannot_be_started_is_started_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, errors = stage.engine.start, [OSError(12, "Cannot allocate memory"), OSError(24, "Too many open files")]

    def start_without_memory() -> EngineDescription:
        if errors:
            raise errors.pop()
        return start()

    stage.engine.start = start_without_memory  # type: ignore[method-assign]
    stage.engine.errors = [EngineDied("gone")]
    await stage.draw("1girl")
    assert not errors and stage.client.failure is None


@pytest.fixture
async def pair(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    """A bot with two engines, `fake` and `other`."""
    stage = Stage(standin, tmp_path)
    stage.more_engines["other"] = FakeEngine()
    await stage.start()
    await until(lambda: _all_loaded(stage))
    yield stage
    await stage.stop()


async def _all_loaded(stage: Stage) -> bool:
    return all(engine.loaded for engine in stage.client.workers.engines())


def states(stage: Stage) -> list[str]:
    return sorted(engine.state for engine in stage.client.workers.engines())


def fakes(stage: Stage) -> list[FakeEngine]:
    return [stage.engine, *stage.more_engines.values()]


async def both_drawing(stage: Stage) -> dict[FakeEngine, Job]:
    """Each engine, held, with its current job."""
    for engine in fakes(stage):
        engine.hold()
    for person in (stage.alice, stage.bob):
        await stage.in_state((await stage.ask(f"of {person.id}", person)).id, JobState.RUNNING)
    await until(lambda: _true(all(engine.batches for engine in fakes(stage))))
    jobs = await stage.database.jobs.live()
    return {
        engine: next(job for job in jobs if engine.batches[0][0].prompt.endswith(job.prompt)) for engine in fakes(stage)
    }


async def _true(value: bool) -> bool:
    return value


async def test_two_jobs_are_drawn_at_the_same_time(pair: Stage) -> None:
    jobs = await both_drawing(pair)
    assert states(pair) == ["drawing", "drawing"]
    for engine in jobs:
        engine.let_go()
    for job in jobs.values():
        await pair.in_state(job.id, JobState.DELIVERED)


async def test_a_dead_engines_batch_is_drawn_by_the_other_while_it_rests(
    pair: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MIN_START_DELAY", TIMEOUT)
    (dying, its_job), (other, other_job) = (await both_drawing(pair)).items()
    dying.deadly = its_job.prompt
    dying.let_go()
    await until(lambda: _true(states(pair) == ["drawing", "resting"]))
    other.let_go()
    await pair.in_state(other_job.id, JobState.DELIVERED)
    assert (await pair.in_state(its_job.id, JobState.DELIVERED)).attempts == 2
    assert [len(engine.batches) for engine in (dying, other)] == [1, 2]
    await pair.draw("the next one")
    assert dying.starts == 1


async def test_a_dead_engine_draws_again_after_its_rest(pair: Stage) -> None:
    (dying, its_job), (other, _) = (await both_drawing(pair)).items()
    dying.deadly = its_job.prompt
    dying.let_go()
    dying.hold()  # the batches after the one that it dies of
    await until(lambda: _true(dying.starts == 2))
    dying.deadly = None
    dying.let_go()
    assert (await pair.in_state(its_job.id, JobState.DELIVERED)).attempts == 2, "the other is held"
    other.let_go()


async def test_an_engine_that_dies_while_idle_is_restarted_before_the_next_job(
    pair: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "CHECK_INTERVAL", 0.01)
    await pair.draw("both look more often from here on")
    await pair.draw("so that both have drawn")
    monkeypatch.setattr(engines, "MIN_START_DELAY", TIMEOUT)
    pair.engine.death = EngineDied("killed")
    await until(lambda: _true("resting" in states(pair)))
    job, _ = await pair.draw("by the other")
    assert job.attempts == 1


async def test_a_dead_idle_engine_is_reloaded_without_a_job(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CHECK_INTERVAL", 0.01)
    await stage.draw("from here on it is looked at more often")
    stage.engine.death = EngineDied("killed")
    await until(lambda: _true(stage.engine.starts == 2 and states(stage) == ["idle"]))
    job, _ = await stage.draw("by the new one")
    assert job.attempts == 1


async def test_an_idle_engine_that_keeps_dying_rests_longer_each_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []

    async def rest(engine: engines.SupervisedEngine, seconds: float) -> None:
        rests.append(seconds)
        if len(rests) < 3:
            stage.engine.death = EngineDied("killed")

    monkeypatch.setattr(engines.SupervisedEngine, "_sleep", rest)
    monkeypatch.setattr(engines, "CHECK_INTERVAL", 0.01)
    await stage.draw("from here on it is looked at more often")
    stage.engine.death = EngineDied("killed")
    await until(lambda: _true(len(rests) == 3 and states(stage) == ["idle"]))
    assert rests == [engines.MIN_START_DELAY * factor for factor in (1, 2, 4)]


async def test_the_rest_has_a_limit_however_often_an_engine_died(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    async def rest(engine: engines.SupervisedEngine, seconds: float) -> None:
        rests.append(seconds)

    monkeypatch.setattr(engines.SupervisedEngine, "_sleep", rest)
    engine = engines.SupervisedEngine("fake", FakeEngine(), lambda engine: None)
    engine._idle_deaths = 2000
    await engine.restart()
    assert rests == [engines.MAX_START_DELAY] and engine.loaded


async def test_each_death_without_a_picture_in_between_makes_the_rest_longer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []

    async def rest(engine: engines.SupervisedEngine, seconds: float) -> None:
        rests.append(seconds)

    monkeypatch.setattr(engines.SupervisedEngine, "_sleep", rest)
    stage.engine.errors = [EngineDied("killed"), EngineDied("killed")]
    await stage.in_state((await stage.ask("fails twice")).id, JobState.FAILED)
    await stage.draw("drawn")
    stage.engine.errors = [EngineDied("killed")]
    await stage.draw("drawn in the end")
    assert rests == [0.01, 0.02, 0.01]


async def test_an_engine_that_keeps_failing_at_batches_is_restarted(stage: Stage) -> None:
    stage.engine.errors = [EngineFailed("CUDA error: an illegal memory access was encountered")] * 2
    await stage.in_state((await stage.ask("fails twice")).id, JobState.FAILED)
    await stage.draw("the next one")
    assert stage.engine.starts == 2


async def test_commands_are_accepted_while_there_are_as_many_busy_engines_as_threads(pair: Stage) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    for engine in (pair.engine, pair.more_engines["other"]):
        engine.hold()
    busy = [await pair.ask("busy", person) for person in (pair.alice, pair.bob)]
    for job in busy:
        await pair.in_state(job.id, JobState.RUNNING)
    waiting = await pair.ask("accepted", pair.alice)
    for engine in (pair.engine, pair.more_engines["other"]):
        engine.let_go()
    await pair.in_state(waiting.id, JobState.DELIVERED)


async def test_the_bot_draws_with_one_engine_while_the_other_cannot_be_loaded(
    standin: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(standin, tmp_path)
    stage.more_engines["other"] = broken = FakeEngine()

    def fails() -> EngineDescription:
        raise CheckpointError("There is no device 'cuda:7'.")

    monkeypatch.setattr(broken, "start", fails)
    await stage.start()
    await until(lambda: _true(stage.client.workers.loaded))
    await stage.draw("1girl")
    await until(lambda: _true(states(stage) == ["idle", "resting"]))
    monkeypatch.undo()
    monkeypatch.setattr(engines, "MIN_START_DELAY", 0.01)
    await stage.stop()


async def test_a_bot_without_any_loadable_engine_exits_and_says_why(
    standin: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(engine: FakeEngine) -> EngineDescription:
        raise CheckpointError("There is no model.")

    monkeypatch.setattr(FakeEngine, "start", fails)
    stage = Stage(standin, tmp_path)
    stage.more_engines["other"] = FakeEngine()
    await stage.start()
    await asyncio.wait_for(stage._running, TIMEOUT)
    assert stage.client.is_closed() and str(stage.client.failure) == "There is no model."
    await stage.database.close()


async def test_only_the_engine_that_has_a_cancelled_job_stops_drawing(pair: Stage) -> None:
    (first, its_job), (other, other_job) = (await both_drawing(pair)).items()
    assert await pair.client.cancellation.cancel(its_job, by=its_job.user_id)
    await until(lambda: _true(first.cancelled == 1))
    assert other.cancelled == 0
    other.let_go()
    await pair.in_state(other_job.id, JobState.DELIVERED)


async def test_a_shutdown_waits_for_the_batches_of_all_engines(pair: Stage) -> None:
    jobs = await both_drawing(pair)
    leaving = asyncio.create_task(pair.client.shut_down(Shutdown(grace=TIMEOUT)))
    for engine, job in jobs.items():
        await asyncio.sleep(0)
        assert not leaving.done()
        engine.let_go()
        await pair.in_state(job.id, JobState.DELIVERED)
    await asyncio.wait_for(leaving, TIMEOUT)


async def test_a_shutdown_does_not_wait_for_an_engine_that_died(pair: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MIN_START_DELAY", TIMEOUT)
    (dying, its_job), (other, other_job) = (await both_drawing(pair)).items()
    leaving = asyncio.create_task(pair.client.shut_down(Shutdown(grace=TIMEOUT)))
    dying.deadly = its_job.prompt
    dying.let_go()
    other.let_go()
    await asyncio.wait_for(leaving, TIMEOUT)
    assert (await pair.in_state(other_job.id, JobState.DELIVERED)).attempts == 1
    assert (await pair.in_state(its_job.id, JobState.QUEUED)).attempts == 1


async def test_workers_that_are_cancelled_stop_within_a_step_and_may_run_again(
    pair: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = await both_drawing(pair)
    # Otherwise the client would run them again too.
    monkeypatch.setattr(pair.database.claim, "until_held", asyncio.Event().wait)
    workers = pair.client.workers
    for task in [task for task in asyncio.all_tasks() if task.get_name() == "drawing"]:
        task.cancel()
    for job in jobs.values():
        assert (await pair.in_state(job.id, JobState.QUEUED)).attempts == 0, "it is not the job's fault"
    await until(lambda: _true([engine.cancelled for engine in jobs] == [1, 1]))
    assert states(pair) == ["idle", "idle"]
    for engine in jobs:
        engine.let_go()
    for job in jobs.values():
        pair.client.queue.put(queued_job(job))
    again = asyncio.create_task(workers.run())
    for job in jobs.values():
        await pair.in_state(job.id, JobState.DELIVERED)
    assert [engine.starts for engine in jobs] == [1, 1]
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


async def test_an_engine_has_the_models_at_hand_that_it_names_and_the_default_one_without_a_name() -> None:
    client = FakeEngine()
    client.loaded_models = ("base",)
    engine = engines.SupervisedEngine("cpu", client, lambda _: None)
    await engine.start()
    assert engine.models_on_device == {"base", ""}
    client.loaded_models = ("aesthetic", "base")
    assert engine.models_on_device == {"aesthetic", "base", ""}
    client.loaded_models = ("aesthetic",)
    assert engine.models_on_device == {"aesthetic"}
    client.loaded_models = ()
    assert engine.models_on_device is None


async def test_jobs_for_the_loaded_model_go_first(stage: Stage) -> None:
    for name in (names := ("anima-turbo-v1.0", "anima-base-v1.0")):
        write_diffusion_model(stage.models / "diffusion_models" / f"{name}.safetensors", modelspec__resolution="64x64")
    stage.engine.loaded_models = names[1:]
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob, steps=1)).id, JobState.RUNNING)
    jobs = [
        await stage.ask(f"number {number}", person, model=names[number % 2])
        for number, person in enumerate((stage.alice, stage.bob, stage.alice, stage.bob))
    ]
    stage.engine.let_go()
    for job in jobs:
        await stage.in_state(job.id, JobState.DELIVERED)
    _, *batches = stage.engine.batches
    assert [[request.prompt[-1] for request in batch] for batch in batches] == [["1", "3"], ["0", "2"]]


def test_each_device_has_an_engine_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_devices(["auto"]) == {"auto": "auto"}
    assert engine_devices(["cuda:0", "cuda:1"]) == {"cuda:0": "cuda:0", "cuda:1": "cuda:1"}
    assert engine_devices(["cpu", "cuda:0", "cpu"]) == {"cpu-1": "cpu", "cuda:0": "cuda:0", "cpu-2": "cpu"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("print(3)", {"cuda:0": "cuda:0", "cuda:1": "cuda:1", "cuda:2": "cuda:2"}),
        ("print(0)", {"auto": "auto"}),
        ("raise SystemExit(1)", {"auto": "auto"}),
    ],
)
def test_all_means_every_gpu_that_pytorch_sees(
    said: str, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "COUNT_GPUS", said)
    assert engine_devices(["all"]) == expected


@pytest.fixture
async def cluster(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    """A bot with two engines of other machines; the second loads only once it is let to."""
    stage = Stage(standin, tmp_path)
    stage.more_engines["other"] = FakeEngine()
    for engine in fakes(stage):
        engine.model_hash, engine.loras = "0123456789", ("hats", "cats")
    stage.more_engines["other"].loaded.clear()
    await stage.start()
    await until(lambda: _true(stage.engine.starts == 1))
    yield stage
    await stage.stop()


async def test_an_engine_with_another_model_file_is_refused_and_the_others_draw(
    cluster: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    other = cluster.more_engines["other"]
    other.model_hash = "9876543210"
    other.loaded.set()
    await until(lambda: _true(other.starts >= 2))
    await cluster.draw("by the first")
    assert not other.batches
    assert "It has other files (fake, 9876543210, no turbo LoRA)" in caplog.text
    other.model_hash = cluster.engine.model_hash
    await until(lambda: _all_loaded(cluster))


async def test_an_engine_without_a_classifier_is_refused_where_the_bot_wants_one(
    standin: FakeDiscord, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its images come without a verdict, and everybody would see them."""
    stage = Stage(standin, tmp_path)
    stage.settings["picture_classifier"] = "a/classifier"
    other = stage.more_engines["other"] = FakeEngine()
    for engine in fakes(stage):
        engine.model_hash = "0123456789"
    stage.engine.classifies = True
    await stage.start()
    await until(lambda: _true(other.starts >= 2))
    await stage.draw("by the first")
    assert not other.batches
    assert "It has no classifier" in caplog.text
    other.classifies = True
    await until(lambda: _all_loaded(stage))
    await stage.stop()


async def test_users_are_offered_the_loras_that_all_machines_have(cluster: Stage) -> None:
    other = cluster.more_engines["other"]
    other.loras = ("cats", "dogs")
    other.loaded.set()
    await until(lambda: _all_loaded(cluster))
    assert cluster.client.workers.loras == {"cats"}


async def test_on_one_machine_users_are_offered_the_loras_of_its_folder(pair: Stage) -> None:
    assert pair.client.workers.loras is None
