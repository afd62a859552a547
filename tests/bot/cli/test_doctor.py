"""`anima doctor`: each problem is named with what fixes it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import discord
import pytest
import torch
from discord.gateway import DiscordWebSocket
from discord.http import Route
from safetensors.torch import save_file

import inference.devices
from bot.ops.settings import MINIATURE
from storage.database import Database
from tests.bot.cli.conftest import Anima
from tests.golden import MODELS
from tests.miniature_tagger import write_tagger

Output = pytest.CaptureFixture[str]

TOKEN = f"{'a' * 24}.{'b' * 6}.{'c' * 38}"


@pytest.fixture(autouse=True)
def no_discord(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is reached at this address; tests/end_to_end/test_invite.py asks a fake Discord."""
    for owner, name in ((Route, "BASE"), (DiscordWebSocket, "DEFAULT_GATEWAY"), (discord.asset.Asset, "BASE")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # `doctor` changes them for its whole process
    monkeypatch.setenv("DISCORD_API_URL", "http://127.0.0.1:9/api/v10")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder of one's own, to be spoiled."""
    return Path(shutil.copytree(MODELS, tmp_path / "models"))


def lines(capsys: Output, mark: str) -> list[str]:
    """The findings with a mark."""
    found = (line.strip().partition(" ") for line in capsys.readouterr().out.splitlines())
    return [text.strip() for first, _, text in found if first == mark]


def test_a_correct_installation_has_no_problems(
    anima: Anima, capsys: Output, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", TOKEN)
    assert anima("doctor", "--device", "cpu", "--load") == 0
    shown = capsys.readouterr().out
    assert "  problem " not in shown and shown.endswith("No problems found.\n")
    for part in (
        "PyTorch 2.",
        "DISCORD_TOKEN is set",
        "free on the disk of",
        "anima.db will be created when the bot first runs",
        "cpu: ",
        "RAM free",
        "diffusion model anima-tiny.safetensors, 1.",
        "tokenizer t5",
        "using anima-tiny.safetensors with qwen_3_tiny.safetensors and qwen_image_vae_tiny.safetensors",
        "in float32, about",
        "LoRA lokr",
        "generated one step at 64x64",
    ):
        assert part in shown, part


def test_nothing_is_changed_and_no_token_is_shown(
    anima: Anima, capsys: Output, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(models.parent.rglob("*"))
    for token in (TOKEN, "not-a-token"):
        monkeypatch.setenv("DISCORD_TOKEN", token)
        assert anima("doctor") == 0
        shown = capsys.readouterr()
        assert token not in shown.out + shown.err
    assert "DISCORD_TOKEN does not look like a bot token" in shown.out
    assert sorted(models.parent.rglob("*")) == before


def test_doctor_says_that_the_miniature_is_used_without_a_models_folder(anima: Anima, capsys: Output) -> None:
    assert anima("doctor") == 0
    shown = lines(capsys, "warning")
    assert "There is no folder models, so the bundled miniature is used: run `anima download`." in shown
    assert any(line.startswith("DISCORD_TOKEN is not set") for line in shown)


def test_a_models_folder_that_was_named_has_to_be_there(anima: Anima, capsys: Output) -> None:
    assert anima("doctor", "--models", "nowhere") == 1
    assert lines(capsys, "problem") == ["There is no folder nowhere: fix ANIMA_MODELS, or run `anima download`."]


def test_each_missing_part_is_named_with_the_command_that_fixes_it(anima: Anima, capsys: Output, models: Path) -> None:
    for folder in ("diffusion_models", "vae", "tokenizers/t5"):
        shutil.rmtree(models / folder)
    assert anima("doctor") == 1
    assert lines(capsys, "problem") == [
        "No diffusion model for Anima found in models/diffusion_models: run `anima download`.",
        "No VAE for Anima found in models/vae: run `anima download`.",
        "No tokenizer found in models/tokenizers/t5: run `anima download`.",
    ]


def test_a_truncated_file_is_distinguished_from_a_missing_one(anima: Anima, capsys: Output, models: Path) -> None:
    vae = models / "vae" / "qwen_image_vae_tiny.safetensors"
    vae.write_bytes(vae.read_bytes()[:-100])
    assert anima("doctor") == 1
    shown = capsys.readouterr().out
    assert "qwen_image_vae_tiny.safetensors cannot be read as safetensors" in shown
    assert "problem  No VAE for Anima found" in shown


def test_files_that_do_not_fit_each_other_are_a_problem(anima: Anima, capsys: Output, models: Path) -> None:
    shutil.copy(next((MINIATURE / "text_encoders").iterdir()), models / "text_encoders" / "qwen_3_tiny.safetensors")
    assert anima("doctor") == 1
    (problem,) = lines(capsys, "problem")
    assert "fits the diffusion model's sizes" in problem


def test_several_diffusion_models_need_a_choice(anima: Anima, capsys: Output, models: Path) -> None:
    shutil.copy(models / "diffusion_models" / "anima-tiny.safetensors", models / "diffusion_models" / "b.safetensors")
    assert anima("doctor") == 1
    assert "Say which one to use (ANIMA_DIFFUSION_MODEL" in lines(capsys, "problem")[0]
    assert anima("doctor", "--diffusion-model", "b") == 0


def test_diffusion_models_that_can_be_chosen_are_listed_and_others_named_with_why(
    anima: Anima, capsys: Output, models: Path
) -> None:
    folder = models / "diffusion_models"
    (folder / "mine").mkdir()
    shutil.copy(folder / "anima-tiny.safetensors", folder / "mine" / "turbo.safetensors")
    shutil.copy(next((MINIATURE / "diffusion_models").iterdir()), folder)
    assert anima("doctor", "--diffusion-model", "anima-tiny") == 0
    shown = capsys.readouterr().out
    assert "anima-tiny.safetensors, " in shown and " MB; the default\n" in shown
    assert "can be chosen as mine/turbo, 3 blocks, Anima turbo: 10 steps, CFG 1, euler, simple" in shown
    assert "cannot be chosen: it reads a text encoder of width 128" in shown


def test_damage_within_a_file_is_found_by_loading_it(anima: Anima, capsys: Output, models: Path) -> None:
    vae = models / "vae" / "qwen_image_vae_tiny.safetensors"
    vae.write_bytes(vae.read_bytes()[:-4096] + b"\xff" * 4096)
    assert anima("doctor") == 0
    assert anima("doctor", "--load") == 1
    assert "values that are not numbers" in lines(capsys, "problem")[0]


def test_the_files_that_are_used_and_those_that_do_not_fit_are_named_with_why(
    anima: Anima, capsys: Output, models: Path
) -> None:
    from safetensors.torch import load_file

    encoder = models / "text_encoders" / "qwen_3_tiny.safetensors"
    tensors = load_file(encoder)
    tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][:350].clone()
    save_file(tensors, encoder.with_name("qwen_0.6b_ace15.safetensors"))
    shutil.move(encoder, encoder.with_name("qwen_3_06b_base.safetensors"))
    encoder.with_name("linked.safetensors").symlink_to(encoder.with_name("qwen_3_06b_base.safetensors"))
    assert anima("doctor") == 0
    shown = capsys.readouterr().out
    assert "qwen_3_06b_base.safetensors is used because it is the only one that fits" in shown
    assert "qwen_0.6b_ace15.safetensors is not used: its vocabulary has 350 tokens" in shown
    assert "linked.safetensors is not used: it is the same file under another name." in shown
    assert "qwen_3_06b_base.safetensors is not the released file of that name" in shown


def test_two_text_encoders_that_fit_need_a_choice(
    anima: Anima, capsys: Output, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = models / "text_encoders" / "qwen_3_tiny.safetensors"
    shutil.copy(encoder, encoder.with_name("b.safetensors"))
    assert anima("doctor") == 1
    assert "Say which one to use (ANIMA_TEXT_ENCODER)" in lines(capsys, "problem")[0]
    monkeypatch.setenv("ANIMA_TEXT_ENCODER", "b")
    assert anima("doctor") == 0
    assert "b.safetensors is used because ANIMA_TEXT_ENCODER names it" in capsys.readouterr().out


def test_lora_files_that_fit_nothing_or_in_part_are_named(anima: Anima, capsys: Output, models: Path) -> None:
    save_file({"lora_unet_down_blocks_0.lora_up.weight": torch.zeros(2, 2)}, models / "loras" / "sdxl.safetensors")
    from safetensors.torch import load_file

    tensors = load_file(models / "loras" / "low_rank_kohya.safetensors")
    surplus = {f"lora_te_{number}.alpha": torch.ones(()) for number in range(5)}
    save_file(tensors | surplus, models / "loras" / "partly.safetensors")
    assert anima("doctor") == 0
    warnings = lines(capsys, "warning")
    assert any("sdxl.safetensors cannot be used: it fits no layer of this model" in warning for warning in warnings)
    assert (
        "LoRA partly: these keys match no layer and have no effect: lora_te_0.alpha, lora_te_1.alpha, lora_te_2.alpha "
        "and 2 more."
    ) in warnings


def test_each_wrong_setting_is_a_problem(anima: Anima, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMA_DTYPE", "int4")
    Path(".env").write_text("ANIMA_LARGEST_BATCH=many\n", encoding="utf-8")
    assert anima("doctor") == 1
    assert [problem.partition(":")[0] for problem in lines(capsys, "problem")] == ["ANIMA_DTYPE", "ANIMA_LARGEST_BATCH"]


def test_a_file_of_settings_that_cannot_be_read_is_a_problem(anima: Anima, capsys: Output) -> None:
    Path(".env").write_text("hello world\n", encoding="utf-8")
    assert anima("doctor") == 1
    assert lines(capsys, "problem") == [".env, line 1 is invalid. Lines look like NAME=value, or start with #."]


def test_a_device_that_is_not_there_is_a_problem(anima: Anima, capsys: Output) -> None:
    assert anima("doctor", "--device", "cuda:99") == 1
    assert "There is no device 'cuda:99'" in lines(capsys, "problem")[0]


def test_each_engines_device_is_checked(anima: Anima, capsys: Output) -> None:
    assert anima("doctor", "--device", "cpu,cpu") == 0
    said = lines(capsys, "ok")
    assert "2 engines: cpu-1, cpu-2" in said and sum(line.startswith("cpu: ") for line in said) == 1
    assert any(line.endswith("for each of 2 engines on cpu") for line in said)
    assert anima("doctor", "--device", "cpu,cuda:99") == 1
    assert "There is no device 'cuda:99'" in lines(capsys, "problem")[0]


def test_the_number_format_is_that_of_the_engine(anima: Anima, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with AMX draws wide models in bfloat16, small ones in float32."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_tile": True, "amx_bf16": True})
    assert anima("doctor", "--device", "cpu") == 0
    assert ", float32, " in capsys.readouterr().out, "the golden checkpoint is narrow"
    monkeypatch.setattr(inference.devices, "WIDE", 1)
    assert anima("doctor", "--device", "cpu") == 0
    shown = capsys.readouterr().out
    assert ", bfloat16, " in shown and "in bfloat16, about" in shown


async def test_a_database_is_checked_and_not_changed(
    anima: Anima, capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import asyncio

    database = await Database.open(f"sqlite:///{tmp_path}/own.db")
    await database.close()
    before = (tmp_path / "own.db").read_bytes()
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/own.db")
    assert await asyncio.to_thread(anima, "doctor") == 0
    assert any(line.startswith(f"{tmp_path}/own.db is intact") for line in lines(capsys, "ok"))
    assert (tmp_path / "own.db").read_bytes() == before


def test_a_damaged_database_is_a_problem(
    anima: Anima, capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "own.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT value FROM json_each('[1, 2, 3]')")
    file.write_bytes(b"no database" + file.read_bytes()[11:])
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{file}")
    assert anima("doctor") == 1
    assert "restore a backup, or move the file away" in lines(capsys, "problem")[0]


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("mysql://somewhere", "DATABASE_URL is not a supported address. It looks like sqlite:///data/anima.db."),
        ("sqlite://anima.db", "DATABASE_URL is not a supported address"),
        ("sqlite:///:memory:", "DATABASE_URL is not a supported address"),
        ("sqlite:////dev/null/anima.db", "The database /dev/null/anima.db cannot be created"),
        (
            "postgresql+asyncpg://me:hunter2@127.0.0.1:1/anima",
            "The PostgreSQL server in DATABASE_URL cannot be used. The database is not available now (",
        ),
        ("postgresql://me:hunter2@127.0.0.1:1/a?pgbouncer=true", "DATABASE_URL has the parameter pgbouncer"),
        ("postgresql://me:hunter2@[oops/anima", "The PostgreSQL server in DATABASE_URL cannot be used"),
    ],
)
def test_an_unreachable_database_is_a_problem(
    anima: Anima, capsys: Output, monkeypatch: pytest.MonkeyPatch, address: str, sentence: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", address)
    assert anima("doctor") == 1
    (problem,) = lines(capsys, "problem")
    assert sentence in problem and "hunter2" not in problem


def test_a_database_in_a_synchronized_folder_is_a_warning(
    anima: Anima, capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "OneDrive - Me" / "bot"
    folder.mkdir(parents=True)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{folder}/own.db")
    assert anima("doctor") == 0
    assert any("is in a folder that is synchronized with other computers" in line for line in lines(capsys, "warning"))


def test_a_tagger_is_checked_if_one_is_set(
    anima: Anima, capsys: Output, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_tagger(tmp_path / "tagger")
    monkeypatch.setenv("ANIMA_TAGGER", str(folder))
    assert anima("doctor", "--device", "cpu") == 0
    assert f"{folder} has 67 tags and takes images of 128x128" in lines(capsys, "ok")
    (folder / "selected_tags.csv").write_text("tag_id,name,category,count\n1,hat,0,1\n", "utf-8")
    assert anima("doctor", "--device", "cpu") == 1
    [problem] = lines(capsys, "problem")
    assert "has 67 outputs, but selected_tags.csv next to it lists 1 tags" in problem
    monkeypatch.setenv("ANIMA_TAGGER", str(tmp_path / "none"))
    assert anima("doctor", "--device", "cpu") == 1
    assert lines(capsys, "problem") == [
        f"There is no tagger at {tmp_path / 'none'}: fix ANIMA_TAGGER, or download one there."
    ]
