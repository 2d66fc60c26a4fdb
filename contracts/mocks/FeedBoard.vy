# pragma version 0.4.3
# pragma evm-version cancun
"""
@title FeedBoard
@license AGPL-3.0-only
@notice Moves many FeedMocks, and pokes many markets, in one transaction. For tests and the local chain only.
"""

MAX_MARKETS: constant(uint256) = 128


interface FeedMock:
    def set_answer(answer: int256): nonpayable


@external
def post(feeds: DynArray[address, MAX_MARKETS], answers: DynArray[int256, MAX_MARKETS]):
    """
    @notice A new round for each feed, now.
    @param feeds [address] list of mocks
    @param answers [feed's decimals] list, one for each
    """
    assert len(feeds) == len(answers), "board: lengths differ"
    for i: uint256 in range(len(feeds), bound=MAX_MARKETS):
        extcall FeedMock(feeds[i]).set_answer(answers[i])


@external
def poke(clearinghouse: address, markets: DynArray[uint256, MAX_MARKETS]) -> uint256:
    """
    @notice Poke each market; those without a live price are passed over.
    @param clearinghouse [address]
    @param markets [id] list
    @return [number] of markets that took it
    """
    poked: uint256 = 0
    for market: uint256 in markets:
        if raw_call(
            clearinghouse,
            abi_encode(market, method_id=method_id("poke(uint256)")),
            revert_on_failure=False,
        ):
            poked += 1
    return poked
