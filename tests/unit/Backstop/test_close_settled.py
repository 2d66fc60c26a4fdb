"""PRC-6: a settled market's positions are closed at its last price, by anyone for anyone."""

from __future__ import annotations

from fractions import Fraction

import pytest

from plimsoll.slots import LOT
from tests.utils.broke import HOUR, WAD, Broke

NOTICE = 3 * 24 * HOUR


def settle(b: Broke, market: int = 0) -> None:
    """After the notice."""
    b.do("delist", "owner", market, NOTICE)
    b.wait(NOTICE)
    b.do("settle_market", "mallory", market)


@pytest.fixture
def b() -> Broke:
    """Alice long 390, bob 100, mallory short 50 and in the other market; settled at 3,100."""
    b = Broke(market={"taker_fee_ppm": 500, "spread_ppm": 1_000, "liquidation_fee_ppm": 20_000})
    b.crowd()
    b.long("mallory", -50, 40_000)
    b.do("trade", "mallory", "mallory", 1, WAD)
    b.market_price(3_100)
    settle(b)
    return b


def test_close_settled__some_accounts__are_flat_there_at_the_settled_price_without_a_fee(b: Broke):
    worth = {a: b.equity(a) for a in ("alice", "bob", "mallory")}
    fund = b.cash("fund")
    b.market_price(9_000)  # what its feed says now is nothing to it
    who = ["alice", "mallory", "lender", "pool", "zero", "alice"]
    outcome = b.do("close_settled", "keeper", 0, who)
    assert outcome.value == 2
    fills = [e.args for e in outcome.events if e.name == "Fill"]
    assert [(f[0], f[2], f[3], f[4]) for f in fills] == [
        (b.at("alice"), -390 * WAD, 3_100 * WAD, 0),
        (b.at("mallory"), 50 * WAD, 3_100 * WAD, 0),
    ]
    assert "FeePaid" not in [e.name for e in outcome.events]
    for account, was in worth.items():
        assert 0 <= was - b.equity(account) <= 1
    assert b.cash("fund") == fund
    assert b.size("bob") == 100 * WAD == b.skew()
    assert b.size("mallory", 1) == WAD
    assert b.do("close_settled", "bob", 0, ["bob"]).value == 1
    assert b.skew() == 0


def test_close_settled__twice__closes_nothing_the_second_time(b: Broke):
    b.do("close_settled", "keeper", 0, ["bob"])
    before = b.everything()
    assert b.do("close_settled", "keeper", 0, ["bob"]).value == 0
    assert b.do("close_settled", "keeper", 0, []).value == 0
    assert b.everything() == before


def test_close_settled__market_that_is_open_or_only_announced__is_refused():
    b = Broke()
    b.crowd()
    why = "backstop: market not settled"
    assert b.refusal("close_settled", "keeper", 0, ["alice"]) == why
    b.do("delist", "owner", 0, NOTICE)
    assert b.refusal("close_settled", "keeper", 0, ["alice"]) == why
    b.wait(NOTICE)
    assert b.refusal("close_settled", "keeper", 0, ["alice"]) == why
    for market in (2, 128, 2**256 - 1):
        assert b.refusal("close_settled", "keeper", market, ["alice"]) == "market: unknown"


def test_close_settled__frozen_venue__is_no_reason_to_wait(b: Broke):
    b.do("guardian", "owner", "keeper")
    b.do("freeze", "keeper", HOUR)
    assert b.do("close_settled", "keeper", 0, ["alice"]).value == 1


def test_close_settled__loser_with_more_loss_than_cash__is_then_liquidated():
    b = Broke()
    b.crowd()
    b.market_price(2_000)
    settle(b)
    b.do("close_settled", "keeper", 0, ["alice", "bob"])
    assert b.cash("bob") < 0
    assert b.size("bob") == 0
    owed = -b.cash("bob")
    fund = b.cash("fund")
    b.do("liquidate", "keeper", "bob")
    assert b.cash("bob") == 0
    assert b.cash("fund") == max(fund - owed, 0)
    b.balance()


def test_close_settled__funding__stands_still_from_the_settlement_on():
    b = Broke(market={"max_velocity_ppm": 5_000_000, "max_rate_ppm": 50_000})
    b.crowd()
    settle(b)
    worth = b.equity("alice")
    b.wait(100 * 24 * HOUR)
    assert b.equity("alice") == worth
    b.do("close_settled", "keeper", 0, ["alice"])
    assert 0 <= worth - b.cash("alice") <= 1


def test_close_settled__64_accounts__go_in_one_call_and_65_do_not():
    b = Broke()
    b.fund("mallory", 100_000)
    b.do("trade", "mallory", "mallory", 0, LOT)
    settle(b)
    many = ["lender"] * 63
    assert b.attempt("close_settled", "keeper", 0, [*many, "lender", "mallory"]).reason == ""
    assert b.do("close_settled", "keeper", 0, [*many, "mallory"]).value == 1


def test_close_settled__basis__is_realised_whole(b: Broke):
    cash, leg = b.cash("bob"), b.house.view("leg", b.at("bob"), 0)
    b.do("close_settled", "keeper", 0, ["bob"])
    won = Fraction(leg[3] * (leg[5] - leg[7]), WAD) - leg[4]
    assert 0 <= cash + won - b.cash("bob") <= 1
