"""Finds the files of a ComfyUI `models` folder, reads them, and says in a sentence what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from inference.request import CheckpointError
from inference.weights.lora_files import LORA_FOLDER

TRANSFORMER_MARK = "llm_adapter.blocks.0.cross_attn.k_proj.weight"
TEXT_ENCODER_MARK = "layers.0.self_attn.q_norm.weight"
VAE_MARK = "decoder.upsamples.0.residual.2.weight"

# The folders of ComfyUI, its present name for each first.
TRANSFORMER_FOLDERS = ("diffusion_models", "unet")
TEXT_ENCODER_FOLDERS = ("text_encoders", "clip")
VAE_FOLDERS = ("vae",)

PREFERRED_TRANSFORMER = "anima-base"
#: Position tables that some converters keep: they can be computed, and are.
IGNORED_TRANSFORMER_KEYS = ("pos_embedder.",)
#: Bytes. Reading a header takes a hundred times its size; that of a large model, or with a long history of training in
#: it, is a few megabytes.
MAX_HEADER = 16 << 20


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

    @property
    def loras(self) -> Path:
        """The folder of the LoRA files, which may be missing."""
        return self.models / LORA_FOLDER

    @classmethod
    def find(cls, models: str | Path, diffusion_model: str | None = None) -> ModelFiles:
        """Choose the files under the folder `models`; `diffusion_model` names one, with or without `.safetensors`.

        Raises CheckpointError.
        """
        models = Path(models)
        if not models.is_dir():
            raise CheckpointError(
                f"There is no models folder at {models}. Run `anima download`, or name ComfyUI's `models` folder."
            )
        transformer = _find_transformer(models, diffusion_model)
        with reading_sizes_off(transformer):
            hidden_size = transformer.shapes[TRANSFORMER_MARK][1]
            latent_channels = transformer.shapes["x_embedder.proj.1.weight"][1] // 4 - 1
        text_encoder = _find_one(
            models,
            TEXT_ENCODER_FOLDERS,
            "Qwen3 text encoder (qwen_3_06b_base.safetensors)",
            TEXT_ENCODER_MARK,
            lambda file: file.shapes.get("embed_tokens.weight", ())[1:] == (hidden_size,),
        )
        vae = _find_one(
            models,
            VAE_FOLDERS,
            "VAE (qwen_image_vae.safetensors)",
            VAE_MARK,
            lambda file: file.shapes.get("conv2.weight", ())[:1] == (latent_channels,),
        )
        return cls(
            models,
            transformer,
            text_encoder,
            vae,
            _tokenizer_folder(models, "qwen"),
            _tokenizer_folder(models, "t5"),
        )


class WeightsFile:
    """One safetensors file, memory-mapped; its keys are given without the prefix that some programs put before them."""

    def __init__(self, path: Path, mark: str) -> None:
        """Open `path` and find the prefix from the key that ends in `mark`. Raises CheckpointError."""
        self.path = path
        if path.suffix != ".safetensors":
            raise CheckpointError(
                f"{path} is not a .safetensors file. Other formats can run code when opened, so they are not accepted; "
                "download the safetensors version."
            )
        try:
            check_header(path)
            self._file = safe_open(path, framework="pt")
        except FileNotFoundError:
            raise CheckpointError(f"There is no file {path}. Run `anima download`, or fix the name.") from None
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(
                f"{path} cannot be read as safetensors ({error}): it is damaged or incompletely downloaded "
                f"({path.stat().st_size:,} bytes are there). Delete it and download it again."
            ) from error
        keys = self._file.keys()
        prefixes = [key.removesuffix(mark) for key in keys if key.endswith(mark)]
        self._prefix = min(prefixes, key=len, default=None)

    @property
    def is_marked(self) -> bool:
        """Whether it contains the key that distinguishes this kind of file from others."""
        return self._prefix is not None

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        prefix = self._prefix or ""
        return {
            key.removeprefix(prefix): tuple(self._file.get_slice(key).get_shape())
            for key in self._file.keys()  # noqa: SIM118, the file is no mapping
            if key.startswith(prefix)
        }

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        return self._file.metadata() or {}

    def tensor(self, key: str) -> Tensor:
        """The tensor as it lies in the file, memory-mapped on the CPU; read-only by convention."""
        return self._file.get_tensor((self._prefix or "") + key)


def check_header(path: Path) -> None:
    """Raises ValueError where the header of a safetensors file says that it is longer than any has to be."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise ValueError(f"its header has {length:,} bytes, more than {MAX_HEADER:,}")


@contextmanager
def reading_sizes_off(file: WeightsFile) -> Iterator[None]:
    """While a model's sizes are read off a file's shapes: any error there means that the file is not such a model's."""
    try:
        yield
    except CheckpointError:
        raise
    except (LookupError, ArithmeticError, ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{file.path}: its tensors do not have the shapes of such a model ({type(error).__name__}: {error}). "
            "The file belongs to another model or is damaged; choose a file made for Anima."
        ) from error


