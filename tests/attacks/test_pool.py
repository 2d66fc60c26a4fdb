"""E. The pool and its shares (69 to 81), and whoever leaves before a loss (51).

What a Clearinghouse can hardly be brought to (a pool at exactly nothing, widths of 96 bits) is told
by a puppet in tests/unit/LiquidityPool/test_extremes.py; operators are in test_exit.py, the gas of a
claim beside others' dust (77) in test_attacks.py beside it.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any

import pytest

from plimsoll.chain import address_of
from plimsoll.client import sub_account
from plimsoll.errors import Reverted
from plimsoll.table import Table, default_table, market
from plimsoll.units import from_wad
from tests.attacks.hostile import SOURCE as HOSTILE
from tests.attacks.hostile import Carrier, Hostile, a_few_markets
from tests.attacks.venue import DAY, Venue, tried
from tests.utils.calls import refusal

D = Decimal
MILLION = 10**6
FLASH = (1 * MILLION, 10 * MILLION, 90 * MILLION)
RAW = D("0.000001")  # of the quote
VIRTUAL = 10**6  # [shares]

NAV_COUNTS_STRAYS = (
    "LiquidityPool.vy",
    "    count: uint256 = staticcall IConfigurator(settings.configurator).market_count()\n",
    """    count: uint256 = staticcall IConfigurator(settings.configurator).market_count()
    known: IClearinghouse.Globals = staticcall CLEARINGHOUSE.globals()
    v.nav += convert((staticcall QUOTE.balanceOf(CLEARINGHOUSE.address) - known.custody) * UNIT, int256)
""",
)
NO_PREMIUM = (
    "LiquidityPool.vy",
    "v.nav -= convert(premium, int256)",
    "v.nav -= 0 * convert(premium, int256)",
)
NO_SPREAD = (
    "LiquidityPool.vy",
    "v.spread += self._up(leg.price * depth * (leg.t1 >> slots.SPREAD), WAD * PPM)",
    "v.spread += 0",
)
PAYOUT = "min(self._worth(amount, v), request.worth * amount // request.shares) // UNIT"
NO_COOLDOWN = (
    "LiquidityPool.vy",
    "self._keep(controller, total, worth, block.timestamp + COOLDOWN)",
    "self._keep(controller, total, worth, block.timestamp)",
)
CLAIM_AS_ASKED = (
    "LiquidityPool.vy",
    PAYOUT,
    "request.worth * amount // request.shares // UNIT",
)
CLAIM_AS_NOW = ("LiquidityPool.vy", PAYOUT, "self._worth(amount, v) // UNIT")


def steep() -> Table:
    """The threat model's market: a price of 100, a scale of a million, a tenth of it for a crowd."""
    shares = {"max_skew_share": D("0.1"), "max_open_interest_share": D("0.1")}
    spec = market("M1", 100, "major", skew_scale=MILLION, im=D("0.2"), mm=D("0.12"), **shares)
    return replace(default_table(), markets=(spec,))


def unfunded(*names: str) -> Table:
    """Default markets where funding stands still."""
    table = default_table()
    return replace(
        table, markets=tuple(replace(table.spec(name), max_velocity=D(0)) for name in names)
    )


def crowd(venue: Venue, trader: Any, part: str = "1") -> dict[str, D]:
    """A trader takes `part` of each market's greatest skew; his sizes."""
    venue.client.deposit(4 * MILLION, signer=trader)
    sizes = {spec.name: D(part) * spec.max_skew for spec in venue.system.table.markets}
    for name, size in sizes.items():
        venue.client.trade(name, size, signer=trader, slippage=None)
    return sizes


# ------------------------------------------------------------------ inflation (69)


@pytest.mark.defence(*NAV_COUNTS_STRAYS)
@pytest.mark.defence(
    "Clearinghouse.vy", "(account == ledger.POOL and by_peer)", "(account == ledger.POOL)"
)
def test_69__give_the_pool_a_fortune_after_the_first_unit__no_share_moves(venue_of):
    """The first depositor of a vault buys one share, gives the vault a fortune, and the next deposit
    rounds to nothing (Flat Money, sherlock 2023-12 #190; Velar, sherlock 2024-08 #85).

    Tokens sent here are nobody's, and nobody but the pool pays into the pool's account."""
    for first in (RAW, D(1)):
        for gift in (D(10**11), D(MILLION), D(1), RAW):
            venue = venue_of(seed=False)
            attacker, victim, token = venue.attacker, venue.victim, venue.token
            pool, house = address_of(venue.pool), address_of(venue.house)
            venue.system.provide(attacker, first + 3 * gift, venue.house)
            before = venue.wealth(attacker)
            venue.enter(attacker, first)
            raw = venue.system.raw(gift)
            venue.send(token, "transfer", pool, raw, sender=attacker)
            venue.send(token, "transfer", house, raw, sender=attacker)
            why = venue.tried(venue.house, "deposit", pool, address_of(token), raw, sender=attacker)
            venue.enter(victim, MILLION)
            assert venue.shares_worth(victim) >= MILLION - 2 * RAW
            assert venue.wealth(attacker) <= before - 2 * gift
            assert why == "account: system"


def swell(venue: Venue, left: int) -> Any:
    """A puppet owns the pool, asks for all of it but `left` shares, loses 756 to it in fees, and
    claims: a claim pays no more than when it was asked for, so the fees stay for `left` shares."""
    puppet = venue.puppet()
    me = puppet.address
    venue.send(venue.token, "mint", me, venue.system.raw(1_000), sender=venue.attacker)
    venue.fund(me, 100_000)
    puppet.approve()
    puppet.act((venue.pool, "deposit", venue.system.raw(1_000), me, 0))
    shares = int(venue.view(venue.pool, "balanceOf", me))
    puppet.act((venue.pool, "requestRedeem", shares - left, me, me))
    there_and_back = [puppet.trade("ETH", D("0.45")), puppet.trade("ETH", D("-0.45"))]
    for _ in range(20):
        puppet.act(*there_and_back * 10)
    venue.wait(DAY)
    puppet.act((venue.pool, "redeem", shares - left, me, me, 0))
    return puppet


