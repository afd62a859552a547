"""`anima doctor`: checks the machine, the settings, the database and the model, and explains how to fix problems.

It never creates or migrates a database, or shows a token. One thing may change: if a process was killed in the middle
of a write, SQLite undoes that write before it can read the file.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from bot.cli import CheckResult, Commands, file_size, ok, problem, warning

if TYPE_CHECKING:
    from bot.ops.settings import Settings
    from inference import CheckpointError, NativeSettings
    from inference.devices import DeviceReport
    from inference.weights.checkpoint import ModelFiles

#: Free bytes of disk space and memory below which to warn.
MIN_FREE_DISK = 2e9
MIN_FREE_MEMORY = 2e9

SHOWN_PACKAGES = ("anima-bot", "transformers", "discord.py", "sqlalchemy")
MAX_KEYS_SHOWN = 3
TOKEN = re.compile(r"[\w-]{18,}\.[\w-]{6,}\.[\w-]{27,}")
DISCORD_TIMEOUT = 10.0


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "doctor",
        help="check your setup and explain how to fix it",
        description="Checks versions, settings, disk, database, tagger, cluster, device, memory and model files. "
        "LoRA files are read completely, the model only with --load. "
        "Exits with 1 if there is a problem.",
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="ComfyUI's models folder (ANIMA_MODELS)")
    parser.add_argument("--diffusion-model", metavar="NAME", help="the diffusion model to use (ANIMA_DIFFUSION_MODEL)")
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1, cuda:0,cuda:1, all, mps or xpu (ANIMA_DEVICE)")
    parser.add_argument("--dtype", help="auto, float32, bfloat16, float16 or float8 (ANIMA_DTYPE)")
    parser.add_argument("--memory", type=float, nargs="+", metavar="GB", help="only show what fits on such GPUs")
    parser.add_argument("--load", action="store_true", help="also load the model and generate a small image")
    parser.set_defaults(command=doctor)


CheckResults = Iterable[CheckResult]


def doctor(options: argparse.Namespace) -> None:
    """Print each result as soon as it is known; exit with 1 if there is a problem."""
    if options.memory is not None:
        from inference.benchmark.fit import table

        print(table(options.memory))
        return
    problems = 0
    for part, results in _checks(options):
        print(part)
        for result in results:
            print(f"  {result.mark:<8} {result.text}", flush=True)
            problems += result.mark == "problem"
    if problems:
        print("1 problem to fix." if problems == 1 else f"{problems} problems to fix.")
        sys.exit(1)
    print("No problems found.")


def _checks(options: argparse.Namespace) -> Iterator[tuple[str, CheckResults]]:
    """The parts of the check, each with its results."""
    from bot.cli.cluster import check_cluster
    from bot.cli.database import check_database
    from bot.ops.settings import Settings, SettingsError

    yield "Versions", _versions()
    names = {name: getattr(options, name) for name in ("models", "diffusion_model", "device", "dtype")}
    try:
        settings = Settings.read(**{f"anima_{name}": value for name, value in names.items() if value is not None})
    except SettingsError as error:
        yield "Settings", [problem(sentence) for sentence in str(error).splitlines()]
        return
    yield "Settings", _token(settings)
    if settings.discord_token is not None:
        yield "Discord", _discord(settings)
    yield "Disk", _disk(settings)
    yield "Database", check_database(settings.database_url)
    if settings.anima_tagger is not None:
        yield "Tagger", [_tagger(settings.anima_tagger)]
    if settings.anima_cluster is not None:
        yield "Cluster", check_cluster(settings.anima_cluster, settings.cluster_token_file, settings.anima_engines)
    found = _find_model(settings)
    try:
        engines = _examine_devices(settings, found)
    except ValueError as error:
        yield "Device", [problem(str(error))]
        return
    yield "Device", _devices(engines)
    yield "Model", _model(settings, found, engines, options.load)


def _versions() -> Iterator[CheckResult]:
    from packaging.requirements import Requirement

    from inference.devices import pytorch

    yield ok(f"Python {platform.python_version()} on {platform.platform()}")
    yield ok(f"PyTorch {pytorch()}")
    yield ok(", ".join(f"{name} {version(name)}" for name in SHOWN_PACKAGES))
    for text in requires("anima-bot") or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield problem(f"{requirement.name} is not installed: pip install '{requirement}'.")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            yield problem(f"{requirement.name} {found} is not supported: pip install '{requirement}'.")


def _token(settings: Settings) -> Iterator[CheckResult]:
    token = settings.discord_token.get_secret_value() if settings.discord_token else None
    if token is None:
        yield warning("DISCORD_TOKEN is not set: add your bot's token to .env. Without it only the sandbox runs.")
    elif TOKEN.fullmatch(token):
        yield ok("DISCORD_TOKEN is set")
    else:
        yield warning("DISCORD_TOKEN does not look like a bot token: copy it again from Discord's developer portal.")


def _discord(settings: Settings) -> Iterator[CheckResult]:
    """Asks Discord who may add the bot; the only check that needs a network."""
    from bot.cli.invite import PUBLIC_WITHOUT_LIST, fetch_application
    from bot.cli.startup_errors import explain

    try:
        application = asyncio.run(asyncio.wait_for(fetch_application(settings), DISCORD_TIMEOUT))
    except TimeoutError:
        yield warning(f"Discord did not answer within {DISCORD_TIMEOUT:g} s.")
        return
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        yield warning(sentence)
        return
    yield ok(f"the token belongs to {application.name}")
    if application.bot_public and not settings.allowed_servers:
        yield warning(PUBLIC_WITHOUT_LIST)


def _disk(settings: Settings) -> Iterator[CheckResult]:
    seen = set()
    for folder in (Path.cwd(), settings.models):
        if (disk := folder.stat().st_dev) in seen:
            continue
        seen.add(disk)
        free = shutil.disk_usage(folder).free
        text = f"{file_size(free)} free on the disk of {folder}"
        yield ok(text) if free > MIN_FREE_DISK else warning(f"Only {text}: free some space.")


def _tagger(path: Path) -> CheckResult:
    from inference.tagging.tag_list import TaggerError
    from inference.tagging.tagger import Tagger

    try:
        tagger = Tagger.load(path)
    except TaggerError as error:
        return problem(str(error))
    return ok(f"{path} has {len(tagger.tags)} tags and takes images of {tagger.side}x{tagger.side}")


def _examine_devices(settings: Settings, found: ModelFiles | CheckpointError) -> Mapping[str, DeviceReport]:
    """The device of each engine on this machine, by the engine's name. Raises ValueError."""
    from bot.jobs.engines import engine_devices
    from inference.devices import examine_device

    devices = engine_devices(settings.devices) if settings.anima_cluster is None else {}
    width = _transformer_width(found)
    return {name: examine_device(device, settings.anima_dtype, width) for name, device in devices.items()}


