# pragma version 0.4.3
# pragma evm-version cancun
"""
@title FeedMock
@license AGPL-3.0-only
@notice A Chainlink-shaped feed whose answer anyone may set. For tests and the local chain only.
@dev Answer and time share one slot: the "one-slot feed" of the gas tables.
"""

_word: uint256  # updated at << 192 | answer as int192
DECIMALS: immutable(uint8)


@deploy
def __init__(decimals_: uint8, answer: int256):
    DECIMALS = decimals_
    self._set(answer, block.timestamp)


@external
def set_answer(answer: int256):
    """
    @notice A new round, now.
    """
    self._set(answer, block.timestamp)


@external
def set_round(answer: int256, updated_at: uint256):
    """
    @notice A new round with any time.
    """
    self._set(answer, updated_at)


@internal
def _set(answer: int256, updated_at: uint256):
    low: uint256 = convert(convert(convert(convert(answer, int192), int256), bytes32), uint256) & (2**192 - 1)
    self._word = (updated_at << 192) | low


@external
@view
def decimals() -> uint8:
    return DECIMALS


@external
@view
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    word: uint256 = self._word
    at: uint256 = word >> 192
    return (1, convert(convert(word << 64, bytes32), int256) >> 64, at, at, 1)
