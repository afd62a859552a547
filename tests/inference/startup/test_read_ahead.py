"""The model's files are read while PyTorch is imported, where that is possible and the memory allows it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import inference.startup.read_ahead as reading
from inference.startup.read_ahead import expected_files, fetch, read_ahead
from inference.weights.checkpoint import ModelFiles
from tests.golden import MODELS


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODELS, tmp_path / "models"))


def test_the_files_are_those_that_the_engine_loads() -> None:
    files = ModelFiles.find(MODELS)
    assert expected_files(MODELS, None, None, None) == [
        files.transformer.path,
        files.text_encoder.path,
        files.vae.path,
    ]


def test_only_files_that_will_certainly_be_loaded_are_read_ahead(models: Path) -> None:
    [vae] = (models / "vae").iterdir()
    shutil.copy(vae, models / "vae" / "other.safetensors")
    assert not any(path.parent.name == "vae" for path in expected_files(models, None, None, None))
    assert expected_files(models, None, None, "other")[-1] == models / "vae" / "other.safetensors"
    assert expected_files(models, None, None, "other.safetensors")[-1] == models / "vae" / "other.safetensors"


def test_files_with_all_parts_leave_those_of_one_part_certain(models: Path) -> None:
    (models / "checkpoints").mkdir()
    for part in ("text_encoders", "vae"):
        [file] = (models / part).iterdir()
        shutil.copy(file, models / "checkpoints" / f"all-in-one-{part}.safetensors")
    assert [path.parent.name for path in expected_files(models, None, None, None)[1:]] == ["text_encoders", "vae"]


def test_linux_is_advised_which_files_will_be_needed(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int, int]] = []

    def advise(descriptor: int, start: int, length: int, advice: int) -> None:
        assert advice == 3
        told.append((Path(os.readlink(f"/proc/self/fd/{descriptor}")).name, start, length))

    monkeypatch.setattr(reading.os, "posix_fadvise", advise, raising=False)
    monkeypatch.setattr(reading.os, "POSIX_FADV_WILLNEED", 3, raising=False)
    monkeypatch.setattr(reading, "CHUNK_SIZE", 100_000)
    read_ahead(models, None).join()
    paths = expected_files(models, None, None, None)
    assert list(dict.fromkeys(name for name, _, _ in told)) == [path.name for path in paths]
    for path in paths:
        parts = [(start, length) for name, start, length in told if name == path.name]
        assert [start for start, _ in parts] == list(range(0, path.stat().st_size, 100_000))
        assert sum(length for _, length in parts) >= path.stat().st_size


def test_without_such_advice_the_files_are_read_to_the_end(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(reading.os, "posix_fadvise", raising=False)
    monkeypatch.setattr(reading, "CHUNK_SIZE", 1000)
    path = expected_files(models, None)[0]
    read: list[int] = []
    read_through = reading.read_through
    monkeypatch.setattr(reading, "read_through", lambda file: read.append(read_through(file)))
    assert fetch(path)
    assert read == [path.stat().st_size]


def test_files_that_would_fill_the_memory_are_not_read(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = expected_files(models, None)[0]
    monkeypatch.setattr(reading.psutil, "virtual_memory", lambda: SimpleNamespace(available=path.stat().st_size))
    assert not fetch(path)


def test_a_folder_without_models_raises_nothing(tmp_path: Path) -> None:
    thread = read_ahead(tmp_path, None)
    thread.join()
    assert not thread.is_alive()


def test_it_needs_no_pytorch() -> None:
    run = "import sys, inference.startup.read_ahead; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", run], check=False).returncode == 0
