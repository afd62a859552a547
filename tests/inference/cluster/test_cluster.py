"""An engine on another machine draws as one on this machine does, and its end is noticed, whatever ends it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import pytest

from inference import Engine
from inference.cluster.remote import HOST_TIMEOUT, POLL_TIMEOUT
from inference.miniature.commands import MODELS
from tests.inference.cluster.network import ROOT, SETUP, can_make_namespaces, own_folder
from tests.inference.cluster.scenario import REQUESTS

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.posix,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("cluster"),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
    pytest.mark.skipif(not can_make_namespaces(), reason="this user may not make network namespaces"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What `scenario` found, in a network namespace of its own."""
    folder = tmp_path_factory.mktemp("cluster")
    script = f"{SETUP} && exec {sys.executable} -m tests.inference.cluster.scenario {folder}"
    with own_folder() as environment:
        done = subprocess.run(
            ["unshare", "-n", "sh", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True
        )
    logs = "\n".join(f"{path.name}:\n{path.read_text(errors='replace')[-2000:]}" for path in folder.glob("*.log"))
    assert done.returncode == 0, f"{done.stderr[-4000:]}\n{logs}"
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_the_files_are_those_of_an_engine_on_this_machine(found: Mapping[str, Any]) -> None:
    engine = Engine.load(MODELS, device="cpu")
    assert found["description"] == engine.name
    assert [bytes.fromhex(png) for png in found["pngs"]] == [image.png() for image in engine.generate(REQUESTS)]


def test_a_missing_head_is_explained(found: Mapping[str, Any]) -> None:
    assert "Nothing answers at 10.99.0.1:6379" in found["no head"]


def test_a_wrong_token_is_refused_with_an_explanation(found: Mapping[str, Any]) -> None:
    code, sentence = found["wrong token"]
    assert code == 1
    assert sentence.startswith("The cluster refuses this token.")


@pytest.mark.parametrize("what", ["engine killed", "actor killed", "actor frozen"])
def test_waiting_callers_are_notified_in_time(found: Mapping[str, Any], what: str) -> None:
    struck = found[what]
    assert struck["error"]
    # Silence is counted in polls, so a busy machine takes longer; a minute would be Ray's own time.
    assert what != "actor frozen" or struck["seconds"] >= HOST_TIMEOUT
    assert struck["seconds"] < 10 * (HOST_TIMEOUT + POLL_TIMEOUT)


def test_a_killed_actor_leaves_no_engine(found: Mapping[str, Any]) -> None:
    assert found["left of the actor"] == 0


def test_after_all_that_the_engine_draws_again(found: Mapping[str, Any]) -> None:
    assert found["again"] == len(REQUESTS)


def test_a_stopped_machine_leaves_no_process(found: Mapping[str, Any]) -> None:
    assert found["left of the machine"] == []
