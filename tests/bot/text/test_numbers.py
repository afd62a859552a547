"""Numbers as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bot.text.numbers import number, whole_number


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        *(("5", 5), (" +5 ", 5), ("８３２", 832), ("1" * 30, int("1" * 30))),  # noqa: RUF001
        *(("-1", None), ("5.0", None), ("", None), ("٣", None), ("1" * 31, None)),
    ],
)
def test_whole_numbers(typed: str, read: int | None) -> None:
    assert whole_number(typed) == read


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        *(("0.8", 0.8), ("0,8", 0.8), (".5", 0.5), ("-1.5", -1.5), ("−1", -1.0), ("０．８", 0.8), ("1e-3", 0.001)),  # noqa: RUF001
        *(("nan", None), ("inf", None), ("1e999", None), ("1.2.3", None), ("", None), (".", None)),
    ],
)
def test_numbers(typed: str, read: float | None) -> None:
    assert number(typed) == read


@given(some.floats(-100, 100))
def test_a_number_as_python_writes_it_is_read(value: float) -> None:
    assert number(repr(value)) == value


@given(some.text())
def test_any_text_is_read_as_a_number_or_none(typed: str) -> None:
    number(typed)
    whole_number(typed)
