"""Forbidden content is found in any spelling, and innocent prompts pass."""

# ruff: noqa: RUF001  letters that look alike are the subject

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.rules.safety import asks_for_nsfw, blocked_words, minors_sexual
from bot.rules.safety.normalize import fold
from tests.effort import bounded_effort

TEXTS = (
    st.lists(
        st.sampled_from(
            [
                "child",
                "nude",
                "{",
                "|",
                "}",
                "(",
                ":1.2)",
                ":-1)",
                "\\",
                " ",
                ", ",
                "13",
                " years old",
                "lo",
                "li",
                "ロリ",
                "裸",
                "\u200b",
            ]
        ),
        max_size=20,
    ).map("".join)
    | st.text()
)

DISGUISED = [
    "{0}",
    "1girl, {0}, smile",
    "({0}:1.3)",
    "(({0}))",
    "<lora:{0}:1>",
    "{{{0}|x}}",
    "@{0}",
    "A {0}.",
    "x,{0}_x",
    "{0}-chan",
]


@pytest.mark.parametrize("disguise", DISGUISED)
@pytest.mark.parametrize("term", ["loli", "shota", "lolicon", "oppai loli", "child porn", "toddlercon", "jailbait"])
def test_sexualised_minors_are_refused_by_the_word_alone(term: str, disguise: str) -> None:
    assert minors_sexual(disguise.format(term))


@pytest.mark.parametrize(
    "text",
    [
        "LOLI",
        "lolis",
        "lolí",
        "l\u200bo\u200bl\u200bi",  # zero width
        "l\u00ado\u2060li",
        "lo\u0336li",
        "lоlі",  # Cyrillic
        "lολι",  # Greek
        "ｌｏｌｉ",
        "Ⓛⓞⓛⓘ",
        "🇱🇴🇱🇮",
        "🅻🅾🅻🅸",
        "𝓵𝓸𝓵𝓲",
        "ʟᴏʟɪ",
        "l0l1",
        "L0Ii",
        "lo|i",
        "lol!con",
        "$hota",
        "looooli",
        "l o l i",
        "l.o.l.i",
        "l-o-l-i",
        "lo li",
        "lo_li",
        "l\no\nl\ni",
        "sho ta",
        "loli con",
        r"l\(oli",
        r"lo\li",
        "(lo:1.2)li",
        "((lo):0.4)(li:1.9)",
        "(l)(o)(l)(i)",
        "{lo|x}li",
        "{a|{b|lo}}{li|}",
        "{0::lo|x}li",
        "{l|m}{o|u}{l|t}{i|e}",
        "cuteloli",
        "lolichan",
        "nudechild",
        "ロリ",
        "ﾛﾘ",
        "ロリコン",
        "ロ リ",
        "口リ巨乳",
        "ショタ",
        "おねショタ",
        "萝莉",
    ],
)
def test_no_spelling_hides_a_forbidden_term(text: str) -> None:
    assert minors_sexual(f"1girl, {text}, smile")


@pytest.mark.parametrize(
    "minor",
    [
        "child",
        "children",
        "ch1ld",
        "kid",
        "toddler",
        "teen",
        "teenage girl",
        "underage",
        "under-aged girl",
        "preteen",
        "little girl",
        "young boy",
        "young cute girl",
        "schoolgirl",
        "high school student",
        "3rd grader",
        "randoseru",
        "aged down",
        "13 year old",
        "13-year-old",
        "13yo",
        "13 y.o.",
        "１３ years old",
        "1 3 years old",
        "thirteen years old",
        "seventeen-year-old",
        "aged 12",
        "age: 12",
        "age 9",
        "she is 15",
        "under 18",
        "6 months old",
        "15歳",
        "15才",
        "十二歳",
        "小学生",
        "女子中学生",
        "女子高生, 女子高",
        "幼女",
        "子供",
        "未成年",
        "メスガキ",
    ],
)
@pytest.mark.parametrize("sexual", ["nude", "n.u.d.e", "s3x", "(nsf:1.2)w", "pаnties", "全裸", "セックス"])
def test_a_minor_and_something_sexual_are_refused_together_and_fine_apart(minor: str, sexual: str) -> None:
    assert minors_sexual(f"{minor}, {sexual}")
    assert minors_sexual(f"a {sexual} {minor}")
    assert minors_sexual(minor, sexual)  # in two fields
    assert minors_sexual(f"1girl, {minor}, smile") is None
    assert minors_sexual(f"1girl, {sexual}, smile") is None


