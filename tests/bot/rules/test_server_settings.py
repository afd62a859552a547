"""A server's settings: their JSON, defaults and mistakes."""

import json
from dataclasses import fields
from pathlib import Path
from types import EllipsisType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bot.generation.options import Options
from bot.rules.policy import effective_limits
from bot.rules.server_settings import (
    Access,
    Quota,
    Safety,
    ServerDefaults,
    ServerLimits,
    ServerSettings,
    limit_outside_servers,
    load_server_settings,
)
from inference import NativeSettings
from inference.request import SAMPLERS, SCHEDULERS
from storage.database import Database
from storage.servers import EVERYWHERE

ANIMA = NativeSettings(sizes=((832, 1216), (64, 64)), steps=30, cfg_scale=4.0, sampler="er_sde", scheduler="simple")

ids = st.integers(1, 2**63 - 1)
many_ids = st.lists(ids, max_size=4).map(tuple)
sides = st.integers(4, 256).map(lambda sixteenths: sixteenths * 16)
texts = st.text(max_size=40)
credits = st.floats(0, 1000)

every_settings = st.builds(
    ServerSettings,
    defaults=st.builds(
        ServerDefaults,
        size=st.none() | st.tuples(sides, sides),
        steps=st.none() | st.integers(1, 1000),
        cfg_scale=st.none() | st.floats(1, 100),
        sampler=st.none() | st.sampled_from(SAMPLERS),
        scheduler=st.none() | st.sampled_from(SCHEDULERS),
        prefix=texts,
        negative=texts,
        artist=texts,
        loras=st.lists(st.tuples(st.text(min_size=1, max_size=40), st.floats(-10, 10)), max_size=4).map(tuple),
        denoise=st.none() | st.floats(0.05, 1),
        count=st.integers(1, 4),
    ),
    limits=st.builds(
        ServerLimits,
        side=st.none() | sides,
        megapixels=st.none() | st.floats(0.1, 16),
        steps=st.none() | st.integers(1, 1000),
        count=st.integers(1, 4),
        waiting=st.integers(1, 500),
        compared=st.integers(0, 16),
        times_native=st.floats(0.1, 64),
        upscaled_times_native=st.none() | st.floats(0.1, 64),
    ),
    quota=st.builds(
        Quota, credits=st.none() | credits, roles=st.dictionaries(ids, credits, max_size=4), unlimited_roles=many_ids
    ),
    access=st.builds(Access, channels=many_ids, roles=many_ids),
    safety=st.builds(
        Safety, safe_channels=many_ids, blocked_words=st.lists(st.text(min_size=1, max_size=60), max_size=4).map(tuple)
    ),
)


@settings(deadline=None)
@given(every_settings)
def test_settings_come_back_from_json_as_they_were(settings: ServerSettings) -> None:
    document = json.loads(json.dumps(settings.as_json()))
    assert ServerSettings.of(document) == settings


@settings(deadline=None)
@given(every_settings, every_settings)
def test_the_changes_make_one_document_of_another(before: ServerSettings, after: ServerSettings) -> None:
    document = {**before.as_json(), **before.changes_to(after)}
    assert ServerSettings.of({key: value for key, value in document.items() if value is not None}) == after
    assert before.changes_to(before) == {}


def test_only_what_was_set_is_written() -> None:
    assert ServerSettings().as_json() == {}
    assert ServerSettings(limits=ServerLimits(steps=40), paused=True).as_json() == {
        "limits": {"steps": 40},
        "paused": True,
    }


def test_missing_and_newer_keys_are_accepted() -> None:
    assert ServerSettings.of({}) == ServerSettings()
    assert ServerSettings.of({"limits": {"steps": 9, "moons": 2}, "moons": {}}) == ServerSettings(
        limits=ServerLimits(steps=9)
    )


