# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title share_token
@license AGPL-3.0-only
@notice Owns the pool's shares: an ERC-20 with ERC-2612 permits that nobody is in charge of.
@dev Invariant: the supply is the sum of all balances. Only the importing contract mints, burns and moves
     without an allowance. An allowance of 2**256 - 1 is never spent. The lock covers the getters too, so
     that no token's callback can read a supply in the middle of a deposit.
     snekmate's ERC-20 cannot be had without its owner and minter, hence this one; the signature's recovery
     and its domain are snekmate's.
"""

from ethereum.ercs import IERC20
from snekmate.utils import ecdsa
from snekmate.utils import eip712_domain_separator

from . import fixed_point
from . import reasons

initializes: eip712_domain_separator

exports: eip712_domain_separator.eip712Domain

# ------------------------------------------------------------------ CONSTANTS

PERMIT_TYPE_HASH: constant(bytes32) = keccak256(
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)

# ------------------------------------------------------------------ IMMUTABLES

NAME: immutable(String[32])
SYMBOL: immutable(String[16])
DECIMALS: immutable(uint8)

# ------------------------------------------------------------------ STORAGE

totalSupply: public(uint256)  # [shares] sum of balanceOf
balanceOf: public(HashMap[address, uint256])  # [shares]
allowance: public(HashMap[address, HashMap[address, uint256]])  # [shares] by owner, then spender
nonces: public(HashMap[address, uint256])  # of permits, each used once and in order

# ------------------------------------------------------------------ CONSTRUCTOR


@deploy
def __init__(name_: String[32], symbol_: String[16], decimals_: uint8):
    NAME = name_
    SYMBOL = symbol_
    DECIMALS = decimals_
    eip712_domain_separator.__init__(name_, "1")


# ------------------------------------------------------------------ EXTERNAL


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice Move `amount` of the caller's shares to `to`.
    @dev Not to the zero address and not to the pool, where only requests put shares.
    @param to [address] who gets them
    @param amount [shares]
    @return [bool] true
    @custom:access anyone, for his own shares
    @custom:reverts shares: bad receiver; shares: balance too low
    """
    self._check_receiver(to)
    self._move(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice Move `amount` of the shares of `owner` to `to`, within the caller's allowance.
    @param owner [address] whose shares
    @param to [address] who gets them
    @param amount [shares]
    @return [bool] true
    @custom:access whoever holds an allowance of `owner`
    @custom:reverts shares: allowance too low; shares: bad receiver; shares: balance too low
    """
    self._spend(owner, msg.sender, amount)
    self._check_receiver(to)
    self._move(owner, to, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice Let `spender` move up to `amount` of the caller's shares; what he was allowed before is replaced.
    @param spender [address] who may
    @param amount [shares] 2**256 - 1 for no limit
    @return [bool] true
    @custom:access anyone, for his own shares
    """
    self._approve(msg.sender, spender, amount)
    return True


@external
def permit(
    owner: address, spender: address, amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32
):
    """
    @notice An `approve` that `owner` signed (ERC-2612), brought by anyone, once.
    @param owner [address] whose shares
    @param spender [address] who may move them
    @param amount [shares] 2**256 - 1 for no limit
    @param deadline [unix s] the last second at which the signature holds
    @param v the signature's parity, 27 or 28
    @param r the signature's first half
    @param s the signature's second half, in the lower half of the curve's order
    @custom:access anyone, with the owner's signature
    @custom:reverts shares: permit expired; shares: bad signature; and snekmate's texts for a malformed one
    """
    if block.timestamp > deadline:
        fixed_point.fail(reasons.SHARES_PERMIT_EXPIRED)
    nonce: uint256 = self.nonces[owner]
    self.nonces[owner] = nonce + 1
    digest: bytes32 = eip712_domain_separator._hash_typed_data_v4(
        keccak256(abi_encode(PERMIT_TYPE_HASH, owner, spender, amount, nonce, deadline))
    )
    signer: address = ecdsa._recover_vrs(digest, convert(v, uint256), convert(r, uint256), convert(s, uint256))
    if signer != owner:
        fixed_point.fail(reasons.SHARES_BAD_SIGNATURE)
    self._approve(owner, spender, amount)


# ------------------------------------------------------------------ VIEWS


@external
@view
def name() -> String[32]:
    """
    @notice The share's name.
    @return the name, which is also its signing domain's
    @custom:access anyone
    """
    return NAME


@external
@view
def symbol() -> String[16]:
    """
    @notice The share's symbol.
    @return the symbol
    @custom:access anyone
    """
    return SYMBOL


@external
@view
def decimals() -> uint8:
    """
    @notice How many of a share's digits stand after the point.
    @return the quote token's decimals, and six
    @custom:access anyone
    """
    return DECIMALS


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    """
    @notice The EIP-712 domain separator, of the chain as it is now.
    @return its hash
    @custom:access anyone
    """
    return eip712_domain_separator._domain_separator_v4()


# ------------------------------------------------------------------ INTERNAL


@internal
@view
def _check_receiver(to: address):
    if to == empty(address) or to == self:
        fixed_point.fail(reasons.SHARES_BAD_RECEIVER)


@internal
def _mint(to: address, amount: uint256):
    self._check_receiver(to)
    self.totalSupply += amount
    self.balanceOf[to] += amount
    log IERC20.Transfer(sender=empty(address), receiver=to, value=amount)


@internal
def _burn(owner: address, amount: uint256):
    self._take(owner, amount)
    self.totalSupply -= amount
    log IERC20.Transfer(sender=owner, receiver=empty(address), value=amount)


@internal
def _move(owner: address, to: address, amount: uint256):
    """
    @dev Read, modify, write, each side in turn: `owner` may be `to`.
    """
    self._take(owner, amount)
    self.balanceOf[to] += amount
    log IERC20.Transfer(sender=owner, receiver=to, value=amount)


@internal
def _take(owner: address, amount: uint256):
    balance: uint256 = self.balanceOf[owner]
    if amount > balance:
        fixed_point.fail(reasons.SHARES_BALANCE_TOO_LOW)
    self.balanceOf[owner] = balance - amount


@internal
def _spend(owner: address, spender: address, amount: uint256):
    allowed: uint256 = self.allowance[owner][spender]
    if allowed == max_value(uint256):
        return
    if amount > allowed:
        fixed_point.fail(reasons.SHARES_ALLOWANCE_TOO_LOW)
    self._approve(owner, spender, allowed - amount)


@internal
def _approve(owner: address, spender: address, amount: uint256):
    self.allowance[owner][spender] = amount
    log IERC20.Approval(owner=owner, spender=spender, value=amount)
