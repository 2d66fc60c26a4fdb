"""Chainlink's own `MockV3Aggregator`, as published, is a feed like any other to the Clearinghouse.

The contract comes from the npm package `@chainlink/contracts` and is compiled by npm's `solc`, both
pinned by hash in `chainlink/package-lock.json`. Without npm, or without its registry, these tests are
skipped.
"""

from __future__ import annotations

from decimal import Decimal as D
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import ape
import pytest
from ape.api import AccountAPI
from ape.contracts import ContractContainer, ContractInstance
from ape.managers.chain import ChainManager
from ape.managers.project import LocalProject

from plimsoll.chain import ApeChain
from plimsoll.deployment import Deployment, deploy
from plimsoll.table import MarketSpec, Table, market
from plimsoll.units import MAX_UINT, WAD
from tests.utils.feeds import LIVE, NOBODY, assert_refused, cash, kept_price, scaled
from tests.utils.npm import contracts

HERE = Path(__file__).with_name("chainlink")
SOURCE = "@chainlink/contracts/src/v0.8/shared/mocks/MockV3Aggregator.sol"

PRICE = D(2_500)
DEPOSIT = 10_000  # [quote]
MARKETS = {"ETH-8": 8, "ETH-18": 18}  # decimals of the feeds
ROUND = 7


# ------------------------------------------------------------------ Chainlink's contract


@pytest.fixture(scope="session")
def aggregator() -> ContractContainer:
    """Chainlink's contract, ready to be deployed."""
    return contracts(HERE, SOURCE)["MockV3Aggregator"]


# ------------------------------------------------------------------ the venue


