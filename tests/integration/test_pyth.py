"""Pyth's own contracts, as published, are a feed like any other to the Clearinghouse.

Pyth's price contract is fed by whoever has a signed update; its `PythAggregatorV3` gives one price the
shape of Chainlink's. `MockPyth`, which takes unsigned updates, and the adapter come from the npm package
`@pythnetwork/pyth-sdk-solidity` and are compiled by npm's `solc`, both pinned by hash in
`pyth/package-lock.json`. Without npm, or without its registry, these tests are skipped.

What Pyth has and Chainlink has not is not used yet: the confidence around a price, and proof that an
update is the first since a moment.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any

import ape
import pytest
from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractContainer, ContractInstance
from ape.managers.chain import ChainManager
from ape.managers.project import LocalProject

from plimsoll.chain import ApeChain
from plimsoll.deployment import Deployment, deploy
from plimsoll.table import Table, market
from plimsoll.units import MAX_UINT, WAD
from tests.utils.feeds import LIVE, NOBODY, assert_refused, cash, kept_price, scaled
from tests.utils.npm import contracts

HERE = Path(__file__).with_name("pyth")
PACKAGE = "@pythnetwork/pyth-sdk-solidity"

PRICE = D(2_500)
DEPOSIT = 10_000  # [quote]
MARKETS = {"ETH-8": 8, "ETH-5": 5}  # minus the exponents of the feeds
FEE = 1  # [wei] for each update
IDS = {name: bytes([number + 1]) * 32 for number, name in enumerate(MARKETS)}

Update = Callable[..., ReceiptAPI]


# ------------------------------------------------------------------ Pyth's contracts


@pytest.fixture(scope="session")
def published() -> dict[str, ContractContainer]:
    """Pyth's contracts, ready to be deployed."""
    return contracts(HERE, f"{PACKAGE}/MockPyth.sol", f"{PACKAGE}/PythAggregatorV3.sol")


def post(
    pyth: ContractInstance,
    sender: AccountAPI,
    id_: bytes,
    price: int,
    exponent: int,
    published_at: int,
    confidence: int = 0,
) -> ReceiptAPI:
    """An update, encoded by Pyth's mock and handed to it."""
    update = pyth.createPriceFeedUpdateData(
        id_, price, confidence, exponent, price, confidence, published_at, published_at - 1
    )
    return pyth.updatePriceFeeds([update], sender=sender, value=pyth.getUpdateFee([update]))


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
def pyth(
    published: dict[str, ContractContainer], deployer: AccountAPI, chain: ChainManager
) -> ContractInstance:
    """Pyth's mock, with a price under each id."""
    contract = deployer.deploy(published["MockPyth"], 60, FEE)
    for name, decimals in MARKETS.items():
        now = chain.pending_timestamp
        post(contract, deployer, IDS[name], scaled(PRICE, decimals), -decimals, now)
    return contract


@pytest.fixture(scope="module")
def feeds(
    published: dict[str, ContractContainer], pyth: ContractInstance, deployer: AccountAPI
) -> dict[str, ContractInstance]:
    """Pyth's adapter, one for each id."""
    return {
        name: deployer.deploy(published["PythAggregatorV3"], pyth.address, id_)
        for name, id_ in IDS.items()
    }


@pytest.fixture(scope="module")
def venue(
    project: LocalProject,
    feeds: dict[str, ContractInstance],
    deployer: AccountAPI,
    trader: AccountAPI,
) -> Deployment:
    """One market for each of the feeds. Funding stands still; both have kept `PRICE`."""
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
def update(
    venue: Deployment, pyth: ContractInstance, name: str, keeper: AccountAPI, chain: ChainManager
) -> Update:
    """``update(price)``: somebody brings a new price, published `age` seconds ago."""

    def bring(price: D | int, age: int = 0, confidence: D | int = 0) -> ReceiptAPI:
        decimals = MARKETS[name]
        return post(
            pyth,
            keeper,
            IDS[name],
            scaled(D(price), decimals),
            -decimals,
            chain.pending_timestamp - age,
            scaled(D(confidence), decimals),
        )

    return bring


def leg(venue: Deployment, market_id: int, account: Any = NOBODY) -> Any:
    return venue.clearinghouse.leg(account, market_id)


# ------------------------------------------------------------------ price


