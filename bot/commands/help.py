"""`/anima help`: how to ask Anima for what you want, in short pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import discord
from discord import app_commands, ui

from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import AnimaInteraction, Component
from bot.messages.layout import StaticLayout
from bot.prompting.hints import WEAKEST_EFFECT
from bot.prompting.prompt_rules import RECOMMENDED_NEGATIVE, RECOMMENDED_PREFIX
from bot.text.translation import N_, say


@dataclass(frozen=True)
class HelpPage:
    title: str
    text: str


PAGES: Mapping[str, HelpPage] = {
    "begin": HelpPage(
        N_("Begin"),
        N_(
            """\
`/anima imagine prompt:1girl, red hair, smile, park` is all it takes: every other option has a good default.
Write tags as on Danbooru, sentences in English, or both. Tags say exactly what; sentences, two or more of them, \
say how things stand to each other.
Under the picture, **Re-roll** draws the same with another seed. Its settings and seed are in the PNG itself."""
        ),
    ),
    "order": HelpPage(
        N_("Order of tags"),
        N_(
            """\
Anima learnt its tags in this order, and follows them best that way:
1. quality, year and safety: `masterpiece, newest, safe`
2. who: `1girl`, `2boys`, `no humans`
3. character: `oomuro sakurako`
4. series: `yuru yuri`
5. artist: `@nnn yryr`
6. everything else: `smile, brown hair, white background`
Tags are lower case, with spaces instead of underscores; `score_7` and its like keep theirs.
What does most pictures good at the very front: `{prefix}`"""
        ),
    ),
    "artists": HelpPage(
        N_("Artists"),
        N_(
            """\
An artist works only with `@` in front: `@nnn yryr`. Without it the name is just words.
Two artists mix: `@one, @other`. A weight says who leads: `(@one:1.5), @other`.
Brackets that belong to a name need a backslash each, or they count as weights: `@ask \\(askzy\\)`"""
        ),
    ),
    "weights": HelpPage(
        N_("Weights"),
        N_(
            """\
`(red hair:1.5)` makes a tag stronger, `(red hair:0.6)` weaker; `(red hair)` alone means 1.1.
Anima needs stronger weights than SDXL: between {weaker} and {stronger} nothing shows, \
and `(chibi:2)` is quite usual.
Weights touch the words, not the picture: very strong ones bend its anatomy before they add more of the thing."""
        ),
    ),
    "negative": HelpPage(
        N_("Negative prompt"),
        N_(
            """\
What you do not want, in the same words: `negative:text, watermark, hat`.
Without one of yours, this is used: `{negative}`
At CFG 1, as turbo models are drawn with, there is no negative pass, and it does nothing."""
        ),
    ),
    "samplers": HelpPage(
        N_("Samplers"),
        N_(
            """\
`er_sde`: the default; flat colours and sharp lines
`euler_a`: softer lines, more volume
`dpmpp_2m_sde_gpu`: more variety, for precise prompts
The scheduler says where the steps are spent. `simple` is the default; `beta57` keeps more for the end \
and looks painterly.
30 to 50 steps at CFG 4 to 5 suit the base model; turbo models want 8 to 12 at CFG 1."""
        ),
    ),
    "commands": HelpPage(
        N_("Commands"),
        N_(
            """\
`/anima imagine`: draw
`/anima compare`: the same with several samplers, CFG values or weights, side by side
`/anima queue`: what waits, where you stand; cancel yours
`/anima history`: your pictures; see, draw again, delete, find by words
`/anima quota`: what you used, what is left
`/anima preferences`: your own defaults and presets
`/anima privacy`: get or erase what is kept about you
In the menu of any message (Apps): *Anima: parameters* tells how an attached picture was made, \
*Anima: draw again* draws it once more, *Anima: cancel* takes back what you asked for."""
        ),
    ),
}

#: What pages quote of the rest of the bot.
FIGURES: Mapping[str, str] = {
    "prefix": RECOMMENDED_PREFIX.strip(" ,"),
    "negative": RECOMMENDED_NEGATIVE,
    "weaker": f"{1 - WEAKEST_EFFECT:g}",
    "stronger": f"{1 + WEAKEST_EFFECT:g}",
}

FIRST = "begin"


@app_commands.command(
    description="How to ask for what you want: tags, artists, weights, samplers", extras=OPEN_TO_BLOCKED
)
async def help(interaction: AnimaInteraction) -> None:
    await interaction.response.send_message(view=_layout(FIRST), ephemeral=True)


class ShowHelpPage(Component, template=r"anima:help"):
    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        chosen = self.item.values[0]
        await interaction.response.edit_message(view=_layout(chosen if chosen in PAGES else FIRST))


def _page_select(page: str) -> ui.Select[Any]:
    options = [discord.SelectOption(label=say(PAGES[name].title), value=name, default=name == page) for name in PAGES]
    return ui.Select(options=options, custom_id="anima:help")


def written(page: str) -> str:
    return f"### {say(PAGES[page].title)}\n{say(PAGES[page].text, **FIGURES)}"


def _layout(page: str) -> StaticLayout:
    return StaticLayout(ui.TextDisplay(written(page)), ui.ActionRow(_page_select(page)))


HANDLERS = (ShowHelpPage,)
