"""Runs operations on contracts and model side by side, and compares everything that can be read.

After each operation: the value or the exact reason, and the whole list of events. Every so many
operations: every getter for every account and market, and the invariants, recomputed from what the
contracts say. ``python -m plimsoll.fuzz.run --help`` runs it by hand.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plimsoll import slots
from plimsoll.fuzz.chain import Chain, Contract, Outcome
from plimsoll.fuzz.system import Artifacts, Op, Setup, System
from plimsoll.model import MAX_UINT, NOWHERE, VIRTUAL_SHARES, Refused, Request
from plimsoll.slots import WAD

# Of the checks of the state, every so many compare every getter for every account.
FULL = 8

# What may take a healthy account to unhealthy: prices, feeds and time.
MOVES_PRICES = ("price", "fault", "wait")


class Mismatch(Exception):
    """Contracts and model differ, or an invariant is broken.

    Attributes:
        kind: what differs, without numbers, so that a shorter list can be seen to fail likewise.
        operations: what had been run, the culprit last.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.operations: list[Op] = []


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
    """Run one operation on both sides and compare what it came to.

    Args:
        system: to run it on.
        op: the operation.
        watch: check, too, whom it may have hurt.

    Raises:
        Mismatch: if they differ, an unhealthy account cannot be liquidated, being liquidated is
            cheaper than closing, or (with `watch`) somebody is worse off who should not be.
    """
    doomed = op[0] == "liquidate" and _is_unhealthy(system, op[2])
    closed = _cash_if_closed(system, op[2]) if doomed else None
    before = Standing(system) if watch and op[0] not in MOVES_PRICES else None
    real, ideal = system.run(op)
    if real.reason != ideal.reason:
        raise Mismatch(f"{op[0]} reason", f"{op}: {real.reason!r} is not {ideal.reason!r}")
    if real.value != ideal.value:
        raise Mismatch(f"{op[0]} value", f"{op}: {real.value} is not {ideal.value}")
    if real.events != ideal.events:
        raise Mismatch(f"{op[0]} events", _difference(op, real, ideal))
    if doomed and not real.ok:
        raise Mismatch("liquidation refused", f"{op}: {real.reason!r}")
    if closed is not None:
        kept = system.model.header_of(system.address(op[2])).cash
        kept += real.value if op[1] != op[2] else 0  # his own keeper has it already
        if kept > closed:
            raise Mismatch("LIQ-6", f"{op}: leaves {kept}, closing would have left {closed}")
    if before:
        before.compare(system, op, real)
    return real


def _difference(op: Op, real: Outcome, ideal: Outcome) -> str:
    for one, other in zip(real.events, ideal.events, strict=False):
        if one != other:
            return f"{op}: {one} is not {other}"
    return f"{op}: {[e.name for e in real.events]} is not {[e.name for e in ideal.events]}"


def _is_unhealthy(system: System, name: str) -> bool:
    address = system.address(name)
    return not system.model._is_system(address) and system.model.health(address) < WAD


def _cash_if_closed(system: System, name: str) -> int | None:
    """What an account would have if its owner closed it, leg by leg; None if he cannot.

    Without the surge of this block's liquidations, which he could wait out.
    """
    model, account = system.model, system.address(name)
    saved = model.save()
    try:
        for market, stored in saved[2].items():
            position = model.positions.get((account, market))
            if position:
                model.markets[market] = stored._replace(b=stored.b._replace(surge_ppm=0))
                worst = 0 if position.size > 0 else MAX_UINT
                model.trade(account, account, market, -position.size, worst)
        return model.header_of(account).cash
    except Refused:
        return None
    finally:
        model.load(saved)


