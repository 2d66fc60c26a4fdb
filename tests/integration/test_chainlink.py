"""Chainlink's own `MockV3Aggregator`, as published, is a feed like any other to the Clearinghouse.

The contract comes from the npm package `@chainlink/contracts` and is compiled by npm's `solc`, both
pinned by hash in `chainlink/package-lock.json`. What comes out is kept in `.cache/npm`, so that npm
is asked only once; without it, or without its registry, these tests are skipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from decimal import Decimal as D
from fractions import Fraction
from hashlib import sha256
from math import ceil, floor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ape
import pytest
from ape.api import AccountAPI
from ape.contracts import ContractContainer, ContractInstance
from ape.managers.chain import ChainManager
from ape.managers.project import LocalProject
from ethpm_types import ContractType

from plimsoll.chain import ApeChain, project_root
from plimsoll.deployment import Deployment, deploy
from plimsoll.slots import unpack_header, unpack_state_a
from plimsoll.table import MarketSpec, Table, market
from plimsoll.units import MAX_UINT, WAD

HERE = Path(__file__).with_name("chainlink")
INPUTS = ("package.json", "package-lock.json", "compile.js")
# Mistakes of ours, which no other day or machine would mend.
OURS = {"EINTEGRITY", "EUSAGE", "EJSONPARSE"}

LIVE = 0
PRICE = D(2_500)
DEPOSIT = 10_000  # [quote]
MARKETS = {"ETH-8": 8, "ETH-18": 18}  # decimals of the feeds
ROUND = 7
NOBODY = "0x" + "00" * 20


# ------------------------------------------------------------------ Chainlink's contract


def npm_ci(folder: Path) -> None:
    """Install what the lock file names, checked against its hashes; no package's script runs."""
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        pytest.skip(
            "Chainlink's contract is compiled with npm's solc: node and npm are not installed"
        )
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--json"]
    try:
        done = subprocess.run(
            [*command, "--fetch-retries=0"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("Chainlink's contract comes from npm, whose registry took too long")
    if done.returncode == 0:
        return
    try:
        code = str(json.loads(done.stdout)["error"]["code"])
    except (ValueError, LookupError, TypeError):
        code = f"exit status {done.returncode}"
    if code in OURS:
        pytest.fail(f"{HERE.name}/package-lock.json: {code}\n{done.stdout}")
    pytest.skip(f"Chainlink's contract comes from npm, which could not fetch it ({code})")


def compile_once() -> dict[str, Any]:
    """The interface and the bytecode of `MockV3Aggregator`, from the cache if it is there."""
    inputs = sha256(b"".join((HERE / name).read_bytes() for name in INPUTS)).hexdigest()
    cache = project_root() / ".cache" / "npm"
    kept = cache / f"MockV3Aggregator-{inputs[:16]}.json"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache) as name:
            folder = Path(name)
            for file in INPUTS:
                shutil.copy(HERE / file, folder)
            npm_ci(folder)
            done = subprocess.run(
                ["node", "compile.js", "node_modules"],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            draft = folder / kept.name
            draft.write_text(done.stdout, encoding="utf-8")
            draft.replace(kept)
    compiled: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return compiled


@pytest.fixture(scope="session")
def aggregator() -> ContractContainer:
    """Chainlink's contract, ready to be deployed."""
    compiled = compile_once()
    return ContractContainer(
        ContractType.model_validate(
            {
                "contractName": "MockV3Aggregator",
                "abi": compiled["abi"],
                "deploymentBytecode": {"bytecode": compiled["bytecode"]},
            }
        )
    )


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


def scaled(price: D, decimals: int) -> int:
    """A price [quote/base] as a feed of so many decimals says it."""
    answer = price.scaleb(decimals)
    assert answer == int(answer)
    return int(answer)


def cash(venue: Deployment, account: Any) -> int:
    """[WAD quote]"""
    return unpack_header(venue.clearinghouse.header(account)).cash


def kept_price(venue: Deployment, market_id: int) -> int:
    """[WAD quote/base] a market's last good price, as stored"""
    return unpack_state_a(venue.clearinghouse.market_words(market_id).a).last_price


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


def assert_refused(
    venue: Deployment, market_id: int, reason: str, trader: AccountAPI, keeper: AccountAPI
) -> None:
    """Neither a poke nor a trade goes through, both say why, and the market keeps what it had."""
    with ape.reverts(reason):
        venue.clearinghouse.poke(market_id, sender=keeper)
    with ape.reverts(reason):
        venue.clearinghouse.trade(trader, market_id, WAD, MAX_UINT, sender=trader)
    leg = venue.clearinghouse.leg(NOBODY, market_id)
    assert leg.price == kept_price(venue, market_id) == scaled(PRICE, 18)
    assert venue.lens.price_status_text(leg.status) == reason


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

    assert_refused(venue, market_id, "prices: not positive", trader, keeper)


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

    assert_refused(venue, market_id, "prices: out of bounds", trader, keeper)


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
    assert_refused(venue, market_id, "prices: stale", trader, keeper)


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

    assert_refused(venue, market_id, "prices: bad time", trader, keeper)


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

    assert_refused(venue, market_id, "prices: bad time", trader, keeper)


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
