"""`/anima preferences`: every control, whose each value is, presets, and that all of it outlives a restart."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from discord import ui

from bot.commands.preferences.actions import NO_PRESET, PREFERENCES_ITEMS, RESET
from bot.commands.preferences.forms import NO_DEFAULTS, SAVED, UNCHANGED
from bot.generation.presets import key_of
from bot.generation.typed.validation_errors import LABELS
from bot.sandbox import ClientModal, InteractionHandle, Message, User
from bot.sandbox.model.interactions import COMPONENT, MODAL_SUBMIT
from inference import GenerationRequest
from storage.preferences import MAX_PRESETS
from storage.schema import JobState
from tests.bot.harness import Stage, interaction_tasks
from tests.header_only import write_diffusion_model


class PreferencesPanel:
    """The panel of one person, as it is now."""

    def __init__(self, stage: Stage, user: User | None = None) -> None:
        self.stage = stage
        self.discord = stage.discord
        self.user = user or stage.alice
        self.message: Message

    async def open(self) -> PreferencesPanel:
        self.message = await self.stage.answer("preferences", self.user)
        return self

    async def choose(self, action: str, *values: str) -> PreferencesPanel:
        return await self._shows(
            await self.discord.choose(self.user, self.message, f"anima:preferences:{action}", values)
        )

    async def press(self, label: str) -> PreferencesPanel:
        return await self._shows(await self.stage.press(self.message, label, self.user))

    async def form(self, label: str) -> ClientModal:
        return await (await self.stage.press(self.message, label, self.user)).modal()

    async def fill(self, label: str, **values: str) -> PreferencesPanel:
        """Opens a form by its button, fills in what `values` say by the options' names, and sends it."""
        return await self.send(await self.form(label), **values)

    async def send(self, form: ClientModal, **values: str) -> PreferencesPanel:
        ids = {field["custom_id"].partition(":")[0]: field["custom_id"] for _, field in form.inputs()}
        return await self._shows(
            await self.discord.submit(self.user, form, {ids[name]: value for name, value in values.items()})
        )

    async def _shows(self, sent: InteractionHandle) -> PreferencesPanel:
        self.message = await sent.response()
        return self

    @property
    def text(self) -> str:
        return self.message.text

    def line(self, label: str) -> str:
        """What is said of one value."""
        [line] = [line for line in self.text.splitlines() if line.startswith(f"**{label}** ")]
        return line.removeprefix(f"**{label}** ")

    def offered(self, action: str) -> list[str]:
        [menu] = [one for one in self.message.inputs() if one["custom_id"] == f"anima:preferences:{action}"]
        return [option["label"] for option in menu["options"]]

    async def kept(self) -> dict[str, Any]:
        return dict(await self.stage.database.preferences.defaults(self.user.id))

    async def presets(self) -> dict[str, Any]:
        return dict(await self.stage.database.preferences.presets(self.user.id))


@pytest.fixture
async def panel(stage: Stage) -> PreferencesPanel:
    return await PreferencesPanel(stage).open()


async def configure(stage: Stage, **defaults: Any) -> None:
    await stage.database.servers.change(stage.general.guild.id, {"defaults": defaults}, by=1)


def put_lora(stage: Stage, *names: str) -> None:
    for name in names:
        (stage.models / "loras" / f"{name}.safetensors").touch()


async def drawn(stage: Stage, **options: Any) -> GenerationRequest:
    await stage.draw("1girl, smile", **options)
    return stage.engine.requests[-1]


# --- What it says ---


async def test_the_panel_is_private_and_shows_where_each_value_comes_from(stage: Stage) -> None:
    await configure(stage, steps=6, sampler="euler", spoiler=True)
    await stage.database.preferences.change_defaults(stage.alice.id, {"steps": 9, "artist": "nnn **yryr**"})
    panel = await PreferencesPanel(stage).open()
    assert panel.message.is_ephemeral and panel.message.visible_to == stage.alice
    assert panel.line("Steps") == "9 · **yours** (server: 6)"
    assert panel.line("Artists") == "nnn \\*\\*yryr\\*\\* · **yours** (default: none)"
    assert panel.line("Sampler") == "`euler` · server default"
    assert panel.line("Spoiler") == "on · server default"
    assert panel.line("Scheduler") == "`simple` · model default"
    assert panel.line("Size") == "square 1:1, 64x64 · model default"
    assert panel.line("Negative prompt") == "none · default"
    assert all(panel.line(label) for name, label in LABELS.items() if name != "model"), "the files say nothing here"


