# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Backstop
@license AGPL-3.0-only
@notice What is done when nothing else helps: settled markets are closed, a broke pool deleverages, the venue settles.
@custom:security Nobody owns it. The Clearinghouse lets it reduce anybody's position at the market's own price, and say
     what share of each claim a settlement pays; nothing else.
@custom:spec PRC-6, LIQ-9, LIQ-11
"""

from interfaces import IClearinghouse

CLEARINGHOUSE: immutable(IClearinghouse)


@deploy
def __init__(clearinghouse: address):
    """
    @param clearinghouse [address] that will obey; it need not exist yet, and checks back when it does
    """
    CLEARINGHOUSE = IClearinghouse(clearinghouse)


@external
@view
def clearinghouse() -> address:
    """
    @notice Whom it acts on.
    @return [address]
    @custom:access anyone
    """
    return CLEARINGHOUSE.address
