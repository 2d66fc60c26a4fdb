"""LIQ-9: whose position is closed for a broke pool, how much of it, and at what price."""

from __future__ import annotations

from fractions import Fraction

import pytest

from plimsoll.slots import LOT
from tests.utils.broke import HOUR, WAD, Broke

TARGET = Fraction(11, 10)


@pytest.fixture
def b() -> Broke:
    """A pool of about 100,000 that would need 117,600: health 0.86."""
    b = Broke()
    b.crowd()
    b.market_price(4_835 + 25)
    equity, maintenance = b.margin()
    assert 0 < equity < maintenance
    return b


# ------------------------------------------------------------------ how much


def test_deleverage__winner_of_a_broke_pool__closes_the_least_that_restores_the_target(b: Broke):
    (equity, maintenance), plan, skew = b.margin(), b.plan("alice"), b.skew()
    assert (plan.why, plan.equity, plan.maintenance) == (0, equity, maintenance)
    closed = b.do("deleverage", "keeper", "alice", 0).value
    assert closed == plan.closed == 390 * WAD - b.size("alice")
    after, asks = b.margin()
    assert 0 <= after - equity <= 1
    assert asks == plan.maintenance_after
    assert asks * TARGET <= after

    def required(size: int) -> Fraction:
        notional = Fraction(size * 4_860)
        return notional * (Fraction(5, 100) + Fraction(size, 2 * 10_000_000 * WAD))

    assert abs(asks - required(skew - closed)) <= 2
    assert required(skew - closed + 10) * TARGET > equity  # a hair less would not do


def test_deleverage__any__is_at_the_oracles_price_without_a_fee(b: Broke):
    cash, fund, nav = b.cash("alice"), b.cash("fund"), b.nav()
    entry = b.house.view("leg", b.at("alice"), 0)[4]  # basis
    outcome = b.do("deleverage", "mallory", "alice", 0)
    closed = outcome.value
    won = closed * 4_860 - Fraction(entry * closed, 390 * WAD)
    assert abs(b.cash("alice") - cash - won) <= 2
    assert b.cash("fund") == fund
    assert b.cash("mallory") == 0  # no reward
    assert b.nav() >= nav  # the premium that it would have handed back is less
    fill = next(e for e in outcome.events if e.name == "Fill")
    assert fill.args[3] == 4_860 * WAD
    told = next(e for e in outcome.events if e.name == "Deleveraged")
    equity, maintenance = b.margin()
    assert told.args[:5] == (b.at("alice"), 0, b.at("mallory"), closed, 390 * WAD - closed)
    assert told.args[6] == maintenance
    assert 0 <= equity - told.args[5] <= 1


