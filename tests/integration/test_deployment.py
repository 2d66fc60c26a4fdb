"""From the table to contracts, to a file, and back; and what a file that lies is answered with."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from ape.api import AccountAPI

from plimsoll.chain import ApeChain, RevmChain, address_of
from plimsoll.client import Client, conservation
from plimsoll.deployment import Deployment, deploy, make_room, stale_feeds
from plimsoll.errors import DeploymentError, TableError
from plimsoll.table import (
    CreditSpec,
    Table,
    TokenSpec,
    collateral,
    default_table,
    market,
    table_of,
)

D = Decimal

# ------------------------------------------------------------------ deploying


def test_deploy__table__every_market_listed_with_its_terms(system: Deployment) -> None:
    assert system.names == [spec.name for spec in system.table.markets]
    for spec in system.table.markets:
        number = system.market_id(spec.name)
        wanted = system.table.terms(spec.name, address_of(system.feeds[spec.name]))
        assert tuple(system.configurator.terms(number)) == tuple(wanted)
        assert system.price(spec.name) == spec.price


def test_deploy__seeds__pool_and_insurance_have_them(system: Deployment, client: Client) -> None:
    pool = client.pool()
    assert (pool.nav, pool.known_nav, pool.insurance) == (10_000_000, 10_000_000, 250_000)
    assert pool.custody == pool.balance == 10_250_000
    assert conservation(system).holds


def test_deploy__contracts__know_each_other(system: Deployment, owner: AccountAPI) -> None:
    settings = system.clearinghouse.settings()
    assert settings.pool == system.pool.address
    assert settings.configurator == system.configurator.address
    assert system.pool.clearinghouse() == system.clearinghouse.address
    assert system.lens.clearinghouse() == system.clearinghouse.address
    assert system.configurator.owner() == owner.address == system.deployer


def test_deploy__128_markets_of_all_prices__listed_and_live(revm: RevmChain) -> None:
    table = table_of({f"M{i}": D(10) ** (i % 16 - 6) for i in range(128)})
    deployment = deploy(table, revm, revm.signers[0])
    assert len(deployment.ids) == 128
    assert stale_feeds(deployment) == {}
    assert deployment.price("M127") == table.spec("M127").price
    assert len(Client(deployment).markets()) == 128


def test_deploy__table__collateral_listed_with_its_terms(system: Deployment) -> None:
    assert system.symbols == ["WETH", "WBTC"]
    for coin in system.table.collateral:
        number = system.token_id(coin.symbol)
        assert system.configurator.collateral_token(number) == coin.address
        token = system.tokens[coin.symbol]
        assert (token.address, token.symbol(), token.decimals()) == (
            coin.address,
            coin.symbol,
            coin.decimals,
        )
        wanted = system.table.collateral_terms(coin.symbol, address_of(system.feeds[coin.symbol]))
        assert tuple(system.configurator.collateral_terms(number)) == tuple(wanted)
        assert system.price(coin.symbol) == coin.price
    credit = system.configurator.credit_terms()
    assert (*tuple(credit)[:-1], tuple(credit.order)) == tuple(system.table.credit_terms())


def test_deploy__16_tokens_beside_128_markets__all_listed_and_refreshed(revm: RevmChain) -> None:
    markets = table_of({f"M{i}": D(10) ** (i % 16 - 6) for i in range(128)})
    coins = tuple(collateral(f"C{i}", D(10) ** (i % 9 - 4), decimals=i + 2) for i in range(16))
    order = tuple(f"C{i}" for i in range(15, 7, -1))
    table = replace(markets, collateral=coins, credit=CreditSpec(order=order))
    deployment = deploy(table, revm, revm.signers[0])
    assert deployment.symbols == [coin.symbol for coin in coins]
    revm.advance(10_000)
    assert len(stale_feeds(deployment)) == 144
    deployment.refresh_prices()
    assert stale_feeds(deployment) == {}
    assert deployment.price("C15") == coins[15].price
    credit = revm.view(deployment.configurator, "credit_terms")
    assert list(credit.order) == [*range(15, 7, -1), *range(8)]


def test_deploy__no_collateral__no_token_and_no_credit(revm: RevmChain) -> None:
    table = default_table().only("BTC").with_collateral()
    deployment = deploy(table, revm, revm.signers[0])
    assert (deployment.symbols, deployment.tokens) == ([], {})
    assert revm.view(deployment.configurator, "collateral_count") == 0
    assert revm.view(deployment.configurator, "credit_terms").debt_cap == 0
    with pytest.raises(DeploymentError, match="no collateral 'WETH'; there is none"):
        deployment.token_id("WETH")


@pytest.mark.parametrize("decimals", [0, 6, 8, 18])
def test_deploy__any_decimals_of_the_quote__seeds_are_the_same(
    revm: RevmChain, decimals: int
) -> None:
    table = replace(default_table().only("BTC"), quote=TokenSpec("Q", "Quote", decimals))
    pool = Client(deploy(table, revm, revm.signers[0])).pool()
    assert (pool.nav, pool.insurance, pool.custody) == (10_000_000, 250_000, 10_250_000)


def test_deploy__given_token_and_feed__used_instead_of_mocks(revm: RevmChain) -> None:
    first = deploy(default_table().only("BTC", "ETH"), revm, revm.signers[0])
    payer = revm.signers[1]
    first.provide(payer, 10_250_000, first.clearinghouse)
    weth = address_of(first.tokens["WETH"])
    table = Table(
        markets=(replace(market("BTC", 60_000), feed=address_of(first.feeds["BTC"])),),
        quote=replace(TokenSpec(), address=address_of(first.quote)),
        # A market and a token may share a feed.
        collateral=(collateral("WETH", 3_000, address=weth, feed=address_of(first.feeds["ETH"])),),
    )
    second = deploy(table, revm, payer)
    assert address_of(second.quote) == address_of(first.quote)
    assert second.feeds["BTC"].address == first.feeds["BTC"].address
    assert second.board is None and not second.mock_feeds and not second.mock_quote
    assert second.token_address("WETH") == weth and not second.mock_tokens
    assert second.feeds["WETH"].address == first.feeds["ETH"].address
    with pytest.raises(DeploymentError, match="BTC: its feed is a real one"):
        second.set_price("BTC", 1)
    with pytest.raises(DeploymentError, match="WETH: its feed is a real one"):
        second.set_price("WETH", 1)
    with pytest.raises(DeploymentError, match="holds 0 USDC; 5 are needed"):
        second.fund(payer, 5, payer)
    with pytest.raises(DeploymentError, match=r"holds 0 WETH; 0\.5 are needed"):
        second.fund(payer, "0.5", payer, "WETH")
    first.fund(payer, 2, payer, "weth")  # a mock there: minted, and the rest is the payer's
    revm.send(first.tokens["WETH"], "mint", address_of(payer), 10**18, sender=payer)
    second.fund(payer, 1, payer, "WETH")
    held = revm.view(second.clearinghouse, "holding", address_of(payer), second.token_id("WETH"))
    assert (held.own, held.unit) == (10**18, 1)


def test_deploy__given_token_of_other_decimals__refused(revm: RevmChain) -> None:
    first = deploy(default_table().only("BTC"), revm, revm.signers[0])
    wrong = collateral("WBTC", 60_000, decimals=18, address=address_of(first.tokens["WBTC"]))
    with pytest.raises(DeploymentError, match="has 8 decimals, the table says 18"):
        deploy(default_table().only("BTC").with_collateral(wrong), revm, revm.signers[0])


@pytest.mark.parametrize("part", ["quote", "feed", "token", "token feed"])
def test_deploy__address_without_contract__refused(revm: RevmChain, part: str) -> None:
    nowhere = "0x" + "12" * 20
    table = default_table().only("BTC")
    if part == "quote":
        table = replace(table, quote=replace(table.quote, address=nowhere))
    elif part.startswith("token"):
        what = {"feed" if part.endswith("feed") else "address": nowhere}
        table = table.with_collateral(collateral("WETH", 3_000, **what))
    else:
        table = table.with_market(replace(table.spec("BTC"), feed=nowhere))
    with pytest.raises(DeploymentError, match=f"there is no contract at {nowhere}"):
        deploy(table, revm, revm.signers[0])


def test_deploy__terms_that_the_configurator_refuses__named(revm: RevmChain) -> None:
    table = default_table().only("BTC").with_market(market("ETH", 3_000, mm="0.015"))
    with pytest.raises(DeploymentError, match="ETH: configurator: mm too low"):
        deploy(table, revm, revm.signers[0])


def test_deploy__collateral_that_the_configurator_refuses__named(revm: RevmChain) -> None:
    table = default_table().only("BTC")
    short = table.with_collateral(collateral("WETH", 3_000, duration=599))
    with pytest.raises(DeploymentError, match="WETH: configurator: duration"):
        deploy(short, revm, revm.signers[0])
    steep = replace(table, credit=CreditSpec(high_slope=D("10.000001")))
    with pytest.raises(DeploymentError, match="credit: configurator: slope"):
        deploy(steep, revm, revm.signers[0])


def test_deploy__what_cannot_be_represented__refused_before_anything_is_sent(
    revm: RevmChain,
) -> None:
    table = default_table().only("BTC")
    height = revm.height
    for wrong, why in (
        (table.with_market(market("ETH", 3_000, im="0.0500001")), "ETH: im"),
        (table.with_collateral(collateral("WETH", 3_000, premium="2")), "WETH: premium"),
        (replace(table, credit=CreditSpec(debt_cap=D("1e11"))), "credit: debt_cap"),
    ):
        with pytest.raises(TableError, match=why):
            deploy(wrong, revm, revm.signers[0])
    assert revm.height == height


# ------------------------------------------------------------------ names and prices


def test_market_id__names_and_ids__both_understood(system: Deployment) -> None:
    assert system.market_id("ETH") == system.market_id("eth") == system.market_id(1) == 1
    assert system.market_name("1") == "ETH"
    for unknown in ("DOGE", 4, "", "-1"):
        with pytest.raises(DeploymentError, match="there are BTC, ETH, SOL, LINK"):
            system.market_id(unknown)


def test_market_id__name_in_another_case__is_nobody_elses(revm: RevmChain) -> None:
    deployment = deploy(default_table().only("BTC", "ETH"), revm, revm.signers[0])
    # As somebody may have listed them who did not come through a table.
    deployment.ids = {"eth": 0, "ETH": 1}
    assert (deployment.market_id("ETH"), deployment.market_id("eth")) == (1, 0)
    assert deployment.market_id("Eth") == 0


def test_token_id__symbols_and_ids__both_understood(system: Deployment) -> None:
    assert system.token_id("WBTC") == system.token_id("wbtc") == system.token_id(1) == 1
    assert system.token_symbol("1") == "WBTC"
    assert system.token_address("weth") == system.tokens["WETH"].address
    assert system.token_address("usdc") == system.token_address() == system.quote.address
    assert system.raw("0.5", "WBTC") == 50_000_000 and system.from_raw(1, "WBTC") == D("0.00000001")
    for unknown in ("DAI", 2, "", "BTC"):
        with pytest.raises(DeploymentError, match="no collateral '.*'; there are WETH, WBTC"):
            system.token_id(unknown)
    with pytest.raises(DeploymentError, match="WBTC: 1E-9 has more than 8 decimals"):
        system.raw("0.000000001", "WBTC")
    with pytest.raises(DeploymentError, match="WETH: -1 is below zero"):
        system.raw(-1, "WETH")


def test_set_prices__several__all_at_once_and_dead_feeds_come_back(system: Deployment) -> None:
    system.set_prices({"BTC": "50000.5", "ETH": 2_500})
    assert (system.price("BTC"), system.price("ETH")) == (D("50000.5"), D(2_500))
    system.chain.advance(system.table.spec("BTC").max_age + 10)
    everything = [*system.names, *system.symbols]
    assert stale_feeds(system) == dict.fromkeys(everything, "prices: stale")
    assert stale_feeds(system, ["ETH", "WETH"]) == dict.fromkeys(["ETH", "WETH"], "prices: stale")
    system.refresh_prices()
    assert stale_feeds(system) == {}
    assert system.price("BTC") == D("50000.5")


def test_set_price__token__its_own_feed_alone(system: Deployment) -> None:
    system.set_prices({"weth": "2999.5", "ETH": 2_500})
    system.set_price("WBTC", 61_000)
    prices = {name: system.price(name) for name in ("WETH", "ETH", "wbtc", "BTC")}
    assert prices == {"WETH": D("2999.5"), "ETH": 2_500, "wbtc": 61_000, "BTC": 60_000}
    with pytest.raises(DeploymentError, match="no market 'DAI'; there are BTC, ETH, SOL, LINK"):
        system.set_price("DAI", 1)


# ------------------------------------------------------------------ files


def test_load__what_was_saved__same_venue(
    system: Deployment, ape_chain: ApeChain, tmp_path: Path, client: Client
) -> None:
    path = system.save(tmp_path)
    assert path == tmp_path / f"{ape_chain.id}.json"
    loaded = Deployment.load(ape_chain, tmp_path)
    assert loaded.addresses() == system.addresses()
    assert loaded.table == system.table
    assert loaded.ids == system.ids and loaded.token_ids == system.token_ids
    assert loaded.mock_tokens == system.mock_tokens == {"WETH", "WBTC"}
    assert loaded.price("WBTC") == 60_000
    assert Client(loaded).pool() == client.pool()


def test_load__no_file__says_what_to_run(ape_chain: ApeChain, tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match=r"nothing is deployed on chain 1337.*anvil"):
        Deployment.load(ape_chain, tmp_path)


def test_load__file_of_another_chain__refused(
    system: Deployment, ape_chain: ApeChain, tmp_path: Path
) -> None:
    edit(system.save(tmp_path), chain_id=31337)
    with pytest.raises(DeploymentError, match="is of chain 31337, connected is chain 1337"):
        Deployment.load(ape_chain, tmp_path)


def test_load__another_format__refused(
    system: Deployment, ape_chain: ApeChain, tmp_path: Path
) -> None:
    edit(system.save(tmp_path), format=0)
    with pytest.raises(DeploymentError, match="has format 0, not 2"):
        Deployment.load(ape_chain, tmp_path)


def test_load__chain_started_anew__stale(
    system: Deployment, ape_chain: ApeChain, tmp_path: Path
) -> None:
    path = system.save(tmp_path)
    nowhere = "0x" + "12" * 20
    edit(path, contracts=json.loads(path.read_text())["contracts"] | {"pool": nowhere})
    with pytest.raises(DeploymentError, match=rf"stale: there is no contract at {nowhere} \(pool"):
        Deployment.load(ape_chain, tmp_path)


def test_load__something_else_at_the_address__stale(
    system: Deployment, ape_chain: ApeChain, tmp_path: Path
) -> None:
    path = system.save(tmp_path)
    contracts = json.loads(path.read_text())["contracts"]
    edit(path, contracts=contracts | {"pool": contracts["lens"]})
    with pytest.raises(DeploymentError, match="is no longer the pool"):
        Deployment.load(ape_chain, tmp_path)


def test_load__parts_of_two_deployments__refused(
    system: Deployment, ape_chain: ApeChain, owner: AccountAPI, tmp_path: Path
) -> None:
    other = deploy(default_table().only("BTC"), ape_chain, owner, seed=False)
    others = json.loads(other.save(tmp_path).read_text())
    path = system.save(tmp_path)
    mine = json.loads(path.read_text())
    for part in ("contracts", "code"):
        mine[part]["configurator"] = others[part]["configurator"]
    path.write_text(json.dumps(mine))
    with pytest.raises(DeploymentError, match="the clearinghouse has another configurator"):
        Deployment.load(ape_chain, tmp_path)


def test_load__token_listed_under_another_id__refused(
    system: Deployment, ape_chain: ApeChain, tmp_path: Path
) -> None:
    edit(system.save(tmp_path), tokens=["WBTC", "WETH"])
    with pytest.raises(DeploymentError, match="collateral 0 is 0x.*, not WBTC at 0x"):
        Deployment.load(ape_chain, tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b'{"format": 2}', b"\xa9\x00"])
def test_load__damaged_file__one_clear_line(
    ape_chain: ApeChain, tmp_path: Path, text: bytes
) -> None:
    path = tmp_path / f"{ape_chain.id}.json"
    path.write_bytes(text)
    with pytest.raises(DeploymentError) as refused:
        Deployment.load(ape_chain, tmp_path)
    told = str(refused.value)
    assert "\n" not in told and str(path) in told and "start `anvil`" in told


def test_load__address_that_is_none__says_which(
    system: Deployment, ape_chain: ApeChain, tmp_path: Path
) -> None:
    path = system.save(tmp_path)
    edit(path, contracts=json.loads(path.read_text())["contracts"] | {"clearinghouse": "0x12"})
    with pytest.raises(DeploymentError, match=r"damaged: '0x12' \(clearinghouse\) is no address"):
        Deployment.load(ape_chain, tmp_path)


# ------------------------------------------------------------------ room for the file


def test_make_room__nothing_there_or_stale__leaves_no_trace(
    system: Deployment, ape_chain: ApeChain, tmp_path: Path
) -> None:
    assert make_room(ape_chain, tmp_path / "new") is None
    assert not list((tmp_path / "new").iterdir())
    path = system.save(tmp_path)
    edit(path, contracts=json.loads(path.read_text())["contracts"] | {"pool": "0x" + "12" * 20})
    assert make_room(ape_chain, tmp_path) is None and path.exists()


def test_make_room__for_one_that_is_still_there__asks_to_be_told(
    system: Deployment, ape_chain: ApeChain, tmp_path: Path
) -> None:
    path = system.save(tmp_path)
    with pytest.raises(DeploymentError, match=r"still there, with BTC, ETH.*--replace"):
        make_room(ape_chain, tmp_path)
    assert make_room(ape_chain, tmp_path, replace=True) is None and path.exists()


def test_make_room__file_of_another_network__keeps_it(
    system: Deployment, ape_chain: ApeChain, tmp_path: Path
) -> None:
    path = system.save(tmp_path)
    edit(path, network="ethereum:devnet:node", chain_id=31337)
    text = path.read_text()
    kept = make_room(ape_chain, tmp_path)
    assert kept == str(path.with_suffix(".old.json"))
    assert not path.exists() and Path(kept).read_text() == text


@pytest.mark.parametrize("is_folder", [False, True])
def test_make_room__where_nothing_can_be_written__refused_before_anything_is_deployed(
    ape_chain: ApeChain, tmp_path: Path, is_folder: bool
) -> None:
    if is_folder:
        (tmp_path / "d" / f"{ape_chain.id}.json").mkdir(parents=True)
    else:
        (tmp_path / "d").write_text("")
    with pytest.raises(DeploymentError, match="cannot be written"):
        make_room(ape_chain, tmp_path / "d")


def test_save__where_nothing_can_be_written__tells_all_that_would_be(
    system: Deployment, tmp_path: Path
) -> None:
    (tmp_path / "d").write_text("")
    with pytest.raises(DeploymentError, match="is deployed, but .* cannot be written") as refused:
        system.save(tmp_path / "d")
    told = str(refused.value)
    assert json.loads(told[told.index("{") :]) == system.to_dict()


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
