# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title margin
@license AGPL-3.0-only
@notice The one valuation: what a leg is worth and what it asks for, and the lines an account must keep.
@dev Pure arithmetic on numbers bounded by their slots: cash 120 bits, PnL and requirements 126 after 32 legs.
     Requirements round up, unrealised profit rounds down.
@custom:spec MGN-1, MGN-2, MGN-4 to MGN-7
"""

from . import fixed_point

PPM: constant(uint256) = 10**6
WAD: constant(uint256) = 10**18
SWAD: constant(int256) = 10**18


@internal
@pure
def notional(own: uint256, price: uint256) -> uint256:
    """
    @notice |size| * price, rounded up.
    """
    return unsafe_div(unsafe_add(unsafe_mul(own, price), WAD - 1), WAD)


@internal
@pure
def value(
    size: int256, basis: int256, price: uint256, index: int256, mm_ppm: uint256, scale: uint256, reward: uint256
) -> (int256, uint256):
    """
    @notice PnL floor(size * (P - F)) - basis; maintenance ceil(N * (ratio + |size| / 2S)) + reward: the thinner the
            market for a size, the more it takes. Of its own size only, so that nobody can push the skew to liquidate it.
    @dev Widths: size, price, index, scale 96 bits, N 105, ratios 20: products stay under 2**225.
    @return (unrealised PnL, maintenance) [WAD quote]
    """
    own: uint256 = convert(convert(max(size, unsafe_sub(0, size)), bytes32), uint256)
    gap: int256 = unsafe_sub(convert(convert(price, bytes32), int256), index)
    doubled: uint256 = scale << 1
    weight: uint256 = unsafe_add(unsafe_mul(mm_ppm, doubled), unsafe_mul(own, PPM))
    worth: uint256 = unsafe_div(unsafe_add(unsafe_mul(own, price), WAD - 1), WAD)  # `notional`, without the call
    return (
        unsafe_sub(fixed_point.floor_div(unsafe_mul(size, gap), SWAD), basis),
        unsafe_add(fixed_point.ceil_div(unsafe_mul(worth, weight), unsafe_mul(doubled, PPM)), reward),
    )


@internal
@pure
def opening_value(
    size: int256,
    pnl: int256,
    price: uint256,
    stable: uint256,
    skew: int256,
    im_ppm: uint256,
    scale: uint256,
    reward: uint256,
) -> (int256, uint256):
    """
    @notice The same for opening and withdrawing, at the worse of the oracle's and the stable price: PnL at the lower
            for longs, at the higher for shorts; initial ceil(N * (ratio + max(|size|, |k|) / 2S)) + reward, N at the
            higher. The market's skew counts too, so that a position split over many accounts asks for no less.
    @param pnl [WAD quote] at the oracle's price; what the worse one takes off it rounds up
    @return (unrealised PnL, initial) [WAD quote]
    """
    own: uint256 = convert(convert(max(size, unsafe_sub(0, size)), bytes32), uint256)
    depth: uint256 = max(own, convert(convert(max(skew, unsafe_sub(0, skew)), bytes32), uint256))
    high: uint256 = max(price, stable)
    gap: uint256 = unsafe_sub(price, min(price, stable)) if size > 0 else unsafe_sub(high, price)
    doubled: uint256 = scale << 1
    weight: uint256 = unsafe_add(unsafe_mul(im_ppm, doubled), unsafe_mul(depth, PPM))
    worst: int256 = pnl
    if gap != 0:
        worst = unsafe_sub(pnl, convert(convert(self.notional(own, gap), bytes32), int256))
    worth: uint256 = unsafe_div(unsafe_add(unsafe_mul(own, high), WAD - 1), WAD)
    return (
        worst,
        unsafe_add(fixed_point.ceil_div(unsafe_mul(worth, weight), unsafe_mul(doubled, PPM)), reward),
    )


@internal
@pure
def equity(cash: int256, pnl: int256, profit_weight_ppm: uint256) -> int256:
    """
    @notice Cash and unrealised PnL; a net profit counts by its weight: 1e6 for maintenance, the deployment's
            for opening, 0 for withdrawing. A net loss counts in full.
    """
    if pnl > 0:
        return unsafe_add(cash, unsafe_div(unsafe_mul(pnl, convert(profit_weight_ppm, int256)), 10**6))
    return unsafe_add(cash, pnl)


@internal
@pure
def health(equity_: int256, maintenance: uint256) -> uint256:
    """
    @notice Equity over maintenance [WAD], rounded down and never below zero. Without positions: boundless, or 0 in debt.
    """
    worth: int256 = max(equity_, 0)
    if maintenance == 0 and worth == equity_:
        return max_value(uint256)
    return unsafe_div(unsafe_mul(convert(convert(worth, bytes32), uint256), WAD), maintenance)  # 0 / 0 is 0


@internal
@pure
def no_worse(equity_before: int256, mm_before: uint256, equity_after: int256, mm_after: uint256) -> bool:
    """
    @notice Whether a reduction left equity >= 0 and health no lower, by cross-multiplying.
    """
    return (
        equity_after >= 0
        and unsafe_mul(equity_after, convert(mm_before, int256)) >= unsafe_mul(equity_before, convert(mm_after, int256))
    )
