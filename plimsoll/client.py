"""A thin SDK: decimals in, decimals out, names as well as ids.

Three different words: the *owner* is the address whose accounts they are, an *account* is one of
its 256 (`sub_account`), and the *signer* is who sends the transaction. Reads go through the Lens,
so every number is the Clearinghouse's own; `conservation` reads the Clearinghouse alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from fractions import Fraction
from typing import Any

from plimsoll import model, slots
from plimsoll.chain import Receipt, address_of
from plimsoll.deployment import Deployment
from plimsoll.errors import DeploymentError
from plimsoll.units import (
    MAX_INT,
    MAX_UINT,
    WIDE,
    Number,
    decimal,
    from_ppm,
    from_wad,
    significant,
    to_wad,
    unscaled,
)

SLIPPAGE = Decimal("0.005")  # of the previewed price, where a trade names no limit
PAGE = 16  # markets in one call: a view reads a feed for each
ACCOUNTS_PER_CALL = 32


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
class Account:
    """An account as of now; see ILens.AccountView. Health and leverage are None where boundless."""

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
    """What a liquidation would do now; see ILens.LiquidationPreview."""

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
    gas: int = 0

    @property
    def health(self) -> Decimal:
        """Equity over maintenance, before."""
        return self.equity / self.maintenance if self.maintenance else Decimal(0)


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
        return Account(**values)

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
        """Those of the accounts that anyone may liquidate now."""
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
        values = _decimals(Pool, view, raw=("custody", "balance"), ends=self.deployment)
        now = self.chain.view(self.deployment.pool, "valuation")
        values.update(
            nav=from_wad(int(now.nav)),
            is_live=bool(now.live),
            known_nav=from_wad(int(view.nav)),
            known_at=int(view.nav_known_at),
        )
        return Pool(**values)

    def preview_trade(
        self, account: Any, market: str | int, size: Number, limit: Number | None = None
    ) -> TradePreview:
        """What a trade would do now, or why it would be refused.

        Args:
            account: whose.
            market: name or id.
            size: [base] + buys, - sells.
            limit: [quote/base] the worst price to accept; any, if left out.
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
        view = self._lens("preview_liquidation", address_of(account))
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
            moves: fraction by market (name or id), ``-0.1`` for a fall of 10 %; ``"all"`` for the
                rest.

        Raises:
            DeploymentError: if a market is unknown.
            ValueError: if a price would not stay above zero.
        """
        address = address_of(account)
        rest = moves.get("all")
        wanted = {
            self.deployment.market_name(m): decimal(move, f"{m}: move")
            for m, move in moves.items()
            if m != "all"
        }
        header = self.header(address)
        equity = after = header.cash
        before_mm = mm = 0
        prices: dict[str, tuple[Decimal, Decimal]] = {}
        for number in bits(header.bitmap):
            name = self.deployment.market_name(number)
            move = wanted.get(name, decimal(rest, "move") if rest is not None else Decimal(0))
            if move <= -1:
                raise ValueError(f"{name}: a fall of {-move:%} leaves no price")
            leg = self.chain.view(self.deployment.clearinghouse, "leg", address, number)
            price = int(leg.price)
            moved = int(WIDE.multiply(Decimal(price), 1 + move))
            prices[name] = (from_wad(price), from_wad(moved))
            now, then = _value(leg, price), _value(leg, moved)
            equity, before_mm = equity + now.pnl, before_mm + now.maintenance
            after, mm = after + then.pnl, mm + then.maintenance
        return Shock(
            equity_before=from_wad(equity),
            health_before=_bounded(model.health(equity, before_mm)),
            equity=from_wad(after),
            maintenance=from_wad(mm),
            health=_bounded(model.health(after, mm)),
            prices=prices,
        )

    # -------------------------------------------------------------- actions

    def deposit(self, amount: Number, account: Any = None, signer: Any = None) -> Receipt:
        """Pay `amount` [quote] of the signer's into an account, his main one by default."""
        payer = self._signer(signer)
        raw = self.deployment.provide(payer, amount, self.deployment.clearinghouse)
        return self._send("deposit", address_of(account or payer), self._quote, raw, signer=payer)

    def withdraw(
        self, amount: Number, account: Any = None, receiver: Any = None, signer: Any = None
    ) -> Receipt:
        """Pay `amount` [quote] out of one of the signer's accounts, to him by default."""
        owner = self._signer(signer)
        raw = self.deployment.raw(amount)
        source, target = address_of(account or owner), address_of(receiver or owner)
        return self._send("withdraw", source, self._quote, raw, target, signer=owner)

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
            slippage: fraction of the previewed price; None: any price will do.
        """
        owner = self._signer(signer)
        where = address_of(account or owner)
        delta = _wad(size, "size")
        if limit is None and slippage is not None:
            preview = self.preview_trade(where, market, size)
            give = decimal(slippage, "slippage") * (1 if delta > 0 else -1)
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
        """Close a position; None if there is none."""
        owner = self._signer(signer)
        number = self.deployment.market_id(market)
        where = address_of(account or owner)
        size = int(self.chain.view(self.deployment.clearinghouse, "leg", where, number).size)
        return self.trade(number, from_wad(-size), account=where, signer=owner) if size else None

    def liquidate(self, account: Any, signer: Any = None) -> Liquidation:
        """Liquidate an account; the reward is cash in the signer's main account."""
        receipt = self._send("liquidate", address_of(account), signer=self._signer(signer))
        return liquidations(receipt)[0]

    def liquidate_many(self, accounts: Iterable[Any], signer: Any = None) -> list[Liquidation]:
        """Liquidate those of up to 64 accounts that are below the line."""
        addresses = [address_of(a) for a in accounts]
        return liquidations(self._send("liquidate_many", addresses, signer=self._signer(signer)))

    # -------------------------------------------------------------- inside

    @property
    def _quote(self) -> str:
        return address_of(self.deployment.quote)

    def _signer(self, signer: Any) -> Any:
        found = signer or self.signer
        if found is None:
            raise DeploymentError("nobody to sign: name a signer")
        return found

    def _lens(self, method: str, *args: Any) -> Any:
        return self.chain.view(self.deployment.lens, method, *args)

    def _send(self, method: str, *args: Any, signer: Any) -> Receipt:
        return self.chain.send(self.deployment.clearinghouse, method, *args, sender=signer)

    def _status(self, status: int) -> str:
        return model.PRICE_REASONS.get(int(status), "live")


