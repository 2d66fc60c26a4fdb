"""LIQ-7: what a lot costs and when, who is paid what it brings, and what it takes to buy."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest

from plimsoll.fuzz.artifacts import compile_contract
from plimsoll.fuzz.chain import Contract
from plimsoll.fuzz.system import created_by
from plimsoll.model import Settings
from plimsoll.slots import WAD
from tests.utils.backed import DAY, MAX, Backed, coin, named

ETH, BTC, USD = range(3)
PREMIUM, DISCOUNT, DURATION = Fraction(2, 100), Fraction(8, 100), 7_200


def cost(amount: int, price: int, elapsed: int, unit: int = 1, raw: int = 10**12) -> int:
    """amount * price * (1 + premium - (premium + discount) * elapsed / duration), up to a raw unit."""
    gone = Fraction(min(elapsed, DURATION), DURATION)
    worth = amount * unit * price * (1 + PREMIUM - (PREMIUM + DISCOUNT) * gone)
    return ceil(Fraction(ceil(worth), raw))


def sell(b: Backed, account: str = "alice", ether: int = 20) -> int:
    """Liquidate a long of 100 behind which ether stands; the lot."""
    b.back(account, ETH, ether * WAD)
    b.do("trade", account.split(".", maxsplit=1)[0], account, 0, 100 * WAD)
    b.market_price(2_600)
    b.do("liquidate", "keeper", account)
    b.market_price(3_000)
    return b.lots() - 1


@pytest.fixture
def b() -> Backed:
    """One lot of ether, number 0, and bob who has 10m."""
    b = Backed()
    sell(b)
    b.do("mint", "bob", 10_000_000 * b.raw)
    return b


# ------------------------------------------------------------------ the price


def test_cost_of__along_the_curve__is_the_formula_rounded_up(b: Backed):
    amount = b.lot(0).amount
    for wait in (0, 1, 59, 1_799, 3_600, 7_199, 7_200, 7_201, 10**9):
        for part in (1, 10**9, WAD, amount):
            assert b.cost(0, part, wait) == cost(part, 3_000, wait), (wait, part)
    assert b.cost(0, WAD) == 3_060 * 10**6
    assert b.cost(0, WAD, 3_600) == 2_910 * 10**6
    assert b.cost(0, WAD, 7_200) == 2_760 * 10**6


def test_cost_of__as_time_passes__follows_the_feed_and_the_clock(b: Backed):
    for price in (3_100, 2_000, 3_000):
        b.price(ETH, price)
        assert b.cost(0, WAD) == cost(WAD, price, 0)
    b.wait(1_000, fresh=False)
    assert b.cost(0, WAD) == cost(WAD, 3_000, 1_000)
    b.wait(20_000, fresh=False)
    assert b.cost(0, WAD) == cost(WAD, 3_000, 7_200)


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18])
@pytest.mark.parametrize("quote", [0, 6, 18])
def test_cost_of__any_decimals__up_to_a_unit_of_the_quote(decimals: int, quote: int):
    b = Backed([coin(3_000, decimals)], quote_decimals=quote)
    b.back("alice", 0, 100 * 10**decimals)
    b.owe("alice", 190_000 * WAD)
    b.price(0, 1_900)
    b.do("liquidate", "keeper", "alice")
    unit, raw = 10 ** (18 - decimals), 10 ** (18 - quote)
    for amount in (1, 3, b.lot(0).amount):
        assert b.cost(0, amount) == cost(amount, 1_900, 0, unit, raw) >= 1


def test_cost_of__no_such_lot_or_no_price__reverts(b: Backed):
    for lot in (1, 2**256 - 1):
        assert b.auction.call("cost_of", lot, 1, 0).reason == "auction: no such lot"
    b.kill(ETH)
    assert b.auction.call("cost_of", 0, 1, 0).reason == "prices: feed failed"


def test_cost_of__terms_changed_while_it_is_open__go_by_the_new_ones(b: Backed):
    b.wait(3_600, fresh=False)
    b.do("tick", "bob", 0)
    changes = {"premium_ppm": 100_000, "discount_ppm": 0, "duration": 36_000}
    b.do("configure_coin", "owner", ETH, ETH, changes)
    assert b.cost(0, WAD) == 3_000 * 109 * 10**6 // 100


# ------------------------------------------------------------------ the clock


def test_tick__each_look__counts_the_time_of_a_live_feed(b: Backed):
    start = b.chain.now
    b.wait(100)
    assert b.do("tick", "bob", 0).value == 0  # a new round: nobody had looked since the old one
    b.wait(100, fresh=False)
    assert b.do("tick", "bob", 0).value == 100
    b.wait(100)
    assert b.do("tick", "bob", 0).value == 200
    lot = b.lot(0)
    assert (lot.elapsed, lot.seen_at) == (200, start + 300)
    assert lot.live_until == start + 300 + DAY


def test_tick__feed_stale_for_a_while__counts_until_it_was_and_from_its_next_round(b: Backed):
    b.do("tick", "bob", 0)  # now known to be live for a day
    b.wait(DAY + 500, fresh=False)
    assert b.refusal("tick", "bob", 0) == "prices: stale"
    b.price(ETH, 3_000)
    b.wait(40, fresh=False)
    with b.imagined():
        assert b.do("tick", "bob", 0).value == DAY + 40


def test_tick__feed_stale_and_nobody_had_looked__counts_from_its_next_round_alone(b: Backed):
    b.wait(DAY + 500, fresh=False)
    b.price(ETH, 3_000)
    b.wait(40, fresh=False)
    assert b.do("tick", "bob", 0).value == 40


def test_tick__in_a_freeze_and_its_grace__their_time_does_not_count(b: Backed):
    """Nor what came before it and nobody had looked at."""
    b.wait(100)
    assert b.do("tick", "bob", 0).value == 0
    first = b.cost(0, WAD)
    b.wait(50, fresh=False)
    b.do("freeze", "owner", 3_600)
    b.wait(3_600, fresh=False)
    assert b.do("tick", "bob", 0).value == 0
    assert b.cost(0, WAD) == first
    b.wait(3_600, fresh=False)  # of grace
    b.wait(40, fresh=False)
    assert b.do("tick", "bob", 0).value == 40


def test_tick__often_or_seldom__is_never_faster_than_time(b: Backed):
    for wait in (1, 5, 1, 30, 600, 7, 0, 0, 3):
        b.wait(wait, fresh=wait > 5)
        before = b.lot(0).elapsed
        assert before <= b.do("tick", "bob", 0).value <= before + wait


def test_tick__no_such_lot__reverts(b: Backed):
    assert b.refusal("tick", "bob", 1) == "auction: no such lot"


# ------------------------------------------------------------------ buying


def test_buy_collateral__all__takes_the_tokens_pays_the_fund_and_the_pool_and_closes(b: Backed):
    lot = b.lot(0)
    fund, pool, purse = b.cash("fund"), b.cash("pool"), b.purse("bob")
    told = b.do("buy", "bob", 0, lot.amount, None, "bob")
    paid = cost(lot.amount, 3_000, 0)
    assert told.value == paid
    assert (b.purse("bob"), b.purse("bob", ETH)) == (purse - paid, lot.amount)
    # Dues in wei are paid in whole units, rounded up; what is beyond them is the fund's.
    for_pool = ceil(Fraction(lot.to_pool, 10**12))
    assert b.cash("pool") == pool + for_pool * 10**12
    assert b.cash("fund") == fund + (paid - for_pool) * 10**12
    auction, house, quote = b.auction.address, b.house.address, b.token.address
    assert named(told) == [
        ("Transfer", b.at("bob"), auction, paid),
        ("Transfer", auction, house, paid - for_pool),
        ("CashMoved", house, fund + (paid - for_pool) * 10**12),
        ("Deposited", house, quote, auction, paid - for_pool),
        ("Transfer", auction, house, for_pool),
        ("CashMoved", b.at("pool"), pool + for_pool * 10**12),
        ("Deposited", b.at("pool"), quote, auction, for_pool),
        ("TokenMoved", auction, ETH, 0),
        ("Transfer", house, b.at("bob"), lot.amount),
        ("Withdrawn", auction, b.coins[ETH].address, b.at("bob"), lot.amount),
        ("LotSold", 0, b.at("bob"), lot.amount, paid, 0),
        ("LotClosed", 0, 0, 0),
    ]
    assert tuple(b.lot(0))[1:] == (0, 0, 0, 0, 0, 0, 0, b.at("zero"), 0)
    assert (b.auction.view("owed_to_pool"), b.lots()) == (0, 1)
    assert b.refusal("buy", "bob", 0, 1, None, "bob") == "auction: no such lot"
    b.balance()


def test_buy_collateral__in_parts__the_fund_is_repaid_first_then_the_pool(b: Backed):
    lot = b.lot(0)
    due_fund, due_pool = lot.to_insurance, lot.to_pool
    assert 0 < due_fund < 5_000 * WAD < due_pool
    third = lot.amount // 3
    part = b.do("buy", "bob", 0, third // 100, None, "bob").value * 10**12
    assert part < due_fund
    now = b.lot(0)
    assert (now.to_insurance, now.to_pool) == (due_fund - part, due_pool)
    assert b.cash("fund") == part
    pool = b.cash("pool")
    more = b.do("buy", "bob", 0, third, None, "bob").value
    for_fund = ceil(Fraction(due_fund - part, 10**12))
    now = b.lot(0)
    assert now.to_insurance == 0
    assert now.to_pool == due_pool - (more - for_fund) * 10**12 == b.auction.view("owed_to_pool")
    assert b.cash("pool") == pool + (more - for_fund) * 10**12
    assert now.amount == lot.amount - third - third // 100
    b.do("buy", "bob", 0, now.amount, None, "bob")
    assert b.auction.view("owed_to_pool") == 0
    b.balance()


def test_buy_collateral__that_brings_too_little__closes_and_says_what_is_unpaid():
    b = Backed(insurance_cash=0)
    sell(b)
    b.do("mint", "bob", 10_000_000 * b.raw)
    b.price(ETH, 1_000)
    lot = b.lot(0)
    pool = b.cash("pool")
    told = b.do("buy", "bob", 0, lot.amount, None, "bob")
    paid = told.value * 10**12
    fund = lot.to_insurance
    assert paid < lot.to_pool
    assert named(told, "LotClosed") == [("LotClosed", 0, 0, lot.to_pool + fund - paid)]
    assert b.cash("pool") == pool + paid - fund
    assert b.auction.view("owed_to_pool") == 0
    b.balance()


def test_buy_collateral__fund_unpaid_too__says_both(b: Backed):
    b.price(ETH, 10)
    lot = b.lot(0)
    told = b.do("buy", "bob", 0, lot.amount, None, "bob")
    paid = told.value * 10**12
    assert paid < lot.to_insurance
    assert named(told, "LotClosed") == [("LotClosed", 0, lot.to_insurance - paid, lot.to_pool)]


def test_buy_collateral__two_lots__what_is_owed_to_the_pool_is_their_sum(b: Backed):
    sell(b, "mallory")
    first, second = b.lot(0), b.lot(1)
    assert (first.id, second.id) == (0, 1)
    assert b.auction.view("owed_to_pool") == first.to_pool + second.to_pool
    b.do("buy", "bob", 1, second.amount, None, "bob")
    assert b.auction.view("owed_to_pool") == first.to_pool
    assert b.lot(0) == first
    assert b.held("auction", ETH) == first.amount


def test_buy_collateral__refusals__each_by_its_name(b: Backed):
    for op, reason in (
        (("buy", "bob", 1, 1, None, "bob"), "auction: no such lot"),
        (("buy", "bob", 0, 0, None, "bob"), "auction: zero amount"),
        (("buy", "bob", 0, WAD, b.cost(0, WAD) - 1, "bob"), "auction: cost above maximum"),
        (("buy", "bob", 0, WAD, None, "zero"), "withdraw: bad receiver"),
        (("buy", "bob", 0, WAD, None, "fund"), "withdraw: bad receiver"),
        (("buy", "lender", 0, WAD, None, "lender"), ""),  # has nothing to pay with
        (("buy", "stranger", 0, WAD, None, "stranger"), ""),
    ):
        assert b.refusal(*op) == reason, op
    b.do("buy", "bob", 0, WAD, b.cost(0, WAD), "bob")
    b.kill(ETH)
    assert b.refusal("buy", "bob", 0, WAD, None, "bob") == "prices: feed failed"


def test_buy_collateral__more_than_is_left__buys_what_is_left(b: Backed):
    """Otherwise whoever buys a crumb first stops everybody who wants the rest."""
    left = b.lot(0).amount
    told = b.do("buy", "bob", 0, left + 1, b.cost(0, left), "bob")
    assert named(told, "LotSold")[0][3] == left
    assert b.purse("bob", ETH) == left


def test_buy_collateral__for_somebody_else__he_gets_it_and_the_sender_pays(b: Backed):
    told = b.do("buy", "bob", 0, WAD, None, "lender")
    assert (b.purse("lender", ETH), b.purse("bob", ETH)) == (WAD, 0)
    assert named(told, "LotSold")[0][2] == b.at("bob")


def test_buy_collateral__dust_of_it__costs_a_unit(b: Backed):
    before = b.purse("bob")
    assert b.do("buy", "bob", 0, 1, 1, "bob").value == 1
    assert (b.purse("bob"), b.purse("bob", ETH)) == (before - 1, 1)


def test_buy_collateral__keeps_the_time_that_it_saw(b: Backed):
    b.do("tick", "bob", 0)
    b.wait(600, fresh=False)
    b.do("buy", "bob", 0, WAD, None, "bob")
    assert b.lot(0).elapsed == 600
    assert b.lot(0).seen_at == b.chain.now


@pytest.mark.parametrize(("mode", "fee"), [(2, 0), (4, 1)])
def test_buy_collateral__quote_that_is_not_paid_in_full__reverts(b: Backed, mode: int, fee: int):
    """A quote that answers false, or keeps a part; in a house of its own, whose peers are a puppet."""
    chain, parts, bob = b.chain, b.artifacts, b.at("bob")
    token, ether = (chain.deploy(compile_contract("mocks/OddTokenMock.vy"), d) for d in (6, 18))
    peer = chain.deploy(compile_contract("mocks/PuppetMock.vy"), b.at("zero"), 0)
    home = created_by(chain.deployer, chain.nonce(chain.deployer) + 1)
    auction = chain.deploy(parts.auction, home, peer.address, token.address)
    peers = token.address, 0, peer.address, peer.address, auction.address
    settings = Settings(*peers, 0, 0, 0, 1_500_000, 0, peer.address)
    house = chain.deploy(parts.clearinghouse, settings)
    feeds = [chain.deploy(parts.feed, 8, 3_000 * 10**8) for _ in range(2)]

    def act(name: str, *args: object) -> None:
        function = house.interface.functions[name]
        data = function.selector + function.inputs.encode(args)
        assert peer.call("act", [(house.address, data)]).ok

    def words(stored: tuple[int, ...], feed: Contract) -> list[int]:
        return [stored[0] >> 160 << 160 | int(feed.address, 16), *stored[1:3]]

    act("set_terms", 0, words(b.house.view("market_words", 0), feeds[0]))
    act("set_token", 0, ether.address, words(b.house.view("token_words", ETH), feeds[1]))
    act("set_credit", *b.house.view("credit")[1:3])
    act("set_nav", 10**25)
    for coin_, spender in ((token, auction.address), (ether, house.address)):
        coin_.call("mint", bob, 10**24)
        coin_.call("approve", spender, MAX, sender=bob)
    assert house.call("deposit", bob, ether.address, 20 * WAD, sender=bob).ok
    assert house.call("trade", bob, 0, 100 * WAD, MAX, sender=bob).ok
    feeds[0].call("set_round", 2_600 * 10**8, chain.now)
    assert house.call("liquidate", bob, sender=b.at("keeper")).ok
    assert auction.view("lot", 0)[2] > WAD
    token.call("set_mode", mode, fee)
    refused = auction.call("buy_collateral", 0, WAD, MAX, bob, sender=bob)
    assert refused.reason == "ledger: transfer failed"
    for good in (0, 1):  # who answers nothing at all does not refuse
        token.call("set_mode", good, 0)
        refused = auction.call("buy_collateral", 0, WAD, MAX, bob, sender=bob)
        assert refused.reason == ""  # paid; the puppet knows no pool to pay on to


# ------------------------------------------------------------------ a bankrupt's lots, which answer for one debt


def bankrupt(b: Backed, account: str, debt: int, *ids: int) -> list[int]:
    """Die, a day later, of tokens of which the account has 10 each at 1,000; its lots."""
    before = b.lots()
    for id in ids:
        b.back(account, id, 10 * WAD)
    b.do("refresh", "keeper")
    b.owe(account, debt * WAD)
    b.bury(ids, account)
    b.revive(dict.fromkeys(range(len(b.system.coins)), 1_000))
    return list(range(before, b.lots()))


def estate(tokens: int) -> Backed:
    """Tokens at 1,000, no fund, and bob who has 10m."""
    free = {"low_slope_ppm": 0, "high_slope_ppm": 0, "debt_ratio_ppm": 950_000}
    coins = [coin(1_000, scale=10**9 * WAD, maintenance_weight_ppm=900_000) for _ in range(tokens)]
    b = Backed(coins, credit=free, insurance_cash=0)
    b.do("mint", "bob", 10_000_000 * b.raw)
    return b


def owed(b: Backed) -> list[int]:
    """What lots owe the pool [quote]."""
    return [round(b.lot(id).to_pool / WAD) for id in range(b.lots())]


def test_buy_collateral__more_than_a_bankrupts_lot_owes__repays_what_his_others_do():
    b = estate(3)
    bankrupt(b, "alice", 20_000, 0, 1, 2)
    assert owed(b) == [9_200, 9_200, 1_600]
    b.price(2, 700)
    cash = b.cash("pool")
    told = b.do("buy", "bob", 2, "all", None, "bob")  # 7_140, of which 5_540 go to the first
    assert owed(b) == [3_660, 9_200, 0]
    assert named(told, "LotOwes") == [("LotOwes", 0, 0, b.lot(0).to_pool)]
    assert b.auction.view("owed_to_pool") == sum(b.lot(id).to_pool for id in (0, 1))
    assert b.cash("pool") == cash + 7_140 * WAD
    told = b.do("buy", "bob", 1, "all", None, "bob")  # 10_200
    assert owed(b) == [2_660, 0, 0]
    told = b.do("buy", "bob", 0, WAD, None, "bob")
    assert named(told, "LotOwes") == []
    assert owed(b) == [1_640, 0, 0] and b.cash("alice") == 0
    b.do("buy", "bob", 0, "all", None, "bob")
    assert round(b.cash("alice") / WAD) == 9 * 1_020 - 1_640
    b.balance()


def awaited(b: Backed) -> int:
    """What the pool is owed [quote] beyond what lots for sale owe."""
    for_sale = sum(b.lot(id).to_pool for id in range(b.lots()) if b.lot(id).amount)
    return round((b.auction.view("owed_to_pool") - for_sale) / WAD)


def test_buy_collateral__less_than_a_bankrupts_lot_owes__is_awaited_of_his_others():
    """As far as they may bring it, beyond their own dues."""
    b = estate(3)
    bankrupt(b, "alice", 20_000, 0, 1, 2)
    assert awaited(b) == 0
    b.price(1, 100)
    b.price(2, 850)
    told = b.do("buy", "bob", 1, "all", None, "bob")  # 1_020
    assert owed(b) == [9_200, 8_180, 1_600]
    assert named(told, "LotOwes") == []
    assert named(told, "LotClosed") == [("LotClosed", 1, 0, b.lot(1).to_pool)]
    assert awaited(b) == 10_000 - 9_200 + 8_500 - 1_600
    b.price(0, 1_040)
    b.do("tick", "bob", 2)
    assert awaited(b) == 10_400 - 9_200 + 8_500 - 1_600
    was = b.auction.view("owed_to_pool")
    b.price(0, 10)
    b.price(2, 10)
    b.do("tick", "bob", 2)  # at a price that is low for a block
    assert b.auction.view("owed_to_pool") == was
    b.price(2, 850)
    told = b.do("buy", "bob", 2, 1, None, "bob")  # a crumb of a lot that has dues of its own
    assert named(told, "LotOwes") == []
    b.price(0, 2_000)
    b.do("tick", "bob", 0)
    assert awaited(b) == 8_180
    b.price(0, 100)
    told = b.do("buy", "bob", 0, "all", None, "bob")
    assert owed(b) == [8_180, 8_180, 1_600]
    assert awaited(b) == 8_500 - 1_600
    told = b.do("buy", "bob", 2, 5 * WAD, None, "bob")  # 4_335, of which 2_735 go to the first
    assert [e[1] for e in named(told, "LotOwes")] == [0]
    assert owed(b) == [5_445, 8_180, 0]
    assert awaited(b) == 5 * 850
    b.price(2, 2_000)
    told = b.do("buy", "bob", 2, "all", None, "bob")  # 10_200
    assert [e[1] for e in named(told, "LotOwes")] == [0, 1]
    assert named(told, "LotClosed") == [("LotClosed", 2, 0, 0)]
    assert owed(b) == [0, 3_425, 0]  # which nothing is left to bring
    assert b.auction.view("owed_to_pool") == 0 == b.cash("alice")
    b.balance()


def test_buy_collateral__what_the_fund_and_the_pool_gave__is_repaid_lot_by_lot():
    b = estate(3)
    b.do("mint", "keeper", 12_000 * b.raw)
    b.do("deposit", "keeper", "fund", "token", 12_000 * b.raw)
    bankrupt(b, "alice", 20_000, 0, 1, 2)
    assert [b.lot(id).to_insurance for id in range(3)] == [9_200 * WAD, 2_800 * WAD, 0]
    fund = b.cash("fund")
    b.price(2, 1_400)
    told = b.do("buy", "bob", 2, "all", None, "bob")  # 14_280: 1_600, 9_200, 2_800, 680
    assert [e[1] for e in named(told, "LotOwes")] == [0, 1]
    assert b.cash("fund") == fund + 12_000 * WAD
    assert owed(b) == [0, 5_720, 0]
    b.price(1, 10)
    told = b.do("buy", "bob", 1, "all", None, "bob")
    assert owed(b) == [0, 5_618, 0] and named(told, "LotOwes") == []
    told = b.do("buy", "bob", 0, "all", None, "bob")
    assert owed(b) == [0, 0, 0]
    assert round(b.cash("alice") / WAD) == 10_200 - 5_618
    b.balance()


def test_buy_collateral__fund_unpaid_by_a_sold_lot__comes_after_the_pools_own():
    """Whoever buys first chooses nothing: what the fund lacks of one lot is not taken from the pool's part of another."""

    def run(sold: tuple[int, int]) -> tuple[int, int]:
        b = estate(2)
        b.do("mint", "keeper", 9_200 * b.raw)
        b.do("deposit", "keeper", "fund", "token", 9_200 * b.raw)
        bankrupt(b, "alice", 16_000, 0, 1)
        assert owed(b) == [0, 6_800]
        fund, pool = b.cash("fund"), b.cash("pool")
        b.price(0, 10)
        for lot in sold:
            assert awaited(b) == 0  # the fund's lack comes first
            b.do("buy", "bob", lot, "all", None, "bob")
        assert b.auction.view("owed_to_pool") == 0
        b.balance()
        return round((b.cash("fund") - fund) / WAD), round((b.cash("pool") - pool) / WAD)

    assert run((0, 1)) == run((1, 0)) == (102 + 3_400, 6_800)


