"""A venue with collateral on the fast lane, for the tests of what stands behind positions.

`Backed` runs each operation on the contracts and on the model, which must agree to the last event;
with ``compare=False`` on the contracts alone, as the attacks do, whose defences may be undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from plimsoll import slots
from plimsoll.fuzz.chain import Contract, Event, Outcome
from plimsoll.fuzz.system import Artifacts, CoinSetup, MarketSetup, Setup, System
from plimsoll.model import Holding
from plimsoll.model import Lot as ModelLot
from plimsoll.slots import WAD

DAY = 86_400
YEAR = 365 * DAY
PPM = 10**6
MAX = 2**256 - 1

Lot = ModelLot

# Nothing that moves a number by itself: no funding, no fee, no spread, and hardly any depth.
PLAIN: dict[str, Any] = {
    "max_age": DAY,
    "min_price": WAD,
    "max_price": 1_000_000 * WAD,
    "skew_scale": 10_000_000 * WAD,
    "max_skew": 100_000 * WAD,
    "max_open_interest": 100_000 * WAD,
    "im_ppm": 100_000,
    "mm_ppm": 50_000,
    "liquidation_fee_ppm": 10_000,
    "reward": 0,
    "taker_fee_ppm": 0,
    "spread_ppm": 0,
    "otc_band_ppm": 5_000,
    "max_velocity_ppm": 0,
    "max_rate_ppm": 0,
    "reduce_only": False,
}
COIN: dict[str, Any] = {
    "max_age": DAY,
    "initial_weight_ppm": 800_000,
    "maintenance_weight_ppm": 850_000,
    "discount_ppm": 80_000,
    "premium_ppm": 20_000,
    "duration": 7_200,
    "delisted": False,
}
CREDIT: dict[str, Any] = {
    "debt_cap": 1_000_000 * WAD,
    "debt_ratio_ppm": 500_000,
    "kink_ppm": 750_000,
    "low_slope_ppm": 30_000,
    "high_slope_ppm": 1_000_000,
    "call_line_ppm": 1_250_000,
    "conversion_bound": 10_000,
    "liquidation_fee_ppm": 20_000,
}
NO_CREDIT: dict[str, Any] = {}  # terms of credit that nobody ever set
PRICE = 3_000  # [quote] of each market


def coin(price: int, decimals: int = 18, **terms: Any) -> CoinSetup:
    """A token at `price` [quote] in ordinary terms, some of them changed."""
    fields = {
        **COIN,
        "min_price": price * WAD // 1_000,
        "max_price": price * WAD * 100,
        "scale": 10_000_000 * WAD // price,
        "cap": 50_000_000 * 10**decimals // price,
        **terms,
    }
    return CoinSetup(price * 10**8, 8, decimals, fields)


def ordinary() -> list[CoinSetup]:
    """Ether of 18 decimals at 3,000, bitcoin of 8 at 60,000, a dollar of 6 at 1."""
    return [coin(3_000), coin(60_000, 8), coin(1, 6)]


class Backed:
    """A deployment with some markets at 3,000 and some tokens; amounts in raw units, prices in quote."""

    def __init__(
        self,
        coins: list[CoinSetup] | None = None,
        credit: dict[str, Any] | None = None,
        market: dict[str, Any] | None = None,
        artifacts: Artifacts | None = None,
        compare: bool = True,
        markets: int = 2,
        **options: Any,
    ) -> None:
        self.compare = compare
        terms = {**PLAIN, **(market or {})}
        setup = Setup(
            [MarketSetup(PRICE * 10**8, 8, terms) for _ in range(markets)],
            coins=ordinary() if coins is None else coins,
            credit=None if credit is NO_CREDIT else {**CREDIT, **(credit or {})},
            **options,
        )
        self.system = System.build(setup, artifacts)
        self.raw = 10**setup.quote_decimals

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["system"], name)

    # -------------------------------------------------------------- acting

    def attempt(self, *op: Any) -> Outcome:
        """What an operation comes to."""
        real, ideal = self.system.run(list(op))
        if self.compare:
            assert real == ideal, f"{op}: {real} is not {ideal}"
        return real

    def do(self, *op: Any) -> Outcome:
        """An operation that must go through."""
        outcome = self.attempt(*op)
        assert outcome.ok, f"{op}: {outcome.reason}"
        return outcome

    def refusal(self, *op: Any) -> str:
        """Why an operation is refused, as it must be; it leaves no trace."""
        before = self.everything()
        outcome = self.attempt(*op)
        assert outcome.reason is not None, f"{op} went through"
        assert self.everything() == before
        return outcome.reason

    def fund(self, account: str, quote: int) -> None:
        """Quote [quote] of its owner's for an account."""
        who = account.split(".", maxsplit=1)[0]
        self.do("mint", who, quote * self.raw)
        self.do("deposit", who, account, "token", quote * self.raw)

    def back(self, account: str, id: int, amount: int) -> None:
        """A token [raw] of its owner's for an account."""
        who = account.split(".", maxsplit=1)[0]
        self.do("mint", who, amount, id)
        self.do("deposit", who, account, f"coin{id}", amount)

    def price(self, id: int, price: float, age: int = 0) -> None:
        """A token's price [quote] from now."""
        self.do("price", self.feed(id), round(price * 10**8), age)

    def market_price(self, price: float, market: int = 0) -> None:
        """A market's price [quote] from now."""
        self.do("price", market, round(price * 10**8), 0)

    def kill(self, id: int, mode: str = "revert") -> None:
        """A token's feed no longer answers; ``"ok"``: it does again."""
        self.do("fault", self.feed(id), mode)

    def bury(self, ids: Iterable[int], *accounts: str) -> None:
        """Tokens die, and count nothing a day later, when accounts that have nothing else are liquidated."""
        for id in ids:
            self.kill(id)
            self.do("poke_token", "keeper", f"coin{id}")
        self.wait(DAY + 3_600, fresh=False)
        for market in range(len(self.system.setup.markets)):
            self.market_price(PRICE, market)
        for account in accounts:
            self.do("liquidate", "keeper", account)

    def revive(self, prices: dict[int, float]) -> None:
        """Tokens' feeds answer again, at such prices [quote]."""
        for id, price in prices.items():
            self.kill(id, "ok")
            self.price(id, price)

    def feed(self, id: int) -> int:
        """The number of a token's feed."""
        return len(self.system.setup.markets) + id

    def wait(self, seconds: int, fresh: bool = True) -> None:
        """Time passes; every feed has a new round of its last answer then unless told not to."""
        self.do("wait", seconds)
        if fresh:
            for number, feed in enumerate(self.system.feeds):
                self.do("price", number, self.system.model.feeds[feed.address].answer, 0)

    def owe(self, account: str, debt: int, market: int = 0) -> None:
        """Leave a backed account with no cash but a debt of `debt` [WAD quote], and flat.

        It buys a lot of the market, which falls by what it is to owe and a bit; then it closes, and
        pays in what is too much. The market's price is what it was in the end.
        """
        who = account.split(".", maxsplit=1)[0]
        size = debt // 1_490 + 10**10  # base
        self.do("trade", who, account, market, size)
        self.market_price(PRICE // 2, market)
        self.do("trade", who, account, market, -size)
        self.market_price(PRICE, market)
        unit = self.system.model.settings.unit
        missing = -self.cash(account) - debt
        assert missing >= 0, "deeper, please"
        if missing // unit:
            self.do("mint", who, missing // unit)
            self.do("deposit", who, account, "token", missing // unit)
        assert 0 <= -self.cash(account) - debt < unit

    @contextmanager
    def imagined(self) -> Iterator[None]:
        """Whatever happens inside is undone, time too."""
        chain, model = self.system.chain, self.system.model
        mark, saved = chain.snapshot(), model.save()
        now, number = chain.now, chain.number
        feeds = {a: (f.answer, f.updated_at, f.mode) for a, f in model.feeds.items()}
        try:
            yield
        finally:
            chain.restore(mark)
            chain.now, chain.number = now, number
            chain.advance(0, 0)
            model.load(saved)
            model.now, model.block_number = now, number
            for address, kept in feeds.items():
                f = model.feeds[address]
                f.answer, f.updated_at, f.mode = kept

    # -------------------------------------------------------------- looking

    @property
    def house(self) -> Contract:
        """The Clearinghouse."""
        return self.system.clearinghouse

    def at(self, name: str) -> str:
        """The address behind a name."""
        return self.system.address(name)

    def cash(self, account: str) -> int:
        """[WAD quote] as stored."""
        return slots.unpack_header(self.house.view("header", self.at(account))).cash

    def interest(self, account: str) -> int:
        """[WAD quote] not posted yet."""
        return int(self.house.view("backing", self.at(account))[1])

    def holding(self, account: str, id: int) -> Holding:
        """What an account has of a token."""
        return Holding(*self.house.view("holding", self.at(account), id))

    def held(self, account: str, id: int) -> int:
        """[raw] of a token in an account."""
        return self.holding(account, id).own

    def total(self, id: int) -> int:
        """[raw] of a token in all accounts, by the books."""
        return slots.unpack_token_state(self.house.view("token_words", id)[3]).total

    def purse(self, wallet: str, id: int | None = None) -> int:
        """[raw] tokens outside the venue."""
        token = self.system.token if id is None else self.system.coins[id]
        return int(token.view("balanceOf", self.at(wallet)))

    def health(self, account: str) -> int:
        """[WAD]"""
        return int(self.house.view("health", self.at(account)))

    def debts(self) -> int:
        """[WAD quote] everybody's, as stored."""
        return slots.unpack_debts(self.house.view("credit")[0]).total

    def index(self) -> int:
        """Of debts, as of now."""
        return int(self.house.view("credit")[3])

    def lot(self, id: int) -> Lot:
        """A lot of the auction."""
        return Lot(*self.system.auction.view("lot", id))

    def lots(self) -> int:
        """How many there have been."""
        return int(self.system.auction.view("lot_count"))

    def cost(self, lot: int, amount: int, wait: int = 0) -> int:
        """[raw] of some of a lot."""
        return int(self.system.auction.view("cost_of", lot, amount, wait))

    def nav(self) -> int:
        """[WAD quote] the pool's."""
        return int(self.system.pool.view("valuation")[0])

    def equity(self, account: str) -> int:
        """[WAD quote] cash, PnL and tokens at the oracle's prices, interest taken off."""
        who = self.at(account)
        total = self.cash(account) - self.interest(account)
        for market in range(len(self.system.setup.markets)):
            leg = self.house.view("leg", who, market)
            size, basis, price, index = leg[3], leg[4], leg[5], leg[7]
            total += size * (price - index) // WAD - basis
        for id in range(len(self.system.coins)):
            h = self.holding(account, id)
            total += h.own * h.unit * h.price // WAD
        return total

    def wealth(self, *wallets: str) -> int:
        """[WAD quote] tokens in and out of the venue, and pool shares, of wallets together."""
        total, unit = 0, self.system.model.settings.unit
        for wallet in wallets:
            who = self.at(wallet)
            total += self.purse(wallet) * unit
            for id in range(len(self.system.coins)):
                h = self.holding("zero", id)
                total += self.purse(wallet, id) * h.unit * h.price // WAD
            shares = self.system.pool.view("balanceOf", who)
            total += self.system.pool.view("convertToAssets", shares) * unit
            mine = [n for n in self.system.names if n.split(".")[0] == wallet]
            total += sum(self.equity(n) for n in mine)
        return total

    def everything(self) -> tuple[Any, ...]:
        """All that the contracts remember of accounts, tokens and lots."""
        who = sorted({a for n, a in self.system.names.items() if n not in ("owner",)})
        view = self.house.view
        return (
            [view("header", a) for a in who],
            [view("backing", a)[0] for a in who],
            [view("token_words", id) for id in range(16)],
            [
                view("holding", a, id)[1]
                for a in who
                for id in range(min(len(self.system.coins), 16))
            ],
            [view("market_words", m) for m in range(len(self.system.setup.markets))],
            view("globals"),
            view("credit")[:3],
            view("credit")[4],
            [self.lot(id) for id in range(self.lots())],
            self.system.auction.view("owed_to_pool"),
            [self.system.backstop.view(v) for v in ("state", "declared_at", "settled_at", "share")],
        )

    def balance(self) -> None:
        """The books, to the wei: what is held of each token, cash less basis, debts."""
        accounts = {a for n, a in self.system.names.items() if n not in ("owner",)}
        view = self.house.view
        for id, token in enumerate(self.system.coins):
            owned = sum(view("holding", a, id)[1] for a in accounts)
            assert owned == self.total(id) <= token.view("balanceOf", self.house.address)
        headers = {a: slots.unpack_header(view("header", a)) for a in accounts}
        basis = sum(
            view("leg", a, m)[4] for a in accounts for m in range(len(self.system.setup.markets))
        )
        custody, unit = view("globals")[0], self.system.model.settings.unit
        assert sum(h.cash for h in headers.values()) - basis == custody * unit
        assert custody <= self.system.token.view("balanceOf", self.house.address)
        owed = sum(max(-h.cash, 0) for a, h in headers.items() if a != self.at("pool"))
        assert owed == self.debts()
        assert headers[self.at("fund")].cash >= 0


def named(outcome: Outcome, *names: str) -> list[tuple[Any, ...]]:
    """The events of these names, as tuples that begin with it; all of them without names."""
    return [(e.name, *e.args) for e in outcome.events if not names or e.name in names]


def names(outcome: Outcome) -> list[str]:
    """What the events are called, in order."""
    return [e.name for e in outcome.events]


__all__ = ["Backed", "Event", "Lot", "coin", "named", "names", "ordinary"]
