"""Every trainer's files, in every kind of change, give the weights that their definition gives in float64."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from inference import Engine
from inference.weights.lora import Lora
from inference.weights.lora_layers import TEXT_ENCODER
from tests.golden import MODELS

Matrix = NDArray[np.float64]

QUERY, MLP, NORM = "blocks.0.self_attn.q_proj", "blocks.1.mlp.layer1", "blocks.0.cross_attn.k_norm"
ADAPTER, ADAPTER_MLP, EMBED = (
    "llm_adapter.blocks.0.cross_attn.k_proj",
    "llm_adapter.blocks.0.mlp.0",
    "llm_adapter.embed",
)
QWEN, QWEN_NORM = "layers.0.self_attn.q_proj", "layers.1.input_layernorm"
DIFFUSERS = {
    QUERY: "transformer_blocks.0.attn1.to_q",
    MLP: "transformer_blocks.1.ff.net.0.proj",
    NORM: "transformer_blocks.0.attn2.norm_k",
    ADAPTER: "text_conditioner.blocks.0.attn2.to_k",
}


def _flat(name: str) -> str:
    return name.replace(".", "_")


@dataclass(frozen=True)
class KeyStyle:
    """How a trainer names a layer of the transformer or the adapter, and one of Qwen3, and its two factors."""

    transformer: Callable[[str], str]
    qwen: Callable[[str], str]
    up: str = "lora_up.weight"
    down: str = "lora_down.weight"


def _diffusers(name: str) -> str:
    found = DIFFUSERS.get(name, name)
    return found if found.startswith("text_conditioner") else f"transformer.{found}"


STYLES: Mapping[str, KeyStyle] = {
    "sd-scripts": KeyStyle(lambda n: f"lora_unet_{_flat(n)}", lambda n: f"lora_te_{_flat(n)}"),
    "sd-scripts, numbered encoder": KeyStyle(lambda n: f"lora_unet_{_flat(n)}", lambda n: f"lora_te1_model_{_flat(n)}"),
    "sd-scripts' converter": KeyStyle(
        lambda n: f"diffusion_model.{n}",
        lambda n: f"text_encoders.qwen3_06b.transformer.model.{n}",
        "lora_B.weight",
        "lora_A.weight",
    ),
    "PEFT": KeyStyle(
        lambda n: f"base_model.model.{n}", lambda n: f"base_model.model.model.{n}", "lora_B.weight", "lora_A.weight"
    ),
    "PEFT, named adapter": KeyStyle(
        lambda n: f"base_model.model.net.{n}",
        lambda n: f"base_model.model.text_encoder.{n}",
        "lora_B.my-style.weight",
        "lora_A.my-style.weight",
    ),
    "diffusers": KeyStyle(_diffusers, lambda n: f"text_encoder.{n}", "lora_B.weight", "lora_A.weight"),
    "diffusers, default adapter": KeyStyle(
        _diffusers, lambda n: f"text_encoder.model.{n}", "lora_B.default.weight", "lora_A.default.weight"
    ),
    "diffusers, before PEFT": KeyStyle(
        _diffusers, lambda n: f"text_encoder.{n}", "lora_linear_layer.up.weight", "lora_linear_layer.down.weight"
    ),
    "OneTrainer": KeyStyle(_diffusers, lambda n: f"text_encoder.{n}"),
    "ai-toolkit": KeyStyle(
        lambda n: f"diffusion_model.{n}", lambda n: f"text_encoder.model.{n}", "lora_B.weight", "lora_A.weight"
    ),
    "LyCORIS": KeyStyle(lambda n: f"lycoris_{_flat(n)}", lambda n: f"lycoris_te_{_flat(n)}"),
    "SimpleTuner": KeyStyle(
        lambda n: f"lycoris_{_flat(_diffusers(n).removeprefix('transformer.'))}",
        lambda n: f"lycoris_text_encoder_{_flat(n)}",
    ),
    "SimpleTuner, whole path": KeyStyle(
        lambda n: f"lora_transformer_{_flat(_diffusers(n).removeprefix('transformer.'))}",
        lambda n: f"lora_te_{_flat(n)}",
    ),
    "factors without weight": KeyStyle(
        lambda n: f"diffusion_model.{n}", lambda n: f"text_encoders.qwen3_06b.transformer.model.{n}", "lora_B", "lora_A"
    ),
    "diffusers, attention processors": KeyStyle(
        lambda n: _diffusers(n), lambda n: f"text_encoder.{n}", "lora.up.weight", "lora.down.weight"
    ),
    "bare names": KeyStyle(lambda n: n, lambda n: f"model.{n}"),
    "the file's own names": KeyStyle(lambda n: f"net.{n}", lambda n: f"text_encoders.qwen3_06b.{n}"),
}


class RandomFactors:
    """Random factors, as they are put into a file and as float64."""

    def __init__(self, seed: int, style: KeyStyle) -> None:
        self._random = np.random.default_rng(seed)
        self.style = style
        self.tensors: dict[str, torch.Tensor] = {}

    def put(self, name: str, *shape: int, scale: float = 0.3) -> Matrix:
        values = (scale * self._random.standard_normal(shape)).astype(np.float32)
        self.tensors[name] = torch.from_numpy(values)
        return values.astype(np.float64)

    def pair(self, layer: str, rows: int, columns: int, rank: int = 3, pixel: tuple[int, ...] = ()) -> Matrix:
        up = self.put(f"{layer}.{self.style.up}", rows, rank, *pixel).reshape(rows, rank)
        down = self.put(f"{layer}.{self.style.down}", rank, columns, *pixel).reshape(rank, columns)
        return up @ down

    def alpha(self, layer: str, value: float, shape: tuple[int, ...] = ()) -> float:
        self.tensors[f"{layer}.alpha"] = torch.full(shape, value)
        return value


Change = Callable[[RandomFactors, str, Matrix], Matrix]


def low_rank(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    return base + n.pair(layer, *base.shape)


def low_rank_with_alpha(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    return base + n.alpha(layer, 1.5) / 3 * n.pair(layer, *base.shape)


def convolution_of_one_pixel(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    return base + n.alpha(layer, 6.0, (1,)) / 3 * n.pair(layer, *base.shape, pixel=(1, 1))


def loha(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    rows, columns = base.shape
    first = n.put(f"{layer}.hada_w1_a", rows, 2) @ n.put(f"{layer}.hada_w1_b", 2, columns)
    return base + n.alpha(layer, 1.0) / 2 * first * (
        n.put(f"{layer}.hada_w2_a", rows, 2) @ n.put(f"{layer}.hada_w2_b", 2, columns)
    )


def convolution_with_a_middle(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    rows, columns = base.shape
    up = n.put(f"{layer}.{n.style.up}", rows, 3, 1, 1)[..., 0, 0]
    down = n.put(f"{layer}.{n.style.down}", 2, columns, 1, 1)[..., 0, 0]
    return base + n.alpha(layer, 1.0) / 2 * up @ n.put(f"{layer}.lora_mid.weight", 3, 2, 1, 1)[..., 0, 0] @ down


def loha_of_tucker(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    """As LyCORIS factors convolutions: the first factor's rows are the ranks."""
    rows, columns = base.shape
    products = [
        n.put(f"{layer}.hada_w{i}_a", 2, rows).T
        @ n.put(f"{layer}.hada_t{i}", 2, 2, 1, 1)[..., 0, 0]
        @ n.put(f"{layer}.hada_w{i}_b", 2, columns)
        for i in (1, 2)
    ]
    return base + n.alpha(layer, 1.0) / 2 * products[0] * products[1]


