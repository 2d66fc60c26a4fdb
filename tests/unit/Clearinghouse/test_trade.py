"""trade: a fill against the pool, its fee, and the lines that an account must keep."""

import pytest

from plimsoll import slots
from tests.utils import exact
from tests.utils.bytecode import deploy_runtime, returning, reverting, words
from tests.utils.events import event, events, named
from tests.utils.system import DAY, MAX_UINT, MIN_INT, wad

INSURANCE_SHARE = 200_000
LOT = exact.LOT  # [wei of base]

# ------------------------------------------------------------------ the numbers, by hand


def test_trade__opens_a_long__tells_all_of_it(system, house, still, trader):
    system.deposit(trader, 1_000)
    assert house.trade.call(trader, still.id, wad(10), MAX_UINT, sender=trader) == wad("100.1005")
    receipt = system.trade(trader, still, 10)
    # 100 * (1 + (0 + 10/2) / 1m + 0.1 %) = 100.1005; fee 1,001.005 * 0.05 % = 0.5005025, a fifth to insurance.
    state_a = slots.StateA(lots=wad(10) >> 32, last_price=wad(100), skew=wad(10))
    state_b = slots.StateB(touched_at=receipt.timestamp, steady=still.steady(wad(100)))
    assert events(receipt) == [
        event(
            "Fill",
            trader,
            still.id,
            wad(10),
            wad("100.1005"),
            wad(10),
            wad("1001.005"),
            slots.pack_state_a(state_a),
            slots.pack_state_b(state_b),
        ),
        event("CashMoved", trader, wad("999.4994975")),
        event("CashMoved", system.pool, wad("10001001.405402")),
        event("CashMoved", house, wad("1000.1001005")),
        event("FeePaid", trader, still.id, wad("0.5005025"), wad("0.1001005")),
    ]
    assert system.state(still) == (state_a, state_b)
    assert system.position(trader, still) == (wad(10), wad("1001.005"))
    assert system.header(trader) == (wad("999.4994975"), 0, 1 << still.id)
    assert system.book().exposure == wad(1_000)


def test_trade__opens_a_short__tells_all_of_it(system, house, reef, trader):
    system.deposit(trader, 1_000)
    receipt = system.trade(trader, reef, -10)
    # 100 * (1 - 5 / 1m - 0.1 %) = 99.8995; fee 998.995 * 0.05 % = 0.4994975. A short has no lots.
    state_a = slots.StateA(lots=0, last_price=wad(100), skew=-wad(10))
    state_b = slots.StateB(touched_at=receipt.timestamp, steady=reef.steady(wad(100)))
    assert events(receipt) == [
        event(
            "Fill",
            trader,
            reef.id,
            -wad(10),
            wad("99.8995"),
            -wad(10),
            -wad("998.995"),
            slots.pack_state_a(state_a),
            slots.pack_state_b(state_b),
        ),
        event("CashMoved", trader, wad("999.5005025")),
        event("CashMoved", system.pool, wad(10_000_000) - wad("998.995") + wad("0.399598")),
        event("CashMoved", house, wad("1000.0998995")),
        event("FeePaid", trader, reef.id, wad("0.4994975"), wad("0.0998995")),
    ]
    assert system.header(trader).bitmap == 1 << reef.id
    assert system.book().exposure == wad(1_000)


def test_trade__closes_in_full__moves_the_basis_to_cash_and_clears_the_bit(
    system, house, still, trader
):
    system.deposit(trader, 1_000)
    system.trade(trader, still, 10)
    system.price(still, 110)
    receipt = system.trade(trader, still, -10)
    # 110 * (1 + 5 / 1m - 0.1 %) = 109.89055: 1,098.9055 less 1,001.005, and a fee of 0.54945275.
    cash = wad("999.4994975") + wad("97.9005") - wad("0.54945275")
    assert events(receipt)[0][3:7] == (-wad(10), wad("109.89055"), 0, 0)
    assert events(receipt)[1] == event("CashMoved", trader, cash)
    assert system.header(trader) == (cash, 0, 0)
    assert system.position(trader, still) == (0, 0)
    assert house.health(trader) == MAX_UINT
    assert system.state(still)[0] == (0, wad(110), 0)
    assert system.book().exposure == 0


def test_trade__one_wei_more__still_pays_a_wei_of_fee(system, house, still, trader):
    system.deposit(trader, 10)
    system.trade(trader, still, "0.1")
    cash, pool, fund = (system.cash(a) for a in (trader, system.pool, house))
    basis = system.position(trader, still).basis
    receipt = system.trade_wad(trader, still, 1)
    # The price is 100.1 and a little; a wei of it costs 101 wei of quote, rounded up.
    price = exact.fill_price(wad(100), wad("0.1"), 1, still.scale, 1_000)
    assert events(receipt)[0][3:7] == (1, price, wad("0.1") + 1, basis + 101)
    assert events(receipt)[1:] == [  # a fifth of a wei is nothing to the insurance fund
        event("CashMoved", trader, cash - 1),
        event("CashMoved", system.pool, pool + 101 + 1),
        event("FeePaid", trader, still.id, 1, 0),
    ]
    assert system.cash(house) == fund


