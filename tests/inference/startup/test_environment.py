"""Where compiled code is kept between starts."""

import os
import re
from functools import partial
from pathlib import Path

import pytest

from inference.process import EngineFailed, EngineProcess
from inference.startup import preparation
from inference.startup.environment import cache_folder, set_up_environment
from tests.inference.startup.reporting_load import report

COMPILED = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*COMPILED, "XDG_CACHE_HOME", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is as before after the test
        monkeypatch.delenv(name)


def test_compiled_code_is_kept_in_the_operators_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache" / "anima-bot"


@pytest.mark.parametrize("xdg", ["", "relative/cache"])
def test_without_one_it_is_the_homes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, xdg: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_folder() == tmp_path / ".cache" / "anima-bot"


def test_where_none_can_be_made_pytorch_uses_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cache_folder() is None
    set_up_environment()
    assert not any(name in os.environ for name in COMPILED)


def test_what_the_operator_set_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TRITON_CACHE_DIR", "elsewhere")
    set_up_environment()
    assert os.environ["TRITON_CACHE_DIR"] == "elsewhere"
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "anima-bot" / "inductor")


def test_pytorch_finds_it_there_in_an_engines_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(preparation, "_preparation", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    process = EngineProcess(partial(report, COMPILED))  # type: ignore[arg-type]
    with pytest.raises(EngineFailed, match=re.escape(f"{tmp_path}/anima-bot/inductor {tmp_path}/anima-bot/triton")):
        process.start()
    process.stop()
