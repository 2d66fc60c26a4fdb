"""A. Oracle and execution price (1 to 20).

The cases that need a part which is not built (orders, prices that a caller brings, confidence, the
sequencer's feed, further collateral) have no test here. What a feed of Pyth's does on its own
account, such as passing over an older update, is in ``tests/integration/test_pyth.py``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from plimsoll import slots
from plimsoll.chain import address_of
from plimsoll.fuzz.artifacts import CONTRACTS
from plimsoll.table import MarketSpec, Table, default_table, market, terms_of
from plimsoll.units import MAX_UINT, to_wad
from tests.attacks.venue import Venue, tried, without_funding
from tests.utils.calls import refusal

D = Decimal

SPREAD_UNDONE = (
    "Clearinghouse.vy",
    "unsafe_add(leg.t1 >> slots.SPREAD, leg.surge_ppm)",
    "leg.surge_ppm",
)
FLOOR_UNDONE = (
    "modules/prices.vy",
    "elif answer >= 2**96 or told <= min_price or told >= max_price:",
    "elif answer >= 2**96 or told >= max_price:",
)
CEILING_UNDONE = (
    "modules/prices.vy",
    "elif answer >= 2**96 or told <= min_price or told >= max_price:",
    "elif answer >= 2**96 or told <= min_price:",
)


def round_trip(spec: MarketSpec) -> Decimal:
    """What opening and closing costs at one price [fraction of the notional]: the curve gives back
    what it took, spread and fee do not come back."""
    return 2 * (spec.spread + spec.taker_fee)


def post(venue: Venue, name: str, price: Decimal | int | str, at: int | None = None) -> None:
    """A round of a mock feed, of any time."""
    answer = venue.system.table.answer(name, D(price))
    when = venue.chain.now if at is None else at
    venue.send(venue.system.feeds[name], "set_round", answer, when, sender=venue.owner)


def post_raw(venue: Venue, name: str, answer: int) -> None:
    """A round of a mock feed with any answer, now."""
    venue.send(venue.system.feeds[name], "set_answer", answer, sender=venue.owner)


def buy(venue: Venue, name: str, size: Decimal | int, signer: Any = None) -> str | None:
    """Buy (or sell) at any price; why not, if it is refused."""
    who = signer or venue.attacker
    return tried(lambda: venue.client.trade(name, size, slippage=None, signer=who))


def close(venue: Venue, name: str, signer: Any = None) -> str | None:
    """Close whatever there is, at any price; why not, if it is refused."""
    who = signer or venue.attacker
    held = venue.client.account(who).position(name)
    return buy(venue, name, -held.size, who) if held else None


def every_turn(order: int) -> list[int]:
    """Ups and downs, 1 and -1, in which each pattern of `order` moves occurs once: as many turns as
    straight moves, at any scale (a de Bruijn cycle)."""
    seen, moves = {(0,) * order}, [0] * order
    while True:
        for move in (1, 0):
            pattern = (*moves[len(moves) - order + 1 :], move)
            if pattern not in seen:
                seen.add(pattern)
                moves.append(move)
                break
        else:
            return [1 if move else -1 for move in moves]


def live(venue: Venue, name: str) -> bool:
    """Whether a market's price may be used."""
    return venue.client.market(name).price_status == "live"


# ------------------------------------------------------------------ two prices


@pytest.mark.defence(*SPREAD_UNDONE)
@pytest.mark.parametrize("name", ["ETH", "LINK"])
def test_01__two_prices_in_one_transaction__gain_only_past_spread_and_fee_both_ways(venue_of, name):
    """Perpetual, Sherlock 2024-02 #123: enter at one signed price, post the next, leave at it, all in
    one transaction. A push feed gives nobody two prices; where a feed lets anybody choose among
    prices, the choice is worth nothing up to twice spread and fee, and beyond that the difference."""
    venue = venue_of(without_funding(default_table().only("ETH", "LINK")))
    spec = venue.system.table.spec(name)
    puppet, cost = venue.puppet(), round_trip(spec)
    puppet.deposit(1_000_000)

    def gain(size: Decimal, move: Decimal) -> Decimal:
        gained = venue.gains(venue.attacker, puppet)
        puppet.act(
            puppet.trade(name, size),
            puppet.price(name, spec.price * (1 + move if size > 0 else 1 - move)),
            puppet.trade(name, -size),
        )
        venue.prices(**{name: spec.price})
        return gained()

    for share in (D("0.01"), D("0.5"), D(1)):
        size = spec.max_skew * share
        for side in (size, -size):
            for part in (D("0.1"), D("0.5"), D("0.8"), D("0.99")):
                assert gain(side, cost * part) < 0
            # Where the defence ends: at twice the cost there is a gain, of the other half at most.
            assert 0 < gain(side, 2 * cost) < size * spec.price * cost * D("1.02")


