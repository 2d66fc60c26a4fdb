"""The fuzzer finds what is wrong: each fault is one edit of the sources, and each must be found.

Twelve are tried by default, and drawn operations alone must find them; ``PLIMSOLL_FAULTS=all`` tries every
one, with the corpus for those that nothing drawn finds. (`plimsoll.fuzz.mutants` makes thousands, by itself.)
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from plimsoll.fuzz import corpus
from plimsoll.fuzz.artifacts import CONTRACTS, Artifact, compile_with_vyper
from plimsoll.fuzz.run import fuzz, replay
from plimsoll.fuzz.system import compiled

RUNS, OPERATIONS = 30, 500  # for one fault: ten seconds of a core that does 1,500 operations in one
HOUSE, POOL, TERMS, AUCTION = "clearinghouse", "pool", "configurator", "auction"
SOURCES = {
    HOUSE: "Clearinghouse.vy",
    POOL: "LiquidityPool.vy",
    TERMS: "Configurator.vy",
    AUCTION: "CollateralAuction.vy",
}


class Fault(NamedTuple):
    """`old` becomes `new` in `file`; `where` is the contract that has it."""

    name: str
    where: str
    file: str
    old: str
    new: str


FAULTS = [
    Fault(
        "longs pay funding that shorts do not get",
        HOUSE,
        "modules/margin.vy",
        "gap: int256 = unsafe_sub(convert(convert(price, bytes32), int256), index)",
        "gap: int256 = unsafe_sub(convert(price, int256), max(index, 0) if size > 0 else 0)",
    ),
    Fault(
        "the funding of a fill is the trader's alone",
        HOUSE,
        "modules/curve.vy",
        "        kept = unsafe_add(basis, cost)\n",
        "        kept = unsafe_add(basis, cost)\n        cost = self.cost_of(delta, price, 0)\n",
    ),
    Fault(
        "a closed position keeps its bit",
        HOUSE,
        "Clearinghouse.vy",
        "header = header | bit if leg.size != 0 else header & ~bit",
        "header = header | bit",
    ),
    Fault(
        "a liquidated position keeps its bit",
        HOUSE,
        "Clearinghouse.vy",
        "bitmap = bitmap ^ (1 << leg.id)",
        "pass",
    ),
    Fault(
        "bad debt is not booked",
        HOUSE,
        "Clearinghouse.vy",
        "absorbed = unsafe_add(absorbed, from_pool)",
        "pass",
    ),
    Fault(
        "the insurance fund is not debited",
        HOUSE,
        "Clearinghouse.vy",
        "insurance = unsafe_sub(insurance, from_insurance)",
        "pass",
    ),
    Fault(
        "opening asks for the maintenance margin",
        HOUSE,
        "Clearinghouse.vy",
        "if unsafe_add(opening, convert(tokens, int256)) < convert(total.initial, int256):",
        "if unsafe_add(opening, convert(tokens, int256)) < convert(total.maintenance, int256):",
    ),
    Fault(
        "a paper profit can be withdrawn",
        HOUSE,
        "Clearinghouse.vy",
        "self._check_margin(total, slots.cash_of(header), collateral.value(account, header).initial, 0)",
        "self._check_margin(total, slots.cash_of(header), collateral.value(account, header).initial, 10**6)",
    ),
    Fault(
        "a partial close rounds for the account",
        HOUSE,
        "modules/curve.vy",
        "share: int256 = unsafe_sub(\n            0,\n            fixed_point.floor_div(\n"
        "                unsafe_mul(basis, unsafe_sub(0, max(delta, unsafe_sub(0, delta)))), "
        "max(size, unsafe_sub(0, size))\n            ),\n        )",
        "share: int256 = fixed_point.floor_div(basis * abs(delta), abs(size))",
    ),
    Fault(
        "the pool keeps the premium in its NAV",
        POOL,
        "LiquidityPool.vy",
        "        v.nav -= convert(premium, int256)\n",
        "        v.nav -= 0\n",
    ),
    Fault(
        "requirements may rise at once",
        TERMS,
        "Configurator.vy",
        "and terms.reward <= old.reward",
        "and terms.reward >= old.reward",
    ),
    Fault(
        "a ramp is saved up",
        TERMS,
        "Configurator.vy",
        "min(block.timestamp - ramp.walked_at, STEP)",
        "block.timestamp - ramp.walked_at",
    ),
    Fault(
        "a change of terms ends a pause",
        TERMS,
        "Configurator.vy",
        "words[2] = words[2] | (self.paused_until[id] << slots.PAUSED_UNTIL)",
        "pass",
    ),
    Fault(
        "a ramp's end undoes the guardian's restriction",
        TERMS,
        "Configurator.vy",
        "self._ramps[market].target.max_skew = min(self._ramps[market].target.max_skew, max_skew)",
        "pass",
    ),
    Fault(
        "the curve leaves the skew out by half",
        HOUSE,
        "modules/curve.vy",
        "unsafe_add(doubled, unsafe_mul(2, skew))",
        "unsafe_add(doubled, skew)",
    ),
    Fault(
        "maintenance looks at the live skew",
        HOUSE,
        "Clearinghouse.vy",
        "(leg.t0 >> slots.MM) & slots.MASK_20, scale, reward\n    )\n    if stable",
        "(leg.t0 >> slots.MM) & slots.MASK_20, scale, reward\n    )\n"
        "    mm += fixed_point.magnitude(leg.skew) if leg.size != 0 else 0\n    if stable",
    ),
    Fault(
        "funding is not split at the clamp",
        HOUSE,
        "modules/funding.vy",
        "twice_mean = unsafe_sub(unsafe_mul(2, r1), unsafe_div(unsafe_mul(gap, gap), change))",
        "twice_mean = unsafe_add(r0, r1)",
    ),
    Fault(
        "a price may be a second too old",
        HOUSE,
        "modules/prices.vy",
        "elif unsafe_sub(block.timestamp, updated_at) <= (t0 >> slots.MAX_AGE) & slots.MASK_20:",
        "elif unsafe_sub(block.timestamp, updated_at) <= ((t0 >> slots.MAX_AGE) & slots.MASK_20) + 1:",
    ),
    Fault(
        "exposure is taken off at the new price",
        HOUSE,
        "modules/markets.vy",
        "unsafe_mul(slots.open_interest(m.lots, m.skew), m.last_price)",
        "unsafe_mul(slots.open_interest(m.lots, m.skew), m.price)",
    ),
    Fault(
        "the rate's sign spills into the index",
        HOUSE,
        "modules/slots.vy",
        "((convert(convert(rate, bytes32), uint256) & MASK_60) << RATE)",
        "(convert(convert(rate, bytes32), uint256) << RATE)",
    ),
    Fault(
        "the keeper shares the system's part",
        HOUSE,
        "modules/liquidation.vy",
        "unsafe_sub(fee, min(kept, fee)))",
        "fee)",
    ),
    Fault(
        "the cap on top-ups is for ever",
        HOUSE,
        "Clearinghouse.vy",
        "spent: uint256 = word & slots.MASK_128 if word >> 128 == block.number else 0",
        "spent: uint256 = word & slots.MASK_128",
    ),
    Fault(
        "a stable price knows no hour's bound",
        HOUSE,
        "modules/prices.vy",
        "unsafe_mul(unsafe_mul(stable, speed_ppm), min(elapsed, HOUR))",
        "unsafe_mul(unsafe_mul(stable, speed_ppm), elapsed)",
    ),
    Fault(
        "opening looks at the oracle alone",
        HOUSE,
        "Clearinghouse.vy",
        "        opening_pnl, im = margin.opening_value(\n            leg.size,\n            pnl,\n            leg.price,\n            stable,",
        "        opening_pnl, im = margin.opening_value(\n            leg.size,\n            pnl,\n            leg.price,\n            leg.price,",
    ),
    Fault(
        "an hour's outflow never ends",
        HOUSE,
        "modules/outflow.vy",
        "if word >> 128 == hour:",
        "if word != 0:",
    ),
    Fault(
        "an exit leaves no reported loss behind",
        POOL,
        "LiquidityPool.vy",
        "return v.nav + convert(v.sure, int256) - convert(v.doubtful, int256)",
        "return v.nav + convert(v.sure, int256) - 0 * convert(v.doubtful, int256)",
    ),
    Fault(
        "the open interest may not reach its cap",
        HOUSE,
        "modules/markets.vy",
        "if open_interest > (t2 >> slots.MAX_OPEN_INTEREST) & slots.MASK_96:",
        "if open_interest >= (t2 >> slots.MAX_OPEN_INTEREST) & slots.MASK_96:",
    ),
    Fault(
        "dead legs do not count",
        HOUSE,
        "Clearinghouse.vy",
        "dead=total.dead or leg.status != prices.LIVE",
        "dead=leg.status != prices.LIVE",
    ),
    Fault(
        "a surge outlives its second",
        HOUSE,
        "modules/markets.vy",
        "    if elapsed == 0:\n        leg.surge_ppm = (hot.b >> slots.SURGE) & slots.MASK_20\n",
        "    leg.surge_ppm = (hot.b >> slots.SURGE) & slots.MASK_20\n    if elapsed == 0:\n",
    ),
    Fault(
        "interest rounds for the debtor",
        HOUSE,
        "modules/debt.vy",
        "fixed_point.ceil_div(unsafe_mul(debt, now), then)",
        "unsafe_div(unsafe_mul(debt, now), then)",
    ),
    Fault(
        "a seizure takes one unit more than it must",
        HOUSE,
        "modules/collateral.vy",
        "return fixed_point.ceil_div(unsafe_mul(worth, WAD), unsafe_mul(h.unit, h.price))",
        "return unsafe_div(unsafe_mul(worth, WAD), unsafe_mul(h.unit, h.price)) + 1",
    ),
    Fault(
        "a settled profit is left in the basis",
        HOUSE,
        "Clearinghouse.vy",
        "net = unsafe_add(net, pnl)",
        "net = unsafe_add(net, min(pnl, 0))",
    ),
    Fault(
        "a dead token does not fade",
        HOUSE,
        "modules/collateral.vy",
        "fade: uint256 = min(unsafe_sub(block.timestamp, seen_at), DAY)",
        "fade: uint256 = 0",
    ),
    Fault(
        "a lot's cost rounds down",
        AUCTION,
        "CollateralAuction.vy",
        "return fixed_point.ceil_div(worth, UNIT)",
        "return worth // UNIT",
    ),
    Fault(
        "a dead feed's time counts for the auction",
        AUCTION,
        "CollateralAuction.vy",
        "max(min(updated_at, sale >> 208), seen_at) - seen_at",
        "max(updated_at, seen_at) - seen_at",
    ),
    Fault(
        "a claim pays the greater value",
        POOL,
        "LiquidityPool.vy",
        "return min(self._worth(amount, v), request.worth * amount // request.shares) // UNIT",
        "return max(self._worth(amount, v), request.worth * amount // request.shares) // UNIT",
    ),
    Fault(
        "interest is nobody's gain",
        HOUSE,
        "modules/ledger.vy",
        "            self._shift(POOL, self._headers[POOL], owed)\n",
        "",
    ),
    Fault(
        "interest rounds down",
        HOUSE,
        "modules/debt.vy",
        "unsafe_sub(fixed_point.ceil_div(unsafe_mul(debt, now), then), debt)",
        "unsafe_sub(unsafe_div(unsafe_mul(debt, now), then), debt)",
    ),
    Fault(
        "terms of credit change before interest accrues",
        HOUSE,
        "Clearinghouse.vy",
        "    ledger._accrue()\n    ledger._credit = credit\n",
        "    ledger._credit = credit\n    ledger._accrue()\n",
    ),
    Fault(
        "a token leaves and its total stays",
        HOUSE,
        "modules/collateral.vy",
        "    self._tokens[id].holding = unsafe_sub(self._tokens[id].holding, amount << slots.TOTAL)\n",
        "",
    ),
    Fault(
        "initial weight for maintenance",
        HOUSE,
        "modules/collateral.vy",
        "weight: uint256 = slots.weight_now(token.t0, token.t1, slots.MM, slots.MM_BEFORE)",
        "weight: uint256 = slots.weight_now(token.t0, token.t1, slots.IM, slots.IM_BEFORE)",
    ),
    Fault(
        "maintenance looks at everybody's depth",
        HOUSE,
        "modules/collateral.vy",
        "h.maintenance = self._weighed(worth, weight, scale, amount)",
        "h.maintenance = self._weighed(worth, weight, scale, unsafe_mul(token.holding >> slots.TOTAL, h.unit))",
    ),
    Fault(
        "a dead token counts for opening",
        HOUSE,
        "modules/collateral.vy",
        "    if h.status == prices.LIVE:\n        weight",
        "    if True:\n        weight",
    ),
    Fault(
        "a dead token never fades",
        HOUSE,
        "modules/collateral.vy",
        "unsafe_sub(DAY, fade)",
        "DAY",
    ),
    Fault(
        "a lower weight holds at once",
        HOUSE,
        "modules/slots.vy",
        "    before: uint256 = max((t1 >> before_at) & MASK_20, weight)",
        "    before: uint256 = weight",
    ),
    Fault(
        "the cap counts one deposit alone",
        HOUSE,
        "modules/collateral.vy",
        "    if total > self._limits[id] & slots.MASK_128:",
        "    if arrived > self._limits[id] & slots.MASK_128:",
    ),
    Fault(
        "a stranger fills the bitmap",
        HOUSE,
        "Clearinghouse.vy",
        "        if collateral._held[ledger.key(account, id)] == 0:\n            self._check_owner(account)\n",
        "",
    ),
    Fault(
        "a seizure takes a unit too few",
        HOUSE,
        "modules/collateral.vy",
        "    return fixed_point.ceil_div(unsafe_mul(worth, WAD), unsafe_mul(h.unit, h.price))",
        "    return unsafe_div(unsafe_mul(worth, WAD), unsafe_mul(h.unit, h.price))",
    ),
    Fault(
        "a seizure is credited in full",
        HOUSE,
        "modules/collateral.vy",
        "    return unsafe_div(unsafe_mul(worth, h.kept_ppm), PPM)",
        "    return worth",
    ),
    Fault(
        "the pool does not pay for its lots",
        HOUSE,
        "Clearinghouse.vy",
        "ledger.add_cash(ledger.POOL, unsafe_sub(to_pool, convert(absorbed, int256)))",
        "ledger.add_cash(ledger.POOL, to_pool)",
    ),
    Fault(
        "what the pool absorbs stays in its known NAV",
        HOUSE,
        "Clearinghouse.vy",
        "    markets.book(exposure_change, absorbed)\n",
        "    markets.book(exposure_change, 0)\n",
    ),
    Fault(
        "a debt may pass its cap",
        HOUSE,
        "Clearinghouse.vy",
        "everybodys > ledger._credit & slots.MASK_96 or ",
        "",
    ),
    Fault(
        "a debt may pass the account's share",
        HOUSE,
        "Clearinghouse.vy",
        " or self._over_ratio(debt, tokens):",
        ":",
    ),
    Fault(
        "a settled loss stays in the basis",
        HOUSE,
        "Clearinghouse.vy",
        "basis: int256 = unsafe_add(leg.basis, pnl)",
        "basis: int256 = leg.basis",
    ),
    Fault(
        "a conversion is not called by what the account owes",
        HOUSE,
        "Clearinghouse.vy",
        "        called = called or self._over_ratio(owes, backing.maintenance)\n",
        "",
    ),
    Fault(
        "a lot is sold under the floor",
        AUCTION,
        "CollateralAuction.vy",
        "(premium + discount) * min(elapsed, duration)",
        "(premium + discount) * elapsed",
    ),
    Fault(
        "a cost rounds down",
        AUCTION,
        "CollateralAuction.vy",
        "    return fixed_point.ceil_div(worth, UNIT)",
        "    return worth // UNIT",
    ),
    Fault(
        "a clock runs while its feed is dead",
        AUCTION,
        "CollateralAuction.vy",
        "max(min(updated_at, sale >> 208), seen_at) - seen_at",
        "max(updated_at, seen_at) - seen_at",
    ),
    Fault(
        "proceeds go to the fund alone",
        AUCTION,
        "CollateralAuction.vy",
        "for_pool: uint256 = min(unsafe_sub(paid, for_insurance), fixed_point.ceil_div(to_pool, UNIT))",
        "for_pool: uint256 = 0",
    ),
]
DRAWN = FAULTS[:7] + FAULTS[-3:]
TRIED = FAULTS if os.environ.get("PLIMSOLL_FAULTS") == "all" else DRAWN


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_faults__each__has_its_place_in_the_sources(fault):
    assert (CONTRACTS / fault.file).read_text().count(fault.old) == 1


@pytest.mark.parametrize("fault", TRIED, ids=lambda f: f.name)
def test_fuzz__planted_fault__is_found(fault, tmp_path):
    root = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, root)
    source = root / fault.file
    source.write_text(source.read_text().replace(fault.old, fault.new))
    path = SOURCES[fault.where]
    out = compile_with_vyper(path, root)
    code = bytes.fromhex(out["bytecode"].removeprefix("0x"))
    broken = replace(compiled(), **{fault.where: Artifact(Path(path).stem, out["abi"], code)})

    for seed in range(RUNS):
        report = fuzz(seed, OPERATIONS, artifacts=broken)
        if report.mismatch:
            print(f"{fault.name}: seed {seed}: {str(report.mismatch)[:150]}")
            return
    # Then by what was once found: a list that a fuzzer drew, or somebody wrote.
    for name in () if fault in DRAWN else corpus.names():
        setup, operations, _ = corpus.load(name)
        if replay(setup, operations, artifacts=broken).mismatch:
            print(f"{fault.name}: by {name} alone")
            return
    pytest.fail(f"not found in {RUNS * OPERATIONS:,} operations: {fault.name}")