# ------------------------------------------------------------------ the numbers, by formula


@pytest.mark.parametrize(
    ("held", "delta"),
    [
        ("3.000000000000000001", "7"),
        ("7", "-3.000000000000000001"),
        ("7", "-7"),
        ("7", "-10.5"),
        ("-3.000000000000000001", "-7"),
        ("-7", "3.000000000000000001"),
        ("-7", "7"),
        ("-7", "10.5"),
        ("7", "-6.999999995705032704"),  # a lot is left
    ],
)
@pytest.mark.parametrize("crowd", ["0", "250.123456789", "-250.123456789"])
def test_trade__any_start_and_any_end__agrees_with_the_formulas(
    system, house, still, trader, maker, held, delta, crowd
):
    held, delta, crowd = wad(held), wad(delta), wad(crowd)
    for account in (trader, maker):
        system.deposit(account, 10_000)
    if crowd:
        system.trade_wad(maker, still, crowd)
    system.trade_wad(trader, still, held)
    system.price(still, "123.45678901")
    P = wad("123.45678901")
    size, basis = system.position(trader, still)
    cash, pool, fund = (system.cash(a) for a in (trader, system.pool, house))
    assert size == held
    before = system.state(still)[1]

    receipt = system.trade_wad(trader, still, delta)

    price = exact.fill_price(P, crowd + held, delta, still.scale, 1_000)
    cost = exact.cost(delta, price)
    fee = exact.fee(delta, price, 500)
    after = size + delta
    if size * delta > 0:
        realised, new_basis = 0, basis + cost
    elif size * after >= 0:
        share = -(-basis * abs(delta) // abs(size))  # rounded up: what leaves of the basis
        realised, new_basis = -share - cost, basis - share
        assert (after == 0) <= (new_basis == 0)
    else:
        closing = exact.cost(-size, price)
        realised, new_basis = -basis - closing, cost - closing
    to_insurance = exact.share_of(fee, INSURANCE_SHARE)
    skew = crowd + after
    waited = receipt.timestamp - before.touched_at
    steady = exact.steady_after(before.steady, still.terms["max_price"], P, waited)
    assert events(receipt) == [
        event(
            "Fill",
            trader,
            still.id,
            delta,
            price,
            after,
            new_basis,
            slots.pack_state_a(slots.StateA(exact.lots(crowd, after), P, skew)),
            slots.pack_state_b(slots.StateB(touched_at=receipt.timestamp, steady=steady)),
        ),
        event("CashMoved", trader, cash + realised - fee),
        event("CashMoved", system.pool, pool + cost + fee - to_insurance),
        event("CashMoved", house, fund + to_insurance),
        event("FeePaid", trader, still.id, fee, to_insurance),
    ]
    assert system.position(trader, still) == (after, new_basis)
    assert system.header(trader).bitmap == (1 << still.id if after else 0)


def test_trade__basis_that_does_not_divide__rounds_against_the_account(fine, trader):
    system, still = fine, fine.markets[0]
    system.deposit(trader, 100)
    system.trade_wad(trader, still, LOT + 7)
    cash, basis = system.cash(trader), system.position(trader, still).basis
    assert basis == exact.cost(LOT + 7, exact.fill_price(wad(100), 0, LOT + 7, still.scale, 1_000))
    system.trade_wad(trader, still, -5)
    # 5 at 99.9 bring 499 of 499.5, take 501 of 500.5 of the basis with them, and cost a fee of 1.
    assert system.position(trader, still) == (LOT + 2, basis - 501)
    assert system.cash(trader) == cash + 499 - 501 - 1


def test_trade__bits_of_several_markets__come_and_go(system, still, tide, reef, trader):
    system.deposit(trader, 1_000)
    seen = []
    for market, size in [
        (reef, 1),
        (still, -1),
        (tide, 1),
        (still, 1),
        (reef, -2),
        (tide, -1),
        (reef, 1),
    ]:
        system.trade(trader, market, size)
        seen.append(system.header(trader).bitmap)
    assert seen == [0b100, 0b101, 0b111, 0b110, 0b110, 0b100, 0]


def test_trade__insurance_share__is_floored(fine, trader):
    system, still = fine, fine.markets[0]
    system.deposit(trader, 100)
    system.trade_wad(trader, still, LOT)
    receipt = system.trade_wad(trader, still, 119)
    # 119 wei at 100.1: a fee of 5.96, so 6, of which a fifth is 1.
    assert named(receipt, "FeePaid") == [event("FeePaid", trader, still.id, 6, 1)]


# ------------------------------------------------------------------ limits and arguments


@pytest.mark.parametrize("size", [10, -10])
def test_trade__limit_price__is_met_or_nothing_happens(system, house, still, trader, size):
    system.deposit(trader, 1_000)
    limit = wad("100.1005") if size > 0 else wad("99.8995")
    worse = limit - 1 if size > 0 else limit + 1
    with system.refuses("trade: past limit price"):
        house.trade(trader, still.id, wad(size), worse, sender=trader)
    house.trade(trader, still.id, wad(size), limit, sender=trader)
    assert system.position(trader, still).size == wad(size)


@pytest.mark.parametrize("size", [10, -10])
def test_trade__opposite_extreme_of_a_limit__is_not_met(system, house, still, trader, size):
    system.deposit(trader, 1_000)
    with system.refuses("trade: past limit price"):
        house.trade(trader, still.id, wad(size), 0 if size > 0 else MAX_UINT, sender=trader)


def test_trade__zero_size__is_refused(system, house, still, trader):
    system.deposit(trader, 1_000)
    with system.refuses("trade: zero size"):
        house.trade(trader, still.id, 0, MAX_UINT, sender=trader)
    system.trade_wad(trader, still, LOT)


@pytest.mark.parametrize("side", [1, -1])
def test_trade__position_smaller_than_a_lot__is_refused(system, house, still, trader, side):
    system.deposit(trader, 1_000)
    for delta in (1, LOT - 1):
        with system.refuses("trade: size out of range"):
            system.trade_wad(trader, still, side * delta)
    system.trade_wad(trader, still, side * LOT)
    # Neither by reducing nor by crossing zero.
    for delta in (-1, -LOT + 1, -LOT - 1, -2 * LOT + 1):
        with system.refuses("trade: size out of range"):
            system.trade_wad(trader, still, side * delta)
    system.trade_wad(trader, still, side * -2 * LOT)
    assert system.position(trader, still).size == -side * LOT
    system.trade_wad(trader, still, side * LOT)
    assert system.header(trader).bitmap == 0


@pytest.mark.parametrize(
    "delta", [wad(1_000_000) + 1, -wad(1_000_000) - 1, 2**255 - 1, MIN_INT, 2**128]
)
def test_trade__size_beyond_the_skew_scale__is_refused(system, house, still, trader, delta):
    system.deposit(trader, 1_000)
    with system.refuses("trade: size out of range"):
        system.trade_wad(trader, still, delta)


@pytest.mark.parametrize("size", [1_000_000, -1_000_000])
def test_trade__size_of_the_skew_scale__is_the_caps_affair(system, still, trader, size):
    system.deposit(trader, 1_000)
    with system.refuses("caps: open interest"):
        system.trade(trader, still, size)


@pytest.mark.parametrize("market", [3, 127, 128, 2**128, MAX_UINT])
def test_trade__unknown_market__is_refused(system, house, trader, market):
    system.deposit(trader, 1_000)
    with system.refuses("market: unknown"):
        house.trade(trader, market, wad(1), MAX_UINT, sender=trader)


def test_trade__anothers_account__is_refused(system, house, still, attacker, victim):
    system.deposit(victim, 1_000)
    for account in (victim, system.clearinghouse, system.sub(attacker, 256)):
        with system.refuses("account: not yours"):
            house.trade(account, still.id, wad(1), MAX_UINT, sender=attacker)
    system.trade(victim, still, 1)


def test_trade__the_pools_account__is_refused_even_to_the_pool(system, house, still):
    with system.refuses("account: system"):
        system.perform(system.pool, (house.trade, system.pool.address, still.id, wad(1), MAX_UINT))


def test_trade__sub_account__uses_its_own_cash_alone(system, still, trader):
    sub = system.sub(trader, 9)
    system.deposit(trader, 1_000)
    with system.refuses("margin: below initial"):
        system.trade(trader, still, 1, account=sub)
    system.deposit(sub, 100)
    system.trade(trader, still, 1, account=sub)
    assert system.position(sub, still).size == wad(1)
    assert system.cash(trader) == wad(1_000)
    assert system.header(trader).bitmap == 0


def test_trade__account_with_nothing__is_refused(system, still, stranger):
    with system.refuses("margin: below initial"):
        system.trade(stranger, still, 1)
    with system.refuses("margin: below initial"):
        system.trade_wad(stranger, still, LOT)


# ------------------------------------------------------------------ prices


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("stale", "prices: stale"),
        ("zero", "prices: not positive"),
        ("negative", "prices: not positive"),
        ("most negative", "prices: not positive"),
        ("future", "prices: bad time"),
        ("far future", "prices: bad time"),
        ("no round", "prices: bad time"),
        ("at the lower bound", "prices: out of bounds"),
        ("at the upper bound", "prices: out of bounds"),
        ("absurd", "prices: out of bounds"),
        ("96 bits", "prices: out of bounds"),
        ("down", "prices: feed failed"),
        ("hungry", "prices: feed failed"),
        ("three words", "prices: feed failed"),
        ("nothing", "prices: feed failed"),
    ],
)
def test_trade__price_that_may_not_be_used__is_refused_by_name(
    system, project, trader, how, reason
):
    feed = system.deployer.deploy(project.FaultyFeedMock, 8, 100 * 10**8)
    market = system.list_market("ODD", feed=feed)
    system.deposit(trader, 1_000)
    system.trade(trader, market, 2)
    now, good = system.now(), 100 * 10**8
    rounds = {
        "stale": (good, now - DAY - 60),
        "zero": (0, now),
        "negative": (-1, now),
        "most negative": (MIN_INT, now),
        "future": (good, now + 1_000),
        "far future": (good, MAX_UINT),
        "no round": (good, 0),
        "at the lower bound": (10**8, now),
        "at the upper bound": (10_000 * 10**8, now),
        "absurd": (2**255 - 1, now),
        "96 bits": (2**96, now),
    }
    modes = {"down": 1, "hungry": 2, "three words": 3, "nothing": 4}
    if how in rounds:
        system.round(market, *rounds[how])
    else:
        feed.set_mode(modes[how], sender=trader)
    for size in (1, -1, -2):
        with system.refuses(reason):
            system.trade(trader, market, size)
    feed.set_mode(0, sender=trader)
    system.round(market, good, now)
    system.trade(trader, market, 1)