def test_deleverage__surge__is_paid_in_the_same_second_alone(b: Broke):
    """As after a liquidation (QTE-2), and the closed account itself pays none."""
    b.fund("mallory", 100_000)
    closed = b.do("deleverage", "keeper", "alice", 0).value
    scale = b.system.model.listed[0][1].skew_scale
    surge = -(-closed * 10**6 // scale)
    assert b.house.view("leg", b.at("zero"), 0)[9] == surge > 0
    assert b.do("trade", "mallory", "mallory", 0, -WAD).ok  # the model's price has it
    b.wait(1)
    assert b.house.view("leg", b.at("zero"), 0)[9] == 0


def test_deleverage__victims_health__rises(b: Broke):
    before = b.health("alice")
    b.do("deleverage", "keeper", "alice", 0)
    assert b.health("alice") > before


def test_deleverage__position_smaller_than_needed__is_closed_whole_and_the_next_follows(b: Broke):
    assert b.do("deleverage", "keeper", "bob", 0).value == 100 * WAD
    assert b.size("bob") == 0
    assert b.health("bob") == 2**256 - 1
    rest = b.do("deleverage", "keeper", "alice", 0).value
    assert 0 < rest < 100 * WAD
    equity, maintenance = b.margin()
    assert maintenance * TARGET <= equity
    assert b.refusal("deleverage", "keeper", "alice", 0) == "backstop: pool is healthy"


def test_deleverage__pool_without_equity__closes_all():
    b = Broke()
    b.crowd()
    b.market_price(6_000)
    assert b.margin()[0] < 0
    assert b.do("deleverage", "keeper", "alice", 0).value == 390 * WAD


def test_deleverage__position_larger_than_the_pools__leaves_the_pool_flat_there():
    b = Broke(pool_cash=150_000)
    b.long("alice", 490, 400_000)
    b.long("mallory", -390, 900_000)
    b.market_price(4_700)
    assert b.margin()[0] < 0
    assert b.do("deleverage", "keeper", "alice", 0).value == b.skew() + 100 * WAD
    assert (b.skew(), b.size("alice")) == (0, 390 * WAD)


def test_deleverage__pool_that_is_long__closes_a_short():
    b = Broke(pool_cash=600_000)
    b.long("alice", -300, 400_000)
    b.market_price(1_000)
    equity, maintenance = b.margin()
    assert equity < maintenance
    closed = b.do("deleverage", "keeper", "alice", 0).value
    assert b.size("alice") == closed - 300 * WAD


def odd(b: Broke, sizes: dict[str, int], market: int = 0) -> None:
    """Positions of any size [WAD base]."""
    for account, size in sizes.items():
        b.fund(account, 3_000_000)
        b.do("trade", account, account, market, size)


def test_deleverage__all_but_less_than_a_lot__closes_that_too(b: Broke):
    with b.imagined():
        least = b.plan("alice").closed
    other = Broke()
    odd(other, {"bob": least + LOT // 2, "alice": 490 * WAD - least - LOT // 2})
    other.market_price(4_860)
    assert 0 < other.size("bob") - other.plan("alice").closed < LOT
    assert other.do("deleverage", "keeper", "bob", 0).value == least + LOT // 2
    assert other.size("bob") == 0


def test_deleverage__all_that_the_pool_has_but_dust__leaves_a_lot():
    b = Broke(pool_cash=150_000)
    odd(b, {"alice": 100 * WAD, "mallory": -2 * LOT, "bob": 3 * LOT // 2})
    b.market_price(4_700)
    assert 0 < b.size("alice") - b.skew() < LOT
    assert b.do("deleverage", "keeper", "alice", 0).value == 100 * WAD - LOT
    assert b.size("alice") == LOT


def test_deleverage__last_lot_of_somebody_larger_than_the_pools__is_left_alone():
    b = Broke(pool_cash=150_000)
    odd(b, {"alice": LOT, "mallory": -2 * LOT, "bob": 3 * LOT // 2})
    odd(b, {"bob": 100 * WAD}, market=1)
    for market in (0, 1):
        b.market_price(4_700, market)
    assert b.margin()[0] < 0
    assert b.refusal("deleverage", "keeper", "alice", 0) == "backstop: nothing to close"
    assert b.why("alice") == "backstop: nothing to close"


def test_deleverage__other_targets__are_met():
    for target in (WAD, 2 * WAD, 3 * WAD):
        b = Broke(deleverage_to=target)
        b.crowd()
        b.market_price(4_860)
        b.do("deleverage", "keeper", "alice", 0)
        equity, maintenance = b.margin()
        assert maintenance * target <= equity * WAD
        assert b.system.backstop.view("target") == target


# ------------------------------------------------------------------ who and when


def test_deleverage__pool_that_is_healthy__is_left_alone(b: Broke):
    b.market_price(4_700)
    assert b.refusal("deleverage", "keeper", "alice", 0) == "backstop: pool is healthy"
    assert b.plan("alice").closed == 0


def test_deleverage__system_account__is_refused(b: Broke):
    for account in ("pool", "fund", "auction", "zero"):
        assert b.refusal("deleverage", "keeper", account, 0) == "account: system"


def test_deleverage__no_such_market__is_refused(b: Broke):
    for market in (2, 127, 128, 2**256 - 1):
        assert b.refusal("deleverage", "keeper", "alice", market) == "market: unknown"


def test_deleverage__frozen_venue__waits(b: Broke):
    b.do("guardian", "owner", "keeper")
    b.do("freeze", "keeper", HOUR)
    assert b.refusal("deleverage", "keeper", "alice", 0) == "venue: frozen or in grace"


def test_deleverage__dead_price__is_refused_by_its_reason(b: Broke):
    b.do("fault", 0, "revert")
    assert b.refusal("deleverage", "keeper", "alice", 0) == "prices: feed failed"


def test_deleverage__dead_price_of_another_market__is_refused_while_it_may_make_up_the_margin(
    b: Broke,
):
    b.do("fault", 1, "revert")
    assert b.plan("alice").why == 0  # nobody is in it
    b.do("fault", 1, "ok")
    b.do("price", 1, 3_000 * 10**8, 0)
    b.do("trade", "alice", "alice", 1, WAD)
    b.do("fault", 1, "revert")
    equity, maintenance = b.margin()
    assert maintenance - equity > 3_000 * WAD
    assert b.plan("alice").why == 0  # a free market would not be enough
    b.do("fault", 1, "ok")
    b.do("trade", "alice", "alice", 1, 20 * WAD)
    b.do("fault", 1, "revert")
    assert b.refusal("deleverage", "keeper", "alice", 0) == "backstop: a price is not live"


def test_deleverage__unhealthy_account__is_for_liquidation(b: Broke):
    # Carol's win here is less than her loss in the other market.
    b = Broke()
    b.crowd()
    b.long("mallory", 1, 4_000)
    b.do("trade", "mallory", "mallory", 1, -3 * WAD)
    b.market_price(4_860)
    b.market_price(5_000, 1)
    assert b.health("mallory") < WAD
    assert b.refusal("deleverage", "keeper", "mallory", 0) == "backstop: account is unhealthy"
    b.do("liquidate", "keeper", "mallory")


def test_deleverage__same_side_as_the_pool__is_refused(b: Broke):
    b.fund("mallory", 100_000)
    b.do("trade", "mallory", "mallory", 0, -WAD)
    b.market_price(4_859)  # she wins
    assert b.refusal("deleverage", "keeper", "mallory", 0) == "backstop: not opposite the pool"
    assert b.refusal("deleverage", "keeper", "lender", 0) == "backstop: not opposite the pool"
    assert b.refusal("deleverage", "keeper", "alice", 1) == "backstop: not opposite the pool"


def test_deleverage__losing_position__is_refused(b: Broke):
    b.long("mallory", 1, 100_000)
    b.market_price(4_859)
    assert b.refusal("deleverage", "keeper", "mallory", 0) == "backstop: not profitable"
    b.do("deleverage", "keeper", "alice", 0)


def test_deleverage__settled_market_with_positions__does_not_stop_it(b: Broke):
    b.do("trade", "alice", "alice", 1, WAD)
    b.do("delist", "owner", 1, 3 * 24 * HOUR)
    b.wait(3 * 24 * HOUR)
    b.do("settle_market", "keeper", 1)
    assert b.plan("alice").why == 0
    b.do("deleverage", "keeper", "alice", 0)


# ------------------------------------------------------------------ in which order


def test_rank__winners_and_others__has_the_most_leveraged_winner_first(b: Broke):
    b.long("mallory", -1, 100_000)
    found = b.rank("alice", "bob", "mallory", "lender", "pool", "zero")
    assert [c.account for c in found] == [b.at("bob"), b.at("alice")]
    for c in found:
        worth = b.equity("bob" if c.account == b.at("bob") else "alice")
        assert c.equity == worth
        assert c.notional == c.exposure == c.size * 4_860 // 1
        exact = Fraction(c.pnl, c.notional) * Fraction(c.exposure, c.equity)
        assert abs(Fraction(c.rank, WAD) - exact) < Fraction(10, WAD)


def test_rank__one_account_named_twice_and_equals__keep_their_order(b: Broke):
    found = b.rank("alice", "bob", "alice", "bob")
    assert [c.account for c in found] == [b.at("bob")] * 2 + [b.at("alice")] * 2


def test_rank__no_such_market_or_nobody__is_empty_or_refused(b: Broke):
    assert b.rank() == []
    assert b.rank("alice", market=1) == []
    refused = b.system.backstop.call("rank", 2, [])
    assert refused.reason == "market: unknown"


def test_preview_deleverage__whatever_is_refused__says_why(b: Broke):
    for account, market, why in (
        ("pool", 0, "account: system"),
        ("alice", 2, "market: unknown"),
        ("lender", 0, "backstop: not opposite the pool"),
    ):
        assert b.why(account, market) == why
        assert b.refusal("deleverage", "keeper", account, market) == why


def test_deleverage__equity_to_the_wei__is_refused_at_the_line_and_not_below_it():
    for short, why in ((0, "backstop: pool is healthy"), (1, "")):
        b = Broke(quote_decimals=18)
        b.crowd()
        b.market_price(4_860)
        equity, maintenance = b.margin()
        b.do("mint", "lender", maintenance - equity - short)
        b.do("pool_deposit", "lender", maintenance - equity - short, "lender")
        assert b.margin() == (maintenance - short, maintenance)
        assert b.why("alice") == why
        assert b.attempt("deleverage", "keeper", "alice", 0).ok == bool(short)


def test_deleverage__winner_in_debt__his_interest_is_the_pools_before_and_after():
    b = Broke(coins=None)
    b.crowd()
    b.back("mallory", 0, 1_000 * WAD)
    b.owe("mallory", 100_000 * WAD, 1)
    b.do("trade", "mallory", "mallory", 0, WAD)
    b.wait(30 * 24 * HOUR)
    b.market_price(5_010)
    owed = b.interest("mallory")
    equity, maintenance = b.margin()
    assert owed > 0
    assert equity == b.plan("mallory").equity == b.cash("pool") - 491 * 5_010 * WAD + owed
    before = b.health("mallory")
    assert b.do("deleverage", "keeper", "mallory", 0).value == WAD
    assert b.interest("mallory") == 0
    assert 0 <= b.margin()[0] - equity <= 2
    assert b.health("mallory") >= before


def test_deleverage__account_at_its_line_to_the_wei__is_healthy_and_a_wei_below_is_not():
    for short in (0, 1):
        b = Broke(quote_decimals=18)
        b.crowd()
        b.long("mallory", 1, 4_000)
        b.do("trade", "mallory", "mallory", 1, -3 * WAD)
        b.market_price(4_860)
        b.market_price(4_800, 1)
        equity, maintenance, _ = b.model._standing(b.at("mallory"))
        b.do("mint", "mallory", maintenance - equity - short)
        b.do("deposit", "mallory", "mallory", "token", maintenance - equity - short)
        assert (b.health("mallory") == WAD) == (short == 0)
        assert b.why("mallory") == ("backstop: account is unhealthy" if short else "")
        assert len(b.rank("mallory")) == 1 - short
        assert b.attempt("deleverage", "keeper", "mallory", 0).ok == (short == 0)


def test_deleverage__profit_of_nothing__is_none():
    b = Broke(quote_decimals=18)
    b.crowd()
    b.market_price(4_860)
    b.fund("mallory", 100_000)
    b.do("trade", "mallory", "mallory", 0, WAD)
    leg = b.house.view("leg", b.at("mallory"), 0)
    assert leg[4] > 4_860 * WAD  # what the curve took
    assert b.why("mallory") == "backstop: not profitable"
    b.do("settle", "keeper", "mallory")  # its loss is in its cash: nothing won, nothing lost
    assert b.model._valued(b.model.leg(b.at("mallory"), 0), WAD, 4_860 * WAD).pnl == 0
    assert b.why("mallory") == "backstop: not profitable"
    assert b.rank("mallory") == []
    assert b.refusal("deleverage", "keeper", "mallory", 0) == "backstop: not profitable"
