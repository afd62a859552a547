"""What `anima doctor` says of a cluster."""

import socket
from pathlib import Path

import pytest

import bot.cli.cluster
from inference.cluster import examination
from inference.cluster.examination import ClusterReport
from inference.cluster.token import ensure_token
from inference.cluster.version import code_version
from tests.bot.cli.conftest import Anima
from tests.ports import free_port

Output = pytest.CaptureFixture[str]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    ensure_token(tmp_path / "token")
    monkeypatch.setattr(bot.cli.cluster, "find_spec", lambda name: name)
    monkeypatch.setenv("ANIMA_CLUSTER_TOKEN", str(tmp_path / "token"))
    monkeypatch.setenv("ANIMA_CLUSTER", "127.0.0.1:1")
    return monkeypatch


def of_the_cluster(capsys: Output) -> list[str]:
    """The lines of that part of the output, each with its mark."""
    _, _, part = capsys.readouterr().out.partition("\nCluster\n")
    return [" ".join(line.split()) for line in part.partition("\nDevice\n")[0].splitlines()]


def found(monkeypatch: pytest.MonkeyPatch, report: ClusterReport) -> None:
    monkeypatch.setattr(examination, "examine_cluster", lambda address, token_file: report)


def test_a_cluster_that_is_ready_is_described(anima: Anima, capsys: Output, cluster: pytest.MonkeyPatch) -> None:
    found(cluster, ClusterReport(machines=2, engines=3, free=1, other_versions={}))
    cluster.setenv("ANIMA_ENGINES", "10")
    assert anima("doctor") == 0
    assert of_the_cluster(capsys) == [
        f"ok the head at 127.0.0.1:1 answers, accepts the token, and runs the same version, {code_version()}",
        "ok engines: 3, of which 1 are free; machines with engines: 2; ANIMA_ENGINES is 10",
    ]


def test_engines_that_would_stay_unused_are_a_warning(
    anima: Anima, capsys: Output, cluster: pytest.MonkeyPatch
) -> None:
    found(cluster, ClusterReport(machines=2, engines=3, free=3, other_versions={"0.1.0-00000000": 2}))
    assert anima("doctor") == 0
    _, other_versions, too_few = of_the_cluster(capsys)
    assert other_versions == "warning 2 engines run 0.1.0-00000000 and are not used. Install the same version there."
    assert too_few.startswith("warning engines: 3") and "ANIMA_ENGINES is 1" in too_few


def test_a_cluster_without_engines_is_a_warning(anima: Anima, capsys: Output, cluster: pytest.MonkeyPatch) -> None:
    found(cluster, ClusterReport(machines=0, engines=0, free=0, other_versions={}))
    assert anima("doctor") == 0
    assert "`anima engine 127.0.0.1:1`" in of_the_cluster(capsys)[-1]


def test_a_head_that_does_not_answer_is_a_problem(anima: Anima, capsys: Output, cluster: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    cluster.setenv("ANIMA_CLUSTER", f"127.0.0.1:{port}")
    assert anima("doctor") == 1
    [line] = of_the_cluster(capsys)
    assert line.startswith(f"problem Nothing answers at 127.0.0.1:{port}") and "`anima cluster`" in line


def test_a_missing_token_is_a_problem(anima: Anima, capsys: Output, cluster: pytest.MonkeyPatch) -> None:
    cluster.setenv("ANIMA_CLUSTER_TOKEN", "nowhere")
    assert anima("doctor") == 1
    assert "There is no cluster token at" in of_the_cluster(capsys)[0]


def test_missing_ray_is_a_problem(anima: Anima, capsys: Output, cluster: pytest.MonkeyPatch) -> None:
    cluster.setattr(bot.cli.cluster, "find_spec", lambda name: None)
    assert anima("doctor") == 1
    assert "pip install 'anima-bot[cluster]'" in of_the_cluster(capsys)[0]


def test_a_port_that_is_in_use_is_explained_before_ray_is_started(
    anima: Anima, capsys: Output, cluster: pytest.MonkeyPatch
) -> None:
    cluster.setattr("inference.cluster.head_port.RELEASE_TIMEOUT", 0.0)
    cluster.setattr("os.execvpe", lambda *_: pytest.fail("Ray was started"))
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        port = listener.getsockname()[1]
        assert anima("cluster", "--port", str(port)) == 1
    assert f"Port {port} is already in use on this machine" in capsys.readouterr().err


def test_a_head_starts_again_after_it_was_killed(anima: Anima, cluster: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ray would take the address that the last head left in its folder for that of one that still runs."""
    port, started = free_port(), list[list[str]]()
    left = tmp_path / f"anima-ray-{port}" / "ray_current_cluster"
    left.parent.mkdir()
    left.write_text(f"127.0.0.1:{port}")
    cluster.setattr("tempfile.tempdir", str(tmp_path))

    def execute(_program: str, command: list[str], _environment: object) -> None:
        assert not left.exists() and f"--temp-dir={left.parent}" in command
        started.append(command)

    cluster.setattr("os.execvpe", execute)
    assert anima("cluster", "--port", str(port)) == 0
    assert len(started) == 1