async def test_server_defaults_are_not_shown_in_private_channels(stage: Stage) -> None:
    await configure(stage, steps=6)
    sent = await stage.slash("preferences", where=stage.discord.dm(stage.alice))
    text = (await sent.response()).text
    assert "**Steps** 4 · model default" in text
    assert "**Pictures** 1 · bot default" in text


async def test_values_above_the_limits_are_kept_and_marked_as_refused(panel: PreferencesPanel) -> None:
    guild = panel.stage.general.guild.id
    await panel.stage.database.servers.change(guild, {"limits": {"steps": 10, "count": 2}}, by=1)
    await panel.fill("Size, steps, CFG…", steps="11", count="3", size="256x256")
    assert await panel.kept() == {"steps": 11, "count": 3, "size": [256, 256]}
    for label in ("Steps", "Pictures", "Size"):
        assert "will be refused" in panel.line(label)
    await panel.fill("Size, steps, CFG…", steps="10", count="2", size="96x96")
    assert "refused" not in panel.text


async def test_the_panel_fits_with_the_longest_values(stage: Stage) -> None:
    loras = [[letter * 200, -9.875] for letter in "*_~|"]
    longest = {
        "negative": "*" * 10_000,
        "artist": "_" * 200,
        "size": [4096, 4096],
        "count": 4,
        "steps": 1000,
        "cfg_scale": 99.875,
        "sampler": "dpmpp_2m_sde_gpu",
        "scheduler": "linear_quadratic",
        "loras": loras,
        "turbo": True,
        "denoise": 0.123456789,
        "raw": True,
        "spoiler": True,
        "private": True,
    }
    await stage.database.preferences.change_defaults(stage.alice.id, longest)
    for number in range(MAX_PRESETS):
        name = f"{number:02}" + "*" * 48
        await stage.database.preferences.save_preset(stage.alice.id, name, longest)
    panel = await PreferencesPanel(stage).open()
    for label in ("Size, steps, CFG…", "Prompt…", "LoRAs…"):
        assert (await panel.form(label)).inputs()
    await panel.press(f"Presets: {MAX_PRESETS}")
    await panel.choose("preset", f"07{'*' * 48}")
    assert f"07{chr(92)}*" in panel.text


async def test_invalid_stored_values_are_ignored_alone(stage: Stage) -> None:
    await stage.database.preferences.change_defaults(stage.alice.id, {"sampler": "ddim_of_old", "steps": 9, "new": 1})
    panel = await PreferencesPanel(stage).open()
    assert panel.line("Steps") == "9 · **yours** (model: 4)"
    assert panel.line("Sampler") == "`er_sde` · model default"
    assert (await drawn(stage)).steps == 9


# --- Every control ---


@pytest.mark.parametrize(("name", "value"), [("sampler", "euler_a"), ("scheduler", "karras"), ("size", "64x64")])
async def test_a_choice_is_saved_and_reset_in_its_menu(panel: PreferencesPanel, name: str, value: str) -> None:
    await panel.choose(name, value)
    assert SAVED in panel.text
    assert await panel.kept() == {name: [64, 64] if name == "size" else value}
    assert panel.line(LABELS[name]).split(" · ")[1].startswith("**yours**")
    await panel.choose(name, panel.offered(name)[0])
    assert RESET in panel.text
    assert await panel.kept() == {}


async def test_menus_show_the_default_and_a_custom_size(panel: PreferencesPanel) -> None:
    await panel.fill("Size, steps, CFG…", size="96 x 64")
    assert panel.offered("size") == [
        "Size: server default (square 1:1, 64x64)",
        "Size: landscape 3:2, 96x64",
        "Size: square 1:1, 64x64",
    ]
    await configure(panel.stage, sampler="heun")
    await panel.choose("sampler", "euler")
    assert panel.offered("sampler")[0] == "Sampler: server default (heun)"