@pytest.mark.parametrize(("answer", "good"), [(10**8, False), (10**8 + 1, True)])
def test_trade__lower_bound_of_the_price__is_exclusive(system, still, trader, answer, good):
    system.deposit(trader, 1_000)
    system.round(still, answer, system.now())
    if good:
        system.trade(trader, still, 1)
    else:
        with system.refuses("prices: out of bounds"):
            system.trade(trader, still, 1)


@pytest.mark.parametrize(("answer", "good"), [(10_000 * 10**8, False), (10_000 * 10**8 - 1, True)])
def test_trade__upper_bound_of_the_price__is_exclusive(system, still, trader, answer, good):
    system.deposit(trader, 10_000)
    system.round(still, answer, system.now())
    if good:
        system.trade(trader, still, 1)
    else:
        with system.refuses("prices: out of bounds"):
            system.trade(trader, still, 1)


def test_trade__age_of_the_price__may_reach_max_age(system, still, trader):
    system.deposit(trader, 1_000)
    at = system.now()
    system.round(still, 100 * 10**8, at)
    system.know_nav()
    system.travel(
        at + DAY - 1 - system.now()
    )  # the next block is exactly a day younger than the round
    receipt = system.trade(trader, still, 1)
    assert receipt.timestamp == at + DAY
    with system.refuses("prices: stale"):
        system.trade(trader, still, 1)