@pytest.mark.defence(
    "modules/prices.vy",
    "if updated_at >= touched_at:",
    "if True:",
)
def test_02__aged_answer_older_than_what_is_known__liquidates_nobody(venue):
    """Perennial, Sherlock 2023-07 #44: an older price, committed after a newer one, liquidates whom
    the newer one does not. Here no caller brings a price. What could come back is a feed's aged answer;
    one that is older than the market's last touch is not used, one that is newer is."""
    client, victim, keeper = venue.client, venue.victim, venue.attacker
    client.deposit(25_000, signer=victim)
    client.trade("ETH", 100, signer=victim)
    client.trade("BTC", 2, signer=victim)
    dip = venue.chain.now
    venue.wait(10)
    venue.system.poke("ETH")
    known = venue.chain.now
    assert client.health(victim) > D("1.2")

    for at, down in ((dip, False), (known + 20, True)):
        with venue.imagined():
            venue.wait(60)
            post(venue, "ETH", 2_830, at=at)
            venue.wait(venue.system.table.spec("ETH").max_age + 1, fresh=False)
            venue.prices(BTC=60_000)
            assert client.market("ETH").price_status == "prices: stale"
            gained = venue.gains(keeper)
            reason = tried(lambda: client.liquidate(victim, signer=keeper))
            if down:
                assert reason is None
                assert client.account(victim).position("BTC") is None
                assert gained() == D("245")  # 5 flat, 20 % of 1 % of 120,000
            else:
                assert gained() == 0
                assert reason == "liquidation: account is healthy"
                assert client.account(victim).position("BTC").size == 2


@pytest.mark.defence(
    "modules/prices.vy", "if updated_at >= touched_at:", "if updated_at > touched_at:"
)
def test_02__poke_just_before_the_last_round__does_not_outlive_it(venue):
    """A market is poked, and in the same second its feed brings a lower round and then falls silent.
    Were the poked price kept, a loser could choose by a poke what his dead leg is worth."""
    client, victim = venue.client, venue.victim
    client.deposit(25_000, signer=victim)
    client.trade("ETH", 100, signer=victim)
    client.trade("BTC", 2, signer=victim)
    puppet = venue.puppet()
    poke = (venue.house, "poke", venue.system.market_id("ETH"))
    puppet.act(puppet.price("ETH", 3_000), poke, puppet.price("ETH", 2_830))
    down = client.health(victim)
    assert down < 1
    venue.wait(venue.system.table.spec("ETH").max_age + 1, fresh=False)
    venue.prices(BTC=60_000)
    assert client.market("ETH").price_status == "prices: stale"
    assert client.account(victim).position("ETH").mark_price == 2_830
    assert tried(lambda: client.liquidate(victim, signer=venue.keeper)) is None


def test_03__newer_and_older_rounds_just_before__stop_nobodys_call(venue):
    """Velar, Sherlock 2024-08 #79: whoever front-runs with a slightly newer price makes everybody's
    own update, and the call behind it, revert. Here neither a newer round, nor an older one, nor a
    market touched a moment ago makes a call fail: calls bring no price and demand no order."""
    client, victim = venue.client, venue.victim
    client.deposit(20_000, signer=victim)
    client.trade("ETH", 100, signer=victim)
    puppet = venue.puppet()
    puppet.deposit(50_000)
    feed, eth = venue.system.feeds["ETH"], venue.system.market_id("ETH")
    older = (feed, "set_round", venue.system.table.answer("ETH", D(2_860)), venue.chain.now - 30)
    poke = (venue.house, "poke", eth)
    calls = [
        *(puppet.price("ETH", 2_990), poke, poke),
        *(puppet.price("ETH", 2_991), puppet.trade("ETH", 1), puppet.trade("ETH", -1)),
        *(older, poke, puppet.trade("ETH", 1), puppet.liquidate(victim)),
    ]
    with venue.imagined():
        assert puppet.attempt(*calls) == [None] * len(calls)
    puppet.act(*calls)
    assert client.account(victim).position("ETH") is None


