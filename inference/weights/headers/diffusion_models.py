"""Chooses the default diffusion model of a folder, and reads facts about it: native settings and turbo LoRA.

The engine loads the file that is chosen here. Code that needs to know the model before it is loaded uses this module
too. `model_list` has the other models.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from inference.request import CheckpointError, NativeSettings, TurboLora
from inference.weights.folders import (
    ALL_IN_ONE_FOLDER,
    SUFFIXES,
    TEXT_ENCODER_FOLDERS,
    TRANSFORMER_FOLDERS,
    VAE_FOLDERS,
    composed,
    dead_links_under,
    distinct,
    files_under,
    is_dead_link,
    is_piece,
    is_text,
    other_files_under,
    paths_by_name,
    without_suffix,
)
from inference.weights.headers.contents import (
    DIFFUSION_MODEL,
    TRANSFORMER_MARK,
    NetworkKind,
    description,
    held,
    is_lora,
    keys_of,
)
from inference.weights.headers.header import Header, read_metadata, system_fault, version
from inference.weights.headers.quantization import QuantizedForm
from inference.weights.lora_files import lora_paths, turbo_names
from inference.weights.modelspec import native_settings, says_turbo, turbo_lora

PREFERRED_TRANSFORMER = "anima-base"
_PREFERRED = re.compile(PREFERRED_TRANSFORMER, re.IGNORECASE)
_RELEASED = re.compile(rf"{PREFERRED_TRANSFORMER}(?:-v[\d.]+)?", re.IGNORECASE)
OTHER_FORMATS = (".gguf", ".ckpt", ".pt", ".pth", ".bin")
CACHED_HEADERS = 256
#: How many files in folders with other names are opened to find a missing one.
_MAX_OPENED = 200
_ALL_FOLDERS = (*TRANSFORMER_FOLDERS, *TEXT_ENCODER_FOLDERS, *VAE_FOLDERS)
#: Only a few values are kept of each LoRA file, so a large folder fits.
CACHED_LORAS = 20_000


@dataclass(frozen=True)
class ModelFacts:
    """Facts from a diffusion model's file and its folder.

    name: as in `GenerationRequest.model`. turbo: the LoRA that makes it a turbo model; None if there is none, or if the
    model is one by itself. blocks: how many its transformer has, 28 in Anima.
    """

    name: str
    native: NativeSettings
    turbo: TurboLora | None
    blocks: int = 0


def model_facts(models: Path, diffusion_model: str | None = None) -> ModelFacts:
    """The facts of the model that an engine would load. Raises CheckpointError, like the engine."""
    path = find_diffusion_model(models, diffusion_model)
    return facts_of(path, model_name_of(path, models), next(iter(turbo_loras(models)), None))


def facts_of(path: Path, name: str, turbo: TurboLora | None) -> ModelFacts:
    """The facts of a diffusion model. `turbo`: the folder's turbo LoRA. Raises CheckpointError."""
    native, blocks = _own_facts(path, *version(path))
    return ModelFacts(name, native, None if is_turbo(native) else turbo, blocks)


def model_paths(models: Path) -> Mapping[str, Path]:
    """The files that may be diffusion models, by their names in requests. Opens no file.

    A name is the path in the file's own folder, without suffix, like a LoRA's: `anima-base-v1.0`, `mine/portraits`. If
    two files have the same name, the second keeps its suffix; if it is in another folder, it gets that folder's name
    as a prefix instead: `checkpoints/portraits`. A file that several links lead to is listed once.
    """
    paths: dict[str, Path] = {}
    seen: set[Path] = set()
    for folder in TRANSFORMER_FOLDERS:
        taken = frozenset(paths)
        for name, path in paths_by_name(models / folder).items():
            if (real := path.resolve()) not in seen:
                seen.add(real)
                paths[f"{folder}/{name}" if name in taken else name] = path
    return paths


def model_name_of(path: Path, models: Path) -> str:
    """A file's name in requests. For a file outside the folders, that is the file's own name without suffix."""
    real = path.resolve()
    names = (name for name, other in model_paths(models).items() if other.resolve() == real)
    return next(names, without_suffix(path.name))


def file_name_of(path: Path, models: Path) -> str:
    """The path in the file's own folder, as ComfyUI shows it: `mine/portraits.safetensors`."""
    for folder in TRANSFORMER_FOLDERS:
        if path.is_relative_to(models / folder):
            return path.relative_to(models / folder).as_posix()
    return path.name


def is_turbo(native: NativeSettings) -> bool:
    """Whether a model needs few steps without a turbo LoRA."""
    return native.cfg_scale == 1


def turbo_loras(models: Path) -> list[TurboLora]:
    """The LoRA files that make a model a turbo model, the most likely first, with their recommended settings."""
    paths = lora_paths(models)
    found = {name: _as_turbo(path, name, *version(path)) for name, path in paths.items()}
    return [found[name][1] for name in turbo_names(paths, lambda name: found[name][0])]


