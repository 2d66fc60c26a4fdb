"""A whole deployment for the pool: the real Clearinghouse and Configurator, markets on mock feeds.

Funding stands still unless a market is listed with a velocity, so that seconds move no number.
Prices of the feeds have 18 decimals. Amounts named `raw` are token units.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import ape
import pytest
from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from ape.managers.project import LocalProject

from plimsoll.model import Settings

WAD = 10**18
PPM = 10**6
HOUR, DAY = 3_600, 86_400
MAX_UINT = 2**256 - 1
NOWHERE = "0x" + "00" * 20
VIRTUAL = 10**6  # [shares]
COOLDOWN = DAY
WINDOW = 2 * DAY
KEEPER_SHARE, INSURANCE_SHARE, PROFIT_WEIGHT = 200_000, 200_000, 500_000
MAX_LEVERAGE = 1_500_000
SPREAD, TAKER_FEE = 1_000, 500
SCALE = 1_000_000 * WAD


def wad(amount: int | str | Decimal) -> int:
    """Quote, base or a price -> WAD."""
    return int(Decimal(str(amount)).scaleb(18))


def ceil_div(x: int, y: int) -> int:
    """`x / y` rounded up."""
    return -(-x // y)


def terms(feed: str, **changes: Any) -> dict[str, Any]:
    """Terms of a market at about 100: skew scale a million, no funding, 0.05 % and 0.1 %."""
    return {
        "feed": feed,
        "max_age": DAY,
        "min_price": wad(1),
        "max_price": wad(10_000),
        "skew_scale": SCALE,
        "max_skew": wad(10_000),
        "max_open_interest": wad(14_000),
        "im_ppm": 50_000,
        "mm_ppm": 25_000,
        "liquidation_fee_ppm": 10_000,
        "reward": wad(5),
        "taker_fee_ppm": TAKER_FEE,
        "spread_ppm": SPREAD,
        "otc_band_ppm": 5_000,
        "max_velocity_ppm": 0,
        "max_rate_ppm": 0,
        "reduce_only": False,
    } | changes


class Value(NamedTuple):
    """The pool's account, valued apart from the contract, without rounding [quote, WAD]."""

    nav: Fraction
    spread: Fraction
    markets: int


class Stage:
    """The deployment, and the short words that tests use on it."""

    def __init__(
        self,
        project: LocalProject,
        accounts: list[AccountAPI],
        token: ContractInstance,
        cooldown: int = COOLDOWN,
        max_leverage: int = MAX_LEVERAGE,
    ) -> None:
        self.deployer = accounts[0]
        self.project = project
        self.token = token
        self.unit = 10 ** (18 - token.decimals())  # [WAD quote] of a raw unit
        self.quote = 10 ** token.decimals()  # [raw] of a quote
        nonce = self.deployer.nonce
        clearinghouse = self.deployer.get_deployment_address(nonce=nonce + 4)
        self.configurator = self.deployer.deploy(project.Configurator, clearinghouse, KEEPER_SHARE)
        self.pool = self.deployer.deploy(
            project.LiquidityPool, clearinghouse, token, "Plimsoll pool", "pQ", cooldown
        )
        self.auction = self.deployer.deploy(
            project.CollateralAuction,
            clearinghouse,
            self.configurator,
            token,
        )
        backstop = self.deployer.deploy(project.Backstop, clearinghouse, 11 * 10**17)
        settings = Settings(
            token.address,
            0,
            self.pool.address,
            self.configurator.address,
            self.auction.address,
            KEEPER_SHARE,
            INSURANCE_SHARE,
            PROFIT_WEIGHT,
            max_leverage,
            20 * WAD,
            backstop.address,
        )
        self.clearinghouse = self.deployer.deploy(project.Clearinghouse, tuple(settings))
        assert self.clearinghouse.address == clearinghouse
        self.max_leverage = max_leverage
        self.feeds: list[ContractInstance] = []

    # -------------------------------------------------------------- acting

    def list_market(self, name: str, price: int | str = 100, **changes: Any) -> int:
        """A feed at `price` and a market on it; its id."""
        feed = self.deployer.deploy(self.project.FeedMock, 18, wad(price))
        words = terms(feed.address, **changes)
        self.configurator.list_market(name, tuple(words.values()), sender=self.deployer)
        self.feeds.append(feed)
        return len(self.feeds) - 1

    def give(self, who: AccountAPI, raw: int) -> None:
        """Tokens, and leave for the pool to take them [raw]."""
        self.token.mint(who, raw, sender=self.deployer)
        self.token.approve(self.pool, MAX_UINT, sender=who)

    def enter(self, who: AccountAPI, raw: int) -> int:
        """A deposit of new tokens into the pool [raw]; the shares that it gave."""
        self.give(who, raw)
        before = self.pool.balanceOf(who)
        self.pool.deposit(raw, who, sender=who)
        return self.pool.balanceOf(who) - before

    def request(self, who: AccountAPI, shares: int | None = None) -> ReceiptAPI:
        """A request by `who` for himself, of all his shares unless told."""
        amount = self.pool.balanceOf(who) if shares is None else shares
        return self.pool.requestRedeem(amount, who, who, sender=who)

    def fund(self, trader: AccountAPI, quote: int) -> None:
        """Margin from new tokens [quote]."""
        self.token.mint(trader, quote * self.quote, sender=self.deployer)
        self.token.approve(self.clearinghouse, MAX_UINT, sender=trader)
        self.clearinghouse.deposit(trader, self.token, quote * self.quote, sender=trader)

    def trade(self, trader: AccountAPI, market: int, size: int | str) -> ReceiptAPI:
        """A trade [base] at any price."""
        delta = wad(size)
        limit = MAX_UINT if delta > 0 else 0
        return self.clearinghouse.trade(trader, market, delta, limit, sender=trader)

    def price(self, market: int, price: int | str) -> None:
        """A new answer of a market's feed."""
        self.feeds[market].set_answer(wad(price), sender=self.deployer)

    def renew(self) -> None:
        """Each feed repeats its answer, with the present time."""
        for feed in self.feeds:
            feed.set_answer(feed.latestRoundData()[1], sender=self.deployer)

    def kill(self, market: int) -> None:
        """A feed that answers nothing of use."""
        feed = self.feeds[market]
        feed.set_round(feed.latestRoundData()[1], 0, sender=self.deployer)

    def pass_time(self, seconds: int) -> None:
        """Later, with the feeds as they were but not stale."""
        ape.chain.pending_timestamp += seconds
        self.renew()

    # -------------------------------------------------------------- looking

    def cash(self, account: Any) -> int:
        """An account's cash [WAD quote]."""
        word = self.clearinghouse.header(account) >> 136
        return word - 2**120 if word >> 119 else word

    def value(self) -> Value:
        """The pool's NAV and spread by the words of LPV-1 and LPV-2."""
        nav, spread, markets = Fraction(self.cash(self.pool)), Fraction(0), 0
        for market in range(len(self.feeds)):
            leg = self.clearinghouse.leg(NOWHERE, market)
            depth = abs(leg.skew)
            scale = leg.t1 & (2**96 - 1)
            nav -= Fraction(leg.skew * (leg.price - leg.index), WAD)
            nav -= Fraction(leg.price * depth**2, 2 * scale * WAD)
            spread += Fraction(depth * leg.price * (leg.t1 >> 235), WAD * PPM)
            markets += depth != 0
        return Value(nav, spread, markets)

    def known_nav(self) -> int:
        """The NAV in the Clearinghouse's book [WAD quote]."""
        word = self.clearinghouse.globals().book >> 176
        return (word - 2**80 if word >> 79 else word) << 24

    def exposure(self) -> int:
        """The exposure in the Clearinghouse's book [WAD quote]."""
        return (self.clearinghouse.globals().book >> 64) & (2**112 - 1)


