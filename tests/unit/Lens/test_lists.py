"""`Lens.healths` and `Lens.liquidatable`: what a keeper scans with."""

import pytest

WAD = 10**18
MAX_UINT = 2**256 - 1


@pytest.fixture
def crowd(stage, accounts):
    """Six accounts; after the fall of ALPHA numbers 1, 2 and 4 are liquidatable."""
    people = accounts[5:11]
    for i, person in enumerate(people):
        stage.fund(person, 60 if i in {1, 2, 4} else 1000)
        if i != 3:
            stage.trade(person, 0, 10)
    stage.price(0, 95 * WAD)
    return people


def test_healths__some_accounts__as_the_clearinghouse_says(stage, crowd):
    assert stage.lens.healths(crowd) == [stage.clearinghouse.health(p) for p in crowd]
    assert stage.lens.healths(crowd)[3] == MAX_UINT
    assert stage.lens.healths([]) == []


def test_liquidatable__whole_list__exactly_those_that_liquidate_accepts(stage, crowd):
    accepted = []
    for person in crowd:
        why = stage.refusal(
            lambda p=person: stage.clearinghouse.liquidate.call(p, sender=stage.keeper)
        )
        assert why in {"", "liquidation: account is healthy"}
        if not why:
            accepted.append(person.address)
    assert accepted == [crowd[i].address for i in (1, 2, 4)]
    assert stage.lens.liquidatable(crowd, 0, 1024) == accepted


@pytest.mark.parametrize(
    ("start", "count", "found"),
    [
        (0, 2, [1]),
        (2, 2, [2]),
        (4, 100, [4]),
        (5, 1, []),
        (6, 1, []),
        (MAX_UINT, MAX_UINT, []),
        (1, MAX_UINT, [1, 2, 4]),
        (0, 0, []),
    ],
)
def test_liquidatable__page__only_of_that_page(stage, crowd, start, count, found):
    expected = [crowd[i].address for i in found]
    assert stage.lens.liquidatable(crowd, start, count) == expected


def test_liquidatable__system_accounts__left_out(stage, crowd):
    # The pool's cash may well be below zero: its health says 0, and yet nobody can liquidate it.
    systems = [stage.pool, stage.clearinghouse, "0x" + "00" * 20]
    assert stage.lens.liquidatable([*systems, crowd[1]], 0, 4) == [crowd[1].address]


def test_liquidatable__after_liquidation__no_longer_listed(stage, crowd):
    stage.clearinghouse.liquidate(crowd[2], sender=stage.keeper)
    assert stage.lens.liquidatable(crowd, 0, 6) == [crowd[i].address for i in (1, 4)]


def test_liquidatable__health_exactly_one__not_yet(stage, trader):
    # 79.772755 - 0.5005025 + 10 * 95.05 - 1001.005 = 950.5 * 2.5005 % + 5, to the wei.
    stage.fund(trader, "79.772755")
    stage.trade(trader, 0, 10)
    edge = 9505 * 10**16
    for price, health, listed in ((edge, WAD, []), (edge - 1, WAD - 1, [trader.address])):
        stage.price(0, price)
        assert stage.lens.healths([trader]) == [health]
        assert stage.lens.liquidatable([trader], 0, 1) == listed
        assert stage.lens.account(trader).liquidatable == bool(listed)
        assert stage.tokens.preview_liquidation(trader).liquidatable == bool(listed)
