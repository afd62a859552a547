"""A short run of `kills.py`: one kill at each of the most dangerous moments."""

from pathlib import Path

from tests.soak.kills import soak

AIMS = (
    "acknowledged, not committed",
    "picked, not rendered",
    "rendered, never posted",
    "posted, not recorded",
    "reposted, not recorded",
    "shared, not recorded",
    "described, not shown",
    "at random",
)


async def test_killed_at_the_worst_moments_each_accepted_job_still_ends_in_one_picture(tmp_path: Path) -> None:
    report = await soak(len(AIMS), seed=7, folder=tmp_path, aims=AIMS)
    assert report.wrong == ()
    assert report.accepted == report.delivered >= 4
