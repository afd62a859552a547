"""Finds the files of a ComfyUI `models` folder, and explains what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from inference.networks.text_encoder import IGNORED_QWEN_KEYS, build_qwen
from inference.networks.vae import build_vae, still_image_weight
from inference.request import CheckpointError
from inference.weights.folders import ALL_IN_ONE_FOLDER, TEXT_ENCODER_FOLDERS, VAE_FOLDERS, distinct, without_suffix
from inference.weights.headers import contents
from inference.weights.headers.contents import TEXT_ENCODER_MARK, TRANSFORMER_MARK, VAE_MARK
from inference.weights.headers.diffusion_models import (
    by_name,
    find_diffusion_model,
    listed,
    none_of,
    paths_of,
    unusable_by_name,
    why_not_opened,
)
from inference.weights.headers.structure import transformer_fault
from inference.weights.lora_files import LORA_FOLDER
from inference.weights.weights_file import (
    Convert,
    WeightsFile,
    misfit,
    reading_sizes_off,
)

#: Position tables that some converters keep. They are computed instead.
IGNORED_TRANSFORMER_KEYS = ("pos_embedder.",)

#: The rows of Qwen3's embedding, more than its tokenizer has tokens. ACE-Step's copy of Qwen3 has fewer.
QWEN_ROWS = 151_936
QWEN_TOKENS = range(151_643, QWEN_ROWS + 1)


@dataclass(frozen=True)
class Part:
    """A part of a model that has a file of its own."""

    kind: contents.NetworkKind
    what: str
    folders: tuple[str, ...]
    mark: str
    #: The released file's name, without suffix.
    official: str
    #: The setting that names the file.
    setting: str
    #: Builds the network with a file's sizes, on the meta device. Raises CheckpointError.
    build: Callable[[WeightsFile], nn.Module]
    convert: Convert = lambda _key, tensor: tensor
    ignored: tuple[str, ...] = ()

    def is_official(self, path: Path) -> bool:
        """Whether a file has the released file's name."""
        return without_suffix(path.name).lower() == self.official


TEXT_ENCODER = Part(
    contents.TEXT_ENCODER,
    "Qwen3 text encoder (qwen_3_06b_base.safetensors)",
    TEXT_ENCODER_FOLDERS,
    TEXT_ENCODER_MARK,
    "qwen_3_06b_base",
    "ANIMA_TEXT_ENCODER",
    build_qwen,
    ignored=IGNORED_QWEN_KEYS,
)
VAE = Part(
    contents.VAE,
    "VAE (qwen_image_vae.safetensors)",
    VAE_FOLDERS,
    VAE_MARK,
    "qwen_image_vae",
    "ANIMA_VAE",
    build_vae,
    convert=still_image_weight,
)


@dataclass(frozen=True)
class ChosenFile:
    """The file that is used for a part. why: the end of a sentence, after "because"."""

    file: WeightsFile
    why: str


@dataclass(frozen=True)
class ModelFiles:
    """The files that make up one model."""

    #: The folder that they were found in.
    models: Path
    transformer: WeightsFile
    text_encoder: WeightsFile
    vae: WeightsFile
    qwen_tokenizer: Path
    t5_tokenizer: Path
    #: Why this text encoder and this VAE were chosen, after "because".
    reasons: tuple[str, str] = ("", "")

    @property
    def loras(self) -> Path:
        """The folder of the LoRA files, which may be missing."""
        return self.models / LORA_FOLDER

    @classmethod
    def find(
        cls,
        models: str | Path,
        diffusion_model: str | None = None,
        text_encoder: str | None = None,
        vae: str | None = None,
    ) -> ModelFiles:
        """Choose the files in the folder `models`. The other arguments name a file each, with or without suffix.

        Raises CheckpointError.
        """
        models = Path(models)
        if not models.is_dir():
            raise CheckpointError(
                f"There is no models folder at {models}. Run `anima download`, or name ComfyUI's `models` folder."
            )
        transformer = WeightsFile(find_diffusion_model(models, diffusion_model), TRANSFORMER_MARK)
        if fault := transformer.fault():  # before sizes are read off its shapes, which may be those of packed tensors
            raise CheckpointError(f"{transformer.path}: {fault}")
        qwen_tokenizer, t5_tokenizer = _tokenizer_folder(models, "qwen"), _tokenizer_folder(models, "t5")
        fits_encoder, fits_vae = _requirements(transformer, qwen_tokenizer)
        if fault := transformer_fault(transformer.shapes):  # else the other files would be blamed for its sizes
            raise CheckpointError(f"{transformer.path}: {fault}")
        encoder = _choose(models, TEXT_ENCODER, transformer, text_encoder, fits_encoder)
        decoder = _choose(models, VAE, transformer, vae, fits_vae)
        return cls(
            models,
            transformer,
            encoder.file,
            decoder.file,
            qwen_tokenizer,
            t5_tokenizer,
            (encoder.why, decoder.why),
        )


def mismatches(files: ModelFiles) -> Mapping[Path, str]:
    """The text encoders and VAEs of the folder that do not fit the diffusion model, each with a sentence why."""
    faults: dict[Path, str] = {}
    requirements = _requirements(files.transformer, files.qwen_tokenizer)
    for part, fits in zip((TEXT_ENCODER, VAE), requirements, strict=True):
        for path in paths_of(files.models, part.folders):
            try:
                file = WeightsFile(path, part.mark)
            except CheckpointError:
                continue
            if file.is_marked and (fault := fits(file)):
                faults[path] = fault
    return faults