@pytest.mark.parametrize("name", ["turbo", "raw", "spoiler", "private"])
async def test_a_switch_is_turned_on_off_and_reset(panel: PreferencesPanel, name: str) -> None:
    label, off = LABELS[name], "normal" if name == "turbo" else "off"
    await panel.press(f"{label}: {off}")
    assert await panel.kept() == {name: True}
    if name != "turbo":  # which takes a turbo LoRA, and there is none
        await panel.press(f"{label}: on")
        assert await panel.kept() == {name: False}
    await panel.choose("take-back", label)
    assert await panel.kept() == {}
    assert RESET in panel.text


async def test_numbers(panel: PreferencesPanel) -> None:
    await panel.fill("Size, steps, CFG…", size="95 x 64", count="2", steps=" １２ ", cfg_scale="3,5", denoise="0.4")  # noqa: RUF001
    assert await panel.kept() == {"size": [96, 64], "count": 2, "steps": 12, "cfg_scale": 3.5, "denoise": 0.4}
    form = await panel.form("Size, steps, CFG…")
    assert [field.get("value") for _, field in form.inputs()] == ["96x64", "2", "12", "3.5", "0.4"]
    await panel.send(form)
    assert UNCHANGED in panel.text
    await panel.fill("Size, steps, CFG…", size="", denoise="", steps="13")
    assert await panel.kept() == {"count": 2, "steps": 13, "cfg_scale": 3.5}


async def test_words(panel: PreferencesPanel) -> None:
    await panel.fill("Prompt…", negative="hat\n@everyone", artist="nnn yryr, @other")
    assert await panel.kept() == {"negative": "hat\n@everyone", "artist": "nnn yryr, @other"}
    assert "@everyone" not in panel.text and "hat" in panel.line("Negative prompt")
    await panel.fill("Prompt…", negative="")
    assert await panel.kept() == {"artist": "nnn yryr, @other"}


async def test_a_text_too_long_for_its_field_is_not_cut_by_a_form_that_leaves_it_alone(stage: Stage) -> None:
    negative = "no, " * 1500
    await stage.database.preferences.change_defaults(stage.alice.id, {"negative": negative})
    panel = await PreferencesPanel(stage).open()
    await panel.fill("Prompt…", artist="nnn yryr")
    assert await panel.kept() == {"negative": negative, "artist": "nnn yryr"}


async def test_loras_with_their_strengths(panel: PreferencesPanel) -> None:
    put_lora(panel.stage, "Chibi", "style: old")
    form = await panel.form("LoRAs…")
    await panel.send(form, loras="chibi: 0,8\n\nstyle: old\n")
    assert await panel.kept() == {"loras": [["Chibi", 0.8], ["style: old", 1.0]]}
    [(_, field)] = (await panel.form("LoRAs…")).inputs()
    assert field["value"] == "Chibi: 0.8\nstyle: old: 1"
    (panel.stage.models / "loras" / "Chibi.safetensors").unlink()
    await panel.fill("LoRAs…", loras="Chibi: 0.5\nstyle: old: -1")
    assert "Chibi 0.5 (not available now)" in panel.line("LoRAs")
    assert (await drawn(panel.stage)).loras == (("style: old", -1.0),)


