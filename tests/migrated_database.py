"""A SQLite database of this version, copied for each test: to migrate an empty one takes longer than most tests."""

from __future__ import annotations

import tempfile
from pathlib import Path

from storage.database import Database

_template: bytes | None = None


async def put_migrated_database(file: Path) -> None:
    """Creates the file, if it does not exist."""
    global _template
    if _template is None:
        with tempfile.TemporaryDirectory() as folder:
            template = Path(folder) / "template.db"
            await (await Database.open(f"sqlite:///{template}")).close()
            _template = template.read_bytes()
    if not file.exists():
        file.write_bytes(_template)
