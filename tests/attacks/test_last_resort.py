"""H. A pool that is broke: 23, 48 and 49, and what has no number.

Two markets at 3,000 without fee, spread or funding, and a pool of a million against which alice is
long 390 and bob 100 (tests/utils/broke.py): above 4,838 its health is below 1, above 5,042 it is insolvent.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest

from plimsoll.fuzz.artifacts import Artifact
from plimsoll.fuzz.system import MarketSetup, Setup, System
from plimsoll.table import Table, default_table
from tests.attacks.conftest import fast
from tests.utils.backed import DAY, PLAIN, coin
from tests.utils.broke import EDGE, HOUR, WAD, Broke

Make = Callable[..., Broke]
SHALLOW = {
    "skew_scale": 50_000 * WAD,
    "max_skew": 1_000 * WAD,
    "max_open_interest": 1_000 * WAD,
}
BACKSTOP = "Backstop.vy"
CONFIGURATOR = "Configurator.vy"


# ------------------------------------------------------------------ known, and not stopped


class Listed(Broke):
    """The markets of a table, as they would be deployed."""

    def __init__(self, table: Table) -> None:
        setup = Setup.of(table)
        self.compare, self.system, self.raw = True, System.build(setup), 10**setup.quote_decimals


def test_90__matched_pair_fills_the_pools_exposure__exits_wait_as_long_as_it_stands():
    """KNOWN LIMITATION. Exposure counts open interest, not only the skew, so a pair of mallory's in every market
    of the default table shuts in most of a pool of 10m for fee and spread, once: there is no skew and no
    funding. He locks 3m, and other traders can close and leave."""
    table = default_table()
    b = Listed(table)
    b.do("request", "lender", "all", "lender", "lender")
    b.wait(25 * HOUR)
    b.do("refresh", "keeper")
    assert b.pool.view("maxWithdraw", b.at("lender")) > 9_900_000 * b.raw
    pair = ("mallory.1", "mallory.2")
    for account in pair:
        b.fund(account, 1_500_000)
    for market, spec in enumerate(table.markets):
        step, most = (
            int(spec.max_skew * WAD) * 9 // 10,
            int(spec.max_open_interest * WAD) * 99 // 100,
        )
        for begun in range(0, most, step):
            size = min(step, most - begun)
            b.do("trade", "mallory", "mallory.1", market, size)
            b.do("trade", "mallory", "mallory.2", market, -size)
    assert b.pool.view("maxWithdraw", b.at("lender")) < 1_100_000 * b.raw
    assert 55_000 * WAD < 3_000_000 * WAD - sum(map(b.equity, pair)) < 65_000 * WAD


# ------------------------------------------------------------------ 48, 49: deleveraging


@pytest.mark.parametrize(("price", "assets"), [(4_990, 40_000), (5_030, 30_000)])
@pytest.mark.defence("LiquidityPool.vy", "        v.spread += unpaid\n", "        pass\n")
def test_48__entering_a_broke_pool_to_deleverage_it__has_no_part_of_the_premium(
    broke_of: Make, price: int, assets: int
):
    """What winners' positions give back of the premium is everybody's who is in: who came a second before had
    7,196 on 30,000 in a shallow market, and 176,236 on 40,000 at the edge of what terms allow."""
    b = broke_of(insurance_cash=0, market={**SHALLOW, "spread_ppm": 1_000, "taker_fee_ppm": 500})
    b.crowd()
    b.market_price(price)
    b.do("mint", "mallory", assets * b.raw)
    before = b.wealth("mallory")
    b.do("pool_deposit", "mallory", assets * b.raw, "mallory")
    b.do("deleverage", "mallory", "alice", 0)
    assert b.wealth("mallory") <= before


@pytest.mark.defence(
    "LiquidityPool.vy",
    "crowd: uint256 = slots.open_interest(leg.lots, leg.skew)",
    "crowd: uint256 = convert(abs(leg.skew), uint256)",
)
def test_48__skew_taken_away_for_the_second_of_an_entry__the_premium_is_paid_all_the_same(
    broke_of: Make,
):
    """He shorts against the crowd, which pays him the premium, enters a pool that has none nor asks for margin,
    closes the short and deleverages: 116,524 on 100,000 at the edge of what terms allow."""
    takes_the_skew_away(broke_of, restricted=False)


@pytest.mark.defence(
    "LiquidityPool.vy", "            v.spread += most", "            v.spread += premium"
)
def test_48__skew_taken_away_where_a_market_only_reduces__the_premium_is_paid_all_the_same(
    broke_of: Make,
):
    """The same, after the guardian has left the market only reducing: there the entry paid that of the skew."""
    takes_the_skew_away(broke_of, restricted=True)


def takes_the_skew_away(broke_of: Make, restricted: bool) -> None:
    """Mallory's short is there, she enters, and it is gone; in a market at the edge of what terms allow."""
    b = broke_of(insurance_cash=0, market=EDGE)
    b.long("alice", 392, 900_000)
    b.long("bob", 98, 400_000)
    b.market_price(4_800)
    b.do("mint", "mallory", 100_000 * b.raw)
    b.fund("mallory.1", 2_000_000)
    before = b.wealth("mallory")
    b.do("trade", "mallory", "mallory.1", 0, -490 * WAD)
    if restricted:
        b.do("restrict", "owner", 0, 500 * WAD, 500 * WAD, True)
    b.do("pool_deposit", "mallory", 100_000 * b.raw, "mallory")
    b.do("trade", "mallory", "mallory.1", 0, 490 * WAD)
    b.do("deleverage", "mallory", "alice", 0)
    assert b.wealth("mallory") <= before


@pytest.mark.defence(
    "Clearinghouse.vy", "price, flat, markets.steady(", "price, False, markets.steady("
)
def test_33__trading_around_a_deleveraging_in_one_transaction__earns_nothing(broke_of: Make):
    """Whoever sells to a pool that is short, deleverages a long and buys back has what the smaller
    skew moved the quote by. As for a liquidation, a surge of as much is asked in the same second."""
    b = broke_of()
    b.crowd()
    b.market_price(4_860)
    b.fund("mallory", 1_000_000)
    before = b.equity("mallory")
    b.do("trade", "mallory", "mallory", 0, -40 * WAD)
    assert b.do("deleverage", "mallory", "alice", 0).value > 50 * WAD
    b.do("trade", "mallory", "mallory", 0, 40 * WAD)
    assert b.size("mallory") == 0
    assert b.equity("mallory") <= before


@pytest.mark.defence(
    BACKSTOP,
    "    if plan.equity >= convert(pool.maintenance, int256):\n"
    "        plan.why = convert(reasons.BACKSTOP_POOL_IS_HEALTHY, uint256)\n"
    "        return plan\n"
    "    if plan.equity + pool.unsure >= convert(pool.maintenance, int256):\n",
    "    if pool.unsure < 0:\n",
)
def test_48__deleveraging_a_rival_while_the_pool_is_healthy__is_refused(broke_of: Make):
    """dYdX, BitMEX and the like deleverage by a ranking that the engine keeps; here the caller names the
    account. Nobody can name one as long as the pool can bear its side."""
    b = broke_of()
    b.crowd()
    b.market_price(4_700)
    assert not b.attempt("deleverage", "mallory", "alice", 0).ok
    assert b.size("alice") == 390 * WAD


