# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title curve
@license AGPL-3.0-only
@notice What the pool quotes, and what a fill does to a position. Pure arithmetic, shared by every fill.
@custom:spec QTE-1, QTE-2, LED-6, LED-7
"""

from . import fixed_point

SWAD: constant(int256) = 10**18


@internal
@pure
def fill_price(price: uint256, skew: int256, delta: int256, scale: uint256, extra_ppm: uint256) -> uint256:
    """
    @notice P * (1 + (k + d/2) / S), worsened for the taker by `extra_ppm` of P.
    @dev One division, rounded against the taker. Below zero it stops at zero.
         Widths: price, skew, delta, scale 96 bits, extra 22: products stay under 2**220.
    """
    doubled: int256 = convert(convert(scale << 1, bytes32), int256)
    tilted: int256 = unsafe_mul(unsafe_add(unsafe_add(doubled, unsafe_mul(2, skew)), delta), 10**6)
    extra: int256 = unsafe_mul(doubled, convert(convert(extra_ppm, bytes32), int256))
    divisor: uint256 = unsafe_mul(scale, 2 * 10**6)
    if delta > 0:
        return fixed_point.ceil_div(unsafe_mul(price, convert(unsafe_add(tilted, extra), uint256)), divisor)
    left: uint256 = convert(convert(max(unsafe_sub(tilted, extra), 0), bytes32), uint256)
    return unsafe_div(unsafe_mul(price, left), divisor)


@internal
@pure
def cost_of(delta: int256, price: uint256, index: int256) -> int256:
    """
    @notice What the taker owes for `delta` at `price`, funding index taken off: rounded up.
    """
    gap: int256 = unsafe_sub(index, convert(convert(price, bytes32), int256))
    return unsafe_sub(0, fixed_point.floor_div(unsafe_mul(delta, gap), SWAD))


@internal
@pure
def only_reduces(size: int256, delta: int256) -> bool:
    """
    @notice Whether |size| falls without crossing zero.
    """
    after: int256 = unsafe_add(size, delta)
    return delta != 0 and after >= min(size, 0) and after <= max(size, 0)


@internal
@pure
def fill(size: int256, basis: int256, delta: int256, price: uint256, index: int256) -> (int256, int256, int256, int256):
    """
    @notice One side of a fill.
    @dev What closes takes its share of the basis with it, rounded against the account; what opens adds its
         cost to the basis. Crossing zero is the one and then the other.
         For the taker: new cash - new basis = old cash - old basis - cost, to the wei.
         Widths: size and basis 128 bits, as packed: products stay under 2**255.
    @return (size, basis, realised to cash, cost owed to the maker)
    """
    cost: int256 = self.cost_of(delta, price, index)
    after: int256 = unsafe_add(size, delta)
    kept: int256 = 0
    realised: int256 = 0
    if after == 0:
        realised = unsafe_sub(unsafe_sub(0, basis), cost)
    elif size == 0 or (size > 0) == (delta > 0):
        kept = unsafe_add(basis, cost)
    elif (size > 0) == (after > 0):
        share: int256 = unsafe_sub(
            0,
            fixed_point.floor_div(
                unsafe_mul(basis, unsafe_sub(0, max(delta, unsafe_sub(0, delta)))), max(size, unsafe_sub(0, size))
            ),
        )
        kept = unsafe_sub(basis, share)
        realised = unsafe_sub(unsafe_sub(0, share), cost)
    else:
        closing_cost: int256 = self.cost_of(unsafe_sub(0, size), price, index)
        kept = unsafe_sub(cost, closing_cost)
        realised = unsafe_sub(unsafe_sub(0, basis), closing_cost)
    return (after, kept, realised, cost)