def test_open__sixteen_of_one_seizure__answer_for_each_other_and_for_no_other():
    """The same account's next seizure is another debt, though its lots lie next to them."""
    b = estate(16)
    assert bankrupt(b, "alice", 100, *range(16)) == list(range(16))
    assert {b.lot(id).first for id in range(16)} == {0}
    b.do("buy", "bob", 15, WAD, None, "bob")
    assert owed(b) == [0] * 16
    assert round(b.cash("alice") / WAD) == 1_020 - 100
    b.do("withdraw", "alice", "alice", "token", "all", "alice")
    assert bankrupt(b, "alice", 12_000, 0, 1) == [16, 17]
    assert [b.lot(id).first for id in range(15, 18)] == [0, 16, 16]
    b.do("buy", "bob", 1, "all", None, "bob")
    assert owed(b) == [0] * 16 + [9_200, 2_800]
    assert round(b.cash("alice") / WAD) == 10_200
    bankrupt(b, "mallory", 9_000, 2, 3)
    for id in (0, 2):
        b.price(id, 10)
    b.do("buy", "bob", 16, "all", None, "bob")
    assert awaited(b) == 10_000 - 2_800  # and nothing of mallory's, who has 10,000 to spare
    b.do("buy", "bob", 18, "all", None, "bob")
    assert awaited(b) == 10_000 - 2_800 + 9_000 - 102
    told = b.do("buy", "bob", 17, 10**18, None, "bob")
    assert named(told, "LotOwes") == []
    told = b.do("buy", "bob", 19, 1, None, "bob")  # a unit of the quote
    assert [e[1] for e in named(told, "LotOwes")] == [18]
    told = b.do("buy", "bob", 17, "all", None, "bob")
    assert [e[1] for e in named(told, "LotOwes")] == [16]
    assert owed(b)[16:] == [1_698, 0, 8_898, 0]
    b.balance()


