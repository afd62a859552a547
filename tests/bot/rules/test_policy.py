"""The rules about users, channels, limits and content."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import discord
import pytest
from discord import app_commands
from discord.asset import Asset
from discord.gateway import DiscordWebSocket
from discord.http import Route
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.generation.options import Options
from bot.generation.recipe import Recipe
from bot.generation.spec import JobSpec
from bot.ops.endpoints import point_discord_at
from bot.prompting import final_prompts
from bot.rules.policy import (
    FORBIDDEN,
    SENTENCES,
    ChannelContext,
    EffectiveLimits,
    Person,
    PolicyRefusal,
    RefusalReason,
    TypedText,
    check_text,
    defaults_beyond_limits,
    effective_limits,
    may_be_explicit,
    permit,
)
from bot.rules.server_settings import Access, Quota, Safety, ServerDefaults, ServerLimits, ServerSettings
from bot.sandbox import Channel, FakeDiscord, User
from inference import NativeSettings
from inference.weights.modelspec import ANIMA
from storage.jobs import Allowance
from storage.servers import BlockedUser

GUILD, CHANNEL, THREAD, CATEGORY = 1, 20, 21, 22
MEMBER, ARTIST, PATRON = 30, 31, 32
BOB = Person(7, frozenset({MEMBER}))
HERE = ChannelContext(GUILD, CHANNEL, (CATEGORY,))
AFTER_DARK = replace(HERE, age_restricted=True)
SMILE = TypedText(("1girl, smile",))
DEFAULT = ServerSettings()
#: What each model was trained for, by its name.
MODELS = {"anima": ANIMA, "small": replace(ANIMA, sizes=((512, 512),), steps=60)}


def spec_of(typed: TypedText, *, age_restricted: bool = False, count: int = 1, **changes: Any) -> JobSpec:
    """Default pictures of Anima's for these words, as a request makes them."""
    final = final_prompts(typed.texts[0], typed.negative, age_restricted=age_restricted)
    recipe = Recipe(
        prompt=final.positive,
        negative_prompt=final.negative,
        width=1024,
        height=1024,
        steps=30,
        cfg_scale=4.0,
        sampler="er_sde",
        scheduler="simple",
        seed=1,
    )
    return JobSpec(recipes=(replace(recipe, **changes),) * count, age_restricted=age_restricted)  # type: ignore[arg-type]


def ask(
    settings: ServerSettings = DEFAULT,
    person: Person = BOB,
    channel: ChannelContext = HERE,
    typed: TypedText = SMILE,
    options: Options = Options(),  # noqa: B008
    **changes: Any,
) -> Allowance | PolicyRefusal:
    spec = replace(spec_of(typed, age_restricted=channel.age_restricted, **changes), options=options)
    return permit(settings, ANIMA, person, channel, spec, typed, MODELS)


def why(answer: Allowance | PolicyRefusal | None) -> RefusalReason | None:
    return answer.reason if isinstance(answer, PolicyRefusal) else None


def test_a_server_without_settings_lets_everyone_draw_a_safe_picture() -> None:
    assert ask() == Allowance(credits=50.0, waiting=8)
    assert ask(channel=AFTER_DARK) == ask()
    assert ask(channel=ChannelContext(None, CHANNEL)) == ask()


def test_the_allowance_is_what_the_quota_and_the_limits_say() -> None:
    settings = ServerSettings(quota=Quota(5, {ARTIST: 20}, (PATRON,)), limits=ServerLimits(waiting=3))
    for roles, credits in ((MEMBER,), 5), ((MEMBER, ARTIST), 20), ((ARTIST, PATRON), None):
        answer = ask(settings, Person(7, frozenset(roles)))
        assert answer == Allowance(credits=credits, waiting=3)


def test_nothing_is_drawn_for_blocked_users_or_during_a_pause() -> None:
    assert why(ask(person=replace(BOB, is_blocked=True))) is RefusalReason.BLOCKED
    assert why(ask(ServerSettings(paused=True))) is RefusalReason.PAUSED
    assert why(ask(ServerSettings(paused=True), replace(BOB, is_admin=True))) is RefusalReason.PAUSED


