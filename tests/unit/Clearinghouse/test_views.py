"""leg, header, market_words, settings and globals: what there is to know, as it is."""

import ape
import pytest

from plimsoll import slots
from plimsoll.formulas import BAD_TIME, FAILED, LIVE, NOT_POSITIVE, OUT_OF_BOUNDS, STALE
from tests.utils import exact
from tests.utils.system import DAY, MAX_UINT, ZERO, wad


def test_settings__are_what_was_deployed(system, house):
    assert tuple(house.settings()) == (
        system.token.address,
        10**12,
        system.pool.address,
        system.configurator.address,
        system.auction.address,
        200_000,
        200_000,
        500_000,
        1_500_000,
        wad(20),
        system.backstop.address,
        ZERO,
        60_000,
        0,
        0,
    )


def test_globals__custody_book_and_top_up(system, house, still, trader):
    system.deposit(trader, 10)
    known = house.globals()
    assert known.custody == system.raw(10_000_000 + 1_000 + 10)
    book = slots.unpack_book(known.book)
    assert (book.nav, book.exposure) == (wad(10_000_000), 0)
    assert known.topped_up == known.share == known.least_held == 0
    system.trade(trader, still, "-0.000000123456789")
    assert system.book().exposure == 123_456_789_000 * 100


def test_header__cash_and_markets(system, house, still, reef, trader):
    assert house.header(trader) == 0
    system.deposit(trader, 100)
    assert house.header(trader) == wad(100) << 136
    system.trade(trader, still, 1)
    system.trade(trader, reef, 1)
    assert house.header(trader) & (2**136 - 1) == 0b101


def test_header__negative_cash__is_twos_complement(system, house, still, reef, trader):
    system.deposit(trader, 200)
    system.trade(trader, still, 10)
    system.trade(trader, reef, 10)
    system.price(still, 75)
    system.price(reef, 200)
    system.trade(trader, still, -10)
    word = house.header(trader)
    assert word >> 255 == 1
    assert (word >> 136) - 2**120 == system.cash(trader) < 0
    assert word & (2**136 - 1) == 1 << reef.id


def test_market_words__hold_the_terms_and_the_state(system, still, tide, reef, trader):
    for market, decimals in ((still, 8), (tide, 18), (reef, 6)):
        words = system.words(market)
        expected = slots.pack_terms(slots.Terms(**market.terms), decimals)
        assert (words.t0, words.t1, words.t2) == expected
    assert system.words(still).a == system.words(still).b == 0
    system.deposit(trader, 1_000)
    receipt = system.trade(trader, still, -3)
    words = system.words(still)
    assert words.a == slots.pack_state_a(slots.StateA(0, wad(100), -wad(3)))
    state_b = slots.StateB(touched_at=receipt.timestamp, steady=still.steady(wad(100)))
    assert words.b == slots.pack_state_b(state_b)


def test_market_words__unlisted__are_empty_and_beyond_128_there_are_none(system, house):
    assert tuple(house.market_words(3)) == tuple(house.market_words(127)) == (0,) * 5
    for market in (128, MAX_UINT):
        with ape.reverts():
            house.market_words(market)


def test_leg__of_a_market_as_of_now(system, house, tide, trader, stranger):
    system.deposit(trader, 100_000)
    opened = system.trade(trader, tide, 5_000).timestamp
    system.price(tide, "101.25")
    system.travel(3_600)
    dt = system.now() - opened
    rate = exact.rate_after(0, wad(5_000), tide.scale, 500_000, 10_000, dt)
    words = system.words(tide)
    expected = {
        "id": tide.id,
        "t0": words.t0,
        "t1": words.t1,
        "size": wad(5_000),
        "basis": system.position(trader, tide).basis,
        "price": wad("101.25"),
        "status": LIVE,
        "index": exact.index_after(0, 0, rate, wad("101.25"), dt),
        "rate": rate,
        "surge_ppm": 0,
        "skew": wad(5_000),
        "lots": wad(5_000) >> 32,
        "last_price": wad(100),  # as of the last fill
        "state_b": words.b,
    }
    leg = house.leg(trader, tide.id)
    assert {name: getattr(leg, name) for name in expected} == expected
    assert len(leg) == len(expected)
    # Another's leg is the same market and no position.
    other = house.leg(stranger, tide.id)
    assert (other.size, other.basis, other.index, other.skew) == (0, 0, leg.index, wad(5_000))


def test_leg__surge__is_this_seconds_alone(system, house, still, trader, keeper):
    system.deposit(trader, 600)
    system.trade(trader, still, 100)
    system.price(still, 96)
    system.liquidate(trader, keeper)
    assert house.leg(ZERO, still.id).surge_ppm == 100
    system.travel(1)
    assert house.leg(ZERO, still.id).surge_ppm == 0


@pytest.mark.parametrize(
    ("answer", "age", "status"),
    [
        (100 * 10**8, DAY, LIVE),
        (100 * 10**8, DAY + 1, STALE),
        (100 * 10**8, -1, BAD_TIME),
        (0, 0, NOT_POSITIVE),
        (-1, 0, NOT_POSITIVE),
        (10**8, 0, OUT_OF_BOUNDS),
        (10**8 + 1, 0, LIVE),
        (10**12, 0, OUT_OF_BOUNDS),
        (10**12 - 1, 0, LIVE),
    ],
)
def test_leg__status__says_why_a_price_may_not_be_used(system, house, still, answer, age, status):
    # The round is set in the next block, a second from now, and looked at there.
    system.round(still, answer, system.now() + 1 - age)
    leg = house.leg(ZERO, still.id)
    assert leg.status == status
    assert leg.price == (answer * 10**10 if status in (LIVE, STALE) else 0)


def test_leg__unlisted_market__is_all_zero_with_a_failed_feed(house, trader):
    for market in (3, 127):
        leg = house.leg(trader, market)
        assert (leg.id, leg.status) == (market, FAILED)
        assert not any(v for i, v in enumerate(tuple(leg)) if i not in (0, 6))


def test_leg__beyond_128__does_not_exist(house, trader):
    for market in (128, 2**160, MAX_UINT):
        with ape.reverts():
            house.leg(trader, market)
