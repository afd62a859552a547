"""Stores uploaded files with the metadata Discord reads from them, and serves them at signed URLs."""

from __future__ import annotations

import hashlib
import hmac
import io
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image, UnidentifiedImageError

from bot.sandbox.model.clock import Clock, Snowflakes
from bot.sandbox.model.errors import JSON

#: Seconds that a signed URL works.
URL_LIFETIME = 24 * 3600.0

_SIGNING_KEY = b"the stand-in signs, so that an address cannot be made up or kept"


@dataclass(frozen=True)
class Upload:
    """A file on its way to Discord."""

    filename: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Attachment:
    id: int
    channel_id: int
    filename: str
    data: bytes = field(repr=False)
    content_type: str
    width: int | None = None
    height: int | None = None
    description: str | None = None

    @property
    def is_spoiler(self) -> bool:
        return self.filename.startswith("SPOILER_")


class Cdn:
    """Stores every uploaded file and signs the URLs that serve it.

    `base` is the server's URL without a trailing slash; it is set once the server listens.
    """

    def __init__(self, clock: Clock, snowflakes: Snowflakes) -> None:
        self._clock = clock
        self._snowflakes = snowflakes
        self._files: dict[int, Attachment] = {}
        self.base = ""

    def keep(
        self, upload: Upload, channel_id: int, description: str | None = None, spoiler: bool = False
    ) -> Attachment:
        """Stores a file under the name Discord would give it: ASCII letters, digits, `-`, `_` and `.`."""
        name = re.sub(r"[^A-Za-z0-9._-]", "_", upload.filename.rsplit("/", 1)[-1]) or "unknown"
        if spoiler and not name.startswith("SPOILER_"):
            name = f"SPOILER_{name}"
        content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        width, height = _image_size(upload.data) if content_type.startswith("image/") else (None, None)
        id = self._snowflakes.next()
        attachment = Attachment(id, channel_id, name, upload.data, content_type, width, height, description)
        self._files[id] = attachment
        return attachment

    def restore(self, attachment: Attachment) -> None:
        """Restores a file from an earlier start."""
        self._files[attachment.id] = attachment

    def url(self, attachment: Attachment) -> str:
        """A newly signed URL, which works for a day."""
        expires = f"{int(self._clock.now() + URL_LIFETIME):x}"
        issued = f"{int(self._clock.now()):x}"
        path = f"attachments/{attachment.channel_id}/{attachment.id}/{attachment.filename}"
        return f"{self.base}/{path}?ex={expires}&is={issued}&hm={_sign(path, expires, issued)}&"

    def open(self, path: str, query: Mapping[str, str]) -> Attachment | None:
        """The file at `path` (`attachments/…`), or None if the signature is wrong or the URL has expired."""
        expires, issued, given = (query.get(key, "") for key in ("ex", "is", "hm"))
        if not hmac.compare_digest(given, _sign(path, expires, issued)):
            return None
        if int(expires, 16) < self._clock.now():
            return None
        return self._files.get(int(path.split("/")[2]))

    def as_json(self, attachment: Attachment, *, ephemeral: bool = False) -> JSON:
        url = self.url(attachment)
        payload: JSON = {
            "id": str(attachment.id),
            "filename": attachment.filename,
            "size": len(attachment.data),
            "url": url,
            "proxy_url": url,
            "content_type": attachment.content_type,
            "flags": 1 << 5 if attachment.is_spoiler else 0,
        }
        if attachment.width is not None:
            payload |= {"width": attachment.width, "height": attachment.height}
        if attachment.description is not None:
            payload["description"] = attachment.description
        if ephemeral:
            payload["ephemeral"] = True
        return payload


def _sign(path: str, expires: str, issued: str) -> str:
    return hmac.new(_SIGNING_KEY, f"{path}|{expires}|{issued}".encode(), hashlib.sha256).hexdigest()


def _image_size(data: bytes) -> tuple[int | None, int | None]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return None, None