@pytest.mark.parametrize("price", [D("0.37"), D("2543.12345"), D("249999.99999")])
def test_poke__update_through_pyth__is_the_price_to_the_last_digit(
    venue: Deployment, update: Update, market_id: int, price: D, keeper: AccountAPI
) -> None:
    receipt = update(price)
    assert [log.event_name for log in receipt.events] == ["PriceFeedUpdate"]

    venue.clearinghouse.poke(market_id, sender=keeper)

    assert kept_price(venue, market_id) == scaled(price, 18)
    assert (leg(venue, market_id).price, leg(venue, market_id).status) == (scaled(price, 18), LIVE)


def test_poke__older_update_after_a_newer_one__is_passed_over_by_pyth_and_stops_nothing(
    venue: Deployment, update: Update, market_id: int, keeper: AccountAPI
) -> None:
    update(2_600, age=10)
    receipt = update(2_400, age=20)
    assert receipt.events == []

    venue.clearinghouse.poke(market_id, sender=keeper)

    assert kept_price(venue, market_id) == scaled(D(2_600), 18)


def test_poke__wide_confidence__is_not_looked_at(
    venue: Deployment, update: Update, market_id: int, keeper: AccountAPI
) -> None:
    update(2_600, confidence=500)

    venue.clearinghouse.poke(market_id, sender=keeper)

    assert kept_price(venue, market_id) == scaled(D(2_600), 18)


# ------------------------------------------------------------------ refused prices


@pytest.mark.parametrize("price", [0, -1, -2_500])
def test_poke_and_trade__price_zero_or_below__revert(
    venue: Deployment,
    update: Update,
    market_id: int,
    price: int,
    trader: AccountAPI,
    keeper: AccountAPI,
) -> None:
    update(price)

    assert_refused(venue, market_id, "prices: not positive", PRICE, trader, keeper)


def test_poke_and_trade__published_a_second_too_long_ago__revert(
    venue: Deployment,
    feeds: dict[str, ContractInstance],
    name: str,
    market_id: int,
    chain: ChainManager,
    trader: AccountAPI,
    keeper: AccountAPI,
) -> None:
    published_at = feeds[name].latestTimestamp()
    max_age = venue.table.spec(name).max_age

    chain.pending_timestamp = published_at + max_age
    receipt = venue.clearinghouse.poke(market_id, sender=keeper)
    assert receipt.timestamp == published_at + max_age  # the last second at which it may be used

    assert_refused(venue, market_id, "prices: stale", PRICE, trader, keeper)


def test_poke_and_trade__update_that_was_old_when_it_came__revert(
    venue: Deployment,
    update: Update,
    name: str,
    market_id: int,
    chain: ChainManager,
    trader: AccountAPI,
    keeper: AccountAPI,
) -> None:
    max_age = venue.table.spec(name).max_age
    chain.pending_timestamp += 2 * max_age

    # Newer than what Pyth has, so that Pyth takes it; too old for the market all the same.
    update(2_600, age=max_age + 60)

    with ape.reverts("prices: stale"):
        venue.clearinghouse.poke(market_id, sender=keeper)
    with ape.reverts("prices: stale"):
        venue.clearinghouse.trade(trader, market_id, WAD, MAX_UINT, sender=trader)
    assert kept_price(venue, market_id) == scaled(PRICE, 18)


def test_poke_and_trade__published_in_the_future__revert(
    venue: Deployment, update: Update, market_id: int, trader: AccountAPI, keeper: AccountAPI
) -> None:
    update(2_600, age=-3_600)

    assert_refused(venue, market_id, "prices: bad time", PRICE, trader, keeper)


def test_poke_and_trade__exponent_finer_by_two_than_when_listed__revert(
    venue: Deployment,
    pyth: ContractInstance,
    name: str,
    market_id: int,
    chain: ChainManager,
    trader: AccountAPI,
    keeper: AccountAPI,
) -> None:
    decimals = MARKETS[name] + 2
    now = chain.pending_timestamp
    post(pyth, keeper, IDS[name], scaled(PRICE, decimals), -decimals, now)

    # Read with the decimals of the listing it is a hundred times the price: the market's bound.
    assert_refused(venue, market_id, "prices: out of bounds", PRICE, trader, keeper)


