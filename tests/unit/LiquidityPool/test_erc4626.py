"""What ERC-4626 and ERC-7540 promise, on scenes where each promise is at its edge; and that it bites."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pyrevm")

from plimsoll.fuzz import erc4626
from plimsoll.fuzz.artifacts import CONTRACTS, Artifact, compile_contract
from plimsoll.fuzz.properties import Mismatch
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


def faults() -> Iterator[tuple[str, str, str]]:
    """(what, the line, in its place), each of which breaks a promise."""
    yield (
        "convertToShares rounds up",
        "return assets * UNIT * (share_token.totalSupply + VIRTUAL_SHARES) // (self._assets(self._value()) + UNIT)",
        "return self._up(assets * UNIT * (share_token.totalSupply + VIRTUAL_SHARES), self._assets(self._value()) + UNIT) + 1",
    )
    yield (
        "convertToAssets asks who calls",
        "return shares * (self._assets(self._value()) + UNIT) // (share_token.totalSupply + VIRTUAL_SHARES) // UNIT",
        "return shares * (self._assets(self._value()) + UNIT) // (share_token.totalSupply + VIRTUAL_SHARES)"
        " // (UNIT + convert(share_token.balanceOf[msg.sender] == 0, uint256))",
    )
    yield (
        "maxRedeem does not know the hour's outflow",
        "    room, lets_go = self._room(v)\n    room = min(room, lets_go)\n    if room == 0:\n"
        "        return 0\n    amount",
        "    room, lets_go = self._room(v)\n    if room == 0:\n        return 0\n    amount",
    )
    yield (
        "maxWithdraw does not know the hour's outflow",
        "    room = min(room, lets_go)\n    if room == 0:\n        return 0\n"
        "    return min(self._payout(request.shares, request, v), room)",
        "    if room == 0:\n        return 0\n"
        "    return min(self._payout(request.shares, request, v), room)",
    )
    yield (
        "maxRedeem is a share short of what passes",
        "    return amount if payout != 0 else 0\n",
        "    return amount - 1 if payout != 0 else 0\n",
    )
    yield (
        "a preview forgets what entries pay",
        "    self._check_entry(v)\n    return self._shares_for(assets, v)\n",
        "    self._check_entry(v)\n    return self._shares_for(assets, v) * 2\n",
    )
    yield (
        "previewMint rounds down",
        "    self._check_entry(v)\n    return self._cost_of(shares, v)\n",
        "    self._check_entry(v)\n    return self._cost_of(shares, v) - 1\n",
    )
    yield (
        "maxMint is without end",
        "    return self._shares_for(space, v) if space != 0 else 0\n",
        "    return self._shares_for(space, v) + 1 if space != 0 else 0\n",
    )
    yield (
        "what a claim pays rounds up",
        "request.worth * amount // request.shares) // UNIT\n",
        "request.worth * amount // request.shares) // UNIT + 1\n",
    )
    yield (
        "strangers claim",
        "    if msg.sender != controller and not self.isOperator[controller][msg.sender]:\n",
        "    if msg.sender == self:\n",
    )
    yield (
        "a request that is claimable is pending, too",
        "and block.timestamp < request.claimable_at else 0",
        "and block.timestamp <= request.claimable_at + CLAIM_WINDOW else 0",
    )


def broken(old: str, new: str, tmp_path: Path) -> Artifact:
    """The pool with another line."""
    root = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, root)
    source = root / FILE
    text = source.read_text()
    assert text.count(old) == 1, text.count(old)
    source.write_text(text.replace(old, new))
    return compile_contract(FILE, root)


@pytest.mark.skipif("PLIMSOLL_CONTRACTS" in os.environ, reason="on our own sources")
@pytest.mark.parametrize(("what", "old", "new"), faults(), ids=lambda x: x[:40])
def test_fault__planted_in_the_pool__breaks_a_promise(
    what: str, old: str, new: str, tmp_path: Path
) -> None:
    artifact = broken(old, new, tmp_path)
    kinds = (broken_promise(scene, artifact) for scene in SCENES)
    assert next(filter(None, kinds), "").startswith("property ERC-4626"), what


def broken_promise(scene: Scene, artifact: Artifact) -> str:
    """What kind of promise does not hold there; nothing if all do."""
    try:
        tried(scene(artifact))
    except Mismatch as mismatch:
        return mismatch.kind
    return ""
