"""The targets of the fuzzer: one for each kind of untrusted input and the code that reads it.

A target's `read` gets any bytes. It may raise only the declared exceptions, and must stay within its bounds of time and
memory.
"""

from __future__ import annotations

import io
import json
import os
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from PIL import Image

MEBI = 1 << 20


@dataclass(frozen=True)
class FuzzTarget:
    """`seeds`: valid examples and known attacks, from which cases are made by mutation.

    seconds: processor time for one case. memory: MiB above what the process uses once it is warm.
    """

    read: Callable[[bytes], object]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()
    declared: tuple[type[Exception], ...] = ()
    seconds: float = 1.0
    memory: int = 256
    #: Bytes of a mutated case; seeds may be longer.
    longest: int = 4096


def text_of(case: bytes) -> str:
    """Any bytes as text, with lone surrogates where they are not UTF-8; JSON can contain them too."""
    return case.decode("utf-8", "surrogateescape")


PROMPTS = (
    "1girl, (smile:1.2), ((masterpiece)), @wlop, long_hair",
    r"{2::red|blue|{|deep }green} hair, \{literal\}, {a|b|c} (x:1e3)",
    "<lora:style:0.8>, embedding:bad, BREAK, score_9, (unbalanced, [de:em:0.5]",
    "初音ミク, ＠artist，（全角：1.2）",
    "(" * 2000 + "x" + ")" * 2000,
    "{" * 2000 + "x|" * 1000 + "}" * 2000,
    "(a:" * 1000,
    "{a|" * 1000,
    "\\" * 3000,
    "1_girl " * 400,
    "@" * 3000,
    ",".join(["(a:1.1)"] * 300),
)
PROMPT_WORDS = [
    word.encode("utf-8", "surrogatepass")
    for word in (
        *("(", ")", ":", "{", "}", "|", "\\", "::", ",", "@", "<lora:", ">", "_", "[", "]", "BREAK", "\n", "\0", "``"),
        *("--ar 2:3", "--no ", "seed:", "1.3::", "1024", "Negative prompt:", "\uff0c", "\u3001", "\u9577", "\uae34 "),
        *("1e309", "nan", "inf", "-1", "1_0", "9" * 400, "\ud800", "\u202e", "\u200b", "｜", "İ", "ﬃ", "𝔞"),
    )
]


def prompts() -> FuzzTarget:
    """Weights, hints and their fixes, safety terms, and how a prompt is displayed."""
    from bot.prompting import TagIndex
    from bot.prompting.hints import correct, hints
    from bot.rules.safety import asks_for_nsfw, minors_sexual
    from bot.text import markdown
    from inference.prompt import parse_weights

    tags = TagIndex.load()

    def read(case: bytes) -> None:
        prompt = text_of(case)
        segments = parse_weights(prompt)
        assert segments and all(abs(weight) < 3.5e38 for _, weight in segments)
        hints(prompt, tags)
        correct(prompt, tags)
        minors_sexual(prompt, negative=prompt)
        asks_for_nsfw(prompt, negative="")
        markdown.blockquote(prompt, markdown.MAX_PROMPT_SHOWN)
        markdown.inline(prompt, 100)
        tags.complete(prompt[-100:])

    return FuzzTarget(read, [prompt.encode() for prompt in PROMPTS], PROMPT_WORDS)


def wildcards() -> FuzzTarget:
    from bot.prompting import escape_wildcards, expand

    def read(case: bytes) -> None:
        template = text_of(case)
        assert len(expand(template, len(case))) <= len(template)
        assert expand(escape_wildcards(template), 7) == template

    return FuzzTarget(read, [prompt.encode() for prompt in PROMPTS], PROMPT_WORDS)