@pytest.mark.defence(
    "LiquidityPool.vy",
    "VIRTUAL_SHARES: constant(uint256) = 10**6",
    "VIRTUAL_SHARES: constant(uint256) = 1",
)
def test_69__swell_the_last_share_by_losing_to_it__a_victim_loses_a_millionth_of_that(venue_of):
    """The one way to give to the pool is to lose to it, and one share can be left to gain from it.

    810 spent make a share worth 756 millionths: that is what rounding can cost the next one, and the
    attacker's own share of the gift. Without virtual shares it would be 378, of a deposit of 1,399."""
    venue = venue_of(seed=False)
    attacker = swell(venue, 1).address
    spent = 1_000 + 100_000 - venue.wealth(attacker)
    gift = venue.nav()
    venue.system.provide(venue.victim, 2_000, venue.pool)
    for deposit in (D(1_399), D(1_000), D(100), D("0.01")):
        with venue.imagined():
            richer = -venue.wealth(attacker)
            venue.enter(venue.victim, deposit)
            richer += venue.wealth(attacker)
            assert venue.shares_worth(venue.victim) >= deposit - gift / VIRTUAL - RAW
            assert richer <= gift / VIRTUAL
    assert 750 < gift < spent < 850


# ------------------------------------------------------------------ the premium (70)


@pytest.mark.defence(*NO_PREMIUM)
def test_70__push_the_skew_and_leave_with_the_premium__costs_more_than_it_brings(venue_of):
    """Deposit a flash loan's worth, push the skew so that the pool books what the curve charges, take
    a share of that out, and unwind for all of it (GMX's impact pool, sherlock 2023-04 #160).

    NAV owes the premium from the instant it is booked. Measured, a day of funding included, for
    deposits of 1m, 10m and 90m into a pool of 10m: at a skew of a tenth of the scale -119,213,
    -113,403 and -107,721 where the term is; -73,759, +136,597 and +342,279 where it is not. With the
    default ETH market and its cap of a hundredth: -21,619, -19,312, -17,057; without the term -19,791,
    -9,262 and +1,033."""
    for table, name, size in (
        (steep(), "M1", 100_000),
        (steep(), "M1", -100_000),
        (steep(), "M1", 20_000),
        (None, "ETH", 1_340),
        (None, "SOL", -2_660),
    ):
        for flash in reversed(FLASH):
            for enter_first, leave_first in ((True, True), (True, False), (False, True)):
                venue = venue_of(table)
                attacker, client = venue.attacker, venue.client
                client.deposit(4 * MILLION, signer=attacker)
                venue.system.provide(attacker, flash, venue.pool)
                before, others = venue.wealth(attacker), venue.shares_worth(venue.owner)
                if enter_first:
                    venue.enter(attacker, flash)
                client.trade(name, size, signer=attacker, slippage=None)
                if not enter_first:
                    venue.enter(attacker, flash)
                venue.ask(attacker)
                venue.wait(DAY)
                if not leave_first:
                    client.close(name, signer=attacker)
                venue.leave(attacker)
                client.close(name, signer=attacker)
                assert venue.wealth(attacker) < before, (name, size, flash)
                assert venue.shares_worth(venue.owner) >= others
                assert venue.view(venue.pool, "balanceOf", address_of(attacker)) == 0


@pytest.mark.defence(*NO_PREMIUM)
def test_70__flatten_a_crowd_enter_and_let_it_come_back__is_no_richer(venue_of):
    """The same from the other side, and an entry needs no cooldown: in one transaction take the
    premium that the pool holds for a crowd, deposit at what is left, and hand the premium back.

    It also sheds the spread that an entry pays on the skew, which costs more than it saves."""
    for table, name in ((steep(), "M1"), (None, "ETH"), (None, "SOL")):
        for flash in reversed(FLASH):
            for part in ("1", "0.25"):
                venue = venue_of(table)
                sizes = crowd(venue, venue.trader, part=part)
                puppet = venue.puppet()
                me = puppet.address
                venue.fund(me, 4 * MILLION)
                venue.send(venue.token, "mint", me, venue.system.raw(flash), sender=venue.attacker)
                puppet.approve()
                before, others = venue.wealth(me), venue.shares_worth(venue.owner)
                puppet.act(
                    puppet.trade(name, -sizes[name]),
                    (venue.pool, "deposit", venue.system.raw(flash), me, 0),
                    puppet.trade(name, sizes[name]),
                )
                assert venue.wealth(me) < before, (name, flash, part)
                assert venue.shares_worth(venue.owner) >= others


# ------------------------------------------------------------------ known prices (71)


def lag(venue: Venue, flash: int, move: D, side: int) -> tuple[D, D, D]:
    """Enter just before a move that the pool gains from, leave after it as soon as one can.

    Returns:
        The gain, the attacker's part of the crowd's notional, and of its premium [quote].
    """
    spec = venue.system.table.spec("ETH")
    venue.client.deposit(MILLION, signer=venue.trader)
    size = side * spec.max_skew
    venue.client.trade("ETH", size, signer=venue.trader, slippage=None)
    attacker = venue.attacker
    venue.system.provide(attacker, flash, venue.pool)
    venue.wait(60)
    before = venue.wealth(attacker)
    part = D(flash) / (flash + venue.nav())
    venue.enter(attacker, flash)
    venue.prices(ETH=spec.price * (1 - side * move))
    venue.ask(attacker)
    venue.wait(DAY)
    venue.leave(attacker)
    notional = spec.max_skew * spec.price
    premium = notional * spec.max_skew / (2 * spec.skew_scale)
    return venue.wealth(attacker) - before, part * notional, part * premium


