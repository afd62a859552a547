"""A tagger for what the miniature draws."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.miniature_tagger import write_tagger


@pytest.fixture(scope="session")
def tagger_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be read only."""
    return write_tagger(tmp_path_factory.mktemp("tagger"))


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """To be spoiled."""
    return write_tagger(tmp_path / "own")
