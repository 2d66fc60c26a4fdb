"""The commands: they do what they say, and a mistake is one line and exit code 2."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from ape.api import AccountAPI
from ape_ethereum.trace import TransactionTrace

from plimsoll import deployment as deployments
from plimsoll import doctor
from plimsoll.chain import ApeChain
from plimsoll.client import Client, sub_account
from plimsoll.deployment import Deployment
from plimsoll.errors import ChainError
from plimsoll.table import Table
from tests.integration.conftest import Run, refuses


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No deployment where the scripts look."""
    monkeypatch.setattr(deployments, "project_root", lambda: tmp_path)
    return tmp_path


# ------------------------------------------------------------------ stories


def test_demo__runs__zero_differences_and_no_chatter(run: Run) -> None:
    result = run("demo")
    assert result.exit_code == 0, result.output
    assert "What happened." in result.output.splitlines()[1]
    assert "Why it matters." in result.output
    assert re.search(r"difference in wei +0 *\n", result.output)
    assert "NOT zero" not in result.output
    assert re.search(r"liquidate, three positions +\d{3},\d{3}", result.output)
    assert re.search(r"buy a lot, all of it +\d{3},\d{3}", result.output)
    assert "Somebody buys." in result.output and "LED-4" in result.output
    assert "INFO" not in result.output and "SUCCESS" not in result.output


def test_replay__file__problems_told_and_books_balance(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("pyrevm")
    file = tmp_path / "prices.csv"
    hours = [f"2022-05-01 {h:02d}:00:00,{40_000 - 700 * h},{3_000 - 60 * h}" for h in range(12)]
    hours[4] = "2022-05-01 04:00:00,,2760"
    file.write_text("\n".join(["time_utc,BTC_close,ETH_close", *hours]))
    result = run("replay", "--prices", str(file), "--traders", "5", "--to", "2022-05-01 09:00")
    assert result.exit_code == 0, result.output
    assert "line 6: BTC: no price" in result.output
    assert re.search(r"bad debt: insurance fund, pool", result.output)
    assert re.search(r"difference in wei +0 *\n", result.output)


def test_replay__wrong_way__told_what_was_seized(run: Run) -> None:
    pytest.importorskip("pyrevm")
    result = run("replay", "--wrong-way", "--hours", "12", "--traders", "4")
    assert result.exit_code == 0, result.output
    assert re.search(r"ether and bitcoin as collateral: seized, for +\d+ lots", result.output)
    assert re.search(r"difference in wei +0 *\n", result.output)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--from", "2022-05"), "name it with --prices"),
        (("--prices", "none.csv"), "none.csv: No such file"),
        (("--hours", "1"), "too short for a crash"),
        (("--traders", "0"), "Invalid value for '--traders'"),
        (("--enigne", "ape"), "No such option: --enigne"),
        (("--prices", "none.csv", "--to", "9999-12"), "none.csv: No such file"),
    ],
)
def test_replay__mistakes__one_line_and_exit_code_2(
    run: Run, arguments: tuple[str, ...], why: str
) -> None:
    refuses(run("replay", *arguments), why)


# ------------------------------------------------------------------ the venue


def test_deploy__markets__written_checked_and_shown(run: Run, nothing: Path) -> None:
    result = run("deploy", "--markets", "BTC,SOL")
    assert result.exit_code == 0, result.output
    file = nothing / "deployments" / "1337.json"
    assert file.exists() and f"Written and checked: {file}" in result.output.replace("\n", "")
    loaded = Deployment.load(ApeChain())
    assert loaded.names == ["BTC", "SOL"]
    assert loaded.clearinghouse.address in result.output


def test_deploy__timelock__offered_and_told(run: Run, nothing: Path) -> None:
    result = run("deploy", "--markets", "BTC", "--timelock", "172800")
    assert result.exit_code == 0, result.output
    loaded = Deployment.load(ApeChain())
    assert loaded.next_owner == loaded.timelock.address
    text = " ".join(result.output.split())
    assert "owner is the deployer" in text and f"timelock, {loaded.next_owner}" in text
    assert loaded.chain.view(loaded.timelock, "get_minimum_delay") == 172_800
    refuses(run("deploy", "--timelock", "1", "--replace"), "timelock: delay of 1 s: from 86400")
    alone = run("deploy", "--markets", "BTC", "--guardian", loaded.deployer)
    assert alone.exit_code == 2 and "go with --timelock" in alone.output


