"""A bankrupt's dead tokens are each a lot, and all of them answer for his debt: whatever he put in front, whichever
has its price back first, and whichever is sold first, he has no more than what is left once it is repaid.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.utils.backed import DAY, coin
from tests.utils.broke import FREE, HOUR, WAD, Broke, close

Make = Callable[..., Broke]
AUCTION = "CollateralAuction.vy"
DEEP = {"scale": 10**7 * WAD}
REPAYS = (
    "for_insurance, for_pool, dues = self._repay(dues, surplus - repaid[0] - repaid[1])",
    "for_insurance, for_pool, dues = self._repay(dues, 0)",
)


def to_the_floor(b: Broke) -> None:
    """Long enough that each lot with a live feed is at its floor."""
    b.do("mint", "keeper", 10**7 * b.raw)
    for _ in range(9):
        b.wait(1_000)
        for lot in range(b.lots()):
            b.attempt("tick", "keeper", lot)


def two_dead(broke_of: Make, debt: int = 500_000) -> Broke:
    """Of mallory, who owes `debt`, 200 each of two tokens at 3,000 that died at once; seized, and alive again."""
    terms = {**DEEP, "maintenance_weight_ppm": 850_000}
    b = broke_of(
        coins=[coin(3_000, **terms), coin(3_000, **terms)],
        credit={"debt_cap": 10**7 * WAD, "debt_ratio_ppm": 950_000, **FREE},
        insurance_cash=100_000,
        pool_cash=3_000_000,
    )
    for id in (0, 1):
        b.back("mallory", id, 200 * WAD)
    b.owe("mallory", debt * WAD, 1)
    for id in (0, 1):
        b.kill(id)
        b.do("poke_token", "keeper", f"coin{id}")
    while not b.attempt("liquidate", "keeper", "mallory").ok:
        b.wait(HOUR, fresh=False)
    for id in (0, 1):
        b.kill(id, "ok")
    return b


@pytest.mark.defence(AUCTION, *REPAYS)
def test_dead_tokens__worthless_one_before_a_sound_one_that_is_late__frees_no_debtor(
    broke_of: Make,
):
    """A relic that died long ago counts nothing for health, but owed the whole debt where it was the first in the
    order, for its last known worth; the sound token, late for one block twice a day apart, owed nothing and
    was all the debtor's. A matched pair made 201,612, and the fund lost 240,288."""

    def run(relic: bool, first: int = 0) -> tuple[int, int]:
        b = broke_of(
            coins=[coin(3_000, min_price=1_000 * WAD, **DEEP), coin(3_000, **DEEP)],
            credit={"debt_cap": 10**7 * WAD, "order": [first, 1 - first, *range(2, 16)], **FREE},
            insurance_cash=250_000,
            pool_cash=5_000_000,
            max_pool_leverage_ppm=10**7,
        )
        if relic:
            b.back("mallory.1", 0, 200 * WAD)
        b.back("mallory.1", 1, 160 * WAD)
        b.price(0, 10)  # out of its bounds
        b.do("poke_token", "keeper", "coin0")
        b.wait(60 * DAY)
        b.do("refresh", "keeper")
        b.do("trade", "mallory", "mallory.1", 0, 1_000 * WAD)
        b.fund("mallory", 400_000)
        b.do("trade", "mallory", "mallory", 0, -1_000 * WAD)
        fund, paid_in = b.cash("fund"), (400_000 + 160 * 3_000) * WAD
        b.market_price(2_760)
        assert b.health("mallory.1") > WAD
        for again in (True, False):
            b.kill(1)
            if again:
                b.do("poke_token", "mallory", "coin1")
                b.kill(1, "ok")
                b.wait(DAY)
        b.do("liquidate", "mallory", "mallory.1")
        b.kill(1, "ok")
        b.do("trade", "mallory", "mallory", 0, 1_000 * WAD)
        to_the_floor(b)
        for lot in range(b.lots()):
            b.attempt("buy", "keeper", lot, "all", None, "keeper")
        left = b.held("mallory.1", 1) * 3_000
        return b.cash("mallory") + b.cash("mallory.1") + left - paid_in, b.cash("fund") - fund

    for relic, first in ((False, 0), (True, 0), (True, 1)):
        won, fund = run(relic, first)
        assert close(won, -38_676) and close(fund, 0)