def custom_ids() -> FuzzTarget:
    """Every component's template, and the item built from its groups, as in discord.py."""
    import asyncio

    from discord import ui

    from bot.app import HANDLERS
    from bot.messages.buttons import LABELS

    templates = [(kind.__discord_ui_compiled_template__, kind) for kind in HANDLERS]
    loop = asyncio.new_event_loop()

    async def built(custom_id: str) -> None:
        for template, kind in templates:
            if (match := template.fullmatch(custom_id)) is None:
                continue
            button: Any = ui.Button(custom_id=custom_id)
            item = await kind.from_custom_id(None, button, match)
            assert isinstance(item, kind) and template.fullmatch(item.custom_id)  # numbers lose leading zeros
            for value in vars(item).values():
                assert not isinstance(value, int) or abs(value) < 10**19

    def read(case: bytes) -> None:
        loop.run_until_complete(built(text_of(case)[:100]))

    seeds = [f"anima:{action}:123456789012345678:1" for action in (*LABELS, "vary", "deleted")]
    seeds += [f"anima:{what}:12" for what in ("pick", "cancel", "fixed", "queue:cancel", "history:again")]
    seeds += ["anima:history:older:12:red hair", "anima:history:show", "anima:privacy:erase:kept", "anima:help"]
    seeds += ["anima-admin:form-limits", "anima-admin:unblock:1234567890123456789", "anima:queue"]
    seeds += ["anima:preferences:apply:0123456789abcdef", "anima:preferences:page:presets", "anima:preferences:size"]
    seeds += ["anima:preferences:turbo:on", "anima:preferences:form:numbers", "anima:history:newer:1:" + "x" * 70]
    seeds += [f"anima:redraw-{what}:12:1" + ":33554431" * (what != "cells") for what in ("cells", "lines", "chosen")]
    seeds += [f"anima:{what}:12" for what in ("moderate:both", "triggers", "unshare", "edit-again", "described-draw")]
    seeds += ["anima:describe:12:3", "anima:described-edit:12", "anima:unshare-for-good:12"]
    digits = "٣", "9" * 19, "-1", "0x1", "1e3", "\0", "\n", ":", "::", "anima", "anima-admin", "𝟙"
    return FuzzTarget(read, [seed.encode() for seed in seeds], [word.encode() for word in digits], longest=200)


def options() -> FuzzTarget:
    """A slash command's values from what Discord delivers to the job's parameters, and back."""
    from bot.generation.compose import ModelInfo, recipes, resolve_options
    from bot.generation.errors import InvalidOption
    from bot.generation.options import Options
    from bot.generation.recipe import seeds_from
    from bot.generation.sizes import parse_size
    from bot.generation.spec import JobSpec
    from bot.generation.typed.command import parse_seed
    from bot.prompting import TagIndex
    from bot.rules.policy import ChannelContext, Person, TypedText, permit
    from bot.rules.server_settings import ServerDefaults, ServerSettings
    from inference import NativeSettings
    from inference.request import SAMPLERS, SCHEDULERS

    native = NativeSettings(((1024, 1024), (832, 1216)), 30, 4.0, "er_sde", "simple")
    model = ModelInfo(native, ("style", "deep/turbo"))
    tags, server = TagIndex.load(), ServerSettings()
    rules = ServerDefaults().prompt_rules(tags, age_restricted=False)

    def read(case: bytes) -> None:
        chance = random.Random(case)
        parts = [text_of(part) for part in case.split(b"\x1f")] + [""] * 6
        prompt, negative, aspect, seed, artist, lora = parts[:6]
        said = Options(
            negative=chance.choice((None, negative)),
            artist=chance.choice((None, artist)),
            size=chance.choice((None, (chance.randint(1, 8192), chance.randint(1, 8192)))),
            count=chance.choice((None, chance.randint(1, 4))),
            steps=chance.choice((None, chance.randint(1, 1000))),
            cfg_scale=chance.choice((None, 1.0, chance.uniform(1, 100))),
            sampler=chance.choice((None, chance.choice(SAMPLERS), artist[:20])),
            scheduler=chance.choice((None, chance.choice(SCHEDULERS), artist[:20])),
            seed=parse_seed(seed[:20]) if seed else None,
            loras=chance.choice((None, ((lora, chance.uniform(-10, 10)),), (("style", float("inf")),))),
            denoise=chance.choice((None, chance.uniform(0.05, 1))),
        )
        if aspect:
            parse_size(aspect, native.sizes)
        chosen = resolve_options(said, Options(), model)
        seeds = seeds_from(chosen.seed, chosen.count or 1)
        drawn = recipes(prompt, chosen, seeds, rules, model, from_image=chance.random() < 0.5)
        drawing = JobSpec(recipes=drawn, options=chosen)
        permit(server, native, Person(1), ChannelContext(1, 2), drawing, TypedText((prompt, artist), negative))
        Options.of(chosen.as_json())
        document = json.loads(json.dumps(drawing.as_json()))
        assert JobSpec.of(_Job(document)).recipes == drawn
        assert drawing.cost(native) > 0

    def of(*parts: str) -> bytes:
        return b"\x1f".join(part.encode() for part in parts)

    seeds = [of(prompt[:1500], "bad", "2:3", "7", "wlop", "style") for prompt in PROMPTS]
    seeds += [of("1girl", "{a|b}", "832x1216", str(2**64 - 1), "@a, b", "../../etc/passwd")]
    return FuzzTarget(read, seeds, [*PROMPT_WORDS, b"\x1f"], (InvalidOption, ValueError), longest=6000)


