"""A thin SDK: decimals in, decimals out, names as well as ids.

Three different words: the *owner* is the address whose accounts they are, an *account* is one of
its 256 (`sub_account`), and the *signer* is who sends the transaction. Reads go through the Lens,
so every number is the Clearinghouse's own; collateral, debt and `conservation` are read from the
Clearinghouse itself. Amounts are of the quote token unless a collateral token is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import Any

from plimsoll import formulas, model, slots
from plimsoll.chain import Receipt, address_of
from plimsoll.deployment import Deployment
from plimsoll.errors import DeploymentError, Reverted
from plimsoll.units import (
    MAX_INT,
    MAX_UINT,
    WAD,
    WIDE,
    Number,
    decimal,
    from_ppm,
    from_wad,
    plain,
    significant,
    to_wad,
    unscaled,
)

SLIPPAGE = Decimal("0.005")  # of the previewed price, where a trade names no limit
PAGE = 16  # markets in one call: a view reads a feed for each
ACCOUNTS_PER_CALL = 32
LOTS_PER_CALL = 64  # that the auction looks at
MOST_AT_ONCE = 64  # accounts, in a liquidation of many
NOBODY = "0x" + "00" * 20
STRANGER = "0x" + "00" * 19 + "01"  # no owner can sign for it: it never has a position
STATES = ("none", "declared", "settling", "fixed")  # of a settlement, by the Backstop's number


def sub_account(owner: Any, number: int) -> str:
    """An owner's account: his address with `number` XORed into the last byte; 0 is the main one.

    Raises:
        ValueError: if the number is not 0 to 255.
    """
    if not 0 <= number <= 255:
        raise ValueError(f"sub-account {number}: there are 0 to 255")
    return address_of(f"0x{int(address_of(owner), 16) ^ number:040x}")


def is_owner(owner: Any, account: Any) -> bool:
    """Whether the account is one of the owner's 256."""
    return int(address_of(owner), 16) ^ int(address_of(account), 16) <= 255


# ------------------------------------------------------------------ what is read


@dataclass(frozen=True)
class Position:
    """A position of an account; see ILens.PositionView."""

    market: str
    size: Decimal  # [base] + long, - short
    basis: Decimal  # [quote]
    break_even_price: Decimal  # [quote/base]
    mark_price: Decimal  # [quote/base]
    price_status: str  # "live", or why not
    stable_price: Decimal  # [quote/base] when opening and withdrawing, the worse of the two counts
    notional: Decimal  # [quote]
    pnl: Decimal  # [quote] unrealised
    rate: Decimal  # [1/day] funding; longs pay when above zero
    liquidation_price: (
        Decimal | None
    )  # [quote/base] with the other markets held still; None: no price
    initial: Decimal  # [quote]
    maintenance: Decimal  # [quote]


@dataclass(frozen=True)
class Entry:
    """How an open position came about, from its fills: the contract folds both into one word."""

    price: Decimal  # [quote/base] average of the fills that opened what is still open
    funding: Decimal  # [quote] received since then, below zero paid; a part of the position's pnl


@dataclass(frozen=True)
class Holding:
    """What an account has of a collateral token; see IClearinghouse.Holding."""

    token: str
    amount: Decimal
    price: Decimal  # [quote/base]
    price_status: str  # "live", or why not
    stable_price: Decimal  # [quote/base] when opening and withdrawing, the lower of the two counts
    value: Decimal  # [quote] at `price`
    initial: Decimal  # [quote] what it counts for opening and withdrawing
    maintenance: Decimal  # [quote] what it counts in health
    credit: Decimal  # [quote] what a seizure of all of it would bring; 0 without a live price

    @property
    def initial_weight(self) -> Decimal:
        """The part of its value that counts for opening, the depth of all holdings in it."""
        return _ratio(self.initial, self.value)

    @property
    def maintenance_weight(self) -> Decimal:
        """The part of its value that counts in health, the depth of this holding in it."""
        return _ratio(self.maintenance, self.value)


@dataclass(frozen=True)
class Debt:
    """What an account owes: its cash below zero. All zero but `most` and `rate` if it does not."""

    amount: Decimal = Decimal(0)  # [quote] interest included
    interest: Decimal = Decimal(0)  # [quote] of that, since it was last posted
    most: Decimal = Decimal(0)  # [quote] that its collateral allows
    rate: Decimal = Decimal(0)  # [1/year] what any debt costs now


@dataclass(frozen=True)
class Account:
    """An account as of now; see ILens.AccountView. Health and leverage are None where boundless.

    While the venue is not calm nobody is liquidatable, whatever his health; see `Pool`.
    """

    address: str
    cash: Decimal  # [quote]
    pnl: Decimal  # [quote]
    equity: Decimal  # [quote]
    opening_equity: Decimal  # [quote]
    withdrawing_equity: Decimal  # [quote]
    initial: Decimal  # [quote]
    maintenance: Decimal  # [quote]
    notional: Decimal  # [quote]
    health: Decimal | None
    leverage: Decimal | None
    withdrawable: Decimal  # [quote]
    buying_power: Decimal  # [quote]
    margin_call: bool
    liquidatable: bool
    has_dead_leg: bool
    positions: tuple[Position, ...]
    holdings: tuple[Holding, ...] = ()
    debt: Debt = Debt()

    def holding(self, token: str) -> Holding | None:
        """What it has of a collateral token, if anything."""
        return next((h for h in self.holdings if h.token == token), None)

    def position(self, market: str) -> Position | None:
        """The position in a market, if there is one."""
        return next((p for p in self.positions if p.market == market), None)


@dataclass(frozen=True)
class Market:
    """A market as of now; see ILens.MarketView."""

    id: int
    name: str
    price: Decimal  # [quote/base]
    price_status: str
    stable_price: Decimal  # [quote/base] follows the price, but slowly
    settled: bool  # traded no more, and closed at `price`
    paused_until: int  # [unix s] nothing is opened or enlarged before; 0: not paused
    ask: Decimal  # [quote/base]
    bid: Decimal  # [quote/base]
    rate: Decimal  # [1/day]
    skew: Decimal  # [base]
    long_open_interest: Decimal  # [base]
    short_open_interest: Decimal  # [base]
    exposure: Decimal  # [quote]
    room_to_buy: Decimal  # [base]
    room_to_sell: Decimal  # [base]
    skew_scale: Decimal  # [base]
    im: Decimal
    mm: Decimal
    taker_fee: Decimal
    spread: Decimal
    liquidation_fee: Decimal
    reward: Decimal  # [quote]
    reduce_only: bool


@dataclass(frozen=True)
class Pool:
    """The pool, the insurance fund and what stands behind all accounts; see ILens.PoolView."""

    nav: Decimal  # [quote] as valued now
    known_nav: Decimal  # [quote] as the Clearinghouse last heard
    known_at: int  # [unix s]
    is_live: bool  # whether every price that counts may be used
    cash: Decimal  # [quote]
    exposure: Decimal  # [quote]
    leverage: Decimal | None
    max_leverage: Decimal
    insurance: Decimal  # [quote]
    custody: Decimal  # [quote]
    balance: Decimal  # [quote]
    calm: bool  # else: no liquidation, no added risk, no withdrawing with positions or debt
    calm_from: int  # [unix s] the end of a freeze and its grace; 0 and not calm: the sequencer's
    share: Decimal | None  # of each claim that is paid in a settlement; None: there is none
    outflow_left: Decimal | None  # [quote] that may still leave in it; None: no limit


