"""MGN-3 and MGN-8: what terms the Configurator refuses, by name, at the boundary and one past it.

The contract alone, on the fast lane; each refusal has a twin one step inside it that is accepted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plimsoll.formulas import LIVE, MAX_UINT
from plimsoll.fuzz.artifacts import Artifact, compile_with_vyper
from plimsoll.fuzz.chain import Outcome
from plimsoll.fuzz.system import MarketSetup, Setup, System, compiled
from plimsoll.slots import WAD
from tests.utils.governed import BASE, PRICE

CENT = WAD // 100

# (what is accepted, what is refused, by what name)
BOUNDARIES: list[tuple[dict[str, int], dict[str, int], str]] = [
    ({"max_age": 1}, {"max_age": 0}, "configurator: max_age"),
    ({"max_age": 2**20 - 1}, {"max_age": 2**20}, "configurator: max_age"),
    (
        {"min_price": 99 * WAD, "max_price": 101 * WAD},
        {"min_price": 101 * WAD, "max_price": 101 * WAD},
        "configurator: price bounds",
    ),
    ({"skew_scale": 10**27}, {"skew_scale": 2**96}, "configurator: skew_scale"),
    ({"skew_scale": 1_000_000 * WAD}, {"skew_scale": 0}, "configurator: skew_scale"),
    ({"max_skew": 14_000 * WAD}, {"max_skew": 14_000 * WAD + 1}, "configurator: max_skew"),
    (
        {"max_open_interest": 200_000 * WAD, "mm_ppm": 210_000, "im_ppm": 315_000},
        {"max_open_interest": 200_000 * WAD + 1, "mm_ppm": 300_000, "im_ppm": 450_000},
        "configurator: max_open_interest",
    ),
    (
        {
            "taker_fee_ppm": 20_000,
            "spread_ppm": 0,
            "liquidation_fee_ppm": 31_250,
            "mm_ppm": 50_000,
            "im_ppm": 75_000,
        },
        {
            "taker_fee_ppm": 20_001,
            "spread_ppm": 0,
            "liquidation_fee_ppm": 40_000,
            "mm_ppm": 60_000,
            "im_ppm": 90_000,
        },
        "configurator: taker_fee",
    ),
    (
        {
            "taker_fee_ppm": 0,
            "spread_ppm": 50_000,
            "liquidation_fee_ppm": 78_125,
            "mm_ppm": 100_000,
            "im_ppm": 150_000,
        },
        {
            "taker_fee_ppm": 0,
            "spread_ppm": 50_001,
            "liquidation_fee_ppm": 90_000,
            "mm_ppm": 110_000,
            "im_ppm": 165_000,
        },
        "configurator: spread",
    ),
    (
        {"liquidation_fee_ppm": 100_000, "mm_ppm": 114_000, "im_ppm": 171_000},
        {"liquidation_fee_ppm": 100_001, "mm_ppm": 120_000, "im_ppm": 180_000},
        "configurator: liquidation_fee",
    ),
    ({"reward": 1_000 * WAD}, {"reward": 1_000 * WAD + CENT}, "configurator: reward"),
    ({"reward": 5 * WAD + CENT}, {"reward": 5 * WAD + 1}, "configurator: reward"),
    ({"reward": 0}, {"reward": 1}, "configurator: reward"),
    ({"max_velocity_ppm": 2**24 - 1}, {"max_velocity_ppm": 2**24}, "configurator: max_velocity"),
    ({"im_ppm": 1_000_000}, {"im_ppm": 1_000_001}, "configurator: im above 1"),
    # 0.8 of the liquidation fee against 1.25 times the 1,500 of fee and spread
    (
        {"liquidation_fee_ppm": 2_344},
        {"liquidation_fee_ppm": 2_343},
        "configurator: fee below closing",
    ),
    # 10,000 of liquidation fee and 14,000 of open interest over the scale
    ({"mm_ppm": 24_000}, {"mm_ppm": 23_999}, "configurator: mm too low"),
    (
        {"max_open_interest": 15_000 * WAD},
        {"max_open_interest": 15_000 * WAD + 1},
        "configurator: mm too low",
    ),
    # Without any open interest no curve is to be paid for.
    (
        {"max_skew": 0, "max_open_interest": 0, "mm_ppm": 10_000, "max_rate_ppm": 10_000},
        {"max_skew": 0, "max_open_interest": 0, "mm_ppm": 9_999, "max_rate_ppm": 9_999},
        "configurator: mm too low",
    ),
    ({"im_ppm": 37_500}, {"im_ppm": 37_499}, "configurator: im below 1.5 mm"),
    ({"otc_band_ppm": 24_999}, {"otc_band_ppm": 25_000}, "configurator: otc_band"),
    ({"max_rate_ppm": 25_000}, {"max_rate_ppm": 25_001}, "configurator: max_rate"),
    (
        {"max_rate_ppm": 500_000, "mm_ppm": 600_000, "im_ppm": 900_000},
        {"max_rate_ppm": 500_001, "mm_ppm": 600_000, "im_ppm": 900_000},
        "configurator: max_rate",
    ),
    # Bounds are m * 10^e with m below 2^24 = 16,777,216 on one exponent.
    (
        {"min_price": WAD, "max_price": 16_777_215 * WAD},
        {"min_price": WAD, "max_price": 16_777_217 * WAD},
        "configurator: price bound digits",
    ),
    ({"min_price": 10**15}, {"min_price": 10**6 - 1}, "configurator: min_price"),
]


def a_system() -> System:
    return System.build(Setup([MarketSetup(PRICE, 8, BASE)]))


@pytest.fixture(scope="module")
def system() -> System:
    return a_system()


_names = iter(range(10**6))


def listing(system: System, changes: dict[str, Any], sender: str = "owner") -> Outcome:
    """What the Configurator says of a new market on these terms."""
    terms = system._terms(0, changes)
    name = f"T{next(_names)}"
    return system.configurator.call("list_market", name, terms, sender=system.address(sender))


@pytest.mark.parametrize(("inside", "outside", "reason"), BOUNDARIES)
def test_list_market__at_a_boundary__accepts_it_and_refuses_one_past(
    inside: dict[str, int], outside: dict[str, int], reason: str
) -> None:
    """MGN-3: each rule at its edge."""
    system = a_system()
    assert listing(system, outside).reason == reason
    accepted = listing(system, inside)
    assert accepted.ok, accepted.reason
    assert system.configurator.view("market_count") == 2


def test_list_market__depth_at_its_greatest__accepted_and_refused_past_it() -> None:
    """S * max_price stays under 2^106 quote: what the widths of SPEC.md rest on."""
    system = a_system()
    scale = (2**106 - 1) * WAD // BASE["max_price"]
    assert listing(system, {"skew_scale": scale + WAD}).reason == "configurator: depth"
    assert listing(system, {"skew_scale": scale}).ok


def test_list_market__price_beyond_96_bits__refused(system: System) -> None:
    huge = {
        "min_price": 10**24,
        "max_price": 80_000 * 10**24,
        "skew_scale": 10**15,
        "max_skew": 0,
        "max_open_interest": 0,
    }
    assert listing(system, huge).reason == "configurator: max_price"


def test_list_market__empty_name_or_taken__refused(system: System) -> None:
    terms = system._terms(0, {})
    owner = system.address("owner")
    call = system.configurator.call
    assert call("list_market", "", terms, sender=owner).reason == "configurator: empty name"
    assert call("list_market", "M0", terms, sender=owner).reason == "configurator: name taken"
    assert call("list_market", "another", terms, sender=owner).ok


def test_list_market__by_a_stranger__refused_for_the_owner_accepted(system: System) -> None:
    assert listing(system, {}, "mallory").reason == "ownable: caller is not the owner"
    assert listing(system, {}, "owner").ok


@pytest.mark.parametrize(
    ("answer", "age", "reason"),
    [
        (0, 0, "prices: not positive"),
        (-1, 0, "prices: not positive"),
        (PRICE, None, "prices: bad time"),
        (PRICE, -1, "prices: bad time"),
        (PRICE, 3_601, "prices: stale"),
        (10**8, 0, "prices: out of bounds"),
        (10_000 * 10**8, 0, "prices: out of bounds"),
        (2**96, 0, "prices: out of bounds"),
    ],
)
def test_list_market__feed_without_a_valid_price__refused_until_it_has_one(
    answer: int, age: int | None, reason: str
) -> None:
    """PRC-2 at listing: answer, time, age, bounds, each alone."""
    system = a_system()
    system.run(["price", 0, answer, age])
    assert listing(system, {}).reason == reason
    system.run(["price", 0, 10**8 + 1, 0])
    assert listing(system, {}).ok


def test_list_market__feed_that_is_no_contract__refused(system: System) -> None:
    for nobody in ("zero", "alice"):
        assert listing(system, {"feed": nobody}).reason == "configurator: feed"


@pytest.mark.parametrize("decimals", [0, 8, 18, 19])
def test_list_market__feed_decimals__18_at_most(decimals: int) -> None:
    """PRC-1: decimals are the feed's own word, up to 18."""
    system = System.build(Setup([MarketSetup(PRICE, 8, BASE)]))
    feed = system.chain.deploy(_feed_artifact(), decimals, 100 * 10**decimals)
    terms = system._terms(0, {})._replace(feed=feed.address)
    outcome = system.configurator.call("list_market", "X", terms, sender=system.address("owner"))
    assert outcome.reason == ("configurator: feed decimals" if decimals > 18 else None)
    if outcome.ok:
        assert system.clearinghouse.call("leg", system.address("zero"), 1).value[5] == 100 * WAD


