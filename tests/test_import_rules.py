"""Each package knows only what it may know, see docs/architecture.md; and imports go one way."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.inference.test_process_end import POSIX_MODULES

pytestmark = pytest.mark.xdist_group("the modules' sources")  # parsed once, by one worker

ROOT = Path(__file__).parent.parent
PACKAGES = ("bot", "inference", "storage")
PAGE = ROOT / "bot" / "sandbox" / "page"

#: Top-level packages that are none of a package's business.
FORBIDDEN = {
    "inference": {"discord", "sqlalchemy", "alembic", "aiohttp", "asyncio", "pydantic_settings", "bot", "storage"},
    "storage": {"discord", "torch", "transformers", "aiohttp", "bot", "inference"},
    "bot": {"torch", "transformers", "safetensors", "sqlalchemy", "alembic"},
}

#: From the top down. A package imports from its own row and from those below it, for type checking alone too.
ORDER = (
    ("bot.__main__",),
    ("bot.sandbox", "bot.cli", "bot.app"),
    ("bot.commands",),
    ("bot.components",),
    ("bot.client",),
    ("bot.jobs",),
    ("bot.ops",),
    ("bot.rules", "bot.messages"),
    ("bot.generation",),
    ("bot.prompting",),
    ("bot.text", "inference", "storage"),
)

#: What `signal` has on Windows, by CPython's library reference.
WINDOWS_SIGNALS = ("SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIGBREAK", "SIG_DFL", "SIG_IGN")

#: The bottom row, each of which works without the others.
INDEPENDENT = ORDER[-1]

Graph = Mapping[str, frozenset[str]]


def files(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@dataclass(frozen=True)
class Outline:
    """What the rules ask about a module. The tree that it is read from is too large to be kept.

    constants: names of the module and of its classes that are written in capitals.
    imports: the modules that are imported anywhere in it, each with the name that is taken from there, if any.
    relative_imports: the lines of those that do not name the whole module.
    """

    is_empty: bool
    docstring: str | None
    classes: tuple[str, ...]
    functions: tuple[str, ...]
    constants: tuple[str, ...]
    imports: tuple[tuple[str, str | None], ...]
    relative_imports: tuple[int, ...]


@cache
def outline(path: Path) -> Outline:
    tree = ast.parse(path.read_text("utf-8"), str(path))
    nodes = list(ast.walk(tree))
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    return Outline(
        is_empty=not tree.body,
        docstring=ast.get_docstring(tree),
        classes=tuple(node.name for node in classes),
        functions=tuple(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)),
        constants=tuple(name for scope in (tree, *classes) for name in _constants_of(scope)),
        imports=tuple(imported for node in nodes for imported in _imported_by(node)),
        relative_imports=tuple(node.lineno for node in nodes if isinstance(node, ast.ImportFrom) and node.level),
    )


def _constants_of(scope: ast.Module | ast.ClassDef) -> Iterator[str]:
    for statement in scope.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for node in (node for target in targets if target is not None for node in ast.walk(target)):
            if isinstance(node, ast.Name) and node.id.isupper():
                yield node.id


def _imported_by(node: ast.AST) -> Iterator[tuple[str, str | None]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, None) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from ((node.module or "", alias.name) for alias in node.names)


def imports_in(path: Path) -> tuple[tuple[str, str | None], ...]:
    module = outline(path)
    assert module.relative_imports == (), f"{path}:{module.relative_imports[0]} imports relatively"
    return module.imports


@cache
def graph() -> Graph:
    """What each module of the project imports from the project."""
    paths = {module_of(path): path for path in files(*PACKAGES)}

    def target(module: str, name: str | None) -> str:
        return f"{module}.{name}" if name and f"{module}.{name}" in paths else module

    return {
        module: frozenset(target(*each) for each in imports_in(path)) & paths.keys() for module, path in paths.items()
    }


@cache
def page_graph() -> Graph:
    """What each JavaScript module of the sandbox's page imports from the page."""
    imports = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["']\./([\w./-]+\.js)["']""")
    return {path.name: frozenset(imports.findall(path.read_text("utf-8"))) for path in sorted(PAGE.rglob("*.js"))}


def circles(graph: Graph) -> set[frozenset[str]]:
    """The largest groups of modules each of which imports all others, by way of whatever."""
    reached = {module: reachable(graph, module) for module in graph}
    return {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in graph
        if module in reached[module]
    }


def reachable(graph: Graph, start: str) -> set[str]:
    """What a module imports, directly or not; itself only if it is in a circle."""
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += graph[module]
    return found


def unit_of(module: str) -> str | None:
    """The entry of ORDER that a module belongs to; None for `bot` itself, which everything may import."""
    return next((unit for row in ORDER for unit in row if module == unit or module.startswith(f"{unit}.")), None)


def row_of(unit: str) -> int:
    return next(number for number, row in enumerate(ORDER) if unit in row)


def edges_of(graph: Graph) -> Iterator[tuple[str, str]]:
    return ((module, imported) for module in sorted(graph) for imported in sorted(graph[module]))


def upward(edges: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    units = ((edge, unit_of(edge[0]), unit_of(edge[1])) for edge in edges)
    return {
        edge
        for edge, importer, imported in units
        if imported is not None and (importer is None or row_of(importer) > row_of(imported))
    }


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    found = {
        str(path.relative_to(ROOT)): sorted(
            {module.partition(".")[0] for module, _ in imports_in(path)} & FORBIDDEN[package]
        )
        for path in files(package)
    }
    assert found
    assert {path: names for path, names in found.items() if names} == {}


def test_every_module_of_the_bot_has_a_place_in_the_order() -> None:
    assert [module for module in graph() if unit_of(module) is None] == ["bot"]


def test_imports_only_go_down() -> None:
    assert upward(edges_of(graph())) == set()


@pytest.mark.parametrize("package", INDEPENDENT)
def test_a_package_of_the_bottom_row_imports_no_other_package(package: str) -> None:
    imported = {unit_of(target) for module, target in edges_of(graph()) if unit_of(module) == package}
    assert imported <= {package}


def test_packages_beside_one_another_do_not_import_one_another_in_a_circle() -> None:
    units: dict[str, frozenset[str]] = {unit: frozenset() for row in ORDER for unit in row}
    for importer, imported in ((unit_of(a), unit_of(b)) for a, b in edges_of(graph())):
        if importer and imported and importer != imported:
            units[importer] |= {imported}
    assert circles(units) == set()


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert circles(graph()) == set()


def test_no_modules_of_the_page_import_one_another_in_a_circle() -> None:
    assert page_graph()
    assert circles(page_graph()) == set()


def test_the_rules_notice_an_upward_import_and_a_circle() -> None:
    assert upward([("bot.text.markdown", "bot.ops.logs"), ("bot.ops.logs", "bot.text.markdown")]) == {
        ("bot.text.markdown", "bot.ops.logs")
    }
    by_two_ways = {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("a"), "d": frozenset("a")}
    assert circles(by_two_ways) == {frozenset("abc")}


IMPORTED = """
import sys
from importlib import import_module

def loaded(modules, packages):
    for module in modules:
        import_module(module)
    print(*(package for package in packages if package in sys.modules), file=sys.stderr)

loaded(("bot.__main__", "bot.ops.settings", "bot.cli.startup_errors"), ("discord", "aiohttp", "sqlalchemy", "numpy"))
loaded(("bot.app",), ("torch", "transformers", "alembic"))
"""


def test_mistakes_in_settings_are_told_without_loading_the_bot_and_the_bot_starts_without_pytorch() -> None:
    run = subprocess.run([sys.executable, "-c", IMPORTED], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "\n\n")


# Tests on Windows


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What is evaluated when a module is imported on any system: no bodies of functions, nothing for one system."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "sys.platform" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Lambda):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            parts = [*child.decorator_list, *child.args.defaults, *filter(None, child.args.kw_defaults)]
        else:
            parts = [child]
        for part in parts:
            yield part
            yield from at_import(part)


def test_every_file_of_tests_can_be_collected_on_windows() -> None:
    """One that cannot be imported ends the whole run there."""
    for path in files("tests"):
        for node in at_import(ast.parse(path.read_text("utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not {*modules} & {*POSIX_MODULES}, f"{path}:{node.lineno} imports what only POSIX has"
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "signal":
                known = node.attr in WINDOWS_SIGNALS or not node.attr.startswith("SIG")
                assert known, f"{path}:{node.lineno} names a signal that only POSIX has"
