"""An engine with several diffusion models draws with each what an engine with that one alone draws."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference import CheckpointError, Engine, GenerationRequest, InvalidRequest, OutOfMemory, Stage
from inference.metadata import read
from inference.metadata.hashes import model_hash
from inference.pool.models import DiffusionModels
from tests.golden import MODELS

REQUEST = GenerationRequest("1girl, (smile:1.3)", "worst quality", width=64, height=64, steps=2, seed=7)
FIRST = "anima-tiny"


def write_other(models: Path, name: str, folder: str = "diffusion_models", blocks: int | None = None) -> Path:
    """A model like the tiny one, with other weights; with fewer `blocks` if wanted."""
    generator = torch.Generator().manual_seed(len(name))
    weights = load_file(MODELS / "diffusion_models" / f"{FIRST}.safetensors")
    changed = {
        key: tensor + 0.2 * tensor.std() * torch.randn(tensor.shape, generator=generator)
        for key, tensor in weights.items()
        if blocks is None or not any(f"net.blocks.{number}." in key for number in range(blocks, 99))
    }
    path = models / folder / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(changed, path, {"modelspec.title": name})
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several") / "models"
    shutil.copytree(MODELS, folder)
    write_other(folder, "other/turbo")
    write_other(folder, "third", "checkpoints")
    return folder


@pytest.fixture
def engine(models: Path) -> Engine:
    return Engine.load(models, device="cpu", diffusion_model=FIRST)


def latent(engine: Engine, request: GenerationRequest) -> torch.Tensor:
    return engine.generate([request])[0].latent


@pytest.fixture
def room_for_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The memory holds no second model."""
    monkeypatch.setattr("inference.pool.models.free_memory", lambda device: 0)
    yield


def alone(models: Path, name: str, request: GenerationRequest = REQUEST) -> torch.Tensor:
    return latent(Engine.load(models, device="cpu", diffusion_model=name), replace(request, model=""))


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("loras", [(), (("lokr", 1.0),)])
def test_models_drawn_in_turns_draw_what_each_draws_alone(
    models: Path, monkeypatch: pytest.MonkeyPatch, kept: bool, loras: tuple[tuple[str, float], ...]
) -> None:
    monkeypatch.setattr("inference.pool.models.free_memory", lambda device: 1 << 40 if kept else 0)
    engine = Engine.load(models, device="cpu", diffusion_model=FIRST)
    request = replace(REQUEST, loras=loras)
    wanted = {name: alone(models, name, request) for name in (FIRST, "other/turbo")}
    assert not torch.equal(*wanted.values())
    for name in (FIRST, "other/turbo", "", "other/turbo.safetensors", FIRST):
        drawn = latent(engine, replace(request, model=name))
        assert torch.equal(drawn, wanted["other/turbo" if name.startswith("other") else FIRST])
    assert set(engine.loaded_models()) == ({FIRST, "other/turbo"} if kept else {FIRST})


def test_one_call_may_ask_for_several_models_and_swaps_once_for_each(engine: Engine, room_for_one: None) -> None:
    requests = [replace(REQUEST, model=name, seed=seed) for seed in (1, 2) for name in ("", "third", FIRST)]
    told: list[Stage] = []
    pictures = engine.generate(requests, on_stage=told.append)
    assert told.count(Stage.LOADING) == 1
    assert [picture.request for picture in pictures] == requests
    models = [picture.parameters.model for picture in pictures]
    assert models == [f"{FIRST}.safetensors", "third.safetensors", f"{FIRST}.safetensors"] * 2
    assert torch.equal(pictures[0].latent, pictures[2].latent)


def test_a_batch_never_mixes_models() -> None:
    assert REQUEST.batch_key != replace(REQUEST, model="third").batch_key