def _feed_artifact() -> Artifact:
    return compiled().feed


def test_list_market__the_129th__refused() -> None:
    system = a_system()
    for _ in range(127):
        assert listing(system, {}).ok
    assert listing(system, {}).reason == "configurator: 128 markets"
    assert system.configurator.view("market_count") == 128


# ------------------------------------------------------------------ changing terms


def configure(system: System, changes: dict[str, Any], sender: str = "owner") -> Outcome:
    terms = system._terms(0, changes)
    return system.configurator.call("configure_market", 0, terms, sender=system.address(sender))


@pytest.fixture
def open_market() -> System:
    """A market in which alice is long."""
    system = a_system()
    system.must("mint", "alice", 10_000 * 10**6)
    system.must("deposit", "alice", "alice", "token", 10_000 * 10**6)
    system.must("trade", "alice", "alice", 0, 10 * WAD)
    return system


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_age": 3_601}, "configurator: feed of open market"),
        ({"min_price": 2 * WAD}, "configurator: bounds of open market"),
        ({"max_price": 9_000 * WAD}, "configurator: bounds of open market"),
        ({"skew_scale": 1_000_001 * WAD}, "configurator: scale of open market"),
        ({"im_ppm": 50_001}, "configurator: needs a ramp"),
        ({"mm_ppm": 25_001}, "configurator: needs a ramp"),
        ({"reward": 6 * WAD}, "configurator: needs a ramp"),
        ({"liquidation_fee_ppm": 10_001}, "configurator: needs a ramp"),
    ],
)
def test_configure_market__what_could_hurt_an_open_account__refused_until_it_is_empty(
    open_market: System, changes: dict[str, Any], reason: str
) -> None:
    """MGN-8: refused with open interest, and the very same accepted without."""
    before = open_market.clearinghouse.view("market_words", 0)[:3]
    assert configure(open_market, changes).reason == reason
    assert open_market.clearinghouse.view("market_words", 0)[:3] == before
    open_market.must("trade", "alice", "alice", 0, "all")
    assert configure(open_market, changes).ok


