"""How long a silence may last follows from the stage, and from the steps that were heard."""

import pytest

from inference import Stage
from inference.watchdog import SilenceTimer, Timeouts

TIMEOUT = Timeouts(loading=1000, conditioning=100, first_step=300, step=10, decoding=50, finishing=200, median_steps=20)


def silence(stage: Stage = Stage.SAMPLING, steps: tuple[float, ...] = ()) -> SilenceTimer:
    """One in a stage of a batch whose steps came after so many seconds each."""
    silence = SilenceTimer(TIMEOUT, Stage.CONDITIONING)
    for seconds in steps:
        silence.tick(seconds)
        silence.step_done()
    silence.stage_started(stage)
    return silence


@pytest.mark.parametrize(
    ("stage", "limit"),
    [
        (Stage.LOADING, 1000),
        (Stage.CONDITIONING, 100),
        (Stage.SAMPLING, 300),
        (Stage.DECODING, 50),
        (Stage.FINISHING, 200),
    ],
)
def test_each_stage_may_be_silent_for_so_long_and_no_longer(stage: Stage, limit: float) -> None:
    quiet = silence(stage)
    quiet.tick(limit)
    assert not quiet.is_too_long
    quiet.tick(0.1)
    assert quiet.is_too_long


@pytest.mark.parametrize("stage", [Stage.SAMPLING, Stage.DECODING])
def test_any_message_ends_a_silence(stage: Stage) -> None:
    quiet = silence(stage)
    quiet.tick(1000)
    quiet.stage_started(stage)
    assert quiet.seconds == 0
    quiet.tick(1000)
    quiet.step_done()
    assert quiet.seconds == 0


def test_after_quick_steps_a_step_still_has_its_time() -> None:
    assert silence(steps=(0.1, 0.1, 0.1)).limit == 10


def test_after_slow_steps_a_step_may_be_so_many_times_slower() -> None:
    assert silence(steps=(2, 3, 4)).limit == 60
    assert silence(steps=(200,)).limit == 4000


@pytest.mark.parametrize("steps", [(200, 0.1), (200, 0.1, 0.1), (200, 0.1, 0.1, 0.1)])
def test_a_slow_first_step_does_not_make_the_others_wait_longer(steps: tuple[float, ...]) -> None:
    assert silence(steps=steps).limit == 10


def test_slow_steps_extend_the_time_for_decoding() -> None:
    assert silence(Stage.DECODING, steps=(2, 2)).limit == 50
    assert silence(Stage.DECODING, steps=(5, 5)).limit == 100


def test_another_batch_is_judged_by_its_own_steps() -> None:
    quiet = silence(Stage.CONDITIONING, steps=(100, 100))
    quiet.stage_started(Stage.SAMPLING)
    assert quiet.limit == 300
    quiet.step_done()
    assert quiet.limit == 10


def test_an_engine_that_says_only_its_steps_is_sampling() -> None:
    quiet = SilenceTimer(TIMEOUT, Stage.CONDITIONING)
    quiet.step_done()
    assert quiet.stage is Stage.SAMPLING
