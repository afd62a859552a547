"""The tag list: loading and completing."""

import codecs
import random
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.prompting import tags as module
from bot.prompting.tags import (
    MAX_CHOICE_LENGTH,
    Category,
    Tag,
    TagFileError,
    TagIndex,
    _fields,
    _tag,
    _tag_of_fields,
)
from tests.effort import bounded_effort


def index(tmp_path: Path, content: str | bytes) -> TagIndex:
    path = tmp_path / "tags.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return TagIndex.load(path)


@pytest.fixture(scope="module")
def own() -> TagIndex:
    return TagIndex.load()


@pytest.fixture
def few() -> TagIndex:
    return TagIndex(
        [
            Tag("1girl", Category.GENERAL, 1000, ("one girl",)),
            Tag("hair ornament", Category.GENERAL, 300),
            Tag("long hair", Category.GENERAL, 900, ("longhair",)),
            Tag("hat", Category.GENERAL, 500),
            Tag("hatsune miku", Category.CHARACTER, 600, ("初音ミク", "miku")),
            Tag("saber (fate)", Category.CHARACTER, 200),
            Tag("hatter", Category.ARTIST, 50),
            Tag("nnn yryr", Category.ARTIST, 40),
            Tag("^_^", Category.GENERAL, 30),
        ]
    )


def prompts(index: TagIndex, text: str, limit: int = 25) -> list[str]:
    return [completion.prompt for completion in index.complete(text, limit)]


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("hat", ["hat", "hatsune miku", "@hatter"]),  # this very name, then by count
        ("ha", ["hatsune miku", "hat", "hair ornament", "@hatter", "long hair"]),  # a later word comes last
        ("1girl, hair", ["1girl, hair ornament", "1girl, long hair"]),
        ("1girl,hair o", ["1girl, hair ornament"]),
        ("Long_h", ["long hair"]),
        ("longh", ["long hair"]),  # an alias
        ("初音", ["hatsune miku"]),
        ("hat, ha", ["hat, hatsune miku", "hat, hair ornament", "hat, @hatter", "hat, long hair"]),  # no doubles
        ("@", ["@hatter", "@nnn yryr"]),
        ("1girl, @nn", ["1girl, @nnn yryr"]),
        ("sab", [r"saber \(fate\)"]),
        (r"saber \(f", [r"saber \(fate\)"]),
        ("fate", [r"saber \(fate\)"]),
        ("{red hat|long", ["{red hat|long hair"]),
        ("((long", ["((long hair"]),
        ("A girl with lo", []),
        ("1girl, ", ["1girl, long hair", "1girl, hatsune miku", "1girl, hat"]),
    ],
)
def test_the_last_tag_is_completed(few: TagIndex, text: str, completed: list[str]) -> None:
    assert prompts(few, text, 3 if text.endswith(" ") else 25) == completed


def test_artists_complete_with_or_without_at(few: TagIndex) -> None:
    for text in ("n", "@n", "NNN_y"):
        assert [completion.prompt for completion in few.complete_artists(text)] == ["@nnn yryr"]
    assert [completion.prompt for completion in few.complete_artists("hatter, ")] == ["hatter, @nnn yryr"]


def test_completions_too_long_for_a_choice_are_left_out_and_never_cut(few: TagIndex) -> None:
    text = "x" * 92 + ", ha"
    assert prompts(few, text) == ["x" * 92 + ", hat"]
    assert prompts(few, "x" * 101) == []


@settings(deadline=None)
@given(st.text() | st.text(st.sampled_from("ahstn@ ,({|_^\n\0初\\")), st.integers(0, 30))
def test_completion_answers_any_text_within_discords_limits(text: str, limit: int) -> None:
    own = _OWN
    completions = own.complete(text, limit)
    assert len(completions) <= limit
    assert all(len(completion.prompt) <= MAX_CHOICE_LENGTH for completion in completions)
    assert len({completion.prompt for completion in completions}) == len(completions)
    assert len(own.complete_artists(text, limit)) <= limit


_OWN = TagIndex.load()


def test_the_bundled_list_is_valid(own: TagIndex) -> None:
    assert own.problems == ()
    assert 300 < len(own) < 1000
    assert own.category_of("nnn yryr") is Category.ARTIST
    assert own.category_of("Score_7") is Category.META
    assert own.complete("")[0].prompt == "1girl"
    assert own.complete("1g")[0].prompt == "1girl"
    assert own.find(":)") and own.find("^_^")


def test_a_file_is_read_as_others_write_it(tmp_path: Path) -> None:
    content = (
        '\ufeffname,category,count,aliases\r\n1girl,0,5,"1girls,sole_female"\r\n\r\nnnn_yryr,1,3,\nfate_(series),3,9\n'
    )
    tags = index(tmp_path, content)
    assert tags.problems == ()
    assert tags.find("1girl") == Tag("1girl", Category.GENERAL, 5, ("1girls", "sole female"))
    assert tags.find("nnn yryr") == Tag("nnn yryr", Category.ARTIST, 3)
    assert tags.find("Fate_(Series)") == Tag("fate (series)", Category.COPYRIGHT, 9)