def test_open__after_thirty_two_others__are_of_one_seizure_all_the_same():
    b = estate(16)
    for _ in range(2):
        bankrupt(b, "alice", 100, *range(16))
        b.do("buy", "bob", b.lots() - 1, WAD, None, "bob")
        b.do("withdraw", "alice", "alice", "token", "all", "alice")
    assert bankrupt(b, "alice", 12_000, 0, 1) == [32, 33]
    assert [b.lot(id).first for id in (16, 31, 32, 33)] == [16, 16, 32, 32]


def test_open__tokens_last_worth_less_than_the_debt__are_the_funds_each_for_itself():
    """Nothing of them is the bankrupt's any more, so they have nobody to answer for."""
    b = estate(2)
    for id in (0, 1):
        b.back("alice", id, 10 * WAD)
    b.owe("alice", 16_000 * WAD)
    for id in (0, 1):
        b.price(id, 800)
        b.do("poke_token", "keeper", f"coin{id}")
    b.bury((0, 1), "alice")
    assert owed(b) == [7_360, 7_360]
    assert [(b.lot(id).surplus_to, b.lot(id).first) for id in (0, 1)] == [
        (b.at("zero"), 0),
        (b.at("zero"), 1),
    ]
    b.revive({0: 10, 1: 2_000})
    fund, pool = b.cash("fund"), b.cash("pool")
    for lot in (0, 1):
        told = b.do("buy", "bob", lot, "all", None, "bob")
        assert named(told, "LotOwes") == []
    assert round((b.cash("pool") - pool) / WAD) == 102 + 7_360
    assert round((b.cash("fund") - fund) / WAD) == 20_400 - 7_360
    assert b.cash("alice") == b.auction.view("owed_to_pool") == 0
    b.balance()