def _find_model(settings: Settings) -> ModelFiles | CheckpointError:
    """The files that an engine would use, or the error if it finds none."""
    from inference import CheckpointError
    from inference.weights.checkpoint import ModelFiles

    names = (settings.anima_diffusion_model, settings.anima_text_encoder, settings.anima_vae)
    try:
        return ModelFiles.find(settings.models, *names)
    except CheckpointError as error:
        return error


def _transformer_width(found: ModelFiles | CheckpointError) -> int:
    """0 if the model cannot be read, which the model's check reports."""
    from inference import CheckpointError
    from inference.pool.diffusion_model import params_of

    if isinstance(found, CheckpointError):
        return 0
    try:
        return params_of(found.transformer).width
    except CheckpointError:
        return 0


def _devices(engines: Mapping[str, DeviceReport]) -> Iterator[CheckResult]:
    import psutil

    from inference.benchmark.fit import advice
    from inference.networks.compile import why_not_compiled
    from inference.startup.environment import why_not_kept

    if len(engines) > 1:
        yield ok(f"{len(engines)} engines: {', '.join(engines)}")
    memory = psutil.virtual_memory()
    text = f"{file_size(memory.available)} of {file_size(memory.total)} RAM free"
    yield ok(text) if memory.available > MIN_FREE_MEMORY else warning(f"Only {text}: close other programs.")
    for device in {device.device: device for device in engines.values()}.values():
        yield ok(f"{device.device}: {device.name}, {device.dtype}, {device.threads} CPU threads")
        if device.device.startswith("cuda"):
            yield ok(advice(device.device, device.total_bytes))
            yield ok(
                f"{file_size(device.free_bytes)} of {file_size(device.total_bytes)} GPU memory free on {device.device}"
            )
        for sentence in device.warnings:
            yield warning(sentence)
        is_compiled_for = device.device.startswith("cuda")
        if why := why_not_compiled(device.device) or (why_not_kept() if is_compiled_for else None):
            yield warning(why)