class Standing:
    """Who stands where before an operation that moves no price."""

    def __init__(self, system: System) -> None:
        model = system.model
        self.health = {a: model.health(a) for a, h in model.headers.items() if h.bitmap}
        self.nav = model.valuation().nav
        self.supply = model.supply

    def compare(self, system: System, op: Op, outcome: Outcome) -> None:
        """See that nobody is worse off who should not be.

        Raises:
            Mismatch: if somebody's health fell who has no part in it, somebody went from healthy
                to unhealthy, or the pool or a share of it lost value.
        """
        model = system.model
        named = {system.address(x) for x in _strings(op[1:])}
        for account, health in self.health.items():
            now, name = model.health(account), system.labels.get(account)
            if account not in named and now < health:
                raise Mismatch(f"{op[0]} hurts", f"{op}: {name} fell from {health} to {now}")
            if now < WAD <= health:
                raise Mismatch(f"{op[0]} dooms", f"{op}: {name} was healthy: {health}, {now}")
        if not outcome.ok:
            return
        nav = model.valuation().nav
        if op[0].startswith(("pool_", "redeem")):
            # A share is worth no less (LPV-2).
            unit = model.settings.unit
            was, now = self.nav + unit, nav + unit
            if now * (self.supply + VIRTUAL_SHARES) < was * (model.supply + VIRTUAL_SHARES):
                raise Mismatch("LPV-2", f"{op}: {was} of {self.supply}, {now} of {model.supply}")
        else:
            # The pool's premium is set aside until it is handed back (LPV-1): what a fill leaves it
            # is fee, spread and rounding. Only bad debt takes from it.
            absorbed = sum(e.args[2] for e in outcome.events if e.name == "BadDebt")
            fills = sum(e.name == "Fill" for e in outcome.events)
            if nav < self.nav - absorbed - 4 * fills:
                raise Mismatch("LPV-1", f"{op}: NAV {self.nav} to {nav}, absorbed {absorbed}")


