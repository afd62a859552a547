"""Every handler acknowledges before it asks the database, and none replaces a message that others see."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import discord
import pytest
from sqlalchemy import event

import bot
from bot.commands.admin import ACTIONS
from bot.commands.admin import FORMS as ADMIN_FORMS
from bot.commands.operator.actions import OPERATOR_ACTIONS
from bot.commands.operator.forms import FORMS as OPERATOR_FORMS
from bot.components.base import DATABASE_UNAVAILABLE
from bot.components.edit_again import FORMS
from bot.jobs.acknowledgement import acknowledgements
from bot.messages.buttons import LABELS
from bot.rules.server_settings import ServerSettings
from bot.sandbox import FakeDiscord, InteractionHandle, Upload
from bot.sandbox.model.interactions import MODAL_SUBMIT
from storage.jobs import Jobs
from tests.bot.harness import Stage, interaction_tasks, until

#: A custom_id of every kind, with what is chosen in it if it is a select.
PRESSES: list[tuple[str, list[str] | None]] = [
    *((f"anima:{action}:{{job}}:0", None) for action in LABELS),
    *((f"anima:{what}:{{job}}", None) for what in ("cancel", "fixed", "triggers", "queue:cancel", "moderate:delete")),
    ("anima:pick:{job}", ["0"]),
    ("anima:edit-again:1", None),
    *((f"anima:{what}:1", None) for what in ("unshare", "unshare-for-good")),
    ("anima:describe:1:0", None),
    *((f"anima:described-{what}:1", None) for what in ("draw", "edit")),
    ("anima:queue", None),
    ("anima:history:older:999999999:", None),
    ("anima:history:show", ["{picture}"]),
    *((f"anima:history:{what}:{{picture}}", None) for what in ("again", "delete", "delete-for-good", "keep")),
    ("anima:history:again:{picture}:{job}", None),
    *((f"anima:privacy:{what}", None) for what in ("export", "erase", "erase:kept", "keep")),
    ("anima:help", ["begin"]),
    ("anima:example:0", None),
    ("anima:preferences:size", ["-"]),
    ("anima:preferences:turbo:on", None),
    ("anima:preferences:take-back", ["steps"]),
    ("anima:preferences:page:presets", None),
    *((f"anima:preferences:form:{form}", None) for form in ("numbers", "words", "loras", "preset")),
    ("anima:preferences:preset", ["0123456789abcdef"]),
    *((f"anima:preferences:{what}:0123456789abcdef", None) for what in ("apply", "delete")),
    *((f"anima-admin:{action}:1", ["1"]) for action in ACTIONS),
    *((f"anima:redraw-{what}", ["A1"]) for what in ("cells:{job}:0", "lines:{job}:0:1")),
    ("anima:redraw-chosen:{job}:0:1", None),
    *((f"anima-operator:{action}:1", ["1"]) for action in OPERATOR_ACTIONS),
]
#: Those that open a form, which has to be the first response: they may read what it shows.
OPENS_FORM = re.compile(
    r"anima:(edit|edit-all|save-as-preset|described-edit|redraw-chosen):.*|anima:edit-again:.*|anima:preferences:form:.*|anima-(admin|operator):form-.*"
)
#: What is sent with each form, by its name.
SUBMITTED = {
    "anima:edit-form": ["prompt:{job}:0", "negative:{job}:0", "seed:{job}:0", "settings:{job}:0"],
    "anima:picture-as-preset": ["name:{job}:0"],
    "anima:redraw-form": ["prompt:{job}:0:1", "strength:{job}:0:1"],
    "anima:report": ["reason:{job}"],
    "anima:description-form": ["prompt:1", "negative:1"],
    "anima:compare-form": ["prompt", "options"],
    "anima:preferences:preset": ["name"],
    **{f"anima:preferences:{form}": ["steps:-"] for form in ("numbers", "words", "loras")},
    **{
        f"anima-admin:form:{form}": [f"{field.key}:0" for field in spec.fields(ServerSettings())]
        for form, spec in ADMIN_FORMS.items()
    },
    **{f"anima-operator:form:{form}": list(spec.fields) for form, spec in OPERATOR_FORMS.items()},
}


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    """Bob is also an operator, and there may be a tagger."""
    stage = Stage(standin, tmp_path)
    stage.settings["anima_tagger"] = tmp_path / "no-tagger"
    stage.settings["operators"] = str(stage.bob.id)
    await stage.start()
    yield stage
    await stage.stop()


class AcknowledgementWatch:
    """Holds each first response back, and tells what the database was asked before it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._statements: list[tuple[int, str]] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        engine = self._stage.database._engine.sync_engine
        event.listen(engine, "before_cursor_execute", self._executed)
        yield
        event.remove(engine, "before_cursor_execute", self._executed)

    def _executed(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        payload = acknowledgements._received.get()
        if payload is not None and re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)", statement):
            self._statements.append((int(payload["id"]), statement))

    async def asked_before(self, sent: Any) -> list[str]:
        """`sent`: sends the interaction. Waits until it is handled."""
        fault = self._stage.discord.faults.hold("POST", "^/interactions/")
        handle = await sent if asyncio.iscoroutine(sent) else sent

        async def is_held() -> bool:
            return fault.hits == 1

        await until(is_held)
        asked = [statement for interaction_id, statement in self._statements if interaction_id == handle.id]
        fault.release()
        await handle.acknowledged()

        async def is_handled() -> bool:
            return not interaction_tasks()

        await until(is_handled)
        return asked