def test_configure_market__lower_requirements_with_open_interest__accepted_and_health_rises(
    open_market: System,
) -> None:
    before = open_market.clearinghouse.view("health", open_market.address("alice"))
    assert configure(open_market, {"mm_ppm": 24_000, "im_ppm": 40_000, "reward": WAD}).ok
    assert open_market.clearinghouse.view("health", open_market.address("alice")) > before


def test_configure_market__caps_to_zero_with_open_interest__only_reducing_is_left(
    open_market: System,
) -> None:
    assert configure(open_market, {"max_skew": 0, "max_open_interest": 0}).ok
    who = open_market.address("alice")
    trade = open_market.clearinghouse.call
    more = trade("trade", who, 0, WAD, 2**256 - 1, sender=who)
    assert more.reason == "caps: open interest"
    assert trade("trade", who, 0, -WAD, 0, sender=who).ok


def test_configure_market__cap_below_open_interest__rules_reckon_with_what_is_open(
    open_market: System,
) -> None:
    """Open interest beyond a lowered cap still has its curve cost: 10 of S = 1e6 is 10 ppm."""
    low = {"max_skew": 0, "max_open_interest": 0, "im_ppm": 20_000}
    assert configure(open_market, {**low, "mm_ppm": 10_009}).reason == "configurator: mm too low"
    assert configure(open_market, {**low, "mm_ppm": 10_010, "max_rate_ppm": 10_000}).ok


