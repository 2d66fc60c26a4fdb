"""COL-1 to COL-4, MGN-8: what terms of tokens and of credit are refused, by name, and one step inside."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll import slots
from plimsoll.fuzz.chain import Outcome
from plimsoll.slots import WAD, CollateralTerms, CreditTerms
from tests.utils.backed import CREDIT, DAY, NO_CREDIT, PPM, Backed, coin, named

# A token of 18 decimals at 3,000, bounds at 3 and 300,000, no fee on seizures.
BOUNDARIES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"max_age": 1}, {"max_age": 0}, "configurator: max_age"),
    ({"max_age": 2**20 - 1}, {"max_age": 2**20}, "configurator: max_age"),
    ({"min_price": 10**17}, {"min_price": 10**6 - 1}, "configurator: min_price"),
    (
        {"min_price": 2_999 * WAD, "max_price": 3_001 * WAD},
        {"min_price": 3_001 * WAD, "max_price": 3_001 * WAD},
        "configurator: price bounds",
    ),
    (
        {"min_price": 10**22 // 4, "max_price": 79 * 10**27 // 10**6, "cap": 0},
        {"min_price": 10**25, "max_price": 80_000 * 10**24, "cap": 0},
        "configurator: max_price",
    ),
    (
        {"maintenance_weight_ppm": PPM, "discount_ppm": 0},
        {"maintenance_weight_ppm": PPM + 1, "discount_ppm": 0},
        "configurator: weight above 1",
    ),
    (
        {"initial_weight_ppm": 850_000},
        {"initial_weight_ppm": 850_001},
        "configurator: initial weight",
    ),
    ({"initial_weight_ppm": 0, "maintenance_weight_ppm": 0}, {"scale": 0}, "configurator: scale"),
    ({"scale": 1}, {"scale": 2**96}, "configurator: scale"),
    ({"scale": 2**96 - 1}, {"scale": 2**256 - 1}, "configurator: scale"),
    (
        {"discount_ppm": 300_000, "maintenance_weight_ppm": 700_000, "initial_weight_ppm": 0},
        {"discount_ppm": 300_001, "maintenance_weight_ppm": 0, "initial_weight_ppm": 0},
        "configurator: discount",
    ),
    ({"premium_ppm": 300_000}, {"premium_ppm": 300_001}, "configurator: premium"),
    ({"premium_ppm": 0}, {"premium_ppm": 2**20}, "configurator: premium"),
    ({"duration": 600}, {"duration": 599}, "configurator: duration"),
    ({"duration": 604_800}, {"duration": 604_801}, "configurator: duration"),
    ({"discount_ppm": 150_000}, {"discount_ppm": 150_001}, "configurator: haircut"),
    (
        {"maintenance_weight_ppm": 920_000},
        {"maintenance_weight_ppm": 920_001},
        "configurator: haircut",
    ),
    ({"cap": 0}, {"cap": 2**96}, "configurator: cap"),
    # cap * max_price stays under 2^100 quote.
    (
        {"cap": (2**100 - 1) // 300_000},
        {"cap": 2**100 // 300_000 + 1},
        "configurator: cap",
    ),
    (
        {"min_price": WAD, "max_price": 16_777_215 * WAD, "cap": 1},
        {"min_price": WAD, "max_price": 16_777_217 * WAD, "cap": 1},
        "configurator: price bound digits",
    ),
]


def fresh(decimals: int = 18, credit: dict[str, Any] | None = None) -> Backed:
    """Nothing listed yet; one token that could be."""
    b = Backed([], {**CREDIT, "liquidation_fee_ppm": 0} if credit is None else credit)
    b.do("coin", decimals)
    b.setup.coins.append(coin(3_000, decimals))
    b.do("feed", 8, 3_000 * 10**8)
    return b


def listing(b: Backed, changes: dict[str, Any], sender: str = "owner") -> Outcome:
    return b.attempt("list_coin", sender, "coin0", 0, changes)


@pytest.fixture
def b() -> Backed:
    return Backed()


# ------------------------------------------------------------------ listing


@pytest.mark.parametrize(("inside", "outside", "reason"), BOUNDARIES)
def test_list_collateral__at_a_boundary__accepts_it_and_refuses_one_past(
    inside: dict[str, Any], outside: dict[str, Any], reason: str
):
    b = fresh()
    assert listing(b, outside).reason == reason
    assert b.configurator.view("collateral_count") == 0
    accepted = listing(b, inside)
    assert accepted.ok, accepted.reason
    assert accepted.value == 0


def test_list_collateral__good__is_told_and_readable_and_packed():
    b = fresh()
    told = listing(b, {})
    terms = b.system._coin_terms(0, {})
    assert [e.name for e in told.events] == ["CollateralListed"]
    assert named(told)[0][1:] == (0, b.at("coin0"), tuple(terms))
    assert CollateralTerms(*b.configurator.view("collateral_terms", 0)) == terms
    assert b.configurator.view("collateral_token", 0) == b.at("coin0")
    words = b.house.view("token_words", 0)
    assert words[:3] == slots.pack_collateral(terms, 8, 18, (0, 0), 0)
    state = slots.unpack_token_state(words[3])
    assert state == slots.TokenState(3_000 * WAD, b.chain.now, False, 0, steady=2**24)


def test_list_collateral__fee_on_seizures__is_part_of_the_haircut():
    b = fresh(credit={**CREDIT, "liquidation_fee_ppm": 70_001})
    assert listing(b, {}).reason == "configurator: haircut"
    b.do("configure_credit", "owner", {**CREDIT, "liquidation_fee_ppm": 70_000})
    assert listing(b, {}).ok


@pytest.mark.parametrize("decimals", [0, 18, 19, 24])
def test_list_collateral__token_decimals__18_at_most(decimals: int):
    b = fresh(decimals)
    refused = listing(b, {"cap": 1_000})
    assert refused.reason == ("configurator: token decimals" if decimals > 18 else None)


@pytest.mark.parametrize("decimals", [0, 6])
def test_list_collateral__cap_of_few_decimals__is_in_whole_tokens(decimals: int):
    b = fresh(decimals)
    most = (2**100 * WAD - 1) // (4_000 * WAD) // 10 ** (18 - decimals)
    cheap = {"min_price": 10**21, "max_price": 4_000 * WAD, "cap": most + 1}
    assert listing(b, cheap).reason == "configurator: cap"
    assert listing(b, {**cheap, "cap": most}).ok


@pytest.mark.parametrize(
    ("max_price", "inside"),
    [(8, 2**96 - 1), (32, 2**95 - 1)],  # the width of a cap; and 2^100 of quote to the unit
)
def test_list_collateral__cap_at_its_greatest__accepted_and_refused_one_past(
    max_price: int, inside: int
):
    b = fresh()
    b.do("price", 2, 3 * 10**8, 0)
    cheap = {"min_price": WAD, "max_price": max_price * WAD}
    assert listing(b, {**cheap, "cap": inside + 1}).reason == "configurator: cap"
    assert listing(b, {**cheap, "cap": inside}).ok


def test_list_collateral__cap_that_no_scaling_could_hold__refused_by_name():
    assert listing(fresh(6), {"cap": 2**255}).reason == "configurator: cap"


def test_list_collateral__the_lowest_price_bound__accepted_and_refused_under_it():
    """10^6 wei of quote: a price's last digit is then a millionth of it at most."""
    b = fresh()
    b.do("feed", 18, 10**10)
    low = {"feed": 3, "max_price": 10**12, "cap": 1}
    assert listing(b, {**low, "min_price": 10**6 - 1}).reason == "configurator: min_price"
    assert listing(b, {**low, "min_price": 10**6}).ok


