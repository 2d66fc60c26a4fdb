"""C. Liquidation, the insurance fund, what the pool takes over (33 to 54); and of H what a keeper meets.

No orders, deleveraging, recovery, pause or further collateral exist, so the cases about them
(45 in part, 48, 49, 54) have no test here.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import pytest

from plimsoll.chain import address_of
from plimsoll.client import bits, sub_account
from plimsoll.table import MarketSpec, Table, default_table, market
from plimsoll.units import from_wad, to_wad
from tests.attacks.venue import MAX_UINT, Puppet, Venue, tried, without_funding
from tests.utils.bytecode import push, returning, reverting, words

D = Decimal
DUST = D("1e-15")  # [quote] a wei a leg, and some
HEALTHY = "liquidation: account is healthy"
LIMIT_7825 = 2**24  # [gas] of one transaction

RAW_ORACLE = (
    "Clearinghouse.vy",
    "price: uint256 = curve.fill_price(leg.price, leg.skew, unsafe_sub(0, leg.size), leg.t1 & slots.MASK_96, 0)",
    "price: uint256 = leg.price",
)
NOTHING_KEPT = (
    "modules/liquidation.vy",
    "kept: uint256 = min(left, dearest)",
    "kept: uint256 = 0",
)
ALL_OF_THE_FEE = (
    "modules/liquidation.vy",
    "share: uint256 = min(unsafe_mul(fee, keeper_share_ppm) // PPM, unsafe_sub(fee, min(kept, fee)))",
    "share: uint256 = fee",
)
NO_SURGE_PAID = (
    "Clearinghouse.vy",
    "unsafe_add(leg.t1 >> slots.SPREAD, leg.surge_ppm)",
    "leg.t1 >> slots.SPREAD",
)
NO_SURGE_KEPT = (
    "Clearinghouse.vy",
    "surge_ppm = min(unsafe_add(surge_ppm, part), slots.MAX_SURGE)",
    "surge_ppm = 0",
)


# ------------------------------------------------------------------ bringing an account to the line


def deep(**changes: Any) -> MarketSpec:
    """As thin a market as the rules allow: open interest up to a fifth of the skew scale."""
    fields: dict[str, Any] = {
        "skew_scale": 1_000_000,
        "max_skew": 200_000,
        "max_open_interest": 200_000,
        "mm": D("0.215"),
        "im": D("0.33"),
        "liquidation_fee": D("0.01"),
        "taker_fee": D("0.0005"),
        "spread": D("0.0010"),
    }
    return market("THIN", 100, **{**fields, **changes})


def three_markets(seed: int = 100_000_000) -> Table:
    """A major, another, and the thinnest that can be listed; a pool that lets each go to its caps."""
    table = without_funding(default_table().only("BTC", "SOL").with_market(deep()))
    return replace(table, max_pool_leverage=D(50), pool=replace(table.pool, seed=D(seed)))


def whole(amount: Decimal, digits: int = 6) -> Decimal:
    """Rounded down to what a token of so many decimals can say."""
    return amount.quantize(D(1).scaleb(-digits), ROUND_FLOOR)


def size_of(venue: Venue, name: str, side: int, share: Decimal) -> Decimal:
    """A share of the largest trade that the caps leave to one side [base]."""
    seen = venue.client.market(name)
    room = min(seen.room_to_buy if side > 0 else seen.room_to_sell, seen.skew_scale / 5)
    return side * whole(room * share)


def open_at_margin(
    venue: Venue, who: Any, name: str, size: Decimal, account: Any = None
) -> Decimal:
    """Open a position on as little cash as the initial margin lets it have; that cash [quote].

    `who` is a signer or a puppet; the account one of his.
    """
    client = venue.client
    where = address_of(account or who)
    venue.fund(where, whole(abs(size) * client.market(name).price * 2) + 100)
    if isinstance(who, Puppet):
        who.act(who.trade(name, size, where))
    else:
        client.trade(name, size, account=where, signer=who, slippage=None)
    spare = whole(client.account(where).withdrawable - D("0.01"))
    if spare > 0:
        raw, token = venue.system.raw(spare), address_of(venue.token)
        call = (venue.house, "withdraw", where, token, raw, address_of(who))
        if isinstance(who, Puppet):
            who.act(call)
        else:
            venue.send(*call, sender=who)
    return client.account(where).cash


def ends_of(venue: Venue, account: Any, name: str) -> tuple[Decimal, Decimal, Decimal]:
    """Size, and what cash less basis and funding are worth, of an account with one position; and the skew."""
    number = venue.system.market_id(name)
    leg = venue.view(venue.house, "leg", address_of(account), number)
    cash = from_wad(venue.client.header(account).cash)
    size = from_wad(int(leg.size))
    fixed = cash - from_wad(int(leg.basis)) - size * from_wad(int(leg.index))
    return size, fixed, from_wad(int(leg.skew))


def price_of_health(venue: Venue, account: Any, name: str, health: Decimal) -> Decimal:
    """The price at which an account with one position has this health."""
    seen = venue.client.market(name)
    size, fixed, _ = ends_of(venue, account, name)
    ratio = seen.mm + abs(size) / (2 * seen.skew_scale)
    return (health * seen.reward - fixed) / (size - health * abs(size) * ratio)


def price_leaving(venue: Venue, account: Any, name: str, part: Decimal) -> Decimal:
    """The price at which closing on the curve leaves, before any fee, this part of the notional."""
    seen = venue.client.market(name)
    size, fixed, skew = ends_of(venue, account, name)
    tilt = 1 + (skew - size / 2) / seen.skew_scale
    return -fixed / (size * tilt - part * abs(size))


def sellable(venue: Venue, name: str, price: Decimal) -> bool:
    """Whether the market could have this price, give or take what a feed can say."""
    spec = venue.system.table.spec(name)
    low, high = spec.bounds()
    return low * 2 < price < high / 2


def sold(venue: Venue, who: Any, name: str, size: Decimal) -> bool:
    """Trade at any price if it is allowed; whether it was, or would have left the account in debt."""
    reason = tried(lambda: venue.client.trade(name, size, signer=who, slippage=None))
    assert reason in (None, "margin: health would fall")
    return reason is None


# ------------------------------------------------------------------ 33: being liquidated on purpose


CLOSING = [D(x) for x in ("1.002", "1.05", "1.2", "1.25", "1.3", "2", "5", "12")]


@contextmanager
def another_crowd(venue: Venue, name: str, side: int, part: str | None = None) -> Iterator[None]:
    """Somebody else's position on that side: a part of the skew's cap, or 0.8 % of the scale."""
    with venue.imagined():
        if side:
            spec = venue.system.table.spec(name)
            size = spec.max_skew * D(part) if part else spec.skew_scale * D("0.008")
            venue.fund(venue.victim, 50_000_000)
            venue.client.trade(name, side * size, signer=venue.victim, slippage=None)
        yield


def gains(venue: Venue, crowd: int) -> Iterator[tuple[str, Decimal, Decimal]]:
    """By how much liquidating oneself beats closing, over markets, sides, sizes and prices.

    Args:
        venue: of `three_markets`.
        crowd: who is there already: +1 others on the attacker's side, -1 on the other, 0 nobody.

    Yields:
        The scene in words, the gain [quote], and what the insurance fund gained by it [quote].
    """
    client, attacker = venue.client, venue.attacker
    for name in venue.system.names:
        spec = venue.system.table.spec(name)
        closing = spec.taker_fee + spec.spread
        for side in (1, -1):
            for share in ("0.0001", "0.1", "1"):
                with another_crowd(venue, name, crowd * side):
                    size = size_of(venue, name, side, D(share))
                    open_at_margin(venue, attacker, name, size)
                    line = price_of_health(venue, attacker, name, D("0.9999"))
                    prices = [price_leaving(venue, attacker, name, c * closing) for c in CLOSING]
                    for price in [line, *prices]:
                        # Only where he is below the line, and above what cannot be.
                        if not sellable(venue, name, price) or (price - line) * side > 0:
                            continue
                        with venue.imagined():
                            venue.prices(**{name: whole(price, 8)})
                            with venue.imagined():
                                if not sold(venue, attacker, name, -size):
                                    continue  # closing would end below zero
                                closed = venue.wealth(attacker)
                            fund = venue.insurance()
                            client.liquidate(attacker, signer=attacker)
                            gain = venue.wealth(attacker) - closed
                            scene = f"{name} {size} at {price:.6f} crowd {crowd}"
                            yield scene, gain, venue.insurance() - fund


def assert_never_cheaper(venue: Venue, crowd: int, least: int) -> None:
    """LIQ-6, with owner and keeper as one."""
    scenes = list(gains(venue, crowd))
    assert len(scenes) >= least
    for scene, gain, to_fund in scenes:
        assert gain <= DUST, scene
        assert to_fund >= 0, f"{scene}: the fund paid {-to_fund} for an account that could close"


@pytest.mark.defence(*RAW_ORACLE)
@pytest.mark.defence(*NOTHING_KEPT)
def test_33__liquidate_oneself_on_the_thin_side__never_cheaper_than_closing(venue_of):
    """Perennial (sherlock 2023-07 #104, 2023-05 #77): liquidating oneself went around what closing
    costs. Filled at the raw oracle's price, a liquidation would spare whoever is on the thin side
    the curve: with a twentieth of the skew scale on either side, 72,000 on a notional of 5m after
    a penalty of 1 %."""
    assert_never_cheaper(venue_of(three_markets()), crowd=-1, least=100)


@pytest.mark.defence(*NOTHING_KEPT)
@pytest.mark.defence(*ALL_OF_THE_FEE)
@pytest.mark.parametrize("crowd", [1, 0], ids=["with the crowd", "alone"])
def test_33__liquidate_oneself_on_the_crowded_side__never_cheaper_than_closing(venue_of, crowd):
    """The same with the curve on the attacker's side: what is left is the fee that a liquidation
    does not charge, and his own keeper's share of what it does."""
    assert_never_cheaper(venue_of(three_markets()), crowd, least=100)


SCENE = (  # sub-account, market, size in parts of the cap
    (1, "BTC", D("0.4")),
    (2, "BTC", D("0.0005")),
    (3, "BTC", D("0.2")),
    (4, "SOL", D("-0.5")),
    (5, "SOL", D("-0.01")),
    (6, "THIN", D("0.2")),
)


@pytest.mark.defence(*NOTHING_KEPT)
def test_33__several_accounts_in_one_transaction__no_order_beats_closing(venue_of):
    """One owner, six accounts below the line in three markets, his contract the keeper: he closes
    all, or liquidates all, first to last or last to first, or some of each, in one transaction;
    at the worst prices at which all can be closed, and on the way there."""
    venue = venue_of(three_markets())
    puppet, table = venue.puppet(), venue.system.table
    accounts: dict[str, tuple[str, Decimal]] = {}
    for number, name, part in SCENE:
        account = sub_account(puppet.address, number)
        size = whole(abs(part) * table.spec(name).max_skew) * (1 if part > 0 else -1)
        open_at_margin(venue, puppet, name, size, account)
        accounts[account] = name, size
    # For each market, from the price at which the first is at the line to where all have nothing.
    ends: dict[str, tuple[Decimal, Decimal]] = {}
    for account, (name, size) in accounts.items():
        line = price_of_health(venue, account, name, D("0.9999"))
        nothing = price_leaving(venue, account, name, D(0))
        first, last = (max, min) if size > 0 else (min, max)
        known = ends.get(name, (line, nothing))
        ends[name] = first(known[0], line), last(known[1], nothing)
    close = {a: puppet.trade(name, -size, a) for a, (name, size) in accounts.items()}

    def go(far: Decimal) -> list[str]:
        """Set the prices; those below the line then."""
        prices = {n: line + far * (nothing - line) for n, (line, nothing) in ends.items()}
        venue.prices(**{name: whole(price, 8) for name, price in prices.items()})
        return [a for a in accounts if venue.client.health(a) < 1]

    low, high = D(0), D(1)
    while high - low > D("0.00001"):
        middle = (low + high) / 2
        with venue.imagined():
            unhealthy = go(middle)
            passes = tried(lambda unhealthy=unhealthy: puppet.act(*(close[a] for a in unhealthy)))
        low, high = (middle, high) if passes is None else (low, middle)
    for part in ("1", "0.7", "0.3"):
        with venue.imagined():
            unhealthy = go(low * D(part))
            assert len(unhealthy) >= 4
            assert ways_that_beat_closing(venue, puppet, unhealthy, close) == []


def ways_that_beat_closing(
    venue: Venue, puppet: Puppet, unhealthy: list[str], close: dict[str, tuple[Any, ...]]
) -> list[str]:
    """Orders of liquidating and closing accounts that leave their owner more than closing them does
    in that order, where that is possible at all: the curve of one is the other's."""
    end = {a: puppet.liquidate(a) for a in unhealthy}
    orders = [unhealthy, unhealthy[::-1]]
    orders += [[*(b for b in unhealthy if b != a), a] for a in unhealthy]  # each of them last
    found, seen = [], 0
    for order in orders:
        first, last = order[0], order[-1]
        ways = {
            "all": [end[a] for a in order],
            "the last": [*(close[a] for a in order[:-1]), end[last]],
            "the first": [end[first], *(close[a] for a in order[1:])],
            "all at once": [(venue.house, "liquidate_many", order)],
        }
        with venue.imagined():
            if tried(lambda order=order: puppet.act(*(close[a] for a in order))) is not None:
                continue
            closed = venue.wealth(puppet)
        for way, calls in ways.items():
            with venue.imagined():
                if tried(lambda calls=calls: puppet.act(*calls)) is None:
                    seen += 1
                    if venue.wealth(puppet) - closed > DUST:
                        found.append(f"liquidating {way} of {order}")
    assert seen >= 4
    return found


@pytest.mark.parametrize("name", ["BTC", "SOL", "THIN"])
def test_33__close_one_account_before_the_other__leaves_the_fund_what_the_curve_moved_at_most(
    venue_of, name
):
    """Bounded, not stopped: of two accounts that a jump has left with next to nothing, the owner
    closes the one, which lowers the curve under the other, and lets the other's debt be the
    insurance fund's. Nothing is gained by it at the line, nor at half of it: the maintenance
    margin covers the curve. Below what it keeps for that, what the one moved the curve by is the
    bound, with the fees that a bankrupt does not pay. With the default terms and half the cap each
    that is 7,000 of a notional of 3.8m in BTC, in a fall of 5.7 % that no keeper was quicker than."""
    venue = venue_of(three_markets())
    puppet, spec = venue.puppet(), venue.system.table.spec(name)
    first, second = (sub_account(puppet.address, number) for number in (1, 2))
    size = whole(spec.max_skew / 2)
    for account in (first, second):
        open_at_margin(venue, puppet, name, size, account)
    close = {a: puppet.trade(name, -size, a) for a in (first, second)}
    end = {a: puppet.liquidate(a) for a in (first, second)}
    closing = spec.taker_fee + spec.spread
    seen = 0
    for one, other in ((first, second), (second, first)):
        line = price_of_health(venue, other, name, D("0.9999"))
        nothing = price_leaving(venue, other, name, D("1.02") * closing)
        for part in ("0", "0.25", "0.5", "0.75", "0.9", "0.95", "0.98", "1"):
            price = line + (nothing - line) * D(part)
            ways = {
                "honest": [close[other], close[one]],
                "both": [end[other], end[one]],
                "sly": [close[one], end[other]],
            }
            wealth: dict[str, Decimal] = {}
            with venue.imagined():
                venue.prices(**{name: whole(price, 8)})
                for way, calls in ways.items():
                    with venue.imagined():
                        if tried(lambda calls=calls: puppet.act(*calls)) is None:
                            wealth[way] = venue.wealth(puppet)
            if len(wealth) == 1 or "sly" not in wealth:
                continue
            gain = wealth.pop("sly") - max(wealth.values())
            notional = size * price
            bound = notional * (size / spec.skew_scale + closing * D("1.1")) + spec.reward
            assert gain <= (DUST if D(part) <= D("0.5") else bound)
            seen += 1
    assert seen >= 8


@pytest.mark.defence(*RAW_ORACLE)
@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
def test_33__open_and_be_liquidated_in_one_transaction__dearer_than_to_open_and_close(
    venue_of, side
):
    """With a feed whose next price the attacker brings himself: open on the thin side for its
    discount, bring the price, be liquidated by himself, all in one transaction. Without the price
    his account is healthy: nobody can be liquidated for what he did in the same block."""
    venue = venue_of(three_markets())
    puppet = venue.puppet()
    for name in venue.system.names:
        with another_crowd(venue, name, -side, "0.8"):
            spec = venue.system.table.spec(name)
            size = side * whole(spec.max_skew * D("0.8"))
            with venue.imagined():
                open_at_margin(venue, puppet, name, size)
                cash = whole(
                    venue.client.account(puppet).cash + abs(size) * spec.price * D("0.002")
                )
                bad = whole(price_of_health(venue, puppet, name, D("0.6")), 8)
            puppet.deposit(cash)
            start = venue.wealth(puppet)
            reason = puppet.refusal(puppet.trade(name, size), puppet.liquidate(puppet))
            assert reason == HEALTHY
            ends = []
            for way in (puppet.trade(name, -size), puppet.liquidate(puppet)):
                with venue.imagined():
                    puppet.act(puppet.trade(name, size), puppet.price(name, bad), way)
                    ends.append(venue.wealth(puppet))
            closed, liquidated = ends
            assert liquidated <= closed < start, name


def test_33__liquidated_beside_a_dead_leg_with_a_profit__spares_what_closing_costs_and_no_more(
    venue_of,
):
    """Bounded, not stopped: a dead leg's profit on paper keeps the account's equity above zero, so
    its owner could close the live leg; but no fee is taken from it, and with the cash below zero
    the insurance fund adds the keeper's flat reward. So here being liquidated by himself spares
    the owner the fee and the spread of closing, and pays him that reward: 1,652 of a notional of
    1.1m in BTC. A feed has to die for it just when the leg has gained."""
    venue = venue_of(three_markets())
    feed, client, attacker = venue.faulty("SOL"), venue.client, venue.attacker
    venue.fund(attacker, 100_000)
    client.trade("SOL", 600, signer=attacker, slippage=None)
    client.trade("BTC", 20, signer=attacker, slippage=None)
    venue.send(feed, "set_round", 200 * 10**8, venue.chain.now, sender=venue.owner)
    venue.send(venue.house, "poke", venue.system.market_id("SOL"), sender=venue.owner)
    break_feed(venue, feed, "down", 0)
    spec = venue.system.table.spec("BTC")
    spared = []
    for price in (55_200, 54_900, 54_500, 54_000):
        with venue.imagined():
            venue.prices(BTC=price)
            seen = client.account(attacker)
            assert 0 < seen.equity < seen.maintenance
            with venue.imagined():
                assert sold(venue, attacker, "BTC", D(-20))
                closed = venue.wealth(attacker)
            fund = venue.insurance()
            client.liquidate(attacker, signer=attacker)
            gain = venue.wealth(attacker) - closed
            costs = 20 * price * (spec.taker_fee + spec.spread) * D("1.005")
            assert gain <= costs + spec.reward
            assert venue.insurance() >= fund - spec.reward
            spared.append(gain > 0)
    assert spared == [False, True, True, True]  # while the cash covers it, it pays


# ------------------------------------------------------------------ 33: trading around a liquidation


def around_a_liquidation(
    venue: Venue, name: str, side: int, victims: Decimal, own: Decimal, later: bool
) -> tuple[Decimal, Decimal, dict[str, Decimal]]:
    """Trade against an account below the line, liquidate it, and cover.

    Args:
        venue: of `three_markets`.
        name: the market.
        side: the victim's.
        victims: his size, a share of the cap.
        own: the attacker's, a share of what the caps leave him.
        later: whether he covers a second later and not in the same transaction.

    Returns:
        The attacker's gain by liquidating alone, and with the trade around it [quote]; and what
        the trade changed for the victim, the pool and the insurance fund, and its size in all.
    """
    puppet = venue.puppet()
    puppet.deposit(90_000_000)
    size = size_of(venue, name, side, victims)
    open_at_margin(venue, venue.victim, name, size)
    venue.prices(**{name: whole(price_of_health(venue, venue.victim, name, D("0.9999")), 8)})
    against = size_of(venue, name, -side, own)
    start = venue.wealth(puppet)

    def standing() -> dict[str, Decimal]:
        rest = {"victim": venue.equity(venue.victim), "fund": venue.insurance()}
        return {**rest, "pool": venue.nav()}

    with venue.imagined():
        puppet.act(puppet.liquidate(venue.victim))
        alone, plain = venue.wealth(puppet) - start, standing()
    calls = [puppet.trade(name, against), puppet.liquidate(venue.victim)]
    cover = puppet.trade(name, -against)
    if later:
        puppet.act(*calls)
        puppet.act(cover)
    else:
        puppet.act(*calls, cover)
    around = venue.wealth(puppet) - start
    changed = {who: amount - plain[who] for who, amount in standing().items()}
    return alone, around, {**changed, "size": abs(size), "against": abs(against)}


@pytest.mark.defence(*NO_SURGE_PAID)
@pytest.mark.defence(*NO_SURGE_KEPT)
@pytest.mark.parametrize("side", [1, -1], ids=["a long", "a short"])
def test_33__short_liquidate_cover_in_one_transaction__earns_less_than_to_liquidate(venue_of, side):
    """The forced sale moves the curve; whoever sells just before it and buys back just after has
    the difference from the account that is liquidated, without a moment's risk (QTE-2)."""
    venue = venue_of(three_markets())
    for name in venue.system.names:
        for victims in ("0.1", "1"):
            for own in ("0.01", "0.3", "1"):
                with venue.imagined():
                    alone, around, changed = around_a_liquidation(
                        venue, name, side, D(victims), D(own), later=False
                    )
                assert alone > 0
                assert around < alone, (name, victims, own)
                assert changed["pool"] >= 0
                assert changed["fund"] >= 0


@pytest.mark.parametrize("name", ["BTC", "SOL", "THIN"])
def test_33__cover_a_second_later__the_liquidated_pays_and_never_more_than_the_curve_moved(
    venue_of, name
):
    """The surge ends with the second. Who dares to hold his short until the next one earns what the
    forced sale moved the curve by, at most: his size, times the victim's over the skew scale. The
    maintenance margin is there for that cost (MGN-3): an account that is liquidated at the line
    pays it out of what it has left, and there is no bad debt; of one that has nothing left the
    insurance fund would pay it.

    With the default terms, an account as large as the cap and an attacker likewise, the account
    loses 55,000 of the 97,000 that it has left in BTC, and the attacker gains 38,000; in SOL it is
    11,000 of 24,000, and 5,000."""
    venue = venue_of(three_markets())
    spec = venue.system.table.spec(name)
    for side in (1, -1):
        for victims in ("0.1", "1"):
            with venue.imagined():
                alone, around, changed = around_a_liquidation(
                    venue, name, side, D(victims), D(1), later=True
                )
                price = venue.client.market(name).price
                assert venue.equity(venue.victim) >= 0
            worth = changed["against"] * price
            moved = changed["size"] / spec.skew_scale
            costs = 2 * (spec.taker_fee + spec.spread) * (1 - D("0.25"))  # at the worst fill
            assert around - alone <= worth * (moved - costs)
            assert around - alone <= -changed["victim"]
            assert changed["victim"] >= -worth * moved - 1
            assert changed["pool"] > 0
            assert changed["fund"] >= 0


# ------------------------------------------------------------------ 34, 43: what the liquidator chooses


def test_34__liquidator_chooses_size_or_price__there_is_nothing_to_choose(venue):
    """Perennial v2 (sherlock 2023-10 #5, 2025-01 #32): a liquidation took an order, checks were
    skipped for it, and it enlarged the position. Here it takes an account and nothing else."""
    functions = [e for e in interface(venue, "Clearinghouse") if e["name"].startswith("liquidate")]
    inputs = {e["name"]: [i["type"] for i in e["inputs"]] for e in functions}
    assert inputs == {"liquidate": ["address"], "liquidate_many": ["address[]"]}


def interface(venue: Venue, name: str) -> list[dict[str, Any]]:
    """A contract's functions."""
    from plimsoll.chain import compiled

    return [e for e in compiled(name).abi if e["type"] == "function"]


def crowded_account(venue: Venue, who: Any, rng: random.Random, names: list[str]) -> None:
    """A position in each of these markets, in this order, on either side, on little margin."""
    client = venue.client
    venue.fund(who, 10_000_000)
    for name in names:
        side = rng.choice([1, -1])
        share = D(rng.choice(["0.0001", "0.01", "0.1"]))
        client.trade(name, size_of(venue, name, side, share), signer=who, slippage=None)
    client.withdraw(whole(client.account(who).withdrawable - 1), signer=who)


def ruin(venue: Venue, who: Any, names: list[str], health: int = 1) -> None:
    """Move these markets' prices against an account, step by step, until it is below a health."""
    for _ in range(60):
        if (venue.client.health(who) or D(0)) < health:
            return
        moves = {}
        for name in names:
            number = venue.system.market_id(name)
            leg = venue.view(venue.house, "leg", address_of(who), number)
            step = D("0.96") if leg.size > 0 else D("1.04")
            moves[name] = whole(venue.system.price(name) * step, 8)
        venue.prices(**moves)
    raise AssertionError("60 steps did not bring it down")


@pytest.mark.parametrize("seed", range(4))
def test_43__close_the_losing_legs_alone__every_live_leg_goes_and_the_order_is_the_contracts(
    venue, seed
):
    """Symmetrical (sherlock 2023-06 #160): the liquidator closed the losing positions one by one and
    left the winners for last. Here one call closes every live leg, winners too, at the same prices
    as any other keeper's; who calls changes who is paid, and nothing else."""
    rng = random.Random(seed)
    names = rng.sample(venue.system.names, 4)
    crowded_account(venue, venue.victim, rng, names)
    winner = names[3]
    number = venue.system.market_id(winner)
    size = venue.view(venue.house, "leg", address_of(venue.victim), number).size
    move = D("1.03") if size > 0 else D("0.97")
    venue.prices(**{winner: venue.system.price(winner) * move})
    ruin(venue, venue.victim, names[:3])
    assert venue.client.account(venue.victim).position(winner).pnl > 0
    ends = []
    for keeper in (venue.keeper, venue.attacker):
        with venue.imagined():
            found = venue.client.liquidate(venue.victim, signer=keeper)
            ends.append((found.closed, found.charged, found.reward, venue.equity(venue.victim)))
            assert venue.client.header(venue.victim).bitmap == 0
            assert venue.client.account(venue.victim).positions == ()
    assert ends[0] == ends[1]
    assert ends[0][0] == 4


# ------------------------------------------------------------------ 103: gas


def test_103__keeper_sends_too_little_gas__no_leg_looks_dead(venue):
    """Elfi (sherlock 2024-05 #95), GMX (2023-04 #199): 63/64 of the gas was too little for the
    inner call, which failed, and the failure was taken for an answer. Here a keeper would make a
    feed look dead to close only the legs that he likes: a call with too little gas fails whole."""
    feed = venue.faulty("SOL")
    client, victim = venue.client, venue.victim
    venue.send(feed, "set_mode", 6, sender=venue.owner)
    venue.send(feed, "set_work", 170, sender=venue.owner)  # about 50,000 gas
    venue.fund(victim, 100_000)
    client.trade("LINK", 5_000, signer=victim, slippage=None)
    client.trade("SOL", 500, signer=victim, slippage=None)
    client.withdraw(whole(client.account(victim).withdrawable - 1), signer=victim)
    venue.prices(LINK=13)
    assert client.health(victim) < 1
    outcomes: dict[str, int] = {}
    for gas in range(40_000, 500_000, 1_000):
        with venue.imagined():
            reason = venue.with_gas(
                gas, venue.house, "liquidate", address_of(victim), sender=venue.attacker
            )
            left = bits(client.header(victim).bitmap)
            outcome = "refused" if reason is not None else f"left {left}"
            if reason is not None:
                assert left == [2, 3]
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert set(outcomes) == {"refused", "left []"}, outcomes


# ------------------------------------------------------------------ 35, 44: standing in the way


def test_35__dust_and_small_moves_before_a_liquidation__stop_nothing(venue):
    """Symmetrical (sherlock 2023-06 #233): a deposit of nothing changed a nonce that liquidations
    had to name. The owner sees the liquidation coming and, in the same transaction before it, does
    all that he may do that does not mend his health."""
    puppet, client = venue.puppet(), venue.client
    mine, other = (sub_account(puppet.address, number) for number in (1, 2))
    for account in (mine, other):
        open_at_margin(venue, puppet, "BTC", D(2), account)
    venue.prices(BTC=price_of_health(venue, mine, "BTC", D("0.99")).quantize(D(1)))
    assert client.health(mine) < 1
    token, house = address_of(venue.token), venue.house
    puppet.deposit(1_000)
    puppet.approve()
    venue.send(venue.token, "mint", puppet.address, 10**12, sender=venue.attacker)
    wei = (house, "deposit", mine, token, 1)
    less = puppet.trade("BTC", D("-0.000001"), mine)
    stalls: list[list[tuple[Any, ...]]] = [
        [wei],
        [wei] * 100,
        [less],
        [less] * 20,
        [(house, "poke", 0), (venue.pool, "refresh")],
        [puppet.liquidate(other)],
        [wei, puppet.trade("BTC", D("-0.001"), mine), (house, "poke", 0), puppet.liquidate(other)],
    ]
    for stall in stalls:
        with venue.imagined():
            puppet.act(*stall, puppet.liquidate(mine))
            assert client.header(mine).bitmap == 0
    # Only what brings him back over the line does: all that is missing, and a little less does not.
    seen = client.account(mine)
    missing = venue.system.raw(whole(seen.maintenance - seen.equity))
    mend = (house, "deposit", mine, token, missing + 1_000)
    assert puppet.refusal(mend, puppet.liquidate(mine)) == HEALTHY
    with venue.imagined():
        puppet.act((house, "deposit", mine, token, missing - 1_000), puppet.liquidate(mine))


@pytest.mark.defence(
    "Clearinghouse.vy",
    "if not kept and (total.dead or opening < convert(total.initial, int256)):",
    "if False:",
)
@pytest.mark.defence(
    "Clearinghouse.vy",
    "self._check_margin(total, slots.cash_of(header), collateral.value(account, header).initial, 0)",
    "pass",
)
def test_44__owner_acts_below_the_line__can_add_and_reduce_and_take_nothing_out(venue):
    """Symmetrical (sherlock 2023-06 #189): between the flag and the liquidation the owner traded and
    withdrew. There is no flag here, the one call does it all; until it comes, an unhealthy account
    can take nothing out, add no risk, and sell its winning leg only where that mends its health."""
    client, attacker = venue.client, venue.attacker
    venue.fund(attacker, 60_000)
    client.trade("BTC", 10, signer=attacker, slippage=None)
    client.trade("LINK", 2_000, signer=attacker, slippage=None)
    venue.prices(BTC=55_300, LINK=17)
    before = client.account(attacker)
    assert before.health < 1
    house, token, me = venue.house, address_of(venue.token), address_of(attacker)
    for amount in (1, 10**6, venue.system.raw(whole(before.cash))):
        taken = venue.refusal(house, "withdraw", me, token, amount, me, sender=attacker)
        assert taken == "margin: below initial"
    for name, size in (
        ("BTC", D("0.001")),
        ("BTC", D("-19.5")),
        ("ETH", 1),
        ("ETH", -1),
        ("LINK", 1),
    ):
        assert tried(
            lambda name=name, size=size: client.trade(name, size, signer=attacker, slippage=None)
        ) == ("margin: below initial"), name
    # Closing the leg that won takes from his equity what it costs and from his requirement little:
    # allowed only if his health is no lower for it.
    for name, size in (("LINK", -2_000), ("LINK", -20), ("BTC", -1), ("BTC", -10)):
        with venue.imagined():
            done = tried(
                lambda name=name, size=size: client.trade(
                    name, size, signer=attacker, slippage=None
                )
            )
            after = client.account(attacker)
            assert done in (None, "margin: health would fall")
            assert after.health is None or after.health >= before.health
    # With hardly anything left, what a sale costs is more than it mends, and a sale of all would
    # leave a debt without a liquidation: neither is allowed.
    with venue.imagined():
        venue.prices(BTC=(55_300 - (before.equity - 300) / 10).quantize(D("0.01")))
        assert 0 < client.account(attacker).equity < 400
        for size in (-500, -2_000):
            assert not sold(venue, attacker, "LINK", D(size))
    client.liquidate(attacker, signer=venue.keeper)
    assert client.header(attacker).bitmap == 0


def test_45__account_used_again_after_its_liquidation__nothing_of_the_old_lingers(venue):
    """GMX (sherlock 2023-02 #153): an order placed before the liquidation filled after it. There are
    no orders here; and the account that is left is as good as new, position word and all."""
    client, attacker = venue.client, venue.attacker
    open_at_margin(venue, attacker, "BTC", D(3))
    venue.prices(BTC=50_000)
    client.liquidate(attacker, signer=venue.keeper)
    assert client.header(attacker) == (0, 0, 0)
    leg = venue.view(venue.house, "leg", address_of(attacker), 0)
    assert (leg.size, leg.basis) == (0, 0)
    fresh, used = venue.accomplice, attacker
    venue.wait(2)
    for who in (fresh, used):
        venue.fund(who, 10_000)
    start = {who.address: venue.wealth(who) for who in (fresh, used)}
    with venue.imagined():
        client.trade("BTC", 1, signer=fresh, slippage=None)
        expected = venue.wealth(fresh) - start[fresh.address]
    client.trade("BTC", 1, signer=used, slippage=None)
    assert venue.wealth(used) - start[used.address] == expected


# ------------------------------------------------------------------ 36, 37, 104: many legs, dead feeds


FAULTS = ("down", "hungry", "three words", "nothing", "stale", "zero", "early", "far")


def break_feed(venue: Venue, feed: Any, how: str, answer: int) -> None:
    """Make a faulty feed's price invalid in some way."""
    now = venue.chain.now
    modes = {"down": 1, "hungry": 2, "three words": 3, "nothing": 4}
    rounds = {
        "stale": (answer, now - 40 * 86_400),
        "zero": (0, now),
        "early": (answer, now + 10_000),
        "far": (2**180, now),
    }
    if how in modes:
        venue.send(feed, "set_mode", modes[how], sender=venue.owner)
    else:
        venue.send(feed, "set_round", *rounds[how], sender=venue.owner)


def mend_feed(venue: Venue, feed: Any, answer: int) -> None:
    """A faulty feed answers again."""
    venue.send(feed, "set_mode", 0, sender=venue.owner)
    venue.send(feed, "set_round", answer, venue.chain.now, sender=venue.owner)


def many_markets(count: int) -> Table:
    """So many small markets of ordinary terms."""
    prices = {f"M{i:02}": D(2 + i % 7) for i in range(count)}
    markets = tuple(market(name, price) for name, price in prices.items())
    table = Table(markets=markets, max_pool_leverage=D(50))
    return without_funding(replace(table, pool=replace(table.pool, seed=D(100_000_000))))


@pytest.mark.defence("Clearinghouse.vy", "if others.legs == MAX_LEGS:", "if others.legs == 128:")
def test_36__more_legs_than_a_liquidation_can_close__the_33rd_is_refused(venue_of):
    """Synthetix v3 caps an account's positions; a liquidation that cannot hold them all could not be
    made. An account in every market there is must be liquidatable in one transaction."""
    venue = venue_of(many_markets(34))
    client, attacker = venue.client, venue.attacker
    venue.fund(attacker, 1_000_000)
    refused = set()
    for name in venue.system.names:
        reason = tried(lambda name=name: client.trade(name, 1_000, signer=attacker, slippage=None))
        if reason is not None:
            refused.add(reason)
    client.withdraw(whole(client.account(attacker).withdrawable - 1), signer=attacker)
    venue.prices(**{name: venue.system.price(name) * D("0.92") for name in venue.system.names})
    assert client.health(attacker) < 1
    done = client.liquidate(attacker, signer=venue.keeper)
    assert client.header(attacker).bitmap == 0
    assert done.closed == 32
    assert refused == {"account: 32 markets at most"}


@pytest.mark.parametrize("seed", range(5))
def test_36__32_legs_in_any_order_some_of_them_dead__all_that_live_close_at_once(venue_of, seed):
    """Zaros (Cyfrin 2024-07): with positions in several markets the liquidation reverted, for the
    list that it walked was the one that it took them off. Positions are opened in any order of
    markets, some closed and opened again, some markets die in every way that a feed can; then all that live close in one transaction of EIP-7825's size, and the dead
    when they live again."""
    rng = random.Random(seed)
    venue = venue_of(many_markets(32))
    client, victim = venue.client, venue.victim
    dead = sorted(rng.sample(venue.system.names, rng.choice([0, 1, 5, 16])))
    answers = {name: venue.system.table.answer(name, venue.system.price(name)) for name in dead}
    feeds = {name: venue.faulty(name) for name in dead}
    order = [venue.system.names, venue.system.names[::-1]][seed % 2][:]
    if seed > 1:
        rng.shuffle(order)
    venue.fund(victim, 1_000_000)
    for name in order:
        size = rng.choice([1, -1]) * rng.choice([D("0.00000001"), D(10), D(3_000)])
        client.trade(name, size, signer=victim, slippage=None)
    for name in rng.sample(order, 6):
        client.close(name, signer=victim)
        client.trade(name, rng.choice([-1, 1]) * 500, signer=victim, slippage=None)
    client.withdraw(whole(client.account(victim).withdrawable - 1), signer=victim)
    for name in dead:
        break_feed(venue, feeds[name], rng.choice(FAULTS), answers[name])
    ruin(venue, victim, [name for name in order if name not in dead])
    reason = venue.with_gas(
        LIMIT_7825, venue.house, "liquidate", address_of(victim), sender=venue.keeper
    )
    assert reason is None
    left = [venue.system.market_name(n) for n in bits(client.header(victim).bitmap)]
    assert sorted(left) == dead
    for name in dead:
        mend_feed(venue, feeds[name], answers[name])
    if client.health(victim) is not None and client.health(victim) < 1:
        client.liquidate(victim, signer=venue.keeper)
        assert client.header(victim).bitmap == 0
        assert client.header(victim).cash >= 0


@pytest.mark.defence(
    "Clearinghouse.vy",
    """            dead_pnl = unsafe_add(dead_pnl, self._with(empty(Sum), leg, 0).pnl)
            continue""",
    """            prices.must_be_live(leg.status)""",
)
@pytest.mark.parametrize("how", FAULTS)
def test_37__a_wei_in_a_dead_market__shields_no_loss_elsewhere(venue, how):
    """Perennial (sherlock 2023-10 #26): one paused market blocked the liquidation of the whole
    account. The attacker keeps the least position that there is in a market whose feed is about
    to die, and lets his big one run: its loss is cut as soon as if he had not, to the wei."""
    feed, answer = venue.faulty("LINK"), 15 * 10**8
    client, attacker, twin = venue.client, venue.attacker, venue.accomplice
    ends = {}
    for who in (twin, attacker):
        with venue.imagined():
            venue.fund(who, 30_000)
            if who is attacker:
                client.trade("LINK", D("0.0000001"), signer=who, slippage=None)
            client.trade("BTC", 8, signer=who, slippage=None)
            if who is attacker:
                break_feed(venue, feed, how, answer)
                assert client.account(who).has_dead_leg
                more = tried(lambda: client.trade("ETH", 1, signer=attacker, slippage=None))
                assert more == "margin: dead leg"
            venue.prices(BTC=57_400)
            assert client.health(who) < 1
            done = client.liquidate(who, signer=venue.keeper)
            ends[who.address] = done, client.header(who), client.account(who).equity
    (plain, flat, rest), (dusty, left, rest_of_dusty) = ends.values()
    assert (plain.closed, dusty.closed) == (1, 1)
    assert plain.notional == dusty.notional == 8 * 57_400
    assert plain.charged == dusty.charged
    assert (bits(flat.bitmap), bits(left.bitmap)) == ([], [3])
    # All that the dust has cost or saved him is its own fee and spread.
    assert rest - D("0.000001") < rest_of_dusty < rest


def test_37__dead_leg_alone_and_in_debt__costs_nobody_anything_to_try_and_pays_nobody(venue):
    """What is left of an account when only its dead leg is: anyone can call, nobody is paid for it
    twice, and the debt is booked once, when the feed is back."""
    feed = venue.faulty("LINK")
    client, attacker, keeper = venue.client, venue.attacker, venue.keeper
    venue.fund(attacker, 40_000)
    client.trade("LINK", 1_000, signer=attacker, slippage=None)
    client.trade("BTC", 8, signer=attacker, slippage=None)
    break_feed(venue, feed, "down", 0)
    venue.prices(BTC=50_000)
    client.liquidate(attacker, signer=keeper)
    debt = -from_wad(client.header(attacker).cash)
    assert debt > 0
    fund, nav, paid = venue.insurance(), venue.client.pool().known_nav, venue.wealth(keeper)
    for _ in range(20):
        client.liquidate(attacker, signer=keeper)
    assert (venue.insurance(), venue.client.pool().known_nav) == (fund, nav)
    assert venue.wealth(keeper) == paid
    assert -from_wad(client.header(attacker).cash) == debt
    mend_feed(venue, feed, 15 * 10**8)
    done = client.liquidate(attacker, signer=keeper)
    # The leg at its price of now, less the curve and the spread that opening it had cost.
    assert debt < done.debt_to_insurance < debt + 100
    assert client.header(attacker) == (0, 0, 0)


def bomb(tail: bytes, until: int) -> bytes:
    """A feed of 8 decimals at 15, good until a time, and from then on whatever `tail` does."""
    price = words(8, 15 * 10**8, 0) + b"\x42" + push(96) + b"\x52" + returning(160)
    test = push(until) + b"\x42\x10" + b"\x61"  # now < until; PUSH2
    jump = len(test) + 2 + 1 + len(tail)
    return test + jump.to_bytes(2, "big") + b"\x57" + tail + b"\x5b" + price


BOMBS = {
    "reverts with a megabyte": reverting(10**6),
    "reverts with what its gas can buy": reverting(140_000),
    "returns what its gas can buy": returning(140_000),
    "burns its gas": b"\xfe",
    "loops": b"\x5b" + push(0) + b"\x56",
}


@pytest.mark.parametrize("tail", BOMBS.values(), ids=BOMBS)
def test_104__feed_that_bombs_its_reader__costs_its_own_gas_and_no_more(venue, tail):
    """GMX (sherlock 2023-02 #141): revert data without end, copied by the caller, ran the keeper out
    of gas. A feed gets 60,000 gas and five words; the account that holds its market is liquidated
    for no more than that on top."""
    client, victim = venue.client, venue.victim
    until = venue.chain.now + 100
    if tail == BOMBS["loops"]:
        # A jump destination is a place in the code: here the one after the PUSH2 and JUMPI.
        at = len(push(until)) + 2 + 1 + 2 + 1
        tail = b"\x5b" + push(at) + b"\x56"
    feed = venue.plant_code(bomb(tail, until))
    venue.configure("LINK", feed=feed)
    venue.fund(victim, 40_000)
    client.trade("LINK", 1_000, signer=victim, slippage=None)
    client.trade("BTC", 8, signer=victim, slippage=None)
    venue.prices(BTC=56_000)
    assert client.health(victim) < 1

    def needed() -> int:
        """The least gas that a liquidation goes through with, to 500."""
        low, high = 0, 2_000_000
        while high - low > 500:
            middle = (low + high) // 2
            with venue.imagined():
                reason = venue.with_gas(
                    middle, venue.house, "liquidate", address_of(victim), sender=venue.keeper
                )
            low, high = (low, middle) if reason is None else (middle, high)
        return high

    plain = needed()
    venue.chain.advance(200)
    assert client.account(victim).has_dead_leg
    assert needed() <= plain + 75_000
    done = client.liquidate(victim, signer=venue.keeper)
    assert done.closed == 1
    assert client.account(victim).positions[0].market == "LINK"


# ------------------------------------------------------------------ 38: tokens


def test_38__token_that_no_longer_moves__liquidation_moves_none_and_credits_the_keeper(venue_of):
    """JOJO (sherlock 2023-04 #206): a blacklisted account's transfer reverted, and with it every
    liquidation that would have paid it. The token is frozen for everybody here."""
    venue = venue_of(quote="OddTokenMock")
    client, victim, keeper = venue.client, venue.victim, venue.keeper
    open_at_margin(venue, victim, "BTC", D(5))
    venue.prices(BTC=price_of_health(venue, victim, "BTC", D("0.9")).quantize(D(1)))
    venue.send(venue.odd, "set_mode", 3, 0, sender=venue.owner)
    token, me = address_of(venue.token), address_of(keeper)
    frozen = venue.refusal(venue.house, "withdraw", me, token, 1, me, sender=keeper)
    assert frozen == "margin: not enough cash"
    done = client.liquidate(victim, signer=keeper)
    assert client.account(keeper).cash == done.reward > 5
    frozen = venue.refusal(venue.house, "withdraw", me, token, 1, me, sender=keeper)
    assert frozen == "token: frozen"
    venue.send(venue.odd, "set_mode", 0, 0, sender=venue.owner)
    client.withdraw(whole(done.reward), signer=keeper)


# ------------------------------------------------------------------ 39: corners

TOP = 2**96 - 1  # [wei] of a price and of a skew scale
DEEPEST = 2**106 * 10**18  # [wei * wei] skew scale times greatest price, not reached


def corner(name: str, price: int, max_price: int, unit: int, **changes: Any) -> MarketSpec:
    """A market at the bounds: prices in wei of quote, the scale as deep as the rules let it be."""
    scale = min((DEEPEST - 1) // max_price, TOP)
    fields: dict[str, Any] = {
        "price": from_wad(price),
        "min_price": from_wad(unit),
        "max_price": from_wad(max_price),
        "skew_scale": from_wad(scale),
        "max_skew": from_wad(scale // 5),
        "max_open_interest": from_wad(scale // 5),
        "liquidation_fee": D("0.01"),
        "mm": D("0.21"),
        "im": D("0.315"),
        "taker_fee": D("0.0005"),
        "spread": D("0.001"),
        "otc_band": D(0),
        "max_velocity": D(2**24 - 1).scaleb(-6),
        "max_rate": D("0.21"),
        "max_age": 2**20 - 1,
        "feed_decimals": 18,
    }
    return MarketSpec(name=name, **{**fields, **changes})


def corners(velocity: bool = False) -> Table:
    """The dearest coin, the cheapest, and the greatest scale at the price that goes with it."""
    dear = (2**96 // 10**22) * 10**22
    still: dict[str, Any] = {} if velocity else {"max_velocity": D(0), "max_rate": D(0)}
    specs = (
        corner("DEAR", dear // 100, dear, 10**22, **still),
        corner("CHEAP", 3 * 10**6, (2**24 - 1) * 10**6, 10**6, **still),
        corner("WIDE", 10**19, 1023 * 10**18, 10**15, **still),
    )
    table = Table(markets=specs, max_pool_leverage=D(1000), insurance=D(1_000_000))
    return replace(table, pool=replace(table.pool, seed=D(100_000_000_000)))


def post_exact(venue: Venue, **answers: int) -> None:
    """Answers of feeds in wei of quote."""
    for name, answer in answers.items():
        venue.send(venue.system.feeds[name], "set_answer", answer, sender=venue.owner)


def to_the_caps(venue: Venue, longs: Any, shorts: Any) -> None:
    """Each as much of every market as open interest allows, first one then the other."""
    for who, side in ((longs, 1), (shorts, -1)):
        venue.fund(who, 250_000_000_000)
        for name in venue.system.names:
            spec = venue.system.table.spec(name)
            most = venue.client.market(name)
            room = most.room_to_buy if side > 0 else most.room_to_sell
            size = to_wad(min(room, spec.max_open_interest)) * side
            number = venue.system.market_id(name)
            limit = MAX_UINT if side > 0 else 0
            me = address_of(who)
            venue.send(venue.house, "trade", me, number, size, limit, sender=who)
    for name in venue.system.names:
        seen, cap = venue.client.market(name), venue.system.table.spec(name).max_open_interest
        assert min(seen.long_open_interest, seen.short_open_interest) > cap * D("0.999")


EXTREMES = ("up", "down", "up and down", "down and up")


@pytest.mark.parametrize("course", EXTREMES)
def test_39__greatest_sizes_at_the_ends_of_the_price_range__liquidation_goes_through(
    venue_of, course
):
    """Symmetrical (sherlock 2023-06 #241), Velar (2024-08 #96): an overflow on the way made the
    account that owed most the one that could not be liquidated. Longs and shorts as large as open
    interest may be, in the dearest coin, the cheapest and the deepest; prices jump to the ends of
    their ranges, by up to 5,000,000 times."""
    venue = venue_of(corners())
    client = venue.client
    to_the_caps(venue, venue.attacker, venue.victim)
    high = {name: to_wad(venue.system.table.spec(name).bounds()[1]) for name in venue.system.names}
    low = {name: to_wad(venue.system.table.spec(name).bounds()[0]) for name in venue.system.names}
    liquidated = 0
    for end in course.split(" and "):
        prices = high if end == "up" else low
        step = -1 if end == "up" else 1
        post_exact(venue, **{name: price + step for name, price in prices.items()})
        for who in (venue.attacker, venue.victim):
            health = client.health(who)
            if health is not None and health < 1:
                done = client.liquidate(who, signer=venue.keeper)
                liquidated += done.closed
                assert client.header(who).bitmap == 0
                assert client.header(who).cash >= 0
    assert liquidated >= 3
    assert venue.insurance() >= 0


@pytest.mark.defence(
    "modules/funding.vy",
    "if (moved > bound and moved > index) or (moved < unsafe_sub(0, bound) and moved < index):",
    "if False:",
)
@pytest.mark.parametrize("side", [1, -1], ids=["longs pay", "shorts pay"])
def test_39__funding_index_at_its_stop__stays_and_liquidation_goes_through(venue_of, side):
    """Years at the greatest rate and the greatest price: the index reaches the width of its slot.
    It stops there for both sides; past it, it would turn its sign and pay whoever owes most."""
    venue = venue_of(corners(velocity=True))
    client, crowd, thin = venue.client, venue.attacker, venue.victim
    for who, share in ((crowd, D(1)), (thin, D("0.3"))):
        venue.fund(who, 250_000_000_000)
        for name in venue.system.names:
            spec = venue.system.table.spec(name)
            size = to_wad(whole(spec.max_open_interest * share, 18)) * side
            size = size if who is crowd else -size
            limit = MAX_UINT if size > 0 else 0
            number = venue.system.market_id(name)
            venue.send(venue.house, "trade", who.address, number, size, limit, sender=who)
    high = {name: to_wad(venue.system.table.spec(name).bounds()[1]) for name in venue.system.names}
    last = dict.fromkeys(venue.system.names, 0)
    for days in (1, 1, 1, *[20] * 20, 1_000):
        venue.chain.advance(days * 86_400)
        post_exact(venue, **{name: price - 1 for name, price in high.items()})
        venue.system.poke()
        for name in venue.system.names:
            index = client.words(name).b.funding_index * side
            assert index >= last[name], f"{name}: the index turned from {last[name]} to {index}"
            assert index <= min(64 * high[name], 2**95 - 1)
            last[name] = index
    for who in (crowd, thin):
        health = client.health(who)
        if health is not None and health < 1:
            client.liquidate(who, signer=venue.keeper)
            assert client.header(who).bitmap == 0
    assert client.header(crowd).bitmap == 0
    # The stop is where it was said to be, in each of the markets.
    assert all(last[n] > min(59 * high[n], 2**94) for n in last), last


# ------------------------------------------------------------------ 40: the fee and what is left


@pytest.mark.defence(
    "modules/liquidation.vy",
    "fee: uint256 = min(fixed_point.ceil_div(bill.fee_ppm, PPM), unsafe_sub(left, flat))",
    "fee: uint256 = fixed_point.ceil_div(bill.fee_ppm, PPM)",
)
@pytest.mark.defence(
    "modules/liquidation.vy",
    "flat: uint256 = min(bill.flat, unsafe_sub(left, kept))",
    "flat: uint256 = bill.flat",
)
@pytest.mark.parametrize("name", ["BTC", "SOL", "THIN"])
def test_40__fee_above_what_is_left__takes_what_is_left_and_makes_no_debt(venue_of, name):
    """Zaros (codehawks 2024-07 s/841), Perennial (2023-07 #140): the penalty was charged in full
    and what the account did not have came from the insurance fund. From the line down to nothing
    left: the account pays the fee or all that it has, the fund gains and nobody is in debt."""
    venue = venue_of(three_markets())
    client, victim = venue.client, venue.victim
    spec = venue.system.table.spec(name)
    closing = spec.taker_fee + spec.spread
    parts = [spec.liquidation_fee * x for x in (D(2), D(1), D("0.5"), D("0.3"))]
    parts += [closing * x for x in (D("1.25"), D(1), D("0.8"), D("0.76"))]
    seen = 0
    for side in (1, -1):
        for share in ("0.0001", "0.01", "1"):
            with venue.imagined():
                size = size_of(venue, name, side, D(share))
                open_at_margin(venue, victim, name, size)
                line = price_of_health(venue, victim, name, D("0.9999"))
                for part in parts:
                    price = price_leaving(venue, victim, name, part)
                    if not sellable(venue, name, price) or (price - line) * side > 0:
                        continue
                    with venue.imagined():
                        venue.prices(**{name: whole(price, 8)})
                        fund = venue.insurance()
                        done = client.liquidate(victim, signer=venue.keeper)
                        seen += 1
                        assert done.debt_to_insurance == done.debt_to_pool == 0
                        left = client.account(victim).cash
                        assert left >= 0
                        asked = done.notional * spec.liquidation_fee + spec.reward
                        assert done.charged <= asked + DUST
                        assert left == 0 or done.charged >= asked - DUST
                        assert venue.insurance() >= fund
                        assert done.reward <= done.charged
    assert seen > 20


# ------------------------------------------------------------------ 41, 42: dust


class Farm:
    """A thousand accounts of four contracts of the attacker's, alike."""

    def __init__(self, venue: Venue, count: int) -> None:
        self.venue = venue
        self.puppets = [venue.puppet() for _ in range(-(-count // 250))]
        self.accounts = [
            sub_account(self.puppets[i // 250].address, 1 + i % 250) for i in range(count)
        ]

    def _by_owner(self, page: int = 50) -> Iterator[tuple[Puppet, list[str]]]:
        for number, puppet in enumerate(self.puppets):
            own = self.accounts[250 * number : 250 * number + 250]
            for at in range(0, len(own), page):
                yield puppet, own[at : at + page]

    def open(self, name: str, size: Decimal, cash: Decimal) -> None:
        """The same cash and the same position for each."""
        venue, raw = self.venue, self.venue.system.raw(cash)
        token = address_of(venue.token)
        for puppet in self.puppets:
            venue.send(venue.token, "mint", puppet.address, raw * 250, sender=venue.attacker)
            puppet.approve()
        for puppet, page in self._by_owner():
            puppet.act(*((venue.house, "deposit", a, token, raw) for a in page))
            puppet.act(*(puppet.trade(name, size, a) for a in page))

    def liquidate(self, blocks: int) -> None:
        """Each by the attacker's own contract, in so many transactions."""
        pages = [self.accounts[at : at + 10] for at in range(0, len(self.accounts), 10)]
        each = -(-len(pages) // blocks)
        for at in range(0, len(pages), each):
            calls = [(self.venue.house, "liquidate_many", p) for p in pages[at : at + each]]
            self.puppets[0].act(*calls)

    @property
    def wealth(self) -> Decimal:
        """The attacker's, in all: his contracts' tokens and main accounts, and the farm's."""
        venue = self.venue
        own = sum((venue.tokens(p) + venue.equity(p) for p in self.puppets), D(0))
        flat = [a for a in self.accounts if not venue.client.header(a).bitmap]
        cash = sum((from_wad(venue.client.header(a).cash) for a in flat), D(0))
        return own + cash + sum((venue.equity(a) for a in set(self.accounts) - set(flat)), D(0))


def debts(venue: Venue) -> Decimal:
    """What the insurance fund has taken over so far [quote]."""
    found = venue.chain.events(venue.house, "BadDebt", 0)
    return from_wad(sum(int(e.args["from_insurance"]) for e in found))


NO_CAP = (
    "Clearinghouse.vy",
    "paid: uint256 = min(wanted, unsafe_sub(TOP_UP_PER_BLOCK, spent))",
    "paid: uint256 = wanted",
)
ALWAYS_TOPPED_UP = (
    "modules/liquidation.vy",
    "if equity_left < 0 or unsafe_mul(5, left) < unsafe_mul(3, dearest):",
    "if True:",
)
WHOLE_REWARD = (
    "modules/liquidation.vy",
    "shortfall = min(bill.one_flat, bill.notional // 100)",
    "shortfall = bill.one_flat",
)


@pytest.mark.defence(*NO_CAP)
def test_41__a_thousand_accounts_liquidated_by_their_owner__the_fund_pays_50_a_block(venue):
    """Tracer (code4rena 2021-06 H-05): the insurance fund was drained by accounts that their owner
    liquidated. A thousand accounts of 500 each on the least margin, a fall, all in one block: where
    anything is left the fund gains, where nothing is left its top-ups stop at `top_up_per_block`,
    and in every case the attacker has lost."""
    farm = Farm(venue, 1_000)
    price = venue.client.market("BTC").price
    per_block = venue.system.table.top_up_per_block
    farm.open("BTC", whole(500 / price, 12), D(32))
    start = farm.wealth + farm_costs(farm, D(32))
    for fall in ("0.03", "0.055", "0.06", "0.0645", "0.08", "0.5"):
        with venue.imagined():
            venue.prices(BTC=price * (1 - D(fall)))
            fund, known = venue.insurance(), debts(venue)
            farm.liquidate(blocks=1)
            topped_up = fund - (debts(venue) - known) - venue.insurance()
            assert topped_up <= per_block, fall
            assert farm.wealth < start, fall
            if D(fall) <= D("0.06"):
                assert venue.insurance() > fund
            assert all(venue.client.header(a).bitmap == 0 for a in farm.accounts[::97])


def farm_costs(farm: Farm, cash: Decimal) -> Decimal:
    """What opening cost the farm already: each began with its cash."""
    equities = sum((farm.venue.equity(a) for a in farm.accounts), D(0))
    return cash * len(farm.accounts) - equities


@pytest.mark.defence(*ALWAYS_TOPPED_UP)
def test_41__hedged_accounts_liquidated_at_the_line__each_pays_the_fund(venue):
    """With the other side in an account of its own the fall itself costs the attacker nothing; what
    he would earn is the fund's top-up of his keeper's reward. Where closing leaves anything the
    fund adds nothing, and being liquidated has cost more than closing."""
    farm = Farm(venue, 100)
    price = venue.client.market("BTC").price
    first = farm.puppets[0]
    first.deposit(100_000)
    start = farm.wealth
    for notional in (D(20), D(100), D(500)):
        with venue.imagined():
            size = whole(notional / price, 12)
            cash = whole(notional * D("0.0525") + 6)
            first.act(first.trade("BTC", -size * 100))
            farm.open("BTC", size, cash)
            spent = start + cash * 250  # minted for them, spent or not
            line = price_of_health(venue, farm.accounts[0], "BTC", D("0.995"))
            venue.prices(BTC=whole(line, 8))
            fund = venue.insurance()
            farm.liquidate(blocks=10)
            first.act(first.trade("BTC", size * 100))
            assert farm.wealth < spent
            assert venue.insurance() > fund
            assert debts(venue) == 0


@pytest.mark.defence(*NO_CAP)
def test_41__hedged_accounts_and_a_jump_to_bankruptcy__50_a_block_is_all_the_fund_gives(venue):
    """Bounded, not stopped: a jump in one update that takes accounts from above the line to nothing
    left lets whoever liquidates them have a flat reward each from the fund, the attacker too if his
    accounts are among them and he is the first. It takes a jump of 6.2 % in BTC; in one block he
    has lost more than he gets. Over fifty blocks, and nobody else in any of them, 500 accounts pay
    him: a reward each, 50 a block at the very most, is the bound."""
    farm = Farm(venue, 500)
    price = venue.client.market("BTC").price
    table, first = venue.system.table, farm.puppets[0]
    first.deposit(1_000_000)
    start = farm.wealth + D(32) * 500
    size = whole(500 / price, 12)
    first.act(first.trade("BTC", -size * 500))
    farm.open("BTC", size, D(32))
    venue.prices(BTC=price * D("0.938"))
    assert venue.client.health(farm.accounts[0]) < D("0.05")
    for blocks in (1, 10, 50):
        with venue.imagined():
            fund, known = venue.insurance(), debts(venue)
            farm.liquidate(blocks)
            first.act(first.trade("BTC", size * 500))
            topped_up = fund - (debts(venue) - known) - venue.insurance()
            assert topped_up <= table.top_up_per_block * blocks
            assert topped_up <= table.spec("BTC").reward * 500
            assert farm.wealth - start <= topped_up
            if blocks == 1:
                assert farm.wealth < start


@pytest.mark.defence(*WHOLE_REWARD)
def test_41__accounts_of_next_to_nothing__are_topped_up_by_next_to_nothing(venue):
    """The reward is flat, so the smaller the account the more of it would be the fund's: shorts of
    1 each, a price eight times as high, and each is bankrupt. A hundredth of what was closed is
    the most that the fund gives for one."""
    farm = Farm(venue, 200)
    price = venue.client.market("LINK").price
    farm.open("LINK", -whole(1 / price, 12), D("5.2"))
    venue.prices(LINK=price * 8)
    fund, known = venue.insurance(), debts(venue)
    farm.liquidate(blocks=200)
    topped_up = fund - (debts(venue) - known) - venue.insurance()
    assert debts(venue) > known
    assert 0 < topped_up <= 200 * 8 * D("0.01")


@pytest.mark.defence(
    "modules/margin.vy",
    "        unsafe_sub(fixed_point.floor_div(unsafe_mul(size, gap), SWAD), basis),\n"
    "        unsafe_add(fixed_point.ceil_div(unsafe_mul(worth, weight), unsafe_mul(doubled, PPM)), reward),",
    "        unsafe_sub(fixed_point.floor_div(unsafe_mul(size, gap), SWAD), basis),\n"
    "        unsafe_add(fixed_point.ceil_div(unsafe_mul(worth, weight), unsafe_mul(doubled, PPM)), 0),",
)
@pytest.mark.parametrize("size", ["0.0000000043", "0.00001", "0.001", "0.01"])
def test_42__position_too_small_to_pay_a_keeper__keeps_his_reward_until_the_line(venue, size):
    """Perpetual (sherlock 2024-02 #115): nobody liquidates an account that pays nothing for it. There
    is no least notional here; every position, of one lot even, must keep the flat reward besides
    its margin, so that at the line its keeper gets it out of the account itself."""
    client, attacker = venue.client, venue.attacker
    open_at_margin(venue, attacker, "BTC", -D(size))
    reward = venue.system.table.spec("BTC").reward
    assert client.account(attacker).maintenance > reward
    # The least of them never gets to the line: at the greatest price there is it is just below.
    price = min(price_of_health(venue, attacker, "BTC", D("0.999")), D(5_999_999))
    fund = venue.insurance()
    venue.prices(BTC=whole(price, 8))
    assert client.health(attacker) < 1
    done = client.liquidate(attacker, signer=venue.keeper)
    assert done.reward >= reward * D("0.95")
    assert done.debt_to_insurance == 0
    assert venue.insurance() >= fund


@pytest.mark.defence(
    "Clearinghouse.vy",
    "dust: bool = after != 0 and fixed_point.magnitude(after) >> slots.LOT_BITS == 0",
    "dust: bool = False",
)
def test_42__reduce_to_dust__a_lot_is_the_least_and_what_it_can_owe_is_nothing(venue):
    """Elfi (sherlock 2024-05 #249): positions reduced to dust piled up bad debt. The owner of an
    account at its end sells all but the least there may be, which nobody would liquidate at a loss
    of gas: a lot of 4.3e-9 BTC, 0.0003 quote, is all that may ever be owed for."""
    client, attacker = venue.client, venue.attacker
    cash = open_at_margin(venue, attacker, "BTC", D(1))
    wei = D("1e-18")
    lot = 2**32 * wei
    for rest in (wei, lot - wei):
        reason = tried(
            lambda rest=rest: client.trade("BTC", rest - 1, signer=attacker, slippage=None)
        )
        assert reason == "trade: size out of range"
    # At the end of its cash: what closing leaves is next to nothing.
    closing = D("0.00151")
    venue.prices(BTC=whole(price_leaving(venue, attacker, "BTC", closing), 8))
    client.trade("BTC", lot - 1, signer=attacker, slippage=None)
    left = client.account(attacker)
    assert left.notional < D("0.0003")
    assert 0 <= left.equity < 2 < cash
    venue.prices(BTC=30_000)
    assert client.account(attacker).equity > -D("0.0003")
    done = client.liquidate(attacker, signer=venue.keeper)
    assert done.debt_to_insurance + done.debt_to_pool < D("0.0003")


# ------------------------------------------------------------------ 46, 47: what the pool takes over


@pytest.mark.defence(
    "modules/markets.vy",
    "if open_interest > (t2 >> slots.MAX_OPEN_INTEREST) & slots.MASK_96:",
    "if False:",
)
@pytest.mark.parametrize("jump", ["0.1", "0.2", "0.5", "3"])
def test_46__matched_pair_and_a_jump__takes_no_more_than_open_interest_times_the_jump_past_margin(
    venue, jump
):
    """JELLY, Hyperliquid, March 2025: 4m of a thin coin with himself on both sides, a pump of 300 %,
    and the vault inherited the losing side. Bounded, not stopped (GOV-5): a pair can take the jump
    past its margin on as much as open interest allows, and what the forced closes of its one side
    raise the curve by for the other; the insurance fund pays first. In SOL at the defaults, where
    open interest is 603,000 at most, that is 59,000 in a jump of 20 % and 1,773,000 in one of
    300 %, of which the pair got 46,000 and 1,750,000."""
    client = venue.client
    spec = venue.system.table.spec("SOL")
    cap = spec.max_open_interest * spec.price
    pairs = [(sub_account(venue.attacker, i), sub_account(venue.accomplice, i)) for i in range(8)]
    spent = D(0)
    size = spec.max_open_interest / 4
    for long, short in pairs:
        for who, account, side in (
            (venue.attacker, long, 1),
            (venue.accomplice, short, -1),
        ):
            venue.fund(account, 200_000)
            done = tried(
                lambda who=who, account=account, side=side: client.trade(
                    "SOL", side * size, account=account, signer=who, slippage=None
                )
            )
            if done is None:
                spare = whole(client.account(account).withdrawable - 1)
                client.withdraw(spare, account=account, receiver=who, signer=who)
            else:
                assert done == "caps: open interest"
                client.withdraw(200_000, account=account, receiver=who, signer=who)
            spent += 200_000
    assert spent == 200_000 * 16
    nav, fund = venue.nav(), venue.insurance()
    venue.prices(SOL=spec.price * (1 + D(jump)))
    client.liquidate_many([short for _, short in pairs], signer=venue.keeper)
    for long, _ in pairs:
        client.close("SOL", account=long, signer=venue.attacker)
    gain = venue.wealth(venue.attacker, venue.accomplice) - spent
    # And the forced closes of the one side raise the curve for the other's, at the new price.
    curve = cap * (1 + D(jump)) * spec.max_open_interest / (2 * spec.skew_scale)
    bound = max(cap * (D(jump) - spec.im) + curve, D(0))
    rewards = venue.system.table.top_up_per_block
    assert gain <= bound
    assert venue.nav() + venue.insurance() >= nav + fund - bound - rewards
    assert venue.client.market("SOL").long_open_interest == 0


SKEW_IGNORED = (
    "modules/margin.vy",
    "depth: uint256 = max(own, convert(convert(max(skew, unsafe_sub(0, skew)), bytes32), uint256))",
    "depth: uint256 = own",
)


@pytest.mark.defence(*SKEW_IGNORED)
@pytest.mark.parametrize("name", ["BTC", "SOL"])
def test_47__one_position_over_twenty_wallets__asks_for_the_margin_of_one(venue_of, name):
    """POPCAT, Hyperliquid, November 2025: 19 wallets, each below the size at which margin grows.
    The market's skew counts for each of them: together they must keep what one would have to, to
    0.1 %. Until the last is in, the first few have less to find: not 5 % of it together."""
    venue = venue_of(three_markets())
    client = venue.client
    size = venue.system.table.spec(name).max_skew
    with venue.imagined():
        needed = open_at_margin(venue, venue.attacker, name, size)
        one = client.account(venue.attacker).initial
    many = spread = D(0)
    for number in range(20):
        account = sub_account(venue.attacker, number)
        spread += open_at_margin(venue, venue.attacker, name, size / 20, account)
    rewards = 19 * venue.system.table.spec(name).reward
    for number in range(20):
        many += client.account(sub_account(venue.attacker, number)).initial
    assert abs(many - rewards - one) < one / 1_000
    assert spread - rewards >= needed * D("0.95")


@pytest.mark.parametrize("name", ["BTC", "SOL", "THIN"])
@pytest.mark.parametrize("side", [1, -1], ids=["longs", "shorts"])
def test_47__twenty_wallets_liquidated_in_a_row__no_bad_debt_at_the_end_of_the_curve(
    venue_of, name, side
):
    """The other half of POPCAT: the last of many forced closes meets the curve as all the others
    left it. Twenty wallets at the cap of open interest, others as large against them, all brought
    to the line together and closed one after the other: the maintenance margin covers the curve
    to its end (MGN-3), and neither fund nor pool pays."""
    venue = venue_of(three_markets())
    client = venue.client
    spec = venue.system.table.spec(name)
    venue.fund(venue.victim, 100_000_000)
    accounts = [sub_account(venue.attacker, number) for number in range(20)]
    size = side * whole(spec.max_open_interest / 20, 12)
    for number, account in enumerate(accounts):
        open_at_margin(venue, venue.attacker, name, size, account)
        if number == 10:  # or the skew's cap would stop them halfway
            client.trade(name, -spec.max_skew * side, signer=venue.victim, slippage=None)
    rest = spec.max_open_interest - spec.max_skew
    if rest:
        client.trade(name, -rest * side, signer=venue.victim, slippage=None)
    lines = [price_of_health(venue, a, name, D("0.9999")) for a in accounts]
    price = whole(min(lines) if side > 0 else max(lines), 8)
    with venue.imagined():
        venue.prices(**{name: price})
        seen = [client.account(a) for a in accounts]
    # Those that opened first have less to begin with; now all meet the line at one price.
    for account in seen:
        lacks = whole(account.maintenance * D("0.9999") - account.equity)
        if lacks > 0:
            venue.fund(account.address, lacks)
    venue.prices(**{name: price})
    assert all(D("0.999") < client.health(a) < 1 for a in accounts)
    nav, fund = venue.nav(), venue.insurance()
    order = sorted(accounts, key=client.health, reverse=True)
    for account in order:
        done = client.liquidate(account, signer=venue.keeper)
        assert done.debt_to_insurance == done.debt_to_pool == 0, name
    assert venue.insurance() > fund
    assert venue.nav() >= nav - D("1e-12")


# ------------------------------------------------------------------ 50 to 53: fund and pool


ONLY_ZERO = (
    "Clearinghouse.vy",
    """        account == ledger.POOL
        or account == self
        or account == AUCTION.address
        or account == empty(address)
""",
    "        account == empty(address)\n",
)


@pytest.mark.defence(*ONLY_ZERO)
def test_50__liquidate_the_pool_while_its_cash_is_negative__is_refused(venue_of):
    """JOJO (sherlock 2023-04 #159), Hubble (2023-04 #72): the insurance account itself was run
    through the handling of bad debt. The pool's cash is mostly basis: with traders short it is
    below zero, and a liquidation would have it made good by the insurance fund, to the gain of
    whoever holds shares."""
    table = without_funding(default_table().only("BTC", "ETH"))
    venue = venue_of(replace(table, pool=replace(table.pool, seed=D(6_000_000))))
    client, attacker = venue.client, venue.attacker
    venue.fund(venue.trader, 2_000_000)
    for name in ("BTC", "ETH"):
        size = venue.system.table.spec(name).max_skew
        client.trade(name, -size, signer=venue.trader, slippage=None)
    venue.enter(attacker, 1_000_000)
    assert client.account(venue.pool).cash < -500_000
    start, fund, nav = venue.wealth(attacker), venue.insurance(), venue.nav()
    system = {"pool": venue.pool, "fund": venue.house, "zero": "0x" + "00" * 20}
    for name, account in system.items():
        reason = tried(lambda account=account: client.liquidate(account, signer=attacker))
        assert reason == "account: system", name
    many = [address_of(a) for a in system.values()]
    assert client.liquidate_many(many, signer=attacker) == []
    assert venue.insurance() == fund
    assert venue.nav() == nav
    assert venue.wealth(attacker) == start


def test_50__insurance_fund__has_no_shares_and_gives_nothing_back(venue):
    """Hubble (#72): shares of the insurance fund were bought just before it gained. Here a deposit
    to it is a gift: no share, no claim, no way out but bad debt and top-ups."""
    client, attacker = venue.client, venue.attacker
    house, token, me = venue.house, address_of(venue.token), address_of(attacker)
    client.deposit(50_000, account=venue.house, signer=attacker)
    assert venue.wealth(attacker) == 0
    assert venue.insurance() == 300_000
    refused = venue.refusal(house, "withdraw", address_of(house), token, 1, me, sender=attacker)
    assert refused == "account: not yours"
    refused = venue.refusal(house, "trade", address_of(house), 0, 10**18, MAX_UINT, sender=attacker)
    assert refused == "account: not yours"


def test_51__claim_just_before_a_known_loss_is_booked__anyone_can_book_it_first(venue):
    """Sentiment (sherlock 2024-08 #61): lenders left before the loss that all could see. Bounded, not
    stopped: a matured claim is paid at a NAV that does not foresee what an account under water will
    owe, so an attacker with a third of the pool leaves his third of 555,000 to the others. It
    takes a request a day old, and the loss can be booked by anyone in the second that it is there:
    then he shares it."""
    client, attacker = venue.client, venue.attacker
    venue.enter(attacker, 5_000_000)
    size = venue.system.table.spec("BTC").max_skew
    open_at_margin(venue, venue.trader, "BTC", -size)
    venue.fund(venue.victim, 1_000_000)
    client.trade("BTC", size, signer=venue.victim, slippage=None)
    asked = venue.shares_worth(attacker)
    venue.ask(attacker)
    venue.wait(86_400)
    venue.prices(BTC=75_000)
    assert client.health(venue.trader) == 0
    owed = -venue.equity(venue.trader) - venue.insurance()
    assert owed > 400_000
    share = venue.shares_worth(attacker) / venue.nav()
    kept = {}
    for first in ("claim", "liquidate"):
        with venue.imagined():
            if first == "liquidate":
                booked = client.liquidate(venue.trader, signer=venue.keeper).debt_to_pool
            venue.leave(attacker)
            kept[first] = venue.wealth(attacker)
    gained = kept["claim"] - kept["liquidate"]
    assert 0 < gained <= booked * share + D("0.01")
    assert kept["claim"] <= asked


CAPS_ALWAYS = (
    "Clearinghouse.vy",
    """    if not reduces:
        # In a settlement""",
    """    if True:
        # In a settlement""",
)


@pytest.mark.defence(*CAPS_ALWAYS)
def test_52__pool_in_trouble__traders_close_all_the_same(venue):
    """Perpetual (sherlock 2024-02 #140): the maker's own margin check reverted the trades that would
    have made it smaller. The pool has lost a quarter, its NAV is two days old, its exposure past its
    limit: closing passes, on the crowded side and on the thin one, where it adds to the pool's
    skew; at the curve's price; and opening does not."""
    client, attacker, victim = venue.client, venue.attacker, venue.victim
    for name in ("BTC", "ETH"):
        most = venue.system.table.spec(name).max_skew
        for who, size in ((attacker, most), (victim, -most / 2)):
            venue.fund(who, 2_000_000)
            client.trade(name, size, signer=who, slippage=None)
    venue.prices(BTC=96_000, ETH=4_800)
    venue.chain.advance(2 * 86_400)
    venue.system.refresh_prices()
    venue.system.poke()
    pool = client.pool()
    assert pool.nav < 8_000_000
    assert pool.exposure > pool.nav * venue.system.table.max_pool_leverage
    venue.fund(venue.trader, 100_000)
    reason = tried(lambda: client.trade("SOL", 10, signer=venue.trader, slippage=None))
    assert reason == "caps: pool NAV is old"
    for who in (victim, attacker):
        seen = client.account(who)
        for name in ("BTC", "ETH"):
            client.close(name, signer=who)
        costs = seen.notional * D("0.0016")  # and what the curve takes, from nothing to 1 %
        assert client.account(who).cash >= seen.equity - costs - seen.notional * D("0.01")
        assert client.header(who).bitmap == 0
    assert client.pool().exposure == 0


@pytest.mark.defence(*CAPS_ALWAYS)
def test_53__caps_below_what_is_open__bind_neither_closing_nor_liquidation(venue):
    """Perpetual (sherlock 2024-02 #116), Zaros: a price band or a cap stopped the owner from closing
    while liquidations went on. The caps fall to zero and the market to reducing only: one account
    closes, another is liquidated, nobody opens."""
    client, victim, trader = venue.client, venue.victim, venue.trader
    for who in (victim, trader):
        open_at_margin(venue, who, "SOL", D(1_000))
    venue.fund(trader, 10_000)
    venue.configure("SOL", max_skew=0, max_open_interest=0, reduce_only=True)
    for size in (1, -1_001, -2_500):
        reason = tried(lambda size=size: client.trade("SOL", size, signer=trader, slippage=None))
        assert reason == "market: reduce only"
    before = venue.equity(trader)
    client.trade("SOL", -400, signer=trader, slippage=None)
    client.close("SOL", signer=trader)
    assert venue.equity(trader) > before - 1_000 * 150 * D("0.0065")
    venue.prices(SOL=price_of_health(venue, victim, "SOL", D("0.9")).quantize(D("0.01")))
    done = client.liquidate(victim, signer=venue.keeper)
    assert done.closed == 1
    assert client.market("SOL").long_open_interest == 0