def test_write_off__of_one_of_a_seizure__waits_for_all_that_are_for_sale():
    """Any of them may still repay it: once none is left that may, all that they owe the pool is the fund's."""
    b = estate(6)
    bankrupt(b, "alice", 20_000, 0, 1, 2, 3)
    bankrupt(b, "mallory", 9_000, 4, 5)
    for id in (0, 4):
        b.price(id, 10)
        b.do("buy", "bob", id, "all", None, "bob")
    assert owed(b) == [9_098, 9_200, 1_600, 0, 8_898, 0]
    for id in (1, 2, 3):
        b.kill(id)
    b.wait(16 * DAY, fresh=False)
    b.kill(2, "ok")
    b.price(2, 1_000)
    b.do("tick", "bob", 2)
    b.kill(2)
    b.wait(15 * DAY, fresh=False)
    for id in (1, 2, 3):  # the second was seen a fortnight ago
        assert b.refusal("write_off", "bob", id) == "auction: not to be written off"
    assert awaited(b) == 9_098 + 8_898
    b.wait(16 * DAY, fresh=False)
    b.price(5, 1_000)
    b.do("tick", "bob", 5)  # of another debt, and right behind them
    b.price(0, 10)  # of the one that is sold
    told = b.do("write_off", "bob", 3)
    lost = [b.lot(id).to_insurance for id in range(3)]
    assert told.value == sum(lost) and round(told.value / WAD) == 9_098 + 9_200 + 1_600
    assert named(told, "LotWrittenOff") == [("LotWrittenOff", 3, told.value)]
    assert [e[1:] for e in named(told, "LotOwes")] == [(id, lost[id], 0) for id in range(3)]
    assert owed(b) == [0, 0, 0, 0, 8_898, 0]
    assert awaited(b) == 8_898
    assert b.do("write_off", "bob", 1).value == 0
    for id in (1, 2, 3):
        b.kill(id, "ok")
        b.price(id, 1_000)
    fund = b.cash("fund")
    b.do("buy", "bob", 3, "all", None, "bob")
    assert round((b.cash("fund") - fund) / WAD) == 10_200  # of the 19,898
    b.kill(5)
    b.wait(31 * DAY, fresh=False)
    told = b.do("write_off", "bob", 5)
    assert told.value == b.lot(4).to_insurance and round(told.value / WAD) == 8_898
    assert [e[1] for e in named(told, "LotOwes")] == [4]
    assert b.auction.view("owed_to_pool") == 0
    b.balance()