@pytest.mark.defence(AUCTION, *REPAYS)
def test_dead_tokens__one_of_two_comes_back_at_a_third__they_repay_all_in_any_order(broke_of: Make):
    """200 at 1,000 and 200 at 3,000 bring 736,000 at the floor, for a debt of 500,000. The first in the order owed
    all of it: its 184,000 were all that the fund and the pool had back, and he 552,000."""

    def run(fallen: int, sold: tuple[int, int]) -> tuple[int, int, int]:
        b = two_dead(broke_of)
        b.price(fallen, 1_000)
        to_the_floor(b)
        fund, pool = b.cash("fund"), b.nav()
        for lot in sold:
            b.do("buy", "keeper", lot, "all", None, "keeper")
        assert b.auction.view("owed_to_pool") == 0
        return b.cash("mallory"), b.cash("fund") - fund, b.nav() - pool

    for fallen in (0, 1):
        for sold in ((0, 1), (1, 0)):
            his, funds, pools = run(fallen, sold)
            assert close(his, 236_000)
            assert close(funds, 100_000) and close(pools, 400_000)


@pytest.mark.defence(
    AUCTION,
    "            due += to_pool\n",
    "            due += 0 * to_pool\n",
)
def test_liquidity__enter_once_the_worthless_lot_is_sold__pays_for_what_the_other_brings(
    broke_of: Make,
):
    """The lot that owed the debt is sold for 1,840; the other, whose feed is still late, repays 400,000 later: who
    enters in between had a part of that."""
    b = two_dead(broke_of)
    b.kill(1)
    b.price(0, 10)
    to_the_floor(b)
    b.do("buy", "keeper", 0, "all", None, "keeper")
    assert b.auction.view("owed_to_pool") > 399_000 * WAD
    b.do("mint", "bob", 3_000_000 * b.raw)
    before = b.wealth("bob")
    b.do("pool_deposit", "bob", 3_000_000 * b.raw, "bob")
    b.kill(1, "ok")
    to_the_floor(b)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    assert close(b.cash("mallory"), 1_840 + 552_000 - 500_000)
    assert b.wealth("bob") <= before + WAD


@pytest.mark.defence(
    AUCTION,
    "        if surplus == 0 or self._lots[id].row != row:\n",
    "        if surplus == 0 or self._lots[id].row == 0:\n",
)
def test_dead_tokens__of_two_bankrupts__answer_each_for_his_own_debt(broke_of: Make):
    """Mallory's lots lie on both sides of bob's, whose surplus is bob's though she owes."""
    b = broke_of(
        coins=[coin(3_000, **DEEP)],
        credit={"debt_cap": 10**7 * WAD, "debt_ratio_ppm": 950_000, **FREE},
        insurance_cash=0,
        pool_cash=3_000_000,
    )
    for account, debt in (("mallory", 500_000), ("bob", 450_000), ("mallory.1", 500_000)):
        b.back(account, 0, 200 * WAD)
        b.owe(account, debt * WAD, 1)
    b.kill(0)
    b.do("poke_token", "keeper", "coin0")
    b.wait(DAY + 1, fresh=False)
    b.market_price(3_000)
    for account in ("mallory", "bob", "mallory.1"):
        b.do("liquidate", "keeper", account)
    b.kill(0, "ok")
    b.price(0, 2_600)  # 478,400 at the floor
    to_the_floor(b)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    assert close(b.cash("bob"), 28_400)
    for lot in (0, 2):
        b.do("buy", "keeper", lot, "all", None, "keeper")
    assert b.cash("mallory") == b.cash("mallory.1") == 0