def test_deploy__where_one_is__asks_to_be_told(run: Run, nothing: Path) -> None:
    assert run("deploy", "--markets", "BTC").exit_code == 0
    refuses(run("deploy", "--markets", "ETH"), "still there, with BTC")
    assert run("deploy", "--markets", "ETH", "--replace").exit_code == 0
    assert Deployment.load(ApeChain()).names == ["ETH"]


def test_deploy__where_another_networks_is__keeps_its_file_and_says_where(
    run: Run, nothing: Path
) -> None:
    file = nothing / "deployments" / "1337.json"
    file.parent.mkdir()
    file.write_text('{"network": "ethereum:devnet:node"}')
    result = run("deploy", "--markets", "BTC")
    assert result.exit_code == 0, result.output
    kept = file.with_suffix(".old.json")
    assert "ethereum:devnet:node" in kept.read_text()
    told = "".join(result.output.split())  # a long path is broken where the line ends
    assert f"itis{kept}now" in told


def test_account__of_the_pool__leaves_it_to_the_backstop(
    run: Run, saved: Path, system: Deployment
) -> None:
    refuses(run("account", str(system.pool.address)), "is the pool's own account")


def test_deploy__unknown_market_or_file__one_line(run: Run, nothing: Path) -> None:
    refuses(run("deploy", "--markets", "DOGE"), "no market 'DOGE' in the table; there are BTC, ETH")
    refuses(run("deploy", "--table", str(nothing / "t.yaml")), "No such file")
    refuses(run("deploy", "--signer", "99"), "there are 20 test accounts")


def test_deploy__names_with_brackets_and_of_any_language__shown_as_they_are(
    run: Run, nothing: Path
) -> None:
    table = nothing / "t.yaml"
    table.write_text(
        'quote: {symbol: "[/q]"}\nmarkets: [{name: "[/red]", price: 5}, {name: \u039e, price: 6}]'
    )
    result = run("deploy", "--table", str(table))
    assert result.exit_code == 0, result.output
    assert "[/red]" in result.output and "\u039e" in result.output and "[/q]" in result.output


def test_shock__absurd_move__still_a_table(
    run: Run, saved: Path, client: Client, trader: AccountAPI
) -> None:
    client.deposit(10_000, signer=trader)
    client.trade("BTC", -1, signer=trader)
    result = run("shock", "BTC=1e40", "--signer", "3")
    assert result.exit_code == 0 and "Anyone could liquidate it then." in result.output