def test_configure_market__dead_feed_of_an_open_market__can_be_replaced_by_a_live_one(
    open_market: System,
) -> None:
    """A deprecated feed must not lock a market; while it answers it stays."""
    successor = open_market.chain.deploy(_feed_artifact(), 18, 90 * WAD)
    terms = open_market._terms(0, {})._replace(feed=successor.address)
    owner = open_market.address("owner")
    call = open_market.configurator.call
    refused = call("configure_market", 0, terms, sender=owner)
    assert refused.reason == "configurator: feed of open market"
    open_market.run(["fault", 0, "revert"])
    dead = successor.call("set_round", 0, open_market.chain.now)
    assert dead.ok
    assert call("configure_market", 0, terms, sender=owner).reason == "prices: not positive"
    successor.call("set_round", 90 * WAD, open_market.chain.now)
    assert call("configure_market", 0, terms, sender=owner).ok
    leg = open_market.clearinghouse.view("leg", open_market.address("alice"), 0)
    assert (leg[5], leg[6]) == (90 * WAD, 0)


# Says 100, with as many decimals as it is told to have.
UNSTEADY_FEED = """
decimals: public(uint8)

@external
def set_decimals(decimals: uint8):
    self.decimals = decimals

@external
@view
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    answer: int256 = convert(100 * 10 ** convert(self.decimals, uint256), int256)
    return (1, answer, block.timestamp, block.timestamp, 1)
"""


def test_configure_market__feed_with_other_decimals_than_before__read_anew_once_empty(
    open_market: System, tmp_path: Path
) -> None:
    """PRC-1: while anybody has a position, neither the feed nor how it is read may change."""
    (tmp_path / "Feed.vy").write_text(UNSTEADY_FEED)
    out = compile_with_vyper("Feed.vy", tmp_path)
    code = bytes.fromhex(out["bytecode"].removeprefix("0x"))
    system, owner = open_market, open_market.address("owner")
    feed = system.chain.deploy(Artifact("Feed", out["abi"], code))
    terms = system._terms(0, {})._replace(feed=feed.address)
    alice, house, call = system.address("alice"), system.clearinghouse, system.configurator.call
    assert feed.call("set_decimals", 8).ok
    assert call("list_market", "unsteady", terms, sender=owner).ok

    def price() -> tuple[int, int]:
        return house.view("leg", alice, 1)[5:7]

    assert house.call("trade", alice, 1, WAD, MAX_UINT, sender=alice).ok
    assert feed.call("set_decimals", 9).ok
    assert call("configure_market", 1, terms, sender=owner).ok
    assert price() == (1_000 * WAD, LIVE)
    assert house.call("trade", alice, 1, -WAD, 0, sender=alice).ok
    assert call("configure_market", 1, terms, sender=owner).ok
    assert price() == (100 * WAD, LIVE)


