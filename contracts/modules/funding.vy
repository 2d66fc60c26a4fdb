# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title funding
@license AGPL-3.0-only
@notice Velocity funding: the skew moves the rate, the rate moves the index. Pure arithmetic.
@custom:spec FND-1, FND-2, FND-3
"""

from . import fixed_point

DAY: constant(int256) = 86_400
SWAD: constant(int256) = 10**18


@internal
@pure
def accrue(
    index: int256,
    rate: int256,
    skew: int256,
    scale: uint256,
    max_velocity_ppm: uint256,
    max_rate_ppm: uint256,
    max_price: uint256,
    price: uint256,
    elapsed: uint256,
) -> (int256, int256):
    """
    @notice The index and the rate after `elapsed` seconds at a constant skew and price.
    @dev The rate runs linearly to its clamp and stays there, and the area under it is exact: with change D,
         gap X to the clamp L, twice the mean rate is r0 + r1, or 2L - X^2/D when the clamp is met on the way.
         The index stops at 64 times the market's greatest price (128 days at the greatest rate that may be set,
         years at an ordinary one) and below 2**95, which keeps every product in range; longs and shorts stop alike.
         A step that would pass the bound is not made at all.
         Widths: skew, scale and price 96 bits, elapsed 32, velocity 24: products stay under 2**200.
    @return (index [WAD quote/base], rate [WAD/day])
    """
    dt: int256 = convert(convert(elapsed, bytes32), int256)
    depth: int256 = convert(convert(scale, bytes32), int256)
    limit: int256 = convert(convert(unsafe_mul(max_rate_ppm, 10**12), bytes32), int256)
    lowest: int256 = unsafe_sub(0, limit)
    r0: int256 = max(min(rate, limit), lowest)
    velocity: int256 = convert(convert(max_velocity_ppm, bytes32), int256)
    pull: int256 = unsafe_mul(max(min(skew, depth), unsafe_sub(0, depth)), velocity)
    change: int256 = fixed_point.floor_div(
        unsafe_mul(unsafe_mul(pull, 10**12), dt), unsafe_mul(depth, DAY)
    )
    r1: int256 = unsafe_add(r0, change)
    twice_mean: int256 = unsafe_add(r0, r1)
    if r1 > limit or r1 < lowest:
        r1 = limit if change > 0 else lowest
        gap: int256 = unsafe_sub(r1, r0)
        twice_mean = unsafe_sub(unsafe_mul(2, r1), unsafe_div(unsafe_mul(gap, gap), change))
    moved: int256 = unsafe_add(
        index,
        fixed_point.floor_div(
            unsafe_mul(unsafe_mul(twice_mean, dt), convert(convert(price, bytes32), int256)), 2 * DAY * SWAD
        ),
    )
    bound: int256 = convert(convert(min(unsafe_mul(64, max_price), 2**95 - 1), bytes32), int256)
    if (moved > bound and moved > index) or (moved < unsafe_sub(0, bound) and moved < index):
        moved = index
    return (moved, r1)
