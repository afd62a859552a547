"""Hints: what is found in a prompt, and the corrected one."""

# ruff: noqa: RUF001  full-width characters are what some of these are about

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.prompting.hints import Correction, HintCode, correct, fixed, hints
from bot.prompting.tags import Category, Tag, TagIndex
from tests.effort import bounded_effort

TAGS = TagIndex(
    [
        Tag("1girl", Category.GENERAL, 9),
        Tag("long hair", Category.GENERAL, 8, ("longhair", "長い髪", "长发", "긴 머리")),
        Tag("saber (fate)", Category.CHARACTER, 7, ("セイバー",)),
        Tag("nnn yryr", Category.ARTIST, 6),
        Tag("ask (askzy)", Category.ARTIST, 6),
        Tag("ai", Category.ARTIST, 5),
    ]
)
PARTS = st.sampled_from(
    (
        *("<lora:a:1>", "<lo", "ra:b>", "BREAK", "embedding:x", "(easynegative:1.2)", "saber_(fate)", "(", ")", ":1.2"),
        *(
            ":1.1)",
            ", ",
            " ",
            "\n",
            "long_hair",
            "nnn yryr",
            "by ",
            "@",
            "Long Hair",
            "score 7",
            "^_^",
            "_",
            "\\",
            ":)",
        ),
        *(
            "smile",
            "、",
            "，（",
            "：1.1）",
            "{",
            "}",
            "[",
            "]",
            "|",
            "::",
            "1.3::",
            "--ar 2:3",
            " --no ",
            "--",
            "—v",
            "6",
        ),
        *("seed:", "-1", "1024", "x1024", "Negative prompt:", "Steps: 20", "長い髪", "머리", "发"),
    )
)
PROMPTS = st.lists(PARTS, max_size=30).map("".join) | st.text()