def test_list_collateral__twice_or_the_quote_or_no_contract__refused():
    b = fresh()
    assert b.refusal("list_coin", "owner", "alice", 0, {}) == "configurator: token"
    assert b.refusal("list_coin", "owner", "token", 0, {}) == "configurator: token taken"
    b.do("list_coin", "owner", "coin0", 0, {})
    assert b.refusal("list_coin", "owner", "coin0", 0, {}) == "configurator: token taken"


def test_list_collateral__delisted_from_the_start__refused():
    assert listing(fresh(), {"delisted": True}).reason == "configurator: delisted"


def test_list_collateral__the_seventeenth__refused():
    b = Backed([coin(3_000) for _ in range(16)])
    b.do("coin", 18)
    assert b.refusal("list_coin", "owner", "coin16", 0, {}) == "configurator: 16 tokens"
    assert b.configurator.view("collateral_count") == 16


def test_list_collateral__feed_that_is_no_contract__refused():
    for nobody in ("zero", "alice"):
        assert listing(fresh(), {"feed": nobody}).reason == "configurator: feed"


def test_list_collateral__feed_of_over_18_decimals__refused():
    b = fresh()
    b.do("feed", 19, 3_000 * 10**19)
    assert listing(b, {"feed": 3}).reason == "configurator: feed decimals"