@dataclass(frozen=True)
class Backstop:
    """The last resort, as of now; see IBackstop."""

    equity: Decimal  # [quote] of the pool's own account
    maintenance: Decimal  # [quote] likewise
    health: Decimal | None  # the one over the other; None: nothing to maintain
    target: Decimal  # the health to which deleveraging brings the pool back
    at_least: Decimal  # [quote] `worth`, were its positions at dead prices its loss
    worth: Decimal  # [quote] its equity, less what accounts that were reported to it cannot pay
    at_most: Decimal  # [quote] its equity, were all that is in doubt its gain
    reason: str  # why nobody may be deleveraged now; empty: somebody may
    state: str  # of the settlement, one of `STATES`
    declared_at: int  # [unix s] 0: it is not
    certain: bool  # whether it is insolvent whatever is in doubt; after a week, as far as is known
    certain_at: int  # [unix s] since when that is declared; 0: it is not
    settled_at: int  # [unix s] of the first market; 0: none is
    share: Decimal | None  # of each claim; None: not fixed

    @property
    def deleveraging(self) -> bool:
        """Whether it is allowed now."""
        return not self.reason

    @property
    def solvent(self) -> bool:
        """Whether the pool has no less than nothing."""
        return self.worth >= 0

    @property
    def doubted(self) -> bool:
        """Whether what is in doubt may make an insolvent pool solvent, and still counts."""
        return self.worth < 0 and not self.certain

    @property
    def settles_from(self) -> int | None:
        """When a market may be settled [unix s]; None: an hour after `certain` is told."""
        told = self.certain and self.certain_at
        return self.certain_at + model.SETTLE_DELAY if told else None

    @property
    def retold(self) -> bool:
        """Whether declaring once more would tell that the hole is certain by now, or no longer."""
        return self.state == "declared" and self.certain != bool(self.certain_at)

    @property
    def certain_after(self) -> int:
        """When what is in doubt counts no longer [unix s], once it is declared."""
        return self.declared_at + model.DOUBT_DELAY

    @property
    def lapses_at(self) -> int:
        """When it may be called off even by an insolvent pool [unix s], once it is declared."""
        return self.declared_at + model.DECLARATION_LAPSE


@dataclass(frozen=True)
class Candidate:
    """An account that a pool below its maintenance may deleverage; see IBackstop.Candidate."""

    account: str
    size: Decimal  # [base]
    pnl: Decimal  # [quote] of the position
    notional: Decimal  # [quote] of the position
    equity: Decimal  # [quote] of the account
    exposure: Decimal  # [quote] the notional of all its positions
    rank: Decimal  # profit over notional, times leverage
    closed: Decimal  # [base] what a deleveraging would close now
    reason: str  # why it would be refused now; empty: it would not

    @property
    def leverage(self) -> Decimal | None:
        """Exposure over equity; None without equity."""
        return _ratio(self.exposure, self.equity) if self.equity > 0 else None


@dataclass(frozen=True)
class Token:
    """A collateral token as of now."""

    id: int
    symbol: str
    price: Decimal  # [quote/base]
    price_status: str
    stable_price: Decimal  # [quote/base] follows the price, but slowly
    initial_weight: Decimal  # on the way down, if it was cut, and before depth
    maintenance_weight: Decimal  # likewise
    total: Decimal  # of all accounts, lots for sale included
    cap: Decimal
    scale: Decimal  # a holding of so much counts half
    discount: Decimal  # of a seizure, and the auction's greatest
    premium: Decimal  # of the auction's start
    duration: int  # [s] from one to the other
    delisted: bool


@dataclass(frozen=True)
class Credit:
    """All debts and their terms, as of now."""

    debts: Decimal  # [quote] as posted
    interest: Decimal  # [quote] that is not posted yet
    cap: Decimal  # [quote]
    rate: Decimal  # [1/year]
    debt_ratio: Decimal  # of an account's collateral by its initial weight
    call_line: Decimal  # the health below which collateral may be converted
    conversion_bound: int  # [quote] in one call
    liquidation_fee: Decimal  # on conversions and on seizures from flat accounts
    order: tuple[str, ...]  # of seizure

    @property
    def used(self) -> Decimal:
        """How much of the cap is taken."""
        return _ratio(self.debts, self.cap)


@dataclass(frozen=True)
class Lot:
    """A seizure for sale. Prices and costs are None while its feed is dead: it cannot be bought."""

    id: int
    token: str
    amount: Decimal  # that is left
    cost: Decimal | None  # [quote] of all that is left, now
    cost_later: Decimal | None  # [quote] after so many minutes, if its feed stays where it is
    elapsed: int  # [s] that counted for its price when it was last looked at
    to_insurance: Decimal  # [quote] that the insurance fund is still owed
    to_pool: Decimal  # [quote] that the pool is still owed
    surplus_to: str | None  # whose account gets the rest; None: the insurance fund's

    @property
    def price(self) -> Decimal | None:
        """[quote/base] now."""
        return None if self.cost is None else _ratio(self.cost, self.amount)

    @property
    def price_later(self) -> Decimal | None:
        """[quote/base] after so many minutes."""
        return None if self.cost_later is None else _ratio(self.cost_later, self.amount)


@dataclass(frozen=True)
class Purchase:
    """Some of a lot, bought."""

    lot: int
    token: str
    amount: Decimal
    cost: Decimal  # [quote]
    left: Decimal  # in the lot
    gas: int

    @property
    def price(self) -> Decimal:
        """[quote/base] paid."""
        return _ratio(self.cost, self.amount)


@dataclass(frozen=True)
class TradePreview:
    """What a trade would do now; see ILens.TradePreview."""

    allowed: bool
    reason: str
    price: Decimal  # [quote/base]
    fee: Decimal  # [quote]
    size_after: Decimal  # [base]
    initial_after: Decimal  # [quote]
    health_before: Decimal | None
    health_after: Decimal | None
    liquidation_price_after: Decimal | None  # [quote/base]


@dataclass(frozen=True)
class LiquidationPreview:
    """What a liquidation would do now; see ICollateralLens.LiquidationPreview."""

    liquidatable: bool
    equity: Decimal  # [quote]
    maintenance: Decimal  # [quote]
    closed: int
    left_open: int
    notional: Decimal  # [quote]
    charged: Decimal  # [quote]
    reward: Decimal  # [quote]
    top_up: Decimal  # [quote]
    remaining: Decimal  # [quote]
    debt_to_insurance: Decimal  # [quote]
    debt_to_pool: Decimal  # [quote]


@dataclass(frozen=True)
class DeleveragePreview:
    """What a deleveraging would do now; see IBackstop.Plan."""

    allowed: bool
    reason: str
    closed: Decimal  # [base]
    price: Decimal  # [quote/base]
    equity: Decimal  # [quote] the pool's
    maintenance: Decimal  # [quote] the pool's, before
    maintenance_after: Decimal  # [quote]


@dataclass(frozen=True)
class Words:
    """A market's packed words, taken apart; integers in the contract's units."""

    terms: slots.Unpacked
    a: slots.StateA
    b: slots.StateB


