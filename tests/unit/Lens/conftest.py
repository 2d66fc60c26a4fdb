"""A small deployment for the Lens: real Clearinghouse, Configurator and Lens, a puppet for a pool.

Prices of the feeds have 18 decimals, so that a test can set any price to the wei. Funding stands
still in the markets of `terms()` unless asked for, so that a block's seconds move no number; tests
that want funding (or a surge) make all their calls from one `Puppet`, in one block.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import ape
import pytest
from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from ape.exceptions import ContractLogicError
from ape.managers.project import LocalProject
from eth_abi import decode

from plimsoll.model import Settings

WAD = 10**18
PPM = 10**6
RAW = 10**6  # of the quote token, per quote
MAX_UINT = 2**256 - 1
KEEPER_SHARE, INSURANCE_SHARE, PROFIT_WEIGHT = 200_000, 200_000, 500_000
MAX_LEVERAGE = 1_500_000
TOP_UP = 20 * WAD
MARGIN_CALL_LINE = 125 * 10**16
POOL_CASH, INSURANCE_CASH = 10_000_000, 250_000


def wad(amount: int | str | Decimal) -> int:
    """Quote, base or a ratio -> WAD. Refuses what has more than 18 decimals."""
    scaled = Decimal(str(amount)).scaleb(18)
    assert scaled == int(scaled)
    return int(scaled)


def terms(feed: str, **changes: Any) -> dict[str, Any]:
    """Terms of a market at about 100, skew scale 1m: no funding, 5 % / 2.5 %, 0.05 % and 0.1 %."""
    return {
        "feed": feed,
        "max_age": 86_400,
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


def coin_terms(feed: str, **changes: Any) -> dict[str, Any]:
    """Terms of a token: weights of 80 % and 85 %, of which 999 of it leave half; 8 % in a seizure."""
    return {
        "feed": feed,
        "max_age": 86_400,
        "min_price": wad("0.01"),
        "max_price": wad(100_000),
        "initial_weight_ppm": 800_000,
        "maintenance_weight_ppm": 850_000,
        "scale": wad(999),
        "cap": wad(1_000),
        "discount_ppm": 80_000,
        "premium_ppm": 20_000,
        "duration": 7_200,
        "delisted": False,
    } | changes


def credit_terms(**changes: Any) -> dict[str, Any]:
    """Terms of debt: half of the tokens' value, 100k in all, no interest; called under 1.25."""
    return {
        "debt_cap": wad(100_000),
        "debt_ratio_ppm": 500_000,
        "kink_ppm": 750_000,
        "low_slope_ppm": 0,
        "high_slope_ppm": 0,
        "call_line_ppm": 1_250_000,
        "conversion_bound": 10_000,
        "liquidation_fee_ppm": 20_000,
        "order": list(range(16)),
    } | changes


class Outcome(NamedTuple):
    """What one call of a batch gave: a value, or the reason for its refusal."""

    value: Any
    reason: str | None


