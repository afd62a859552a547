"""Which diffusion model of a folder is used, and facts from its header: native settings and turbo LoRA.

The engine loads the file that is chosen here; code that needs to know the model before it is loaded uses this module
too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from inference.request import CheckpointError, NativeSettings, TurboLora
from inference.weights.folders import SUFFIXES, files_under, other_files_under, without_suffix
from inference.weights.headers.header import Header, prefix_before, read_metadata
from inference.weights.headers.quantization import QuantizedForm
from inference.weights.lora_files import lora_paths, turbo_names
from inference.weights.modelspec import native_settings, says_turbo, turbo_lora

#: ComfyUI's folders, the current name first. Files in `checkpoints` hold all parts of a model.
TRANSFORMER_FOLDERS = ("diffusion_models", "unet", "checkpoints")
#: The end of a key that only Anima's diffusion model has.
TRANSFORMER_MARK = "llm_adapter.blocks.0.cross_attn.k_proj.weight"
PREFERRED_TRANSFORMER = "anima-base"
OTHER_FORMATS = (".gguf", ".ckpt", ".pt", ".pth", ".bin")
REMEMBERED_HEADERS = 256


@dataclass(frozen=True)
class ModelFacts:
    """Facts from a diffusion model's file and its folder. `name`: the file's, without suffix."""

    name: str
    native: NativeSettings
    turbo: TurboLora | None


def model_facts(models: Path, diffusion_model: str | None = None) -> ModelFacts:
    """The facts of the model that an engine would load. Raises CheckpointError, like the engine."""
    path = find_diffusion_model(models, diffusion_model)
    native = native_settings(read_metadata(path), path.stem)
    return ModelFacts(path.stem, native, None if is_turbo(native) else next(iter(turbo_loras(models)), None))


def is_turbo(native: NativeSettings) -> bool:
    """Whether a model needs few steps without a turbo LoRA."""
    return native.cfg_scale == 1


def turbo_loras(models: Path) -> list[TurboLora]:
    """The LoRA files that make a model a turbo model, the most likely first, with their recommended settings."""
    paths = lora_paths(models)
    said = {name: _metadata(path, *_version(path)) for name, path in paths.items()}
    return [turbo_lora(said[name], name) for name in turbo_names(paths, lambda name: says_turbo(said[name]))]


def find_diffusion_model(models: Path, name: str | None = None) -> Path:
    """The diffusion model of the folder `models` that is used; `name`: its file, with or without suffix.

    Raises CheckpointError, in a sentence, where there is none, or none can be chosen.
    """
    files = paths_of(models, TRANSFORMER_FOLDERS)
    folder = models / TRANSFORMER_FOLDERS[0]
    if name is not None:
        path = by_name(files, name) or next(
            (path for part in TRANSFORMER_FOLDERS if (path := models / part / name).is_file()), None
        )
        if path is None:
            raise CheckpointError(
                f"There is no diffusion model {name!r} in {folder}. There are: {listed(files)}. "
                "Choose one of them, or run `anima download`."
            )
        if not _is_marked(_opened(path)):
            raise CheckpointError(
                f"{path} is not an Anima diffusion model: it has no {TRANSFORMER_MARK}. Choose a file made for Anima."
            )
        return path
    candidates = _marked(files, folder)
    preferred = [each for each in candidates if each.path.name.startswith(PREFERRED_TRANSFORMER)]
    readable = [each for each in preferred or candidates if _form(each).fault() is None]
    if len(candidates) == 1 or preferred or len(readable) == 1:
        return (readable or preferred or candidates)[0].path
    raise CheckpointError(
        f"Several diffusion models are in {folder}: {listed(each.path for each in candidates)}. "
        "Say which one to use (ANIMA_DIFFUSION_MODEL, or `--diffusion-model`)."
    )


def paths_of(models: Path, folders: Sequence[str]) -> list[Path]:
    """The safetensors files of a part of a model, in the order of its folders."""
    return [path for folder in folders for path in files_under(models / folder)]


def by_name(paths: Sequence[Path], name: str) -> Path | None:
    """The file named by a setting; a full name wins over a name without suffix."""
    for form in (lambda path: path.name, lambda path: without_suffix(path.name)):
        for path in paths:
            if form(path) == name or path.as_posix().endswith(f"/{name}"):
                return path
    return None


def listed(paths: Iterable[Path]) -> str:
    return ", ".join(sorted(path.name for path in paths)) or "none"


def not_usable(paths: Sequence[Path], folder: Path) -> str:
    """One sentence about the files that cannot be used."""
    if shard := next((path for path in paths if "-of-0" in path.name), None):
        return f"{shard.name} is one of several pieces of a model, which are not supported; put the single file there. "
    if other := next(iter(other_files_under(folder, OTHER_FORMATS)), None):
        return f"{other.name} {why_not_opened(other)} "
    return ""


def why_not_opened(path: Path) -> str:
    """The rest of a sentence that begins with the name of a file of another format."""
    if path.suffix.lower() == ".gguf":
        return "is a GGUF file, a format that is not supported; download the safetensors version."
    return (
        "is not a .safetensors file. Other formats can run code when opened, so they are not accepted; "
        "download the safetensors version."
    )


def why_unreadable(path: Path, error: Exception) -> str:
    """A sentence about a file that should be safetensors and is not."""
    return (
        f"{path} cannot be read as safetensors ({error}): it is damaged or incompletely downloaded "
        f"({path.stat().st_size:,} bytes are there). Delete it and download it again."
    )


def _marked(paths: Sequence[Path], folder: Path) -> list[Header]:
    """Those that are Anima's; a file that cannot be read is an error only when no other will do."""
    found: list[Header] = []
    unreadable: CheckpointError | None = None
    for path in paths:
        try:
            header = _opened(path)
        except CheckpointError as error:
            unreadable = unreadable or error
        else:
            found += [header] if _is_marked(header) else []
    if found:
        return found
    if unreadable is not None:
        raise unreadable
    raise CheckpointError(none_of("an Anima diffusion model", paths, folder))


def none_of(what: str, paths: Sequence[Path], folder: Path) -> str:
    """One sentence about a folder without a suitable file."""
    others = f"; {listed(paths)} {'is' if len(paths) == 1 else 'are'} of another kind" if paths else ""
    return (
        f"There is no file of {what} in {folder}{others}. {not_usable(paths, folder)}"
        "Run `anima download`, or put it there."
    )


def _opened(path: Path) -> Header:
    if path.suffix.lower() not in SUFFIXES:
        raise CheckpointError(f"{path} {why_not_opened(path)}")
    try:
        return _header(path, *_version(path))
    except (OSError, ValueError) as error:
        raise CheckpointError(why_unreadable(path, error)) from error


def _is_marked(header: Header) -> bool:
    return prefix_before(TRANSFORMER_MARK, header.shapes) is not None


def _form(header: Header) -> QuantizedForm:
    return QuantizedForm(header.shapes.keys(), header.metadata, header.content)


def _version(path: Path) -> tuple[int, int]:
    """Another one after each change of the file."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


@lru_cache(REMEMBERED_HEADERS)
def _header(path: Path, _modified: int, _size: int) -> Header:
    return Header.read(path)


@lru_cache(REMEMBERED_HEADERS)
def _metadata(path: Path, _modified: int, _size: int) -> dict[str, str]:
    return dict(read_metadata(path))
