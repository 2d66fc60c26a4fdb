"""A bankrupt's dead tokens are each a lot, and all of them answer for his debt: whatever he put in front, whichever
has its price back first, and whichever is sold first, he has no more than what is left once it is repaid.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.utils.backed import DAY, coin
from tests.utils.broke import FREE, WAD, Broke, close

Make = Callable[..., Broke]
AUCTION = "CollateralAuction.vy"
DEEP = {"scale": 10**7 * WAD}
KNOWN = "max(held.price, held.stable)", "held.price"  # of a dead token
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


def venue(broke_of: Make, tokens: int, fund: int = 0) -> Broke:
    """Tokens at 3,000, debt without interest, and a pool of 3m."""
    terms = {**DEEP, "maintenance_weight_ppm": 850_000}
    return broke_of(
        coins=[coin(3_000, **terms) for _ in range(tokens)],
        credit={"debt_cap": 10**7 * WAD, "debt_ratio_ppm": 950_000, **FREE},
        insurance_cash=fund,
        pool_cash=3_000_000,
    )


def owing(b: Broke, account: str, debt: int, amounts: dict[int, float]) -> None:
    """So much of each token behind a debt [quote]."""
    b.do("refresh", "keeper")
    for id, amount in amounts.items():
        b.back(account, id, round(amount * WAD))
    b.owe(account, debt * WAD, 1)


def seized(broke_of: Make, debt: int, amounts: dict[int, float], fund: int = 0) -> Broke:
    """Bob's tokens, which died and are dead."""
    b = venue(broke_of, len(amounts), fund)
    owing(b, "bob", debt, amounts)
    b.bury(amounts, "bob")
    b.do("mint", "keeper", 10**7 * b.raw)
    return b


def lends(b: Broke, quote: int) -> None:
    """Mallory's, to the pool."""
    b.do("mint", "mallory", quote * b.raw)
    b.do("pool_deposit", "mallory", quote * b.raw, "mallory")


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
        b = seized(broke_of, 500_000, {0: 200, 1: 200}, fund=100_000)
        b.revive({fallen: 1_000, 1 - fallen: 3_000})
        to_the_floor(b)
        fund, pool = b.cash("fund"), b.nav()
        for lot in sold:
            b.do("buy", "keeper", lot, "all", None, "keeper")
        assert b.auction.view("owed_to_pool") == 0
        return b.cash("bob"), b.cash("fund") - fund, b.nav() - pool

    for fallen in (0, 1):
        for sold in ((0, 1), (1, 0)):
            his, funds, pools = run(fallen, sold)
            assert close(his, 236_000)
            assert close(funds, 100_000) and close(pools, 400_000)


@pytest.mark.defence(
    AUCTION,
    "            shares[1] += to_pool\n",
    "            shares[1] += 0 * to_pool\n",
)
def test_liquidity__enter_once_the_worthless_lot_is_sold__pays_for_what_the_other_brings(
    broke_of: Make,
):
    """The lot that owed the debt is sold for 1,840; the other, whose feed is still late, repays 400,000 later: who
    enters in between had a part of that."""
    b = seized(broke_of, 500_000, {0: 200, 1: 200}, fund=100_000)
    b.revive({0: 10})
    to_the_floor(b)
    b.do("buy", "keeper", 0, "all", None, "keeper")
    assert b.auction.view("owed_to_pool") > 399_000 * WAD
    lends(b, 3_000_000)
    b.revive({1: 3_000})
    to_the_floor(b)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    assert close(b.cash("bob"), 1_840 + 552_000 - 500_000)
    assert b.wealth("mallory") < 3_000_001 * WAD


@pytest.mark.defence(
    AUCTION,
    "        if surplus == 0 or self._lots[id].row != row:\n",
    "        if surplus == 0 or self._lots[id].row == 0:\n",
)
def test_dead_tokens__of_two_bankrupts__answer_each_for_his_own_debt(broke_of: Make):
    """Mallory's lots lie on both sides of bob's, whose surplus is bob's though she owes."""
    b = venue(broke_of, 1)
    for account, debt in (("mallory", 500_000), ("bob", 450_000), ("mallory.1", 500_000)):
        owing(b, account, debt, {0: 200})
    b.bury([0], "mallory", "bob", "mallory.1")
    b.revive({0: 2_600})  # 478,400 at the floor
    to_the_floor(b)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    assert close(b.cash("bob"), 28_400)
    for lot in (0, 2):
        b.do("buy", "keeper", lot, "all", None, "keeper")
    assert b.cash("mallory") == b.cash("mallory.1") == 0


# ------------------------------------------------------------------ and no lot takes over what another owes


