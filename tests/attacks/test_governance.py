"""I. Governance, what could stand for a pause, and upgrades (111 to 118).

There is no recovery of accounts (117). Each bound of what the Configurator's owner and his guardian
can do is tested at its edge in ``tests/unit/Configurator``. Here: what either, gone bad or mistaken,
or whoever uses what they have begun, can do to those who are in.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import cbor2
import pytest

from plimsoll import slots
from plimsoll.chain import address_of, compiled
from plimsoll.client import bits, known_accounts, sub_account
from plimsoll.slots import Terms
from plimsoll.table import Table, default_table
from tests.attacks.venue import Venue, tried, without_funding

D = Decimal
OURS = ("Clearinghouse", "LiquidityPool", "Configurator", "Lens")
HAIR = D("1e-9")


def on_little_margin(venue: Venue) -> list[str]:
    """A long and a short in each market and one account across two, each with its initial margin.

    Returns:
        The accounts' addresses.
    """
    client, who = venue.client, venue.victim
    found = []
    legs = [[(name, side)] for name in venue.system.names for side in (1, -1)]
    legs.append([(venue.system.names[0], 1), (venue.system.names[1], -1)])
    for number, positions in enumerate(legs):
        account = sub_account(who, number)
        venue.fund(account, 100_000)
        for name, side in positions:
            spec = venue.system.table.spec(name)
            size = side * (spec.max_skew / 20).quantize(D("0.0001"))
            client.trade(name, size, account=account, signer=who, slippage=None)
        found.append(account)
    for account in found:
        seen = client.account(account)
        spare = (seen.withdrawable - D("0.01")).quantize(D("1e-6"))
        client.withdraw(spare, account=account, receiver=who, signer=who)
    return found


def take_to_the_line(venue: Venue, account: str) -> None:
    """Move the prices against an account until it is just above the line."""
    client = venue.client
    seen = client.account(account)
    low, high = D(0), D("0.2")
    start = {p.market: venue.system.price(p.market) for p in seen.positions}

    def move(part: Decimal) -> None:
        prices = {}
        for p in seen.positions:
            prices[p.market] = start[p.market] * (1 - part * (1 if p.size > 0 else -1))
        venue.prices(**prices)

    while high - low > D("1e-9"):
        middle = (low + high) / 2
        with venue.imagined():
            move(middle)
            healthy = client.health(account) >= 1 + D("1e-6")
        low, high = (middle, high) if healthy else (low, middle)
    move(low)
    assert 1 <= client.health(account) < D("1.0001")


# ------------------------------------------------------------------ 111, 112: terms


FEED_OF_OPEN = (
    "Configurator.vy",
    'assert kept or replaced, "configurator: feed of open market"',
    'assert True, "configurator: feed of open market"',
)
TOUCH = (
    "Clearinghouse.vy",
    "        markets.touch(leg, stable)\n    markets._markets[market].t0 = terms[0]",
    "        pass\n    markets._markets[market].t0 = terms[0]",
)


@pytest.fixture
def majors() -> Table:
    """Two markets of either kind, with funding."""
    return default_table().only("BTC", "SOL")


CHANGES: dict[str, Any] = {
    "mm": {"mm_ppm": 26_000},
    "mm and im": {"mm_ppm": 30_000, "im_ppm": 60_000},
    "im": {"im_ppm": 50_001},
    "reward": {"reward": 10**21},
    "liquidation fee": {"liquidation_fee_ppm": 10_001},
    "depth": {"skew_scale": 6_600 * 10**18},
    "lower bound": {"min_price": 57_000 * 10**18},
    "upper bound": {"max_price": 60_001 * 10**18},
    "age": {"max_age": 600},
}


@pytest.mark.defence("Configurator.vy", "            and terms.mm_ppm <= old.mm_ppm\n", "")
@pytest.mark.defence(
    "Configurator.vy", "            terms.im_ppm <= old.im_ppm\n            and", "            "
)
@pytest.mark.defence("Configurator.vy", "            and terms.reward <= old.reward\n", "")
@pytest.mark.defence(
    "Configurator.vy",
    "            and terms.liquidation_fee_ppm <= old.liquidation_fee_ppm\n",
    "",
)
@pytest.mark.defence(
    "Configurator.vy", "assert terms.skew_scale == old.skew_scale, ", "assert True, "
)
@pytest.mark.defence(*FEED_OF_OPEN)
def test_111__raise_what_an_open_account_must_have__is_refused(venue_of, majors):
    """Perennial v2 (sherlock 2024-08 #29), GMX (2023-02 #179): a higher maintenance margin liquidated
    users in the block that set it. While anybody has a position nothing of it can be raised but
        by a ramp; an account at the line stays where it is."""
    venue = venue_of(without_funding(majors))
    client, victim = venue.client, venue.victim
    venue.fund(victim, 30_000)
    client.trade("BTC", 8, signer=victim, slippage=None)
    take_to_the_line(venue, victim.address)
    before = client.account(victim)
    for what, changes in CHANGES.items():
        reason = tried(lambda changes=changes: venue.configure("BTC", **changes))
        assert reason is not None and reason.startswith("configurator: "), what
        assert tried(lambda: client.liquidate(victim, signer=venue.owner)) is not None, what
    after = client.account(
        victim
    )  # whose stable prices have gone on, and with them what opening takes
    assert (after.equity, after.maintenance, after.health) == (
        before.equity,
        before.maintenance,
        before.health,
    )
    client.close("BTC", signer=victim)
    for what, changes in CHANGES.items():
        if "bound" not in what:  # where the price of now is outside
            with venue.imagined():
                venue.configure("BTC", **changes)


@pytest.mark.defence(*TOUCH)
def test_111__funding_terms_changed_after_an_idle_day__take_nothing_for_that_day(venue_of, majors):
    """Zaros (Cyfrin 2024-07), Unstoppable (sherlock 2023-06 #103): new terms were applied to the time
    before them. A day passes in which nobody touches the market; then the owner sets the greatest
    velocity and the greatest rate there may be. The day costs what it cost under the old terms."""
    venue = venue_of(majors)
    client, victim = venue.client, venue.victim
    for name in venue.system.names:
        venue.fund(victim, 500_000)
        client.trade(name, venue.system.table.spec(name).max_skew, signer=victim, slippage=None)
    venue.chain.advance(86_400)
    venue.system.refresh_prices()
    before = client.account(victim)
    greatest = {"max_velocity_ppm": 2**24 - 1, "max_rate_ppm": 25_000}
    with venue.imagined():
        venue.configure("BTC", **{**greatest, "max_velocity_ppm": 0, "max_rate_ppm": 0})
        none = client.account(victim)
    venue.configure("BTC", **greatest)
    venue.configure("SOL", **{**greatest, "max_rate_ppm": 60_000})
    after = client.account(victim)
    second = before.notional * D("0.06") / 86_400  # two of them, at a rate that is not yet there
    assert abs(after.equity - before.equity) < 2 * second
    assert abs(none.equity - before.equity) < 2 * second
    assert tried(lambda: client.liquidate(victim, signer=venue.owner)) is not None


def test_111__dearest_terms_at_once__leave_a_day_before_the_line(venue_of, majors):
    """Bounded, not stopped: what can be raised without a ramp is what an account pays from then on,
    funding up to the maintenance margin a day, fee and spread as far as the liquidation fee covers
    them. With the skew at its cap and no more than the initial margin, an account in BTC loses 600
    of 220,000 to it in an hour and 92,600 in a day, at whose end it is not yet below the line; all
    that time it can close."""
    venue = venue_of(majors)
    client, victim = venue.client, venue.victim
    spec = venue.system.table.spec("BTC")
    venue.fund(victim, 500_000)
    client.trade("BTC", spec.max_skew, signer=victim, slippage=None)
    spare = client.account(victim).withdrawable - 1
    client.withdraw(spare.quantize(D("1e-6")), signer=victim)
    before = client.account(victim)
    venue.configure(
        "BTC",
        max_velocity_ppm=2**24 - 1,
        max_rate_ppm=25_000,
        taker_fee_ppm=6_400,
        spread_ppm=0,
        max_skew=0,
        max_open_interest=0,
    )
    lost = D(0)
    for hours in (1, 3, 24):
        with venue.imagined():
            venue.chain.advance(hours * 3_600)
            venue.system.refresh_prices()
            seen = client.account(victim)
            lost = before.equity - seen.equity
            assert 0 < lost <= before.notional * spec.mm * hours / 24
            assert seen.health > 1
            client.close("BTC", signer=victim)
            left = client.account(victim).cash
            assert left >= seen.equity - before.notional * (D("0.0064") + D("0.005"))
    assert lost > before.notional * D("0.02")  # it is not nothing


def changes_of(terms: Terms, feeds: list[str]) -> list[dict[str, Any]]:
    """Every change of one field: to nothing, to the greatest that fits, and by a little or a lot."""
    found: list[dict[str, Any]] = [{"feed": feed} for feed in feeds]
    found.append({"reduce_only": not terms.reduce_only})
    for name in Terms._fields[1:-1]:
        now: int = getattr(terms, name)
        values = [0, 1, now // 2, now * 9 // 10, now - 1, now + 1, now * 11 // 10, 2 * now]
        for value in dict.fromkeys([*values, 2**20 - 1, 2**24 - 1]):
            rest = value % slots.REWARD_UNIT if name == "reward" else 0
            found.append({name: max(value - rest, 0)})
    return found


def tried_on_either(
    terms: dict[str, Terms], feeds: list[str], rng: random.Random
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Market by market: every change of one field, and a hundred of two or three."""
    for name, old in terms.items():
        single = changes_of(old, feeds)
        yield from ((name, change) for change in single)
        for _ in range(100):
            several: dict[str, Any] = {}
            for change in rng.sample(single, rng.choice([2, 3])):
                several.update(change)
            yield name, several


@pytest.mark.defence("Configurator.vy", "            and terms.mm_ppm <= old.mm_ppm\n", "")
@pytest.mark.defence("Configurator.vy", "            and terms.reward <= old.reward\n", "")
@pytest.mark.defence(
    "Configurator.vy", "assert terms.skew_scale == old.skew_scale, ", "assert True, "
)
@pytest.mark.defence(*FEED_OF_OPEN)
@pytest.mark.defence(*TOUCH)
def test_112__any_terms_that_the_owner_can_set__make_no_healthy_account_liquidatable(
    venue_of, majors
):
    """Perennial v2 (sherlock 2024-08 #58), Symmetrical (2023-06 #113): an age, a scale, any extreme
    number took the users' collateral. A long, a short, and an account across two markets, each
    taken to the line, half a day after the last touch; then every number of either market is
    changed, alone and by lot with one or two others, each time from the same state: whatever the
    Configurator accepts leaves every one of them as healthy as it was."""
    venue = venue_of(majors)
    client = venue.client
    rng = random.Random(112)
    accounts = on_little_margin(venue)
    cheap = venue.chain.deploy("FeedMock", 8, 40_000 * 10**8, sender=venue.owner)
    terms = {name: venue.terms(name) for name in venue.system.names}
    feeds = [address_of(cheap), *(t.feed for t in terms.values())]
    venue.chain.advance(43_200)
    venue.system.refresh_prices()
    venue.send(cheap, "set_answer", 40_000 * 10**8, sender=venue.owner)
    accepted = refused = 0
    for account in (accounts[0], accounts[1], accounts[-1]):
        with venue.imagined():
            take_to_the_line(venue, account)
            with venue.imagined():
                venue.send(venue.token, "approve", venue.owner.address, 0, sender=venue.owner)
                before = client.healths(accounts)
            assert before[account] >= 1
            for name, change in tried_on_either(terms, feeds, rng):
                changed = terms[name]._replace(**change)
                number = venue.system.market_id(name)
                with venue.imagined():
                    call = (venue.configurator, "configure_market", number, tuple(changed))
                    reason = tried(lambda call=call: venue.send(*call, sender=venue.owner))
                    if reason is not None:
                        refused += 1
                        continue
                    accepted += 1
                    after = client.healths(accounts)
                    for who, health in before.items():
                        assert after[who] >= health - HAIR, (name, changed)
                        assert health < 1 or after[who] >= 1, (name, changed)
    assert accepted > 100
    assert refused > 100


# ------------------------------------------------------------------ 111, 112: ramps


def begin(venue: Venue, market: str, duration: int = 259_200, **changes: Any) -> None:
    """The owner begins a ramp from a market's terms to these."""
    target = tuple(venue.terms(market)._replace(**changes))
    number = venue.system.market_id(market)
    send = venue.send
    send(venue.configurator, "ramp_market", number, target, duration, sender=venue.owner)


@pytest.mark.defence(
    "Configurator.vy",
    "min(block.timestamp - ramp.walked_at, STEP)",
    "block.timestamp - ramp.walked_at",
)
@pytest.mark.defence(
    "Configurator.vy", "    self._ramps[market].walked_at = block.timestamp\n", "    pass\n"
)
def test_111__ramp_saved_up_and_walked_in_one_block__moves_by_an_hour(venue_of, majors):
    """What a ramp is for: that nobody is liquidated by terms that he had no time to answer. For
    three days nobody walks one that quadruples the maintenance margin; then, in one transaction, a
    liquidator walks as far as he can, and takes whom that reaches. An hour of it reaches nobody who
    is not within a ninth of a percent of his notional of the line."""
    venue = venue_of(without_funding(majors))
    client, victim, puppet = venue.client, venue.victim, venue.puppet()
    venue.fund(victim, 60_000)
    client.trade("BTC", 10, signer=victim, slippage=None)
    begin(venue, "BTC", mm_ppm=100_000, im_ppm=150_000)
    venue.wait(259_200)
    before = client.account(victim)
    assert before.health > D("1.5")
    walk = (venue.configurator, "walk_ramp", venue.system.market_id("BTC"))
    puppet.act(walk)
    for _ in range(3):
        tried(lambda: puppet.act(*[walk] * 20))
    tried(lambda: puppet.act(*[walk] * 70))
    after = client.account(victim)
    moved = after.maintenance - before.maintenance
    # An hour and, as each of the calls was a block of its own, a few seconds.
    assert 0 < moved <= before.notional * D("0.075") * (3_600 + 10) / 259_200 + D("0.1")
    assert after.health > 1
    assert tried(lambda: client.liquidate(victim, signer=venue.attacker)) is not None


@pytest.mark.defence(
    "Configurator.vy",
    "crowd * step * PPM <= 4 * min(target.taker_fee_ppm, eve.taker_fee_ppm) * least * (least + step)",
    "True",
)
def test_112__in_before_a_step_of_the_scale_and_out_after_it__costs_more_than_it_brings(
    venue_of, majors
):
    """A smaller scale makes a skew dearer to hold and dearer to leave: who is long gets a better price
    for closing. The steepest ramp that there can be; before its last hour, its greatest step, somebody
    takes all the skew there may be, walks, and leaves."""
    venue = venue_of(without_funding(majors))
    client, attacker = venue.client, venue.attacker
    scale = venue.terms("BTC").skew_scale
    wide = {"mm_ppm": 600_000, "im_ppm": 900_000}

    def is_refused(percent: int) -> bool:
        with venue.imagined():
            target = {"skew_scale": scale * percent // 100, **wide}
            return tried(lambda: begin(venue, "BTC", **target)) is not None

    steepest = next(percent for percent in range(1, 100) if not is_refused(percent))
    begin(venue, "BTC", skew_scale=scale * steepest // 100, **wide)
    number = venue.system.market_id("BTC")
    for _ in range(71):
        venue.wait(3_600)
        venue.send(venue.configurator, "walk_ramp", number, sender=attacker)
    venue.fund(attacker, 10_000_000)
    venue.wait(3_595)
    gained = venue.gains(attacker)
    size = venue.system.table.spec("BTC").max_skew
    client.trade("BTC", size, signer=attacker, slippage=None)
    venue.chain.advance(5)
    venue.send(venue.configurator, "walk_ramp", number, sender=attacker)
    client.close("BTC", signer=attacker)
    assert gained() < 0, gained()


@pytest.mark.defence(
    "Configurator.vy",
    "max(eve.max_open_interest, open_interest)",
    "max(eve.max_skew, fixed_point.magnitude(leg.skew))",
)
def test_112__step_of_the_scale_with_a_friend_who_leaves_before_it__brings_two_no_more(venue_of):
    """The cap on the skew is no cap on what one holds: five times as much, against a friend, who leaves
    before the step; that he may, he only reduces. What the step is worth grows with the square."""
    spec = default_table().spec("BTC")
    spec = replace(spec, skew_scale=D(2_000), max_skew=D(20), max_open_interest=D(100), spread=D(0))
    spec = replace(spec, mm=D("0.07"), im=D("0.12"))
    venue = venue_of(without_funding(default_table().only("BTC").with_market(spec)))
    client, one, friend = venue.client, venue.attacker, venue.accomplice
    wide = {"mm_ppm": 600_000, "im_ppm": 900_000}

    def is_refused(percent: int) -> bool:
        with venue.imagined():
            target = {"skew_scale": 20 * percent * 10**18, **wide}
            return tried(lambda: begin(venue, "BTC", **target)) is not None

    steepest = next(percent for percent in range(1, 100) if not is_refused(percent))
    begin(venue, "BTC", skew_scale=20 * steepest * 10**18, **wide)
    for _ in range(71):
        venue.wait(3_600)
        venue.send(venue.configurator, "walk_ramp", 0, sender=one)
    for who in (one, friend):
        venue.fund(who, 50_000_000)
    venue.wait(3_600)
    gained = venue.gains(one, friend)
    for turn in range(5):
        client.trade("BTC", 20, signer=one, slippage=None)
        if turn < 4:
            client.trade("BTC", -20, signer=friend, slippage=None)
    client.close("BTC", signer=friend)
    assert client.account(one).position("BTC").size == 100
    venue.send(venue.configurator, "walk_ramp", 0, sender=one)
    client.close("BTC", signer=one)
    assert gained() < 0, gained()


# ------------------------------------------------------------------ 113: a wrong oracle


@pytest.mark.defence(*FEED_OF_OPEN)
def test_113__owner_reprices_an_open_market__cannot_while_its_feed_answers(venue_of, majors):
    """Moonwell, cbETH: a wrong feed went live, and the timelock kept the right one out for days. A
    feed that answers cannot be replaced while anybody has a position, not even by a right one, so
    an owner gone bad can set no price; one that is dead can, at once. What the guardian can do at
    once about a wrong price is to let nobody in, and to let liquidations wait for a day."""
    venue = venue_of(without_funding(majors))
    client, attacker, victim = venue.client, venue.attacker, venue.victim
    venue.fund(victim, 60_000)
    client.trade("BTC", 10, signer=victim, slippage=None)
    mine = venue.chain.deploy("FeedMock", 8, 30_000 * 10**8, sender=venue.owner)
    start = venue.wealth(venue.owner, attacker)
    before = client.account(victim)
    for changes in (
        {"feed": address_of(mine)},
        {"feed": address_of(mine), "max_age": 10},
        {"feed": address_of(mine), "reduce_only": True},
    ):
        reason = tried(lambda changes=changes: venue.configure("BTC", **changes))
        assert reason == "configurator: feed of open market"
    assert client.account(victim) == before
    assert venue.wealth(venue.owner, attacker) == start
    # Risk goes down at once, and only that: nobody opens at the wrong price, everybody may close.
    venue.prices(BTC=45_000)  # wrong by a quarter, inside its bounds, fresh: believed
    venue.configure("BTC", max_skew=0, max_open_interest=0, reduce_only=True)
    venue.fund(attacker, 1_000_000)
    reason = tried(lambda: client.trade("BTC", 1, signer=attacker, slippage=None))
    assert reason == "market: reduce only"
    # And a feed that no longer answers is replaced by one that does.
    venue.chain.advance(6_000)
    venue.system.set_prices({"SOL": D(150)})
    venue.send(mine, "set_answer", 60_000 * 10**8, sender=venue.owner)
    venue.configure("BTC", feed=address_of(mine))
    assert client.market("BTC").price == 60_000
    assert client.health(victim) > 1


# ------------------------------------------------------------------ 114, 115: ways of closing a market


@pytest.mark.parametrize("how", ["reduce only", "caps", "both", "dead feed"])
def test_114__market_closed_in_any_way__its_owner_can_close_whenever_a_keeper_can(
    venue_of, majors, how
):
    """Zaros (Cyfrin 2024-07): the market was disabled for its traders, and their liquidations went
    on. In every state that a market can be put into or get into, a position that can be liquidated
    can be closed; and none can be opened."""
    venue = venue_of(without_funding(majors))
    client, victim, twin = venue.client, venue.victim, venue.trader
    feed = venue.faulty("SOL")
    for who in (victim, twin):
        venue.fund(who, 70_000)
        client.trade("SOL", 500, signer=who, slippage=None)
        client.trade("BTC", 15, signer=who, slippage=None)
    caps = {"max_skew": 0, "max_open_interest": 0}
    if how == "dead feed":
        venue.send(feed, "set_mode", 1, sender=venue.owner)
    else:
        changes = {} if how == "reduce only" else dict(caps)
        venue.configure("SOL", **changes, reduce_only=how != "caps")
    venue.prices(BTC=57_000)
    assert client.health(victim) < 1
    reason = tried(lambda: client.trade("SOL", 1, signer=twin, slippage=None))
    assert reason is not None
    with venue.imagined():
        closed = tried(lambda: client.trade("SOL", -500, signer=victim, slippage=None))
        cash = client.account(victim)
    client.liquidate(victim, signer=venue.keeper)
    left = [p.market for p in client.account(victim).positions]
    if how == "dead feed":
        assert closed == "prices: feed failed"
        assert left == ["SOL"]
    else:
        assert closed is None
        assert cash.position("SOL") is None
        assert left == []


def test_115__owner_sets_the_harshest_terms__everybody_leaves_with_what_is_his(venue_of, majors):
    """Tigris (code4rena 2022-12 M-12): a pause by a hot key trapped the funds. There is none that stops
    a deposit, a reduction or a withdrawal from an empty account. The owner closes every market as far as he can: traders reduce, close, deposit and
    withdraw to the last unit, and the pool's holders get out as fast as ever."""
    venue = venue_of(without_funding(majors))
    client = venue.client
    stops = {"pause_market", "paused_until", "freeze", "unfreeze"}
    for name in OURS:
        words = {e["name"] for e in compiled(name).abi if e["type"] == "function"}
        found = {w for w in words if "pause" in w or "freeze" in w or "halt" in w}
        assert found == (stops if name == "Configurator" else set())
    venue.enter(venue.lp, 100_000)
    for who, size in ((venue.victim, 8), (venue.trader, -6)):
        venue.fund(who, 100_000)
        client.trade("BTC", size, signer=who, slippage=None)
        client.trade("SOL", size * 100, signer=who, slippage=None)
    for name in venue.system.names:
        venue.configure(name, max_skew=0, max_open_interest=0, reduce_only=True, max_velocity_ppm=0)
        number = venue.system.market_id(name)
        venue.send(venue.configurator, "pause_market", number, 7 * 86_400, sender=venue.owner)
    start = {who.address: client.account(who) for who in (venue.victim, venue.trader)}
    for who, size in ((venue.victim, 8), (venue.trader, -6)):
        venue.fund(who, 10)
        client.trade("BTC", -size / D(2), signer=who, slippage=None)
        for name in venue.system.names:
            client.close(name, signer=who)
        cash = client.account(who).cash
        seen = start[who.address]
        costs = seen.notional * D("0.007")  # spread and fee of the dearer market, and the curve
        assert cash >= seen.equity + 10 - costs
        client.withdraw(cash.quantize(D("1e-6"), "ROUND_FLOOR"), signer=who)
        assert client.account(who).cash < D("0.000001")
        assert venue.tokens(who) > 0
    worth = venue.shares_worth(venue.lp)
    venue.ask(venue.lp)
    venue.wait(86_400)
    venue.leave(venue.lp)
    assert venue.tokens(venue.lp) >= min(worth, 100_000) - D("0.01")


# ------------------------------------------------------------------ 113 to 115: a guardian gone bad


LOWER = (
    "        max_skew <= terms.max_skew\n        and max_open_interest <= terms.max_open_interest\n"
    "        and (reduce_only or not terms.reduce_only)\n"
)


@pytest.mark.defence(
    "Configurator.vy", LOWER, LOWER.replace("max_skew <= terms.max_skew\n        and ", "")
)
@pytest.mark.defence(
    "Configurator.vy",
    LOWER,
    LOWER.replace("and max_open_interest <= terms.max_open_interest", "and True"),
)
@pytest.mark.defence(
    "Configurator.vy", LOWER, LOWER.replace("and (reduce_only or not terms.reduce_only)", "")
)
@pytest.mark.defence(
    "Configurator.vy", 'assert cap <= terms.cap, "configurator: only lower"', "pass"
)
def test_113__guardian_raises_a_cap__cannot(venue_of):
    """His key is a hot one. With more room in a market whose price he knows to be wrong, or for a token
    that he has minted, he would take the pool's money; lowering is all that he can do."""
    venue = venue_of(default_table().only("BTC"))
    configurator, attacker = venue.configurator, venue.attacker
    venue.send(configurator, "set_guardian", attacker.address, sender=venue.owner)
    now = venue.terms("BTC")
    cap = venue.view(configurator, "collateral_terms", 0).cap

    def restrict(*caps: Any) -> str | None:
        call = (configurator, "restrict_market", 0, *caps)
        return tried(lambda: venue.send(*call, sender=attacker))

    only_lower = "configurator: only lower"
    assert restrict(now.max_skew + 1, now.max_open_interest, True) == only_lower
    assert restrict(now.max_skew, now.max_open_interest + 1, True) == only_lower
    assert (
        venue.refusal(configurator, "restrict_collateral", 0, cap + 1, sender=attacker)
        == only_lower
    )
    assert restrict(now.max_skew, now.max_open_interest, True) is None
    assert restrict(now.max_skew, now.max_open_interest, False) == only_lower
    assert venue.terms("BTC") == now._replace(reduce_only=True)
    assert venue.view(configurator, "collateral_terms", 0).cap == cap
    for method, args in {
        "configure_market": (0, tuple(now)),
        "ramp_market": (0, tuple(now), 259_200),
        "delist_market": (0, 259_200),
        "set_guardian": (venue.accomplice.address,),
        "transfer_ownership": (attacker.address,),
    }.items():
        reason = venue.refusal(configurator, method, *args, sender=attacker)
        assert reason == "ownable: caller is not the owner"


@pytest.mark.defence(
    "Configurator.vy",
    "            self._ramps[market].target.reduce_only = True\n",
    "            pass\n",
)
@pytest.mark.defence(
    "Configurator.vy",
    "self._ramps[market].target.max_skew = min(self._ramps[market].target.max_skew, max_skew)",
    "pass",
)
def test_113__ramp_walked_to_its_end__does_not_undo_what_the_guardian_lowered(venue_of, majors):
    """Who knows of a wrong price walks the ramp to its last step, which was announced before anybody
    knew, to have the old caps back."""
    venue = venue_of(without_funding(majors))
    configurator, attacker = venue.configurator, venue.attacker
    begin(venue, "BTC", mm_ppm=26_000)
    venue.send(configurator, "set_guardian", venue.stranger.address, sender=venue.owner)
    lower = (0, 0, 10**18, True)
    venue.send(configurator, "restrict_market", *lower, sender=venue.stranger)
    for _ in range(72):
        venue.wait(3_600)
        venue.send(configurator, "walk_ramp", 0, sender=attacker)
    assert tried(lambda: venue.send(configurator, "walk_ramp", 0, sender=attacker)) is not None
    now = venue.terms("BTC")
    assert (now.mm_ppm, now.max_skew, now.max_open_interest) == (26_000, 0, 10**18)
    venue.fund(attacker, 100_000)
    reason = tried(lambda: venue.client.trade("BTC", 1, signer=attacker, slippage=None))
    assert reason == "market: reduce only"


@pytest.mark.defence(
    "Configurator.vy", "words[2] = words[2] | (self.paused_until[id] << slots.PAUSED_UNTIL)", "pass"
)
@pytest.mark.defence(
    "Configurator.vy",
    "max(self.paused_until[market], block.timestamp + duration)",
    "block.timestamp + duration",
)
def test_115__pause__is_lost_by_no_change_of_terms_and_outlives_none(venue_of, majors):
    """Tigris's pause stayed; others' were lifted by what had nothing to do with them. A ramp's step, a
    changed fee and a shorter pause by a bad guardian leave it as it is; and a week later it is over,
    whatever the terms are then."""
    venue = venue_of(without_funding(majors))
    configurator, attacker = venue.configurator, venue.attacker

    def until() -> int:
        word = int(venue.view(venue.house, "market_words", 0).t2)
        assert slots.take(word, 212, 32) == venue.view(configurator, "paused_until", 0)
        return slots.take(word, 212, 32)

    venue.send(configurator, "set_guardian", attacker.address, sender=venue.owner)
    venue.send(configurator, "pause_market", 0, 7 * 86_400, sender=venue.owner)
    end = until()
    assert end == venue.chain.now + 7 * 86_400

    def opens() -> str | None:
        with venue.imagined():
            venue.fund(attacker, 100_000)
            return tried(lambda: venue.client.trade("BTC", 1, signer=attacker, slippage=None))

    assert opens() == "market: paused"
    venue.configure("BTC", taker_fee_ppm=400)
    begin(venue, "BTC", mm_ppm=26_000)
    venue.wait(3_600)
    venue.send(configurator, "walk_ramp", 0, sender=attacker)
    assert until() == end
    venue.send(configurator, "pause_market", 0, 1, sender=attacker)
    assert until() == end
    venue.wait(60)
    assert opens() == "market: paused"
    venue.wait(7 * 86_400)
    venue.configure("BTC", taker_fee_ppm=500)
    assert until() <= venue.chain.now
    assert opens() is None


@pytest.mark.defence(
    "Configurator.vy",
    'assert block.timestamp >= self.calm_from + BETWEEN_FREEZES, "configurator: too soon"',
    "pass",
)
@pytest.mark.defence(
    "Configurator.vy",
    'assert self.calm_from > block.timestamp + GRACE, "configurator: not frozen"',
    "pass",
)
def test_115__freeze_renewed_for_ever__is_over_most_of_the_time(venue):
    """A guardian who is short of margin himself would put his liquidation off for ever. He freezes,
    and unfreezes, for each brings an hour of grace, whenever he is let: three quarters of the time
    everything is as ever, and three days at a stretch."""
    configurator = venue.configurator
    venue.send(configurator, "set_guardian", venue.attacker.address, sender=venue.owner)
    frozen, hours = 0, 24 * 40
    for _ in range(hours):
        tried(lambda: venue.send(configurator, "freeze", 86_400, sender=venue.attacker))
        if venue.view(configurator, "calm_from") - venue.chain.now < 3_600:
            tried(lambda: venue.send(configurator, "unfreeze", sender=venue.attacker))
        frozen += venue.view(configurator, "calm_from") > venue.chain.now
        venue.chain.advance(3_600)
    assert 0 < frozen <= hours * 26 // 97 + 26


# ------------------------------------------------------------------ 114: a market taken off


ON_THE_DAY = "assert settles_at != 0 and block.timestamp >= settles_at,"


@pytest.mark.defence("Configurator.vy", ON_THE_DAY, "assert block.timestamp >= settles_at,")
@pytest.mark.defence("Configurator.vy", ON_THE_DAY, "assert settles_at != 0,")
@pytest.mark.defence(
    "Configurator.vy", 'assert self.settles_at[market] == 0, "configurator: delisted"', "pass"
)
def test_114__market_settled_early_or_late__on_the_day_that_was_announced(venue_of, majors):
    """Who is short would have a market settled in a dip, for good; who is long, and has the owner's
    ear, the day put off until it is over. The price of a settlement is that of a day which everybody
    knew three days before: nobody chooses it."""
    venue = venue_of(without_funding(majors))
    client, configurator, attacker = venue.client, venue.configurator, venue.attacker
    venue.fund(attacker, 200_000)
    client.trade("BTC", -10, signer=attacker, slippage=None)

    def settle() -> str | None:
        return tried(lambda: venue.send(configurator, "settle_market", 0, sender=attacker))

    venue.prices(BTC=50_000)
    assert settle() == "configurator: not yet"
    venue.prices(BTC=60_000)
    venue.send(configurator, "delist_market", 0, 259_200, sender=venue.owner)
    day = venue.view(configurator, "settles_at", 0)
    venue.wait(86_400)
    venue.prices(BTC=50_000)
    assert settle() == "configurator: not yet"
    later = tried(
        lambda: venue.send(configurator, "delist_market", 0, 2_592_000, sender=venue.owner)
    )
    assert later == "configurator: delisted"
    assert venue.view(configurator, "settles_at", 0) == day
    venue.wait(2 * 86_400)
    venue.prices(BTC=60_000)
    assert settle() is None
    for price in (50_000, 70_000):
        venue.prices(BTC=price)
        assert client.market("BTC").price == 60_000
    assert settle() == "configurator: settled"


# ------------------------------------------------------------------ 116, 118: owners, upgrades


def test_116__ownership__goes_to_whom_it_is_given_in_two_steps_and_never_to_nobody(venue):
    """Tracer (code4rena 2021-06 M-06), GMX (2023-04 M-6): one step to a wrong address, and a role that
    nobody remembered. One role there is; its successor has to come for it, an older one can no
    longer, and nobody but the owner names one."""
    owner, attacker, friend = venue.owner, venue.attacker, venue.accomplice
    configurator = venue.configurator

    def act(method: str, *args: Any, sender: Any) -> str | None:
        return tried(lambda: venue.send(configurator, method, *args, sender=sender))

    not_owner, not_new = (
        "ownable: caller is not the owner",
        "ownable_2step: caller is not the new owner",
    )
    assert act("transfer_ownership", attacker.address, sender=attacker) == not_owner
    assert act("accept_ownership", sender=attacker) == not_new
    assert act("transfer_ownership", attacker.address, sender=owner) is None  # a slip
    assert act("transfer_ownership", friend.address, sender=owner) is None
    assert act("accept_ownership", sender=attacker) == not_new
    assert venue.view(configurator, "owner") == owner.address
    venue.configure("BTC")  # who is to be replaced acts until he is
    reason = tried(lambda: venue.configure("BTC", sender=friend))
    assert reason == not_owner
    assert act("accept_ownership", sender=friend) is None
    assert venue.view(configurator, "owner") == friend.address
    assert tried(lambda: venue.configure("BTC")) == not_owner
    zero = "0x" + "00" * 20
    assert act("transfer_ownership", zero, sender=friend) is None
    assert venue.view(configurator, "owner") == friend.address
    assert venue.view(configurator, "pending_owner") == zero
    for name in OURS:
        words = {e["name"] for e in compiled(name).abi if e["type"] == "function"}
        roles = {
            w for w in words if "owner" in w or "role" in w or "minter" in w or "guardian" in w
        }
        expected = {"owner", "pending_owner", "transfer_ownership", "accept_ownership"}
        expected |= {"guardian", "set_guardian"}
        assert roles == (expected if name == "Configurator" else set())


@pytest.mark.defence(
    "Clearinghouse.vy", 'assert of_pool == self, "settings: pool of another"', "pass"
)
@pytest.mark.defence(
    "Clearinghouse.vy",
    'assert of_configurator == self, "settings: configurator of another"',
    "pass",
)
def test_118__second_clearinghouse_on_the_same_pool_or_configurator__is_not_deployed(venue):
    """Perennial v2 (sherlock 2024-08 H-5): set up twice. Nothing has a second set-up: four contracts
    name each other at their making, and one that is named by others is refused."""
    puppet, attacker = venue.puppet(), venue.attacker
    token = address_of(venue.token)
    parts = dict.fromkeys(("pool", "configurator", "auction", "backstop"), puppet.address)
    for part in parts:
        with_one = {**parts, part: address_of(getattr(venue.system, part))}
        settings = {
            **vars(venue.view(venue.house, "settings")),
            **with_one,
            "quote": token,
            "keeper_share_ppm": 200_000 if part == "configurator" else 0,
        }
        args = (tuple(settings.values()),)
        refused = tried(
            lambda args=args: venue.chain.deploy("Clearinghouse", *args, sender=attacker)
        )
        assert refused == f"settings: {part} of another"


FORBIDDEN = {
    0x32: "ORIGIN",
    0xF0: "CREATE",
    0xF2: "CALLCODE",
    0xF4: "DELEGATECALL",
    0xF5: "CREATE2",
    0xFF: "SELFDESTRUCT",
}
PUSH1, PUSH32, SLOAD, CALL = 0x60, 0x7F, 0x54, 0xF1


def test_118__code_that_changes__there_is_no_way_to_any():
    """No proxy, no initialiser, no delegatecall, no self-destruction: by the code that is deployed,
    instruction by instruction, and by the names of its functions."""
    for name in OURS:
        opcodes = runtime_opcodes(name)
        assert (SLOAD in opcodes) == (CALL in opcodes) == (name != "Lens")
        assert not {FORBIDDEN[op] for op in FORBIDDEN if op in opcodes}, name
        words = {e["name"] for e in compiled(name).abi if e["type"] == "function"}
        assert not {w for w in words if "init" in w or "upgrade" in w or "migrate" in w}, name


def runtime_opcodes(name: str) -> set[int]:
    """The instructions of a contract's code. The compiler's footer says how much of it is data."""
    creation = compiled(name).bytecode
    footer = int.from_bytes(creation[-2:], "big")
    _, size, data, *_ = cbor2.loads(creation[-footer:-2])
    start = len(creation) - footer - size
    code = creation[start : start + size - sum(data)]
    found, at = set(), 0
    while at < len(code):
        found.add(code[at])
        at += 1 + (code[at] - PUSH1 + 1 if PUSH1 <= code[at] <= PUSH32 else 0)
    assert at == len(code)  # or the walk lost its step
    return found


@pytest.mark.defence(
    "modules/ledger.vy",
    "    log IClearinghouse.CashMoved(account=account, cash=cash)\n",
    "",
)
@pytest.mark.defence(
    "modules/markets.vy",
    "    log IClearinghouse.MarketMoved(market=m.id, state_a=a, state_b=b)\n",
    "",
)
def test_118__whoever_reads_the_events_alone__knows_every_account_and_market(venue):
    """Perennial v2 (M-8, M-10): a change without an event leaves keepers and pages with what no longer
    holds. The last event about each account and each market is its state, to the wei, after trades,
    flips, liquidations of every kind, deposits and the pool's own business."""
    client, chain, house = venue.client, venue.chain, venue.house
    rng = random.Random(118)
    people = [venue.victim, venue.trader, venue.attacker, venue.accomplice]
    venue.enter(venue.lp, 50_000)
    for who in people:
        venue.fund(who, 40_000)
    for step in range(150):
        who = rng.choice(people)
        name = rng.choice(venue.system.names)
        spec = venue.system.table.spec(name)
        size = (spec.max_skew / 4 * D(rng.randint(-100, 100)) / 100).quantize(D("0.0001"))
        if step % 5 == 4:
            venue.prices(**{name: venue.system.price(name) * D(rng.randint(85, 115)) / 100})
            client.liquidate_many(people, signer=venue.keeper)
        elif step % 11 == 7:
            venue.fund(who, 5_000)
            tried(lambda who=who: client.withdraw(1_000, signer=who))
            venue.system.poke(name)
        elif size:
            tried(
                lambda name=name, size=size, who=who: client.trade(
                    name, size, signer=who, slippage=None
                )
            )
    venue.ask(venue.lp)
    venue.wait(86_400)
    venue.leave(venue.lp)
    venue.system.poke()
    cash = {address_of(e.args["account"]): int(e.args["cash"]) for e in logs(venue, "CashMoved")}
    fills = {
        (address_of(e.args["account"]), int(e.args["market"])): e.args for e in logs(venue, "Fill")
    }
    assert len(logs(venue, "Liquidated")) >= 3
    assert len(fills) > 10
    others = [venue.pool, venue.house, venue.keeper]
    assert set(known_accounts(venue.system)) <= {*map(address_of, [*people, *others])}
    for account in map(address_of, [*people, *others]):
        header = client.header(account)
        assert cash[account] == header.cash
        told = {m for (a, m), fill in fills.items() if a == account and fill["size"]}
        assert told == set(bits(header.bitmap))
        for number in told:
            leg = chain.view(house, "leg", account, number)
            fill = fills[account, number]
            assert (leg.size, leg.basis) == (fill["size"], fill["basis"])
    for number in range(len(venue.system.names)):
        moved = [
            e
            for name in ("Fill", "MarketMoved")
            for e in logs(venue, name)
            if e.args["market"] == number
        ]
        last = max(moved, key=lambda e: e.block).args
        w = chain.view(house, "market_words", number)
        assert (last["state_a"], last["state_b"]) == (w.a, w.b)
    nav = slots.unpack_book(int(chain.view(house, "globals").book)).nav
    assert nav == slots.kept_nav(logs(venue, "NavKnown")[-1].args["nav"])


def logs(venue: Venue, name: str) -> list[Any]:
    """The clearinghouse's events of a name, in order."""
    return list(venue.chain.events(venue.house, name, venue.system.block))
