"""Hashes of model files."""

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from inference.metadata import file_sha256, lora_hash, model_hash


def test_the_hashes_are_those_of_civitai(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"weight": torch.arange(4.0)}, path, {"modelspec.hash_sha256": "0x" + "0" * 64, "sshs_model_hash": "0"})
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    assert file_sha256(path) == hashlib.sha256(data).hexdigest()
    assert model_hash(path) == hashlib.sha256(data).hexdigest()[:10]
    assert lora_hash(path) == hashlib.sha256(data[header:]).hexdigest()[:12]


def test_a_loras_hash_does_not_depend_on_its_description(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_file({"weight": torch.arange(4.0)}, tmp_path / name, {"ss_output_name": name})
    assert lora_hash(tmp_path / "a") == lora_hash(tmp_path / "b")
    assert model_hash(tmp_path / "a") != model_hash(tmp_path / "b")


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    os.utime(path, ns=(1, 1))
    first = model_hash(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))  # same size, same time: not seen to have changed
    assert model_hash(path) == first
    os.utime(path, ns=(1, 2))
    assert model_hash(path) == hashlib.sha256(b"two").hexdigest()[:10]


def test_a_file_that_is_no_safetensors_file_has_no_lora_hash(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"PK" * 50)
    with pytest.raises(ValueError, match=r"a\.ckpt is not a safetensors file"):
        lora_hash(path)


def test_a_missing_file_is_the_operating_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        model_hash(tmp_path / "missing")