# ------------------------------------------------------------------ and no lot takes over what another owes


def test_dead_tokens__lot_that_owes_the_fund_sold_first__costs_the_pool_nothing(broke_of: Make):
    """The lot of a token that fell to 10 owes the fund 400,000, the sound one owes the pool 358,400. Were its dues to
    pass to the sound one, they would be the fund's before the pool's own: whoever paid 1,472 for it took 315,328
    from the pool, and half of that from a claim."""

    def run(first: int) -> tuple[int, int, int]:
        terms = {**DEEP, "maintenance_weight_ppm": 850_000}
        b = broke_of(
            coins=[coin(3_000, **terms), coin(3_000, **terms)],
            credit={"debt_cap": 10**7 * WAD, "debt_ratio_ppm": 950_000, **FREE},
            insurance_cash=400_000,
            pool_cash=3_000_000,
        )
        b.do("mint", "mallory", 3_000_000 * b.raw)
        b.do("pool_deposit", "mallory", 3_000_000 * b.raw, "mallory")
        for id in (0, 1):
            b.back("bob", id, 160 * WAD)
        b.owe("bob", 800_000 * WAD, 1)
        b.do("request", "mallory", "all", "mallory", "mallory")
        for id in (0, 1):
            b.kill(id)
            b.do("poke_token", "keeper", f"coin{id}")
        b.wait(DAY, fresh=False)
        b.market_price(3_000)
        b.market_price(3_000, 1)
        b.do("liquidate", "keeper", "bob")
        for id, price in ((0, 10), (1, 3_000)):
            b.kill(id, "ok")
            b.price(id, price)
        fund, pool = b.cash("fund"), b.nav()
        to_the_floor(b)
        b.do("buy", "keeper", first, "all", None, "keeper")
        claim = b.leave("mallory")
        b.do("buy", "keeper", 1 - first, "all", None, "keeper")
        return claim, b.cash("fund") - fund, b.nav() + claim - pool

    for honest, attack in zip(run(1), run(0), strict=True):
        assert abs(honest - attack) < 10 * WAD


def test_claim__worthless_lot_bought_in_front_of_it__is_not_made_up_from_anothers(broke_of: Make):
    """Were dues to pass to the dust of a sound token that lies with it, they would seem to be worth what all lots of
    that token are: a claim of half had 249,080 of who stayed."""

    def run(attack: bool) -> int:
        terms = {**DEEP, "maintenance_weight_ppm": 850_000}
        b = broke_of(
            coins=[coin(3_000, **terms), coin(3_000, **terms)],
            credit={"debt_cap": 10**7 * WAD, "debt_ratio_ppm": 950_000, **FREE},
            insurance_cash=0,
            pool_cash=2_000_000,
        )
        b.do("mint", "mallory", 3_000_000 * b.raw)
        b.do("pool_deposit", "mallory", 2_000_000 * b.raw, "mallory")
        b.back("bob", 0, 200 * WAD)
        b.back("bob", 1, 10**15)
        b.owe("bob", 500_000 * WAD, 1)
        b.back("alice", 1, 400 * WAD)
        b.owe("alice", 10_000 * WAD, 1)
        b.do("request", "mallory", "all", "mallory", "mallory")
        for id in (0, 1):
            b.kill(id)
            b.do("poke_token", "keeper", f"coin{id}")
        b.wait(25 * HOUR, fresh=False)
        b.market_price(3_000)
        b.market_price(3_000, 1)
        for account in ("bob", "alice"):
            b.do("liquidate", "keeper", account)
        for id, price in ((0, 10), (1, 3_000)):
            b.kill(id, "ok")
            b.price(id, price)
        to_the_floor(b)
        if attack:
            b.do("buy", "mallory", 0, "all", None, "mallory")
        return b.leave("mallory")

    assert run(attack=True) <= run(attack=False)