def is_allowed(asked: list[str]) -> bool:
    return asked == [] or (len(asked) == 1 and asked[0].startswith("INSERT INTO unanswered"))


@pytest.fixture
async def watch(stage: Stage) -> AsyncIterator[AcknowledgementWatch]:
    watch = AcknowledgementWatch(stage)
    with watch.listening():
        yield watch


async def test_no_button_or_select_asks_the_database_first_or_replaces_a_message_of_others(
    stage: Stage, watch: AcknowledgementWatch
) -> None:
    templates = list(stage.client._connection._view_store._dynamic_items)
    samples = [custom_id.format(job=1, picture=1) for custom_id, _ in PRESSES]
    assert [t.pattern for t in templates if not any(t.fullmatch(sample) for sample in samples)] == []
    _, public = await stage.draw("1girl", stage.emi)
    job, _ = await stage.draw("1girl, long_hair", stage.bob, count=2)
    picture = (await stage.database.images.of_job(job.id))[0].id
    wrong = []
    for custom_id, values in PRESSES:
        custom_id = custom_id.format(job=job.id, picture=picture)
        chosen = None if values is None else [value.format(picture=picture) for value in values]
        before = stage.discord.messages.get(public.id)
        assert before is not None
        shown = (before.content, before.components)
        asked = await watch.asked_before(stage.press_forged(public, custom_id, stage.bob, chosen))
        if OPENS_FORM.fullmatch(custom_id):
            asked = [each for each in asked if not each.lstrip().startswith("SELECT")]
        if not is_allowed(asked):
            wrong.append(f"{custom_id} asks first: {asked}")
        after = stage.discord.messages.get(public.id)
        if after is None or (after.content, after.components) != shown:
            wrong.append(f"{custom_id} replaces the message")
    assert wrong == []


async def test_no_form_asks_the_database_first_or_replaces_a_message_of_others(
    stage: Stage, watch: AcknowledgementWatch
) -> None:
    assert set(SUBMITTED) >= set(FORMS)
    _, public = await stage.draw("1girl", stage.emi)
    job, _ = await stage.draw("1girl")
    opened = await stage.press_forged(public, f"anima:edit:{job.id}:0", stage.bob)
    await opened.modal()
    wrong = []
    for name, fields in SUBMITTED.items():
        typed = [
            {
                "type": 18,
                "id": 2 * number,
                "component": {"type": 4, "id": 2 * number + 1, "custom_id": field, "value": "1"},
            }
            for number, field in enumerate((each.format(job=job.id) for each in fields), start=1)
        ]
        before = stage.discord.messages.get(public.id)
        data = {"custom_id": name, "components": typed}
        send = stage.discord.interactions.send
        sent = send(MODAL_SUBMIT, stage.bob, stage.general, data, source=public, opened_by=opened.interaction)
        asked = await watch.asked_before(InteractionHandle(sent, stage.discord))
        if not is_allowed(asked):
            wrong.append(f"{name} asks first: {asked}")
        if stage.discord.messages.get(public.id) != before:
            wrong.append(f"{name} replaces the message")
    assert wrong == []


async def test_no_command_asks_the_database_first(stage: Stage, watch: AcknowledgementWatch) -> None:
    needed: dict[str, dict[str, Any]] = {
        "anima imagine": {"prompt": "1girl"},
        "anima compare": {"prompt": "1girl", "columns": "cfg"},
        "anima describe": {"image": Upload("picture.png", b"none")},
    }
    slash = [
        each.qualified_name
        for each in stage.client.tree.walk_commands()
        if isinstance(each, discord.app_commands.Command)
    ]
    menus = [each.name for each in stage.client.tree.get_commands(type=discord.AppCommandType.message)]
    assert len(slash) >= 9 and len(menus) == 5
    _, message = await stage.draw("1girl", stage.emi)
    wrong = []
    for name in slash:
        asked = await watch.asked_before(stage.discord.slash(stage.bob, stage.general, name, needed.get(name)))
        wrong += [] if is_allowed(asked) else [f"{name}: {asked}"]
    for name in menus:
        asked = await watch.asked_before(stage.discord.menu(stage.bob, message, name))
        if name == "Anima: report":  # opens a form
            asked = [each for each in asked if not each.lstrip().startswith("SELECT")]
        wrong += [] if is_allowed(asked) else [f"{name}: {asked}"]
    assert wrong == []


async def test_a_form_is_not_waited_for_longer_than_a_second(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    _, message = await stage.draw("1girl")
    more = await (await stage.press(message, "More…")).response()
    monkeypatch.setattr(acknowledgements, "DATABASE_TIMEOUT", 0.01)
    get = Jobs.get

    async def slowly(self: Jobs, job_id: int) -> Any:
        await asyncio.sleep(0.1)
        return await get(self, job_id)

    monkeypatch.setattr(Jobs, "get", slowly)
    for shown, label in ((message, "Edit…"), (more, "Save as preset…")):
        told = await (await stage.press(shown, label)).response()
        assert told.is_ephemeral and told.text == DATABASE_UNAVAILABLE


def test_only_one_place_acknowledges_presses_that_replace_their_message() -> None:
    """So that a forged custom_id replaces no message that others see."""
    folder = Path(bot.__file__).parent
    found = {
        str(path.relative_to(folder))
        for path in (*(folder / "components").rglob("*.py"), *(folder / "commands").rglob("*.py"))
        if re.search(r"response\.(defer\(\)|edit_message)", path.read_text("utf-8"))
    }
    # A Cancel button leaves its message alone, and the help page looks at the message itself.
    assert found == {"components/base.py", "components/cancel.py", "commands/help.py"}