def test_write_off__of_a_lot_that_is_the_funds__asks_nothing_of_its_neighbours():
    b = estate(2)
    for id in (0, 1):
        b.back("alice", id, 10 * WAD)
    b.do("refresh", "keeper")
    b.owe("alice", 17_000 * WAD)
    b.price(0, 850)
    b.price(1, 850)
    b.do("liquidate", "keeper", "alice")
    assert [b.lot(id).surplus_to for id in range(b.lots())] == [b.at("zero")] * 2
    b.kill(1)
    b.wait(31 * DAY, fresh=False)
    b.price(0, 850)
    b.do("tick", "bob", 0)
    due = b.lot(1).to_pool
    assert due and b.do("write_off", "bob", 1).value == due
    b.balance()


def test_worth__of_a_lot_that_repays_another_for_sale__falls_by_what_is_repaid_and_rises_with_its_price():
    """Of eight decimals; what may be repaid of one for sale is counted once, and no more than is owed."""
    free = {"low_slope_ppm": 0, "high_slope_ppm": 0, "debt_ratio_ppm": 950_000}
    coins = [coin(1_000, 8, scale=10**9 * WAD, maintenance_weight_ppm=900_000) for _ in range(2)]
    b = Backed(coins, credit=free, insurance_cash=0)
    b.do("mint", "bob", 10_000_000 * b.raw)
    for id in (0, 1):
        b.back("alice", id, 10 * 10**8)
    b.do("refresh", "keeper")
    b.owe("alice", 9_000 * WAD)
    b.bury((0, 1), "alice")
    b.revive({0: 10, 1: 1_000})

    def others() -> int:
        return round(b.auction.view("worth")[1] / WAD)

    assert others() == 0
    b.do("tick", "bob", 1)
    assert others() == 9_000 - 92  # at the floor it brings so much itself
    b.price(1, 100)
    b.do("buy", "bob", 1, 5 * 10**8, None, "bob")  # 510, all of them for the other
    assert owed(b) == [8_490, 0]
    assert others() == 8_908 - 510
    b.do("tick", "bob", 1)
    assert others() == 8_908 - 510
    b.price(0, 1_000)
    assert others() == 0  # it is worth its own dues
    b.balance()


