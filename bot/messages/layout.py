"""The base class of message layouts."""

from __future__ import annotations

from typing import Any

from discord import ui

from bot.messages.fit import fit_components


class StaticLayout(ui.LayoutView):
    """A message's layout. Its buttons and menus are handled by their custom_ids, not by this view.

    It is stopped at once, because discord.py keeps every unstopped view in memory as long as the bot runs.
    """

    def __init__(self, *items: ui.Item[Any]) -> None:
        super().__init__(timeout=None)
        for item in items:
            self.add_item(item)
        self.stop()

    def to_components(self) -> list[dict[str, Any]]:
        """The JSON for Discord, cut to its limits."""
        components: list[dict[str, Any]] = super().to_components()  # type: ignore[no-untyped-call]
        return fit_components(components)


def without_quotes(view: ui.LayoutView) -> ui.LayoutView:
    """Remove a layout's quoted lines, which in a job's message are those of the prompt."""
    for item in view.walk_children():
        if isinstance(item, ui.TextDisplay):
            item.content = "\n".join(line for line in item.content.split("\n") if not line.startswith("> "))
    return view
