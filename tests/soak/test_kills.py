"""The experiment of `kills.py` in short: one kill at each of the worst moments."""

from pathlib import Path

from tests.soak.kills import soak

AIMS = (
    "acknowledged, not committed",
    "picked, not rendered",
    "rendered, never posted",
    "posted, not recorded",
    "posted anew, not recorded",
    "at random",
)


async def test_killed_at_the_worst_moments_each_accepted_job_still_ends_in_one_picture(tmp_path: Path) -> None:
    account = await soak(len(AIMS), seed=7, folder=tmp_path, aims=AIMS)
    assert account.wrong == ()
    assert account.accepted == account.delivered >= 4