def load_module(
    module: nn.Module,
    file: WeightsFile,
    device: torch.device,
    dtype: torch.dtype,
    convert: Callable[[str, Tensor], Tensor | None] = lambda _key, tensor: tensor,
    ignored: tuple[str, ...] = (),
) -> None:
    """Give `module`, built on the meta device, its tensors from `file`, on `device` in `dtype`.

    A tensor that already has the wanted dtype and device stays memory-mapped. `convert` turns a tensor of the file
    into one of the module, or None where it takes no part. Raises CheckpointError.
    """
    wanted = {key: tensor.shape for key, tensor in module.state_dict().items()}
    state: dict[str, Tensor] = {}
    surplus: list[str] = []
    for key in file.shapes:
        if key.startswith(ignored) or (tensor := convert(key, file.tensor(key))) is None:
            continue
        if key not in wanted:
            surplus.append(key)
        elif tensor.shape != wanted[key]:
            raise CheckpointError(
                f"{file.path}: tensor {key} has shape {list(tensor.shape)}, but {list(wanted[key])} is needed. "
                "The file belongs to another model; choose a file made for Anima."
            )
        else:
            state[key] = tensor.to(device, dtype)
            if not _is_finite(state[key]):
                raise CheckpointError(
                    f"{file.path}: tensor {key} holds values that are not numbers (NaN or infinity). "
                    "The file is damaged or was converted badly; download it again."
                )
    if missing := sorted(wanted.keys() - state.keys()):
        raise CheckpointError(f"{file.path}: {_some(missing)} missing. It is incomplete or of another model.")
    if surplus:
        raise CheckpointError(
            f"{file.path}: {_some(surplus)} not known. The file belongs to another model or has a scaled or packed "
            "format that is not supported; use the plain bfloat16 or float32 version."
        )
    module.load_state_dict(state, assign=True)
    module.requires_grad_(False).eval().to(device)


def _find_transformer(models: Path, name: str | None) -> WeightsFile:
    files = list(_safetensors(models, TRANSFORMER_FOLDERS))
    folder = models / TRANSFORMER_FOLDERS[0]
    if name is not None:
        named = [path for path in files if name in (path.name, path.stem)]
        named += [path for part in TRANSFORMER_FOLDERS if (path := models / part / name).is_file()]
        if not named:
            raise CheckpointError(
                f"There is no diffusion model {name!r} in {folder}. There are: {_names(files)}. "
                "Choose one of them, or run `anima download`."
            )
        file = WeightsFile(named[0], TRANSFORMER_MARK)
        if not file.is_marked:
            raise CheckpointError(
                f"{file.path} is not an Anima diffusion model: it has no {TRANSFORMER_MARK}. "
                "Choose a file made for Anima."
            )
        return file
    candidates = _marked(files, TRANSFORMER_MARK, "an Anima diffusion model", folder)
    preferred = [file for file in candidates if file.path.name.startswith(PREFERRED_TRANSFORMER)]
    if len(candidates) == 1 or preferred:
        return (preferred or candidates)[0]
    raise CheckpointError(
        f"Several diffusion models are in {folder}: {_names(file.path for file in candidates)}. "
        "Say which one to use (ANIMA_DIFFUSION_MODEL, or `--diffusion-model`)."
    )


def _find_one(
    models: Path, folders: Sequence[str], what: str, mark: str, fits: Callable[[WeightsFile], bool]
) -> WeightsFile:
    folder = models / folders[0]
    candidates = _marked(list(_safetensors(models, folders)), mark, f"a {what}", folder)
    fitting = [file for file in candidates if fits(file)]
    if not fitting:
        raise CheckpointError(
            f"No file in {folder} fits the diffusion model's sizes: {_names(file.path for file in candidates)} "
            f"{'belongs' if len(candidates) == 1 else 'belong'} to another model. Put the {what} there."
        )
    return fitting[0]


def _marked(paths: Sequence[Path], mark: str, what: str, folder: Path) -> list[WeightsFile]:
    """The files that carry `mark`; a file that cannot be read is an error only when no other will do."""
    found: list[WeightsFile] = []
    unreadable: CheckpointError | None = None
    for path in paths:
        try:
            file = WeightsFile(path, mark)
        except CheckpointError as error:
            unreadable = unreadable or error
        else:
            if file.is_marked:
                found.append(file)
    if found:
        return found
    if unreadable is not None:
        raise unreadable
    others = f"; {_names(paths)} {'is' if len(paths) == 1 else 'are'} of another kind" if paths else ""
    raise CheckpointError(f"There is no file of {what} in {folder}{others}. Run `anima download`, or put it there.")


def _safetensors(models: Path, folders: Sequence[str]) -> Iterable[Path]:
    for folder in folders:
        yield from sorted((models / folder).rglob("*.safetensors"))


def _tokenizer_folder(models: Path, name: str) -> Path:
    folder = models / "tokenizers" / name
    files = ("tokenizer.json", "vocab.json")
    if not any((folder / file).is_file() for file in files):
        raise CheckpointError(
            f"There is no tokenizer in {folder}: neither {files[0]} nor {files[1]} with merges.txt. "
            "Run `anima download`, which downloads only what is missing."
        )
    return folder


def _is_finite(tensor: Tensor) -> bool:
    low, high = torch.aminmax(tensor) if tensor.dtype.itemsize > 1 else torch.aminmax(tensor.float())
    return bool(torch.isfinite(low) and torch.isfinite(high))


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(sorted(path.name for path in paths)) or "none"


def _some(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
    return f"{shown} {'is' if len(keys) == 1 else 'are'}"