@pytest.mark.defence(
    BACKSTOP, "if self._maintenance_after(leg, maintenance, middle) <= allowed:", "if middle == 0:"
)
def test_48__deleveraging_more_than_the_pool_lacks__is_not_to_be_had(broke_of: Make):
    """Hyperliquid's and others' deleveraging of October 2025 took whole positions where a part would
    have done. The caller names no size: the least that restores the target is closed, and then no more."""
    b = broke_of()
    b.crowd()
    b.market_price(4_860)
    b.do("deleverage", "mallory", "alice", 0)
    assert not b.attempt("deleverage", "mallory", "alice", 0).ok
    equity, maintenance = b.margin()
    assert equity * 1_000 < maintenance * 1_101
    assert b.size("alice") > 200 * WAD


@pytest.mark.defence(BACKSTOP, "    if pnl <= 0:\n", "    if pnl == max_value(int256):\n")
def test_48__deleveraging_a_loser__is_refused(broke_of: Make):
    """Whoever has lost pays the pool by waiting for his price: closing him fixes his loss, and gives the
    pool nothing that it does not have."""
    b = broke_of()
    b.crowd()
    b.market_price(4_859)
    b.fund("lender", 100_000)
    b.do("trade", "lender", "lender", 0, WAD)
    b.market_price(4_858)
    assert not b.attempt("deleverage", "mallory", "lender", 0).ok
    assert b.size("lender") == WAD


@pytest.mark.defence(BACKSTOP, "    if not self._is_opposite(leg):\n", "    if leg.size == 0:\n")
def test_48__deleveraging_on_the_pools_own_side__is_refused(broke_of: Make):
    """Who stands beside the pool carries some of what it would have to: closing him makes it worse."""
    b = broke_of()
    b.crowd()
    b.market_price(4_900)
    b.long("mallory", -2, 100_000)
    b.market_price(4_860)
    skew = b.skew()
    assert not b.attempt("deleverage", "keeper", "mallory", 0).ok
    assert b.skew() == skew


@pytest.mark.defence(
    BACKSTOP,
    "    if z.equity < convert(z.maintenance, int256):\n",
    "    if z.equity == min_value(int256):\n",
)
def test_48__deleveraging_oneself_out_of_a_liquidation__is_refused(broke_of: Make):
    """An account under its line would close its winning leg flat, by a friend, without fee and spread,
    and be healthy again before a keeper comes. What is unhealthy is liquidated, and pays for it."""
    b = broke_of()
    b.crowd()
    b.long("mallory", 1, 4_000)
    b.do("trade", "mallory", "mallory", 1, -3 * WAD)
    b.market_price(4_860)
    b.market_price(4_800, 1)
    assert b.health("mallory") < WAD
    assert not b.attempt("deleverage", "keeper", "mallory", 0).ok
    assert b.do("liquidate", "keeper", "mallory").ok


@pytest.mark.defence(
    "Clearinghouse.vy",
    "    if not flat:\n        price = curve.fill_price(",
    "    if price != 0:\n        price = curve.fill_price(",
)
def test_49__deleveraging_one_leg_of_a_hedge__lowers_nobodys_health(broke_of: Make):
    """Drift and Hyperliquid, October 2025: the winning leg was deleveraged, the losing one stayed, and the
    account went under. Here it closes at the very price it is valued at, without fee and spread:
    equity stays, and the requirement falls."""
    b = broke_of(
        market={
            "taker_fee_ppm": 20_000,
            "spread_ppm": 30_000,
            "liquidation_fee_ppm": 100_000,
            "mm_ppm": 120_000,
            "im_ppm": 180_000,
        }
    )
    b.long("alice", 390, 900_000)
    b.long("mallory", 100, 200_000)
    b.do("trade", "mallory", "mallory", 1, -100 * WAD)
    for market in (0, 1):
        b.market_price(5_300, market)
    b.market_price(5_650, 1)  # the hedge does not quite hold
    before, worth = b.health("mallory"), b.equity("mallory")
    assert before >= WAD
    b.do("deleverage", "keeper", "mallory", 0)
    assert b.health("mallory") >= before
    assert 0 <= worth - b.equity("mallory") <= 1