def test_write_off__the_last_of_sixteen__takes_what_all_sold_ones_owe_with_it():
    """A row of the greatest length: each loop over it runs to its end."""
    b = estate(16)
    assert bankrupt(b, "alice", 130_000, *range(16)) == list(range(16))
    assert owed(b) == [9_200] * 14 + [1_200, 0]
    for id in range(14):
        b.price(id, 10)
        b.do("buy", "bob", id, "all", None, "bob")
    assert owed(b) == [9_098] * 14 + [1_200, 0]
    assert awaited(b) == 2 * 10_000 - 1_200
    b.do("buy", "bob", 14, "all", None, "bob")  # 10,200, of which 9,000 go to the first
    assert owed(b) == [98] + [9_098] * 13 + [0, 0]
    assert awaited(b) == 10_000
    b.price(15, 2_000)
    b.do("tick", "bob", 15)
    assert awaited(b) == 2 * 10_000
    b.kill(15)
    b.wait(31 * DAY, fresh=False)
    told = b.do("write_off", "bob", 15)
    assert round(told.value / WAD) == 2 * 10_000  # what the pool counted on
    assert [e[1] for e in named(told, "LotOwes")] == list(range(14))
    assert owed(b) == [0] * 16 and b.auction.view("owed_to_pool") == 0
    b.balance()


