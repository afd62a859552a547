"""Joined projections: the same products, one copy of the numbers, and LoRA files find them by name as ever."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from inference import Engine, GenerationRequest
from inference.gpu.fused_projections import FusedProjections, fuse_projections, unfuse_projections
from inference.networks.compile import compile_blocks, graphs_compiled
from inference.pool.diffusion_model import DiffusionModel
from inference.weights.checkpoint import ModelFiles
from tests.golden import MODELS, relative_error

REQUEST = GenerationRequest("1girl, (smile:1.3)", "worst quality", width=64, height=96, steps=2, seed=7)
#: The rows of a wider product may be added up in another order.
BOUND = {"float32": 1e-6, "bfloat16": 1e-2, "float8": 1e-2}


def fused_engine(dtype: str = "float32") -> Engine:
    engine = Engine.load(MODELS, device="cpu", dtype=dtype)
    fuse_projections(engine.transformer)
    return engine


def modules(engine: Engine) -> list[FusedProjections]:
    return [module for module in engine.transformer.modules() if isinstance(module, FusedProjections)]


def are_parts_of_one(module: FusedProjections) -> bool:
    assert module.fused is not None
    storage = module.fused.untyped_storage().data_ptr()
    weights: list[Tensor] = [getattr(module, name).weight for name in module.PROJECTIONS]
    fused = torch.cat([weight.view(torch.uint8) for weight in weights])
    return torch.equal(module.fused.view(torch.uint8), fused) and all(
        weight.untyped_storage().data_ptr() == storage for weight in weights
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8"])
def test_fused_projections_draw_the_same_image(dtype: str) -> None:
    plain, fused = Engine.load(MODELS, device="cpu", dtype=dtype), fused_engine(dtype)
    for request in (REQUEST, replace(REQUEST, cfg_scale=1.0), replace(REQUEST, fast=True)):
        drawn = fused.generate([request])[0].latent
        assert relative_error(drawn, plain.generate([request])[0].latent) < BOUND[dtype]


@pytest.mark.parametrize("multiplies", [False, True])
def test_scales_of_rows_in_8_bits_are_fused_too(multiplies: bool) -> None:
    engine = fused_engine("float8")
    for module in modules(engine):
        x = torch.randn(2, 5, module.fused.shape[1], dtype=torch.bfloat16)  # type: ignore[union-attr]
        for name in module.PROJECTIONS:
            module.get_submodule(name).multiplies = multiplies  # type: ignore[assignment]
        together = torch.cat(module.projected(x), dim=-1)
        unfuse_projections(module)
        alone = torch.cat(module.projected(x), dim=-1)
        assert relative_error(together, alone) < 1e-2


def test_weights_keep_their_names_and_count_once() -> None:
    plain, fused = Engine.load(MODELS, device="cpu"), fused_engine()
    assert fused.transformer.state_dict().keys() == plain.transformer.state_dict().keys()
    assert fused._models.current.size == plain._models.current.size
    assert all(map(are_parts_of_one, modules(fused)))
    for name, weight in plain.transformer.state_dict().items():
        assert torch.equal(fused.transformer.state_dict()[name], weight)


@pytest.mark.parametrize("dtype", ["float32", "float8"])
def test_a_lora_is_merged_into_fused_weights_and_taken_out_without_a_trace(dtype: str) -> None:
    plain, fused = Engine.load(MODELS, device="cpu", dtype=dtype), fused_engine(dtype)
    before = fused.generate([REQUEST])[0].latent
    for loras in ((("lokr", 1.0),), (("low_rank_kohya", 0.5), ("lokr", 1.0)), ()):
        drawn = fused.generate([replace(REQUEST, loras=loras)])[0].latent
        wanted = plain.generate([replace(REQUEST, loras=loras)])[0].latent
        assert relative_error(drawn, wanted) < BOUND[dtype]
        assert not loras or relative_error(drawn, before) > 1e-3
        assert all(map(are_parts_of_one, modules(fused)))
    assert torch.equal(fused.generate([REQUEST])[0].latent, before)


def test_moved_projections_are_fused_again_and_leave_nothing_behind() -> None:
    engine = fused_engine()
    storages = [module.fused.untyped_storage().data_ptr() for module in modules(engine)]  # type: ignore[union-attr]
    kept = [module.fused for module in modules(engine)]
    engine.transformer.to(torch.float64)
    assert all(map(are_parts_of_one, modules(engine)))
    for module, before, whole in zip(modules(engine), storages, kept, strict=True):
        assert module.fused is not whole
        assert module.fused.untyped_storage().data_ptr() != before  # type: ignore[union-attr]


def test_a_model_that_is_dropped_gives_back_its_fused_weights_too() -> None:
    model = DiffusionModel(ModelFiles.find(MODELS).transformer, torch.device("cpu"), torch.float32)
    fuse_projections(model.transformer)
    model.release()
    assert not any(
        isinstance(module, FusedProjections) and module.fused is not None for module in model.transformer.modules()
    )
    assert model.size == 0


def test_on_the_cpu_weights_stay_as_the_file_has_them() -> None:
    assert all(module.fused is None for module in modules(Engine.load(MODELS, device="cpu")))


def test_a_gpu_joins_what_it_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Engine.load(MODELS, device="cpu")

    def load(network: torch.nn.Module, *_where: object, **_ignored: object) -> None:
        network.load_state_dict(plain.transformer.state_dict(), assign=True)

    monkeypatch.setattr("inference.pool.diffusion_model.load_module", load)
    model = DiffusionModel(plain.files.transformer, torch.device("cuda"), torch.float32)
    found = [module for module in model.transformer.modules() if isinstance(module, FusedProjections)]
    assert found and all(map(are_parts_of_one, found))


def test_compiled_blocks_of_fused_weights_are_compiled_once() -> None:
    torch._dynamo.reset()
    plain = Engine.load(MODELS, device="cpu").generate([REQUEST])[0].latent
    engine = fused_engine()
    compile_blocks(engine.transformer, backend="eager")
    assert relative_error(engine.generate([REQUEST])[0].latent, plain) < 1e-6
    engine.generate([replace(REQUEST, cfg_scale=1.0)])
    compiled = graphs_compiled()
    for request in (replace(REQUEST, width=96), replace(REQUEST, loras=(("lokr", 1.0),)), REQUEST):
        engine.generate([request])
    engine.transformer.to(torch.float32)
    engine.generate([REQUEST])
    assert graphs_compiled() == compiled
    torch._dynamo.reset()