class Stage:
    """The deployment, and the short words that tests use on it."""

    def __init__(
        self,
        project: LocalProject,
        accounts: list[AccountAPI],
        puppet_backstop: bool = False,
        **fixed: Any,
    ) -> None:
        """Deploy it.

        Args:
            project: whose contracts.
            accounts: a deployer, a keeper, a stranger.
            puppet_backstop: whether the Backstop does as it is told.
            fixed: fields of the Clearinghouse's settings.
        """
        self.deployer, self.keeper, self.stranger = accounts[:3]
        self.project = project
        source = Path(__file__).with_name("Puppet.vy").read_text(encoding="utf-8")
        self.puppet = ape.compilers.compile_source("vyper", source, contractName="Puppet")
        self.token = self.deployer.deploy(project.TokenMock, "Quote", "Q", 6)
        nonce = self.deployer.nonce
        clearinghouse = self.deployer.get_deployment_address(nonce=nonce + 4)
        self.configurator = self.deployer.deploy(project.Configurator, clearinghouse, KEEPER_SHARE)
        self.pool = self.deployer.deploy(self.puppet, clearinghouse)
        self.auction = self.deployer.deploy(
            project.CollateralAuction,
            clearinghouse,
            self.configurator,
            self.token,
        )
        if puppet_backstop:
            self.backstop = self.deployer.deploy(self.puppet, clearinghouse)
        else:
            self.backstop = self.deployer.deploy(project.Backstop, clearinghouse, 11 * 10**17)
        settings = Settings(
            self.token.address,
            0,
            self.pool.address,
            self.configurator.address,
            self.auction.address,
            KEEPER_SHARE,
            INSURANCE_SHARE,
            PROFIT_WEIGHT,
            MAX_LEVERAGE,
            TOP_UP,
            self.backstop.address,
            **fixed,
        )
        self.clearinghouse = self.deployer.deploy(project.Clearinghouse, tuple(settings))
        assert self.clearinghouse.address == clearinghouse
        self.lens = self.deployer.deploy(project.Lens, clearinghouse, MARGIN_CALL_LINE)
        self.tokens = self.deployer.deploy(project.CollateralLens, clearinghouse)
        self.feeds: list[ContractInstance] = []
        self.coins: list[ContractInstance] = []
        self.coin_feeds: list[ContractInstance] = []
        self.token.mint(self.deployer, 10**12 * RAW, sender=self.deployer)
        self.token.approve(clearinghouse, MAX_UINT, sender=self.deployer)

    # -------------------------------------------------------------- acting

    def list_market(self, name: str, price: int | str = 100, **changes: Any) -> int:
        """A feed at `price` and a market on it; its id."""
        feed = self.deployer.deploy(self.project.FeedMock, 18, wad(price))
        market = len(self.feeds)
        self.configurator.list_market(
            name, tuple(terms(feed.address, **changes).values()), sender=self.deployer
        )
        self.feeds.append(feed)
        return market

    def reconfigure(self, market: int, **changes: Any) -> None:
        """Other terms for a market."""
        words = terms(self.feeds[market].address, **changes)
        self.configurator.configure_market(market, tuple(words.values()), sender=self.deployer)

    def list_coin(self, price: int | str, decimals: int = 18, **changes: Any) -> int:
        """A token, a feed at `price` and a listing; its id. There have to be terms of debt before."""
        if self.configurator.credit_terms().call_line_ppm == 0:
            self.configure_credit()
        coin = self.deployer.deploy(self.project.TokenMock, "Coin", "C", decimals)
        feed = self.deployer.deploy(self.project.FeedMock, 18, wad(price))
        listed = tuple(coin_terms(feed.address, **changes).values())
        self.configurator.list_collateral(coin, listed, sender=self.deployer)
        self.coins.append(coin)
        self.coin_feeds.append(feed)
        return len(self.coins) - 1

    def reconfigure_coin(self, coin: int, **changes: Any) -> None:
        """Other terms for a token."""
        words = tuple(coin_terms(self.coin_feeds[coin].address, **changes).values())
        self.configurator.configure_collateral(coin, words, sender=self.deployer)

    def configure_credit(self, **changes: Any) -> None:
        """Terms of debt."""
        words = tuple(credit_terms(**changes).values())
        self.configurator.configure_credit(words, sender=self.deployer)

    def back(self, account: Any, coin: int, raw: int) -> None:
        """Its owner pays `raw` of a token into an account: a person's, or a puppet's."""
        token, home = self.coins[coin], self.clearinghouse
        token.mint(account, raw, sender=self.deployer)
        if isinstance(account, AccountAPI):
            token.approve(home, raw, sender=account)
            home.deposit(account, token, raw, sender=account)
        else:
            self.perform(account, (token.approve, home.address, raw))
            self.perform(account, (home.deposit, account.address, token.address, raw))

    def coin_price(self, coin: int, price: int | str) -> None:
        """A new answer of a token's feed [quote]."""
        self.coin_feeds[coin].set_answer(wad(price), sender=self.deployer)

    def fund(self, account: Any, quote: int | str) -> None:
        """Deposit `quote` [quote] to any account."""
        raw = int(Decimal(str(quote)) * RAW)
        if account == self.pool:
            self.token.mint(self.pool, raw, sender=self.deployer)
            self.perform(self.pool, (self.token.approve, self.clearinghouse.address, MAX_UINT))
            self.perform(
                self.pool, (self.clearinghouse.deposit, self.pool.address, self.token.address, raw)
            )
        else:
            self.clearinghouse.deposit(account, self.token, raw, sender=self.deployer)

    def know_nav(self, quote: int) -> None:
        """The pool says what it is worth [quote]."""
        self.perform(self.pool, (self.clearinghouse.set_nav, wad(quote)))

    def trade(self, trader: AccountAPI, market: int, size: int | str, account: Any = None) -> Any:
        """A trade [base] at any price, from the trader's main account unless told."""
        delta = wad(size)
        return self.clearinghouse.trade(
            account or trader, market, delta, MAX_UINT if delta > 0 else 0, sender=trader
        )

    def price(self, market: int, price_wad: int) -> None:
        """A new answer of a market's feed [WAD]."""
        self.feeds[market].set_answer(price_wad, sender=self.deployer)

    def catch_up(self, market: int) -> None:
        """Hours pass, until a market's stable price is its price."""
        while (view := self.lens.market(market)).stable_price != view.price:
            ape.chain.pending_timestamp += 3_600
            self.clearinghouse.poke(market, sender=self.stranger)

    def silence(self, market: int) -> None:
        """A feed that no longer has a positive answer."""
        self.feeds[market].set_answer(0, sender=self.deployer)

    # -------------------------------------------------------------- several calls, one block

    @staticmethod
    def _encode(calls: tuple[tuple[Any, ...], ...]) -> list[tuple[str, bytes]]:
        return [
            (method.contract.address, bytes(method.encode_input(*arguments)))
            for method, *arguments in calls
        ]

    def perform(self, puppet: ContractInstance, *calls: tuple[Any, ...]) -> Any:
        """Mine `(method, *arguments)` calls from a puppet, in one transaction."""
        assert [outcome.reason for outcome in self.imagine(puppet, *calls)] == [None] * len(calls)
        # An estimate would find the gas with which the inner calls fail, quietly.
        return puppet.act(self._encode(calls), sender=self.deployer, gas=15_000_000)

    def imagine(self, puppet: ContractInstance, *calls: tuple[Any, ...]) -> list[Outcome]:
        """The same without a transaction, and with what each call gave; refusals do not stop it."""
        outcomes = []
        results = puppet.act.call(self._encode(calls), sender=self.deployer)
        for (method, *_), result in zip(calls, results, strict=True):
            data = bytes(result.data)
            if result.success:
                abi = method.abis[0]
                value = ape.networks.ethereum.decode_returndata(abi, data) if abi.outputs else ()
                outcomes.append(Outcome(value[0] if len(value) == 1 else value, None))
            else:
                reason = decode(["string"], data[4:])[0] if data else ""
                outcomes.append(Outcome(None, reason))
        return outcomes

    def refusal(self, call: Callable[[], Any]) -> str:
        """The reason that a call reverts with; empty if it does not revert."""
        try:
            call()
        except ContractLogicError as error:
            return error.revert_message
        return ""