def lokr_of_tucker(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    rows, columns = base.shape
    first = n.put(f"{layer}.lokr_w1", 4, 2)
    second = (
        n.put(f"{layer}.lokr_w2_a", 2, rows // 4).T
        @ n.put(f"{layer}.lokr_t2", 2, 2, 1, 1)[..., 0, 0]
        @ n.put(f"{layer}.lokr_w2_b", 2, columns // 2)
    )
    return base + n.alpha(layer, 1.0) / 2 * np.kron(first, second)


def lokr(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    rows, columns = base.shape
    first = n.put(f"{layer}.lokr_w1", 4, 2)
    second = n.put(f"{layer}.lokr_w2_a", rows // 4, 2) @ n.put(f"{layer}.lokr_w2_b", 2, columns // 2)
    return base + n.alpha(layer, 1.0) / 2 * np.kron(first, second)


def whole_lokr(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    """Both factors whole: there is no rank, so the alpha, which trainers set to anything, does not count."""
    rows, columns = base.shape
    n.alpha(layer, 1e9)
    second = n.put(f"{layer}.lokr_w2", rows // 2, columns // 2, 1, 1)
    return base + np.kron(n.put(f"{layer}.lokr_w1", 2, 2), second[..., 0, 0])


def factored_lokr(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    rows, columns = base.shape
    first = n.put(f"{layer}.lokr_w1_a", 4, 1) @ n.put(f"{layer}.lokr_w1_b", 1, 2)
    second = n.put(f"{layer}.lokr_w2_a", rows // 4, 3) @ n.put(f"{layer}.lokr_w2_b", 3, columns // 2)
    return base + n.alpha(layer, 1.0) / 3 * np.kron(first, second)


def dora_of_columns(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    whole = base + n.pair(layer, *base.shape)
    lengths = n.put(f"{layer}.dora_scale", 1, base.shape[1])
    return whole * lengths / np.linalg.norm(whole, axis=0, keepdims=True)


def dora_of_rows(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    """ComfyUI measures the rows before the change."""
    whole = base + n.pair(layer, *base.shape)
    lengths = n.put(f"{layer}.dora_scale", base.shape[0], 1)
    return whole * lengths / np.linalg.norm(base, axis=1, keepdims=True)


def dora_of_peft(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    """PEFT's magnitudes are those of the changed weight's rows (peft.tuners.lora.dora)."""
    whole = base + n.pair(layer, *base.shape)
    adapter = n.style.up.removeprefix("lora_B").removesuffix(".weight") if n.style.up.startswith("lora_B") else ""
    lengths = n.put(f"{layer}.lora_magnitude_vector{adapter}", base.shape[0])[:, None]
    return whole * lengths / np.linalg.norm(whole, axis=1, keepdims=True)


def dora_of_lokr(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    whole = lokr(n, layer, base)
    lengths = n.put(f"{layer}.dora_scale", 1, base.shape[1])
    return whole * lengths / np.linalg.norm(whole, axis=0, keepdims=True)


def oft(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    blocks = n.put(f"{layer}.oft_blocks", base.shape[0] // 4, 4, 4)
    return np.concatenate([_rotation(block).T @ base[4 * i : 4 * i + 4] for i, block in enumerate(blocks)])


def boft(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    """Two stages of a butterfly, by permuting rows so that each stage is block-diagonal, and a scale for each row."""
    rows = base.shape[0]
    stages = n.put(f"{layer}.oft_blocks", 2, rows // 2, 2, 2)
    scale = n.put(f"{layer}.rescale", rows, 1)
    turned = base
    for stage, blocks in enumerate(stages):
        apart = 2**stage
        pairs = [(i, i + apart) for i in range(rows) if i // apart % 2 == 0]
        result = turned.copy()
        for (first, second), block in zip(pairs, blocks, strict=True):
            result[[first, second]] = _rotation(block) @ turned[[first, second]]
        turned = result
    return turned * scale


def glora(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    rows, columns = base.shape
    a = n.put(f"{layer}.a1.weight", columns, 2) @ n.put(f"{layer}.a2.weight", 2, columns)
    return base + base @ a + n.put(f"{layer}.b1.weight", rows, 2) @ n.put(f"{layer}.b2.weight", 2, columns)


def whole_difference(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    return base + n.put(f"{layer}.diff", *base.shape)


def new_weight(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    return n.put(f"{layer}.set_weight", *base.shape)


def norm(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    return base + n.put(f"{layer}.w_norm", *base.shape)


def embedding(n: RandomFactors, layer: str, base: Matrix) -> Matrix:
    tokens, width = base.shape
    return base + (n.put(f"{layer}.lora_embedding_B", width, 2) @ n.put(f"{layer}.lora_embedding_A", 2, tokens)).T


def _rotation(block: Matrix) -> Matrix:
    """Cayley's transform of a skew-symmetric matrix."""
    skew, one = block - block.T, np.eye(len(block))
    return (one + skew) @ np.linalg.inv(one - skew)


CHANGES: tuple[Change, ...] = (
    *(low_rank, low_rank_with_alpha, convolution_of_one_pixel, loha, lokr, whole_lokr, factored_lokr),
    *(convolution_with_a_middle, loha_of_tucker, lokr_of_tucker),
    *(dora_of_columns, dora_of_rows, dora_of_peft, dora_of_lokr, oft, boft, glora, whole_difference, new_weight),
)
LAYERS = (QUERY, MLP, ADAPTER, ADAPTER_MLP, TEXT_ENCODER + QWEN)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(MODELS, tmp_path_factory.mktemp("merges") / "models"))


@pytest.fixture(scope="module")
def merging(models: Path) -> Engine:
    return Engine.load(models, device="cpu")


def weights(engine: Engine, layer: str) -> torch.Tensor:
    network = engine.text_encoder.qwen if layer.startswith(TEXT_ENCODER) else engine.transformer
    return network.get_parameter(f"{layer.removeprefix(TEXT_ENCODER)}.weight").detach()


def name_in(style: KeyStyle, layer: str) -> str:
    if layer.startswith(TEXT_ENCODER):
        return style.qwen(layer.removeprefix(TEXT_ENCODER))
    return style.transformer(layer)


def check(engine: Engine, models: Path, style: KeyStyle, changes: Mapping[str, Change], seed: int) -> None:
    numbers = RandomFactors(seed, style)
    wanted = {}
    for layer, change in changes.items():
        base = weights(engine, layer).numpy().astype(np.float64)
        wanted[layer] = (base, change(numbers, name_in(style, layer), base))
    save_file(numbers.tensors, models / "loras" / "merge.safetensors")
    lora = Lora.read(models / "loras" / "merge.safetensors", engine.transformer, engine.text_encoder.qwen)
    assert lora.left_out == ()
    try:
        for strength in (1.0, 0.5):
            engine.use_loras([("merge", strength)])
            for layer, (base, whole) in wanted.items():
                if strength == 1 or changes[layer] in LINEAR:
                    expected = base + strength * (whole - base)
                    np.testing.assert_allclose(weights(engine, layer).numpy(), expected, rtol=2e-4, atol=2e-5)
    finally:
        engine.use_loras([])
    for layer, (base, _whole) in wanted.items():
        np.testing.assert_array_equal(weights(engine, layer).numpy(), base.astype(np.float32))


#: Those whose change is the strength times the whole change. Rotations are blended otherwise, as ComfyUI does.
LINEAR = frozenset(CHANGES) - {oft, boft, new_weight} | {norm, embedding}


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize("first", range(0, len(CHANGES), len(LAYERS)))
def test_a_file_changes_weights_as_its_kind_is_defined(merging: Engine, models: Path, name: str, first: int) -> None:
    """All kinds in turn, each on another layer; the next style has them on other layers again."""
    turn = list(STYLES).index(name)
    order = [*LAYERS[turn % len(LAYERS) :], *LAYERS[: turn % len(LAYERS)]]
    changes = {order[i]: change for i, change in enumerate(CHANGES[first : first + len(LAYERS)])}
    check(merging, models, STYLES[name], changes, seed=100 * turn + first)


@pytest.mark.parametrize("name", STYLES)
def test_norms_and_embeddings_are_changed_too(merging: Engine, models: Path, name: str) -> None:
    changes: dict[str, Change] = {NORM: norm, TEXT_ENCODER + QWEN_NORM: norm, EMBED: embedding}
    changes[f"{TEXT_ENCODER}embed_tokens"] = embedding
    check(merging, models, STYLES[name], changes, seed=7)
    check(merging, models, STYLES[name], {EMBED: low_rank}, seed=8)


@pytest.mark.parametrize("stabilized", [False, True])
def test_alphas_of_the_header_count_by_component(merging: Engine, models: Path, stabilized: bool) -> None:
    style = STYLES["diffusers"]
    numbers = RandomFactors(1, style)
    layers = {QUERY: "transformer", ADAPTER: "text_conditioner", TEXT_ENCODER + QWEN: "text_encoder"}
    wanted = {}
    settings: dict[str, object] = {}
    for alpha, (layer, component) in enumerate(layers.items(), start=4):
        base = weights(merging, layer).numpy().astype(np.float64)
        scale = alpha / (3**0.5 if stabilized else 3)
        wanted[layer] = base + scale * numbers.pair(name_in(style, layer), *base.shape)
        settings |= {f"{component}.lora_alpha": alpha, f"{component}.r": 3, f"{component}.use_rslora": stabilized}
    path = models / "loras" / "header.safetensors"
    save_file(numbers.tensors, path, {"lora_adapter_metadata": json.dumps(settings)})
    merging.use_loras([("header", 1.0)])
    for layer, whole in wanted.items():
        np.testing.assert_allclose(weights(merging, layer).numpy(), whole, rtol=2e-4, atol=2e-5)
    merging.use_loras([])