@pytest.mark.defence(*NO_SPREAD)
@pytest.mark.parametrize("side", [1, -1])
def test_71__enter_before_a_known_gain__no_gain_within_the_spread_and_only_the_rest_beyond(
    venue_of, side
):
    """A feed lags by up to its threshold; whoever sees the next answer buys a share of the pool before
    it (Perpetual, sherlock 2024-02 #123; GLP's skew, as reported to GMX).

    An entry pays the spread on the whole skew. A move of as much brings nothing but the move's part of
    the premium: 18 of a deposit of 90m. What a greater move brings is bounded by what it is greater by
    (a feed that jumps 1 % at once: 32,740 of 90m), and it is at the pool's risk for a day."""
    spread = default_table().spec("ETH").spread
    for flash in reversed(FLASH):
        for move in (D("0.0002"), D("0.0005"), spread, D("0.002"), D("0.01")):
            gain, notional, premium = lag(venue_of(), flash, move, side)
            seconds = D(1)  # of funding
            assert gain <= notional * (move - spread) + premium * move + seconds, (flash, move)
            if move < spread:
                assert gain < 0


@pytest.mark.defence(*NO_SPREAD)
def test_71__jump_out_of_a_loss_with_a_ripe_claim_and_back__costs_the_spread(venue_of):
    """A claim that is ripe leaves at once: before an answer that costs the pool, and back in after it.

    The way back pays the spread on the skew, so it saves nothing of a move within it. (Leaving pays no
    spread: who leaves for good at an old answer is spared his part of the move.)"""
    for stake in FLASH:
        for move in (D("0.0002"), D("0.0005"), D("0.0009"), D("0.01")):
            venue = venue_of(unfunded("ETH"))
            attacker, spec = venue.attacker, venue.system.table.spec("ETH")
            venue.enter(attacker, stake)
            # Half the greatest skew: the exposure lets all of him out.
            size = spec.max_skew / 2
            venue.client.deposit(MILLION, signer=venue.trader)
            venue.client.trade("ETH", size, signer=venue.trader)
            venue.ask(attacker)
            venue.wait(DAY)
            paths = []
            for jumps in (False, True):
                with venue.imagined():
                    if jumps:
                        venue.leave(attacker)
                        assert venue.shares_worth(attacker) == 0
                    venue.prices(ETH=spec.price * (1 + move))
                    if jumps:
                        venue.enter(attacker, venue.tokens(attacker))
                    paths.append(venue.wealth(attacker))
            stayed, jumped = paths
            notional = size * spec.price * D(stake) / (stake + 10 * MILLION)
            assert jumped - stayed <= max(D(0), notional * (move - spec.spread) * D("1.02")), move
            if move < spec.spread:
                assert jumped < stayed


@pytest.mark.defence(*CLAIM_AS_ASKED)
def test_71__ask_before_a_known_loss__the_claim_bears_it(venue_of):
    """The other way out of a stale price: ask for one's shares at it, and be paid it later."""
    for stake in FLASH:
        for rise in (D("0.001"), D("0.02"), D("0.2")):
            venue = venue_of()
            attacker, spec = venue.attacker, venue.system.table.spec("ETH")
            venue.enter(attacker, stake)
            venue.client.deposit(MILLION, signer=venue.trader)
            venue.client.trade("ETH", spec.max_skew, signer=venue.trader, slippage=None)
            venue.ask(attacker)
            asked = venue.shares_worth(attacker)
            venue.prices(ETH=spec.price * (1 + rise))
            venue.wait(DAY)
            now = venue.shares_worth(attacker)
            venue.leave(attacker)
            seconds = D(1)  # of funding
            assert venue.wealth(attacker) <= min(now + seconds, asked + RAW), (stake, rise)


@pytest.mark.defence(*CLAIM_AS_NOW)
def test_71__claim_on_a_standing_request_at_the_top__pays_what_it_was_asked_at(venue_of):
    """A request that stands would be an option on the pool's best moment of two days."""
    venue = venue_of()
    attacker, spec = venue.attacker, venue.system.table.spec("ETH")
    venue.enter(attacker, 10 * MILLION)
    venue.client.deposit(2 * MILLION, signer=venue.trader)
    venue.client.trade("ETH", spec.max_skew, signer=venue.trader, slippage=None)
    venue.ask(attacker)
    asked = venue.shares_worth(attacker)
    venue.wait(DAY)
    for fall in (D("0.03"), D("0.1"), D("0.2")):
        venue.prices(ETH=spec.price * (1 - fall))
        assert venue.shares_worth(attacker) > asked
        with venue.imagined():
            venue.leave(attacker)
            assert venue.wealth(attacker) <= asked + RAW


@pytest.mark.defence(
    "LiquidityPool.vy",
    "\n        and block.timestamp <= request.claimable_at + CLAIM_WINDOW",
    "",
)
def test_71__keep_a_ripe_claim_for_the_next_crash__it_lapses_after_two_days(venue_of):
    """A claim that stood for ever would be an exit at any time: out at the old answer, before the one
    that costs the pool half a million."""
    venue = venue_of()
    attacker, spec = venue.attacker, venue.system.table.spec("ETH")
    venue.enter(attacker, 10 * MILLION)
    venue.ask(attacker)
    venue.client.deposit(2 * MILLION, signer=venue.trader)
    venue.client.trade("ETH", spec.max_skew, signer=venue.trader, slippage=None)
    venue.wait(DAY)
    with venue.imagined():
        venue.leave(attacker)  # in time it is good
    venue.wait(2 * DAY)
    before = venue.wealth(attacker)
    tried(lambda: venue.leave(attacker))  # the next answer is known and not yet there
    venue.prices(ETH=spec.price * D("1.12"))
    lost = before - venue.wealth(attacker)
    assert lost > 200_000


