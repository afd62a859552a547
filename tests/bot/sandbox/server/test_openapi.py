"""Bodies are checked against Discord's own OpenAPI document, with complaints that say what is wrong where."""

from __future__ import annotations

from typing import Any

import pytest

from bot.sandbox import FakeDiscord
from tests.bot.sandbox.conftest import DOCUMENT, request_as_bot

pytestmark = pytest.mark.skipif(
    not DOCUMENT.exists(), reason="Discord's OpenAPI document is not at ../shared/discord/openapi.json"
)

CREATE = ("POST", "/channels/{channel_id}/messages")
CALLBACK = ("POST", "/interactions/{interaction_id}/{interaction_token}/callback")


@pytest.fixture(scope="module")
def openapi() -> Any:
    from bot.sandbox.server.openapi import OpenApi

    return OpenApi(DOCUMENT)


@pytest.mark.parametrize(
    ("operation", "body", "complaints"),
    [
        (CREATE, {"content": "a"}, []),
        (CREATE, None, ["body: None is not of type 'object'"]),
        (CREATE, {"tts": "loud"}, ["tts: 'loud' is not of type 'boolean', 'null'"]),
        (CREATE, {"components": [{"type": 77}]}, ["components.0.type: 77 is not one of [1, 9, 10, 12, 13, 14, 17]"]),
        (CREATE, {"components": [{"type": 17}]}, ["components.0.components: This field is required"]),
        (
            CREATE,
            {"components": [{"type": 1, "components": [{"type": 2, "style": 9}]}]},
            ["components.0.components.0.style: Value must be one of (1, 2, 3, 4, 5, 6)."],
        ),
        (CREATE, {"nonce": "x" * 26}, [f"nonce: '{'x' * 26}' is too long"]),
        (CREATE, {"attachments": [{"id": 0}, {"id": "12"}, {"id": "x"}]}, ["attachments.2.id: 'x' does not match"]),
        (CALLBACK, {"type": 5}, []),
        (CALLBACK, {"type": 3}, ["type: 3 is not one of [1, 4, 5, 6, 7, 8, 9, 12, 13]"]),
        (CALLBACK, {"type": 4, "data": {"content": 3}}, ["data.content: 3 is not of type 'string', 'null'"]),
        (CALLBACK, {"type": 9, "data": {"custom_id": "a"}}, ["data.title: This", "data.components: This"]),
        (CALLBACK, {"type": 8, "data": {"choices": [{"name": "", "value": 1}]}}, ["data.choices.0.name: ''"]),
        (("PUT", "/applications/{application_id}/commands"), [{}], ["0.name: This field is required"]),
        (("POST", "/unknown"), {"anything": 1}, ["body: The document has no POST /unknown."]),
        (("PUT", "/gateway"), None, ["body: The document has no PUT /gateway."]),
    ],
)
def test_complaints_are_about_what_was_meant(openapi: Any, operation: Any, body: Any, complaints: list[str]) -> None:
    found = [str(complaint) for complaint in openapi.check_request(*operation, body)]
    assert len(found) == len(complaints)
    for complaint, start in zip(sorted(found), sorted(complaints), strict=True):
        assert complaint.startswith(start)


def test_answers_write_snowflakes_as_strings(openapi: Any) -> None:
    answer = {"url": "wss://a", "shards": 1, "session_start_limit": dict.fromkeys(("total", "remaining"), 1)}
    found = openapi.check_answer("GET", "/gateway/bot", 200, answer)
    assert {complaint.path[-1] for complaint in found} == {"reset_after", "max_concurrency"}
    assert openapi.check_answer("GET", "/users/{user_id}", 200, {"id": 5})[0].code
    assert openapi.check_answer("GET", "/users/{user_id}", 404, {"code": 10013, "message": "Unknown User"}) == ()
    assert openapi.check_answer("GET", "/users/{user_id}", 404, {"code": "10013"})


async def test_a_request_that_the_document_does_not_know_is_a_violation(standin: FakeDiscord) -> None:
    status, _ = await request_as_bot(standin, "POST", "/channels/12/sing", {})
    assert status == 404
    assert standin.openapi is not None
    [violation] = standin.openapi.violations
    assert str(violation).endswith("The document has no POST /channels/12/sing.")


async def test_a_violation_is_recorded_and_answered_readably(standin: FakeDiscord) -> None:
    path = f"/channels/{standin.world.general.id}/messages"
    status, answer = await request_as_bot(standin, "POST", path, {"content": "a", "tts": "loud"})
    assert (status, answer["code"]) == (400, 50035)
    assert answer["errors"]["tts"]["_errors"][0]["message"] == "'loud' is not of type 'boolean', 'null'"
    assert standin.openapi is not None
    [violation] = standin.openapi.violations
    assert str(violation) == (
        "request of POST /channels/{channel_id}/messages: tts: 'loud' is not of type 'boolean', 'null'"
    )