@pytest.mark.defence(*SPREAD_UNDONE)
@pytest.mark.parametrize("name", ["ETH", "LINK"])
def test_05__trading_ahead_of_the_feed__loses_while_the_spread_is_its_deviation(venue_of, name):
    """Synthetix, 2019 to 2021: a feed that moves by its deviation threshold lags the market by as much,
    and immediate fills let whoever sees the market take the difference, a hundred times over. This
    attacker knows each next price; he is in while it goes his way and leaves before it turns."""
    venue = venue_of(without_funding(default_table().only("ETH", "LINK")))
    spec = venue.system.table.spec(name)
    venue.client.deposit(2_000_000, signer=venue.attacker)
    for share in (D("0.01"), D("0.5"), D(1)):
        size, price = spec.max_skew * share, spec.price
        venue.prices(**{name: price})
        gained, held, paid = venue.gains(venue.attacker), 0, D(0)
        for step in every_turn(6):
            if (
                step != held
            ):  # one trade: spread and fee are paid on what is closed and what is opened
                assert buy(venue, name, size * (step - held)) is None
                paid += size * abs(step - held) * price * (spec.spread + spec.taker_fee)
                held = step
            price *= 1 + step * spec.spread
            venue.prices(**{name: price})
        assert close(venue, name) is None
        assert gained() < 0
        assert gained() > -paid  # he was right each time, and paid more for it than it was worth


@pytest.mark.defence(
    "Clearinghouse.vy",
    "if price > limit_price if size_delta > 0 else price < limit_price:",
    "if price == 0:",
)
def test_08__pushed_past_the_limit_or_gapping_below_it__no_fill_past_it_and_none_at_it(venue):
    """GMX, Sherlock 2023-02 #140: orders filled on the wrong side of their limit, or at it when the
    market is better. The limit of a trade is the worst price, not the price: pushed past it by somebody
    who buys first and sells after, the trade is refused; after a gap it fills at the market."""
    client, attacker, victim = venue.client, venue.attacker, venue.victim
    for who in (attacker, victim):
        client.deposit(400_000, signer=who)
    limit = client.preview_trade(victim, "ETH", 600).price * D("1.001")

    with venue.imagined():
        gained = venue.gains(attacker)
        assert buy(venue, "ETH", 700) is None
        reason = tried(lambda: client.trade("ETH", 600, limit=limit, signer=victim))
        assert close(venue, "ETH") is None
        assert gained() < 0
        assert reason == "trade: past limit price"

    venue.prices(ETH=2_700)
    expected = client.preview_trade(victim, "ETH", 600).price
    fill = client.trade("ETH", 600, limit=limit, signer=victim)
    assert fill.price == expected
    assert fill.price < 2_700 * D("1.0035")


# ------------------------------------------------------------------ feeds that fail


@pytest.mark.defence(
    "modules/prices.vy",
    "elif unsafe_sub(block.timestamp, updated_at) <= (t0 >> slots.MAX_AGE) & slots.MASK_20:",
    "elif unsafe_sub(block.timestamp, updated_at) <= max_value(uint256) - 1:",
)
def test_09__selling_at_a_price_a_second_too_old__is_refused(venue_of):
    """Unstoppable, JOJO, Hubble, Zaros: a feed that has stopped is believed, or its heartbeat is taken
    for another's. Each market has its own `max_age`; a second later nothing can be bought or sold at the
    old price, and whoever has a position there withdraws nothing. Deposits go on, other markets too."""
    table = default_table().only("ETH", "LINK")
    table = table.with_market(market("ETH", 3_000, max_age=3_600))
    table = table.with_market(market("LINK", 15, max_age=86_400))
    venue = venue_of(without_funding(table))
    client, attacker, victim = venue.client, venue.attacker, venue.victim
    for who in (attacker, victim, venue.trader):
        client.deposit(300_000, signer=who)
    client.trade("ETH", 100, signer=victim)
    venue.enter(venue.lp, 100_000)
    venue.prices(ETH=3_000, LINK=15)
    posted = venue.chain.now

    venue.chain.advance(3_600)  # the last second at which it counts
    client.trade("ETH", 1, limit=3_100, signer=victim)
    assert venue.chain.now == posted + 3_600

    # The market is at 2,700 by now, the feed still says 3,000.
    gained = venue.gains(attacker)
    reason = buy(venue, "ETH", -1_000)
    assert venue.chain.now == posted + 3_601
    if reason is None:
        venue.prices(ETH=2_700)
        assert close(venue, "ETH") is None
    assert gained() <= 0
    assert reason == "prices: stale"

    stale = "prices: stale"
    assert refusal(lambda: client.trade("ETH", -1, limit=0, signer=victim)) == stale
    assert refusal(lambda: client.withdraw(1, signer=victim)) == "margin: dead leg"
    assert refusal(lambda: client.trade("LINK", 1, limit=20, signer=victim)) == "margin: dead leg"
    eth = venue.system.market_id("ETH")
    assert venue.refusal(venue.house, "poke", eth, sender=attacker) == stale
    not_live = "pool: a price is not live"
    assert refusal(lambda: venue.enter(venue.lp, 1)) == not_live
    assert refusal(lambda: venue.ask(venue.lp)) == not_live
    # What goes on.
    client.deposit(1, signer=victim)
    assert live(venue, "LINK")
    client.trade("LINK", 1_000, signer=venue.trader)
    client.withdraw(1, signer=venue.trader)
    # And everything, once the feed is back.
    venue.prices(ETH=2_700)
    client.trade("ETH", -1, signer=victim)
    venue.enter(venue.lp, 1)
    venue.ask(venue.lp)


