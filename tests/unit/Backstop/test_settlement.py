"""LIQ-11: a settlement is declared, called off or carried out; everybody is paid the same share."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import pytest

from plimsoll.fuzz.system import Op
from tests.utils.backed import Backed, coin
from tests.utils.broke import HOUR, WAD, Broke

DAY = 24 * HOUR
NOTHING, DECLARED, SETTLING, FIXED = range(4)


@pytest.fixture
def b() -> Broke:
    """Alice and bob have won 1.47m from a pool of a million; lender has 50,000 beside it."""
    b = Broke()
    b.crowd()
    b.fund("mallory", 50_000)
    b.market_price(6_000)
    assert b.margin()[0] < 0
    return b


def declared(b: Broke) -> Broke:
    """By the keeper."""
    b.do("declare", "keeper")
    return b


def closed(b: Broke) -> Broke:
    """Settled an hour later, and everybody flat."""
    declared(b)
    b.wait(HOUR)
    b.do("settle_markets", "bob", [0, 1])
    b.do("close_settled", "keeper", 0, ["alice", "bob"])
    return b


# ------------------------------------------------------------------ declared


def test_declare__insolvent_pool__lets_claims_wait(b: Broke):
    equity = b.margin()[0]
    outcome = b.do("declare", "mallory")
    told = outcome.events[-1]
    assert (told.name, told.args) == ("SettlementDeclared", (b.chain.now, equity, b.chain.now))
    assert (b.state(), b.share()) == (DECLARED, 1)
    assert b.backstop.view("declared_at") == b.backstop.view("certain_at") == b.chain.now
    why = b.refusal("withdraw", "mallory", "mallory", "token", 50_000 * b.raw, "mallory")
    assert why == "withdraw: settlement waits"
    b.do("trade", "alice", "alice", 0, -WAD)  # all else goes on
    b.do("mint", "mallory", b.raw)
    assert b.refusal("deposit", "mallory", "mallory", "token", b.raw) == "deposit: in a settlement"


def test_declare__solvent_pool__is_refused_and_in_a_freeze_is_not(b: Broke):
    b.market_price(5_000)
    assert b.margin()[0] >= 0
    assert b.refusal("declare", "keeper") == "backstop: pool is solvent"
    b.market_price(6_000)
    b.do("guardian", "owner", "keeper")
    b.do("freeze", "keeper", HOUR)
    declared(b)
    b.wait(HOUR)
    assert b.refusal("settle_markets", "keeper", [0]) == "venue: frozen or in grace"


def test_declare__once_more__tells_since_when_the_hole_is_certain(b: Broke):
    declared(b)
    at = b.chain.now
    b.wait(60)
    declared(b)  # as certain as before
    assert (b.backstop.view("declared_at"), b.backstop.view("certain_at")) == (at, at)
    b.do("poke", "keeper", 0)
    b.do("fault", 0, "revert")
    assert b.do("declare", "keeper").events[-1].args[2] == b.backstop.view("certain_at") == 0
    b.do("fault", 0, "ok")
    b.wait(HOUR)
    assert b.refusal("settle_markets", "bob", [0]) == "backstop: too early"  # nobody told
    declared(b)
    assert b.backstop.view("certain_at") == b.chain.now
    b.wait(HOUR - 1)
    assert b.refusal("settle_markets", "bob", [0]) == "backstop: too early"
    b.wait(1)
    b.do("settle_markets", "bob", [0])
    assert b.refusal("declare", "keeper") == "backstop: wrong state"


def test_call_off__dead_price_or_a_freeze__waits_until_it_is_sure(b: Broke):
    """At 5,060 the pool is insolvent; at 5,000, the last price there was, it is not, but for its 490."""
    b.market_price(5_000)
    b.do("poke", "keeper", 0)
    b.market_price(5_060)
    declared(b)
    b.do("fault", 0, "revert")
    at_least, worth, _ = b.backstop.view("solvency")
    assert (at_least, worth > 0) == (worth - 490 * 5_000 * WAD, True)
    assert b.refusal("call_off", "bob") == "backstop: pool is insolvent"
    b.do("fault", 0, "ok")
    b.market_price(5_000)
    b.do("freeze", "owner", HOUR)
    assert b.refusal("call_off", "bob") == "venue: frozen or in grace"
    b.wait(2 * HOUR)
    b.do("call_off", "bob")
    assert (b.state(), b.backstop.view("certain_at")) == (0, 0)


def test_declare__equity_of_nothing__is_solvent_and_a_wei_less_is_not():
    for less, why in ((0, "backstop: pool is solvent"), (1, None)):
        b = Broke(quote_decimals=18)
        b.crowd()
        with b.imagined():
            b.market_price(6_000)
            missing = -b.margin()[0]
        b.do("mint", "lender", missing - less)
        b.do("pool_deposit", "lender", missing - less, "lender")
        b.market_price(6_000)
        assert b.margin()[0] == -less
        assert b.attempt("declare", "keeper").reason == why


def test_declare__dead_feed__counts_at_its_last_good_price(b: Broke):
    b.do("poke", "keeper", 0)
    b.do("fault", 0, "revert")
    declared(b)


def test_call_off__solvent_again__pays_claims_in_full(b: Broke):
    declared(b)
    assert b.refusal("call_off", "keeper") == "backstop: pool is insolvent"
    b.market_price(4_000)
    outcome = b.do("call_off", "mallory")
    assert outcome.events[-1].name == "SettlementCalledOff"
    assert (b.state(), b.share(), b.backstop.view("declared_at")) == (NOTHING, 0, 0)
    b.do("withdraw", "mallory", "mallory", "token", 50_000 * b.raw, "mallory")
    assert b.purse("mallory") == 50_000 * b.raw
    assert b.refusal("call_off", "keeper") == "backstop: wrong state"


def test_call_off__nobody_settled_for_nine_days__frees_claims(b: Broke):
    declared(b)
    b.wait(9 * DAY - 1)
    assert b.refusal("call_off", "keeper") == "backstop: pool is insolvent"
    b.wait(1)
    b.do("call_off", "keeper")
    declared(b)  # and again


def test_call_off__a_day_of_freeze_right_after__leaves_time_to_settle_before_it(b: Broke):
    declared(b)
    b.do("guardian", "owner", "keeper")
    b.do("freeze", "keeper", DAY)
    b.wait(DAY + HOUR)
    assert b.refusal("call_off", "mallory") == "backstop: pool is insolvent"
    b.do("settle_markets", "bob", [0, 1])


def test_declare__pool_whose_cash_is_in_lots__is_solvent():
    b = Broke(coins=[coin(3_000)], credit={"debt_cap": 10**8 * WAD}, insurance_cash=0)
    b.back("mallory", 0, 3_000 * WAD)
    b.long("bob", 10, 40_000)
    b.do("trade", "mallory", "mallory", 1, 3_000 * WAD)
    b.market_price(1_000, 1)
    b.market_price(6_000)
    b.price(0, 2_000)
    b.do("liquidate", "keeper", "mallory")
    b.market_price(300_000)
    equity = b.margin()[0]
    owed = b.auction.view("owed_to_pool")
    assert 0 <= equity < owed, (equity / WAD, owed / WAD)
    assert b.refusal("declare", "keeper") == "backstop: pool is solvent"
    b.kill(0)  # what dead lots bring is in doubt
    assert b.margin()[0] == equity - owed
    assert b.backstop.view("solvency") == (equity - owed, equity - owed, equity)
    declared(b)
    b.wait(7 * DAY - 1)
    b.do("declare", "keeper")
    assert b.backstop.view("certain_at") == 0
    b.wait(1)
    b.do("declare", "keeper")
    assert b.backstop.view("certain_at") == b.chain.now
    b.wait(HOUR - 1)
    assert b.refusal("settle_markets", "bob", [0]) == "backstop: too early"
    b.wait(1)
    b.do("settle_markets", "bob", [0])


# ------------------------------------------------------------------ settled


def test_settle__an_hour_after__settles_markets_for_good(b: Broke):
    declared(b)
    b.wait(HOUR - 1)
    assert b.refusal("settle_markets", "bob", [0]) == "backstop: too early"
    b.wait(1)
    outcome = b.do("settle_markets", "bob", [0])
    assert [e.name for e in outcome.events if e.address == b.backstop.address] == [
        "SettlementBegun"
    ]
    assert next(e for e in outcome.events if e.name == "MarketSettled").args == (0, 6_000 * WAD)
    assert (b.state(), b.backstop.view("settled_at")) == (SETTLING, b.chain.now)
    assert b.refusal("trade", "alice", "alice", 0, -WAD) == "prices: feed failed"
    b.market_price(3_000)  # solvent or not: there is no way back
    assert b.refusal("call_off", "keeper") == "backstop: wrong state"
    assert b.refusal("declare", "keeper") == "backstop: wrong state"
    b.do("settle_markets", "mallory", [0, 1, 1])
    for market in (2, 128):
        assert b.refusal("settle_markets", "mallory", [market]) == "market: unknown"


def test_settle__market_whose_notice_is_over__is_settled_like_the_others(b: Broke):
    b.do("delist", "owner", 1, 3 * DAY)
    b.wait(3 * DAY)
    declared(b)
    b.wait(HOUR)
    outcome = b.do("settle_markets", "bob", [0, 1])
    settled = [e.args for e in outcome.events if e.name == "MarketSettled"]
    assert settled == [(0, 6_000 * WAD), (1, 3_000 * WAD)]


def test_settle__loss_at_a_dead_price__a_week_after_and_an_hour_when_it_lives(b: Broke):
    b.do("poke", "keeper", 0)
    b.do("fault", 0, "revert")
    equity, notional = b.margin()[0], 490 * 6_000 * WAD
    assert b.backstop.view("solvency") == (equity - notional, equity, equity + notional)
    declared(b)
    b.wait(HOUR)
    assert b.refusal("settle_markets", "bob", [0, 1]) == "backstop: too early"
    with b.imagined():
        b.do("fault", 0, "ok")
        declared(b)
        b.wait(HOUR)
        b.do("settle_markets", "bob", [0, 1])
    b.wait(7 * DAY - HOUR - 1)
    b.do("declare", "keeper")
    assert b.backstop.view("certain_at") == 0
    b.wait(1)
    assert b.refusal("settle_markets", "bob", [0, 1]) == "backstop: too early"
    b.do("declare", "keeper")
    b.wait(HOUR - 1)
    assert b.refusal("settle_markets", "bob", [0, 1]) == "backstop: too early"
    b.wait(1)
    b.do("settle_markets", "bob", [0, 1])


@pytest.mark.parametrize("sides", ["long", "short", "even", "none"])
def test_settle__dead_market_that_is_not_the_cause__waits_a_week_with_positions(
    b: Broke, sides: str
):
    if sides in ("long", "even"):
        b.do("trade", "mallory", "mallory", 1, WAD // 100)
    if sides in ("short", "even"):
        b.fund("mallory.1", 1_000)
        b.do("trade", "mallory", "mallory.1", 1, -WAD // 100)
    b.do("fault", 1, "revert")
    equity, at_most = b.backstop.view("solvency")[1:]
    assert at_most == equity + (30 * WAD if sides in ("long", "short") else 0) < 0
    declared(b)
    b.wait(HOUR)
    b.do("settle_markets", "bob", [0])
    if sides == "none":
        b.do("settle_markets", "bob", [1])
        return
    assert b.refusal("settle_markets", "bob", [0, 1]) == "backstop: too early"
    with b.imagined():
        b.do("fault", 1, "ok")
        b.do("settle_markets", "bob", [1])
    b.wait(7 * DAY - HOUR - 1)
    assert b.refusal("settle_markets", "bob", [1]) == "backstop: too early"
    b.wait(1)
    b.do("settle_markets", "bob", [0, 1])


def test_solvency__reported_loss__counts_beyond_the_fund_and_is_in_doubt(b: Broke):
    b.market_price(4_900)
    equity = b.margin()[0]
    assert equity > 0
    b.market_price(3_000)
    b.long("keeper", -100, 40_000, 1)
    b.long("lender", 100, 400_000, 1)
    b.market_price(20_000, 1)
    loss = b.do("report", "bob", "keeper").value
    fund = b.cash("fund")
    assert loss > fund
    worth = b.margin()[0] - loss + fund
    assert b.backstop.view("solvency") == (worth, worth, b.margin()[0])
    assert b.pool.view("doubtful") == loss - fund
    declared(b)
    b.wait(HOUR)
    assert b.refusal("settle_markets", "bob", [0]) == "backstop: too early"
    b.market_price(3_000, 1)
    assert b.refusal("call_off", "bob") == "backstop: pool is insolvent"
    b.do("report", "bob", "keeper")  # he can pay again
    b.do("call_off", "bob")


def test_settle__pool_that_is_solvent_by_then__is_refused(b: Broke):
    declared(b)
    b.wait(HOUR)
    b.market_price(3_000)
    assert b.refusal("settle_markets", "bob", [0, 1]) == "backstop: pool is solvent"


def test_settle__in_a_freeze__waits(b: Broke):
    declared(b)
    b.do("guardian", "owner", "keeper")
    b.do("freeze", "keeper", HOUR)
    b.wait(HOUR)
    assert b.refusal("settle_markets", "bob", [0]) == "venue: frozen or in grace"
    b.wait(HOUR)
    b.do("settle_markets", "bob", [0])


def test_settle__nothing_declared__is_refused(b: Broke):
    assert b.refusal("settle_markets", "bob", [0]) == "backstop: wrong state"
    assert b.refusal("fix", "bob") == "backstop: wrong state"


# ------------------------------------------------------------------ fixed


def test_fix__everybody_flat__is_custody_over_all_claims(b: Broke):
    closed(b)
    custody = b.house.view("globals")[0]
    claims = sum(b.cash(a) for a in ("alice", "bob", "mallory"))
    outcome = b.do("fix", "mallory")
    share = claims and custody * 10**12 * WAD // claims
    assert outcome.value == share == b.backstop.view("share") == b.share() - 1
    assert 0 < share < WAD
    assert outcome.events[-1].args == (share, claims, custody)
    assert b.state() == FIXED
    for op in (
        ["fix", "bob"],
        ["declare", "bob"],
        ["call_off", "bob"],
        ["settle_markets", "bob", [1]],
    ):
        assert b.refusal(*op) == "backstop: wrong state"


def test_fix__market_open_or_position_left__is_refused(b: Broke):
    b.do("trade", "mallory", "mallory", 1, -WAD)
    declared(b)
    b.wait(HOUR)
    b.do("settle_markets", "bob", [0])
    assert b.refusal("fix", "bob") == "backstop: positions are open"
    b.do("close_settled", "keeper", 0, ["alice", "bob"])
    assert b.refusal("fix", "bob") == "backstop: market not settled"
    b.do("settle_markets", "bob", [1])
    assert b.refusal("fix", "bob") == "backstop: positions are open"
    b.do("close_settled", "keeper", 1, ["mallory"])
    b.do("fix", "bob")


def test_fix__matched_positions__are_open_though_the_skew_is_zero(b: Broke):
    b.do("trade", "mallory", "mallory", 1, -WAD)
    b.do("trade", "alice", "alice", 1, WAD)
    closed(b)
    assert b.skew(1) == 0
    assert b.refusal("fix", "bob") == "backstop: positions are open"


def test_fix__lots_that_owe_the_pool__are_waited_for_and_no_longer_than_a_month():
    b = Broke(coins=[coin(3_000)], insurance_cash=0)
    b.crowd()
    b.back("mallory", 0, 30 * WAD)
    b.owe("mallory", 40_000 * WAD, 1)
    b.price(0, 1_400)
    b.do("liquidate", "keeper", "mallory")
    assert b.auction.view("owed_to_pool") > 0
    b.market_price(6_000)
    closed(b)
    assert b.refusal("fix", "bob") == "backstop: lots are not sold"
    with b.imagined():
        b.do("mint", "lender", 100_000 * b.raw)
        b.do("buy", "lender", 0, "all", None, "lender")
        b.do("fix", "bob")
    b.wait(30 * DAY - 1)
    assert b.refusal("fix", "bob") == "backstop: lots are not sold"
    b.wait(1)
    b.do("fix", "bob")


def test_fix__lots_that_owe_the_fund__are_waited_for_while_they_can_be_sold():
    b = Broke(coins=[coin(1), coin(3_000)], insurance_cash=100_000)
    b.crowd()
    b.back("mallory", 1, 30 * WAD)
    b.owe("mallory", 40_000 * WAD, 1)
    b.price(1, 1_400)
    b.do("liquidate", "keeper", "mallory")
    b.market_price(6_000)
    closed(b)
    assert b.auction.view("owed_to_pool") == 0
    assert b.refusal("fix", "bob") == "backstop: lots are not sold"
    with b.imagined():
        b.kill(1)
        b.wait(7 * DAY - 1)
        assert b.refusal("fix", "bob") == "backstop: lots are not sold"
        b.wait(1)
        b.do("fix", "bob")
    b.do("mint", "lender", 100_000 * b.raw)
    b.do("buy", "lender", 0, "all", None, "lender")
    b.do("fix", "bob")


def test_fix__custody_for_everybody__pays_all(b: Broke):
    closed(b)
    b.do("mint", "lender", 10_000_000 * b.raw)
    b.do("deposit", "lender", "fund", "token", 10_000_000 * b.raw)  # a gift
    assert b.do("fix", "bob").value == WAD
    b.do("withdraw", "mallory", "mallory", "token", 50_000 * b.raw, "mallory")
    assert b.purse("mallory") == 50_000 * b.raw


def test_fix__custody_for_everybody__is_the_end_unless_the_pool_owes():
    """The price is back when the market is settled, just so far that the pool has its last fraction of
    a cent, or owes it: then the fund pays, and over it is not, or anybody declared the next at once."""
    low, high = 3_000 * 10**8, 5_100 * 10**8
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if after_a_settlement_at(middle)[0] >= 0 else (low, middle)
    for price, state in ((low, NOTHING), (high, FIXED)):
        pool, b = after_a_settlement_at(price)
        assert (pool >= 0) == (state == NOTHING)
        assert abs(pool) < WAD // 10_000
        assert b.do("fix", "bob").value == WAD
        assert b.state() == state
        assert b.share() == (0 if state == NOTHING else 1 + WAD)
        assert (b.attempt("declare", "bob").reason or "").startswith("backstop: ")
        with b.imagined():
            assert claim(b, "alice") > 400_000 * b.raw
        b.balance()


def test_fix__pool_left_with_nothing_and_owing_nothing__is_the_end():
    b = Broke()
    b.long("alice", 500, 600_000)  # at 37.5 of premium
    b.market_price(5_100)
    declared(b)
    b.wait(HOUR)
    b.do("settle_markets", "keeper", [])
    b.market_price(5_000.075)
    b.do("settle_markets", "keeper", [0, 1])
    b.do("close_settled", "keeper", 0, ["alice"])
    assert b.cash("pool") == 0
    assert b.do("fix", "bob").value == WAD
    assert (b.state(), b.share()) == (NOTHING, 0)


def after_a_settlement_at(price: int) -> tuple[int, Broke]:
    """What the pool has in cash then [WAD quote], and the venue; `price` in 1e-8 quote."""
    b = Broke()
    b.crowd()
    b.market_price(5_100)
    declared(b)
    b.wait(HOUR)
    b.do("settle_markets", "keeper", [])
    b.do("price", 0, price, 0)
    b.do("settle_markets", "keeper", [0, 1])
    b.do("close_settled", "keeper", 0, ["alice", "bob"])
    return b.cash("pool"), b


def test_fix__debts__are_nobodys_claims():
    b = Broke(coins=[coin(3_000)])
    b.crowd()
    b.back("mallory", 0, 30 * WAD)
    b.owe("mallory", 40_000 * WAD, 1)
    b.market_price(6_000)
    closed(b)
    assert b.cash("mallory") < 0
    claims = b.cash("alice") + b.cash("bob")
    told = b.do("fix", "bob").events[-1].args
    assert told[1] - claims == 0


# ------------------------------------------------------------------ paid


def claim(b: Broke, account: str) -> int:
    """All of somebody's claim, in as many calls as it takes; what he was paid [raw]."""
    had = b.purse(account)
    while True:
        raw = min(b.cash(account) // 10**12, b.house.view("globals")[0])
        if raw == 0 or not b.attempt("withdraw", account, account, "token", raw, account).ok:
            return b.purse(account) - had


def test_withdraw__in_any_order__pays_everybody_the_same_share(b: Broke):
    closed(b)
    b.do("fix", "keeper")
    share = Fraction(b.share() - 1, WAD)
    claims = {a: b.cash(a) // 10**12 for a in ("alice", "bob", "mallory")}
    for order in permutations(claims):
        with b.imagined():
            # Each takes his claim at once, in parts if custody is less than it.
            before = b.house.view("globals")[0]
            paid = {account: claim(b, account) for account in order}
            for account in order[:-1]:
                assert 0 <= claims[account] * share - paid[account] < 20
            assert sum(paid.values()) <= before
            b.balance()


def test_withdraw__a_claim__leaves_the_rest_to_the_pool_and_the_share_as_it_is(b: Broke):
    closed(b)
    b.do("fix", "keeper")
    share, pool = b.share() - 1, b.cash("pool")
    outcome = b.do("withdraw", "mallory", "mallory", "token", 50_000 * b.raw, "mallory")
    sent = 50_000 * b.raw * share // WAD
    assert b.purse("mallory") == sent
    assert outcome.events[-1].args[3] == sent
    assert b.cash("mallory") == 0
    assert b.cash("pool") - pool == (50_000 * b.raw - sent) * 10**12
    b.balance()
    assert b.refusal("withdraw", "mallory", "mallory", "token", 1, "mallory") == (
        "margin: not enough cash"
    )


def test_every_call__by_a_stranger__does_what_it_says_or_is_refused(b: Broke):
    ops: list[Op] = [
        ["call_off", "stranger"],
        ["settle_markets", "stranger", [0]],
        ["fix", "stranger"],
    ]
    for op in ops:
        assert b.refusal(*op) == "backstop: wrong state"
    assert b.refusal("set_share", "stranger", 1) == "access: backstop only"
    assert b.refusal("settle_market", "stranger", 0) == "configurator: not yet"
    b.do("declare", "stranger")


def test_withdraw__the_last_whole_claim__is_paid_in_one_call(b: Broke):
    closed(b)
    b.do("fix", "keeper")
    share = b.share() - 1
    for order in permutations(("alice", "bob", "mallory")):
        with b.imagined():
            for account in order:
                raw = b.cash(account) // 10**12
                had = b.purse(account)
                b.do("withdraw", account, account, "token", raw, account)
                assert b.purse(account) - had == raw * share // WAD
                assert b.cash(account) < 10**12
            assert b.house.view("globals")[0] <= 3
            b.balance()


def test_settlement__lot_whose_rest_is_a_traders__is_sold_all_the_same():
    """What a lot brings comes in by a deposit, which nobody else could make; debts can be repaid, too."""
    b = Backed(pool_cash=1_000_000, insurance_cash=3_000, max_pool_leverage_ppm=10**9)
    b.back("alice", 0, 20 * WAD)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    b.market_price(2_700)
    b.kill(0)
    b.do("poke_token", "keeper", "coin0")
    b.wait(DAY, fresh=False)
    b.market_price(2_700)
    b.market_price(3_000, 1)
    b.do("liquidate", "keeper", "alice")
    assert b.lot(0).surplus_to == b.at("alice")
    b.do("refresh", "keeper")
    b.fund("mallory", 400_000)
    b.do("trade", "mallory", "mallory", 1, 450 * WAD)
    b.market_price(7_000, 1)
    b.do("declare", "keeper")
    b.kill(0, "ok")
    b.price(0, 3_000)
    b.do("mint", "bob", 100_000 * b.raw)
    why = b.refusal("deposit", "bob", "bob", "token", b.raw)
    assert why == "deposit: in a settlement"
    assert b.pool.view("maxDeposit", b.at("bob")) == 0
    cost = b.do("buy", "bob", 0, "all", None, "bob").value
    assert cost == 61_200 * b.raw  # 1.02 times 60,000
    assert b.cash("alice") > 30_000 * WAD


def test_settlement__pool__lets_nobody_in_or_out_until_claims_are_paid(b: Broke):
    """What a debtor repays after the share is fixed would else be the first lender's who leaves."""
    b.market_price(3_000)
    b.do("request", "lender", 10**6 * b.raw, "lender", "lender")
    b.wait(DAY)
    b.market_price(6_000)
    declared(b)
    b.do("mint", "bob", b.raw)
    for op in (
        ["redeem", "lender", 1, "lender", "lender"],
        ["request", "lender", 1, "lender", "lender"],
        ["pool_deposit", "bob", b.raw, "bob"],
        ["refresh", "keeper"],
    ):
        assert b.refusal(*op) == "withdraw: settlement waits"
    assert b.pool.view("maxRedeem", b.at("lender")) == 0
    assert b.pool.view("maxWithdraw", b.at("lender")) == 0