@pytest.mark.parametrize(
    ("prompt", "without_hint", "code"),
    [
        ("1girl, nnn yryr, hat", "1girl, @nnn yryr, hat", HintCode.ARTIST_WITHOUT_AT),
        ("1girl by nnn yryr, hat", "1girl by nnn yryr, hat", None),
        ("1girl, art by nnn yryr", "1girl, @nnn yryr", HintCode.ARTIST_WITHOUT_AT),
        ("artist: ask (askzy)", r"@ask \(askzy\)", HintCode.ARTIST_WITHOUT_AT),
        ("(nnn yryr:1.5)", "(@nnn yryr:1.5)", HintCode.ARTIST_WITHOUT_AT),
        ("@nnn yryr", "@nnn yryr", None),
        ("ai", "ai", None),  # too short to be sure
        ("long_hair, (red_hat:1.5)", "long hair, (red hat:1.5)", HintCode.UNDERSCORES),
        ("@nnn_yryr", "@nnn yryr", HintCode.UNDERSCORES),
        ("@some_body", "@some_body", None),  # not known to have a space
        (
            "score_7, score_9_up, ^_^, >_<, o_o, __hair__, a/b_c",
            "score_7, score_9_up, ^_^, >_<, o_o, __hair__, a/b_c",
            None,
        ),
        ("score 7", "score_7", HintCode.UNDERSCORES),
        ("1Girl, Long Hair, A Girl", "1girl, long hair, A Girl", HintCode.UPPER_CASE),
        ("saber_(fate)", r"saber \(fate\)", HintCode.NAME_IN_BRACKETS),
        ("saber (fate)", r"saber \(fate\)", HintCode.NAME_IN_BRACKETS),
        ("red (hat:1.5)", "red (hat:1.5)", None),
        ("(smile, hat", "smile, hat", HintCode.UNBALANCED_BRACKETS),
        ("(smile:1.4, hat", "(smile:1.4), hat", HintCode.UNBALANCED_BRACKETS),
        ("hat, smile:1.4), 1girl", "hat, (smile:1.4), 1girl", HintCode.UNBALANCED_BRACKETS),
        ("smile), hat", "smile, hat", HintCode.UNBALANCED_BRACKETS),
        ("1girl, :), hat", r"1girl, :\), hat", HintCode.UNBALANCED_BRACKETS),
        (r"\(smile", r"\(smile", None),
        ("(smile:1.1), hat", "(smile:1.5), hat", HintCode.WEAK_WEIGHT),
        ("(smile:1.2)", "(smile:1.5)", HintCode.WEAK_WEIGHT),
        ("(smile:0.8)", "(smile:0.5)", HintCode.WEAK_WEIGHT),
        ("(smile)", "(smile:1.5)", HintCode.WEAK_WEIGHT),
        ("(smile:1.0), ((smile)), (smile:1.25), (hat:0.7), (hat:-1)",) * 2 + (None,),
        ("A girl (smiling) in the rain.", "A girl (smiling) in the rain.", None),
        ("1girl, <lora:style:0.8>, hat", "1girl, hat", HintCode.LORA_SYNTAX),
        ("<lora:a:1>, <lora:b:1>, hat", "hat", HintCode.LORA_SYNTAX),
        ("1girl <lora:a:1> <lora:b:1> hat", "1girl hat", HintCode.LORA_SYNTAX),
        ("1girl BREAK hat", "1girl, hat", HintCode.BREAK),
        ("1girl, BREAK, hat, breaking", "1girl, hat, breaking", HintCode.BREAK),
        ("hat, (embedding:easynegative:1.2), shoes", "hat, shoes", HintCode.EMBEDDING),
        ("hat, EasyNegative", "hat, ", HintCode.EMBEDDING),
        ("1girl，（smile：1.4），ｌｏｎｇ", "1girl, (smile:1.4), long", HintCode.FULL_WIDTH),
        ("{smile}, {{{1girl}}}, [hat]", "(smile:1.5), (1girl:1.5), (hat:0.5)", HintCode.NOVELAI_WEIGHTS),
        ("{{{{{hat}}}}}", "(hat:1.28)", HintCode.NOVELAI_WEIGHTS),
        ("{smile:1.4}, {(hat:1.4)}", "(smile:1.4), (hat:1.4)", HintCode.NOVELAI_WEIGHTS),
        ("1.3::smile::, -1::hat::", "(smile:1.3), (hat:-1)", HintCode.NOVELAI_WEIGHTS),
        ("1.1::a, b::, 20::c", "(a, b:1.5), (c:2)", HintCode.NOVELAI_WEIGHTS),
        ("1.4::a, 0.5::b::", "(a:1.4), (b:0.5)", HintCode.NOVELAI_WEIGHTS),
        (
            "{red|blue} hair, {2::red|blue}, {|smile}, \\{hat\\}",
            "{red|blue} hair, {2::red|blue}, {|smile}, \\{hat\\}",
            None,
        ),
        (
            "[a:b:0.5], a sign that says [OPEN], {1.3::a::|b}, ::",
            "[a:b:0.5], a sign that says [OPEN], {1.3::a::|b}, ::",
            None,
        ),
        ("長い髪、セイバー", r"long hair, saber \(fate\)", HintCode.FULL_WIDTH),
        ("長い髪, 笑顔の女の子", "long hair, 笑顔の女の子", HintCode.JAPANESE),
        ("长发, smile", "long hair, smile", HintCode.CHINESE),
        ("긴 머리, smile", "long hair, smile", HintCode.KOREAN),
        ("미소", "미소", HintCode.KOREAN),
        ("a girl--no hat, well-known, e-mail", "a girl--no hat, well-known, e-mail", None),
        (
            "(sunflower seed:1.5), seed, 1024 cats, steps: many",
            "(sunflower seed:1.5), seed, 1024 cats, steps: many",
            None,
        ),
    ],
)
def test_each_hint_has_its_prompt_fixed(prompt: str, without_hint: str, code: HintCode | None) -> None:
    assert [hint.code for hint in hints(prompt, TAGS)][:1] == ([code] if code else [])
    assert fixed(prompt, TAGS) == without_hint