@pytest.fixture(scope="session", autouse=True)
def _no_replays() -> Iterator[None]:
    """After each transaction Ape runs it again, to look for console.log: a third of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReceiptAPI, "show_debug_logs", lambda receipt: None)
        yield


@pytest.fixture(scope="module")
def stage(project: LocalProject, accounts: list[AccountAPI]) -> Stage:
    """Markets 0 ALPHA, 1 BETA (both still), 2 GAMMA (funding); a pool of 10m, 250k of insurance."""
    built = Stage(project, accounts)
    built.list_market("ALPHA")
    built.list_market("BETA", im_ppm=120_000, mm_ppm=60_000, reward=wad("2.5"))
    built.list_market("GAMMA", max_velocity_ppm=500_000, max_rate_ppm=10_000)
    built.fund(built.pool, POOL_CASH)
    built.know_nav(POOL_CASH)
    built.fund(built.clearinghouse, INSURANCE_CASH)
    return built


@pytest.fixture
def trader(accounts: list[AccountAPI]) -> AccountAPI:
    """Somebody with nothing yet."""
    return accounts[3]


@pytest.fixture
def maker(stage: Stage, accounts: list[AccountAPI]) -> AccountAPI:
    """Somebody rich, to move a skew with."""
    stage.fund(accounts[4], 1_000_000)
    return accounts[4]


@pytest.fixture
def robot(stage: Stage) -> ContractInstance:
    """A contract with an account of its own: what it does, it does in one block."""
    return stage.deployer.deploy(stage.puppet, stage.clearinghouse)


@pytest.fixture
def robot_of() -> Callable[[Stage], ContractInstance]:
    """The same, of any stage."""
    return lambda built: built.deployer.deploy(built.puppet, built.clearinghouse)
