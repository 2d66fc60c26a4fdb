"""The reference model: what the contracts do, in plain Python integers.

It is written to be read as a specification and compared with the contracts bit by bit: the same
rounding, the same refusals in the same order and words, the same events, the same return values.
Its arithmetic is `plimsoll.formulas`, what it asks of terms `plimsoll.rules`, what it tells
`plimsoll.events`; here is the `Model`, a whole deployment with its accounts, markets, feeds, tokens
and clock.

Units are those of `plimsoll.formulas`, addresses lower-case hexadecimal strings. Requirement ids
(``MGN-7``) are those of the specification.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from plimsoll import slots
from plimsoll.events import (
    Approval,
    BadDebt,
    CalmSet,
    CashMoved,
    CollateralListed,
    CollateralReconfigured,
    CreditReconfigured,
    Deleveraged,
    Deposit,
    Deposited,
    FeePaid,
    Filled,
    GuardianSet,
    InterestPaid,
    Liquidated,
    LossReported,
    LotClosed,
    LotOpened,
    LotOwes,
    LotSold,
    LotWrittenOff,
    MarketConfigured,
    MarketDelisted,
    MarketListed,
    MarketMoved,
    MarketPaused,
    MarketReconfigured,
    MarketSettled,
    NavKnown,
    OperatorSet,
    RampEnded,
    RampStarted,
    RedeemRequest,
    RequestKept,
    Settled,
    SettlementBegun,
    SettlementCalledOff,
    SettlementDeclared,
    ShareFixed,
    TokenMoved,
    Transfer,
    Withdraw,
    Withdrawn,
)
from plimsoll.formulas import (
    DAY,
    HOUR,
    LIVE,
    MAX_UINT,
    NOT_POSITIVE,
    OUT_OF_BOUNDS,
    PPM,
    PRICE_REASONS,
    RAMP,
    Answer,
    Bill,
    Fill,
    Refused,
    Value,
    accrue,
    auction_cost,
    ceil_div,
    equity,
    fewest,
    fill,
    fill_price,
    fits_signed,
    fits_word,
    floor_div,
    follow,
    grown_index,
    health,
    interest_on,
    interest_rate,
    judge_price,
    live_seconds,
    no_worse,
    notional,
    only_reduces,
    opening_value,
    require,
    scaled,
    seizure_credit,
    split,
    taker_fee,
    unposted,
    value,
    weighed,
    weight_now,
)
from plimsoll.rules import (
    MAX_TOKENS,
    STEP,
    check_collateral,
    check_credit,
    check_step,
    check_terms,
    ramped,
)
from plimsoll.slots import (
    OPEN,
    SETTLED,
    WAD,
    Book,
    CollateralTerms,
    CreditTerms,
    Debts,
    Header,
    Position,
    Ramp,
    StateA,
    StateB,
    Terms,
    TokenState,
    TokenTerms,
    Unpacked,
)

NOWHERE = "0x" + "00" * 20
MAX_LEGS = 32  # positions of one account
MAX_MARKETS = 128
MAX_BATCH = 64  # accounts in one `liquidate_many`
MAX_SURGE_PPM = 2**20 - 1
MAX_CUSTODY = 2**100  # [WAD quote]
WRITE_OFF_AFTER = 30 * DAY  # [s] since a lot's feed was seen live
HAS_TOKENS = 1  # a header's flag
NAV_MAX_AGE = DAY  # [s]
VIRTUAL_SHARES = 10**6  # of the pool, beside one raw unit of the quote: nobody's
NEAR_MARGIN = 2  # times its maintenance: with less the pool is near a deleveraging
CLAIM_WINDOW = 2 * DAY  # [s]
MIN_NOTICE, MAX_NOTICE = 3 * DAY, 30 * DAY  # [s] of a ramp, and of a settlement
GRACE = 3_600  # [s] after a freeze
BETWEEN_FREEZES = 3 * DAY  # [s]


class Settings(NamedTuple):
    """Fixed at deployment; the fields of ``IClearinghouse.Settings``."""

    quote: str
    unit: int  # [WAD quote] of one raw unit of the quote token
    pool: str
    configurator: str
    auction: str
    keeper_share_ppm: int
    insurance_share_ppm: int
    profit_weight_ppm: int
    max_pool_leverage_ppm: int
    top_up_per_block: int  # [WAD quote]
    backstop: str
    sequencer: str = NOWHERE  # its guard; nowhere: none
    stable_speed_ppm: int = 60_000  # of a stable price, an hour
    outflow_ppm: int = 0  # of the quote held, that may leave in an hour; 0: no limit
    outflow_floor: int = 0  # [raw] that always may


NOT_DECLARED, DECLARED, SETTLING, FIXED = range(4)  # states of a global settlement (LIQ-11)
SETTLE_DELAY = HOUR  # [s] from when the hole is declared to be certain to the first settlement
DOUBT_DELAY = 7 * DAY  # [s] from the declaration to that of whatever is in doubt
DECLARATION_LAPSE = 9 * DAY  # [s] until it can be called off in any case
PATIENCE = 30 * DAY  # [s] for lots that owe the pool to be sold


class Settlement(NamedTuple):
    """The Backstop's storage."""

    state: int = NOT_DECLARED
    declared_at: int = 0
    certain_at: int = 0
    settled_at: int = 0
    share: int = 0  # [WAD]


class Plan(NamedTuple):
    """What a deleveraging would do; ``IBackstop.Plan``."""

    why: int = 0  # or its reason's bytes as a number
    closed: int = 0  # [WAD base]
    price: int = 0
    equity: int = 0  # [WAD quote] the pool's
    maintenance: int = 0  # [WAD quote] the pool's
    maintenance_after: int = 0


class Candidate(NamedTuple):
    """Who may be deleveraged; ``IBackstop.Candidate``."""

    account: str
    size: int
    pnl: int  # [WAD quote] of the position
    notional: int  # [WAD quote] of the position
    equity: int  # [WAD quote] of the account
    exposure: int  # [WAD quote] of the account
    rank: int  # [WAD]


class LotsWorth(NamedTuple):
    """What lots bring at the least; ``ICollateralAuction.worth`` [WAD quote]."""

    by_live: int  # the pool, from live ones
    by_others: int  # the pool, from dead ones, and from any beyond their own dues
    live: int  # anybody
    dead: int


class Valuation(NamedTuple):
    """The pool's account; ``ILiquidityPool.Valuation``."""

    nav: int  # [WAD quote]
    spread: int  # [WAD quote]
    due: int  # [WAD quote] on its way: interest not posted, lots not sold
    sure: int  # [WAD quote] of that, interest, and what live lots bring at the least
    doubtful: int  # [WAD quote] reported losses beyond the insurance fund
    live: bool

    @property
    def stays(self) -> int:
        """The NAV that an exit is priced at [WAD quote]."""
        return self.nav + self.sure - self.doubtful


class Request(NamedTuple):
    """A redemption that waits; ``ILiquidityPool.Request``."""

    shares: int = 0
    worth: int = 0  # [WAD quote] when requested
    claimable_at: int = 0  # [unix s]


class Market(NamedTuple):
    """A market's storage."""

    words: tuple[int, int, int] = (0, 0, 0)
    a: StateA = StateA()
    b: StateB = StateB()


class Leg(NamedTuple):
    """A market as of now, and one account's position in it; ``IClearinghouse.Leg``."""

    id: int
    t0: int
    t1: int
    size: int
    basis: int
    price: int
    status: int
    funding_index: int
    rate: int
    surge_ppm: int
    skew: int
    lots: int
    last_price: int
    state_b: int  # packed, as stored


class Token(NamedTuple):
    """A collateral token's storage."""

    address: str = NOWHERE
    words: tuple[int, int, int] = (0, 0, 0)
    state: TokenState = TokenState()


class Holding(NamedTuple):
    """A token as of now, and what one account has of it; ``IClearinghouse.Holding``."""

    id: int
    own: int  # [raw]
    unit: int  # [WAD base]
    price: int
    stable: int
    status: int
    maintenance: int  # [WAD quote]
    initial: int  # [WAD quote]
    kept_ppm: int
    credit: int  # [WAD quote]
    fading: bool  # dead, and no answer of its feed is newer than the report of it


class Backing(NamedTuple):
    """All holdings of one account [WAD quote]."""

    maintenance: int = 0
    initial: int = 0
    credit: int = 0  # of live tokens
    dead: int = 0  # what dead tokens would be credited with at their last known prices


class Sale(NamedTuple):
    """What a seizure of live tokens came to [WAD quote]."""

    credit: int
    from_insurance: int
    fee: int
    share: int  # of the fee, to the keeper


class Lot(NamedTuple):
    """A seizure for sale; ``ICollateralAuction.Lot``."""

    id: int = 0
    token: int = 0
    amount: int = 0  # [raw]
    elapsed: int = 0  # [s]
    seen_at: int = 0
    live_until: int = 0
    to_insurance: int = 0  # [WAD quote]
    to_pool: int = 0  # [WAD quote]
    surplus_to: str = NOWHERE
    first: int = 0  # of its seizure

    @property
    def sold(self) -> Lot:
        """What is left of it: what it did not bring."""
        return self._replace(token=0, amount=0, elapsed=0, seen_at=0, live_until=0)


def repaid(lot: Lot, paid: int, unit: int) -> tuple[Lot, int, int]:
    """A lot once `paid` [raw] went to its dues: the fund's, then the pool's, to the unit above.

    Returns:
        The lot, to the fund [raw], to the pool [raw].
    """
    for_insurance = min(paid, ceil_div(lot.to_insurance, unit))
    for_pool = min(paid - for_insurance, ceil_div(lot.to_pool, unit))
    left = lot._replace(
        to_insurance=max(lot.to_insurance - for_insurance * unit, 0),
        to_pool=max(lot.to_pool - for_pool * unit, 0),
    )
    return left, for_insurance, for_pool


def shared_out(row: Sequence[Lot], spare: int, brings: Sequence[int]) -> tuple[int, int]:
    """What the pool gets of `spare` for what lots lack, the fund's part of each first.

    Returns:
        For lots for sale, for sold ones [WAD quote].
    """
    shares = [0, 0]
    for lot, brought in zip(row, brings, strict=True):
        for_fund = min(spare, max(lot.to_insurance - brought, 0))
        lacks = max(lot.to_pool - max(brought - lot.to_insurance, 0), 0)
        for_pool = min(spare - for_fund, lacks)
        spare -= for_fund + for_pool
        shares[not lot.amount] += for_pool
    return shares[0], shares[1]


def last_worth(held: Holding, amount: int) -> int:
    """What so much [raw] of a token is worth at its last price [WAD quote]."""
    return floor_div(amount * held.unit * held.price, WAD)


def known_worth(held: Holding, amount: int) -> int:
    """The same; of a dead one no less than at its stable price: it may have died of a wrong one."""
    price = held.price if held.status == LIVE else max(held.price, held.stable)
    return floor_div(amount * held.unit * price, WAD)


def at_the_floor(held: Holding, amount: int) -> int:
    """The same, less the discount of a seizure: what an auction brings at the least."""
    return floor_div(known_worth(held, amount) * held.kept_ppm, PPM)


class Sum(NamedTuple):
    """The legs of one account [WAD quote]."""

    pnl: int = 0
    opening_pnl: int = 0  # the same, for opening and withdrawing
    maintenance: int = 0
    initial: int = 0
    legs: int = 0
    dead: bool = False


MAX_GRACE = DAY  # [s] that a SequencerGuard takes


class Sequencer(NamedTuple):
    """A sequencer's uptime feed, if there is one, and the grace after a restart (LIQ-8)."""

    exists: bool = False
    answer: int = 0  # 0 is up
    since: int = 0  # [unix s]
    answers: bool = True
    grace: int = HOUR  # [s]

    def is_up(self, now: int) -> bool:
        """Whether it is up and was for the grace; one that does not answer is not asked."""
        if not self.exists or not self.answers:
            return True
        age = now - self.since
        # A clock that is ahead by no more than the longest grace has begun one now.
        return self.answer == 0 and not -MAX_GRACE <= age < self.grace


@dataclass
class Feed:
    """A price feed.

    Attributes:
        mode: ``ok``, or how it fails: ``revert``, ``burn`` (all its gas), ``short`` (cut off).
    """

    decimals: int
    answer: int
    updated_at: int
    mode: str = "ok"

    def read(self) -> Answer | None:
        """What a gas-capped call of ``latestRoundData`` brings."""
        return Answer(self.answer, self.updated_at) if self.mode == "ok" else None


@functools.lru_cache(maxsize=4096)
def terms_of(words: tuple[int, int, int]) -> Unpacked:
    """A market's words of terms, read."""
    return slots.unpack_terms(*words)


@functools.lru_cache(maxsize=4096)
def token_terms_of(words: tuple[int, int, int]) -> TokenTerms:
    """A token's words of terms, read."""
    return slots.unpack_token(*words)


@functools.lru_cache(maxsize=1024)
def market_now(id: int, stored: Market, said: Answer | None, now: int) -> Leg:
    """A market as of now, with nobody's position in it."""
    terms = terms_of(stored.words)
    price, status = judge_price(said, terms, stored.a.last_price, stored.b.touched_at, now)
    index, rate, surge_ppm = stored.b.funding_index, stored.b.rate, stored.b.surge_ppm
    elapsed = now - stored.b.touched_at
    if elapsed:
        surge_ppm = 0
        index, rate = accrue(
            index,
            rate,
            stored.a.skew,
            terms.skew_scale,
            terms.max_velocity_ppm,
            terms.max_rate_ppm,
            terms.max_price,
            price,
            elapsed,
        )
    return Leg(
        id=id,
        t0=stored.words[0],
        t1=stored.words[1],
        size=0,
        basis=0,
        price=price,
        status=status,
        funding_index=index,
        rate=rate,
        surge_ppm=surge_ppm,
        skew=stored.a.skew,
        lots=stored.a.lots,
        last_price=stored.a.last_price,
        state_b=slots.pack_state_b(stored.b),
    )


def exposed(lots: int, skew: int, price: int) -> int:
    """A market's open interest at `price`, rounded down [WAD quote]."""
    return floor_div(slots.open_interest(lots, skew) * price, WAD)


