"""The last resort through the SDK and the script: a pool that its traders' profits break."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ape.api import AccountAPI
from ape.managers.project import LocalProject
from rich.console import Console

from plimsoll import client as clients
from plimsoll import doctor
from plimsoll.chain import ApeChain
from plimsoll.cli import hinted
from plimsoll.client import Client, conservation
from plimsoll.deployment import Deployment, deploy
from plimsoll.report import backstop_table
from plimsoll.table import PoolSpec, default_table
from plimsoll.units import from_wad
from tests.integration.conftest import Run, refuses
from tests.utils.calls import refusal

D = Decimal
HOUR = 3_600
# The ETH price at which the pool's health is about 0.76, and at which its equity is below zero.
SHORT, INSOLVENT = 4_950, 5_100


@pytest.fixture(scope="module")
def system(project: LocalProject, owner: AccountAPI, accounts: list[AccountAPI]) -> Deployment:
    """BTC and ETH against a pool of a million, long ETH two traders; no funding, prices last."""
    table = default_table().only("BTC", "ETH")
    still = tuple(
        replace(m, max_velocity=D(0), max_rate=D(0), max_age=100_000) for m in table.markets
    )
    coins = tuple(replace(coin, max_age=100_000) for coin in table.collateral)
    poor = replace(
        table, markets=still, pool=PoolSpec(seed=D(1_000_000)), insurance=D(10_000)
    ).with_collateral(*coins)
    venue = deploy(poor, ApeChain(project), owner)
    client = Client(venue)
    for who, size, cash in ((accounts[3], 390, 400_000), (accounts[4], 100, 40_000)):
        client.deposit(cash, signer=who)
        client.trade("ETH", size, signer=who)
    return venue


@pytest.fixture
def winners(trader: AccountAPI, trader2: AccountAPI) -> list[str]:
    """Who is long 100 ETH with less behind it, so ranks first; and who is long 390."""
    return [trader2.address, trader.address]


@pytest.fixture
def short(system: Deployment, winners: list[str]) -> list[str]:
    """The winners of a pool below its maintenance."""
    system.set_price("ETH", SHORT)
    return winners


@pytest.fixture
def insolvent(system: Deployment, winners: list[str]) -> list[str]:
    """The winners of a pool that owes them more than it has."""
    system.set_price("ETH", INSOLVENT)
    return winners


@pytest.fixture
def declared(system: Deployment, client: Client, insolvent: list[str], keeper: AccountAPI) -> None:
    """A settlement, declared an hour ago."""
    client.declare(keeper)
    system.chain.advance(HOUR)


def freeze(system: Deployment, owner: AccountAPI) -> None:
    system.chain.send(system.configurator, "freeze", HOUR, sender=owner)


# ------------------------------------------------------------------ the client


def test_backstop__price_by_price__pools_margin_and_what_may_be_done(
    system: Deployment, client: Client, winners: list[str]
) -> None:
    view = client.backstop()
    assert view.health is not None and view.health > 20 and view.solvent
    assert (view.deleveraging, view.reason) == (False, "backstop: pool is healthy")
    assert (view.state, view.declared_at, view.settled_at, view.share) == ("none", 0, 0, None)
    assert (view.target, view.at_least) == (D("1.1"), view.equity)
    assert (view.worth, view.at_most) == (view.equity, view.equity)
    system.set_price("ETH", SHORT)
    view = client.backstop()
    equity, maintenance = system.chain.view(system.backstop, "pool_margin")
    assert (view.equity, view.maintenance) == (from_wad(equity), from_wad(maintenance))
    assert view.health is not None and 0 < view.health < 1
    assert view.deleveraging and view.reason == "" and view.solvent
    system.set_price("ETH", INSOLVENT)
    view = client.backstop()
    assert (view.health, view.deleveraging, view.solvent) == (0, True, False)


def test_backstop__dead_price_freeze_or_nothing_left__says_why_nobody_is_deleveraged(
    system: Deployment, client: Client, short: list[str], owner: AccountAPI, stranger: AccountAPI
) -> None:
    system.set_price("BTC", 10**8)  # out of bounds, in a market that the pool is not in
    assert client.backstop().deleveraging
    system.set_price("BTC", 60_000)
    client.deposit(50_000, signer=stranger)
    client.trade("BTC", "-0.01", signer=stranger)
    system.set_prices({"BTC": 10**8, "ETH": 4_930})
    assert client.backstop().deleveraging  # whatever that price is, the pool lacks more
    system.set_prices({"BTC": 60_000, "ETH": 3_000})
    client.trade("BTC", "-0.4", signer=stranger)
    system.set_prices({"BTC": 10**8, "ETH": 4_930})
    assert client.backstop().reason == "backstop: a price is not live"
    system.set_price("BTC", 60_000)
    freeze(system, owner)
    assert client.backstop().reason == "venue: frozen or in grace"


def test_ranking__winners_and_others__greatest_profit_and_leverage_first(
    system: Deployment,
    client: Client,
    winners: list[str],
    stranger: AccountAPI,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client.deposit(50_000, signer=stranger)
    client.trade("ETH", -1, signer=stranger)  # on the pool's side
    system.set_price("ETH", 4_000)
    assert {c.reason for c in client.ranking("eth")} == {"backstop: pool is healthy"}
    system.set_price("ETH", SHORT)
    ranking = client.ranking("ETH")
    assert [c.account for c in ranking] == winners
    first, second = ranking
    assert first.rank > second.rank and first.leverage is not None and second.leverage is not None
    assert abs(first.rank - first.pnl / first.notional * first.leverage) < D("1e-15")
    assert (first.size, second.size) == (100, 390)
    view = client.account(winners[0])
    position = view.position("ETH")
    assert position is not None and abs(first.pnl - position.pnl) < D("1e-17")
    assert abs(first.equity - view.equity) < D("1e-17") and first.exposure == view.notional
    preview = client.preview_deleverage(winners[0], "ETH")
    assert (first.closed, first.reason, preview.allowed) == (preview.closed, "", True)
    assert 0 < first.closed <= 100 and 0 < second.closed < 390
    # In pages of one, the order is still that of all.
    monkeypatch.setattr(clients, "ACCOUNTS_PER_CALL", 1)
    for accounts in (None, winners, winners[::-1]):
        assert client.ranking("ETH", accounts) == ranking
    assert client.ranking("ETH", winners[1:]) == ranking[1:]
    assert client.ranking("BTC") == []


def test_deleverage__first_candidates__until_the_pool_is_at_its_target(
    system: Deployment, client: Client, short: list[str], keeper: AccountAPI
) -> None:
    second = client.preview_deleverage(short[1], "ETH")
    closed: list[str] = []
    done = None
    while client.backstop().deleveraging:
        candidate = client.first_candidate("ETH")
        done = client.deleverage(candidate.account, "eth", keeper)
        closed.append(done.account)
        assert (done.market, done.closed) == ("ETH", candidate.closed)
        assert done.size == candidate.size - done.closed
    assert done is not None and closed == short[: len(closed)]
    view = client.backstop()
    assert (view.maintenance, view.health) == (done.maintenance, done.health)
    assert done.health is not None and D("1.1") <= done.health < D("1.11")
    assert view.equity - view.maintenance * D("1.1") < 10
    assert client.preview_deleverage(short[1], "ETH").reason == "backstop: pool is healthy"
    assert second.allowed and second.price == SHORT
    assert refusal(lambda: client.first_candidate("ETH")) == "backstop: pool is healthy"
    assert refusal(lambda: client.deleverage(short[1], "ETH", keeper)) == (
        "backstop: pool is healthy"
    )
    assert conservation(system).holds


def test_first_candidate__nobody_there__the_contracts_reason(
    client: Client, short: list[str]
) -> None:
    assert refusal(lambda: client.first_candidate("BTC")) == "backstop: not opposite the pool"


def test_settlement__insolvent_pool__declared_settled_closed_fixed_and_paid(
    system: Deployment, client: Client, insolvent: list[str], keeper: AccountAPI
) -> None:
    client.declare(keeper)
    view = client.backstop()
    assert (view.state, view.declared_at) == ("declared", system.chain.now)
    assert (view.settles_from, view.lapses_at) == (
        view.declared_at + HOUR,
        view.declared_at + 9 * 24 * HOUR,
    )
    doubted = replace(view, worth=D(-1), at_most=D(0), certain=False)
    assert (view.doubted, view.retold, view.certain_at) == (False, False, view.declared_at)
    assert doubted.doubted and doubted.retold
    assert doubted.settles_from is None
    assert doubted.certain_after == view.declared_at + 7 * 24 * HOUR
    later = replace(view, certain_at=view.declared_at + HOUR)
    assert (later.settles_from, later.retold) == (view.declared_at + 2 * HOUR, False)
    unknown = replace(view, certain_at=0)
    assert (unknown.settles_from, unknown.retold) == (None, True)
    gone = replace(view, worth=D(1), at_most=D(1), certain=False)
    assert (gone.solvent, gone.doubted, gone.retold) == (True, False, True)
    said = Console(width=400)
    with said.capture() as shown:
        said.print(backstop_table(doubted, "USDC"))
        said.print(backstop_table(unknown, "USDC"))
    assert "losses that are only reported are in doubt until" in shown.get()
    assert "markets an hour after it is declared to be certain: --settle all" in shown.get()
    assert "the hole is no longer certain: --declare." in shown.get()
    assert "the hole is certain by now: the hour begins: --declare." in shown.get()
    early = refusal(lambda: client.settle_markets(signer=keeper))
    assert early == "backstop: too early"
    system.chain.advance(HOUR)
    assert client.settle_markets("eth", signer=keeper) == ["ETH"]
    view = client.backstop()
    assert (view.state, view.settled_at) == ("settling", system.chain.now)
    assert client.settle_markets(signer=keeper) == ["BTC"]
    assert client.settle_markets(signer=keeper) == []
    assert client.backstop().reason == "every market is settled"
    assert client.close_settled("ETH", insolvent[1:], keeper) == insolvent[1:]
    assert client.close_settled("ETH", signer=keeper) == insolvent[:1]
    assert client.close_settled("ETH", signer=keeper) == []
    share = client.fix(keeper)
    view = client.backstop()
    assert (view.state, view.share) == ("fixed", share)
    claims = sum(client.account(a).cash for a in insolvent)
    assert abs(share - client.pool().custody / claims) < D("1e-17") and D("0.9") < share < 1


def test_settle_markets__pages__settles_all(
    client: Client, declared: None, keeper: AccountAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "PAGE", 1)
    assert client.settle_markets(signer=keeper) == ["BTC", "ETH"]
    monkeypatch.setattr(clients, "ACCOUNTS_PER_CALL", 1)
    assert len(client.close_settled("ETH", signer=keeper)) == 2


def test_call_off__solvent_again__no_settlement(
    system: Deployment, client: Client, declared: None, keeper: AccountAPI
) -> None:
    assert refusal(lambda: client.call_off(keeper)) == "backstop: pool is insolvent"
    system.set_price("ETH", SHORT)
    client.call_off(keeper)
    view = client.backstop()
    assert (view.state, view.declared_at, view.deleveraging) == ("none", 0, True)


def test_report_loss__account_below_nothing__the_pool_is_told_and_told_again(
    system: Deployment, client: Client, winners: list[str], keeper: AccountAPI
) -> None:
    """Long 100 ETH with 40,000 behind them, a loser for once: ETH falls by 500."""
    assert client.report_loss(winners[0], keeper) == 0
    system.set_price("ETH", client.markets()[1].price - 500)
    lost = client.report_loss(winners[0], keeper)
    assert lost == -client.account(winners[0]).equity > 9_000
    view = client.backstop()
    assert view.worth == view.equity - max(lost - client.pool().insurance, D(0)) < view.equity
    system.set_price("ETH", client.markets()[1].price + 500)
    assert client.report_loss(winners[0], keeper) == 0
    assert client.backstop().worth == client.backstop().equity


# ------------------------------------------------------------------ the script


def test_script__healthy_pool__its_margin_and_nothing_to_do(
    run: Run, saved: Path, winners: list[str]
) -> None:
    result = run("backstop")
    assert result.exit_code == 0, result.output
    assert re.search(r"pool's health +25\.47\d", result.output), result.output
    assert re.search(r"deleveraging +no: pool is healthy", result.output)
    assert re.search(r"settlement +none", result.output)
    assert winners[0] not in result.output and "anyone" not in result.output


def test_script__pool_short_of_margin__ranking_and_the_first_is_closed(
    run: Run, saved: Path, client: Client, short: list[str]
) -> None:
    shown = run("backstop").output
    assert re.search(r"pool's health +0\.757", shown), shown
    assert "allowed, to a health of 1.1" in shown and "--deleverage MARKET" in shown
    assert re.search(rf"{short[0]} +100 .*\n.*{short[1]} +390 ", shown), shown
    assert "ETH: who may be deleveraged" in shown and "BTC" not in shown  # nobody is in it
    closes = client.ranking("ETH")[1].closed
    done = run("backstop", "--deleverage", "eth", "--account", short[1], "--signer", "1")
    assert done.exit_code == 0, done.output
    assert f"of {short[1]}" in done.output and re.search(r"pool's health +1\.100", done.output)
    position = client.account(short[1]).position("ETH")
    assert position is not None and position.size == 390 - closes


def test_script__deleverage_without_an_account__takes_the_first(
    run: Run, saved: Path, client: Client, short: list[str]
) -> None:
    closes = client.ranking("ETH")[0].closed
    done = run("backstop", "--deleverage", "ETH", "--signer", "1")
    assert done.exit_code == 0 and f"of {short[0]}" in done.output, done.output
    position = client.account(short[0]).position("ETH")
    assert (position.size if position else D(0)) == 100 - closes
    assert client.account(short[1]).position("ETH").size == 390  # type: ignore[union-attr]


def test_script__report__says_what_cannot_be_paid(
    run: Run, saved: Path, winners: list[str]
) -> None:
    result = run("backstop", "--report", winners[0], "--signer", "1")
    assert result.exit_code == 0, result.output
    assert f"Reported: 0 USDC that {winners[0]} cannot pay." in result.output, result.output
    refuses(run("backstop", "--report", "bob"), "'bob' is no account")


def test_script__settlement__each_step_and_everybody_the_same_share(
    run: Run, saved: Path, system: Deployment, client: Client, insolvent: list[str]
) -> None:
    assert "Insolvent: anyone may declare a settlement: --declare." in run("backstop").output
    result = run("backstop", "--declare", "--signer", "1")
    assert result.exit_code == 0 and "Declared." in result.output, result.output
    assert re.search(r"settlement +declared", result.output)
    assert "its share is not known yet: wait" in result.output
    assert "--settle all" in result.output and "--call-off" in result.output
    me = ("--signer", "3")
    waits = "withdraw: settlement waits (wait for the share; `ape run backstop` tells how far"
    refuses(run("account", *me, "--withdraw", "100"), waits)
    inside = "deposit: in a settlement (nothing is paid in until it is called off"
    refuses(run("account", *me, "--deposit", "100"), inside)
    refuses(
        run("backstop", "--settle", "all"), "backstop: too early (an hour after the hole is certain"
    )
    system.chain.advance(HOUR)
    result = run("backstop", "--settle", "all", "--close", "all", "--fix", "--signer", "1")
    assert result.exit_code == 0, result.output
    assert "Settled: BTC, ETH." in result.output and "Closed: 0 in BTC, 2 in ETH." in result.output
    share = client.backstop().share
    assert share is not None
    percents = f"{share * 100:.2f} %"
    assert f"Fixed: of each claim, {percents} is paid." in result.output
    assert re.search(rf"share of each claim +{percents}", result.output)
    assert "--" not in run("backstop").output  # nothing is left to do
    before = system.quote.balanceOf(insolvent[1])
    assert run("account", *me, "--withdraw", "10000").exit_code == 0
    paid = system.from_raw(system.quote.balanceOf(insolvent[1]) - before)
    assert abs(paid - 10_000 * share) < D("0.00001")


def test_script__call_off__solvent_again(
    run: Run, saved: Path, system: Deployment, client: Client, declared: None
) -> None:
    refuses(run("backstop", "--call-off"), "backstop: pool is insolvent (wait until it is solvent")
    system.set_price("ETH", SHORT)
    result = run("backstop", "--call-off", "--signer", "1")
    assert result.exit_code == 0 and "Called off." in result.output, result.output
    assert client.backstop().state == "none"


def test_script__close_of_one_account__leaves_the_others(
    run: Run, saved: Path, client: Client, declared: None, winners: list[str]
) -> None:
    assert run("backstop", "--settle", "ETH", "--signer", "1").exit_code == 0
    shown = run("backstop").output
    assert re.search(r"settlement +settling", shown) and "--settle all --close all" in shown
    assert "allowed" in shown and winners[0] not in shown  # in BTC still, where nobody is
    result = run("backstop", "--close", "ETH", "--account", "0", "--signer", "3")
    assert result.exit_code == 0 and "Closed: 1 in ETH." in result.output, result.output
    refuses(run("backstop", "--close", "ETH", "--account", winners[1]), "no position in ETH")
    assert client.account(winners[0]).positions and not client.account(winners[1]).positions


def test_script__lots_for_sale__shown_and_waited_for(
    run: Run,
    saved: Path,
    system: Deployment,
    client: Client,
    winners: list[str],
    stranger: AccountAPI,
    keeper: AccountAPI,
) -> None:
    client.deposit(10, signer=stranger, token="WETH")
    client.trade("BTC", "0.48", signer=stranger)
    system.set_price("BTC", 1_000)
    client.liquidate(stranger, keeper)
    (lot,) = client.lots()
    equity = client.backstop().equity
    system.set_price("WETH", "0.01")  # below its bound: what it owes is in doubt
    view = client.backstop()
    assert (view.equity, view.at_most) == (equity - lot.to_pool, equity)
    assert lot.to_pool > 0 and not view.doubted
    system.set_price("WETH", 3_000)
    system.set_price("ETH", INSOLVENT + 200)
    actions = [("--declare",), ("--settle", "all"), ("--close", "all")]
    for action in actions:
        result = run("backstop", *action, "--signer", "1")
        assert result.exit_code == 0, result.output
        system.chain.advance(HOUR)
    refuses(run("backstop", "--fix"), "backstop: lots are not sold (buy them, or wait: 30 days")


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--deleverage", "ETH"), "deleverage was refused: backstop: pool is healthy (nobody is"),
        (("--deleverage", "DOGE"), "no market 'DOGE'; there are BTC, ETH"),
        (("--deleverage", "ETH", "--account", "0x12"), "'0x12' is no account: an address"),
        (("--deleverage", "ETH", "--account", "300"), "sub-account 300: there are 0 to 255"),
        (("--deleverage", "ETH", "--account", "3"), "backstop: pool is healthy (nobody is"),
        (("--account", "3"), "--account goes with --deleverage or --close"),
        (("--declare",), "declare was refused: backstop: pool is solvent (only a pool with"),
        (("--call-off",), "call_off was refused: backstop: wrong state (none is declared"),
        (("--settle", "ETH"), "settle was refused: backstop: wrong state (it must be declared"),
        (("--settle", "DOGE"), "no market 'DOGE'; there are BTC, ETH"),
        (("--close", "ETH"), "close_settled was refused: backstop: market not settled (it still"),
        (("--close", "BTC"), "no position in BTC to close"),
        (("--close", "all"), "no position in any market to close"),
        (("--close", "DOGE"), "no market 'DOGE'; there are BTC, ETH"),
        (("--fix",), "fix was refused: backstop: wrong state (once, after markets"),
        (("--declare", "--signer", "bob"), "no signer 'bob'"),
        (("--deleverge", "ETH"), "No such option: --deleverge"),
        (("ETH",), "Got unexpected extra argument (ETH)"),
    ],
)
def test_script__mistakes__one_line_and_exit_code_2(
    run: Run, saved: Path, winners: list[str], arguments: tuple[str, ...], why: str
) -> None:
    refuses(run("backstop", *arguments), why)


def test_script__whom_a_deleveraging_is_refused_for__one_line_each(
    run: Run,
    saved: Path,
    system: Deployment,
    client: Client,
    winners: list[str],
    stranger: AccountAPI,
    attacker: AccountAPI,
    owner: AccountAPI,
) -> None:
    client.deposit(10_000, signer=stranger)
    client.trade("ETH", 1, signer=stranger)
    client.trade("BTC", "0.4", signer=stranger)
    client.deposit(50_000, signer=attacker)
    client.trade("BTC", "0.01", signer=attacker)
    client.trade("ETH", -1, signer=attacker)
    system.set_prices({"ETH": INSOLVENT, "BTC": 30_000})

    def why(market: str, account: Any, text: str) -> None:
        arguments = ("--deleverage", market, "--account", account)
        refuses(run("backstop", *arguments), f"deleverage was refused: {text}")

    why("ETH", stranger.address, "backstop: account is unhealthy (it is to be liquidated")
    why("ETH", attacker.address, "backstop: not opposite the pool (only positions on the pool's")
    why("BTC", attacker.address, "backstop: not profitable (only profitable positions")
    why("ETH", system.pool.address, "account: system (it is one of the venue's own")
    refuses(run("backstop", "--deleverage", "BTC"), "backstop: not opposite the pool")
    system.set_prices({"ETH": SHORT, "BTC": 10**8})
    why(
        "ETH",
        winners[0],
        "backstop: a price is not live (too much of the pool's waits for one",
    )
    why("BTC", attacker.address, "prices: out of bounds")
    system.set_prices({"ETH": INSOLVENT, "BTC": 30_000})
    freeze(system, owner)
    why("ETH", winners[0], "venue: frozen or in grace (wait until the venue is calm")
    assert run("backstop", "--declare").exit_code == 0  # that is what need not wait
    system.chain.advance(3_601)
    refuses(run("backstop", "--settle", "all"), "settle was refused: venue: frozen or in grace")


def test_script__settlement_out_of_order__one_line_each(
    run: Run, saved: Path, system: Deployment, declared: None
) -> None:
    refuses(run("backstop", "--fix"), "fix was refused: backstop: wrong state (once, after")
    system.set_price("ETH", SHORT)
    refuses(run("backstop", "--settle", "all"), "settle was refused: backstop: pool is solvent")
    system.set_price("ETH", INSOLVENT)
    assert run("backstop", "--settle", "ETH").exit_code == 0
    refuses(run("backstop", "--declare"), "declare was refused: backstop: wrong state (the venue")
    refuses(run("backstop", "--call-off"), "call_off was refused: backstop: wrong state (none is")
    refuses(run("backstop", "--fix"), "backstop: market not settled (settle every market first")
    assert run("backstop", "--settle", "all").exit_code == 0
    refuses(run("backstop", "--fix"), "backstop: positions are open (close them first")
    refuses(run("backstop", "--deleverage", "ETH"), "prices: feed failed (its feed is dead, or")


def test_hinted__every_reason_of_the_backstop__says_what_would_be_right() -> None:
    root = Path(__file__).parents[2] / "contracts"
    source = (root / "Backstop.vy").read_text()
    for method in ("close_settled", "deleverage", "declare", "call_off", "settle", "fix"):
        body = source.split(f"def {method}(")[1].split("@custom:spec")[0]
        reasons = re.findall(r'"((?:backstop|venue|account): [a-z ]+)"', body)
        assert reasons
        for reason in reasons:
            assert hinted(reason, method) != reason, (method, reason)


# ------------------------------------------------------------------ the doctor


def test_doctor__pool_and_settlement__told_with_what_to_run(
    system: Deployment, client: Client, saved: Path, winners: list[str], keeper: AccountAPI
) -> None:
    mend = "ape run backstop --network ethereum:local:test"

    def found() -> doctor.Finding:
        return list(doctor.check_deployment(system.chain, saved.parent))[-1]

    assert found() == (True, "the pool has its margin, and no settlement is declared", "", True)
    system.set_price("ETH", SHORT)
    assert found() == (False, "the pool's health is 0.757, below 1", mend, True)
    system.set_price("ETH", INSOLVENT)
    client.declare(keeper)
    what = "a settlement of the venue is "
    assert found() == (False, what + "declared: claims wait", mend, True)
    system.chain.advance(HOUR)
    client.settle_markets(signer=keeper)
    assert found() == (False, what + "settling: positions are closed, claims wait", mend, True)
    client.close_settled("ETH", signer=keeper)
    client.fix(keeper)
    assert found() == (False, what + "fixed: each claim is paid its share", mend, True)
