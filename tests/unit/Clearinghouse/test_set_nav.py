"""set_nav: the pool says what it is worth."""

import pytest

from tests.utils.events import event, events
from tests.utils.system import MIN_INT, wad

UNIT = 2**24  # [WAD quote] of which the NAV is kept in whole ones
LIMIT = 2**103 - UNIT


def test_set_nav__by_the_pool__is_kept_with_its_time(system, house, still, trader):
    system.deposit(trader, 1_000)
    system.trade(trader, still, 1)
    receipt = system.perform(system.pool, (house.set_nav, wad(123)))
    assert events(receipt) == [event("NavKnown", wad(123))]
    assert system.book() == (wad(123) // UNIT * UNIT, wad(100), receipt.timestamp, 0)


@pytest.mark.parametrize("nav", [0, -UNIT, wad(-5), LIMIT, LIMIT - UNIT, -LIMIT])
def test_set_nav__whole_units_of_its_width__are_exact(system, house, nav):
    assert nav % UNIT == 0 or nav == wad(-5)
    system.perform(system.pool, (house.set_nav, nav))
    assert system.book().nav == nav // UNIT * UNIT


@pytest.mark.parametrize(("nav", "kept"), [(UNIT + 7, UNIT), (-1, -UNIT), (UNIT - 1, 0)])
def test_set_nav__parts_of_a_unit__round_down(system, house, nav, kept):
    system.perform(system.pool, (house.set_nav, nav))
    assert system.book().nav == kept


@pytest.mark.parametrize(
    ("nav", "kept"),
    [(LIMIT + UNIT, LIMIT), (2**255 - 1, LIMIT), (-LIMIT - 1, -LIMIT), (MIN_INT, -LIMIT)],
)
def test_set_nav__beyond_its_width__saturates(system, house, nav, kept):
    receipt = system.perform(system.pool, (house.set_nav, nav))
    assert events(receipt) == [event("NavKnown", nav)]
    assert system.book()[:2] == (kept, 0)


def test_set_nav__by_anyone_else__is_refused(system, house, stranger):
    for sender in (stranger, system.deployer):
        with system.refuses("access: pool only"):
            house.set_nav(wad(10**9), sender=sender)
    puppet = system.puppet()
    with system.refuses("access: pool only"):
        system.perform(puppet, (house.set_nav, wad(10**9)))
    system.know_nav(10**9)
