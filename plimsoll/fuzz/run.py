"""Runs operations on contracts and model side by side, and compares everything that can be read.

After each operation: the value or the exact reason, the whole list of events, and every property
(`plimsoll.fuzz.properties`). Every so many operations: every getter for every account and market,
and the properties once more, on what the contracts say.
`plimsoll.fuzz.campaign` runs very many.
"""

from __future__ import annotations

import functools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from plimsoll import slots
from plimsoll.formulas import Refused
from plimsoll.fuzz import erc4626
from plimsoll.fuzz.chain import Chain, Contract, Outcome
from plimsoll.fuzz.properties import Before, Books, Mismatch, Step, check_state, check_step
from plimsoll.fuzz.system import Artifacts, Op, Setup, System
from plimsoll.model import NOWHERE, Model, Request
from plimsoll.slots import WAD

# Of the checks of the state, every so many compare every getter for every account.
FULL = 8
NO_TERMS = slots.Terms(NOWHERE, *(0,) * 15)
NO_RAMP = slots.Ramp(NO_TERMS, *(0,) * 8)


@dataclass
class Report:
    """What a run did."""

    setup: Setup
    operations: list[Op]
    mismatch: Mismatch | None = None
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    last: str | None = None  # how the last operation ended, where both sides agreed


# ------------------------------------------------------------------ one operation


def step(system: System, op: Op, watch: bool = False) -> Outcome:
    """Run one operation on both sides, compare what it came to, and check the properties.

    Args:
        system: to run it on.
        op: the operation.
        watch: check, too, whom it may have hurt.

    Raises:
        Mismatch: if they differ, or a property does not hold.
    """
    # Where each call takes a block there is no telling what an operation found.
    before = None if system.chain.ticks else Before(system, op, watch)
    real = run_both(system, op)
    if before:
        check_step(Step(system, op, real, before))
    check_state(Books.of(system.model))
    return real


def run_both(system: System, op: Op) -> Outcome:
    """Run one operation on both sides, and compare what it came to; no property is checked.

    Raises:
        Mismatch: if they differ.
    """
    real, ideal = system.run(op)
    if real.reason != ideal.reason:
        raise Mismatch(f"{op[0]} reason", f"{op}: {real.reason!r} is not {ideal.reason!r}")
    if real.value != ideal.value:
        raise Mismatch(f"{op[0]} value", f"{op}: {real.value} is not {ideal.value}")
    if real.events != ideal.events:
        raise Mismatch(f"{op[0]} events", _difference(op, real, ideal))
    return real


def _difference(op: Op, real: Outcome, ideal: Outcome) -> str:
    for one, other in zip(real.events, ideal.events, strict=False):
        if one != other:
            return f"{op}: {one} is not {other}"
    return f"{op}: {[e.name for e in real.events]} is not {[e.name for e in ideal.events]}"


# ------------------------------------------------------------------ the whole state


def _same(contract: Contract, getter: str, args: tuple[Any, ...], ideal: Callable[..., Any]) -> Any:
    """Compare one getter with a method of the model's; what the contract says."""
    real = contract.call(getter, *args)
    try:
        expected, reason = ideal(*args), None
    except Refused as refused:
        expected, reason = None, refused.reason
    if real.reason != reason or real.value != expected:
        raise Mismatch(
            f"getter {getter}",
            f"{args}: {real.value!r} {real.reason!r} is not {expected!r} {reason!r}",
        )
    return real.value