def kept(nav: int) -> int:
    """A NAV as the book keeps it: in units of 2**24 wei, rounded down."""
    return nav >> 24 << 24


def with_markets(stage: Stage) -> Stage:
    """Two markets at 100."""
    stage.list_market("ALPHA")
    stage.list_market("BETA")
    return stage


def with_skew(stage: Stage, lp: AccountAPI, trader: AccountAPI) -> Stage:
    """10m from `lp`; `trader` long 5,000 ALPHA and short 3,000 BETA."""
    stage.enter(lp, 10_000_000 * stage.quote)
    stage.fund(trader, 500_000)
    stage.trade(trader, 0, 5_000)
    stage.trade(trader, 1, -3_000)
    return stage


@pytest.fixture(scope="module")
def deployer(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[0]


@pytest.fixture(scope="module")
def stage_of(project: LocalProject, accounts: list[AccountAPI]) -> Callable[..., Stage]:
    """A deployment on a quote token of so many decimals, without markets."""

    def build(decimals: int = 6, **settings: Any) -> Stage:
        token = accounts[0].deploy(project.TokenMock, "Quote", "Q", decimals)
        return Stage(project, accounts, token, **settings)

    return build


@pytest.fixture(scope="module")
def odd_token(accounts: list[AccountAPI]) -> Callable[[], ContractInstance]:
    """A token with bad habits, all of them off."""
    source = Path(__file__).with_name("OddToken.vy").read_text(encoding="utf-8")
    container = ape.compilers.compile_source("vyper", source, contractName="OddToken")
    return lambda: accounts[0].deploy(container, 6)


@pytest.fixture(scope="module")
def empty_stage(stage_of: Callable[..., Stage]) -> Stage:
    """Two markets at 100, six decimals, nobody in it."""
    return with_markets(stage_of())


@pytest.fixture(scope="module")
def lp(accounts: list[AccountAPI]) -> AccountAPI:
    """The pool's first and greatest owner."""
    return accounts[1]


@pytest.fixture(scope="module")
def trader(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[2]


@pytest.fixture
def attacker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[3]


@pytest.fixture
def stranger(accounts: list[AccountAPI]) -> AccountAPI:
    """Nobody's friend, with nothing."""
    return accounts[4]


@pytest.fixture
def user(accounts: list[AccountAPI]) -> AccountAPI:
    """Comes to the pool when others are in it already."""
    return accounts[5]


@pytest.fixture(scope="module")
def stage(stage_of: Callable[..., Stage], lp: AccountAPI, trader: AccountAPI) -> Stage:
    """Two markets at 100; 10m from `lp`; `trader` is long 5,000 of one and short 3,000 of the
    other."""
    return with_skew(with_markets(stage_of()), lp, trader)
