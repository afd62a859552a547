"""Discord's rate limits in one table.

Discord publishes the rules (docs.discord.com/developers/topics/rate-limits), but the limits of each route only in
response headers. They may change, so no bot should rely on them. Every row names its source.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bot.sandbox.model.errors import OLD_MESSAGE_EDITS, Refusal

MINUTE, HOUR, WEEK = 60.0, 3600.0, 7 * 86_400.0


@dataclass(frozen=True)
class Limit:
    """At most `count` requests in `seconds`, counted from the first of them."""

    count: int
    seconds: float


@dataclass(frozen=True)
class Bucket:
    """Routes that share a limit, counted separately for each channel, server or interaction in the path.

    min_age: in seconds; the bucket is only for messages at least that old. If several fit, the one with the largest
    min_age applies.
    """

    name: str
    method: str
    templates: tuple[str, ...]
    limit: Limit
    min_age: float = 0.0


@dataclass(frozen=True)
class OldEdits:
    """The additional limit, per channel, on editing messages older than `min_age` seconds."""

    limit: Limit
    min_age: float
    refusal: Refusal


_MESSAGES = "/channels/{channel_id}/messages"
_MESSAGE = f"{_MESSAGES}/{{message_id}}"
_WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"
_ANSWERS = (f"{_WEBHOOK}/messages/@original", f"{_WEBHOOK}/messages/{{message_id}}")

BUCKETS = (
    # discord/discord-api-docs issue 20 (5 in 5 s for sending and editing); javacord's wiki, "Ratelimits".
    Bucket("send-message", "POST", (_MESSAGES,), Limit(5, 5.0)),
    # chenhg5/cc-connect pull request 623 and Rapptz/discord.py issue 6073: about 5 in 5 s for each channel.
    Bucket("edit-message", "PATCH", (_MESSAGE,), Limit(5, 5.0)),
    # discord/discord-api-docs issue 8330 reports these three from the headers, with their message ages.
    Bucket("delete-new-message", "DELETE", (_MESSAGE,), Limit(5, 1.0)),
    Bucket("delete-message", "DELETE", (_MESSAGE,), Limit(3, 0.333), min_age=10.0),
    Bucket("delete-old-message", "DELETE", (_MESSAGE,), Limit(30, 4.0), min_age=2 * WEEK),
    # Interactions are webhooks ("Interactions webhooks share the same rate limit properties as normal webhooks",
    # Discord's "Receiving and Responding"), each with its own token: 5 in 2 s (birdie0's Discord Webhooks Guide).
    Bucket("answer", "PATCH", _ANSWERS, Limit(5, 2.0)),
    Bucket("read-answer", "GET", _ANSWERS, Limit(5, 2.0)),
    Bucket("delete-answer", "DELETE", _ANSWERS, Limit(5, 2.0)),
    Bucket("follow-up", "POST", (_WEBHOOK,), Limit(5, 2.0)),
)


@dataclass(frozen=True)
class RateLimits:
    """All of Discord's limits."""

    buckets: tuple[Bucket, ...] = BUCKETS
    #: For each route whose limit is unknown.
    others: Limit = Limit(50, 1.0)
    #: "All bots can make up to 50 requests per second". Interaction endpoints do not count.
    whole_bot: Limit = Limit(50, 1.0)
    #: CircuitSacul/starboard-4 issue 118 found 3 in 20 s; the code is in Discord's list of JSON error codes.
    old_edits: OldEdits = OldEdits(Limit(3, 20.0), HOUR, OLD_MESSAGE_EDITS)
    #: "Invalid requests": those answered with 401, 403 or 429 (except 429 with the scope "shared").
    invalid_requests: Limit = Limit(10_000, 10 * MINUTE)
    #: Seconds that Cloudflare then blocks the address. Discord names no figure; bots report an hour.
    ban: float = HOUR

    def bucket(self, method: str, template: str, age: float) -> Bucket:
        """The bucket of a route; `age` (seconds) is that of the message in its path."""
        fitting = [
            each
            for each in self.buckets
            if each.method == method and template in each.templates and age >= each.min_age
        ]
        if fitting:
            return max(fitting, key=lambda bucket: bucket.min_age)
        return Bucket(f"{method} {template}", method, (template,), self.others)

    def times(self, factor: int) -> RateLimits:
        """The same limits with `factor` times as many requests, for tests about something else."""

        def wider(limit: Limit) -> Limit:
            return replace(limit, count=limit.count * factor)

        return replace(
            self,
            buckets=tuple(replace(each, limit=wider(each.limit)) for each in self.buckets),
            others=wider(self.others),
            whole_bot=wider(self.whole_bot),
            old_edits=replace(self.old_edits, limit=wider(self.old_edits.limit)),
            invalid_requests=wider(self.invalid_requests),
        )


#: The path parameters that have limits of their own; Discord calls them top-level resources.
TOP_LEVEL = ("channel_id", "guild_id", "webhook_id", "webhook_token")

#: Path prefixes of interaction endpoints, which do not count towards the bot's global limit.
EXEMPT = ("/interactions/", "/webhooks/")


def top_level(ids: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The ids and tokens in a path for which limits are counted separately."""
    return tuple(text for name, text in ids if name in TOP_LEVEL)