def test_worth__of_a_lot_that_can_repay_one_of_two_others__counts_it_once():
    """What a sold one lacks comes first in the row: nothing is left for the one that is for sale."""
    free = {"low_slope_ppm": 0, "high_slope_ppm": 0, "debt_ratio_ppm": 950_000}
    coins = [coin(1_000, 8, scale=10**9 * WAD, maintenance_weight_ppm=900_000) for _ in range(3)]
    b = Backed(coins, credit=free, insurance_cash=0)
    b.do("mint", "bob", 10_000_000 * b.raw)
    for id in range(3):
        b.back("alice", id, 10 * 10**8)
    b.do("refresh", "keeper")
    b.owe("alice", 20_000 * WAD)
    b.bury(range(3), "alice")
    assert owed(b) == [9_200, 9_200, 1_600]
    b.revive({0: 10, 1: 10, 2: 1_000})
    b.do("buy", "bob", 0, "all", None, "bob")
    b.do("tick", "bob", 2)
    assert awaited(b) == 10_000 - 1_600
    assert round(b.auction.view("worth")[1] / WAD) == 10_000 - 1_600
    b.balance()


# ------------------------------------------------------------------ opening and looking


def test_open__by_anybody_but_the_clearinghouse__reverts(b: Backed):
    for sender in ("owner", "alice", "keeper"):
        refused = b.auction.call("open", 0, 1, 0, 0, b.at("alice"), sender=b.at(sender))
        assert refused.reason == "access: clearinghouse only"
    assert b.lots() == 1