@pytest.mark.parametrize(
    ("answer", "age", "reason"),
    [
        (0, 0, "prices: not positive"),
        (3_000 * 10**8, None, "prices: bad time"),
        (3_000 * 10**8, -1, "prices: bad time"),
        (3_000 * 10**8, DAY + 1, "prices: stale"),
        (3 * 10**8, 0, "prices: out of bounds"),
        (300_000 * 10**8, 0, "prices: out of bounds"),
    ],
)
def test_list_collateral__feed_without_a_valid_price__refused_until_it_has_one(
    answer: int, age: int | None, reason: str
):
    b = fresh()
    updated_at = 0 if age is None else b.chain.now - age
    b.feeds[2].call("set_round", answer, updated_at)
    feed = b.model.feeds[b.feeds[2].address]
    feed.answer, feed.updated_at = answer, updated_at
    assert listing(b, {}).reason == reason
    b.do("price", 2, 3 * 10**8 + 1, 0)
    assert listing(b, {}).ok


def test_configurator__by_a_stranger__refused(b: Backed):
    for op in (
        ("list_coin", "mallory", "coin0", 0, {}),
        ("configure_coin", "mallory", 0, 0, {}),
        ("configure_credit", "mallory", CREDIT),
    ):
        assert b.refusal(*op) == "ownable: caller is not the owner"


# ------------------------------------------------------------------ changing a token


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"min_price": 2 * WAD}, "configurator: bounds of held token"),
        ({"max_price": 400_000 * WAD}, "configurator: bounds of held token"),
        ({"max_age": DAY + 1}, "configurator: feed of held token"),
        ({"max_age": DAY - 1}, "configurator: feed of held token"),
        ({"feed": 3}, "configurator: feed of held token"),
        ({"scale": 10_000_000 * WAD // 3_000 - 1}, "configurator: needs a ramp"),
    ],
)
def test_configure_collateral__what_could_hurt_a_holder__refused_until_nobody_holds_it(
    b: Backed, changes: dict[str, Any], reason: str
):
    if "feed" in changes:
        b.do("price", 3, 3_000 * 10**8, 0)  # bitcoin's: as good as any
    b.back("alice", 0, 1)
    before = b.house.view("token_words", 0)
    assert b.refusal("configure_coin", "owner", 0, 0, changes) == reason
    assert b.house.view("token_words", 0) == before
    b.do("withdraw", "alice", "alice", "coin0", 1, "alice")
    b.do("configure_coin", "owner", 0, 0, changes)


def test_configure_collateral__held_by_the_auction_alone__is_held(b: Backed):
    b.back("alice", 0, 50 * WAD)
    b.owe("alice", 100_000 * WAD)
    b.price(0, 100)
    b.do("liquidate", "keeper", "alice")
    assert b.held("auction", 0) == 50 * WAD
    refused = b.refusal("configure_coin", "owner", 0, 0, {"min_price": 2 * WAD})
    assert refused == "configurator: bounds of held token"


def test_configure_collateral__what_hurts_no_holder__accepted_while_it_is_held(b: Backed):
    b.back("alice", 0, 50 * WAD)
    for changes in (
        {},
        {"cap": 0},
        {"premium_ppm": 300_000, "duration": 600},
        {"discount_ppm": 100_000},
        {"initial_weight_ppm": 0},
    ):
        changes["scale"] = 10_000_000 * WAD // 3_000 + 1
        told = b.do("configure_coin", "owner", 0, 0, changes)
        assert named(told) == [
            ("CollateralReconfigured", 0, tuple(b.system._coin_terms(0, changes)))
        ]


def test_configure_collateral__dead_feed_of_a_held_token__can_be_replaced_by_a_live_one(
    b: Backed,
):
    b.back("alice", 0, 50 * WAD)
    b.do("feed", 18, 2_900 * WAD)
    number = len(b.feeds) - 1
    change = {"feed": number}
    assert b.refusal("configure_coin", "owner", 0, 0, change) == "configurator: feed of held token"
    b.kill(0)
    b.do("price", number, 0, 0)
    assert b.refusal("configure_coin", "owner", 0, 0, change) == "prices: not positive"
    b.do("price", number, 2_900 * WAD, 0)
    b.do("configure_coin", "owner", 0, 0, change)
    h = b.holding("alice", 0)
    assert (h.price, h.status) == (2_900 * WAD, 0)


def test_configure_collateral__dead_feed_kept__other_terms_can_change(b: Backed):
    b.back("alice", 0, 50 * WAD)
    b.kill(0)
    b.do("configure_coin", "owner", 0, 0, {"cap": 0, "delisted": True})
    state = slots.unpack_token_state(b.house.view("token_words", 0)[3])
    assert (state.dead, state.seen_at) == (True, b.chain.now)


