"""COL-2: what debt costs, to the digit, over the deployed bytecode."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest

from plimsoll.slots import WAD
from tests.utils.backed import CREDIT, DAY, PPM, YEAR, Backed, coin, named

DEBT = 8_550 * WAD  # a whole number of quote over each of the utilisations below
# Kink 0.75, low gradient 0.0003 and high 0.01 a percentage point of utilisation.
CURVE = {"kink_ppm": 750_000, "low_slope_ppm": 30_000, "high_slope_ppm": 1_000_000}


def debtor(utilisation: Fraction = Fraction(1, 2), **credit: int) -> Backed:
    """Alice, flat, owes 8,550 to the wei in a quote of 18 decimals; it is that share of the cap."""
    cap = ceil(DEBT / utilisation)
    b = Backed(credit={"debt_cap": cap, **CURVE, **credit}, quote_decimals=18)
    b.back("alice", 0, 100 * WAD)
    b.owe("alice", DEBT)
    assert b.cash("alice") == -DEBT
    assert b.index() == WAD
    return b


@pytest.mark.parametrize(
    ("utilisation", "rate"),
    [
        ("1/2", "0.015"),
        ("3/4", "0.0225"),
        ("9/10", "0.1725"),
        ("1", "0.2725"),
        ("1/100", "0.0003"),
        ("76/100", "0.0325"),
    ],
)
def test_debt__a_year_at_a_utilisation__costs_the_curve_to_the_wei(utilisation: str, rate: str):
    """1.5 % at a half, 2.25 % at the kink, 17.25 % at nine tenths, 27.25 % at the cap."""
    b = debtor(Fraction(utilisation))
    b.wait(YEAR)
    grown = WAD + int(Fraction(rate) * WAD)
    assert b.index() == grown
    interest = int(DEBT * Fraction(rate))
    assert b.interest("alice") == interest
    nav = b.cash("pool")
    told = b.do("mint", "bob", 1) and b.do("deposit", "bob", "alice", "token", 1)
    assert named(told, "InterestPaid") == [("InterestPaid", b.at("alice"), interest)]
    assert named(told, "CashMoved") == [
        ("CashMoved", b.at("alice"), -DEBT - interest),
        ("CashMoved", b.at("pool"), nav + interest),
        ("CashMoved", b.at("alice"), -DEBT - interest + 1),
    ]
    assert b.debts() == DEBT + interest - 1
    b.balance()


def test_debt__past_its_cap__costs_no_more_than_at_the_cap():
    """Debts can outgrow the cap by losses and interest; the rate stops at its end."""
    b = debtor(Fraction(2))
    b.wait(YEAR)
    assert b.index() == WAD + 2_725 * WAD // 10_000


def test_debt__cap_of_nothing__costs_what_it_does_at_the_cap():
    b = debtor()
    b.do("configure_credit", "owner", {**CREDIT, **CURVE, "debt_cap": 0})
    b.wait(YEAR)
    assert b.index() == WAD + 2_725 * WAD // 10_000


def test_debt__a_second__rounds_up_to_the_pool():
    """8,550 at 1.5 % for a second: 4,066,780,821,917.8 wei."""
    b = debtor()
    b.wait(1)
    index = WAD + ceil(Fraction(15, 1_000) * WAD / YEAR)
    assert b.index() == index
    assert b.interest("alice") == ceil(Fraction(DEBT * index, WAD)) - DEBT > 4_066_780_821_917


def test_debt__new_terms_after_half_a_year__the_first_half_costs_what_it_did():
    """Interest is kept with the old terms before new ones come (COL-2)."""
    b = debtor()
    b.wait(YEAR // 2)
    half = WAD + 75 * WAD // 10_000
    assert b.index() == half
    free = {**CREDIT, **CURVE, "low_slope_ppm": 0, "high_slope_ppm": 0}
    b.do("configure_credit", "owner", free)
    b.wait(YEAR)
    assert b.index() == half


def test_debt__two_debtors__pay_by_what_each_owes_and_since_when():
    """One index for all: whoever comes later owes nothing for the time before."""
    b = debtor()
    b.back("bob", 0, 100 * WAD)
    b.wait(YEAR // 2)
    b.do("refresh", "keeper")
    then = b.index()
    b.owe("bob", 5_000 * WAD)
    b.wait(YEAR // 2)
    now = b.index()
    for who, debt, since in (("alice", DEBT, WAD), ("bob", 5_000 * WAD, then)):
        assert b.interest(who) == ceil(Fraction(debt * now, since)) - debt
    # The pool's claim on both, as its entries reckon with it, is never less than their sum.
    owed = ceil(Fraction(b.house.view("credit")[4] * now, WAD)) - b.debts()
    together = b.interest("alice") + b.interest("bob")
    assert abs(owed - together) <= 3


def test_debt__posted_every_day__comes_to_as_much_as_once_and_its_own_interest():
    """Who touches the account compounds it: 1.5 % a year daily, which raises the rate too."""
    b = debtor(Fraction(1, 2))
    with b.imagined():
        b.wait(YEAR)
        once = b.interest("alice")
    b.do("mint", "alice", 400)
    for _ in range(365):
        b.wait(DAY)
        b.do("deposit", "alice", "alice", "token", 1)
    daily = -b.cash("alice") - DEBT + 365
    assert once < daily < once + 2 * DEBT * 15 // 1_000 * 15 // 1_000


def test_debt__repaid_with_interest__stops_and_leaves_no_sum_behind():
    b = debtor()
    b.wait(YEAR)
    owed = DEBT + b.interest("alice")
    b.do("mint", "alice", owed)
    b.do("deposit", "alice", "alice", "token", owed)
    assert (b.cash("alice"), b.debts(), b.house.view("credit")[4]) == (0, 0, 0)
    b.wait(YEAR)
    assert b.interest("alice") == 0
    b.do("withdraw", "alice", "alice", "coin0", 100 * WAD, "alice")
    b.balance()


def test_debt__of_the_pools_account__is_none():
    """The pool's cash below zero is the basis of its side of all positions."""
    b = Backed()
    b.back("alice", 0, 10_000 * WAD)
    b.do("trade", "alice", "alice", 0, -5_000 * WAD)
    assert b.cash("pool") < 0
    b.wait(YEAR)
    assert b.debts() == 0
    assert b.interest("pool") == 0


