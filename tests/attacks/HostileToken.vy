# pragma version 0.4.3
# pragma evm-version cancun
"""
@title HostileToken
@license AGPL-3.0-only
@notice An ERC-20 that calls whom it likes in the middle of a transfer, and whose issuer blocks people.
        For tests only.
@dev Once armed, the token makes its calls one time: in the transfer after `skip` others, before the balances
     move or after. It is the sender of these calls, and may hold accounts and shares as anyone may. What each
     call gave is kept as a round.
"""


struct Call:
    target: address
    data: Bytes[1024]


struct Answer:
    success: bool
    digest: bytes32  # of the first 1,024 bytes returned


decimals: public(uint8)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
blocked: public(HashMap[address, bool])
rounds: public(uint256)
_answers: HashMap[uint256, DynArray[Answer, 64]]
_calls: DynArray[Call, 64]
_armed: bool
_late: bool
_skip: uint256


@deploy
def __init__(decimals_: uint8):
    self.decimals = decimals_


@external
def mint(to: address, amount: uint256):
    self.balanceOf[to] += amount


@external
def block_(who: address, blocked: bool):
    self.blocked[who] = blocked


@external
def arm(calls: DynArray[Call, 64], skip: uint256, late: bool):
    """
    @notice What to do in the transfer after `skip` others, before or after the balances move.
    """
    self._calls = calls
    self._skip = skip
    self._late = late
    self._armed = True


@external
def look():
    """
    @notice Make the same calls now: what they give when nothing is in flight.
    """
    self._round()


@external
def act(calls: DynArray[Call, 64]):
    """
    @notice Make calls as anyone may; the first that fails undoes them all.
    """
    for call: Call in calls:
        raw_call(call.target, call.data)


@external
@view
def answers(number: uint256) -> DynArray[Answer, 64]:
    return self._answers[number]


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    return True


@external
def transfer(to: address, amount: uint256) -> bool:
    self._transfer(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    self.allowance[owner][msg.sender] -= amount
    self._transfer(owner, to, amount)
    return True


@internal
def _transfer(owner: address, to: address, amount: uint256):
    assert not (self.blocked[owner] or self.blocked[to]), "token: blocked"
    now: bool = False
    if self._armed:
        now = self._skip == 0
        if now:
            self._armed = False
        else:
            self._skip -= 1
    if now and not self._late:
        self._round()
    self.balanceOf[owner] -= amount
    self.balanceOf[to] += amount
    if now and self._late:
        self._round()


@internal
def _round():
    number: uint256 = self.rounds
    self.rounds = number + 1
    for call: Call in self._calls:
        success: bool = False
        data: Bytes[1024] = b""
        success, data = raw_call(call.target, call.data, max_outsize=1024, revert_on_failure=False)
        self._answers[number].append(Answer(success=success, digest=keccak256(data)))
