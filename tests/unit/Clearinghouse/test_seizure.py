"""Settling, converting, and liquidating an account that tokens stand behind (COL-2, COL-3, LIQ-4, LIQ-5)."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import pytest

from plimsoll import slots
from plimsoll.slots import WAD
from tests.utils.backed import CREDIT, DAY, MAX, PPM, PRICE, Backed, coin, named, names

ETH, BTC, USD = range(3)
KEPT = Fraction(92, 100)


@pytest.fixture
def b() -> Backed:
    return Backed(quote_decimals=18)


def fewest(credit: int, price: int, unit: int = 1) -> int:
    """LIQ-4: the fewest raw units whose worth at the discount is at least `credit`, rounded as stated."""
    worth = ceil(credit / KEPT)
    return ceil(Fraction(worth, unit * price))


def credited(amount: int, price: int, unit: int = 1) -> int:
    return floor(amount * unit * price * KEPT)


# ------------------------------------------------------------------ settle


def test_settle__net_loss__moves_it_to_cash_and_leaves_the_equity(b: Backed):
    b.back("alice", ETH, 100 * WAD)
    b.do("trade", "alice", "alice", 0, 10 * WAD)
    b.do("trade", "alice", "alice", 1, -2 * WAD)
    b.market_price(2_500, 0)
    b.market_price(2_900, 1)
    equity, health, nav = b.equity("alice"), b.health("alice"), b.nav()
    legs = [b.house.view("leg", b.at("alice"), m) for m in (0, 1)]
    pnl = [leg[3] * leg[5] // WAD - leg[4] for leg in legs]
    told = b.do("settle", "bob", "alice")
    assert told.value == sum(pnl) < 0 < pnl[1]
    assert named(told) == [
        ("Settled", b.at("alice"), 0, legs[0][4] + pnl[0]),
        ("Settled", b.at("alice"), 1, legs[1][4] + pnl[1]),
        ("CashMoved", b.at("alice"), sum(pnl)),
    ]
    assert (b.equity("alice"), b.health("alice"), b.nav()) == (equity, health, nav)
    assert b.debts() == -sum(pnl)
    assert b.refusal("settle", "bob", "alice") == "settle: no net loss"
    b.balance()


def test_settle__profit_or_nothing__reverts(b: Backed):
    assert b.refusal("settle", "alice", "alice") == "settle: no net loss"
    b.fund("alice", 10_000)
    b.do("trade", "alice", "alice", 0, -WAD)
    b.market_price(2_900)
    assert b.refusal("settle", "alice", "alice") == "settle: no net loss"
    for account in ("pool", "fund", "auction", "zero"):
        assert b.refusal("settle", "alice", account) == "settle: no net loss"


def test_settle__a_wei_of_loss__is_enough(b: Backed):
    b.fund("alice", 10_000)
    b.do("trade", "alice", "alice", 0, 10**10)
    assert b.do("settle", "bob", "alice").value < 0
    assert b.refusal("settle", "bob", "alice") == "settle: no net loss"


def test_settle__in_a_freeze__waits(b: Backed):
    b.fund("alice", 10_000)
    b.do("trade", "alice", "alice", 0, WAD)
    b.market_price(2_900)
    b.do("freeze", "owner", 3_600)
    assert b.refusal("settle", "bob", "alice") == "venue: frozen or in grace"
    b.wait(7_200)
    b.market_price(2_900)
    b.do("settle", "bob", "alice")


def test_settle__dead_leg__stays_as_it_is(b: Backed):
    b.back("alice", ETH, 100 * WAD)
    for market in (0, 1):
        b.do("trade", "alice", "alice", market, 10 * WAD)
        b.market_price(2_500, market)
    b.do("fault", 1, "revert")
    before = b.house.view("leg", b.at("alice"), 1)[3:5]
    told = b.do("settle", "bob", "alice")
    assert names(told) == ["Settled", "CashMoved"]
    assert b.house.view("leg", b.at("alice"), 1)[3:5] == before


def test_settle__after_it__the_paper_profit_of_a_recovery_opens_by_half(b: Backed):
    """What a stranger's settling at a low costs: the way back up is a profit on paper, which counts by
    its weight for opening and not at all for withdrawing, and the debt bears interest meanwhile."""
    b.back("alice", ETH, 100 * WAD)
    b.do("trade", "alice", "alice", 0, 10 * WAD)
    b.market_price(2_500)
    b.do("settle", "bob", "alice")
    b.market_price(PRICE)
    assert b.cash("alice") < -4_900 * WAD
    equity = 100 * 3_000 * WAD
    assert abs(b.equity("alice") - equity) < WAD


# ------------------------------------------------------------------ convert


def test_convert__debt_past_its_share__sells_just_enough_of_the_first_in_order():
    b = Backed(quote_decimals=18)
    b.back("alice", ETH, 50 * WAD)
    b.back("alice", BTC, 10**6)
    b.owe("alice", 70_000 * WAD)
    before = b.holding("alice", ETH)
    equity = before.maintenance + b.holding("alice", BTC).maintenance + b.cash("alice")
    fund, pool = b.cash("fund"), b.cash("pool")
    told = b.do("convert", "keeper", "alice")
    want = ceil(Fraction(10_000 * WAD * PPM, 980_000))
    amount = fewest(want, 3_000)
    credit = credited(amount, 3_000)
    fee = min(want - 10_000 * WAD, credit - 10_000 * WAD)
    share = fee // 5
    assert told.value == share
    assert b.held("alice", ETH) == before.own - amount
    assert b.held("auction", ETH) == amount
    assert b.cash("alice") == -70_000 * WAD + credit - fee
    assert b.cash("keeper") == share
    # The fund pays what it had, the pool the rest; then the fund has its part of the fee.
    lot = b.lot(0)
    assert (lot.to_insurance, lot.to_pool) == (fund, credit - fund)
    assert b.cash("fund") == fee - share
    assert b.cash("pool") == pool - lot.to_pool
    assert named(told, "LotOpened", "Liquidated") == [
        ("LotOpened", 0, ETH, amount, lot.to_insurance, lot.to_pool, b.at("fund")),
        (
            "Liquidated",
            b.at("alice"),
            b.at("keeper"),
            equity,
            0,
            credit,
            fee,
            share,
        ),
    ]
    assert b.auction.view("owed_to_pool") == lot.to_pool
    b.balance()


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_convert__at_the_share_and_a_wei_past_it(excess: int):
    """COL-3: none is called up to half of the maintenance value, that included: others move the initial."""
    b = Backed(quote_decimals=18)
    b.back("alice", ETH, 50 * WAD)
    allowed = b.holding("alice", ETH).maintenance // 2
    b.owe("alice", allowed + excess)
    if excess > 0:
        b.do("convert", "keeper", "alice")
    else:
        assert b.refusal("convert", "keeper", "alice") == "convert: not called"


def test_convert__past_the_cap_of_all_debts__is_nobodys_fault():
    b = Backed(credit={"debt_cap": 5_000 * WAD}, quote_decimals=18)
    b.back("alice", ETH, 50 * WAD)
    b.owe("alice", 5_000 * WAD + 1)
    assert b.refusal("withdraw", "alice", "alice", "coin0", 1, "alice") == "caps: debt"
    assert b.refusal("convert", "keeper", "alice") == "convert: not called"


def test_convert__unrealised_loss__counts_for_the_share_and_is_not_what_is_sold():
    """Until it is settled there is no debt to convert."""
    b = Backed(quote_decimals=18)
    b.back("alice", ETH, 50 * WAD)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    b.market_price(2_300)
    assert b.refusal("convert", "keeper", "alice") == "convert: not called"
    b.do("settle", "keeper", "alice")
    b.do("convert", "keeper", "alice")


def test_convert__health_under_the_call_line__is_called_and_at_it_is_not():
    """COL-3: with a debt inside its caps, the call line alone: 1.25."""
    b = Backed(credit={"debt_ratio_ppm": PPM}, quote_decimals=18)
    b.back("alice", ETH, 10 * WAD)
    b.do("trade", "alice", "alice", 0, 70 * WAD)
    b.market_price(2_950)
    b.do("settle", "bob", "alice")
    assert b.cash("alice") < 0
    low, high = 2_500 * 10**8, 2_950 * 10**8
    while high - low > 1:  # the least price at which nobody calls
        middle = (low + high) // 2
        b.do("price", 0, middle, 0)
        low, high = (low, middle) if b.health("alice") >= WAD * 5 // 4 else (middle, high)
    b.do("price", 0, high, 0)
    assert b.refusal("convert", "keeper", "alice") == "convert: not called"
    b.do("price", 0, low, 0)
    health = b.health("alice")
    assert WAD < health < WAD * 5 // 4
    b.do("convert", "keeper", "alice")
    assert b.health("alice") >= health


def test_convert__unhealthy__is_for_liquidate(b: Backed):
    b.back("alice", ETH, 10 * WAD)
    b.do("trade", "alice", "alice", 0, 70 * WAD)
    b.market_price(2_700)
    b.do("settle", "bob", "alice")
    assert b.health("alice") < WAD
    assert b.refusal("convert", "keeper", "alice") == "convert: not called"
    b.do("liquidate", "keeper", "alice")


@pytest.mark.parametrize("account", ["pool", "fund", "auction", "zero"])
def test_convert_and_liquidate__system_account__revert(b: Backed, account: str):
    assert b.refusal("convert", "keeper", account) == "account: system"
    assert b.refusal("liquidate", "keeper", account) == "account: system"
    assert b.do("liquidate_many", "keeper", [account]).value == 0


def test_convert__nothing_live_to_sell_or_no_debt__reverts(b: Backed):
    b.back("alice", ETH, 50 * WAD)
    b.owe("alice", 70_000 * WAD)
    b.kill(ETH)
    assert b.refusal("convert", "keeper", "alice") == "convert: not called"
    b.kill(ETH, "ok")
    b.price(ETH, 3_000)
    b.do("mint", "alice", 70_000 * WAD)
    b.do("deposit", "alice", "alice", "token", 70_000 * WAD)
    assert b.refusal("convert", "keeper", "alice") == "convert: not called"


def test_convert__bound__is_what_one_call_repays_of_a_debt():
    b = Backed(credit={"conversion_bound": 123}, quote_decimals=18)
    b.back("alice", ETH, 50 * WAD)
    b.owe("alice", 70_000 * WAD)
    b.do("convert", "keeper", "alice")
    assert 0 <= b.cash("alice") + (70_000 - 123) * WAD < 10**6
    b.do("configure_credit", "owner", {**CREDIT, "conversion_bound": 0})
    assert b.refusal("convert", "keeper", "alice") == "convert: not called"


def test_convert__interest_of_a_year__is_posted_first_and_counts(b: Backed):
    b.back("alice", ETH, 50 * WAD)
    allowed = b.holding("alice", ETH).maintenance // 2
    b.owe("alice", allowed - 10 * WAD)
    assert b.refusal("convert", "keeper", "alice") == "convert: not called"
    b.wait(365 * DAY)
    told = b.do("convert", "keeper", "alice")
    assert names(told)[:3] == ["CashMoved", "CashMoved", "InterestPaid"]


# ------------------------------------------------------------------ liquidation with a seizure


def test_liquidate__loss_beyond_the_cash__seizes_just_enough_and_leaves_the_rest():
    b = Backed(quote_decimals=18, insurance_cash=5_000)
    b.back("alice", ETH, 20 * WAD)
    b.fund("alice", 1_000)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    b.market_price(2_600)
    told = b.do("liquidate", "keeper", "alice")
    event = named(told, "Liquidated")[0]
    notional, charged, reward = event[5:]
    assert notional == 260_000 * WAD
    assert charged == 2_600 * WAD  # a hundredth of it, no flat reward
    assert reward == told.value == 520 * WAD
    # 1,000 of cash, a loss of 40,000 to the oracle's price, and what the curve gave back of its premium.
    fill = named(told, "Fill")[0]
    assert fill[3:5] == (-100 * WAD, 2_600 * WAD * (2 * 10_000_000 + 100) // (2 * 10_000_000))
    bought = 100 * 3_000 * (2 * 10_000_000 + 100) * WAD // (2 * 10_000_000)
    owed = bought - 100 * fill[4] - 1_000 * WAD + charged
    amount = fewest(owed, 3_000)
    credit = credited(amount, 3_000)
    assert b.held("alice", ETH) == 20 * WAD - amount
    assert b.cash("alice") == credit - owed
    assert 0 <= b.cash("alice") < 3_000
    lot = b.lot(0)
    # The fund first: it had 5,000 and has its part of the charge.
    assert lot.to_insurance == 5_000 * WAD + charged - reward
    assert lot.to_pool == credit - lot.to_insurance
    assert (lot.amount, lot.elapsed, lot.surplus_to) == (amount, 0, b.at("zero"))
    assert b.cash("fund") == 0
    assert named(told, "BadDebt") == []
    b.balance()


def test_liquidate__fund_that_could_pay_all__pays_all_and_the_pool_nothing():
    b = Backed(quote_decimals=18, insurance_cash=1_000_000)
    b.back("alice", ETH, 20 * WAD)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    b.market_price(2_600)
    b.do("liquidate", "keeper", "alice")
    assert b.lot(0).to_pool == 0 == b.auction.view("owed_to_pool")
    assert b.lot(0).to_insurance > 40_000 * WAD


def test_liquidate__fund_with_nothing__the_pool_stands_in_for_all():
    b = Backed(quote_decimals=18, insurance_cash=0)
    b.back("alice", ETH, 50 * WAD)
    b.owe("alice", 10_000 * WAD)
    b.price(ETH, 160)  # 8,000 in ether
    b.do("refresh", "keeper")
    nav = b.nav()
    told = b.do("liquidate", "keeper", "alice")
    lot = b.lot(0)
    credit = credited(50 * WAD, 160)
    bad = named(told, "BadDebt")[0]
    assert lot.to_insurance == 0
    assert lot.to_pool == credit == 7_360 * WAD
    # Nothing was left for a fee, so the fund has nothing to pay the rest with either.
    assert bad[2:] == (0, 10_000 * WAD - credit)
    assert b.nav() == nav - 10_000 * WAD
    known = slots.unpack_book(b.house.view("globals")[1]).nav
    assert 0 <= nav - 10_000 * WAD - known < 2**25  # rounded down, twice
    assert (b.cash("alice"), b.held("alice", ETH), told.value) == (0, 0, 0)


@pytest.mark.parametrize("order", [(ETH, BTC, USD), (USD, BTC, ETH), (BTC, USD, ETH)])
def test_liquidate__several_tokens__in_the_governed_order_and_no_more_than_it_takes(
    order: tuple[int, ...],
):
    rest = [i for i in range(16) if i not in order]
    b = Backed(credit={"order": [*order, *rest]}, quote_decimals=18)
    worth = {ETH: (8 * WAD, 3_000, 1), BTC: (3 * 10**7, 60_000, 10**10)}
    worth[USD] = (20_000 * 10**6, 1, 10**12)
    for id, (amount, _, _) in worth.items():
        b.back("alice", id, amount)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    b.market_price(2_590)
    told = b.do("liquidate", "keeper", "alice")
    moved = [e[2] for e in named(told, "LotOpened")]
    assert moved == list(order[: len(moved)])
    assert len(moved) == 3
    lots = [b.lot(i) for i in range(3)]
    for id, lot in zip(order[:2], lots[:2], strict=True):
        assert lot.amount == worth[id][0]
        assert b.held("alice", id) == 0
        assert lot.to_insurance + lot.to_pool == credited(*worth[id])
    last = order[2]
    assert 0 < lots[2].amount < worth[last][0]
    assert b.held("alice", last) == worth[last][0] - lots[2].amount
    assert 0 <= b.cash("alice") <= credited(1, *worth[last][1:]) + 2


def test_liquidate__flat_account__only_where_its_tokens_do_not_cover_its_debt(b: Backed):
    b.back("alice", ETH, 50 * WAD)
    b.owe("alice", 40_000 * WAD)
    scale = b.setup.coins[ETH].terms["scale"]

    def counts(price: Fraction) -> int:
        return floor(50 * price * WAD * Fraction(85, 100) * Fraction(scale, scale + 50 * WAD))

    low, high = 900 * 10**8, 1_000 * 10**8
    while high - low > 1:  # the least price at which the account is healthy
        middle = (low + high) // 2
        ok = counts(Fraction(middle, 10**8)) >= 40_000 * WAD
        low, high = (low, middle) if ok else (middle, high)
    b.do("price", b.feed(ETH), high, 0)
    assert b.health("alice") == MAX
    assert b.refusal("liquidate", "keeper", "alice") == "liquidation: account is healthy"
    b.do("price", b.feed(ETH), low, 0)
    assert b.health("alice") == 0
    told = b.do("liquidate", "keeper", "alice")
    event = named(told, "Liquidated")[0]
    credit, fee, share = event[5:]
    price = Fraction(low, 10**8)
    amount = b.lot(0).amount
    assert credit == floor(floor(amount * price) * KEPT)
    assert fee == min(ceil(Fraction(40_000 * WAD * 2, 98)), credit - 40_000 * WAD)
    assert share == told.value == b.cash("keeper") == fee // 5
    assert 0 <= b.cash("alice") < 2_000
    assert b.held("alice", ETH) == 50 * WAD - amount > 0


def test_liquidate__with_legs__no_fee_on_what_is_seized(b: Backed):
    b.back("alice", ETH, 20 * WAD)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    b.market_price(2_600)
    told = b.do("liquidate", "keeper", "alice")
    assert named(told, "Liquidated")[0][6] == 2_600 * WAD


def test_liquidate__dead_token_behind_a_bankrupt__is_sold_for_who_stood_in_and_the_rest_is_his():
    """LIQ-4: dead tokens credit nothing; what their lot brings in the end repays the fund and the pool."""
    b = Backed(quote_decimals=18, insurance_cash=3_000)
    b.back("alice", ETH, 20 * WAD)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    b.market_price(2_700)
    b.kill(ETH)
    assert b.refusal("liquidate", "keeper", "alice") == "liquidation: account is healthy"
    b.do("poke_token", "keeper", "coin0")
    b.wait(DAY, fresh=False)
    b.market_price(2_700)
    told = b.do("liquidate", "keeper", "alice")
    bad = named(told, "BadDebt")[0]
    lot = b.lot(0)
    assert (lot.amount, lot.surplus_to) == (20 * WAD, b.at("alice"))
    assert (lot.to_insurance, lot.to_pool) == (bad[2], bad[3])
    assert bad[2] == 3_000 * WAD
    assert bad[3] > 26_000 * WAD
    assert (b.cash("alice"), b.held("alice", ETH)) == (0, 0)
    # It comes back: the lot sells at the top, 1.02 times 60,000.
    b.kill(ETH, "ok")
    b.price(ETH, 3_000)
    b.do("mint", "bob", 100_000 * WAD)
    fund, pool = b.cash("fund"), b.cash("pool")
    cost = b.do("buy", "bob", 0, 20 * WAD, None, "bob").value
    assert cost == 61_200 * WAD
    assert b.cash("fund") - fund == bad[2]
    assert b.cash("pool") - pool == bad[3]
    assert b.cash("alice") == cost - bad[2] - bad[3]
    b.balance()


def test_liquidate__live_and_dead_tokens__the_live_ones_first_and_the_dead_for_what_is_left():
    b = Backed(quote_decimals=18, insurance_cash=0)
    b.back("alice", ETH, 20 * WAD)
    b.back("alice", BTC, 10**7)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    b.market_price(2_600)
    b.kill(ETH)
    b.do("poke_token", "keeper", "coin0")
    b.wait(DAY, fresh=False)
    b.market_price(2_600)
    b.price(BTC, 60_000)
    told = b.do("liquidate", "keeper", "alice")
    assert [(e[2], e[6]) for e in named(told, "LotOpened")] == [
        (BTC, b.at("fund")),
        (ETH, b.at("alice")),
    ]
    bad = named(told, "BadDebt")[0]
    assert b.lot(1).to_pool == bad[3]
    assert b.lot(0).to_pool == 6_000 * WAD * 92 // 100


def test_liquidate__dead_leg_left__keeps_its_dead_tokens_and_its_debt(b: Backed):
    """Never below zero only once the account is flat."""
    b.back("alice", ETH, 5 * WAD)
    b.back("alice", BTC, 10**7)
    for market in (0, 1):
        b.do("trade", "alice", "alice", market, 25 * WAD)
    b.do("fault", 1, "revert")
    b.kill(ETH)
    b.do("poke_token", "keeper", "coin0")
    b.wait(DAY, fresh=False)
    b.market_price(2_500, 0)
    b.price(BTC, 60_000)
    told = b.do("liquidate", "keeper", "alice")
    assert b.cash("alice") < 0
    assert b.held("alice", ETH) == 5 * WAD
    assert b.held("alice", BTC) == 0
    assert "BadDebt" not in names(told)
    assert b.debts() == -b.cash("alice")
    b.balance()


def test_liquidate__sixteen_tokens__each_a_lot_if_it_must(b: Backed):
    b = Backed([coin(1_000) for _ in range(16)], quote_decimals=18)
    for id in range(16):
        b.back("alice", id, WAD)
    b.do("trade", "alice", "alice", 0, 25 * WAD)
    b.market_price(2_300)
    told = b.do("liquidate", "keeper", "alice")
    assert len(named(told, "LotOpened")) == 16
    assert b.house.view("backing", b.at("alice"))[0] & 0xFFFF == 0
    b.balance()
