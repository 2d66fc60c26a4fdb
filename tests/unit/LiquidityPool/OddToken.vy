# pragma version 0.4.3
# pragma evm-version cancun
"""
@title OddToken
@license AGPL-3.0-only
@notice An ERC-20 with the habits that tokens have: a fee on each transfer, `False` instead of a revert, a call
        back to somebody in the middle of a transfer. For tests only.
"""

decimals: public(uint8)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
fee_ppm: public(uint256)  # of each transfer, burned
refuses: public(bool)  # to transfer, by returning False
target: public(address)  # called in the middle of each `transferFrom` and `transfer`, if there is one
data: public(Bytes[1024])
calls: public(uint256)
passed: public(uint256)  # calls that did not revert


@deploy
def __init__(decimals_: uint8):
    self.decimals = decimals_


@external
def mint(to: address, amount: uint256):
    self.balanceOf[to] += amount


@external
def set_fee(fee_ppm: uint256):
    self.fee_ppm = fee_ppm


@external
def set_refuses(refuses: bool):
    self.refuses = refuses


@external
def call_back(target: address, data: Bytes[1024]):
    self.target = target
    self.data = data


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    return True


@external
def transfer(to: address, amount: uint256) -> bool:
    return self._move(msg.sender, to, amount)


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    self.allowance[owner][msg.sender] -= amount
    return self._move(owner, to, amount)


@internal
def _move(owner: address, to: address, amount: uint256) -> bool:
    if self.refuses:
        return False
    if self.target != empty(address):
        success: bool = raw_call(self.target, self.data, revert_on_failure=False)
        self.calls += 1
        if success:
            self.passed += 1
    self.balanceOf[owner] -= amount
    self.balanceOf[to] += amount - amount * self.fee_ppm // 10**6
    return True