def test_configure_market__longer_age_for_a_stale_feed__refused(open_market: System) -> None:
    """It would bring an old price back to life."""
    open_market.run(["wait", 4_000])
    assert configure(open_market, {"max_age": 5_000}).reason == "configurator: feed of open market"
    assert configure(open_market, {"max_skew": 0}).ok


def test_configure_market__dead_feed_kept__caps_can_still_be_lowered(open_market: System) -> None:
    open_market.run(["fault", 0, "revert"])
    assert configure(open_market, {"max_skew": 0, "max_open_interest": 0}).ok


def test_configure_market__old_index_out_of_proportion__refused() -> None:
    """An index left from dear times would stop the funding of a cheap market."""
    system = a_system()
    system.must("mint", "alice", 10_000_000 * 10**6)
    system.must("deposit", "alice", "alice", "token", 10_000_000 * 10**6)
    system.must("trade", "alice", "alice", 0, 9_000 * WAD)
    system.run(["wait", 30 * 86_400])
    system.run(["price", 0, PRICE, 0])
    system.must("trade", "alice", "alice", 0, "all")
    index = system.clearinghouse.view("leg", system.address("zero"), 0)[7]
    assert index > WAD
    cheap = {
        "min_price": 10**12,
        "max_price": 10**16,
        "skew_scale": 10**28,
        "max_skew": 10**26,
        "max_open_interest": 10**26,
    }
    system.run(["price", 0, 10**5, 0])
    assert configure(system, cheap).reason == "configurator: old funding index"
    dearer = {
        **cheap,
        "max_price": 100 * WAD,
        "min_price": 10**14,
        "skew_scale": 10**26,
        "max_skew": 10**24,
        "max_open_interest": 10**24,
    }
    assert configure(system, dearer).ok


def test_configure_market__unknown_or_by_a_stranger__refused(system: System) -> None:
    assert configure(system, {}, "mallory").reason == "ownable: caller is not the owner"
    terms = system._terms(0, {})
    call = system.configurator.call
    count = system.configurator.view("market_count")
    unknown = call("configure_market", count, terms, sender=system.address("owner"))
    assert unknown.reason == "market: unknown"


# ------------------------------------------------------------------ ownership


def test_ownership__two_steps__the_named_successor_alone_can_accept() -> None:
    """GOV-1, and there is no way to leave it to nobody."""
    system = a_system()
    call = system.configurator.call
    bob, owner = system.address("bob"), system.address("owner")
    assert call("transfer_ownership", bob, sender=bob).reason == "ownable: caller is not the owner"
    assert call("transfer_ownership", bob, sender=owner).ok
    assert system.configurator.view("owner").lower() == owner.lower()
    refused = call("accept_ownership", sender=system.address("mallory"))
    assert refused.reason == "ownable_2step: caller is not the new owner"
    assert call("accept_ownership", sender=bob).ok
    assert system.configurator.view("owner").lower() == bob.lower()
    names = {entry.get("name") for entry in compiled().configurator.abi}
    assert "renounce_ownership" not in names


def test_constructor__keeper_share_of_all__refused() -> None:
    """A keeper's whole fee would make liquidation free for one's own keeper."""
    system = a_system()
    home = system.address("fund")
    with pytest.raises(Exception, match="configurator: keeper share"):
        system.chain.deploy(compiled().configurator, home, 10**6)
    assert system.chain.deploy(compiled().configurator, home, 10**6 - 1)