#: Returns a sentence why a file does not fit the diffusion model; None if it fits.
Requirement = Callable[[WeightsFile], str | None]


def _requirements(transformer: WeightsFile, qwen_tokenizer: Path) -> tuple[Requirement, Requirement]:
    """The requirements for the text encoder and the VAE."""
    with reading_sizes_off(transformer):
        width = transformer.shapes[TRANSFORMER_MARK][1]
        channels = transformer.shapes["x_embedder.proj.1.weight"][1] // 4 - 1
    rows = embedding_rows(qwen_tokenizer)

    def encoder(file: WeightsFile) -> str | None:
        embedding = file.shapes.get("embed_tokens.weight", ())
        if embedding[1:] != (width,):
            return f"its width is not the {width} that the diffusion model reads."
        if embedding[0] < rows:
            return f"its vocabulary has {embedding[0]:,} tokens, fewer than the {rows:,} that are needed."
        return _structure_fault(TEXT_ENCODER, file)

    def vae(file: WeightsFile) -> str | None:
        if file.shapes.get("conv2.weight", ())[:1] != (channels,):
            return f"its latents do not have the diffusion model's {channels} channels."
        return _structure_fault(VAE, file)

    return encoder, vae


def embedding_rows(tokenizer: Path) -> int:
    """How many rows an embedding for this tokenizer needs; 0 if that cannot be read."""
    try:
        if (path := tokenizer / "tokenizer.json").is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            ids = [*content["model"]["vocab"].values(), *(token["id"] for token in content.get("added_tokens", ()))]
        else:
            ids = list(json.loads((tokenizer / "vocab.json").read_text(encoding="utf-8")).values())
        tokens = int(max(ids)) + 1
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return 0
    return QWEN_ROWS if tokens in QWEN_TOKENS else tokens


def _structure_fault(part: Part, file: WeightsFile) -> str | None:
    try:
        return misfit(part.build(file), file, part.convert, part.ignored)
    except CheckpointError as error:
        return str(error).removeprefix(f"{file.path}: ")


def _choose(models: Path, part: Part, transformer: WeightsFile, name: str | None, fits: Requirement) -> ChosenFile:
    folder = models / part.folders[0]
    paths = paths_of(models, part.folders)
    if name is not None:
        return _named(part, models, paths, name, fits)
    inside = WeightsFile(transformer.path, part.mark)
    if inside.is_marked and fits(inside) is None:
        return ChosenFile(inside, "it is in the file of the diffusion model")
    candidates = _marked(distinct(paths, part.is_official), part, models)
    faults = {file.path: fits(file) for file in candidates}
    fitting = [file for file in candidates if faults[file.path] is None]
    official = [file for file in fitting if part.is_official(file.path)]
    if official:
        return ChosenFile(
            official[0], "it has the official name" if len(fitting) > 1 else "it is the only one that fits"
        )
    if len(fitting) == 1:
        return ChosenFile(fitting[0], "it is the only one that fits")
    alone = [file for file in fitting if not file.path.is_relative_to(models / ALL_IN_ONE_FOLDER)]
    if len(alone) == 1:
        return ChosenFile(alone[0], "it is the only one that fits outside of all-in-one files")
    if fitting:
        raise CheckpointError(
            f"Several files in {folder} fit as the {part.what}: {listed(file.path for file in fitting)}. "
            f"Say which one to use ({part.setting})."
        )
    if len(candidates) == 1:
        raise CheckpointError(
            f"No file in {folder} fits the diffusion model's sizes: {candidates[0].path}: {faults[candidates[0].path]} "
            f"Put the {part.what} there."
        )
    raise CheckpointError(
        f"No file in {folder} fits the diffusion model's sizes: {listed(faults)} belong to another model. "
        f"Put the {part.what} there."
    )


def _named(part: Part, models: Path, paths: Sequence[Path], name: str, fits: Requirement) -> ChosenFile:
    path = by_name(paths, name)
    if path is None:
        if (unusable := unusable_by_name(models, part.folders, name)) is not None:
            raise CheckpointError(f"{part.setting} names {unusable}, which {why_not_opened(unusable)}")
        raise CheckpointError(
            f"{part.setting} is {name!r}, but there is no such file in {models / part.folders[0]}. "
            f"There are: {listed(paths)}."
        )
    file = WeightsFile(path, part.mark)
    fault = fits(file) if file.is_marked else f"it is not a {part.what}."
    if fault is not None:
        raise CheckpointError(f"{part.setting} names {path}, but that cannot be used: {fault}")
    return ChosenFile(file, f"{part.setting} names it")


def _marked(paths: Sequence[Path], part: Part, models: Path) -> list[WeightsFile]:
    """The files that have the part's mark. A file that cannot be read is an error only if there are no others."""
    found: list[WeightsFile] = []
    unreadable: CheckpointError | None = None
    for path in paths:
        try:
            file = WeightsFile(path, part.mark)
        except CheckpointError as error:
            unreadable = unreadable or error
        else:
            if file.is_marked:
                found.append(file)
    if found:
        return found
    if unreadable is not None:
        raise unreadable
    raise CheckpointError(none_of(part.kind, f"a {part.what}", paths, models, part.folders))


def _tokenizer_folder(models: Path, name: str) -> Path:
    folder = models / "tokenizers" / name
    files = ("tokenizer.json", "vocab.json")
    if not any((folder / file).is_file() for file in files):
        raise CheckpointError(
            f"There is no tokenizer in {folder}: neither {files[0]} nor {files[1]} with merges.txt. "
            "Run `anima download`, which downloads only what is missing."
        )
    return folder