def test_configure_collateral__delisted_and_back__weights_go_and_return(b: Backed):
    b.back("alice", 0, 50 * WAD)
    full = b.holding("alice", 0)
    b.do("configure_coin", "owner", 0, 0, {"delisted": True})
    b.wait(DAY)
    assert full.maintenance * 66 // 100 < b.holding("alice", 0).maintenance < full.maintenance
    b.do("configure_coin", "owner", 0, 0, {})
    assert b.holding("alice", 0) == full
    b.back("alice", 0, 1)


def test_configure_collateral__unknown__refused(b: Backed):
    assert b.refusal("configure_coin", "owner", 3, 0, {}) == "collateral: unknown"


# ------------------------------------------------------------------ credit


@pytest.mark.parametrize(
    ("inside", "outside", "reason"),
    [
        ({"debt_cap": 2**96 - 1}, {"debt_cap": 2**96}, "configurator: debt_cap"),
        ({"debt_ratio_ppm": PPM}, {"debt_ratio_ppm": PPM + 1}, "configurator: debt_ratio"),
        ({"kink_ppm": PPM}, {"kink_ppm": PPM + 1}, "configurator: kink"),
        ({"low_slope_ppm": 10 * PPM}, {"low_slope_ppm": 10 * PPM + 1}, "configurator: slope"),
        ({"high_slope_ppm": 10 * PPM}, {"high_slope_ppm": 10 * PPM + 1}, "configurator: slope"),
        ({"call_line_ppm": PPM}, {"call_line_ppm": PPM - 1}, "configurator: call_line"),
        ({"call_line_ppm": 3 * PPM}, {"call_line_ppm": 3 * PPM + 1}, "configurator: call_line"),
        (
            {"conversion_bound": 2**32 - 1},
            {"conversion_bound": 2**32},
            "configurator: conversion_bound",
        ),
        # Ether and the others: 1 - 0.85 less 0.08.
        (
            {"liquidation_fee_ppm": 70_000},
            {"liquidation_fee_ppm": 70_001},
            "configurator: haircut",
        ),
        (
            {"order": [*range(15, -1, -1)]},
            {"order": [0, *range(15)]},
            "configurator: order",
        ),
        ({"order": [*range(16)]}, {"order": [*range(15), 16]}, "configurator: order"),
    ],
)
def test_configure_credit__at_a_boundary__accepts_it_and_refuses_one_past(
    b: Backed, inside: dict[str, Any], outside: dict[str, Any], reason: str
):
    before = b.house.view("credit")[:3]
    assert b.refusal("configure_credit", "owner", {**CREDIT, **outside}) == reason
    assert b.house.view("credit")[:3] == before
    told = b.do("configure_credit", "owner", {**CREDIT, **inside})
    fields = {"order": tuple(range(16)), **CREDIT, **inside}
    terms = CreditTerms(**{**fields, "order": tuple(fields["order"])})
    assert [e.name for e in told.events] == ["CreditReconfigured"]
    assert CreditTerms(*b.configurator.view("credit_terms")) == terms
    assert b.house.view("credit")[1:3] == slots.pack_credit(terms)


def test_configure_credit__while_a_weight_goes_down__reckons_with_where_it_is(b: Backed):
    """From 0.85 to 0.7 in three days: the discount of 0.08 leaves 0.07 for the fee at first, 0.22 then."""
    lower = {"initial_weight_ppm": 700_000, "maintenance_weight_ppm": 700_000}
    b.do("configure_coin", "owner", 0, 0, lower)
    more = {**CREDIT, "liquidation_fee_ppm": 100_000}
    for id in (1, 2):
        b.do("configure_coin", "owner", id, id, {"discount_ppm": 0})
    assert b.refusal("configure_credit", "owner", more) == "configurator: haircut"
    b.wait(3 * DAY)
    b.do("configure_credit", "owner", more)


def test_configure_credit__fee_at_its_greatest__accepted_where_no_token_stands_in_its_way():
    b = Backed([])
    most = {**CREDIT, "liquidation_fee_ppm": 100_001}
    assert b.refusal("configure_credit", "owner", most) == "configurator: liquidation_fee"
    b.do("configure_credit", "owner", {**CREDIT, "liquidation_fee_ppm": 100_000})


def test_list_collateral__before_any_terms_of_credit__refused():
    b = Backed([], credit=NO_CREDIT)
    b.do("feed", 8, 3_000 * 10**8)
    b.do("coin", 18)
    b.setup.coins.append(coin(3_000))
    assert b.refusal("list_coin", "owner", "coin0", 0, {}) == "configurator: no credit terms"
    b.do("configure_credit", "owner", CREDIT)
    b.do("list_coin", "owner", "coin0", 0, {})