@dataclass(frozen=True)
class Trade:
    """A trade that went through."""

    market: str
    size_delta: Decimal  # [base]
    price: Decimal  # [quote/base]
    fee: Decimal  # [quote]
    size: Decimal  # [base] resulting
    gas: int


@dataclass(frozen=True)
class Liquidation:
    """A liquidation that went through."""

    account: str
    keeper: str
    closed: int  # positions
    equity: Decimal  # [quote] before
    maintenance: Decimal  # [quote] before
    notional: Decimal  # [quote] closed
    charged: Decimal  # [quote]
    reward: Decimal  # [quote]
    debt_to_insurance: Decimal  # [quote]
    debt_to_pool: Decimal  # [quote]
    seized: Decimal = Decimal(0)  # [quote] credited for tokens with a live price
    lots: tuple[int, ...] = ()  # that its tokens went to, those without a price too
    gas: int = 0

    @property
    def health(self) -> Decimal:
        """Equity over maintenance, before."""
        return max(self.equity, Decimal(0)) / self.maintenance if self.maintenance else Decimal(0)


@dataclass(frozen=True)
class Deleveraging:
    """A deleveraging that went through."""

    account: str
    market: str
    closed: Decimal  # [base]
    size: Decimal  # [base] resulting
    equity: Decimal  # [quote] the pool's
    maintenance: Decimal  # [quote] the pool's, resulting
    health: Decimal | None  # the pool's, resulting
    gas: int


@dataclass(frozen=True)
class Shock:
    """An account after a sudden move of prices, and before it."""

    equity_before: Decimal  # [quote]
    health_before: Decimal | None
    equity: Decimal  # [quote]
    maintenance: Decimal  # [quote]
    health: Decimal | None
    prices: Mapping[str, tuple[Decimal, Decimal]]  # [quote/base] before and after

    @property
    def liquidatable(self) -> bool:
        """Whether anyone could liquidate the account then."""
        return self.health is not None and self.health < 1


# ------------------------------------------------------------------ the client


