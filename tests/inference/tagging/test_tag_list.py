"""Reading `selected_tags.csv`, and a sentence for each way in which it can be broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.tagging import tag_list
from inference.tagging.tag_list import ListedTag, TaggerError, TagKind, read_tag_list

HEAD = "tag_id,name,category,count\n"


def test_the_lines_are_the_models_outputs_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "tags.csv"
    file.write_text(HEAD + '9999,general,9,1\n1,1girl,0,5\n2,"saber_(a,b)",4,3\n3,odd,77,3\n', "utf-8")
    assert read_tag_list(file) == (
        ListedTag("general", TagKind.RATING),
        ListedTag("1girl", TagKind.GENERAL),
        ListedTag("saber_(a,b)", TagKind.CHARACTER),
        ListedTag("odd", TagKind.GENERAL),
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "There is no "),
        (b"", "lacks the column category and name"),
        (b"name,count\n", "lacks the column category"),
        (HEAD.encode(), "lists no tags"),
        (HEAD.encode() + b"1,,0,1\n", "line 2: a name and a category's number"),
        (HEAD.encode() + b"1,hat,zero,1\n", "line 2: a name and a category's number"),
        (HEAD.encode() + b"1,hat\n", "line 2: a name and a category's number"),
        (b"\xff\xfe" + HEAD.encode("utf-16-le"), "is not a UTF-8 text file"),
        (HEAD.encode() + b"1," + b"x" * 200_000 + b",0,1\n", "is not a CSV file"),
        (b"x" * 2_001, "is larger than"),
    ],
)
def test_a_list_that_cannot_be_used_is_named_with_what_to_do(
    content: bytes | None, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tags.csv"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(tag_list, "MAX_BYTES", 2_000 if content == b"x" * 2_001 else 1 << 20)
    with pytest.raises(TaggerError) as raised:
        read_tag_list(file)
    assert str(file) in str(raised.value) and sentence in str(raised.value)
    assert str(raised.value).endswith((".", "…"))