def test_open__by_a_seizure__tells_all_of_it(b: Backed):
    lot = b.lot(0)
    assert lot.elapsed == 0
    assert lot.seen_at == lot.live_until == b.chain.now
    assert lot.surplus_to == b.at("zero")
    assert b.held("auction", ETH) == lot.amount


def test_lot__that_never_was__is_empty(b: Backed):
    assert tuple(b.lot(7)) == (7, 0, 0, 0, 0, 0, 0, 0, b.at("zero"), 7)


def test_open_lots__pages_of_64__those_that_are_still_for_sale():
    """67 lots by as many conversions; the second and the sixty-fifth are sold."""
    b = Backed(credit={"conversion_bound": 100})
    b.back("alice", ETH, 10 * WAD)
    b.owe("alice", 20_000 * WAD)
    for _ in range(67):
        b.do("convert", "keeper", "alice")
    b.do("mint", "bob", 10_000 * b.raw)
    for id in (1, 64):
        b.do("buy", "bob", id, b.lot(id).amount, None, "bob")

    def page(start: int) -> list[int]:
        return [lot[0] for lot in b.auction.view("open_lots", start)]

    assert page(0) == [0, *range(2, 64)]
    assert page(64) == [65, 66]
    assert page(3) == [*range(3, 64), 65, 66]
    assert page(66) == [66]
    assert page(67) == page(2**256 - 1) == []
    assert [tuple(b.lot(i)) for i in page(64)] == [*b.auction.view("open_lots", 64)]


def test_deployment__peers_that_do_not_fit__are_refused(b: Backed):
    parts = b.artifacts
    odd = b.chain.deploy(compile_contract("mocks/OddTokenMock.vy"), 19)
    with pytest.raises(ValueError, match="ledger: over 18 decimals"):
        b.chain.deploy(parts.auction, b.at("fund"), b.at("configurator"), odd.address)
    peer = b.chain.deploy(compile_contract("mocks/PuppetMock.vy"), b.at("zero"), 0)
    other = b.auction.address  # whose clearinghouse is another
    peers = b.at("token"), 0, peer.address, peer.address, other
    settings = Settings(*peers, *[0] * 5, peer.address)
    with pytest.raises(ValueError, match="settings: auction of another"):
        b.chain.deploy(parts.clearinghouse, settings)
    assert b.auction.view("clearinghouse") == b.house.address
