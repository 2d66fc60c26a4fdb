"""poke: anyone writes a market's price and funding to its state."""

import ape
import pytest

from plimsoll import slots
from tests.utils import exact
from tests.utils.events import event, events
from tests.utils.system import DAY, MAX_UINT, wad


def test_poke__new_price__is_kept_and_told(system, house, still, trader, stranger):
    system.deposit(trader, 1_000)
    system.trade(trader, still, 10)
    before = system.state(still)[1]
    system.price(still, 105)
    assert house.poke.call(still.id, sender=stranger) == wad(105)
    receipt = house.poke(still.id, sender=stranger)
    state_a = slots.StateA(exact.lots(wad(10)), wad(105), wad(10))
    waited, greatest = receipt.timestamp - before.touched_at, still.terms["max_price"]
    steady = exact.steady_after(before.steady, greatest, wad(105), waited)
    state_b = slots.StateB(touched_at=receipt.timestamp, steady=steady)
    assert events(receipt) == [
        event("MarketMoved", still.id, slots.pack_state_a(state_a), slots.pack_state_b(state_b))
    ]
    assert system.state(still) == (state_a, state_b)
    assert system.book().exposure == wad(1_050)


def test_poke__market_without_positions__moves_no_exposure(system, house, still, stranger):
    system.price(still, 105)
    house.poke(still.id, sender=stranger)
    assert system.state(still)[0] == (0, wad(105), 0)
    assert system.book().exposure == 0


def test_poke__twice_in_one_block__changes_nothing(system, house, tide, trader):
    system.deposit(trader, 100_000)
    system.trade(trader, tide, 1_000)
    system.travel(3_600)
    puppet = system.puppet()
    calls = [(house.poke, tide.id), (house.market_words, tide.id), (house.globals,)] * 2
    first, words, globals_, second, words_again, globals_again = system.imagine(puppet, *calls)
    assert first == second
    assert words == words_again
    assert globals_ == globals_again


@pytest.mark.parametrize("market", [3, 127, 128, 2**128, MAX_UINT])
def test_poke__unknown_market__is_refused(system, house, stranger, market):
    with system.refuses("market: unknown"):
        house.poke(market, sender=stranger)
    house.poke(0, sender=stranger)


@pytest.mark.parametrize(
    ("answer", "age", "reason"),
    [
        (100, DAY + 60, "prices: stale"),
        (0, 0, "prices: not positive"),
        (-1, 0, "prices: not positive"),
        (1, 0, "prices: out of bounds"),
        (10_000, 0, "prices: out of bounds"),
        (100, -1_000, "prices: bad time"),
    ],
)
def test_poke__price_that_may_not_be_used__is_refused(
    system, house, still, trader, stranger, answer, age, reason
):
    system.deposit(trader, 1_000)
    system.trade(trader, still, 10)
    system.round(still, answer * 10**8, system.now() - age)
    with system.refuses(reason):
        house.poke(still.id, sender=stranger)
    system.price(still, 100)
    house.poke(still.id, sender=stranger)


@pytest.mark.parametrize("side", [1, -1])
def test_poke__funding__follows_the_velocity(system, house, tide, trader, stranger, side):
    system.deposit(trader, 100_000)
    system.trade(trader, tide, 4_000 * side)
    b, greatest = system.state(tide)[1], tide.terms["max_price"]
    for hours, price in [(1, 100), (7, 120), (3, 80)]:
        system.travel(hours * 3_600)
        system.price(tide, price)
        receipt = house.poke(tide.id, sender=stranger)
        dt = receipt.timestamp - b.touched_at
        rate = exact.rate_after(b.rate, wad(4_000) * side, tide.scale, 500_000, 10_000, dt)
        index = exact.index_after(b.funding_index, b.rate, rate, wad(price), dt)
        steady = exact.steady_after(b.steady, greatest, wad(price), dt)
        b = system.state(tide)[1]
        assert b == (index, rate, receipt.timestamp, 0, steady)
    assert b.rate * side > 0 and b.funding_index * side > 0


