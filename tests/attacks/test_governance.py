"""I. Governance, what could stand for a pause, and upgrades (111 to 118).

There are no ramps, no guardian, no freeze, no pause and no recovery (113 and 115 in part, 117). What
the Configurator's owner can do is `list_market` and `configure_market`; each of their bounds is
tested at its edge in ``tests/unit/Configurator``. Here: what the owner, gone bad or mistaken, can do
to those who are in.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import cbor2
import pytest

from plimsoll import slots
from plimsoll.chain import address_of, compiled
from plimsoll.client import bits, known_accounts, sub_account
from plimsoll.slots import Terms
from plimsoll.table import Table, default_table
from plimsoll.units import from_wad
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
    "markets.touch(markets.load(market, 0))",
    "pass",
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
    users in the block that set it. There are no ramps yet, so while anybody has a position nothing
    of it can be raised at all; an account at the line stays where it is."""
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
    assert client.account(victim) == before
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


# ------------------------------------------------------------------ 113: a wrong oracle


@pytest.mark.defence(*FEED_OF_OPEN)
def test_113__owner_reprices_an_open_market__cannot_while_its_feed_answers(venue_of, majors):
    """Moonwell, cbETH: a wrong feed went live, and the timelock kept the right one out for days. A
    feed that answers cannot be replaced while anybody has a position, not even by a right one, so
    an owner gone bad can set no price; one that is dead can, at once. There is no guardian and no
    freeze yet: what the owner can do at once about a wrong price is to let nobody in."""
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
    """Tigris (code4rena 2022-12 M-12): a pause by a hot key trapped the funds. There is no pause in
    any contract. The owner closes every market as far as he can: traders reduce, close, deposit and
    withdraw to the last unit, and the pool's holders get out as fast as ever."""
    venue = venue_of(without_funding(majors))
    client = venue.client
    for name in OURS:
        words = {e["name"] for e in compiled(name).abi if e["type"] == "function"}
        assert not {w for w in words if "pause" in w or "freeze" in w or "halt" in w}
    venue.enter(venue.lp, 100_000)
    for who, size in ((venue.victim, 8), (venue.trader, -6)):
        venue.fund(who, 100_000)
        client.trade("BTC", size, signer=who, slippage=None)
        client.trade("SOL", size * 100, signer=who, slippage=None)
    for name in venue.system.names:
        venue.configure(name, max_skew=0, max_open_interest=0, reduce_only=True, max_velocity_ppm=0)
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
    auction = address_of(venue.system.auction)
    for pool, configurator, seller, reason in (
        (address_of(venue.pool), puppet.address, puppet.address, "settings: pool of another"),
        (
            puppet.address,
            address_of(venue.configurator),
            puppet.address,
            "settings: configurator of another",
        ),
        (puppet.address, puppet.address, auction, "settings: auction of another"),
    ):
        share = 0 if configurator == puppet.address else 200_000
        args = (token, pool, configurator, seller, share, 0, 0, 10**6, 0)
        refused = tried(
            lambda args=args: venue.chain.deploy("Clearinghouse", *args, sender=attacker)
        )
        assert refused == reason


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
    assert len(logs(venue, "Liquidated")) >= 4
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
    nav, _, _ = slots.unpack_book(int(chain.view(house, "globals")[1]))
    assert from_wad(nav) == from_wad(logs(venue, "NavKnown")[-1].args["nav"])


def logs(venue: Venue, name: str) -> list[Any]:
    """The clearinghouse's events of a name, in order."""
    return list(venue.chain.events(venue.house, name, venue.system.block))
