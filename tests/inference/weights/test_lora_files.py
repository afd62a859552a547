"""Which LoRA files there are can be asked at any time, cheaply and without PyTorch."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from inference.weights.lora_files import lora_name, lora_names, lora_paths, turbo_names


def put(models: Path, name: str) -> None:
    path = models / "loras" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_names_are_those_of_the_files_in_order_and_with_their_subfolders(tmp_path: Path) -> None:
    for name in ("style v1.2.safetensors", "people/micah.safetensors", "notes.txt", "old.ckpt"):
        put(tmp_path, name)
    assert lora_names(tmp_path) == ["people/micah", "style v1.2"]


def test_a_file_that_is_dropped_in_later_is_seen_and_one_that_is_taken_out_is_not(tmp_path: Path) -> None:
    put(tmp_path, "first.safetensors")
    assert lora_names(tmp_path) == ["first"]
    put(tmp_path, "second.safetensors")
    (tmp_path / "loras" / "first.safetensors").unlink()
    assert lora_names(str(tmp_path)) == ["second"]


def test_a_link_to_a_file_elsewhere_is_listed_under_its_own_name(tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere" / "original.safetensors"
    outside.parent.mkdir()
    outside.touch()
    put(tmp_path / "models", "first.safetensors")
    (tmp_path / "models" / "loras" / "linked.safetensors").symlink_to(outside)
    assert lora_names(tmp_path / "models") == ["first", "linked"]


def test_no_name_is_a_path_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").touch()
    put(tmp_path, "people/micah.safetensors")
    (tmp_path / "loras" / "linked.safetensors").symlink_to(Path("..") / "x.safetensors")
    names = lora_names(tmp_path)
    assert names == ["linked", "people/micah"]
    assert not {"../x", "people/../../x", str(tmp_path / "x")} & set(names)


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    assert lora_names(tmp_path / "nowhere") == []


def test_loras_are_listed_without_pytorch() -> None:
    code = "import sys, inference.weights.lora_files; sys.exit(bool({'torch', 'safetensors'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_newest_turbo_comes_first() -> None:
    names = ["anima-turbo-v1.0", "anima-turbo-v1.1", "Anima-TURBO-v0.9", "style"]
    assert turbo_names(names) == ["anima-turbo-v1.1", "anima-turbo-v1.0", "Anima-TURBO-v0.9"]


def test_one_called_just_turbo_comes_before_the_official_one() -> None:
    assert turbo_names(["anima-turbo-lora-v0.2", "speed/Turbo"]) == ["speed/Turbo", "anima-turbo-lora-v0.2"]


def test_a_name_that_only_contains_turbo_does_not_count() -> None:
    names = ["characters/nurse_turbo_style", "anima_turbo_4step", "anima-turbo-lora-v0.2", "anima-turbo-lora-v0.10"]
    assert turbo_names(names) == ["anima-turbo-lora-v0.10", "anima-turbo-lora-v0.2"]


def test_one_that_says_so_in_its_header_comes_first_whatever_its_name() -> None:
    assert turbo_names(["turbo", "quick", "style"], lambda name: name == "quick") == ["quick", "turbo"]


def test_names_in_capitals_and_the_short_suffix_are_found(tmp_path: Path) -> None:
    for name in ("a.SAFETENSORS", "b.sft", "c.safetensors.safetensors", "d.safetensors", "d.sft"):
        put(tmp_path, name)
    assert lora_names(tmp_path) == ["a", "b", "c.safetensors", "d", "d.sft"]
    assert lora_paths(tmp_path)["d"].name == "d.safetensors"


@pytest.mark.parametrize(
    ("asked", "meant"), [("c.safetensors", "c.safetensors"), ("d.safetensors", "d"), ("d", "d"), ("e", None)]
)
def test_a_name_is_taken_as_it_is_before_its_suffix_is_taken_off(asked: str, meant: str | None) -> None:
    assert lora_name(asked, ["c.safetensors", "d"]) == meant


@pytest.mark.parametrize("asked", ["people/micah", "people\\micah", "people\\micah.safetensors"])
def test_a_name_may_have_the_slashes_that_comfyui_writes_on_windows(asked: str) -> None:
    assert lora_name(asked, ["micah", "people/micah"]) == "people/micah"
    assert lora_name("people\\micah", ["people\\micah", "people/micah"]) == "people\\micah"


def test_linked_folders_are_followed_once_even_in_a_loop(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "linked.safetensors").touch()
    put(tmp_path, "people/micah.safetensors")
    (tmp_path / "loras" / "ext").symlink_to(elsewhere)
    (tmp_path / "loras" / "a_loop").symlink_to(tmp_path / "loras")
    (elsewhere / "back").symlink_to(tmp_path / "loras")
    (elsewhere / "itself").symlink_to(elsewhere / "itself")
    assert lora_names(tmp_path) == ["ext/linked", "people/micah"]


def test_a_folder_called_turbo_makes_nothing_turbo() -> None:
    assert turbo_names(["turbo/style"]) == []


def test_a_name_that_a_mac_has_taken_apart_is_found_as_people_type_it(tmp_path: Path) -> None:
    """Files of a zip from a Mac have が as か and ゛, in the folder's names too; people type one letter."""
    typed = "画風/がんばる é"
    apart = unicodedata.normalize("NFD", typed)
    assert apart != typed
    put(tmp_path, f"{apart}.safetensors")
    (tmp_path / "loras" / f"{apart}.safetensors").write_bytes(b"weights")
    assert lora_names(tmp_path) == [typed]
    paths = lora_paths(tmp_path)
    for asked in (typed, apart, f"{apart}.safetensors"):
        found = lora_name(asked, paths)
        assert found is not None and paths[found].read_bytes() == b"weights"


def test_two_files_whose_names_differ_in_nothing_that_is_seen_are_both_listed(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        put(tmp_path, unicodedata.normalize(form, "é.safetensors"))
    if len(list((tmp_path / "loras").iterdir())) == 1:
        pytest.skip("this disk takes them for one")
    assert lora_names(tmp_path) == ["é", "é.safetensors"]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are text there")
def test_a_file_whose_name_is_no_text_is_not_listed(tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    folder.mkdir()
    (folder / "ink.safetensors").touch()
    (folder / os.fsdecode(b"caf\xe9.safetensors")).touch()
    assert lora_names(tmp_path) == ["ink"]