def compare_state(system: System, full: bool = True) -> None:
    """Compare the getters, then check the properties on what the contracts say.

    Args:
        system: after some operation.
        full: every getter for every account and market; else only those of who holds something.

    Raises:
        Mismatch: at the first difference.
    """
    model, house = system.model, system.clearinghouse
    accounts = system.accounts()
    count = len(model.listed)

    headers = {a: _same(house, "header", (a,), model.header) for a in accounts}
    unpacked = {a: slots.unpack_header(word) for a, word in headers.items()}
    legs = {
        (a, m): _same(house, "leg", (a, m), model.leg)
        for m in range(count)
        for a, header in unpacked.items()
        if full or a == NOWHERE or header.bitmap >> m & 1
    }
    for a, header in unpacked.items():
        if full or header.bitmap:
            _same(house, "health", (a,), model.health)
    words = {m: _same(house, "market_words", (m,), model.market_words) for m in range(count)}
    global_words = _same(house, "globals", (), model.globals)
    held = {
        a: _same(system.token, "balanceOf", (a,), lambda a: model.balance(model.settings.quote, a))
        for a in (accounts if full else [model.address, model.settings.pool])
    }
    _same(house, "is_calm", (), model.is_calm)
    supply = _same(system.pool, "totalSupply", (), lambda: model.supply)
    _same(system.pool, "valuation", (), model.valuation)
    positions = {key: slots.Position(leg[3], leg[4]) for key, leg in legs.items() if leg[3]}
    check_state(
        Books.of(model)._replace(
            headers=unpacked,
            positions=positions,
            states={m: slots.unpack_state_a(word[3]) for m, word in words.items()},
            exposure=slots.unpack_book(global_words[1]).exposure,
            custody=global_words[0],
            held=held[model.address],
            supply=supply,
        )
    )
    _compare_collateral(system, accounts, full)
    _compare_backstop(system, accounts, full)
    if full:
        _compare_pool(system, accounts)
        _compare_settings(system)
        _try_everybody(system, unpacked)


def _compare_collateral(system: System, accounts: list[str], full: bool) -> None:
    model, house, auction = system.model, system.clearinghouse, system.auction
    _same(house, "credit", (), model.credit)
    for a in accounts:
        if full or model.header_of(a).cash < 0:
            _same(house, "backing", (a,), model.backing)
    for i, coin in enumerate(system.coins):
        _same(house, "token_words", (i,), model.token_words)
        _same(coin, "balanceOf", (house.address,), functools.partial(model.balance, coin.address))
        for a in accounts:
            if full or model.held.get((a, i)):
                _same(house, "holding", (a, i), model.holding)
    for lot in range(len(model.lots) + 1):
        if full or (lot < len(model.lots) and model.lots[lot].amount):
            _same(auction, "lot", (lot,), model.lot)
    if full:
        _same(auction, "lot_count", (), lambda: len(model.lots))
        _same(auction, "owed_to_pool", (), model.owed_to_pool)
        _same(auction, "worth", (), model.worth_of_lots)
        _same(auction, "open_lots", (0,), lambda start: tuple(model.open_lots(start)))
        for last in model.lots[-2:]:
            _same(auction, "cost_of", (last.id, 1, 0), model.cost_of)
            _same(auction, "cost_of", (last.id, last.amount, 600), model.cost_of)
        _same(house, "token_words", (len(system.coins),), model.token_words)
        _same(house, "holding", (NOWHERE, len(system.coins)), model.holding)


def _compare_backstop(system: System, accounts: list[str], full: bool) -> None:
    model, backstop = system.model, system.backstop
    equity, maintenance = _same(backstop, "pool_margin", (), model.pool_margin)
    _same(backstop, "solvency", (), model.solvency)
    _same(backstop, "state", (), lambda: model.settlement.state)
    if full or equity < maintenance:
        for a, m in list(model.positions):
            _same(backstop, "preview_deleverage", (a, m), model.preview_deleverage)
    if not full:
        return
    _same(backstop, "declared_at", (), lambda: model.settlement.declared_at)
    _same(backstop, "certain_at", (), lambda: model.settlement.certain_at)
    _same(backstop, "settled_at", (), lambda: model.settlement.settled_at)
    _same(backstop, "share", (), lambda: model.settlement.share)
    _same(backstop, "target", (), lambda: model.target)
    _same(backstop, "clearinghouse", (), lambda: model.address)
    for m in range(len(model.listed) + 1):
        _same(backstop, "rank", (m, accounts[:64]), lambda m, a: tuple(model.rank(m, a)))
    for a in (NOWHERE, model.settings.pool, accounts[-1]):
        for m in (0, len(model.listed)):
            _same(backstop, "preview_deleverage", (a, m), model.preview_deleverage)