def test_trade__round_of_this_very_second__is_not_in_the_future(system, house, still, trader):
    system.deposit(trader, 1_000)
    system.round(still, 100 * 10**8, system.now() + 3)
    with system.refuses("prices: bad time"):  # this is the second before
        system.trade(trader, still, 1)
    receipt = system.trade(trader, still, 1)
    assert receipt.timestamp == still.feed.latestRoundData()[3]


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        # Memory for a million bytes costs 2.2m gas, far more than a feed is given.
        (returning(10**6), "prices: feed failed"),
        (reverting(10**6), "prices: feed failed"),
        (reverting(140_000), "prices: feed failed"),
        (returning(0), "prices: feed failed"),
        (returning(159), "prices: feed failed"),
        # What follows the first five words is nobody's business; these words say 1970.
        (returning(160), "prices: stale"),
        (returning(140_000), "prices: stale"),
    ],
)
def test_trade__feed_that_answers_a_megabyte__costs_its_gas_and_no_more(
    loose, trader, tail, reason
):
    still = loose.markets[0]
    loose.deposit(trader, 1_000)
    loose.trade(trader, still, 2)
    feed = deploy_runtime(loose.deployer, words(1, 100 * 10**8, 1, 1, 1) + tail)
    loose.configure(still, feed=feed.address)
    with loose.refuses(reason):
        loose.trade(trader, still, -1)
    loose.configure(still, feed=still.feed.address)
    loose.trade(trader, still, -1)


def test_trade__feed_that_is_not_there__is_refused(loose, trader, stranger):
    still = loose.markets[0]
    loose.deposit(trader, 1_000)
    loose.configure(still, feed=stranger.address)
    with loose.refuses("prices: feed failed"):
        loose.trade(trader, still, 1)


# ------------------------------------------------------------------ caps