@pytest.mark.defence(BACKSTOP, "    if not kept:\n", "    if plan.closed == 0:\n")
def test_49__deleveraging_a_few_wei__is_refused_where_rounding_would_lower_health(
    artifact: Callable[[str], Artifact],
):
    """At a price of 0.05, four wei of base take a wei of requirement off the pool and none off the
    account, whose equity rounds down: over and over that would be an attack on a line."""
    terms = {**PLAIN, "min_price": 10**10, "max_price": 10**17}
    setup = Setup(
        [MarketSetup(10**12, 18, terms)],
        quote_decimals=18,
        deleverage_to=WAD,
        pool_cash=1,
        insurance_cash=0,
        max_pool_leverage_ppm=10**9,
    )
    system = System.build(setup, fast(artifact))
    for who, size in (("alice", 142 * WAD // 10), ("bob", 5 * WAD)):
        system.must("mint", who, WAD)
        system.must("deposit", who, who, "token", WAD)
        system.must("trade", who, who, 0, size)
    system.must("price", 0, 5 * 10**16 + 1, 0)
    equity, maintenance = system.backstop.view("pool_margin")
    system.must("mint", "lender", maintenance - equity - 1)
    system.must("pool_deposit", "lender", maintenance - equity - 1, "lender")
    bob = system.address("bob")
    before = system.clearinghouse.view("health", bob)
    refused = system.backstop.call("deleverage", bob, 0, sender=system.address("keeper"))
    assert refused.reason == "backstop: health would fall"
    assert system.clearinghouse.view("health", bob) >= before


# ------------------------------------------------------------------ the settlement of the venue


def in_lots(broke_of: Make) -> Broke:
    """Alice was liquidated in debt: lots owe the pool 5.5m, more than it had. Bob is long 10."""
    b = broke_of(coins=[coin(3_000)], credit={"debt_cap": 10**8 * WAD}, insurance_cash=0)
    b.back("alice", 0, 3_000 * WAD)
    b.long("bob", 10, 40_000)
    b.do("trade", "alice", "alice", 1, 3_000 * WAD)
    b.market_price(1_000, 1)
    b.price(0, 2_000)
    b.do("liquidate", "keeper", "alice")
    return b


@pytest.mark.defence(
    BACKSTOP,
    "if not certain or self.certain_at == 0 or block.timestamp < self.certain_at + DELAY:",
    "if not certain or self.certain_at == 0:",
)
@pytest.mark.defence(BACKSTOP, "    if worth >= 0:\n", "    if worth == max_value(int256):\n")
def test_settlement__declared_on_a_glitch_of_a_price__settles_nothing(broke_of: Make):
    """A feed is wrong for a block, or an hour but a second: who is on the right side of it declares, and
    would have every market settled at that price for ever."""
    b = broke_of()
    b.crowd()
    assert not b.attempt("declare", "mallory").ok
    b.market_price(6_000)
    b.do("declare", "mallory")
    assert not b.attempt("settle_markets", "mallory", [0, 1]).ok
    b.wait(HOUR - 1)
    assert not b.attempt("settle_markets", "mallory", [0, 1]).ok
    b.market_price(3_000)
    b.wait(7 * 24 * HOUR)
    assert not b.attempt("settle_markets", "mallory", [0, 1]).ok
    b.do("call_off", "alice")
    b.do("trade", "alice", "alice", 0, -WAD)
    b.do("withdraw", "alice", "alice", "token", b.raw, "alice")


@pytest.mark.defence(
    BACKSTOP, "extcall CLEARINGHOUSE.set_share(1)\n", "extcall CLEARINGHOUSE.set_share(0)\n"
)
def test_23__winner_withdraws_before_the_share_is_fixed__is_told_to_wait(broke_of: Make):
    """The run: whoever sees the hole first takes all of his claim out of what is everybody's. From the
    declaration on nothing leaves, not from any stage in between."""
    b = broke_of()
    b.crowd()
    b.fund("mallory", 500_000)
    b.market_price(6_000)

    def run() -> bool:
        return b.attempt("withdraw", "mallory", "mallory", "token", 500_000 * b.raw, "mallory").ok

    b.do("declare", "keeper")
    assert not run()
    b.wait(HOUR)
    b.do("settle_markets", "keeper", [0, 1])
    assert not run()
    b.do("close_settled", "keeper", 0, ["alice", "bob"])
    assert not run()
    b.do("fix", "keeper")
    assert run()
    assert b.purse("mallory") < 450_000 * b.raw


@pytest.mark.defence(
    BACKSTOP, "LAPSE: constant(uint256) = 9 * 86_400", "LAPSE: constant(uint256) = 86_400"
)
def test_23__calling_off_after_a_freeze_to_run_with_a_whole_claim__is_refused(broke_of: Make):
    """The guardian freezes a declared settlement for a day to look at the prices; the hour of grace is not
    over yet when the declaration would lapse, and who waited for that call takes all of his claim."""
    b = broke_of()
    b.crowd()
    b.fund("mallory", 500_000)
    b.market_price(6_000)
    b.do("declare", "keeper")
    b.do("guardian", "owner", "keeper")
    b.do("freeze", "keeper", 24 * HOUR)
    b.wait(24 * HOUR)
    assert not b.attempt("settle_markets", "keeper", [0, 1]).ok
    b.attempt("call_off", "mallory")
    b.attempt("withdraw", "mallory", "mallory", "token", 500_000 * b.raw, "mallory")
    assert b.purse("mallory") == 0
    b.wait(HOUR)
    b.do("settle_markets", "keeper", [0, 1])


@pytest.mark.defence(
    BACKSTOP,
    "equity=self._cash(s.pool) + convert(by_live + due, int256),",
    "equity=self._cash(s.pool) + convert(due, int256),",
)
def test_settlement__declared_while_the_pools_money_is_in_lots__is_refused(broke_of: Make):
    """A seizure takes the pool's cash at once and brings it back when the lot is sold. Who is long would
    have the whole venue settled in between, at a price of the day."""
    b = in_lots(broke_of)
    b.market_price(300_000)
    assert not b.attempt("declare", "bob").ok
    assert b.margin()[0] < b.system.auction.view("owed_to_pool")


@pytest.mark.parametrize("pause", ["an hour", "two blocks"])
@pytest.mark.defence(BACKSTOP, "unsure=convert(by_others, int256),", "unsure=0,")
def test_settlement__while_the_feed_of_the_pools_lots_is_late__settles_nothing(
    broke_of: Make, pause: str
):
    """The same lots, and their feed is late for a block when it is declared, and for another an hour
    later: both markets were settled for ever, with 5.5m on their way to the pool."""
    b = in_lots(broke_of)
    b.market_price(150_000)
    b.kill(0)
    b.do("declare", "bob")
    if pause == "two blocks":
        b.kill(0, "ok")
    b.wait(HOUR)
    b.kill(0)
    assert not b.attempt("settle_markets", "bob", [0, 1]).ok
    b.kill(0, "ok")
    b.do("call_off", "alice")


@pytest.mark.defence(
    BACKSTOP,
    "equity=self._cash(s.pool) + convert(by_live + due, int256),",
    "equity=self._cash(s.pool) + convert(due, int256),",
)
def test_48__deleveraging_while_the_pools_money_is_in_lots__is_refused(broke_of: Make):
    """A debtor has herself seized, so that the pool's cash is in a lot for two hours: a pool with 275,000
    looked broke, and in the same transaction all winners were closed, flat."""
    b = seizable(broke_of)
    assert not b.attempt("deleverage", "mallory", "alice", 0).ok
    b.do("liquidate", "mallory", "mallory")
    assert not b.attempt("deleverage", "mallory", "alice", 0).ok
    assert b.size("alice") == 390 * WAD


UNSURE = "    if plan.equity + pool.unsure >= convert(pool.maintenance, int256):\n"


@pytest.mark.defence(BACKSTOP, UNSURE, "    if plan.equity == max_value(int256):\n")
def test_48__deleveraging_while_the_feed_of_the_pools_lots_is_late__is_refused(broke_of: Make):
    """The same lot, in the one block in which its token's feed is late: the pool's 275,000 were -31,000, and
    all of alice's 390 were closed."""
    b = seizable(broke_of)
    b.do("liquidate", "mallory", "mallory")
    b.kill(0)
    assert b.why("alice") != "backstop: pool is healthy"
    assert not b.attempt("deleverage", "mallory", "alice", 0).ok
    b.kill(0, "ok")
    assert b.margin()[0] > 2 * b.margin()[1]


@pytest.mark.defence(
    BACKSTOP,
    "self._least(leg, plan.equity + pool.unsure, plan.maintenance)",
    "self._least(leg, plan.equity, plan.maintenance)",
)
def test_48__deleveraging_in_doubt__closes_the_least_that_is_certain(broke_of: Make):
    """The pool lacks 6,000 of its margin, lots counted, and their feed is late for a block: 390 were closed, not 61,
    and at the edge of terms that brought a pool's greatest holder 86,381 more."""

    def closed(late: bool) -> int:
        b = seizable(broke_of)
        b.fund("alice", 500_000)
        b.market_price(4_830)
        b.do("liquidate", "keeper", "mallory")
        if late:
            b.kill(0)
        return int(b.do("deleverage", "mallory", "alice", 0).value)

    assert closed(late=True) <= closed(late=False) < 100 * WAD


@pytest.mark.defence(
    BACKSTOP,
    "equity=self._cash(s.pool) + convert(by_live + due, int256),",
    "equity=self._cash(s.pool) + convert(by_live, int256),",
)
def test_48__interest_that_nobody_has_posted__is_the_pools(broke_of: Make):
    """Two months of interest on a million were no part of the pool until somebody touched the debtor: whoever
    deleveraged chose not to, and closed a winner of a pool that had its margin; she lost 36,600 by it."""
    b = broke_of(
        coins=[coin(3_000, maintenance_weight_ppm=900_000, scale=16_000 * WAD)],
        credit={"debt_cap": 10**6 * WAD},
        insurance_cash=0,
        market={**SHALLOW, "skew_scale": 5_000 * WAD, "im_ppm": 330_000, "mm_ppm": 220_000},
    )
    b.back("bob", 0, 700 * WAD)
    b.owe("bob", 990_000 * WAD, 1)
    b.long("alice", 392, 1_600_000)
    b.long("alice.1", 98, 400_000)
    b.wait(60 * DAY)
    b.market_price(5_798)
    assert b.interest("bob") > 42_000 * WAD
    size = b.size("alice")
    b.attempt("deleverage", "mallory", "alice", 0)
    assert b.size("alice") == size
    equity, maintenance = b.margin()
    assert maintenance < equity < maintenance + b.interest("bob")
    b.fund("bob", 1)
    assert abs(b.margin()[0] - equity) <= 2


@pytest.mark.defence(
    "modules/collateral.vy", "    self.poke(id)\n    lots: uint256", "    lots: uint256"
)
@pytest.mark.parametrize("how", ["reverts", "is above its bound"])
def test_48__feed_that_dies_after_a_seizure__leaves_the_lots_their_price(broke_of: Make, how: str):
    """The token had tripled since anybody touched it, and a lot without a live price was reckoned at the old one:
    winners of a healthy pool were closed, and an hour later the venue could be settled for good."""
    b = broke_of(
        insurance_cash=0,
        pool_cash=460_000,
        coins=[coin(3_000, max_price=3_100 * WAD)],
        credit={"debt_cap": 10**7 * WAD, "debt_ratio_ppm": 950_000},
        market=SHALLOW,
    )
    b.back("mallory", 0, 200 * WAD)
    b.fund("mallory", 61_000)
    b.do("trade", "mallory", "mallory", 1, 200 * WAD)
    b.price(0, 500)
    for _ in range(40):  # until its stable price has followed
        b.do("poke_token", "keeper", "coin0")
        b.wait(HOUR)
    b.do("refresh", "keeper")
    b.price(0, 3_000)
    b.market_price(1_200, 1)
    b.do("trade", "mallory", "mallory", 1, -200 * WAD)
    b.market_price(3_000, 1)
    b.crowd()
    b.market_price(4_200)
    b.price(0, 1_740)
    b.do("liquidate", "keeper", "mallory")
    equity, maintenance = b.margin()
    assert equity > 2 * maintenance
    if how == "reverts":
        b.kill(0)
    else:
        b.price(0, 3_200)
    assert not b.attempt("deleverage", "mallory", "alice", 0).ok
    assert b.size("alice") == 390 * WAD


@pytest.mark.defence(BACKSTOP, UNSURE, "    if pool.unsure != 0:\n")
def test_48__dust_in_a_dead_market__stops_no_deleveraging(broke_of: Make):
    """A winner's position of 0.000013 quote in any market whose feed is late: nobody was deleveraged, and where
    the pool would have kept 5,600 in a rise to 5,600 a unit it lacked 274,000."""
    b = broke_of(insurance_cash=0)
    b.crowd()
    b.fund("mallory", 100)
    b.do("trade", "mallory", "mallory", 1, 2**32)
    b.do("fault", 1, "revert")
    for price in range(4_860, 5_601, 20):
        b.market_price(price)
        for winner in ("alice", "bob"):
            b.attempt("deleverage", "keeper", winner, 0)
    assert b.margin()[0] > 0


def seizable(broke_of: Make) -> Broke:
    """Mallory's debt of 300,000 may be seized for, the pool has its margin, and most of that in cash."""
    b = broke_of(
        insurance_cash=0,
        pool_cash=700_000,
        coins=[coin(3_000)],
        credit={"debt_cap": 10**7 * WAD},
        market=SHALLOW,
    )
    b.back("mallory", 0, 200 * WAD)
    b.owe("mallory", 300_000 * WAD, 1)
    b.crowd()
    b.market_price(4_500)
    b.price(0, 1_740)
    return b


def lots_of_both(broke_of: Make, dead: bool) -> Broke:
    """A lot of 200,000 is the fund's, in the same token or in a dead one, and bob's debt of 990,000 mostly the pool's."""
    b = broke_of(
        insurance_cash=250_000,
        coins=[coin(3_000), coin(60_000, 8)],
        credit={"debt_cap": 10**8 * WAD, "low_slope_ppm": 0, "high_slope_ppm": 0},
        market=SHALLOW,
    )
    b.back("mallory", int(dead), 8 * 10**8 if dead else 190 * WAD)
    b.owe("mallory", 200_000 * WAD, 1)
    b.back("bob", 0, 1_000 * WAD)
    b.owe("bob", 990_000 * WAD, 1)
    if dead:
        b.kill(1)
        b.do("poke_token", "keeper", "coin1")
        b.wait(24 * HOUR)
    b.price(0, 1_040)
    b.do("liquidate", "keeper", "mallory")
    b.do("liquidate", "keeper", "bob")
    assert b.lot(0).to_pool == 0
    assert b.lot(0).to_insurance > 180_000 * WAD
    assert (b.lot(1).to_pool, b.lot(1).to_insurance) > (900_000 * WAD, 49_000 * WAD)
    return b


ALL_LOTS = (
    "CollateralAuction.vy",
    "    if left != 0 and after >> 128 != 0:\n        kind: uint256 = self._kind(token, after)\n",
    "    if left != 0 and after != 0:\n        kind: uint256 = 2 * token\n",
)


@pytest.mark.defence(
    BACKSTOP,
    "equity=self._cash(s.pool) + convert(by_live + due, int256),",
    "equity=self._cash(s.pool) + convert(by_live + by_others + due, int256),",
)
def test_23__lot_of_a_worthless_token__makes_no_pool_solvent(broke_of: Make):
    """A coin falls below its bound, so its feed is dead, and the lot that owes the pool 800,000 would
    bring 1,200. Counted in full it kept the venue from settling: the winner took all that there was,
    1.7m, and who had no position got nothing of 300,000."""
    b = broke_of(
        coins=[coin(3_000, scale=7 * 10**28)],
        credit={"debt_cap": 7 * 10**28},
        insurance_cash=0,
        pool_cash=500_000,
    )
    b.back("bob", 0, 600 * WAD)
    b.long("alice", 400, 900_000)
    b.do("trade", "bob", "bob", 0, -400 * WAD)
    b.fund("mallory", 300_000)
    b.market_price(5_000)
    b.do("trade", "bob", "bob", 0, 400 * WAD)
    b.do("trade", "alice", "alice", 0, -400 * WAD)
    b.price(0, 2)
    b.do("poke_token", "keeper", "coin0")
    b.wait(24 * HOUR)
    b.do("liquidate", "keeper", "bob")
    assert b.system.auction.view("owed_to_pool") > 800_000 * WAD > -b.margin()[0] > 300_000 * WAD
    b.do("declare", "keeper")
    assert not b.attempt("withdraw", "alice", "alice", "token", 1_700_000 * b.raw, "alice").ok


@pytest.mark.parametrize("how", ["freeze", "restart"])
@pytest.mark.defence(
    BACKSTOP,
    "        self.declared_at = block.timestamp\n",
    "        self.declared_at = block.timestamp\n        assert staticcall CLEARINGHOUSE.is_calm()\n",
)
def test_23__winner_runs_during_a_freeze__is_told_to_wait(broke_of: Make, how: str):
    """In a freeze, and in the grace after the sequencer's return, who is flat may leave: a winner closes
    and takes 1,570,046 where a settlement leaves him 1,236,111, and the others 0.27 of theirs instead
    of 0.79. A declaration does not wait for the calm."""
    b = broke_of(insurance_cash=0, grace=HOUR)
    b.wait(2 * HOUR)
    b.crowd()
    b.market_price(6_000)
    if how == "freeze":
        b.do("freeze", "owner", 24 * HOUR)
    else:
        b.do("uptime", 1, 60)
        b.wait(1)
        b.do("uptime", 0, 0)
    b.do("declare", "keeper")
    b.do("trade", "alice", "alice", 0, -b.size("alice"))
    assert not b.attempt("withdraw", "alice", "alice", "token", 1_000 * b.raw, "alice").ok
    b.wait(25 * HOUR if how == "freeze" else HOUR)
    b.do("settle_markets", "keeper", [0, 1])  # in time: a declaration lapses after nine days


@pytest.mark.parametrize("how", ["freeze", "restart"])
@pytest.mark.defence(
    BACKSTOP,
    "worth: int256 = pool.equity - convert(reported, int256)",
    "worth: int256 = pool.equity - convert(reported * 0, int256)",
)
def test_23__winner_runs_before_anothers_loss_is_booked__is_told_to_wait(broke_of: Make, how: str):
    """A matched pair, so that the pool has no side: one leg wins 1.7m, the other cannot pay, and in a
    freeze nobody can liquidate it. The pool counted all of its loss as its gain: the winner left with
    1.87m where a settlement leaves him 1.55m. Reported, the loss counts for a declaration."""
    b = broke_of(insurance_cash=50_000, grace=HOUR)
    b.wait(2 * HOUR)
    for account, size in (("mallory", 490 * WAD), ("mallory.1", -490 * WAD)):
        b.fund(account, 160_000)
        b.do("trade", "mallory", account, 0, size)
    b.fund("bob", 500_000)
    if how == "freeze":
        b.do("freeze", "owner", 24 * HOUR)
    else:
        b.do("uptime", 1, 60)
        b.wait(1)
        b.do("uptime", 0, 0)
    b.market_price(6_500)
    b.do("report", "keeper", "mallory.1")
    b.attempt("declare", "keeper")
    b.do("trade", "mallory", "mallory", 0, -490 * WAD)
    assert not b.attempt("withdraw", "mallory", "mallory", "token", 1_000_000 * b.raw, "mallory").ok
    b.wait(25 * HOUR if how == "freeze" else HOUR)
    b.do("liquidate", "keeper", "mallory.1")
    b.do("declare", "keeper")  # what is booked is in no doubt
    b.wait(HOUR)
    b.do("settle_markets", "keeper", [0, 1])


@pytest.mark.parametrize("how", ["dead", "mad"])
@pytest.mark.defence(
    BACKSTOP,
    "pool.at_stake += convert(margin.notional(fixed_point.magnitude(leg.skew), price), int256)",
    "pool.at_stake += 0",
)
def test_settlement__on_a_glitch_that_a_feed_dies_of__waits_a_week(broke_of: Make, how: str):
    """A price is wrong for one block, somebody keeps it, and the feed answers no more, or nonsense. The
    guardian freezes in that same block, and when his day is over the venue settled at it: 400,000
    became 1.56m, an honest short nothing. The loss is in doubt while the price is dead: not even another
    market is settled for it."""
    b = broke_of(insurance_cash=0)
    b.crowd()
    b.long("keeper", -300, 200_000)
    b.market_price(12_000)
    b.do("poke", "alice", 0)
    if how == "dead":
        b.do("fault", 0, "revert")
    else:
        b.market_price(2_000_000)
    b.do("freeze", "owner", 24 * HOUR)
    b.do("declare", "alice")
    b.wait(25 * HOUR, fresh=False)
    b.do("price", 1, 3_000 * 10**8, 0)
    assert not b.attempt("settle_markets", "alice", [1]).ok
    b.do("fault", 0, "ok")
    b.market_price(3_000)
    b.do("call_off", "keeper")


@pytest.mark.defence(BACKSTOP, "max(leg.price, markets.stable(leg, 0))", "leg.price")
def test_settlement__on_a_glitch_down_that_a_feed_dies_of__waits_a_week(broke_of: Make):
    """The crowd is short and the price is next to nothing for a block: at that price the pool's position
    is worth next to nothing too. The stable price has hardly moved: it says what is in doubt."""
    b = broke_of(insurance_cash=0)
    b.long("alice", -490, 400_000)
    b.market_price(10)
    b.do("poke", "alice", 0)
    b.do("fault", 0, "revert")
    b.do("declare", "alice")
    b.wait(HOUR)
    assert not b.attempt("settle_markets", "alice", [1]).ok


def die_of_a_glitch(b: Broke) -> None:
    """The token is at a hundredth of its price for a block, which is kept, and its feed dies."""
    b.price(0, b.holding("zero", 0).price / WAD / 100)
    b.do("poke_token", "mallory", "coin0")
    b.kill(0)


LOTS = "CollateralAuction.vy", "max(held.price, held.stable)", "held.price"


@pytest.mark.defence(*LOTS)
def test_settlement__on_a_glitch_down_that_the_feed_of_lots_dies_of__waits_a_week(broke_of: Make):
    """Lots that owe the pool 5.5m were worth next to nothing at the last price of their token: the hole looked certain, and
    an hour later the venue was settled for good."""
    b = in_lots(broke_of)
    b.market_price(150_000)
    die_of_a_glitch(b)
    b.do("declare", "bob")
    b.wait(HOUR)
    assert not b.attempt("settle_markets", "bob", [0, 1]).ok


@pytest.mark.defence(*LOTS)
def test_deleveraging__on_a_glitch_down_that_the_feed_of_lots_dies_of__waits_for_it(broke_of: Make):
    """The lots would give the pool its margin twice over; at the last price of their token they gave nothing, and the winner
    was closed, flat."""
    b = seizable(broke_of)
    b.do("liquidate", "mallory", "mallory")
    die_of_a_glitch(b)
    assert not b.attempt("deleverage", "mallory", "alice", 0).ok


@pytest.mark.defence(
    BACKSTOP,
    "    self._check_calm()\n    if self.state",
    "    if self.state",
)
def test_settlement__rest_of_the_markets_at_a_glitch__waits_for_the_freeze_to_end(broke_of: Make):
    """A settlement has begun, of one market or none, and another's price is wrong for a block: the guardian
    freezes, and it settled nevertheless, 20,000 of his own became 1.55m of everybody's."""
    b = broke_of(insurance_cash=0)
    b.long("alice", 490, 900_000)
    b.long("mallory", 20, 20_000, 1)
    b.market_price(5_200)
    b.do("declare", "bob")
    b.wait(HOUR)
    b.do("settle_markets", "mallory", [0])
    b.market_price(300_000, 1)
    b.do("freeze", "owner", 24 * HOUR)
    assert not b.attempt("settle_markets", "mallory", [1]).ok
    b.wait(24 * HOUR)
    b.market_price(3_000, 1)
    b.wait(HOUR)
    b.do("settle_markets", "bob", [1])


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.defence(
    BACKSTOP, "if early and self._is_dead(leg) and (leg.lots != 0 or leg.skew != 0):", "if False:"
)
def test_settlement__of_a_market_whose_sides_are_even_as_its_feed_dies__waits_a_week(
    broke_of: Make, begun: bool
):
    """Another market breaks the pool, and to the pool this one is nothing: a wrong price of one block that
    its feed died of settled it after an hour, 145,000 became 1.15m. Once a settlement had begun, so did a
    feed that was late for one block, at the last price that somebody kept."""
    b = broke_of(insurance_cash=0)
    b.long("mallory", 300, 150_000)
    b.long("keeper", -300, 150_000)
    b.long("alice", 490, 900_000, 1)
    b.market_price(5_200, 1)
    b.do("declare", "bob")
    b.wait(HOUR)
    if begun:
        b.do("settle_markets", "bob", [])
    b.market_price(9_000)
    b.do("poke", "mallory", 0)
    b.do("fault", 0, "revert")
    b.do("price", 1, 5_200 * 10**8, 0)
    assert not b.attempt("settle_markets", "mallory", [0, 1]).ok
    b.do("fault", 0, "ok")
    b.market_price(3_000)
    b.do("settle_markets", "bob", [0, 1])
    b.do("close_settled", "bob", 0, ["mallory", "keeper"])
    assert b.cash("mallory") < 151_000 * WAD


@pytest.mark.defence(
    BACKSTOP,
    "if not certain or self.certain_at == 0 or block.timestamp < self.certain_at + DELAY:",
    "if not certain or block.timestamp < self.declared_at + DELAY:",
)
def test_settlement__declared_in_doubt_and_certain_for_a_block__waits_an_hour(broke_of: Make):
    """A declaration stands because a dead price may be true, for a week. A price of another market that is
    wrong for one block made the hole certain, and everything was settled in that block: 20,000 became 1.05m,
    the honest short of the dead market had nothing of 200,000."""
    b = broke_of(insurance_cash=0)
    b.crowd()
    b.long("mallory", 20, 20_000, 1)
    b.market_price(12_000)
    b.do("poke", "alice", 0)
    b.do("fault", 0, "revert")
    b.do("declare", "alice")
    b.wait(2 * HOUR)
    b.market_price(300_000, 1)
    assert not b.attempt("settle_markets", "mallory", [1]).ok
    b.do("declare", "mallory")
    assert not b.attempt("settle_markets", "mallory", [1]).ok
    b.market_price(3_000, 1)
    b.do("declare", "keeper")  # it is in doubt again
    b.wait(2 * HOUR)
    b.market_price(300_000, 1)
    assert not b.attempt("settle_markets", "mallory", [1]).ok


TOLD = "min(held.maintenance, held.credit * min(price, held.price) // max(held.price, 1))"


@pytest.mark.defence("LiquidityPool.vy", TOLD, "held.maintenance")
def test_23__winner_runs_while_worthless_tokens_fade__is_told_to_wait(broke_of: Make):
    """Bob's token fell through its lower bound, his debt is more than the pool has, and for the half of a day in
    which his health fades nobody liquidates him. No report told, and alice was paid in full: 300,000 were
    left for the 500,000 of who was flat."""
    runs_from_worthless_tokens(broke_of, 2)


@pytest.mark.defence(
    "LiquidityPool.vy",
    "    if held.status == convert(reasons.PRICES_NOT_POSITIVE, uint256):\n        return 0\n",
    "",
)
@pytest.mark.parametrize("answer", [0, -1])
def test_23__winner_runs_from_tokens_whose_feed_says_nothing__is_told_to_wait(
    broke_of: Make, answer: int
):
    """The same token, so far down that its feed rounds it to nothing: it counted in full."""
    runs_from_worthless_tokens(broke_of, answer)


def runs_from_worthless_tokens(broke_of: Make, answer: int) -> None:
    """Alice wins 800,000 of bob, whose token is now at `answer` [10^-8 quote], and would take all of it."""
    b = broke_of(
        coins=[coin(3_000, scale=7 * 10**28, min_price=300 * WAD)],
        credit={"debt_cap": 7 * 10**28, "low_slope_ppm": 0, "high_slope_ppm": 0},
        insurance_cash=0,
        pool_cash=600_000,
    )
    b.back("bob", 0, 600 * WAD)
    b.fund("mallory", 500_000)
    b.long("alice", 400, 900_000)
    b.do("trade", "bob", "bob", 0, -400 * WAD)
    b.market_price(5_000)
    b.do("trade", "bob", "bob", 0, 400 * WAD)
    b.do("trade", "alice", "alice", 0, -400 * WAD)
    b.do("price", b.feed(0), answer, 0)
    b.do("poke_token", "keeper", "coin0")
    b.do("report", "keeper", "bob")
    assert b.attempt("declare", "keeper").ok
    assert not b.attempt("withdraw", "alice", "alice", "token", 1_700_000 * b.raw, "alice").ok


@pytest.mark.defence("LiquidityPool.vy", TOLD, "0")
@pytest.mark.parametrize("price", [9_500, 2_600])
def test_report__sound_debt_behind_a_token_out_of_its_bounds__is_no_loss(
    broke_of: Make, price: int
):
    """A token above its greatest price, or a bit below its least, is not worth nothing: who stays reported a debt
    of 990,000 behind thousand ether, and 370,000 of who left were his."""
    b = broke_of(
        coins=[coin(3_000, min_price=2_700 * WAD, max_price=9_000 * WAD)],
        credit={"debt_cap": 10**7 * WAD, "low_slope_ppm": 0, "high_slope_ppm": 0},
        insurance_cash=0,
    )
    b.back("bob", 0, 1_000 * WAD)
    b.owe("bob", 990_000 * WAD, 1)
    b.price(0, price)
    b.do("report", "mallory", "bob")
    assert b.pool.view("doubtful") == 0


@pytest.mark.defence(*ALL_LOTS)
def test_48__lots_that_are_the_funds__do_not_make_a_pool_poor_when_the_token_falls(broke_of: Make):
    """What the fund's lots no longer bring was taken from what the pool's do: winners were deleveraged for it, and
    claims paid less."""
    b = lots_of_both(broke_of, dead=False)
    b.price(0, 728)
    lot = b.lot(1)
    brings = lot.amount * 728 * 92 // 100
    assert b.margin()[0] == b.cash("pool") + brings - lot.to_insurance


@pytest.mark.defence(
    BACKSTOP, "unsure=convert(by_others, int256),", "unsure=convert(dead, int256),"
)
def test_settlement__dead_lot_that_is_the_funds__leaves_no_doubt_of_a_hole(broke_of: Make):
    """A lot that owes the pool nothing stood in for what its own lacked: a hole of 101,000 was not certain for a
    week instead of an hour."""
    b = lots_of_both(broke_of, dead=True)
    b.price(0, 728)
    b.crowd()
    price = 3_000
    while b.margin()[0] >= -20_000 * WAD:
        price += 5
        b.market_price(price)
    b.do("declare", "keeper")
    assert b.backstop.view("certain_at") != 0


def in_two_minds(broke_of: Make) -> Broke:
    """A dead market of 1.5m against a pool of a million, a lender without positions, and mallory's own market."""
    b = broke_of(insurance_cash=0)
    b.crowd()
    b.long("mallory", 20, 20_000, 1)
    b.fund("lender", 500_000)
    b.do("fault", 0, "revert")
    return b


@pytest.mark.defence(
    BACKSTOP,
    "    certain: bool = self._is_certain(worth, at_most)\n    if not certain:\n",
    "    self._must_be_insolvent(worth)\n    certain: bool = self._is_certain(worth, at_most)\n    if not certain:\n",
)
def test_settlement__hole_of_a_glitch_beside_a_dead_market__is_told_to_be_none(broke_of: Make):
    """The dead market's notional is more than the pool has: what one block of another's wrong price declared
    could be neither called off nor declared in doubt again, and with a second such block, hours later,
    20,000 became 1.69m."""
    b = in_two_minds(broke_of)
    b.market_price(300_000, 1)
    b.do("declare", "mallory")
    b.market_price(3_000, 1)
    assert not b.attempt("call_off", "keeper").ok
    b.attempt("declare", "keeper")
    b.wait(2 * HOUR)
    b.market_price(300_000, 1)
    assert not b.attempt("settle_markets", "mallory", [1]).ok


@pytest.mark.defence(
    BACKSTOP,
    "        if not certain or self.certain_at == 0 or block.timestamp < self.certain_at + DELAY:\n",
    "        early: bool = self._is_early()\n"
    "        if early and (not certain or block.timestamp < self.certain_at + DELAY):\n",
)
def test_settlement__glitch_after_the_week_of_doubt__waits_an_hour_like_any(broke_of: Make):
    """From the week's end to the lapse nobody had to declare that the hole was certain: a wrong price of one
    block settled all, and 20,000 became 1.49m."""
    b = in_two_minds(broke_of)
    b.do("fault", 0, "ok")
    b.market_price(12_000)
    b.do("poke", "keeper", 0)
    b.do("fault", 0, "revert")
    b.do("declare", "keeper")
    b.do("fault", 0, "ok")
    b.market_price(3_000)
    b.do("poke", "keeper", 0)
    b.do("fault", 0, "revert")
    b.wait(7 * 24 * HOUR)
    b.market_price(300_000, 1)
    assert not b.attempt("settle_markets", "mallory", [1]).ok


def delisted_and_dead(broke_of: Make) -> Broke:
    """A notice of three days is almost over; a wrong price of one block was kept, and the feed died of it."""
    b = broke_of(insurance_cash=0)
    b.crowd()
    b.long("keeper", -300, 200_000)
    b.do("delist", "owner", 0, 72 * HOUR)
    b.wait(71 * HOUR)
    b.market_price(12_000)
    b.do("poke", "alice", 0)
    b.do("fault", 0, "revert")
    return b


@pytest.mark.defence(
    CONFIGURATOR,
    "            assert block.timestamp >= settles_at + DOUBT",
    "            assert True",
)
def test_settlement__notice_that_ends_in_the_week_of_doubt__waits_for_it(broke_of: Make):
    """A dead market has a week in a settlement, unless it was delisted: when its notice ended anybody settled
    it at the price of one block, and two hours after the declaration 400,000 were 1.47m, of an honest
    short's 200,000 nothing was left."""
    b = delisted_and_dead(broke_of)
    b.do("declare", "alice")
    b.wait(HOUR, fresh=False)
    b.market_price(3_000, 1)
    assert not b.attempt("settle_market", "alice", 0).ok


@pytest.mark.defence(
    CONFIGURATOR,
    "            leg.status != prices.LIVE and old.feed != empty(address) and terms.reduce_only\n",
    "            False\n",
)
def test_delisted__feed_dies_within_the_notice__gets_another_and_settles_at_its_price(
    broke_of: Make,
):
    """Nobody could give a delisted market another feed: for as long as the notice ran its holders could not
    withdraw nor the pool pay, and then the price of the feed's last block was for good."""
    b = delisted_and_dead(broke_of)
    b.do("feed", 8, 3_000 * 10**8)
    another = {"feed": len(b.system.feeds) - 1, "reduce_only": True}
    assert not b.attempt("configure", "owner", 0, 0, {**another, "reduce_only": False}).ok
    assert b.attempt("configure", "owner", 0, 0, another).ok
    assert not b.attempt("configure", "owner", 0, 0, {"reduce_only": True}).ok  # it lives
    b.wait(HOUR, fresh=False)
    b.market_price(3_000, 1)
    b.do("settle_market", "alice", 0)
    b.do("close_settled", "bob", 0, ["alice", "bob", "keeper"])
    assert abs(b.cash("keeper") - 200_000 * WAD) < 100 * WAD


@pytest.mark.parametrize("how", ["revert", "bounds", "freeze"])
@pytest.mark.defence(
    BACKSTOP,
    "    if block.timestamp < self.declared_at + LAPSE:\n        self._check_calm()\n        if at_least < 0:\n",
    "    if block.timestamp < self.declared_at + LAPSE:\n        if worth < 0:\n",
)
def test_23__calling_off_at_a_price_that_is_not_one_to_run__is_refused(broke_of: Make, how: str):
    """The feed is dead, or past its bounds, and the last price there was is of before the crash; or the venue
    is frozen because prices are wrong. Who was flat called off and took 500,000 instead of 402,000."""
    b = broke_of(insurance_cash=0)
    b.crowd()
    b.fund("mallory", 500_000)
    b.market_price(6_000)
    b.do("declare", "keeper")
    if how == "freeze":
        b.do("freeze", "owner", 24 * HOUR)
        b.market_price(3_000)
    elif how == "bounds":
        b.market_price(2_000_000)
    else:
        b.do("fault", 0, "revert")
    assert not b.attempt("call_off", "mallory").ok
    assert not b.attempt("withdraw", "mallory", "mallory", "token", 500_000 * b.raw, "mallory").ok


@pytest.mark.defence(BACKSTOP, "        wait = DOUBT", "        wait = 0")
def test_settlement__share_fixed_as_a_lots_feed_is_late__waits(broke_of: Make):
    """What the fund's lots bring is for the claims. Fixed in the one block in which their feed is late, the
    share was 0.77 instead of 0.86, and 256,000 stayed in custody for nobody."""
    b = broke_of(coins=[coin(3_000)], credit={"debt_cap": 10**7 * WAD}, insurance_cash=300_000)
    b.back("mallory.1", 0, 200 * WAD)
    b.owe("mallory.1", 250_000 * WAD, 1)
    b.crowd()
    b.price(0, 1_400)
    b.do("liquidate", "keeper", "mallory.1")
    b.market_price(7_000)
    b.do("declare", "keeper")
    b.wait(HOUR)
    b.do("settle_markets", "keeper", [0, 1])
    b.do("close_settled", "keeper", 0, ["alice", "bob"])
    b.kill(0)
    assert not b.attempt("fix", "mallory").ok
    b.kill(0, "ok")
    b.do("mint", "lender", 10**6 * b.raw)
    b.do("buy", "lender", 0, "all", None, "lender")
    b.do("fix", "keeper")


@pytest.mark.defence(
    "LiquidityPool.vy",
    "stays: uint256 = (credit[0] & slots.MASK_128) + v.sure",
    "stays: uint256 = 0",
)
def test_23__pool_leaves_with_what_is_lent__leaves_enough_for_every_claim(broke_of: Make):
    """Winners are paid out of custody what debtors owe the pool. Whose shares were worth all of the NAV,
    debts in it, took the rest: who was flat with 900,000 found 4,000."""
    b = broke_of(coins=[coin(3_000)], insurance_cash=0)
    b.fund("bob", 900_000)
    b.back("mallory.1", 0, 1_000 * WAD)
    b.fund("mallory", 400_000)
    for price, size in ((3_000, 640), (1_650, -640)):
        b.market_price(price)
        b.do("trade", "mallory", "mallory.1", 0, size * WAD)
        b.do("trade", "mallory", "mallory", 0, -size * WAD)
    b.do("withdraw", "mallory", "mallory", "token", "all", "mallory")
    b.do("request", "lender", "all", "lender", "lender")
    b.wait(25 * HOUR)
    most = b.system.pool.view("maxRedeem", b.at("lender"))
    b.do("redeem", "lender", most, "lender", "lender")
    b.do("withdraw", "bob", "bob", "token", 900_000 * b.raw, "bob")
    assert b.purse("lender") > 0


@pytest.mark.defence("LiquidityPool.vy", "if leg.skew == 0 and leg.lots == 0:", "if leg.skew == 0:")
def test_74__leave_past_a_dead_market_whose_sides_are_even__waits(broke_of: Make):
    """The price is past its bound, and truly so: who is short owes 330,000 more than he has, nobody can
    liquidate or report him, and half of the pool left with 1,000,000 instead of 925,000."""
    b = broke_of(insurance_cash=0, market={"max_price": 4_000 * WAD})
    b.do("mint", "mallory", 1_000_000 * b.raw)
    b.do("pool_deposit", "mallory", 1_000_000 * b.raw, "mallory")
    b.long("alice", 300, 150_000)
    b.long("bob", -300, 150_000)
    b.do("request", "mallory", "all", "mallory", "mallory")
    b.wait(25 * HOUR)
    b.market_price(4_600)
    assert b.do("report", "keeper", "bob").value == 0
    assert b.system.pool.view("maxRedeem", b.at("mallory")) == 0
    assert not b.attempt("redeem", "mallory", "all", "mallory", "mallory").ok
    b.market_price(3_000)
    assert b.system.pool.view("maxRedeem", b.at("mallory")) > 0


@pytest.mark.defence("Configurator.vy", '        assert calm, "venue: frozen or in grace"\n', "")
def test_114__market_settled_in_an_outage_at_the_price_of_before__waits(broke_of: Make):
    """The notice ends while the sequencer is down. In the grace after it nobody can trade at the price of
    before, but anybody settled the market at it: who owed 490,000 left with all of his 400,000."""
    b = broke_of(insurance_cash=0, grace=HOUR, pool_cash=10_000_000)
    b.wait(2 * HOUR)
    b.long("mallory", 490, 400_000)
    b.do("delist", "owner", 0, 72 * HOUR)
    b.wait(71 * HOUR)
    b.do("uptime", 1, 60)
    b.wait(3 * HOUR, fresh=False)
    b.do("uptime", 0, 0)
    assert not b.attempt("settle_market", "mallory", 0).ok
    b.market_price(2_300)
    b.wait(HOUR)
    b.do("settle_market", "mallory", 0)
    b.do("close_settled", "keeper", 0, ["mallory"])
    assert b.cash("mallory") < 60_000 * WAD


@pytest.mark.defence(
    "Clearinghouse.vy",
    "unsafe_add((leg.t0 >> slots.STATUS) & 7, ledger._custody >> slots.SHARE) != slots.STATUS_OPEN",
    "(leg.t0 >> slots.STATUS) & 7 != slots.STATUS_OPEN",
)
def test_settlement__selling_into_the_crowd_before_its_markets_settle__is_refused(broke_of: Make):
    """All positions are closed at the oracle's price, so who sells above it to a pool that is short, has
    the market settled and is closed in the same block has the curve's premium: the crowd's."""
    b = broke_of(coins=[coin(3_000, cap=10**6 * WAD)], market=SHALLOW)
    b.long("alice", 480, 1_000_000)
    b.market_price(7_000)
    b.do("declare", "keeper")
    b.wait(HOUR)
    b.back("mallory", 0, 3_000 * WAD)  # coins can be paid in, quote no more
    before = b.equity("mallory")
    b.attempt("trade", "mallory", "mallory", 0, -400 * WAD)
    b.do("settle_markets", "keeper", [0, 1])
    b.do("close_settled", "keeper", 0, ["mallory", "alice"])
    assert b.equity("mallory") == before
    assert b.size("alice") == 0


@pytest.mark.defence(
    BACKSTOP,
    "    if share == WAD and of_pool + convert(interest, int256) >= 0:\n",
    "    if share > WAD:\n",
)
def test_settlement__begun_on_a_price_that_comes_back__leaves_nobodys_money_behind(broke_of: Make):
    """The price is back in the next block, too late to call off: all claims are paid in full, and what
    is left, a million, is the pool's. It paid nobody for ever, as a pool pays nobody of a share."""
    b = broke_of()
    b.crowd()
    b.market_price(5_100)
    b.do("declare", "mallory")
    b.wait(HOUR)
    b.do("settle_markets", "mallory", [])
    b.market_price(3_000)
    b.do("settle_markets", "keeper", [0, 1])
    b.do("close_settled", "keeper", 0, ["alice", "bob"])
    assert b.do("fix", "keeper").value == WAD
    for who in ("alice", "bob"):
        b.do("withdraw", who, who, "token", "all", who)
    b.do("request", "lender", "all", "lender", "lender")
    b.wait(25 * HOUR)
    worth = b.nav() // (WAD // b.raw)
    assert worth > 990_000 * b.raw
    b.do("redeem", "lender", "all", "lender", "lender")
    assert b.purse("lender") > worth * 999 // 1_000


@pytest.mark.defence(
    "LiquidityPool.vy",
    "            v.spread += most",
    "            v.spread += most * 0",
)
def test_settled__entering_the_pool_just_before__earns_nothing(broke_of: Make):
    """A market is closed at one price when it is settled, and the premium that the pool's NAV kept back
    for the unwinding is the pool's: half of it his who doubled the pool in the same second. While a
    market is not open an entry pays for it."""
    b = broke_of(pool_cash=10_000_000, insurance_cash=0, market=SHALLOW)
    b.long("alice", 490, 900_000)
    b.do("delist", "owner", 0, 3 * 24 * HOUR)
    b.wait(3 * 24 * HOUR)
    b.do("mint", "mallory", 10_000_000 * b.raw)
    b.do("pool_deposit", "mallory", 10_000_000 * b.raw, "mallory")
    b.do("settle_market", "mallory", 0)
    b.do("close_settled", "keeper", 0, ["alice"])
    assert b.wealth("mallory") <= 10_000_000 * WAD


@pytest.mark.defence(BACKSTOP, "share = held * WAD // claims", "share = WAD + 0 * claims")
def test_23__first_to_claim_after_the_share_is_fixed__gets_no_more_than_the_last(broke_of: Make):
    """Pro rata by arrival: the first is paid in full, the last finds nothing. Whatever the order, each is
    paid the same part of his claim, and there is enough."""
    b = broke_of()
    b.crowd()
    b.fund("mallory", 500_000)
    b.market_price(6_000)
    b.do("declare", "keeper")
    b.wait(HOUR)
    b.do("settle_markets", "keeper", [0, 1])
    b.do("close_settled", "keeper", 0, ["alice", "bob"])
    b.do("fix", "keeper")
    paid: dict[str, set[int]] = {"mallory": set(), "bob": set()}
    for order in permutations(paid):
        with b.imagined():
            for who in order:
                had = b.purse(who)
                b.do("withdraw", who, who, "token", 100_000 * b.raw, who)
                paid[who].add(b.purse(who) - had)
    assert paid["mallory"] == paid["bob"]
    assert len(paid["bob"]) == 1
    assert max(paid["bob"]) < 85_000 * b.raw


@pytest.mark.defence(
    BACKSTOP, "if words.a >> slots.LOTS != 0 or words.a & slots.MASK_96 != 0:", "if words.a == 1:"
)
def test_settlement__share_fixed_while_a_winner_has_not_been_closed__is_refused(broke_of: Make):
    """What a winner has not realised is no claim yet: fixed without him, the share is too high for all."""
    b = broke_of()
    b.crowd()
    b.fund("mallory", 500_000)
    b.market_price(6_000)
    b.do("declare", "keeper")
    b.wait(HOUR)
    b.do("settle_markets", "keeper", [0, 1])
    b.do("close_settled", "keeper", 0, ["bob"])
    assert not b.attempt("fix", "mallory").ok


# ------------------------------------------------------------------ what is the Backstop's alone


@pytest.mark.defence(
    BACKSTOP,
    "    if not settled:\n        fixed_point.fail(reasons.BACKSTOP_MARKET_NOT_SETTLED)",
    "    if market == max_value(uint256):\n        fixed_point.fail(reasons.BACKSTOP_MARKET_NOT_SETTLED)",
)
def test_backstop__closing_somebodys_position_in_a_live_market__is_refused(broke_of: Make):
    """`close_settled` is for everybody and without a fee: in a live market it would close a rival, or
    oneself without the spread."""
    b = broke_of()
    b.crowd()
    assert not b.attempt("close_settled", "mallory", 0, ["alice"]).ok
    b.do("delist", "owner", 0, 3 * 24 * HOUR)  # an announcement is none either
    assert not b.attempt("close_settled", "mallory", 0, ["alice"]).ok
    assert b.size("alice") == 390 * WAD


@pytest.mark.defence(
    "Clearinghouse.vy", "flat: bool = msg.sender == BACKSTOP", "flat: bool = msg.sender != account"
)
@pytest.mark.defence(
    "Clearinghouse.vy", "    if msg.sender != BACKSTOP:\n", "    if msg.sender == empty(address):\n"
)
def test_backstop__doing_what_it_alone_may__is_refused_to_everybody_else(broke_of: Make):
    """Trades for another, flat; and the share of every claim."""
    b = broke_of()
    b.crowd()
    for who in ("mallory", "owner", "bob"):
        assert not b.attempt("trade", who, "alice", 0, -390 * WAD).ok
        assert not b.attempt("set_share", who, 1).ok
        assert b.house.call("set_share", 1 + WAD // 2, sender=b.at(who)).reason == (
            "access: backstop only"
        )
    assert b.house.view("globals")[3] == 0