def settles(model: Model, amount: int) -> bool:
    """Whether a settlement pays nothing, or not all, of a claim [raw]."""
    return 0 < model.share <= WAD and amount > 0


def _try_everybody(system: System, headers: dict[str, slots.Header]) -> None:
    """What must be possible, and what must not, for each account as it stands; nothing stays.

    Raises:
        Mismatch: if it is not so.
    """
    house, quote = system.clearinghouse, system.token.address
    for account, header in headers.items():
        if system.model._is_system(account):
            continue
        unhealthy = system.model.health(account) < WAD
        reason = house.attempt("liquidate", account).reason
        expected = None if unhealthy else "liquidation: account is healthy"
        expected = expected if system.model.is_calm() else "venue: frozen or in grace"
        if reason != expected:
            raise Mismatch("property LIQ-1", f"{account}: {reason!r}, unhealthy: {unhealthy}")
        # A pool that is broke can leave less in custody than the winners are owed.
        raw = min(header.cash // system.model.settings.unit, system.model.custody)
        wallet = system.labels[account].partition(".")[0]
        if header.bitmap or header.cash < 0 or wallet not in system.wallets:
            continue
        # Without positions and debt, all that is there can be taken, whatever the prices: what
        # bounds the venue's outflow aside.
        there = [(quote, raw)]
        there += [
            (coin.address, system.model.held.get((account, i), 0))
            for i, coin in enumerate(system.coins)
        ]
        owner = system.address(wallet)
        for token, amount in there:
            if amount > 0:
                paid = house.attempt("withdraw", account, token, amount, owner, sender=owner)
                more = house.attempt("withdraw", account, token, amount + 1, owner, sender=owner)
                slowed = paid.reason == "withdraw: outflow limit"
                if token == quote and (slowed or settles(system.model, amount)):
                    continue
                if paid.reason or not more.reason:
                    why = f"{wallet}: {amount} of {token}: {paid.reason}, {more.reason}"
                    raise Mismatch("flat account", why)


def _try_pool(system: System) -> None:
    """What ERC-4626 and ERC-7540 promise of the pool as it stands; nothing stays."""
    wallets = [system.address(name) for name in system.wallets]
    controllers = [wallet for wallet in wallets if wallet in system.model.requests]
    amounts = 1, 1_234 * 10**system.setup.quote_decimals + 1, system.model.supply
    erc4626.check(system.pool, system.token, wallets[0], controllers, amounts)


def _compare_settings(system: System) -> None:
    model, house, configurator = system.model, system.clearinghouse, system.configurator
    count = len(model.listed)
    _same(house, "settings", (), lambda: model.settings)
    for m in (count, 127, 128):  # none is listed there
        _same(house, "leg", (NOWHERE, m), model.leg)
    _same(configurator, "market_count", (), lambda: count)
    for m in range(count):
        _same(configurator, "market_name", (m,), lambda m: model.listed[m][0])
        _same(configurator, "terms", (m,), lambda m: model.listed[m][1])
        _same(configurator, "ramp", (m,), lambda m: model.ramps.get(m, NO_RAMP))
        _same(configurator, "paused_until", (m,), lambda m: model.paused_until.get(m, 0))
        _same(configurator, "settles_at", (m,), lambda m: model.settles_at.get(m, 0))
    _same(configurator, "guardian", (), lambda: model.guardian)
    _same(configurator, "calm_from", (), lambda: model.calm_from)
    _same(configurator, "terms", (count,), lambda _: NO_TERMS)
    tokens = len(model.collateral)
    _same(configurator, "collateral_count", (), lambda: tokens)
    for i in range(tokens):
        _same(configurator, "collateral_terms", (i,), lambda i: model.collateral[i])
        _same(configurator, "collateral_token", (i,), lambda i: model.tokens[i].address)
    _same(configurator, "credit_terms", (), lambda: model.credit_terms)


def _compare_pool(system: System, accounts: list[str]) -> None:
    model, pool = system.model, system.pool
    raw = 10**system.setup.quote_decimals
    _same(pool, "totalAssets", (), model.total_assets)
    _same(pool, "reported_losses", (), lambda: sum(model.losses.values()))
    for amount in (1, 12_345 * raw, model.supply // 3):
        _same(pool, "convertToShares", (amount,), model.convert_to_shares)
        _same(pool, "convertToAssets", (amount,), model.convert_to_assets)
        _same(pool, "previewDeposit", (amount,), model.preview_deposit)
        _same(pool, "previewMint", (amount,), model.preview_mint)
    _same(pool, "maxDeposit", (NOWHERE,), model.max_deposit)
    _same(pool, "maxMint", (NOWHERE,), model.max_mint)
    for a in accounts:
        _same(pool, "balanceOf", (a,), lambda a: model.shares.get(a, 0))
        _same(pool, "reported_loss", (a,), lambda a: model.losses.get(a, 0))
        _same(pool, "request_of", (a,), lambda a: model.requests.get(a, Request()))
        if a in model.requests:
            _same(pool, "maxRedeem", (a,), model.max_redeem)
            _same(pool, "maxWithdraw", (a,), model.max_withdraw)
            _same(pool, "pendingRedeemRequest", (0, a), lambda _, a: model.pending(a))
            _same(pool, "claimableRedeemRequest", (0, a), lambda _, a: model.claimable(a))
    for pair in model.operators:
        _same(pool, "isOperator", pair, lambda *_: True)
    contracts = {token.address: token for token in (pool, system.token, *system.coins)}
    for token, owner, spender in model.allowances:
        contract = contracts[token]
        key = (token, owner, spender)
        _same(contract, "allowance", (owner, spender), lambda *_, key=key: model.allowances[key])


# ------------------------------------------------------------------ lists of operations


def play(system: System, operations: Iterable[Op], every: int, report: Report) -> Report:
    """Run operations until one fails; compare the whole state `every` so many, and at the end."""
    started = time.perf_counter()
    done, checks = report.operations, 0
    try:
        for count, op in enumerate(operations, 1):
            done.append(op)
            checked = count % every == 0
            outcome = step(system, op, watch=checked)
            report.last = f"{op[0]}: {'ok' if outcome.ok else outcome.reason}"
            report.outcomes[report.last] += 1
            report.outcomes.update(f"event {event.name}" for event in outcome.events)
            if checked:
                checks += 1
                compare_state(system, full=checks % FULL == 0)
        compare_state(system)
        if system.chain.quick:
            _try_pool(system)  # as long as a hundred operations
    except Mismatch as mismatch:
        mismatch.operations = list(done)
        report.mismatch = mismatch
    report.seconds += time.perf_counter() - started
    return report


def replay(
    setup: Setup,
    operations: list[Op],
    every: int = 1,
    artifacts: Artifacts | None = None,
    chain: Chain | None = None,
) -> Report:
    """Run a list of operations on a fresh deployment."""
    system = System.build(setup, artifacts, chain)
    return play(system, operations, every, Report(setup, []))


def fuzz(
    seed: int,
    count: int,
    every: int = 10,
    artifacts: Artifacts | None = None,
    setup: Setup | None = None,
    chain: Chain | None = None,
) -> Report:
    """Run generated operations on a fresh deployment.

    Args:
        seed: all that is drawn comes from it.
        count: how many operations.
        every: how many of them between two comparisons of the whole state.
        artifacts: the contracts; by default those of this repository.
        setup: the deployment; by default one is drawn.
        chain: an engine; by default the fastest that is installed.
    """
    from plimsoll.fuzz.ops import Generator, random_setup

    rng = random.Random(seed)
    drawn = random_setup(rng)
    system = System.build(setup or drawn, artifacts, chain)
    generator = Generator(rng, system)
    operations = (generator.next() for _ in range(count))
    return play(system, operations, every, Report(system.setup, []))