@pytest.mark.parametrize("side", [1, -1])
def test_poke__rate__stops_at_its_clamp_and_turns_at_once(
    system, house, tide, trader, stranger, side
):
    system.deposit(trader, 200_000)
    opened = system.trade(
        trader, tide, 10_000 * side
    ).timestamp  # a hundredth of S: 0.5 % a day, each day
    for _ in range(3):
        system.travel(DAY)
        system.price(tide, 100)
    b_at = house.poke(tide.id, sender=stranger).timestamp
    b = system.state(tide)[1]
    assert b.rate == side * wad("0.01")
    # Two days on the way to 1 % a day, then flat.
    dt = b_at - opened
    index = exact.index_after(0, 0, b.rate, wad(100), 2 * DAY)
    index = exact.index_after(index, b.rate, b.rate, wad(100), dt - 2 * DAY)
    assert abs(b.funding_index - index) <= 3 * 100  # a wei of the mean rate over three days
    system.know_nav()
    system.trade(trader, tide, -20_000 * side)
    turned = system.state(tide)[1]
    system.travel(3_600)
    receipt = house.poke(tide.id, sender=stranger)
    expected = exact.rate_after(
        turned.rate,
        -wad(10_000) * side,
        tide.scale,
        500_000,
        10_000,
        receipt.timestamp - turned.touched_at,
    )
    assert system.state(tide)[1].rate == expected
    assert abs(expected) < wad("0.01")


def test_poke__often_or_once__funds_the_same(system, house, tide, trader, stranger):
    """FND-3, the clamp included: 2.5 days in one step or in fifty of uneven length."""
    system.deposit(trader, 100_000)
    system.trade(trader, tide, 10_000)
    start = system.now()
    ends = []
    for steps in ([216_000], [1, 7, 60, 3_593, 12_345] + [4_444] * 45):
        with ape.chain.isolate():
            for step in steps:
                if step > 2:
                    system.travel(step - 2)
                    system.price(tide, 100)
                house.poke(tide.id, sender=stranger)
            system.travel(start + 216_060 - system.now())
            leg = house.leg(trader, tide.id)
            ends.append((leg.index, leg.rate))
    (once, rate), (often, rate_often) = ends
    assert rate == rate_often == wad("0.01")
    assert abs(once - often) * 10**9 < once


def test_poke__published_funding_table__is_met(loose, trader):
    """Synthetix V3's Funding.test.ts: S 10,000, 3 a day squared, price 2,000, +20 held throughout."""
    market = loose.list_market(
        "TABLE",
        2_000,
        skew_scale=wad(10_000),
        max_skew=wad(1_000),
        max_open_interest=wad(1_000),
        max_velocity_ppm=3_000_000,
        max_rate_ppm=500_000,
        mm_ppm=500_000,
        im_ppm=750_000,
    )
    other = loose.sub(trader, 1)
    for account in (trader, other):
        loose.deposit(account, 1_000_000)
    at = loose.trade(trader, market, 20).timestamp
    seen = []
    for days, size in [(1, -60), (1, 15), ("0.25", 37), (2, -17), ("0.2", 155)]:
        at += int(float(days) * DAY)
        loose.travel(at - 3 - loose.now())
        loose.know_nav(10**9)
        loose.price(market, 2_000)
        loose.trade(trader, market, size, account=other)
        b = loose.state(market)[1]
        assert b.touched_at == at
        seen.append((b.rate, 20 * b.funding_index))
    assert seen == [
        (wad("0.006"), wad("120")),
        (wad("-0.006"), wad("120")),
        (wad("-0.007875"), wad("50.625")),
        (wad("-0.000675"), wad("-291.375")),
        (wad("-0.000975"), wad("-297.975")),
    ]