@pytest.mark.defence(*FLOOR_UNDONE)
@pytest.mark.defence(*CEILING_UNDONE)
def test_10__answer_pinned_at_a_bound_or_far_past_it__opens_closes_and_liquidates_nothing(venue_of):
    """Venus and Blizz, May 2022: LUNA traded under a cent while Chainlink's feed, at its minAnswer, said
    ten. Moonwell, November 2025: a collateral priced at 5.8m. An answer at a market's bound, or past it,
    is no price: whoever holds the right side cannot cash it, and nobody is liquidated at it."""
    spec = market("LUNA", 1, min_price="0.1", max_price="10")
    venue = venue_of(without_funding(Table(markets=(spec,))))
    client, attacker, accomplice, victim = (
        venue.client,
        venue.attacker,
        venue.accomplice,
        venue.victim,
    )
    for who, size in ((attacker, 50_000), (accomplice, -50_000), (victim, 50_000)):
        client.deposit(60_000, signer=who)
        assert buy(venue, "LUNA", size, who) is None
    bounds = "prices: out of bounds"

    for glitch in (D("0.1"), D("0.00000001"), D(10), D(5_800_000)):
        with venue.imagined():
            gains, lost = [venue.gains(who) for who in (attacker, accomplice)], venue.gains(victim)
            venue.prices(LUNA=glitch)
            tries = [close(venue, "LUNA", who) for who in (attacker, accomplice)]
            tries.append(tried(lambda: client.liquidate(victim, signer=attacker)))
            tries.append(tried(lambda: client.withdraw(1, signer=attacker)))
            tries.append(buy(venue, "LUNA", -1_000, venue.stranger))
            client.deposit(1, signer=venue.trader)
            venue.prices(LUNA=1)
            assert max(gained() for gained in gains) <= 0
            assert lost() == 0
            healthy = "liquidation: account is healthy"
            assert tries == [bounds, bounds, healthy, "margin: dead leg", bounds]

    # A tick inside, it is a price like any other.
    for price in (D("0.10000001"), D("9.99999999")):
        with venue.imagined():
            venue.prices(LUNA=price)
            assert live(venue, "LUNA")
            assert close(venue, "LUNA") is None


@pytest.mark.defence(*FLOOR_UNDONE)
def test_13__feed_that_lacks_a_factor__cannot_be_listed(venue_of):
    """Moonwell, February 2026: the feed of cbETH gave its rate to ETH, 1.12, in place of 2,200 dollars:
    1.78m of bad debt. The bounds, which whoever lists takes from elsewhere, are the check: a feed that
    is not inside them now is not listed."""
    venue = venue_of(without_funding(default_table().only("ETH")))
    spec = market("CBETH", 2_200, "other", min_price="220", max_price="22000")
    right = venue.system.table.with_market(spec).answer("CBETH", D(2_200))
    venue.client.deposit(500_000, signer=venue.attacker)
    puppet_size = to_wad(spec.max_skew, "size")
    account = address_of(venue.attacker)

    def list_at(answer: int) -> Any:
        feed = venue.chain.deploy("FeedMock", 8, answer, sender=venue.owner)
        terms = tuple(terms_of(spec, address_of(feed)))
        venue.send(venue.configurator, "list_market", "CBETH", terms, sender=venue.owner)
        return feed

    def take(feed: Any) -> None:
        """Buy at what it says, sell at what is right."""
        for delta, limit in ((puppet_size, MAX_UINT), (-puppet_size, 0)):
            venue.send(venue.house, "trade", account, 1, delta, limit, sender=venue.attacker)
            venue.send(feed, "set_answer", right, sender=venue.owner)

    gained = venue.gains(venue.attacker)
    with venue.imagined():
        reason = tried(lambda: take(list_at(112_000_000)))
        assert gained() <= 0
        assert reason == "prices: out of bounds"
    take(list_at(right))
    assert gained() < 0


