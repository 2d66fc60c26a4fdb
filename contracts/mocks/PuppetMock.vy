# pragma version 0.4.3
# pragma evm-version cancun
"""
@title PuppetMock
@license AGPL-3.0-only
@notice An account whose owner is a contract: it makes many calls in one transaction. For tests only.
@dev An attacker who needs one block, or, as it says whose it is, the pool and the configurator of a deployment.
"""

CLEARINGHOUSE: immutable(address)
KEEPER_SHARE_PPM: immutable(uint256)


struct Call:
    target: address
    data: Bytes[2048]


struct Result:
    success: bool
    data: Bytes[1024]


@deploy
def __init__(clearinghouse_: address, keeper_share_ppm_: uint256):
    CLEARINGHOUSE = clearinghouse_
    KEEPER_SHARE_PPM = keeper_share_ppm_


@external
@view
def clearinghouse() -> address:
    """
    @return whose it is; made for nobody, it is whoever's that asks
    """
    return msg.sender if CLEARINGHOUSE == empty(address) else CLEARINGHOUSE


@external
@view
def keeper_share_ppm() -> uint256:
    return KEEPER_SHARE_PPM


@external
@view
def calm_from() -> uint256:
    return 0


@external
def act(calls: DynArray[Call, 160]):
    """
    @notice Make the calls in order; the first that fails undoes them all, with its own reason.
    """
    for call: Call in calls:
        raw_call(call.target, call.data)


@external
def attempt(calls: DynArray[Call, 160]) -> DynArray[Result, 160]:
    """
    @notice Make the calls in order, whether they fail or not, and tell what each gave.
    """
    results: DynArray[Result, 160] = []
    for call: Call in calls:
        success: bool = False
        data: Bytes[1024] = b""
        success, data = raw_call(call.target, call.data, max_outsize=1024, revert_on_failure=False)
        results.append(Result(success=success, data=data))
    return results
