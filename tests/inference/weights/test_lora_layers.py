"""A layer is found under every name that trainers and converters give it."""

import pytest

from inference import Engine
from inference.weights.lora_layers import LayerNames

QUERY = "blocks.0.self_attn.q_proj"
OUTPUT = "blocks.1.cross_attn.output_proj"
ADAPTER = "llm_adapter.blocks.0.cross_attn.k_proj"
QWEN = "layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def names(engine: Engine) -> LayerNames:
    return LayerNames(engine.transformer, engine.text_encoder.qwen)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("lora_unet_blocks_0_self_attn_q_proj", QUERY),
        ("diffusion_model.blocks.0.self_attn.q_proj", QUERY),
        ("base_model.model.blocks.0.self_attn.q_proj", QUERY),
        ("base_model.model.transformer.transformer_blocks.0.attn1.to_q", QUERY),
        ("transformer.transformer_blocks.0.attn1.to_q", QUERY),
        ("transformer_blocks.0.attn1.to_q", QUERY),
        ("lora_transformer_transformer_blocks_0_attn1_to_q", QUERY),
        ("lora_transformer_blocks_0_attn1_to_q", QUERY),
        ("lycoris_transformer_blocks_0_attn1_to_q", QUERY),
        ("lycoris_transformer_transformer_blocks_0_attn1_to_q", QUERY),
        ("transformer.transformer_blocks.1.attn2.to_out.0", OUTPUT),
        ("transformer.transformer_blocks.1.attn2.to_out", OUTPUT),
        ("lycoris_transformer_blocks_1_attn2_to_out", OUTPUT),
        ("lycoris_transformer_blocks_1_attn2_to_out_0", OUTPUT),
        ("transformer.transformer_blocks.0.ff.net.0.proj", "blocks.0.mlp.layer1"),
        ("transformer.transformer_blocks.2.norm3.linear_2", "blocks.2.adaln_modulation_mlp.2"),
        ("transformer.transformer_blocks.2.attn1.norm_q", "blocks.2.self_attn.q_norm"),
        ("transformer.time_embed.t_embedder.linear_1", "t_embedder.1.linear_1"),
        ("lora_unet_final_layer_linear", "final_layer.linear"),
        ("lora_unet_llm_adapter_blocks_0_cross_attn_k_proj", ADAPTER),
        ("text_conditioner.blocks.0.cross_attn.k_proj", ADAPTER),
        ("lycoris_text_conditioner_blocks_0_cross_attn_k_proj", ADAPTER),
        ("diffusion_model.llm_adapter.embed", "llm_adapter.embed"),
        ("lora_te_layers_0_self_attn_q_proj", f"text_encoder.{QWEN}"),
        ("lora_te1_layers_0_self_attn_q_proj", f"text_encoder.{QWEN}"),
        ("lora_te1_model_layers_0_self_attn_q_proj", f"text_encoder.{QWEN}"),
        ("text_encoders.qwen3_06b.transformer.model.layers.0.self_attn.q_proj", f"text_encoder.{QWEN}"),
        ("text_encoder.layers.0.self_attn.q_proj", f"text_encoder.{QWEN}"),
        ("text_encoder.model.layers.0.self_attn.q_proj", f"text_encoder.{QWEN}"),
        ("base_model.model.text_encoder.layers.0.self_attn.q_proj", f"text_encoder.{QWEN}"),
        ("base_model.model.model.layers.0.self_attn.q_proj", f"text_encoder.{QWEN}"),
        ("lycoris_text_encoder_layers_0_self_attn_q_proj", f"text_encoder.{QWEN}"),
        ("pipe.dit.blocks.0.self_attn.q_proj", QUERY),
        ("module.blocks.0.self_attn.q_proj", QUERY),
        ("diffusion_model._orig_mod.blocks.0.self_attn.q_proj", QUERY),
        ("transformer.transformer_blocks.0.attn1.processor.to_q", QUERY),
        ("lora_te_qwen3_06b_layers_0_self_attn_q_proj", f"text_encoder.{QWEN}"),
        ("lora_te_qwen3_06b_transformer_model_layers_0_self_attn_q_proj", f"text_encoder.{QWEN}"),
        ("lora_qwen3_layers_0_self_attn_q_proj", f"text_encoder.{QWEN}"),
        ("qwen3.layers.0.self_attn.q_proj", f"text_encoder.{QWEN}"),
        ("clip.qwen3_06b.transformer.model.layers.0.self_attn.q_proj", f"text_encoder.{QWEN}"),
        ("cond_stage_model.qwen3_06b.transformer.model.layers.0.self_attn.q_proj", f"text_encoder.{QWEN}"),
        ("text_encoder.base_model.model.layers.0.self_attn.q_proj", f"text_encoder.{QWEN}"),
        ("text_encoder.base_model.model.model.layers.0.self_attn.q_proj", f"text_encoder.{QWEN}"),
        ("lora_te_embed_tokens", "text_encoder.embed_tokens"),
        ("lora_te_norm", "text_encoder.norm"),
    ],
)
def test_a_layer_is_known_by_its_name_in_every_dialect(names: LayerNames, name: str, layer: str) -> None:
    assert names.find(name) == layer


@pytest.mark.parametrize(
    "name",
    [
        "lora_unet_double_blocks_0_img_attn_qkv",
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
        "text_encoders.qwen25_7b.transformer.model.layers.0.self_attn.q_proj",
        "transformer.layers.0.self_attn.q_proj",
        "lora_unet_layers_0_self_attn_q_proj_x",
        "blocks.99.self_attn.q_proj",
        "",
    ],
)
def test_a_layer_of_another_model_is_none_of_this_one(names: LayerNames, name: str) -> None:
    assert names.find(name) is None


def test_without_a_text_encoder_its_layers_are_not_known(engine: Engine) -> None:
    assert LayerNames(engine.transformer).find("lora_te_layers_0_self_attn_q_proj") is None


def test_every_layer_is_found_under_the_names_of_its_own_trainers(engine: Engine, names: LayerNames) -> None:
    for layer, _ in engine.transformer.named_modules():
        if hasattr(engine.transformer.get_submodule(layer), "weight"):
            assert names.find(f"lora_unet_{layer.replace('.', '_')}") == layer
            assert names.find(f"diffusion_model.{layer}") == layer
    for layer, module in engine.text_encoder.qwen.named_modules():
        if hasattr(module, "weight"):
            assert names.find(f"lora_te_{layer.replace('.', '_')}") == f"text_encoder.{layer}"
