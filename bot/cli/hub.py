"""Files on the Hugging Face Hub: listed, downloaded in resumable parts, and checked.

The library's own download deletes a partial file when its process ends, so a download of 4 GB would start over. This
module keeps the part and uses only the library's transfer.
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

from bot.ops.errors import CERTIFICATE_ADVICE, certificate_fault

HUB = "https://huggingface.co"
LIBRARY, VERSION = "anima-bot", version("anima-bot")
#: Seconds to wait for the hub's list of a repository's files.
TIMEOUT = 30.0


class HubError(Exception):
    """A file could not be downloaded. The message says why and what to do."""


@dataclass(frozen=True)
class HubFile:
    """A file at one commit of a repository. `checksum`: SHA-256 of an LFS file, git's blob id (SHA-1) of others."""

    repository: str
    commit: str
    path: PurePosixPath
    size: int
    checksum: str

    def matches(self, file: Path) -> bool:
        """Whether `file` exists with the size and checksum that the hub states. Reads all of it."""
        if not file.is_file() or file.stat().st_size != self.size:
            return False
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, self._hash).hexdigest() == self.checksum

    def fetched(self, destination: Path) -> int:
        """How many bytes an earlier attempt downloaded."""
        part = self.part(destination)
        return part.stat().st_size if part.exists() else 0

    def part(self, destination: Path) -> Path:
        """The path of the incomplete file. Its name has the checksum, so that versions never mix."""
        return destination.with_name(f".{destination.name}.{self.checksum[:12]}.part")

    def _hash(self) -> hashlib._Hash:
        if len(self.checksum) == 64:
            return hashlib.sha256()
        return hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)


@dataclass(frozen=True)
class Repository:
    name: str
    #: Its name and address, as far as the hub states them.
    licence: str
    files: tuple[HubFile, ...]

    def under(self, folder: str, *endings: str) -> list[HubFile]:
        """The files directly in `folder` whose suffix is one of `endings`."""
        return [file for file in self.files if str(file.path.parent) == folder and file.path.suffix in endings]


class Hub:
    """The hub at HF_ENDPOINT, with the token of HF_TOKEN or `hf auth login` if there is one."""

    def __init__(self) -> None:
        self.address = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")

    def repository(self, name: str) -> Repository:
        """The current files of a repository. Raises HubError."""
        with self._errors(name):
            api = HfApi(self.address, library_name=LIBRARY, library_version=VERSION)
            info = api.model_info(name, timeout=TIMEOUT, files_metadata=True)
            commit = info.sha or "main"
            files = (_hub_file(name, commit, sibling) for sibling in info.siblings or ())
            return Repository(name, _licence(info), tuple(file for file in files if file is not None))

    def download(self, file: HubFile, destination: Path) -> None:
        """Download `file`, continuing an earlier attempt, and move it to `destination` once its checksum matches.

        An existing file is replaced atomically. Raises HubError.
        """
        part = file.part(destination)
        with self._errors(file.repository):
            destination.parent.mkdir(parents=True, exist_ok=True)
            with part.open("ab") as stream:
                if (fetched := stream.tell()) < file.size:
                    url = hf_hub_url(file.repository, str(file.path), revision=file.commit, endpoint=self.address)
                    # A compressed response could not be resumed.
                    headers = build_hf_headers(library_name=LIBRARY, library_version=VERSION)
                    headers["Accept-Encoding"] = "identity"
                    http_get(url, stream, resume_size=fetched, headers=headers, displayed_filename=destination.name)
                stream.flush()
                os.fsync(stream.fileno())
            if not file.matches(part):
                part.unlink()
                raise HubError(
                    f"{destination.name} was damaged during the download: its size or checksum does not match. It was "
                    "deleted. Run `anima download` again; if it keeps happening, try another network."
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
                    f"{page} requires you to accept its terms. Sign in there, accept them, and set HF_TOKEN to a token "
                    "of that account."
                )
            case HfHubHTTPError() if error.response.status_code == 401 and not get_token():
                return f"{repository} needs a token (401). Set HF_TOKEN, or fix HF_ENDPOINT."
            case HfHubHTTPError() if error.response.status_code in (401, 403):
                return (
                    f"The hub rejected your token for {repository} ({error.response.status_code}). Create a new one at "
                    f"{self.address}/settings/tokens, or unset HF_TOKEN."
                )
            case RepositoryNotFoundError() | EntryNotFoundError():
                return f"{repository}, or a file in it, was not found ({page}). Update Anima Bot; it may have moved."
            case HfHubHTTPError():
                return (
                    f"The hub answered {error.response.status_code} for {repository}. Try again later; "
                    "`anima download` continues where it stopped."
                )
            case OfflineModeIsEnabled():
                return "HF_HUB_OFFLINE is set, so nothing can be downloaded. Unset it."
            case httpx2.InvalidURL() | httpx2.UnsupportedProtocol():
                return f"HF_ENDPOINT is {self.address!r}, which is not a valid address. It looks like {HUB}."
            case httpx2.HTTPError() if (fault := certificate_fault(error)) is not None:
                return (
                    f"{self.address} cannot be reached ({fault}). {CERTIFICATE_ADVICE}. Then `anima download` "
                    "continues where it stopped."
                )
            case httpx2.HTTPError():
                return (
                    f"{self.address} cannot be reached ({error}). Check your network; `anima download` continues "
                    "where it stopped."
                )
            case OSError(errno=errno.ENOSPC | errno.EDQUOT):
                return "The disk is full. Free some space; `anima download` continues where it stopped."
            case OSError():
                file = error.filename or "A file"
                return f"{file} could not be written ({error.strerror or error}). Check its permissions."
            case _:
                return f"{self.address} does not respond like the Hugging Face Hub ({error!r}). Fix HF_ENDPOINT."


def _hub_file(repository: str, commit: str, sibling: RepoSibling) -> HubFile | None:
    """A file as the hub lists it; None if it states no checksum."""
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
