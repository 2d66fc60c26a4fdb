"""A deployment to test against, and the short words that tests use on it.

The pool is a puppet, so that tests can be the pool. Funding stands still in markets that do not ask for
it, so that a block's seconds move no number. Amounts are in quote, sizes in base and prices in quote per
base unless a name says raw or wad.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, NamedTuple

import ape
from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from ape.managers.project import LocalProject
from ape.utils import ZERO_ADDRESS
from eth_abi import decode
from eth_utils import to_canonical_address, to_checksum_address

from plimsoll import slots
from plimsoll.model import Settings
from tests.utils import exact

WAD = 10**18
PPM = 10**6
DAY = 86_400
MAX_UINT = 2**256 - 1
MIN_INT = -(2**255)


Amount = int | str | Decimal


def wad(amount: Amount) -> int:
    """Quote, base, a price or a ratio in WAD; refuses more than 18 decimals."""
    scaled = Decimal(str(amount)).scaleb(18)
    assert scaled == int(scaled), amount
    return int(scaled)


def terms(feed: Any, **changes: Any) -> dict[str, Any]:
    """A market about 100, a million deep: 5 % and 2.5 %, 0.05 % fee, 0.1 % spread, 1 % and 5 flat, no funding."""
    return {
        "feed": getattr(feed, "address", feed),
        "max_age": DAY,
        "min_price": wad(1),
        "max_price": wad(10_000),
        "skew_scale": wad(1_000_000),
        "max_skew": wad(10_000),
        "max_open_interest": wad(14_000),
        "im_ppm": 50_000,
        "mm_ppm": 25_000,
        "liquidation_fee_ppm": 10_000,
        "reward": wad(5),
        "taker_fee_ppm": 500,
        "spread_ppm": 1_000,
        "otc_band_ppm": 5_000,
        "max_velocity_ppm": 0,
        "max_rate_ppm": 0,
        "reduce_only": False,
    } | changes


class Market(NamedTuple):
    """A listed market, its feed and its terms."""

    id: int
    feed: ContractInstance
    terms: dict[str, Any]

    def steady(self, price: int) -> int:
        """A stable price as it is stored."""
        return exact.steady(price, self.terms["max_price"])

    @property
    def scale(self) -> int:
        """The skew scale [WAD base]."""
        return self.terms["skew_scale"]


class Outcome(NamedTuple):
    """What one call among several gave: a value, or the reason for its refusal."""

    value: Any
    reason: str | None


class System:
    """A token, a configurator, a clearinghouse, and puppets for the pool and for whoever needs one block."""

    def __init__(
        self,
        project: LocalProject,
        accounts: list[AccountAPI],
        *,
        token: ContractInstance | None = None,
        decimals: int = 6,
        keeper_share_ppm: int = 200_000,
        insurance_share_ppm: int = 200_000,
        profit_weight_ppm: int = 500_000,
        max_pool_leverage_ppm: int = 1_500_000,
        top_up_per_block: int = wad(20),
        loose: bool = False,
        **fixed: Any,
    ) -> None:
        self.project = project
        self.accounts = accounts
        self.deployer = accounts[0]
        self.decimals = decimals
        self.unit = 10 ** (18 - decimals)
        # A block takes the wall's time unless the chain is ahead of it: then each takes one second, always.
        ape.chain.pending_timestamp = max(ape.chain.pending_timestamp, int(time.time()) + 30 * DAY)
        self.token = token or self.deployer.deploy(project.TokenMock, "Quote", "Q", decimals)
        # The configurator and the pool must know the clearinghouse before it exists, and it checks them.
        clearinghouse = self.deployer.get_deployment_address(nonce=self.deployer.nonce + 4)
        # A loose deployment takes any terms: a puppet stands in for the configurator.
        self.loose = loose
        configurator = project.PuppetMock if loose else project.Configurator
        self.configurator = self.deployer.deploy(configurator, clearinghouse, keeper_share_ppm)
        self.pool = self.deployer.deploy(project.PuppetMock, clearinghouse, 0)
        self.auction = self.deployer.deploy(
            project.CollateralAuction, clearinghouse, self.configurator, self.token
        )
        self.backstop = self.deployer.deploy(project.PuppetMock, clearinghouse, 0)
        settings = Settings(
            quote=self.token.address,
            unit=0,
            pool=self.pool.address,
            configurator=self.configurator.address,
            auction=self.auction.address,
            keeper_share_ppm=keeper_share_ppm,
            insurance_share_ppm=insurance_share_ppm,
            profit_weight_ppm=profit_weight_ppm,
            max_pool_leverage_ppm=max_pool_leverage_ppm,
            top_up_per_block=top_up_per_block,
            backstop=self.backstop.address,
            **fixed,
        )
        self.clearinghouse = self.deployer.deploy(project.Clearinghouse, tuple(settings))
        assert self.clearinghouse.address == clearinghouse
        self.markets: list[Market] = []
        self._known: list[str] = [a.address for a in (*accounts[:8], self.pool, self.clearinghouse)]
        self.token.mint(self.deployer, 10**12 * 10**decimals, sender=self.deployer)
        self.token.approve(clearinghouse, MAX_UINT, sender=self.deployer)

    # ------------------------------------------------------------------ acting

    def list_market(
        self, name: str, price: Amount = 100, *, decimals: int = 8, feed: Any = None, **changes: Any
    ) -> Market:
        """List a market, on a new feed at `price` unless told of one."""
        feed = feed or self.deployer.deploy(
            self.project.FeedMock, decimals, wad(price) // 10 ** (18 - decimals)
        )
        market = Market(len(self.markets), feed, terms(feed, **changes))
        if self.loose:
            self._set_terms(market.id, market.terms, decimals)
        else:
            new = tuple(market.terms.values())
            self.configurator.list_market(name, new, sender=self.deployer)
        self.markets.append(market)
        return market

    def list_many(self, ids: Iterable[int], feeds: list[ContractInstance], **changes: Any) -> None:
        """Many markets of a loose deployment at once, on these feeds of 8 decimals in turn."""
        assert self.loose
        calls = []
        for market in ids:
            feed = feeds[market % len(feeds)]
            self.markets.append(Market(market, feed, terms(feed, **changes)))
            packed = slots.pack_terms(slots.Terms(**self.markets[-1].terms), 8)
            calls.append((self.clearinghouse.set_terms, market, packed))
        self.perform(self.configurator, *calls)

    def configure(self, market: Market, decimals: int = 8, **changes: Any) -> ReceiptAPI:
        """Change a market's terms; a loose deployment must be told the feed's decimals."""
        new = market.terms | changes
        if self.loose:
            return self._set_terms(market.id, new, decimals)
        return self.configurator.configure_market(
            market.id, tuple(new.values()), sender=self.deployer
        )

    def _set_terms(self, market: int, new: dict[str, Any], decimals: int) -> ReceiptAPI:
        words = slots.pack_terms(slots.Terms(**new), decimals)
        return self.perform(self.configurator, (self.clearinghouse.set_terms, market, words))

    def raw(self, quote: Amount) -> int:
        """Quote in the token's own units."""
        scaled = Decimal(str(quote)).scaleb(self.decimals)
        assert scaled == int(scaled), quote
        return int(scaled)

    def deposit(self, account: Any, quote: Amount) -> ReceiptAPI:
        """Somebody's money for any account."""
        raw = self.raw(quote)
        if account == self.pool:
            self.token.mint(self.pool, raw, sender=self.deployer)
            house = self.clearinghouse
            return self.perform(
                self.pool,
                (self.token.approve, house.address, MAX_UINT),
                (house.deposit, self.pool.address, self.token.address, raw),
            )
        return self.clearinghouse.deposit(account, self.token, raw, sender=self.deployer)

    def withdraw(self, owner: AccountAPI, quote: Amount, account: Any = None) -> ReceiptAPI:
        """To the owner himself."""
        raw = self.raw(quote)
        return self.clearinghouse.withdraw(account or owner, self.token, raw, owner, sender=owner)

    def trade(
        self, owner: AccountAPI, market: Market, size: Amount, account: Any = None
    ) -> ReceiptAPI:
        """Buy or, below zero, sell so much at whatever it costs."""
        return self.trade_wad(owner, market, wad(size), account)

    def trade_wad(
        self, owner: AccountAPI, market: Market, delta: int, account: Any = None
    ) -> ReceiptAPI:
        """The same, to the wei."""
        limit = MAX_UINT if delta > 0 else 0
        return self.clearinghouse.trade(account or owner, market.id, delta, limit, sender=owner)

    def liquidate(self, account: Any, keeper: AccountAPI) -> ReceiptAPI:
        """Somebody liquidates."""
        return self.clearinghouse.liquidate(account, sender=keeper)

    def price(self, market: Market, price: Amount) -> None:
        """A new round of a market's feed, now."""
        self.price_wad(market, wad(price))

    def hold(self, market: Market, price: Amount) -> None:
        """A price that has been there for so long that the market's stable price is there, too."""
        self.price(market, price)
        while self.state(market)[1].steady != market.steady(wad(price)):
            self.clearinghouse.poke(market.id, sender=self.deployer)
            self.travel(3_600)
            self.price(market, price)

    def price_wad(self, market: Market, price: int) -> None:
        """The same, to the wei; the feed must have the decimals for it."""
        unit = 10 ** (18 - market.feed.decimals())
        assert price % unit == 0
        market.feed.set_answer(price // unit, sender=self.deployer)

    def round(self, market: Market, answer: int, updated_at: int) -> None:
        """Any round of a market's feed, in the feed's own units."""
        market.feed.set_round(answer, updated_at, sender=self.deployer)

    def know_nav(self, nav: Amount = 10_000_000) -> ReceiptAPI:
        """The pool says what it is worth."""
        return self.perform(self.pool, (self.clearinghouse.set_nav, wad(nav)))

    def kill(self, market: Market) -> None:
        """A feed without a positive answer."""
        market.feed.set_answer(0, sender=self.deployer)

    def travel(self, seconds: int) -> None:
        """Let time pass; what is looked at next is seen at the new time."""
        then = self.now() + seconds
        ape.chain.pending_timestamp += seconds
        assert self.now() == then

    @staticmethod
    def now() -> int:
        """The time at which views see the world [unix s]."""
        return ape.chain.blocks.head.timestamp

    def puppet(self) -> ContractInstance:
        """One more account whose owner is a contract."""
        puppet = self.deployer.deploy(self.project.PuppetMock, self.clearinghouse, 0)
        self._known.append(puppet.address)
        return puppet

    @staticmethod
    def _encoded(calls: Iterable[tuple[Any, ...]]) -> list[tuple[str, bytes]]:
        return [(m.contract.address, bytes(m.encode_input(*args))) for m, *args in calls]

    def perform(self, puppet: ContractInstance, *calls: tuple[Any, ...]) -> ReceiptAPI:
        """`(method, *arguments)` calls of a puppet in one transaction, all or none."""
        return puppet.act(self._encoded(calls), sender=self.deployer)

    def imagine(self, puppet: ContractInstance, *calls: tuple[Any, ...]) -> list[Outcome]:
        """What each of a puppet's calls would give, one after the other in one block; nothing stays."""
        outcomes = []
        results = puppet.attempt.call(self._encoded(calls), sender=self.deployer)
        for (method, *_), result in zip(calls, results, strict=True):
            data = bytes(result.data)
            if result.success:
                abi = method.abis[0]
                value = (
                    ape.networks.ethereum.decode_returndata(abi, data) if abi.outputs else (None,)
                )
                outcomes.append(Outcome(value[0] if len(value) == 1 else value, None))
            else:
                outcomes.append(Outcome(None, decode(["string"], data[4:])[0] if data else ""))
        return outcomes

    # ------------------------------------------------------------------ looking

    def sub(self, owner: Any, number: int) -> str:
        """An owner's sub-account."""
        address = to_checksum_address(f"0x{int(owner.address, 16) ^ number:040x}")
        self.know(address)
        return address

    def know(self, account: Any) -> None:
        """Count an account in when the books are checked."""
        address = str(getattr(account, "address", account))
        if address not in self._known:
            self._known.append(address)

    def mark(self) -> tuple[int, int]:
        """What `forget` goes back to."""
        return len(self.markets), len(self._known)

    def forget(self, mark: tuple[int, int]) -> None:
        """Drop the markets and accounts of a test that the chain has forgotten, too."""
        del self.markets[mark[0] :]
        del self._known[mark[1] :]

    def cash(self, account: Any) -> int:
        """[WAD quote]"""
        return self.header(account).cash

    def header(self, account: Any) -> slots.Header:
        """Cash, flags and bitmap."""
        return slots.unpack_header(self.clearinghouse.header(account))

    def position(self, account: Any, market: Market) -> slots.Position:
        """Size and basis."""
        leg = self.clearinghouse.leg(account, market.id)
        return slots.Position(leg.size, leg.basis)

    def words(self, market: Market) -> Any:
        """A market's five words."""
        return self.clearinghouse.market_words(market.id)

    def state(self, market: Market) -> tuple[slots.StateA, slots.StateB]:
        """What a market remembers."""
        words = self.words(market)
        return slots.unpack_state_a(words.a), slots.unpack_state_b(words.b)

    def book(self) -> slots.Book:
        """What is known of the pool."""
        return slots.unpack_book(self.clearinghouse.globals().book)

    def digest(self) -> tuple[bytes, ...]:
        """The storage roots of the contracts: equal if and only if nothing that they remember has changed.

        Ape's in-process chain has no eth_getProof, so this asks py-evm itself.
        """
        backend = ape.chain.provider.evm_backend  # type: ignore[attr-defined]
        accounts = backend.chain.get_vm().state._account_db
        contracts = (self.clearinghouse, self.token, self.configurator)
        return tuple(accounts._get_storage_root(to_canonical_address(c.address)) for c in contracts)

    def look(self, calls: list[tuple[Any, ...]]) -> list[Any]:
        """The values of many views at once."""
        seen: list[Any] = []
        for at in range(0, len(calls), 150):  # what a puppet takes at once
            for outcome in self.imagine(self.pool, *calls[at : at + 150]):
                assert outcome.reason is None
                seen.append(outcome.value)
        return seen

    @contextmanager
    def refuses(self, reason: str | None = None) -> Iterator[None]:
        """What happens in here reverts for this reason (none: without any), and leaves no trace."""
        before = self.digest()
        with ape.reverts(reason) as error:
            yield
        assert reason or error.value.revert_message == "Transaction failed."
        assert self.digest() == before

    def check_conservation(self) -> None:
        """LED-2, LED-3 and the markets' own sums, to the wei, over every account that there is."""
        house = self.clearinghouse
        globals_, in_custody, *seen = self.look(
            [(house.globals,), (self.token.balanceOf, house.address)]
            + [(house.market_words, m.id) for m in self.markets]
            + [(house.header, a) for a in self._known]
        )
        words = seen[: len(self.markets)]
        headers = dict(
            zip(self._known, map(slots.unpack_header, seen[len(self.markets) :]), strict=True)
        )
        held = [(a, bit) for a, h in headers.items() for bit in range(128) if h.bitmap >> bit & 1]
        legs = dict(zip(held, self.look([(house.leg, a, m) for a, m in held]), strict=True))
        assert all(leg.size != 0 for leg in legs.values()), "a market's bit without a position"
        assert all(h.flags == 0 for h in headers.values())
        assert headers[self.pool.address].bitmap == 0
        assert headers[house.address].bitmap == 0
        assert headers[house.address].cash >= 0, "the insurance fund is below zero"
        cash = sum(h.cash for h in headers.values())
        basis = sum(leg.basis for leg in legs.values())
        assert cash - basis == globals_.custody * self.unit, "LED-3"
        assert globals_.custody <= in_custody, "LED-3"
        exposure = 0
        for market, word in zip(self.markets, words, strict=True):
            sizes = [leg.size for (_, m), leg in legs.items() if m == market.id]
            a = slots.unpack_state_a(word.a)
            assert a.skew == sum(sizes), "LED-2"
            assert a.lots == sum(size >> 32 for size in sizes if size > 0)
            exposure += max(a.lots << 32, (a.lots << 32) - a.skew, a.skew) * a.last_price // WAD
        assert slots.unpack_book(globals_.book).exposure == exposure


ZERO = ZERO_ADDRESS
