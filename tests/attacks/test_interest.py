"""Interest that no touch of its debtor has posted yet is the pool's, wherever the pool is looked at: who posts first,
by paying a unit to the debtor, chooses nothing by it.

An entry pays for it: `test_liquidity__enter_just_before_interest_is_posted__none_of_it_is_his` (test_collateral.py); a
deleveraging and a declaration count it: `test_48__interest_that_nobody_has_posted__is_the_pools` (test_last_resort.py).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

from plimsoll.model import NOT_DECLARED
from tests.utils.backed import DAY, coin
from tests.utils.broke import EDGE, HAIRCUT, HOUR, WAD, Broke, close

Make = Callable[..., Broke]


@pytest.mark.defence("LiquidityPool.vy", "    v.sure += interest\n", "    v.sure += 0 * interest\n")
def test_claim__loss_reported_with_interest_that_nobody_posted__is_paid_no_less(broke_of: Make):
    """A debt of 1.4m is under water, with 126,513 of interest that no claim had counted and a report took off: who
    stayed reported in front of a claim of 3.57m and had 63,256 of it."""

    def run(post: bool) -> int:
        b = broke_of(
            coins=[coin(3_000, **HAIRCUT)],
            credit={"debt_cap": 1_400_000 * WAD, "debt_ratio_ppm": 950_000},
            insurance_cash=0,
            pool_cash=3_000_000,
        )
        b.do("mint", "mallory", 3_000_000 * b.raw)
        b.do("pool_deposit", "mallory", 3_000_000 * b.raw, "mallory")
        b.back("bob", 0, 1_000 * WAD)
        b.owe("bob", 1_400_000 * WAD, 1)
        b.wait(120 * DAY)
        b.do("request", "lender", "all", "lender", "lender")
        b.wait(25 * HOUR)
        b.price(0, 1_200)
        if post:
            b.fund("bob", 1)
        b.do("report", "mallory", "bob")
        return b.leave()

    assert close(run(post=True), 3_574_732)
    assert abs(run(post=False) - run(post=True)) < WAD


@pytest.mark.defence(
    "LiquidityPool.vy",
    "    stays: uint256 = (credit[0] & slots.MASK_128) + v.sure\n",
    "    stays: uint256 = (credit[0] & slots.MASK_128) + v.sure - debt.unposted(credit[4], credit[3], credit[0] & slots.MASK_128)\n",
)
def test_75__claim_of_interest_that_nobody_paid__is_not_there(broke_of: Make):
    """Interest is lent like the debt that it is on: what an exit may take does not hang on who posts it first."""

    def room(post: bool) -> int:
        b = broke_of(
            coins=[coin(3_000, **HAIRCUT)],
            credit={"debt_cap": 1_000_000 * WAD, "debt_ratio_ppm": 950_000},
            insurance_cash=0,
            pool_cash=1_500_000,
        )
        b.back("bob", 0, 1_000 * WAD)
        b.owe("bob", 900_000 * WAD, 1)
        b.fund("alice", 200_000)
        b.wait(60 * DAY)
        b.do("request", "lender", "all", "lender", "lender")
        b.wait(25 * HOUR)
        if post:
            b.fund("bob", 1)
        b.do("refresh", "keeper")
        assert b.debts() > 920_000 * WAD if post else b.interest("bob") > 20_000 * WAD
        return int(b.pool.view("maxWithdraw", b.at("lender"))) * (WAD // b.raw)

    assert close(room(post=True), 1_506_069)
    assert abs(room(post=False) - room(post=True)) < 2 * WAD


@pytest.mark.defence(
    "LiquidityPool.vy",
    "    equity: int256 = v.nav + convert(v.sure, int256)",
    "    equity: int256 = v.nav + convert(v.sure - interest, int256)",
)
def test_70__entry_near_the_pools_margin_but_for_interest__pays_no_premium(broke_of: Make):
    """At a health of 2.004, interest in it, an entry of 300,000 was worth 277,914 in the end; and 300,000 if
    somebody posted first."""
    market = {**EDGE, "skew_scale": 5_000 * WAD, "max_skew": 1_000 * WAD}
    market |= {"max_open_interest": 1_000 * WAD, "taker_fee_ppm": 0, "spread_ppm": 0}

    def run(post: bool) -> int:
        b = broke_of(
            coins=[coin(3_000, **HAIRCUT)],
            credit={"debt_cap": 10**6 * WAD},
            insurance_cash=0,
            pool_cash=1_000_000,
            market=market,
        )
        b.back("bob", 0, 700 * WAD)
        b.owe("bob", 990_000 * WAD, 1)
        b.long("alice", 392, 1_600_000)
        b.long("alice.1", 98, 400_000)
        b.wait(60 * DAY)
        b.market_price(4_837)
        equity, maintenance = b.margin()
        assert 2 * maintenance < equity < Fraction(201, 100) * maintenance
        if post:
            b.fund("bob", 1)
        b.do("mint", "mallory", 300_000 * b.raw)
        b.do("pool_deposit", "mallory", 300_000 * b.raw, "mallory")
        if not post:
            b.fund("bob", 1)
        return b.wealth("mallory")

    assert close(run(post=True), 300_000)
    assert close(run(post=False), 300_000)


@pytest.mark.defence(
    "Backstop.vy",
    "    if share == WAD and of_pool + convert(interest, int256) >= 0:\n",
    "    if share == WAD and of_pool >= 0:\n",
)
def test_settlement__fixed_while_interest_is_not_posted__is_over_all_the_same(broke_of: Make):
    """A pool with less than nothing but for 64,079 of interest, and a share of 1: the venue went on if somebody
    posted first, and was fixed for good if not, with 654,065 that were nobody's."""

    def run(post: bool) -> int:
        b = broke_of(
            coins=[coin(3_000, **HAIRCUT)],
            credit={"debt_cap": 500_000 * WAD},
            insurance_cash=650_000,
            pool_cash=500_000,
        )
        b.back("mallory", 0, 700 * WAD)
        b.owe("mallory", 495_000 * WAD, 1)
        b.crowd()
        b.wait(180 * DAY)
        low, high = 3_000.0, 7_000.0
        for _ in range(40):
            middle = (low + high) / 2
            b.market_price(middle)
            low, high = (low, middle) if b.margin()[0] < 0 else (middle, high)
        b.market_price(high + 5)
        b.do("declare", "keeper")
        b.wait(HOUR)
        b.market_price(high + 5)
        b.do("settle_markets", "keeper", [])
        b.market_price(high - 60)
        b.do("settle_markets", "keeper", [0, 1])
        b.do("close_settled", "keeper", 0, ["alice", "bob"])
        assert b.margin()[0] > 0 > b.cash("pool")
        if post:
            b.fund("mallory", 1)
        assert b.do("fix", "keeper").value == WAD
        return b.state()

    assert run(post=True) == NOT_DECLARED
    assert run(post=False) == NOT_DECLARED