# ------------------------------------------------------------------ fees around a deposit (72)


@pytest.mark.defence(*NO_COOLDOWN)
def test_72__flash_deposit_around_a_great_trade__cannot_leave_with_its_fee(venue_of):
    """A flash depositor is in the vault for the one transaction that pays it (Velar, sherlock 2024-08
    #94).

    What a trade pays is in the NAV at once, and whoever came for it stays a day: 90m beside 10m have
    their nine tenths, 5,074, and the day's funding, for a day at risk. Liquidity just in time is slow
    here."""
    for flash in FLASH:
        venue = venue_of()
        puppet = venue.puppet()
        me = puppet.address
        spec = venue.system.table.spec("ETH")
        venue.client.deposit(MILLION, signer=venue.trader)
        venue.send(venue.token, "mint", me, venue.system.raw(flash), sender=venue.attacker)
        puppet.approve()
        puppet.act((venue.pool, "deposit", venue.system.raw(flash), me, 0))
        shares = int(venue.view(venue.pool, "balanceOf", me))
        venue.client.trade("ETH", spec.max_skew, signer=venue.trader, slippage=None)
        ask = (venue.pool, "requestRedeem", shares, me, me)
        why = puppet.refusal(ask, (venue.pool, "redeem", shares, me, me, 0))
        assert why == "pool: cooling down"
        assert puppet.refusal(ask, (venue.pool, "withdraw", 1, me, me, 2**256 - 1)) == why
        puppet.act(ask)
        venue.wait(DAY - 10)  # a second each for the feeds and the NAV, and some to spare
        assert puppet.refusal((venue.pool, "redeem", shares, me, me, 0)) == why
        assert venue.tokens(me) == 0
        earned = venue.wealth(me) - flash
        fee = (spec.spread + spec.taker_fee * D("0.8")) * spec.max_skew * spec.price
        part = D(flash) / (flash + 10 * MILLION)
        funding = D("0.0026") * spec.max_skew * spec.price  # at most, in this day
        assert earned <= (fee * D("1.01") + funding) * part


@pytest.mark.defence(*NO_SPREAD)
def test_72__deposit_before_a_crowd_closes__pays_its_spread_first(venue_of):
    """The greatest known payer is a crowd that is about to close. Whoever comes for it pays its spread
    on entering, which is the greater part of what closing pays the pool."""
    for flash in FLASH:
        venue = venue_of()
        attacker, spec = venue.attacker, venue.system.table.spec("ETH")
        venue.client.deposit(MILLION, signer=venue.trader)
        venue.client.trade("ETH", spec.max_skew, signer=venue.trader, slippage=None)
        venue.enter(attacker, flash)
        venue.client.close("ETH", signer=venue.trader)
        gain = venue.wealth(attacker) - flash
        part = D(flash) / (flash + 10 * MILLION)
        fee = spec.taker_fee * D("0.8") * spec.max_skew * spec.price
        assert gain <= part * fee * D("1.01"), flash


# ------------------------------------------------------------------ callbacks (73)

LOCKS = [
    (file, "# pragma nonreentrancy on", "# pragma nonreentrancy off")
    for file in ("Clearinghouse.vy", "LiquidityPool.vy", "modules/share_token.vy")
]
# Nobody's, whatever goes on.
# There is no collateral here, and what is another contract's alone is not for it.
NOT_FOR_IT = {"set_nav", "set_terms", "set_token", "set_credit", "set_calm", "set_share", "permit"}
NOT_FOR_IT |= {"convert_collateral", "poke_token"}


@pytest.mark.defence(*LOCKS[0])
@pytest.mark.defence(*LOCKS[1])
@pytest.mark.defence(*LOCKS[2])
def test_73__call_back_in_the_middle_of_a_transfer__whoever_is_at_work_lets_nothing_in(venue_of):
    """GMX, July 2025, 42m: called back in the middle of a payout, the attacker raised a short whose
    average price was not yet written, and the vault's shares with it.

    The quote token itself tries every function of both contracts, before its balances move and after,
    in everything that moves tokens. Each goes through when nothing is in flight. Two things answer in
    the middle: shares may be approved, handed on and taken back while the Clearinghouse alone pays
    somebody, and the Clearinghouse works while the pool collects what it has not yet looked at."""
    stage = Hostile(venue_of(a_few_markets(), quote=HOSTILE))
    venue = stage.venue
    house = stage.calls("Clearinghouse", views=False)
    pool = stage.calls("LiquidityPool", views=False)
    for name, call in (house | pool).items():
        with venue.imagined():
            why = tried(lambda: stage.act(call))  # noqa: B023
            assert (why is None) == (name not in NOT_FOR_IT), (name, why)
    for carrier in stage.carriers():
        for at_work, calls in ((carrier.house, house), (carrier.pool, pool)):
            with venue.imagined():
                let_in = {name for name, a in stage.inside(carrier, calls).items() if a.success}
            if at_work:
                assert let_in == set(), carrier.name
            elif calls is pool:
                assert let_in == {
                    "approve",
                    "cancelRequest",
                    "setOperator",
                    "transfer",
                    "transferFrom",
                }
            else:
                # Whoever was to be settled is liquidated by then.
                assert let_in == set(house) - NOT_FOR_IT - {"settle"}