def test_health__debt_of_a_year__counts_before_it_is_posted():
    """MGN-6 at the moment, not at the last touch."""
    b = debtor()
    b.do("trade", "alice", "alice", 0, WAD)
    b.wait(YEAR)
    before = b.health("alice")
    b.do("mint", "bob", 1)
    b.do("deposit", "bob", "alice", "token", 1)
    assert 0 <= b.health("alice") - before <= 1 + WAD // 10**15


def test_leverage__debt_of_28_000_against_a_bitcoin__is_29_where_it_falls_to_29_000():
    """Fourteen ether at 2,000 owed against one bitcoin: at 30,000 the assets are 15 times what is left
    of them, at 29,000 they are 29 times."""
    b = Backed(
        [coin(30_000, 8, discount_ppm=0, initial_weight_ppm=PPM, maintenance_weight_ppm=PPM)],
        {"debt_ratio_ppm": PPM, "liquidation_fee_ppm": 0},
        quote_decimals=18,
    )
    b.back("alice", 0, 10**8)
    b.owe("alice", 14 * 2_000 * WAD)
    for price, leverage in ((30_000, 15), (29_000, 29)):
        b.price(0, price)
        h = b.holding("alice", 0)
        assets = h.own * h.unit * h.price // WAD
        equity = assets + b.cash("alice") - b.interest("alice")
        assert Fraction(assets, equity) == leverage
        assert b.equity("alice") == equity
    assert b.refusal("liquidate", "keeper", "alice") == "liquidation: account is healthy"
