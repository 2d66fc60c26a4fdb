# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title markets
@license AGPL-3.0-only
@notice Owns every market's terms and state, and the pool's book over all of them.
@dev `load` gives a market as it is now: price read, funding accrued with the old skew and terms. `store`
     is the only place that writes a market's state, so nothing can change a skew without accruing first.
     Invariants: skew = sum of all traders' sizes; lots = sum over longs of floor(size / 2**32);
     exposure = sum over markets of floor(open interest * last price).
@custom:spec LED-2, PRC-3, QTE-4, FND-1
"""

from ..interfaces import IClearinghouse
from . import fixed_point
from . import funding
from . import prices
from . import reasons
from . import slots

WAD: constant(uint256) = 10**18
PPM: constant(uint256) = 10**6
MAX_MARKETS: constant(uint256) = 128
NAV_MAX_AGE: constant(uint256) = 86_400


struct Hot:  # what every valuation reads of a market, packed: see slots
    t0: uint256
    t1: uint256
    a: uint256
    b: uint256


_markets: Hot[MAX_MARKETS]
_caps: uint256[MAX_MARKETS]  # terms 2, packed: see slots
_book: uint256  # packed, see slots


@internal
@view
def load(id: uint256, position: uint256) -> IClearinghouse.Leg:
    """
    @notice A market as of this block, and the account's `position` in it.
    @dev `id` must be below 128 and listed: callers have a position in it or have checked.
    """
    hot: Hot = self._markets[id]
    leg: IClearinghouse.Leg = empty(IClearinghouse.Leg)
    leg.id = id
    leg.t0 = hot.t0
    leg.t1 = hot.t1
    leg.size = convert(convert(position << 128, bytes32), int256) >> 128
    leg.basis = convert(convert(position, bytes32), int256) >> 128
    leg.skew = convert(convert(hot.a << 160, bytes32), int256) >> 160
    leg.lots = hot.a >> slots.LOTS
    leg.last_price = (hot.a >> slots.LAST_PRICE) & slots.MASK_96
    leg.index = convert(convert(hot.b, bytes32), int256) >> slots.INDEX
    leg.rate = convert(convert(hot.b << 96, bytes32), int256) >> 196
    leg.state_b = hot.b
    touched_at: uint256 = (hot.b >> slots.TOUCHED_AT) & slots.MASK_32
    max_price: uint256 = 0
    leg.price, leg.status, max_price = prices.read(hot.t0, hot.t1, leg.last_price, touched_at)
    elapsed: uint256 = unsafe_sub(block.timestamp, touched_at)
    if elapsed == 0:
        leg.surge_ppm = (hot.b >> slots.SURGE) & slots.MASK_20
        return leg
    leg.index, leg.rate = funding.accrue(
        leg.index,
        leg.rate,
        leg.skew,
        hot.t1 & slots.MASK_96,
        (hot.t1 >> slots.VELOCITY) & slots.MASK_24,
        (hot.t1 >> slots.MAX_RATE) & slots.MASK_20,
        max_price,
        leg.price,
        elapsed,
    )
    return leg


@internal
@view
def stable(m: IClearinghouse.Leg, speed_ppm: uint256) -> uint256:
    """
    @notice The stable price as of now: it follows the oracle's at `speed_ppm` of itself an hour, and by no more than
            an hour's way since the market was last touched; not at all where the oracle's is not valid (PRC-3).
    """
    steady: uint256 = m.state_b & slots.MASK_48
    if steady == 0:
        return m.price
    most: uint256 = self._max_price(m.t1)
    elapsed: uint256 = 0
    if m.status == prices.LIVE:
        elapsed = unsafe_sub(block.timestamp, (m.state_b >> slots.TOUCHED_AT) & slots.MASK_32)
    # What packing has cut off is not a distance.
    return prices.follow(unsafe_mul(most, steady) >> 48, most >> 47, m.price, elapsed, speed_ppm)


@internal
@pure
def steady(t1: uint256, stable_price: uint256) -> uint256:
    """
    @notice A stable price as it is stored: over the greatest.
    """
    return min(unsafe_div(stable_price << 48, self._max_price(t1)), slots.MASK_48)


@internal
@pure
def _max_price(t1: uint256) -> uint256:
    return unsafe_mul((t1 >> slots.MAX_PRICE) & slots.MASK_24, pow_mod256(10, (t1 >> slots.BOUND_EXPONENT) & 31))


@internal
def store(
    m: IClearinghouse.Leg, lots: uint256, skew: int256, surge_ppm: uint256, steady: uint256
) -> (int256, uint256, uint256):
    """
    @notice Write a market's state back, with these lots, skew and surge, and this stable price, packed.
    @return (by how much the exposure changed [WAD quote]: the caller books it, state a, state b)
    """
    a: uint256 = slots.pack_state_a(lots, m.price, skew)
    b: uint256 = slots.pack_state_b(m.index, m.rate, block.timestamp, surge_ppm, steady)
    self._markets[m.id].a = a
    self._markets[m.id].b = b
    was: uint256 = unsafe_div(unsafe_mul(slots.open_interest(m.lots, m.skew), m.last_price), WAD)
    now: uint256 = unsafe_div(unsafe_mul(slots.open_interest(lots, skew), m.price), WAD)
    return (convert(convert(unsafe_sub(now, was), bytes32), int256), a, b)


@internal
def touch(m: IClearinghouse.Leg, stable_price: uint256):
    """
    @notice Write a market's state back without a fill.
    """
    exposure_change: int256 = 0
    a: uint256 = 0
    b: uint256 = 0
    exposure_change, a, b = self.store(m, m.lots, m.skew, m.surge_ppm, self.steady(m.t1, stable_price))
    self.book(exposure_change, 0)
    log IClearinghouse.MarketMoved(market=m.id, state_a=a, state_b=b)


@internal
def book(exposure_change: int256, absorbed: uint256):
    """
    @notice Move the pool's exposure, and take what it absorbed off its last known NAV.
    """
    nav: int256 = 0
    exposure: uint256 = 0
    known_at: uint256 = 0
    nav, exposure, known_at = slots.unpack_book(self._book)
    self._book = slots.pack_book(
        unsafe_sub(nav, convert(absorbed, int256)),
        convert(unsafe_add(convert(convert(exposure, bytes32), int256), exposure_change), uint256),
        self._book & slots.MASK_64,
    )


@internal
def know_nav(nav: int256):
    """
    @notice Keep the pool's NAV as of now.
    """
    word: uint256 = self._book
    self._book = slots.pack_book(
        nav, (word >> slots.EXPOSURE) & slots.MASK_112, (word & (slots.MASK_32 << slots.CALM_FROM)) | block.timestamp
    )
    log IClearinghouse.NavKnown(nav=nav)


@internal
@view
def check_caps(
    id: uint256,
    skew_before: int256,
    skew: int256,
    open_interest: uint256,
    exposure_change: int256,
    max_leverage_ppm: uint256,
):
    """
    @notice Whether a fill that does more than reduce may stand, on the state after it.
    """
    t2: uint256 = self._caps[id]
    if block.timestamp < (t2 >> slots.PAUSED_UNTIL) & slots.MASK_32:
        fixed_point.fail(reasons.MARKET_PAUSED)
    if open_interest > (t2 >> slots.MAX_OPEN_INTEREST) & slots.MASK_96:
        fixed_point.fail(reasons.CAPS_OPEN_INTEREST)
    crowd: uint256 = fixed_point.magnitude(skew)
    if crowd < fixed_point.magnitude(skew_before):
        return
    if crowd > t2 & slots.MASK_96:
        fixed_point.fail(reasons.CAPS_SKEW)
    nav: int256 = 0
    exposure: uint256 = 0
    known_at: uint256 = 0
    nav, exposure, known_at = slots.unpack_book(self._book)
    if unsafe_sub(block.timestamp, known_at) > NAV_MAX_AGE:
        fixed_point.fail(reasons.CAPS_POOL_NAV_IS_OLD)
    carried: int256 = unsafe_add(convert(convert(exposure, bytes32), int256), exposure_change)
    if unsafe_mul(carried, 10**6) > unsafe_mul(nav, convert(max_leverage_ppm, int256)):
        fixed_point.fail(reasons.CAPS_POOL_EXPOSURE)
