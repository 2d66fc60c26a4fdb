"""The plain table that a deployment is made from, in the units that people think in.

Ratios are fractions (``0.05`` is 5 %), sizes are in base, prices and money in quote, times in
seconds. `default_table` is the specification's table of defaults; `load_table` reads one from a
YAML or JSON file; `Table.terms` turns a market into what the Configurator takes, or says what
cannot be represented.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from plimsoll.errors import TableError
from plimsoll.model import MAX_GRACE
from plimsoll.slots import REWARD_UNIT, CollateralTerms, CreditTerms, Terms, bound_exponent
from plimsoll.units import (
    MAX_UINT,
    WAD,
    WIDE,
    decimal,
    from_wad,
    plain,
    scaled,
    significant,
    to_ppm,
    to_wad,
)

D = Decimal
MAX_MARKETS = 128
MAX_TOKENS = 16
MAX_NAME_BYTES = 32
MAX_SYMBOL_BYTES = 16
COOLDOWNS = (3_600, 2_592_000)  # [s] that the LiquidityPool takes
LEAST_BOUND = 10**6  # [WAD quote] that the Configurator takes as a price bound
WIDEST = significant(from_wad(2**96 - 1), 3, up=False)  # [quote] or [base], of 96 bits

Spec = TypeVar(
    "Spec", "TokenSpec", "PoolSpec", "MarketSpec", "CollateralSpec", "CreditSpec", "Table"
)


# ------------------------------------------------------------------ the pieces


@dataclass(frozen=True)
class TokenSpec:
    """The quote token: a mock that anyone may mint, unless an address is given."""

    symbol: str = "USDC"
    name: str = "Local dollars"
    decimals: int = 6
    address: str | None = None


@dataclass(frozen=True)
class PoolSpec:
    """The liquidity pool and what it starts with."""

    seed: Decimal = D(10_000_000)  # [quote] deposited by the deployer
    name: str = "Plimsoll pool"
    symbol: str = "PLP"
    cooldown: int = 86_400  # [s] from a redemption's request to its claim


@dataclass(frozen=True)
class MarketSpec:
    """One market. `price` is the mock feed's first answer; default bounds are taken from it."""

    name: str
    price: Decimal  # [quote/base] at the start
    skew_scale: Decimal  # [base] depth of the pool's quoting curve
    max_skew: Decimal  # [base] longs less shorts, at most
    max_open_interest: Decimal  # [base] of the larger side, at most
    im: Decimal  # initial margin, of the notional
    mm: Decimal  # maintenance margin, of the notional
    liquidation_fee: Decimal  # of the notional
    taker_fee: Decimal  # of the notional
    spread: Decimal  # of the price, on instant trades
    max_velocity: Decimal  # [1/day^2] of the funding rate, at a skew of the whole scale
    max_rate: Decimal  # [1/day] funding
    otc_band: Decimal  # around the feed's price, for trades between accounts
    reward: Decimal = D(5)  # [quote] flat, to the keeper, for each position
    max_age: int = 5_400  # [s] of a price: a feed's hourly heartbeat and a half
    min_price: Decimal | None = None  # [quote/base] exclusive; by default the smallest that fits
    max_price: Decimal | None = None  # [quote/base] exclusive; by default 100 times the price
    reduce_only: bool = False
    feed: str | None = None  # address of an AggregatorV3Interface; by default a mock
    feed_decimals: int = 8  # of the mock

    def bounds(self) -> tuple[Decimal, Decimal]:
        """The price bounds in effect, lower and upper [quote/base]; see `bounds_of`."""
        return bounds_of(self.price, self.min_price, self.max_price)


@dataclass(frozen=True)
class CollateralSpec:
    """A token that may stand behind positions. `price` is the mock feed's first answer.

    `scale` and `cap` are notionals: at the price here they become amounts of the token, in three
    digits.
    """

    symbol: str
    price: Decimal  # [quote/base] at the start
    name: str = ""  # of the mock token; by default the symbol
    decimals: int = 18
    address: str | None = None  # by default a mock that anyone may mint
    initial_weight: Decimal = D("0.85")  # of its worth, for opening and withdrawing
    maintenance_weight: Decimal = D("0.90")  # of its worth, before anybody may liquidate
    scale: Decimal = D(50_000_000)  # [quote] weights fall to half at a holding of so much
    cap: Decimal = D(5_000_000)  # [quote] of all accounts together
    discount: Decimal = D("0.05")  # the auction's greatest, and what a seizure takes off
    premium: Decimal = D("0.02")  # over the feed's price, at the auction's start
    duration: int = 7_200  # [s] of the fall from one to the other
    max_age: int = 5_400  # [s] of a price
    min_price: Decimal | None = None  # [quote/base] exclusive; as for markets
    max_price: Decimal | None = None  # [quote/base] exclusive; as for markets
    feed: str | None = None  # address of an AggregatorV3Interface; by default a mock
    feed_decimals: int = 8  # of the mock

    def bounds(self) -> tuple[Decimal, Decimal]:
        """The price bounds in effect, lower and upper [quote/base]; see `bounds_of`."""
        return bounds_of(self.price, self.min_price, self.max_price)