@pytest.mark.parametrize(
    ("exponent", "accepted"), [(1, False), (0, True), (-18, True), (-19, False)]
)
def test_list_market__exponent__zero_to_minus_eighteen_only(
    venue: Deployment,
    published: dict[str, ContractContainer],
    pyth: ContractInstance,
    deployer: AccountAPI,
    chain: ChainManager,
    exponent: int,
    accepted: bool,
) -> None:
    id_ = b"\x77" * 32
    price = 2 * 10 ** min(-exponent, 18) if exponent <= 0 else 2
    post(pyth, deployer, id_, price, exponent, chain.pending_timestamp)
    feed = deployer.deploy(published["PythAggregatorV3"], pyth.address, id_)
    terms = venue.table.terms("ETH-8", feed.address)

    if accepted:
        venue.configurator.list_market("OTHER", tuple(terms), sender=deployer)
        assert (leg(venue, 2).price, leg(venue, 2).status) == (2 * WAD, LIVE)
    else:
        with ape.reverts("configurator: feed decimals"):
            venue.configurator.list_market("OTHER", tuple(terms), sender=deployer)


def test_list_market__id_without_a_price__reverts(
    venue: Deployment,
    published: dict[str, ContractContainer],
    pyth: ContractInstance,
    deployer: AccountAPI,
) -> None:
    feed = deployer.deploy(published["PythAggregatorV3"], pyth.address, b"\x66" * 32)
    terms = venue.table.terms("ETH-8", feed.address)

    with ape.reverts():  # by Pyth's own PriceFeedNotFound
        venue.configurator.list_market("OTHER", tuple(terms), sender=deployer)
    assert venue.configurator.market_count() == len(MARKETS)


# ------------------------------------------------------------------ trading on it


@pytest.mark.parametrize("size", [4 * WAD, -4 * WAD])
def test_trade__price_of_pyth__fills_on_the_curve_around_it(
    venue: Deployment,
    update: Update,
    name: str,
    market_id: int,
    size: int,
    trader: AccountAPI,
) -> None:
    price = D("2543.12345")
    update(price)

    limit = MAX_UINT if size > 0 else 0
    receipt = venue.clearinghouse.trade(trader, market_id, size, limit, sender=trader)

    # P * (1 + d / 2S +- spread) on an empty market, and the fee on that; both to the taker's cost.
    spec = venue.table.spec(name)
    tilt = Fraction(size, 2 * scaled(spec.skew_scale, 18))
    spread = Fraction(spec.spread) if size > 0 else -Fraction(spec.spread)
    fill = scaled(price, 18) * (1 + tilt + spread)
    fill_price = ceil(fill) if size > 0 else floor(fill)
    (event,) = receipt.events.filter(venue.clearinghouse.Fill)
    fee = ceil(Fraction(abs(size) * fill_price, WAD) * Fraction(spec.taker_fee))
    assert (event.account, event.market, event.price) == (trader, market_id, fill_price)
    assert cash(venue, trader) == DEPOSIT * WAD - fee
    held = leg(venue, market_id, trader)
    assert (held.size, held.price, held.status) == (size, scaled(price, 18), LIVE)


def test_liquidate__update_below_the_line__closes_and_pays_whoever_brought_it(
    venue: Deployment, update: Update, market_id: int, trader: AccountAPI, keeper: AccountAPI
) -> None:
    venue.clearinghouse.trade(trader, market_id, 50 * WAD, MAX_UINT, sender=trader)

    # At 2,370 there are 3,293 of equity, after 207 for fee, spread and depth: 2,986 are enough ...
    update(2_370)
    assert venue.clearinghouse.health(trader) > WAD
    with ape.reverts("liquidation: account is healthy"):
        venue.clearinghouse.liquidate(trader, sender=keeper)

    # ... and at 2,350 there are 2,293 where 2,961 are asked for.
    update(2_350)
    assert venue.clearinghouse.health(trader) < WAD
    receipt = venue.clearinghouse.liquidate(trader, sender=keeper)

    (event,) = receipt.events.filter(venue.clearinghouse.Liquidated)
    assert (event.account, event.keeper) == (trader, keeper)
    assert event.notional == 50 * scaled(D(2_350), 18)
    # The flat 5 quote, and the keeper's 20 % of a fee of 1 %.
    assert cash(venue, keeper) == event.reward == 5 * WAD + event.notional // 500
    assert leg(venue, market_id, trader).size == 0
    assert cash(venue, trader) > 0