@pytest.mark.parametrize("decimals", [0, 6, 8, 18])
def test_13__any_decimals__give_the_same_fill_and_a_wrong_number_of_them_is_out_of_bounds(
    venue_of, decimals
):
    """Perennial, Sherlock 2023-07 #56: an exponent below zero was taken for one above. The decimals are
    read from the feed at listing. A feed that changes them afterwards is off by a power of ten: by a
    hundred or more too high, by a hundred thousand or more too low, the default bounds refuse it."""
    spec = market("ETH", 3_000, feed_decimals=decimals)
    venue = venue_of(without_funding(Table(markets=(spec,))))
    venue.client.deposit(50_000, signer=venue.attacker)
    fill = venue.client.trade("ETH", 134, signer=venue.attacker)
    assert fill.price == D("3004.5")  # 3,000 * (1 + 0.1 % + 134 / (2 * 134,000))
    for power in (-8, -5, 2, 3, 10):
        answer = int(D(3_000).scaleb(decimals + power))
        post_raw(venue, "ETH", answer)
        assert not live(venue, "ETH")
    post_raw(venue, "ETH", int(D(3_000).scaleb(decimals)))
    assert live(venue, "ETH")


@pytest.mark.defence(
    "modules/prices.vy",
    "            status = convert(reasons.PRICES_NOT_POSITIVE, uint256)\n",
    "            price = 0\n            status = LIVE\n",
)
@pytest.mark.defence(*FLOOR_UNDONE)
def test_14__price_of_zero_or_less__liquidates_nobody_and_pays_nobody(venue):
    """Paradex, 19 January 2026: a migration set prices to zero and liquidated thousands. An answer of
    zero, below zero or of a single digit is no price: longs are valued at the last good one, shorts
    cannot close at it. (A jump that stays inside the bounds is believed at once.)"""
    client, attacker, victim = venue.client, venue.attacker, venue.victim
    for who, size in ((victim, 100), (attacker, -100)):
        client.deposit(30_000, signer=who)
        client.trade("ETH", size, signer=who)
    venue.system.poke("ETH")
    mark = client.account(victim).position("ETH").mark_price
    for answer, why in (
        (0, "prices: not positive"),
        (-1, "prices: not positive"),
        (-3_000 * 10**8, "prices: not positive"),
        (1, "prices: out of bounds"),
    ):
        with venue.imagined():
            gained, lost = venue.gains(attacker), venue.gains(victim)
            post_raw(venue, "ETH", answer)
            reasons = [
                tried(lambda: client.liquidate(victim, signer=attacker)),
                close(venue, "ETH"),
            ]
            venue.prices(ETH=3_000)
            assert gained() <= D("0.01")  # funding of some seconds
            assert lost() >= D("-0.01")
            assert reasons == ["liquidation: account is healthy", why]
            assert client.account(victim).position("ETH").mark_price == mark


# ------------------------------------------------------------------ what counts as collateral


@pytest.mark.defence(
    "LiquidityPool.vy",
    "nav=slots.cash_of(staticcall CLEARINGHOUSE.header(self)),",
    "nav=slots.cash_of(staticcall CLEARINGHOUSE.header(self))"
    " + convert(staticcall QUOTE.balanceOf(self) * UNIT, int256),",
)
@pytest.mark.parametrize("amount", [1, 500_000])
def test_16__donation_to_whatever_backs_an_account__lifts_nothing(venue, amount):
    """LlamaLend's sDOLA market, Venus' wUSDM, Resupply: collateral valued by a share's live ratio, which
    a donation lifts. Shares of the pool are no collateral here, and nothing is valued by a balance:
    tokens sent without a call are nobody's, the donor's loss."""
    client, attacker, house, pool = venue.client, venue.attacker, venue.house, venue.pool
    client.deposit(100_000, signer=attacker)
    client.trade("ETH", 100, signer=attacker)
    venue.enter(attacker, 30_000_000)  # three quarters of the pool
    raw = venue.system.raw(amount)
    venue.send(venue.token, "mint", address_of(attacker), 2 * raw, sender=attacker)
    shares = int(venue.view(pool, "balanceOf", address_of(attacker)))
    reason = venue.refusal(
        house, "deposit", address_of(attacker), address_of(pool), shares, sender=attacker
    )
    assert reason == "ledger: unknown token"

    gained, nav = venue.gains(attacker), venue.nav()
    before = client.account(attacker)
    for receiver in (house, pool):
        venue.send(venue.token, "transfer", address_of(receiver), raw, sender=attacker)
    after = client.account(attacker)
    assert gained() <= -2 * amount + D("0.01")
    assert abs(venue.nav() - nav) < D("0.01")  # funding of two seconds
    assert after.withdrawable <= before.withdrawable
    assert after.buying_power <= before.buying_power


