"""`anima download` against an imitation of the Hugging Face hub."""

import hashlib
import io
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest

from bot.cli.download import LORAS, MODEL, TOKENIZERS
from inference.weights.checkpoint import ModelFiles
from tests.bot.cli.conftest import Anima
from tests.bot.cli.fake_hub import FakeHub
from tests.golden import MODELS

BASE = "split_files/diffusion_models/anima-base-v1.0.safetensors"
BASE_HERE = Path("models/diffusion_models/anima-base-v1.0.safetensors")

Output = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def hub(hub: FakeHub) -> FakeHub:
    """The hub with the repositories as they are laid out, and the tiny checkpoint's files in them."""
    transformer = (MODELS / "diffusion_models" / "anima-tiny.safetensors").read_bytes()
    qwen, t5 = ((MODELS / "tokenizers" / name / "tokenizer.json").read_bytes() for name in ("qwen", "t5"))
    hub.files = {
        MODEL: {
            "README.md": b"# Anima",
            BASE: transformer,
            **{
                f"split_files/diffusion_models/anima-{name}.safetensors": name.encode() * 1000
                for name in ("aesthetic-v1.0", "turbo-v1.0", "turbo-v1.1", "turbo-v1.10")
            },
            "split_files/text_encoders/qwen_3_06b_base.safetensors": (
                MODELS / "text_encoders" / "qwen_3_tiny.safetensors"
            ).read_bytes(),
            "split_files/text_encoders/other.safetensors": b"other",
            "split_files/vae/qwen_image_vae.safetensors": (
                MODELS / "vae" / "qwen_image_vae_tiny.safetensors"
            ).read_bytes(),
        },
        TOKENIZERS: {
            "tokenizer/tokenizer.json": qwen,
            "tokenizer/tokenizer_config.json": b"{}",
            "t5_tokenizer/tokenizer.json": t5,
            "transformer/config.json": b"{}",
        },
        LORAS: {"anima-turbo-lora.safetensors": b"lora" * 1000, "README.md": b"# LoRA"},
    }
    return hub


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_files_are_downloaded_to_where_the_engine_finds_them(hub: FakeHub, anima: Anima) -> None:
    assert anima("download", "--yes") == 0
    assert files_in(Path("models")) == {
        "diffusion_models/anima-base-v1.0.safetensors",
        "text_encoders/qwen_3_06b_base.safetensors",
        "vae/qwen_image_vae.safetensors",
        "tokenizers/qwen/tokenizer.json",
        "tokenizers/qwen/tokenizer_config.json",
        "tokenizers/t5/tokenizer.json",
    }
    assert BASE_HERE.read_bytes() == hub.files[MODEL][BASE]
    assert ModelFiles.find("models").transformer.path == BASE_HERE


def test_existing_correct_files_are_not_downloaded_again(hub: FakeHub, anima: Anima, capsys: Output) -> None:
    anima("download", "--yes")
    hub.asked.clear()
    assert anima("download") == 0
    assert hub.asked == []
    assert "Everything is in models" in capsys.readouterr().out


def test_only_a_damaged_file_is_downloaded_again(hub: FakeHub, anima: Anima, capsys: Output) -> None:
    anima("download", "--yes")
    content = bytearray(BASE_HERE.read_bytes())
    content[-1] ^= 1
    BASE_HERE.write_bytes(content)
    hub.asked.clear()
    assert anima("download", "--yes") == 0
    assert [each.path for each in hub.asked] == [BASE]
    assert BASE_HERE.read_bytes() == hub.files[MODEL][BASE]
    assert "replaces a file that differs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("turbo", "anima-turbo-v1.10"),
        ("aesthetic", "anima-aesthetic-v1.0"),
        ("anima-turbo-v1.1", "anima-turbo-v1.1"),
        ("anima-turbo-v1.0.safetensors", "anima-turbo-v1.0"),
    ],
)
def test_a_model_is_named_by_its_kind_or_its_file(hub: FakeHub, anima: Anima, name: str, file: str) -> None:
    assert anima("download", name, "--yes") == 0
    assert files_in(Path("models/diffusion_models")) == {f"{file}.safetensors"}


def test_lora_files_are_optional_and_the_models_folder_can_be_chosen(hub: FakeHub, anima: Anima) -> None:
    assert anima("download", "--loras", "--models", "elsewhere", "--yes") == 0
    assert files_in(Path("elsewhere/loras")) == {"anima-turbo-lora.safetensors"}
    assert not Path("models").exists()