@pytest.mark.parametrize(
    ("prompt", "correction"),
    [
        (
            "1girl, red hair --ar 2:3 --no hat, shoes --seed 5 --v 6 --stylize 100 --niji",
            Correction("1girl, red hair", negative="hat, shoes", aspect="2:3", seed=5),
        ),
        ("--no hat --ar 1920:1080 1girl", Correction("1girl", negative="hat", aspect="16:9")),
        ("1girl —ar 16:9, smile", Correction("1girl, smile", aspect="16:9")),
        ("cat --niji 6 --style raw --sref https://example.org/a.png --q 2", Correction("cat")),
        ("cat --cfg 5.5 --steps 30 --seed -1", Correction("cat", steps=30, cfg=5.5)),
        ("cat --ar 0:3 --steps 99999 --seed 99999999999999999999", Correction("cat")),
        ("cat --no", Correction("cat")),
        ("seed:-1, 1girl", Correction("1girl")),
        ("1girl, seed: 5", Correction("1girl", seed=5)),
        ("1girl seed:5 steps=30 cfg scale: 7", Correction("1girl", seed=5, steps=30, cfg=7.0)),
        ("1girl, 832 x 1216", Correction("1girl", aspect="832x1216")),
        ("1girl, 1024, smile", Correction("1girl, smile", aspect="1024x1024")),
        (
            "1girl, smile Negative prompt: hat, bad Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x768, "
            "Model hash: 1a2b, Model: anima",
            Correction("1girl, smile", negative="hat, bad", aspect="512x768", seed=1, steps=20, cfg=7.0),
        ),
    ],
)
def test_settings_in_a_prompt_move_to_their_options(prompt: str, correction: Correction) -> None:
    assert [hint.code for hint in hints(prompt, TAGS)] in ([HintCode.FLAGS], [HintCode.SETTINGS])
    assert correct(prompt, TAGS) == correction


def test_hints_include_what_appears_only_after_another_fix() -> None:
    correction = correct("{{smile}} --ar 2:3", TAGS)
    assert correction.prompt == "(smile:1.5)"
    assert correction.codes == (HintCode.FLAGS, HintCode.NOVELAI_WEIGHTS)


def test_a_hint_shows_its_places_and_fixes_only_those() -> None:
    prompt = "red_hat, (smile:1.1), blue_eyes"
    underscores, weight = hints(prompt, TAGS)
    assert [prompt[start:end] for start, end in underscores.spans] == ["red_hat", "blue_eyes"]
    assert underscores.fixed == "red hat, (smile:1.1), blue eyes"
    assert [prompt[start:end] for start, end in weight.spans] == ["(smile:1.1)"]
    assert weight.fixed == "red_hat, (smile:1.5), blue_eyes"


@settings(deadline=None)
@given(PROMPTS)
def test_fixing_a_prompt_twice_changes_nothing_more(prompt: str) -> None:
    once = fixed(prompt, TAGS)
    assert fixed(once, TAGS) == once
    assert once == prompt or all(hint.fixed == once for hint in hints(once, TAGS))


@settings(deadline=None)
@given(PROMPTS)
def test_places_are_in_order_and_within_the_prompt(prompt: str) -> None:
    for hint in hints(prompt, TAGS):
        places = [at for span in hint.spans for at in span]
        assert places == sorted(places)
        assert 0 <= places[0] <= places[-1] <= len(prompt)
        assert len(hint.fixed) <= 2 * len(prompt) + 10 * len(hint.spans)


@pytest.mark.parametrize(
    "part",
    [
        *("(", ")", "<lora:", "<lora:a>", " ", "(a:1.1", "a:1.1)", "a_b", "(a)", "BREAK ", "embedding:", ":", "by "),
        *("{", "}", "{{a}}", "[a]", "1::", "1::a", "--no ", "--ar 2:3 ", "--v", "seed:", "seed:5 ", "Steps:"),
        *("Negative prompt:", "Model: ", "1024,", "1024 ", "，", "長", "長い髪、", "長い "),
    ],
)
def test_long_prompts_take_linear_time(part: str) -> None:
    prompt = part * (10_000 // len(part))
    with bounded_effort(200):
        hints(prompt, TAGS)
        fixed(prompt, TAGS)
