"""Other systems' certificates and code pages, played: a platform's name, and streams that refuse what they lack."""

from __future__ import annotations

import io
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest

from bot.cli.startup_errors import explain
from bot.cli.system import escape_unencodable
from bot.ops.outages import explain_outage

ROOT = Path(__file__).parents[3]
#: With a prompt's 猫, quotation marks, an emoji, and half of a character from a file's name that is not text.
MESSAGE = "猫 é “a — b” … 😀 \udc80"
#: Notes what was imported when the certificates were asked for.
CERTIFICATES = """
import sys, truststore
seen = []
truststore.inject_into_ssl = lambda: seen.append("aiohttp" in sys.modules)
import bot.__main__ as command
sys.platform = {platform!r}
try:
    command.main(["invite", "--help"])
except SystemExit:
    pass
print(seen)
"""


def python(*arguments: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        check=False,
        timeout=120,
    )


# Code pages


@pytest.mark.parametrize("code_page", ["cp1252", "cp932", "ascii", "utf-8"])
def test_a_stream_of_any_code_page_shows_every_message(code_page: str) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=code_page, errors="strict")
    with pytest.raises(UnicodeEncodeError):
        stream.write(MESSAGE)
    escape_unencodable(stream)
    stream.write(MESSAGE)
    stream.flush()
    assert stream.encoding == code_page, "programs that read it expect this encoding"
    shown = written.getvalue().decode(code_page)
    assert r"\udc80" in shown
    assert ("猫" in shown) == (code_page in ("cp932", "utf-8"))


def test_missing_and_foreign_streams_are_left_alone() -> None:
    escape_unencodable(None)
    escape_unencodable(io.StringIO())


def test_a_failing_command_prints_its_errors_and_no_traceback(tmp_path: Path) -> None:
    done = python(
        *("-m", "bot", "doctor", "--models", "猫😀"),
        folder=tmp_path,
        PYTHONIOENCODING="cp932:strict",
        PYTHONUTF8="0",
        ANIMA_DEVICE="cpu",
    )
    assert b"Traceback" not in done.stderr
    assert r"There is no folder 猫\U0001f600" in done.stdout.decode("cp932")


# Certificates


@pytest.mark.parametrize(("platform", "seen"), [("darwin", "[False]"), ("win32", "[False]"), ("linux", "[]")])
def test_windows_and_macos_judge_certificates_themselves_from_before_aiohttp_makes_its_contexts(
    platform: str, seen: str
) -> None:
    done = python("-c", CERTIFICATES.format(platform=platform))
    assert done.stdout.decode().splitlines()[-1:] == [seen], done.stderr.decode()


def untrusted() -> ssl.SSLCertVerificationError:
    """As OpenSSL has it; the message is that of python.org's Python on a Mac."""
    return ssl.SSLCertVerificationError(
        1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate"
    )


def of_aiohttp() -> aiohttp.ClientError:
    key: Any = type("Key", (), {"host": "discord.com", "port": 443, "is_ssl": True, "ssl": True})()
    return aiohttp.ClientConnectorCertificateError(key, untrusted())


def test_an_untrusted_certificate_is_not_blamed_on_the_network() -> None:
    said = explain(of_aiohttp())
    assert said is not None and "its certificate is not trusted" in said and "unable to get local issuer" in said
    assert "clock" in said and "antivirus" in said and "network" not in said
    assert said.endswith("add its certificate to the system's. Then start again.")
    waiting = str(explain_outage(of_aiohttp()))
    assert "its certificate is not trusted" in waiting and "). Set this machine's clock" in waiting


def test_other_errors_of_the_network_say_nothing_of_certificates() -> None:
    for error in (aiohttp.ClientConnectionError("no route"), aiohttp.ServerDisconnectedError()):
        assert "certificate" not in str(explain(error)) + str(explain_outage(error))


def test_the_hubs_untrusted_certificate_is_found_among_the_causes() -> None:
    from bot.ops.errors import certificate_fault

    try:
        try:
            raise untrusted()
        except ssl.SSLError as error:
            raise httpx2.ConnectError(str(error)) from error
    except httpx2.ConnectError as error:
        assert "its certificate is not trusted" in str(certificate_fault(error))
    assert certificate_fault(httpx2.ConnectError("refused")) is None


@pytest.mark.posix
@pytest.mark.parametrize("hard", [300, 700])
def test_a_command_may_open_as_many_files_as_the_system_allows(hard: int) -> None:
    """256 on a Mac are too few for many engines and a Discord that does not answer."""
    limited = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))
import bot.__main__ as command
try:
    command.main(["invite", "--help"])
except SystemExit:
    print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    assert python("-c", limited).stdout.decode().splitlines()[-1] == f"({hard}, {hard})"