def test_broken_lines_are_left_out_and_named(tmp_path: Path) -> None:
    content = b"hat,0,5,\nhat\n,0,1,\nb,x,1,\nc,0,many,\n\xff\xfe,0,1,\n" + b"d" * 20_000
    content += b'\n"e,0,1,\n"f"\rg,0,1,\nshoe,0,1,'
    tags = index(tmp_path, content)
    assert len(tags) == 2
    assert [problem.partition(", line ")[2] for problem in tags.problems] == [
        "2: name, category and count are expected, so the line is left out.",
        "3: the name has 0 characters, but may have 1 to 200, so the line is left out.",
        "4: the category is 'x', but must be a number, so the line is left out.",
        "5: the count is 'many', but must be a number, so the line is left out.",
        "6: it is not UTF-8, so the line is left out.",
        "7: it has 20,000 characters, and the limit is 10,000, so the line is left out.",
        "8: name, category and count are expected, so the line is left out.",
        "9: name, category and count are expected, so the line is left out.",
    ]


def test_a_file_of_broken_lines_says_so_in_few_words(tmp_path: Path) -> None:
    tags = index(tmp_path, "hat,0,1,\n" + "broken\n" * 1000)
    assert len(tags.problems) == module.MAX_PROBLEMS + 1
    assert tags.problems[-1].endswith("990 more lines are left out.")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "this file contains no tags"),
        (b"\0" * 1000, "line 1: name, category and count are expected"),
        (codecs.BOM_UTF16_LE + "hat,0,1".encode("utf-16-le"), "line 1: the file is in UTF-16; save it as UTF-8."),
    ],
)
def test_a_file_that_is_not_a_tag_list_is_refused_with_an_explanation(
    tmp_path: Path, content: bytes, what: str
) -> None:
    with pytest.raises(TagFileError) as refused:
        index(tmp_path, content)
    assert str(refused.value).startswith(str(tmp_path / "tags.csv"))
    assert what in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TagFileError, match=r"none\.csv: the tags cannot be read"):
        TagIndex.load(tmp_path / "none.csv")
    with pytest.raises(TagFileError, match="cannot be read"):
        TagIndex.load(tmp_path)


def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TAGS", 2)
    assert len(index(tmp_path, "aa,0,1\nbb,0,1\ncc,0,1\n")) == 2
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    with pytest.raises(TagFileError, match="larger than"):
        index(tmp_path, "aa,0,1\nbb,0,1\ncc,0,1\n")


@settings(deadline=None)
@given(st.binary() | st.text(st.sampled_from('ab_,01"\n\\(')).map(str.encode))
def test_any_bytes_are_a_list_or_an_explained_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("tags") / "tags.csv"
    path.write_bytes(content)
    try:
        TagIndex.load(path).complete("a")
    except TagFileError as error:
        assert str(error).startswith(str(path))


LINES = st.from_regex(r"[ab_(^]{1,5},[015],\d{1,3}(,\"?[ab_,/(^]{0,9}\"?)?", fullmatch=True)


@settings(deadline=None)
@given(LINES)
def test_the_fast_parser_agrees_with_the_careful_one(line: str) -> None:
    assert _tag(line.strip()) == _tag_of_fields(_fields(line.strip()))


@given(st.lists(st.text("ab (", min_size=1, max_size=30), min_size=1, max_size=30), st.text("ab (", max_size=30))
def test_the_index_finds_what_a_search_through_the_whole_text_finds(names: list[str], typed: str) -> None:
    ranking = module._Ranking([Tag(name, Category.GENERAL, 1, (name[::-1],)) for name in names])
    for needle in ("\n" + typed, "\0" + typed, " " + typed):
        for limit in (1, 3, 100):
            assert ranking._rows(needle, limit) == ranking._rows_searched(needle, limit)


def test_frequent_beginnings_are_searched_and_rare_ones_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ranking = module._Ranking(
        [Tag(f"common {number}", Category.GENERAL, 1) for number in range(module.MAX_SCANNED + 1)]
    )
    searched: list[str] = []
    monkeypatch.setattr(ranking, "_rows_searched", lambda needle, _: searched.append(needle) or [])
    assert ranking._rows("\ncommon 30", 2) == [30, 300]
    assert not searched
    ranking._rows("\ncommon", 2)
    assert searched == ["\ncommon"]


def test_a_large_list_loads_and_answers_with_bounded_effort(tmp_path: Path) -> None:
    generator = random.Random(7)
    words = ["".join(generator.choices(string.ascii_lowercase, k=3 + rank % 7)) for rank in range(2000)]
    path = tmp_path / "large.csv"
    with path.open("w") as file:
        for rank in range(150_000):
            one, two, three = words[rank % 2000], words[rank // 2000], words[rank * 7 % 2000]
            file.write(f'{one}_{two},{(0, 1, 3, 4, 5)[rank % 5]},{10**7 // (rank + 1)},"{three}_{one},初音"\n')
    with bounded_effort(800):
        tags = TagIndex.load(path)
    texts = ["a", "zzz", "no such tag", "@q", "1girl, ", words[5], words[6][:2], "初音"]
    with bounded_effort(80):
        for text in texts:
            tags.complete(text)
