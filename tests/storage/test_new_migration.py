"""`python -m storage.migrations`, in a copy of the package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

STORAGE = Path(__file__).parents[2] / "storage"


def test_a_migration_is_written_from_what_the_schema_has_and_the_migrations_have_not(tmp_path: Path) -> None:
    copy = tmp_path / "storage"
    shutil.copytree(STORAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "schema.py").open("a") as schema:
        schema.write('\nTable("moods", metadata, Column("user_id", Integer, primary_key=True))\n')
    versions = copy / "migrations" / "versions"
    before = set(versions.glob("*.py"))
    command = [sys.executable, "-m", "storage.migrations", "Remember moods"]
    subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, check=True)
    [written] = set(versions.glob("*.py")) - before
    content = written.read_text(encoding="utf-8")
    assert "Remember moods" in content
    assert "op.create_table('moods'," in content
    assert content.count("op.create_") == 1 and "drop" not in content