class Client:
    """Reads and actions on a deployment.

    Args:
        deployment: where.
        signer: who signs what names no signer.
    """

    def __init__(self, deployment: Deployment, signer: Any = None) -> None:
        self.deployment = deployment
        self.chain = deployment.chain
        self.signer = signer

    # -------------------------------------------------------------- reads

    def account(self, account: Any) -> Account:
        """Everything about an account, as of now."""
        address = address_of(account)
        view = self._lens("account", address)
        values = _decimals(Account, view, raw=("withdrawable",), ends=self.deployment)
        positions = []
        for p in view.positions:
            leg = _decimals(Position, p)
            leg["market"] = str(p.name)
            leg["price_status"] = self._status(p.price_status)
            leg["liquidation_price"] = leg["liquidation_price"] or None
            positions.append(Position(**leg))
        values.update(address=address, positions=tuple(positions))
        return self._backed(Account(**values))

    def _backed(self, view: Account) -> Account:
        """The same account with the tokens and the debt that its equity counts."""
        holdings = self.collateral(view.address)
        pools = view.address == address_of(self.deployment.pool)  # most of whose cash is basis
        if pools or (not holdings and view.cash >= 0):
            return view
        return replace(view, holdings=holdings, debt=self.debt(view.address))

    def collateral(self, account: Any) -> tuple[Holding, ...]:
        """The collateral tokens that an account has, by id, each with what it counts."""
        address = address_of(account)
        if not self.header(address).flags & model.HAS_TOKENS:
            return ()
        word, _ = self.chain.view(self.deployment.clearinghouse, "backing", address)
        tokens, _ = slots.unpack_backing(int(word))
        return tuple(self._holding(address, number) for number in bits(tokens))

    def _holding(self, address: str, number: int) -> Holding:
        h = self.chain.view(self.deployment.clearinghouse, "holding", address, number)
        return Holding(
            token=self.deployment.token_symbol(number),
            amount=from_wad(int(h.own) * int(h.unit)),
            price=from_wad(int(h.price)),
            price_status=self._status(h.status),
            stable_price=from_wad(int(h.stable)),
            value=from_wad(int(h.own) * int(h.unit) * int(h.price) // WAD),
            initial=from_wad(int(h.initial)),
            maintenance=from_wad(int(h.maintenance)),
            credit=from_wad(int(h.credit) if int(h.status) == formulas.LIVE else 0),
        )

    def debt(self, account: Any) -> Debt:
        """What an account owes, interest of now included, and how much it may owe."""
        address = address_of(account)
        _, interest = self.chain.view(self.deployment.clearinghouse, "backing", address)
        cash = 0 if address == address_of(self.deployment.pool) else self.header(address).cash
        credit = self.credit()
        initial = sum((h.initial for h in self.collateral(address)), Decimal(0))
        return Debt(
            amount=from_wad(max(-cash, 0) + int(interest)),
            interest=from_wad(int(interest)),
            most=min(WIDE.multiply(initial, credit.debt_ratio), credit.cap),
            rate=credit.rate,
        )

    def credit(self) -> Credit:
        """All debts together, what they cost, and the terms of credit."""
        words = self.chain.view(self.deployment.clearinghouse, "credit")
        debts_word, credit_word, seizing, index, over_index = map(int, words)
        debts, terms = slots.unpack_debts(debts_word), slots.unpack_credit(credit_word, seizing)
        owed = formulas.ceil_div(over_index * index, WAD)
        symbols = self.deployment.symbols
        return Credit(
            debts=from_wad(debts.total),
            interest=from_wad(max(owed - debts.total, 0)),
            cap=from_wad(terms.debt_cap),
            rate=from_ppm(1) * from_wad(formulas.interest_rate(terms, debts.total)),
            debt_ratio=from_ppm(terms.debt_ratio_ppm),
            call_line=from_ppm(terms.call_line_ppm),
            conversion_bound=terms.conversion_bound,
            liquidation_fee=from_ppm(terms.liquidation_fee_ppm),
            order=tuple(symbols[number] for number in terms.order if number < len(symbols)),
        )

    def token(self, token: str | int) -> Token:
        """A collateral token, as of now."""
        number = self.deployment.token_id(token)
        house = self.deployment.clearinghouse
        *words, state_word = map(int, self.chain.view(house, "token_words", number))
        terms = slots.unpack_token(words[0], words[1], words[2])
        state = slots.unpack_token_state(state_word)
        seen = self.chain.view(house, "holding", NOBODY, number)

        def weight(going: int, before: int) -> Decimal:
            return from_ppm(formulas.weight_now(going, before, terms.settle_at, self.chain.now))

        return Token(
            id=number,
            symbol=self.deployment.token_symbol(number),
            price=from_wad(int(seen.price)),
            price_status=self._status(seen.status),
            stable_price=from_wad(int(seen.stable)),
            initial_weight=weight(terms.initial_ppm, terms.initial_before_ppm),
            maintenance_weight=weight(terms.maintenance_ppm, terms.maintenance_before_ppm),
            total=from_wad(state.total * terms.unit),
            cap=from_wad(terms.cap * terms.unit),
            scale=from_wad(terms.scale),
            discount=from_ppm(terms.discount_ppm),
            premium=from_ppm(terms.premium_ppm),
            duration=terms.duration,
            delisted=terms.status != slots.OPEN,
        )

    def tokens(self) -> list[Token]:
        """All collateral tokens by id."""
        return [self.token(number) for number in range(len(self.deployment.token_ids))]

    def lots(self, minutes: Number = 10) -> list[Lot]:
        """The lots of the auction that are for sale, with what they cost now and in a while.

        Args:
            minutes: how much later `Lot.cost_later` is.
        """
        auction, found = self.deployment.auction, []
        for start in range(0, int(self.chain.view(auction, "lot_count")), LOTS_PER_CALL):
            found += list(self.chain.view(auction, "open_lots", start))
        return [self._lot(lot, minutes) for lot in found]

    def lot(self, lot: int, minutes: Number = 10) -> Lot:
        """A lot that is for sale.

        Raises:
            DeploymentError: if it is not, or no longer.
        """
        view = self.chain.view(self.deployment.auction, "lot", lot) if lot >= 0 else None
        if view is None or not int(view.amount):
            raise DeploymentError(f"no lot {lot} is for sale")
        return self._lot(view, minutes)

    def _lot(self, view: Any, minutes: Number) -> Lot:
        number, raw = int(view.id), int(view.amount)
        wait = int(decimal(minutes, "minutes") * 60)
        if wait < 0:
            raise DeploymentError(f"minutes: {minutes} is below zero")
        heir = address_of(view.surplus_to)
        return Lot(
            id=number,
            token=self.deployment.token_symbol(int(view.token)),
            amount=self.deployment.from_raw(raw, int(view.token)),
            cost=self._cost(number, raw, 0),
            cost_later=self._cost(number, raw, wait),
            elapsed=int(view.elapsed),
            to_insurance=from_wad(int(view.to_insurance)),
            to_pool=from_wad(int(view.to_pool)),
            surplus_to=None if heir == NOBODY else heir,
        )

    def _cost(self, lot: int, raw: int, wait: int) -> Decimal | None:
        try:
            cost = self.chain.view(self.deployment.auction, "cost_of", lot, raw, wait)
        except Reverted as error:
            if error.reason.startswith("prices:"):
                return None
            raise
        return self.deployment.from_raw(int(cost))

    def entries(self, view: Account) -> dict[str, Entry]:
        """The entry price and the funding of each position, by market, from the ``Fill`` events.

        Args:
            view: the account, from `account`.
        """
        costs: dict[int, Fraction] = {}  # [WAD^2 quote] of what is open, by market
        sizes: dict[int, int] = {}
        house = self.deployment.clearinghouse
        for event in self.chain.events(house, "Fill", self.deployment.block):
            fill = event.args
            if address_of(fill["account"]) != view.address:
                continue
            market, delta, size = (int(fill[key]) for key in ("market", "size_delta", "size"))
            before, cost = size - delta, costs.get(market, Fraction(0))
            if before * delta >= 0:
                costs[market] = cost + abs(delta) * int(fill["price"])
            elif before * size >= 0:
                costs[market] = cost * abs(size) / abs(before)
            else:  # through zero: what is open was opened by this fill
                costs[market] = Fraction(abs(size) * int(fill["price"]))
            sizes[market] = size
        found: dict[str, Entry] = {}
        for position in view.positions:
            market = self.deployment.market_id(position.market)
            price = from_wad(round(costs[market] / abs(sizes[market])))
            moved = WIDE.multiply(position.size, position.mark_price - price)
            # To the wei, as the contract's own figures are.
            found[position.market] = Entry(price, round(position.pnl - moved, 18))
        return found

    def health(self, account: Any) -> Decimal | None:
        """Equity over maintenance; None where there is nothing to maintain."""
        found = self.chain.view(self.deployment.clearinghouse, "health", address_of(account))
        return _bounded(int(found))

    def healths(self, accounts: Iterable[Any]) -> dict[str, Decimal | None]:
        """The health of each account, in few calls."""
        addresses = [address_of(a) for a in accounts]
        found: dict[str, Decimal | None] = {}
        for at in range(0, len(addresses), ACCOUNTS_PER_CALL):
            page = addresses[at : at + ACCOUNTS_PER_CALL]
            for address, health in zip(page, self._lens("healths", page), strict=True):
                found[address] = _bounded(int(health))
        return found

    def liquidatable(self, accounts: Iterable[Any]) -> list[str]:
        """Those of the accounts that anyone may liquidate now; nobody unless the venue is calm."""
        addresses = [address_of(a) for a in accounts]
        found: list[str] = []
        for at in range(0, len(addresses), ACCOUNTS_PER_CALL):
            page = addresses[at : at + ACCOUNTS_PER_CALL]
            found += [address_of(a) for a in self._lens("liquidatable", page, 0, len(page))]
        return found

    def market(self, market: str | int) -> Market:
        """A market, as of now."""
        return self._market(self._lens("market", self.deployment.market_id(market)))

    def markets(self) -> list[Market]:
        """All markets by id."""
        found: list[Market] = []
        for start in range(0, len(self.deployment.ids), PAGE):
            found += [self._market(m) for m in self._lens("markets", start, PAGE)]
        return found

    def _market(self, view: Any) -> Market:
        values = _decimals(Market, view)
        terms = view.terms
        values.update(
            id=int(view.market),
            price_status=self._status(view.price_status),
            skew_scale=from_wad(terms.skew_scale),
            im=from_ppm(terms.im_ppm),
            mm=from_ppm(terms.mm_ppm),
            taker_fee=from_ppm(terms.taker_fee_ppm),
            spread=from_ppm(terms.spread_ppm),
            liquidation_fee=from_ppm(terms.liquidation_fee_ppm),
            reward=from_wad(terms.reward),
            reduce_only=bool(terms.reduce_only),
        )
        return Market(**values)

    def pool(self) -> Pool:
        """The pool, the insurance fund and custody, as of now."""
        view = self._lens("pool")
        raw, left = ("custody", "balance"), int(view.outflow_left)
        values = _decimals(Pool, view, raw=raw, ends=self.deployment)
        now = self.chain.view(self.deployment.pool, "valuation")
        values.update(
            nav=from_wad(int(now.nav)),
            is_live=bool(now.live),
            known_nav=from_wad(int(view.nav)),
            known_at=int(view.nav_known_at),
            share=from_wad(int(view.share) - 1) if int(view.share) else None,
            outflow_left=None if left == MAX_UINT else self.deployment.from_raw(left),
        )
        return Pool(**values)

    def backstop(self) -> Backstop:
        """The pool's margin, whether winners may be deleveraged, and how far a settlement is."""
        equity, maintenance = map(int, self._of_backstop("pool_margin"))
        state = STATES[int(self._of_backstop("state"))]
        share = int(self._of_backstop("share"))
        at_least, worth, at_most = map(int, self._of_backstop("solvency"))
        declared_at = int(self._of_backstop("declared_at"))
        early = self.chain.now < declared_at + model.DOUBT_DELAY
        return Backstop(
            equity=from_wad(equity),
            maintenance=from_wad(maintenance),
            health=_bounded(formulas.health(equity, maintenance)),
            target=from_wad(int(self._of_backstop("target"))),
            at_least=from_wad(at_least),
            worth=from_wad(worth),
            at_most=from_wad(at_most),
            reason=self._no_deleveraging(),
            state=state,
            declared_at=declared_at,
            certain=(at_most if early else worth) < 0,
            certain_at=int(self._of_backstop("certain_at")),
            settled_at=int(self._of_backstop("settled_at")),
            share=from_wad(share) if state == "fixed" else None,
        )

    def _no_deleveraging(self) -> str:
        """Why nobody may be deleveraged in any market, by the contract; empty if somebody may."""
        reason = "every market is settled"
        for market in self.deployment.ids.values():
            if not self.market(market).settled:
                reason = self.preview_deleverage(STRANGER, market).reason
                if not reason.startswith("prices:"):  # else it is that market's alone
                    break
        return "" if reason == "backstop: not opposite the pool" else reason

    def preview_deleverage(self, account: Any, market: str | int) -> DeleveragePreview:
        """What a deleveraging would do now, or why it would be refused."""
        number = self.deployment.market_id(market)
        plan = self._of_backstop("preview_deleverage", address_of(account), number)
        reason = int(plan.why).to_bytes(32, "big").strip(b"\0").decode()
        values = _decimals(DeleveragePreview, plan)
        return DeleveragePreview(allowed=not reason, reason=reason, **values)

    def ranking(self, market: str | int, accounts: Iterable[Any] | None = None) -> list[Candidate]:
        """Who may be deleveraged in a market, in the order in which a keeper should take them.

        Args:
            market: name or id.
            accounts: of whom to choose; by default all that the events tell of.
        """
        number = self.deployment.market_id(market)
        addresses = _accounts(self.deployment, accounts)
        found: list[Candidate] = []
        for at in range(0, len(addresses), ACCOUNTS_PER_CALL):
            page = addresses[at : at + ACCOUNTS_PER_CALL]
            for view in self._of_backstop("rank", number, page):
                values = _decimals(Candidate, view)
                values["account"] = account = address_of(view.account)
                preview = self.preview_deleverage(account, number)
                found.append(Candidate(closed=preview.closed, reason=preview.reason, **values))
        # Each page is in order; who is equal keeps his place, as in the contract.
        return sorted(found, key=lambda candidate: -candidate.rank)

    def first_candidate(self, market: str | int) -> Candidate:
        """The first of the ranking whose deleveraging would go through.

        Raises:
            Reverted: if nobody's would, with the contract's reason.
        """
        ranked = self.ranking(market)
        for candidate in ranked:
            if not candidate.reason:
                return candidate
        nobody = self.preview_deleverage(STRANGER, market)
        raise Reverted(ranked[0].reason if ranked else nobody.reason, "deleverage")

    def preview_trade(
        self, account: Any, market: str | int, size: Number, limit: Number | None = None
    ) -> TradePreview:
        """What a trade would do now, or why it would be refused.

        Args:
            account: whose.
            market: name or id.
            size: [base] + buys, - sells.
            limit: [quote/base] the worst price to accept; any, if left out.

        Raises:
            DeploymentError: if there is no such market, or a number is none.
        """
        delta = _wad(size, "size")
        worst = _limit(delta, limit)
        number = self.deployment.market_id(market)
        view = self._lens("preview_trade", address_of(account), number, delta, worst)
        values = _decimals(TradePreview, view)
        values["liquidation_price_after"] = values["liquidation_price_after"] or None
        return TradePreview(**values)

    def preview_liquidation(self, account: Any) -> LiquidationPreview:
        """What a liquidation would do now."""
        lens = self.deployment.collateral_lens
        view = self.chain.view(lens, "preview_liquidation", address_of(account))
        return LiquidationPreview(**_decimals(LiquidationPreview, view))

    def header(self, account: Any) -> slots.Header:
        """An account's packed word, taken apart."""
        word = self.chain.view(self.deployment.clearinghouse, "header", address_of(account))
        return slots.unpack_header(int(word))

    def words(self, market: str | int) -> Words:
        """A market's packed words, taken apart."""
        number = self.deployment.market_id(market)
        w = self.chain.view(self.deployment.clearinghouse, "market_words", number)
        return Words(
            slots.unpack_terms(int(w.t0), int(w.t1), int(w.t2)),
            slots.unpack_state_a(int(w.a)),
            slots.unpack_state_b(int(w.b)),
        )

    def shock(self, account: Any, moves: Mapping[str, Number]) -> Shock:
        """Equity and health if prices moved at once, by the contract's own valuation.

        Args:
            account: whose.
            moves: fraction by market (name or id) or token, ``-0.1`` for a fall of 10 %; ``"all"``
                for the rest.

        Raises:
            DeploymentError: if a name is unknown, or the account has nothing of what it names.
            ValueError: if a price would not stay above zero.
        """
        address = address_of(account)
        rest = moves.get("all")
        wanted: dict[str, Decimal] = {}
        for m, move in moves.items():
            name = "" if m == "all" else self.deployment.priced_name(m)
            if name in wanted:
                raise DeploymentError(f"{name} is moved twice")
            if name:
                wanted[name] = decimal(move, f"{m}: move")
        prices: dict[str, tuple[Decimal, Decimal]] = {}

        def moved_from(name: str, price: int) -> int:
            move = wanted.get(name, decimal(rest, "move") if rest is not None else Decimal(0))
            moved = int(WIDE.multiply(Decimal(price), 1 + move))
            if moved <= 0:
                raise ValueError(f"{name}: a fall of {-move:%} leaves no price")
            prices[name] = (from_wad(price), from_wad(moved))
            return moved

        header = self.header(address)
        equity = after = header.cash - to_wad(self.debt(address).interest)
        before_mm = mm = 0
        for number in bits(header.bitmap):
            leg = self.chain.view(self.deployment.clearinghouse, "leg", address, number)
            price = int(leg.price)
            moved = moved_from(self.deployment.market_name(number), price)
            now, then = _value(leg, price), _value(leg, moved)
            equity, before_mm = equity + now.pnl, before_mm + now.required
            after, mm = after + then.pnl, mm + then.required
        for held in self.collateral(address):
            price, counts = to_wad(held.price), to_wad(held.maintenance)
            equity += counts
            after += counts * moved_from(held.token, price) // price
        untouched = [name for name in wanted if name not in prices]
        if untouched:
            has = ", ".join(prices) or "no position and no token"
            raise DeploymentError(f"the account has nothing of {untouched[0]}; it has {has}")
        return Shock(
            equity_before=from_wad(equity),
            health_before=_bounded(formulas.health(equity, before_mm)),
            equity=from_wad(after),
            maintenance=from_wad(mm),
            health=_bounded(formulas.health(after, mm)),
            prices=prices,
        )

    # -------------------------------------------------------------- actions

    def deposit(
        self,
        amount: Number,
        account: Any = None,
        signer: Any = None,
        token: str | int | None = None,
    ) -> Receipt:
        """Pay `amount` of the signer's into an account, his main one by default.

        Args:
            amount: of the quote, or of `token`.
            account: whose; of a token that the account has nothing of, one of the signer's own.
            signer: who pays; a mock token is minted first.
            token: collateral by symbol or id.

        Raises:
            DeploymentError: if there is no such token, the amount is nothing, or the signer has
                less of a real token.
        """
        payer, venue = self._signer(signer), self.deployment
        self._something(amount, token)
        raw = venue.provide(payer, amount, venue.clearinghouse, token)
        target = address_of(account or payer)
        return self._send("deposit", target, venue.token_address(token), raw, signer=payer)

    def withdraw(
        self,
        amount: Number,
        account: Any = None,
        receiver: Any = None,
        signer: Any = None,
        token: str | int | None = None,
    ) -> Receipt:
        """Pay `amount` out of one of the signer's accounts, to him by default.

        Args:
            amount: of the quote, or of `token`.
            account: one of the signer's; his main one by default.
            receiver: of the tokens.
            signer: who owns the account.
            token: collateral by symbol or id.

        Raises:
            DeploymentError: if there is no such token, the amount is nothing, or the account has
                less of the token.
        """
        owner, venue = self._signer(signer), self.deployment
        raw = self._something(amount, token)
        source, target = address_of(account or owner), address_of(receiver or owner)
        address = venue.token_address(token)
        if address != address_of(venue.quote):
            symbol = venue.token_symbol(token or 0)
            has = self._holding(source, venue.token_id(symbol)).amount
            if decimal(amount) > has:
                raise DeploymentError(
                    f"the account has {plain(has):f} {symbol}; {plain(decimal(amount)):f} are asked"
                )
        return self._send("withdraw", source, address, raw, target, signer=owner)

    def _something(self, amount: Number, token: str | int | None) -> int:
        raw = self.deployment.raw(amount, token)
        if not raw:
            raise DeploymentError("an amount of nothing: name one above zero")
        return raw

    def trade(
        self,
        market: str | int,
        size: Number,
        limit: Number | None = None,
        account: Any = None,
        signer: Any = None,
        slippage: Number | None = SLIPPAGE,
    ) -> Trade:
        """Buy (+) or sell (-) `size` [base] against the pool.

        Args:
            market: name or id.
            size: [base], signed.
            limit: [quote/base] the worst price to accept. If left out, the previewed price and
                `slippage` more.
            account: one of the signer's; his main one by default.
            signer: who sends it.
            slippage: fraction of the previewed price, 0 to 1; None: any price will do.

        Raises:
            DeploymentError: if there is no such market, a number is none, or nobody signs.
            Reverted: if the Clearinghouse refuses, with its reason.
        """
        owner = self._signer(signer)
        where = address_of(account or owner)
        delta = _wad(size, "size")
        if limit is None and slippage is not None:
            fraction = _decimal(slippage, "slippage")
            if not 0 <= fraction <= 1:
                raise DeploymentError(
                    f"slippage: {slippage} is no fraction from 0 to 1, such as 0.005 for 0.5 %"
                )
            preview = self.preview_trade(where, market, size)
            give = fraction * (1 if delta > 0 else -1)
            # A preview that was refused before its price is refused again, by the contract itself.
            limit = significant(preview.price * (1 + give), 18) if preview.price else None
        number = self.deployment.market_id(market)
        receipt = self._send("trade", where, number, delta, _limit(delta, limit), signer=owner)
        fill, fee = receipt.event("Fill").args, receipt.event("FeePaid").args
        return Trade(
            market=self.deployment.market_name(number),
            size_delta=from_wad(int(fill["size_delta"])),
            price=from_wad(int(fill["price"])),
            fee=from_wad(int(fee["fee"])),
            size=from_wad(int(fill["size"])),
            gas=receipt.gas,
        )

    def close(self, market: str | int, account: Any = None, signer: Any = None) -> Trade | None:
        """Close a position; None if there is none.

        Raises:
            DeploymentError: if there is no such market, or nobody signs.
            Reverted: if the Clearinghouse refuses, with its reason.
        """
        owner = self._signer(signer)
        number = self.deployment.market_id(market)
        where = address_of(account or owner)
        size = int(self.chain.view(self.deployment.clearinghouse, "leg", where, number).size)
        return self.trade(number, from_wad(-size), account=where, signer=owner) if size else None

    def liquidate(self, account: Any, signer: Any = None) -> Liquidation:
        """Liquidate an account; the reward is cash in the signer's main account.

        Raises:
            Reverted: if the Clearinghouse refuses: "liquidation: account is healthy", mostly.
        """
        receipt = self._send("liquidate", address_of(account), signer=self._signer(signer))
        return liquidations(receipt)[0]

    def liquidate_many(self, accounts: Iterable[Any], signer: Any = None) -> list[Liquidation]:
        """Liquidate those of up to 64 accounts that are below the line.

        Raises:
            DeploymentError: if there are more.
        """
        addresses = [address_of(a) for a in accounts]
        if len(addresses) > MOST_AT_ONCE:
            raise DeploymentError(f"{len(addresses)} accounts: {MOST_AT_ONCE} at most in one call")
        return liquidations(self._send("liquidate_many", addresses, signer=self._signer(signer)))

    def settle(self, account: Any, signer: Any = None) -> Decimal:
        """Move an account's net unrealised loss into its cash; anybody may.

        Returns:
            The loss [quote] that is cash now.
        """
        address = address_of(account)
        before = self.header(address).cash
        receipt = self._send("settle", address, signer=self._signer(signer))
        posted = sum(
            int(event.args["interest"])
            for event in receipt.events
            if event.name == "InterestPaid" and address_of(event.args["account"]) == address
        )
        return from_wad(before - posted - self.header(address).cash)

    def convert(self, account: Any, signer: Any = None) -> Liquidation:
        """Auction collateral for a part of a debt that is too high; anybody may, for a share."""
        address = address_of(account)
        receipt = self._send("convert_collateral", address, signer=self._signer(signer))
        return liquidations(receipt)[0]

    def deleverage(self, account: Any, market: str | int, signer: Any = None) -> Deleveraging:
        """Close of a winner's position what brings the pool back to its target; anybody may.

        Args:
            account: whose; `ranking` tells in which order.
            market: name or id.
            signer: who sends it.
        """
        number = self.deployment.market_id(market)
        receipt = self._send_to_backstop("deleverage", address_of(account), number, signer=signer)
        done = receipt.event("Deleveraged").args
        equity, maintenance = int(done["equity"]), int(done["maintenance"])
        return Deleveraging(
            account=address_of(done["account"]),
            market=self.deployment.market_name(number),
            closed=from_wad(int(done["closed"])),
            size=from_wad(int(done["size"])),
            equity=from_wad(equity),
            maintenance=from_wad(maintenance),
            health=_bounded(formulas.health(equity, maintenance)),
            gas=receipt.gas,
        )

    def report_loss(self, account: Any, signer: Any = None) -> Decimal:
        """Tell the pool what an account could not pay if it were closed now; anybody may.

        Exits from the pool leave it behind until the account is reported again.

        Returns:
            The loss [quote]; 0 takes an earlier report back.
        """
        pool, sender = self.deployment.pool, self._signer(signer)
        receipt = self.chain.send(pool, "report", address_of(account), sender=sender)
        return from_wad(int(receipt.event("LossReported").args["loss"]))

    def declare(self, signer: Any = None) -> Receipt:
        """Declare a settlement of the venue, as its pool is insolvent: claims on quote wait.

        Once more: whether that is certain by now, which begins the hour, or no longer.
        """
        return self._send_to_backstop("declare", signer=signer)

    def call_off(self, signer: Any = None) -> Receipt:
        """Call a declaration off: the pool is solvent without doubt, or nine days have passed."""
        return self._send_to_backstop("call_off", signer=signer)

    def settle_markets(self, *markets: str | int, signer: Any = None) -> list[str]:
        """Settle these markets, or all, for good: an hour after the pool is insolvent for certain.

        A week after the declaration what is in doubt is settled, too: see `Backstop.settles_from`.

        Returns:
            The names of those that were not settled before.
        """
        ids = [self.deployment.market_id(m) for m in markets or self.deployment.names]
        settled = []
        for at in range(0, len(ids), PAGE):
            receipt = self._send_to_backstop("settle", ids[at : at + PAGE], signer=signer)
            settled += [e.args["market"] for e in receipt.events if e.name == "MarketSettled"]
        return [self.deployment.market_name(int(number)) for number in settled]

    def close_settled(
        self, market: str | int, accounts: Iterable[Any] | None = None, signer: Any = None
    ) -> list[str]:
        """Close positions in a settled market at its price, without a fee; anybody may.

        Args:
            market: name or id.
            accounts: whose; by default everybody's.
            signer: who sends it.

        Returns:
            Whose were closed.
        """
        number = self.deployment.market_id(market)
        among = _accounts(self.deployment, accounts)
        holders = [a for a in among if self.header(a).bitmap >> number & 1]
        closed: list[str] = []
        for at in range(0, len(holders), ACCOUNTS_PER_CALL):
            page = holders[at : at + ACCOUNTS_PER_CALL]
            receipt = self._send_to_backstop("close_settled", number, page, signer=signer)
            fills = (event for event in receipt.events if event.name == "Fill")
            closed += [address_of(event.args["account"]) for event in fills]
        return closed

    def fix(self, signer: Any = None) -> Decimal:
        """Fix the share of each claim, once everybody is flat and lots are sold.

        Returns:
            The share.
        """
        receipt = self._send_to_backstop("fix", signer=signer)
        return from_wad(int(receipt.event("ShareFixed").args["share"]))

    def poke_token(self, token: str | int, signer: Any = None) -> Receipt:
        """Keep a token's price, or report that its feed is dead."""
        address = address_of(self.deployment.tokens[self.deployment.token_symbol(token)])
        return self._send("poke_token", address, signer=self._signer(signer))

    def tick(self, lot: int, signer: Any = None) -> Receipt:
        """Let a lot's clock see that its feed is live."""
        auction = self.deployment.auction
        return self.chain.send(auction, "tick", lot, sender=self._signer(signer))

    def buy_collateral(
        self,
        lot: int,
        amount: Number | None = None,
        max_cost: Number | None = None,
        receiver: Any = None,
        signer: Any = None,
        slippage: Number = SLIPPAGE,
    ) -> Purchase:
        """Buy some of a lot, or all that is left of it, at its price of now.

        Args:
            lot: its id, as `lots` gives it.
            amount: of the lot's token; all by default.
            max_cost: [quote] the most to pay. If left out, the cost of now and `slippage` more.
            receiver: of the tokens; the signer by default.
            signer: who pays, with quote of his wallet; a mock is minted.
            slippage: fraction of the cost of now.

        Raises:
            DeploymentError: if the lot is not for sale, or the amount is nothing or more than all.
        """
        buyer, venue = self._signer(signer), self.deployment
        found = self.lot(lot, 0)
        wanted = found.amount if amount is None else amount
        raw = self._something(wanted, found.token)
        if decimal(wanted) > found.amount:
            raise DeploymentError(
                f"lot {lot} has {plain(found.amount):f} {found.token} left; "
                f"{plain(decimal(wanted)):f} are asked"
            )
        # Without a live price the contract refuses, and says why.
        cost = self._cost(lot, raw, 0) or Decimal(0)
        if max_cost is None:
            most = venue.raw(_up(cost * (1 + decimal(slippage, "slippage")), venue))
        else:
            most = venue.raw(max_cost)
        venue.provide(buyer, cost, venue.auction)
        target = address_of(receiver or buyer)
        receipt = self.chain.send(
            venue.auction, "buy_collateral", lot, raw, most, target, sender=buyer
        )
        sold = receipt.event("LotSold").args
        return Purchase(
            lot=lot,
            token=found.token,
            amount=venue.from_raw(int(sold["amount"]), found.token),
            cost=venue.from_raw(int(sold["cost"])),
            left=venue.from_raw(int(sold["left"]), found.token),
            gas=receipt.gas,
        )

    # -------------------------------------------------------------- inside

    def _signer(self, signer: Any) -> Any:
        found = signer or self.signer
        if found is None:
            raise DeploymentError("nobody to sign: name a signer")
        return found

    def _lens(self, method: str, *args: Any) -> Any:
        return self.chain.view(self.deployment.lens, method, *args)

    def _of_backstop(self, method: str, *args: Any) -> Any:
        return self.chain.view(self.deployment.backstop, method, *args)

    def _send_to_backstop(self, method: str, *args: Any, signer: Any) -> Receipt:
        sender = self._signer(signer)
        return self.chain.send(self.deployment.backstop, method, *args, sender=sender)

    def _send(self, method: str, *args: Any, signer: Any) -> Receipt:
        return self.chain.send(self.deployment.clearinghouse, method, *args, sender=signer)

    def _status(self, status: int) -> str:
        return formulas.PRICE_REASONS.get(int(status), "live")


def liquidations(receipt: Receipt) -> list[Liquidation]:
    """The liquidations of a transaction, in order."""
    found = []
    closed: dict[str, int] = {}
    debts: dict[str, tuple[int, int]] = {}
    opened: list[tuple[int, str, int]] = []  # lot, whose surplus, [WAD quote] credited
    for event in receipt.events:
        args = event.args
        if event.name == "Fill":
            closed[args["account"]] = closed.get(args["account"], 0) + 1
        elif event.name == "BadDebt":
            debts[args["account"]] = (int(args["from_insurance"]), int(args["from_pool"]))
        elif event.name == "LotOpened":  # before the `Liquidated` of the account it is from
            due = int(args["to_insurance"]) + int(args["to_pool"])
            opened.append((int(args["lot"]), address_of(args["surplus_to"]), due))
        elif event.name == "Liquidated":
            account = args["account"]
            from_insurance, from_pool = debts.pop(account, (0, 0))
            # What tokens without a price may bring is their owner's, and repays his `BadDebt`.
            fund = address_of(event.contract)
            seized = sum(due for _, heir, due in opened if heir == fund)
            found.append(
                Liquidation(
                    account=address_of(account),
                    keeper=address_of(args["keeper"]),
                    closed=closed.pop(account, 0),
                    equity=from_wad(int(args["equity"])),
                    maintenance=from_wad(int(args["maintenance"])),
                    notional=from_wad(int(args["notional"])),
                    charged=from_wad(int(args["charged"])),
                    reward=from_wad(int(args["reward"])),
                    debt_to_insurance=from_wad(from_insurance),
                    debt_to_pool=from_wad(from_pool),
                    seized=from_wad(seized),
                    lots=tuple(lot for lot, _, _ in opened),
                    gas=receipt.gas,
                )
            )
            opened = []
    return found


# ------------------------------------------------------------------ conservation


@dataclass(frozen=True)
class SizeSum:
    """LED-2 of one market: the sizes of all accounts, the pool too, sum to zero [WAD base]."""

    market: str
    longs: int
    shorts: int
    pool: int

    @property
    def difference(self) -> int:
        """Zero, or something is very wrong."""
        return self.longs + self.shorts + self.pool


@dataclass(frozen=True)
class TokenSum:
    """LED-4 of one collateral token: all balances, lots for sale included, are its total [raw]."""

    token: str
    held: int
    total: int
    balance: int  # what the token says; strays included
    unit: int  # [WAD base] of one raw unit

    @property
    def difference(self) -> int:
        """Zero, or something is very wrong."""
        return self.held - self.total


@dataclass(frozen=True)
class Conservation:
    """LED-2 of every market, LED-3, and LED-4 of every token, over stored values [WAD]."""

    sizes: tuple[SizeSum, ...]
    accounts: int  # how many were summed, the pool and the insurance fund among them
    cash: int
    basis: int
    custody: int
    balance: int  # what the token says; strays included
    tokens: tuple[TokenSum, ...] = ()

    @property
    def difference(self) -> int:
        """LED-3: sum of cash less sum of basis less custody; zero."""
        return self.cash - self.basis - self.custody

    @property
    def holds(self) -> bool:
        """Whether every difference is zero and the tokens cover what is held."""
        sizes_agree = all(s.difference == 0 for s in self.sizes)
        tokens_agree = all(t.difference == 0 and t.total <= t.balance for t in self.tokens)
        covered = self.custody <= self.balance
        return sizes_agree and tokens_agree and self.difference == 0 and covered


def known_accounts(deployment: Deployment) -> list[str]:
    """Every account that ever held cash or tokens, by the Clearinghouse's events."""
    chain, house = deployment.chain, deployment.clearinghouse
    names = ("CashMoved", "TokenMoved") if deployment.token_ids else ("CashMoved",)
    events = (event for name in names for event in chain.events(house, name, deployment.block))
    return list(dict.fromkeys(address_of(event.args["account"]) for event in events))


def _accounts(deployment: Deployment, accounts: Iterable[Any] | None) -> list[str]:
    """The addresses of these accounts, or of all that the events tell of."""
    if accounts is None:
        return known_accounts(deployment)
    return [address_of(a) for a in accounts]


def conservation(deployment: Deployment, accounts: Iterable[Any] | None = None) -> Conservation:
    """Add up what the Clearinghouse has stored, to the wei.

    Args:
        deployment: where.
        accounts: all that ever held anything; by default those that the events tell of. The pool,
            the insurance fund and, if there is collateral, the auction are added.
    """
    chain, house = deployment.chain, deployment.clearinghouse
    system = [address_of(deployment.pool), deployment.insurance]
    if deployment.token_ids:
        system.append(address_of(deployment.auction))
    everyone = list(dict.fromkeys([*_accounts(deployment, accounts), *system]))
    client = Client(deployment)
    held = [0] * len(deployment.token_ids)
    longs, shorts = [0] * len(deployment.ids), [0] * len(deployment.ids)
    cash = basis = 0
    for account in everyone:
        header = client.header(account)
        cash += header.cash
        for number in bits(header.bitmap):
            leg = chain.view(house, "leg", account, number)
            basis += int(leg.basis)
            side = longs if leg.size > 0 else shorts
            side[number] += int(leg.size)
        if header.flags & model.HAS_TOKENS:
            word, _ = chain.view(house, "backing", account)
            for number in bits(slots.unpack_backing(int(word))[0]):
                held[number] += int(chain.view(house, "holding", account, number).own)
    custody = int(chain.view(house, "globals").custody)
    balance = int(chain.view(deployment.quote, "balanceOf", address_of(house)))
    unit = int(chain.view(house, "settings").unit)
    return Conservation(
        sizes=tuple(
            # The pool's size is minus the stored skew (LED-5).
            SizeSum(name, longs[number], shorts[number], -client.words(number).a.skew)
            for number, name in enumerate(deployment.names)
        ),
        accounts=len(everyone),
        cash=cash,
        basis=basis,
        custody=custody * unit,
        balance=balance * unit,
        tokens=tuple(
            TokenSum(symbol, held[number], *_booked(deployment, symbol))
            for number, symbol in enumerate(deployment.symbols)
        ),
    )


def _booked(deployment: Deployment, symbol: str) -> tuple[int, int, int]:
    """What the Clearinghouse has of a token by its own books and by the token's, and the unit."""
    chain, house = deployment.chain, deployment.clearinghouse
    words = chain.view(house, "token_words", deployment.token_id(symbol))
    balance = chain.view(deployment.tokens[symbol], "balanceOf", address_of(house))
    unit = 10 ** (18 - deployment.table.coin(symbol).decimals)
    return slots.unpack_token_state(int(words[3])).total, int(balance), unit


# ------------------------------------------------------------------ inside


def _value(leg: Any, price: int) -> formulas.Value:
    """A leg at a price, by the contract's valuation for maintenance."""
    terms = slots.unpack_terms(int(leg.t0), int(leg.t1), 0)
    return formulas.value(
        int(leg.size),
        int(leg.basis),
        price,
        int(leg.index),
        terms.mm_ppm,
        terms.skew_scale,
        terms.reward,
    )


def bits(bitmap: int) -> list[int]:
    """The places of the bits that are set."""
    return [number for number in range(bitmap.bit_length()) if bitmap >> number & 1]


def _ratio(part: Decimal, whole: Decimal) -> Decimal:
    return WIDE.divide(part, whole) if whole else Decimal(0)


def _up(amount: Decimal, venue: Deployment) -> Decimal:
    """An amount of quote, rounded up to what its token can say."""
    step = Decimal(1).scaleb(-venue.table.quote.decimals)
    return amount.quantize(step, rounding=ROUND_CEILING, context=WIDE)


def _bounded(wad: int) -> Decimal | None:
    return None if wad == MAX_UINT else from_wad(wad)


def _decimal(value: Number, what: str) -> Decimal:
    try:
        return decimal(value, what)
    except ValueError as error:
        raise DeploymentError(str(error)) from None


def _wad(value: Number, what: str) -> int:
    try:
        wad = to_wad(value, what)
    except ValueError as error:
        raise DeploymentError(str(error)) from None
    if abs(wad) > MAX_INT:
        raise DeploymentError(f"{what}: {value} is too large")
    return wad


def _limit(delta: int, limit: Number | None) -> int:
    if limit is None:
        return MAX_UINT if delta > 0 else 0
    # Toward the trader: never worse than what he typed.
    exact = _decimal(limit, "limit").scaleb(18, WIDE)
    whole = int(exact)
    if exact < 0 or whole >= MAX_UINT:
        raise DeploymentError(f"limit: {limit} is {'below zero' if exact < 0 else 'too large'}")
    return whole if delta > 0 or whole == exact else whole + 1


def _decimals(
    cls: type[Any], view: Any, raw: tuple[str, ...] = (), ends: Deployment | None = None
) -> dict[str, Any]:
    """The fields that `cls` and a struct of the Lens share: WADs as decimals, boundless as None."""
    found: dict[str, Any] = {}
    for f in fields(cls):
        if not hasattr(view, f.name):
            continue
        value, kind = getattr(view, f.name), str(f.type)
        if f.name in raw and ends is not None:
            found[f.name] = unscaled(int(value), ends.table.quote.decimals)
        elif kind.startswith("Decimal"):
            found[f.name] = _bounded(int(value))
        elif kind == "bool":
            found[f.name] = bool(value)
        elif kind == "int":
            found[f.name] = int(value)
        elif kind == "str":
            found[f.name] = str(value)
    return found
