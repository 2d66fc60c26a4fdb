"""The events of the contracts, as the model tells them: a name, and the fields in their order.

Units are those of `plimsoll.formulas`, addresses lower-case hexadecimal strings.
"""

from __future__ import annotations

from typing import NamedTuple

from plimsoll.slots import (
    CollateralTerms,
    CreditTerms,
    Terms,
)


class Transfer(NamedTuple):
    """ERC-20, of the quote token [raw] or of the pool's shares."""

    sender: str
    receiver: str
    value: int


class Approval(NamedTuple):
    """ERC-20, likewise."""

    owner: str
    spender: str
    value: int


class Deposited(NamedTuple):
    """`amount` [raw] is what arrived."""

    account: str
    token: str
    sender: str
    amount: int


class Withdrawn(NamedTuple):
    """`amount` [raw]."""

    account: str
    token: str
    receiver: str
    amount: int


class CashMoved(NamedTuple):
    """The resulting cash [WAD quote]."""

    account: str
    cash: int


class Filled(NamedTuple):
    """The event ``Fill``: a fill and the resulting position and market, packed."""

    account: str
    market: int
    size_delta: int
    price: int
    size: int
    basis: int
    state_a: int
    state_b: int


class MarketMoved(NamedTuple):
    """A market that was written without a fill, packed."""

    market: int
    state_a: int
    state_b: int


class FeePaid(NamedTuple):
    """A taker fee and the insurance fund's share of it [WAD quote]."""

    account: str
    market: int
    fee: int
    to_insurance: int


class Liquidated(NamedTuple):
    """A liquidation [WAD quote]."""

    account: str
    keeper: str
    equity: int
    maintenance: int
    notional: int
    charged: int
    reward: int


class BadDebt(NamedTuple):
    """What a bankrupt account could not pay, and who did [WAD quote]."""

    account: str
    from_insurance: int
    from_pool: int


class MarketConfigured(NamedTuple):
    """A market's new terms, packed."""

    market: int
    terms: tuple[int, ...]


class InterestPaid(NamedTuple):
    """Interest on a debt [WAD quote], to the pool."""

    account: str
    interest: int


class TokenMoved(NamedTuple):
    """The resulting balance of a collateral token [raw]."""

    account: str
    id: int
    balance: int


class Settled(NamedTuple):
    """The resulting basis [WAD quote] of a leg whose loss went to cash."""

    account: str
    market: int
    basis: int


class LotOpened(NamedTuple):
    """A seizure for sale; the auction's."""

    lot: int
    token: int
    amount: int
    to_insurance: int
    to_pool: int
    surplus_to: str


class LotSold(NamedTuple):
    """Some of a lot, sold; the auction's."""

    lot: int
    buyer: str
    amount: int
    cost: int
    left: int


class LotOwes(NamedTuple):
    """What a lot owes now, otherwise than by its own sale: repaid by another, or written off."""

    lot: int
    to_insurance: int  # [WAD quote]
    to_pool: int  # [WAD quote]


class LotClosed(NamedTuple):
    """A lot that is sold, and what it did not bring [WAD quote]; the auction's."""

    lot: int
    unpaid_insurance: int
    unpaid_pool: int


class LotWrittenOff(NamedTuple):
    """What the pool no longer expects of a lot [WAD quote]; the auction's."""

    lot: int
    from_pool: int


class CollateralListed(NamedTuple):
    """A new collateral token; the Configurator's."""

    id: int
    token: str
    terms: CollateralTerms


class CollateralReconfigured(NamedTuple):
    """A token's new terms; the Configurator's."""

    id: int
    terms: CollateralTerms


class CreditReconfigured(NamedTuple):
    """New terms of debt; the Configurator's."""

    terms: CreditTerms


class NavKnown(NamedTuple):
    """The pool's NAV [WAD quote]."""

    nav: int


class MarketListed(NamedTuple):
    """A new market; the Configurator's."""

    market: int
    name: str
    terms: Terms


class MarketReconfigured(NamedTuple):
    """A market's new terms, readable; the Configurator's."""

    market: int
    terms: Terms


class RampStarted(NamedTuple):
    """A market's terms are on their way; the Configurator's, as are the next ones."""

    market: int
    target: Terms
    duration: int  # [s]


class RampEnded(NamedTuple):
    """They have arrived, or the way is given up."""

    market: int


class MarketPaused(NamedTuple):
    """Nobody opens or enlarges in a market."""

    market: int
    until: int  # [unix s]


class MarketDelisted(NamedTuple):
    """A market is only reduced in from now on."""

    market: int
    settles_at: int  # [unix s]


class MarketSettled(NamedTuple):
    """A market's price [WAD quote/base], for good."""

    market: int
    price: int


class GuardianSet(NamedTuple):
    """Who may lower risk at once."""

    guardian: str


class CalmSet(NamedTuple):
    """The venue is frozen, or no longer."""

    calm_from: int  # [unix s] when everything is allowed again


class Deposit(NamedTuple):
    """ERC-4626, the pool's: `assets` [raw] bought `shares`."""

    sender: str
    owner: str
    assets: int
    shares: int


class Withdraw(NamedTuple):
    """ERC-4626, the pool's: `shares` were burned for `assets` [raw]."""

    sender: str
    receiver: str
    owner: str
    assets: int
    shares: int


class RedeemRequest(NamedTuple):
    """ERC-7540, the pool's: `shares` were added to a request."""

    controller: str
    owner: str
    request_id: int
    sender: str
    shares: int


class RequestKept(NamedTuple):
    """A request as it stands; the pool's."""

    controller: str
    shares: int
    worth: int
    claimable_at: int


class LossReported(NamedTuple):
    """What an account could not pay, and all of them [WAD quote]; the pool's."""

    account: str
    loss: int
    losses: int


class Deleveraged(NamedTuple):
    """A position closed for a broke pool, and what is left of it; the Backstop's."""

    account: str
    market: int
    keeper: str
    closed: int  # [WAD base]
    size: int  # [WAD base]
    equity: int  # [WAD quote] the pool's
    maintenance: int  # [WAD quote] the pool's


class SettlementDeclared(NamedTuple):
    """Claims wait; the Backstop's."""

    at: int  # [unix s]
    equity: int  # [WAD quote] the pool's
    certain_at: int  # [unix s] since when it is below zero for certain; 0: that is in doubt


class SettlementCalledOff(NamedTuple):
    """They do not wait any more; the Backstop's."""

    equity: int  # [WAD quote] the pool's


class SettlementBegun(NamedTuple):
    """Markets are being settled, for good; the Backstop's."""

    at: int  # [unix s]
    equity: int  # [WAD quote] the pool's


class ShareFixed(NamedTuple):
    """What each claim is paid [WAD]; the Backstop's."""

    share: int
    claims: int  # [WAD quote]
    custody: int  # [raw]


class OperatorSet(NamedTuple):
    """ERC-7540, the pool's."""

    controller: str
    operator: str
    approved: bool