@pytest.mark.parametrize("school", ["school uniform", "serafuku", "school swimsuit", "classroom", "student", "制服"])
def test_school_beside_explicit_terms_is_refused_unless_all_are_grown_up(school: str) -> None:
    assert minors_sexual(f"1girl, {school}, sex")
    assert minors_sexual(f"1girl, {school}, panties") is None
    assert minors_sexual(f"1girl, {school}, smile") is None
    assert minors_sexual(f"adult woman, {school}, sex") is None
    assert minors_sexual(f"20 years old, {school}, sex") is None
    assert minors_sexual(f"adult woman, child, {school}, sex")


@pytest.mark.parametrize(
    "text",
    [
        "lollipop, nude",
        "lolling tongue, nude",
        "lol! nude",
        "hello lion, nude",
        "gothloli, lolium, sexteenth, nude",
        "gothic lolita, lolita fashion, panties",
        "shota aizawa, nude",
        "a wide shot a nude woman",
        "age 25, nude",
        "18 years old, nude",
        "a 100-year-old vampire, nude",
        "1000歳, 裸",
        "young woman, nude",
        "year 2012, newest, nude",
        "10 years later, nude",
        "1girl, 12 apples, nude",
        "girl 1 and girl 2, nude",
        "4girls, nude",
        "middle-aged woman, nude",
        "heart-shaped pupils, nude",
        "baby blue dress, nude",
        "teen titans, kid icarus, nude",
        "chord in a minor key, nude",
        "minor injuries, nude",
        "old school, nude",
        "child, grass, glasses, assassin, bass guitar",
        "child, peacock, cockatoo, cocktail",
        "child, cumulus clouds, document",
        "child, canal, analog clock, banana, essex",
        "child, the pen is on the table",
        "a child, the girl's ex boyfriend",
        "children eating an al dente pasta",
        "child, same-sex parents",
        "child, naked eye, telescope",
        "child, swimsuit, beach",
        "child, hand up, skirt",
        "child, grapes, rapeseed field",
        "カロリー, フロリダ, 裸",
        "ゴスロリ, 裸",
        "出口リスト, 裸",
        "ピエロ, 子供",
        "裸足, 子供",
        "フェラーリ, 子供",
        "エッチング, 子供",
        "masterpiece, best quality, score_7, safe, 1girl, child, smile",
    ],
)
def test_innocent_prompts_pass(text: str) -> None:
    assert minors_sexual(text) is None


@pytest.mark.parametrize(
    "text", ["mature female, large breasts, child", "no nudity, child", "13 year old whisky, nude"]
)
def test_ambiguous_prompts_are_refused(text: str) -> None:
    assert minors_sexual(text)


def test_the_finding_names_both_terms() -> None:
    finding = minors_sexual("a (ch1ld:1.2)", "nu-de")
    assert finding
    assert (finding.minor, finding.sexual) == ("child", "nude")


