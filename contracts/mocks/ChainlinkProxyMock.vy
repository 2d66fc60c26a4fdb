# pragma version 0.4.3
# pragma evm-version cancun
"""
@title ChainlinkProxyMock
@license AGPL-3.0-only
@notice The storage reads and the inner call of Chainlink's EACAggregatorProxy: access controller, phase, aggregator.
        For gas tables only.
"""


interface Aggregator:
    def latestRoundData() -> (uint80, int256, uint256, uint256, uint80): view
    def decimals() -> uint8: view


_controller: address
_phase: uint256  # phase id << 160 | aggregator


@deploy
def __init__(aggregator: address):
    self._phase = (1 << 160) | convert(aggregator, uint256)


@external
@view
def decimals() -> uint8:
    return 8


@external
@view
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    assert self._controller == empty(address), "No access"
    phase: uint256 = self._phase
    round_id: uint80 = 0
    answer: int256 = 0
    started_at: uint256 = 0
    updated_at: uint256 = 0
    answered_in: uint80 = 0
    round_id, answer, started_at, updated_at, answered_in = staticcall Aggregator(
        convert(phase & (2**160 - 1), address)
    ).latestRoundData()
    high: uint80 = convert((phase >> 160) << 64, uint80)
    return (high | round_id, answer, started_at, updated_at, high | answered_in)
