"""What the Lens says is what the contracts do: every view against the model, every preview against its call."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from plimsoll.fuzz.artifacts import CONTRACTS, compile_contract
from plimsoll.fuzz.lens import Lens, replayed, watched
from plimsoll.fuzz.ops import big_coin, free_coin, small_coin
from plimsoll.fuzz.revm import RevmChain
from plimsoll.fuzz.shrink import describe, from_json
from plimsoll.fuzz.system import Setup, System
from plimsoll.slots import WAD

OPERATIONS = 250
EVERY = 25  # operations between two looks at all views
SEEDS = range(100, 105)
STEPS_GAS = 215_000  # a view of three legs, slots warm
CORPUS = sorted((Path(__file__).parents[1] / "corpus").glob("*.json"))
SCRIPTS = {
    path.stem: from_json(told)
    for path in CORPUS
    if "operations" in (told := json.loads(path.read_text()))
}


class Fault(NamedTuple):
    """`old` becomes `new` in a file of the lenses."""

    name: str
    old: str
    new: str
    file: str = "Lens.vy"


FAULTS = [
    Fault(
        "a preview leaves the surge out",
        "convert(scale, uint256), (leg.t1 >> slots.SPREAD) + leg.surge_ppm",
        "convert(scale, uint256), (leg.t1 >> slots.SPREAD)",
    ),
    Fault("a liquidation price is a wei too near", "    return bad\n", "    return good\n"),
    Fault(
        "what was topped up counts for ever",
        "topped_up & slots.MASK_128 if topped_up >> 128 == block.number else 0",
        "topped_up & slots.MASK_128",
    ),
    Fault(
        "a room for what leaves the skew alone",
        "if abs(skew) < abs(leg.skew):",
        "if abs(skew) <= abs(leg.skew):",
    ),
    Fault("a dead leg bars no withdrawal", "        if not total.dead:\n", "        if True:\n"),
    Fault(
        "interest that is not posted is forgotten",
        "slots.cash_of(header) - convert(p.interest, int256)",
        "slots.cash_of(header)",
        "modules/reader.vy",
    ),
    Fault(
        "an account's own debt counts twice under the cap",
        "convert(credit[0] & slots.MASK_128, int256) + stored",
        "convert(credit[0] & slots.MASK_128, int256)",
        "modules/reader.vy",
    ),
    Fault(
        "a dead token has its part in a seizure",
        "            if h.status == prices.LIVE:\n                p.credit",
        "            if True:\n                p.credit",
        "modules/reader.vy",
    ),
    Fault(
        "dead tokens that were not worth the debt keep their surplus",
        "q.dead >= due",
        "q.dead < due",
    ),
    Fault(
        "a top-up comes out of what bad debt has taken",
        "        fund -= p.debt_to_insurance\n",
        "",
    ),
    Fault(
        "a token taken out stays in everybody's depth",
        "((words[3] >> slots.TOTAL) - amount) * h.unit",
        "(words[3] >> slots.TOTAL) * h.unit",
        "CollateralLens.vy",
    ),
    Fault(
        "only the caps call a conversion",
        "return owes * 10**6 > allowed or equity * 10**6 < maintenance * line",
        "return owes * 10**6 > allowed",
        "CollateralLens.vy",
    ),
]
# A copy of the sources may have an edit in the line where one is planted.
planted = pytest.mark.skipif("PLIMSOLL_CONTRACTS" in os.environ, reason="on our own sources")
TRIED = FAULTS if os.environ.get("PLIMSOLL_FAULTS") == "all" else [FAULTS[1], FAULTS[-1]]


@pytest.mark.parametrize("seed", SEEDS)
def test_lens__any_seed__views_and_previews_equal_model(seed):
    report = watched(seed, OPERATIONS, EVERY)
    assert not report.mismatch, f"{report.mismatch}\n{describe(report)}"
    assert len(report.operations) == OPERATIONS


@pytest.mark.parametrize("name", SCRIPTS)
def test_lens__corpus__views_and_previews_equal_model(name):
    report = replayed(*SCRIPTS[name], EVERY)
    assert not report.mismatch, f"{report.mismatch}\n{describe(report)}"


def test_account__three_legs__finds_their_liquidation_prices_in_a_few_steps():
    """From a guess on: a bisection of the whole range alone would take four times the gas."""
    setup = Setup([big_coin(), small_coin(), free_coin()])
    system = System.build(setup, chain=RevmChain(setup.start))
    lens = Lens(system)
    for who, sign in (("alice", 1), ("bob", -1)):
        system.must("mint", who, 10**10)
        system.must("deposit", who, who, "token", "all")
        for market, size in enumerate((WAD // 2, 500 * WAD, 100 * WAD)):
            system.must("trade", who, who, market, sign * size)
    system.run(["wait", 3_600])
    for _ in range(2):  # slots are cold the first time
        used = []
        for who in ("alice", "bob"):
            view = lens.contract.view("account", system.address(who))
            used.append(system.chain.evm.result.gas_used)
            assert len(view[-1]) == 3
    assert max(used) < STEPS_GAS


@planted
@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_faults__each__has_its_place_in_the_lens(fault):
    assert (CONTRACTS / fault.file).read_text().count(fault.old) == 1


@planted
@pytest.mark.parametrize("fault", TRIED, ids=lambda f: f.name)
def test_lens__planted_fault__is_found(fault, tmp_path):
    """A few are tried by default, or all with ``PLIMSOLL_FAULTS=all``."""
    root = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, root)
    source = root / fault.file
    source.write_text(source.read_text().replace(fault.old, fault.new))
    broken = [compile_contract(f"{name}.vy", root) for name in ("Lens", "CollateralLens")]
    runs = [lambda s=script: replayed(*s, EVERY, *broken) for script in SCRIPTS.values()]
    runs += [lambda s=seed: watched(s, OPERATIONS, EVERY, *broken) for seed in range(20)]
    found = next((report.mismatch for run in runs if (report := run()).mismatch), None)
    assert found is not None and found.kind.startswith("lens ")
