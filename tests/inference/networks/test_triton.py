"""Where triton is missing or does not work, images are generated uncompiled."""

import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch._inductor.exc import TritonMissing

import inference.networks.compile as compiling
from inference import Engine, GenerationRequest
from inference.networks.compile import compile_blocks, has_triton, leave_uncompiled, why_not_compiled
from inference.pool import models as pool_models
from inference.weights.checkpoint import ModelFiles
from tests.golden import MODELS, relative_error

REQUEST = GenerationRequest("1girl", width=64, height=64, steps=2, seed=7)

WITHOUT_TRITON = """
import sys
sys.modules["triton"] = None  # importing it raises ModuleNotFoundError, as on Windows
from inference.networks.compile import has_triton
sys.exit(has_triton())
"""


def test_a_gpu_without_triton_compiles_nothing_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "has_triton", lambda: False)
    sentence = why_not_compiled("cuda:1")
    assert sentence is not None and "pip install triton" in sentence
    monkeypatch.setattr(compiling, "sys", SimpleNamespace(platform="win32"))
    sentence = why_not_compiled("cuda")
    assert sentence is not None and '"anima-bot[windows-compile]"' in sentence


def test_with_triton_and_without_a_gpu_there_is_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "has_triton", lambda: True)
    assert why_not_compiled("cuda") is None
    monkeypatch.setattr(compiling, "has_triton", lambda: False)
    assert why_not_compiled("cpu") is why_not_compiled("mps") is None


def test_a_missing_package_is_reported() -> None:
    assert subprocess.run([sys.executable, "-c", WITHOUT_TRITON], check=False).returncode == 0


def test_a_torch_without_the_private_function_counts_as_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils._triton", None)
    assert not has_triton()


@pytest.mark.parametrize("why", [None, "The blocks are not compiled."])
def test_models_are_compiled_exactly_where_they_can_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, why: str | None
) -> None:
    compiled: list[object] = []
    files = ModelFiles.find(MODELS)
    monkeypatch.setattr(pool_models, "compile_blocks", compiled.append)
    monkeypatch.setattr(pool_models, "why_not_compiled", lambda _device: why)
    monkeypatch.setattr(pool_models, "why_not_kept", lambda: None)
    monkeypatch.setattr(pool_models, "DiffusionModel", lambda *_: SimpleNamespace(transformer="blocks", size=0))
    monkeypatch.setattr(pool_models, "free_memory", lambda _device: 1 << 40)
    with caplog.at_level(logging.WARNING):
        models = pool_models.DiffusionModels(files, torch.device("cuda"), torch.float32)
    assert compiled == ([] if why else ["blocks"])
    assert models.compiles == (why is None)
    assert [record.getMessage() for record in caplog.records] == ([why] if why else [])


@pytest.mark.parametrize(("device", "is_said"), [("cuda", True), ("cpu", False)])
def test_where_compiled_code_is_not_kept_an_engine_that_compiles_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, device: str, is_said: bool
) -> None:
    monkeypatch.setattr(pool_models, "compile_blocks", lambda _blocks: None)
    monkeypatch.setattr(pool_models, "why_not_compiled", lambda _device: None)
    monkeypatch.setattr(pool_models, "why_not_kept", lambda: "It is not kept.")
    monkeypatch.setattr(pool_models, "DiffusionModel", lambda *_: SimpleNamespace(transformer="blocks", size=0))
    monkeypatch.setattr(pool_models, "free_memory", lambda _device: 1 << 40)
    with caplog.at_level(logging.WARNING):
        pool_models.DiffusionModels(ModelFiles.find(MODELS), torch.device(device), torch.float32)
    assert [record.getMessage() for record in caplog.records] == (["It is not kept."] if is_said else [])


def test_a_broken_triton_is_not_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    torch._dynamo.reset()

    def missing(_graph: object, _inputs: object) -> None:
        raise TritonMissing(None)

    plain = Engine.load(MODELS, device="cpu").generate([REQUEST])[0]
    engine = Engine.load(MODELS, device="cpu")
    compile_blocks(engine.transformer, backend=missing)  # type: ignore[arg-type]
    monkeypatch.setattr(engine._models, "compiles", True)
    with caplog.at_level(logging.WARNING):
        engine.warm_up()
        engine.warm_up()
    assert [record.name for record in caplog.records] == ["inference.engine"]
    assert not engine._models.compiles
    assert relative_error(engine.generate([REQUEST])[0].latent, plain.latent) < 1e-6
    torch._dynamo.reset()


def test_blocks_are_plain_again_once_they_are_left_uncompiled() -> None:
    transformer = Engine.load(MODELS, device="cpu").transformer
    before = [block.forward for block in transformer.blocks]
    compile_blocks(transformer, backend="eager")
    assert [block.forward for block in transformer.blocks] != before
    leave_uncompiled(transformer)
    assert [block.forward for block in transformer.blocks] == before