def test_command__refusal_on_a_node_that_traces__nothing_but_the_reason(
    run: Run, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Ape shows the call of a refusal wherever a node can trace; the in-process chain cannot.
    run("markets")
    TransactionTrace(transaction_hash="0x" + "11" * 32).show()
    assert capsys.readouterr().out == ""


def test_account_and_trade__open_shock_close__as_shown(
    run: Run, saved: Path, client: Client, trader: AccountAPI
) -> None:
    me = ("--signer", "3")
    assert run("account", *me, "--deposit", "10,000").exit_code == 0
    tried = run("trade", "BTC", "-0.5", *me, "--dry-run")
    assert tried.exit_code == 0, tried.output
    assert "Nothing was sent." in tried.output
    assert not client.account(trader).positions
    done = run("trade", "btc", "-0.5", *me)
    assert done.exit_code == 0, done.output
    position = client.account(trader).position("BTC")
    assert position is not None and position.size == Decimal("-0.5")
    assert "-0.5" in run("account", *me).output
    shocked = run("shock", "BTC=30", *me)
    assert shocked.exit_code == 0 and "Anyone could liquidate it then." in shocked.output
    assert "It would stand." in run("shock", "-10", *me).output
    closed = run("trade", "BTC", "close", *me)
    assert closed.exit_code == 0, closed.output
    taken = run("account", *me, "--withdraw", "9000")
    assert taken.exit_code == 0, taken.output
    assert client.deployment.quote.balanceOf(trader) == 9_000 * 10**6


def test_account__collateral__paid_in_shown_and_taken_out(
    run: Run, saved: Path, system: Deployment, client: Client, trader: AccountAPI
) -> None:
    me = ("--signer", "3")
    assert run("account", *me, "--deposit", "1.5 weth").exit_code == 0
    shown = run("account", *me)
    assert re.search(r"WETH +1\.5 +3,000 +4,500\.00 +89\.99", shown.output), shown.output
    assert re.search(r"collateral, by its weight +4,049\.64", shown.output)
    assert "Owes" not in shown.output
    client.trade("BTC", "0.1", signer=trader)
    indebted = run("account", *me).output
    assert re.search(r"Owes 3\.00, 0\.00 of it interest not posted yet", indebted), indebted
    assert "its collateral allows 1,912.33" in indebted.replace("\n", " ")
    shocked = run("shock", "WETH=-98", *me)
    assert "Anyone could liquidate it then." in shocked.output, shocked.output
    refuses(run("account", *me, "--withdraw", "1.5 WETH"), "margin: below initial")
    assert run("account", *me, "--withdraw", "0.5 WETH").exit_code == 0
    assert system.tokens["WETH"].balanceOf(trader) == 5 * 10**17


def test_markets__collateral_and_lots__shown(
    run: Run, saved: Path, system: Deployment, client: Client, trader: AccountAPI
) -> None:
    before = run("markets").output
    assert re.search(r"0 +WETH +3,000 +85\.0 +90\.0 +0 +1,660 +5\.0", before), before
    assert "Debts: 0.00 of 1,000,000 USDC" in before and "For sale" not in before
    client.deposit(10, signer=trader, token="WETH")
    client.trade("BTC", "2.5", signer=trader)
    assert run("markets", "--set", "BTC=50000").exit_code == 0
    client.liquidate(trader, trader)
    after = run("markets").output
    assert re.search(r"0 +WETH +9\.2929 +3,060 +3,042\.5 +28,43\d\.\d\d", after), after
    assert run("markets", "--set", "WETH=0.01").exit_code == 0
    assert re.search(r"0 +WETH +[\d.]+ +no live price", run("markets").output)


def test_account__prices_jumped__stable_prices_where_they_differ(
    run: Run, saved: Path, client: Client, trader: AccountAPI
) -> None:
    me = ("--signer", "3")
    client.deposit(10, signer=trader, token="WETH")
    client.trade("BTC", "0.1", signer=trader)
    client.trade("ETH", "0.1", signer=trader)
    for script in (("account", *me), ("markets",)):
        assert "Stable price" not in run(*script).output
    assert run("markets", "--set", "BTC=50000", "--set", "WETH=2000").exit_code == 0
    for script in (("account", *me), ("markets",)):
        shown = run(*script).output
        assert re.search(r"Stable prices, .* worse: BTC 59,99\d(\.\d+)?\.", shown), shown
        assert re.search(r"Stable prices, .* worse: WETH 2,99\d(\.\d+)?\.", shown), shown
        assert "calm" not in shown and "Settlement" not in shown


def test_account_and_markets__sequencer_down__a_line_says_so(
    run: Run,
    ape_chain: ApeChain,
    owner: AccountAPI,
    trader: AccountAPI,
    table: Table,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uptime = ape_chain.deploy("FeedMock", 0, 0, sender=owner)
    ape_chain.send(uptime, "set_round", 0, 1, sender=owner)
    slow = replace(table, sequencer=uptime.address, outflow=Decimal("0.01"))
    venue = deployments.deploy(slow, ape_chain, owner)
    monkeypatch.setattr(deployments, "project_root", lambda: tmp_path)
    venue.save()
    client = Client(venue, trader)
    client.deposit(10_000)
    client.trade("BTC", 2)
    venue.set_price("BTC", 56_000)
    assert "anyone may liquidate this account now" in run("account", "--signer", "3").output
    assert "may still leave" in run("markets").output
    ape_chain.send(uptime, "set_round", 1, ape_chain.now, sender=owner)
    shown = run("account", "--signer", "3").output
    assert "anyone may liquidate this account once the venue is calm" in shown
    for script in (("account", "--signer", "3"), ("markets",)):
        told = " ".join(run(*script).output.split())
        assert "The venue is not calm, its sequencer is down, or was a moment ago" in told


def test_markets__set_and_refresh__moves_mock_feeds(
    run: Run, saved: Path, system: Deployment
) -> None:
    result = run("markets", "--set", "BTC=50000", "--set", "eth=2500.5")
    assert result.exit_code == 0, result.output
    assert "50,000" in result.output and "2,500.5" in result.output
    system.chain.advance(90_000)
    assert "stale" in run("markets").output
    refreshed = run("markets", "--refresh")
    assert refreshed.exit_code == 0 and "stale" not in refreshed.output


def test_keeper__nobody_below__says_so_and_all_is_nobody(run: Run, saved: Path) -> None:
    result = run("keeper", "--liquidate", "all")
    assert result.exit_code == 0, result.output
    assert "Nobody is below the line." in result.output and "for sale" not in result.output


def test_keeper__a_crash__shows_liquidates_and_buys_what_is_for_sale(
    run: Run,
    saved: Path,
    system: Deployment,
    client: Client,
    trader: AccountAPI,
    keeper: AccountAPI,
) -> None:
    client.deposit(20, token="WETH", signer=trader)
    client.trade("BTC", "2", signer=trader)
    system.set_prices({"BTC": 33_000})
    shown = run("keeper")
    assert shown.exit_code == 0, shown.output
    assert "Below the line" in shown.output and sub_account(trader, 0) in shown.output
    due = client.preview_liquidation(trader)
    assert f"{due.reward:,.2f}" in shown.output
    before = client.account(keeper).cash
    result = run("keeper", "--liquidate", "all", "--buy", "0", "--signer", "1")
    assert result.exit_code == 0, result.output
    assert client.account(keeper).cash > before
    text = " ".join(result.output.split())
    assert f"{sub_account(trader, 0)}: 66,0" in text and "lots 0 for sale" in text
    assert re.search(r"Bought: [\d.]+ WETH of lot 0 for [\d,.]+ USDC", text)
    assert "Nobody is below the line." in text and not client.lots()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("keeper", "--liquidate", "0x12"), "'0x12' is no account"),
        (("keeper", "--liquidate", "0"), "liquidation: account is healthy (its health is 1.0"),
        (("keeper", "--convert", "0"), "convert: not called"),
        (("keeper", "--settle", "0"), "settle: no net loss"),
        (("keeper", "--buy", "7"), "no lot 7 is for sale"),
        (("keeper", "--buy", "-1"), "Invalid value for '--buy'"),
        (("trade", "BTC"), "Missing argument 'SIZE'"),
        (("trade", "DOGE", "1"), "no market 'DOGE'; there are BTC, ETH, SOL, LINK"),
        (("trade", "BTC", "one"), "SIZE: 'one' is not a number"),
        (("trade", "BTC", "1"), "margin: below initial (deposit more, or trade less)"),
        (("trade", "BTC", "close"), "no position in BTC to close"),
        (("trade", "BTC", "1", "--account", "0x12"), "'0x12' is no account"),
        (("trade", "BTC", "1", "--account", "0x" + "12" * 20), "is not an account of"),
        (("trade", "BTC", "1", "--limit", "1"), "trade: past limit price"),
        (("trade", "BTC", "0"), "trade: zero size"),
        (("trade", "BTC", "1e400"), "SIZE: 1e400 is too large"),
        (("trade", "BTC", "1e60"), "size: 1E+60 is too large"),
        (("trade", "BTC", "1e-999999999"), "SIZE: 1e-999999999 is too small"),
        (("trade", "BTC", "1", "--limit", "-1"), "limit: -1 is below zero"),
        (("trade", "BTC", "-1", "--limit", "1e60"), "limit: 1E+60 is too large"),
        (("trade", "BTC", "1", "--account", "\u00b2"), "'\u00b2' is no account"),
        (("trade", "BTC", "1", "--signer", "\u00b2"), "no signer '\u00b2'"),
        (("account", "--signer", "bob"), "no signer 'bob'"),
        (("account", "--withdraw", "1"), "no more than 0 can be taken out now"),
        (("account", "--withdraw", ""), "--withdraw: '' is not a number"),
        (("account", "--deposit", "-5"), "USDC: -5 is below zero"),
        (("account", "--deposit", "1 DAI"), "no collateral 'DAI'; there are WETH, WBTC"),
        (("account", "--deposit", "one WETH"), "--deposit: 'one' is not a number"),
        (("account", "--deposit", "0 WETH"), "an amount of nothing"),
        (("account", "--withdraw", "1 WETH"), "the account has 0 WETH; 1 are asked"),
        (("account", "--signer", "1", "--deposit", "2000 WETH"), "caps: collateral (the venue"),
        (("markets", "--set", "DAI=1"), "no market 'DAI'"),
        (("account", "300"), "sub-account 300: there are 0 to 255"),
        (("shock", "BTC=-100"), "leaves no price"),
        (("shock", "BTC=-99.99999999999999999999999999"), "leaves no price"),
        (("shock", "BTC=-20", "BTC=-30"), "BTC is moved twice"),
        (("shock", "BTC=-20", "0=-30"), "BTC is moved twice"),
        (("shock", "ETH=-20"), "the account has nothing of ETH; it has BTC"),
        (("trade", "BTC", "0,5"), "SIZE: '0,5': write 0.5 for a half"),
        (("trade", "BTC", "1", "--limit", ""), "--limit: '' is not a number"),
        (("account", "--deposit", "1,00"), "a comma separates thousands"),
        (("markets", "--set", "BTC=61,0"), "a comma separates thousands"),
        (("markets", "--set", "BTC=61", "--set", "BTC=62"), "BTC has two prices"),
        (("shock", "=5"), "no market before the sign"),
        (("shock", "BTC=1e300"), "BTC: 1e300 is too large"),
        (("shock",), "Missing argument 'MOVES...'"),
        (("markets", "--set", "BTC"), "write BTC=60000"),
        (("markets", "--set", "BTC=-1"), "the price of BTC is not above zero"),
        (("markets", "--set", "BTC=1e60"), "BTC: a feed of 8 decimals cannot say 1E+60"),
    ],
)
def test_commands__mistakes__one_line_and_exit_code_2(
    run: Run,
    saved: Path,
    client: Client,
    trader: AccountAPI,
    arguments: tuple[str, ...],
    why: str,
) -> None:
    if arguments[0] == "shock" and len(arguments) > 1:
        client.deposit(10_000, signer=trader)
        client.trade("BTC", 1, signer=trader)
        arguments = (*arguments, "--signer", "3")
    refuses(run(*arguments), why)