@pytest.mark.defence(
    AUCTION,
    "        if for_insurance + for_pool != 0 and id != lot:\n",
    "        if for_insurance + for_pool != 0 and id != lot and self._lots[id].sale != 0:\n",
)
def test_dead_tokens__lot_that_owes_the_fund_sold_first__costs_the_pool_nothing(broke_of: Make):
    """The lot of a token that fell to 10 owes the fund 400,000, the sound one owes the pool 358,400. Were its dues to
    pass to the sound one, they would be the fund's before the pool's own: whoever paid 1,472 for it took 315,328
    from the pool, and half of that from a claim."""

    def run(first: int) -> tuple[int, int, int]:
        b = venue(broke_of, 2, fund=400_000)
        lends(b, 3_000_000)
        owing(b, "bob", 800_000, {0: 160, 1: 160})
        b.do("request", "mallory", "all", "mallory", "mallory")
        b.bury((0, 1), "bob")
        b.revive({0: 10, 1: 3_000})
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
        b = venue(broke_of, 2)
        lends(b, 3_000_000)
        owing(b, "bob", 500_000, {0: 200, 1: 0.001})
        owing(b, "alice", 10_000, {1: 400})
        b.do("request", "mallory", "all", "mallory", "mallory")
        b.bury((0, 1), "bob", "alice")
        b.revive({0: 10, 1: 3_000})
        b.do("mint", "mallory", 10_000 * b.raw)
        to_the_floor(b)
        if attack:
            b.do("buy", "mallory", 0, "all", None, "mallory")
        return b.leave("mallory")

    assert run(attack=True) <= run(attack=False)


@pytest.mark.defence(AUCTION, "_opened: transient(uint256)", "_opened: uint256")
def test_dead_tokens__behind_a_row_of_ones_own_dust__repay_all_the_same(broke_of: Make):
    """Lots of another seizure of the same account that lie before them are another debt's: were they counted, sixteen at
    most, the second of two real ones would be out of the first one's reach, and 315,985 the debtor's."""
    b = venue(broke_of, 15)
    for debt, amounts in ((10, dict.fromkeys(range(15), 0.001)), (500_000, {0: 200, 1: 200})):
        owing(b, "mallory", debt, amounts)
        b.bury(amounts, "mallory")
        b.revive(dict.fromkeys(range(15), 3_000))
    b.price(0, 1_000)
    pool = b.nav()
    to_the_floor(b)
    for lot in (15, 16):
        b.do("buy", "keeper", lot, "all", None, "keeper")
    assert close(b.nav() - pool, 500_000)
    assert close(b.cash("mallory"), 236_000)


GONE = "            if other != 0:\n", "            if id == lot:\n"


@pytest.mark.defence(AUCTION, *GONE)
def test_write_off__of_dust_that_died_long_since__is_not_of_what_a_sound_one_repays(broke_of: Make):
    """What lots of one seizure owe the pool is the fund's only once none of them may bring it: with dust of a token that
    has been dead for a month anybody took 316,000 from the pool, for nothing."""
    b = seized(broke_of, 500_000, {0: 0.001, 1: 200, 2: 200})
    b.revive({1: 1_000, 2: 3_000})
    for _ in range(31):
        b.wait(DAY)
        for lot in range(3):
            b.attempt("tick", "keeper", lot)
    pool = b.nav()
    b.do("buy", "keeper", 1, "all", None, "keeper")
    b.attempt("write_off", "mallory", 0)
    b.do("buy", "keeper", 2, "all", None, "keeper")
    assert close(b.nav() - pool, 500_000)


@pytest.mark.defence(AUCTION, *GONE)
def test_write_off__of_a_dead_lot_that_owes_all__waits_for_a_sound_one_that_repays_it(
    broke_of: Make,
):
    """Both were dead for a month, and the one that owes nothing is back: a write-off of the other in front of its sale
    took 550,000 from the pool."""
    b = seized(broke_of, 550_000, {0: 200, 1: 400})
    b.wait(31 * DAY)
    b.revive({1: 3_000})
    b.do("refresh", "keeper")
    pool = b.nav()
    b.attempt("write_off", "mallory", 0)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    assert close(b.nav() - pool, 550_000)


# ------------------------------------------------------------------ what an entry pays for them


