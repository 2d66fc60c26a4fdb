"""Decimals in, integers out, nothing lost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.units import decimal, from_wad, plain, scaled, significant, to_wad, unscaled

BIG = 2**255


@given(st.integers(-BIG, BIG), st.integers(0, 18))
def test_scaled__of_unscaled__is_identity(value: int, decimals: int) -> None:
    assert scaled(unscaled(value, decimals), decimals) == value


@pytest.mark.parametrize("value", [0.5, True, "abc", "", "inf", "nan", None])
def test_decimal__no_exact_number__refused(value: object) -> None:
    with pytest.raises(ValueError, match="amount"):
        decimal(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("1e78", "the amount: 1e78 is too large"),
        ("-1e999999999", "is too large"),
        ("1e-78", "is too small"),
        ("1e-999999999", "is too small"),
    ],
)
def test_decimal__of_no_size_that_a_chain_knows__refused(value: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decimal(value)
    assert decimal("9e77") == 9 * 10**77


def test_scaled__digits_far_behind_the_point__refused_and_not_lost() -> None:
    with pytest.raises(ValueError, match="more than 18 decimals"):
        to_wad("1." + "0" * 120 + "1")
    assert to_wad("1." + "0" * 120) == 10**18


def test_to_wad__nineteenth_decimal__refused_and_eighteenth_kept() -> None:
    assert to_wad("0.000000000000000001") == 1
    with pytest.raises(ValueError, match="more than 18 decimals"):
        to_wad("0.0000000000000000001")


@given(st.decimals("0.000001", "1000000000", places=6), st.integers(1, 12))
def test_significant__up_and_down__enclose_the_number(value: Decimal, digits: int) -> None:
    low, high = significant(value, digits, up=False), significant(value, digits)
    assert low <= value <= high
    assert len(plain(low).as_tuple().digits) <= max(digits, low.adjusted() + 1)


def test_plain__zeros__gone_without_an_exponent() -> None:
    assert str(plain(Decimal("1.500"))) == "1.5"
    assert str(plain(Decimal("1E+3"))) == "1000"
    assert from_wad(10**18) == 1
