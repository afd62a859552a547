"""Where compiled code is kept between starts."""

import os
import re
from functools import partial
from pathlib import Path

import pytest

from inference.process import EngineFailed, EngineProcess
from inference.startup import preparation
from inference.startup.environment import COMPILED, cache_folder, set_up_environment, why_not_kept
from tests.inference.startup.reporting_load import report


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*COMPILED, "XDG_CACHE_HOME", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is as before after the test
        monkeypatch.delenv(name)


def test_compiled_code_is_kept_in_the_operators_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache" / "anima-bot"


@pytest.mark.parametrize("xdg", ["", "relative/cache"])
def test_by_default_compiled_code_is_kept_in_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, xdg: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_folder() == tmp_path / ".cache" / "anima-bot"


def test_without_a_writable_cache_pytorch_uses_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cache_folder() is None
    set_up_environment()
    assert not any(name in os.environ for name in COMPILED)


def test_a_folder_that_cannot_be_written_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert why_not_kept() is None
    monkeypatch.setattr(os, "access", lambda *_: False)
    sentence = why_not_kept()
    assert sentence is not None and f"{tmp_path / 'cache'} cannot be written" in sentence
    assert sentence.endswith("Set XDG_CACHE_HOME to a folder that this user can write.")
    for name in COMPILED:
        monkeypatch.setenv(name, "elsewhere")
    assert why_not_kept() is None, "the operator has chosen other folders"


def test_without_a_home_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    assert cache_folder() is None
    assert "there is no home folder" in str(why_not_kept())


def test_the_operators_own_variables_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TRITON_CACHE_DIR", "elsewhere")
    set_up_environment()
    assert os.environ["TRITON_CACHE_DIR"] == "elsewhere"
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "anima-bot" / "inductor")


def test_pytorch_finds_it_there_in_an_engines_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(preparation, "_preparation", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    process = EngineProcess(partial(report, COMPILED))  # type: ignore[arg-type]
    folder = tmp_path / "anima-bot"
    with pytest.raises(EngineFailed, match=re.escape(f"{folder / 'inductor'} {folder / 'triton'}")):
        process.start()
    process.stop()
