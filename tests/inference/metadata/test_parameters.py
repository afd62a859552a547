"""Values of parameters from JSON of any kind."""

import pytest

from inference.metadata.parameters import as_integer, as_number


@pytest.mark.parametrize("value", [True, None, [], {}, "x", 2**64, -(2**64), 1.5, float("inf"), "9" * 5000, "1e3"])
def test_values_that_are_not_64_bit_integers_are_none(value: object) -> None:
    assert as_integer(value) is None


@pytest.mark.parametrize("value", [True, None, [], "x", "nan", "inf", float("nan"), float("inf"), 10**400])
def test_values_that_are_not_finite_numbers_are_none(value: object) -> None:
    assert as_number(value) is None


@pytest.mark.parametrize(("value", "number"), [(7, 7), (7.0, 7), ("7", 7), (2**64 - 1, 2**64 - 1)])
def test_whole_numbers_are_taken_in_every_form(value: object, number: int) -> None:
    assert as_integer(value) == number