Method = TypeVar("Method", bound=Callable[..., Any])


def atomic(method: Method) -> Method:
    """A call that is refused leaves no trace."""

    @functools.wraps(method)
    def wrapper(self: Model, *args: Any, **kwargs: Any) -> Any:
        saved = self.save()
        try:
            return method(self, *args, **kwargs)
        except Refused:
            self.load(saved)
            raise

    return wrapper  # type: ignore[return-value]


@dataclass
class Model:
    """A deployment of Plimsoll.

    All state is in dictionaries of immutable values, so that a copy of it is cheap. A call takes
    its sender first, returns what the contract returns, appends to `events`, or raises `Refused`.
    """

    address: str  # of the Clearinghouse, whose own account is the insurance fund
    settings: Settings
    owner: str = NOWHERE  # of the Configurator
    cooldown: int = DAY  # [s] from a request to its claim
    target: int = 11 * WAD // 10  # [WAD] the pool's health that deleveraging restores
    now: int = 0
    block_number: int = 0
    headers: dict[str, Header] = field(default_factory=dict)
    positions: dict[tuple[str, int], Position] = field(default_factory=dict)
    markets: dict[int, Market] = field(default_factory=dict)
    book: Book = Book()
    custody: int = 0  # [raw]
    share: int = 0  # in a settlement: 1 + the share of each claim that is paid [WAD]
    least_held: tuple[int, int] = (0, 0)  # hour, [raw] quote that is held to its end
    topped_up: tuple[int, int] = (0, 0)  # block, [WAD quote] paid in it
    settlement: Settlement = Settlement()
    sequencer: Sequencer = Sequencer()
    feeds: dict[str, Feed] = field(default_factory=dict)
    balances: dict[tuple[str, str], int] = field(default_factory=dict)  # [raw] by token, owner
    # Of every token and the pool's shares: by token, owner, spender.
    allowances: dict[tuple[str, str, str], int] = field(default_factory=dict)
    listed: list[tuple[str, Terms]] = field(default_factory=list)  # the Configurator's markets
    ramps: dict[int, Ramp] = field(default_factory=dict)  # of markets whose terms are on their way
    paused_until: dict[int, int] = field(default_factory=dict)  # [unix s] of each market
    settles_at: dict[int, int] = field(default_factory=dict)  # [unix s] of markets delisted
    feed_decimals: dict[int, int] = field(default_factory=dict)  # of each market, when set
    guardian: str = NOWHERE
    calm_from: int = 0  # [unix s] the last freeze's end, grace included
    debts: Debts = Debts()
    scaled_debt: int = 0  # the sum over debtors of their debt over its index
    credit_terms: CreditTerms = CreditTerms()
    debt_indices: dict[str, int] = field(default_factory=dict)  # of each debtor, when posted
    tokens: dict[int, Token] = field(default_factory=dict)  # collateral, by id
    held: dict[tuple[str, int], int] = field(default_factory=dict)  # [raw] by account, token id
    collateral: list[CollateralTerms] = field(default_factory=list)  # the Configurator's
    decimals: dict[str, int] = field(default_factory=dict)  # of the tokens that exist
    lots: list[Lot] = field(default_factory=list)  # of the auction
    # By a seizure's first lot: of others for sale, of sold ones [WAD quote].
    awaited: dict[int, tuple[int, int]] = field(default_factory=dict)
    supply: int = 0  # [shares] of the pool
    shares: dict[str, int] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)  # by controller
    operators: set[tuple[str, str]] = field(default_factory=set)  # (controller, operator)
    losses: dict[str, int] = field(default_factory=dict)  # [WAD quote] reported, by account
    events: list[tuple[str, Any]] = field(default_factory=list)  # who emitted what

    def save(self) -> tuple[Any, ...]:
        """Everything that a call can change."""
        return (
            self.headers.copy(),
            self.positions.copy(),
            self.markets.copy(),
            self.book,
            self.custody,
            self.share,
            self.least_held,
            self.topped_up,
            self.settlement,
            self.balances.copy(),
            self.allowances.copy(),
            self.listed.copy(),
            self.ramps.copy(),
            self.paused_until.copy(),
            self.settles_at.copy(),
            self.feed_decimals.copy(),
            self.guardian,
            self.calm_from,
            self.debts,
            self.scaled_debt,
            self.credit_terms,
            self.debt_indices.copy(),
            self.tokens.copy(),
            self.held.copy(),
            self.collateral.copy(),
            self.lots.copy(),
            self.awaited.copy(),
            self.supply,
            self.shares.copy(),
            self.requests.copy(),
            self.operators.copy(),
            self.losses.copy(),
            len(self.events),
        )

    def _emit(self, emitter: str, event: Any) -> None:
        self.events.append((emitter, event))

    def load(self, saved: tuple[Any, ...]) -> None:
        """Back to what `save` gave."""
        (
            self.headers,
            self.positions,
            self.markets,
            self.book,
            self.custody,
            self.share,
            self.least_held,
            self.topped_up,
            self.settlement,
            self.balances,
            self.allowances,
            self.listed,
            self.ramps,
            self.paused_until,
            self.settles_at,
            self.feed_decimals,
            self.guardian,
            self.calm_from,
            self.debts,
            self.scaled_debt,
            self.credit_terms,
            self.debt_indices,
            self.tokens,
            self.held,
            self.collateral,
            self.lots,
            self.awaited,
            self.supply,
            self.shares,
            self.requests,
            self.operators,
            self.losses,
            events,
        ) = saved
        del self.events[events:]

    # -------------------------------------------------------------- money

    @atomic
    def deposit(self, sender: str, account: str, token: str, amount_raw: int) -> int:
        """Credit `account` with what arrives of `amount_raw` from the sender (ACC-6, LED-9)."""
        require(amount_raw != 0, "ledger: zero amount")
        if token == self.settings.quote:
            by_peer = sender in (self.settings.pool, self.settings.auction)
            if account != self.address and not (account == self.settings.pool and by_peer):
                self._check_trader(account)
            helps = account == self.address or self.header_of(account).cash < 0
            helps = helps or sender == self.settings.auction
            require(self.share == 0 or helps, "deposit: in a settlement")
            self._least_of_hour()
            self._transfer_from(token, self.address, sender, self.address, amount_raw)
            require(
                self.custody + amount_raw <= MAX_CUSTODY // self.settings.unit,
                "ledger: deposit too large",
            )
            self.custody += amount_raw
            self._add_cash(account, amount_raw * self.settings.unit)
        else:
            self._check_trader(account)
            id = self._token_id(token)
            if not self.held.get((account, id)):
                self._check_owner(sender, account)
            self._receive(sender, account, id, amount_raw)
        self._emit(self.address, Deposited(account, token, sender, amount_raw))
        return amount_raw

    @atomic
    def deposit_with_permit(
        self, sender: str, account: str, token: str, amount_raw: int, *permit: Any
    ) -> int:
        """`deposit`, whatever becomes of the permit: no token here knows any (ACC-6)."""
        return self.deposit(sender, account, token, amount_raw)

    def _receive(self, sender: str, account: str, id: int, amount_raw: int) -> None:
        """Take a collateral token at a live price and below its cap (COL-1)."""
        token = self.tokens[id]
        terms = token_terms_of(token.words)
        holding = self.holding(account, id)
        require(holding.status == LIVE, PRICE_REASONS.get(holding.status, ""))
        require(terms.status == OPEN, "collateral: being delisted")
        self._transfer_from(token.address, self.address, sender, self.address, amount_raw)
        total = token.state.total + amount_raw
        require(total <= terms.cap, "caps: collateral")
        self._set_balance(account, id, holding.own + amount_raw)
        self._store_token(holding, total)

    @atomic
    def withdraw(
        self, sender: str, account: str, token: str, amount_raw: int, receiver: str
    ) -> None:
        """Debit `account`, which keeps its initial margin, paper profits apart (MGN-5, MGN-7)."""
        self._check_owner(sender, account)
        require(amount_raw != 0, "ledger: zero amount")
        require(receiver not in (NOWHERE, self.address), "withdraw: bad receiver")
        header = self._post(account)
        trader = account != self.settings.pool
        sent = amount_raw
        if token == self.settings.quote:
            amount = amount_raw * self.settings.unit
            sent = self._paid(amount_raw)
            require(sent <= self.custody, "margin: not enough cash")
            require(not trader or header.cash >= amount, "margin: not enough cash")
            require(sent != 0, "withdraw: settlement waits")
            require(self.custody - sent >= self._least_of_hour(), "withdraw: outflow limit")
            self._add_cash(account, -amount)
            self._add_cash(self.settings.pool, amount - sent * self.settings.unit)
            self.custody -= sent
        else:
            id = self._token_id(token)
            own = self.held.get((account, id), 0)
            require(amount_raw <= own, "margin: not enough tokens")
            state = self.tokens[id].state
            self._keep_token(id, state._replace(total=state.total - amount_raw))
            self._set_balance(account, id, own - amount_raw)
        if trader:
            header = self.header_of(account)
            total = self._value(account, header.bitmap)
            if total.legs or header.cash < 0:
                self._check_margin(total, header.cash, self._backing(account), 0)
        self._move_token(token, self.address, receiver, sent)
        self._emit(self.address, Withdrawn(account, token, receiver, sent))

    def _paid(self, amount_raw: int) -> int:
        """What is sent for a claim: all of it, or in a settlement its share (LIQ-11)."""
        return floor_div(amount_raw * (self.share - 1), WAD) if self.share else amount_raw

    def _least_of_hour(self) -> int:
        """What of the quote held an hour leaves, reckoned before its first movement (GOV-4)."""
        if self.settings.outflow_ppm == 0:
            return 0
        if self.least_held[0] != self.now // HOUR:
            self.least_held = (self.now // HOUR, max(self.custody - self._most_leaving(), 0))
        return self.least_held[1]

    def _most_leaving(self) -> int:
        """What an hour may take of what is held now [raw]."""
        share = floor_div(self.custody * self.settings.outflow_ppm, PPM)
        return max(share, self.settings.outflow_floor)

    def _lets_go(self) -> int:
        """What may still leave in this hour [raw], never more than there is."""
        if self.settings.outflow_ppm == 0:
            return self.custody
        if self.least_held[0] == self.now // HOUR:
            return max(self.custody - self.least_held[1], 0)
        return min(self._most_leaving(), self.custody)

    def outflow_left(self) -> int:
        """`_lets_go`, boundless without a limit."""
        return self._lets_go() if self.settings.outflow_ppm else MAX_UINT

    # -------------------------------------------------------------- trading

    @atomic
    def trade(
        self, sender: str, account: str, market: int, size_delta: int, limit_price: int
    ) -> int:
        """Take `size_delta` from the pool, at its instant price (QTE-1 to QTE-5, MGN-7).

        Returns:
            The fill price [WAD quote/base].
        """
        flat = sender == self.settings.backstop  # closes for anybody, at the market's price
        if not flat:
            self._check_owner(sender, account)
        self._check_trader(account)
        require(size_delta != 0, "trade: zero size")
        self._check_listed(market)
        terms = terms_of(self.markets[market].words)
        header = self._post(account)
        backing = self._backing(account)
        bit = 1 << market

        # Before.
        others = self._value(account, header.bitmap & ~bit)
        leg = self.leg(account, market)
        require(flat or leg.status == LIVE, PRICE_REASONS.get(leg.status, ""))
        size = abs(leg.size + size_delta)
        in_range = (size == 0 or size >= slots.LOT) and abs(size_delta) <= terms.skew_scale
        reduces = only_reduces(leg.size, size_delta)
        require(in_range and (reduces or not flat), "trade: size out of range")
        before = self._plus(others, leg)

        # The fill.
        price, fee_ppm = leg.price, 0
        if not flat:
            extra_ppm = terms.spread_ppm + leg.surge_ppm
            price = fill_price(leg.price, leg.skew, size_delta, terms.skew_scale, extra_ppm)
            fee_ppm = terms.taker_fee_ppm
        within = price <= limit_price if size_delta > 0 else price >= limit_price
        require(within, "trade: past limit price")
        filled, after = self._filled(leg, size_delta, price, forced=flat)
        if not reduces:
            require(terms.status == OPEN and not self.share, "market: reduce only")
            require(others.legs < MAX_LEGS, "account: 32 markets at most")
            self._check_caps(terms, leg, after)
        self._fill(account, leg, after, price, self._steady(leg))

        # The fee.
        fee = taker_fee(size_delta, price, fee_ppm)
        to_insurance = floor_div(fee * self.settings.insurance_share_ppm, PPM)
        cash = header.cash + filled.realised - fee
        bitmap = header.bitmap | bit if filled.size else header.bitmap & ~bit
        self._write_header(account, Header(cash, header.flags, bitmap))
        self._add_cash(self.settings.pool, filled.cost + fee - to_insurance)
        self._add_cash(self.address, to_insurance)
        if flat:
            return price
        self._emit(self.address, FeePaid(account, market, fee, to_insurance))

        # After: the initial margin, or no worse than before.
        total = self._plus(others, after)
        weight = self.settings.profit_weight_ppm
        if not reduces:
            self._check_margin(total, cash, backing, weight)
            return price
        opening = equity(cash, total.opening_pnl, weight) + backing.initial
        require(
            (not total.dead and opening >= total.initial)
            or no_worse(
                header.cash + before.pnl + backing.maintenance,
                before.maintenance,
                cash + total.pnl + backing.maintenance,
                total.maintenance,
            ),
            "margin: health would fall",
        )
        return price

    def _check_margin(self, total: Sum, cash: int, backing: Backing, weight_ppm: int) -> None:
        """Whether an account may take on more risk, or let something go, and be as it then is."""
        self._check_calm()
        require(not total.dead, "margin: dead leg")
        opening = equity(cash, total.opening_pnl, weight_ppm) + backing.initial
        require(opening >= total.initial, "margin: below initial")
        require(not self.past_caps(cash, total.opening_pnl, backing.initial), "caps: debt")

    def is_calm(self) -> bool:
        """Whether nothing must wait: no freeze, no grace, no sequencer down or just up (LIQ-8)."""
        return self.now >= self.book.calm_from and self.sequencer.is_up(self.now)

    def _check_calm(self) -> None:
        require(self.is_calm(), "venue: frozen or in grace")

    def past_caps(self, cash: int, pnl: int, initial: int) -> bool:
        """Whether a debt is past the account's share of its collateral, or all past their cap."""
        debt = self._debt(cash, pnl)
        everybodys = self.debts.total + debt - max(-cash, 0)
        past = everybodys > self.credit_terms.debt_cap or self._over_ratio(debt, initial)
        return debt > 0 and past

    def _debt(self, cash: int, pnl: int) -> int:
        """Cash below zero; a net unrealised loss counts as debt too (COL-2)."""
        return max(-(cash + min(pnl, 0)), 0)

    def _over_ratio(self, debt: int, value: int) -> bool:
        """Whether a debt is more than collateral of such a value may carry (COL-2)."""
        return debt * PPM > value * self.credit_terms.debt_ratio_ppm

    # -------------------------------------------------------------- liquidation

    @atomic
    def liquidate(self, sender: str, account: str) -> int:
        """Close an unhealthy account's live positions; the reward is the sender's (LIQ-1, LIQ-2).

        Returns:
            The keeper's reward [WAD quote].
        """
        self._check_trader(account)
        reward = self._liquidate(sender, account)
        require(reward is not None, "liquidation: account is healthy")
        return reward or 0

    @atomic
    def convert_collateral(self, sender: str, account: str) -> int:
        """Auction collateral for a bounded part of a debt past its caps or the call line (COL-3).

        Returns:
            The keeper's share of the fee [WAD quote].
        """
        self._check_trader(account)
        reward = self._convert(sender, account)
        require(reward is not None, "convert: not called")
        return reward or 0

    def _convert(self, sender: str, account: str) -> int | None:
        self._check_calm()
        cash = self._post(account).cash
        backing = self._backing(account)
        total = self._value(account, self.header_of(account).bitmap)
        equity_now = cash + total.pnl + backing.maintenance
        if equity_now < total.maintenance:
            return None
        terms = self.credit_terms
        debt = min(-min(cash, 0), terms.conversion_bound * WAD)
        called = equity_now * PPM < total.maintenance * terms.call_line_ppm
        # By what others cannot move: his own depth, his own cap.
        due = called or self._over_ratio(max(-(cash + total.pnl), 0), backing.maintenance)
        if debt == 0 or backing.credit == 0 or not due:
            return None
        insurance = self.header_of(self.address).cash
        sale = self._sell(account, debt, insurance, terms.liquidation_fee_ppm)
        insurance += sale.fee - sale.share - sale.from_insurance
        self._write_cash(account, cash + sale.credit - sale.fee)
        from_pool = sale.credit - sale.from_insurance
        self._share_out(sender, -from_pool, insurance, sale.share, from_pool)
        self._emit(
            self.address,
            Liquidated(
                account,
                sender,
                equity_now,
                total.maintenance,
                sale.credit,
                sale.fee,
                sale.share,
            ),
        )
        return sale.share

    @atomic
    def liquidate_many(self, sender: str, accounts: list[str]) -> int:
        """Liquidate those of `accounts` that are unhealthy, in order; the sum of the rewards."""
        require(len(accounts) <= MAX_BATCH, "")
        return sum(self._liquidate(sender, a) or 0 for a in accounts if not self._is_system(a))

    def _liquidate(self, sender: str, account: str) -> int | None:
        self._check_calm()
        header = self._post(account)
        backing = self._backing(account)
        legs = [self.leg(account, market) for market in _bits(header.bitmap)]
        total = functools.reduce(self._plus, legs, Sum())
        equity_before = header.cash + total.pnl + backing.maintenance
        if equity_before >= total.maintenance:
            return None

        # Close every live leg on the curve.
        cash, bitmap, bill = header.cash, header.bitmap, Bill()
        to_pool = 0
        for leg in legs:
            if leg.status != LIVE:
                continue
            terms = terms_of(self.markets[leg.id].words)
            price = fill_price(leg.price, leg.skew, -leg.size, terms.skew_scale)
            filled, after = self._filled(leg, -leg.size, price, forced=True)
            self._fill(account, leg, after, price, slots.unpack_state_b(leg.state_b).steady)
            cash += filled.realised
            to_pool += filled.cost
            bitmap &= ~(1 << leg.id)

            amount = notional(leg.size, leg.price)
            bill.notional += amount
            bill.fee_ppm += amount * terms.liquidation_fee_ppm
            bill.closing_ppm += amount * (terms.taker_fee_ppm + terms.spread_ppm)
            bill.flat += terms.reward
            bill.one_flat = max(bill.one_flat, terms.reward)

        # Charge what is left. A dead leg's paper profit pays no fee, its paper loss spares one.
        dead_pnl = sum(self._plus(Sum(), leg).pnl for leg in legs if leg.status != LIVE)
        left = cash + min(dead_pnl, 0) + backing.credit
        shares = split(bill, left, self.settings.keeper_share_ppm)
        cash -= shares.charged
        insurance = self.header_of(self.address).cash + shares.charged - shares.reward
        reward, charged, absorbed = shares.reward, shares.charged, 0

        # Seize live tokens for what is missing (LIQ-4).
        if cash < 0 and backing.credit:
            # Nobody keeps a crumb of a position to spare the fee on what is seized.
            on_seized = bill.notional < -cash
            fee_ppm = self.credit_terms.liquidation_fee_ppm if on_seized else 0
            sale = self._sell(account, -cash, insurance, fee_ppm)
            cash += sale.credit - sale.fee
            insurance += sale.fee - sale.share - sale.from_insurance
            absorbed = sale.credit - sale.from_insurance
            reward += sale.share
            charged += sale.fee
            if on_seized:
                bill.notional += sale.credit

        # What is missing: the insurance fund's, then the pool's, once the account is flat (LIQ-5)
        # and its dead tokens, as they fade, are not worth the debt.
        backing = self._backing(account)
        if cash < 0 and not bitmap and backing.maintenance < -cash:
            from_insurance = min(-cash, insurance)
            from_pool = -cash - from_insurance
            # Dead tokens that were worth the debt have their surplus; others leave it to the fund.
            heir = account if backing.dead >= -cash else self.address
            self._seize(account, -cash, from_insurance, heir, live=False)
            insurance -= from_insurance
            absorbed += from_pool
            cash = 0
            self._emit(self.address, BadDebt(account, from_insurance, from_pool))
        if shares.shortfall:
            top_up = self._top_up(min(shares.shortfall, insurance))
            insurance -= top_up
            reward += top_up

        self._write_cash(account, cash, bitmap)
        self._share_out(sender, to_pool - absorbed, insurance, reward, absorbed)
        self._emit(
            self.address,
            Liquidated(
                account,
                sender,
                equity_before,
                total.maintenance,
                bill.notional,
                charged,
                reward,
            ),
        )
        return reward

    def _share_out(
        self, sender: str, to_pool: int, insurance: int, reward: int, absorbed: int
    ) -> None:
        """Leave the insurance fund with `insurance`, and pay the pool and the keeper."""
        self._add_cash(self.settings.pool, to_pool)
        self._add_cash(self.address, insurance - self.header_of(self.address).cash)
        self._add_cash(sender, reward)
        self.book = self.book._replace(nav=slots.kept_nav(self.book.nav - absorbed))

    def _sell(self, account: str, owed: int, insurance: int, fee_ppm: int) -> Sale:
        """Seize live tokens for what is `owed` and a fee on what is seized."""
        want = ceil_div(owed * PPM, PPM - fee_ppm)
        credit = self._seize(account, want, insurance, self.address, live=True)
        fee = min(want - owed, credit - min(owed, credit))
        share = floor_div(fee * self.settings.keeper_share_ppm, PPM)
        return Sale(credit, min(credit, insurance), fee, share)

    def _seize(self, account: str, owed: int, insurance: int, heir: str, live: bool) -> int:
        """Move tokens to lots: live ones until they are worth what is owed, or all dead ones.

        A dead lot must repay its last known worth at the discount; `heir` has the surplus of all.
        The insurance fund pays first, the rest is the pool's.

        Returns:
            The credit [WAD quote].
        """
        credit, fund, first = 0, insurance, len(self.lots)
        for id in self.credit_terms.order:
            if not self._token_bits(account) or (live and credit >= owed):
                break
            holding = self.holding(account, id)
            if holding.own == 0 or (holding.status == LIVE) != live:
                continue
            if live and holding.credit == 0:  # dust is not worth a lot
                continue
            amount, due = holding.own, min(holding.credit, owed - credit)
            if live and holding.credit > owed - credit:
                amount = fewest(due, holding.unit, holding.price, holding.kept_ppm)
                due = seizure_credit(amount, holding.unit, holding.price, holding.kept_ppm)
            self._poke_token(id)  # what a lot may bring is reckoned at it, should the feed die
            auction = self.settings.auction
            self._set_balance(auction, id, self.held.get((auction, id), 0) + amount)
            self._set_balance(account, id, holding.own - amount)
            part = min(due, fund)
            self._open_lot(id, amount, part, due - part, heir, first)
            credit, fund = credit + due, fund - part
        return credit

    def _top_up(self, wanted: int) -> int:
        """As much of `wanted` as this block's allowance for flat rewards still has."""
        spent = self.topped_up[1] if self.topped_up[0] == self.block_number else 0
        paid = min(wanted, self.settings.top_up_per_block - spent)
        self.topped_up = (self.block_number, spent + paid)
        return paid

    # -------------------------------------------------------------- upkeep

    @atomic
    def poke(self, sender: str, market: int) -> int:
        """Accrue a market's funding, keep its price (PRC-3, FND-1); the price [WAD quote/base]."""
        self._check_listed(market)
        leg = self.leg(NOWHERE, market)
        require(leg.status == LIVE, PRICE_REASONS.get(leg.status, ""))
        self._touch(leg, self._steady(leg))
        return leg.price

    @atomic
    def set_terms(self, sender: str, market: int, words: tuple[int, int, int]) -> None:
        """New terms for a market, accrued with the old ones first (FND-1): the Configurator's."""
        require(sender == self.settings.configurator, "access: configurator only")
        require(market < MAX_MARKETS, "")
        old = self.markets.get(market, Market())
        if old.words[0]:
            leg = self.leg(NOWHERE, market)
            # The stable price is stored over the greatest, which may change.
            self._touch(leg, self._steady(leg, terms_of(words).max_price))
        self.markets[market] = self.markets.get(market, Market())._replace(words=words)
        self._emit(self.address, MarketConfigured(market, words))

    @atomic
    def settle(self, sender: str, account: str) -> int:
        """Move a net unrealised loss, where prices are live, into cash: equity stays (COL-2).

        Returns:
            What was added to the cash [WAD quote], below zero.
        """
        self._check_calm()
        header, net = self._post(account), 0
        for market in _bits(header.bitmap):
            leg = self.leg(account, market)
            if leg.status == LIVE:
                pnl = self._plus(Sum(), leg).pnl
                basis = fits_signed(leg.basis + pnl, 128)
                self.positions[account, market] = Position(leg.size, basis)
                self._emit(self.address, Settled(account, market, basis))
                net += pnl
        require(net < 0, "settle: no net loss")
        self._add_cash(account, net)
        return net

    @atomic
    def poke_token(self, sender: str, token: str) -> int:
        """Keep a token's price, or that its feed has died (LIQ-4); the price [WAD quote/base]."""
        return self._poke_token(self._token_id(token))

    def _poke_token(self, id: int) -> int:
        holding = self.holding(NOWHERE, id)
        if not holding.fading:
            self._store_token(holding, self.tokens[id].state.total)
        return holding.price

    def _store_token(self, holding: Holding, total: int) -> None:
        """A token's state as of now; a price that is not valid moves the stable one no further."""
        steady = floor_div(holding.stable << 24, holding.price) if holding.price else 0
        dead = holding.status != LIVE
        state = TokenState(holding.price, self.now, dead, total, min(steady, 2**31 - 1))
        self._keep_token(holding.id, state)

    @atomic
    def set_token(self, sender: str, id: int, token: str, words: tuple[int, int, int]) -> None:
        """A token's terms; the Configurator's."""
        require(sender == self.settings.configurator, "access: configurator only")
        require(id < MAX_TOKENS, "")
        self.tokens[id] = self.tokens.get(id, Token())._replace(address=token, words=words)
        self._poke_token(id)

    @atomic
    def set_credit(self, sender: str, credit: int, seizing: int) -> None:
        """The terms of debt and of seizures, as words; the Configurator's."""
        require(sender == self.settings.configurator, "access: configurator only")
        self.debts = self.debts._replace(accrued_at=self.now, debt_index=self.debt_index())
        self.credit_terms = slots.unpack_credit(credit, seizing)

    @atomic
    def set_nav(self, sender: str, nav: int) -> None:
        """The pool's NAV as of now [WAD quote] (QTE-4); the pool's alone."""
        require(sender == self.settings.pool, "access: pool only")
        self.book = self.book._replace(nav=slots.kept_nav(nav), known_at=self.now)
        self._emit(self.address, NavKnown(nav))

    @atomic
    def set_calm(self, sender: str, calm_from: int) -> None:
        """Until then only deposits and reductions (LIQ-8, GOV-1); the Configurator's alone."""
        require(sender == self.settings.configurator, "access: configurator only")
        self.book = self.book._replace(calm_from=calm_from)

    @atomic
    def set_share(self, sender: str, share: int) -> None:
        """What each claim is paid from now on, plus one; 0: all (LIQ-11); the Backstop's alone."""
        require(sender == self.settings.backstop, "access: backstop only")
        self.share = share

    # -------------------------------------------------------------- views

    def health(self, account: str) -> int:
        """Equity over maintenance [WAD] (MGN-6)."""
        header = self.header_of(account)
        total = self._value(account, header.bitmap)
        worth = header.cash + total.pnl + self._backing(account).maintenance
        return health(worth - self.interest_of(account), total.maintenance)

    def header(self, account: str) -> int:
        """An account's packed header."""
        return slots.pack_header(self.header_of(account))

    def leg(self, account: str, market: int) -> Leg:
        """A market as of now and the account's position in it."""
        require(0 <= market < MAX_MARKETS, "")
        stored = self.markets.get(market, Market())
        feed = self.feeds.get(terms_of(stored.words).feed)
        leg = market_now(market, stored, feed.read() if feed else None, self.now)
        position = self.positions.get((account, market))
        return leg._replace(size=position.size, basis=position.basis) if position else leg

    def market_words(self, market: int) -> tuple[int, int, int, int, int]:
        """A market's five stored words."""
        stored = self.markets.get(market, Market())
        return (*stored.words, slots.pack_state_a(stored.a), slots.pack_state_b(stored.b))

    def globals(self) -> tuple[int, int, int, int, int]:
        """What is held, the book, and what bounds payments, as the Clearinghouse packs them."""
        topped_up = slots.pack_period(*self.topped_up)
        least_held = slots.pack_period(*self.least_held)
        return self.custody, slots.pack_book(self.book), topped_up, self.share, least_held

    def stable_price(self, leg: Leg) -> int:
        """A market's stable price as of now; a price not live moves it no further (PRC-3) [WAD]."""
        stored, most = slots.unpack_state_b(leg.state_b), self._terms(leg.id).max_price
        if stored.steady == 0:
            return leg.price
        return follow(
            most * stored.steady >> 48,
            most >> 47,
            leg.price,
            self.now - stored.touched_at if leg.status == LIVE else 0,
            self.settings.stable_speed_ppm,
        )

    def _steady(self, leg: Leg, most: int = 0) -> int:
        """A market's stable price as it is stored: over the greatest, by default today's."""
        greatest = most or self._terms(leg.id).max_price
        return min((self.stable_price(leg) << 48) // greatest, 2**48 - 1)

    def _terms(self, market: int) -> Unpacked:
        return terms_of(self.markets[market].words)

    def credit(self) -> tuple[int, ...]:
        """Debts, terms of credit and seizing, packed; the index; all debts over their indices."""
        words = slots.pack_debts(self.debts), *slots.pack_credit(self.credit_terms)
        return *words, self.debt_index(), self.scaled_debt

    def backing(self, account: str) -> tuple[int, int]:
        """An account's second word, and interest that is not posted yet [WAD quote]."""
        index = self.debt_indices.get(account, 0)
        return slots.pack_backing(self._token_bits(account), index), self.interest_of(account)

    def token_words(self, id: int) -> tuple[int, int, int, int]:
        """A token's four stored words."""
        require(0 <= id < MAX_TOKENS, "")
        token = self.tokens.get(id, Token())
        return (*token.words, slots.pack_token_state(token.state))

    def holding(self, account: str, id: int) -> Holding:
        """A collateral token as of now, and what `account` has of it (COL-1, LIQ-4)."""
        require(0 <= id < MAX_TOKENS, "")
        token = self.tokens.get(id, Token())
        terms, state = token_terms_of(token.words), token.state
        own = self.held.get((account, id), 0)
        feed = self.feeds.get(terms.feed)
        said = feed.read() if feed else None
        newer, status = judge_price(said, terms, 0, state.seen_at, self.now)
        price, fading = newer or state.last_price, state.dead and not newer
        worth = floor_div(own * terms.unit * price, WAD)
        weight = weight_now(
            terms.maintenance_ppm, terms.maintenance_before_ppm, terms.settle_at, self.now
        )
        maintenance = weighed(worth, weight, terms.scale, own * terms.unit)
        stable = price
        if state.steady:
            elapsed = self.now - state.seen_at if status == LIVE else 0
            last, speed_ppm = state.last_price, self.settings.stable_speed_ppm
            stable = follow(last * state.steady >> 24, last >> 24, price, elapsed, speed_ppm)
        initial = 0
        if status == LIVE:
            weight = weight_now(
                terms.initial_ppm, terms.initial_before_ppm, terms.settle_at, self.now
            )
            worth = floor_div(own * terms.unit * min(price, stable), WAD)
            initial = weighed(worth, weight, terms.scale, state.total * terms.unit)
        elif fading:
            fade = min(self.now - state.seen_at, DAY)
            maintenance = floor_div(maintenance * (DAY - fade), DAY)
        kept = PPM - terms.discount_ppm
        return Holding(
            id=id,
            own=own,
            unit=terms.unit,
            price=price,
            stable=stable,
            status=status,
            maintenance=maintenance,
            initial=initial,
            kept_ppm=kept,
            credit=seizure_credit(own, terms.unit, price, kept),
            fading=fading,
        )

    def debt_index(self) -> int:
        """The index of debt as of now (COL-2)."""
        rate = interest_rate(self.credit_terms, self.debts.total)
        return grown_index(self.debts.debt_index, rate, self.now - self.debts.accrued_at)

    def _interest(self) -> int:
        """What all debtors together owe the pool in interest that is not posted yet [WAD quote]."""
        return unposted(self.scaled_debt, self.debt_index(), self.debts.total)

    def interest_of(self, account: str) -> int:
        """What a debtor owes in interest that is not posted yet [WAD quote]."""
        cash = self.header_of(account).cash
        if cash >= 0 or account == self.settings.pool:
            return 0
        return interest_on(-cash, self.debt_indices[account], self.debt_index())

    def header_of(self, account: str) -> Header:
        """An account's header."""
        return self.headers.get(account, Header())

    # -------------------------------------------------------------- inside

    def _check_owner(self, sender: str, account: str) -> None:
        """An owner's accounts differ from his address in the last byte alone (ACC-1)."""
        require(sender[:-2] == account[:-2], "account: not yours")

    def _check_trader(self, account: str) -> None:
        require(not self._is_system(account), "account: system")

    def _token_id(self, token: str) -> int:
        for id, known in self.tokens.items():
            if known.address == token:
                return id
        raise Refused("ledger: unknown token")

    def _token_bits(self, account: str) -> int:
        """The bitmap of an account's tokens."""
        return sum(1 << id for id in self.tokens if self.held.get((account, id)))

    def _backing(self, account: str) -> Backing:
        """All holdings of an account, valued."""
        total = Backing()
        for id in _bits(self._token_bits(account)):
            holding = self.holding(account, id)
            total = Backing(
                total.maintenance + holding.maintenance,
                total.initial + holding.initial,
                total.credit + (holding.credit if holding.status == LIVE else 0),
                total.dead + (0 if holding.status == LIVE else holding.credit),
            )
        return total

    def _keep_token(self, id: int, state: TokenState) -> None:
        self.tokens[id] = self.tokens[id]._replace(state=state)

    def _set_balance(self, account: str, id: int, balance: int) -> None:
        """What an account holds of a token, and the flag that says whether it holds any."""
        self.held[account, id] = balance
        header = self.header_of(account)
        flags = header.flags & ~HAS_TOKENS | (HAS_TOKENS if self._token_bits(account) else 0)
        self.headers[account] = header._replace(flags=flags)
        self._emit(self.address, TokenMoved(account, id, balance))

    def _post(self, account: str) -> Header:
        """Take what a debtor owes in interest from his cash, and give it to the pool (COL-2)."""
        header, interest = self.header_of(account), self.interest_of(account)
        if interest == 0:
            return header
        self._write_cash(account, header.cash - interest)
        pool = self.settings.pool
        self._write_cash(pool, self.header_of(pool).cash + interest)
        self._emit(self.address, InterestPaid(account, interest))
        return self.header_of(account)

    def _check_listed(self, market: int) -> None:
        listed = market in self.markets and self.markets[market].words[0] != 0
        require(listed, "market: unknown")

    def _is_system(self, account: str) -> bool:
        settings = self.settings
        return account in (settings.pool, settings.auction, self.address, NOWHERE)

    def _plus(self, total: Sum, leg: Leg) -> Sum:
        """`total` with one more leg in it."""
        if leg.size == 0:
            return total
        terms = self._terms(leg.id)
        size, basis, price, index = leg.size, leg.basis, leg.price, leg.funding_index
        scale, reward = terms.skew_scale, terms.reward
        worth = value(size, basis, price, index, terms.mm_ppm, scale, reward)
        stable = self.stable_price(leg)
        opening = opening_value(
            size, worth.pnl, price, stable, leg.skew, terms.im_ppm, scale, reward
        )
        return Sum(
            total.pnl + worth.pnl,
            total.opening_pnl + opening.pnl,
            total.maintenance + worth.required,
            total.initial + opening.required,
            total.legs + 1,
            total.dead or leg.status != LIVE,
        )

    def _value(self, account: str, bitmap: int) -> Sum:
        """The account's legs in the markets of `bitmap`."""
        total = Sum()
        for market in _bits(bitmap):
            total = self._plus(total, self.leg(account, market))
        return total

    def _filled(self, leg: Leg, delta: int, price: int, forced: bool) -> tuple[Fill, Leg]:
        """What taking `delta` from the pool makes of a leg; `forced`, it leaves a surge (QTE-2)."""
        scale = self._terms(leg.id).skew_scale
        surge = leg.surge_ppm + (ceil_div(abs(delta) * PPM, scale) if forced else 0)
        filled = fill(leg.size, leg.basis, delta, price, leg.funding_index)
        fits_signed(filled.size, 128)
        fits_signed(filled.basis, 128)
        return filled, leg._replace(
            size=filled.size,
            basis=filled.basis,
            skew=leg.skew + delta,
            lots=leg.lots + max(filled.size, 0) // slots.LOT - max(leg.size, 0) // slots.LOT,
            surge_ppm=min(surge, MAX_SURGE_PPM),
        )

    def _fill(self, account: str, before: Leg, after: Leg, price: int, steady: int) -> None:
        """The one way for a size to change (LED-1, LED-2): `account` takes from the pool.

        The pool's size is minus the skew, and its basis goes straight to its cash.
        """
        market = after.id
        if after.size:
            self.positions[account, market] = Position(after.size, after.basis)
        else:
            self.positions.pop((account, market), None)
        state = self._store(before, after, steady)
        delta = after.skew - before.skew
        self._emit(
            self.address, Filled(account, market, delta, price, after.size, after.basis, *state)
        )

    def _touch(self, leg: Leg, steady: int) -> None:
        """Write a market back without a fill."""
        self._emit(self.address, MarketMoved(leg.id, *self._store(leg, leg, steady)))

    def _store(self, before: Leg, after: Leg, steady: int) -> tuple[int, int]:
        """Write a market and the pool's exposure to it; the market's state, packed (PRC-3)."""
        self.markets[after.id] = Market(
            self.markets[after.id].words,
            StateA(after.lots, after.price, after.skew),
            StateB(after.funding_index, after.rate, self.now, after.surge_ppm, steady),
        )
        self.book = self.book._replace(exposure=self._exposure(before, after))
        return self.market_words(after.id)[3:]

    def _exposure(self, before: Leg, after: Leg) -> int:
        """The pool's exposure once a market is as in `after`."""
        was = exposed(before.lots, before.skew, before.last_price)
        return self.book.exposure - was + exposed(after.lots, after.skew, after.price)

    def _check_caps(self, terms: Unpacked, before: Leg, after: Leg) -> None:
        """Whether a fill that does more than reduce may stand (QTE-4)."""
        require(self.now >= terms.paused_until, "market: paused")
        open_interest = slots.open_interest(after.lots, after.skew)
        require(open_interest <= terms.max_open_interest, "caps: open interest")
        if abs(after.skew) < abs(before.skew):
            return
        require(abs(after.skew) <= terms.max_skew, "caps: skew")
        require(self.now <= self.book.known_at + NAV_MAX_AGE, "caps: pool NAV is old")
        allowed = self.book.nav * self.settings.max_pool_leverage_ppm
        require(self._exposure(before, after) * PPM <= allowed, "caps: pool exposure")

    def _write_header(self, account: str, header: Header) -> None:
        """The one writer of cash; debts are that of all traders below zero, as stored (COL-2)."""
        fits_signed(header.cash, 120)
        before, after = min(self.header_of(account).cash, 0), min(header.cash, 0)
        self.headers[account] = header
        if (before or after) and account != self.settings.pool:
            index = self.debt_index()
            then = self.debt_indices.get(account, 0)
            self.scaled_debt += scaled(-after, index) - scaled(-before, then)
            self.debts = Debts(self.debts.total + before - after, self.now, index)
            self.debt_indices[account] = index
        self._emit(self.address, CashMoved(account, header.cash))

    def _write_cash(self, account: str, cash: int, bitmap: int | None = None) -> None:
        header = self.header_of(account)._replace(cash=cash)
        self._write_header(account, header if bitmap is None else header._replace(bitmap=bitmap))

    def _add_cash(self, account: str, amount: int) -> None:
        """Credit, or below zero debit, `account` [WAD quote]; its interest is posted first."""
        if amount:
            self._write_cash(account, self._post(account).cash + amount)

    # -------------------------------------------------------------- the Backstop

    @atomic
    def close_settled(self, sender: str, market: int, accounts: list[str]) -> int:
        """Close everybody's whole position in a settled market, flat (PRC-6); how many."""
        require(len(accounts) <= MAX_BATCH, "")
        require(market < len(self.listed), "market: unknown")
        require(self.is_settled(market), "backstop: market not settled")
        count = 0
        for account in accounts:
            size = self.leg(account, market).size
            if size:
                self._close(account, market, -size)
                count += 1
        return count

    def is_settled(self, market: int) -> bool:
        """Whether a market has its last price for ever (PRC-6)."""
        return self._terms(market).status == SETTLED

    def _close(self, account: str, market: int, delta: int) -> None:
        worst = MAX_UINT if delta > 0 else 0
        self.trade(self.settings.backstop, account, market, delta, worst)

    @atomic
    def deleverage(self, sender: str, account: str, market: int) -> int:
        """Close of a winner's position what a broke pool lacks, flat (LIQ-9) [WAD base]."""
        plan = self.preview_deleverage(account, market)
        require(plan.why == 0, plan.why.to_bytes(32, "big").strip(b"\0").decode())
        size = self.leg(account, market).size
        delta = -plan.closed if size > 0 else plan.closed
        self._close(account, market, delta)
        self._emit(
            self.settings.backstop,
            Deleveraged(
                account,
                market,
                sender,
                plan.closed,
                size + delta,
                plan.equity,
                plan.maintenance_after,
            ),
        )
        return plan.closed

    def pool_margin(self) -> tuple[int, int]:
        """The pool's own equity, with interest and what live lots bring, and maintenance."""
        worth = self.header_of(self.settings.pool).cash + self._interest()
        worth, asked = worth + self.worth_of_lots().by_live, 0
        for market in range(len(self.listed)):
            leg = self.leg(NOWHERE, market)
            if leg.skew:
                side = self._valued(leg, -leg.skew, 0)
                worth, asked = worth + side.pnl, asked + side.required
        return worth, asked

    def _valued(self, leg: Leg, size: int, basis: int) -> Value:
        """Such a position in a market; nothing where there is none."""
        if size == 0:
            return Value(0, 0)
        t = self._terms(leg.id)
        return value(size, basis, leg.price, leg.funding_index, t.mm_ppm, t.skew_scale, t.reward)

    def _standing(self, account: str) -> tuple[int, int, int]:
        """An account's equity, maintenance, and the notional of all it has [WAD quote]."""
        header = self.header_of(account)
        total = self._value(account, header.bitmap)
        worth = header.cash - self.interest_of(account) + total.pnl
        legs = [self.leg(account, market) for market in _bits(header.bitmap)]
        exposure = sum(notional(leg.size, leg.price) for leg in legs)
        return worth + self._backing(account).maintenance, total.maintenance, exposure

    def preview_deleverage(self, account: str, market: int) -> Plan:
        """What a deleveraging would do, or why it would be refused (LIQ-9)."""

        def refused(reason: str) -> Plan:
            return plan._replace(why=int.from_bytes(reason.encode(), "big"))

        plan = Plan()
        if self._is_system(account):
            return refused("account: system")
        if market >= len(self.listed):
            return refused("market: unknown")
        if not self.is_calm():
            return refused("venue: frozen or in grace")
        leg = self.leg(account, market)
        plan = plan._replace(price=leg.price)
        if leg.status != LIVE:
            return plan._replace(why=leg.status)
        pool_equity, asked = self.pool_margin()
        plan = plan._replace(equity=pool_equity, maintenance=asked, maintenance_after=asked)
        if pool_equity >= asked:
            return refused("backstop: pool is healthy")
        in_doubt = self._at_stake() + self.worth_of_lots().by_others
        if pool_equity + in_doubt >= asked:
            return refused("backstop: a price is not live")
        own_equity, own_asked, _ = self._standing(account)
        now = self._valued(leg, leg.size, leg.basis)
        if own_equity < own_asked:
            return refused("backstop: account is unhealthy")
        if leg.size * leg.skew <= 0:
            return refused("backstop: not opposite the pool")
        if now.pnl <= 0:
            return refused("backstop: not profitable")
        closed, own = self._least(leg, pool_equity + in_doubt, asked), abs(leg.size)
        if 0 < own - closed < slots.LOT:
            closed = own if own <= abs(leg.skew) else own - slots.LOT
        if closed == 0:
            return refused("backstop: nothing to close")
        plan = plan._replace(
            closed=closed, maintenance_after=self.pool_maintenance_after(leg, asked, closed)
        )
        delta = -closed if leg.size > 0 else closed
        filled = fill(leg.size, leg.basis, delta, leg.price, leg.funding_index)
        then = self._valued(leg, filled.size, filled.basis)
        equity_then = own_equity - now.pnl + filled.realised + then.pnl
        asked_then = own_asked - now.required + then.required
        if not no_worse(own_equity, own_asked, equity_then, asked_then):
            return refused("backstop: health would fall")
        return plan

    def _least(self, leg: Leg, pool_equity: int, asked: int) -> int:
        """The least that brings the pool's health to the target; all that there is, if less."""
        most = min(abs(leg.size), abs(leg.skew))
        if pool_equity <= 0:
            return most
        allowed = floor_div(pool_equity * WAD, self.target)
        low, high = 0, most
        while high - low > 1:
            middle = (low + high) // 2
            if self.pool_maintenance_after(leg, asked, middle) <= allowed:
                high = middle
            else:
                low = middle
        return high

    def pool_maintenance_after(self, leg: Leg, asked: int, closed: int) -> int:
        """The pool's, once so much of its position in a market is closed [WAD quote]."""
        crowd = abs(leg.skew)
        was, now = (self._valued(leg, size, 0).required for size in (crowd, crowd - closed))
        return asked - was + now

    def rank(self, market: int, accounts: list[str]) -> list[Candidate]:
        """Who may be deleveraged in a market, by profit over notional times leverage (LIQ-9)."""
        require(len(accounts) <= MAX_BATCH, "")
        require(market < len(self.listed), "market: unknown")
        found = []
        for account in accounts:
            leg = self.leg(account, market)
            if self._is_system(account) or leg.size * leg.skew <= 0:
                continue
            own_equity, asked, exposure = self._standing(account)
            pnl, own = self._valued(leg, leg.size, leg.basis).pnl, notional(leg.size, leg.price)
            if pnl <= 0 or own_equity < asked:
                continue
            won, leverage = floor_div(pnl * WAD, own), floor_div(exposure * WAD, own_equity)
            by = floor_div(won * leverage, WAD)
            found.append(Candidate(account, leg.size, pnl, own, own_equity, exposure, by))
        return sorted(found, key=lambda c: -c.rank)

    @atomic
    def declare(self, sender: str) -> None:
        """Declare a settlement: the pool's equity is below zero, claims wait (LIQ-11).

        Neither a freeze nor a grace stops it. Again: whether that is certain by now.
        """
        state = self.settlement.state
        require(state in (NOT_DECLARED, DECLARED), "backstop: wrong state")
        if state == NOT_DECLARED:
            self._must_be_insolvent()
            self.settlement = Settlement(DECLARED, self.now)
            self.set_share(self.settings.backstop, 1)
        worth = self.solvency()[1]
        certain_at = (self.settlement.certain_at or self.now) if self.is_certain() else 0
        self.settlement = self.settlement._replace(certain_at=certain_at)
        self._emit(self.settings.backstop, SettlementDeclared(self.now, worth, certain_at))

    def solvency(self) -> tuple[int, int, int]:
        """The pool's equity, less what reported accounts cannot pay: between two others (LIQ-11).

        The least: its positions at dead prices are lost. The most: they are won, dead lots bring
        what they owe it, others what those lack, and no report is true [WAD quote].
        """
        equity, at_stake = self.pool_margin()[0], self._at_stake()
        worth = equity - self.doubtful()
        return worth - at_stake, worth, equity + at_stake + self.worth_of_lots().by_others

    def _at_stake(self) -> int:
        """The pool's notional in markets with neither a live nor a settled price [WAD quote]."""
        legs = [self.leg(NOWHERE, market) for market in range(len(self.listed))]
        return sum(
            notional(leg.skew, max(leg.price, self.stable_price(leg)))
            for leg in legs
            if self._is_dead(leg)
        )

    def _is_dead(self, leg: Leg) -> bool:
        """Whether a market has neither a live price nor a settled one."""
        return leg.status != LIVE and not self.is_settled(leg.id)

    def is_certain(self) -> bool:
        """Whether there is a hole whatever is in doubt; after a week, as far as is known."""
        _, worth, at_most = self.solvency()
        return (at_most if self._is_early() else worth) < 0

    def _is_early(self) -> bool:
        return self.now < self.settlement.declared_at + DOUBT_DELAY

    def _must_be_insolvent(self) -> int:
        worth = self.solvency()[1]
        require(worth < 0, "backstop: pool is solvent")
        return worth

    @atomic
    def call_off(self, sender: str) -> None:
        """Call it off: the pool is solvent for sure, or nobody settled for nine days (LIQ-11)."""
        require(self.settlement.state == DECLARED, "backstop: wrong state")
        at_least, worth, _ = self.solvency()
        if self.now < self.settlement.declared_at + DECLARATION_LAPSE:
            self._check_calm()
            require(at_least >= 0, "backstop: pool is insolvent")
        self.settlement = Settlement()
        self.set_share(self.settings.backstop, 0)
        self._emit(self.settings.backstop, SettlementCalledOff(worth))

    @atomic
    def settle_markets(self, sender: str, markets: list[int]) -> None:
        """The Backstop's ``settle``: settle markets for good, an hour after it is certain (LIQ-11).

        For a week, what is in doubt counts for the pool, and a market whose price is dead waits.
        """
        require(len(markets) <= MAX_MARKETS, "")
        self._check_calm()
        if self.settlement.state != SETTLING:
            require(self.settlement.state == DECLARED, "backstop: wrong state")
            worth, certain_at = self._must_be_insolvent(), self.settlement.certain_at
            told = certain_at != 0 and self.now >= certain_at + SETTLE_DELAY
            require(told and self.is_certain(), "backstop: too early")
            self.settlement = self.settlement._replace(state=SETTLING, settled_at=self.now)
            self._emit(self.settings.backstop, SettlementBegun(self.now, worth))
        for market in markets:
            require(market < len(self.listed), "market: unknown")
            leg = self.leg(NOWHERE, market)
            waits = self._is_early() and self._is_dead(leg) and (leg.lots or leg.skew)
            require(not waits, "backstop: too early")
            if not self.is_settled(market):
                self.settle_market(self.settings.backstop, market)

    @atomic
    def fix(self, sender: str) -> int:
        """Fix the share that every claim on quote is paid, once all are flat (LIQ-11) [WAD]."""
        require(self.settlement.state == SETTLING, "backstop: wrong state")
        for market in range(len(self.listed)):
            require(self.is_settled(market), "backstop: market not settled")
            state = self.markets[market].a
            require(state.lots == 0 and state.skew == 0, "backstop: positions are open")
        delay = PATIENCE if self._awaits_lots() else DOUBT_DELAY if self.worth_of_lots().dead else 0
        late = self.now >= self.settlement.settled_at + delay
        require(late, "backstop: lots are not sold")
        held = self.custody * self.settings.unit
        of_pool, of_fund = (self.header_of(a).cash for a in (self.settings.pool, self.address))
        claims = held + self.debts.total - of_pool - of_fund
        share = min(WAD, floor_div(held * WAD, claims)) if claims else WAD
        # What custody has beyond the claims is the pool's.
        over = share == WAD and of_pool + self._interest() >= 0
        if over:
            self.settlement = Settlement()
        else:
            self.settlement = self.settlement._replace(state=FIXED, share=share)
        self.set_share(self.settings.backstop, 0 if over else 1 + share)
        self._emit(self.settings.backstop, ShareFixed(share, claims, self.custody))
        return share

    def _awaits_lots(self) -> bool:
        """Whether lots owe the pool, or can be sold now."""
        return self.owed_to_pool() != 0 or self.worth_of_lots().live != 0

    def worth_of_lots(self) -> LotsWorth:
        """What lots bring at the least, dead ones at their last known worth.

        The pool: all lots of a token together, but those that owe the fund more apart; the fund has
        its part of the same lots first.
        """
        by_live, live, dead = 0, 0, 0
        by_others = sum(sum(of_row) for of_row in self.awaited.values())
        owing = [lot for lot in self.lots if lot.amount and lot.to_pool]
        for id in _bits(self._token_bits(self.settings.auction)):
            held = self.holding(self.settings.auction, id)
            pool = 0
            for kind in (False, True):
                lots = [
                    lot
                    for lot in owing
                    if lot.token == id and (lot.to_insurance > lot.to_pool) == kind
                ]
                brings = at_the_floor(held, sum(lot.amount for lot in lots))
                rest = max(brings - sum(lot.to_insurance for lot in lots), 0)
                pool += min(rest, sum(lot.to_pool for lot in lots))
            if held.status == LIVE:
                by_live, live = by_live + pool, live + held.credit
            else:
                by_others, dead = by_others + pool, dead + at_the_floor(held, held.own)
        return LotsWorth(by_live, min(by_others, self.owed_to_pool() - by_live), live, dead)

    # -------------------------------------------------------------- the Configurator

    @atomic
    def list_market(self, sender: str, name: str, terms: Terms) -> int:
        """List a market whose feed answers now (MGN-3); its id."""
        require(sender == self.owner, "ownable: caller is not the owner")
        market = len(self.listed)
        require(market < MAX_MARKETS, "configurator: 128 markets")
        require(name != "", "configurator: empty name")
        require(name not in [taken for taken, _ in self.listed], "configurator: name taken")
        self.listed.append((name, terms))
        self._check(terms, 0)
        self._admit(market, terms)
        self._send(market, terms)
        self._emit(self.settings.configurator, MarketListed(market, name, terms))
        return market

    @atomic
    def configure_market(self, sender: str, market: int, terms: Terms) -> None:
        """Change a market's terms, within what cannot hurt an open account (MGN-3, MGN-8)."""
        require(sender == self.owner, "ownable: caller is not the owner")
        require(market < len(self.listed), "market: unknown")
        old = self.listed[market][1]
        dead = self.leg(NOWHERE, market).status != LIVE
        if market in self.settles_at:  # what is left to it is another feed
            ailing = dead and old.feed != NOWHERE and terms.reduce_only
            require(ailing, "configurator: delisted")
        state = self.markets[market].a
        open_interest = slots.open_interest(state.lots, state.skew)
        if open_interest:
            bounds = ("min_price", "max_price")
            require(
                all(getattr(terms, f) == getattr(old, f) for f in bounds),
                "configurator: bounds of open market",
            )
            kept = (terms.feed, terms.max_age) == (old.feed, old.max_age)
            require(kept or (terms.feed != old.feed and dead), "configurator: feed of open market")
            require(terms.skew_scale == old.skew_scale, "configurator: scale of open market")
            lower = ("im_ppm", "mm_ppm", "reward", "liquidation_fee_ppm")
            require(
                all(getattr(terms, f) <= getattr(old, f) for f in lower),
                "configurator: needs a ramp",
            )
        else:
            index = self.leg(NOWHERE, market).funding_index
            require(abs(index) <= 64 * terms.max_price, "configurator: old funding index")
        self._end_ramp(market)
        self._check(terms, open_interest)
        if terms.feed != old.feed or open_interest == 0:
            self._admit(market, terms)
        self._change(market, terms)

    @atomic
    def ramp_market(self, sender: str, market: int, target: Terms, duration: int) -> None:
        """Begin to move a market's terms in a straight line (MGN-3, MGN-8)."""
        require(sender == self.owner, "ownable: caller is not the owner")
        old = self._listed(market)
        require(duration >= MIN_NOTICE, "configurator: ramp too short")
        require(duration <= MAX_NOTICE, "configurator: ramp too long")
        kept = ("feed", "max_age", "min_price", "max_price")
        require(
            all(getattr(target, f) == getattr(old, f) for f in kept),
            "configurator: feed and bounds",
        )
        state = self.markets[market].a
        open_interest = slots.open_interest(state.lots, state.skew)
        self._check(target, open_interest)
        check_step(old, target, open_interest, duration)
        ways = ("im_ppm", "mm_ppm", "liquidation_fee_ppm", "reward", "skew_scale")
        # Just before the last step, with the caps and fees of now.
        eve = old._replace(**{f: getattr(target, f) for f in ways})
        self._check(eve, open_interest)
        self.ramps[market] = Ramp(
            target,
            im_ppm=old.im_ppm,
            mm_ppm=old.mm_ppm,
            liquidation_fee_ppm=old.liquidation_fee_ppm,
            reward=old.reward,
            skew_scale=old.skew_scale,
            duration=duration,
            progress=0,
            walked_at=self.now,
        )
        self._emit(self.settings.configurator, RampStarted(market, target, duration))

    @atomic
    def walk_ramp(self, sender: str, market: int) -> None:
        """Move a market's terms on along their ramp, by an hour's worth at most (MGN-3, MGN-8)."""
        ramp = self.ramps.get(market)
        if ramp is None:
            raise Refused("configurator: no ramp")
        require(ramp.walked_at != self.now, "configurator: nothing to walk")
        progress = min(ramp.progress + min(self.now - ramp.walked_at, STEP), ramp.duration)
        state = self.markets[market].a
        open_interest = slots.open_interest(state.lots, state.skew)
        terms = ramp.target
        if progress == ramp.duration:
            self._end_ramp(market)
        else:
            self.ramps[market] = ramp._replace(progress=progress, walked_at=self.now)
            terms = ramped(self.listed[market][1], self.ramps[market], open_interest)
        self._check(terms, open_interest)
        self._change(market, terms)

    @atomic
    def delist_market(self, sender: str, market: int, duration: int) -> None:
        """Only reducing from now on; after the notice the market is settled (PRC-6)."""
        require(sender == self.owner, "ownable: caller is not the owner")
        terms = self._listed(market)._replace(reduce_only=True)
        require(duration >= MIN_NOTICE, "configurator: notice too short")
        require(duration <= MAX_NOTICE, "configurator: notice too long")
        self._end_ramp(market)
        self.settles_at[market] = self.now + duration
        self._change(market, terms)
        self._emit(self.settings.configurator, MarketDelisted(market, self.now + duration))

    @atomic
    def settle_market(self, sender: str, market: int) -> None:
        """Settle a market for good at its last good price (PRC-6)."""
        require(market < len(self.listed), "market: unknown")
        name, terms = self.listed[market]
        require(terms.feed != NOWHERE, "configurator: settled")
        over = market in self.settles_at and self.now >= self.settles_at[market]
        if sender != self.settings.backstop:
            require(over, "configurator: not yet")
            leg = self.leg(NOWHERE, market)
            if leg.status != LIVE and (leg.lots or leg.skew):
                late = self.now >= self.settles_at[market] + DOUBT_DELAY
                require(late, "configurator: not yet")
            self._check_calm()
        elif not over:
            self._end_ramp(market)
            self.settles_at[market] = self.now
        settled = Terms(
            feed=NOWHERE,
            min_price=terms.min_price,
            max_price=terms.max_price,
            skew_scale=terms.skew_scale,
            reduce_only=True,
            **dict.fromkeys(set(Terms._fields[1:-1]) - {"min_price", "max_price", "skew_scale"}, 0),
        )
        self.listed[market] = (name, settled)
        _, t1, t2 = slots.pack_terms(settled, 18)
        self.set_terms(self.settings.configurator, market, (slots.put(SETTLED, 185, 3), t1, t2))
        price = self.markets[market].a.last_price
        self._emit(self.settings.configurator, MarketSettled(market, price))

    def _listed(self, market: int) -> Terms:
        """The terms of a market that is listed and not delisted."""
        require(market < len(self.listed), "market: unknown")
        require(market not in self.settles_at, "configurator: delisted")
        return self.listed[market][1]

    def _check(self, terms: Terms, open_interest: int) -> None:
        """The rules, with so much open interest, which may be more than its cap."""
        most = max(terms.max_open_interest, open_interest)
        check_terms(terms, most, self.settings.keeper_share_ppm)

    def _admit(self, market: int, terms: Terms) -> None:
        """A feed's decimals; it must answer with a valid price now."""
        feed = self.feeds.get(terms.feed)
        if feed is None:
            raise Refused("configurator: feed")
        require(feed.decimals <= 18, "configurator: feed decimals")
        self.feed_decimals[market] = feed.decimals
        words = self._pack(market, terms)
        _, status = judge_price(feed.read(), terms_of(words), 0, 0, self.now)
        require(status == LIVE, PRICE_REASONS.get(status, ""))

    def _pack(self, market: int, terms: Terms) -> tuple[int, int, int]:
        exponent = slots.bound_exponent(terms.min_price, terms.max_price)
        digits = terms.max_price // 10**exponent
        require(digits < 2**24, "configurator: price bound digits")
        until = self.paused_until.get(market, 0)
        return slots.pack_terms(terms, self.feed_decimals[market], until)

    def _send(self, market: int, terms: Terms) -> None:
        """Put terms that have been checked into effect; a pause goes on."""
        self.listed[market] = (self.listed[market][0], terms)
        self.set_terms(self.settings.configurator, market, self._pack(market, terms))

    def _change(self, market: int, terms: Terms) -> None:
        self._send(market, terms)
        self._emit(self.settings.configurator, MarketReconfigured(market, terms))

    def _end_ramp(self, market: int) -> None:
        if self.ramps.pop(market, None):
            self._emit(self.settings.configurator, RampEnded(market))

    # -------------------------------------------------------------- the guardian

    @atomic
    def set_guardian(self, sender: str, guardian: str) -> None:
        """Name who may lower risk at once, beside the owner (GOV-1)."""
        require(sender == self.owner, "ownable: caller is not the owner")
        self.guardian = guardian
        self._emit(self.settings.configurator, GuardianSet(guardian))

    def _check_guardian(self, sender: str) -> None:
        require(sender in (self.guardian, self.owner), "configurator: guardian only")

    @atomic
    def pause_market(self, sender: str, market: int, duration: int) -> None:
        """Let nobody open or enlarge in a market for so many seconds (GOV-1)."""
        self._check_guardian(sender)
        terms = self._listed(market)
        require(0 < duration <= 7 * DAY, "configurator: pause too long")
        until = max(self.paused_until.get(market, 0), self.now + duration)
        self.paused_until[market] = until
        self._send(market, terms)
        self._emit(self.settings.configurator, MarketPaused(market, until))

    @atomic
    def restrict_market(
        self, sender: str, market: int, max_skew: int, max_open_interest: int, reduce_only: bool
    ) -> None:
        """Lower a market's caps, or leave only reducing; a ramp's target, too (GOV-1)."""
        self._check_guardian(sender)
        terms = self._listed(market)
        lower = (
            max_skew <= terms.max_skew
            and max_open_interest <= terms.max_open_interest
            and reduce_only >= terms.reduce_only
        )
        require(lower, "configurator: only lower")
        require(max_skew <= max_open_interest, "configurator: max_skew")
        if ramp := self.ramps.get(market):
            target = ramp.target._replace(
                max_skew=min(ramp.target.max_skew, max_skew),
                max_open_interest=min(ramp.target.max_open_interest, max_open_interest),
                reduce_only=ramp.target.reduce_only or reduce_only,
            )
            self.ramps[market] = ramp._replace(target=target)
        terms = terms._replace(
            max_skew=max_skew, max_open_interest=max_open_interest, reduce_only=reduce_only
        )
        self._change(market, terms)

    @atomic
    def restrict_collateral(self, sender: str, id: int, cap: int) -> None:
        """Lower a token's cap [raw]; nothing else of its terms moves (GOV-1)."""
        self._check_guardian(sender)
        require(id < len(self.collateral), "collateral: unknown")
        require(cap <= self.collateral[id].cap, "configurator: only lower")
        terms, token = self.collateral[id]._replace(cap=cap), self.tokens[id]
        self.collateral[id] = terms
        t0, t1, t2 = token.words
        words = (t0, t1, t2 >> 128 << 128 | cap)
        self.set_token(self.settings.configurator, id, token.address, words)
        self._emit(self.settings.configurator, CollateralReconfigured(id, terms))

    @atomic
    def freeze(self, sender: str, duration: int) -> None:
        """Let liquidations wait, and whatever takes on risk (GOV-1)."""
        self._check_guardian(sender)
        require(0 < duration <= DAY, "configurator: freeze too long")
        require(self.now >= self.calm_from + BETWEEN_FREEZES, "configurator: too soon")
        self._set_calm(self.now + duration + GRACE)

    @atomic
    def unfreeze(self, sender: str) -> None:
        """End a freeze early; the hour of grace begins (GOV-1)."""
        self._check_guardian(sender)
        require(self.calm_from > self.now + GRACE, "configurator: not frozen")
        self._set_calm(self.now + GRACE)

    def _set_calm(self, calm_from: int) -> None:
        self.calm_from = calm_from
        self.set_calm(self.settings.configurator, calm_from)
        self._emit(self.settings.configurator, CalmSet(calm_from))

    # -------------------------------------------------------------- the Configurator: collateral

    @atomic
    def list_collateral(self, sender: str, token: str, terms: CollateralTerms) -> int:
        """List a collateral token whose feed answers now (COL-1, MGN-3); its id."""
        require(sender == self.owner, "ownable: caller is not the owner")
        id = len(self.collateral)
        require(id < MAX_TOKENS, "configurator: 16 tokens")
        require(token in self.decimals, "configurator: token")
        taken = [known.address for known in self.tokens.values()]
        require(token != self.settings.quote and token not in taken, "configurator: token taken")
        require(not terms.delisted, "configurator: delisted")
        require(self.credit_terms.call_line_ppm != 0, "configurator: no credit terms")
        self.collateral.append(terms)
        self._configure_collateral(id, token, terms, NOWHERE, (0, 0))
        self._emit(self.settings.configurator, CollateralListed(id, token, terms))
        return id

    @atomic
    def configure_collateral(self, sender: str, id: int, terms: CollateralTerms) -> None:
        """Change a token's terms; lower weights settle over three days (MGN-8, COL-4)."""
        require(sender == self.owner, "ownable: caller is not the owner")
        require(id < len(self.collateral), "collateral: unknown")
        old, token = self.collateral[id], self.tokens[id]
        if token.state.total:
            bounds = (terms.min_price, terms.max_price) == (old.min_price, old.max_price)
            dead = self.holding(NOWHERE, id).status != LIVE
            require(bounds or dead, "configurator: bounds of held token")
            kept = (terms.feed, terms.max_age) == (old.feed, old.max_age)
            require(kept or (terms.feed != old.feed and dead), "configurator: feed of held token")
            require(terms.scale >= old.scale, "configurator: needs a ramp")
        then = token_terms_of(token.words)
        weights = (
            self._maintenance_weight(id),
            weight_now(then.initial_ppm, then.initial_before_ppm, then.settle_at, self.now),
        )
        self.collateral[id] = terms
        self._configure_collateral(id, token.address, terms, old.feed, weights)
        self._emit(self.settings.configurator, CollateralReconfigured(id, terms))

    def _maintenance_weight(self, id: int) -> int:
        """A token's maintenance weight in effect [ppm]."""
        t = token_terms_of(self.tokens[id].words)
        return weight_now(t.maintenance_ppm, t.maintenance_before_ppm, t.settle_at, self.now)

    def _configure_collateral(
        self, id: int, token: str, terms: CollateralTerms, old_feed: str, before: tuple[int, int]
    ) -> None:
        decimals = self.decimals[token]
        check_collateral(terms, decimals, self.credit_terms.liquidation_fee_ppm, before[0])
        feed = self.feeds.get(terms.feed)
        if feed is None:
            raise Refused("configurator: feed")
        require(feed.decimals <= 18, "configurator: feed decimals")
        exponent = slots.bound_exponent(terms.min_price, terms.max_price)
        require(terms.max_price // 10**exponent < 2**24, "configurator: price bound digits")
        lower = any(w < b for w, b in zip(slots.weights_of(terms), before, strict=True))
        settle_at = self.now + RAMP if lower else 0
        words = slots.pack_collateral(terms, feed.decimals, decimals, before, settle_at)
        if terms.feed != old_feed:
            _, status = judge_price(feed.read(), token_terms_of(words), 0, 0, self.now)
            require(status == LIVE, PRICE_REASONS.get(status, ""))
        self.set_token(self.settings.configurator, id, token, words)

    @atomic
    def configure_credit(self, sender: str, terms: CreditTerms) -> None:
        """Change what debt may be and costs, and how collateral is seized (COL-2, COL-3, LIQ-4)."""
        require(sender == self.owner, "ownable: caller is not the owner")
        tokens = [
            (self._maintenance_weight(id), terms.discount_ppm)
            for id, terms in enumerate(self.collateral)
        ]
        check_credit(terms, tokens)
        self.set_credit(self.settings.configurator, *slots.pack_credit(terms))
        self._emit(self.settings.configurator, CreditReconfigured(terms))

    # -------------------------------------------------------------- the auction

    @atomic
    def open_lot(
        self, sender: str, token: int, amount: int, to_insurance: int, to_pool: int, surplus_to: str
    ) -> None:
        """Take a seizure up for sale, which is the Clearinghouse's call (LIQ-4)."""
        require(sender == self.address, "access: clearinghouse only")
        self._open_lot(token, amount, to_insurance, to_pool, surplus_to, len(self.lots))

    def _open_lot(
        self, token: int, amount: int, to_insurance: int, to_pool: int, surplus_to: str, first: int
    ) -> None:
        is_funds, id, now = surplus_to == self.address, len(self.lots), self.now
        heir, first = (NOWHERE, id) if is_funds else (surplus_to, first)
        lot = Lot(id, token, amount, 0, now, now, to_insurance, to_pool, heir, first)
        self.lots.append(lot)
        self._emit(
            self.settings.auction,
            LotOpened(lot.id, token, amount, to_insurance, to_pool, surplus_to),
        )

    @atomic
    def buy_collateral(
        self, sender: str, lot: int, amount: int, max_cost: int, receiver: str
    ) -> int:
        """Buy some of a lot at its price of now; the cost [raw], rounded up (LIQ-7)."""
        self._check_calm()
        was = self._open(lot)
        require(amount != 0, "auction: zero amount")
        amount = min(amount, was.amount)
        now = self._ticked(was)
        cost = self._auction_cost(now, amount, 0)
        require(cost <= max_cost, "auction: cost above maximum")
        unit, auction, quote = self.settings.unit, self.settings.auction, self.settings.quote
        left, for_insurance, for_pool = repaid(now._replace(amount=was.amount - amount), cost, unit)
        self.lots[lot] = left if left.amount else left.sold
        surplus = cost - for_insurance - for_pool
        if was.surplus_to == NOWHERE:
            for_insurance, surplus = for_insurance + surplus, 0
        falls = [0, 0]  # [WAD quote] what is repaid to the pool of others for sale, of sold ones
        for other in self.lots_of_its_seizure(lot):  # each answers for all that is owed
            if other.id != lot and surplus and (other.to_insurance or other.to_pool):
                owes, more_insurance, more_pool = repaid(other, surplus, unit)
                self._owes(owes)
                surplus -= more_insurance + more_pool
                for_insurance, for_pool = for_insurance + more_insurance, for_pool + more_pool
                falls[not other.amount] += more_pool * unit
        for_sale, for_sold = self._awaited_of(lot)
        if left.amount:
            self._await(lot, (for_sale - falls[0], for_sold - falls[1]))
        else:
            # What was counted on, and what this one lacks, as far as others may still bring it.
            most = self._reckoned(lot, doubted=True)
            self._await(lot, (min(for_sale, most[0]), min(for_sold + left.to_pool, most[1])))
        self._transfer_from(quote, auction, sender, auction, cost)
        if surplus:
            self.deposit(auction, was.surplus_to, quote, surplus)
        if for_insurance:
            self.deposit(auction, self.address, quote, for_insurance)
        if for_pool:
            self.deposit(auction, self.settings.pool, quote, for_pool)
        token = self.tokens[was.token].address
        self.withdraw(auction, auction, token, amount, receiver)
        self._emit(auction, LotSold(lot, sender, amount, cost, left.amount))
        if not left.amount:
            self._emit(auction, LotClosed(lot, left.to_insurance, left.to_pool))
        return cost

    def lots_of_its_seizure(self, lot: int) -> list[Lot]:
        """Those that answer for one debt, sold ones and itself among them; none of the fund's."""
        first = self.lots[lot].first
        row = self.lots[first : first + MAX_TOKENS]
        return [o for o in row if o.first == first and o.surplus_to != NOWHERE]

    def _owes(self, lot: Lot) -> None:
        self.lots[lot.id] = lot
        self._emit(self.settings.auction, LotOwes(lot.id, lot.to_insurance, lot.to_pool))

    def _await(self, lot: int, least: tuple[int, int]) -> None:
        """What a seizure's lots may bring the pool beyond their own dues: no less than `least`.

        For others for sale that do not bring theirs, and for sold ones [WAD quote].
        """
        row = self.lots_of_its_seizure(lot)
        if row:
            (for_sale, for_sold) = self._reckoned(lot, doubted=False)
            self.awaited[row[0].id] = (max(for_sale, least[0]), max(for_sold, least[1]))

    def _awaited_of(self, lot: int) -> tuple[int, int]:
        return self.awaited.get(self.lots[lot].first, (0, 0))

    def _reckoned(self, lot: int, doubted: bool) -> tuple[int, int]:
        """What a seizure's lots for sale may bring the pool beyond their own dues.

        At their last prices and in the order in which a surplus repays: for others for sale that do
        not bring theirs at the floor, as `worth_of_lots` counts them; and for sold ones, no
        discount off, as an entry counts what lots owe.

        Args:
            lot: any of the seizure.
            doubted: whether a dead one's last price may have been wrong.
        """
        row = self.lots_of_its_seizure(lot)
        held = [self.holding(self.settings.auction, other.token) for other in row]
        worth = known_worth if doubted else last_worth
        brings = [worth(h, other.amount) for h, other in zip(held, row, strict=True)]
        floor = [floor_div(b * h.kept_ppm, PPM) for b, h in zip(brings, held, strict=True)]
        owed = [other.to_insurance + other.to_pool for other in row]
        spare = sum(max(b - o, 0) for b, o in zip(brings, owed, strict=True))
        for_sale, _ = shared_out(row, spare, floor)
        _, for_sold = shared_out(row, spare, brings)
        return min(for_sale, spare - for_sold), for_sold

    def _forget(self, lot: Lot) -> None:
        """What a lot owes the pool is the fund's from now on."""
        if lot.to_pool:
            owed = lot.to_insurance + lot.to_pool
            self._owes(lot._replace(to_insurance=owed, to_pool=0))

    def _is_gone(self, lot: Lot) -> bool:
        """Whether a lot's feed is dead and has not been seen live for a month."""
        terms = token_terms_of(self.tokens[lot.token].words)
        feed = self.feeds.get(terms.feed)
        _, status = judge_price(feed.read() if feed else None, terms, 0, 0, self.now)
        return status != LIVE and self.now > lot.seen_at + WRITE_OFF_AFTER

    @atomic
    def tick(self, sender: str, lot: int) -> int:
        """Let a lot's clock see that its feed is live; the seconds that count so far (LIQ-7)."""
        self.lots[lot] = self._ticked(self._open(lot))
        if self.is_calm():  # a freeze may be about the very price
            self._await(lot, self._awaited_of(lot))
        return self.lots[lot].elapsed

    @atomic
    def write_off(self, sender: str, lot: int) -> int:
        """Forget what a lot owes the pool, whose feed has not been seen live for a month (LIQ-7).

        Returns:
            What the pool bears [WAD quote].
        """
        # One of a bankrupt's goes with all of its seizure: any other may still repay it.
        was = self._open(lot)
        row = self.lots_of_its_seizure(lot) or [was]
        gone = all(self._is_gone(other) for other in row if other.amount)
        require(gone, "auction: not to be written off")
        owed = self.owed_to_pool()
        for other in row:
            self._forget(other)
        self._await(lot, (0, 0))
        from_pool = owed - self.owed_to_pool()
        self._emit(self.settings.auction, LotWrittenOff(lot, from_pool))
        return from_pool

    def cost_of(self, lot: int, amount: int, wait: int) -> int:
        """What `amount` of a lot would cost after `wait` more live seconds [raw]."""
        return self._auction_cost(self._ticked(self._open(lot)), amount, wait)

    def lot(self, id: int) -> Lot:
        """A lot as of now."""
        return self.lots[id] if id < len(self.lots) else Lot(id=id, first=id)

    def owed_to_pool(self) -> int:
        """What lots for sale must still repay the pool, and may for sold ones [WAD quote]."""
        owed = sum(lot.to_pool for lot in self.lots if lot.amount)
        return owed + sum(for_sold for _, for_sold in self.awaited.values())

    def open_lots(self, start: int) -> list[Lot]:
        """The lots of a page that are still for sale."""
        return [lot for lot in self.lots[start : start + 64] if lot.amount]

    def _open(self, lot: int) -> Lot:
        found = self.lot(lot)
        require(found.amount != 0, "auction: no such lot")
        return found

    def _ticked(self, lot: Lot) -> Lot:
        """A lot whose clock has seen its feed, which must be live."""
        terms = token_terms_of(self.tokens[lot.token].words)
        feed = self.feeds.get(terms.feed)
        said = feed.read() if feed else None
        _, status = judge_price(said, terms, 0, 0, self.now)
        require(status == LIVE and said is not None, PRICE_REASONS.get(status, ""))
        assert said is not None
        # Nobody could buy before a freeze and its grace were over: that time does not count.
        seen_at = max(lot.seen_at, min(self.calm_from, self.now))
        elapsed = lot.elapsed + live_seconds(seen_at, lot.live_until, said.updated_at, self.now)
        return lot._replace(
            elapsed=min(elapsed, 2**32 - 1),
            seen_at=self.now,
            live_until=said.updated_at + terms.max_age,
        )

    def _auction_cost(self, lot: Lot, amount: int, wait: int) -> int:
        terms = token_terms_of(self.tokens[lot.token].words)
        price = self.holding(NOWHERE, lot.token).price
        worth = auction_cost(amount, price, fits_word(lot.elapsed + wait), terms)
        return ceil_div(worth, self.settings.unit)

    # -------------------------------------------------------------- the pool: entry

    @atomic
    def pool_deposit(self, sender: str, assets: int, receiver: str, min_shares: int = 0) -> int:
        """Pay `assets` [raw] into the pool; the shares that they buy, rounded down (LPV-2)."""
        require(assets != 0, "pool: zero assets")
        self._transfer_from(
            self.settings.quote, self.settings.pool, sender, self.settings.pool, assets
        )
        worth = self.valuation()
        self._check_entry(worth)
        self._pay_in(assets)
        minted = self._shares_for(assets, worth)
        require(minted >= min_shares, "pool: too few shares")
        self._enter(sender, assets, minted, receiver, worth)
        return minted

    @atomic
    def pool_mint(self, sender: str, shares: int, receiver: str, max_assets: int = MAX_UINT) -> int:
        """Buy exactly `shares`; what they cost [raw], rounded up (LPV-2)."""
        require(shares != 0, "pool: zero shares")
        worth = self.valuation()
        self._check_entry(worth)
        assets = self._cost_of_shares(shares, worth)
        require(assets <= max_assets, "pool: too many assets")
        self._transfer_from(
            self.settings.quote, self.settings.pool, sender, self.settings.pool, assets
        )
        self._pay_in(assets)
        self._enter(sender, assets, shares, receiver, worth)
        return assets

    def _pay_in(self, assets: int) -> None:
        pool, quote = self.settings.pool, self.settings.quote
        self.allowances[quote, pool, self.address] = assets
        self._emit(quote, Approval(pool, self.address, assets))
        self.deposit(pool, pool, quote, assets)

    def _enter(
        self, sender: str, assets: int, minted: int, receiver: str, worth: Valuation
    ) -> None:
        pool = self.settings.pool
        require(minted != 0, "pool: zero shares")
        self._check_share_receiver(receiver)
        self.supply = fits_word(self.supply + minted)
        self.shares[receiver] = self.shares.get(receiver, 0) + minted
        self._emit(pool, Transfer(NOWHERE, receiver, minted))
        self._emit(pool, Deposit(sender, receiver, assets, minted))
        self.set_nav(pool, worth.nav + assets * self.settings.unit)

    # -------------------------------------------------------------- the pool: exit

    @atomic
    def request_redeem(self, sender: str, shares: int, controller: str, owner: str) -> int:
        """Hand in `shares`, to be claimed after the cooldown for today's worth at most (LPV-2)."""
        pool = self.settings.pool
        require(shares != 0, "pool: zero shares")
        self._check_controller(sender, controller)
        if sender != owner and (owner, sender) not in self.operators:
            self._spend_shares(owner, sender, shares)
        valuation = self.valuation()
        self._check_exit(valuation)
        request = self.requests.get(controller, Request())
        total = fits_word(request.shares + shares)
        # A bound for the claim should not depend on what was seized, or reported, just before.
        worth = self._worth(total, valuation._replace(sure=valuation.due, doubtful=0))
        if request.shares and self.now <= request.claimable_at + CLAIM_WINDOW:
            worth = min(worth, floor_div(fits_word(request.worth * total), request.shares))
        require(worth != 0, "pool: zero assets")
        self._keep(controller, Request(total, worth, self.now + self.cooldown))
        self._move_shares(owner, pool, shares)
        self._emit(pool, RedeemRequest(controller, owner, 0, sender, shares))
        return 0

    @atomic
    def cancel_request(self, sender: str, receiver: str, controller: str) -> int:
        """Take a request back, whole; its shares."""
        self._check_controller(sender, controller)
        self._check_share_receiver(receiver)
        shares = self.requests.get(controller, Request()).shares
        require(shares != 0, "pool: no request")
        self._keep(controller, Request())
        self._move_shares(self.settings.pool, receiver, shares)
        return shares

    @atomic
    def pool_redeem(
        self, sender: str, shares: int, receiver: str, controller: str, min_assets: int = 0
    ) -> int:
        """Claim `shares` of a request; what is paid [raw]: the lesser of then and now, down."""
        request = self._claimable(sender, controller)
        require(shares <= request.shares, "pool: more than requested")
        valuation = self.valuation()
        self._check_exit(valuation)
        assets = self._payout(shares, request, valuation)
        require(assets >= min_assets, "pool: too few assets")
        self._leave(sender, shares, assets, receiver, controller, request, valuation)
        return assets

    @atomic
    def pool_withdraw(
        self,
        sender: str,
        assets: int,
        receiver: str,
        controller: str,
        max_shares: int = MAX_UINT,
    ) -> int:
        """Claim exactly `assets` [raw] of a request; the shares that it takes, rounded up."""
        request = self._claimable(sender, controller)
        valuation = self.valuation()
        self._check_exit(valuation)
        require(request.worth != 0, "pool: more than requested")
        unit = self.settings.unit
        wanted = fits_word(assets * unit)
        burned = max(
            ceil_div(fits_word(wanted * (self.supply + VIRTUAL_SHARES)), valuation.stays + unit),
            ceil_div(fits_word(wanted * request.shares), request.worth),
        )
        require(burned <= request.shares, "pool: more than requested")
        require(burned <= max_shares, "pool: too many shares")
        self._leave(sender, burned, assets, receiver, controller, request, valuation)
        return burned

    def _claimable(self, sender: str, controller: str) -> Request:
        self._check_controller(sender, controller)
        request = self.requests.get(controller, Request())
        require(request.shares != 0, "pool: no request")
        require(self.now >= request.claimable_at, "pool: cooling down")
        require(self._is_claimable(request), "pool: request has lapsed")
        return request

    def _is_claimable(self, request: Request) -> bool:
        opens = request.claimable_at
        return request.shares != 0 and opens <= self.now <= opens + CLAIM_WINDOW

    def _leave(
        self,
        sender: str,
        burned: int,
        assets: int,
        receiver: str,
        controller: str,
        request: Request,
        valuation: Valuation,
    ) -> None:
        pool = self.settings.pool
        require(assets != 0, "pool: zero assets")
        require(receiver != pool, "pool: bad receiver")
        require(assets <= self._room(valuation), "pool: exposure too high")
        left = request.shares - burned
        worth = floor_div(request.worth * left, request.shares)
        self._keep(controller, Request(left, worth, request.claimable_at) if left else Request())
        self.shares[pool] -= burned
        self.supply -= burned
        self._emit(pool, Transfer(pool, NOWHERE, burned))
        self._emit(pool, Withdraw(sender, receiver, controller, assets, burned))
        self.set_nav(pool, valuation.nav - assets * self.settings.unit)
        self.withdraw(pool, pool, self.settings.quote, assets, receiver)

    def _keep(self, controller: str, request: Request) -> None:
        if request.shares:
            self.requests[controller] = request
        else:
            self.requests.pop(controller, None)
        self._emit(self.settings.pool, RequestKept(controller, *request))

    # -------------------------------------------------------------- the pool: the rest

    @atomic
    def set_operator(self, sender: str, operator: str, approved: bool) -> bool:
        """Let `operator` request, cancel and claim for the sender, or no longer."""
        (self.operators.add if approved else self.operators.discard)((sender, operator))
        self._emit(self.settings.pool, OperatorSet(sender, operator, approved))
        return True

    @atomic
    def transfer_shares(self, sender: str, receiver: str, amount: int) -> bool:
        """ERC-20, of the pool's shares."""
        self._check_share_receiver(receiver)
        self._move_shares(sender, receiver, amount)
        return True

    @atomic
    def transfer_shares_from(self, sender: str, owner: str, receiver: str, amount: int) -> bool:
        """ERC-20, of the pool's shares."""
        self._spend_shares(owner, sender, amount)
        self._check_share_receiver(receiver)
        self._move_shares(owner, receiver, amount)
        return True

    @atomic
    def approve_shares(self, sender: str, spender: str, amount: int) -> bool:
        """ERC-20, of the pool's shares."""
        self._approve_shares(sender, spender, amount)
        return True

    @atomic
    def refresh(self, sender: str) -> int:
        """Tell the Clearinghouse the pool's NAV [WAD quote] (QTE-4)."""
        valuation = self.valuation()
        self._check_live(valuation)
        self.set_nav(self.settings.pool, valuation.nav)
        return valuation.nav

    def doubtful(self) -> int:
        """What reported accounts cannot pay and the insurance fund has not [WAD quote] (LPV-2)."""
        return max(sum(self.losses.values()) - self.header_of(self.address).cash, 0)

    def valuation(self) -> Valuation:
        """The pool's account: cash and PnL, less the premium that it would hand back (LPV-1)."""
        nav = self.header_of(self.settings.pool).cash
        # On its way to those who are in: who enters pays for it (LPV-2).
        by_lots = self.owed_to_pool()
        interest = self._interest()
        sure = interest + (self.worth_of_lots().by_live if by_lots else 0)
        due = by_lots + interest
        spread, live = 0, self.is_calm()
        equity, maintenance, unpaid = nav + sure, 0, 0  # as the Backstop's: the premium in it
        for market in range(len(self.listed)):
            leg = self.leg(NOWHERE, market)
            if leg.skew == 0 and leg.lots == 0:
                continue
            terms = self._terms(market)
            depth = abs(leg.skew)
            pnl = floor_div(-leg.skew * (leg.price - leg.funding_index), WAD)
            nav, equity = nav + pnl, equity + pnl
            # Were the smaller side gone, as who holds it can leave a second later.
            crowd = slots.open_interest(leg.lots, leg.skew)
            maintenance += self._valued(leg, crowd, 0).required
            if terms.status == SETTLED:  # it closes at that price: there is no curve to unwind on
                continue
            premium = ceil_div(leg.price * depth * depth, 2 * terms.skew_scale * WAD)
            nav -= premium
            most = ceil_div(leg.price * crowd * crowd, 2 * terms.skew_scale * WAD)
            if terms.status != OPEN:  # it may be settled next, and then the premium is the pool's
                spread += most
            else:
                unpaid += most
            spread += ceil_div(leg.price * depth * terms.spread_ppm, WAD * PPM)
            live = live and leg.status == LIVE
        # Near its margin it may be deleveraged: the premium of what is closed is its own then.
        if equity < NEAR_MARGIN * maintenance:
            spread += unpaid
        return Valuation(nav, spread, due, sure, self.doubtful(), live)

    @atomic
    def report(self, sender: str, account: str) -> int:
        """Tell what an account could not pay if it were closed now (LPV-2) [WAD quote]."""
        left = self.header_of(account).cash - self.interest_of(account)
        left += self._value(account, self.header_of(account).bitmap).pnl
        for id in _bits(self._token_bits(account)):
            held = self.holding(account, id)
            left += self._brings(held)
        loss = max(-left, 0) if account != self.settings.pool else 0
        self.losses[account] = loss
        losses = sum(self.losses.values())
        self._emit(self.settings.pool, LossReported(account, loss, losses))
        return loss

    def _brings(self, held: Holding) -> int:
        """What a token in an account that may not pay counts for [WAD quote].

        A dead one as for its holder's health, which fades, or what its feed answers if less.
        """
        if held.status == LIVE:
            return held.credit
        if held.status == NOT_POSITIVE:
            return 0
        if held.status != OUT_OF_BOUNDS:
            return held.maintenance
        terms = token_terms_of(self.tokens[held.id].words)
        said = self.feeds[terms.feed].read()
        answer = said.answer if said else 0
        price = min(answer, 2**96) * 10**terms.feed_exponent
        return min(held.maintenance, held.credit * min(price, held.price) // max(held.price, 1))

    def total_assets(self) -> int:
        """ERC-4626 [raw], rounded down."""
        return max(self.valuation().nav, 0) // self.settings.unit

    def convert_to_shares(self, assets: int) -> int:
        """ERC-4626, rounded down."""
        value = fits_word(assets * self.settings.unit)
        product = fits_word(value * (self.supply + VIRTUAL_SHARES))
        return floor_div(product, max(self.valuation().nav, 0) + self.settings.unit)

    def convert_to_assets(self, shares: int) -> int:
        """ERC-4626 [raw], rounded down."""
        product = fits_word(shares * (max(self.valuation().nav, 0) + self.settings.unit))
        return floor_div(product, self.supply + VIRTUAL_SHARES) // self.settings.unit

    def max_deposit(self, receiver: str) -> int:
        """ERC-4626 [raw]."""
        return self._space(self.valuation())

    def max_mint(self, receiver: str) -> int:
        """ERC-4626."""
        valuation = self.valuation()
        space = self._space(valuation)
        return self._shares_for(space, valuation) if space else 0

    def preview_deposit(self, assets: int) -> int:
        """ERC-4626."""
        valuation = self.valuation()
        self._check_entry(valuation)
        return self._shares_for(assets, valuation)

    def preview_mint(self, shares: int) -> int:
        """ERC-4626 [raw]."""
        valuation = self.valuation()
        self._check_entry(valuation)
        return self._cost_of_shares(shares, valuation)

    def max_redeem(self, controller: str) -> int:
        """ERC-4626: the most shares of a request that a claim could burn now."""
        request = self.requests.get(controller, Request())
        if not self._is_claimable(request):
            return 0
        valuation = self.valuation()
        room = min(self._room(valuation), self._lets_go())
        if room == 0:
            return 0
        shares = request.shares
        if self._payout(shares, request, valuation) > room:
            # The most shares that do not yet pay one raw unit more; either bound will do.
            above = (room + 1) * self.settings.unit
            by_now = (above * (self.supply + VIRTUAL_SHARES) - 1) // (
                valuation.stays + self.settings.unit
            )
            by_then = (above * request.shares - 1) // request.worth
            shares = min(shares, max(by_now, by_then))
        return shares if self._payout(shares, request, valuation) else 0

    def max_withdraw(self, controller: str) -> int:
        """ERC-4626 [raw]: the most that a claim could be paid now."""
        request = self.requests.get(controller, Request())
        if not self._is_claimable(request):
            return 0
        valuation = self.valuation()
        room = min(self._room(valuation), self._lets_go())
        return min(self._payout(request.shares, request, valuation), room) if room else 0

    def pending(self, controller: str) -> int:
        """ERC-7540: the shares that still cool down."""
        request = self.requests.get(controller, Request())
        return request.shares if self.now < request.claimable_at else 0

    def claimable(self, controller: str) -> int:
        """ERC-7540: the shares whose time to claim has come and not gone."""
        request = self.requests.get(controller, Request())
        return request.shares if self._is_claimable(request) else 0

    def _shares_for(self, assets: int, v: Valuation) -> int:
        value = fits_word(assets * self.settings.unit)
        product = fits_word(value * (self.supply + VIRTUAL_SHARES))
        return floor_div(product, max(v.nav, 0) + v.spread + v.due + self.settings.unit)

    def _cost_of_shares(self, shares: int, v: Valuation) -> int:
        product = fits_word(shares * (max(v.nav, 0) + v.spread + v.due + self.settings.unit))
        return ceil_div(product, (self.supply + VIRTUAL_SHARES) * self.settings.unit)

    def _worth(self, shares: int, v: Valuation) -> int:
        product = fits_word(shares * (max(v.stays, 0) + self.settings.unit))
        return floor_div(product, self.supply + VIRTUAL_SHARES)

    def _payout(self, shares: int, request: Request, v: Valuation) -> int:
        then = floor_div(fits_word(request.worth * shares), request.shares)
        return min(self._worth(shares, v), then) // self.settings.unit

    def _space(self, v: Valuation) -> int:
        """How much more the Clearinghouse may hold [raw], if an entry is open at all."""
        if self.share or not v.live or self._is_broke(v):
            return 0
        return MAX_CUSTODY // self.settings.unit - self.custody

    def _room(self, v: Valuation) -> int:
        """How much may leave [raw] before the exposure is too high for what stays unlent (LPV-3).

        Whether so much is there, and let go, is another question: see `_lets_go`.
        """
        if self.share or not v.live or v.stays <= 0:
            return 0
        stays = self.debts.total + v.sure  # what is lent, or given for lots, is not there
        if self.book.exposure:
            if self.settings.max_pool_leverage_ppm == 0:
                return 0
            stays += ceil_div(self.book.exposure * PPM, self.settings.max_pool_leverage_ppm)
        return max(v.stays - stays, 0) // self.settings.unit

    def _is_broke(self, v: Valuation) -> bool:
        return v.nav < 0 or (v.nav == 0 and self.supply != 0)

    def _check_live(self, v: Valuation) -> None:
        # What debtors repay meanwhile is the claims' first, not the pool's.
        require(self.share == 0, "withdraw: settlement waits")
        calm = self.is_calm()
        require(v.live, "pool: a price is not live" if calm else "venue: frozen or in grace")

    def _check_entry(self, v: Valuation) -> None:
        self._check_live(v)
        require(not self._is_broke(v), "pool: no equity")

    def _check_exit(self, v: Valuation) -> None:
        self._check_live(v)
        require(v.stays > 0, "pool: no equity")

    def _check_controller(self, sender: str, controller: str) -> None:
        allowed = sender == controller or (controller, sender) in self.operators
        require(allowed, "pool: not your request")

    def _check_share_receiver(self, receiver: str) -> None:
        require(receiver not in (NOWHERE, self.settings.pool), "shares: bad receiver")

    def _spend_shares(self, owner: str, spender: str, amount: int) -> None:
        allowed = self.allowances.get((self.settings.pool, owner, spender), 0)
        if allowed != MAX_UINT:
            require(amount <= allowed, "shares: allowance too low")
            self._approve_shares(owner, spender, allowed - amount)

    def _approve_shares(self, owner: str, spender: str, amount: int) -> None:
        self.allowances[self.settings.pool, owner, spender] = amount
        self._emit(self.settings.pool, Approval(owner, spender, amount))

    def _move_shares(self, owner: str, receiver: str, amount: int) -> None:
        require(self.shares.get(owner, 0) >= amount, "shares: balance too low")
        self.shares[owner] = self.shares.get(owner, 0) - amount
        self.shares[receiver] = self.shares.get(receiver, 0) + amount
        self._emit(self.settings.pool, Transfer(owner, receiver, amount))

    # -------------------------------------------------------------- tokens

    def _transfer_from(
        self, token: str, spender: str, owner: str, receiver: str, amount_raw: int
    ) -> None:
        key = (token, owner, spender)
        allowed = self.allowances.get(key, 0)
        if allowed != MAX_UINT:
            require(allowed >= amount_raw, "")
            self.allowances[key] = allowed - amount_raw
        self._move_token(token, owner, receiver, amount_raw)

    def _move_token(self, token: str, sender: str, receiver: str, amount_raw: int) -> None:
        require(self.balance(token, sender) >= amount_raw, "")
        self.balances[token, sender] = self.balance(token, sender) - amount_raw
        self.balances[token, receiver] = self.balance(token, receiver) + amount_raw
        self._emit(token, Transfer(sender, receiver, amount_raw))

    def balance(self, token: str, owner: str) -> int:
        """ERC-20 [raw]."""
        return self.balances.get((token, owner), 0)


def _bits(bitmap: int) -> list[int]:
    """The set bits of a bitmap, lowest first."""
    return [i for i in range(bitmap.bit_length()) if bitmap >> i & 1]
