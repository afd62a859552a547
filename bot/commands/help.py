"""`/anima help`: how to ask Anima for what you want, in short pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import discord
from discord import app_commands, ui

from bot.client import AnimaClient
from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import AnimaInteraction, Component, is_own_message
from bot.components.more.redraw import BACKGROUND_DENOISE
from bot.generation.options import Options
from bot.jobs.acknowledgement.origin import Origin
from bot.jobs.submission import JobRequest
from bot.messages.layout import StaticLayout
from bot.prompting.hints.weights import MIN_EFFECT
from bot.prompting.miniature import EXAMPLES
from bot.prompting.prompt_rules import RECOMMENDED_NEGATIVE, RECOMMENDED_PREFIX
from bot.text.translation import N_, say


@dataclass(frozen=True)
class HelpPage:
    title: str
    text: str


PAGES: Mapping[str, HelpPage] = {
    "begin": HelpPage(
        N_("Getting started"),
        N_(
            "`/anima imagine prompt:1girl, red hair, smile, park` is enough. All other options have good "
            "defaults.\n"
            "Write Danbooru tags, English sentences, or both. Tags say exactly what to draw. Sentences, "
            "two or more of them, describe how things relate.\n"
            "Under a picture, **Re-roll** draws it again with a new seed. The PNG file contains its "
            "settings and seed."
        ),
    ),
    "buttons": HelpPage(
        N_("Buttons"),
        N_(
            "Everybody who sees a picture can use its buttons. What you draw with them is yours and costs your own "
            "credits.\n"
            "**Re-roll**: the same with a new seed\n"
            "**Upscale**: larger, with more detail\n"
            "**Vary**, **Vary (strong)**, **Vary (subtle)**: similar pictures\n"
            "**U1** to **U4** upscale one of several pictures, **V1** to **V4** vary one, 🎲 re-rolls them all.\n"
            "**Edit…**: change the prompt and the settings, then draw again\n"
            "**More…**: everything else, also for one of several pictures; only you see it\n"
            "**Redraw part…**: choose cells of a grid over the picture; only these are drawn again. To change the "
            "background, choose every cell that shows some of it and a denoise of about {background_denoise}, "
            "which keeps the shapes\n"
            "**Extend…**: draw what is around the picture: **Zoom out 1.5x**, **Zoom out 2x**, or more on one side\n"
            "**Redraw the transparent part**: offered if the picture you start from has one\n"
            "**Info**: the whole prompt, all settings, and what was made from it\n"
            "**Share**: posts the picture in the server's gallery; **Share the comparison** does so too\n"
            "**Save as preset…**: keep the settings for `preset` in `/anima imagine`\n"
            "**Delete**: for the person who asked and for moderators\n"
            "**Cancel**: while a picture is queued or being drawn\n"
            "If a form is refused, **Edit again…** reopens it with what you typed. If a prompt is written for "
            "another program, you get a hint that only you see; **Draw this instead** draws the corrected one."
        ),
    ),
    "order": HelpPage(
        N_("Tag order"),
        N_(
            "Put tags in this order; Anima was trained that way:\n"
            "1. quality, year and safety: `masterpiece, newest, safe`\n"
            "2. number of people: `1girl`, `2boys`, `no humans`\n"
            "3. character: `oomuro sakurako`\n"
            "4. series: `yuru yuri`\n"
            "5. artist: `@nnn yryr`\n"
            "6. everything else: `smile, brown hair, white background`\n"
            "Tags are lowercase, with spaces instead of underscores. Only `score_7` and similar keep the "
            "underscore.\n"
            "Most pictures look better with this in front: `{prefix}`"
        ),
    ),
    "artists": HelpPage(
        N_("Artists"),
        N_(
            "Artists only work with `@` in front: `@nnn yryr`. Without it, the name is just words.\n"
            "You can mix two artists: `@one, @other`. Give the main one a weight: `(@one:1.5), @other`.\n"
            "Brackets in a name each need a backslash. Otherwise they set a weight: `@ask \\(askzy\\)`"
        ),
    ),
    "weights": HelpPage(
        N_("Weights"),
        N_(
            "`(red hair:1.5)` makes a tag stronger, `(red hair:0.6)` weaker. `(red hair)` alone means "
            "1.1.\n"
            "Anima needs stronger weights than SDXL: between {weaker} and {stronger} you see no "
            "difference, and `(chibi:2)` is normal.\n"
            "Very strong weights distort anatomy before adding more of what you want."
        ),
    ),
    "negative": HelpPage(
        N_("Negative prompt"),
        N_(
            "List what you don't want, written the same way: `negative:text, watermark, hat`.\n"
            "If you leave it empty, this is used: `{negative}`\n"
            "At CFG 1, which turbo models use, the negative prompt has less effect."
        ),
    ),
    "samplers": HelpPage(
        N_("Samplers"),
        N_(
            "`er_sde`: the default; flat colours and sharp lines\n"
            "`euler_a`: softer lines, more volume\n"
            "`dpmpp_2m_sde_gpu`: more variety, for precise prompts\n"
            "The scheduler sets how steps are spread over noise levels. `simple` is the default. "
            "`beta57` spends more of them near the end and looks painterly.\n"
            "The base model works best with 30 to 50 steps at CFG 4 to 5. Turbo models need 8 to 12 "
            "steps at CFG 1."
        ),
    ),
    "models": HelpPage(
        N_("Models"),
        N_(
            "`model` chooses which model draws. Its list shows what each one is, which is your default and which "
            "are loaded; the others take a little longer.\n"
            "A model brings its own size, steps, CFG, sampler and quality tags, unless you or the server have set "
            "them.\n"
            "A picture keeps its model when you re-roll, vary, upscale or edit it. `/anima compare` shows models "
            "side by side."
        ),
    ),
    "commands": HelpPage(
        N_("Commands"),
        N_(
            "`/anima imagine`: draw a picture\n"
            "`/anima compare`: see several samplers, CFG values or weights side by side\n"
            "`/anima queue`: see the queue and your place in it, or cancel\n"
            "`/anima history`: see, search, draw again or delete your pictures\n"
            "`/anima quota`: see the credits you have used and have left\n"
            "`/anima preferences`: set your own defaults and presets\n"
            "`/anima privacy`: get or erase what I store about you\n"
            "In the menu of a message, under Apps: *Anima: parameters* shows how a picture was made, "
            "*Anima: draw again* draws it again, *Anima: cancel* cancels your job, *Anima: report* tells "
            "the server's moderators."
        ),
    ),
    "moderators": HelpPage(
        N_("For moderators"),
        N_(
            "With **Manage Messages** in a channel you can cancel anybody's job there (**Cancel** or *Anima: cancel*) "
            "and delete pictures (**Delete**, or delete the message itself). Nobody is charged for what is cancelled.\n"
            "*Anima: moderate…*, in the menu of a message under Apps, deletes, blocks, or both. Blocking needs "
            "**Manage Messages** in the whole server; it also cancels what the person has queued.\n"
            "`/anima-admin`, for people with **Manage Server**, sets limits, quotas, channels and blocked "
            "words, pauses drawing, and names a log channel for refusals, reports, blocks and failures."
        ),
    ),
}

#: What pages quote of the rest of the bot.
FIGURES: Mapping[str, str] = {
    "prefix": RECOMMENDED_PREFIX.strip(" ,"),
    "negative": RECOMMENDED_NEGATIVE,
    "weaker": f"{1 - MIN_EFFECT:g}",
    "stronger": f"{1 + MIN_EFFECT:g}",
    "background_denoise": f"{BACKGROUND_DENOISE:g}",
}

FIRST = "begin"


MINIATURE_ABOUT = N_(
    "**This bot uses the small model that comes with it.** It draws heads, 128 pixels wide: hair, clothes, glasses, "
    "faces and backgrounds in many colours. Try one:"
)

DESCRIBE_ABOUT = N_(
    "`/anima describe`: get tags that say what a picture shows, and draw them. *Anima: parameters* has a button for it."
)


@app_commands.command(description="How to write prompts: tags, artists, weights, samplers", extras=OPEN_TO_BLOCKED)
async def help(interaction: AnimaInteraction) -> None:
    await interaction.response.send_message(view=_layout(interaction.client, FIRST), ephemeral=True)


class ShowHelpPage(Component, template=r"anima:help"):
    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        chosen = self.item.values[0]
        page = _layout(interaction.client, chosen if chosen in PAGES else FIRST)
        if is_own_message(interaction):
            await interaction.response.edit_message(view=page)
        else:
            await interaction.response.send_message(view=page, ephemeral=True)


class DrawExample(Component, template=r"anima:example:([0-9]{1,2})"):
    """Draws one of the miniature's examples, like the command would."""

    def __init__(self, item: ui.Item[Any], number: int) -> None:
        super().__init__(item)
        self.number = number

    @classmethod
    def at(cls, number: int) -> Self:
        return cls(ui.Button(label=EXAMPLES[number], custom_id=f"anima:example:{number}"), number)

    async def on_use(self, interaction: AnimaInteraction) -> None:
        submitter = interaction.client.submitter
        privately = submitter.answers_privately(interaction, Options())
        origin = await Origin.acknowledge(interaction, ephemeral=privately)
        prompt, options = EXAMPLES[self.number % len(EXAMPLES)], Options(private=origin.private)
        await submitter.submit(origin, JobRequest(kind="imagine", prompt=prompt, options=options))


def written(page: str) -> str:
    return f"### {say(PAGES[page].title)}\n{say(PAGES[page].text, **FIGURES)}"


def _layout(client: AnimaClient, page: str) -> StaticLayout:
    view = StaticLayout(ui.TextDisplay(written(page)))
    if client.describer.is_on and page == "commands":
        view.add_item(ui.TextDisplay(say(DESCRIBE_ABOUT)))
    if client.has_miniature and page == FIRST:
        view.add_item(ui.TextDisplay(say(MINIATURE_ABOUT)))
        view.add_item(ui.ActionRow(*(DrawExample.at(number) for number in range(len(EXAMPLES)))))
    return view.add_item(ui.ActionRow(_page_select(page)))


def _page_select(page: str) -> ui.Select[Any]:
    options = [discord.SelectOption(label=say(PAGES[name].title), value=name, default=name == page) for name in PAGES]
    return ui.Select(options=options, custom_id="anima:help")


HANDLERS = (ShowHelpPage, DrawExample)
