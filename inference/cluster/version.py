"""Which code a machine runs: machines of one cluster must run the same."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

import inference

#: The Ray resource "an engine that runs this code", followed by the version. A node offers one for each of its engines,
#: and the bot asks for one, so it never gets an engine that runs other code.
RESOURCE = "anima-engine"
#: The Ray resource by which nodes see which code the bot runs. The head offers one.
HEAD_RESOURCE = "anima-bot"


@cache
def code_version() -> str:
    """The bot's version and a hash of the code in `inference`, such as `0.2.0-1a2b3c4d`."""
    digest = hashlib.sha256()
    folder = Path(inference.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return f"{version('anima-bot')}-{digest.hexdigest()[:8]}"


def engine_resource() -> str:
    return f"{RESOURCE}-{code_version()}"


def head_resource() -> str:
    """Includes the version of Python, because Ray requires the same one on all machines."""
    return f"{HEAD_RESOURCE}-{code_version()}-python-{platform.python_version()}"


def head_mismatch(resources: dict[str, float]) -> str | None:
    """Why this machine cannot join a cluster with these resources; None if it can."""
    heads = [name for name in resources if name.startswith(f"{HEAD_RESOURCE}-")]
    if head_resource() in heads:
        return None
    ours = head_resource().removeprefix(f"{HEAD_RESOURCE}-")
    if not heads:
        return "This is a Ray cluster, but not one that `anima cluster` started."
    theirs = heads[0].removeprefix(f"{HEAD_RESOURCE}-")
    return f"The cluster runs {theirs}, and this machine {ours}. Install the same version of anima-bot on both."
