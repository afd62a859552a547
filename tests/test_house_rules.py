"""What keeps the project easy to find one's way in: short modules, small folders, one class for one name."""

from collections import defaultdict
from pathlib import Path

import pytest

from tests.test_import_rules import PACKAGES, ROOT, files, outline

pytestmark = pytest.mark.xdist_group("the modules' sources")

MAX_LINES = 500
MAX_FILES_IN_A_FOLDER = 13
#: The stages of one training run, which belong together; migrations, of which there is always one more.
EXCEPTED_FOLDERS = {ROOT / "inference" / "miniature", ROOT / "storage" / "migrations" / "versions"}

#: The engine's stage of work, which is public, and the tests' stage that users act on.
SHARED_CLASS_NAMES = {"Stage"}


def test_no_module_is_too_long_to_be_read_at_once() -> None:
    lines = {path: path.read_text("utf-8").count("\n") for path in files(*PACKAGES)}
    assert {str(path.relative_to(ROOT)) for path, count in lines.items() if count > MAX_LINES} == set()


def test_no_folder_has_too_many_files_to_be_looked_through() -> None:
    folders: dict[Path, int] = defaultdict(int)
    for path in files(*PACKAGES):
        folders[path.parent] += 1
    crowded = {folder: count for folder, count in folders.items() if count > MAX_FILES_IN_A_FOLDER}
    assert {folder: count for folder, count in crowded.items() if folder not in EXCEPTED_FOLDERS} == {}


def test_no_two_classes_have_one_name() -> None:
    modules: dict[str, list[str]] = defaultdict(list)
    for path in files(*PACKAGES, "tests"):
        for name in outline(path).classes:
            modules[name].append(str(path.relative_to(ROOT)))
    assert {name for name, where in modules.items() if len(where) > 1} == SHARED_CLASS_NAMES


def test_each_module_begins_with_what_it_is_for() -> None:
    outlines = {path: outline(path) for path in files(*PACKAGES, "tests")}
    silent = [path for path, module in outlines.items() if not module.is_empty and not module.docstring]
    assert [str(path.relative_to(ROOT)) for path in silent] == []
