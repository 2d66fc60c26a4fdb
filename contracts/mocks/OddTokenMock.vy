# pragma version 0.4.3
# pragma evm-version cancun
"""
@title OddTokenMock
@license AGPL-3.0-only
@notice An ERC-20 of the bad sort, which anyone may mint and make misbehave. For tests only.
@dev Modes of `transfer` and `transferFrom`: 0 answers true, 1 answers nothing, 2 moves nothing and answers false,
     3 reverts, 4 answers true and keeps `fee_ppm` of the amount, 5 makes its `calls` first, once, and remembers which of
     them succeeded.
"""

struct Call:
    target: address
    data: Bytes[512]


decimals: public(uint8)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
succeeded: public(DynArray[bool, 32])
_mode: uint256
_fee_ppm: uint256
_calls: DynArray[Call, 32]


@deploy
def __init__(decimals_: uint8):
    self.decimals = decimals_


@external
def set_mode(mode: uint256, fee_ppm: uint256 = 0):
    """
    @notice How to behave from now on.
    """
    self._mode = mode
    self._fee_ppm = fee_ppm


@external
def set_calls(calls: DynArray[Call, 32]):
    """
    @notice What to do in the middle of the next transfer (mode 5).
    """
    self._calls = calls
    self.succeeded = []


@external
def act(calls: DynArray[Call, 32]):
    """
    @notice What a token may do as anyone may: hold an account, for one.
    """
    for call: Call in calls:
        raw_call(call.target, call.data)


@external
def mint(to: address, amount: uint256):
    self.balanceOf[to] += amount


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    return True


@external
@raw_return
def transfer(to: address, amount: uint256) -> Bytes[32]:
    return self._transfer(msg.sender, to, amount)


@external
@raw_return
def transferFrom(owner: address, to: address, amount: uint256) -> Bytes[32]:
    if self._mode != 2:
        self.allowance[owner][msg.sender] -= amount
    return self._transfer(owner, to, amount)


@internal
def _transfer(owner: address, to: address, amount: uint256) -> Bytes[32]:
    if self._mode == 2:
        return abi_encode(False)
    if self._mode == 3:
        raise "token: frozen"
    if self._mode == 5:
        self._mode = 0  # once: without a lock it would go round for ever
        for call: Call in self._calls:
            success: bool = raw_call(call.target, call.data, revert_on_failure=False)
            self.succeeded.append(success)
    self.balanceOf[owner] -= amount
    self.balanceOf[to] += amount - (amount * self._fee_ppm // 10**6 if self._mode == 4 else 0)
    if self._mode == 1:
        return b""
    return abi_encode(True)