@pytest.mark.parametrize(
    ("prompt", "negative", "refused"),
    [
        ("nude", "child, loli, teen", False),  # good practice
        ("child", "nsfw, nude", False),
        ("nude", "(child:-1)", True),  # drawn, not avoided
        ("nude", "(ch:-1)(ild:-0.5)", True),
        ("hat", "({lo|x}li:-1)", True),
        ("nude", "(child:1.5)", False),
        ("nude", "adult", True),
        ("nude", "old, mature female", False),
        ("hat", "adult", False),
    ],
)
def test_only_negatively_weighted_parts_of_the_negative_count(prompt: str, negative: str, refused: bool) -> None:
    assert bool(minors_sexual(prompt, negative=negative)) is refused


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1girl, nude, nsfw", ("nude", "nsfw")),
        ("(se:1.2)x, n.s.f.w", ("sex", "nsfw")),
        ("rating:explicit", ("explicit", "rating explicit")),
        ("全裸", ("裸",)),
        ("sensitive, lingerie, bikini, large breasts, kiss, sexy", ()),
        ("naked eye, same-sex couple, moby dick, cocktail, bottomless pit, sperm whale", ()),
        ("masterpiece, best quality, score_7, safe, 1girl, oomuro sakurako, @nnn yryr, smile", ()),
    ],
)
def test_asking_for_nsfw_is_found_by_danboorus_ratings(text: str, found: tuple[str, ...]) -> None:
    assert sorted(asks_for_nsfw(text)) == sorted(found)


def test_nsfw_in_the_negative_is_not_asked_for_unless_its_weight_is_negative() -> None:
    assert asks_for_nsfw("hat", negative="nsfw, (nude:1.5)") == ()
    assert asks_for_nsfw("hat", negative="nsfw, (nude:-1)") == ("nude",)


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("A Café, FOO", ["cafe", "foo", "fo", "ca"], ("cafe", "foo")),
        ("a red-hat", ["Red Hat"], ("Red Hat",)),
        ("red, hat", ["red hat"], ()),
        ("(re:1.2)d {hat|cap}", ["red", "cap"], ("red", "cap")),
        ("{re|x}d", ["red"], ("red",)),
        ("猫耳の少女", ["猫耳", "犬"], ("猫耳",)),
        ("rеd straße", ["red", "STRASSE"], ("red", "STRASSE")),
        ("плохое слово", ["Слово", "слов"], ("Слово",)),
        ("a 🔫", ["🔫", "", " ", "☠"], ("🔫",)),
    ],
)
def test_blocked_words_are_whole_words_in_any_case_and_accent(
    text: str, words: list[str], found: tuple[str, ...]
) -> None:
    assert blocked_words(text, words) == found


@settings(deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_any_text_can_be_judged(one: str, other: str, negative: str) -> None:
    finding = minors_sexual(one, other, negative=negative)
    if minors_sexual(one, negative=negative):
        assert finding  # more text never makes it better
    asks_for_nsfw(one, negative=negative)
    assert set(blocked_words(one, [other, negative])) <= {other, negative}


@settings(deadline=None)
@given(st.text(), st.text())
def test_surrounding_text_hides_nothing(before: str, after: str) -> None:
    assert minors_sexual(f"{before} , child porn, {after}".replace("{", "").replace("\\", ""))


@settings(deadline=None)
@given(st.text())
def test_normalizing_is_stable_and_bounded(text: str) -> None:
    assert len(fold(text)) <= 8 * len(text)
    assert fold(fold(text)) == fold(text)


@given(st.text(st.characters(codec="ascii")))
def test_plain_ascii_folds_as_beside_other_letters(text: str) -> None:
    assert fold(text) + "e" == fold(text + "é")


@pytest.mark.parametrize(
    "part",
    [
        *(
            "a b c d ",
            "l o l l ",
            "{a|b}",
            "(",
            "nude child ",
            "ﷺ",
            "lo li ",
            "young ",
            "1 ",
            "{lo|li",
            "a",
            "@",
            "under 1 ",
        ),
        *("ロ", "口リ", "a.b", "\u0308", "(a:-1)", "little small "),
    ],
)
def test_long_texts_take_linear_time(part: str) -> None:
    text = part * (10_000 // len(part))
    with bounded_effort(300):
        minors_sexual(text, negative=text)
        asks_for_nsfw(text)
        blocked_words(text, [part, "word"])