@pytest.mark.parametrize(
    ("form", "typed", "sentences"),
    [
        (
            "Size, steps, CFG…",
            {"steps": "many", "count": "5", "cfg_scale": "0.5", "denoise": "nan"},
            [
                "**Steps** must be a whole number.",
                "**Pictures** must be 4 or less.",
                "**CFG scale** must be 1 or more.",
                "**Denoise** must be a number.",
            ],
        ),
        ("Size, steps, CFG…", {"size": "huge", "steps": "9"}, ["I don't understand that aspect.", "(such as 64x64)"]),
        ("Size, steps, CFG…", {"size": "9999x64", "steps": "9"}, ["**Size** must be 4096 or less."]),
        (
            "LoRAs…",
            {"loras": "**none** such: 1"},
            ["There is no LoRA called “\\*\\*none\\*\\* such”. There are: a, b, c, d, e."],
        ),
        ("LoRAs…", {"loras": "a: strong"}, ["I don't understand the strength in “a: strong”."]),
        ("LoRAs…", {"loras": "a: 11"}, ["The strength of “a” is 11, but must be from -10 to 10."]),
        ("LoRAs…", {"loras": "a\nb\nc\nd\ne"}, ["**LoRAs** can have at most 4 entries."]),
    ],
)
async def test_every_mistake_is_explained_and_nothing_is_saved(
    panel: PreferencesPanel, form: str, typed: dict[str, str], sentences: list[str]
) -> None:
    put_lora(panel.stage, *"abcde")
    await panel.fill(form, **typed)
    assert "Nothing was saved." in panel.text
    assert all(sentence in panel.text for sentence in sentences)
    assert await panel.kept() == {}


async def test_several_defaults_are_reset_at_once(panel: PreferencesPanel) -> None:
    await panel.fill("Size, steps, CFG…", steps="9", count="2")
    await panel.choose("sampler", "euler")
    assert panel.offered("take-back") == ["Pictures", "Steps", "Sampler"]
    await panel.choose("take-back", "Pictures", "Sampler")
    assert await panel.kept() == {"steps": 9}


# --- Presets ---


async def test_the_present_defaults_become_a_preset_and_a_preset_the_defaults(panel: PreferencesPanel) -> None:
    await panel.fill("Size, steps, CFG…", steps="9")
    await panel.press("Presets: 0")
    await panel.fill("Save defaults as preset…", name="  my   **best** ")
    assert await panel.presets() == {"my **best**": {"steps": 9}}
    assert "“my \\*\\*best\\*\\*”" in panel.text
    await panel.press("Back")
    await panel.fill("Size, steps, CFG…", steps="5", count="2")
    await panel.press("Presets: 1")
    await panel.choose("preset", "my **best**")
    assert "**Steps** 9" in panel.text
    await panel.press("Apply to my defaults")
    assert await panel.kept() == {"steps": 9, "count": 2}
    await panel.press("Delete")
    assert "Deleted “" in panel.text
    assert await panel.presets() == {}


async def test_a_preset_of_the_same_name_is_replaced_with_a_note(panel: PreferencesPanel) -> None:
    await panel.stage.database.preferences.save_preset(panel.user.id, "mine", {"steps": 9})
    await panel.fill("Size, steps, CFG…", steps="5")
    await panel.press("Presets: 1")
    await panel.fill("Save defaults as preset…", name="mine")
    assert "Replaced your preset “mine”." in panel.text
    assert await panel.presets() == {"mine": {"steps": 5}}


async def test_there_is_nothing_to_save_without_defaults(panel: PreferencesPanel) -> None:
    await panel.press("Presets: 0")
    await panel.fill("Save defaults as preset…", name="nothing")
    assert NO_DEFAULTS in panel.text
    assert await panel.presets() == {}


@pytest.mark.parametrize("name", [" ", "\u200b"])
async def test_a_name_that_cannot_be_seen_is_refused(panel: PreferencesPanel, name: str) -> None:
    await panel.fill("Size, steps, CFG…", steps="5")
    await panel.press("Presets: 0")
    await panel.fill("Save defaults as preset…", name=name)
    assert "1 to 50 characters" in panel.text
    assert await panel.presets() == {}


async def test_a_preset_above_the_limit_is_refused_with_an_explanation(panel: PreferencesPanel) -> None:
    for number in range(MAX_PRESETS):
        await panel.stage.database.preferences.save_preset(panel.user.id, f"{number:02}", {"steps": 5})
    await panel.fill("Size, steps, CFG…", steps="5")
    await panel.press(f"Presets: {MAX_PRESETS}")
    await panel.fill("Save defaults as preset…", name="one more")
    assert f"You already have {MAX_PRESETS} presets, the maximum" in panel.text
    assert len(await panel.presets()) == MAX_PRESETS