@dataclass(frozen=True)
class _Job:
    """As much of a job as `JobSpec.of` looks at."""

    parameters: Any


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def a_png(*chunks: bytes, width: int = 8, height: int = 8, pixels: bytes | None = None) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * (height * (3 * width + 1))) if pixels is None else pixels
    parts = (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def zeros(mebibytes: int) -> bytes:
    """So many MiB of zeros as zlib packs them: a two-hundredth of their size."""
    packer = zlib.compressobj(1)
    return b"".join(packer.compress(bytes(MEBI)) for _ in range(mebibytes)) + packer.flush()


def saved(format: str, mode: str = "RGB", **settings: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (9, 7)).save(file, format, **settings)
    return file.getvalue()


def pictures_with_text() -> list[bytes]:
    from inference.metadata import Parameters, encode_png

    known = Parameters(
        prompt="1girl",
        negative_prompt="bad",
        width=8,
        height=8,
        steps=3,
        cfg_scale=4.0,
        sampler="er_sde",
        scheduler="simple",
        seed=7,
    )
    ours = encode_png(Image.new("RGB", (8, 8)), replace(known, model="anima"))
    graph = json.dumps({"1": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "latent_image": ["1", 0]}}})
    deep = "[" * 100_000
    exif = Image.Exif()
    exif[0x9286] = b"UNICODE\0" + "1girl\nSteps: 3, Sampler: Euler, Seed: 1".encode("utf-16-be")
    return [
        ours,
        a_png(chunk(b"tEXt", b"parameters\x001girl <lora:a:1>\nNegative prompt: x\nSteps: 3, Sampler: Euler, Seed: 1")),
        a_png(chunk(b"tEXt", b"prompt\0" + graph.encode())),
        a_png(chunk(b"tEXt", b"workflow\0" + b'{"nodes":[{"id":1,"type":"KSampler"}],"links":[[1,1,0,1,0,"X"]]}')),
        a_png(chunk(b"tEXt", b"Comment\0" + b'{"prompt":"1girl","steps":28,"uc":"bad"}')),
        a_png(chunk(b"iTXt", b"parameters\0\0\0\0\x001girl\nSteps: 1, Seed: 2, CFG scale: 3")),
        a_png(chunk(b"prompt"[:4], b"x"), chunk(b"tEXt", b"prompt\0" + deep.encode())),
        a_png(chunk(b"zTXt", b"prompt\0\0" + zeros(64))),
        a_png(*[chunk(b"zTXt", b"prompt\0\0" + zeros(1))] * 40),
        a_png(chunk(b"tEXt", b"parameters\0" + b"a: b, " * 100_000)),
        a_png(chunk(b"eXIf", exif.tobytes())),
        saved("JPEG", exif=exif),
        saved("WEBP", exif=exif),
        saved("AVIF", exif=exif),
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**31 - 1) + b"IHDR" + b"\0" * 40,
    ]


PNG_WORDS = (
    *(b"IHDR", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"IDAT", b"IEND", b"\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"),
    *(b"parameters\0", b"prompt\0", b"workflow\0", b"Comment\0", b'{"', b"[[", b"]]", b"null", b"1e999", b'"\\ud800"'),
    *(b"Steps: ", b"Seed: -1", b"Size: 99999x1", b"Negative prompt:", b"<lora:", b"II*\0", b"MM\0*"),
)


