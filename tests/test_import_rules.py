"""Each package knows only what it may know, see docs/architecture.md."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FORBIDDEN = {
    "inference": {"discord", "sqlalchemy", "alembic", "aiohttp", "asyncio", "pydantic_settings", "bot", "storage"},
    "storage": {"discord", "torch", "transformers", "aiohttp", "bot", "inference"},
    "bot": {"torch", "transformers", "safetensors", "sqlalchemy", "alembic"},
}


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    trespasses = {str(path.relative_to(ROOT)): sorted(imported(path) & FORBIDDEN[package]) for path in files}
    assert {path: names for path, names in trespasses.items() if names} == {}


def test_the_bot_starts_without_loading_pytorch() -> None:
    import subprocess
    import sys

    code = "import sys, bot.client; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