async def test_a_missing_preset_is_explained(panel: PreferencesPanel) -> None:
    await panel.stage.database.preferences.save_preset(panel.user.id, "mine", {"steps": 5})
    await panel.press("Presets: 0")
    await panel.choose("preset", "mine")
    await panel.stage.database.preferences.delete_preset(panel.user.id, "mine")
    await panel.press("Apply to my defaults")
    assert NO_PRESET in panel.text
    assert await panel.kept() == {}


async def test_the_settings_of_ones_picture_become_a_preset(stage: Stage) -> None:
    put_lora(stage, "chibi")
    options = {"steps": 7, "sampler": "euler", "negative": "hat", "lora": "chibi", "count": 2, "spoiler": True}
    _, message = await stage.draw("1girl", seed="5", **options)
    info = await (await stage.press_more(message, "Info")).response()
    form = await (await stage.press(info, "Save as preset…")).modal()
    await stage.restart()
    answer = await (await stage.discord.submit(stage.alice, form, {"Name": "this *one*"})).response()
    assert answer.is_ephemeral and "Saved as “this \\*one\\*”" in answer.text
    kept = dict((await stage.database.preferences.preset(stage.alice.id, "this *one*")) or {})
    assert kept["steps"] == 7 and kept["sampler"] == "euler" and kept["loras"] == [["chibi", 1.0]]
    assert kept.keys().isdisjoint({"seed", "variation", "count", "spoiler", "private", "denoise"})
    request = await drawn(stage, preset="this *one*")
    assert (request.steps, request.sampler, request.loras) == (7, "euler", (("chibi", 1.0),))
    assert "hat" in request.negative_prompt
    assert request.seed != 5


async def test_a_private_picture_of_someone_elses_cannot_be_saved(stage: Stage) -> None:
    job = await stage.in_state((await stage.ask("secret", private=True)).id, JobState.DELIVERED)
    forged = await show_buttons(stage, f"anima:save-as-preset:{job.id}:0")
    answer = await (await stage.discord.press(stage.bob, forged, label="old")).response()
    assert "no longer saved" in answer.text
    sent = await forge_form(stage, stage.bob, "anima:picture-as-preset", {f"name:{job.id}:0": "mine now"})
    assert "no preset was made" in (await sent.response()).text
    assert await stage.database.preferences.presets(stage.bob.id) == {}


# --- What it changes ---


async def test_the_users_own_defaults_are_used(panel: PreferencesPanel) -> None:
    put_lora(panel.stage, "chibi")
    await panel.fill("Size, steps, CFG…", size="96x64", count="2", steps="6", cfg_scale="2.5")
    await panel.fill("Prompt…", negative="hat", artist="nnn yryr")
    await panel.fill("LoRAs…", loras="chibi: 0.7")
    await panel.choose("sampler", "heun")
    await panel.choose("scheduler", "karras")
    await panel.press("Raw prompt: off")
    await panel.press("Spoiler: off")
    job, _ = await panel.stage.draw("1girl, smile")
    one, two = panel.stage.engine.requests
    assert (one.width, one.height, one.steps, one.cfg_scale) == (96, 64, 6, 2.5)
    assert (one.sampler, one.scheduler, one.loras) == ("heun", "karras", (("chibi", 0.7),))
    assert one.prompt == "safe, 1girl, @nnn yryr, smile"
    assert one.negative_prompt == "nsfw, explicit, hat"
    assert one.seed != two.seed
    assert job.spoiler and not job.private
    await panel.stage.ask("1girl", panel.stage.bob)
    assert job.negative_prompt == "hat"


