"""Properties of the pure modules, for all numbers in range; and model equals contract."""

from __future__ import annotations

from dataclasses import astuple
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from plimsoll import formulas, slots
from plimsoll.formulas import DAY, PPM
from plimsoll.slots import WAD

relaxed = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@st.composite
def integers(draw: Any, bits: int, signed: bool = False, zero: bool = True) -> int:
    """All integers of so many bits, logarithmically: small ones are as likely as great ones."""
    width = draw(st.integers(0, bits - (1 if signed else 0)))
    value = (1 << width) - 1 - draw(st.integers(0, (1 << width) // 2))
    if signed and draw(st.booleans()):
        value = -value - draw(st.integers(0, 1))
    return value if value or zero else 1


# ------------------------------------------------------------------ rounding


@relaxed
@given(x=integers(256, signed=True), y=integers(255, zero=False))
def test_floor_div__any_signed_quotient__is_pythons(modules, x, y):
    assert modules.floor_div(x, y) == x // y == formulas.floor_div(x, y)


@relaxed
@given(x=integers(255), y=integers(255, zero=False))
def test_ceil_div__any_quotient__is_the_least_not_below(modules, x, y):
    quotient = modules.ceil_div(x, y)
    assert quotient == formulas.ceil_div(x, y)
    assert (quotient - 1) * y < x <= quotient * y


# ------------------------------------------------------------------ packed words


@relaxed
@given(size=integers(128, signed=True), basis=integers(128, signed=True))
def test_pack_position__whole_int128_range__round_trips(modules, size, basis):
    word = modules.pack_position(size, basis)
    assert word == slots.pack_position(slots.Position(size, basis))
    assert modules.unpack_position(word) == (size, basis) == slots.unpack_position(word)


@relaxed
@given(
    beyond=st.one_of(st.integers(2**127, 2**130), st.integers(-(2**130), -(2**127) - 1)),
    basis=integers(128, signed=True),
)
def test_pack_position__beyond_int128__is_refused(modules, beyond, basis):
    assert modules.refuses("pack_position", beyond, basis) == ""
    assert modules.refuses("pack_position", basis, beyond) == ""


@relaxed
@given(word=integers(256), cash=integers(120, signed=True))
def test_with_cash__any_header__changes_the_cash_alone(modules, word, cash):
    changed = modules.with_cash(word, cash)
    before, after = slots.unpack_header(word), slots.unpack_header(changed)
    assert after == before._replace(cash=cash)
    assert changed == slots.pack_header(after)
    assert modules.cash_of(changed) == cash


@relaxed
@given(word=integers(256), cash=integers(256, signed=True))
def test_with_cash__beyond_int120__is_refused(modules, word, cash):
    fits = -(2**119) <= cash < 2**119
    assert modules.refuses("with_cash", word, cash) == (None if fits else "")


@relaxed
@given(lots=integers(64), price=integers(96), skew=integers(96, signed=True))
def test_pack_state_a__whole_range__round_trips(modules, lots, price, skew):
    state = slots.StateA(lots, price, skew)
    word = modules.pack_state_a(lots, price, skew)
    assert word == slots.pack_state_a(state)
    assert slots.unpack_state_a(word) == state
    long = lots * slots.LOT
    assert modules.open_interest(lots, skew) == max(long, long - skew, skew)
    assert slots.open_interest(lots, skew) == max(long, long - skew, skew)


@relaxed
@given(
    index=integers(96, signed=True),
    rate=integers(60, signed=True),
    touched_at=integers(32),
    surge_ppm=integers(20),
    steady=integers(48),
)
def test_pack_state_b__whole_range__round_trips(
    modules, index, rate, touched_at, surge_ppm, steady
):
    state = slots.StateB(index, rate, touched_at, surge_ppm, steady)
    word = modules.pack_state_b(*state)
    assert word == slots.pack_state_b(state)
    assert slots.unpack_state_b(word) == state


@relaxed
@given(
    nav=integers(256, signed=True),
    exposure=integers(112),
    known_at=integers(32),
    calm_from=integers(32),
)
def test_pack_book__any_nav__saturates_and_round_trips(modules, nav, exposure, known_at, calm_from):
    word = modules.pack_book(nav, exposure, calm_from << 32 | known_at)
    assert word == slots.pack_book(slots.Book(nav, exposure, known_at, calm_from))
    most = (2**79 - 1) << 24
    kept = max(min(nav >> 24 << 24, most), -most)  # in units of 2**24 wei, rounded down
    assert slots.unpack_book(word) == (kept, exposure, known_at, calm_from)
    assert modules.unpack_book(word) == (kept, exposure, known_at)


# ------------------------------------------------------------------ stable prices


@relaxed
@given(
    stable=integers(96),
    cut=integers(49),
    price=integers(96),
    elapsed=integers(32),
    speed_ppm=st.integers(1, PPM),
)
def test_follow__any_price__goes_no_further_than_an_hours_way(
    modules, stable, cut, price, elapsed, speed_ppm
):
    """PRC-3: by so much of itself an hour, for an hour at most; toward the oracle, never past it."""
    found = modules.follow(stable, cut, price, elapsed, speed_ppm)
    assert found == formulas.follow(stable, cut, price, elapsed, speed_ppm)
    way = Fraction(stable * speed_ppm * min(elapsed, 3_600), 3_600 * PPM)
    assert stable - way <= found <= stable + cut + way
    assert min(stable, price) <= found <= max(stable + cut, price)
    if abs(price - stable) + 1 <= way:
        assert found == price
    assert modules.follow(stable, cut, stable, elapsed, speed_ppm) == stable


# ------------------------------------------------------------------ the curve

PRICES = st.integers(1, 2**80)
SCALES = st.integers(2**40, 2**96 - 1)


def sides(scale: int, most: int = 5, zero: bool = True) -> st.SearchStrategy[int]:
    """Sizes up to a fraction of the scale, either way, small ones likely."""
    return integers((scale // most).bit_length() - 1, signed=True, zero=zero)


@relaxed
@given(data=st.data(), price=integers(96), scale=SCALES, extra_ppm=integers(21))
def test_fill_price__any_fill__is_the_curve_rounded_against_the_taker(
    modules, data, price, scale, extra_ppm
):
    skew, delta = data.draw(sides(scale)), data.draw(sides(scale, 1, zero=False))
    found = modules.fill_price(price, skew, delta, scale, extra_ppm)
    assert found == formulas.fill_price(price, skew, delta, scale, extra_ppm)
    extra = Fraction(extra_ppm, PPM) * (1 if delta > 0 else -1)
    exact = max(price * (1 + Fraction(2 * skew + delta, 2 * scale) + extra), Fraction(0))
    assert 0 <= (found - exact) * (1 if delta > 0 else -1) < 1


@relaxed
@given(data=st.data(), price=PRICES, scale=SCALES, index=integers(80, signed=True))
def test_fill__split_in_two_at_one_price__costs_the_same(modules, data, price, scale, index):
    """QTE-1, path independence: a split changes nothing but rounding."""
    skew, first = data.draw(sides(scale)), data.draw(sides(scale, 10, zero=False))
    second = data.draw(sides(scale, 10, zero=False))
    assume((first > 0) == (second > 0))

    def cost(before: int, delta: int) -> int:
        at = formulas.fill_price(price, before, delta, scale)
        assert at == modules.fill_price(price, before, delta, scale, 0)
        owed = modules.cost_of(delta, at, index)
        assert owed == formulas.cost_of(delta, at, index)
        return owed

    together = cost(skew, first + second)
    apart = cost(skew, first) + cost(skew + first, second)
    # Each fill's price rounds up by less than a wei, and so does its cost.
    size = abs(first + second)
    assert -size // WAD - 1 <= apart - together <= size // WAD + 2


@relaxed
@given(
    data=st.data(),
    price=PRICES,
    scale=SCALES,
    index=integers(80, signed=True),
    extra_ppm=integers(18),
)
def test_fill__round_trip_at_one_price__never_gains(modules, data, price, scale, index, extra_ppm):
    """Open in parts and close in parts, in any order: the cash left is never more than before."""
    skew = data.draw(sides(scale))
    deltas = data.draw(st.lists(sides(scale, 20, zero=False), min_size=1, max_size=5))
    deltas.append(-sum(deltas))
    assume(deltas[-1])
    size = basis = cash = to_pool = 0
    for delta in deltas:
        at = formulas.fill_price(price, skew, delta, scale, extra_ppm)
        done = formulas.fill(size, basis, delta, at, index)
        assert done == modules.fill(size, basis, delta, at, index)
        # What one gains the other loses, to the wei.
        assert done.realised - done.basis + basis == -done.cost
        size, basis = done.size, done.basis
        cash, to_pool, skew = cash + done.realised, to_pool + done.cost, skew + delta
    assert (size, basis) == (0, 0)
    assert cash == -to_pool
    assert cash <= 0


@relaxed
@given(
    size=integers(96, signed=True),
    basis=integers(118, signed=True),
    delta=integers(96, signed=True, zero=False),
    price=integers(96),
    index=integers(95, signed=True),
)
def test_fill__any_position__matches_the_model(modules, size, basis, delta, price, index):
    done = formulas.fill(size, basis, delta, price, index)
    assert modules.fill(size, basis, delta, price, index) == done
    assert modules.only_reduces(size, delta) == formulas.only_reduces(size, delta)
    assert formulas.only_reduces(size, delta) == (
        abs(size + delta) < abs(size) and (size + delta) * size >= 0
    )


# ------------------------------------------------------------------ margin


@relaxed
@given(
    size=integers(96, signed=True),
    basis=integers(118, signed=True),
    price=integers(96),
    stable=integers(96),
    index=integers(95, signed=True),
    skew=integers(96, signed=True),
    ratio=st.integers(0, PPM),
    scale=SCALES,
    reward=integers(70),
)
def test_value__any_leg__requirements_round_up_and_pnl_down(
    modules, size, basis, price, stable, index, skew, ratio, scale, reward
):
    """MGN-1, MGN-2 and PRC-4: the worse price for opening, the oracle's for maintenance."""
    worth = formulas.value(size, basis, price, index, ratio, scale, reward)
    assert modules.value(size, basis, price, index, ratio, scale, reward) == worth
    rest = skew, ratio, scale, reward
    opening = formulas.opening_value(size, worth.pnl, price, stable, *rest)
    assert modules.opening_value(size, worth.pnl, price, stable, *rest) == opening
    low, high = min(price, stable), max(price, stable)
    for found, at, valued, depth in (
        (worth, price, price, abs(size)),
        (opening, low if size > 0 else high, high, max(abs(size), abs(skew))),
    ):
        assert 0 <= Fraction(size * (at - index), WAD) - basis - found.pnl < 2  # two floors
        share = Fraction(ratio, PPM) + Fraction(depth, 2 * scale)
        exact = Fraction(abs(size) * valued, WAD) * share
        # Two ceilings: the notional's and the requirement's.
        assert 0 <= found.required - reward - exact < 1 + share
    assert opening.pnl <= worth.pnl
    assert opening.required >= worth.required >= reward
    assert formulas.opening_value(size, worth.pnl, price, price, *rest).pnl == worth.pnl
    bigger = size + (1 if size >= 0 else -1)
    grown = formulas.value(bigger, basis, price, index, ratio, scale, reward)
    assert grown.required >= worth.required
    grown = formulas.opening_value(bigger, worth.pnl, price, stable, *rest)
    assert grown.required >= opening.required


@relaxed
@given(
    cash=integers(119, signed=True),
    pnl=integers(125, signed=True),
    weight=st.integers(0, PPM),
    requirement=integers(125),
)
def test_equity__any_account__profit_counts_by_its_weight(modules, cash, pnl, weight, requirement):
    equity = formulas.equity(cash, pnl, weight)
    assert modules.equity(cash, pnl, weight) == equity
    assert equity <= cash + pnl or pnl < 0 or weight == PPM
    exact = cash + (Fraction(pnl * weight, PPM) if pnl > 0 else pnl)
    assert 0 <= exact - equity < 1

    health = formulas.health(equity, requirement)
    assert modules.health(equity, requirement) == health
    assert (health < WAD) == (equity < requirement)


@relaxed
@given(
    before=integers(120, signed=True),
    mm_before=integers(118),
    after=integers(120, signed=True),
    mm_after=integers(118),
)
def test_no_worse__any_pair__compares_health_exactly(modules, before, mm_before, after, mm_after):
    found = formulas.no_worse(before, mm_before, after, mm_after)
    assert modules.no_worse(before, mm_before, after, mm_after) == found
    if mm_before and mm_after:
        rises = Fraction(after, mm_after) >= Fraction(before, mm_before)
        assert found == (after >= 0 and rises)


# ------------------------------------------------------------------ liquidation


@relaxed
@given(
    amount=integers(110),
    fee_ppm=st.integers(0, 100_000),
    closing_ppm=st.integers(0, 70_000),
    rewards=st.tuples(integers(71), st.integers(1, 32)),
    left=integers(118, signed=True),
    share_ppm=st.integers(0, PPM - 1),
)
def test_split__any_bill__takes_what_is_there_and_keeps_the_systems_part(
    modules, amount, fee_ppm, closing_ppm, rewards, left, share_ppm
):
    one_flat, legs = rewards
    bill = formulas.Bill(amount, amount * fee_ppm, amount * closing_ppm, one_flat * legs, one_flat)
    done = formulas.split(bill, left, share_ppm)
    assert modules.split(astuple(bill), left, share_ppm) == done

    has = max(left, 0)
    dearest = formulas.ceil_div(5 * bill.closing_ppm, 4 * PPM)
    assert done.charged <= has
    assert done.charged <= bill.flat + formulas.ceil_div(bill.fee_ppm, PPM)
    assert 0 <= done.reward <= done.charged
    assert done.shortfall <= min(one_flat, amount // 100)
    # LIQ-6: where the rules of listing hold, an owner who liquidates himself keeps no more than
    # closing would have left him.
    if 4 * fee_ppm * (PPM - share_ppm) >= 5 * closing_ppm * PPM:
        # One more wei: the share of the fee is cut off.
        assert done.charged - done.reward >= min(has, dearest) - 1
    if has * 5 >= 3 * dearest and left >= 0:
        assert done.shortfall == 0


# ------------------------------------------------------------------ funding

FUNDING = {
    "rate": integers(60, signed=True),
    "scale": SCALES,
    "velocity": st.integers(0, 2**24 - 1),
    "max_rate": st.integers(0, 500_000),
    "price": integers(96),
    "elapsed": integers(31),
}


@relaxed
@given(data=st.data(), index=integers(96, signed=True), **FUNDING)
def test_accrue__any_market__matches_the_model(
    modules, data, index, rate, scale, velocity, max_rate, price, elapsed
):
    skew = data.draw(sides(scale, 1))
    max_price = data.draw(integers(96, zero=False))
    args = index, rate, skew, scale, velocity, max_rate, max_price, price, elapsed
    found = formulas.accrue(*args)
    assert modules.accrue(*args) == found
    assert abs(found[1]) <= max_rate * 10**12
    assert abs(found[0]) <= max(min(64 * max_price, 2**95), abs(index))


@relaxed
@given(data=st.data(), **FUNDING)
def test_accrue__any_step__is_the_area_under_the_clamped_rate(
    modules, data, rate, scale, velocity, max_rate, price, elapsed
):
    """FND-1, in exact fractions: the interval is split at the instant that meets the clamp."""
    skew = data.draw(sides(scale, 1))
    limit = Fraction(max_rate * 10**12)
    start = max(-limit, min(Fraction(rate), limit))
    days = Fraction(elapsed, DAY)
    slope = Fraction(skew * velocity * 10**12, scale)
    end = start + slope * days
    if abs(end) <= limit:
        area = (start + end) / 2 * days
    else:
        end = limit if slope > 0 else -limit
        climb = (end - start) / slope
        area = (start + end) / 2 * climb + end * (days - climb)

    index, found = modules.accrue(0, rate, skew, scale, velocity, max_rate, 2**96, price, elapsed)
    assert abs(found - end) <= 1
    # The rate is off by a wei at most, the mean by as much, the index by one more.
    assume(abs(area * price / WAD) < 2**94)
    assert abs(index - area * price / WAD) <= 1 + 2 * days * price / WAD + 1


@relaxed
@given(
    skew_ppm=st.integers(-PPM, PPM),
    rate_ppm=st.integers(-10_000, 10_000),
    velocity=st.integers(0, 3_000_000),
    max_rate=st.sampled_from([100, 3_000, 10_000, 30_000]),
    price=st.integers(WAD, 10**6 * WAD),
    pokes=st.lists(st.integers(1, 40_000), min_size=2, max_size=60),
)
def test_accrue__poked_often_or_once__agrees_to_a_millionth(
    modules, skew_ppm, rate_ppm, velocity, max_rate, price, pokes
):
    """FND-3, at the clamp too."""
    scale = 10**6 * WAD
    skew, rate = skew_ppm * WAD, rate_ppm * 10**12
    rest = skew, scale, velocity, max_rate, 10**9 * WAD, price
    once, rate_once = modules.accrue(0, rate, *rest, sum(pokes))
    index, poked_rate = 0, rate
    for elapsed in pokes:
        index, poked_rate = formulas.accrue(index, poked_rate, *rest, elapsed)
    assert abs(poked_rate - rate_once) <= len(pokes)
    # To a millionth of what was paid and received on the way, and a wei a poke.
    clamped = max(-max_rate, min(rate_ppm, max_rate)) * 10**12
    turnover = (abs(clamped) + abs(poked_rate)) * sum(pokes) * price // (DAY * WAD)
    assert abs(index - once) <= turnover // 10**6 + 2 * len(pokes) * (1 + price // WAD)


def test_accrue__poked_each_second_or_once_a_day__agrees_to_a_millionth(modules):
    """FND-3 as it is written, through the clamp: it is met after about two hours."""
    scale, price = 8_000 * WAD, 50_000 * WAD
    rest = 1_000 * WAD, scale, 2_000_000, 20_000, 10**9 * WAD, price
    once, rate_once = modules.accrue(0, 0, *rest, DAY)
    index = rate = 0
    for _ in range(DAY):
        index, rate = formulas.accrue(index, rate, *rest, 1)
    assert rate == rate_once == 20_000 * 10**12
    assert abs(index - once) * 10**6 <= once


# ------------------------------------------------------------------ debt

TERMS = st.builds(
    slots.CreditTerms,
    debt_cap=integers(96),
    debt_ratio_ppm=st.integers(0, PPM),
    kink_ppm=st.integers(0, PPM),
    low_slope_ppm=integers(24),
    high_slope_ppm=integers(24),
    call_line_ppm=st.just(0),
    conversion_bound=st.just(0),
    liquidation_fee_ppm=st.just(0),
    order=st.just((0,) * 16),
)
INDICES = st.integers(WAD, formulas.MAX_INDEX)


@relaxed
@given(terms=TERMS, total=integers(128))
def test_rate__any_terms__is_the_kinked_curve_rounded_down(modules, terms, total):
    rate = modules.rate_ppm(slots.pack_credit(terms)[0], total)
    assert rate == formulas.interest_rate(terms, total)
    used = Fraction(min(total, terms.debt_cap), terms.debt_cap) if terms.debt_cap else Fraction(1)
    kink = Fraction(terms.kink_ppm, PPM)
    exact = min(used, kink) * terms.low_slope_ppm + max(used - kink, 0) * terms.high_slope_ppm
    assert 0 <= exact * WAD - rate <= max(terms.low_slope_ppm, terms.high_slope_ppm)


@relaxed
@given(index=INDICES, rate=st.integers(0, 10**7 * WAD), elapsed=integers(40))
def test_grown__any_time__rounds_up_and_stops_at_its_width(modules, index, rate, elapsed):
    grown = modules.grown(index, rate, elapsed)
    assert grown == formulas.grown_index(index, rate, elapsed)
    exact = index * (1 + Fraction(rate * elapsed, WAD * PPM * formulas.YEAR))
    assert grown == formulas.MAX_INDEX or exact <= grown < exact + 1
    assert index <= grown <= formulas.MAX_INDEX


@relaxed
@given(debt=integers(128), then=INDICES, more=integers(88))
def test_owed__any_debt__rounds_up_and_is_nothing_at_once(modules, debt, then, more):
    now = min(then + more, formulas.MAX_INDEX)
    interest = modules.owed(debt, then, now)
    assert interest == formulas.interest_on(debt, then, now)
    exact = Fraction(debt * (now - then), then)
    assert exact <= interest < exact + 1
    assert modules.owed(debt, then, then) == 0


@relaxed
@given(debt=integers(128), index=st.one_of(st.just(0), INDICES))
def test_scaled__any_debt__rounds_down_and_is_nothing_without_an_index(modules, debt, index):
    scaled = modules.scaled(debt, index)
    assert scaled == formulas.scaled(debt, index)
    assert scaled * index <= debt * WAD
    assert index == 0 or (scaled + 1) * index > debt * WAD


@relaxed
@given(scaled=integers(127), now=integers(88), total=integers(127))
def test_unposted__any_debts__is_what_they_grew_by_rounded_up_and_never_below_zero(
    modules, scaled, now, total
):
    due = modules.unposted(scaled, now, total)
    assert due == formulas.unposted(scaled, now, total)
    assert (due + total) * WAD >= scaled * now
    assert due == 0 or (due + total - 1) * WAD < scaled * now


@relaxed
@given(
    weight=st.integers(0, PPM),
    before=st.integers(0, PPM),
    settle_in=st.one_of(st.integers(0, 2**31), st.integers(0, formulas.RAMP)),
)
def test_weight_now__any_ramp__is_on_its_line_and_between_its_ends(
    modules, weight, before, settle_in
):
    left = min(settle_in, formulas.RAMP)  # no ramp is longer
    now = modules.contract.chain.now
    word = (now + left) << 96 | before << 193
    at = modules.weight_now(weight << 192, word, 192, 193)
    assert at == formulas.weight_now(weight, before, now + left, now)
    top = max(weight, before)
    assert weight <= at <= top
    assert at == weight + (top - weight) * left // formulas.RAMP
    past = modules.weight_now(weight << 192, (now - left) << 96 | before << 193, 192, 193)
    assert past == weight
