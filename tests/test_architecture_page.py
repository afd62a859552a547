"""The page about the architecture is a true map: every module once, the real order of packages, files that exist."""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain, pairwise
from pathlib import Path

from tests.test_import_rules import ORDER

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def section(title: str) -> str:
    """From a heading of the second level to the next."""
    [found] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def modules_on_the_map() -> list[str]:
    folder, found = "", []
    for line in section("Module map").splitlines():
        if heading := re.fullmatch(r"### `([a-z_/]+/)`", line):
            folder = heading[1]
        elif row := re.match(r"\| `(\w+\.(?:py|js))` \| \S", line):
            found.append(folder + row[1])
    return found


def modules_in_the_project() -> set[str]:
    python = chain.from_iterable((ROOT / name).rglob("*.py") for name in ("bot", "inference", "storage"))
    script = (ROOT / "bot" / "sandbox" / "page").rglob("*.js")
    found = {path.relative_to(ROOT).as_posix() for path in chain(python, script)}
    return {path for path in found if not path.endswith("/__init__.py") and "/versions/" not in path}


def test_every_module_has_one_line_on_the_map() -> None:
    named = Counter(modules_on_the_map())
    assert {name for name, times in named.items() if times > 1} == set(), "described more than once"
    assert modules_in_the_project() - set(named) == set(), "missing from the map"
    assert set(named) - modules_in_the_project() == set(), "on the map, but not in the project"


def test_every_package_has_its_heading_on_the_map() -> None:
    headings = set(re.findall(r"^### `(.+)/`$", section("Module map"), re.MULTILINE))
    packages = {path.rpartition("/")[0] for path in modules_in_the_project()}
    assert packages <= headings


def test_the_diagram_of_packages_has_the_order_that_the_import_rules_check() -> None:
    diagram = re.findall(r"```mermaid\n(.*?)```", section("Packages and dependencies"), re.DOTALL)[0]
    package_of = dict(re.findall(r'^ +(\w+)\["<b>([\w.]+)</b>', diagram, re.MULTILINE))
    row_of = {package: row for row, packages in enumerate(ORDER) for package in packages}
    assert set(package_of.values()) == set(row_of)
    arrows = [
        (start, end)
        for line in diagram.splitlines()
        for left, right in pairwise(line.strip().split(" --> "))
        for start in left.split(" & ")
        for end in right.split(" & ")
    ]
    assert len(arrows) >= len(package_of) - 1
    for start, end in arrows:
        assert row_of[package_of[end]] - row_of[package_of[start]] == 1, f"{start} --> {end} skips a row or goes up"


def test_the_files_to_change_exist() -> None:
    rows = re.findall(r"^\| (?!to add)([\w`/ ].*?) \| (.+) \|$", section("To add something"), re.MULTILINE)
    assert len(rows) > 12
    for what, where in rows:
        paths = re.findall(r"`((?:bot|inference|storage|tests|docs)/[\w./]*|\.env\.example)`", where)
        assert paths, f"no file is named for {what}"
        for path in paths:
            assert (ROOT / path).exists(), f"{path}, named for {what}, is not there"


def test_the_states_of_a_job_are_those_of_the_database() -> None:
    from storage.schema import JobState

    diagram = re.findall(r"```mermaid\n(.*?)```", section("Life of a job"), re.DOTALL)[0]
    shown = re.findall(r'\{\{"?([a-z, ]+)"?\}\}', diagram)
    assert set(chain.from_iterable(states.split(", ") for states in shown)) == {state.value for state in JobState}
