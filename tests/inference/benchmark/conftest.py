"""A tiny random model for the benchmark's tests."""

from pathlib import Path

import pytest
import torch

from inference.benchmark.backends import AnimaBackend
from inference.benchmark.random_model import write_random_model
from tests.inference.benchmark.tiny import CPU, TINY


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    write_random_model(folder, TINY, torch.float32)
    return folder


@pytest.fixture(scope="session")
def ours(models: Path) -> AnimaBackend:
    backend = AnimaBackend(models, CPU, torch.float32)
    backend.write_contexts(models)
    return backend
