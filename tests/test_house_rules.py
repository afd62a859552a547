"""What keeps the project easy to find one's way in: short modules, small folders, known words, each for one thing."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_import_rules import PACKAGES, PAGE, ROOT, files, outline

pytestmark = pytest.mark.xdist_group("the modules' sources")

MAX_LINES = 500
MAX_FILES_IN_A_FOLDER = 13
#: The stages of one training run, which belong together; migrations, of which there is always one more.
EXCEPTED_FOLDERS = {ROOT / "inference" / "miniature", ROOT / "storage" / "migrations" / "versions"}

#: The engine's stage of work, which is public, and the tests' stage that users act on.
SHARED_CLASS_NAMES = {"Stage"}

#: A limit's name says only that it is one, and so the same word for all.
LIMIT_BY_OTHER_WORDS = re.compile(
    r"_*(MOST|LEAST|LARGEST|SMALLEST|LONGEST|SHORTEST|FEWEST|WIDEST|HIGHEST|LOWEST|DEEPEST|FARTHEST|WEAKEST|OLDEST|NEWEST)"
    r"(_|$)|\w+_AT_(MOST|LEAST)$"
)

#: What JavaScript gives a name to.
IN_SCRIPT = re.compile(r"\b(?:const|let|class|function\*?) (\w+)")

#: What classes, functions, constants and modules were once called, in words of this project's own. Names that people
#: know from elsewhere (a form, a layout, a model) are not among them: another thing may well be called so.
COINED_NAMES = set(
    re.findall(
        r"\w+",
        """
        Wish Asked Intake Drawing House Desk Place Standing Waiting Wording Why Typed Unsayable Mistake
        Incomparable Unusable UnknownAspect NotAllowedAnyMore Answers Ending Leaving ToldTwice Varied
        HintedPrompt Questions Patience Silence JudgingEngine StandIn LocalEngine PictureEngine Asker Claim
        OneHopConnection Ours Theirs keep_what_is_loaded expect_no_engine insist bring bring_in_the_end
        line_up recall told pick_up_where_we_were back_in_line untold standing_of ruling_guild settled
        said_of lasting tell_beside tell_privately apologise sentence_for pressed quoted in_a_line
        remembered to_the_end all_to_the_end settle_down give_back go_on end_with_step again give_way
        PATIENCE CLOCKS_DIFFER LAST_WORDS LAST_MOMENT LOOKED_AT LOOKED_THROUGH wrong_starts leaving
        housekeeping intake comparing replaying aspects quoting hinting own_defaults source_picture
        measuring discord_endpoints composing cancelling deleting menus picture_info house_rules folding
        desk wording one_hop patience lora_folder journal picture_classifier compiling standin
        """,
    )
)


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


def named_in_packages() -> Iterator[tuple[Path, str]]:
    """The classes, functions, constants and modules of the project, each with its file. Migrations are history."""
    for path in files(*PACKAGES):
        if "migrations" not in path.parts:
            module = outline(path)
            for name in (path.stem, *module.classes, *module.functions, *module.constants):
                yield path.relative_to(ROOT), name


def named_in_script() -> Iterator[tuple[Path, str]]:
    for path in sorted(PAGE.rglob("*.js")):
        for name in IN_SCRIPT.findall(path.read_text("utf-8")):
            yield path.relative_to(ROOT), name


def test_limits_are_called_max_or_min() -> None:
    named = (*named_in_packages(), *named_in_script())
    assert [f"{path}: {name}" for path, name in named if LIMIT_BY_OTHER_WORDS.match(name)] == []


def test_no_coined_name_has_come_back() -> None:
    assert [f"{path}: {name}" for path, name in named_in_packages() if name.lstrip("_") in COINED_NAMES] == []