async def test_layers_lie_over_each_other_in_their_order(stage: Stage) -> None:
    await configure(stage, steps=11, cfg_scale=1.5, sampler="euler", scheduler="beta")
    own = {"steps": 12, "cfg_scale": 2.5, "sampler": "heun"}
    await stage.database.preferences.change_defaults(stage.alice.id, own)
    await stage.database.preferences.save_preset(stage.alice.id, "mine", {"steps": 13, "cfg_scale": 3.5})
    request = await drawn(stage, preset="mine", steps=14)
    assert (request.steps, request.cfg_scale, request.sampler, request.scheduler) == (14, 3.5, "heun", "beta")
    assert (request.width, request.height) == (64, 64)
    request = await drawn(stage, user=stage.bob)
    assert (request.steps, request.cfg_scale, request.sampler, request.scheduler) == (11, 1.5, "euler", "beta")


@pytest.mark.parametrize(
    ("said", "preset", "own", "private"),
    [(None, None, True, True), (None, True, None, True), (None, False, True, False), (False, True, True, False)],
)
async def test_private_follows_the_same_order(
    stage: Stage, said: bool | None, preset: bool | None, own: bool | None, private: bool
) -> None:
    options: dict[str, Any] = {}
    if own is not None:
        await stage.database.preferences.change_defaults(stage.alice.id, {"private": own})
    if preset is not None:
        await stage.database.preferences.save_preset(stage.alice.id, "mine", {"private": preset})
        options["preset"] = "mine"
    if said is not None:
        options["private"] = said
    interaction = await stage.slash("imagine", prompt="1girl", **options)
    message = await interaction.response()
    assert message.is_ephemeral is private
    job = await stage.database.jobs.by_interaction(interaction.id)
    assert job is not None and job.private is private
    await stage.in_state(job.id, JobState.DELIVERED)


# --- Restarts, clicks at once, and forgery ---


async def test_the_panel_and_its_open_forms_outlive_a_restart(panel: PreferencesPanel) -> None:
    forms = [await panel.form(label) for label in ("Size, steps, CFG…", "Prompt…", "LoRAs…")]
    put_lora(panel.stage, "chibi")
    await panel.stage.restart()
    for form, typed in zip(forms, ({"steps": "9"}, {"artist": "nnn"}, {"loras": "chibi"}), strict=True):
        await panel.send(form, **typed)
    assert await panel.kept() == {"steps": 9, "artist": "nnn", "loras": [["chibi", 1.0]]}
    await panel.press("Presets: 0")
    form = await panel.form("Save defaults as preset…")
    await panel.stage.restart()
    await panel.send(form, name="mine")
    await panel.stage.restart()
    await panel.choose("preset", "mine")
    await panel.stage.restart()
    await panel.press("Delete")
    assert await panel.presets() == {}
    await panel.press("Back")
    await panel.stage.restart()
    await panel.press("Private: off")
    assert (await panel.kept())["private"] is True
    await panel.stage.restart()
    await panel.choose("take-back", "Private", "Steps", "Artists", "LoRAs")
    await panel.choose("scheduler", "beta")
    assert await panel.kept() == {"scheduler": "beta"}


async def test_simultaneous_clicks_do_not_undo_each_other(panel: PreferencesPanel) -> None:
    labels = ("Raw prompt: off", "Spoiler: off", "Private: off", "Spoiler: off")
    pressed = [await panel.stage.press(panel.message, label) for label in labels]
    chosen = await panel.discord.choose(panel.user, panel.message, "anima:preferences:sampler", ("euler",))
    await asyncio.gather(*(sent.acknowledged() for sent in (*pressed, chosen)))
    await asyncio.gather(*interaction_tasks())
    assert await panel.kept() == {"raw": True, "spoiler": True, "private": True, "sampler": "euler"}


async def test_an_outdated_form_undoes_nothing(panel: PreferencesPanel) -> None:
    await panel.fill("Size, steps, CFG…", steps="5", count="2")
    form = await panel.form("Size, steps, CFG…")
    await (await PreferencesPanel(panel.stage).open()).fill("Size, steps, CFG…", steps="9", count="")
    await panel.send(form, cfg_scale="3")
    assert await panel.kept() == {"steps": 9, "cfg_scale": 3.0}


