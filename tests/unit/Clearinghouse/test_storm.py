"""What holds on the worst day: stable prices, calm, the sequencer, the outflow limit, pauses.

On the fast lane, contracts and model side by side (`Backed`), in markets without fee, spread or funding.
"""

from __future__ import annotations

import pytest

from plimsoll import slots
from tests.utils.backed import MAX, PRICE, WAD, Backed

HOUR = 3_600
ETH, BTC, DOLLAR = range(3)


@pytest.fixture
def b() -> Backed:
    """Two markets at 3,000, 10 % and 5 %; ether, bitcoin and a dollar to stand behind them."""
    return Backed()


def stable(b: Backed, market: int = 0) -> int:
    """A market's stable price, as of now [WAD quote/base]."""
    return b.model.stable_price(b.model.leg(b.at("zero"), market))


# ------------------------------------------------------------------ stable prices (PRC-3, PRC-4)


@pytest.mark.parametrize(
    ("price", "seconds", "expected"),
    [
        (3_600, 60, "3003"),  # a minute's way of 6 % an hour
        (3_600, HOUR, "3180"),
        (3_600, 10 * HOUR, "3180"),  # an hour's at most, however long it slept
        (2_400, HOUR, "2820"),
        (3_100, HOUR, "3100"),  # near enough to be there
    ],
)
def test_poke__price_that_jumps__is_followed_at_six_percent_an_hour(b, price, seconds, expected):
    b.do("poke", "keeper", 0)
    b.wait(seconds)
    b.market_price(price)
    b.do("poke", "keeper", 0)
    assert abs(stable(b) - int(float(expected) * WAD)) < 10**11  # what storing cuts off


def test_poke__oftener__goes_no_faster_than_compounding(b):
    b.do("poke", "keeper", 0)
    b.market_price(30_000)
    for _ in range(60):
        b.wait(60, fresh=False)
        b.do("poke", "keeper", 0)
    assert 3_180 * WAD < stable(b) < 3_186 * WAD  # e^0.06


def test_poke__dead_feed__moves_neither_price(b):
    b.do("poke", "keeper", 0)
    before = b.house.view("market_words", 0)
    b.do("fault", 0, "revert")
    b.wait(HOUR, fresh=False)
    assert b.refusal("poke", "keeper", 0) == "prices: feed failed"
    assert b.house.view("market_words", 0) == before


def test_set_terms__dead_feed__leaves_the_stable_price_where_it_was(b):
    b.fund("alice", 10_000)
    b.do("trade", "alice", "alice", 0, WAD)  # an open market may keep a feed that died
    b.wait(HOUR)
    b.market_price(6_000)
    b.do("poke", "keeper", 0)
    kept = slots.unpack_state_b(b.house.view("market_words", 0)[4]).steady
    b.do("fault", 0, "revert")
    b.wait(HOUR, fresh=False)
    b.do("configure", "owner", 0, 0, {"taker_fee_ppm": 1})
    # What packing may have cut off comes back, at most.
    assert 0 <= slots.unpack_state_b(b.house.view("market_words", 0)[4]).steady - kept <= 2


def test_set_terms__other_bounds_of_an_empty_market__keep_the_stable_price(b):
    b.do("poke", "keeper", 0)
    b.wait(HOUR)
    b.market_price(6_000)
    b.do("poke", "keeper", 0)
    before = stable(b)
    b.do("configure", "owner", 0, 0, {"max_price": 10_000 * WAD})
    assert abs(stable(b) - before) < 10**11


def test_set_terms__other_bounds_beside_a_dead_feed__keep_the_stable_price(b):
    """An empty market gets another feed for one that died, and wider bounds: they scale nothing."""
    b.do("poke", "keeper", 0)
    b.do("fault", 0, "revert")
    before = stable(b)
    b.do("configure", "owner", 0, 1, {"max_price": 8_000_000 * WAD})
    assert abs(stable(b) - before) < 10**11


