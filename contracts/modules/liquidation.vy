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
    shortfall: uint256  # a flat reward that the insurance fund may pay instead


@internal
@pure
def split(bill: Bill, equity_left: int256, keeper_share_ppm: uint256) -> Split:
    """
    @notice First the system's part, then the flat reward, then the keeper's share of the fee, as far as equity goes.
    @dev LIQ-6: where closing would have left equity >= 0, what does not go to the keeper is at least what
         closing would have cost, so an owner who is his own keeper gains nothing by waiting for the line.
         1.25 times fee and spread at the oracle price is never less than that cost and 0.75 times never more,
         whatever the curve does: the Configurator keeps open interest under a fifth of the skew scale and the
         spread under a twentieth. So the first is kept, and only under the second, where closing must have
         ended below zero, may the insurance fund pay a flat reward: one at most, and 1 % of what was closed.
    """
    left: uint256 = convert(max(equity_left, 0), uint256)
    dearest: uint256 = fixed_point.ceil_div(unsafe_mul(5, bill.closing_ppm), 4 * PPM)
    kept: uint256 = min(left, dearest)
    flat: uint256 = min(bill.flat, unsafe_sub(left, kept))
    fee: uint256 = min(fixed_point.ceil_div(bill.fee_ppm, PPM), unsafe_sub(left, flat))
    share: uint256 = min(unsafe_mul(fee, keeper_share_ppm) // PPM, unsafe_sub(fee, min(kept, fee)))
    shortfall: uint256 = 0
    if equity_left < 0 or unsafe_mul(5, left) < unsafe_mul(3, dearest):
        shortfall = min(bill.one_flat, bill.notional // 100)
    return Split(charged=unsafe_add(flat, fee), reward=unsafe_add(flat, share), shortfall=shortfall)