@pytest.mark.defence(AUCTION, "max(due[1], least[1])]", "due[1]]")
def test_liquidity__tick_at_a_price_that_is_low_for_a_block__makes_no_entry_cheap(broke_of: Make):
    """Of a sold lot 408,000 are awaited of another, whose feed tells 10 for a block and fails again: whoever ticks then
    and enters with 27m had 364,363 of it."""
    b = seized(broke_of, 500_000, {0: 200, 1: 200})
    b.revive({0: 500})
    b.do("buy", "keeper", 0, "all", None, "keeper")
    before = b.auction.view("owed_to_pool")
    b.revive({1: 10})
    b.do("tick", "mallory", 1)
    b.kill(1)
    assert b.auction.view("owed_to_pool") == before
    lends(b, 27_000_000)
    b.revive({1: 3_000})
    b.do("buy", "keeper", 1, "all", None, "keeper")
    assert b.wealth("mallory") < 27_000_001 * WAD


def fallen(broke_of: Make) -> Broke:
    """What is awaited of a sound lot has fallen with its token, live, while its stable price lags; dust is beside it."""
    b = seized(broke_of, 550_000, {0: 200, 1: 200, 2: 0.001})
    b.revive({0: 10, 1: 3_000, 2: 3_000})
    for id in range(3):
        b.do("poke_token", "keeper", f"coin{id}")
    b.price(1, 10)
    b.wait(7 * DAY)
    b.do("buy", "keeper", 0, "all", None, "keeper")
    return b


@pytest.mark.defence(AUCTION, "= self._reckon(row, False)", "= self._reckon(row, True)")
def test_liquidity__tick_as_the_feed_of_a_fallen_token_is_late__makes_no_entry_dear(broke_of: Make):
    """Ticked in the one block in which its round is too old, a lot that brings 2,000 counted for 545,000, for good: who
    entered with 3m then had 49,000 less."""
    b = fallen(broke_of)
    before = b.auction.view("owed_to_pool")
    b.price(1, 10, DAY + 1)
    b.do("tick", "mallory", 2)
    b.price(1, 10)
    assert b.auction.view("owed_to_pool") == before


@pytest.mark.defence(
    AUCTION, "min(least[1] + (unpaid >> 128), most[1])]", "most[1]]  # whatever was awaited"
)
def test_liquidity__dust_bought_as_the_feed_of_a_fallen_token_is_late__makes_no_entry_dear(
    broke_of: Make,
):
    """The same, by who buys dust of the row whole in that block."""
    b = fallen(broke_of)
    before = b.auction.view("owed_to_pool")
    b.price(1, 10, DAY + 1)
    b.do("buy", "keeper", 2, "all", None, "keeper")
    b.price(1, 10)
    assert b.auction.view("owed_to_pool") <= before


@pytest.mark.parametrize("dust", [False, True])
@pytest.mark.defence(AUCTION, *KNOWN)
def test_liquidity__enter_once_a_feed_died_of_a_price_that_was_wrong__pays_for_the_lot(
    broke_of: Make, dust: bool
):
    """The sound lot's token is at 300 for a block, is poked, and its feed dies, so that nobody can buy it. Hours later
    whoever took another lot of the seizure whole, the worthless one or dust once that is sold, had what is awaited
    reckoned at that price: of an entry of 27m, 393,267."""
    b = seized(broke_of, 500_000, {0: 200, 1: 200, 2: 0.001})
    b.revive({0: 500 if dust else 10, 1: 3_000, 2: 3_000})
    if dust:
        b.do("buy", "keeper", 0, "all", None, "keeper")
    for id in range(3):
        b.do("poke_token", "keeper", f"coin{id}")
    b.price(1, 300)
    b.do("poke_token", "keeper", "coin1")
    b.kill(1)
    b.wait(7_200)
    b.do("buy", "keeper", 2 if dust else 0, "all", None, "keeper")
    lends(b, 27_000_000)
    b.revive({1: 3_000})
    b.do("buy", "keeper", 1, "all", None, "keeper")
    assert b.wealth("mallory") < 27_000_001 * WAD


@pytest.mark.defence(
    AUCTION,
    "spare += brings[step] - min(brings[step], (words",
    "spare += lowest[step] - min(lowest[step], (words",
)
def test_liquidity__enter_beside_a_sound_lot__pays_for_all_that_it_may_bring(broke_of: Make):
    """Sold at the oracle's price it repays 600,000 of a sold one's 550,000, at the floor less: whoever entered with 27m in
    between had 42,407 of the difference."""
    b = seized(broke_of, 1_000_000, {0: 200, 1: 200})
    b.revive({0: 10})
    to_the_floor(b)
    b.do("buy", "keeper", 0, "all", None, "keeper")
    lends(b, 27_000_000)
    b.revive({1: 3_000})
    b.do("tick", "keeper", 1)
    b.wait(1_440)  # at the oracle's price
    b.do("buy", "keeper", 1, "all", None, "keeper")
    assert b.wealth("mallory") < 27_000_001 * WAD