def test_loaded_models_are_listed_with_the_last_used_first(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.pool.models.free_memory", lambda device: 1 << 40)
    assert engine.loaded_models() == (FIRST,)
    for name in ("third", "other/turbo", "third"):
        engine.generate([replace(REQUEST, model=name)])
    assert engine.loaded_models() == ("third", "other/turbo", FIRST)


def test_a_lora_on_one_model_is_not_on_the_other(engine: Engine, models: Path) -> None:
    merged, plain = replace(REQUEST, loras=(("lokr", 1.0),)), replace(REQUEST, model="third")
    first = latent(engine, merged)
    assert not torch.equal(first, alone(models, FIRST))
    assert torch.equal(latent(engine, plain), alone(models, "third", plain))
    assert torch.equal(latent(engine, merged), first)
    assert torch.equal(latent(engine, REQUEST), alone(models, FIRST))
    assert torch.equal(latent(engine, replace(merged, model="third")), alone(models, "third", merged))


def test_an_encoded_prompt_is_read_by_each_models_own_adapter(engine: Engine, models: Path) -> None:
    """Only Qwen3's states are remembered, which all models share."""
    engine.generate([REQUEST])
    first = engine.encode([REQUEST.prompt])[0]
    engine.generate([replace(REQUEST, model="third")])
    second = engine.encode([REQUEST.prompt])[0]
    assert not torch.equal(first, second)
    only = Engine.load(models, device="cpu", diffusion_model="third")
    assert torch.equal(second, only.encode([REQUEST.prompt])[0])


def test_a_lora_with_more_blocks_than_the_model_is_noted_for_that_model_alone(engine: Engine, models: Path) -> None:
    write_other(models, "short", blocks=1)
    [long, short] = engine.generate(
        [replace(REQUEST, loras=(("low_rank_comfyui", 1.0),), model=name) for name in ("", "short")]
    )
    assert (long.notes, bool(short.notes)) == ((), True)


def test_files_say_which_model_drew_them_and_are_read_back(engine: Engine, models: Path) -> None:
    [picture] = engine.generate([replace(REQUEST, model="other/turbo")])
    found = read(picture.png())
    assert found is not None
    assert found.model == "other/turbo.safetensors"
    assert found.model_hash == model_hash(models / "diffusion_models" / "other" / "turbo.safetensors")
    assert not found.all_in_one
    assert engine.parameters(replace(REQUEST, model="third")).all_in_one
    assert engine.native_of("other/turbo").variant == "turbo"
    assert engine.native_of("").variant == "base"


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: None, "there is no diffusion model"),
        (lambda path: path.write_bytes(b"\x00" * 100), "damaged or incompletely downloaded"),
        (lambda path: shutil.copy(MODELS / "vae" / "qwen_image_vae_tiny.safetensors", path), "not an Anima"),
    ],
)
def test_an_unusable_model_is_explained_and_the_engine_continues(
    engine: Engine, models: Path, write: object, sentence: str
) -> None:
    path = models / "diffusion_models" / "bad.safetensors"
    assert callable(write)
    write(path)
    with pytest.raises(InvalidRequest, match=sentence):
        engine.generate([REQUEST, replace(REQUEST, model="bad")])
    path.unlink(missing_ok=True)
    assert engine.generate([REQUEST])


def test_a_name_that_two_files_have_is_answered_with_both(engine: Engine, models: Path) -> None:
    paths = [write_other(models, f"{folder}/same") for folder in ("one", "two")]
    with pytest.raises(InvalidRequest, match=r"matches several .*: one/same, two/same\. Write the whole name"):
        engine.native_of("same.safetensors")
    assert engine.native_of("two/same").variant == "base"
    for path in paths:
        path.unlink()


def test_a_model_with_nan_values_is_explained_and_the_engine_continues(
    engine: Engine, models: Path, room_for_one: None
) -> None:
    path = write_other(models, "nan")
    weights = load_file(path)
    next(iter(weights.values())).fill_(torch.nan)
    save_file(weights, path)
    before = latent(engine, REQUEST)
    with pytest.raises(CheckpointError, match="not numbers"):
        engine.generate([replace(REQUEST, model="nan")])
    path.unlink()
    assert torch.equal(latent(engine, REQUEST), before)


def test_files_that_come_go_or_change_are_noticed(engine: Engine, models: Path) -> None:
    path = write_other(models, "new")
    request = replace(REQUEST, model="new")
    first = latent(engine, request)
    write_other(models, "another name")
    os.replace(models / "diffusion_models" / "another name.safetensors", path)
    assert not torch.equal(latent(engine, request), first)
    path.unlink()
    with pytest.raises(InvalidRequest, match=f"There are: {FIRST}, other/turbo"):
        engine.generate([request])
    assert engine.generate([REQUEST])


def test_the_default_stays_when_its_file_is_gone(models: Path, tmp_path: Path, room_for_one: None) -> None:
    shutil.copytree(models, tmp_path / "models")
    engine = Engine.load(tmp_path / "models", device="cpu", diffusion_model=FIRST)
    first = latent(engine, REQUEST)
    (tmp_path / "models" / "diffusion_models" / f"{FIRST}.safetensors").unlink()
    engine.generate([replace(REQUEST, model="third")])
    assert torch.equal(latent(engine, REQUEST), first)
    assert torch.equal(latent(engine, replace(REQUEST, model=FIRST)), first)


def test_with_too_little_memory_other_models_leave_before_a_batch_is_halved(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.pool.models.free_memory", lambda device: 1 << 40)
    engine.generate([replace(REQUEST, model="third")])
    forward, rows = engine.transformer.forward, []

    def short_of_memory(x: torch.Tensor, *args: object) -> torch.Tensor:
        rows.append(len(x))
        if len(engine.loaded_models()) > 1:
            raise torch.OutOfMemoryError
        return forward(x, *args)

    monkeypatch.setattr(engine.transformer, "forward", short_of_memory)
    engine.generate([replace(REQUEST, model="third", seed=seed) for seed in (1, 2)])
    assert set(rows) == {4}
    assert engine.loaded_models() == ("third",)


def test_a_model_too_large_for_the_device_is_explained(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*args: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(DiffusionModels, "_load", too_large)
    with pytest.raises(OutOfMemory, match="does not have enough memory for the model third"):
        engine.generate([replace(REQUEST, model="third")])
    monkeypatch.undo()
    assert engine.generate([REQUEST, replace(REQUEST, model="third")])
