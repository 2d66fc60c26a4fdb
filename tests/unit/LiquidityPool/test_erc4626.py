"""What ERC-4626 and ERC-7540 promise, on scenes where each promise is at its edge; and that it bites."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest

pytest.importorskip("pyrevm")

from plimsoll.fuzz import erc4626
from plimsoll.fuzz.artifacts import CONTRACTS, Artifact, compile_contract
from plimsoll.fuzz.edits import SWITCH, without_pure
from plimsoll.fuzz.properties import Mismatch
from plimsoll.fuzz.revm import RevmChain
from plimsoll.fuzz.system import compiled
from tests.utils.backed import DAY, WAD, Backed

HOUR = 3_600
FILE = "LiquidityPool.vy"
Scene = Callable[..., Backed]


def quiet(artifact: Artifact | None = None, **options: object) -> Backed:
    """A pool of a million and a half, a third of it the lender's and alice's, whose requests are due."""
    artifacts = artifact and replace(compiled(), pool=artifact)
    b = Backed([], artifacts=artifacts, compare=False, pool_cash=1_000_000, **options)
    for who, amount in (("alice", 300_000), ("bob", 200_000)):
        b.do("mint", who, amount * b.raw)
        b.do("pool_deposit", who, amount * b.raw, who)
    b.do("request", "alice", "all", "alice", "alice")
    b.do("request", "lender", 10**6 * 10**9 + 7, "lender", "lender")
    b.do("request", "bob", 12_345 * 10**12 + 1, "bob", "bob")
    b.wait(DAY)
    return b


def won(artifact: Artifact | None = None) -> Backed:
    """A pool that has won since: what a claim pays is what it was worth when requested."""
    b = traded(artifact, 3_000)
    b.market_price(2_700)
    return b


def lost(artifact: Artifact | None = None) -> Backed:
    """A pool that has lost since: what a claim pays is what it is worth now, odd to the last digit."""
    b = traded(artifact, 3_000)
    b.market_price(3_117.77)
    return b


def traded(artifact: Artifact | None, price: float) -> Backed:
    """A pool that is short 300 at 3,000, and knows its NAV."""
    b = quiet(artifact, market={"im_ppm": 100_000, "max_skew": 500 * WAD, "spread_ppm": 300})
    b.fund("mallory", 1_000_000)
    b.do("trade", "mallory", "mallory", 0, 300 * WAD + 10**11)
    b.market_price(price)
    return b


def laden(artifact: Artifact | None = None) -> Backed:
    """A pool whose exposure lets only a part of the requests go."""
    b = quiet(artifact, max_pool_leverage_ppm=1_000_000)
    b.fund("mallory", 1_000_000)
    b.do("trade", "mallory", "mallory", 0, 450 * WAD)
    return b


def slow(artifact: Artifact | None = None) -> Backed:
    """An hour lets a hundredth go."""
    return quiet(artifact, outflow_ppm=10_000, outflow_floor=0)


def young(artifact: Artifact | None = None) -> Backed:
    """Requests that still cool down."""
    b = Backed(
        [],
        artifacts=artifact and replace(compiled(), pool=artifact),
        compare=False,
        pool_cash=1_000,
    )
    b.do("request", "lender", 10**9, "lender", "lender")
    return b


def dead(artifact: Artifact | None = None) -> Backed:
    """A price that is not live: nobody comes in or goes."""
    b = traded(artifact, 3_000)
    b.do("fault", 0, "revert")
    b.wait(HOUR, fresh=False)
    return b


SCENES: tuple[Scene, ...] = (quiet, won, lost, laden, slow, young, dead)


def tried(b: Backed) -> None:
    """Every property, by somebody with a request and by somebody without."""
    requests = [b.at(who) for who in ("alice", "bob", "lender")]
    amounts = 1, 7, 123_456 * b.raw + 1, 3 * 10**14 + 1
    erc4626.check(b.system.pool, b.system.token, b.at("bob"), requests, amounts)


@pytest.mark.parametrize("scene", SCENES, ids=lambda f: f.__name__)
def test_pool__any_scene__keeps_what_the_standards_promise(scene: Scene) -> None:
    b = scene()
    before = b.everything()
    tried(b)
    assert b.everything() == before


def test_scenes__each__are_what_they_say() -> None:
    """None of them passes by what it is about."""
    ready = {scene.__name__: scene().system.pool for scene in SCENES}
    alice = quiet().at("alice")
    most = {name: pool.view("maxRedeem", alice) for name, pool in ready.items() if name != "young"}
    asked = 300_000 * 10**12
    assert most["quiet"] == most["won"] == most["lost"] == asked
    assert 0 < most["laden"] < asked and 0 < most["slow"] < asked
    assert most["dead"] == 0 and ready["dead"].view("maxDeposit", alice) == 0
    lender = young().at("lender")
    assert ready["young"].view("pendingRedeemRequest", 0, lender) == 10**9
    worth = {name: ready[name].view("maxWithdraw", alice) for name in ("quiet", "won", "lost")}
    assert worth["lost"] < worth["won"] == worth["quiet"]


class Fault(NamedTuple):
    """`old`, an expression that stands once in `place`, becomes `new`: which breaks a promise."""

    what: str
    place: str  # stands once in the pool's source
    old: str
    new: str


SHARES = "assets * UNIT * (share_token.totalSupply + VIRTUAL_SHARES)"
ASSETS = (
    "shares * (self._assets(self._value()) + UNIT) // (share_token.totalSupply + VIRTUAL_SHARES)"
)
OUTFLOW = "room = min(room, lets_go)\n    if room == 0:\n        return 0\n    "
PAYS = "min(self._worth(amount, v), request.worth * amount // request.shares) // UNIT"
FAULTS = (
    Fault(
        "convertToShares rounds up",
        f"return {SHARES} // (self._assets(self._value()) + UNIT)\n",
        f"{SHARES} // (self._assets(self._value()) + UNIT)",
        f"self._up({SHARES}, self._assets(self._value()) + UNIT) + 1",
    ),
    Fault(
        "convertToAssets asks who calls",
        f"return {ASSETS} // UNIT\n",
        f"{ASSETS} // UNIT",
        f"{ASSETS} // (UNIT + convert(share_token.balanceOf[msg.sender] == 0, uint256))",
    ),
    Fault(
        "maxRedeem does not know the hour's outflow",
        f"{OUTFLOW}amount",
        "min(room, lets_go)",
        "room",
    ),
    Fault(
        "maxWithdraw does not know the hour's outflow",
        f"{OUTFLOW}return min(self._payout(request.shares, request, v), room)",
        "min(room, lets_go)",
        "room",
    ),
    Fault(
        "maxRedeem is a share short of what passes",
        "return amount if payout != 0 else 0\n",
        "amount if payout != 0 else 0",
        "amount - 1 if payout != 0 else 0",
    ),
    Fault(
        "a preview forgets what entries pay",
        "self._check_entry(v)\n    return self._shares_for(assets, v)\n",
        "self._shares_for(assets, v)",
        "self._shares_for(assets, v) * 2",
    ),
    Fault(
        "previewMint rounds down",
        "self._check_entry(v)\n    return self._cost_of(shares, v)\n",
        "self._cost_of(shares, v)",
        "self._cost_of(shares, v) - 1",
    ),
    Fault(
        "maxMint is without end",
        "return self._shares_for(space, v) if space != 0 else 0\n",
        "self._shares_for(space, v) if space != 0 else 0",
        "self._shares_for(space, v) + 1 if space != 0 else 0",
    ),
    Fault(
        "what a claim pays rounds up",
        f"return {PAYS}\n",
        PAYS,
        f"{PAYS} + 1",
    ),
    Fault(
        "strangers claim",
        "if msg.sender != controller and not self.isOperator[controller][msg.sender]:\n",
        "msg.sender != controller and not self.isOperator[controller][msg.sender]",
        "msg.sender == self",
    ),
    Fault(
        "a request that is claimable is pending, too",
        "and block.timestamp < request.claimable_at else 0",
        "block.timestamp < request.claimable_at",
        "block.timestamp <= request.claimable_at + CLAIM_WINDOW",
    ),
)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The pool with all the faults, each behind the switch of `plimsoll.fuzz.edits`."""
    root = tmp_path_factory.mktemp("faulty") / "contracts"
    shutil.copytree(CONTRACTS, root)
    without_pure(root)
    source = root / FILE
    text = source.read_text()
    for number, fault in enumerate(FAULTS, 1):
        assert (text.count(fault.place), fault.place.count(fault.old)) == (1, 1), fault.what
        choice = f"(({fault.new}) if {SWITCH} == {number} else ({fault.old}))"
        text = text.replace(fault.place, fault.place.replace(fault.old, choice))
    source.write_text(text)
    return compile_contract(FILE, root)


@pytest.mark.skipif("PLIMSOLL_CONTRACTS" in os.environ, reason="on our own sources")
@pytest.mark.parametrize(
    "number", range(len(FAULTS) + 1), ids=["none", *(fault.what for fault in FAULTS)]
)
def test_fault__planted_in_the_pool__breaks_a_promise(
    number: int, faulty: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none of them without the switch."""
    monkeypatch.setattr(RevmChain, "switch", number)
    kinds = (broken_promise(scene, faulty) for scene in SCENES)
    found = next(filter(None, kinds), "")
    assert found.startswith("property ERC-4626") if number else not found


def broken_promise(scene: Scene, artifact: Artifact) -> str:
    """What kind of promise does not hold there; nothing if all do."""
    try:
        tried(scene(artifact))
    except Mismatch as mismatch:
        return mismatch.kind
    return ""