@pytest.mark.parametrize(
    "document",
    [
        {"paused": "yes"},
        {"paused": 1},
        {"limits": None},
        {"limits": {"steps": "30"}},
        {"limits": {"steps": 30.0}},
        {"limits": {"steps": 0}},
        {"limits": {"count": 5}},
        {"limits": {"megapixels": -1}},
        {"limits": {"side": 1001}},
        {"defaults": {"sampler": "magic"}},
        {"defaults": {"size": [1024]}},
        {"defaults": {"cfg_scale": 0.5}},
        {"defaults": {"artist": "x" * 201}},
        {"defaults": {"loras": [["style", 10.5]]}},
        {"defaults": {"loras": [["", 1.0]]}},
        {"defaults": {"loras": [["style", 1.0]] * 5}},
        {"defaults": {"denoise": 0.04}},
        {"defaults": {"denoise": 1.01}},
        {"limits": {"compared": 17}},
        {"quota": {"credits": -1}},
        {"quota": {"roles": {"moderator": 5}}},
        {"access": {"channels": 7}},
        {"safety": {"blocked_words": [""]}},
    ],
)
def test_wrong_types_and_values_are_mistakes(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServerSettings.of(document)


def test_a_person_has_the_best_quota_of_everyone_and_their_roles() -> None:
    quota = Quota(credits=10, roles={1: 5, 2: 20, 3: 30}, unlimited_roles=(4,))
    assert quota.of([]) == quota.of([1]) == quota.of([99]) == 10
    assert quota.of([1, 2]) == 20
    assert quota.of([2, 3]) == 30
    assert quota.of([1, 4]) is None
    assert Quota(credits=None, roles={1: 5}).of([1]) is None, "everyone is without limit, so a role takes nothing away"


def test_our_defaults_are_within_their_own_limits() -> None:
    everything = TypeAdapter(ServerSettings).dump_json(ServerSettings())
    assert TypeAdapter(ServerSettings).validate_json(everything, strict=True) == ServerSettings()


async def test_outside_of_servers_the_operators_settings_apply(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/anima.db")
    try:
        await database.servers.change(EVERYWHERE, {"paused": True}, by=1)
        await database.servers.change(7, {"limits": {"steps": 3}}, by=1)
        outside = ServerSettings(quota=Quota(10.0), safety=Safety(always_safe=True), paused=True)
        assert await load_server_settings(database.servers, None) == outside
        assert await load_server_settings(database.servers, 7) == ServerSettings(limits=ServerLimits(steps=3))
        assert await load_server_settings(database.servers, 8) == ServerSettings()
    finally:
        await database.close()


def test_a_server_that_never_set_anything_says_nothing_that_the_model_could_know() -> None:
    untouched = ServerDefaults().options().merged_over(Options.of_model(ANIMA))
    assert untouched == Options.of_model(ANIMA)


def test_every_default_of_a_server_is_a_layer() -> None:
    """Except for prefix and negative, which go in front of what users say."""
    everything = ServerDefaults(
        size=(64, 96),
        steps=7,
        cfg_scale=5.0,
        sampler="heun",
        scheduler="beta57",
        artist="nnn yryr",
        loras=(("ink", 0.5),),
        denoise=0.3,
        count=2,
        turbo=True,
        fast=True,
        spoiler=True,
        private=True,
        model="anima-turbo",
    )
    layer = everything.options()
    prompt_rules = {"prefix_on", "prefix", "negative_on", "negative", "nag"}
    for name in {field.name for field in fields(ServerDefaults)} - prompt_rules:
        assert getattr(layer, name) == getattr(everything, name) != getattr(ServerDefaults(), name), name


def test_new_servers_start_with_careful_defaults() -> None:
    settings = ServerSettings()
    limits = effective_limits(settings, ANIMA)
    assert (settings.quota.credits, settings.limits.waiting, limits.steps, limits.count) == (50.0, 8, 50, 4)
    assert limits.area == 2.4 * 832 * 1216


@pytest.mark.parametrize(("said", "credits"), [(..., 10.0), (5.0, 5.0), (0.0, 0.0), (None, None)])
async def test_outside_of_servers_a_new_bot_gives_ten_credits_unless_the_operator_sets_a_number(
    tmp_path: Path, said: EllipsisType | float | None, credits: float | None
) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/anima.db")
    try:
        await limit_outside_servers(database.servers, 3.0, by=1)
        await limit_outside_servers(database.servers, said, by=1)
        assert (await load_server_settings(database.servers, None)).quota.credits == credits
    finally:
        await database.close()


async def test_the_operators_pause_applies_in_every_server_and_outside(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/anima.db")
    try:
        await database.servers.change(EVERYWHERE, {"operator_pause": "moving house"}, by=1)
        for where in (None, 7):
            assert (await load_server_settings(database.servers, where)).operator_pause == "moving house"
        await database.servers.change(EVERYWHERE, {"operator_pause": None}, by=1)
        assert (await load_server_settings(database.servers, 7)).operator_pause is None
    finally:
        await database.close()