def _strings(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from _strings(value)


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
    """Compare the getters, then check the invariants.

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
        a: _same(system.token, "balanceOf", (a,), lambda a: model.balances.get(a, 0))
        for a in (accounts if full else [model.address, model.settings.pool])
    }
    check_invariants(system, unpacked, legs, words, global_words, held)
    _same(system.pool, "totalSupply", (), lambda: model.supply)
    _same(system.pool, "valuation", (), model.valuation)
    if full:
        _compare_pool(system, accounts)
        _compare_settings(system)


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
    _same(configurator, "terms", (count,), lambda _: (NOWHERE, *[0] * 15, False))


def _compare_pool(system: System, accounts: list[str]) -> None:
    model, pool = system.model, system.pool
    raw = 10**system.setup.quote_decimals
    _same(pool, "totalAssets", (), model.total_assets)
    for amount in (1, 12_345 * raw, model.supply // 3):
        _same(pool, "convertToShares", (amount,), model.convert_to_shares)
        _same(pool, "convertToAssets", (amount,), model.convert_to_assets)
        _same(pool, "previewDeposit", (amount,), model.preview_deposit)
        _same(pool, "previewMint", (amount,), model.preview_mint)
    _same(pool, "maxDeposit", (NOWHERE,), model.max_deposit)
    _same(pool, "maxMint", (NOWHERE,), model.max_mint)
    for a in accounts:
        _same(pool, "balanceOf", (a,), lambda a: model.shares.get(a, 0))
        _same(pool, "request_of", (a,), lambda a: model.requests.get(a, Request()))
        if a in model.requests:
            _same(pool, "maxRedeem", (a,), model.max_redeem)
            _same(pool, "maxWithdraw", (a,), model.max_withdraw)
            _same(pool, "pendingRedeemRequest", (0, a), lambda _, a: model.pending(a))
            _same(pool, "claimableRedeemRequest", (0, a), lambda _, a: model.claimable(a))
    for pair in model.operators:
        _same(pool, "isOperator", pair, lambda *_: True)
    for token, owner, spender in model.allowances:
        contract = pool if token == pool.address else system.token
        key = (token, owner, spender)
        _same(contract, "allowance", (owner, spender), lambda *_, key=key: model.allowances[key])


# ------------------------------------------------------------------ invariants


def check_invariants(
    system: System,
    unpacked: dict[str, slots.Header],
    legs: dict[tuple[str, int], tuple[Any, ...]],
    words: dict[int, tuple[int, ...]],
    global_words: tuple[int, ...],
    held: dict[str, int],
) -> None:
    """What must hold of the contracts' own numbers, whatever the model says.

    Raises:
        Mismatch: naming the requirement.
    """
    model = system.model
    custody, book, _ = global_words

    def must(condition: bool, kind: str, detail: str) -> None:
        if not condition:
            raise Mismatch(f"invariant {kind}", detail)

    cash = sum(h.cash for h in unpacked.values())
    basis = sum(leg[4] for leg in legs.values())
    backed = custody * model.settings.unit
    must(cash - basis == backed, "LED-3", f"{cash} - {basis} is not {backed}")
    must(custody <= held[model.address], "LED-3 balance", f"{custody} > {held[model.address]}")
    must(unpacked[model.address].cash >= 0, "LIQ-5", f"insurance {unpacked[model.address].cash}")

    exposure = 0
    for m in range(len(model.listed)):
        sizes = {a: legs[a, m][3] for a in unpacked if (a, m) in legs}
        state = slots.unpack_state_a(words[m][3])
        skew = sum(sizes.values())
        must(skew == state.skew, "LED-2", f"market {m}: {skew} is not {state.skew}")
        lots = sum(max(size, 0) // slots.LOT for size in sizes.values())
        must(lots == state.lots, "lots", f"market {m}: {lots} is not {state.lots}")
        exposure += slots.open_interest(state.lots, state.skew) * state.last_price // WAD
        for a, size in sizes.items():
            bit = bool(unpacked[a].bitmap >> m & 1)
            must((size != 0) == bit, "LED-5", f"{system.labels.get(a)} in market {m}: {size}")
    known = slots.unpack_book(book).exposure
    must(known == exposure, "exposure", f"{known} is not {exposure}")

    shares = sum(model.shares.values())
    must(shares == model.supply, "shares", f"{shares} is not {model.supply}")
    asked = sum(r.shares for r in model.requests.values())
    waiting = model.shares.get(model.settings.pool, 0)
    must(asked == waiting, "requests", f"{asked} is not {waiting}")


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


def fuzz(seed: int, count: int, every: int = 10, artifacts: Artifacts | None = None) -> Report:
    """Run `count` generated operations on a fresh deployment, both drawn from `seed`."""
    from plimsoll.fuzz.ops import Generator, random_setup

    rng = random.Random(seed)
    setup = random_setup(rng)
    system = System.build(setup, artifacts)
    generator = Generator(rng, system)
    operations = (generator.next() for _ in range(count))
    return play(system, operations, every, Report(setup, []))


def main() -> int:
    """Fuzz by hand."""
    from plimsoll.fuzz.shrink import describe, save, shrink

    parser = argparse.ArgumentParser(description="Fuzz the contracts against the model.")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--runs", type=int, default=20, help="how many seeds")
    parser.add_argument("--ops", type=int, default=1000, help="operations of each run")
    parser.add_argument("--every", type=int, default=10, help="operations between state checks")
    parser.add_argument("--corpus", type=Path, help="a folder for what fails")
    parser.add_argument("--verbose", action="store_true", help="count what every operation came to")
    args = parser.parse_args()

    total, seconds, outcomes = 0, 0.0, Counter[str]()
    for seed in range(args.seed, args.seed + args.runs):
        report = fuzz(seed, args.ops, args.every)
        total += len(report.operations)
        seconds += report.seconds
        outcomes += report.outcomes
        if report.mismatch:
            print(f"seed {seed}: {report.mismatch}")
            small = shrink(report)
            print(describe(small))
            if args.corpus:
                print(save(small, args.corpus, f"seed-{seed}"))
            return 1
    print(f"{total} operations in {seconds:.1f} s: {total / max(seconds, 1e-9):.0f} a second")
    if args.verbose:
        for outcome, times in sorted(outcomes.items()):
            print(f"{times:8} {outcome}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
