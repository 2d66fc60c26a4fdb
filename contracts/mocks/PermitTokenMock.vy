# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title PermitTokenMock
@license AGPL-3.0-only
@notice An ERC-20 with ERC-2612 permits that anyone may mint. For tests only.
"""

from ..modules import share_token

initializes: share_token

exports: (
    share_token.name,
    share_token.symbol,
    share_token.decimals,
    share_token.totalSupply,
    share_token.balanceOf,
    share_token.allowance,
    share_token.transfer,
    share_token.transferFrom,
    share_token.approve,
    share_token.permit,
    share_token.nonces,
    share_token.DOMAIN_SEPARATOR,
)


@deploy
def __init__(decimals_: uint8):
    share_token.__init__("Permit", "PERMIT", decimals_)


@external
def mint(to: address, amount: uint256):
    share_token._mint(to, amount)