@pytest.mark.defence(
    AUCTION,
    "            if self._lots[id].sale == 0:\n                repaid[2] += for_pool\n",
    "            repaid[2] += for_pool\n",
)
def test_liquidity__half_a_lot_bought_that_repays_one_for_sale__takes_nothing_from_what_is_awaited(
    broke_of: Make,
):
    """While prices are low for a while it repays 102,000, which are no more owed: were they taken from what sold ones
    lack, too, an entry of 27m before the next tick had 89,697 of it."""
    b = seized(broke_of, 800_000, {0: 200, 1: 200, 2: 200})
    b.revive({1: 10})
    to_the_floor(b)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    b.revive({0: 1_000, 2: 1_000})
    owed, pool = b.auction.view("owed_to_pool"), b.nav()
    b.do("buy", "keeper", 2, 100 * WAD, None, "keeper")
    assert close(b.nav() - pool, 102_000)
    assert close(owed - b.auction.view("owed_to_pool"), 102_000)


@pytest.mark.defence(AUCTION, "    if row != 0 and calm:\n", "    if row != 0:\n")
def test_liquidity__tick_at_the_price_that_a_freeze_is_about__makes_no_entry_dear(broke_of: Make):
    """A worthless lot's feed tells 3,000 for a block of it: whoever entered with 3m afterwards lost 171,552 to those who
    were in the pool before."""
    b = seized(broke_of, 550_000, {0: 200, 1: 200})
    b.revive({0: 10, 1: 10})
    to_the_floor(b)
    b.do("buy", "keeper", 0, "all", None, "keeper")
    b.do("freeze", "owner", 3_600)
    b.price(1, 3_000)
    b.do("tick", "mallory", 1)
    b.price(1, 10)
    b.do("unfreeze", "owner")
    b.wait(3_700)
    lends(b, 3_000_000)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    assert b.wealth("mallory") > 2_999_000 * WAD


@pytest.mark.defence(AUCTION, "        left -= to_pool\n", "        left -= 0 * to_pool\n")
def test_liquidity__enter_beside_a_worthless_lot_that_owes_the_pool__pays_for_no_other(
    broke_of: Make,
):
    """It is for sale, counts in full, and is repaid before the 264,000 that a sold one lacks: the third's surplus of
    300,000 comes once."""
    b = seized(broke_of, 1_000_000, {0: 200, 1: 200, 2: 100})
    b.revive({0: 10, 1: 1_000})
    to_the_floor(b)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    assert close(b.lot(1).to_pool, 264_000)
    assert close(b.auction.view("owed_to_pool"), 552_000)


@pytest.mark.defence(
    AUCTION,
    "left -= min(left, to_insurance - covered)",
    "left -= 0 * min(left, to_insurance - covered)",
)
def test_liquidity__enter_beside_a_worthless_lot_that_owes_the_fund__does_not_pay_for_it(
    broke_of: Make,
):
    """It is for sale, fell to 10, and is repaid 552,000 before the pool, which lacks 264,000 of a sold one: an entry of 3m
    lost 113,034 for what could not come."""
    b = seized(broke_of, 1_000_000, {0: 200, 1: 200, 2: 100}, fund=552_000)
    b.revive({0: 10, 1: 1_000})
    to_the_floor(b)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    assert close(b.lot(1).to_pool, 264_000)
    lends(b, 3_000_000)
    b.revive({2: 3_000})
    for lot in (0, 2):
        b.do("buy", "keeper", lot, "all", None, "keeper")
    assert b.wealth("mallory") > 2_999_999 * WAD


# ------------------------------------------------------------------ what they mean for a pool in need


def in_need(broke_of: Make, fund: int = 0) -> Broke:
    """A pool of 700,000 that gave 550,000 for 200 worthless and 200 sound tokens, in that order; at 4,600 its health
    depends on the sound ones."""
    deep = {**DEEP, "maintenance_weight_ppm": 850_000}
    wide = {"skew_scale": 50_000 * WAD, "max_skew": 1_000 * WAD, "max_open_interest": 1_000 * WAD}
    b = broke_of(
        coins=[coin(3_000, **deep) for _ in range(2)],
        credit={"debt_cap": 10**7 * WAD, "debt_ratio_ppm": 950_000, **FREE},
        insurance_cash=fund,
        pool_cash=700_000,
        market=wide,
    )
    owing(b, "mallory.1", 550_000, {0: 200, 1: 200})
    b.bury((0, 1), "mallory.1")
    b.do("refresh", "keeper")
    b.crowd()
    b.do("mint", "keeper", 10**7 * b.raw)
    b.revive({0: 10, 1: 3_000})
    b.market_price(4_600)
    return b


