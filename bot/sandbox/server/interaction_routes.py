"""Routes for answers to interactions: the callback and the interaction's webhook."""

from __future__ import annotations

from bot.sandbox.model.errors import JSON
from bot.sandbox.model.interactions import MODAL, Interaction
from bot.sandbox.model.messages import Body, Message
from bot.sandbox.server.requests import ApiCall
from bot.sandbox.server.routing import Answer, ApiContext, RouteTable

ROUTES = RouteTable()


@ROUTES.add("POST", "/interactions/{interaction_id}/{interaction_token}/callback", needs_bot_token=False)
def _respond(api: ApiContext, call: ApiCall) -> Answer:
    callback = call.body.payload
    body = Body(callback.get("data") or {}, call.files)
    type = callback.get("type")
    interaction = api.interactions.respond(call.ids["interaction_id"], call.token, type, body, call.arrived)
    if call.query.get("with_response", "").lower() not in ("1", "true"):
        return 204, None
    return 200, _callback_json(api, interaction)


def _callback_json(api: ApiContext, interaction: Interaction) -> JSON:
    assert interaction.callback is not None
    about: JSON = {"id": str(interaction.id), "type": interaction.type}
    answer: JSON = {"interaction": about}
    message = api.messages.get(interaction.original_id) if interaction.original_id else None
    if message is not None and interaction.callback.type != MODAL:
        about |= {
            "response_message_id": str(message.id),
            "response_message_loading": message.is_loading,
            "response_message_ephemeral": message.is_ephemeral,
        }
        kind = 4 if interaction.callback.type in (4, 5) else 7
        answer["resource"] = {"type": kind, "message": api.messages.as_json(message)}
    return answer


@ROUTES.add("GET", "/webhooks/{webhook_id}/{webhook_token}/messages/@original", needs_bot_token=False)
@ROUTES.add("GET", "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}", needs_bot_token=False)
def _get_answer(api: ApiContext, call: ApiCall) -> Answer:
    return 200, api.messages.as_json(_answer_message(api, call))


@ROUTES.add("PATCH", "/webhooks/{webhook_id}/{webhook_token}/messages/@original", needs_bot_token=False)
@ROUTES.add("PATCH", "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}", needs_bot_token=False)
def _edit_answer(api: ApiContext, call: ApiCall) -> Answer:
    return 200, api.messages.as_json(api.messages.edit(_answer_message(api, call), call.body))


@ROUTES.add("DELETE", "/webhooks/{webhook_id}/{webhook_token}/messages/@original", needs_bot_token=False)
@ROUTES.add("DELETE", "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}", needs_bot_token=False)
def _delete_answer(api: ApiContext, call: ApiCall) -> Answer:
    api.messages.delete(_answer_message(api, call))
    return 204, None


def _answer_message(api: ApiContext, call: ApiCall) -> Message:
    interaction = api.interactions.by_token(call.ids["webhook_id"], call.token)
    return api.interactions.message_of(interaction, call.ids.get("message_id"))


@ROUTES.add("POST", "/webhooks/{webhook_id}/{webhook_token}", needs_bot_token=False)
def _follow_up(api: ApiContext, call: ApiCall) -> Answer:
    interaction = api.interactions.by_token(call.ids["webhook_id"], call.token)
    return 200, api.messages.as_json(api.interactions.follow_up(interaction, call.body))