@pytest.mark.parametrize("command", ["account", "markets", "trade", "shock"])
def test_commands__nothing_deployed__say_what_to_run(run: Run, nothing: Path, command: str) -> None:
    more = {"trade": ("BTC", "1"), "shock": ("1",)}.get(command, ())
    refuses(run(command, *more), "nothing is deployed on chain 1337")


# ------------------------------------------------------------------ the doctor


def mends(findings: list[doctor.Finding]) -> dict[str, str]:
    return {finding.what: finding.mend for finding in findings if not finding.ok}


def test_doctor__all_well__says_so(run: Run, saved: Path) -> None:
    result = run("doctor")
    assert re.search(r"^ok    ethereum:local:test: chain 1337, block \d+$", result.output, re.M)
    assert "4 markets, 2 collateral tokens, all contracts in place" in result.output
    assert "every market and collateral token has a live price" in result.output


def test_doctor__wrong_version_and_path__each_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiler = Path(sys.executable).parent / "vyper"
    monkeypatch.setattr(shutil, "which", lambda name: str(compiler))
    assert mends(list(doctor.check_installation())) == {}
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/vyper")
    found = mends(list(doctor.check_installation()))
    assert list(found) == ["vyper in PATH is /usr/bin/vyper, not that of this Python"]
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0.3.9" if name == "vyper" else real(name)
    )
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = mends(list(doctor.check_installation()))
    assert found["vyper 0.3.9 (pinned: 0.4.3)"] == "make setup"
    assert found["vyper is not in PATH: Ape cannot compile"].startswith("export PATH=")