@dataclass(frozen=True)
class CreditSpec:
    """What debt may be and costs, and how collateral is seized for it."""

    debt_cap: Decimal = D(1_000_000)  # [quote] of all accounts together
    debt_ratio: Decimal = D("0.5")  # of an account's collateral by its initial weight
    kink: Decimal = D("0.75")  # of the cap
    low_slope: Decimal = D("0.03")  # [1/year] per 100 % of the cap, up to the kink
    high_slope: Decimal = D(1)  # [1/year] from there
    call_line: Decimal = D("1.25")  # the health below which collateral may be converted
    conversion_bound: int = 10_000  # [quote] of debt in one conversion
    liquidation_fee: Decimal = D("0.02")  # on conversions, and seizures from flat accounts
    order: tuple[str, ...] = ()  # of seizure, by symbol; what is left out follows as listed


def bounds_of(
    price: Decimal, low: Decimal | None = None, high: Decimal | None = None
) -> tuple[Decimal, Decimal]:
    """The price bounds of something that costs `price`, given or by default [quote/base].

    The chain keeps both as 24-bit mantissas on one exponent. The default upper bound is 100 times
    the price, in two digits, or the greatest that 96 bits hold; the lower one is a single unit of
    the finest exponent that the upper one allows: a ten-thousandth of the price or less, but where
    that is below what the Configurator takes.

    Raises:
        ValueError: if the upper bound has more than 18 decimals.
    """
    if high is None:
        high = significant(100 * price, 2)
        if high > WIDEST > price:
            high = WIDEST
    if low is None:
        exponent = 0
        whole = to_wad(high, "max_price")
        while whole // 10**exponent >= 2**24:
            exponent += 1
        low = plain(from_wad(max(10**exponent, LEAST_BOUND)))
    return low, high


# What a market is unless told otherwise, by kind: `depth` is the skew scale as a notional [quote],
# and the caps are fractions of the skew scale.
TIERS: Mapping[str, Mapping[str, Decimal]] = {
    "major": {
        "depth": D(400_000_000),
        "max_skew_share": D("0.010"),
        "max_open_interest_share": D("0.014"),
        "im": D("0.05"),
        "mm": D("0.025"),
        "liquidation_fee": D("0.010"),
        "taker_fee": D("0.0005"),
        "spread": D("0.0010"),
        "max_velocity": D("0.50"),
        "max_rate": D("0.01"),
        "otc_band": D("0.005"),
    },
    "other": {
        "depth": D(20_000_000),
        "max_skew_share": D("0.02"),
        "max_open_interest_share": D("0.03"),
        "im": D("0.12"),
        "mm": D("0.06"),
        "liquidation_fee": D("0.015"),
        "taker_fee": D("0.0008"),
        "spread": D("0.0050"),
        "max_velocity": D("0.75"),
        "max_rate": D("0.03"),
        "otc_band": D("0.010"),
    },
}
MAJORS = ("BTC", "ETH")


def market(
    name: str, price: Decimal | int | str, tier: str | None = None, **changes: Any
) -> MarketSpec:
    """A market with the defaults of its tier.

    Args:
        name: such as ``"BTC"``.
        price: [quote/base] at the start; the skew scale is `depth` over it, in three digits, or
            the greatest that 96 bits hold: coins under a thousandth are less deep.
        tier: ``"major"`` or ``"other"``; by default by the name.
        **changes: fields of `MarketSpec`, or `depth` [quote], `max_skew_share` and
            `max_open_interest_share` [fraction of the skew scale].

    Raises:
        TableError: if a field is unknown or no number.
    """
    kind = tier or ("major" if name in MAJORS else "other")
    if kind not in TIERS:
        raise TableError(f"{name}: no tier {kind!r}; there are {', '.join(TIERS)}")
    start = _number(price, f"{name}: price")
    if start <= 0:
        raise TableError(f"{name}: price {start} is not above zero")
    values: dict[str, Any] = {**TIERS[kind], **_typed(MarketSpec, changes, name, TIERS[kind])}
    depth, skew, interest = (
        values.pop(key) for key in ("depth", "max_skew_share", "max_open_interest_share")
    )
    scale = values.setdefault("skew_scale", min(significant(depth / start, 3), WIDEST))
    values.setdefault("max_skew", plain(scale * skew))
    values.setdefault("max_open_interest", plain(scale * interest))
    values.setdefault("feed_decimals", 8 if start >= D("0.01") else 18)
    return MarketSpec(name=name, price=start, **values)


