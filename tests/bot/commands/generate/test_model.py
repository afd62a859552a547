"""Several diffusion models in the folder: chosen by command, preset, person and server, and kept by their images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bot.generation.compose import MODEL_GONE
from bot.generation.spec import JobSpec
from bot.messages.job import MODEL_REMOVED
from bot.rules.policy import SENTENCES, RefusalReason
from bot.rules.server_settings import Access, ServerDefaults, ServerSettings
from bot.sandbox import InteractionHandle, Message, Upload
from inference import GenerationRequest, InvalidRequest
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.harness import Stage, until
from tests.header_only import write_diffusion_model

BASE, TURBO, PORTRAITS = "anima-base-v1.0", "anima-turbo-v1.0", "mine/portraits"


def put_model(folder: Path, name: str, **metadata: Any) -> Path:
    return write_diffusion_model(folder / "diffusion_models" / f"{name}.safetensors", **metadata)


@pytest.fixture(autouse=True)
def models(stage: Stage) -> Path:
    put_model(stage.models, BASE, modelspec__resolution="64x64")
    put_model(stage.models, TURBO, modelspec__resolution="96x96")
    put_model(
        stage.models,
        PORTRAITS,
        modelspec__resolution="64x64",
        modelspec__anima__steps="20",
        modelspec__anima__prefix="portrait, ",
    )
    stage.engine.loaded_models = (TURBO,)
    return stage.models


async def configure(stage: Stage, settings: ServerSettings) -> None:
    changes = ServerSettings().changes_to(settings)
    await stage.database.servers.change(stage.general.guild.id, changes, by=stage.bob.id)


async def prefer(stage: Stage, **defaults: Any) -> None:
    await stage.database.preferences.change_defaults(stage.alice.id, defaults)


async def drawn(stage: Stage, **options: Any) -> GenerationRequest:
    await stage.draw("1girl", **options)
    return stage.engine.requests[-1]


async def finished(stage: Stage, interaction: InteractionHandle) -> tuple[Job, Message]:
    await interaction.acknowledged()
    job = await until(lambda: stage.database.jobs.by_interaction(interaction.id))
    job = await stage.in_state(job.id, JobState.DELIVERED)
    message = stage.discord.messages.get(job.message_id)
    assert message is not None
    return job, message


async def press(stage: Stage, message: Message, label: str) -> GenerationRequest:
    pressed = await (stage.press_more if label == "Vary (subtle)" else stage.press)(message, label)
    await finished(stage, pressed)
    return stage.engine.requests[-1]


async def refused(stage: Stage, **options: Any) -> str:
    told = await (await stage.slash("imagine", prompt="1girl", **options)).followup()
    assert told.is_ephemeral and stage.engine.requests == []
    return str(told.text)


# --- Which one holds ---


async def test_the_operators_default_draws_where_nobody_chooses(stage: Stage) -> None:
    assert (await drawn(stage)).model == BASE


async def test_a_chosen_model_brings_its_size_steps_cfg_sampler_and_quality_tags(stage: Stage) -> None:
    turbo = await drawn(stage, model=TURBO)
    assert (turbo.model, turbo.width, turbo.steps, turbo.cfg_scale, turbo.sampler) == (TURBO, 96, 10, 1.0, "euler")
    portrait = await drawn(stage, model="Portraits")
    assert (portrait.model, portrait.width, portrait.steps, portrait.cfg_scale) == (PORTRAITS, 64, 20, 4.0)
    assert portrait.prompt == "safe, portrait, 1girl" and "masterpiece" in turbo.prompt


async def test_server_and_user_settings_apply_to_every_model(stage: Stage) -> None:
    await configure(stage, ServerSettings(defaults=ServerDefaults(steps=7, prefix="ours, ")))
    await prefer(stage, cfg_scale=2.0)
    turbo = await drawn(stage, model=TURBO)
    assert (turbo.steps, turbo.cfg_scale, turbo.sampler) == (7, 2.0, "euler")
    assert turbo.prompt == "safe, ours, 1girl"


async def test_the_command_wins_over_the_preset_that_over_the_person_and_that_over_the_server(stage: Stage) -> None:
    await configure(stage, ServerSettings(defaults=ServerDefaults(model=TURBO)))
    assert (await drawn(stage)).model == TURBO
    await prefer(stage, model=PORTRAITS)
    assert (await drawn(stage)).model == PORTRAITS
    await stage.database.preferences.save_preset(stage.alice.id, "Quick", {"model": TURBO})
    assert (await drawn(stage, preset="Quick")).model == TURBO
    assert (await drawn(stage, preset="Quick", model=BASE)).model == BASE


async def test_an_unavailable_default_model_is_skipped(stage: Stage) -> None:
    await configure(stage, ServerSettings(defaults=ServerDefaults(model=TURBO)))
    await prefer(stage, model="gone")
    assert (await drawn(stage)).model == TURBO


async def test_a_ratio_is_of_the_chosen_models_size(stage: Stage) -> None:
    turbo = await drawn(stage, model=TURBO, aspect="1:1")
    assert (turbo.width, turbo.height) == (96, 96)


# --- What is not there, or not allowed ---


async def test_an_unknown_model_is_refused_with_the_names_of_those_there_are(stage: Stage) -> None:
    told = await refused(stage, model="sdxl")
    assert told == f"There is no model called “sdxl”. There are: {BASE}, {TURBO}, {PORTRAITS}."


async def test_a_server_may_limit_which_models_its_members_use(stage: Stage) -> None:
    await configure(stage, ServerSettings(access=Access(models=(TURBO, PORTRAITS, "gone"))))
    sentence = SENTENCES[RefusalReason.MODEL].format(name=BASE, models=f"{TURBO}, {PORTRAITS}")
    assert await refused(stage, model=BASE) == sentence
    assert (await drawn(stage)).model == TURBO, "the first that may be used, as the operator's default may not"
    await prefer(stage, model=BASE)
    assert (await drawn(stage)).model == TURBO
    offered = await stage.discord.autocomplete(
        stage.alice, stage.general, "anima imagine", "model", "", {"prompt": "1girl"}
    )
    assert [choice.value for choice in offered] == [TURBO, PORTRAITS]


async def test_if_no_allowed_model_is_left_the_refusal_says_whom_to_ask(stage: Stage) -> None:
    await configure(stage, ServerSettings(access=Access(models=("gone",))))
    assert await refused(stage) == SENTENCES[RefusalReason.NO_MODEL]


async def test_the_area_limit_is_a_multiple_of_the_chosen_models_own(stage: Stage) -> None:
    assert (await drawn(stage, model=TURBO, aspect="144x144")).width == 144
    told = await (await stage.slash("imagine", prompt="1girl", aspect="144x144")).followup()
    assert "144x144 is too large" in told.text


# --- What it costs ---


async def test_the_price_is_the_work_compared_with_the_default_models_own_picture(stage: Stage) -> None:
    put_model(stage.models, "deep", modelspec__resolution="64x64", blocks=3)
    usual, _ = await stage.draw("1girl")
    turbo, _ = await stage.draw("1girl", model=TURBO)
    deep, _ = await stage.draw("1girl", model="deep")
    assert usual.cost == 1.0
    assert turbo.cost == pytest.approx((96 * 96 * 10) / (64 * 64 * 30 * 2))
    assert deep.cost == pytest.approx(1.5), "half as many blocks more"


# --- Autocomplete ---


async def offered(stage: Stage, typed: str = "", option: str = "model", **filled: Any) -> list[str]:
    found = await stage.discord.autocomplete(
        stage.alice, stage.general, "anima imagine", option, typed, {"prompt": "1girl", **filled}
    )
    return [choice.name for choice in found]


async def test_models_are_offered_with_their_variant_and_which_is_the_default_and_which_is_loaded(stage: Stage) -> None:
    assert await offered(stage) == [
        f"{BASE} — base model, default",
        f"{TURBO} — turbo model, needs few steps, loaded",
        f"{PORTRAITS} — base model",
    ]
    assert await offered(stage, "PORT") == [f"{PORTRAITS} — base model"]
    await prefer(stage, model=PORTRAITS)
    assert f"{PORTRAITS} — base model, default" in await offered(stage)


async def test_the_only_model_is_offered_whatever_is_typed(stage: Stage) -> None:
    for name in (TURBO, PORTRAITS):
        (stage.models / "diffusion_models" / f"{name}.safetensors").unlink()
    assert await offered(stage, "xyz") == [f"{BASE} — base model, default"]


async def test_sizes_are_offered_of_the_model_chosen_so_far(stage: Stage) -> None:
    assert await offered(stage, option="aspect") == ["square 1:1, 64x64"]
    assert await offered(stage, option="aspect", model=TURBO) == ["square 1:1, 96x96"]


# --- What images keep ---


async def test_a_message_names_the_model_where_it_is_not_the_servers_default(stage: Stage) -> None:
    _, usual = await stage.draw("1girl")
    _, other = await stage.draw("1girl", model=TURBO)
    assert BASE not in usual.text and TURBO in other.text
    await configure(stage, ServerSettings(defaults=ServerDefaults(model=TURBO)))
    _, usual = await stage.draw("1girl")
    _, other = await stage.draw("1girl", model=BASE)
    assert TURBO not in usual.text and BASE in other.text


async def test_info_and_history_say_which_model_it_was(stage: Stage) -> None:
    _, usual = await stage.draw("1girl")
    info = await (await stage.press_more(usual, "Info")).response()
    assert f"**Model** {BASE}" in info.text
    await stage.draw("1girl", model=TURBO)
    history = await stage.answer("history")
    newest = history.inputs()[0]["options"][0]["value"]
    shown = await (await stage.discord.choose(stage.alice, history, "anima:history:show", [newest])).response()
    assert TURBO in shown.text


@pytest.mark.parametrize("label", ["Re-roll", "Vary", "Upscale", "Vary (subtle)"])
async def test_images_made_from_an_image_keep_its_model(stage: Stage, label: str) -> None:
    _, message = await stage.draw("1girl", model=TURBO, aspect="64x64")
    again = await press(stage, message, label)
    assert (again.model, again.steps) == (TURBO, 10)


async def test_images_keep_their_model_when_defaults_change(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    await prefer(stage, model=TURBO)
    await configure(stage, ServerSettings(defaults=ServerDefaults(model=PORTRAITS)))
    assert (await press(stage, message, "Re-roll")).model == BASE


async def test_the_edit_form_shows_the_model_and_takes_another(stage: Stage) -> None:
    _, message = await stage.draw("1girl", model=TURBO)
    form = await (await stage.press(message, "Edit…")).modal()
    filled = {field["custom_id"].partition(":")[0]: field.get("value") for _, field in form.inputs()}
    assert filled["settings"] == f"96x96, 10 steps, CFG 1, simple, {TURBO}"
    label = "Size, steps, CFG, scheduler, model"
    await finished(stage, await stage.discord.submit(stage.alice, form, {label: "5 steps"}))
    assert (stage.engine.requests[-1].model, stage.engine.requests[-1].steps) == (TURBO, 5)
    form = await (await stage.press(message, "Edit…")).modal()
    await finished(stage, await stage.discord.submit(stage.alice, form, {label: "9 steps, Anima-Base-v1.0"}))
    assert (stage.engine.requests[-1].model, stage.engine.requests[-1].steps) == (BASE, 9)


async def test_an_image_whose_model_is_gone_is_drawn_with_the_usual_one_with_a_note(stage: Stage) -> None:
    _, message = await stage.draw("1girl", model=TURBO, aspect="64x64")
    (stage.models / "diffusion_models" / f"{TURBO}.safetensors").unlink()
    pressed = await stage.press(message, "Re-roll")
    await finished(stage, pressed)
    assert stage.engine.requests[-1].model == BASE
    told = await pressed.followup()
    assert told.text == f"The model “{TURBO}” is no longer available, so “{BASE}” is used instead."
    assert told.is_ephemeral


async def test_drawing_again_exactly_is_refused_without_the_model(stage: Stage) -> None:
    _, message = await stage.draw("1girl", model=TURBO)
    again = await finished(stage, await stage.discord.menu(stage.alice, message, "Anima: draw again"))
    assert stage.engine.requests[-1].model == TURBO and again[0].kind == "again"
    (stage.models / "diffusion_models" / f"{TURBO}.safetensors").unlink()
    told = await (await stage.discord.menu(stage.alice, message, "Anima: draw again")).followup()
    assert told.text == MODEL_GONE.format(name=TURBO, names=f"{BASE}, {PORTRAITS}")
    assert len(stage.engine.requests) == 2


async def test_a_job_of_an_earlier_release_is_of_the_default_model(stage: Stage) -> None:
    job, _ = await stage.draw("1girl")
    old = {key: value for key, value in job.parameters.items() if key != "usual_model"}
    old["recipes"] = [{key: value for key, value in each.items() if key != "model"} for each in old["recipes"]]
    old["options"] = {key: value for key, value in old["options"].items() if key != "model"}
    assert [recipe.model for recipe in JobSpec.of(_Stored(old)).recipes] == [""]  # type: ignore[arg-type]


class _Stored:
    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters


@pytest.mark.parametrize(
    ("named", "drawn_with", "note"),
    [
        (f"{TURBO}.safetensors", TURBO, ""),
        ("mine\\portraits.safetensors", PORTRAITS, ""),
        ("illustrious.safetensors", BASE, "made with the model “illustrious.safetensors”, which isn't available"),
        (None, BASE, ""),
    ],
)
async def test_an_images_file_is_drawn_with_the_model_that_it_names_if_there_is_one(
    stage: Stage, named: str | None, drawn_with: str, note: str
) -> None:
    texts = PngInfo()
    model = "" if named is None else f", Model: {named}"
    texts.add_text("parameters", f"1girl\nSteps: 4, Sampler: Euler, CFG scale: 4, Seed: 1, Size: 64x64{model}")
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "PNG", pnginfo=texts)
    message = await stage.discord.say(stage.bob, stage.general, "look", (Upload("theirs.png", file.getvalue()),))
    interaction = await stage.discord.menu(stage.alice, message, "Anima: draw again")
    await finished(stage, interaction)
    assert stage.engine.requests[-1].model == drawn_with
    if note:
        assert note in (await interaction.followup()).text


# --- Comparing ---


async def compared(stage: Stage, **options: Any) -> Job:
    interaction = await stage.slash("compare", prompt="1girl", **options)
    job, _ = await finished(stage, interaction)
    return job


async def test_models_are_compared_in_one_size_each_with_its_own_settings(stage: Stage) -> None:
    job = await compared(stage, columns="model")
    cells = [(each.model, each.width, each.steps, each.cfg_scale) for each in stage.engine.requests]
    assert sorted(cells) == sorted([(BASE, 64, 30, 4.0), (TURBO, 64, 10, 1.0), (PORTRAITS, 64, 20, 4.0)])
    assert len({each.seed for each in stage.engine.requests}) == 1
    comparison = JobSpec.of(job).comparison
    assert comparison is not None and comparison.labels == [BASE, TURBO, PORTRAITS]


async def test_chosen_and_varied_settings_apply_to_every_compared_model(stage: Stage) -> None:
    await compared(stage, columns="model", column_values=f"{BASE}, turbo", rows="steps", row_values="3, 5", cfg=2.0)
    cells = {(each.model, each.steps, each.cfg_scale) for each in stage.engine.requests}
    assert cells == {(name, steps, 2.0) for name in (BASE, TURBO) for steps in (3, 5)}


async def test_a_comparison_of_models_is_the_same_when_it_is_rolled_again(stage: Stage) -> None:
    job = await compared(stage, columns="model", steps=6)
    first = {(each.model, each.steps, each.cfg_scale) for each in stage.engine.requests}
    message = stage.discord.messages.get(job.message_id)
    assert message is not None
    stage.engine.requests.clear()
    await finished(stage, await stage.press(message, "Re-roll"))
    assert {(each.model, each.steps, each.cfg_scale) for each in stage.engine.requests} == first
    (stage.models / "diffusion_models" / f"{TURBO}.safetensors").unlink()
    told = await (await stage.press(message, "Re-roll")).followup()
    assert told.text == f"There is no model called “{TURBO}”. There are: {BASE}, {PORTRAITS}."


async def test_values_of_the_axis_are_completed_and_one_model_cannot_be_compared(stage: Stage) -> None:
    async def values(typed: str) -> list[str]:
        filled = {"prompt": "1girl", "columns": "model"}
        found = await stage.discord.autocomplete(
            stage.alice, stage.general, "anima compare", "column_values", typed, filled
        )
        return [choice.value for choice in found]

    assert f"{BASE}, {TURBO}, {PORTRAITS}" in await values("")
    assert await values(f"{BASE}, port") == [f"{BASE}, {PORTRAITS}"]
    for name in (TURBO, PORTRAITS):
        (stage.models / "diffusion_models" / f"{name}.safetensors").unlink()
    told = await (await stage.slash("compare", prompt="1girl", columns="model")).followup()
    assert "only one model here" in told.text


# --- Sharing a batch ---


async def test_jobs_of_different_models_do_not_share_a_batch(stage: Stage) -> None:
    stage.engine.hold()
    first = await stage.in_state((await stage.ask("first")).id, JobState.RUNNING)
    waiting = [await stage.ask("1girl", model=model, aspect="64x64", steps=4, cfg=4.0) for model in (BASE, PORTRAITS)]
    stage.engine.let_go()
    for job in (first, *waiting):
        await stage.in_state(job.id, JobState.DELIVERED)
    assert all(len({request.model for request in batch}) == 1 for batch in stage.engine.batches)


# --- Removed while it waits ---


async def test_a_queued_job_whose_model_is_removed_is_refunded_with_an_explanation(stage: Stage) -> None:
    stage.engine.errors = [InvalidRequest(f"model: there is no diffusion model {TURBO!r}.")]
    job = await stage.ask("1girl", model=TURBO)
    await stage.in_state(job.id, JobState.FAILED)

    async def told() -> str | None:
        message = stage.discord.messages.get(job.message_id)
        return message.text if message is not None and MODEL_REMOVED in message.text else None

    assert "You were not charged." in await until(told)