def test_only_the_chosen_channels_with_their_threads_and_categories_are_drawn_in() -> None:
    only = ServerSettings(access=Access(channels=(CHANNEL,)))
    assert why(ask(only)) is None
    assert why(ask(only, channel=ChannelContext(GUILD, THREAD, (CHANNEL, CATEGORY)))) is None
    assert why(ask(ServerSettings(access=Access(channels=(CATEGORY,))))) is None
    answer = ask(only, channel=ChannelContext(GUILD, 99))
    assert isinstance(answer, PolicyRefusal)
    assert answer.reason is RefusalReason.CHANNEL
    assert f"<#{CHANNEL}>" in answer.sentence


def test_only_the_chosen_roles_and_admins_draw() -> None:
    only = ServerSettings(access=Access(roles=(ARTIST, PATRON)))
    answer = ask(only)
    assert isinstance(answer, PolicyRefusal)
    assert answer.reason is RefusalReason.ROLE
    assert f"<@&{ARTIST}>, <@&{PATRON}>" in answer.sentence
    assert why(ask(only, replace(BOB, role_ids=frozenset({PATRON})))) is None
    assert why(ask(only, replace(BOB, is_admin=True))) is None


@settings(deadline=None)
@given(
    side=st.integers(4, 64).map(lambda sixteenths: sixteenths * 16),
    steps=st.integers(1, 900),
    count=st.integers(1, 4),
)
def test_a_limit_lets_through_what_is_on_it_and_nothing_above(side: int, steps: int, count: int) -> None:
    settings = ServerSettings(limits=ServerLimits(side=side, steps=steps, count=count))
    at_most = {"width": side, "height": side, "steps": steps, "count": count}
    assert why(ask(settings, **at_most)) is None
    assert why(ask(settings, **{**at_most, "width": side + 16})) is RefusalReason.SIDE
    assert why(ask(settings, **{**at_most, "height": side + 16})) is RefusalReason.SIDE
    assert why(ask(settings, **{**at_most, "steps": steps + 1})) is RefusalReason.STEPS
    assert why(ask(settings, **{**at_most, "count": count + 1})) is RefusalReason.COUNT


def test_a_megapixel_is_1024_by_1024() -> None:
    settings = ServerSettings(limits=ServerLimits(megapixels=1))
    assert why(ask(settings)) is None
    assert why(ask(settings, width=2048, height=512)) is None
    answer = ask(settings, width=1040)
    assert isinstance(answer, PolicyRefusal)
    assert answer.sentence == (
        "1040x1024 is too large. The limit here is 1 MP, such as 1024x1024. Choose a smaller size."
    )


def test_a_server_may_limit_the_models_and_says_which_may_be_used() -> None:
    limited = ServerSettings(access=Access(models=("small", "gone")))
    assert why(ask(limited, model="small", width=512, height=512)) is None
    refused = ask(limited, model="anima")
    assert isinstance(refused, PolicyRefusal)
    assert refused.sentence == "The model “anima” can't be used here. Choose another one with `model`: small."
    assert why(ask(limited, replace(BOB, is_admin=True), model="anima")) is RefusalReason.MODEL
    assert why(ask(ServerSettings(access=Access(models=("gone",))), model="anima")) is RefusalReason.NO_MODEL
    assert why(ask(limited, model="")) is None, "of a folder that cannot be read no model has a name"


def test_limits_that_follow_the_model_follow_the_one_of_each_recipe() -> None:
    assert why(ask(model="anima", width=1536, height=1536)) is None
    assert why(ask(model="small", width=1024, height=1024)) is RefusalReason.AREA
    assert why(ask(model="anima", steps=60)) is RefusalReason.STEPS
    assert why(ask(model="small", width=512, height=512, steps=60)) is None


