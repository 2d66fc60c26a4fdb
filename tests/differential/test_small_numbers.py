"""Every combination of a few small numbers: where signs change and things round, nothing is left to chance."""

from __future__ import annotations

from dataclasses import astuple
from itertools import product

from plimsoll import formulas, slots
from plimsoll.formulas import DAY, PPM
from plimsoll.slots import LOT, WAD

SIGNED = range(-2, 3)


def test_divisions__all_small_numbers__round_as_named(modules):
    for x, y in product(range(-7, 8), range(1, 4)):
        assert modules.floor_div(x, y) == x // y
        assert x < 0 or modules.ceil_div(x, y) == -(-x // y)


def test_fill__all_small_numbers__match_the_model(modules):
    prices = ((1, 0), (WAD, 0), (WAD, 1), (0, WAD))
    for size, delta in product(SIGNED, SIGNED):
        assert modules.only_reduces(size, delta) == formulas.only_reduces(size, delta), (
            size,
            delta,
        )
        for basis, (price, index) in product((-1, 0, 1) if size else (0,), prices if delta else ()):
            args = size, basis, delta, price, index
            assert modules.fill(*args) == formulas.fill(*args), args


def test_fill_price__all_small_numbers__match_the_model(modules):
    extras = (0, 1, PPM // 2, PPM, 2 * PPM)
    for args in product((0, 1, WAD), SIGNED, (-2, -1, 1, 2), (3, 4, 5), extras):
        assert modules.fill_price(*args) == formulas.fill_price(*args), args


def test_value__all_small_numbers__match_the_model(modules):
    legs = tuple(product(SIGNED, (-1, 0, 1), (0, 1, WAD), (-1, 0, 1)))
    terms = tuple(product((0, 1, PPM), (1, 2), (0, 1)))
    for (size, basis, price, index), rest in product(legs, terms):
        args = size, basis, price, index, *rest
        assert modules.value(*args) == formulas.value(*args), args
    skews = tuple(product((0, 1, WAD), (0, 2)))
    for (size, basis, price, index), (stable, skew), rest in product(legs, skews, terms):
        args = size, basis + index, price, stable, skew, *rest
        assert modules.opening_value(*args) == formulas.opening_value(*args), args


def test_follow__all_small_numbers__match_the_model(modules):
    numbers = (0, 1, 2, 59, 60, 61, WAD)
    for args in product(numbers, (0, 1), numbers, (0, 1, 3_599, 3_600, 3_601), (1, 60_000, PPM)):
        assert modules.follow(*args) == formulas.follow(*args), args


def test_margin__all_small_numbers__match_the_model(modules):
    for args in product((-1, 0, 1), (-1, 0, 1, 2, PPM - 1, PPM), (0, 1, PPM - 1, PPM)):
        assert modules.equity(*args) == formulas.equity(*args), args
    for args in product((-1, 0, 1, 2), (0, 1, 2)):
        assert modules.health(*args) == formulas.health(*args), args
        for then in product((-1, 0, 1, 2), (0, 1, 2)):
            assert modules.no_worse(*args, *then) == formulas.no_worse(*args, *then), (args, then)


def test_split__all_small_numbers__match_the_model(modules):
    bills = product(
        (0, 99, 100, 200), (0, 1, PPM, PPM + 1), (0, 1, PPM, 4 * PPM), (0, 1, 2), (0, 1, 2)
    )
    rests = tuple(product((-1, 0, 1, 2, 3), (0, 1, 200_000, PPM - 1)))
    for bill, rest in product((formulas.Bill(*b) for b in bills), rests):
        assert modules.split(astuple(bill), *rest) == formulas.split(bill, *rest), (bill, rest)


def test_accrue__all_small_numbers__match_the_model(modules):
    rates = -(10**12), -1, 0, 1, 10**12
    states = tuple(product((-65, -64, -63, -1, 0, 1, 63, 64, 65), rates, SIGNED))
    # A wei of skew in 10^7 moves the rate by 1 in a second; a rate of 10^12 the index by 1 in a day.
    terms = tuple(product((1, 10**7), (0, 1, PPM), (0, 1), (1,), (10**6, WAD), (1, DAY)))
    for state, rest in product(states, terms):
        assert modules.accrue(*state, *rest) == formulas.accrue(*state, *rest), (state, rest)


def test_accrue__beside_the_bound_of_the_slot__match_the_model(modules):
    for index, rate in product(range(2**95 - 3, 2**95), (0, 10**12)):
        for sign in (1, -1):
            args = sign * index, sign * rate, 0, 1, 0, 1, 2**96 - 1, 10**6, DAY
            assert modules.accrue(*args) == formulas.accrue(*args), args


def test_open_interest__all_small_numbers__match_the_model(modules):
    for lots, skew in product(
        (0, 1, 2), (-LOT - 1, -LOT, -1, 0, 1, LOT - 1, LOT, LOT + 1, 3 * LOT)
    ):
        assert modules.open_interest(lots, skew) == slots.open_interest(lots, skew), (lots, skew)