def _model(
    settings: Settings, found: ModelFiles | CheckpointError, engines: Mapping[str, DeviceReport], load: bool
) -> Iterator[CheckResult]:
    """Checks the files' headers. LoRA files are read completely; with `load`, so is the model."""
    from inference import CheckpointError

    models = settings.models
    if not settings.anima_models.is_dir():
        if "anima_models" in settings.model_fields_set:
            yield problem(f"There is no folder {settings.anima_models}: fix ANIMA_MODELS, or run `anima download`.")
            return
        yield warning(
            f"There is no folder {settings.anima_models}, so the bundled miniature is used: run `anima download`."
        )
    missing = [*_missing_weights(models), *_tokenizers(models)]
    if isinstance(found, CheckpointError):
        yield from _weights(models)
        yield from missing
        if all(result.mark != "problem" for result in missing):
            yield problem(str(found))
        return
    yield from _weights(models, found)
    yield from missing
    yield from _used(found)
    engines_on = Counter(device.device for device in engines.values())
    for device in {device.device: device for device in engines.values()}.values():
        yield _memory(found, device, engines_on[device.device])
    yield from _loras(found)
    if load:
        for name in engines_on:
            yield _drawing(settings, name)


def _used(files: ModelFiles) -> Iterator[CheckResult]:
    """The files that are used, and the diffusion model's recommended settings."""
    yield ok(f"using {files.transformer.path.name} with {files.text_encoder.path.name} and {files.vae.path.name}")
    yield _variant(files)


def _variant(files: ModelFiles) -> CheckResult:
    """The settings recommended for the diffusion model; they apply unless a server or a user sets others."""
    from inference.weights.modelspec import native_settings

    native = native_settings(files.transformer.metadata, files.transformer.path.stem)
    return ok(
        f"{files.transformer.path.name} counts as {_kind(native)}; prefix “{native.prefix.strip(' ,')}”, "
        f"negative “{native.negative}”"
    )


def _kind(native: NativeSettings) -> str:
    return (
        f"Anima {native.variant}: {native.steps} steps, CFG {native.cfg_scale:g}, {native.sampler}, {native.scheduler}"
    )


def _weights(models: Path, used: ModelFiles | None = None) -> Iterator[CheckResult]:
    """A line for each file in the folder: its kind, and whether and why it is used."""
    from inference.weights.checkpoint import mismatches
    from inference.weights.inventory import KINDS, weights_files

    reasons = _reasons(used) if used is not None else {}
    faults = mismatches(used) if used is not None else {}
    choices = _choices(used) if used is not None else {}
    for file in weights_files(models):
        name, size = file.path.name, file_size(file.size)
        if file.fault is not None:
            yield warning(file.fault)
        elif (file.kind, file.path) in reasons:
            yield ok(
                f"{file.kind}, {size}: {name} is used because {reasons[file.kind, file.path]}{_released(file.path)}"
            )
        elif used is None:
            yield ok(f"{file.kind} {name}, {size}")
        elif file.kind == KINDS[0][0]:
            choice = choices.get(file.path, "the same file under another name")
            yield ok(f"{file.kind} {name}, {size}{_released(file.path)}; {choice}")
        else:
            same = any(file.path.samefile(path) for kind, path in reasons if kind == file.kind)
            fits = "it is the same file under another name" if same else "it fits too, but another one is used"
            why = faults.get(file.path, fits).partition(". ")[0].rstrip(".")
            yield ok(f"{file.kind}: {name} is not used: {why}.")
    yield from _not_used(models, list(dict.fromkeys(folder for _, folders, _ in KINDS for folder in folders)))
    if used is not None:
        for path in dict.fromkeys(file.path for file in (used.transformer, used.text_encoder, used.vae)):
            if _is_official(path) is False:
                yield warning(f"{path.name} is not the released file of that name: its SHA-256 differs.")


def _not_used(models: Path, folders: Sequence[str]) -> Iterator[CheckResult]:
    """A line for each file in an unusable format, and for each broken link."""
    from inference.weights.headers.diffusion_models import unusable_paths, why_not_opened

    for path in unusable_paths(models, folders):
        why = why_not_opened(path).partition(". ")[0].partition(";")[0].rstrip(".")
        yield ok(f"{path.relative_to(models).as_posix()} is not used: it {why}.")