@pytest.fixture(scope="module")
def deployer(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[0]


@pytest.fixture(scope="module")
def trader(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[1]


@pytest.fixture(scope="module")
def keeper(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[2]


@pytest.fixture(scope="module")
def feeds(aggregator: ContractContainer, deployer: AccountAPI) -> dict[str, ContractInstance]:
    return {
        name: deployer.deploy(aggregator, decimals, scaled(PRICE, decimals))
        for name, decimals in MARKETS.items()
    }


@pytest.fixture(scope="module")
def venue(
    project: LocalProject,
    feeds: dict[str, ContractInstance],
    deployer: AccountAPI,
    trader: AccountAPI,
) -> Deployment:
    """One market for each of the feeds, alike but for the feed's decimals. Funding stands still.

    Both markets have kept `PRICE`, and the trader has `DEPOSIT`.
    """
    markets = tuple(
        market(name, PRICE, "major", feed=feed.address, max_velocity="0", max_rate="0")
        for name, feed in feeds.items()
    )
    deployed = deploy(Table(markets=markets), ApeChain(project), deployer)
    deployed.fund(trader, DEPOSIT, payer=trader)
    return deployed


@pytest.fixture(params=MARKETS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def market_id(venue: Deployment, name: str) -> int:
    return venue.ids[name]


@pytest.fixture
def spec(venue: Deployment, name: str) -> MarketSpec:
    return venue.table.spec(name)


@pytest.fixture
def feed(feeds: dict[str, ContractInstance], name: str) -> ContractInstance:
    return feeds[name]


# ------------------------------------------------------------------ price


@pytest.mark.parametrize(
    "price",
    [D("0.37"), D("2543.12345678"), D("249999.99999999")],
)
def test_poke__answer_of_mock_aggregator__is_the_price_to_the_last_digit(
    venue: Deployment,
    feed: ContractInstance,
    name: str,
    market_id: int,
    price: D,
    deployer: AccountAPI,
    keeper: AccountAPI,
) -> None:
    feed.updateAnswer(scaled(price, MARKETS[name]), sender=deployer)

    venue.clearinghouse.poke(market_id, sender=keeper)

    assert kept_price(venue, market_id) == scaled(price, 18)
    leg = venue.clearinghouse.leg(NOBODY, market_id)
    assert (leg.price, leg.status) == (scaled(price, 18), LIVE)


def test_poke__answer_with_eighteen_digits__loses_none(
    venue: Deployment,
    feeds: dict[str, ContractInstance],
    deployer: AccountAPI,
    keeper: AccountAPI,
) -> None:
    answer = 2_543_123456789012345679
    market_id = venue.ids["ETH-18"]
    feeds["ETH-18"].updateAnswer(answer, sender=deployer)

    venue.clearinghouse.poke(market_id, sender=keeper)

    assert kept_price(venue, market_id) == answer


def test_list_market__mock_aggregator_of_nineteen_decimals__reverts(
    venue: Deployment, aggregator: ContractContainer, deployer: AccountAPI
) -> None:
    feed = deployer.deploy(aggregator, 19, scaled(PRICE, 19))
    terms = venue.table.terms("ETH-8", feed.address)

    with ape.reverts("configurator: feed decimals"):
        venue.configurator.list_market("ETH-19", tuple(terms), sender=deployer)


@pytest.mark.parametrize("answer", [0, -1])
def test_list_market__answer_not_positive__reverts(
    venue: Deployment, aggregator: ContractContainer, deployer: AccountAPI, answer: int
) -> None:
    feed = deployer.deploy(aggregator, 8, answer)
    terms = venue.table.terms("ETH-8", feed.address)

    with ape.reverts("prices: not positive"):
        venue.configurator.list_market("ETH-OTHER", tuple(terms), sender=deployer)


# ------------------------------------------------------------------ refused answers


@pytest.mark.parametrize("answer", [0, -1])
def test_poke_and_trade__answer_zero_or_below__revert(
    venue: Deployment,
    feed: ContractInstance,
    market_id: int,
    answer: int,
    deployer: AccountAPI,
    trader: AccountAPI,
    keeper: AccountAPI,
) -> None:
    feed.updateAnswer(answer, sender=deployer)

    assert_refused(venue, market_id, "prices: not positive", PRICE, trader, keeper)


@pytest.mark.parametrize("bound", [0, 1])
def test_poke_and_trade__answer_at_a_bound__revert(
    venue: Deployment,
    feed: ContractInstance,
    name: str,
    market_id: int,
    spec: MarketSpec,
    bound: int,
    deployer: AccountAPI,
    trader: AccountAPI,
    keeper: AccountAPI,
) -> None:
    feed.updateAnswer(scaled(spec.bounds()[bound], MARKETS[name]), sender=deployer)

    assert_refused(venue, market_id, "prices: out of bounds", PRICE, trader, keeper)


def test_poke_and_trade__answer_a_second_too_old__revert(
    venue: Deployment,
    feed: ContractInstance,
    market_id: int,
    spec: MarketSpec,
    chain: ChainManager,
    trader: AccountAPI,
    keeper: AccountAPI,
) -> None:
    updated_at = feed.latestTimestamp()

    chain.pending_timestamp = updated_at + spec.max_age
    receipt = venue.clearinghouse.poke(
        market_id, sender=keeper
    )  # the last second at which it may be used
    assert receipt.timestamp == updated_at + spec.max_age

    assert chain.pending_timestamp == updated_at + spec.max_age + 1
    assert_refused(venue, market_id, "prices: stale", PRICE, trader, keeper)


def test_poke_and_trade__round_without_a_time__revert(
    venue: Deployment,
    feed: ContractInstance,
    name: str,
    market_id: int,
    deployer: AccountAPI,
    trader: AccountAPI,
    keeper: AccountAPI,
) -> None:
    feed.updateRoundData(ROUND, scaled(PRICE, MARKETS[name]), 0, 0, sender=deployer)

    assert_refused(venue, market_id, "prices: bad time", PRICE, trader, keeper)


def test_poke_and_trade__round_of_the_future__revert(
    venue: Deployment,
    feed: ContractInstance,
    name: str,
    market_id: int,
    chain: ChainManager,
    deployer: AccountAPI,
    trader: AccountAPI,
    keeper: AccountAPI,
) -> None:
    later = chain.pending_timestamp + 3_600
    feed.updateRoundData(ROUND, scaled(PRICE, MARKETS[name]), later, later, sender=deployer)

    assert_refused(venue, market_id, "prices: bad time", PRICE, trader, keeper)


def test_poke_and_trade__good_round_after_a_bad_one__go_through(
    venue: Deployment,
    feed: ContractInstance,
    name: str,
    market_id: int,
    deployer: AccountAPI,
    trader: AccountAPI,
    keeper: AccountAPI,
) -> None:
    feed.updateAnswer(-1, sender=deployer)
    with ape.reverts("prices: not positive"):
        venue.clearinghouse.poke(market_id, sender=keeper)

    feed.updateAnswer(scaled(PRICE, MARKETS[name]), sender=deployer)

    venue.clearinghouse.poke(market_id, sender=keeper)
    venue.clearinghouse.trade(trader, market_id, WAD, MAX_UINT, sender=trader)
    assert venue.clearinghouse.leg(trader, market_id).size == WAD


# ------------------------------------------------------------------ trading on it


@pytest.mark.parametrize("size", [4 * WAD, -4 * WAD])
def test_trade__price_of_mock_aggregator__fills_on_the_curve_around_it(
    venue: Deployment,
    feed: ContractInstance,
    name: str,
    market_id: int,
    spec: MarketSpec,
    size: int,
    deployer: AccountAPI,
    trader: AccountAPI,
) -> None:
    price = D("2543.12345678")
    feed.updateAnswer(scaled(price, MARKETS[name]), sender=deployer)

    receipt = venue.clearinghouse.trade(
        trader, market_id, size, MAX_UINT if size > 0 else 0, sender=trader
    )

    # P * (1 + d / 2S +- spread) on an empty market, and the fee on that; both to the taker's cost.
    tilt = Fraction(size, 2 * scaled(spec.skew_scale, 18))
    spread = Fraction(spec.spread) if size > 0 else -Fraction(spec.spread)
    fill = scaled(price, 18) * (1 + tilt + spread)
    fill_price = ceil(fill) if size > 0 else floor(fill)
    (event,) = receipt.events.filter(venue.clearinghouse.Fill)
    fee = ceil(Fraction(abs(size) * fill_price, WAD) * Fraction(spec.taker_fee))
    assert (event.account, event.market, event.price) == (trader, market_id, fill_price)
    assert cash(venue, trader) == DEPOSIT * WAD - fee
    leg = venue.clearinghouse.leg(trader, market_id)
    assert (leg.size, leg.price, leg.status) == (size, scaled(price, 18), LIVE)


def test_liquidate__answer_falls_below_the_line__closes_and_pays(
    venue: Deployment,
    feed: ContractInstance,
    name: str,
    market_id: int,
    deployer: AccountAPI,
    trader: AccountAPI,
    keeper: AccountAPI,
) -> None:
    venue.clearinghouse.trade(trader, market_id, 50 * WAD, MAX_UINT, sender=trader)

    # At 2,370 there are 3,293 of equity, after 207 for fee, spread and depth: 2,986 are enough ...
    feed.updateAnswer(scaled(D(2_370), MARKETS[name]), sender=deployer)
    assert venue.clearinghouse.health(trader) > WAD
    with ape.reverts("liquidation: account is healthy"):
        venue.clearinghouse.liquidate(trader, sender=keeper)

    # ... and at 2,350 there are 2,293 where 2,961 are asked for.
    feed.updateAnswer(scaled(D(2_350), MARKETS[name]), sender=deployer)
    assert venue.clearinghouse.health(trader) < WAD
    receipt = venue.clearinghouse.liquidate(trader, sender=keeper)

    (event,) = receipt.events.filter(venue.clearinghouse.Liquidated)
    assert (event.account, event.keeper) == (trader, keeper)
    assert event.notional == 50 * scaled(D(2_350), 18)
    # The flat 5 quote, and the keeper's 20 % of a fee of 1 %.
    assert cash(venue, keeper) == event.reward == 5 * WAD + event.notional // 500
    assert venue.clearinghouse.leg(trader, market_id).size == 0
    assert cash(venue, trader) > 0