def find_diffusion_model(models: Path, name: str | None = None) -> Path:
    """Choose the diffusion model to use from the folder `models`. name: its file, or its name in `model_paths`.

    Raises CheckpointError, with a sentence, if there is none or if the choice is not clear.
    """
    files = paths_of(models, TRANSFORMER_FOLDERS)
    folder = models / TRANSFORMER_FOLDERS[0]
    if name is not None:
        path = (
            model_paths(models).get(name)
            or by_name(files, name)
            or next((path for part in TRANSFORMER_FOLDERS if _is_file(path := models / part / name)), None)
        )
        if path is None:
            raise CheckpointError(
                f"There is no diffusion model {name!r} in {folder}. There are: {listed(files)}. "
                "Choose one of them, or run `anima download`."
            )
        if not is_marked(header := opened(path)):
            content = description(header.shapes)
            why = f"it contains {content}" if content else f"it has no {TRANSFORMER_MARK}"
            raise CheckpointError(f"{path} is not an Anima diffusion model: {why}. Choose a file made for Anima.")
        return path
    candidates = _marked(distinct(files, lambda path: _PREFERRED.match(path.name) is not None), models)
    preferred = sorted((each for each in candidates if _PREFERRED.match(each.path.name)), key=_unlike_released)
    readable = [each for each in preferred or candidates if quantized_form(each).fault() is None]
    if len(candidates) == 1 or preferred or len(readable) == 1:
        return (readable or preferred or candidates)[0].path
    raise CheckpointError(
        f"Several diffusion models are in {folder}: {listed(each.path for each in candidates)}. "
        "Say which one to use (ANIMA_DIFFUSION_MODEL, or `--diffusion-model`)."
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # no file can have such a name
        return False


def paths_of(models: Path, folders: Sequence[str]) -> list[Path]:
    """The usable safetensors files in the folders for a part of a model, in the order of the folders."""
    return [path for folder in folders for path in files_under(models / folder) if not _is_unusable(path)]


def unusable_paths(models: Path, folders: Sequence[str]) -> list[Path]:
    """Files that cannot be used, folder by folder: pieces of models, then other formats and dangling links.

    `checkpoints` is shared with other models, so of other formats and links only those named after Anima are included.
    """
    found: list[Path] = []
    for folder in folders:
        found += [path for path in files_under(models / folder) if _is_unusable(path)]
        others = [*other_files_under(models / folder, OTHER_FORMATS), *dead_links_under(models / folder)]
        found += [path for path in others if folder != ALL_IN_ONE_FOLDER or "anima" in path.name.casefold()]
    return found


def _is_unusable(path: Path) -> bool:
    """Whether a safetensors file is a piece of a model, or has a name that the safetensors package refuses."""
    return is_piece(path) or not is_text(path.name)


def by_name(paths: Sequence[Path], name: str) -> Path | None:
    """The file named by a setting, with or without folder and suffix, with slashes of any kind.

    Full names are compared before names without suffix. After that, case is ignored if only one file then matches.
    """
    name = composed(name.replace("\\", "/"))
    for form in (str, without_suffix):
        for path in paths:
            if f"/{form(composed(path.as_posix()))}".endswith(f"/{name}"):
                return path
    name = name.casefold()
    for form in (str, without_suffix):
        alike = [path for path in paths if f"/{form(composed(path.as_posix()))}".casefold().endswith(f"/{name}")]
        if len(alike) == 1:
            return alike[0]
    return None


def unusable_by_name(models: Path, folders: Sequence[str], name: str) -> Path | None:
    """The one of `unusable_paths` that a name refers to, with or without its suffix."""
    paths = unusable_paths(models, folders)
    found = (by_name(paths, name + suffix) for suffix in ("", *OTHER_FORMATS))
    return next(filter(None, found), None)


def listed(paths: Iterable[Path]) -> str:
    return ", ".join(sorted(path.name for path in paths)) or "none"


def why_not_opened(path: Path) -> str:
    """The rest of a sentence that begins with the name of one of `unusable_paths`."""
    if is_dead_link(path):
        return f"is a link to {os.readlink(path)}, which does not exist. Is a disk missing?"
    if not is_text(path.name):
        return "has a name that is not text in UTF-8; rename it."
    if is_piece(path):
        return "is one of several pieces of a model, which are not supported; put the whole model there as one file."
    if path.suffix.lower() == ".gguf":
        return "is a GGUF file, a format that is not supported; download the safetensors version."
    return (
        "is not a .safetensors file. Other formats can run code when opened, so they are not accepted; "
        "download the safetensors version."
    )


def why_unreadable(path: Path, error: Exception) -> str:
    """A sentence about a file that is not valid safetensors, or that cannot be opened now."""
    if (why := system_fault(error)) is not None:
        return f"{path} cannot be opened: {why}"
    try:
        size = path.stat().st_size
    except OSError:
        return f"{path} cannot be opened ({error}). Run `anima download`, or put it there."
    return (
        f"{path} cannot be read as safetensors ({error}): it is damaged or incompletely downloaded "
        f"({size:,} bytes are there). Delete it and download it again."
    )


def _marked(paths: Sequence[Path], models: Path) -> list[Header]:
    """The headers of Anima's diffusion models. A file that cannot be read is an error only if there are no others."""
    found: list[Header] = []
    unreadable: CheckpointError | None = None
    for path in paths:
        try:
            header = opened(path)
        except CheckpointError as error:
            unreadable = unreadable or error
        else:
            found += [header] if is_marked(header) else []
    if found:
        return found
    if unreadable is not None:
        raise unreadable
    raise CheckpointError(none_of(DIFFUSION_MODEL, "an Anima diffusion model", paths, models, TRANSFORMER_FOLDERS))


def _unlike_released(header: Header) -> tuple[bool, bool]:
    """A sort key: names of released files first, and then plain weights before quantised ones."""
    form = quantized_form(header)
    quantised = any(form.belongs_beside(key) for key in header.shapes)
    return _RELEASED.fullmatch(without_suffix(header.path.name)) is None, quantised


def none_of(kind: NetworkKind, what: str, paths: Sequence[Path], models: Path, folders: Sequence[str]) -> str:
    """One sentence about folders without a suitable file, and one about an unusable file there or one elsewhere."""
    parts: dict[str, list[Path]] = {}
    for path in paths:
        parts.setdefault(_instead(path), []).append(path)
    others = "".join(
        f"; {listed(same)} {_plural(instead) if len(same) > 1 else instead}" for instead, same in parts.items()
    )
    unusable = next(iter(unusable_paths(models, folders)), None)
    why = "" if unusable is None else f"{unusable.relative_to(models).as_posix()} {why_not_opened(unusable)} "
    if (misplaced := _misplaced(kind, models, folders)) is not None:
        there = misplaced.relative_to(models).as_posix()
        return f"No file in {models / folders[0]} contains {what}{others}. {there} does: move it there."
    return f"No file in {models / folders[0]} contains {what}{others}. {why}Run `anima download`, or put one there."


def _instead(path: Path) -> str:
    """How to describe a file that does not contain the network that is needed, as the end of a sentence."""
    try:
        header = opened(path)
    except CheckpointError:
        return "is of another kind"
    content = description(header.shapes)
    if content is None:
        return "is of another kind"
    partly = is_marked(header) or len(held(header.shapes)) > 1
    return f"contains only {content}" if partly and not is_lora(header.shapes) else f"is of another kind ({content})"


def _plural(instead: str) -> str:
    return instead.replace("contains ", "contain ", 1).replace("is ", "are ", 1)


def _misplaced(kind: NetworkKind, models: Path, folders: Sequence[str]) -> Path | None:
    """A file with this kind of network in a folder that is not for it."""
    others = dict.fromkeys(folder for folder in _ALL_FOLDERS if folder not in folders)
    here = [path for path in sorted(models.glob("*")) if path.is_file() and path.suffix.lower() in SUFFIXES]
    known = {models / folder for folder in _ALL_FOLDERS}
    unknown = (path for path in files_under(models) if not known.intersection(path.parents))
    for path in (*here, *paths_of(models, list(others)), *islice(unknown, _MAX_OPENED)):
        try:
            keys = opened(path).shapes
        except CheckpointError:
            continue
        if kind.name in held(keys) and not is_lora(keys):
            return path
    return None


def opened(path: Path) -> Header:
    """A file's header, cached until the file changes. Raises CheckpointError."""
    if path.suffix.lower() not in SUFFIXES or _is_unusable(path):
        raise CheckpointError(f"{path} {why_not_opened(path)}")
    try:
        return _header(path, *version(path))
    except (OSError, ValueError) as error:
        raise CheckpointError(why_unreadable(path, error)) from error


def is_marked(header: Header) -> bool:
    """Whether a header is that of an Anima diffusion model."""
    return DIFFUSION_MODEL.name in held(header.shapes)


def diffusion_model_shapes(header: Header) -> Mapping[str, tuple[int, ...]]:
    """The shapes of a diffusion model's tensors by their names without prefix, except scales of quantised ones."""
    form, names = quantized_form(header), keys_of(TRANSFORMER_MARK, header.shapes) or {}
    return {name: header.shapes[key] for name, key in names.items() if not form.belongs_beside(key)}


def quantized_form(header: Header) -> QuantizedForm:
    return QuantizedForm(header.shapes.keys(), header.metadata, header.content)


@lru_cache(CACHED_HEADERS)
def _header(path: Path, _modified: int, _size: int) -> Header:
    return Header.read(path)


@lru_cache(CACHED_HEADERS)
def _own_facts(path: Path, _modified: int, _size: int) -> tuple[NativeSettings, int]:
    """The native settings, and the number of blocks."""
    header = opened(path)
    blocks = {key.split(".")[1] for key in diffusion_model_shapes(header) if key.startswith("blocks.")}
    return native_settings(header.metadata, path.stem), len(blocks)


@lru_cache(CACHED_LORAS)
def _as_turbo(path: Path, name: str, _modified: int, _size: int) -> tuple[bool, TurboLora]:
    """Whether a LoRA's header says that it is a turbo LoRA, and its settings as one."""
    metadata = read_metadata(path)
    return says_turbo(metadata), turbo_lora(metadata, name)
