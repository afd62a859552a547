"""Fuzz targets whose files are put together from parts, since changed bytes seldom make another form that is whole.

A case is only the seed of the choices. Parts fit each other mostly, and are wrong in one way or another now and then.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast
from unittest.mock import patch

from PIL import Image

from tests.soak.targets import FuzzTarget, text_of

#: One of so many choices is wrong.
WRONG = 25
SEEDS = [bytes([number]) * 8 for number in range(16)]


def stealth_texts() -> FuzzTarget:
    """Text in the lowest bits of a picture's channels: of every program, cut off, with wrong lengths, broken gzip."""
    import numpy as np

    from bot.generation.compose import ModelInfo
    from bot.generation.errors import UnusableImage
    from bot.generation.from_metadata import Replay
    from inference import NativeSettings
    from inference.metadata import read

    model = ModelInfo(NativeSettings(((64, 64),), 4, 4.0, "er_sde", "simple"), ("style",))
    comment = {"prompt": "cat", "uc": "bad", "steps": 28, "seed": 3, "scale": 5.0, "sampler": "k_euler"}
    texts = [
        b"cat, dog\nNegative prompt: bad\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x512",
        json.dumps({"Software": "NovelAI", "Source": "V4", "Comment": json.dumps(comment)}).encode(),
        json.dumps({"sui_image_params": {"prompt": "cat", "seed": 5, "loras": ["a"], "loraweights": ["1"]}}).encode(),
        json.dumps({"prompt": json.dumps({"1": {"class_type": "KSampler", "inputs": {"seed": 5}}})}).encode(),
        b"[" * 2000,
    ]

    def hidden(chance: random.Random, case: bytes) -> Image.Image:
        text = bytearray(chance.choice((*texts, case)) if chance.randrange(200) else bytes(1 << 18))
        for _ in range(chance.randrange(4)):
            text[chance.randrange(len(text) + 1) :] = chance.choice((b"", b"\xff", b'"}', bytes(text[:20])))
        in_gzip = chance.random() < 0.5
        data = gzip.compress(bytes(text), 1) if in_gzip else bytes(text)
        if not chance.randrange(5) and data:
            data = data[: chance.randrange(len(data))] + chance.randbytes(chance.randrange(9))
        kind, form = chance.choice(("png", "rgb")), "comp" if in_gzip else "info"
        if not chance.randrange(WRONG):
            form = chance.choice(("comp", "info", "xxxx"))
        length = 8 * len(data) if chance.randrange(6) else chance.getrandbits(32)
        bits = np.unpackbits(
            np.frombuffer(f"stealth_{kind}{form}".encode() + struct.pack(">I", length) + data, np.uint8)
        )
        channels = 1 if kind == "png" else 3
        width = chance.randrange(1, 40)
        height = max(1, -(-len(bits) // (channels * width)) - (not chance.randrange(8)))
        values = np.zeros(width * height * channels, np.uint8)
        values[: len(bits)] = bits[: len(values)]
        pixels = values.reshape(width, height, channels).transpose(1, 0, 2)
        if kind == "rgb":
            return Image.fromarray(np.ascontiguousarray(pixels))
        mode = chance.choice(("RGBA", "LA"))
        image = Image.new(mode, (width, height))
        image.putalpha(Image.fromarray(np.ascontiguousarray(pixels[..., 0])))
        return image

    def read_and_replay(case: bytes) -> None:
        chance = random.Random(case)
        picture = hidden(chance, case)
        if not chance.randrange(20):
            file = io.BytesIO()
            picture.save(file, "PNG", compress_level=1)
            found = read(file.getvalue())
        else:
            found = read(picture)
        if found is not None:
            Replay.of(found, model)

    return FuzzTarget(read_and_replay, [*SEEDS, *map(bytes, texts[:4])], (), (UnusableImage,), longest=1000)


def in_memory() -> Path:
    """A new folder, in main memory where the system has a place for files there."""
    place = Path("/dev/shm")
    return Path(mkdtemp(prefix="anima-fuzz-", dir=place if place.is_dir() else None))


@dataclass
class _SafetensorsFile:
    """One file that is written again for each case. Its data are zeros or small numbers, whatever the header says."""

    path: Path = field(default_factory=lambda: in_memory() / "case.safetensors")

    def holding(self, header: Mapping[str, Any], data: bytes) -> Path:
        text = json.dumps(header).encode()
        self.path.write_bytes(struct.pack("<Q", len(text)) + text + data)
        os.utime(self.path)
        return self.path

    def holding_zeros(self, header: Mapping[str, Any], size: int) -> Path:
        path = self.holding(header, b"")
        os.truncate(path, path.stat().st_size + size)
        return path


#: The numbers in every factor: not all the same, so that no matrix is singular.
_NUMBERS = struct.pack("<64f", *(((7 * i) % 13 - 6) / 100 for i in range(64)))
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "I64": 8, "BOOL": 1}


def packed(shapes: Mapping[str, tuple[str, tuple[int, ...]]]) -> tuple[dict[str, Any], int]:
    """A header's entries for tensors of these dtypes and shapes, and the bytes of data that it needs."""
    header: dict[str, Any] = {}
    end = 0
    for name, (dtype, shape) in shapes.items():
        size = BYTES[dtype]
        for side in shape:
            size *= side
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    return header, end


STYLES: tuple[Callable[[str], str], ...] = (
    lambda layer: f"lora_unet_{layer.replace('.', '_')}",
    lambda layer: f"diffusion_model.{layer}",
    lambda layer: layer,
    lambda layer: f"net.{layer}",
    lambda layer: f"base_model.model.{layer}",
    lambda layer: f"lycoris_{layer.replace('.', '_')}",
    lambda layer: (
        f"transformer.{layer.replace('blocks.', 'transformer_blocks.').replace('self_attn.q_proj', 'attn1.to_q')}"
    ),
    lambda layer: f"lora_te_{layer.replace('.', '_')}",
    lambda layer: f"text_encoders.qwen3_06b.transformer.model.{layer}",
    lambda layer: f"lora_te1_text_model_{layer.replace('.', '_')}",
)


def _factors(chance: random.Random, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    """The factors of one layer of a kind of LoRA that is chosen, by their endings."""
    rank = chance.choice((0, 1, 2, 4, 4, 4, 16))
    half = (rows // 2, columns // 2)
    group = chance.choice((2, 4, rows))
    kinds: Sequence[dict[str, tuple[int, ...]]] = (
        {"lora_up.weight": (rows, rank), "lora_down.weight": (rank, columns)},
        {"lora_B.weight": (rows, rank), "lora_A.weight": (rank, columns)},
        {"lora_B.default.weight": (rows, rank), "lora_A.default.weight": (rank, columns)},
        {"lora_up.weight": (rows, rank, 1, 1), "lora_down.weight": (rank, columns, 1, 1)},
        {"lora_up.weight": (rows, rank), "lora_down.weight": (rank, columns), "dora_scale": (rows, 1)},
        {"lora_up.weight": (rows, rank), "lora_down.weight": (rank, columns), "dora_scale": (1, columns)},
        {"lora_up.weight": (rows, rank), "lora_mid.weight": (rank, rank, 1, 1), "lora_down.weight": (rank, columns)},
        {"lokr_w1": (2, 2), "lokr_w2": half},
        {"lokr_w1": (2, 2), "lokr_w2_a": (half[0], rank), "lokr_w2_b": (rank, half[1])},
        {"lokr_w1_a": (2, 1), "lokr_w1_b": (1, 2), "lokr_w2": half},
        {f"hada_{w}_{s}": (rows, rank) if s == "a" else (rank, columns) for w in ("w1", "w2") for s in "ab"},
        {"oft_blocks": (rows // group, group, group)},
        {"oft_blocks": (2, rows // group, group, group), "rescale": (rows, 1)},
        {
            "a1.weight": (rank, columns),
            "a2.weight": (rows, rank),
            "b1.weight": (rank, columns),
            "b2.weight": (rows, rank),
        },
        {"diff": (rows, columns), "diff_b": (rows,)},
        {"set_weight": (rows, columns)},
        {"w_norm": (rows,), "b_norm": (rows,)},
        {"lora_embedding_A": (rank, rows), "lora_embedding_B": (columns, rank)},
    )
    found = dict(chance.choice(kinds))
    if chance.random() < 0.4:
        found["alpha"] = chance.choice(((), (1,), (1,), (2,)))
    return found


def _spoilt(factors: dict[str, tuple[int, ...]], chance: random.Random) -> dict[str, tuple[int, ...]]:
    """Factors with a wrong side, one too many or too few, or another's."""
    name = chance.choice(list(factors))
    shape = list(factors[name])
    match chance.randrange(5):
        case 0:
            del factors[name]
        case 1 if shape:
            shape[chance.randrange(len(shape))] = chance.choice((0, 1, 3, 64))
            factors[name] = tuple(shape)
        case 2:
            factors[name] = (*shape, 1)
        case 3:
            factors[name] = tuple(reversed(shape))
        case _:
            factors |= _factors(chance, 64, 32)
    return factors


def lora_forms() -> FuzzTarget:
    """LoRA files of every kind and key style, held against the model, merged and taken out again."""
    import torch

    from inference.networks.params import TransformerParams
    from inference.networks.qwen import Qwen, QwenParams
    from inference.networks.structure import shapes_alone
    from inference.networks.transformer import Transformer
    from inference.request import CheckpointError
    from inference.weights.checkpoint import ModelFiles
    from inference.weights.lora import Lora, MergedLoras, Network
    from inference.weights.lora_layers import TEXT_ENCODER
    from inference.weights.weights_file import load_module
    from tests.golden import MODELS

    torch.set_num_threads(1)
    files = ModelFiles.find(MODELS)
    with shapes_alone():
        transformer = Transformer(TransformerParams.from_shapes(files.transformer.shapes))
        qwen = Qwen(QwenParams.from_shapes(files.text_encoder.shapes))
    load_module(transformer, files.transformer, torch.device("cpu"), torch.float32, ignored=("pos_embedder.",))
    qwen.to_empty(device="cpu")
    # One block of each is enough; to go through all of them takes most of a case's time.
    for network, blocks in ((transformer, "blocks"), (transformer.llm_adapter, "blocks"), (qwen, "layers")):
        setattr(network, blocks, getattr(network, blocks)[:1])
    merged = MergedLoras([Network("", transformer, files.transformer), Network(TEXT_ENCODER, qwen, files.text_encoder)])
    file = _SafetensorsFile()
    layers = [
        (name.removesuffix(".weight"), tuple(tensor.shape))
        for module in (transformer, qwen)
        for name, tensor in module.named_parameters()
        if name.endswith(".weight") and tensor.numel() < 40_000
    ]

    def tensors(chance: random.Random) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
        style = chance.choice(STYLES)
        for layer, shape in chance.choices(layers, k=chance.choice((1, 2, 4))):
            rows, columns = (*shape, shape[0])[:2] if len(shape) < 2 else (shape[0], shape[1])
            factors = _factors(chance, rows, columns)
            if not chance.randrange(4):
                factors = _spoilt(factors, chance)
            if not chance.randrange(WRONG):
                style = chance.choice(STYLES)
            for ending, sides in factors.items():
                yield f"{style(layer)}.{ending}", (chance.choice(("F32", "F32", "BF16", "F16", "F8_E4M3")), sides)

    def read(case: bytes) -> None:
        chance = random.Random(case)
        header, size = packed(dict(tensors(chance)))
        if not chance.randrange(4):
            alphas = {"transformer.lora_alpha": chance.choice((8, 0, -1, "x", 1e400)), "transformer.use_rslora": True}
            header["__metadata__"] = {"lora_adapter_metadata": json.dumps(alphas), "ss_base_model_version": "anima"}
        data = (_NUMBERS if chance.randrange(WRONG) else bytes(256)) * (size // 256 + 1)
        lora = Lora.read(file.holding(header, data[:size]), transformer, qwen)
        assert not lora.notes or lora.unmatched
        merged.set([(lora, chance.choice((1.0, 0.5, -1.0)))])
        for name in lora.factors:
            _check(merged, name)
        merged.set([])

    def _check(merged: MergedLoras, name: str) -> None:
        weight, network, own = merged._weights[name]
        assert weight.shape == network.checkpoint.shapes[own]

    return FuzzTarget(read, SEEDS, (), (CheckpointError,), seconds=2.0, longest=64)


#: Forms of quantised weights by what stands beside a weight; the dtype of the weight is the first.
QUANTIZED: tuple[tuple[str, dict[str, tuple[str, tuple[int, ...]]]], ...] = (
    ("F8_E4M3", {"scale_weight": ("F32", ())}),
    ("F8_E4M3", {"weight_scale": ("F32", (1,)), "input_scale": ("F32", (1,))}),
    ("F8_E5M2", {"weight_scale": ("F32", ()), "comfy_quant": ("I8", (27,))}),
    ("I8", {"weight_scale": ("F32", (-1,)), "comfy_quant": ("I8", (31,))}),
    ("I8", {"weight_scale": ("F32", (-1, 1))}),
    ("I8", {"weight_scale": ("F32", (3,)), "weight_scale_2": ("F32", ())}),
)


def all_in_one_headers() -> FuzzTarget:
    """Files with all parts of a model in them, quantised or not, with keys missing, renamed, left over or misshapen."""
    import torch

    from inference.benchmark.random_model import vae_shapes
    from inference.networks import text_encoder
    from inference.networks import vae as vae_module
    from inference.networks.qwen import Qwen, QwenParams
    from inference.networks.vae import Level, Vae, VaeParams
    from inference.request import CheckpointError
    from inference.weights.checkpoint import ModelFiles, mismatches
    from inference.weights.headers.header import Header
    from tests.golden import MODELS

    torch.set_num_threads(1)
    built: dict[str, Any] = {}

    def qwen(params: QwenParams) -> Qwen:
        return cast("Qwen", _once(built, str(params), lambda: Qwen(params)))

    def vae(params: VaeParams) -> Vae:
        return cast("Vae", _once(built, str(params), lambda: Vae(params)))

    levels = (Level(8, 8, resamples=False), Level(8, 8, resamples=True))
    shapes = {f"vae.{key}": shape for key, shape in vae_shapes(VaeParams(16, levels, levels)).items()}
    for part, before in (
        ("diffusion_models/anima-tiny", "model.diffusion_model."),
        ("text_encoders/qwen_3_tiny", "text_encoders.qwen3_06b.transformer."),
    ):
        header = Header.read(MODELS / f"{part}.safetensors")
        shapes |= {before + key.removeprefix("net."): shape for key, shape in header.shapes.items()}
    # One block of each is enough; how many there are is what takes a case's time.
    later = re.compile(r"\.(?:blocks|layers)\.[1-9]\d*\.")
    whole = {key: ("BF16", shape) for key, shape in shapes.items() if not later.search(key)}
    folder = in_memory()
    (folder / "tokenizers").symlink_to(MODELS / "tokenizers")
    (folder / "checkpoints").mkdir()
    file = _SafetensorsFile(folder / "checkpoints" / "case.safetensors")
    linear = [key for key, (_dtype, shape) in whole.items() if len(shape) == 2 and key.endswith(".weight")]
    leftovers = (
        "accum_steps",
        "logvar.0.weight",
        "blocks.0.self_attn._extra_state",
        "model_ema.x",
        "first_stage_model.y",
    )

    def header_of(chance: random.Random) -> dict[str, Any]:
        tensors = dict(whole)
        if chance.random() < 0.5:
            dtype, beside = chance.choice(QUANTIZED)
            for key in chance.sample(linear, chance.choice((1, 3, len(linear)))):
                rows = tensors[key][1][0]
                tensors[key] = (dtype, tensors[key][1])
                layer = key.removesuffix("weight")
                tensors |= {
                    layer + name: (its, tuple(rows if side == -1 else side for side in shape))
                    for name, (its, shape) in beside.items()
                }
        for key in chance.sample(list(tensors), chance.choice((0, 0, 1, 2))):
            dtype, shape = tensors.pop(key)
            match chance.randrange(5):
                case 0:
                    tensors[f"{key}.x"] = (dtype, shape)
                case 1:
                    tensors[key] = (dtype, (*shape, 1))
                case 2:
                    tensors[key] = (dtype, shape[:-1])
                case 3 if shape:
                    tensors[key] = (dtype, (chance.choice((0, 1, 7, 2 * shape[0])), *shape[1:]))
        for name in chance.sample(leftovers, chance.randrange(3)):
            tensors[chance.choice(("", "model.diffusion_model.", "net.")) + name] = ("F32", (1,))
        if not chance.randrange(WRONG):
            tensors["model.diffusion_model.blocks.999999.mlp.layer1.weight"] = ("F32", (1,))
        if not chance.randrange(5):
            old, new = chance.choice((("vae.", "first_stage_model."), ("model.diffusion_model.", ""), ("vae.", "")))
            tensors = {key.replace(old, new, 1) if key.startswith(old) else key: kept for key, kept in tensors.items()}
        found, _size = packed(tensors)
        if not chance.randrange(3):
            formats = ("float8_e4m3fn", "nvfp4", 3, None)
            layers = {key.removesuffix(".weight"): {"format": chance.choice(formats)} for key in linear[:3]}
            found["__metadata__"] = {"_quantization_metadata": json.dumps({"layers": layers})}
        return found

    def read(case: bytes) -> None:
        chance = random.Random(case)
        header = header_of(chance)
        size = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        file.holding_zeros(header, size)
        # Networks of sizes that were met before are not built again, which is what takes the time.
        with patch.object(vae_module, "Vae", vae), patch.object(text_encoder, "Qwen", qwen):
            mismatches(ModelFiles.find(folder))

    return FuzzTarget(read, SEEDS, (text_of(b"x").encode(),), (CheckpointError,), seconds=2.0, longest=64)


def _once(built: dict[str, Any], key: str, build: Callable[[], Any]) -> Any:
    """What was built before under this key, or now."""
    if key not in built:
        if len(built) > 100:
            built.clear()
        built[key] = module = build()
        tensors = module.state_dict()
        module.state_dict = lambda: tensors  # its shapes are all that is asked for
    return built[key]


STRUCTURED_TARGETS: dict[str, Callable[[], FuzzTarget]] = {
    "stealth-texts": stealth_texts,
    "lora-forms": lora_forms,
    "all-in-one-headers": all_in_one_headers,
}
