"""Run by Alembic, on the caller's connection and in its transaction."""

from typing import Any

from alembic import context

from storage.schema import metadata


def is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Leaves out the tables of the full-text index, which are not in the schema."""
    return not (kind == "table" and name is not None and name.startswith("picture_words"))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_name=is_ours,
    render_as_batch=True,
)
context.run_migrations()