def test_licence_and_size_are_shown_and_consent_is_asked_for(
    hub: FakeHub, anima: Anima, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert anima("download") == 1
    shown = capsys.readouterr()
    assert "circlestone-nc, https://example.org/licence" in shown.out
    assert "non-commercial" in shown.out
    assert "MB  to download" in shown.out
    assert "Nothing was downloaded." in shown.err
    assert not Path("models").exists() and hub.asked == []
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert anima("download") == 0
    assert BASE_HERE.exists()


def test_without_a_terminal_the_licence_must_be_accepted_by_an_option(
    hub: FakeHub, anima: Anima, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert anima("download") == 2
    assert "pass --yes" in capsys.readouterr().err
    assert hub.asked == []


def part(hub: FakeHub) -> Path:
    checksum = hashlib.sha256(hub.files[MODEL][BASE]).hexdigest()
    return BASE_HERE.with_name(f".{BASE_HERE.name}.{checksum[:12]}.part")


def ranges(hub: FakeHub) -> list[str | None]:
    return [each.range for each in hub.asked if each.path == BASE]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces that fit the tiny files."""
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)


def test_a_broken_download_resumes(hub: FakeHub, anima: Anima, small_pieces: None) -> None:
    hub.cuts = [50_000]
    assert anima("download", "--yes") == 0
    assert ranges(hub) == [None, "bytes=50000-"]
    assert BASE_HERE.read_bytes() == hub.files[MODEL][BASE]


def test_the_next_call_resumes_where_the_last_one_ended(
    hub: FakeHub, anima: Anima, small_pieces: None, capsys: Output
) -> None:
    hub.cuts, hub.broken = [50_000], 503
    assert anima("download", "--yes") == 1
    assert "The hub answered 503 for circlestone-labs/Anima. Try again later" in capsys.readouterr().err
    assert not BASE_HERE.exists() and part(hub).stat().st_size == 50_000
    hub.broken = None
    hub.asked.clear()
    assert anima("download", "--yes") == 0
    assert "50.00 kB already downloaded" in capsys.readouterr().out
    assert ranges(hub) == ["bytes=50000-"]
    assert BASE_HERE.read_bytes() == hub.files[MODEL][BASE] and not part(hub).exists()


def test_a_server_that_knows_no_ranges_sends_all_again(hub: FakeHub, anima: Anima) -> None:
    BASE_HERE.parent.mkdir(parents=True)
    part(hub).write_bytes(hub.files[MODEL][BASE][:50_000])
    hub.knows_ranges = False
    assert anima("download", "--yes") == 0
    assert BASE_HERE.read_bytes() == hub.files[MODEL][BASE]


def test_a_part_that_was_whole_when_the_process_ended_is_only_checked(hub: FakeHub, anima: Anima) -> None:
    BASE_HERE.parent.mkdir(parents=True)
    part(hub).write_bytes(hub.files[MODEL][BASE])
    assert anima("download", "--yes") == 0
    assert ranges(hub) == [] and BASE_HERE.exists()


@pytest.mark.parametrize("path", [BASE, "tokenizer/tokenizer.json"])
@pytest.mark.parametrize("wrong", [lambda content: content[:-1] + b"!", lambda content: content[:-5]])
def test_a_damaged_download_is_not_installed(
    hub: FakeHub, anima: Anima, capsys: Output, path: str, wrong: object
) -> None:
    assert callable(wrong)
    repository = MODEL if path == BASE else TOKENIZERS
    hub.served[path] = wrong(hub.files[repository][path])
    assert anima("download", "--yes") == 1
    assert "was damaged during the download" in capsys.readouterr().err
    name = Path(path).name
    assert not any(file.endswith(name) and "t5" not in file for file in files_in(Path("models")))
    assert not any(".part" in file for file in files_in(Path("models")))
    hub.served.clear()
    assert anima("download", "--yes") == 0


def test_the_token_goes_to_the_hub_and_to_no_other_host(
    hub: FakeHub, anima: Anima, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert anima("download", "--yes") == 0
    tokens = {each.path.endswith(".safetensors"): each.token for each in hub.asked}
    assert tokens == {True: None, False: "Bearer hf_secret"}


def download_error(anima: Anima, capsys: Output, *arguments: str) -> str:
    """The one sentence, or two, of a download that fails."""
    assert anima("download", "--yes", *arguments) == 1
    words = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in words[0]
    return words[-1]


def test_a_gated_repository_says_where_to_accept_its_terms(hub: FakeHub, anima: Anima, capsys: Output) -> None:
    hub.gated.add(MODEL)
    sentence = download_error(anima, capsys)
    assert f"{hub.address}/{MODEL} requires you to accept its terms" in sentence and "HF_TOKEN" in sentence


def test_a_closed_hub_asks_for_a_token_and_names_a_wrong_one(
    hub: FakeHub, anima: Anima, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_right"
    assert "needs a token (401). Set HF_TOKEN" in download_error(anima, capsys)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    sentence = download_error(anima, capsys)
    assert "rejected your token" in sentence and "hf_wrong" not in sentence


def test_a_repository_or_a_model_that_is_not_there_is_named(hub: FakeHub, anima: Anima, capsys: Output) -> None:
    assert "has no huge. Available: anima-aesthetic-v1.0, anima-base-v1.0" in download_error(anima, capsys, "huge")
    del hub.files[TOKENIZERS]["t5_tokenizer/tokenizer.json"]
    assert "has no tokenizer in t5_tokenizer" in download_error(anima, capsys)
    del hub.files[TOKENIZERS]
    assert f"{TOKENIZERS}, or a file in it, was not found" in download_error(anima, capsys)


def test_no_network_and_a_wrong_address_have_different_errors(
    anima: Anima, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeHub() as gone:
        address = gone.address
    monkeypatch.setenv("HF_ENDPOINT", address)
    assert f"{address} cannot be reached" in download_error(anima, capsys)
    monkeypatch.setenv("HF_ENDPOINT", "no-address")
    assert "HF_ENDPOINT is 'no-address', which is not a valid address" in download_error(anima, capsys)


def test_too_little_disk_space_is_reported_before_downloading(hub: FakeHub, anima: Anima, capsys: Output) -> None:
    hub.stated_sizes[BASE] = 10**16
    assert "10000000.00 GB, but only" in download_error(anima, capsys)
    assert hub.asked == [] and not Path("models").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_fills_up_is_reported(hub: FakeHub, anima: Anima, capsys: Output) -> None:
    BASE_HERE.parent.mkdir(parents=True)
    part(hub).symlink_to("/dev/full")
    assert "The disk is full." in download_error(anima, capsys)


def test_a_folder_that_cannot_be_made_is_named(hub: FakeHub, anima: Anima, capsys: Output) -> None:
    Path("models").mkdir()
    Path("models/diffusion_models").write_text("a file where a folder should be", encoding="utf-8")
    assert "models/diffusion_models" in download_error(anima, capsys)