def test_17__another_token_at_par__is_no_collateral_and_buys_no_shares(venue):
    """Perpetual and Velar, 2024; USDe at 0.65 on Binance, 10 October 2025: a second dollar is counted as
    the first while it trades below. There is one token, the unit of account; no other is credited, and
    the pool asks for none."""
    client, attacker = venue.client, venue.attacker
    other = venue.chain.deploy("TokenMock", "Depegged", "USDX", 6, sender=attacker)
    for method, *args in (
        ("mint", address_of(attacker), 10**12),
        ("approve", address_of(venue.house), MAX_UINT),
        ("approve", address_of(venue.pool), MAX_UINT),
    ):
        venue.send(other, method, *args, sender=attacker)
    gained = venue.gains(attacker)
    args = (address_of(attacker), address_of(other), 10**12)
    unknown = "ledger: unknown token"
    assert venue.refusal(venue.house, "deposit", *args, sender=attacker) == unknown
    args = (address_of(attacker), address_of(other), 1, address_of(attacker))
    assert venue.refusal(venue.house, "withdraw", *args, sender=attacker) == unknown
    assert gained() == 0
    assert client.account(attacker).cash == 0
    assert address_of(venue.view(venue.pool, "asset")) == address_of(venue.token)


# ------------------------------------------------------------------ prices that differ or are moved


@pytest.mark.defence(
    "Clearinghouse.vy",
    "initial=unsafe_add(total.initial, im),",
    "initial=max(total.initial, im),",
)
def test_18__only_one_leg_of_a_hedge_updated__takes_more_than_five_per_cent_to_liquidate(venue_of):
    """Elfi, Sherlock 2024-05 #45: a keeper who brings the prices brings only the one that hurts, and
    liquidates a hedged account. Here feeds are read, not brought, but they need not be of one moment.
    Requirements of legs add up and are not netted, so a hedger at his initial margin survives a move of
    one feed by twice im less mm while the other stands still; beyond that he is liquidated."""
    venue = venue_of(without_funding(default_table().only("BTC", "ETH")))
    client, victim, keeper = venue.client, venue.victim, venue.attacker
    client.deposit(100_000, signer=victim)
    client.trade("ETH", 100, signer=victim)
    client.trade("BTC", -5, signer=victim)
    # As little margin as he is let: what is one leg's alone, if he may.
    view = client.account(victim)
    less = view.withdrawable + min(p.initial for p in view.positions).quantize(D(1)) - 1
    if tried(lambda: client.withdraw(less, signer=victim)) is not None:
        client.withdraw(view.withdrawable, signer=victim)

    for fall in (D("0.01"), D("0.03"), D("0.049")):
        with venue.imagined():
            gained = venue.gains(keeper)
            venue.prices(ETH=3_000 * (1 - fall))
            reason = tried(lambda: client.liquidate(victim, signer=keeper))
            assert gained() == 0
            assert reason == "liquidation: account is healthy"
            lost = venue.gains(victim)
            venue.prices(BTC=60_000 * (1 - fall))  # the other feed follows
            assert lost() == 300_000 * fall
    venue.prices(ETH=3_000 * (1 - D("0.052")))
    assert client.liquidate(victim, signer=keeper).debt_to_pool == 0


@pytest.mark.defence(
    "modules/markets.vy",
    "if crowd > t2 & slots.MASK_96:",
    "if crowd > max_value(uint256) - 1:",
)
@pytest.mark.parametrize("jump", [D("0.2"), D("0.5"), D(1)])
def test_19__thin_asset_pumped_by_many_wallets__they_take_the_cap_times_the_jump(venue_of, jump):
    """Mango, October 2022, 116m: MNGO bought up on thin markets, the perpetual's paper profit borrowed
    against. GMX, September 2022: AVAX, through the feed. A feed that follows such a market is believed.
    What it can cost is the market's own cap on the skew, over however many wallets, times the jump."""
    venue = venue_of(without_funding(default_table().only("LINK", "ETH")))
    spec, client = venue.system.table.spec("LINK"), venue.client
    wallets = venue.chain.signers[8:]
    for wallet in wallets:
        client.deposit(8_000, signer=wallet)
    gained, nav, reasons = venue.gains(*wallets), venue.nav(), set()
    for wallet in wallets:
        for size in (2_000, 500, 100, 1):
            while (reason := buy(venue, "LINK", size, wallet)) is None:
                pass
            reasons.add(reason)
    held = client.market("LINK").skew
    assert sum(client.account(w).position("LINK") is not None for w in wallets) > 5
    venue.prices(LINK=spec.price * (1 + jump))
    for wallet in wallets:
        assert close(venue, "LINK", wallet) is None
    notional = spec.max_skew * spec.price
    assert gained() <= notional * jump
    assert nav - venue.nav() <= notional * jump
    assert reasons == {"margin: below initial", "caps: skew"}
    # The bound is no empty one: they had the cap, and take the jump less what it cost them.
    assert held > spec.max_skew * D("0.999")
    assert gained() > notional * (jump - round_trip(spec) * (1 + jump) - D("0.02"))