@pytest.mark.parametrize("side", [1, -1])
def test_trade__skew_cap__is_reached_to_the_wei(system, still, trader, side):
    system.deposit(trader, 200_000)
    with system.refuses("caps: skew"):
        system.trade_wad(trader, still, side * (wad(10_000) + 1))
    system.trade_wad(trader, still, side * wad(10_000))
    with system.refuses("caps: skew"):
        system.trade_wad(trader, still, side)


@pytest.mark.parametrize("side", [1, -1])
def test_trade__open_interest_cap_on_one_side__is_reached_to_the_wei(system, still, trader, side):
    system.configure(still, max_skew=wad(14_000))
    system.deposit(trader, 200_000)
    with system.refuses("caps: open interest"):
        system.trade_wad(trader, still, side * (wad(14_000) + 1))
    system.trade_wad(trader, still, side * wad(14_000))
    with system.refuses("caps: open interest"):
        system.trade_wad(trader, still, side)


def test_trade__open_interest_cap_on_both_sides__counts_longs_in_whole_lots(
    system, still, trader, maker
):
    system.deposit(trader, 200_000)
    system.deposit(maker, 200_000)
    # Seven thousand short, so that the longs and not the skew decide.
    system.trade(maker, still, -7_000)
    system.trade_wad(trader, still, wad(14_000) // LOT * LOT)
    held = system.position(trader, still).size
    assert 0 < wad(14_000) - held < LOT
    # A whole lot more is over the cap; what is less than a lot is not counted.
    with system.refuses("caps: open interest"):
        system.trade_wad(trader, still, LOT)
    system.trade_wad(trader, still, LOT - 1)
    assert system.state(still)[0].lots == held // LOT
    with system.refuses("caps: open interest"):
        system.trade_wad(trader, still, 1)


def test_trade__shorts_against_longs__count_as_lots_less_skew(system, still, trader, maker):
    system.deposit(trader, 200_000)
    system.deposit(maker, 200_000)
    system.trade(maker, still, 7_000)
    system.trade(trader, still, -14_000)
    assert slots.open_interest(
        *[getattr(system.state(still)[0], f) for f in ("lots", "skew")]
    ) <= wad(14_000)
    # 7,000 long is no whole number of lots: what is missing of one is missing on the short side, too.
    missing = wad(7_000) % LOT
    system.trade_wad(trader, still, -missing)
    with system.refuses("caps: open interest"):
        system.trade_wad(trader, still, -1)


def test_trade__exposure_cap__is_reached_to_the_wei(fine, trader):
    system, house, still = fine, fine.clearinghouse, fine.markets[0]
    system.deposit(trader, 100_000)
    # 10,000 at 100 against a NAV: 1.5 times 666,666.66... is a million. It is kept in units of 2**24 wei.
    least = wad(1_000_000) * 2 // 3 // 2**24 * 2**24
    for nav, good in [(least, False), (least + 2**24, True)]:
        system.perform(system.pool, (house.set_nav, nav))
        if good:
            system.trade(trader, still, 10_000)
        else:
            with system.refuses("caps: pool exposure"):
                system.trade(trader, still, 10_000)


def test_trade__exposure_of_other_markets__counts_at_their_last_price(
    system, house, still, reef, trader
):
    system.deposit(trader, 1_000_000)
    system.trade(trader, still, 1_000)
    system.know_nav(200_000)
    system.price(still, 250)
    system.trade(
        trader, reef, 1_000
    )  # 100k, of which nobody has told yet that it is 250k, and 100k
    with system.refuses("caps: pool exposure"):
        system.trade(trader, reef, 1_001)
    house.poke(still.id, sender=trader)
    assert system.book().exposure == wad(350_000)
    with system.refuses("caps: pool exposure"):
        system.trade_wad(trader, reef, 1)
    system.trade(trader, reef, -500)


def test_trade__negative_nav__lets_nobody_add(system, house, still, trader):
    system.deposit(trader, 1_000)
    system.trade(trader, still, 2)
    system.perform(system.pool, (house.set_nav, -1))
    with system.refuses("caps: pool exposure"):
        system.trade(trader, still, 1)
    system.trade(trader, still, -1)


def test_trade__nav_of_a_day__is_good_and_a_second_more_is_not(system, house, still, trader):
    system.deposit(trader, 1_000)
    system.trade(trader, still, 2)
    system.know_nav()
    known_at = system.book().known_at
    system.travel(known_at + DAY - 3 - system.now())
    system.price(still, 100)
    system.trade(trader, still, -1)
    assert system.trade(trader, still, 1).timestamp == known_at + DAY
    with system.refuses("caps: pool NAV is old"):
        system.trade(trader, still, 1)
    system.trade(trader, still, -1)  # reducing asks no NAV
    system.know_nav()
    system.trade(trader, still, 1)


def test_trade__against_the_crowd__passes_with_everything_over_its_cap_but_open_interest(
    system, house, still, trader, maker
):
    system.deposit(trader, 100_000)
    system.deposit(maker, 200_000)
    system.trade(maker, still, 10_000)
    system.know_nav(-1)
    system.configure(still, max_skew=wad(1))
    system.travel(DAY - 10)
    system.price(still, 100)
    system.travel(DAY)
    system.price(still, 100)
    with system.refuses("caps: skew"):
        system.trade_wad(trader, still, LOT)
    system.trade(trader, still, -100)  # opens, and the skew falls
    assert system.position(trader, still).size == -wad(100)
    # Past zero to the same distance is no fall, nearer is.
    system.deposit(trader, 200_000)
    with system.refuses("caps: open interest"):
        system.trade(trader, still, -14_000)


@pytest.mark.parametrize("side", [1, -1])
def test_trade__across_zero_skew__must_end_nearer_to_it(system, still, trader, maker, side):
    system.deposit(trader, 100_000)
    system.deposit(maker, 100_000)
    system.trade(maker, still, 500 * side)
    system.configure(still, max_skew=wad(100))
    with system.refuses("caps: skew"):
        system.trade(trader, still, -1_000 * side)  # as far out, on the other side
    system.trade_wad(trader, still, -side * (wad(1_000) - 1))


@pytest.mark.parametrize("side", [1, -1])
def test_trade__reducing__asks_for_no_cap(system, house, still, trader, maker, side):
    system.deposit(trader, 100_000)
    system.deposit(maker, 100_000)
    system.trade(trader, still, 1_000 * side)
    system.trade(maker, still, -1_000 * side)
    system.configure(still, max_skew=0, max_open_interest=0)
    system.know_nav(-1)
    # The skew grows by this, and the open interest is far over its cap.
    system.trade(trader, still, -400 * side)
    assert system.state(still)[0].skew == -wad(400) * side
    with system.refuses("caps: open interest"):
        system.trade(trader, still, -601 * side)  # one more than he has is no reduction
    system.trade(trader, still, -600 * side)


# ------------------------------------------------------------------ reduce only


@pytest.mark.parametrize("side", [1, -1])
def test_trade__reduce_only_market__lets_positions_shrink(system, still, trader, maker, side):
    system.deposit(trader, 1_000)
    system.deposit(maker, 1_000)
    system.trade(trader, still, 10 * side)
    system.configure(still, reduce_only=True)
    for owner, size in [(maker, 1), (maker, -1), (trader, side), (trader, -11 * side)]:
        with system.refuses("market: reduce only"):
            system.trade(owner, still, size)
    system.trade(trader, still, -4 * side)
    system.trade(trader, still, -6 * side)
    system.configure(still, reduce_only=False)
    system.trade(maker, still, 1)


# ------------------------------------------------------------------ margin


@pytest.mark.parametrize("side", [1, -1])
def test_trade__opening__needs_the_initial_requirement_to_the_wei(fine, trader, side):
    system, still = fine, fine.markets[0]
    price = wad("100.1005") if side > 0 else wad("99.8995")
    fee = price * 10 * 500 // 10**6
    # Required 1,000 * (5 % + 10 / 2m) + 5 = 55.005; the spread and the curve have cost 1.005 at once.
    needed = wad("55.005") + wad("1.005") + fee
    system.clearinghouse.deposit(trader, system.token, needed - 1, sender=system.deployer)
    with system.refuses("margin: below initial"):
        system.trade(trader, still, 10 * side)
    system.clearinghouse.deposit(trader, system.token, 1, sender=system.deployer)
    system.trade(trader, still, 10 * side)


def test_trade__paper_profit__counts_by_half_for_more(fine, trader):
    system, still = fine, fine.markets[0]
    system.deposit(trader, 100)
    system.trade(trader, still, 10)
    system.hold(still, 110)
    # Cash 99.4994975, profit 98.995 that counts 49.4975. Ten more at 110 * (1 + 15 / 1m + 0.1 %) = 110.11165
    # cost a fee of 0.55055825 and lose 1.1165: 98.94893925 + 48.93925 against 2,200 * (5 % + 20 / 2m) + 5.
    equity = wad("98.94893925") + wad("48.93925")
    required = wad("115.022")
    out = equity - required
    system.clearinghouse.withdraw(trader, system.token, wad(10), trader, sender=trader)
    with system.refuses("margin: below initial"):
        # With the profit in full there would be enough for 18 more: 98 + 97 - 10 against 3,080 * 5 % + ...
        system.trade(trader, still, 18)
    house = system.clearinghouse
    house.withdraw(trader, system.token, out - wad(10) + 1, trader, sender=trader)
    with system.refuses("margin: below initial"):
        system.trade(trader, still, 10)
    house.deposit(trader, system.token, 1, sender=system.deployer)
    system.trade(trader, still, 10)


def test_trade__paper_loss__counts_in_full(fine, trader):
    system, still, reef = fine, fine.markets[0], fine.markets[2]
    system.deposit(trader, 1_000)
    system.trade(trader, still, 10)
    cash = system.cash(trader)
    system.hold(still, 95)
    # Lost 51.005; STILL asks 950 * (5 % + 10 / 2m) + 5 = 52.50475. One REEF at 100 * (1 + 0.5 / 1m + 0.1 %)
    # = 100.10005 costs a fee of 0.050050025 and loses 0.10005; it asks 100 * (12 % + 1 / 2m) + 2.5 = 14.50005.
    needed = wad("51.005") + wad("52.50475") + wad("0.050050025") + wad("0.10005") + wad("14.50005")
    house = system.clearinghouse
    house.withdraw(trader, system.token, cash - needed + 1, trader, sender=trader)
    with system.refuses("margin: below initial"):
        system.trade(trader, reef, 1)
    house.deposit(trader, system.token, 1, sender=system.deployer)
    system.trade(trader, reef, 1)


def test_trade__below_initial__may_reduce_but_not_add(system, house, still, trader):
    system.deposit(trader, 60)
    system.trade(trader, still, 10)
    system.price(still, 98)
    assert house.health(trader) > wad(1)
    for size in (1, -20):  # as much as before the other way round
        with system.refuses("margin: below initial"):
            system.trade(trader, still, size)
    before = house.health(trader)
    system.trade(trader, still, -1)
    assert house.health(trader) > before


def test_trade__liquidatable_account__may_still_reduce(system, house, still, trader):
    system.deposit(trader, 60)
    system.trade(trader, still, 10)
    system.price(still, 96)
    before = house.health(trader)
    assert 0 < before < wad(1)
    system.trade(trader, still, -5)
    assert house.health(trader) > before


def test_trade__reduction_that_costs_more_than_it_helps__is_refused(system, house, still, trader):
    system.deposit(trader, 100)
    system.trade(trader, still, 10)
    # At 90.2 equity is 0.4944975 and a tenth of the notional costs 0.13: health would fall.
    system.price(still, "90.2")
    equity = system.cash(trader) + exact.pnl(wad(10), wad("1001.005"), wad("90.2"))
    assert equity == wad("0.4944975")
    with system.refuses("margin: health would fall"):
        system.trade(trader, still, -1)
    # At 90.5, with an equity of 3.4944975, it helps.
    system.price(still, "90.5")
    system.trade(trader, still, -1)


def test_trade__reduction__compares_health_to_the_wei(fine, trader):
    """The price at which closing a tenth neither raises nor lowers health is met from both sides."""
    system, still = fine, fine.markets[0]
    system.deposit(trader, 100)
    system.trade(trader, still, 10)
    cash, basis = system.cash(trader), wad("1001.005")

    def health_falls(price: int) -> bool:
        before = cash + exact.pnl(wad(10), basis, price)
        f = exact.fill_price(price, wad(10), -wad(1), still.scale, 1_000)
        after = cash - basis // 10 - exact.cost(-wad(1), f) - exact.fee(wad(1), f, 500)
        after += exact.pnl(wad(9), basis - basis // 10, price)
        mm = [exact.maintenance(wad(size), price, still.scale, 25_000, wad(5)) for size in (10, 9)]
        return after < 0 or after * mm[0] < before * mm[1]

    low, high = 90_20000000, 90_50000000  # in the feed's 8 decimals
    assert health_falls(low * 10**10) and not health_falls(high * 10**10)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if health_falls(middle * 10**10) else (low, middle)
    system.round(still, low, system.now())
    with system.refuses("margin: health would fall"):
        system.trade(trader, still, -1)
    system.round(still, high, system.now())
    system.trade(trader, still, -1)


def test_trade__closing_below_zero__is_left_to_liquidation(system, house, still, trader):
    system.deposit(trader, 100)
    system.trade(trader, still, 10)
    system.price(still, 90)
    assert house.health(trader) == 0
    for size in (-1, -10):
        with system.refuses("margin: health would fall"):
            system.trade(trader, still, size)


def test_trade__closing_to_nothing__is_allowed_down_to_zero_equity(fine, trader):
    system, house, still = fine, fine.clearinghouse, fine.markets[0]
    system.deposit(trader, 100)
    system.trade(trader, still, 10)
    cash = system.cash(trader)
    system.price(still, 95)
    price = exact.fill_price(wad(95), wad(10), -wad(10), still.scale, 1_000)
    left = cash - wad("1001.005") + 10 * price - exact.fee(wad(10), price, 500)
    system.price(still, 100)
    house.withdraw(trader, system.token, wad(30), trader, sender=trader)
    system.price(still, 95)
    # He has 48 - 30 left at 95; find the price at which closing leaves a wei less than nothing.
    assert left > wad(30)
    low, high = 90 * 10**8, 95 * 10**8

    def leaves(answer: int) -> int:
        f = exact.fill_price(answer * 10**10, wad(10), -wad(10), still.scale, 1_000)
        return (
            cash - wad(30) - wad("1001.005") - exact.cost(-wad(10), f) - exact.fee(wad(10), f, 500)
        )

    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if leaves(middle) < 0 else (low, middle)
    system.round(still, low, system.now())
    with system.refuses("margin: health would fall"):
        system.trade(trader, still, -10)
    system.round(still, high, system.now())
    system.trade(trader, still, -10)
    assert system.cash(trader) == leaves(high) >= 0


# ------------------------------------------------------------------ dead legs


def test_trade__dead_leg_elsewhere__stops_more_risk_but_no_reduction(system, still, reef, trader):
    system.deposit(trader, 1_000)
    system.trade(trader, still, 2)
    system.trade(trader, reef, 2)
    system.kill(still)
    for size in (1, -3):
        with system.refuses("margin: dead leg"):
            system.trade(trader, reef, size)
    with system.refuses("prices: not positive"):
        system.trade(trader, still, -1)
    system.trade(trader, reef, -1)
    system.trade(trader, reef, -1)
    system.price(still, 100)
    system.trade(trader, reef, 1)


def test_trade__dead_leg_at_a_loss__is_valued_at_the_last_good_price(
    system, house, still, reef, trader
):
    system.deposit(trader, 100)
    system.trade(trader, still, 5)
    system.trade(trader, reef, 5)
    system.price(still, 83)
    house.poke(still.id, sender=trader)
    system.price(reef, "98.6")
    system.kill(still)
    assert house.leg(trader, still.id).price == wad(83)
    # An equity of some 4 is too little for the cost of closing five at 98.6? No: 0.74. Health may not fall.
    before = house.health(trader)
    assert 0 < before < wad(1)
    system.trade(trader, reef, -1)
    assert house.health(trader) > before


# ------------------------------------------------------------------ market state


def test_trade__funding__accrues_with_the_old_skew_before_the_fill(system, tide, trader, maker):
    system.deposit(trader, 100_000)
    system.deposit(maker, 100_000)
    opened = system.trade(trader, tide, 5_000).timestamp
    system.travel(DAY // 4)
    system.price(tide, 100)
    receipt = system.trade(maker, tide, -9_000)
    dt = receipt.timestamp - opened
    rate = exact.rate_after(0, wad(5_000), tide.scale, 500_000, 10_000, dt)
    index = exact.index_after(0, 0, rate, wad(100), dt)
    b = system.state(tide)[1]
    assert b == (index, rate, receipt.timestamp, 0, tide.steady(wad(100)))
    assert index > 0
    # What he sold is his at the price less the index: his basis carries it.
    price = exact.fill_price(wad(100), wad(5_000), -wad(9_000), tide.scale, 1_000)
    assert system.position(maker, tide).basis == exact.cost(-wad(9_000), price, index)
    # From then on the skew is -4,000, and the rate falls.
    system.travel(DAY // 4)
    system.price(tide, 100)
    receipt = system.trade_wad(trader, tide, -wad(1))
    then = receipt.timestamp - b.touched_at
    assert system.state(tide)[1].rate == exact.rate_after(
        rate, -wad(4_000), tide.scale, 500_000, 10_000, then
    )


def test_trade__last_price__is_the_oracles_and_not_the_fills(system, still, trader):
    system.deposit(trader, 1_000)
    system.price(still, "101.5")
    system.trade(trader, still, 10)
    assert system.state(still)[0].last_price == wad("101.5")


def test_trade__after_a_liquidation_in_this_block__pays_the_surge(system, house, still, trader):
    attacker = system.puppet()
    system.deposit(trader, 600)
    system.trade(trader, still, 100)
    system.deposit(attacker, 1_000)
    system.price(still, 96)
    calls = [
        (house.liquidate, trader.address),
        (house.trade, attacker.address, still.id, wad(10), MAX_UINT),
        (house.trade, attacker.address, still.id, -wad(10), 0),
    ]
    liquidated, bought, sold = system.imagine(attacker, *calls)
    assert liquidated.reason is None
    # 100 of a million is 100 ppm: on top of 1,000 ppm of spread, both ways.
    assert bought.value == exact.fill_price(wad(96), 0, wad(10), still.scale, 1_100)
    assert sold.value == exact.fill_price(wad(96), wad(10), -wad(10), still.scale, 1_100)
    system.perform(attacker, calls[0])
    assert system.state(still)[1].surge_ppm == 100
    # A second later it is over.
    receipt = system.perform(attacker, calls[1])
    assert named(receipt, "Fill")[0][4] == exact.fill_price(wad(96), 0, wad(10), still.scale, 1_000)
    assert system.state(still)[1].surge_ppm == 0
