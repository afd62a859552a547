"""Rarer spellings of LoRA files: of layers, of factors, of alphas; and factors of 8 bits."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from inference.networks.params import TransformerParams
from inference.networks.structure import shapes_alone
from inference.networks.text_encoder import build_qwen
from inference.networks.transformer import Transformer
from inference.request import CheckpointError
from inference.weights.checkpoint import ModelFiles
from inference.weights.lora import Lora
from inference.weights.lora_changes import changed
from tests.golden import MODELS

QUERY, MLP = "blocks.0.self_attn.q_proj", "llm_adapter.blocks.0.mlp.0"
FLAT = f"lora_unet_{QUERY.replace('.', '_')}"
QWEN = "layers.0.self_attn.q_proj"
SIDE = 64


@pytest.fixture(scope="module")
def files() -> ModelFiles:
    return ModelFiles.find(MODELS)


@pytest.fixture(scope="module")
def networks(files: ModelFiles) -> tuple[nn.Module, nn.Module]:
    with shapes_alone():
        transformer = Transformer(TransformerParams.from_shapes(files.transformer.shapes))
    return transformer, build_qwen(files.text_encoder)


class Reading:
    """Reads LoRA files for the golden model, and merges them by hand."""

    def __init__(self, folder: Path, files: ModelFiles, networks: tuple[nn.Module, nn.Module]) -> None:
        self.path, self.files, self.networks = folder / "lora.safetensors", files, networks
        self.up = torch.randn(SIDE, 4, generator=torch.Generator().manual_seed(1))
        self.down = torch.randn(4, SIDE, generator=torch.Generator().manual_seed(2))

    def __call__(self, tensors: Mapping[str, Tensor], header: Mapping[str, object] | None = None) -> Lora:
        metadata = None if header is None else {"lora_adapter_metadata": json.dumps(header)}
        save_file({key: tensor.contiguous().clone() for key, tensor in tensors.items()}, self.path, metadata)
        return Lora.read(self.path, *self.networks)

    def change(self, lora: Lora, name: str = f"{QUERY}.weight") -> Tensor:
        base = self.files.transformer.tensor(name)
        return changed(base, lora.factors[name], 1.0) - base

    def pair(self, up: str, down: str) -> dict[str, Tensor]:
        return {up: self.up, down: self.down}


@pytest.fixture
def read(tmp_path: Path, files: ModelFiles, networks: tuple[nn.Module, nn.Module]) -> Reading:
    return Reading(tmp_path, files, networks)


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("lora_B.default", "lora_A.default"),
        ("lora_up", "lora_down"),
        ("lora_up.default.weight", "lora_down.default.weight"),
        ("lora.up", "lora.down"),
        ("lora_B.my_style.weight", "lora_A.my_style.weight"),
    ],
)
def test_factors_may_have_an_adapters_name_and_lack_weight(read: Reading, up: str, down: str) -> None:
    lora = read(read.pair(f"diffusion_model.{QUERY}.{up}", f"diffusion_model.{QUERY}.{down}"))
    assert lora.left_out == ()
    torch.testing.assert_close(read.change(lora), read.up @ read.down, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ending", ["", ".default", ".weight", ".default.weight"])
def test_factors_of_lokr_and_loha_may_too(read: Reading, ending: str) -> None:
    first, second = read.up[:8, :4], read.down[:, :16].repeat(2, 1)
    lora = read({f"{FLAT}.lokr_w1{ending}": first, f"{FLAT}.lokr_w2{ending}": second})
    torch.testing.assert_close(read.change(lora), torch.kron(first, second), rtol=1e-4, atol=1e-5)
    names = ("w1_a", "w1_b", "w2_a", "w2_b")
    factors = zip(names, (read.up, read.down, read.up, read.down), strict=True)
    lora = read({f"{FLAT}.hada_{name}{ending}": factor for name, factor in factors})
    torch.testing.assert_close(read.change(lora), (read.up @ read.down) ** 2, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("alpha", ["alpha", "lora_alpha", "lora_down.alpha", "lora_A.alpha"])
def test_an_alpha_is_known_by_each_of_its_names(read: Reading, alpha: str) -> None:
    tensors = read.pair(f"{FLAT}.lora_up.weight", f"{FLAT}.lora_down.weight")
    lora = read(tensors | {f"{FLAT}.{alpha}": torch.tensor(2)})
    assert lora.left_out == ()
    torch.testing.assert_close(read.change(lora), 0.5 * read.up @ read.down, rtol=1e-4, atol=1e-5)


def test_a_component_of_the_header_may_be_an_object(read: Reading) -> None:
    tensors = read.pair(*(f"transformer.transformer_blocks.0.attn1.to_q.lora_{side}.weight" for side in "BA"))
    lora = read(tensors, {"transformer": {"r": 4, "lora_alpha": 8}})
    torch.testing.assert_close(read.change(lora), 2 * read.up @ read.down, rtol=1e-4, atol=1e-5)


def test_the_bias_of_peft_is_scaled_as_the_product_is(read: Reading) -> None:
    name = f"base_model.model.{MLP}"
    rows, columns = read.files.transformer.shapes[f"{MLP}.weight"]
    bias = torch.ones(rows)
    tensors = {f"{name}.lora_B.weight": torch.ones(rows, 2), f"{name}.lora_A.weight": torch.ones(2, columns)}
    lora = read(tensors | {f"{name}.lora_B.bias": bias}, {"r": 2, "lora_alpha": 6})
    assert lora.left_out == ()
    torch.testing.assert_close(read.change(lora, f"{MLP}.bias"), 3 * bias)
    lora = read(
        read.pair(f"base_model.model.{QUERY}.lora_B.weight", f"base_model.model.{QUERY}.lora_A.weight")
        | {f"base_model.model.{QUERY}.lora_B.bias": torch.ones(SIDE)}
    )
    assert [note.values["keys"] for note in lora.notes] == [f"base_model.model.{QUERY}.lora_B.bias"]


def test_of_two_adapters_in_a_file_the_second_is_reported_as_not_used(read: Reading) -> None:
    tensors = read.pair(f"{QUERY}.lora_B.a.weight", f"{QUERY}.lora_A.a.weight")
    other = {key.replace(".a.", ".b."): tensor * 2 for key, tensor in tensors.items()}
    lora = read(tensors | other)
    assert set(lora.unmatched) == set(other)
    torch.testing.assert_close(read.change(lora), read.up @ read.down, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(SIDE,), (SIDE, 1), (SIDE, 1, 1, 1)])
def test_the_lengths_of_boft_may_have_the_dimensions_of_a_convolution(read: Reading, shape: tuple[int, ...]) -> None:
    lengths = torch.rand(SIDE, generator=torch.Generator().manual_seed(3))
    lora = read({f"{FLAT}.oft_blocks": torch.zeros(2, SIDE // 2, 2, 2), f"{FLAT}.rescale": lengths.reshape(shape)})
    base = read.files.transformer.tensor(f"{QUERY}.weight")
    torch.testing.assert_close(read.change(lora), base * lengths[:, None] - base)


def test_the_shape_of_the_changed_weight_may_be_in_the_file(read: Reading) -> None:
    tensors = read.pair(f"{FLAT}.lora_up.weight", f"{FLAT}.lora_down.weight")
    assert read(tensors | {f"{FLAT}.reshape_weight": torch.tensor([SIDE, SIDE])}).left_out == ()
    with pytest.raises(CheckpointError, match="does not have that tensor's shape"):
        read(tensors | {f"{FLAT}.reshape_weight": torch.tensor([SIDE, 2 * SIDE])})


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
@pytest.mark.parametrize("scale_name", ["weight_scale", "scale_weight"])
def test_factors_of_8_bits_are_multiplied_by_their_scales(read: Reading, dtype: torch.dtype, scale_name: str) -> None:
    """Without their scales they would be thousands of times too large."""
    tensors: dict[str, Tensor] = {"scaled_fp8": torch.zeros(0)}
    for name, factor in (("lora_up", read.up), ("lora_down", read.down)):
        scale = factor.abs().max() / (127 if dtype == torch.int8 else 448)
        scaled = factor / scale
        tensors[f"{FLAT}.{name}.weight"] = scaled.round().to(dtype) if dtype == torch.int8 else scaled.to(dtype)
        tensors[f"{FLAT}.{name}.{scale_name}"] = scale
    lora = read(tensors)
    assert lora.left_out == ()
    wanted = read.up @ read.down
    assert (read.change(lora) - wanted).norm() < 0.1 * wanted.norm()


def test_whole_numbers_without_a_scale_are_no_factors(read: Reading) -> None:
    tensors = read.pair(f"{FLAT}.lora_up.weight", f"{FLAT}.lora_down.weight")
    with pytest.raises(CheckpointError, match=r"^The LoRA file .*lora_down.weight cannot be converted") as error:
        read({key: tensor.to(torch.int8) for key, tensor in tensors.items()})
    assert "safetensors (" not in str(error.value)


@pytest.mark.parametrize("prefix", ["lora_unet__", "oft_unet_", "lora_unet_net_", "lycoris_unet_", "lora_dit_"])
def test_prefixes_of_the_transformer(read: Reading, prefix: str) -> None:
    name = prefix + QUERY.replace(".", "_")
    assert list(read(read.pair(f"{name}.lora_up.weight", f"{name}.lora_down.weight")).factors) == [f"{QUERY}.weight"]


@pytest.mark.parametrize(
    "name",
    [
        "diffusion_model.blocks.0._orig_mod.self_attn.q_proj",
        "lora_unet_blocks_0__orig_mod_self_attn_q_proj",
        "base_model.model.blocks.0._checkpoint_wrapped_module.self_attn.q_proj",
        "_orig_mod.blocks.0.self_attn._orig_mod.q_proj",
    ],
)
def test_wrappers_of_pytorch_in_a_name_are_passed_over(read: Reading, name: str) -> None:
    assert list(read(read.pair(f"{name}.lora_up.weight", f"{name}.lora_down.weight")).factors) == [f"{QUERY}.weight"]


@pytest.mark.parametrize(
    "prefix",
    [
        *("model.text_encoder.", "pipe.text_encoder.", "module.text_encoder.", "transformer.text_encoder."),
        *("text_encoder.language_model.", "text_encoder.model.language_model.", "text_encoder._orig_mod."),
        *("text_encoder.module.", "text_encoders.qwen3_06b.transformer.model.base_model.model."),
        *("oft_te_", "lora_te_language_model_"),
    ],
)
def test_prefixes_of_the_text_encoder(read: Reading, prefix: str) -> None:
    name = prefix + (QWEN if prefix.endswith(".") else QWEN.replace(".", "_"))
    assert list(read({f"{name}.diff": torch.zeros(64, 40)}).factors) == [f"text_encoder.{QWEN}.weight"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("diffusion_models/anima-tiny", "a diffusion model"),
        ("text_encoders/qwen_3_tiny", "a text encoder"),
        ("vae/qwen_image_vae_tiny", "a VAE"),
    ],
)
def test_a_whole_network_in_the_folder_of_loras_is_called_one(read: Reading, file: str, content: str) -> None:
    with pytest.raises(
        CheckpointError, match=f"it contains {content}, not a LoRA. Move it to the folder for such files"
    ):
        read(load_file(MODELS / f"{file}.safetensors"))


def test_what_training_left_in_a_file_is_not_reported(read: Reading) -> None:
    tensors = read.pair(f"{FLAT}.lora_up.weight", f"{FLAT}.lora_down.weight")
    lora = read(tensors | {"step": torch.tensor(100), "epoch": torch.tensor(3), "optimizer.state.0": torch.ones(2)})
    assert lora.notes == ()
