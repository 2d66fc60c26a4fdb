# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Puppet
@notice An account whose owner is a contract: it makes several calls in one block, and none of them stops the rest.
@dev For tests only. It can stand in for the pool as well, as it says whose it is.
"""


struct Call:
    target: address
    data: Bytes[2048]


struct Result:
    success: bool
    data: Bytes[4096]


clearinghouse: public(address)


@deploy
def __init__(clearinghouse_: address):
    self.clearinghouse = clearinghouse_


@external
def act(calls: DynArray[Call, 12]) -> DynArray[Result, 12]:
    results: DynArray[Result, 12] = []
    for call: Call in calls:
        success: bool = False
        data: Bytes[4096] = b""
        success, data = raw_call(call.target, call.data, max_outsize=4096, revert_on_failure=False)
        results.append(Result(success=success, data=data))
    return results
