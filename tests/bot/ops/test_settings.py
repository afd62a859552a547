"""Settings: what `.env.example` promises, and sentences for what cannot be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.ops.settings import Settings, SettingsError

EXAMPLE = Path(__file__).parents[3] / ".env.example"


def test_the_example_names_every_variable_and_no_other() -> None:
    named = re.findall(r"^(\w+)=", EXAMPLE.read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)


def test_the_example_as_it_is_gives_the_defaults() -> None:
    assert Settings.read(_env_file=EXAMPLE) == Settings.read(_env_file=None)


@pytest.mark.parametrize("variable", ["PROMPTS_KEPT_DAYS", "PICTURES_KEPT_DAYS"])
@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf", "1e9"])
def test_how_long_something_is_kept_is_a_number_of_days(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        Settings.read(_env_file=None)


@pytest.mark.parametrize(
    ("device", "devices", "first"),
    [
        ("auto", ("auto",), "auto"),
        ("cuda:0, cuda:1", ("cuda:0", "cuda:1"), "cuda:0"),
        ("all", ("all",), "auto"),
        ("cpu,cpu", ("cpu", "cpu"), "cpu"),
        ("CUDA:1 , Cpu", ("cuda:1", "cpu"), "cuda:1"),
        ("ALL", ("all",), "auto"),
    ],
)
def test_each_device_that_is_named_gets_an_engine(
    device: str, devices: tuple[str, ...], first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIMA_DEVICE", device)
    read = Settings.read(_env_file=None)
    assert (read.devices, read.first_device) == (devices, first)


@pytest.mark.parametrize("device", ["cuda:0,", ",", "all,cpu", "cuda:0,auto", "All,cpu"])
def test_a_list_of_devices_has_no_gaps_and_nothing_besides_all(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMA_DEVICE", device)
    with pytest.raises(SettingsError, match="ANIMA_DEVICE"):
        Settings.read(_env_file=None)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("", None),
        (" 10.0.0.1:6379", "10.0.0.1:6379"),
        ("gpus.lan:7000", "gpus.lan:7000"),
        ("[fd00::1]:1", "[fd00::1]:1"),
    ],
)
def test_a_cluster_is_an_address_with_a_port(value: str, address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMA_CLUSTER", value)
    assert Settings.read(_env_file=None).anima_cluster == address


@pytest.mark.parametrize("value", ["10.0.0.1", "fd00::1:6379", "10.0.0.1:99999", "ray://10.0.0.1:10001"])
def test_another_address_of_a_cluster_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMA_CLUSTER", value)
    with pytest.raises(SettingsError, match=r"ANIMA_CLUSTER: .* it looks like 10\.0\.0\.1:6379"):
        Settings.read(_env_file=None)


def test_half_a_day_is_a_number_of_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTS_KEPT_DAYS", "0.5")
    assert Settings.read(_env_file=None).prompts_kept_days == 0.5


def test_invalid_thresholds_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICTURE_CLASSIFIER_REFUSES", "nsfw")
    with pytest.raises(SettingsError, match=r"PICTURE_CLASSIFIER_REFUSES: .*such as nsfw:0\.5"):
        Settings.read(_env_file=None)


def test_a_file_that_is_not_utf_8_is_explained(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("DISCORD_TOKEN=abc".encode("utf-16"))
    with pytest.raises(SettingsError, match=r"\.env is not a UTF-8 text file"):
        Settings.read(_env_file=tmp_path / ".env")


@pytest.mark.parametrize("variable", ["ANIMA_MODELS", "TAG_FILE"])
def test_an_impossible_path_is_explained(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "a/" * 4000)
    with pytest.raises(SettingsError, match=f"{variable}: .*cannot be accessed"):
        Settings.read(_env_file=None)


@pytest.mark.parametrize("text", ["", " ", ","])
def test_lists_of_ids_may_be_empty(text: str) -> None:
    settings = Settings(_env_file=None, allowed_servers=text, operators=text)
    assert settings.allowed_servers == settings.operators == frozenset()


@given(st.sets(st.integers(1, 2**63 - 1)), st.sampled_from([",", ", ", " ", " ,"]))
def test_ids_are_separated_by_commas_or_spaces(ids: set[int], separator: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPERATORS", separator.join(map(str, ids)))
        assert Settings.read(_env_file=None).operators == ids


@pytest.mark.parametrize("text", ["alice", "1;2", "-5", "0", "1.5", str(2**63)])
def test_an_invalid_id_is_explained(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^OPERATORS: "):
        Settings.read(_env_file=None, operators=text)


@pytest.mark.parametrize(("text", "credits"), [("unlimited", None), (" Unlimited", None), ("0", 0.0), ("7.5", 7.5)])
def test_credits_outside_of_servers_are_a_number_or_unlimited(text: str, credits: float | None) -> None:
    assert Settings.read(_env_file=None, credits_outside_servers=text).credits_outside_servers == credits
    assert Settings.read(_env_file=None).credits_outside_servers == 10.0


@pytest.mark.parametrize(
    "line",
    ['ANIMA_MODELS="C:\\new\\table"', 'TAG_FILE="D:\\anima\\tags.csv"', 'DATABASE_URL="sqlite:///C:\\bot\\anima.db"'],
)
def test_a_path_with_control_characters_from_backslashes_is_explained(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(line, "utf-8")
    with pytest.raises(SettingsError, match=r": .* without quotes, or with / instead of \\\.") as refused:
        Settings.read(_env_file=tmp_path / ".env")
    assert str(refused.value).startswith(line.partition("=")[0])


@pytest.mark.parametrize("written", ["C:\\new\\table", "'C:\\new\\table'", '"C:\\\\new\\\\table"', '"C:/new/table"'])
def test_a_correct_windows_path_is_kept_as_it_is(tmp_path: Path, written: str) -> None:
    (tmp_path / ".env").write_text(f"ANIMA_MODELS={written}", "utf-8")
    read = Settings.read(_env_file=tmp_path / ".env").anima_models
    assert str(read).replace("\\", "/") == "C:/new/table"


def test_a_file_that_notepad_saved_under_another_name_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".env.txt").write_text("DISCORD_TOKEN=abc", "utf-8")
    with pytest.raises(SettingsError, match=r"There is no .*\.env, but .*\.env\.txt, .*type `ren .*\.env\.txt \.env`"):
        Settings.read(_env_file=tmp_path / ".env")
    (tmp_path / ".env").write_text("DISCORD_TOKEN=abc", "utf-8")
    assert Settings.read(_env_file=tmp_path / ".env").discord_token is not None
