"""Headers are read without PyTorch, and say the same as with the safetensors package."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from inference.weights.headers.header import MAX_HEADER, Header, read_metadata
from tests.golden import MODELS
from tests.header_only import write_header

TINY = MODELS / "diffusion_models" / "anima-tiny.safetensors"


def test_a_header_says_what_the_safetensors_package_says() -> None:
    header = Header.read(TINY)
    with safe_open(TINY, framework="pt") as file:
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118, no mapping
        assert (header.shapes, header.metadata) == (shapes, file.metadata() or {})
        key = min(shapes, key=len)
        assert header.content(key) == file.get_tensor(key).numpy().tobytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x02",
        struct.pack("<Q", 100) + b"{}",
        struct.pack("<Q", MAX_HEADER + 1) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 8) + b'{"a": 1}',
        struct.pack("<Q", 3) + b"\xff\xff\xff",
        struct.pack("<Q", 60) + b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'[:60],
    ],
)
def test_an_invalid_header_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"header|Expecting|decode|empty"):
        Header.read(path)
    assert read_metadata(path) == {}


def test_a_file_that_ends_before_its_tensors_is_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(TINY.read_bytes()[:-1])
    with pytest.raises(ValueError, match="its tensors end at byte"):
        Header.read(cut)


def test_metadata_is_read(tmp_path: Path) -> None:
    path = write_header(tmp_path / "a.safetensors", {"x": (2, 0)}, modelspec__anima__steps="7")
    assert read_metadata(path) == {"modelspec.anima.steps": "7"}
    assert Header.read(path).shapes == {"x": (2, 0)}


def test_a_model_is_known_without_pytorch() -> None:
    code = (
        "import sys; from pathlib import Path; from inference.weights.headers.diffusion_models import model_facts; "
        f"print(model_facts(Path({str(MODELS)!r})).name); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "anima-tiny"), done.stderr