@pytest.mark.defence(*LOCKS[0])
@pytest.mark.defence(*LOCKS[1])
def test_73__read_the_pools_worth_in_the_middle_of_a_payout__nobody_is_told(venue_of):
    """Whoever lends against shares reads their worth: what of the pool is told by numbers of the
    Clearinghouse is refused in the middle of either's work. Of the shares themselves the pool tells
    nothing while it is at work, and while the Clearinghouse alone is they do not change."""
    stage = Hostile(venue_of(a_few_markets(), quote=HOSTILE))
    venue = stage.venue
    views = stage.calls("LiquidityPool", views=True)
    worth = ["totalAssets", "valuation", "convertToAssets", "convertToShares", "previewDeposit"]
    worth += ["previewMint", "maxDeposit", "maxMint", "maxRedeem", "maxWithdraw"]
    for carrier in stage.carriers():
        with venue.imagined():
            around = stage.around(carrier, {name: views[name] for name in (*worth, "totalSupply")})
        for name in worth:
            before, middle, after = around[name]
            assert before.success and after.success and not middle.success, (carrier.name, name)
        before, middle, after = around["totalSupply"]
        assert middle.success != carrier.pool
        assert carrier.pool or middle == before == after


@pytest.mark.defence(
    "LiquidityPool.vy",
    """    pulled: uint256 = self._pull(assets)
    v: ILiquidityPool.Valuation = self._value()
    self._check_entry(v)
""",
    """    v: ILiquidityPool.Valuation = self._value()
    self._check_entry(v)
    pulled: uint256 = self._pull(assets)
""",
)
@pytest.mark.defence(
    "LiquidityPool.vy",
    """    v = self._value()
    self._check_entry(v)
    arrived: uint256 = self._pay_in(pulled)
    needed""",
    """    arrived: uint256 = self._pay_in(pulled)
    needed""",
)
def test_73__bring_the_new_price_in_the_middle_of_an_entry__it_is_bought_at_the_new_price(venue_of):
    """The pool is short and the price has fallen by a fifth; whoever may bring the new answer does so
    while the pool collects his deposit, to have entered at the old one."""
    for flash in FLASH:
        venue = venue_of(a_few_markets(), quote=HOSTILE)
        stage = Hostile(venue)
        me = stage.puppet.address
        venue.client.deposit(MILLION, signer=venue.trader)
        venue.client.trade("ETH", 1_340, signer=venue.trader, slippage=None)
        raw = venue.system.raw(flash)
        venue.send(venue.token, "mint", me, raw, sender=venue.attacker)
        fall = stage.puppet.price("ETH", 2_400)
        entries = {
            "deposit": (venue.pool, "deposit", raw, me, 0),
            "mint": (venue.pool, "mint", raw * 10**6 // 2, me, 2**256 - 1),
        }
        for name, entry in entries.items():
            carrier = Carrier(name, entry, skip=0, late=False, house=False, pool=True)
            with venue.imagined():
                stage.puppet.act(fall, entry)
                first = venue.wealth(me)
            why = None
            with venue.imagined():
                try:
                    assert stage.inside(carrier, {"price": fall})["price"].success
                except Reverted as error:
                    why = error.reason
                assert why or venue.wealth(me) <= first + D("0.01"), (name, flash)
            assert why == (None if name == "deposit" else "pool: too little arrived"), name


@pytest.mark.defence(
    "LiquidityPool.vy",
    """    self._check_entry(v)
    arrived: uint256 = self._pay_in(pulled)
    needed""",
    """    arrived: uint256 = self._pay_in(pulled)
    needed""",
)
def test_73__bring_no_price_in_the_middle_of_an_entry__nobody_enters(venue_of):
    """As above; but what comes while the pool collects is out of bounds, and the old price all it knows."""
    venue = venue_of(a_few_markets(), quote=HOSTILE)
    stage = Hostile(venue)
    me, raw = stage.puppet.address, venue.system.raw(1_000)
    venue.client.deposit(MILLION, signer=venue.trader)
    venue.client.trade("ETH", 1_340, signer=venue.trader, slippage=None)
    beyond = stage.puppet.price("ETH", MILLION)
    for name, entry in {
        "deposit": (venue.pool, "deposit", raw, me, 0),
        "mint": (venue.pool, "mint", raw * 10**6 // 2, me, 2**256 - 1),
    }.items():
        carrier = Carrier(name, entry, skip=0, late=False, house=False, pool=True)
        why = None
        with venue.imagined():
            try:
                stage.inside(carrier, {"price": beyond})
            except Reverted as error:
                why = error.reason
        assert why == "pool: a price is not live", name


# ------------------------------------------------------------------ debts (74, 51)


def swim(venue: Venue) -> None:
    """A trader as leveraged as one can be."""
    venue.client.deposit(60_000, signer=venue.trader)
    venue.client.trade("ETH", 300, signer=venue.trader, slippage=None)


def sink(venue: Venue) -> D:
    """The price falls by 15 %; the debt that liquidating him leaves to the pool."""
    venue.prices(ETH=2_550)
    preview = venue.client.preview_liquidation(venue.trader)
    assert preview.debt_to_pool > 70_000
    return preview.debt_to_pool


def uninsured() -> Table:
    return replace(default_table().only("ETH", "SOL"), insurance=D(0))


@pytest.mark.defence(*CLAIM_AS_ASKED)
def test_74__leave_ahead_of_a_bad_debt__once_liquidated_he_bears_his_part(venue_of):
    """Whoever sees an account under water leaves before its debt is booked (Sentiment, sherlock 2024-08
    #61; Elfi 2024-05 #33; 51 and 74).

    Liquidate first: anyone can, and is paid for it. Then the debt is in the claim, whenever it was
    asked for."""
    for stake in FLASH:
        venue = venue_of(uninsured())
        attacker = venue.attacker
        venue.enter(attacker, stake)
        swim(venue)
        debt = sink(venue)
        venue.ask(attacker)
        asked = venue.shares_worth(attacker)
        part = asked / venue.nav()
        venue.client.liquidate(venue.trader, signer=venue.keeper)
        venue.wait(DAY)
        venue.leave(attacker)
        lost = asked - venue.wealth(attacker)
        assert lost >= debt * part * D("0.999"), stake
        # Those who stay bear theirs and not his.
        assert venue.shares_worth(venue.owner) * part <= asked * (1 - part)


def test_74__ask_before_the_fall_that_drowns_a_trader__pays_no_paper_gain(venue_of):
    """What the pool has won on paper after the request is not in the claim, so neither is what of it
    can never be collected: he escapes nothing, though nobody liquidates."""
    for stake in FLASH:
        venue = venue_of(uninsured())
        attacker = venue.attacker
        venue.enter(attacker, stake)
        swim(venue)
        venue.ask(attacker)
        asked = venue.shares_worth(attacker)
        sink(venue)
        assert venue.shares_worth(attacker) > asked
        venue.wait(DAY)
        venue.leave(attacker)
        assert venue.wealth(attacker) <= asked


def test_74__nobody_liquidates_for_a_day__he_escapes_no_more_than_his_part_of_the_debt(venue_of):
    """What is not stopped today: NAV does not foresee the debt of accounts that could be liquidated and
    are not. It takes a whole day in which nobody takes the keeper's reward; it is bounded by the
    leaver's part of the debt (38,206 of 76,840 for half the pool), and a liquidation at any time
    before the claim, by a holder of shares for instance, ends it."""
    for stake in FLASH:
        venue = venue_of(uninsured())
        attacker = venue.attacker
        venue.enter(attacker, stake)
        swim(venue)
        sink(venue)
        venue.ask(attacker)
        part = venue.shares_worth(attacker) / venue.nav()
        venue.wait(DAY)
        debt = venue.client.preview_liquidation(venue.trader).debt_to_pool
        with venue.imagined():
            venue.client.liquidate(venue.trader, signer=venue.keeper)
            venue.leave(attacker)
            bore = venue.wealth(attacker)
        venue.leave(attacker)
        escaped = venue.wealth(attacker) - bore
        assert 0 < escaped <= debt * part * D("1.001"), stake


# ------------------------------------------------------------------ leverage (75)


@pytest.mark.defence("LiquidityPool.vy", "if assets > room:", "if assets > lets_go:")
def test_75__providers_run_before_traders_are_paid__what_stays_pays_a_gain_of_three_fifths(
    venue_of,
):
    """The pool is drained below what its positions may cost, and winners are not paid (Elfi, sherlock
    2024-05 #72; Flat Money 2023-12 #196).

    A claim leaves at least exposure / max_pool_leverage behind: two thirds of what traders hold."""
    for rise in (D("0.6"), D("0.35"), D("0.1")):
        venue = venue_of()
        sizes = crowd(venue, venue.trader)
        venue.ask(venue.owner)
        venue.wait(DAY)
        who = address_of(venue.owner)
        shares = int(venue.view(venue.pool, "request_of", who).shares)
        why = venue.tried(venue.pool, "redeem", shares, who, who, 0, sender=venue.owner)
        venue.leave(venue.owner) if why else None
        prices = {spec.name: spec.price * (1 + rise) for spec in venue.system.table.markets}
        venue.prices(**prices)
        for name in sizes:
            venue.client.close(name, signer=venue.trader)
        owed = venue.client.account(venue.trader).cash
        assert owed > 4 * MILLION + rise * 8 * MILLION
        venue.client.withdraw(owed.quantize(RAW, ROUND_FLOOR), signer=venue.trader)
        assert owed - venue.tokens(venue.trader) < RAW
        assert why == "pool: exposure too high"


def test_75__add_to_the_exposure_before_the_pool_tells_of_its_loss__until_anyone_refreshes(
    venue_of,
):
    """The exposure is capped by the NAV that the Clearinghouse last heard of, up to a day old. A loss
    since then counts from the first `refresh`, which is anyone's."""
    table = default_table().only("BTC", "ETH")
    venue = venue_of(replace(table, pool=replace(table.pool, seed=D(4 * MILLION))))
    client = venue.client
    for who in (venue.trader, venue.attacker):
        client.deposit(MILLION, signer=who)
    client.trade("BTC", 60, signer=venue.trader, slippage=None)
    venue.prices(BTC=90_000)
    client.trade("ETH", 100, signer=venue.attacker)
    known = client.pool().known_nav
    assert venue.nav() < D("0.6") * known
    assert client.pool().exposure <= D("1.5") * known
    venue.send(venue.pool, "refresh", sender=venue.stranger)
    why = refusal(lambda: client.trade("ETH", 1, signer=venue.attacker))
    assert why == "caps: pool exposure"
    client.trade("ETH", -50, signer=venue.attacker)


def test_75__claim_before_anyone_has_poked_a_rise__leverage_is_over_by_no_more_than_the_rise(
    venue_of,
):
    """What has to stay is measured by the exposure of each market's last fill. Whoever runs from a rise
    lets nobody poke first: after 30 % the pool is left with 1.95 times its worth, not 1.5.

    A poke before the claim, which anyone can make, counts the rise, and nobody leaves."""
    for rise in (D("0.1"), D("0.3")):
        for poked in (False, True):
            venue = venue_of()
            crowd(venue, venue.trader)
            venue.ask(venue.owner)
            venue.wait(DAY, fresh=False)
            start = {spec.name: spec.price for spec in venue.system.table.markets}
            venue.prices(**{name: price * (1 + rise) for name, price in start.items()})
            if poked:
                venue.system.poke()
            leaves = venue.view(venue.pool, "maxRedeem", address_of(venue.owner)) != 0
            if leaves:
                venue.leave(venue.owner)
            venue.system.poke()
            pool, limit = venue.client.pool(), venue.system.table.max_pool_leverage
            assert pool.exposure / pool.nav <= limit * (1 + rise)
            if poked:
                assert not leaves or pool.exposure / pool.nav <= limit
                assert leaves == (rise == D("0.1"))


# ------------------------------------------------------------------ other people's shares (76)


@pytest.mark.defence(
    "LiquidityPool.vy", "        share_token._spend(owner, msg.sender, shares)", "        pass"
)
@pytest.mark.defence(
    "LiquidityPool.vy",
    "if msg.sender != controller and not self.isOperator[controller][msg.sender]:",
    "if False:",
)
def test_76__redeem_claim_or_cancel_for_another__none_of_his_shares_move(venue_of):
    """A vault that gives `withdraw` a body of its own and forgets the allowance (a vault of real-world
    assets, April 2026): anyone redeems anyone's shares to himself."""
    venue = venue_of()
    attacker, victim, pool = venue.attacker, venue.victim, venue.pool
    me, him = address_of(attacker), address_of(victim)
    venue.enter(victim, MILLION)
    shares = int(venue.view(pool, "balanceOf", him))
    venue.send(pool, "requestRedeem", shares // 2, him, him, sender=victim)
    venue.enter(attacker, 1_000)
    venue.wait(DAY)
    before, his = venue.wealth(attacker), venue.shares_worth(victim)
    some = shares // 4
    reasons = {
        call[0]: venue.tried(pool, *call, sender=attacker)
        for call in (
            ("requestRedeem", some, me, him),
            ("redeem", some, me, him, 0),
            ("withdraw", 1_000, me, him, 2**256 - 1),
            ("cancelRequest", me, him),
            ("transferFrom", him, me, some),
        )
    }
    venue.ask(attacker)
    venue.wait(DAY)
    venue.leave(attacker)
    assert venue.wealth(attacker) <= before
    assert venue.shares_worth(victim) >= his
    assert reasons["requestRedeem"] == reasons["transferFrom"] == "shares: allowance too low"
    assert set(reasons.values()) == {"shares: allowance too low", "pool: not your request"}


# ------------------------------------------------------------------ the end of a pool (78)


@pytest.mark.defence(
    "LiquidityPool.vy",
    "return v.nav < 0 or (v.nav == 0 and share_token.totalSupply != 0)",
    "return False",
)
def test_78__buy_a_dead_pool_for_a_song__nobody_enters_until_it_has_recovered(venue_of):
    """A vault at zero sells its shares at zero, and its buyer owns the recovery (Polynomial, c4 2023-03
    H-06; Flat Money 2023-12 #187)."""
    for price in (D(1), D(1_000), D(MILLION)):
        venue = venue_of()
        attacker = venue.attacker
        crowd(venue, venue.trader)
        start = {spec.name: spec.price for spec in venue.system.table.markets}
        venue.prices(**{name: p * D("2.3") for name, p in start.items()})
        assert venue.nav() < -MILLION
        venue.system.provide(attacker, price, venue.pool)
        before = venue.wealth(attacker)
        why = venue.tried(
            venue.pool,
            "deposit",
            venue.system.raw(price),
            address_of(attacker),
            0,
            sender=attacker,
        )
        venue.prices(**{name: p * D("1.5") for name, p in start.items()})
        assert venue.nav() > 4 * MILLION
        assert venue.wealth(attacker) <= before, price
        assert why == "pool: no equity"
        venue.enter(attacker, price)
        assert venue.wealth(attacker) <= before


def test_78__buy_what_is_left_of_a_pool__pays_what_it_is_worth(venue_of):
    """At a hundredth of its worth a share is cheap, and worth as little: nobody is diluted."""
    for price in (D(1_000), D(MILLION), D(30 * MILLION)):
        venue = venue_of(unfunded("BTC", "ETH", "SOL", "LINK"))
        crowd(venue, venue.trader)
        start = {spec.name: spec.price for spec in venue.system.table.markets}
        venue.prices(**{name: p * D("2.12") for name, p in start.items()})
        left = venue.nav()
        assert 0 < left < 200_000
        spread = from_wad(int(venue.view(venue.pool, "valuation").spread))
        assert 26_000 < spread < 130_000  # a pool near its margin asks for the premium, too
        venue.enter(venue.attacker, price)
        assert venue.shares_worth(venue.attacker) < price
        assert venue.shares_worth(venue.owner) >= left - D("0.01")
        # What an entry pays them is at most the spread on the crowd, and its premium.
        assert venue.shares_worth(venue.owner) <= left + spread


# ------------------------------------------------------------------ rounding (79)


@pytest.mark.defence(
    "LiquidityPool.vy",
    "return assets * UNIT * (share_token.totalSupply + VIRTUAL_SHARES) // (self._assets(v) + v.spread + v.due + UNIT)",
    "return self._up(assets * UNIT * (share_token.totalSupply + VIRTUAL_SHARES), self._assets(v) + v.spread + v.due + UNIT)",
)
@pytest.mark.defence(
    "LiquidityPool.vy",
    """    return self._up(
        amount * (self._assets(v) + v.spread + v.due + UNIT), (share_token.totalSupply + VIRTUAL_SHARES) * UNIT
    )""",
    """    return (
        amount * (self._assets(v) + v.spread + v.due + UNIT) // ((share_token.totalSupply + VIRTUAL_SHARES) * UNIT)
    )""",
)
@pytest.mark.defence(
    "LiquidityPool.vy",
    PAYOUT,
    f"self._up({PAYOUT.removesuffix(' // UNIT')}, UNIT)",
)
@pytest.mark.defence(
    "LiquidityPool.vy",
    "self._up(wanted * (share_token.totalSupply + VIRTUAL_SHARES),"
    " convert(self._stays(v), uint256) + UNIT)",
    "wanted * (share_token.totalSupply + VIRTUAL_SHARES) // (convert(self._stays(v), uint256) + UNIT)",
)
def test_79__cycles_of_odd_amounts_where_a_share_is_dear__not_a_unit_is_gained(venue_of):
    """A vault that rounds for whoever calls it is drained a unit at a time (Unstoppable, sherlock
    2023-06 #37; Balancer, November 2025, 120m).

    The pool is swollen first, to 756 raw units a share, so that each rounding is worth that much.
    (tests/unit/LiquidityPool/test_properties.py does the same at ordinary prices, with trades.)"""
    seen: Counter[str] = Counter()
    for seed in range(6):
        moving = seed % 2  # the price, for the NAV to move between a request and its claim
        venue = venue_of(unfunded("ETH"), seed=False)
        puppet = swell(venue, 3)
        puppet.act(puppet.trade("ETH", D("0.2")))
        attacker, pool, dice = venue.attacker, venue.pool, random.Random(seed)
        me = address_of(attacker)
        venue.system.provide(attacker, 5_000, pool)
        tokens = venue.tokens(attacker)

        def share(venue: Venue = venue) -> Fraction:
            supply = int(venue.view(venue.pool, "totalSupply")) + VIRTUAL
            return Fraction(int(venue.view(venue.pool, "valuation").nav) + 10**12, supply)

        for _ in range(40):
            if moving:
                venue.prices(ETH=dice.randrange(2_900, 3_100))
            before = share()
            amount = dice.choice([1, dice.randrange(1, 3_000), dice.randrange(1, 10**9)])
            held = int(venue.view(pool, "balanceOf", me))
            asked = venue.view(pool, "request_of", me)
            calls = [
                ("deposit", (amount, me, 0)),
                ("mint", (max(amount // 800, 1), me, 2**256 - 1)),
                ("requestRedeem", (dice.randrange(held + 1), me, me)),
                ("withdraw", (min(amount, int(asked.worth) // 10**12), me, me, 2**256 - 1)),
                ("redeem", (dice.randrange(int(asked.shares) + 1), me, me, 0)),
            ]
            if asked.shares and venue.chain.now < asked.claimable_at:
                venue.wait(DAY)
            name, arguments = dice.choice(calls)
            why = venue.tried(pool, name, *arguments, sender=attacker)
            seen[name if why is None else f"{name}: {why}"] += 1
            assert share() >= before, (seed, name, arguments)
        venue.ask(attacker) if venue.view(pool, "balanceOf", me) else None
        venue.wait(DAY)
        venue.leave(attacker) if venue.view(pool, "maxRedeem", me) else None
        assert moving or venue.tokens(attacker) + venue.shares_worth(attacker) <= tokens, seed
    assert all(seen[name] >= 5 for name in ("deposit", "mint", "requestRedeem", "withdraw"))
    assert seen["redeem"] >= 5


# ------------------------------------------------------------------ other tokens (80)


@pytest.mark.defence(*NAV_COUNTS_STRAYS)
def test_80__tokens_that_only_lie_there__are_neither_counted_nor_paid(venue_of):
    """A vault that counts what somebody sent it, and pays it out beside what it owes (a vault drained
    in June 2026). Another token, or the quote itself, sent to either contract: no share moves, a claim
    pays what it would have paid, and the strays stay where they are."""
    for stray in (D(1), D(MILLION), D(10**9)):
        venue = venue_of()
        attacker, pool, house = venue.attacker, address_of(venue.pool), address_of(venue.house)
        venue.enter(attacker, MILLION)
        other = venue.chain.deploy("TokenMock", "Other", "O", 18, sender=venue.stranger)
        worth = venue.shares_worth(attacker), venue.nav()
        for token in (other, venue.token):
            for where in (pool, house):
                raw = venue.system.raw(stray)
                venue.send(token, "mint", where, raw, sender=venue.stranger)
        assert (venue.shares_worth(attacker), venue.nav()) == worth, stray
        venue.ask(attacker)
        venue.wait(DAY)
        venue.leave(attacker)
        assert venue.tokens(attacker) == worth[0]
        assert venue.tokens(house) == venue.client.pool().custody + stray
        assert venue.tokens(pool) == stray


# ------------------------------------------------------------------ a whale on both sides (81)


def test_81__owner_of_most_of_the_pool_trades_both_sides__pays_others_more_than_he_earns(venue_of):
    """A whale of the pool trades with himself to raise what it earns (Velar, sherlock 2024-08 #89;
    Perpetual 2024-02 #126).

    There are no utilisation fees to raise: each side pays its own fee, of which the insurance fund's
    part and that of the other owners are lost to him."""
    for stake, least in ((MILLION, D("0.9")), (10 * MILLION, D("0.5")), (990 * MILLION, D("0.05"))):
        for size in (D(13), D(500), D(1_340)):
            venue = venue_of()
            whale, client = venue.attacker, venue.client
            sub = sub_account(whale, 1)
            venue.enter(whale, stake)
            client.deposit(MILLION, signer=whale)
            client.deposit(MILLION, account=sub, signer=whale)
            before = venue.wealth(whale)
            others, fund = venue.shares_worth(venue.owner), venue.insurance()
            traded = D(0)
            for account, delta in ((whale, size), (sub, -size), (sub, size), (whale, -size)):
                done = client.trade("ETH", delta, account=account, signer=whale, slippage=None)
                traded += size * done.price
            lost = before - venue.wealth(whale)
            spec = venue.system.table.spec("ETH")
            paid = traded * (spec.taker_fee + spec.spread)
            gained = venue.shares_worth(venue.owner) - others + venue.insurance() - fund
            assert gained - 2 * RAW <= lost <= gained + D("0.01")
            assert lost >= least * paid