def test_limits_that_a_server_does_not_set_follow_the_model() -> None:
    small = NativeSettings(((64, 64),), steps=120, cfg_scale=1, sampler="euler", scheduler="simple")
    assert effective_limits(DEFAULT, small) == EffectiveLimits(
        side=4096, area=2.4 * 64 * 64, upscaled=5.2 * 64 * 64, steps=120, count=4, compared=12
    )
    assert why(ask(width=1536, height=1536)) is None
    assert why(ask(width=1600, height=1600)) is RefusalReason.AREA
    assert why(ask(steps=50)) is None
    assert why(ask(steps=51)) is RefusalReason.STEPS


@pytest.mark.parametrize(
    ("limits", "area", "upscaled"),
    [
        (ServerLimits(), 2.4, 5.2),
        (ServerLimits(times_native=1.5), 1.5, 1.5),
        (ServerLimits(megapixels=2), 2, 2),
        (ServerLimits(times_native=1.5, upscaled_times_native=2.4), 1.5, 2.4),
        (ServerLimits(megapixels=2, upscaled_times_native=16), 2, 16),
    ],
)
def test_upscales_have_a_limit_of_their_own_which_follows_one_that_an_admin_has_chosen(
    limits: ServerLimits, area: float, upscaled: float
) -> None:
    effective = effective_limits(ServerSettings(limits=limits), ANIMA)
    assert (effective.area, effective.upscaled) == (area * 1024**2, upscaled * 1024**2)
    assert effective.for_upscales == replace(effective, area=effective.upscaled)


def test_only_an_upscale_may_be_as_large_as_upscales() -> None:
    assert why(ask(width=2304, height=2304)) is RefusalReason.AREA
    assert why(ask(width=2304, height=2304, options=Options(upscaled=True))) is None
    assert why(ask(width=2352, height=2352, options=Options(upscaled=True))) is RefusalReason.AREA


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (ServerSettings(), []),
        (ServerSettings(ServerDefaults(size=(1536, 1536), steps=50, count=4)), []),
        (ServerSettings(ServerDefaults(size=(3072, 3072))), ["size"]),
        (ServerSettings(ServerDefaults(size=(1024, 1024)), ServerLimits(side=1008)), ["size"]),
        (ServerSettings(ServerDefaults(steps=51)), ["steps"]),
        (ServerSettings(ServerDefaults(steps=101), ServerLimits(steps=200)), []),
        (
            ServerSettings(ServerDefaults(size=(1040, 1024), steps=30, count=3), ServerLimits(None, 1.0, 20, 2)),
            ["size", "steps", "count"],
        ),
    ],
)
def test_the_defaults_that_are_beyond_the_limits_are_those_that_are_refused(
    settings: ServerSettings, names: list[str]
) -> None:
    assert defaults_beyond_limits(settings, ANIMA) == names
    defaults = settings.defaults
    width, height = defaults.size or (1024, 1024)
    answer = ask(settings, width=width, height=height, steps=defaults.steps or 1, count=defaults.count)
    assert isinstance(answer, PolicyRefusal) is bool(names)


def test_limits_relative_to_the_model_do_not_apply_while_none_is_known() -> None:
    assert defaults_beyond_limits(ServerSettings(ServerDefaults(size=(3072, 3072), steps=101)), None) == ["steps"]


def test_a_cfg_that_draws_the_negative_prompt_is_refused_everywhere() -> None:
    assert why(ask(cfg_scale=1.0)) is None
    for channel in (HERE, AFTER_DARK):
        assert why(ask(channel=channel, cfg_scale=0.99)) is RefusalReason.CFG_SCALE


