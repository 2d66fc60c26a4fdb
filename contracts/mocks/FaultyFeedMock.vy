# pragma version 0.4.3
# pragma evm-version cancun
"""
@title FaultyFeedMock
@license AGPL-3.0-only
@notice A Chainlink-shaped feed that anyone may make misbehave. For tests only.
@dev Modes: 0 answers, 1 reverts, 2 eats all the gas it is given, 3 answers three words, 4 answers nothing,
     5 answers twice as much as it should, 6 answers after much work. Answer and time take any value.
"""

MAX_WORK: constant(uint256) = 2_000

_mode: uint256
_work: uint256
_answer: int256
_updated_at: uint256
DECIMALS: immutable(uint8)


@deploy
def __init__(decimals_: uint8, answer: int256):
    DECIMALS = decimals_
    self._answer = answer
    self._updated_at = block.timestamp


@external
def set_mode(mode: uint256):
    """
    @notice How to answer from now on.
    """
    self._mode = mode


@external
def set_work(work: uint256):
    """
    @notice How much work mode 6 does.
    """
    self._work = work


@external
def set_round(answer: int256, updated_at: uint256):
    """
    @notice A new round with any time.
    """
    self._answer = answer
    self._updated_at = updated_at


@external
@view
def decimals() -> uint8:
    return DECIMALS


@external
@view
@raw_return
def latestRoundData() -> Bytes[320]:
    if self._mode == 1:
        raise "feed: down"
    if self._mode == 2:
        raise UNREACHABLE
    if self._mode == 6:
        hashed: bytes32 = empty(bytes32)
        for i: uint256 in range(self._work, bound=MAX_WORK):
            hashed = keccak256(hashed)
    round: Bytes[160] = abi_encode(convert(1, uint256), self._answer, self._updated_at, self._updated_at, convert(1, uint256))
    if self._mode == 3:
        return slice(round, 0, 96)
    if self._mode == 4:
        return b""
    if self._mode == 5:
        return concat(round, round)
    return round