CROSSING = "return [min(at_floor[0], spare - at_worth[1]), at_worth[1]]", "return [0, at_worth[1]]"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.defence(AUCTION, *CROSSING)
def test_deleveraging__while_a_sound_lot_will_repay_a_worthless_one__is_refused(
    broke_of: Make, late: bool
):
    """The lot that owes the pool is not worth it, the other is: whether its feed is live or late, all winners were closed,
    flat, and a second later 548,000 were the pool's."""
    b = in_need(broke_of)
    b.do("tick", "keeper", 0)
    if late:
        b.kill(1)
    assert b.margin()[0] < 0
    assert not b.attempt("deleverage", "mallory", "alice", 0).ok
    b.kill(1, "ok")
    b.price(1, 3_000)
    for lot in (0, 1):
        b.do("buy", "keeper", lot, "all", None, "keeper")
    assert b.margin()[0] > b.margin()[1]


@pytest.mark.defence(
    AUCTION,
    "lowest[step] = brings[step] * held.kept_ppm // PPM",
    "lowest[step] = brings[step]",
)
def test_deleveraging__beside_a_lot_between_its_floor_and_its_worth__is_refused(broke_of: Make):
    """What owes the pool is worth it at the oracle's price, but not at the floor; the other repays the rest. It was neither
    the pool's nor in doubt: winners were closed, flat, though the lots, sold at the floor, left the pool its margin."""
    b = in_need(broke_of)
    b.revive({0: 2_750})
    b.do("tick", "keeper", 0)
    price = 4_600
    while b.margin()[0] >= b.margin()[1]:
        price += 5
        b.market_price(price)
    assert not b.attempt("deleverage", "mallory", "alice", 0).ok
    to_the_floor(b)
    b.market_price(price)
    for lot in (0, 1):
        b.do("buy", "keeper", lot, "all", None, "keeper")
    assert b.margin()[0] > b.margin()[1]


@pytest.mark.defence(
    AUCTION,
    "left -= min(left, to_insurance - covered)",
    "left -= 0 * min(left, to_insurance - covered)",
)
def test_deleveraging__beside_a_lot_whose_surplus_is_the_funds__is_not_in_doubt(broke_of: Make):
    """The worthless lot owes the fund 400,000 before the pool's 150,000, and the other brings 306,000: one tick put 150,000 in
    doubt that nobody owes the pool, and the pool that might have been helped was insolvent 1,100 further up."""
    b = in_need(broke_of, fund=400_000)
    b.revive({0: 10, 1: 1_500})
    b.do("tick", "alice", 0)
    b.kill(1)
    assert b.auction.view("worth")[1] == 0
    price = 4_600
    while b.margin()[0] >= b.margin()[1]:
        price += 10
        b.market_price(price)
    b.do("deleverage", "keeper", "alice", 0)


@pytest.mark.parametrize("sold", [False, True])
@pytest.mark.defence(
    AUCTION,
    "return (by_live, min(by_others, owed - by_live), live, dead)",
    "return (by_live, 0, live, dead)",
)
def test_settlement__while_the_feed_of_a_sound_lot_is_late__waits_for_it(
    broke_of: Make, sold: bool
):
    """The same lots, the worthless one for sale or sold: with the other's feed late for an hour the venue was settled for
    good."""
    b = in_need(broke_of)
    b.do("tick", "keeper", 0)
    if sold:
        b.do("buy", "keeper", 0, "all", None, "keeper")
    b.kill(1)
    b.do("declare", "mallory")
    b.wait(3_600)
    b.market_price(4_600)
    assert not b.attempt("settle_markets", "mallory", [0, 1]).ok
    b.kill(1, "ok")
    b.price(1, 3_000)
    b.do("buy", "keeper", 1, "all", None, "keeper")
    b.do("call_off", "keeper")


@pytest.mark.defence(
    AUCTION,
    "return (by_live, min(by_others, owed - by_live), live, dead)",
    "return (by_live, by_others, live, dead)",
)
def test_deleveraging__tick_while_a_lot_looks_worthless_for_a_block__holds_nothing_up(
    broke_of: Make,
):
    """What another may repay of it is not owed twice once its price is back: 548,000 that nobody owes made a pool in need
    look as if it were in doubt."""
    b = in_need(broke_of)
    b.do("tick", "mallory", 0)
    b.revive({0: 3_000})
    price = 4_600
    while b.margin()[0] >= 0:
        price += 50
        b.market_price(price)
    assert b.auction.view("worth")[1] == 0
    b.do("deleverage", "keeper", "alice", 0)