@pytest.mark.defence(AUCTION, "_opened: transient(uint256)", "_opened: uint256")
def test_dead_tokens__behind_a_row_of_ones_own_dust__repay_all_the_same(broke_of: Make):
    """Lots of another seizure of the same account that lie before them are another debt's: were they counted, sixteen at
    most, the second of two real ones would be out of the first one's reach, and 315,985 the debtor's."""
    terms = {**DEEP, "maintenance_weight_ppm": 850_000}
    b = broke_of(
        coins=[coin(3_000, **terms) for _ in range(15)],
        credit={"debt_cap": 10**7 * WAD, "debt_ratio_ppm": 950_000, **FREE},
        insurance_cash=0,
        pool_cash=3_000_000,
    )
    for tokens, amount, debt in ((range(15), 10**15, 10), ((0, 1), 200 * WAD, 500_000)):
        b.do("refresh", "keeper")
        for id in tokens:
            b.back("mallory", id, amount)
        b.owe("mallory", debt * WAD, 1)
        for id in tokens:
            b.kill(id)
            b.do("poke_token", "keeper", f"coin{id}")
        b.wait(DAY, fresh=False)
        b.market_price(3_000)
        b.market_price(3_000, 1)
        b.do("liquidate", "keeper", "mallory")
        for id in range(15):
            b.kill(id, "ok")
            b.price(id, 3_000)
    b.price(0, 1_000)
    pool = b.nav()
    to_the_floor(b)
    for lot in (15, 16):
        b.do("buy", "keeper", lot, "all", None, "keeper")
    assert close(b.nav() - pool, 500_000)
    assert close(b.cash("mallory"), 236_000)


@pytest.mark.defence(AUCTION, "last = self._is_gone(other)", "last = True")
def test_write_off__of_dust_that_died_long_since__is_not_of_what_a_sound_one_repays(broke_of: Make):
    """What a sold lot owes the pool is the fund's only once no lot of its seizure may bring it: with dust of a token
    that has been dead for a month anybody took 316,000 from the pool, for nothing."""
    terms = {**DEEP, "maintenance_weight_ppm": 850_000}
    b = broke_of(
        coins=[coin(3_000, **terms) for _ in range(3)],
        credit={"debt_cap": 10**7 * WAD, "debt_ratio_ppm": 950_000, **FREE},
        insurance_cash=0,
        pool_cash=3_000_000,
    )
    b.back("bob", 0, 10**15)
    for id in (1, 2):
        b.back("bob", id, 200 * WAD)
    b.owe("bob", 500_000 * WAD, 1)
    for id in range(3):
        b.kill(id)
        b.do("poke_token", "keeper", f"coin{id}")
    b.wait(DAY, fresh=False)
    b.market_price(3_000)
    b.market_price(3_000, 1)
    b.do("liquidate", "keeper", "bob")
    for id, price in ((1, 1_000), (2, 3_000)):
        b.kill(id, "ok")
        b.price(id, price)
    for _ in range(31):
        b.wait(DAY)
        for lot in range(3):
            b.attempt("tick", "keeper", lot)
    fund, pool = b.cash("fund"), b.nav()
    b.do("mint", "keeper", 10**7 * b.raw)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    b.do("write_off", "mallory", 0)
    b.do("buy", "keeper", 2, "all", None, "keeper")
    assert close(b.nav() - pool, 499_997)
    assert close(b.cash("fund") - fund, 3)  # of the dust


# ------------------------------------------------------------------ what an entry pays for them