def test_nsfw_is_for_age_restricted_channels_that_are_not_kept_safe() -> None:
    nude = TypedText(("1girl, nude",))
    answer = ask(typed=nude)
    assert isinstance(answer, PolicyRefusal)
    assert answer.reason is RefusalReason.NSFW
    assert "nude" in answer.sentence
    assert why(ask(channel=AFTER_DARK, typed=nude)) is None
    for safety in (
        Safety(always_safe=True),
        Safety(safe_channels=(CHANNEL,)),
        Safety(safe_channels=(CATEGORY,)),
    ):
        settings = ServerSettings(safety=safety)
        assert why(ask(settings, channel=AFTER_DARK, typed=nude)) is RefusalReason.NSFW_KEPT_SAFE
        assert ask(settings, channel=AFTER_DARK) == ask()
        assert not may_be_explicit(settings, AFTER_DARK)
    assert may_be_explicit(DEFAULT, AFTER_DARK) and not may_be_explicit(DEFAULT, HERE)


def test_forbidden_content_in_wildcards_artists_and_loras_is_found() -> None:
    assert why(ask(typed=TypedText(("1girl, {smile|nude}",)))) is RefusalReason.NSFW
    assert why(ask(typed=TypedText(("1girl", "nude")))) is RefusalReason.NSFW
    assert why(ask(loras=(("nude.safetensors", 1.0),))) is RefusalReason.NSFW
    assert why(ask(prompt="1girl, nude")) is RefusalReason.NSFW


def test_blocked_words_are_refused_where_they_are_asked_for_and_named() -> None:
    settings = ServerSettings(safety=Safety(blocked_words=("café", "blood sword")))
    answer = ask(settings, typed=TypedText(("1girl, CAFE, (blood sword:1.2)",)))
    assert isinstance(answer, PolicyRefusal)
    assert answer.reason is RefusalReason.BLOCKED_WORDS
    assert "“café”, “blood sword”" in answer.sentence
    assert why(ask(settings, typed=TypedText(("cafeteria, sword",)))) is None
    assert why(ask(settings, typed=TypedText(("blood", "sword")))) is None, "a phrase does not reach over two options"
    assert why(ask(settings, typed=TypedText(("1girl",), negative="cafe"))) is None, "to avoid it is no asking"
    assert why(ask(settings, typed=TypedText(("1girl",), negative="(cafe:-1)"))) is RefusalReason.BLOCKED_WORDS


def test_words_of_the_servers_own_prefix_refuse_nobody() -> None:
    settings = ServerSettings(safety=Safety(blocked_words=("masterpiece",)))
    assert why(ask(settings)) is None
    assert why(ask(settings, typed=TypedText(("masterpiece, 1girl",)))) is RefusalReason.BLOCKED_WORDS


def test_a_channel_that_lost_its_age_restriction_forbids_what_was_accepted() -> None:
    nude = TypedText(("1girl, nude",))
    spec = spec_of(nude, age_restricted=True)
    assert check_text(DEFAULT, AFTER_DARK, spec, nude) is None
    assert why(check_text(DEFAULT, HERE, spec, nude)) is RefusalReason.NSFW


@pytest.mark.parametrize("which", RefusalReason)
def test_every_refusal_says_what_to_do_instead(which: RefusalReason) -> None:
    sentences = FORBIDDEN[which] if which in FORBIDDEN else (SENTENCES[which],)
    for sentence in sentences:
        assert any(word in sentence for word in ("Try", "Choose", "Remove", "Use", "Draw", "ask", "Ask", "limit here"))


@pytest.mark.parametrize(("guild_id", "where"), [(1, "in this channel"), (None, "in private messages")])
def test_a_refusal_quotes_each_term_and_says_where_it_is_not_allowed(guild_id: int | None, where: str) -> None:
    def sentence_for(*terms: str) -> str:
        return PolicyRefusal(RefusalReason.NSFW, terms=terms, in_private=guild_id is None).sentence

    assert sentence_for("nude") == f"“nude” isn't allowed {where}. Remove it, or use an age-restricted channel."
    assert sentence_for("a", "b") == f"“a”, “b” aren't allowed {where}. Remove them, or use an age-restricted channel."
    assert sentence_for(*"abcde").startswith("“a”, “b”, “c” and 2 more aren't")


# --- What holds whatever the settings are ---

