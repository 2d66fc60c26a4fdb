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
from . import debt
from . import fixed_point
from . import reasons
from . import slots

MAX_CUSTODY: constant(uint256) = 2**100  # [WAD quote]
START_INDEX: constant(uint256) = 10**18  # of debts

QUOTE: immutable(IERC20)
UNIT: immutable(uint256)  # [WAD quote] of one raw unit of the quote token
POOL: immutable(address)  # whose cash below zero is no debt: it is mostly basis

_headers: HashMap[address, uint256]  # packed, see slots
_backings: HashMap[address, uint256]  # packed, see slots; read only for debtors and holders of tokens
_positions: HashMap[uint256, uint256]  # packed, see slots; by account << 96 | market
_custody: uint256  # packed, see slots: the quote held for accounts
_debts: uint256  # packed, see slots; the sum of debts is that of all traders' cash below zero, as stored
_scaled: uint256  # the sum over debtors of their debt, as stored, over the index it was stored at
_credit: uint256  # packed, see slots
_seizing: uint256  # packed, see slots


@deploy
def __init__(quote: address, decimals: uint256, pool: address):
    QUOTE = IERC20(quote)
    UNIT = 10 ** (18 - decimals)
    POOL = pool
    self._debts = START_INDEX << slots.INDEX_OF_DEBT


@internal
@pure
def key(account: address, market: uint256) -> uint256:
    return (convert(account, uint256) << 96) | market


# ------------------------------------------------------------------ cash


@internal
def write_header(account: address, header: uint256, was: uint256):
    """
    @notice Write an account whose header `was` was read after `post`.
    """
    self._headers[account] = header
    cash: int256 = slots.cash_of(header)
    if (header | was) >> 255 != 0 and account != POOL:  # the sign of cash
        index: uint256 = self._accrue()
        word: uint256 = self._backings[account]
        owed: uint256 = convert(convert(unsafe_sub(0, min(cash, 0)), bytes32), uint256)
        owing: uint256 = convert(convert(unsafe_sub(0, min(slots.cash_of(was), 0)), bytes32), uint256)
        self._backings[account] = (word & slots.MASK_16) | (index << slots.DEBT_INDEX)
        self._debts = unsafe_add(self._debts, unsafe_sub(owed, owing))  # the sum is its low bits
        self._scaled = unsafe_add(
            unsafe_sub(self._scaled, debt.scaled(owing, word >> slots.DEBT_INDEX)), debt.scaled(owed, index)
        )
    log IClearinghouse.CashMoved(account=account, cash=cash)


@internal
def add_cash(account: address, amount: int256):
    """
    @notice Credit (or, below zero, debit) `account`. Read, modify, write: no copy outlives another's write.
    """
    if amount != 0:
        self._shift(account, self.post(account), amount)


@internal
def _shift(account: address, header: uint256, amount: int256):
    self.write_header(account, slots.with_cash(header, unsafe_add(slots.cash_of(header), amount)), header)


@internal
def credit(account: address, amount: uint256):
    """
    @notice Credit `account` with `amount` [raw] of the quote that arrived.
    """
    custody: uint256 = self._custody + amount
    if custody & slots.MASK_128 > MAX_CUSTODY // UNIT:
        fixed_point.fail(reasons.LEDGER_DEPOSIT_TOO_LARGE)
    self._custody = custody
    self.add_cash(account, convert(unsafe_mul(amount, UNIT), int256))


# ------------------------------------------------------------------ debt


@internal
def post(account: address) -> uint256:
    """
    @notice Take what a debtor owes in interest from his cash, and give it to the pool.
    @return [packed] his header then
    """
    header: uint256 = self._headers[account]
    if header >> 255 != 0:
        owed: int256 = convert(convert(self.interest_of(account, header), bytes32), int256)
        if owed != 0:
            self._shift(account, header, unsafe_sub(0, owed))
            self._shift(POOL, self._headers[POOL], owed)
            log IClearinghouse.InterestPaid(account=account, interest=convert(convert(owed, bytes32), uint256))
            header = self._headers[account]
    return header


@internal
@view
def interest_of(account: address, header: uint256) -> uint256:
    """
    @notice What an account owes in interest that is not posted yet [WAD quote].
    """
    if header >> 255 == 0 or account == POOL:
        return 0
    cash: int256 = slots.cash_of(header)
    return debt.owed(
        convert(convert(unsafe_sub(0, cash), bytes32), uint256), self._backings[account] >> slots.DEBT_INDEX, self.debt_index()
    )


@internal
@view
def debt_index() -> uint256:
    """
    @notice The index as of now.
    """
    word: uint256 = self._debts
    elapsed: uint256 = unsafe_sub(block.timestamp, (word >> slots.ACCRUED_AT) & slots.MASK_40)
    return debt.grown(
        word >> slots.INDEX_OF_DEBT, debt.rate_ppm(self._credit, word & slots.MASK_128), elapsed
    )


@internal
def _accrue() -> uint256:
    """
    @notice Keep the index of now, before the sum of debts or the terms change.
    """
    index: uint256 = self.debt_index()
    self._debts = (index << slots.INDEX_OF_DEBT) | (block.timestamp << slots.ACCRUED_AT) | (self._debts & slots.MASK_128)
    return index


# ------------------------------------------------------------------ tokens


@internal
def pull(token: IERC20, amount: uint256) -> uint256:
    """
    @notice Take `amount` [raw] of a token from the caller.
    @return [raw] what arrived
    """
    before: uint256 = self._balance(token)
    if not extcall token.transferFrom(msg.sender, self, amount, default_return_value=True):
        fixed_point.fail(reasons.LEDGER_TRANSFER_FAILED)
    arrived: uint256 = self._balance(token) - before
    if arrived == 0:
        fixed_point.fail(reasons.LEDGER_ZERO_AMOUNT)
    return arrived


@internal
@view
def _balance(token: IERC20) -> uint256:
    return staticcall token.balanceOf(self)


@internal
def push(token: IERC20, amount: uint256, receiver: address):
    """
    @notice Send `amount` [raw] of a token to `receiver`.
    """
    if not extcall token.transfer(receiver, amount, default_return_value=True):
        fixed_point.fail(reasons.LEDGER_TRANSFER_FAILED)