def collateral(symbol: str, price: Decimal | int | str, **changes: Any) -> CollateralSpec:
    """A collateral token with the usual terms.

    Args:
        symbol: such as ``"WETH"``.
        price: [quote/base] at the start.
        **changes: fields of `CollateralSpec`.

    Raises:
        TableError: if a field is unknown or no number.
    """
    start = _number(price, f"{symbol}: price")
    if start <= 0:
        raise TableError(f"{symbol}: price {start} is not above zero")
    values = _typed(CollateralSpec, changes, symbol)
    values.setdefault("feed_decimals", 8 if start >= D("0.01") else 18)
    return CollateralSpec(symbol=symbol, price=start, **values)


@dataclass(frozen=True)
class Table:
    """Everything that a deployment is made of."""

    markets: tuple[MarketSpec, ...]
    quote: TokenSpec = field(default_factory=TokenSpec)
    pool: PoolSpec = field(default_factory=PoolSpec)
    collateral: tuple[CollateralSpec, ...] = ()
    credit: CreditSpec = field(default_factory=CreditSpec)  # of no account without collateral
    insurance: Decimal = D(250_000)  # [quote] the fund's seed
    keeper_share: Decimal = D("0.20")  # of the liquidation fee
    insurance_share: Decimal = D("0.20")  # of the taker fee
    profit_weight: Decimal = D("0.5")  # of a net unrealised profit, when opening
    max_pool_leverage: Decimal = D("1.5")  # open interest over the pool's NAV
    top_up_per_block: Decimal = D(50)  # [quote] the insurance fund's, toward flat rewards
    margin_call_line: Decimal = D("1.25")  # health
    stable_speed: Decimal = D("0.06")  # of a stable price, an hour
    outflow: Decimal = D(0)  # of the quote held, that may leave in an hour; 0: no limit
    outflow_floor: Decimal = D(0)  # [quote] that always may
    sequencer: str | None = None  # address of the chain's uptime feed
    grace: int = 3_600  # [s] after the sequencer's restart

    def __post_init__(self) -> None:
        self._check_names()
        self._check_credit()
        for what, places in (
            (self.quote.symbol, self.quote.decimals),
            *((f"the feed of {spec.name}", spec.feed_decimals) for spec in self.markets),
            *((coin.symbol, coin.decimals) for coin in self.collateral),
            *((f"the feed of {coin.symbol}", coin.feed_decimals) for coin in self.collateral),
        ):
            if not 0 <= places <= 18:
                raise TableError(f"{what}: {places} decimals; 0 to 18 are accepted")
        for what, at in (
            (self.quote.symbol, self.quote.address),
            *((f"the feed of {spec.name}", spec.feed) for spec in self.markets),
            *((coin.symbol, coin.address) for coin in self.collateral),
            *((f"the feed of {coin.symbol}", coin.feed) for coin in self.collateral),
            ("sequencer", self.sequencer),
        ):
            if at is not None and not re.fullmatch("0x[0-9a-fA-F]{40}", at):
                raise TableError(f"{what}: {at!r} is no address: 0x and 40 digits, in quotes")
        shortest, longest = COOLDOWNS
        if not shortest <= self.pool.cooldown <= longest:
            raise TableError(
                f"pool: cooldown {self.pool.cooldown} is not between {shortest} and {longest}"
            )
        for name in ("max_pool_leverage", "top_up_per_block", "insurance", "outflow_floor"):
            if getattr(self, name) < 0:
                raise TableError(f"{name} {getattr(self, name)} is below zero")
        if self.pool.seed < 0:
            raise TableError(f"pool: seed {self.pool.seed} is below zero")
        if self.margin_call_line < 1:
            raise TableError(
                f"margin_call_line {self.margin_call_line} is below the liquidation line, 1"
            )
        if not 0 <= self.grace <= MAX_GRACE:
            raise TableError(f"grace {self.grace} is not between 0 and {MAX_GRACE}")
        if self.stable_speed == 0:
            raise TableError("stable_speed 0: a stable price must be able to follow")
        for name in ("keeper_share", "insurance_share", "profit_weight", "stable_speed", "outflow"):
            if not 0 <= getattr(self, name) <= 1:
                raise TableError(f"{name} {getattr(self, name)} is not between 0 and 1")

    def _check_names(self) -> None:
        names = [spec.name for spec in self.markets]
        if not names:
            raise TableError("the table has no market")
        if len(names) > MAX_MARKETS:
            raise TableError(f"{len(names)} markets; the Configurator lists {MAX_MARKETS} at most")
        taken: dict[str, str] = {}
        for name in names:
            _must_fit(f"market name {name!r}", name, MAX_NAME_BYTES)
            if name.isdecimal():
                raise TableError(f"market name {name!r} would be taken for an id")
            if name.lower() == "all" or set(name) & set(",="):
                raise TableError(f"market name {name!r} would mean something else in a command")
            # Commands take names in any case.
            other = taken.setdefault(name.upper(), name)
            if names.count(name) > 1 or other != name:
                also = "" if other == name else f", as {other}"
                raise TableError(f"{name}: listed twice{also}")
        self._check_symbols(taken)
        for what, text, most in (
            ("quote: name", self.quote.name, MAX_NAME_BYTES),
            ("quote: symbol", self.quote.symbol, MAX_SYMBOL_BYTES),
            ("pool: name", self.pool.name, MAX_NAME_BYTES),
            ("pool: symbol", self.pool.symbol, MAX_SYMBOL_BYTES),
        ):
            _must_fit(f"{what} {text!r}", text, most)

    def _check_symbols(self, markets: Mapping[str, str]) -> None:
        if len(self.collateral) > MAX_TOKENS:
            raise TableError(
                f"{len(self.collateral)} collateral tokens; the Configurator lists {MAX_TOKENS}"
            )
        # A price and an amount go by name: it must be one thing's.
        taken = dict(markets) | {self.quote.symbol.upper(): "the quote token"}
        for coin in self.collateral:
            what = f"collateral symbol {coin.symbol!r}"
            _must_fit(what, coin.symbol, MAX_SYMBOL_BYTES)
            _must_fit(f"{coin.symbol}: name {coin.name!r}", coin.name or "-", MAX_NAME_BYTES)
            if coin.symbol.isdecimal():
                raise TableError(f"{what} would be taken for an id")
            if coin.symbol.lower() == "all" or set(coin.symbol) & set(",="):
                raise TableError(f"{what} would mean something else in a command")
            if coin.symbol.upper() in taken:
                raise TableError(f"{what} is taken by {taken[coin.symbol.upper()]}")
            taken[coin.symbol.upper()] = coin.symbol

    def _check_credit(self) -> None:
        credit, known = self.credit, [coin.symbol for coin in self.collateral]
        for symbol in credit.order:
            if symbol not in known:
                there = f"there are {', '.join(known)}" if known else "there is none"
                raise TableError(f"credit: order: no collateral {symbol!r}; {there}")
            if credit.order.count(symbol) > 1:
                raise TableError(f"credit: order: {symbol} is in it twice")
        # The Configurator refuses it too, but does not say whose it is.
        for coin in self.collateral:
            haircut = 1 - coin.maintenance_weight
            if haircut < coin.discount + credit.liquidation_fee:
                raise TableError(
                    f"{coin.symbol}: maintenance_weight {coin.maintenance_weight} leaves "
                    f"{plain(haircut):f}, less than the discount {coin.discount} and the "
                    f"liquidation fee {credit.liquidation_fee} together"
                )

    def spec(self, name: str) -> MarketSpec:
        """The market of that name."""
        for spec in self.markets:
            if spec.name == name:
                return spec
        raise TableError(
            f"no market {name!r} in the table; there are {', '.join(m.name for m in self.markets)}"
        )

    def coin(self, symbol: str) -> CollateralSpec:
        """The collateral token of that symbol."""
        for coin in self.collateral:
            if coin.symbol == symbol:
                return coin
        there = ", ".join(coin.symbol for coin in self.collateral)
        raise TableError(
            f"no collateral {symbol!r} in the table; {f'there are {there}' if there else 'none is'}"
        )

    def priced(self, name: str) -> MarketSpec | CollateralSpec:
        """The market of that name, or the collateral token of that symbol."""
        is_coin = any(coin.symbol == name for coin in self.collateral)
        return self.coin(name) if is_coin else self.spec(name)

    def only(self, *names: str) -> Table:
        """The same table with these markets alone, in this order; collateral stays."""
        return replace(self, markets=tuple(self.spec(name) for name in names))

    def with_collateral(self, *coins: CollateralSpec) -> Table:
        """The same table with this collateral alone, seized in this order; or with none."""
        return replace(self, collateral=coins, credit=replace(self.credit, order=()))

    def with_market(self, spec: MarketSpec) -> Table:
        """The same table with one more market, or with this one in place of its namesake."""
        if any(m.name == spec.name for m in self.markets):
            return replace(
                self, markets=tuple(spec if m.name == spec.name else m for m in self.markets)
            )
        return replace(self, markets=(*self.markets, spec))

    # -------------------------------------------------------------- to the chain

    def terms(self, name: str, feed: str) -> Terms:
        """What ``Configurator.list_market`` takes, field by field.

        Args:
            name: of the market.
            feed: address of its price feed.

        Raises:
            TableError: if a number cannot be represented on chain; it says which and why.
        """
        return terms_of(self.spec(name), feed)

    def collateral_terms(self, symbol: str, feed: str) -> CollateralTerms:
        """What ``Configurator.list_collateral`` takes, field by field.

        Args:
            symbol: of the token.
            feed: address of its price feed.

        Raises:
            TableError: if a number cannot be represented on chain; it says which and why.
        """
        return collateral_terms_of(self.coin(symbol), feed)

    def credit_terms(self) -> CreditTerms:
        """What ``Configurator.configure_credit`` takes, field by field.

        Raises:
            TableError: if a number cannot be represented on chain; it says which and why.
        """
        credit, listed = self.credit, [coin.symbol for coin in self.collateral]
        first = [listed.index(symbol) for symbol in credit.order]
        try:
            terms = CreditTerms(
                debt_cap=to_wad(credit.debt_cap, "debt_cap"),
                debt_ratio_ppm=to_ppm(credit.debt_ratio, "debt_ratio"),
                kink_ppm=to_ppm(credit.kink, "kink"),
                low_slope_ppm=to_ppm(credit.low_slope, "low_slope"),
                high_slope_ppm=to_ppm(credit.high_slope, "high_slope"),
                call_line_ppm=to_ppm(credit.call_line, "call_line"),
                conversion_bound=credit.conversion_bound,
                liquidation_fee_ppm=to_ppm(credit.liquidation_fee, "liquidation_fee"),
                order=(*first, *(id for id in range(MAX_TOKENS) if id not in first)),
            )
        except ValueError as error:
            raise TableError(f"credit: {error}") from None
        _check_widths("credit", terms, _CREDIT_WIDTHS)
        return terms

    def settings(self) -> dict[str, int]:
        """The numbers of the Clearinghouse's ``Settings``, by field."""
        try:
            found = {
                "keeper_share_ppm": to_ppm(self.keeper_share, "keeper_share"),
                "insurance_share_ppm": to_ppm(self.insurance_share, "insurance_share"),
                "profit_weight_ppm": to_ppm(self.profit_weight, "profit_weight"),
                "max_pool_leverage_ppm": to_ppm(self.max_pool_leverage, "max_pool_leverage"),
                "top_up_per_block": to_wad(self.top_up_per_block, "top_up_per_block"),
                "stable_speed_ppm": to_ppm(self.stable_speed, "stable_speed"),
                "outflow_ppm": to_ppm(self.outflow, "outflow"),
                "outflow_floor": scaled(self.outflow_floor, self.quote.decimals, "outflow_floor"),
            }
        except ValueError as error:
            raise TableError(str(error)) from None
        # Leverage is multiplied by a NAV of 104 bits, the others share a word with something.
        for name, field_ in (
            ("max_pool_leverage", "max_pool_leverage_ppm"),
            ("top_up_per_block", "top_up_per_block"),
            ("outflow_floor", "outflow_floor"),
        ):
            if found[field_] >= 1 << 128:
                raise TableError(f"{name} {getattr(self, name)} is too large")
        return found

    def line(self) -> int:
        """The health below which there is a margin call [WAD]."""
        try:
            line = to_wad(self.margin_call_line, "margin_call_line")
        except ValueError as error:
            raise TableError(str(error)) from None
        if line > MAX_UINT:
            raise TableError(f"margin_call_line {self.margin_call_line} is too large")
        return line

    def answer(self, name: str, price: Decimal, decimals: int | None = None) -> int:
        """A price as its feed gives it, rounded to the feed's decimals.

        Args:
            name: of the market or the collateral token.
            price: [quote/base].
            decimals: of the feed; by default the mock's.

        Raises:
            TableError: if nothing is left of it.
        """
        places = decimals
        if places is None:
            places = self.priced(name).feed_decimals
        answer = round(price.scaleb(places, WIDE))
        if not 0 < answer < 1 << 191:  # which is what a feed keeps it in
            raise TableError(f"{name}: a feed of {places} decimals cannot say {price}")
        return answer

    # -------------------------------------------------------------- to and from files

    def to_dict(self) -> dict[str, Any]:
        """Plain data, numbers as text; `from_dict` reads it back."""
        return _plain_data(asdict(self))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Table:
        """A table from plain data. What is left out takes its default.

        A market needs a name and a price; it may name a `tier`, a `depth` [quote] and any field.
        A collateral token needs a symbol and a price.

        Raises:
            TableError: at an unknown word or a value that is no exact number.
        """
        if not isinstance(data, Mapping):
            raise TableError("the table is not a mapping of names to values")
        rest = dict(data)
        listed = rest.pop("markets", None)
        if not isinstance(listed, list) or not listed:
            raise TableError("the table has no list of markets")
        markets = []
        for number, entry in enumerate(listed):
            if not isinstance(entry, Mapping) or "name" not in entry or "price" not in entry:
                raise TableError(f"market {number}: name and price are needed")
            own = {str(k): v for k, v in entry.items()}
            name, price, tier = own.pop("name"), own.pop("price"), own.pop("tier", None)
            if name is None or isinstance(name, list | dict):
                raise TableError(f"market {number}: {name!r} is no name")
            name = str(name)
            markets.append(market(name, price, tier, **own))
        quote = rest.pop("quote", {})
        pool = rest.pop("pool", {})
        credit = rest.pop("credit", {})
        for what, value in (("quote", quote), ("pool", pool), ("credit", credit)):
            if not isinstance(value, Mapping):
                raise TableError(f"{what} is not a mapping of names to values")
        return cls(
            markets=tuple(markets),
            quote=TokenSpec(**_typed(TokenSpec, quote, "quote")),
            pool=PoolSpec(**_typed(PoolSpec, pool, "pool")),
            collateral=_read_collateral(rest.pop("collateral", [])),
            credit=CreditSpec(**_typed(CreditSpec, credit, "credit")),
            **_typed(cls, rest, "the table"),
        )


