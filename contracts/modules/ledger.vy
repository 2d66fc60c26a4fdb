# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title ledger
@license AGPL-3.0-only
@notice Owns every account: cash, positions, and the tokens that stand behind them.
@dev The pool and the insurance fund are accounts like any other. Invariant, exact to the wei:
     sum of cash - sum of basis = custody * unit <= balanceOf * unit.
     Tokens that arrive without a call are nobody's.
@custom:spec LED-1, LED-3, LED-5, LED-9, ACC-6
"""

from ethereum.ercs import IERC20

from ..interfaces import IClearinghouse
from . import fixed_point
from . import slots

MAX_CUSTODY: constant(uint256) = 2**100  # [WAD quote]

QUOTE: immutable(IERC20)
UNIT: immutable(uint256)  # [WAD quote] of one raw unit of the quote token

_headers: HashMap[address, uint256]  # packed, see slots
_positions: HashMap[uint256, uint256]  # packed, see slots; by account << 96 | market
_custody: uint256  # [raw] quote held for accounts


@deploy
def __init__(quote: address, decimals: uint256):
    QUOTE = IERC20(quote)
    UNIT = 10 ** (18 - decimals)


@internal
@pure
def key(account: address, market: uint256) -> uint256:
    return (convert(account, uint256) << 96) | market


@internal
def write_header(account: address, header: uint256):
    self._headers[account] = header
    log IClearinghouse.CashMoved(account=account, cash=slots.cash_of(header))


@internal
def add_cash(account: address, amount: int256):
    """
    @notice Credit (or, below zero, debit) `account`. Read, modify, write: no copy outlives another's write.
    """
    if amount != 0:
        header: uint256 = self._headers[account]
        self.write_header(account, slots.with_cash(header, unsafe_add(slots.cash_of(header), amount)))


@internal
def pull(account: address, amount: uint256) -> uint256:
    """
    @notice Take `amount` [raw] of the quote from the caller and credit `account` with what arrived.
    """
    before: uint256 = staticcall QUOTE.balanceOf(self)
    if not extcall QUOTE.transferFrom(msg.sender, self, amount, default_return_value=True):
        fixed_point.fail("ledger: transfer failed")
    arrived: uint256 = staticcall QUOTE.balanceOf(self) - before
    if arrived == 0:
        fixed_point.fail("ledger: zero amount")
    custody: uint256 = self._custody + arrived
    if custody > MAX_CUSTODY // UNIT:
        fixed_point.fail("ledger: deposit too large")
    self._custody = custody
    self.add_cash(account, convert(unsafe_mul(arrived, UNIT), int256))
    return arrived


@internal
def push(account: address, amount: uint256, receiver: address):
    """
    @notice Debit `account` and send `amount` [raw] of the quote to `receiver`. Needs amount <= custody.
    """
    self._custody = unsafe_sub(self._custody, amount)
    self.add_cash(account, unsafe_sub(0, convert(unsafe_mul(amount, UNIT), int256)))
    if not extcall QUOTE.transfer(receiver, amount, default_return_value=True):
        fixed_point.fail("ledger: transfer failed")