roles = st.frozensets(st.sampled_from((MEMBER, ARTIST, PATRON)))
some_roles = roles.map(tuple)
people = st.builds(Person, st.just(7), roles, st.booleans(), st.booleans())
places = st.builds(
    ChannelContext,
    st.sampled_from((None, GUILD)),
    st.sampled_from((CHANNEL, THREAD)),
    st.sampled_from(((), (CATEGORY,), (CHANNEL, CATEGORY))),
    st.booleans(),
)
channels = st.lists(st.sampled_from((CHANNEL, THREAD, CATEGORY, 99)), unique=True).map(tuple)
every_settings = st.builds(
    ServerSettings,
    defaults=st.builds(ServerDefaults, prefix=st.sampled_from(("", "safe", "nude"))),
    limits=st.builds(
        ServerLimits,
        side=st.none() | st.sampled_from((512, 1024, 2048)),
        megapixels=st.none() | st.sampled_from((0.25, 1.0, 4.0)),
        steps=st.none() | st.integers(1, 60),
        count=st.integers(1, 4),
        waiting=st.integers(1, 9),
    ),
    quota=st.builds(
        Quota,
        st.none() | st.floats(0, 50),
        st.dictionaries(st.sampled_from((MEMBER, ARTIST, PATRON)), st.floats(0, 50)),
        some_roles,
    ),
    access=st.builds(Access, channels, some_roles),
    safety=st.builds(
        Safety, st.booleans(), channels, st.lists(st.sampled_from(("smile", "cafe", "masterpiece"))).map(tuple)
    ),
    paused=st.booleans(),
)
wordings = st.builds(
    TypedText,
    st.tuples(st.lists(st.sampled_from(("1girl", "smile", "nude", "cafe", "nsfw")), min_size=1).map(", ".join)),
    st.sampled_from(("", "cafe", "nude")),
)
drawings = st.fixed_dictionaries(
    {
        "width": st.sampled_from((512, 1024, 1040, 2048)),
        "steps": st.integers(1, 60),
        "count": st.integers(1, 4),
        "cfg_scale": st.sampled_from((0.5, 1.0, 4.0)),
    }
)


def as_much(allowed: float | None, other: float | None) -> bool:
    return allowed is None or (other is not None and allowed >= other)


@settings(deadline=None)
@given(every_settings, people, places, wordings, drawings, roles)
def test_more_rights_never_turn_a_yes_into_a_no(
    settings: ServerSettings,
    person: Person,
    channel: ChannelContext,
    typed: TypedText,
    changes: dict[str, object],
    more_roles: frozenset[int],
) -> None:
    answer = ask(settings, person, channel, typed, **changes)
    if isinstance(answer, PolicyRefusal):
        return
    stronger = (
        replace(person, role_ids=person.role_ids | more_roles),
        replace(person, is_admin=True),
        replace(person, is_blocked=False),
    )
    for each in stronger:
        with_more = ask(settings, each, channel, typed, **changes)
        assert isinstance(with_more, Allowance)
        assert as_much(with_more.credits, answer.credits)
        assert as_much(with_more.waiting, answer.waiting)


@settings(deadline=None)
@given(every_settings, people, places, drawings, st.sampled_from(("loli, nude", "l o l i", "child, sex", "ｌоｌí")))
def test_sexual_content_about_minors_is_refused_under_every_setting(
    settings: ServerSettings, person: Person, channel: ChannelContext, changes: dict[str, object], words: str
) -> None:
    typed = TypedText((words,))
    assert why(ask(settings, person, channel, typed, **changes)) is RefusalReason.MINORS
    assert why(ask(settings, person, channel, TypedText(("1girl", words)), **changes)) is RefusalReason.MINORS
    assert why(ask(settings, person, channel, **{**changes, "prompt": words})) is RefusalReason.MINORS
    assert why(ask(settings, person, channel, **{**changes, "loras": ((words, 1.0),)})) is RefusalReason.MINORS
    assert why(check_text(settings, channel, spec_of(typed), typed)) is RefusalReason.MINORS


