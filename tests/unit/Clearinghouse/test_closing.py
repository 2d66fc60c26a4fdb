"""LIQ-6 with tokens: whatever stands behind an account, being liquidated is never cheaper than closing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from plimsoll.formulas import Refused
from plimsoll.slots import WAD
from tests.utils.backed import MAX, PLAIN, PPM, PRICE, Backed, coin, named

ETH, USD = range(2)
OWNED = ("alice", "alice.1")  # the account, and the one beside it from which its owner liquidates
PARTS = st.integers(0, PPM)

MARKETS: dict[str, dict[str, Any]] = {
    # No fee, no spread, no reward: what is left is the curve, the discount and the fee of a seizure.
    "free": {
        "skew_scale": 100_000 * WAD,
        "max_skew": 2_000 * WAD,
        "max_open_interest": 2_000 * WAD,
    },
    "ordinary": {
        "skew_scale": 100_000 * WAD,
        "max_skew": 2_000 * WAD,
        "max_open_interest": 2_000 * WAD,
        "reward": 5 * WAD,
        "taker_fee_ppm": 500,
        "spread_ppm": 1_000,
    },
    # As dear to close as the fee allows: the system's part leaves the keeper nothing of it.
    "dearest": {
        "skew_scale": 10_000 * WAD,
        "max_skew": 1_000 * WAD,
        "max_open_interest": 1_000 * WAD,
        "im_ppm": 300_000,
        "mm_ppm": 200_000,
        "liquidation_fee_ppm": 100_000,
        "reward": 100 * WAD,
        "taker_fee_ppm": 14_000,
        "spread_ppm": 50_000,
    },
}


@functools.cache
def venue(market: str) -> Backed:
    """Ether at 3,000, a dollar, and whoever stands on the other side; nothing of it is ever changed."""
    b = Backed(
        [coin(3_000), coin(1, 18)], market=MARKETS[market], quote_decimals=18, pool_cash=10**8
    )
    b.fund("bob", 10**7)
    return b


def furthest(b: Backed, side: int, well: Callable[[], bool]) -> int:
    """The worst answer of the market's feed for that side at which all is well still, by the model."""
    feed = b.model.feeds[b.feeds[0].address]
    kept, best, worst = feed.answer, feed.answer, 10**8 if side > 0 else 10**5 * 10**8
    while abs(worst - best) > 1:
        feed.answer = middle = (best + worst) // 2
        best, worst = (middle, worst) if well() else (best, middle)
    feed.answer = kept
    return best


def can_close(b: Backed, size: int) -> bool:
    """Whether alice can close what is minus `size`, and owes no more then than a seizure brings."""
    model, alice = b.model, b.at("alice")
    saved = model.save()
    try:
        model.trade(alice, alice, 0, size, MAX if size > 0 else 0)
        return model.header_of(alice).cash + model._backing(alice).credit >= 0
    except Refused:
        return False
    finally:
        model.load(saved)


class Scene(NamedTuple):
    """A position with tokens behind it, somewhere between the line and nothing; parts are in ppm."""

    market: str  # of `MARKETS`
    side: int
    ether: int  # of 20
    dollars: int  # of 60,000
    cash: int  # of 60,000
    size: int  # of what that could open
    crowd: int  # of the greatest skew that its own size leaves
    fall: int  # of the way from just below the line to where it can only just be closed
    dead: int | None = None  # the token whose feed has just failed
    keeper: str = "alice"


class Ends(NamedTuple):
    """What the owner has in the end, tokens at the oracle's price [WAD quote]."""

    closed: int
    kept: int
    lots: int


def played(scene: Scene) -> Ends | None:
    """How a scene ends either way; None if it cannot be set, or closing would leave less than nothing."""
    b, market = venue(scene.market), MARKETS[scene.market]
    with b.imagined():
        b.fund("alice", 60_000 * scene.cash // PPM + 1)
        for id, part in ((ETH, 20 * scene.ether), (USD, 60_000 * scene.dollars)):
            if part:
                b.back("alice", id, part * WAD // PPM)
        carries = b.cash("alice") + sum(b.holding("alice", id).initial for id in (ETH, USD))
        im_ppm = {**PLAIN, **market}["im_ppm"]
        size = min(carries * PPM // im_ppm // PRICE, market["max_skew"]) * scene.size // PPM
        crowd = (market["max_skew"] - size) * scene.crowd // PPM
        if abs(crowd) > WAD:
            b.do("trade", "bob", "bob", 0, crowd)
        if size < 10**10 or not b.attempt("trade", "alice", "alice", 0, scene.side * size).ok:
            return None
        if scene.dead is not None:
            b.kill(scene.dead)
            b.do("poke_token", "keeper", f"coin{scene.dead}")
        line = furthest(b, scene.side, lambda: b.model.health(b.at("alice")) >= WAD)
        end = furthest(b, scene.side, lambda: can_close(b, -scene.side * size))
        below = line - scene.side
        if (below - end) * scene.side < 0:
            return None
        b.do("price", 0, below + (end - below) * scene.fall // PPM, 0)
        if b.health("alice") >= WAD:
            return None  # no price that the market may have takes him below it
        with b.imagined():
            b.do("trade", "alice", "alice", 0, -scene.side * size)
            closed = sum(b.equity(name) for name in OWNED)
        told = b.do("liquidate", scene.keeper, "alice")
        kept = sum(b.equity(name) for name in OWNED)
        return Ends(closed, kept, len(named(told, "LotOpened")))


@settings(max_examples=300, deadline=None)
@given(
    st.builds(
        Scene,
        market=st.sampled_from([*MARKETS]),
        side=st.sampled_from([1, -1]),
        ether=PARTS,
        dollars=PARTS,
        cash=st.one_of(st.just(0), PARTS),
        size=st.integers(PPM // 10, 95 * PPM // 100),
        crowd=st.integers(-PPM, PPM // 2),
        fall=st.one_of(st.just(PPM), PARTS),
        dead=st.sampled_from([None, None, ETH, USD]),
        keeper=st.sampled_from(OWNED),
    )
)
def test_liquidate__tokens_behind_and_closing_possible__costs_owner_and_keeper_no_less(scene):
    ends = played(scene)
    event("cannot be" if ends is None else f"{ends.lots} lots")
    assume(ends is not None)
    assert ends.kept <= ends.closed + 1
