"""Routes that register, read, change and delete the application's commands, globally or for one server."""

from __future__ import annotations

from bot.sandbox.server.requests import ApiCall
from bot.sandbox.server.routing import Answer, ApiContext, RouteTable

ROUTES = RouteTable()


@ROUTES.add("GET", "/applications/{application_id}/commands")
@ROUTES.add("GET", "/applications/{application_id}/guilds/{guild_id}/commands")
def _list_commands(api: ApiContext, call: ApiCall) -> Answer:
    return 200, api.commands.of(_scope(api, call))


def _scope(api: ApiContext, call: ApiCall) -> int | None:
    api.check_application(call.ids["application_id"])
    return api.guild(call.ids["guild_id"]).id if "guild_id" in call.ids else None


@ROUTES.add("PUT", "/applications/{application_id}/commands")
@ROUTES.add("PUT", "/applications/{application_id}/guilds/{guild_id}/commands")
def _sync_commands(api: ApiContext, call: ApiCall) -> Answer:
    return 200, api.commands.overwrite(_scope(api, call), call.payload)


@ROUTES.add("POST", "/applications/{application_id}/commands")
@ROUTES.add("POST", "/applications/{application_id}/guilds/{guild_id}/commands")
def _create_command(api: ApiContext, call: ApiCall) -> Answer:
    scope = _scope(api, call)
    before = len(api.commands.of(scope))
    command = api.commands.upsert(scope, call.body.payload)
    return 201 if len(api.commands.of(scope)) > before else 200, command


@ROUTES.add("GET", "/applications/{application_id}/commands/{command_id}")
@ROUTES.add("GET", "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}")
def _get_command(api: ApiContext, call: ApiCall) -> Answer:
    return 200, api.commands.get(_scope(api, call), call.ids["command_id"])


@ROUTES.add("PATCH", "/applications/{application_id}/commands/{command_id}")
@ROUTES.add("PATCH", "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}")
def _edit_command(api: ApiContext, call: ApiCall) -> Answer:
    return 200, api.commands.update(_scope(api, call), call.ids["command_id"], call.body.payload)


@ROUTES.add("DELETE", "/applications/{application_id}/commands/{command_id}")
@ROUTES.add("DELETE", "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}")
def _delete_command(api: ApiContext, call: ApiCall) -> Answer:
    api.commands.delete(_scope(api, call), call.ids["command_id"])
    return 204, None