def default_table() -> Table:
    """The specification's defaults, for a pool of 10m."""
    return Table(
        markets=(
            market("BTC", 60_000),
            market("ETH", 3_000),
            market("SOL", 150),
            market("LINK", 15),
            market("AVAX", 30),
            market("BNB", 600),
        ),
        collateral=(
            collateral("WETH", 3_000, name="Local wrapped ether"),
            collateral("WBTC", 60_000, name="Local wrapped bitcoin", decimals=8),
        ),
    )


def table_of(prices: Mapping[str, Decimal], base: Table | None = None, **changes: Any) -> Table:
    """A table of markets at these prices [quote/base], by default with the default settings.

    Args:
        prices: by market name.
        base: whose settings to take; its markets are left out.
        **changes: for every market, as for `market`.
    """
    markets = tuple(market(name, price, **changes) for name, price in prices.items())
    return replace(base, markets=markets) if base else Table(markets=markets)


def load_table(path: Path | str) -> Table:
    """A table from a ``.yaml``, ``.yml`` or ``.json`` file. Numbers are read as they are written.

    Raises:
        TableError: if the file is missing, unreadable, or no table.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TableError(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise TableError(f"{file}: not a text file ({error.reason})") from None
    try:
        if file.suffix == ".json":
            data = json.loads(text, parse_float=D)
        elif file.suffix in (".yaml", ".yml"):
            data = _read_yaml(text, str(file))
        else:
            raise TableError(f"{file}: tables are .yaml, .yml or .json")
    except json.JSONDecodeError as error:
        raise TableError(f"{file}:{error.lineno}: {error.msg}") from None
    try:
        return Table.from_dict(data)
    except TableError as error:
        raise TableError(f"{file}: {error}") from None


# ------------------------------------------------------------------ inside


def terms_of(spec: MarketSpec, feed: str) -> Terms:
    """`Table.terms` of a market that stands alone."""
    try:
        low, high = spec.bounds()
        terms = Terms(
            feed=feed,
            max_age=spec.max_age,
            min_price=to_wad(low, "min_price"),
            max_price=to_wad(high, "max_price"),
            skew_scale=to_wad(spec.skew_scale, "skew_scale"),
            max_skew=to_wad(spec.max_skew, "max_skew"),
            max_open_interest=to_wad(spec.max_open_interest, "max_open_interest"),
            im_ppm=to_ppm(spec.im, "im"),
            mm_ppm=to_ppm(spec.mm, "mm"),
            liquidation_fee_ppm=to_ppm(spec.liquidation_fee, "liquidation_fee"),
            reward=scaled(spec.reward, 2, "reward") * REWARD_UNIT,
            taker_fee_ppm=to_ppm(spec.taker_fee, "taker_fee"),
            spread_ppm=to_ppm(spec.spread, "spread"),
            otc_band_ppm=to_ppm(spec.otc_band, "otc_band"),
            max_velocity_ppm=to_ppm(spec.max_velocity, "max_velocity"),
            max_rate_ppm=to_ppm(spec.max_rate, "max_rate"),
            reduce_only=spec.reduce_only,
        )
    except ValueError as error:
        raise TableError(f"{spec.name}: {error}") from None
    _check_widths(spec.name, terms, _WIDTHS)
    _check_bounds(spec.name, terms.min_price, terms.max_price)
    return terms


def collateral_terms_of(spec: CollateralSpec, feed: str) -> CollateralTerms:
    """`Table.collateral_terms` of a token that stands alone."""
    scale = min(significant(spec.scale / spec.price, 3), WIDEST) if spec.scale > 0 else spec.scale
    most = significant(spec.cap / spec.price, 3, up=False) if spec.cap > 0 else spec.cap
    try:
        low, high = spec.bounds()
        terms = CollateralTerms(
            feed=feed,
            max_age=spec.max_age,
            min_price=to_wad(low, "min_price"),
            max_price=to_wad(high, "max_price"),
            initial_weight_ppm=to_ppm(spec.initial_weight, "initial_weight"),
            maintenance_weight_ppm=to_ppm(spec.maintenance_weight, "maintenance_weight"),
            scale=int(scale.scaleb(18, WIDE)),
            cap=int(min(most, WIDEST).scaleb(spec.decimals, WIDE)),
            discount_ppm=to_ppm(spec.discount, "discount"),
            premium_ppm=to_ppm(spec.premium, "premium"),
            duration=spec.duration,
        )
    except ValueError as error:
        raise TableError(f"{spec.symbol}: {error}") from None
    _check_widths(spec.symbol, terms, _COLLATERAL_WIDTHS)
    _check_bounds(spec.symbol, terms.min_price, terms.max_price)
    if terms.cap * 10 ** (18 - spec.decimals) * terms.max_price // WAD >= 2**100:
        raise TableError(
            f"{spec.symbol}: cap {plain(spec.cap):f} would be worth more than 1267 billion at "
            f"max_price {plain(high):f}"
        )
    if spec.cap and not terms.cap:
        raise TableError(f"{spec.symbol}: cap {plain(spec.cap):f} is less than one unit of it")
    return terms


def _read_collateral(listed: Any) -> tuple[CollateralSpec, ...]:
    """The collateral of plain data."""
    if not isinstance(listed, list | tuple):
        raise TableError("collateral is not a list")
    coins = []
    for number, entry in enumerate(listed):
        if not isinstance(entry, Mapping) or "symbol" not in entry or "price" not in entry:
            raise TableError(f"collateral {number}: symbol and price are needed")
        own = {str(k): v for k, v in entry.items()}
        symbol, price = own.pop("symbol"), own.pop("price")
        if symbol is None or isinstance(symbol, list | dict):
            raise TableError(f"collateral {number}: {symbol!r} is no symbol")
        coins.append(collateral(str(symbol), price, **own))
    return tuple(coins)


def _check_widths(
    where: str, terms: Terms | CollateralTerms | CreditTerms, widths: Mapping[str, int]
) -> None:
    """Whether every number fits its field on chain."""
    for name, bits in widths.items():
        value = getattr(terms, name)
        if value < 0:
            raise TableError(f"{where}: {name} is below zero")
        if value >= 1 << bits:
            raise TableError(f"{where}: {name} does not fit {bits} bits{_advice(name)}")


def _check_bounds(where: str, low: int, high: int) -> None:
    """Whether both price bounds [WAD] are 24-bit multiples of one power of ten."""
    unit = 10 ** bound_exponent(low, high)
    if high // unit >= 2**24:
        raise TableError(
            f"{where}: min_price {plain(from_wad(low)):f} and max_price {plain(from_wad(high)):f} "
            f"are kept as 24-bit multiples of one power of ten: {high // unit} such units make "
            "max_price, 16777215 fit"
        )


_WIDTHS = {
    "max_age": 20,
    "min_price": 96,
    "max_price": 96,
    "skew_scale": 96,
    "max_skew": 96,
    "max_open_interest": 96,
    "im_ppm": 20,
    "mm_ppm": 20,
    "liquidation_fee_ppm": 20,
    "reward": 76,
    "taker_fee_ppm": 20,
    "spread_ppm": 20,
    "otc_band_ppm": 20,
    "max_velocity_ppm": 24,
    "max_rate_ppm": 20,
}
_COLLATERAL_WIDTHS = {
    "max_age": 20,
    "min_price": 96,
    "max_price": 96,
    "initial_weight_ppm": 20,
    "maintenance_weight_ppm": 20,
    "scale": 96,
    "cap": 96,
    "discount_ppm": 20,
    "premium_ppm": 20,
    "duration": 20,
}
_CREDIT_WIDTHS = {
    "debt_cap": 96,
    "debt_ratio_ppm": 20,
    "kink_ppm": 20,
    "low_slope_ppm": 24,
    "high_slope_ppm": 24,
    "call_line_ppm": 24,
    "conversion_bound": 32,
    "liquidation_fee_ppm": 20,
}


def _advice(name: str) -> str:
    if name in ("skew_scale", "max_skew", "max_open_interest"):
        return " (79 billion base): list a multiple of a coin that cheap, such as 1000000PEPE"
    if name in ("min_price", "max_price"):
        return " (79 billion quote)"
    return ""


def _must_fit(what: str, text: str, most: int) -> None:
    if not 0 < len(text.encode()) <= most:
        raise TableError(f"{what}: 1 to {most} bytes")
    if text != text.strip() or not text.isprintable():
        raise TableError(f"{what}: blanks around it, or signs that cannot be printed")


def _number(value: Any, what: str) -> Decimal:
    try:
        return decimal(value, what)
    except ValueError as error:
        raise TableError(str(error)) from None


def _typed(
    cls: type[Spec], data: Mapping[str, Any], where: str, more: Iterable[str] = ()
) -> dict[str, Any]:
    """The values of `data` in the types of the fields of `cls`; names in `more` are decimals."""
    kinds: dict[str, str] = {f.name: str(f.type) for f in fields(cls)} | dict.fromkeys(
        more, "Decimal"
    )
    typed: dict[str, Any] = {}
    for name, value in data.items():
        what = f"{where}: {name}"
        kind = kinds.get(name)
        if kind is None or name == "markets":
            raise TableError(f"{what}: no such field; there are {', '.join(sorted(kinds))}")
        if value is None:
            if "None" not in kind:
                raise TableError(f"{what}: a value is missing")
            typed[name] = None
        elif "Decimal" in kind:
            typed[name] = _number(value, what)
        elif kind == "int":
            number = _number(value, what)
            if number != int(number):
                raise TableError(f"{what}: {number} is not a whole number")
            typed[name] = int(number)
        elif kind == "bool":
            if not isinstance(value, bool):
                raise TableError(f"{what}: true or false, not {value!r}")
            typed[name] = value
        elif kind.startswith("tuple"):
            if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
                raise TableError(f"{what}: a list of names, not {value!r}")
            typed[name] = tuple(value)
        else:
            typed[name] = str(value)
    return typed


def _plain_data(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{plain(value):f}"
    if isinstance(value, dict):
        return {k: _plain_data(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_data(v) for v in value]
    return value


def _read_yaml(text: str, file: str) -> Any:
    """YAML whose numbers with a point stay what was typed."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def exact(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal | str:
        written = str(loader.construct_scalar(node)).replace("_", "")
        try:
            return D(written)
        except ArithmeticError:
            return written

    Loader.add_constructor("tag:yaml.org,2002:float", exact)
    try:
        return yaml.load(text, Loader=Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f":{mark.line + 1}" if mark else ""
        raise TableError(f"{file}{at}: not YAML") from None
