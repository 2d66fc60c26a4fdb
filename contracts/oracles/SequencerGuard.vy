# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title SequencerGuard
@license AGPL-3.0-only
@notice Whether a rollup's sequencer has been up for long enough, as its Chainlink-shaped uptime feed says.
@dev The Clearinghouse asks it before each liquidation, so it cannot revert but for too little gas: a feed that does not
     answer as one should counts as up. What is broken for good must not stop liquidations for good.
     The feed: answer 0 is up, 1 is down; `startedAt` is when that began.
@custom:security Nobody owns it and it remembers nothing. Its only foreign call is static and gas-capped.
@custom:spec PRC-2, LIQ-8
"""

from ..interfaces import ISequencerGuard
from ..modules import fixed_point
from ..modules import prices
from ..modules import reasons

implements: ISequencerGuard

MAX_GRACE: constant(uint256) = 86_400  # [s]

FEED: immutable(address)
GRACE: immutable(uint256)  # [s] after a restart


@deploy
def __init__(feed: address, grace: uint256):
    """
    @param feed [address] AggregatorV3Interface, of the sequencer's uptime
    @param grace [s] after a restart in which traders can save themselves, a day at most
    @custom:reverts "sequencer: no feed", "sequencer: grace too long"
    """
    assert feed.is_contract, "sequencer: no feed"
    assert grace <= MAX_GRACE, "sequencer: grace too long"
    FEED = feed
    GRACE = grace


@external
@view
def is_up() -> bool:
    """
    @notice Whether the sequencer is up and was for the time of grace.
    @return [bool]
    @custom:access anyone
    @custom:reverts "prices: too little gas"
    """
    if msg.gas < prices.GAS_BEFORE_FEED:
        fixed_point.fail(reasons.PRICES_TOO_LITTLE_GAS)
    success: bool = False
    answered: Bytes[160] = b""
    success, answered = raw_call(
        FEED, prices.ROUND, max_outsize=160, gas=prices.FEED_GAS, is_static_call=True, revert_on_failure=False
    )
    if not success or len(answered) != 160:
        return True
    since: uint256 = extract32(answered, 64, output_type=uint256)
    # A restart by a clock that is ahead of this one counts as of now; a time further off is none, and stops nothing.
    age: uint256 = unsafe_add(unsafe_sub(block.timestamp, since), MAX_GRACE)
    return extract32(answered, 32, output_type=int256) == 0 and age >= GRACE + MAX_GRACE


@external
@view
def feed() -> address:
    """
    @notice The uptime feed.
    @return [address]
    @custom:access anyone
    """
    return FEED


@external
@view
def grace() -> uint256:
    """
    @notice The time of grace.
    @return [s]
    @custom:access anyone
    """
    return GRACE
