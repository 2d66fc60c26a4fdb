"""health: equity over maintenance, of the oracle's prices and the account's own sizes alone."""

import pytest

from tests.utils import exact
from tests.utils.system import DAY, MAX_UINT, ZERO, wad


def test_health__without_positions__is_boundless(system, house, trader, stranger):
    system.deposit(trader, 1)
    for account in (trader, stranger, house, system.pool, ZERO):
        assert house.health(account) == MAX_UINT


@pytest.mark.parametrize("price", ["92.12345678", "99.9", "100", "137.5", "9999.99999999"])
@pytest.mark.parametrize("size", ["12.345", "-12.345"])
def test_health__one_leg__is_equity_over_maintenance(system, house, still, trader, price, size):
    system.deposit(trader, 200)
    system.trade(trader, still, size)
    cash, (held, basis) = system.cash(trader), system.position(trader, still)
    system.price(still, price)
    equity = cash + exact.pnl(held, basis, wad(price))
    required = exact.maintenance(held, wad(price), still.scale, 25_000, wad(5))
    assert house.health(trader) == exact.health(equity, required)


def test_health__by_hand(system, house, still, trader):
    system.deposit(trader, 100)
    system.trade(trader, still, 10)
    # 99.4994975 - 1.005 of equity over 1,000 * (2.5 % + 10 / 2m) + 5 = 30.005.
    assert house.health(trader) == wad("98.4944975") * 10**18 // wad("30.005")
    assert house.health(trader) // 10**14 == 32_826  # 3.28


def test_health__several_legs__profits_offset_losses_in_full(system, house, still, reef, trader):
    system.deposit(trader, 1_000)
    system.trade(trader, still, 10)
    system.trade(trader, reef, -20)
    cash = system.cash(trader)
    long, short = system.position(trader, still), system.position(trader, reef)
    system.price(still, 150)
    system.price(reef, 110)
    equity = cash + exact.pnl(*long, wad(150)) + exact.pnl(*short, wad(110))
    required = exact.maintenance(long.size, wad(150), still.scale, 25_000, wad(5))
    required += exact.maintenance(short.size, wad(110), reef.scale, 60_000, wad("2.5"))
    assert house.health(trader) == exact.health(equity, required)


def test_health__equity_of_zero_or_less__is_zero(fine, trader):
    house, still = fine.clearinghouse, fine.markets[0]
    house.deposit(trader, fine.token, wad("101.005") + wad("0.5005025"), sender=fine.deployer)
    fine.trade(trader, still, 10)
    fine.price(still, 90)  # a loss of 101.005
    assert house.health(trader) == 0
    house.deposit(trader, fine.token, 1, sender=fine.deployer)
    required = exact.maintenance(wad(10), wad(90), still.scale, 25_000, wad(5))
    assert required > wad(1)
    assert house.health(trader) == 0  # a wei over 27 quote is under a wei of ratio
    house.deposit(trader, fine.token, required // 10**18 + 1, sender=fine.deployer)
    assert house.health(trader) == 1
    fine.price(still, 80)
    assert house.health(trader) == 0


def test_health__others_trades__move_nobodys(system, house, still, trader, maker, attacker):
    """MGN-1: maintenance counts the account's own size only."""
    system.deposit(trader, 100)
    system.trade(trader, still, 10)
    before = house.health(trader)
    for owner, size in [(maker, 9_000), (attacker, -12_000)]:
        system.deposit(owner, 300_000)
        system.trade(owner, still, size)
        assert house.health(trader) == before


def test_health__deposit__raises_it(system, house, still, trader, stranger):
    system.deposit(trader, 100)
    system.trade(trader, still, 10)
    before = house.health(trader)
    system.deposit(trader, "0.000001")
    assert house.health(trader) > before


def test_health__funding__is_counted_as_of_now(system, house, tide, trader):
    system.deposit(trader, 100_000)
    opened = system.trade(trader, tide, 10_000).timestamp
    cash, basis = system.cash(trader), system.position(trader, tide).basis
    system.travel(3_600)
    dt = system.now() - opened
    rate = exact.rate_after(0, wad(10_000), tide.scale, 500_000, 10_000, dt)
    index = exact.index_after(0, 0, rate, wad(100), dt)
    assert index > 0
    equity = cash + exact.pnl(wad(10_000), basis, wad(100), index)
    required = exact.maintenance(wad(10_000), wad(100), tide.scale, 50_000 // 2, wad(5))
    assert house.health(trader) == exact.health(equity, required)


def test_health__dead_leg__is_valued_at_the_best_price_known(system, house, still, trader):
    system.deposit(trader, 100)
    system.trade(trader, still, 10)
    before = house.health(trader)
    system.kill(still)
    assert house.health(trader) == before  # at 100, the last good price
    system.round(still, 95 * 10**8, system.now() - DAY - 60)
    assert house.health(trader) == before  # an aged answer, but older than what is stored
    system.travel(2 * DAY)
    system.round(still, 95 * 10**8, system.now() - DAY - 60)
    equity = wad("99.4994975") - wad("51.005")
    assert house.health(trader) == exact.health(
        equity, wad("28.75475")
    )  # 950 * (2.5 % + 10 / 2m) + 5
    system.round(still, 10_000 * 10**8, system.now() - DAY - 60)
    assert house.health(trader) == before  # out of bounds is not known at all
