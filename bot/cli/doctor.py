"""`anima doctor`: checks the machine, the settings, the database and the model, and explains how to fix problems.

It creates and migrates no database and shows no token. One thing may change: if a process was killed in the middle of
a write, SQLite undoes that write before it can read the file.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bot.cli import Commands, file_size, nearest_existing

if TYPE_CHECKING:
    from bot.ops.settings import Settings
    from inference.devices import DeviceReport
    from inference.weights.checkpoint import ModelFiles

#: Bytes of free space and memory below which to warn.
MIN_FREE_DISK = 2e9
MIN_FREE_MEMORY = 2e9
#: Bytes on top of the weights during generation: an estimate, not measured, good for a warning only.
BYTES_PER_MEGAPIXEL = 1.5e9

SHOWN_PACKAGES = ("anima-bot", "transformers", "discord.py", "sqlalchemy", "huggingface_hub")
SHOWN_KEYS = 3
TOKEN = re.compile(r"[\w-]{18,}\.[\w-]{6,}\.[\w-]{27,}")
SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(?!:memory:)([^?]+)(?:\?.*)?")
POSTGRESQL = re.compile(r"postgres(?:ql)?(?:\+\w+)?://(.+)")
DATABASE_TIMEOUT = 10.0
DISCORD_TIMEOUT = 10.0


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "doctor",
        help="check your setup and explain how to fix it",
        description="Checks versions, settings, disk, database, device, memory and model files. "
        "LoRA files are read completely, the model only with --load. "
        "Exits with 1 if there is a problem.",
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="ComfyUI's models folder (ANIMA_MODELS)")
    parser.add_argument("--diffusion-model", metavar="NAME", help="the diffusion model to use (ANIMA_DIFFUSION_MODEL)")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:1 (ANIMA_DEVICE)")
    parser.add_argument("--dtype", help="auto, float32 or bfloat16 (ANIMA_DTYPE)")
    parser.add_argument("--load", action="store_true", help="also load the model and generate a small image")
    parser.set_defaults(command=doctor)


@dataclass(frozen=True)
class CheckResult:
    mark: Literal["ok", "warning", "problem"]
    text: str


CheckResults = Iterable[CheckResult]


def doctor(options: argparse.Namespace) -> None:
    """Print each result as soon as it is known; exit with 1 if there is a problem."""
    problems = 0
    for part, results in _checks(options):
        print(part)
        for result in results:
            print(f"  {result.mark:<8} {result.text}", flush=True)
            problems += result.mark == "problem"
        print()
    if problems:
        print("1 problem to fix." if problems == 1 else f"{problems} problems to fix.")
        sys.exit(1)
    print("No problems found.")


def _checks(options: argparse.Namespace) -> Iterator[tuple[str, CheckResults]]:
    """The parts of the check, each with its results."""
    from bot.ops.settings import Settings, SettingsError

    yield "Versions", _versions()
    names = {name: getattr(options, name) for name in ("models", "diffusion_model", "device", "dtype")}
    try:
        settings = Settings.read(**{f"anima_{name}": value for name, value in names.items() if value is not None})
    except SettingsError as error:
        yield "Settings", [_problem(sentence) for sentence in str(error).splitlines()]
        return
    yield "Settings", _token(settings)
    yield "Discord", _discord(settings)
    yield "Disk", _disk(settings)
    yield "Database", _database(settings.database_url)
    try:
        device = _examine_device(settings)
    except ValueError as error:
        yield "Device", [_problem(str(error))]
        return
    yield "Device", _device(device)
    yield "Model", _model(settings, device, options.load)


def _versions() -> Iterator[CheckResult]:
    from packaging.requirements import Requirement

    from inference.devices import pytorch

    yield _ok(f"Python {platform.python_version()} on {platform.platform()}")
    yield _ok(f"PyTorch {pytorch()}")
    yield _ok(", ".join(f"{name} {version(name)}" for name in SHOWN_PACKAGES))
    for text in requires("anima-bot") or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield _problem(f"{requirement.name} is not installed: pip install '{requirement}'.")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            yield _problem(f"{requirement.name} {found} is not supported: pip install '{requirement}'.")


def _token(settings: Settings) -> Iterator[CheckResult]:
    token = settings.discord_token.get_secret_value() if settings.discord_token else None
    if token is None:
        yield _warning("DISCORD_TOKEN is not set: add your bot's token to .env. Without it only the sandbox runs.")
    elif TOKEN.fullmatch(token):
        yield _ok("DISCORD_TOKEN is set")
    else:
        yield _warning("DISCORD_TOKEN does not look like a bot token: copy it again from Discord's developer portal.")


def _discord(settings: Settings) -> Iterator[CheckResult]:
    """Asks Discord who may add the bot; the only check that needs a network."""
    from bot.cli.invite import PUBLIC_WITHOUT_LIST, fetch_application
    from bot.cli.startup_errors import explain

    if settings.discord_token is None:
        yield _ok("not asked, because there is no token")
        return
    try:
        application = asyncio.run(asyncio.wait_for(fetch_application(settings), DISCORD_TIMEOUT))
    except TimeoutError:
        yield _warning(f"Discord did not answer within {DISCORD_TIMEOUT:g} s.")
        return
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        yield _warning(sentence)
        return
    yield _ok(f"the token is that of {application.name}")
    if application.bot_public and not settings.allowed_servers:
        yield _warning(PUBLIC_WITHOUT_LIST)


def _disk(settings: Settings) -> Iterator[CheckResult]:
    seen = set()
    for folder in (Path.cwd(), settings.models):
        if (disk := folder.stat().st_dev) in seen:
            continue
        seen.add(disk)
        free = shutil.disk_usage(folder).free
        text = f"{file_size(free)} free on the disk of {folder}"
        yield _ok(text) if free > MIN_FREE_DISK else _warning(f"Only {text}: free some space.")


def _database(address: str) -> Iterator[CheckResult]:
    if match := SQLITE.fullmatch(address):
        yield _sqlite(Path(match[1]))
    elif match := POSTGRESQL.fullmatch(address):
        yield asyncio.run(_postgresql(f"postgresql://{match[1]}"))
    else:
        yield _problem("DATABASE_URL is not a supported address. It looks like sqlite:///data/anima.db.")


def _sqlite(file: Path) -> CheckResult:
    from storage.backend.sqlite import quick_check

    if not file.exists():
        folder = nearest_existing(file.parent)
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return _ok(f"{file} will be created when the bot first runs")
        return _problem(f"The database {file} cannot be created: allow writing in {folder}, or fix DATABASE_URL.")
    if not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK | os.X_OK)):
        return _problem(f"The database {file} or its folder is read-only: allow this user to write to both.")
    try:
        verdict = quick_check(file)
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        return _problem(f"The database {file} cannot be read ({verdict}): restore a backup, or move the file away.")
    return _ok(f"{file} is intact, {file_size(file.stat().st_size)}")


async def _postgresql(address: str) -> CheckResult:
    try:
        import asyncpg
    except ModuleNotFoundError:
        return _problem("PostgreSQL needs the package asyncpg: pip install 'anima-bot[postgres]'.")
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT):
            connection = await asyncpg.connect(address)
            server = connection.get_server_version()
            await connection.close()
    except TimeoutError:
        return _problem(f"The PostgreSQL server in DATABASE_URL did not respond within {DATABASE_TIMEOUT:g} s.")
    except (OSError, asyncpg.PostgresError) as error:
        return _problem(f"The PostgreSQL server in DATABASE_URL refused the connection: {error}.")
    except (ValueError, asyncpg.InterfaceError):  # their messages could contain the password
        return _problem("DATABASE_URL is invalid. It looks like postgresql://user:password@host/name.")
    return _ok(f"PostgreSQL {server.major}.{server.minor} responds")


def _examine_device(settings: Settings) -> DeviceReport:
    from inference.devices import examine_device

    return examine_device(settings.anima_device, settings.anima_dtype)


def _device(device: DeviceReport) -> Iterator[CheckResult]:
    import psutil

    yield _ok(f"{device.device}: {device.name}, {device.dtype}, {device.threads} CPU threads")
    memory = psutil.virtual_memory()
    text = f"{file_size(memory.available)} of {file_size(memory.total)} RAM free"
    yield _ok(text) if memory.available > MIN_FREE_MEMORY else _warning(f"Only {text}: close other programs.")
    if device.device.startswith("cuda"):
        yield _ok(f"{file_size(device.free_bytes)} of {file_size(device.total_bytes)} GPU memory free")
    for sentence in device.warnings:
        yield _warning(sentence)


def _model(settings: Settings, device: DeviceReport, load: bool) -> Iterator[CheckResult]:
    """The headers of the files. LoRA files are read completely; with `load`, so is the model."""
    from inference import CheckpointError
    from inference.weights.checkpoint import ModelFiles

    models = settings.models
    if not settings.anima_models.is_dir():
        if "anima_models" in settings.model_fields_set:
            yield _problem(f"There is no folder {settings.anima_models}: fix ANIMA_MODELS, or run `anima download`.")
            return
        yield _warning(
            f"There is no folder {settings.anima_models}, so the bundled miniature is used: run `anima download`."
        )
    complete = True
    for result in (*_weights(models), *_tokenizers(models)):
        complete = complete and result.mark != "problem"
        yield result
    if not complete:
        return
    try:
        files = ModelFiles.find(models, settings.anima_diffusion_model, settings.anima_text_encoder, settings.anima_vae)
    except CheckpointError as error:
        yield _problem(str(error))
        return
    yield from _used(files)
    yield _memory(files, device)
    yield from _loras(files)
    if load:
        yield _drawing(settings)


def _used(files: ModelFiles) -> Iterator[CheckResult]:
    """The files that are used and why, and why others are not."""
    from inference.weights.checkpoint import unfitting
    from inference.weights.inventory import is_official

    parts = (files.transformer.path.name, files.text_encoder.path.name, files.vae.path.name)
    yield _ok(f"using {parts[0]} with {parts[1]} and {parts[2]}")
    for name, why in zip(parts[1:], files.reasons, strict=True):
        yield _ok(f"{name} is used because {why}")
    yield _variant(files)
    for path in dict.fromkeys(file.path for file in (files.transformer, files.text_encoder, files.vae)):
        if (official := is_official(path)) is False:
            yield _warning(f"{path.name} is not the released file of that name: its SHA-256 is another.")
        elif official:
            yield _ok(f"{path.name} is the released file, by its SHA-256")
    for path, fault in unfitting(files).items():
        yield _ok(f"{path.name} is not used: {fault}")


def _variant(files: ModelFiles) -> CheckResult:
    """The settings recommended for the diffusion model; they apply unless a server or a user sets others."""
    from inference.weights.modelspec import native_settings

    native = native_settings(files.transformer.metadata, files.transformer.path.stem)
    return _ok(
        f"{files.transformer.path.name} counts as Anima {native.variant}: {native.steps} steps, "
        f"CFG {native.cfg_scale:g}, {native.sampler}, {native.scheduler}; "
        f"prefix “{native.prefix.strip(' ,')}”, negative “{native.negative}”"
    )


def _weights(models: Path) -> Iterator[CheckResult]:
    from inference.weights.inventory import KINDS, weights_files

    found = list(weights_files(models))
    usable = {file.kind for file in found if file.fault is None}
    for file in found:
        if file.fault is None:
            yield _ok(f"{file.kind} {file.path.name}, {file_size(file.size)}")
        else:
            yield _warning(file.fault)
    for kind, folders, _ in KINDS:
        if kind not in usable:
            yield _problem(f"No {kind} for Anima found in {models / folders[0]}: run `anima download`.")


def _tokenizers(models: Path) -> Iterator[CheckResult]:
    for name in ("qwen", "t5"):
        folder = models / "tokenizers" / name
        if (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file():
            yield _ok(f"tokenizer {name}")
        else:
            yield _problem(f"No tokenizer found in {folder}: run `anima download`.")


def _memory(files: ModelFiles, device: DeviceReport) -> CheckResult:
    from inference.weights.inventory import weights_bytes
    from inference.weights.modelspec import native_settings

    weights = weights_bytes(files, device.dtype)
    needed = weights + BYTES_PER_MEGAPIXEL * native_settings(files.transformer.metadata).megapixels
    text = f"The model needs {file_size(weights)} in {device.dtype}, about {file_size(needed)} while generating"
    if needed < device.free_bytes:
        return _ok(text)
    return _warning(
        f"{text}, but only {file_size(device.free_bytes)} are free on {device.device}: close other programs."
    )


def _loras(files: ModelFiles) -> Iterator[CheckResult]:
    from inference.weights.inventory import loras

    for lora in loras(files):
        if lora.fault is not None:
            yield _warning(lora.fault)
        elif lora.unmatched:
            shown = ", ".join(lora.unmatched[:SHOWN_KEYS])
            more = f" and {len(lora.unmatched) - SHOWN_KEYS} more" if len(lora.unmatched) > SHOWN_KEYS else ""
            yield _warning(f"LoRA {lora.name}: these keys match no layer and have no effect: {shown}{more}.")
        else:
            yield _ok(f"LoRA {lora.name}")


def _drawing(settings: Settings) -> CheckResult:
    from inference import Engine, NotFinite

    try:
        started = time.perf_counter()
        engine = Engine.load(
            settings.models,
            settings.anima_device,
            settings.anima_dtype,
            settings.anima_diffusion_model,
            settings.anima_text_encoder,
            settings.anima_vae,
        )
        loaded = time.perf_counter()
        engine.generate([engine.native.request("1girl", width=64, height=64, steps=1)])
    except (ValueError, NotFinite, RuntimeError) as error:
        return _problem(str(error).strip())
    drawn = time.perf_counter()
    return _ok(f"loaded in {loaded - started:.1f} s, generated one step at 64x64 in {drawn - loaded:.1f} s")


def _ok(text: str) -> CheckResult:
    return CheckResult("ok", text)


def _warning(text: str) -> CheckResult:
    return CheckResult("warning", text)


def _problem(text: str) -> CheckResult:
    return CheckResult("problem", text)