@pytest.mark.defence(
    "modules/markets.vy",
    "if open_interest > (t2 >> slots.MAX_OPEN_INTEREST) & slots.MASK_96:",
    "if open_interest > max_value(uint256) - 1:",
)
@pytest.mark.parametrize("jump", [D("0.2"), D("0.3"), D("0.6")])
def test_19__matched_pair_before_a_jump__takes_open_interest_times_the_jump_past_the_margin(
    venue_of, jump
):
    """The same with nobody else on the other side: one of the attacker's wallets is long, another as much
    short. The skew is zero; the winner is paid, the loser's debt is the insurance fund's and the pool's.
    It costs them open interest times what the jump exceeds the loser's margin by."""
    venue = venue_of(without_funding(default_table().only("LINK", "ETH")))
    spec, client = venue.system.table.spec("LINK"), venue.client
    long, short = venue.attacker, venue.accomplice
    for who in (long, short):
        client.deposit(400_000, signer=who)
    gained, backed = venue.gains(long, short), venue.nav() + venue.insurance()
    step = spec.max_skew / 4
    while (reason := buy(venue, "LINK", step, long)) is None:
        assert buy(venue, "LINK", -step, short) is None
    for who in (long, short):
        client.withdraw(client.account(who).withdrawable, signer=who)

    for rise in (D("0.1"), jump):  # within the margin, and past it
        with venue.imagined():
            venue.prices(LINK=spec.price * (1 + rise))
            client.liquidate(short, signer=long)  # the pair is its own keeper
            assert close(venue, "LINK", long) is None
            bound = spec.max_open_interest * spec.price * max(D(0), rise - spec.im)
            assert gained() <= bound
            assert backed - venue.nav() - venue.insurance() <= bound
            assert bound == 0 or gained() > bound * D("0.8")
    assert reason == "caps: open interest"


@pytest.mark.defence(
    "modules/markets.vy",
    "if unsafe_mul(carried, 10**6) > unsafe_mul(nav, convert(max_leverage_ppm, int256)):",
    "if carried > max_value(int256) - 1:",
)
def test_19__every_thin_market_pumped_at_once__the_pool_still_pays(venue_of):
    """Caps of single markets add up. What the pool carries in all of them together is at most one and a
    half times its NAV, so a pump of all of them by half leaves it something and everybody is paid;
    without that line this one, of 400k, would owe 600k."""
    names = ("SOL", "LINK", "AVAX")
    table = default_table().only(*names)
    table = without_funding(
        Table(
            markets=table.markets,
            pool=type(table.pool)(seed=D(400_000)),
            insurance=D(1_000),
        )
    )
    venue = venue_of(table)
    client, victim = venue.client, venue.victim
    client.deposit(250_000, signer=victim)
    client.deposit(300_000, signer=venue.attacker)
    gained = venue.gains(venue.attacker)
    reasons = set()
    for name in names:
        step = table.spec(name).max_skew / 20
        while (reason := buy(venue, name, step)) is None:
            pass
        reasons.add(reason)
    assert "caps: skew" in reasons
    venue.prices(**{name: table.spec(name).price * D("1.5") for name in names})
    for name in names:
        assert close(venue, name) is None
    assert gained() <= D("1.5") * D(400_000) / 2
    assert venue.nav() > 0
    for who in (venue.attacker, victim):
        client.withdraw(client.account(who).withdrawable, signer=who)
    assert venue.tokens(victim) == 250_000
    assert "caps: pool exposure" in reasons


# ------------------------------------------------------------------ who may set a price


