"""One market on the fast lane, contracts beside the model, for tests of who governs it."""

from __future__ import annotations

from typing import Any

from plimsoll.fuzz.chain import Outcome
from plimsoll.fuzz.system import MarketSetup, Setup, System
from plimsoll.slots import WAD, Terms

DAY, HOUR = 86_400, 3_600
PRICE = 100 * 10**8  # of the feed, 8 decimals
NOT_OWNER = "ownable: caller is not the owner"
BASE: dict[str, Any] = {
    "max_age": 3_600,
    "min_price": WAD,
    "max_price": 10_000 * WAD,
    "skew_scale": 1_000_000 * WAD,
    "max_skew": 10_000 * WAD,
    "max_open_interest": 14_000 * WAD,
    "im_ppm": 50_000,
    "mm_ppm": 25_000,
    "liquidation_fee_ppm": 10_000,
    "reward": 5 * WAD,
    "taker_fee_ppm": 500,
    "spread_ppm": 1_000,
    "otc_band_ppm": 5_000,
    "max_velocity_ppm": 500_000,
    "max_rate_ppm": 10_000,
    "reduce_only": False,
}


def governed(**terms: Any) -> System:
    """A market, with some of the usual terms changed; ``keeper`` is the guardian."""
    system = System.build(Setup([MarketSetup(PRICE, 8, {**BASE, **terms})]))
    assert do(system, "guardian", "owner", "keeper").ok
    return system


def opened(size: int = 10 * WAD, **terms: Any) -> System:
    """A market in which alice has a position."""
    system = governed(**terms)
    system.must("mint", "alice", 10_000_000 * 10**6)
    system.must("deposit", "alice", "alice", "token", 10_000_000 * 10**6)
    system.must("trade", "alice", "alice", 0, size)
    return system


def do(system: System, *op: Any) -> Outcome:
    """Run an operation; model and contracts must agree on it."""
    real, ideal = system.run(list(op))
    assert real == ideal, f"{op}: {real} is not {ideal}"
    return real


def wait(system: System, seconds: int, answer: int | None = PRICE) -> None:
    """Let time pass; the feed keeps up unless told not to."""
    do(system, "wait", seconds)
    if answer is not None:
        do(system, "price", 0, answer, 0)


def ramp(system: System, changes: dict[str, Any], duration: int = 3 * DAY, **how: Any) -> Outcome:
    """Begin a ramp from the terms in effect to these."""
    kept = terms(system)._asdict()
    del kept["feed"]
    market, sender = how.get("market", 0), how.get("sender", "owner")
    return do(system, "ramp", sender, market, 0, {**kept, **changes}, duration)


def walk(system: System, seconds: int) -> Terms:
    """Somebody walks the ramp after so many seconds; the terms then."""
    wait(system, seconds, answer=None)
    outcome = do(system, "walk", "mallory", 0)
    assert outcome.ok, outcome.reason
    return terms(system)


def terms(system: System, market: int = 0) -> Terms:
    """A market's terms, by the contract."""
    return Terms(*system.configurator.view("terms", market))


def everything(system: System) -> tuple[Any, ...]:
    """All that a refused call must leave as it is."""
    view, house = system.configurator.view, system.clearinghouse.view
    markets = [
        (
            tuple(house("market_words", m)),
            *(view(getter, m) for getter in ("terms", "ramp", "paused_until", "settles_at")),
        )
        for m in range(view("market_count"))
    ]
    tokens = [
        (house("token_words", i), view("collateral_terms", i))
        for i in range(view("collateral_count"))
    ]
    return markets, tokens, *(view(name) for name in ("guardian", "calm_from", "owner"))


def refused(system: System, *op: Any) -> str | None:
    """Why an operation is refused; nothing has changed then."""
    before = everything(system)
    outcome = do(system, *op)
    assert outcome.ok or everything(system) == before
    return outcome.reason


def names(outcome: Outcome) -> list[str]:
    """The events of a call, in order."""
    assert outcome.ok, outcome.reason
    return [event.name for event in outcome.events]
