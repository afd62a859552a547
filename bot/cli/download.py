"""`anima download`: downloads the model from the Hugging Face Hub into the folder layout of ComfyUI."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bot.cli import USAGE_ERROR, Commands, fail, file_size, nearest_existing

if TYPE_CHECKING:
    from bot.cli.hub import Hub, HubFile, Repository

MODEL = "circlestone-labs/Anima"
TOKENIZERS = "circlestone-labs/Anima-Base-v1.0-Diffusers"
LORAS = "circlestone-labs/Anima-Official-LoRAs"

# Folder and name in the model's repository; the folder under `models` has the same name.
PARTS = (("text_encoders", "qwen_3_06b_base.safetensors"), ("vae", "qwen_image_vae.safetensors"))
TOKENIZER_FOLDERS = (("tokenizer", "qwen"), ("t5_tokenizer", "t5"))

TERMS = (
    "The weights are licensed for non-commercial use: you may not charge for a bot that uses them. "
    "The images may be used commercially."
)


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "download",
        help="download the model from the Hugging Face Hub",
        description="Downloads the model, its text encoder, VAE and tokenizers. Complete files are kept, and "
        "interrupted downloads continue. Respects HF_TOKEN and HF_ENDPOINT.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        default=["base"],
        metavar="MODEL",
        help="base (the default), aesthetic, turbo, or a file name",
    )
    parser.add_argument("--loras", action="store_true", help="also download the official LoRA files")
    parser.add_argument("--models", type=Path, metavar="DIR", help="ComfyUI's models folder (ANIMA_MODELS)")
    parser.add_argument("-y", "--yes", action="store_true", help="accept the licences without a prompt")
    parser.set_defaults(command=download)


@dataclass(frozen=True)
class Wanted:
    """A file, and where to save it."""

    file: HubFile
    destination: Path

    @property
    def missing_bytes(self) -> int:
        return self.file.size - self.file.fetched(self.destination)


def download(options: argparse.Namespace) -> None:
    """Download missing files; on an error, print its sentence and end the command."""
    from bot.cli.hub import Hub, HubError
    from bot.ops.settings import Settings, SettingsError

    try:
        models = options.models or Settings.read().anima_models
        hub = Hub()
        repositories = [hub.repository(name) for name in (MODEL, TOKENIZERS, *([LORAS] if options.loras else []))]
        missing = _missing(list(_wanted(repositories, options.names, models)))
        if not missing:
            print(f"Everything is in {models}, and all checksums match.")
            return
        _describe(hub, repositories, missing)
        _check_space(missing, models)
        if not options.yes:
            _ask()
        for wanted in missing:
            hub.download(wanted.file, wanted.destination)
    except (HubError, SettingsError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or models} cannot be read: {error.strerror or error}. Check its permissions.")
    print(f"Everything is in {models}, and all checksums match. Run `anima doctor` to check your setup.")


def _wanted(repositories: Sequence[Repository], names: Sequence[str], models: Path) -> Iterator[Wanted]:
    """The files of the models with these names, and the LoRA files if their repository is given."""
    model, tokenizers, *loras = repositories
    for name in dict.fromkeys(names):
        file = _diffusion_model(model, name)
        yield Wanted(file, models / "diffusion_models" / file.path.name)
    for folder, name in PARTS:
        file = _named(model.under(f"split_files/{folder}", ".safetensors"), name, model)
        yield Wanted(file, models / folder / name)
    for folder, name in TOKENIZER_FOLDERS:
        for file in _tokenizer(tokenizers, folder):
            yield Wanted(file, models / "tokenizers" / name / file.path.name)
    for repository in loras:
        for file in repository.files:
            if file.path.suffix == ".safetensors":
                yield Wanted(file, models / "loras" / file.path.name)


def _diffusion_model(repository: Repository, name: str) -> HubFile:
    """The file with that name, or the newest version of that kind. Raises HubError."""
    files = {file.path.stem: file for file in repository.under("split_files/diffusion_models", ".safetensors")}
    versions = {
        tuple(int(part) for part in match[1].split(".")): stem
        for stem in files
        if (match := re.fullmatch(rf"anima-{re.escape(name)}-v(\d+(?:\.\d+)*)", stem))
    }
    stem = versions[max(versions)] if versions else name.removesuffix(".safetensors")
    return _named(list(files.values()), f"{stem}.safetensors", repository)


def _named(files: Sequence[HubFile], name: str, repository: Repository) -> HubFile:
    from bot.cli.hub import HubError

    for file in files:
        if file.path.name == name:
            return file
    there = ", ".join(sorted(file.path.stem for file in files)) or "none"
    raise HubError(f"{repository.name} has no {name.removesuffix('.safetensors')}. Available: {there}.")


def _tokenizer(repository: Repository, folder: str) -> list[HubFile]:
    from bot.cli.hub import HubError

    files = repository.under(folder, ".json", ".txt")
    if not {file.path.name for file in files} & {"tokenizer.json", "vocab.json"}:
        raise HubError(f"{repository.name} has no tokenizer in {folder}. Update Anima Bot; it may have moved.")
    return files


def _missing(wanted: Sequence[Wanted]) -> list[Wanted]:
    present = sum(each.file.size for each in wanted if each.destination.is_file())
    if present > 1e9:
        print(f"Checking {file_size(present)} of existing files …")
    return [each for each in wanted if not each.file.matches(each.destination)]


def _describe(hub: Hub, repositories: Sequence[Repository], missing: Sequence[Wanted]) -> None:
    for wanted in missing:
        fetched = wanted.file.fetched(wanted.destination)
        note = f" ({file_size(fetched)} already downloaded)" if fetched else ""
        if wanted.destination.exists():
            note += " (replaces a file that differs or is damaged)"
        print(f"{file_size(wanted.file.size):>10}  {wanted.destination}{note}")
    print(f"{file_size(sum(each.missing_bytes for each in missing)):>10}  to download\n")
    for repository in repositories:
        if any(wanted.file.repository == repository.name for wanted in missing):
            print(f"Licence of {hub.address}/{repository.name}: {repository.licence}.")
    print(TERMS)


def _check_space(missing: Sequence[Wanted], models: Path) -> None:
    needed = sum(each.missing_bytes for each in missing)
    free = shutil.disk_usage(nearest_existing(models)).free
    if needed > free:
        fail(
            f"The download needs {file_size(needed)}, but only {file_size(free)} are free on the disk of {models}. "
            "Free some space, or choose another folder with --models."
        )


def _ask() -> None:
    if not sys.stdin.isatty():
        fail("Nothing was downloaded. Without a terminal, pass --yes to accept the licences.", USAGE_ERROR)
    try:
        answer = input("Accept the licences and download? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        fail("Nothing was downloaded.")