@pytest.mark.parametrize("side", [1, -1])
def test_trade__after_a_jump_in_ones_favour__counts_the_profit_at_the_stable_price(b, side):
    """At the lower for longs and at the higher for shorts; the requirement at the higher for both."""
    b.fund("alice", 1_000)
    b.do("trade", "alice", "alice", 0, side * WAD)
    b.wait(60)
    b.market_price(PRICE * (2 if side > 0 else 0.5))
    total = b.model._value(b.at("alice"), 1)
    assert total.pnl * side > 0 or total.pnl > 1_000 * WAD
    assert total.opening_pnl < 10 * WAD  # a minute's way
    high = 6_000 if side > 0 else 3_000
    assert abs(total.initial - high * WAD // 10) < WAD
    # 1,000 of cash and a profit on paper of 1,500 or more carry what they carried before.
    assert b.refusal("trade", "alice", "alice", 1, 4 * WAD) == "margin: below initial"
    b.do("trade", "alice", "alice", 1, WAD)


@pytest.mark.parametrize("side", [1, -1])
def test_trade__after_a_jump_against_one__counts_the_loss_at_the_oracle(b, side):
    b.fund("alice", 1_000)
    b.do("trade", "alice", "alice", 0, side * WAD)
    b.wait(60)
    b.market_price(PRICE - 600 * side)
    total = b.model._value(b.at("alice"), 1)
    assert total.opening_pnl == total.pnl < -599 * WAD


def test_withdraw__after_a_jump_up__leaves_what_the_higher_price_asks(b):
    b.fund("alice", 1_000)
    b.do("trade", "alice", "alice", 0, WAD)
    b.wait(60)
    b.market_price(6_000)
    # 10 % of 6,000 must stay, and no profit counts.
    assert b.refusal("withdraw", "alice", "alice", "token", 401 * 10**6, "alice")
    b.do("withdraw", "alice", "alice", "token", 399 * 10**6, "alice")


def test_liquidate__after_a_jump__looks_at_the_oracle_alone(b):
    """A stable price that lags protects nobody, and liquidates nobody."""
    b.fund("alice", 400)
    b.do("trade", "alice", "alice", 0, WAD)
    b.fund("bob", 400)
    b.do("trade", "bob", "bob", 0, -WAD)
    b.wait(60)
    b.market_price(2_700)
    assert stable(b) > 2_990 * WAD
    b.do("liquidate", "keeper", "alice")
    assert b.refusal("liquidate", "keeper", "bob") == "liquidation: account is healthy"


def test_liquidate__leaves_the_stable_price_as_it_was(b):
    b.fund("alice", 400)
    b.do("trade", "alice", "alice", 0, WAD)
    kept = slots.unpack_state_b(b.house.view("market_words", 0)[4]).steady
    b.wait(60)
    b.market_price(2_700)
    b.do("liquidate", "keeper", "alice")
    state = slots.unpack_state_b(b.house.view("market_words", 0)[4])
    assert (state.steady, state.touched_at) == (kept, b.chain.now)


def test_holding__token_that_jumps__counts_the_lower_for_opening_and_the_oracle_for_maintenance(b):
    b.back("alice", ETH, 10 * WAD)
    before = b.holding("alice", ETH)
    b.wait(60)
    b.price(ETH, 30_000)
    up = b.holding("alice", ETH)
    assert 0 <= up.maintenance - before.maintenance * 10 < 10
    assert before.initial < up.initial < before.initial * 1_002 // 1_000
    b.price(ETH, 300)
    down = b.holding("alice", ETH)
    assert abs(down.initial - before.initial // 10) < WAD
    assert down.stable > 2_990 * WAD


# ------------------------------------------------------------------ one dead leg among eight (PRC-5)


@pytest.fixture
def eight() -> Backed:
    """Alice is long 1 in each of eight markets at 3,000, with 3,000 behind them."""
    b = Backed(markets=8, coins=[])
    b.fund("alice", 3_000)
    for market in range(8):
        b.do("trade", "alice", "alice", market, WAD)
    return b


@pytest.mark.parametrize("mode", ["revert", "burn", "short", "empty"])
def test_trade__one_dead_leg_among_eight__the_other_seven_close(eight, mode):
    eight.do("fault", 7, mode)
    eight.fund("alice", 100)
    assert eight.refusal("trade", "alice", "alice", 0, WAD) == "margin: dead leg"
    assert eight.refusal("withdraw", "alice", "alice", "token", 1, "alice") == "margin: dead leg"
    assert eight.refusal("trade", "alice", "alice", 7, -WAD) == "prices: feed failed"
    for market in range(7):
        eight.do("trade", "alice", "alice", market, -WAD)
    eight.do("fault", 7, "ok")
    eight.do("trade", "alice", "alice", 7, -WAD)
    eight.do("withdraw", "alice", "alice", "token", "all", "alice")


@pytest.mark.parametrize("mode", ["revert", "burn", "short", "empty"])
def test_liquidate__one_dead_leg_among_eight__seven_close_and_the_eighth_when_it_is_back(
    eight, mode
):
    eight.do("fault", 7, mode)
    for market in range(7):
        eight.market_price(2_700, market)
    eight.do("liquidate", "keeper", "alice")
    assert eight.model.header_of(eight.at("alice")).bitmap == 1 << 7
    # What is left carries the one that is valued as it was.
    assert eight.refusal("liquidate", "keeper", "alice") == "liquidation: account is healthy"
    eight.do("fault", 7, "ok")
    eight.market_price(2_300, 7)
    eight.do("liquidate", "keeper", "alice")
    assert eight.model.header_of(eight.at("alice")).bitmap == 0


# ------------------------------------------------------------------ calm (LIQ-8, GOV-1)


def strained(b: Backed) -> Backed:
    """Alice has a position and can keep it, bob is under the line, mallory's account is flat."""
    b.fund("alice", 2_000)
    b.do("trade", "alice", "alice", 0, WAD)
    b.fund("bob", 400)
    b.do("trade", "bob", "bob", 0, WAD)
    b.fund("mallory", 1_000)
    b.wait(60)
    b.market_price(2_700)
    return b


@pytest.fixture
def tense(b: Backed) -> Backed:
    """A venue that can be frozen."""
    return strained(b)


def waits(b: Backed) -> bool:
    """Whether what must wait waits, while deposits, reductions and the flat go on."""
    expected = "venue: frozen or in grace"
    found = {
        b.attempt(*op).reason
        for op in (
            ["liquidate", "keeper", "bob"],
            ["liquidate_many", "keeper", ["bob"]],
            ["convert", "keeper", "bob"],
            ["trade", "alice", "alice", 0, WAD // 100],
            ["trade", "alice", "alice", 1, WAD // 100],
            ["withdraw", "alice", "alice", "token", 1, "alice"],
        )
    }
    b.fund("alice", 1)
    b.do("trade", "alice", "alice", 0, -WAD // 100)
    b.do("withdraw", "mallory", "mallory", "token", 1, "mallory")
    assert expected not in found or found == {expected}
    return found == {expected}


def test_is_calm__set_by_the_configurator__until_that_second(tense):
    b = tense
    at = b.chain.now + 1_000
    b.do("freeze", "owner", 1_000)
    calm_from = slots.unpack_book(b.house.view("globals")[1]).calm_from
    assert calm_from == at + HOUR  # and an hour of grace
    assert not b.house.view("is_calm")
    assert waits(b)
    b.wait(calm_from - b.chain.now - 1)
    assert waits(b)
    b.wait(1)
    assert b.house.view("is_calm")
    b.do("liquidate", "keeper", "bob")


def test_set_calm_and_set_share__by_anybody_else__are_refused(b):
    for sender in ("owner", "alice", "keeper"):
        who = b.at(sender)
        calm = b.house.call("set_calm", MAX >> 224, sender=who)
        share = b.house.call("set_share", 1, sender=who)
        assert (calm.reason, share.reason) == (
            "access: configurator only",
            "access: backstop only",
        )


def test_set_nav__while_frozen__keeps_the_freeze(tense):
    tense.do("freeze", "owner", 1_000)
    tense.wait(10)
    before = slots.unpack_book(tense.house.view("globals")[1])
    tense.do("trade", "alice", "alice", 0, -WAD // 2)
    assert slots.unpack_book(tense.house.view("globals")[1]).calm_from == before.calm_from


# ------------------------------------------------------------------ the sequencer (PRC-2, LIQ-8)


@pytest.fixture
def rollup() -> Backed:
    """The same with a sequencer and an hour of grace."""
    return strained(Backed(grace=HOUR))


@pytest.mark.parametrize(
    ("answer", "age", "is_down"),
    [
        (0, 2 * HOUR, False),
        (0, HOUR, False),
        (0, HOUR - 2, True),  # the call is a second later
        (0, 0, True),
        (0, -12, True),  # by a clock that is ahead
        (0, -24 * HOUR, True),
        (0, -24 * HOUR - 2, False),  # by none
        (1, 0, True),
        (1, 10 * HOUR, True),
    ],
)
def test_sequencer__down_or_just_back__makes_the_same_wait(rollup, answer, age, is_down):
    rollup.do("uptime", answer, age)
    assert waits(rollup) == is_down


@pytest.mark.parametrize("mode", ["revert", "burn", "short", "empty"])
def test_sequencer__feed_that_fails__stops_nothing(rollup, mode):
    """What is broken for good must not stop liquidations for good; a well-formed answer is believed."""
    rollup.do("uptime", 1, 0)
    assert rollup.refusal("liquidate", "keeper", "bob") == "venue: frozen or in grace"
    rollup.do("uptime_fault", mode)
    rollup.do("liquidate", "keeper", "bob")


def test_sequencer__starved_call__reverts_and_liquidates_nobody(rollup):
    """A caller who leaves its feed too little gas gets no grace and no lack of it."""
    rollup.do("uptime", 1, 0)
    for gas in (60_000, 80_000, 100_000, 120_000, 150_000):
        rollup.attempt("starved", gas, ["liquidate", "keeper", "bob"])
    assert rollup.model.positions


# ------------------------------------------------------------------ the outflow limit (GOV-4)


@pytest.fixture
def slow() -> Backed:
    """A tenth of what is held may leave in an hour, and 1,000 always; the pool has nothing."""
    return Backed(
        outflow_ppm=100_000,
        outflow_floor=1_000 * 10**6,
        pool_cash=0,
        insurance_cash=0,
        start=HOUR * 500_000,
    )


def test_withdraw__past_the_hours_share__is_refused_to_the_unit(slow):
    slow.fund("alice", 100_000)
    slow.fund("bob", 50_000)
    slow.wait(HOUR)
    # A tenth of 150,000, whoever takes it.
    slow.do("withdraw", "alice", "alice", "token", 10_000 * 10**6, "alice")
    reason = slow.refusal("withdraw", "bob", "bob", "token", 5_000 * 10**6 + 1, "bob")
    assert reason == "withdraw: outflow limit"
    slow.do("withdraw", "bob", "bob", "token", 5_000 * 10**6, "bob")
    assert slow.refusal("withdraw", "alice", "alice", "token", 1, "alice") == reason
    assert slow.house.view("globals")[4] == (slow.chain.now // HOUR << 128) | 135_000 * 10**6
    slow.wait(HOUR - slow.chain.now % HOUR)
    slow.do("withdraw", "alice", "alice", "token", 13_500 * 10**6, "alice")


def test_withdraw__below_the_floor__always_passes(slow):
    slow.fund("alice", 1_500)
    slow.wait(HOUR)
    slow.do("withdraw", "alice", "alice", "token", 1_000 * 10**6, "alice")
    assert slow.refusal("withdraw", "alice", "alice", "token", 1, "alice")


def test_withdraw__deposits_taken_back__use_nothing_up_and_raise_no_limit(slow):
    """Neither does a loan that passes through keep others in, nor does it let more out."""
    slow.fund("alice", 20_000)
    slow.wait(HOUR)
    for _ in range(3):
        slow.fund("mallory", 100_000)
        slow.do("withdraw", "mallory", "mallory", "token", 100_000 * 10**6, "mallory")
    slow.fund("mallory", 100_000)
    slow.do("withdraw", "alice", "alice", "token", 2_000 * 10**6, "alice")
    slow.do("withdraw", "mallory", "mallory", "token", 100_000 * 10**6, "mallory")
    assert slow.refusal("withdraw", "alice", "alice", "token", 1, "alice")


def test_withdraw__first_deposits_of_all__may_be_taken_back_at_once(slow):
    slow.fund("alice", 1_500)
    slow.do("withdraw", "alice", "alice", "token", 1_500 * 10**6, "alice")


def test_withdraw__token__is_not_counted(slow):
    slow.back("alice", ETH, 100 * WAD)
    slow.do("withdraw", "alice", "alice", "coin0", 100 * WAD, "alice")
    assert slow.house.view("globals")[4] == 0


def test_withdraw__no_limit__counts_nothing(b):
    b.fund("alice", 100)
    b.do("withdraw", "alice", "alice", "token", 100 * 10**6, "alice")
    assert b.house.view("globals")[4] == 0


# ------------------------------------------------------------------ the pool (LPV-2, LPV-4)


def test_pool__not_calm__entries_exits_and_the_nav_wait(tense):
    b = tense
    b.do("request", "lender", 10**6, "lender", "lender")
    b.wait(86_400)
    b.market_price(2_700)
    b.do("mint", "alice", 10**6)
    b.do("freeze", "owner", 1_000)
    reason = "venue: frozen or in grace"
    assert b.refusal("pool_deposit", "alice", 10**6, "alice") == reason
    assert b.refusal("request", "lender", 10**6, "lender", "lender") == reason
    assert b.refusal("redeem", "lender", 1, "lender", "lender") == reason
    assert b.refusal("refresh", "keeper") == reason
    assert b.pool.view("maxRedeem", b.at("lender")) == 0
    assert b.pool.view("maxDeposit", b.at("alice")) == 0


@pytest.fixture
def sunk() -> Backed:
    """Alice owes more than she has, and nobody has liquidated her; the fund has 100."""
    b = Backed(pool_cash=100_000, insurance_cash=100)
    b.fund("alice", 1_000)
    b.do("trade", "alice", "alice", 0, WAD)
    b.wait(60)
    b.market_price(1_500)
    return b


def test_report__account_under_water__is_what_it_could_not_pay(sunk):
    told = sunk.do("report", "keeper", "alice")
    loss = told.value
    assert abs(loss - 500 * WAD) < WAD
    assert [e.args for e in told.events] == [(sunk.at("alice"), loss, loss)]
    assert sunk.pool.view("reported_loss", sunk.at("alice")) == loss
    # The fund would cover 100 of it.
    assert sunk.pool.view("valuation")[4] == loss - 100 * WAD


def test_report__again_after_a_recovery__is_taken_back(sunk):
    sunk.do("report", "keeper", "alice")
    sunk.market_price(3_000)
    assert sunk.do("report", "lender", "alice").value == 0
    assert sunk.pool.view("reported_losses") == 0


def test_report__tokens_behind_it__count_as_a_seizure_would(sunk):
    sunk.back("alice", DOLLAR, 200 * 10**6)
    assert abs(sunk.do("report", "keeper", "alice").value - 316 * WAD) < WAD  # 200 less 8 %


@pytest.mark.parametrize("account", ["pool", "fund", "auction", "zero", "bob"])
def test_report__who_owes_nothing__is_nothing(sunk, account):
    assert sunk.do("report", "keeper", account).value == 0


def test_claim__after_a_report__leaves_the_loss_to_who_goes_as_to_who_stays(sunk):
    """Without it the first to leave takes a whole share of money that is not there any more."""
    shares = sunk.model.shares[sunk.at("lender")] // 2
    sunk.do("request", "lender", shares, "lender", "lender")
    sunk.wait(86_400)
    sunk.market_price(1_500)
    before = sunk.pool.view("maxWithdraw", sunk.at("lender"))
    sunk.do("report", "keeper", "alice")
    after = sunk.pool.view("maxWithdraw", sunk.at("lender"))
    assert abs(before - after - 200 * 10**6) < 10**6  # half of 400
    paid = sunk.do("redeem", "lender", shares, "lender", "lender").value
    assert paid == after
    assert sunk.pool.view("totalAssets") > paid  # ERC-4626's number foresees nothing


def test_pause__of_a_market__stops_opening_there_alone_and_ends_by_itself(b):
    b.fund("alice", 2_000)
    b.do("trade", "alice", "alice", 0, WAD)
    b.do("pause", "owner", 0, 600)
    until = b.chain.now + 600
    assert b.refusal("trade", "alice", "alice", 0, WAD // 100) == "market: paused"
    b.do("trade", "alice", "alice", 0, -WAD // 100)
    b.do("trade", "alice", "alice", 1, WAD // 100)
    b.wait(until - b.chain.now - 1)
    assert b.refusal("trade", "alice", "alice", 0, WAD // 100) == "market: paused"
    b.wait(1)
    b.do("trade", "alice", "alice", 0, WAD // 100)