async def test_a_forged_control_changes_only_the_forgers_own_data(panel: PreferencesPanel) -> None:
    stage, own = panel.stage, {"steps": 9, "sampler": "euler"}
    await stage.database.preferences.change_defaults(stage.alice.id, own)
    await stage.database.preferences.save_preset(stage.alice.id, "mine", {"count": 2})
    key = key_of("mine")
    buttons = [f"apply:{key}", f"delete:{key}", "private:on", "page:presets", "page:defaults"]
    forged = await show_buttons(stage, *(f"anima:preferences:{button}" for button in buttons))
    for button in buttons:
        sent = await stage.discord.press(stage.bob, forged, custom_id=f"anima:preferences:{button}")
        await sent.acknowledged()
        forged = await show_buttons(stage, *(f"anima:preferences:{button}" for button in buttons))
    for name, typed in (
        ("numbers", {"steps:x": "5", "sampler:x": "heun", "nonsense": "1"}),
        ("preset", {"name": "mine"}),
    ):
        await (await forge_form(stage, stage.bob, f"anima:preferences:{name}", typed)).acknowledged()
    await asyncio.gather(*interaction_tasks())
    assert await panel.kept() == own
    assert await panel.presets() == {"mine": {"count": 2}}


@pytest.mark.parametrize(
    ("custom_id", "values"),
    [("sampler", ["best"]), ("size", ["1x1"]), ("size", ["wide"]), ("take-back", ["seed"]), ("preset", ["x"])],
)
async def test_a_forged_choice_changes_nothing_and_ends_in_an_answer(
    stage: Stage, custom_id: str, values: list[str]
) -> None:
    await stage.database.preferences.change_defaults(stage.alice.id, {"steps": 9})
    await stage.database.preferences.save_preset(stage.alice.id, "mine", {"steps": 5})
    panel = await PreferencesPanel(stage).open()
    if custom_id == "preset":
        await panel.press("Presets: 1")
    data = {"component_type": 3, "custom_id": f"anima:preferences:{custom_id}", "values": values, "id": 2}
    sent = panel.discord._handle_of(
        panel.discord.interactions.send(COMPONENT, panel.user, panel.stage.general, data, source=panel.message)
    )
    assert (await sent.response()).is_ephemeral
    assert await panel.kept() == {"steps": 9}


def test_no_two_controls_share_a_template() -> None:
    ids = [
        *(f"anima:preferences:{name}" for name in ("size", "sampler", "scheduler", "take-back", "preset")),
        *(f"anima:preferences:{name}" for name in ("turbo:on", "raw:off", "page:presets", "form:words")),
        *(f"anima:preferences:{name}:{key_of('x')}" for name in ("apply", "delete")),
    ]
    for custom_id in ids:
        matching = [kind for kind in PREFERENCES_ITEMS if kind.__discord_ui_compiled_template__.fullmatch(custom_id)]
        assert len(matching) == 1


async def test_the_panel_is_in_the_readers_japanese_and_fits(stage: Stage) -> None:
    world = stage.discord.world
    hanako = replace(world.add_user("hanako"), locale="ja")
    world.users[hanako.id] = hanako
    world.guild.add_member(hanako)
    panel = await PreferencesPanel(stage, hanako).open()
    assert "自分のデフォルト" in panel.text
    for label in ("サイズ、ステップ数、CFG…", "プロンプト…", "LoRA…"):
        assert (await panel.form(label)).inputs()
    await panel.fill("サイズ、ステップ数、CFG…", steps="たくさん")
    assert "整数で入力してください。" in panel.text
    await panel.press("プリセット: 0件")
    await panel.fill("デフォルトを保存…", name="夜景")
    assert "自分のデフォルトがまだない" in panel.text


# --- Privacy ---


