"""Machines with other code are not part of the cluster."""

from importlib.metadata import version

from inference.cluster.version import code_version, head_mismatch, head_resource


def test_the_version_is_the_same_each_time_and_names_the_release() -> None:
    assert code_version() == code_version()
    assert code_version().startswith(f"{version('anima-bot')}-")


def test_a_head_of_the_same_code_is_no_mismatch() -> None:
    assert head_mismatch({head_resource(): 1.0, "CPU": 4.0}) is None


def test_a_head_of_other_code_is_named_in_the_sentence() -> None:
    mismatch = head_mismatch({"anima-bot-0.1.0-00000000-python-3.12.1": 1.0})
    assert mismatch is not None
    assert "0.1.0-00000000-python-3.12.1" in mismatch and code_version() in mismatch


def test_another_programs_cluster_is_refused() -> None:
    assert "not one that `anima cluster` started" in (head_mismatch({"CPU": 4.0}) or "")
