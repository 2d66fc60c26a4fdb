# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title liquidation
@license AGPL-3.0-only
@notice Who gets what of a liquidated account's last equity. Pure arithmetic.
@custom:spec LIQ-3, LIQ-5, LIQ-6
"""

from . import fixed_point

PPM: constant(uint256) = 10**6


struct Bill:  # summed over the closed legs [WAD quote]
    notional: uint256
    fee_ppm: uint256  # sum of notional * liquidation fee [WAD quote * ppm]
    closing_ppm: uint256  # sum of notional * (taker fee + instant spread) [WAD quote * ppm]
    flat: uint256  # flat rewards
    one_flat: uint256  # the greatest of them


struct Split:  # [WAD quote]
    charged: uint256  # leaves the account
    reward: uint256  # to the keeper, of what is charged
    shortfall: uint256  # of the flat reward, which the insurance fund may make good


@internal
@pure
def split(bill: Bill, equity_left: int256, keeper_share_ppm: uint256) -> Split:
    """
    @notice The flat reward, then the fee, as far as equity goes.
    @dev LIQ-6: where closing would have left equity >= 0, what does not go to the keeper is at least what
         closing would have cost (1.25 times fee and spread at the oracle price, which covers the curve: the
         Configurator keeps open interest under a fifth of the skew scale), so an owner who is his own keeper gains nothing by waiting for the line.
         Only where closing would have ended below zero may the insurance fund top the flat reward up:
         by one reward at most, and by 1 % of what was closed.
    """
    left: uint256 = convert(max(equity_left, 0), uint256)
    closing_cost: uint256 = fixed_point.ceil_div(unsafe_mul(5, bill.closing_ppm), 4 * PPM)
    kept: uint256 = 0
    shortfall: uint256 = 0
    if equity_left >= 0 and left >= closing_cost:
        kept = closing_cost
    else:
        shortfall = min(min(unsafe_sub(bill.flat, min(bill.flat, left)), bill.one_flat), bill.notional // 100)
    flat: uint256 = min(bill.flat, unsafe_sub(left, kept))
    fee: uint256 = min(fixed_point.ceil_div(bill.fee_ppm, PPM), unsafe_sub(left, flat))
    share: uint256 = min(unsafe_mul(fee, keeper_share_ppm) // PPM, unsafe_sub(fee, min(kept, fee)))
    return Split(charged=unsafe_add(flat, fee), reward=unsafe_add(flat, share), shortfall=shortfall)