@settings(deadline=None)
@given(every_settings, people, places, wordings, drawings)
def test_nothing_but_safe_pictures_in_a_channel_for_everyone(
    settings: ServerSettings, person: Person, channel: ChannelContext, typed: TypedText, changes: dict[str, object]
) -> None:
    for_everyone = replace(channel, age_restricted=False)
    assert not may_be_explicit(settings, for_everyone)
    if isinstance(ask(settings, person, for_everyone, typed, **changes), Allowance):
        assert not any(word in typed.texts[0] for word in ("nude", "nsfw"))


@settings(deadline=None)
@given(every_settings, people, places, wordings, drawings)
def test_a_refusal_is_a_sentence_for_the_user(
    settings: ServerSettings, person: Person, channel: ChannelContext, typed: TypedText, changes: dict[str, object]
) -> None:
    answer = ask(settings, person, channel, typed, **changes)
    if isinstance(answer, PolicyRefusal):
        assert answer.sentence.endswith(".")
        assert "{" not in answer.sentence
        assert typed.texts[0] not in repr(answer)


# --- Who and where, as interactions say it ---


class Listener(discord.Client):
    """Keeps the interaction behind each `/specimen`."""

    def __init__(self) -> None:
        super().__init__(intents=discord.Intents(guilds=True))
        self._connection.guild_ready_timeout = 0.01
        self.tree = app_commands.CommandTree(self)
        self.heard: discord.Interaction | None = None

        @self.tree.command(description="Says nothing")
        @app_commands.allowed_installs(guilds=True, users=True)
        @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
        async def specimen(interaction: discord.Interaction) -> None:
            self.heard = interaction
            await interaction.response.send_message("heard", ephemeral=True)

    async def setup_hook(self) -> None:
        await self.tree.sync()


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[FakeDiscord, Listener]]:
    async with FakeDiscord() as standin, Listener() as client:
        point_discord_at(standin.api_url, standin.gateway_url)
        running = asyncio.create_task(client.start(standin.token))
        try:
            await standin.wait_until_ready()
            await client.wait_until_ready()
            yield standin, client
        finally:
            await client.close()
            await running


async def test_an_interaction_says_who_asks_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Route, "BASE", Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
    monkeypatch.setattr(Asset, "BASE", Asset.BASE)
    async with listening() as (standin, client):
        world = standin.world
        guild = world.guild.id

        async def heard(user: User, channel: Channel) -> discord.Interaction:
            await (await standin.slash(user, channel, "specimen")).acknowledged()
            assert client.heard is not None
            return client.heard

        block = BlockedUser(world.alice.id, guild, "", None, datetime.now(UTC))
        asked = await heard(world.alice, world.general)
        assert Person.of(asked, block) == Person(world.alice.id, frozenset({guild}), is_blocked=True)
        assert ChannelContext.of(asked) == ChannelContext(guild, world.general.id)
        asked = await heard(world.bob, world.after_dark)
        assert Person.of(asked, None) == Person(world.bob.id, frozenset({guild, world.moderator.id}), is_admin=True)
        assert ChannelContext.of(asked) == ChannelContext(guild, world.after_dark.id, age_restricted=True)
        assert Person.of(await heard(world.owner, world.general), None).is_admin
        asked.channel = None
        with pytest.raises(ValueError, match="no channel"):
            ChannelContext.of(asked)
        asked = await heard(world.bob, world.thread)
        assert ChannelContext.of(asked) == ChannelContext(
            guild, world.thread.id, (world.after_dark.id,), age_restricted=True
        )
        asked = await heard(world.alice, standin.dm(world.alice))
        assert Person.of(asked, None) == Person(world.alice.id)
        assert ChannelContext.of(asked) == ChannelContext(None, standin.dm(world.alice).id)
        asked = await heard(world.carol, world.lounge)
        assert Person.of(asked, None).user_id == world.carol.id
        assert not Person.of(asked, None).is_admin
        assert ChannelContext.of(asked) == ChannelContext(world.elsewhere.id, world.lounge.id)
