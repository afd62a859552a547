"""The cluster's token is private, and refused with a sentence where it is not."""

import stat
from pathlib import Path

import pytest

from inference.cluster.token import TokenError, check_token, ensure_token, rotate_token

pytestmark = pytest.mark.posix


def test_a_token_is_created_once_and_only_its_user_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "token"
    assert ensure_token(path)
    first = path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not ensure_token(path)
    assert path.read_text(encoding="utf-8") == first
    check_token(path)


def test_rotation_replaces_the_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    ensure_token(path)
    first = path.read_text(encoding="utf-8")
    rotate_token(path)
    assert path.read_text(encoding="utf-8") != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match=r"no cluster token at .*`anima cluster` creates one"):
        check_token(tmp_path / "token")


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    ensure_token(path)
    path.chmod(0o640)
    with pytest.raises(TokenError, match=r"Others can read .*chmod 600"):
        check_token(path)


@pytest.mark.parametrize("text", ["", "short\n", "\0" * 5])
def test_a_file_without_a_token_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(TokenError, match="does not contain a cluster token"):
        check_token(path)
