# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title debt
@license AGPL-3.0-only
@notice What negative cash costs: a yearly rate with a kink, gathered in an index. Pure arithmetic.
@dev Everything rounds up, in the pool's favour. Widths: debt 128 bits, index 88, cap 96.
@custom:spec COL-2
"""

from . import fixed_point
from . import slots

PPM: constant(uint256) = 10**6
YEAR: constant(uint256) = 365 * 86_400


@internal
@pure
def rate_ppm(terms: uint256, total: uint256) -> uint256:
    """
    @notice The yearly rate [WAD * ppm]: the low slope up to the kink, the high one from there; full at the cap.
    @param terms [packed] the credit terms, see slots
    @param total [WAD quote] all debt
    """
    cap: uint256 = terms & slots.MASK_96
    used: uint256 = 10**18
    if total < cap:
        used = unsafe_div(unsafe_mul(total, 10**18), cap)
    kink: uint256 = unsafe_mul((terms >> slots.KINK) & slots.MASK_20, 10**12)
    below: uint256 = min(used, kink)
    return unsafe_add(
        unsafe_mul(below, (terms >> slots.LOW_SLOPE) & slots.MASK_24),
        unsafe_mul(unsafe_sub(used, below), (terms >> slots.HIGH_SLOPE) & slots.MASK_24),
    )


@internal
@pure
def grown(index: uint256, rate: uint256, elapsed: uint256) -> uint256:
    """
    @notice The index after `elapsed` seconds; it stops where its 88 bits end.
    """
    return min(
        unsafe_add(
            index, fixed_point.ceil_div(unsafe_mul(unsafe_mul(index, rate), elapsed), 10**18 * PPM * YEAR)
        ),
        slots.MASK_88,
    )


@internal
@pure
def owed(debt: uint256, then: uint256, now: uint256) -> uint256:
    """
    @notice The interest on `debt` while the index went from `then` to `now`.
    """
    return unsafe_sub(fixed_point.ceil_div(unsafe_mul(debt, now), then), debt)


@internal
@pure
def unposted(scaled_total: uint256, now: uint256, total: uint256) -> uint256:
    """
    @notice The interest of all debtors together that their next touches would post: the pool's already.
    @param scaled_total [in units of the index] all debt
    @param now [WAD] the index
    @param total [WAD quote] all debt, as posted
    """
    due: uint256 = fixed_point.ceil_div(unsafe_mul(scaled_total, now), 10**18)
    return unsafe_sub(due, min(due, total))


@internal
@pure
def scaled(debt: uint256, index: uint256) -> uint256:
    """
    @notice A debt in units of the index; nothing where there is neither.
    """
    return unsafe_div(unsafe_mul(debt, 10**18), index)
