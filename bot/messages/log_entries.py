"""The entries of a server's log channel, in the server's language. They mention people and channels without pinging.

What people typed is cut, escaped and hidden behind a spoiler. Images are never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.messages.job import KNOWN_REASONS
from bot.rules.policy import PolicyRefusal, RefusalReason
from bot.text.markdown import inline, truncate
from bot.text.translation import N_, listed, say
from storage.gallery.shares import Share
from storage.jobs import Job

#: Characters of a prompt or of a report, before they are escaped.
MAX_WORDS_SHOWN = 400
MAX_REASON_SHOWN = 200
#: Marks a spoiler: Discord hides the text between two of these until it is clicked.
HIDING = "||"
#: How many of a refusal's forbidden words are listed.
MAX_NAMED = 10

WORDS_BLOCKED = N_("Discord's filters don't let me show what was typed.")

#: The refusal reasons that are logged for moderators; the others are about limits and access.
CONTENT: Mapping[RefusalReason, str] = {
    RefusalReason.MINORS: N_("sexual content involving minors"),
    RefusalReason.BLOCKED_WORDS: N_("blocked words"),
    RefusalReason.NSFW: N_("NSFW where it is not allowed"),
    RefusalReason.NSFW_KEPT_SAFE: N_("NSFW where it is not allowed"),
}


@dataclass(frozen=True)
class LogEntry:
    """`text` is called with the server's language set. `job_id`: the job of its Delete and Block buttons.

    request_id: the interaction that caused it, if that may be repeated after a crash, so that it is posted only once.
    """

    text: Callable[[], str]
    job_id: int | None = None
    request_id: int | None = None

    def without_words(self) -> str:
        """The text without what people typed, for channels where a filter of Discord's blocks it."""
        kept = [line for line in self.text().split("\n") if not line.startswith(HIDING)]
        return "\n".join([*kept, f"-# {say(WORDS_BLOCKED)}"])


def refused(refusal: PolicyRefusal, prompt: str, *, user_id: int, channel_id: int, private: bool) -> LogEntry | None:
    """The entry for a request refused for its words; None for other reasons."""
    if refusal.reason not in CONTENT:
        return None

    def text() -> str:
        reason = say(CONTENT[refusal.reason])
        values = {"person": f"<@{user_id}>", "channel": f"<#{channel_id}>", "reason": reason}
        if private:
            said = say("**Refused**: {reason}. {person} asked in {channel}, privately.", **values)
        else:
            said = say("**Refused**: {reason}. {person} asked in {channel}.", **values)
        terms = listed(refusal.terms, MAX_NAMED)
        return "\n".join([said, *(_hidden(words) for words in (terms, prompt) if words.strip())])

    return LogEntry(text)


def ended(job: Job) -> LogEntry | None:
    """The entry for a job that failed, whose image may not be shown, or whose message was deleted; None for others."""
    person, channel = f"<@{job.user_id}>", f"<#{job.channel_id}>"

    def failed() -> str:
        said = say("**Failed**: a job by {person} in {channel}.", person=person, channel=channel)
        reason = job.reason or ""
        if reason in KNOWN_REASONS:
            return f"{said} {say(KNOWN_REASONS[reason])}"
        return f"{said}\n{_hidden(reason)}" if reason.strip() else said

    def unfit() -> str:
        said = say("**Refused**: a finished picture by {person} in {channel}.", person=person, channel=channel)
        return f"{said}\n{_hidden(job.prompt)}" if job.prompt.strip() else said

    def taken_away() -> str:
        return say(
            "**Deleted**: the message of a job by {person} in {channel}. The job was cancelled.",
            person=person,
            channel=channel,
        )

    match job.state.value:
        case "failed":
            return LogEntry(failed)
        case "refused":
            return LogEntry(unfit)
        case "cancelled" if job.ended_by is None and job.reason is None and not job.private:
            return LogEntry(taken_away)
    return None


def deleted(job: Job, *, by: int) -> LogEntry:
    values = {"moderator": f"<@{by}>", "person": f"<@{job.user_id}>", "channel": f"<#{job.channel_id}>"}
    return LogEntry(lambda: say("**Deleted** by {moderator}: a picture by {person} in {channel}.", **values))


def unshared(share: Share, *, by: int) -> LogEntry:
    values = {"moderator": f"<@{by}>", "person": f"<@{share.user_id}>", "channel": f"<#{share.channel_id}>"}
    return LogEntry(
        lambda: say("**Removed** by {moderator}: a picture by {person} from the gallery {channel}.", **values)
    )


def cancelled(job: Job, *, by: int) -> LogEntry:
    values = {"moderator": f"<@{by}>", "person": f"<@{job.user_id}>", "channel": f"<#{job.channel_id}>"}
    return LogEntry(lambda: say("**Cancelled** by {moderator}: a job by {person} in {channel}.", **values))


def blocked(user_id: int, *, by: int, reason: str = "") -> LogEntry:
    values = {"moderator": f"<@{by}>", "person": f"<@{user_id}>"}

    def text() -> str:
        said = say("**Blocked** by {moderator}: {person}.", **values)
        return f"{said} {inline(reason, MAX_REASON_SHOWN)}" if reason.strip() else said

    return LogEntry(text)


def unblocked(user_id: int, *, by: int) -> LogEntry:
    values = {"moderator": f"<@{by}>", "person": f"<@{user_id}>"}
    return LogEntry(lambda: say("**Unblocked** by {moderator}: {person}.", **values))


def reported(job: Job, url: str, *, by: int, reason: str, request_id: int | None = None) -> LogEntry:
    values = {"reporter": f"<@{by}>", "person": f"<@{job.user_id}>", "url": url}

    def text() -> str:
        lines = [say("**Reported** by {reporter}: [a picture by {person}]({url}).", **values)]
        lines += [_hidden(words) for words in (reason, job.prompt) if words.strip()]
        return "\n".join(lines)

    # A private job's image was reported in a gallery, whose own button removes it.
    return LogEntry(text, None if job.private else job.id, request_id)


def log_channel_chosen(*, by: int) -> LogEntry:
    return LogEntry(lambda: say("**Log channel**: {person} has chosen this channel.", person=f"<@{by}>"))


def left_out(count: int) -> str:
    return say("…and {count} more that did not fit here.", count=count)


def _hidden(words: str) -> str:
    """The words behind a spoiler, on one line."""
    return f"{HIDING}{inline(truncate(words, MAX_WORDS_SHOWN), MAX_WORDS_SHOWN)}{HIDING}"