def liquidations(receipt: Receipt) -> list[Liquidation]:
    """The liquidations of a transaction, in order."""
    found = []
    closed: dict[str, int] = {}
    debts: dict[str, tuple[int, int]] = {}
    for event in receipt.events:
        args = event.args
        if event.name == "Fill":
            closed[args["account"]] = closed.get(args["account"], 0) + 1
        elif event.name == "BadDebt":
            debts[args["account"]] = (int(args["from_insurance"]), int(args["from_pool"]))
        elif event.name == "Liquidated":
            account = args["account"]
            from_insurance, from_pool = debts.pop(account, (0, 0))
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
                    gas=receipt.gas,
                )
            )
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
class Conservation:
    """LED-2 of every market, and LED-3, over stored values [WAD]."""

    sizes: tuple[SizeSum, ...]
    accounts: int  # how many were summed, the pool and the insurance fund among them
    cash: int
    basis: int
    custody: int
    balance: int  # what the token says; strays included

    @property
    def difference(self) -> int:
        """LED-3: sum of cash less sum of basis less custody; zero."""
        return self.cash - self.basis - self.custody

    @property
    def holds(self) -> bool:
        """Whether every difference is zero and the token covers custody."""
        sizes_agree = all(s.difference == 0 for s in self.sizes)
        return sizes_agree and self.difference == 0 and self.custody <= self.balance


def known_accounts(deployment: Deployment) -> list[str]:
    """Every account that ever held anything, by the Clearinghouse's ``CashMoved`` events."""
    events = deployment.chain.events(deployment.clearinghouse, "CashMoved", deployment.block)
    return list(dict.fromkeys(address_of(event.args["account"]) for event in events))


def conservation(deployment: Deployment, accounts: Iterable[Any] | None = None) -> Conservation:
    """Add up what the Clearinghouse has stored, to the wei.

    Args:
        deployment: where.
        accounts: all that ever held anything; by default those that the events tell of. The pool
            and the insurance fund are added.
    """
    chain, house = deployment.chain, deployment.clearinghouse
    found = known_accounts(deployment) if accounts is None else [address_of(a) for a in accounts]
    everyone = list(dict.fromkeys([*found, address_of(deployment.pool), deployment.insurance]))
    client = Client(deployment)
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
    custody = int(chain.view(house, "globals")[0])
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
    )


# ------------------------------------------------------------------ inside


def _value(leg: Any, price: int) -> model.Value:
    """A leg at a price, by the contract's valuation; the initial requirement is left out."""
    terms = slots.unpack_terms(int(leg.t0), int(leg.t1), 0)
    return model.value(
        int(leg.size),
        int(leg.basis),
        price,
        int(leg.index),
        int(leg.skew),
        terms.mm_ppm,
        0,
        terms.skew_scale,
        terms.reward,
    )


def bits(bitmap: int) -> list[int]:
    """The places of the bits that are set."""
    return [number for number in range(bitmap.bit_length()) if bitmap >> number & 1]


def _bounded(wad: int) -> Decimal | None:
    return None if wad == MAX_UINT else from_wad(wad)


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
    exact = decimal(limit, "limit").scaleb(18, WIDE)
    whole = int(exact)
    if exact < 0 or whole >= MAX_UINT:
        raise ValueError(f"limit: {limit} is {'below zero' if exact < 0 else 'too large'}")
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
