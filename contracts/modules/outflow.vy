# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title outflow
@license AGPL-3.0-only
@notice What an hour of the clock leaves of the quote that is held, whoever takes it. No storage.
@dev Reckoned from what was held before the hour's first movement: what is paid in and taken back keeps nobody in.
@custom:spec GOV-4
"""

from ..interfaces import IClearinghouse
from . import slots

PPM: constant(uint256) = 10**6
HOUR: constant(uint256) = 3_600


@internal
@view
def least_held(word: uint256, custody: uint256, share_ppm: uint256, always: uint256) -> uint256:
    """
    @notice What must be held to the end of this hour: `word` if it is of this hour, else `custody` less what may leave.
    @param word [packed] as kept
    @param custody [raw] held for accounts, before anything moves
    @param share_ppm [ppm] of it that may leave
    @param always [raw] that may whatever the share
    @return [packed] hour of the clock << 128 | [raw]
    """
    hour: uint256 = block.timestamp // HOUR
    if word >> 128 == hour:
        return word
    most: uint256 = max(unsafe_div(unsafe_mul(custody, share_ppm), PPM), always)
    return (hour << 128) | unsafe_sub(custody, min(most, custody))


@internal
@view
def left(known: IClearinghouse.Globals, share_ppm: uint256, always: uint256) -> uint256:
    """
    @notice What may still leave in this hour, never more than there is.
    @param share_ppm [ppm] 0: no limit
    @return [raw]
    """
    if share_ppm == 0:
        return known.custody
    word: uint256 = self.least_held(known.least_held, known.custody, share_ppm, always)
    return unsafe_sub(known.custody, min(word & slots.MASK_128, known.custody))