@pytest.mark.defence(
    "Clearinghouse.vy",
    "if msg.sender != CONFIGURATOR:\n        fixed_point.fail(reasons.ACCESS_CONFIGURATOR_ONLY)",
    "pass",
)
@pytest.mark.defence(
    "Configurator.vy",
    "ownable._check_owner()\n    assert market < self.market_count",
    "assert market < self.market_count",
)
@pytest.mark.defence(
    "Configurator.vy",
    "ownable._check_owner()\n    id: uint256 = self.market_count",
    "id: uint256 = self.market_count",
)
@pytest.mark.parametrize("by_contract", [False, True], ids=["wallet", "contract"])
def test_20__own_feed_put_into_a_market__by_no_way_that_a_stranger_has(venue_of, by_contract):
    """KiloEx, April 2025, 7.5m: the price could be set by whoever came through a forwarder that asked
    nobody's name. The attacker, as a wallet and as a contract, tries to make a feed of his own a market's:
    in the Clearinghouse, in the Configurator, and as a new market. Where he could, he would buy at 3,000
    and sell at 6,000."""
    venue = venue_of(without_funding(default_table().only("ETH")))
    attacker, puppet = venue.attacker, venue.puppet()
    puppet.deposit(300_000)
    venue.client.deposit(300_000, signer=attacker)
    own = venue.chain.deploy("FeedMock", 8, 3_000 * 10**8, sender=attacker)
    who = puppet.address if by_contract else address_of(attacker)

    def send(contract: Any, method: str, *args: Any) -> None:
        if by_contract:
            puppet.act((contract, method, *args))
        else:
            venue.send(contract, method, *args, sender=attacker)

    words = venue.view(venue.house, "market_words", 0)
    t0 = (int(words.t0) >> 160 << 160) | int(address_of(own), 16)
    terms = tuple(venue.terms("ETH")._replace(feed=address_of(own)))
    ways = {
        0: (venue.house, "set_terms", 0, [t0, int(words.t1), int(words.t2)]),
        1: (venue.configurator, "configure_market", 0, terms),
        2: (venue.configurator, "list_market", "MINE", terms),
    }
    gained, reasons = venue.gains(attacker, puppet), []
    for number, way in ways.items():
        with venue.imagined():
            reasons.append(tried(lambda way=way: send(*way)))
            if reasons[-1] is None:
                at = 1 if number == 2 else 0
                send(venue.house, "trade", who, at, 10**21, MAX_UINT)
                send(own, "set_answer", 6_000 * 10**8)
                send(venue.house, "trade", who, at, -(10**21), 0)
            assert gained() <= 0
    owner = "ownable: caller is not the owner"
    assert reasons == ["access: configurator only", owner, owner]
    assert tried(lambda: send(venue.configurator, "transfer_ownership", who)) == owner
    new = "ownable_2step: caller is not the new owner"
    assert tried(lambda: send(venue.configurator, "accept_ownership")) == new
    # The owner can, while nobody has a position.
    venue.configure("ETH", feed=address_of(own))


@pytest.mark.defence(
    "Clearinghouse.vy",
    "if msg.sender != ledger.POOL:\n        fixed_point.fail(reasons.ACCESS_POOL_ONLY)",
    "pass",
)
def test_20__own_word_for_the_pools_nav__is_not_taken(venue_of):
    """The other number that a caller brings: the pool's NAV, which bounds its exposure. Only the pool may
    bring it; whoever else could would let a pool of 100k take the other side of 4m, and pump."""
    table = default_table().only("ETH")
    table = without_funding(
        Table(markets=table.markets, pool=type(table.pool)(seed=D(100_000)), insurance=D(1_000))
    )
    venue = venue_of(table)
    venue.client.deposit(400_000, signer=venue.attacker)
    gained = venue.gains(venue.attacker)
    reason = tried(
        lambda: venue.send(venue.house, "set_nav", to_wad(10**7, "nav"), sender=venue.attacker)
    )
    while buy(venue, "ETH", 5) is None:
        pass
    venue.prices(ETH=3_300)
    assert close(venue, "ETH") is None
    assert gained() <= D("1.5") * D(100_000) * D("0.1")
    assert reason == "access: pool only"
    venue.send(venue.pool, "refresh", sender=venue.stranger)  # anybody may have the pool say it


def test_20__every_contract__asks_for_the_caller_and_for_nobody_else(artifact):
    """Velar, Sherlock 2024-08 #82: rights by `tx.origin`. Nor is there a forwarder whose word is taken for
    the sender's, a delegatecall, or anything to initialise or to upgrade."""
    sources = [s for s in CONTRACTS.rglob("*.vy*") if "mocks" not in s.parts]
    assert len(sources) > 10
    for source in sources:
        text = source.read_text(encoding="utf-8")
        for word in ("tx.origin", "is_delegate_call", "create_minimal_proxy", "selfdestruct"):
            assert word not in text, f"{source.name}: {word}"
    for name in ("Clearinghouse", "Configurator", "LiquidityPool", "Lens"):
        functions = [e["name"].lower() for e in artifact(name).abi if e["type"] == "function"]
        assert functions
        for word in ("forward", "initialize", "upgrade", "implementation", "multicall"):
            assert not [f for f in functions if word in f], f"{name}: {word}"


def test_20__words_of_a_market__hold_the_feed_that_was_listed(venue):
    """What the tests above replace is what the contract reads."""
    for name in venue.system.names:
        feed = venue.system.feeds[name]
        words = venue.view(venue.house, "market_words", venue.system.market_id(name))
        assert slots.take(int(words.t0), 0, 160) == int(address_of(feed), 16)
