# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title prices
@license AGPL-3.0-only
@notice Reads a Chainlink-shaped feed in such a way that no feed can revert, starve or mislead its reader.
@dev No storage. A price's status is LIVE, or the number of the reason (reasons.vy) for which it may not be used. In its
     place, then, comes the best that is known: the feed's own aged answer when it is in bounds and no older than what is stored, else what is stored.
@custom:spec PRC-1, PRC-2, PRC-5
"""

from . import fixed_point
from . import reasons
from . import slots


interface AggregatorV3Interface:
    def latestRoundData() -> (uint80, int256, uint256, uint256, uint80): view


LIVE: constant(uint256) = 0

FEED_GAS: constant(uint256) = 60_000
# EIP-150 hands on 63/64 of what is left after the call's own cost: with this much the feed gets FEED_GAS.
GAS_BEFORE_FEED: constant(uint256) = 66_000
HOUR: constant(uint256) = 3_600
ROUND: constant(Bytes[4]) = method_id("latestRoundData()")


@internal
@view
def read(t0: uint256, t1: uint256, last_price: uint256, touched_at: uint256) -> (uint256, uint256, uint256):
    """
    @param t0, t1 the market's packed terms (slots)
    @return (price [WAD quote/base], status: LIVE or why not, the market's max price [WAD quote/base])
    """
    if msg.gas < GAS_BEFORE_FEED:
        fixed_point.fail(reasons.PRICES_TOO_LITTLE_GAS)
    unit: uint256 = pow_mod256(10, (t1 >> slots.BOUND_EXPONENT) & 31)
    max_price: uint256 = unsafe_mul((t1 >> slots.MAX_PRICE) & slots.MASK_24, unit)
    success: bool = False
    answered: Bytes[160] = b""
    success, answered = raw_call(
        convert(t0 & slots.MASK_160, address),
        ROUND,
        max_outsize=160,
        gas=FEED_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    price: uint256 = last_price
    status: uint256 = convert(reasons.PRICES_FEED_FAILED, uint256)  # reverted, out of its gas, or under five words
    if success and len(answered) == 160:
        answer: int256 = extract32(answered, 32, output_type=int256)
        updated_at: uint256 = extract32(answered, 96, output_type=uint256)
        told: uint256 = unsafe_mul(
            convert(convert(answer, bytes32), uint256), pow_mod256(10, (t0 >> slots.EXPONENT) & 31)
        )
        min_price: uint256 = unsafe_mul((t1 >> slots.MIN_PRICE) & slots.MASK_24, unit)
        if answer <= 0:
            status = convert(reasons.PRICES_NOT_POSITIVE, uint256)
        elif updated_at == 0 or updated_at > block.timestamp:
            status = convert(reasons.PRICES_BAD_TIME, uint256)  # no round yet, or a time in the future
        elif answer >= 2**96 or told <= min_price or told >= max_price:  # a wider answer might wrap into the bounds
            status = convert(reasons.PRICES_OUT_OF_BOUNDS, uint256)
        elif unsafe_sub(block.timestamp, updated_at) <= (t0 >> slots.MAX_AGE) & slots.MASK_20:
            status = LIVE
            price = told
        else:
            status = convert(reasons.PRICES_STALE, uint256)
            if updated_at >= touched_at:
                price = told
    return (price, status, max_price)


@internal
@view
def told(t0: uint256) -> (int256, uint256):
    """
    @notice What a feed tells, for who has just read that it does.
    @return (answer, updated at [unix s])
    """
    round_id: uint80 = 0
    answer: int256 = 0
    started_at: uint256 = 0
    updated_at: uint256 = 0
    answered_in: uint80 = 0
    feed: address = convert(t0 & slots.MASK_160, address)
    round_id, answer, started_at, updated_at, answered_in = staticcall AggregatorV3Interface(feed).latestRoundData()
    return (answer, updated_at)


@internal
@pure
def follow(stable: uint256, cut: uint256, price: uint256, elapsed: uint256, speed_ppm: uint256) -> uint256:
    """
    @notice A price that moves from `stable` toward `price` by `speed_ppm` of itself an hour, for an hour at most.
    @param cut [WAD quote/base] by how much `stable` may have been rounded down
    """
    way: uint256 = unsafe_div(unsafe_mul(unsafe_mul(stable, speed_ppm), min(elapsed, HOUR)), HOUR * 10**6)
    return max(min(price, unsafe_add(unsafe_add(stable, cut), way)), unsafe_sub(stable, way))


@internal
@pure
def must_be_live(status: uint256):
    """
    @notice Refuse a price that may not be used, and say why.
    """
    if status != LIVE:
        fixed_point.fail(convert(status, bytes32))
