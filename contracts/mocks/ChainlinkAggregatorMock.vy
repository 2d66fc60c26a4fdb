# pragma version 0.4.3
# pragma evm-version cancun
"""
@title ChainlinkAggregatorMock
@license AGPL-3.0-only
@notice The storage reads of Chainlink's access-controlled off-chain aggregator: access list, hot variables,
        one transmission. For gas tables only.
"""

_access: HashMap[address, bool]
_hot: uint256  # latest round
_transmissions: HashMap[uint256, uint256]  # updated at << 192 | answer


@deploy
def __init__(answer: int256):
    self._transmit(answer)


@external
def allow(reader: address):
    """
    @notice Let `reader` read, as Chainlink does its proxies.
    """
    self._access[reader] = True


@external
def set_answer(answer: int256):
    """
    @notice A new round, now.
    """
    self._transmit(answer)


@internal
def _transmit(answer: int256):
    self._hot += 1
    self._transmissions[self._hot] = (block.timestamp << 192) | convert(answer, uint256)


@external
@view
def decimals() -> uint8:
    return 8


@external
@view
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    assert self._access[msg.sender], "No access"
    latest: uint256 = self._hot
    word: uint256 = self._transmissions[latest]
    at: uint256 = word >> 192
    return (convert(latest, uint80), convert(word & (2**192 - 1), int256), at, at, convert(latest, uint80))