def seized(broke_of: Make, amounts: tuple[int, ...], debt: int, fund: int = 0) -> Broke:
    """Bob's, dead at 3,000 and still so."""
    terms = {**DEEP, "maintenance_weight_ppm": 850_000}
    b = broke_of(
        coins=[coin(3_000, **terms) for _ in amounts],
        credit={"debt_cap": 10**7 * WAD, "debt_ratio_ppm": 950_000, **FREE},
        insurance_cash=fund,
        pool_cash=3_000_000,
    )
    for id, amount in enumerate(amounts):
        b.back("bob", id, amount * WAD)
    b.owe("bob", debt * WAD, 1)
    for id in range(len(amounts)):
        b.kill(id)
        b.do("poke_token", "keeper", f"coin{id}")
    b.wait(DAY, fresh=False)
    b.market_price(3_000)
    b.market_price(3_000, 1)
    b.do("liquidate", "keeper", "bob")
    b.do("mint", "keeper", 10**7 * b.raw)
    return b


def enter(b: Broke, quote: int) -> None:
    b.do("mint", "mallory", quote * b.raw)
    b.do("pool_deposit", "mallory", quote * b.raw, "mallory")


def alive(b: Broke, id: int, price: int) -> None:
    b.kill(id, "ok")
    b.price(id, price)


@pytest.mark.defence(AUCTION, "due = max(due, was - min(was, falls))", "due = max(due, 0)")
def test_liquidity__tick_at_a_price_that_is_low_for_a_block__makes_no_entry_cheap(broke_of: Make):
    """Of a sold lot 408,000 are awaited of another, whose feed tells 10 for a block and fails again: whoever ticks then
    and enters with 27m had 364,363 of it."""
    b = seized(broke_of, (200, 200), 500_000)
    alive(b, 0, 500)
    b.do("buy", "keeper", 0, "all", None, "keeper")
    before = b.auction.view("owed_to_pool")
    alive(b, 1, 10)
    b.do("tick", "mallory", 1)
    b.kill(1)
    assert b.auction.view("owed_to_pool") == before
    enter(b, 27_000_000)
    alive(b, 1, 3_000)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    assert b.wealth("mallory") < 27_000_001 * WAD


@pytest.mark.defence(
    AUCTION,
    "to_pool = min(spare, to_pool - min(brings[step] - covered, to_pool))",
    "to_pool = 0 * min(spare, to_pool - min(brings[step] - covered, to_pool))",
)
def test_liquidity__enter_where_the_pool_is_repaid_before_the_fund__pays_for_it(broke_of: Make):
    """Written off, what the second of three lacks is the fund's, and the first, sold short after that, the pool's: the
    third repays that one first. Reckoned the other way round, an entry of 27m had 127,137 of it."""
    b = seized(broke_of, (200, 200, 120), 900_000)
    alive(b, 1, 1_000)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    b.wait(31 * DAY)
    b.do("write_off", "mallory", 2)
    for id, price in ((0, 1_000), (2, 3_000)):
        alive(b, id, price)
    to_the_floor(b)
    b.do("buy", "keeper", 0, "all", None, "keeper")
    enter(b, 27_000_000)
    b.do("buy", "keeper", 2, "all", None, "keeper")
    assert b.wealth("mallory") < 27_000_001 * WAD


@pytest.mark.defence(
    AUCTION,
    "to_insurance = min(spare, to_insurance - covered)",
    "to_insurance = 0 * min(spare, to_insurance - covered)",
)
def test_liquidity__enter_beside_a_worthless_lot_that_owes_the_fund__does_not_pay_for_it(
    broke_of: Make,
):
    """It is for sale, fell to 10, and is repaid 552,000 before the pool, which lacks 264,000 of a sold one: an entry of 3m
    lost 113,034 for what could not come."""
    b = seized(broke_of, (200, 200, 100), 1_000_000, fund=552_000)
    for id, price in ((0, 10), (1, 1_000)):
        alive(b, id, price)
    to_the_floor(b)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    assert close(b.lot(1).to_pool, 264_000)
    enter(b, 3_000_000)
    alive(b, 2, 3_000)
    for lot in (0, 2):
        b.do("buy", "keeper", lot, "all", None, "keeper")
    assert b.wealth("mallory") > 2_999_999 * WAD
