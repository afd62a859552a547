"""Weights of 8 bits are read as the plain ones that they stand for."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from inference import Engine, GenerationRequest
from inference.request import CheckpointError
from inference.weights.checkpoint import ModelFiles
from inference.weights.quantized import hadamard, rotate_groups
from tests.golden import MODELS, relative_error

TRANSFORMER = Path("diffusion_models/anima-tiny.safetensors")
TEXT_ENCODER = Path("text_encoders/qwen_3_tiny.safetensors")
LAYERS = ("blocks.0.self_attn.q_proj", "blocks.1.mlp.layer1", "llm_adapter.blocks.0.mlp.0")
REQUEST = GenerationRequest("1girl", width=64, height=64, steps=2, seed=1)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return shutil.copytree(MODELS, tmp_path / "models")


def comfy_quant(**settings: object) -> Tensor:
    return torch.tensor(list(json.dumps(settings).encode()), dtype=torch.uint8)


def fp8(weight: Tensor) -> tuple[Tensor, Tensor]:
    scale = weight.abs().max() / 448
    return (weight / scale).to(torch.float8_e4m3fn), scale


def int8(weight: Tensor, by_rows: bool) -> tuple[Tensor, Tensor]:
    scale = (weight.abs().amax(1, keepdim=True) if by_rows else weight.abs().max()) / 127
    return (weight / scale).round().to(torch.int8), scale


Encoding = Callable[[str, Tensor], dict[str, Tensor]]


def scale_weight(layer: str, weight: Tensor) -> dict[str, Tensor]:
    quantised, scale = fp8(weight)
    return {f"{layer}.weight": quantised, f"{layer}.scale_weight": scale, f"{layer}.scale_input": torch.ones(())}


def weight_scale(layer: str, weight: Tensor) -> dict[str, Tensor]:
    quantised, scale = fp8(weight)
    return {f"{layer}.weight": quantised, f"{layer}.weight_scale": scale, f"{layer}.input_scale": torch.ones(1)}


def marked_fp8(layer: str, weight: Tensor) -> dict[str, Tensor]:
    return weight_scale(layer, weight) | {f"{layer}.comfy_quant": comfy_quant(format="float8_e4m3fn")}


def tensorwise(layer: str, weight: Tensor) -> dict[str, Tensor]:
    quantised, scale = int8(weight, by_rows=False)
    return {
        f"{layer}.weight": quantised,
        f"{layer}.weight_scale": scale,
        f"{layer}.comfy_quant": comfy_quant(format="int8_tensorwise"),
    }


def rowwise(layer: str, weight: Tensor) -> dict[str, Tensor]:
    quantised, scale = int8(weight, by_rows=True)
    settings = comfy_quant(format="int8_tensorwise", per_row=True)
    return {f"{layer}.weight": quantised, f"{layer}.weight_scale": scale, f"{layer}.comfy_quant": settings}


def rowwise_flat(layer: str, weight: Tensor) -> dict[str, Tensor]:
    tensors = rowwise(layer, weight)
    return tensors | {f"{layer}.weight_scale": tensors[f"{layer}.weight_scale"].flatten()}


def convrot(layer: str, weight: Tensor) -> dict[str, Tensor]:
    quantised, scale = int8(rotate_groups(weight.clone(), 16), by_rows=True)
    settings = comfy_quant(format="int8_tensorwise", convrot=True, convrot_groupsize=16)
    return {f"{layer}.weight": quantised, f"{layer}.weight_scale": scale, f"{layer}.comfy_quant": settings}


def quantised(path: Path, form: Encoding, metadata: dict[str, str] | None = None, extra: str | None = None) -> None:
    tensors = load_file(path)
    for layer in LAYERS:
        weight = tensors.pop(f"net.{layer}.weight")
        tensors |= form(f"net.{layer}", weight)
    if extra is not None:
        tensors[extra] = torch.zeros(2)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path, metadata)


@pytest.mark.parametrize(
    "form",
    [scale_weight, weight_scale, marked_fp8, tensorwise, rowwise, rowwise_flat, convrot],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("extra", [None, "scaled_fp8", "net.scaled_fp8"])
def test_every_form_is_the_plain_weight_but_for_rounding(models: Path, form: Encoding, extra: str | None) -> None:
    quantised(models / TRANSFORMER, form, extra=extra)
    loaded = Engine.load(models, device="cpu")
    plain = ModelFiles.find(MODELS).transformer
    for layer in LAYERS:
        weight, wanted = loaded.transformer.get_parameter(f"{layer}.weight"), plain.tensor(f"{layer}.weight")
        assert relative_error(weight, wanted) < (0.05 if "fp8" in form.__name__ or "scale" in form.__name__ else 0.02)
    assert loaded.generate([REQUEST])[0].latent.isfinite().all()


def test_the_headers_data_about_layers_is_used(models: Path) -> None:
    layers = {layer: {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 16} for layer in LAYERS}

    def form(layer: str, weight: Tensor) -> dict[str, Tensor]:
        return {key: tensor for key, tensor in convrot(layer, weight).items() if not key.endswith("comfy_quant")}

    quantised(models / TRANSFORMER, form, {"_quantization_metadata": json.dumps({"layers": layers})})
    file = ModelFiles.find(models).transformer
    name = f"{LAYERS[0]}.weight"
    assert relative_error(file.tensor(name), ModelFiles.find(MODELS).transformer.tensor(name)) < 0.02


@pytest.mark.parametrize(("file", "header"), [("net.", "model.diffusion_model."), ("model.diffusion_model.", "net.")])
def test_the_header_may_name_layers_with_another_prefix_than_the_file(models: Path, file: str, header: str) -> None:
    """A model that was renamed after it was quantised; weights that stay turned would be noise."""
    tensors = {key.replace("net.", file, 1): tensor for key, tensor in load_file(models / TRANSFORMER).items()}
    for layer in LAYERS:
        weight = tensors.pop(f"{file}{layer}.weight")
        tensors |= {k: v for k, v in convrot(f"{file}{layer}", weight).items() if not k.endswith("comfy_quant")}
    settings = {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 16}
    said = json.dumps({"layers": {f"{header}{layer}": settings for layer in LAYERS}})
    save_file(tensors, models / TRANSFORMER, {"_quantization_metadata": said})
    file_found = ModelFiles.find(models).transformer
    for name in (f"{layer}.weight" for layer in LAYERS):
        assert relative_error(file_found.tensor(name), ModelFiles.find(MODELS).transformer.tensor(name)) < 0.02


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_float8_that_is_stored_as_plain_bytes_is_read_as_its_settings_say(models: Path, dtype: torch.dtype) -> None:
    def form(layer: str, weight: Tensor) -> dict[str, Tensor]:
        scale = weight.abs().max() / torch.finfo(dtype).max
        settings = comfy_quant(format=str(dtype).removeprefix("torch."))
        weight = (weight / scale).to(dtype).view(torch.uint8)
        return {f"{layer}.weight": weight, f"{layer}.weight_scale": scale, f"{layer}.comfy_quant": settings}

    quantised(models / TRANSFORMER, form)
    file = ModelFiles.find(models).transformer
    name = f"{LAYERS[0]}.weight"
    assert relative_error(file.tensor(name), ModelFiles.find(MODELS).transformer.tensor(name)) < 0.1
    rows = file.scaled_rows(name)
    assert (rows is not None) == (dtype == torch.float8_e4m3fn)


def test_plain_bytes_of_an_unknown_meaning_are_no_weights(models: Path) -> None:
    quantised(
        models / TRANSFORMER,
        lambda layer, weight: {f"{layer}.weight": weight.to(torch.uint8), f"{layer}.weight_scale": torch.ones(())},
    )
    with pytest.raises(CheckpointError, match="contains integers of 8 bits, not int8"):
        Engine.load(models, device="cpu")


def test_settings_that_are_filled_up_with_zeros_are_read(models: Path) -> None:
    def form(layer: str, weight: Tensor) -> dict[str, Tensor]:
        tensors = convrot(layer, weight)
        key = f"{layer}.comfy_quant"
        return tensors | {key: torch.cat([tensors[key], torch.zeros(5, dtype=torch.uint8)])}

    quantised(models / TRANSFORMER, form)
    name = f"{LAYERS[0]}.weight"
    found = ModelFiles.find(models).transformer.tensor(name)
    assert relative_error(found, ModelFiles.find(MODELS).transformer.tensor(name)) < 0.02


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        (torch.tensor(list(b"{convrot"), dtype=torch.uint8), None),
        (None, "{convrot"),
        (
            None,
            json.dumps({"layers": {"double_blocks.0.img_attn.qkv": {"format": "int8_tensorwise", "convrot": True}}}),
        ),
    ],
    ids=["a layer's settings", "the header's settings", "the header's settings of other layers"],
)
def test_settings_that_cannot_be_read_are_not_passed_over(
    models: Path, settings: Tensor | None, header: str | None
) -> None:
    def form(layer: str, weight: Tensor) -> dict[str, Tensor]:
        tensors = {key: tensor for key, tensor in convrot(layer, weight).items() if not key.endswith("comfy_quant")}
        return tensors if settings is None else tensors | {f"{layer}.comfy_quant": settings.clone()}

    quantised(models / TRANSFORMER, form, None if header is None else {"_quantization_metadata": header})
    with pytest.raises(CheckpointError, match="description of how the weights are quantised is not readable"):
        ModelFiles.find(models)


def test_a_plain_model_may_keep_the_header_of_the_quantised_one_that_it_was_made_of(models: Path) -> None:
    header = {"_quantization_metadata": json.dumps({"layers": {"other": {"format": "int8_tensorwise"}}})}
    save_file(load_file(models / TRANSFORMER), models / TRANSFORMER, header)
    assert ModelFiles.find(models).transformer.fault() is None


def test_a_lora_is_merged_into_the_plain_weights_and_taken_out_again(models: Path) -> None:
    quantised(models / TRANSFORMER, weight_scale)
    engine = Engine.load(models, device="cpu")
    name = f"{LAYERS[0]}.weight"
    base = engine.transformer.get_parameter(name).clone()
    engine.use_loras([("low_rank_kohya", 1.0)])
    assert not torch.equal(engine.transformer.get_parameter(name), base)
    engine.use_loras([])
    assert torch.equal(engine.transformer.get_parameter(name), base)


def test_a_scaled_text_encoder_is_read(models: Path) -> None:
    tensors = load_file(models / TEXT_ENCODER)
    tensors |= weight_scale("model.layers.0.mlp.up_proj", tensors["model.layers.0.mlp.up_proj.weight"])
    save_file(tensors | {"scaled_fp8": torch.zeros(0)}, models / TEXT_ENCODER)
    weight = Engine.load(models, device="cpu").text_encoder.qwen.get_parameter("layers.0.mlp.up_proj.weight")
    wanted = load_file(MODELS / TEXT_ENCODER)["model.layers.0.mlp.up_proj.weight"]
    assert relative_error(weight, wanted) < 0.05


@pytest.mark.parametrize("form", ["nvfp4", "mxfp8", "int4_convrot"])
def test_a_form_that_cannot_be_read_is_named(models: Path, form: str) -> None:
    quantised(
        models / TRANSFORMER,
        lambda layer, weight: tensorwise(layer, weight) | {f"{layer}.comfy_quant": comfy_quant(format=form)},
    )
    with pytest.raises(CheckpointError, match=f"quantised as {form}, which is not supported"):
        Engine.load(models, device="cpu")


@pytest.mark.parametrize(
    ("name", "form"),
    [("qweight", "SVDQuant, GPTQ or AWQ"), ("weight._data", "Quanto"), ("weight_scale_inv", "fp8 in blocks")],
)
def test_weights_that_are_packed_by_other_packages_are_called_so(models: Path, name: str, form: str) -> None:
    quantised(models / TRANSFORMER, lambda layer, weight: {f"{layer}.{name}": weight})
    with pytest.raises(CheckpointError, match=f"quantised as {form}, which is not supported"):
        Engine.load(models, device="cpu")


def test_whole_numbers_without_a_scale_are_no_weights(models: Path) -> None:
    quantised(models / TRANSFORMER, lambda layer, weight: {f"{layer}.weight": int8(weight, by_rows=False)[0]})
    with pytest.raises(CheckpointError, match="contains integers without a scale"):
        Engine.load(models, device="cpu")


def test_a_scale_for_each_column_is_not_taken_for_one_for_each_row(models: Path) -> None:
    """q_proj is square, so that the number of scales does not tell."""
    tensors = load_file(models / TRANSFORMER)
    weight, scale = int8(tensors.pop(f"net.{LAYERS[0]}.weight").T.contiguous(), by_rows=True)
    tensors |= {f"net.{LAYERS[0]}.weight": weight.T.contiguous(), f"net.{LAYERS[0]}.weight_scale": scale.T.contiguous()}
    save_file(tensors, models / TRANSFORMER)
    with pytest.raises(CheckpointError, match="must be one number, or one for each row"):
        Engine.load(models, device="cpu")


@pytest.mark.parametrize("size", [4, 16, 256])
def test_the_hadamard_matrix_is_its_own_inverse_and_regular(size: int) -> None:
    matrix = hadamard(size)
    torch.testing.assert_close(matrix @ matrix, torch.eye(size))
    torch.testing.assert_close(matrix.sum(0), torch.ones(size))
    torch.testing.assert_close(matrix.abs(), torch.full((size, size), 1 / math.sqrt(size)))


def test_an_invalid_group_size_is_explained(models: Path) -> None:
    def form(layer: str, weight: Tensor) -> dict[str, Tensor]:
        settings = comfy_quant(format="int8_tensorwise", convrot=True, convrot_groupsize=24)
        return convrot(layer, weight) | {f"{layer}.comfy_quant": settings}

    quantised(models / TRANSFORMER, form)
    with pytest.raises(CheckpointError, match="must be a power of 4"):
        Engine.load(models, device="cpu")


@pytest.mark.parametrize(
    "key",
    [
        "net.blocks.0.self_attn.q_proj._extra_state",
        "net.accum_image_sample_counter",
        "net.logvar.0.freqs",
        "net.rotary.inv_freq",
        "net.pos_embedder.seq",
        "net.t_embedder.0.freqs",
        "model_ema.decay",
        "net_ema.blocks.0.self_attn.q_proj.weight",
        "ema_num_updates",
        "optimizer.state.0",
        "global_step",
    ],
)
def test_leftovers_of_training_in_a_file_are_ignored(models: Path, key: str) -> None:
    save_file({**load_file(models / TRANSFORMER), key: torch.ones(1)}, models / TRANSFORMER)
    assert Engine.load(models, device="cpu").name == "anima-tiny"