def metadata() -> FuzzTarget:
    """What the file of a picture says about how it was made, and its replay as options."""
    from bot.generation.compose import ModelInfo
    from bot.generation.errors import UnusableImage
    from bot.generation.from_metadata import Replay
    from inference import NativeSettings
    from inference.metadata import UnreadableImage, read

    model = ModelInfo(NativeSettings(((64, 64),), 4, 4.0, "er_sde", "simple"), ("style",))

    def read_and_replay(case: bytes) -> None:
        if (found := read(case)) is not None:
            Replay.of(found, model)

    declared = (UnreadableImage, UnusableImage)
    return FuzzTarget(read_and_replay, pictures_with_text(), PNG_WORDS, declared, seconds=2.0, longest=2 * MEBI)


def source_pictures() -> FuzzTarget:
    """A picture that somebody gives to be drawn from."""
    from bot.generation.errors import UnusableImage
    from bot.generation.source_image import prepare_source

    pixels = zlib.compress(b"\0" * (3 * 64 + 1) * 64)
    seeds = [
        *(saved("PNG", mode) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")),
        *(saved("JPEG", mode) for mode in ("RGB", "L", "CMYK")),
        *(saved(format_, mode) for format_ in ("WEBP", "AVIF") for mode in ("RGB", "RGBA")),
        *pictures_with_text(),
        a_png(width=30_000, height=30_000, pixels=pixels),
        a_png(width=6_000, height=6_000, pixels=zeros(103)),
        a_png(width=39_000_000, height=1, pixels=zeros(112)),
        a_png(width=1, height=39_000_000, pixels=zeros(75)),
        a_png(width=64, height=64, pixels=zeros(128)),
    ]
    return FuzzTarget(prepare_source, seeds, PNG_WORDS, (UnusableImage,), seconds=8.0, memory=512, longest=2 * MEBI)


def a_safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def hostile_headers() -> list[bytes]:
    entry = {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}
    return [
        a_safetensors({"a": entry, "b": entry}, b"\0" * 64),
        a_safetensors({"a": {**entry, "shape": [2**62, 4]}}, b"\0" * 64),
        a_safetensors({"a": {**entry, "data_offsets": [0, 2**63]}}, b"\0" * 64),
        a_safetensors({"a": {**entry, "data_offsets": [64, 0]}}, b"\0" * 64),
        a_safetensors({"a": {**entry, "shape": []}}, b"\0" * 64),
        a_safetensors(b'{"a":' + b"[" * 50_000, b"\0" * 64),
        a_safetensors(b'{"a":' * 5_000 + b"1" + b"}" * 5_000),
        a_safetensors({}, length=2**63),
        a_safetensors({}, length=99_000_000),
        a_safetensors(b"{" + b" " * 9_000_000 + b"}"),
        a_safetensors({"__metadata__": {f"k{number}": "v" for number in range(20_000)}}),
        a_safetensors({f"t{number}": {**entry, "shape": [0], "data_offsets": [0, 0]} for number in range(20_000)}),
    ]


HEADER_WORDS = (
    *(b'"dtype"', b'"shape"', b'"data_offsets"', b'"F32"', b'"BF16"', b'"F64"', b'"BOOL"', b'"F8_E4M3"', b'"I64"'),
    *(b"[]", b"[0]", b"[0,0]", b"[1]", b"[8,16]", b"18446744073709551616", b"-1", b"{", b"}", b",", b'"alpha"'),
)


@dataclass
class _File:
    """One file that is written again for each case."""

    path: Path = field(default_factory=lambda: Path(mkdtemp(prefix="anima-fuzz-")) / "case.safetensors")

    def holding(self, case: bytes) -> Path:
        self.path.write_bytes(case)
        os.utime(self.path)
        return self.path


def lora_files() -> FuzzTarget:
    """A LoRA file: read, held against a model, and merged into it."""
    import torch
    from safetensors.torch import save

    from inference.networks.params import TransformerParams
    from inference.networks.structure import shapes_alone
    from inference.networks.transformer import Transformer
    from inference.request import CheckpointError
    from inference.weights.checkpoint import ModelFiles
    from inference.weights.lora import Lora, MergedLoras, Network
    from tests.golden import MODELS

    torch.set_num_threads(1)
    files = ModelFiles.find(MODELS)
    with shapes_alone():
        transformer = Transformer(TransformerParams.from_shapes(files.transformer.shapes))
    transformer.to_empty(device="cpu")
    merged, file = MergedLoras([Network("", transformer, files.transformer)]), _File()

    def read(case: bytes) -> None:
        lora = Lora.read(file.holding(case), transformer)
        merged.set([(lora, 0.5)])
        merged.set([])

    layer, kohya = "blocks.0.self_attn.q_proj", "lora_unet_blocks_0_self_attn_q_proj"
    rows, columns = transformer.get_parameter(f"{layer}.weight").shape
    up, down, one = torch.ones(rows, 2), torch.ones(2, columns), torch.ones(())
    seeds = [
        save({f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}),
        save({f"{kohya}.lora_down.weight": down, f"{kohya}.lora_up.weight": up, f"{kohya}.alpha": one}),
        save({f"{kohya}.lora_down.weight": down, f"{kohya}.lora_up.weight": up, f"{kohya}.alpha": torch.ones(2)}),
        save({f"{kohya}.lora_down.weight": down[:0], f"{kohya}.lora_up.weight": up[:, :0], f"{kohya}.alpha": one}),
        save(
            {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up, f"{layer}.dora_scale": torch.ones(rows, 1)}
        ),
        save(
            {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up, f"{layer}.dora_scale": torch.ones(1, rows)}
        ),
        save({f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up, f"{layer}.dora_scale": one}),
        save({f"{layer}.lokr_w1": torch.ones(2, 2), f"{layer}.lokr_w2": torch.ones(rows // 2, columns // 2)}),
        save({f"{layer}.diff": torch.ones(rows, columns), f"{layer}.oft_blocks": torch.ones(rows // 4, 4, 4)}),
        save({f"{layer}.oft_blocks": torch.ones(2, rows // 4, 4, 4), f"{layer}.rescale": torch.ones(rows, 1)}),
        save({f"{layer}.{name}.weight": torch.ones(2, 2) for name in ("a1", "a2", "b1", "b2")}),
        save(
            {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up},
            {"lora_adapter_metadata": '{"transformer.lora_alpha": 8, "transformer.alpha_pattern": {"q_proj": 1}}'},
        ),
        save({f"{layer}.hada_w{n}_{side}": part.clone() for n in (1, 2) for side, part in (("a", up), ("b", down))}),
        *hostile_headers(),
    ]
    words = [
        *HEADER_WORDS,
        b".lora_A.weight",
        b".alpha",
        b".dora_scale",
        b".lokr_w1",
        b".oft_blocks",
        b".a1.weight",
        b".diff",
        layer.encode(),
    ]
    return FuzzTarget(read, seeds, words, (CheckpointError,), seconds=2.0, longest=10 * MEBI)


def model_files() -> FuzzTarget:
    """A file in the folder of diffusion models, text encoders or VAEs, as `anima doctor` and the engine look at it."""
    import torch

    from inference.networks.params import TransformerParams
    from inference.networks.structure import shapes_alone
    from inference.networks.transformer import Transformer
    from inference.request import CheckpointError
    from inference.weights.checkpoint import ModelFiles
    from inference.weights.weights_file import load_module, reading_sizes_off
    from tests.golden import MODELS

    torch.set_num_threads(1)
    folder = Path(mkdtemp(prefix="anima-fuzz-"))
    for part in ("text_encoders", "vae", "tokenizers"):
        (folder / part).symlink_to(MODELS / part)
    (folder / "diffusion_models").mkdir()
    path = folder / "diffusion_models" / "case.safetensors"

    def read(case: bytes) -> None:
        path.write_bytes(case)
        files = ModelFiles.find(folder)
        with shapes_alone(), reading_sizes_off(files.transformer):
            transformer = Transformer(TransformerParams.from_shapes(files.transformer.shapes))
        load_module(transformer, files.transformer, torch.device("cpu"), torch.float32)

    whole = (MODELS / "diffusion_models" / "anima-tiny.safetensors").read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + length])
    empty = {
        key: {**entry, "shape": [*entry["shape"], 0], "data_offsets": [0, 0]}
        for key, entry in header.items()
        if key != "__metadata__"
    }
    flat = {key: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for key in empty}
    marked = {key: entry for key, entry in flat.items() if "cross_attn.k_proj" in key}
    deep = {**header, "net.blocks.999999999.x.weight": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}
    words = [*HEADER_WORDS, b"llm_adapter.blocks.0.cross_attn.k_proj.weight", b"x_embedder.proj.1.weight"]
    words += [b".comfy_quant", b".weight_scale", b"scaled_fp8", b"_quantization_metadata", b"text_encoders.x.", b"vae."]
    seeds = [a_safetensors(empty), a_safetensors(flat), a_safetensors(marked), *hostile_headers()]
    seeds += [whole, a_safetensors(deep, whole[8 + length :])]
    # As an all-in-one file has them, with what stands beside quantised weights.
    inside = {key.replace("net.", "model.diffusion_model."): entry for key, entry in header.items()}
    beside = {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}
    inside |= {key.replace(".weight", ".comfy_quant"): beside for key in list(inside)[:3]}
    inside |= {key.replace(".weight", ".weight_scale"): beside for key in list(inside)[:3]}
    seeds += [a_safetensors(inside, whole[8 + length :])]
    return FuzzTarget(read, seeds, words, (CheckpointError,), seconds=2.0, longest=10 * MEBI)


def tag_lists() -> FuzzTarget:
    """The CSV file of tags that an operator names, and completion with what was in it."""
    from bot.prompting import TagIndex
    from bot.prompting.tags import TagFileError

    file = _File()

    def read(case: bytes) -> None:
        tags = TagIndex.load(file.holding(case))
        for typed in ("l", "1girl, lo", "@a", text_of(case[:40])):
            tags.complete(typed)
        assert len(tags.problems) <= 11

    seeds = [
        b'long_hair,0,4350743,"/lh,longhair"\n1girl,0,6008644,\nwlop,1,2000,"a,b"\n',
        b'name,category,count,alias\n"quoted ""name""",4,12,x\n',
        b"\xef\xbb\xbfsmile,0,1,\r\nbroken\n,,,\n",
        "髪,0,12,\nＡ,1,3,\n".encode(),
        b"\xff\xfea\0,\x000\0",
        b"a," * 6000,
        b'"' * 9000,
        b"a,0,1," + b"b," * 4000,
        b"x,0,1\n" * 700,
    ]
    words = [b",", b'"', b'""', b"\n", b"\r", b"\0", b"9" * 30, b"\xff", b"-1", b"_", b"/"]
    return FuzzTarget(read, seeds, words, (TagFileError,), longest=20_000)


def dotenvs() -> FuzzTarget:
    """A `.env` file: settings, or a sentence for each that is wrong."""
    from bot.ops.settings import Settings, SettingsError

    file = _File()

    def read(case: bytes) -> None:
        settings = Settings.read(_env_file=file.holding(case))
        assert settings.image_policy is not None
        assert settings.models is not None

    example = (Path(__file__).parents[2] / ".env.example").read_bytes()
    seeds = [
        example,
        b"DISCORD_TOKEN=abc.def.ghi\nDATABASE_URL=sqlite:///anima.db\nANIMA_LARGEST_BATCH=4\n",
        b"ANIMA_LARGEST_BATCH=" + b"9" * 5000,
        b"PICTURE_CLASSIFIER_HIDES=nsfw:0.5, questionable:0.9\nPICTURE_CLASSIFIER_REFUSES=x:1\n",
        b"PROMPTS_KEPT_DAYS=30\nPICTURES_KEPT_DAYS=1e3\nANIMA_MODELS=/tmp/models\nTAG_FILE=/tmp/x.csv\n",
        b"export DISCORD_TOKEN='quoted' # comment\nANIMA_DTYPE=\"bfloat16\"\n",
        b"\xff\xfeD\0I\0",
        b"ANIMA_MODELS=" + b"a/" * 4000,
        "ANIMA_MODELS=\0\nTAG_FILE=\ud800".encode("utf-8", "surrogatepass"),
    ]
    words = [
        b"=",
        b"\n",
        b'"',
        b"'",
        b"\\",
        b"${DISCORD_TOKEN}",
        b"#",
        b"export ",
        b"\0",
        b"nan",
        b"-1",
        b"nsfw:",
        b"\xff",
    ]
    return FuzzTarget(read, seeds, words, (SettingsError,), longest=9_000)


TARGETS: dict[str, Callable[[], FuzzTarget]] = {
    "prompts": prompts,
    "wildcards": wildcards,
    "custom-ids": custom_ids,
    "options": options,
    "metadata": metadata,
    "source-pictures": source_pictures,
    "lora-files": lora_files,
    "model-files": model_files,
    "tag-lists": tag_lists,
    "dotenv": dotenvs,
}
