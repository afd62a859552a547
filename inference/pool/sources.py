"""Finds the file of the diffusion model that a request names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inference.networks.params import TransformerParams
from inference.pool.diffusion_model import params_of
from inference.request import CheckpointError, InvalidRequest, NativeSettings
from inference.weights.checkpoint import ModelFiles
from inference.weights.folders import ALL_IN_ONE_FOLDER
from inference.weights.headers.diffusion_models import (
    diffusion_model_shapes,
    file_name_of,
    model_name_of,
    model_paths,
    opened,
)
from inference.weights.headers.header import version
from inference.weights.headers.model_list import choice_fault, find_model, models_called
from inference.weights.modelspec import native_settings


@dataclass(frozen=True)
class ModelSource:
    """A diffusion model's file, and what its header says."""

    #: As in `GenerationRequest.model`.
    name: str
    path: Path
    #: The path in its folder, as ComfyUI shows it.
    file_name: str
    params: TransformerParams
    native: NativeSettings
    #: Changes whenever the file does.
    version: tuple[int, int]
    #: Whether it is in the folder for files that contain all parts of a model.
    all_in_one: bool = False

    def named_part(self, path: Path) -> str:
        """A text encoder's or VAE's file name; `file_name` if it is in this same file."""
        return self.file_name if path == self.path else path.name


class ModelSources:
    """The current models of a folder. The default remains the file that the engine was loaded with."""

    def __init__(self, files: ModelFiles) -> None:
        file = files.transformer
        self._models = files.models
        self.default = ModelSource(
            model_name_of(file.path, files.models),
            file.path,
            file_name_of(file.path, files.models),
            params_of(file),
            native_settings(file.metadata, file.path.stem),
            (0, 0),
            self._is_all_in_one(file.path),
        )

    def find(self, name: str) -> ModelSource:
        """The model of this name; the default for "". Raises InvalidRequest."""
        if name in ("", self.default.name):
            return self.default
        paths = model_paths(self._models)
        known = find_model(name, {*paths, self.default.name})
        if known == self.default.name:
            return self.default
        if known is None and (several := models_called(name, {*paths, self.default.name})):
            raise InvalidRequest(
                f"model: {name!r} matches several diffusion models in {self._models}: {', '.join(sorted(several))}. "
                "Write the whole name of one, with its folder."
            )
        if known is None:
            raise InvalidRequest(
                f"model: there is no diffusion model {name!r} in {self._models}. There are: {self._listed()}."
            )
        path = paths[known]
        if fault := choice_fault(path, self.default.params):
            raise InvalidRequest(f"The diffusion model {name!r} cannot be used: {fault} There are: {self._listed()}.")
        try:
            header, changed = opened(path), version(path)
        except CheckpointError as error:
            raise InvalidRequest(f"The diffusion model {name!r} cannot be used: {error}") from error
        params = TransformerParams.from_shapes(diffusion_model_shapes(header))
        native = native_settings(header.metadata, path.stem)
        return ModelSource(
            known, path, file_name_of(path, self._models), params, native, changed, self._is_all_in_one(path)
        )

    def _is_all_in_one(self, path: Path) -> bool:
        return path.is_relative_to(self._models / ALL_IN_ONE_FOLDER)

    def _listed(self) -> str:
        fitting = [
            name for name, path in model_paths(self._models).items() if not choice_fault(path, self.default.params)
        ]
        return ", ".join(dict.fromkeys((self.default.name, *sorted(fitting))))
