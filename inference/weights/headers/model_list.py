"""The diffusion models that requests may choose from, by their headers, without PyTorch.

Files may come and go while an engine runs: code that offers models to choose from should ask each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from inference.networks.params import TransformerParams
from inference.request import CheckpointError
from inference.weights.folders import composed, without_suffix
from inference.weights.headers.diffusion_models import (
    CACHED_HEADERS,
    ModelFacts,
    diffusion_model_shapes,
    facts_of,
    find_diffusion_model,
    is_marked,
    model_name_of,
    model_paths,
    opened,
    quantized_form,
    turbo_loras,
)
from inference.weights.headers.header import Header, version
from inference.weights.headers.structure import transformer_fault


@dataclass(frozen=True)
class ModelList:
    """The diffusion models of a folder that one engine can draw with.

    default: the name of the one that is used for requests without a model.
    models: the facts of each by its name, the default first, then sorted by name.
    refused: Anima models that cannot be chosen, each with a sentence why, which begins in lower case.
    """

    default: str
    models: Mapping[str, ModelFacts]
    refused: Mapping[Path, str]


def list_models(models: Path, diffusion_model: str | None = None) -> ModelList:
    """The current list. `diffusion_model`: the file that a setting names as the default, if any.

    Raises CheckpointError if there is no default, as an engine does when it is loaded.
    """
    return list_with_default(find_diffusion_model(models, diffusion_model), models)


def list_with_default(chosen: Path, models: Path) -> ModelList:
    """The current list, with the file `chosen` as the default. Raises CheckpointError if that cannot be read."""
    default = model_name_of(chosen, models)
    turbo = next(iter(turbo_loras(models)), None)
    sizes = _sizes(opened(chosen))
    found = {default: facts_of(chosen, default, turbo)}
    refused: dict[Path, str] = {}
    for name, path in sorted(model_paths(models).items()):
        if name == default or not _is_anima(path):
            continue
        if fault := choice_fault(path, sizes):
            refused[path] = fault
        else:
            found[name] = facts_of(path, name, turbo)
    return ModelList(default, found, refused)


def choice_fault(path: Path, default: TransformerParams | None) -> str | None:
    """Why an engine cannot draw with the model in `path`, in a sentence; None if it can.

    default: the sizes of the engine's default model, some of which this one must have too; None if unknown.
    """
    try:
        header = opened(path)
    except CheckpointError as error:
        return str(error)
    if not is_marked(header):
        return "it is not an Anima diffusion model."
    return _own_fault(path, *version(path)) or _unshared(header, default)


def find_model(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` refers to, as other programs write it: with or without suffix and folder.

    None if there is none, or if there are several.
    """
    known = list(names)
    typed = name.strip().replace("\\", "/")
    forms = (typed, without_suffix(typed), composed(typed), without_suffix(composed(typed)))
    for form in forms:
        if form in known:
            return form
    whole = {other.casefold(): other for other in known}
    if len(whole) == len(known):  # before names without folder: a file elsewhere may have the same
        for form in forms:
            if form.casefold() in whole:
                return whole[form.casefold()]
    found = models_called(name, known)
    return found[0] if len(found) == 1 else None


def models_called(name: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that are the same as `name` without suffix and folder."""
    own = _own_name(composed(name.strip().replace("\\", "/")))
    return [other for other in names if _own_name(other) == own]


def _own_name(name: str) -> str:
    return without_suffix(name).rpartition("/")[2]


def _is_anima(path: Path) -> bool:
    """Whether it is an Anima diffusion model. False for unreadable files, whose content is unknown."""
    try:
        return is_marked(opened(path))
    except CheckpointError:
        return False


@lru_cache(CACHED_HEADERS)
def _own_fault(path: Path, _modified: int, _size: int) -> str | None:
    header = opened(path)
    return quantized_form(header).fault() or transformer_fault(diffusion_model_shapes(header))


def _sizes(header: Header) -> TransformerParams | None:
    try:
        return TransformerParams.from_shapes(diffusion_model_shapes(header))
    except (LookupError, ValueError, TypeError):  # it is damaged; the engine will report that
        return None


def _unshared(header: Header, theirs: TransformerParams | None) -> str | None:
    """Why a model cannot share the text encoder and the VAE of the default model, in a sentence; None if it can."""
    ours = _sizes(header)
    if ours is None or theirs is None:
        return None
    if ours.adapter.source_width != theirs.adapter.source_width:
        return (
            f"it reads a text encoder of width {ours.adapter.source_width}, and that of the default model has "
            f"{theirs.adapter.source_width}. It needs a separate engine (ANIMA_DIFFUSION_MODEL)."
        )
    if ours.adapter.vocabulary < theirs.adapter.vocabulary:
        return (
            f"it knows {ours.adapter.vocabulary:,} T5 tokens, and the default model "
            f"{theirs.adapter.vocabulary:,}. It needs a separate engine (ANIMA_DIFFUSION_MODEL)."
        )
    if ours.latent_channels != theirs.latent_channels:
        return (
            f"its latents have {ours.latent_channels} channels, and those of the default model "
            f"{theirs.latent_channels}. It needs a separate engine (ANIMA_DIFFUSION_MODEL)."
        )
    return None
