"""Accounts in 1, 4, 16 and 32 markets, with ids up to 127, and the 33rd market."""

from collections.abc import Iterator

import ape
import pytest

from tests.utils import exact
from tests.utils.events import event, events, named
from tests.utils.fixtures import checked
from tests.utils.system import MAX_UINT, Market, System, wad

EVEN, ODD = 0, 1


@pytest.fixture(scope="module")
def built_wide(project, accounts) -> System:
    """34 markets between 0 and 127: the even ones on one feed, the odd ones on another."""
    system = System(project, list(accounts), loose=True, top_up_per_block=wad(1_000))
    feeds = [system.deployer.deploy(project.FeedMock, 8, 100 * 10**8) for _ in (EVEN, ODD)]
    system.list_many([0, 1, *spread(32)], feeds)
    system.deposit(system.pool, 10_000_000)
    system.know_nav()
    system.deposit(system.clearinghouse, 10_000)
    return system


@pytest.fixture
def wide(built_wide: System) -> Iterator[System]:
    """34 markets."""
    yield from checked(built_wide)


def spread(count: int) -> list[int]:
    """So many ids, 127 among them, evenly down from it."""
    return sorted(127 - i * 127 // count for i in range(count))


def some(system: System, count: int) -> list[Market]:
    """So many markets, of both feeds unless it is one."""
    ids = spread(32)
    picked = {ids[-1 - i * 32 // count] for i in range(count)}
    return [m for m in system.markets if m.id in picked]


def open_all(system: System, count: int):
    """A puppet with 33 quote a market, long 2 on the even feed's and short 2 on the odd one's."""
    house, owner = system.clearinghouse, system.puppet()
    system.deposit(owner, 33 * count)
    calls = []
    for market in some(system, count):
        delta = wad(2) if market.id % 2 == EVEN else -wad(2)
        calls.append((house.trade, owner.address, market.id, delta, MAX_UINT if delta > 0 else 0))
    system.perform(owner, *calls)
    return owner


# ------------------------------------------------------------------ what is done with such an account


def no_33rd_market(wide: System, owner) -> None:
    """In the markets that it is in it may do anything; and one closed makes room for one."""
    house, markets = wide.clearinghouse, some(wide, 32)
    assert wide.header(owner).bitmap == sum(1 << m.id for m in markets)
    buy = (house.trade, owner.address, 0, wad(1), MAX_UINT)
    with wide.refuses("account: 32 markets at most"):
        wide.perform(owner, buy)
    first = markets[0]
    held = wide.position(owner, first).size
    for delta in (held, -3 * held, held):  # more, the other way round, closed
        trade = (house.trade, owner.address, first.id, delta, MAX_UINT if delta > 0 else 0)
        wide.perform(owner, trade)
    assert wide.header(owner).bitmap == sum(1 << m.id for m in markets[1:])
    wide.perform(owner, buy)


def withdrawal(wide: System, owner) -> None:
    """Every requirement and every loss is in the sum."""
    house, markets = wide.clearinghouse, some(wide, 32)
    legs = wide.look([(house.leg, owner.address, m.id) for m in markets])
    loss = sum(exact.pnl(leg.size, leg.basis, wad(100)) for leg in legs)
    required = 32 * exact.initial(wad(2), wad(2), wad(100), markets[0].scale, 50_000, wad(5))
    free = (wide.cash(owner) + loss - required) // wide.unit
    take = (house.withdraw, owner.address, wide.token.address)
    with wide.refuses("margin: below initial"):
        wide.perform(owner, (*take, free + 1, owner.address))
    wide.perform(owner, (*take, free, owner.address))


def reduction(wide: System, owner) -> None:
    """One pass over storage, well under a million gas."""
    house = wide.clearinghouse
    receipt = wide.perform(owner, (house.trade, owner.address, 127, wad(1), MAX_UINT))
    assert wide.position(owner, wide.markets[-1]).size == -wad(1)
    assert receipt.gas_used < 1_000_000


def liquidation(wide: System, owner, count: int, keeper) -> None:
    """All legs in one transaction, to the wei."""
    house, markets = wide.clearinghouse, some(wide, count)
    wide.price(wide.markets[EVEN], 88)
    wide.price(wide.markets[ODD], 112)
    price = {EVEN: wad(88), ODD: wad(112)}
    cash, pool, fund = (wide.cash(a) for a in (owner, wide.pool, house))
    legs = wide.look([(house.leg, owner.address, m.id) for m in markets])
    sides = [
        (m.id % 2, leg.size, leg.basis, leg.skew) for m, leg in zip(markets, legs, strict=True)
    ]
    scale = markets[0].scale

    equity = cash + sum(exact.pnl(size, basis, price[feed]) for feed, size, basis, _ in sides)
    required = sum(
        exact.maintenance(size, price[feed], scale, 25_000, wad(5)) for feed, size, *_ in sides
    )
    assert equity < required
    assert house.health(owner) == exact.health(equity, required)
    fills = [exact.fill_price(price[feed], skew, -size, scale) for feed, size, _, skew in sides]
    costs = [exact.cost(-size, f) for (_, size, *_), f in zip(sides, fills, strict=True)]
    left = cash - sum(basis for _, _, basis, _ in sides) - sum(costs)
    notional = sum(exact.notional(size, price[feed]) for feed, size, *_ in sides)
    charged = wad(5) * count + notional // 100
    reward = wad(5) * count + notional // 500
    assert left > charged  # enough for all of it

    receipt = wide.liquidate(owner, keeper)
    assert [e[2:5] for e in named(receipt, "Fill")] == [
        (m.id, -size, f) for m, (_, size, *_), f in zip(markets, sides, fills, strict=True)
    ]
    assert events(receipt)[count:] == [
        event("CashMoved", owner, left - charged),
        event("CashMoved", wide.pool, pool + sum(costs)),
        event("CashMoved", house, fund + charged - reward),
        event("CashMoved", keeper, reward),
        event("Liquidated", owner, keeper, equity, required, notional, charged, reward),
    ]
    assert house.header(owner) == (left - charged) << 136
    assert receipt.gas_used < 100_000 + 45_000 * count


def liquidation_in_two_halves(wide: System, owner, count: int, keeper) -> None:
    """The legs of the dead feed wait for it."""
    house, markets = wide.clearinghouse, some(wide, count)
    even = [m.id for m in markets if m.id % 2 == EVEN]
    odd = [m.id for m in markets if m.id % 2 == ODD]
    assert even and odd
    wide.price(wide.markets[EVEN], 60)
    wide.kill(wide.markets[ODD])
    receipt = wide.liquidate(owner, keeper)
    assert [e[2] for e in named(receipt, "Fill")] == even
    assert wide.header(owner).bitmap == sum(1 << i for i in odd)
    assert not named(receipt, "BadDebt")
    wide.price(wide.markets[ODD], 100)
    receipt = wide.liquidate(owner, keeper)
    assert [e[2] for e in named(receipt, "Fill")] == odd
    assert len(named(receipt, "BadDebt")) == 1
    assert house.header(owner) == 0


# ------------------------------------------------------------------ tests


def test_every_call__account_in_32_markets__works_and_refuses_a_33rd(wide, keeper):
    """One test, as opening 32 positions is what takes the time; each part starts from there."""
    owner = open_all(wide, 32)
    for part, *arguments in [
        (no_33rd_market,),
        (withdrawal,),
        (reduction,),
        (liquidation, 32, keeper),
        (liquidation_in_two_halves, 32, keeper),
    ]:
        with ape.chain.isolate():
            part(wide, owner, *arguments)
            wide.check_conservation()


@pytest.mark.parametrize("count", [1, 4, 16])
def test_liquidate__so_many_legs__closes_them_all_in_one_transaction(wide, keeper, count):
    liquidation(wide, open_all(wide, count), count, keeper)


def test_liquidate__half_of_the_feeds_dead__closes_the_other_half(wide, keeper):
    liquidation_in_two_halves(wide, open_all(wide, 4), 4, keeper)


def test_trade__market_127__has_the_top_bit_and_leaves_the_flags_alone(wide, trader):
    last = wide.markets[-1]
    wide.deposit(trader, 100)
    wide.trade(trader, last, 1)
    header = wide.header(trader)
    assert (last.id, header.bitmap, header.flags) == (127, 1 << 127, 0)
    wide.trade(trader, last, -1)
    assert wide.header(trader)[1:] == (0, 0)


def test_leg__every_listed_market__answers(wide, trader):
    legs = wide.look([(wide.clearinghouse.leg, trader.address, m.id) for m in wide.markets])
    assert [leg.id for leg in legs] == [0, 1, *spread(32)]
    assert {(leg.price, leg.size) for leg in legs} == {(wad(100), 0)}
