"""The prefix and the negative prompt that are added."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.prompting.prompt_rules import RECOMMENDED_NEGATIVE, FinalPrompts, artist_tags, final_prompts
from bot.prompting.syntax import tag_name, tag_spans
from bot.prompting.tags import Category

PROMPTS = (
    st.lists(
        st.sampled_from(
            [
                "safe",
                "nsfw",
                "(safe:0.5)",
                "score_5",
                "masterpiece",
                "year 2025",
                "1girl",
                "@nnn yryr",
                "hat",
                "sensitive",
                "deviantart\n",
                "ye-pop\nnsfw\nhat",
                *("(explicit", "rating: explicit)", "Saber_(fate)", "\\(", ":1.2)", "", "\n", "A girl. She smiles."),
            ]
        )
    ).map(", ".join)
    | st.text(st.sampled_from("(((()))):\\1.2, safensw@_\n、火"))
    | st.text()
)


def positive(prompt: str, **settings: object) -> str:
    return final_prompts(prompt, **{"age_restricted": False, **settings}).positive  # type: ignore[arg-type]


def test_the_recommended_prefix_and_negative_are_added() -> None:
    assert final_prompts("1girl, smile", "hat", age_restricted=True) == FinalPrompts(
        "masterpiece, best quality, score_7, safe, 1girl, smile", RECOMMENDED_NEGATIVE + ", hat"
    )


@pytest.mark.parametrize(
    ("prompt", "final"),
    [
        ("ye-pop\nA lamp", "ye-pop\nmasterpiece, best quality, score_7, safe, A lamp"),
        ("deviantart \nFlame\nA fire", "deviantart \nFlame\nmasterpiece, best quality, score_7, safe, A fire"),
        ("DeviantArt\nnsfw, A fire", "DeviantArt\nmasterpiece, best quality, score_7, safe, A fire"),
        ("deviantart, hat", "masterpiece, best quality, score_7, safe, deviantart, hat"),
    ],
)
def test_a_dataset_tag_stays_first_with_its_line_break(prompt: str, final: str) -> None:
    assert positive(prompt) == final
    assert positive(final) == final


def test_prefix_and_negative_can_be_switched_off() -> None:
    assert final_prompts("smile", "hat", prefix="", negative_prefix="", age_restricted=True) == FinalPrompts(
        "smile", "hat"
    )


@pytest.mark.parametrize(
    ("prompt", "final"),
    [
        ("", "masterpiece, best quality, score_7, safe"),
        ("normal quality, 1girl", "score_7, safe, normal quality, 1girl"),
        ("(Best_Quality:1.5), 1girl", "score_7, safe, (Best_Quality:1.5), 1girl"),
        ("score_5, 1girl", "masterpiece, best quality, safe, score_5, 1girl"),
        ("year 2025, newest, normal quality, score_5, highres, safe, 1girl",) * 2,
        (" , 1girl, ", "masterpiece, best quality, score_7, safe, 1girl"),
        ("A masterpiece of a hat.", "masterpiece, best quality, score_7, safe, A masterpiece of a hat."),
    ],
)
def test_tags_given_win_over_the_prefix(prompt: str, final: str) -> None:
    assert positive(prompt) == final


def test_a_year_given_wins_over_the_prefix() -> None:
    assert positive("year 2010, hat", prefix="newest, safe") == "safe, year 2010, hat"


def test_the_negative_does_not_get_what_the_prompt_asks_for() -> None:
    assert "artist name" not in final_prompts("1girl, artist name", age_restricted=True).negative


@pytest.mark.parametrize(
    ("prompt", "final"),
    [
        ("year 2025, safe, 1girl, saber, fate, smile", "year 2025, safe, 1girl, saber, fate, @nnn yryr, smile"),
        ("safe, 1girl, smile", "safe, 1girl, @nnn yryr, smile"),
        ("safe, (1girl, solo:1.2), smile", "safe, (1girl, solo:1.2), @nnn yryr, smile"),
        ("safe, smile, saber", "safe, smile, saber, @nnn yryr"),
        ("safe, @nnn_yryr, smile", "safe, @nnn_yryr, smile"),
        ("A girl in the rain. She smiles.", "safe, @nnn yryr, A girl in the rain. She smiles."),
        ("", "safe, @nnn yryr"),
    ],
)
def test_the_artist_comes_after_characters_and_series(prompt: str, final: str) -> None:
    categories = {"saber": Category.CHARACTER, "fate": Category.COPYRIGHT, "smile": Category.GENERAL}
    assert positive(prompt, prefix="", artist="NNN yryr", category_of=categories.get) == final


def test_artists_are_spelled_as_anima_wants_them() -> None:
    assert artist_tags(r"nnn_yryr, @Ask (Askzy), ask \(askzy\), @, ") == ["@nnn yryr", r"@ask \(askzy\)"]


@pytest.mark.parametrize(
    ("prompt", "final"),
    [
        ("sensitive, hat", "safe, hat"),
        ("(nsfw:1.5), hat", "safe, (safe:1.5), hat"),
        ("Rating:Explicit, hat", "safe, hat"),
        ("(safe:0.1), hat", "safe, (safe:0.1), hat"),  # a weak one does not count
        ("(safe:-1), hat", "safe, (safe:-1), hat"),
        ("(explicit:1.2, hat", "safe, (safe:1.2, hat"),
        ("hat", "safe, hat"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "sensitive, nsfw"])
def test_safe_is_forced_in_channels_for_everyone(prompt: str, final: str, prefix: str) -> None:
    assert positive(prompt, prefix=prefix) == final


def test_the_negative_excludes_nsfw_in_channels_for_everyone() -> None:
    prompts = final_prompts("hat", "safe, (explicit:0.1)", negative_prefix="", age_restricted=False)
    assert prompts.negative == "explicit, nsfw, (explicit:0.1)"


def test_in_an_age_restricted_channel_the_safety_tag_is_the_persons_own() -> None:
    assert final_prompts("nsfw, hat", prefix="safe", negative_prefix="", age_restricted=True) == FinalPrompts(
        "nsfw, hat", ""
    )


@settings(deadline=None)
@given(PROMPTS, PROMPTS, st.text("ab(\\), @_", max_size=9), PROMPTS, PROMPTS, st.booleans())
def test_the_rules_add_nothing_twice(
    prompt: str, negative: str, artist: str, prefix: str, negative_prefix: str, age_restricted: bool
) -> None:
    def final(prompts: FinalPrompts) -> FinalPrompts:
        return final_prompts(
            prompts.positive,
            prompts.negative,
            artist=artist,
            prefix=prefix,
            negative_prefix=negative_prefix,
            age_restricted=age_restricted,
        )

    once = final(FinalPrompts(prompt, negative))
    assert final(once) == once


@settings(deadline=None)
@given(PROMPTS, PROMPTS, PROMPTS)
def test_no_prompt_gets_around_safe(prompt: str, negative: str, prefix: str) -> None:
    final = final_prompts(prompt, negative, prefix=prefix, age_restricted=False)
    names = {span.name for span in tag_spans(final.positive)}
    assert "safe" in names
    assert not names & {"nsfw", "explicit", "sensitive", "rating: explicit"}
    assert {span.name for span in tag_spans(final.negative)} >= {"nsfw", "explicit"}


@settings(deadline=None)
@given(PROMPTS)
def test_the_users_text_stays_in_its_order(prompt: str) -> None:
    own = [span.name for span in tag_spans(prompt)]
    final = [span.name for span in tag_spans(final_prompts(prompt, age_restricted=True).positive)]
    added = iter(final)
    assert all(name in added for name in own)


@settings(deadline=None)
@given(PROMPTS)
def test_a_tags_name_is_its_own_name(text: str) -> None:
    name = tag_name(text.replace("\\", ""))
    assert tag_name(name) == name


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("((red hair:1.3), hat:1.2)", ["red hair", "hat"]),
        (r"saber \(fate\), saber_(fate), (Saber (fate):1.2)", ["saber (fate)"] * 3),
        ("score_7, >_<, ^_^, long_hair, @_@", ["score_7", ">_<", "^_^", "long hair", "@_@"]),
        ("猫耳、笑顔", ["猫耳", "笑顔"]),
        (",, ,(),", []),
    ],
)
def test_tags_are_found_without_brackets_and_weights(prompt: str, names: list[str]) -> None:
    assert [span.name for span in tag_spans(prompt)] == names