def _choices(files: ModelFiles) -> dict[Path, str]:
    """For each diffusion model, the text after its file's name: how requests can name it, or why they cannot."""
    from inference.weights.headers.diffusion_models import model_paths
    from inference.weights.headers.model_list import list_with_default

    listed, paths = list_with_default(files.transformer.path, files.models), model_paths(files.models)
    choices = {path: f"cannot be chosen: {fault.rstrip('.')}" for path, fault in listed.refused.items()}
    for name, facts in listed.models.items():
        if name in paths:
            choices[paths[name]] = f"can be chosen as {name}, {facts.blocks} blocks, {_kind(facts.native)}"
    return choices | {files.transformer.path: "the default"}


def _reasons(files: ModelFiles) -> dict[tuple[str, Path], str]:
    """Why the text encoder and the VAE are used, by kind and file."""
    from inference.weights.inventory import KINDS

    parts = zip(KINDS[1:], (files.text_encoder, files.vae), files.reasons, strict=True)
    return {(kind, file.path): why for (kind, _, _), file, why in parts}


def _released(path: Path) -> str:
    return "; released (SHA-256)" if _is_official(path) else ""


@cache
def _is_official(path: Path) -> bool | None:
    from inference.weights.inventory import is_official

    return is_official(path)


def _missing_weights(models: Path) -> Iterator[CheckResult]:
    from inference.weights.inventory import KINDS, weights_files

    usable = {file.kind for file in weights_files(models) if file.fault is None}
    for kind, folders, _ in KINDS:
        if kind not in usable:
            yield problem(f"No {kind} for Anima found in {models / folders[0]}: run `anima download`.")


def _tokenizers(models: Path) -> Iterator[CheckResult]:
    found = []
    for name in ("qwen", "t5"):
        folder = models / "tokenizers" / name
        if (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file():
            found.append(f"tokenizer {name}")
        else:
            yield problem(f"No tokenizer found in {folder}: run `anima download`.")
    if found:
        yield ok(", ".join(found))


def _memory(files: ModelFiles, device: DeviceReport, engines: int) -> CheckResult:
    """engines: the number of engines that share the device."""
    from inference.pool.memory import NeededMemory

    memory = NeededMemory.of(files, device.precision)
    needed = memory.weights + memory.generating
    text = f"The model needs {file_size(memory.weights)} in {device.dtype}, about {file_size(needed)} while generating"
    if engines > 1:
        text += f" for each of {engines} engines on {device.device}"
    if needed * engines < device.free_bytes:
        return ok(text)
    return warning(
        f"{text}, but only {file_size(device.free_bytes)} are free on {device.device}: close other programs."
    )


def _loras(files: ModelFiles) -> Iterator[CheckResult]:
    from inference.weights.inventory import loras
    from inference.weights.lora_files import LORA_FOLDER

    whole = []
    for lora in loras(files):
        if lora.fault is not None:
            yield warning(lora.fault)
        elif lora.unmatched:
            shown = ", ".join(lora.unmatched[:MAX_KEYS_SHOWN])
            more = f" and {len(lora.unmatched) - MAX_KEYS_SHOWN} more" if len(lora.unmatched) > MAX_KEYS_SHOWN else ""
            yield warning(f"LoRA {lora.name}: these keys match no layer and have no effect: {shown}{more}.")
        else:
            whole.append(lora.name)
    if whole:
        yield ok(f"LoRA {', '.join(whole)}")
    yield from _not_used(files.models, [LORA_FOLDER])


def _drawing(settings: Settings, device: str) -> CheckResult:
    from inference import Engine, NotFinite

    try:
        started = time.perf_counter()
        engine = Engine.load(
            settings.models,
            device,
            settings.anima_dtype,
            settings.anima_diffusion_model,
            settings.anima_text_encoder,
            settings.anima_vae,
            offload=settings.anima_offload,
        )
        loaded = time.perf_counter()
        engine.generate([engine.native.request("1girl", width=64, height=64, steps=1)])
    except (ValueError, NotFinite, RuntimeError) as error:
        return problem(str(error).strip())
    drawn = time.perf_counter()
    return ok(f"loaded on {device} in {loaded - started:.1f} s, generated one step at 64x64 in {drawn - loaded:.1f} s")