def test_doctor__source_newer_than_bytecode__told(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    (tmp_path / ".build").mkdir()
    source, built = tmp_path / "contracts" / "A.vy", tmp_path / ".build" / "__local__.json"
    source.write_text("")
    assert doctor.check_compiled(tmp_path).what == "the contracts are not compiled yet"
    built.write_text("{}")
    assert doctor.check_compiled(tmp_path).ok
    built_at = built.stat().st_mtime
    os.utime(source, (built_at + 5, built_at + 5))
    finding = doctor.check_compiled(tmp_path)
    assert not finding.ok and finding.mend == "make compile"
    assert finding.what.startswith("contracts/A.vy changed after")


def test_doctor__no_chain__told_with_command() -> None:
    def connect() -> ApeChain:
        raise ChainError("ethereum:devnet:node cannot be reached (nothing there); start `anvil`")

    chain, finding = doctor.check_chain(connect)
    assert chain is None and not finding.ok
    assert finding.mend == "start `anvil`"


def test_doctor__stale_prices_and_nav__told_with_command(
    system: Deployment, ape_chain: ApeChain, tmp_path: Path
) -> None:
    system.save(tmp_path)
    assert mends(list(doctor.check_deployment(ape_chain, tmp_path))) == {}
    ape_chain.advance(91_000)
    found = mends(list(doctor.check_deployment(ape_chain, tmp_path)))
    refresh = "ape run markets --refresh --network ethereum:local:test"
    assert list(found.values()) == [refresh, refresh]
    assert list(found)[0].startswith("no live price: BTC (stale), ETH (stale)")
    assert re.fullmatch(r"the pool's NAV is 2\d hours old: skews cannot grow", list(found)[1])
    system.refresh_prices()
    system.refresh_nav()
    assert mends(list(doctor.check_deployment(ape_chain, tmp_path))) == {}


def test_doctor__price_out_of_bounds__told_with_a_price_that_is_not(
    system: Deployment, ape_chain: ApeChain, tmp_path: Path, run: Run, saved: Path
) -> None:
    system.set_price("BTC", 10**8)
    found = mends(list(doctor.check_deployment(ape_chain, saved.parent)))
    command = "ape run markets --set BTC=60000 --network ethereum:local:test"
    assert found == {"no live price: BTC (out of bounds)": command}
    assert run("markets", *command.split()[3:5]).exit_code == 0
    assert mends(list(doctor.check_deployment(ape_chain, saved.parent))) == {}


def test_doctor__token_reported_dead_that_is_back__told_with_the_command_that_pokes_it(
    system: Deployment, ape_chain: ApeChain, run: Run, saved: Path
) -> None:
    client = Client(system, system.chain.signers[0])
    system.set_price("WETH", "0.01")
    client.poke_token("WETH")
    system.set_price("WETH", 3_000)
    found = mends(list(doctor.check_deployment(ape_chain, saved.parent)))
    command = "ape run markets --refresh --network ethereum:local:test"
    assert found == {"WETH: reported dead, and not that the price is back": command}
    assert run("markets", "--refresh").exit_code == 0
    assert mends(list(doctor.check_deployment(ape_chain, saved.parent))) == {}


def test_doctor__token_without_a_price__told_with_one(
    system: Deployment, ape_chain: ApeChain, run: Run, saved: Path
) -> None:
    system.set_price("WETH", "0.01")
    found = mends(list(doctor.check_deployment(ape_chain, saved.parent)))
    command = "ape run markets --set WETH=3000 --network ethereum:local:test"
    assert found == {"no live price: WETH (out of bounds)": command}
    assert run("markets", *command.split()[3:5]).exit_code == 0
    assert mends(list(doctor.check_deployment(ape_chain, saved.parent))) == {}
