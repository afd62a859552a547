"""Whatever was typed, messages keep to Discord's limits and markup stays intact."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any

import pytest
from discord import ui
from hypothesis import given
from hypothesis import strategies as st

from bot.components.base import Modal
from bot.generation.spec import JobSpec
from bot.messages import job as messages
from bot.messages.fit import ELLIPSIS, length, truncate_to_limit
from bot.messages.job import QueueStatus
from bot.messages.layout import StaticLayout
from bot.sandbox.model.components import check_in_message, walk
from bot.sandbox.model.errors import FormErrors
from bot.text.markdown import blockquote
from storage.images import Image
from tests.bot.harness import Stage
from tests.bot.jobs.delivery.test_progress import a_job

#: Characters that are escaped, marked up, wide, or separate lines.
HOSTILE = st.one_of(
    st.text(st.sampled_from("\\*_~`|[]()<>@#:/ \n\r\u2028a😀ÄÅ"), max_size=5000),
    st.sampled_from(["*" * 5000, "\\" * 4999, "😀" * 5000, "[" * 3000, "`" * 4001, "\n" * 4000, "a\n" * 3000, ""]),
)


class HostileForm(Modal):
    name = "anima:hostile-form"


def checked(view: StaticLayout) -> list[dict[str, Any]]:
    """The components as they are sent, after the stand-in has found nothing wrong with them."""
    components = view.to_components()
    errors = FormErrors()
    check_in_message(components, True, errors)
    errors.raise_if_any()
    return components


def text_of(components: list[dict[str, Any]]) -> str:
    return "\n".join(each["content"] for _, each in walk(components) if "content" in each)


@given(HOSTILE)
def test_every_message_of_a_job_fits(prompt: str) -> None:
    job = a_job(prompt=prompt)
    for view in (
        messages.queued(job, QueueStatus(3, None), "a note " + prompt),
        messages.in_progress(job, 0.5, 2, 4),
        messages.cancelled(job),
        messages.moved(job, None),
        messages.failed(job, prompt),
        messages.interruption_notice(job),
    ):
        assert length(text_of(checked(view))) <= 4000


@given(HOSTILE, HOSTILE)
def test_texts_fit_together_and_short_lines_are_kept(first: str, second: str) -> None:
    caption = "-# <@7> · a caption"
    shown = checked(StaticLayout(ui.TextDisplay(f"> {first}"), ui.TextDisplay(f"{second}\n{caption}")))
    assert length(text_of(shown)) <= 4001
    if max(length(line) for line in f"{first}\n{second}".split("\n")) > 3900:
        assert caption in text_of(shown)


@given(HOSTILE, st.integers(1, 300))
def test_a_cut_never_splits_an_escape(text: str, longest: int) -> None:
    escaped = blockquote(text, 5000)
    short = truncate_to_limit(escaped, longest)
    assert 0 < length(short) <= longest or short == escaped
    if short != escaped:
        trailing = re.search(r"\\*\Z", short.removesuffix(ELLIPSIS))
        assert trailing is not None and len(trailing[0]) % 2 == 0


@pytest.mark.parametrize(
    ("text", "longest", "shown"),
    [
        ("one two three", 8, "one two…"),
        ("by <@123456789> and others", 10, "by…"),
        ("see [varied](https://example.org/x) there", 20, "see…"),
        ("a `sampler_name` here", 10, "a…"),
        ("**bold words** here", 9, "…"),
        ("😀😀😀😀", 5, "😀😀…"),
    ],
)
def test_a_cut_leaves_no_markup_open(text: str, longest: int, shown: str) -> None:
    assert truncate_to_limit(text, longest) == shown


@given(HOSTILE)
def test_labels_options_and_alt_texts_fit(text: str) -> None:
    label = text.strip() or "x"
    rows: list[Any] = [
        ui.ActionRow(ui.Button(label=label, custom_id="a")),
        ui.ActionRow(ui.Select(custom_id="b", placeholder=label, options=[])),
    ]
    rows[1].children[0].add_option(label=label, value="1", description=label)
    checked(StaticLayout(*rows))


@given(HOSTILE)
def test_forms_fit(text: str) -> None:
    field: ui.Label[Any] = ui.Label(
        text=text or "x", description=text, component=ui.TextInput(custom_id="c", default=text)
    )
    modal = HostileForm(text or "x", [field]).to_dict()
    assert length(modal["title"]) <= 45
    [label] = modal["components"]
    assert length(label["label"]) <= 45 and length(label.get("description") or "") <= 100
    assert len(label["component"].get("value") or "") <= 4000


def an_image(index: int, prompt: str) -> Image:
    known: dict[str, Any] = dict.fromkeys(field.name for field in fields(Image))
    known |= {"id": index, "job_id": 1, "index": index, "prompt": prompt, "seed": index, "spoiler": False}
    return Image(**known | {"file_name": f"{index}.png", "notes": (f"{prompt} {index}",)})


@given(HOSTILE)
def test_four_finished_images_fit_with_all_their_buttons(prompt: str) -> None:
    one = JobSpec.of(a_job())
    job = a_job(prompt=prompt, parameters=replace(one, recipes=one.recipes * 4).as_json())
    images = [an_image(index, prompt) for index in range(4)]
    components = checked(messages.finished(job, images, [image.file_name for image in images], None, prompt))
    assert sum(1 for _ in walk(components)) <= 40
    assert len([1 for _, each in walk(components) if each["type"] == 2]) > 8, "the buttons are all there"


async def test_history_and_info_of_four_images_with_long_prompts_fit(stage: Stage) -> None:
    """The stand-in refuses what is beyond Discord's limits."""
    for prompt in ("*" * 3000, "a\n" * 1000, "😀" * 700):
        _, message = await stage.draw(prompt, count=4, negative="\\_" * 1000)
        info = await (await stage.press_more(message, "Info")).response()
        assert len(list(info.inputs())) <= 40 and length(info.text) <= 4000
    history = await stage.answer("history")
    assert "😀" in history.text and length(history.text) <= 4000