async def test_a_copy_has_preferences_and_presets_and_erasing_takes_them(panel: PreferencesPanel) -> None:
    stage = panel.stage
    await panel.fill("Prompt…", artist="nnn yryr")
    await panel.press("Presets: 0")
    await panel.fill("Save defaults as preset…", name="my preset")
    await stage.database.preferences.change_defaults(stage.bob.id, {"steps": 9})
    await stage.database.preferences.save_preset(stage.bob.id, "bob's", {"steps": 9})
    privacy = await stage.answer("privacy")
    [file] = (await (await stage.press(privacy, "Send me a copy")).response()).attachments
    copy = json.loads(file.data)
    assert [row["defaults"] for row in copy["preferences"]] == [{"artist": "nnn yryr"}]
    assert [(row["name"], row["options"]) for row in copy["presets"]] == [("my preset", {"artist": "nnn yryr"})]
    question = await stage.turned(privacy, "Erase everything…")
    await stage.turned(question, "Erase")
    assert await panel.kept() == {} and await panel.presets() == {}
    await panel.press("Back")
    assert "**yours**" not in panel.text
    assert await stage.database.preferences.defaults(stage.bob.id) == {"steps": 9}
    assert await stage.database.preferences.presets(stage.bob.id) == {"bob's": {"steps": 9}}


# --- Forgery ---


async def show_buttons(stage: Stage, *custom_ids: str) -> Message:
    """A message of the bot with buttons of these custom_ids, as nobody else could have left it."""
    view = ui.LayoutView(timeout=None)
    view.add_item(ui.ActionRow(*(ui.Button[Any](label="old", custom_id=custom_id) for custom_id in custom_ids)))
    channel = stage.client.get_partial_messageable(stage.general.id, guild_id=stage.general.guild.id)
    sent = await channel.send(view=view)
    view.stop()
    message = stage.discord.messages.get(sent.id)
    assert message is not None
    return message


async def forge_form(stage: Stage, user: User, name: str, typed: dict[str, str]) -> InteractionHandle:
    source = await show_buttons(stage, "anima:no-such-thing")
    press = {"component_type": 2, "custom_id": "anima:no-such-thing", "id": 2}
    interactions = stage.discord.interactions
    opened_by = interactions.send(COMPONENT, user, stage.general, press, source=source)
    fields = [
        {"type": 18, "id": 2 * at, "component": {"type": 4, "id": 2 * at + 1, "custom_id": custom_id, "value": value}}
        for at, (custom_id, value) in enumerate(typed.items(), start=1)
    ]
    data = {"custom_id": name, "components": fields}
    return stage.discord._handle_of(
        interactions.send(MODAL_SUBMIT, user, stage.general, data, source=source, opened_by=opened_by)
    )


async def test_an_example_of_a_size_is_one_of_the_models_own(stage: Stage) -> None:
    opened = await PreferencesPanel(stage).open()
    form = await (await stage.press(opened.message, "Size, steps, CFG…")).modal()
    [described] = [part["description"] for part in form.components if part.get("label") == "Size"]
    assert described == "64x64, or a ratio such as 2:3. Empty: server default"


# --- Models ---


async def test_the_model_is_chosen_where_there_are_several_and_brings_its_defaults(stage: Stage) -> None:
    folder = stage.models / "diffusion_models"
    write_diffusion_model(folder / "anima-base.safetensors", modelspec__resolution="64x64")
    panel = await PreferencesPanel(stage).open()
    assert panel.line("Model") == "anima-base · bot default"
    with pytest.raises(ValueError, match="not enough values"):
        panel.offered("model")
    write_diffusion_model(folder / "anima-turbo.safetensors", modelspec__resolution="96x96")
    await panel.open()
    assert panel.offered("model") == [
        "Model: server default (anima-base)",
        "Model: anima-base",
        "Model: anima-turbo",
    ]
    await panel.choose("model", "anima-turbo")
    assert panel.line("Model") == "anima-turbo · **yours** (bot: anima-base)"
    assert panel.line("Steps") == "10 · model default"
    assert panel.line("Size") == "square 1:1, 96x96 · model default"
    assert await panel.kept() == {"model": "anima-turbo"}
    assert (await drawn(stage)).model == "anima-turbo"
    (folder / "anima-turbo.safetensors").unlink()
    await panel.open()
    assert panel.line("Model") == "anima-turbo (not available now) · **yours** (bot: anima-base)"
    assert panel.line("Steps") == "30 · model default"
    await panel.choose("take-back", "model")
    assert await panel.kept() == {}
