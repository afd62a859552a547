"""Tests of one `xdist_group` run in one process, one after another: two of them would disturb each other."""

import pytest


@pytest.mark.xdist_group("groups")
def test_pytest_xdist_sees_the_group(request: pytest.FixtureRequest) -> None:
    """It appends the group to the test's id, by a private attribute that a release of pytest may rename."""
    if request.config.getoption("dist") != "loadgroup":
        pytest.skip("groups are not kept together with these options")
    assert request.node.nodeid.endswith("@groups")
