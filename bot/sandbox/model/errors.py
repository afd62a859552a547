"""The errors that Discord answers with: HTTP status, Discord's own code, and message.

Source: "JSON Error Codes" and "Error Messages" in Discord's API reference.
"""

from __future__ import annotations

from typing import Any, NamedTuple

JSON = dict[str, Any]


class Refusal(NamedTuple):
    status: int
    code: int
    message: str


UNAUTHORIZED = Refusal(401, 0, "401: Unauthorized")
NOT_FOUND = Refusal(404, 0, "404: Not Found")
METHOD_NOT_ALLOWED = Refusal(405, 0, "405: Method Not Allowed")
UNKNOWN_APPLICATION = Refusal(404, 10002, "Unknown Application")
UNKNOWN_CHANNEL = Refusal(404, 10003, "Unknown Channel")
UNKNOWN_GUILD = Refusal(404, 10004, "Unknown Guild")
UNKNOWN_MEMBER = Refusal(404, 10007, "Unknown Member")
UNKNOWN_MESSAGE = Refusal(404, 10008, "Unknown Message")
UNKNOWN_USER = Refusal(404, 10013, "Unknown User")
UNKNOWN_WEBHOOK = Refusal(404, 10015, "Unknown Webhook")
UNKNOWN_INTERACTION = Refusal(404, 10062, "Unknown interaction")
UNKNOWN_COMMAND = Refusal(404, 10063, "Unknown application command")
TOO_MANY_ATTACHMENTS = Refusal(400, 30015, "Maximum number of attachments in a message reached (10)")
TOO_LARGE = Refusal(413, 40005, "Request entity too large")
OLD_MESSAGE_EDITS = Refusal(
    429, 30046, "Maximum number of edits to messages older than 1 hour reached. Try again later."
)
ALREADY_ACKNOWLEDGED = Refusal(400, 40060, "Interaction has already been acknowledged.")
TOO_MANY_FOLLOWUPS = Refusal(400, 40094, "This interaction has reached the maximum number of follow up messages")
MISSING_ACCESS = Refusal(403, 50001, "Missing Access")
NOT_THE_AUTHOR = Refusal(403, 50005, "Cannot edit a message authored by another user")
EMPTY_MESSAGE = Refusal(400, 50006, "Cannot send an empty message")
CANNOT_MESSAGE_USER = Refusal(403, 50007, "Cannot send messages to this user")
MISSING_PERMISSIONS = Refusal(403, 50013, "Missing Permissions")
INVALID_WEBHOOK_TOKEN = Refusal(401, 50027, "Invalid Webhook Token")
INVALID_FORM = Refusal(400, 50035, "Invalid Form Body")
THREAD_ARCHIVED = Refusal(400, 50083, "Thread is archived")
INVALID_JSON = Refusal(400, 50109, "The request body contains invalid JSON.")
THREAD_LOCKED = Refusal(400, 160005, "Thread is locked")


class ApiError(Exception):
    """A refusal to send to the client; `errors` is the tree of form errors, if there are any."""

    def __init__(self, refusal: Refusal, errors: JSON | None = None) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.errors = errors

    def as_json(self) -> JSON:
        body: JSON = {"message": self.refusal.message, "code": self.refusal.code}
        if self.errors:
            body["errors"] = self.errors
        return body


Path = tuple[str | int, ...]


class FormErrors:
    """Collects the errors in a request body by path, so that one answer lists them all."""

    def __init__(self) -> None:
        self._tree: JSON = {}

    def add(self, path: Path, code: str, message: str) -> None:
        node = self._tree
        for step in path:
            node = node.setdefault(str(step), {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    def check_length(self, path: Path, value: Any, max_length: int, min_length: int = 0) -> None:
        """Complains unless `value` (a string or a list; None passes) has a length from `min_length` to `max_length`."""
        if value is None or min_length <= len(value) <= max_length:
            return
        if len(value) > max_length:
            self.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {max_length} or fewer in length.")
        else:
            self.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {min_length} and {max_length} in length.")

    def check_type(self, path: Path, value: Any, kind: type | tuple[type, ...], code: str, what: str) -> bool:
        """Whether `value` has the type; complains if not."""
        if isinstance(value, kind) and not (isinstance(value, bool) and kind is int):
            return True
        self.add(path, code, f"Only {what} are allowed here.")
        return False

    def raise_if_any(self) -> None:
        if self._tree:
            raise ApiError(INVALID_FORM, self._tree)
