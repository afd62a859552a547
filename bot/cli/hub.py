"""Files of the Hugging Face hub: what there is, fetched piece by piece, and checked.

The library's own download throws a half-fetched file away when its process ends, so four gigabytes would begin anew;
here the pieces stay, and only its transfer is used.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath

import httpx2
from huggingface_hub import HfApi, get_token, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

HUB = "https://huggingface.co"
LIBRARY, VERSION = "anima-bot", version("anima-bot")
TIMEOUT = 30.0
"""Seconds to wait for the hub's list of a repository's files."""


class HubError(Exception):
    """A file could not be had; one sentence says why and what to do."""


@dataclass(frozen=True)
class HubFile:
    """A file at one commit of a repository. `checksum`: SHA-256 of a large file, git's blob id (SHA-1) of others."""

    repository: str
    commit: str
    path: PurePosixPath
    size: int
    checksum: str

    def matches(self, file: Path) -> bool:
        """Whether `file` is there, with the size and the checksum that the hub states. Reads it whole."""
        if not file.is_file() or file.stat().st_size != self.size:
            return False
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, self._hash).hexdigest() == self.checksum

    def fetched(self, destination: Path) -> int:
        """How many bytes an earlier attempt left."""
        part = self.part(destination)
        return part.stat().st_size if part.exists() else 0

    def part(self, destination: Path) -> Path:
        """Where the file grows until it is whole; named after its content, so that other contents never mix."""
        return destination.with_name(f".{destination.name}.{self.checksum[:12]}.part")

    def _hash(self) -> hashlib._Hash:
        if len(self.checksum) == 64:
            return hashlib.sha256()
        return hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)


@dataclass(frozen=True)
class Repository:
    name: str
    licence: str
    """Its name and address, as far as the hub states them."""
    files: tuple[HubFile, ...]

    def under(self, folder: str, *endings: str) -> list[HubFile]:
        """The files that lie right in `folder` and end in one of `endings`."""
        return [file for file in self.files if str(file.path.parent) == folder and file.path.suffix in endings]


class Hub:
    """The hub that HF_ENDPOINT names, asked with the token of HF_TOKEN or of `hf auth login`, if there is one."""

    def __init__(self) -> None:
        self.address = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")

    def repository(self, name: str) -> Repository:
        """What a repository holds now. Raises HubError."""
        with self._errors(name):
            api = HfApi(self.address, library_name=LIBRARY, library_version=VERSION)
            info = api.model_info(name, timeout=TIMEOUT, files_metadata=True)
            commit = info.sha or "main"
            files = (_hub_file(name, commit, sibling) for sibling in info.siblings or ())
            return Repository(name, _licence(info), tuple(file for file in files if file is not None))

    def download(self, file: HubFile, destination: Path) -> None:
        """Put `file` at `destination` once it is whole and right, from where an earlier attempt stopped.

        What is there is replaced in one step. Raises HubError.
        """
        part = file.part(destination)
        with self._errors(file.repository):
            destination.parent.mkdir(parents=True, exist_ok=True)
            with part.open("ab") as stream:
                if (fetched := stream.tell()) < file.size:
                    url = hf_hub_url(file.repository, str(file.path), revision=file.commit, endpoint=self.address)
                    # A compressed answer could not be resumed.
                    headers = build_hf_headers(library_name=LIBRARY, library_version=VERSION)
                    headers["Accept-Encoding"] = "identity"
                    http_get(url, stream, resume_size=fetched, headers=headers, displayed_filename=destination.name)
                stream.flush()
                os.fsync(stream.fileno())
            if not file.matches(part):
                part.unlink()
                raise HubError(
                    f"{destination.name} arrived damaged: its size or checksum is not what the hub states. It was "
                    "deleted; run `anima download` again, and if that repeats, try another network."
                )
            part.replace(destination)

    @contextmanager
    def _errors(self, repository: str) -> Iterator[None]:
        try:
            yield
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, TypeError, KeyError) as error:
            raise HubError(self._sentence(error, repository)) from error

    def _sentence(self, error: Exception, repository: str) -> str:
        page = f"{self.address}/{repository}"
        match error:
            case GatedRepoError():
                return (
                    f"{page} is open only to those who accept its terms: accept them there, signed in, and set "
                    "HF_TOKEN to a token of that account."
                )
            case HfHubHTTPError() if error.response.status_code == 401 and not get_token():
                return f"The hub shows {repository} only with a token (401): set HF_TOKEN, or mend HF_ENDPOINT."
            case HfHubHTTPError() if error.response.status_code in (401, 403):
                return (
                    f"The hub refuses your token for {repository} ({error.response.status_code}): renew HF_TOKEN at "
                    f"{self.address}/settings/tokens, or unset it."
                )
            case RepositoryNotFoundError() | EntryNotFoundError():
                return f"The hub finds no {repository}, or not this file in it ({page}): a newer Anima Bot may know."
            case HfHubHTTPError():
                return (
                    f"The hub answered {error.response.status_code} for {repository}. Try again later; "
                    "`anima download` goes on from what is there."
                )
            case OfflineModeIsEnabled():
                return "HF_HUB_OFFLINE forbids downloads: unset it."
            case httpx2.InvalidURL() | httpx2.UnsupportedProtocol():
                return f"HF_ENDPOINT is {self.address!r}, which is no address; it looks like {HUB}."
            case httpx2.HTTPError():
                return (
                    f"{self.address} cannot be reached ({error}). Check the network; `anima download` goes on from "
                    "what is there."
                )
            case OSError(errno=errno.ENOSPC | errno.EDQUOT):
                return "The disk is full. Make room; `anima download` goes on from what is there."
            case OSError():
                return f"{error.filename or 'A file'} could not be written: {error.strerror or error}."
            case _:
                return f"{self.address} does not answer as the Hugging Face hub does ({error!r}): mend HF_ENDPOINT."


def _hub_file(repository: str, commit: str, sibling: RepoSibling) -> HubFile | None:
    """A file as the hub lists it; None where it does not say how to check it."""
    if sibling.lfs is not None:
        size, checksum = sibling.lfs.size, sibling.lfs.sha256
    elif sibling.size is not None and sibling.blob_id is not None:
        size, checksum = sibling.size, sibling.blob_id
    else:
        return None
    return HubFile(repository, commit, PurePosixPath(sibling.rfilename), size, checksum)


def _licence(info: ModelInfo) -> str:
    card = info.card_data
    known = [] if card is None else [card.get("license_name") or card.get("license"), card.get("license_link")]
    return ", ".join(str(each) for each in known if each) or "not stated, see its page"
