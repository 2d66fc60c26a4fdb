"""Each property of the fuzzer holds on sound books, and breaks on books that are cooked for it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from plimsoll import slots
from plimsoll.fuzz import properties
from plimsoll.fuzz.chain import Event, Outcome
from plimsoll.fuzz.ops import big_coin, small_coin
from plimsoll.fuzz.properties import (
    Before,
    Books,
    Mismatch,
    Standing,
    Step,
    check_state,
    check_step,
)
from plimsoll.fuzz.system import Op, Setup, System
from plimsoll.model import HAS_TOKENS
from plimsoll.slots import WAD
from tests.utils.backed import coin
from tests.utils.broke import FREE, HOUR, Broke

RAW = 10**6
NONE: tuple[Event, ...] = ()


@pytest.fixture
def system() -> System:
    """Alice is long BTC, bob short the small coin, mallory has cash and the lender the pool."""
    system = System.build(Setup([big_coin(), small_coin()]))
    for who in ("alice", "bob", "mallory"):
        system.must("mint", who, 100_000 * RAW)
        system.must("deposit", who, who, "token", 50_000 * RAW)
    system.must("trade", "alice", "alice", 0, 5 * WAD)
    system.must("trade", "bob", "bob", 1, -3_000 * WAD)
    return system


def ran(system: System, *op: Any) -> Step:
    """An operation that was run, as the properties see it."""
    before = Before(system, list(op), watch=True)
    real, ideal = system.run(list(op))
    assert real == ideal
    return Step(system, list(op), real, before)


def broken(step: Step) -> str:
    """The property that a step breaks."""
    with pytest.raises(Mismatch) as caught:
        check_step(step)
    return caught.value.kind.removeprefix("property ")


# ------------------------------------------------------------------ of every state


def cook(books: Books, system: System, what: str) -> Books:
    """The books with one thing wrong."""
    alice, pool = system.names["alice"], system.names["pool"]
    headers, positions = dict(books.headers), dict(books.positions)
    states, shares = dict(books.states), dict(books.shares)
    if what == "a size":
        positions[alice, 0] = positions[alice, 0]._replace(size=5 * WAD + 1)
    elif what == "a wei of cash":
        headers[alice] = headers[alice]._replace(cash=headers[alice].cash + 1)
    elif what == "tokens gone":
        return books._replace(held=books.custody - 1)
    elif what == "a bit too many":
        headers[alice] = headers[alice]._replace(bitmap=0b11)
    elif what == "a bit missing":
        headers[alice] = headers[alice]._replace(bitmap=0)
    elif what == "a flat debt":
        headers[system.names["mallory"]] = slots.Header(-1)
        headers[pool] = headers[pool]._replace(cash=headers[pool].cash + 50_000 * WAD + 1)
        books = books._replace(debt=1)
    elif what == "the fund below zero":
        headers[pool] = headers[pool]._replace(cash=headers[pool].cash + 10**40)
        fund = headers[books.house]
        headers[books.house] = fund._replace(cash=fund.cash - 10**40)
        books = books._replace(debt=10**40 - fund.cash)
    elif what == "a debt":
        return books._replace(debt=1)
    elif what == "a token of nobody":
        return books._replace(totals={0: (1, 1)})
    elif what == "a token that is gone":
        return books._replace(totals={0: (1, 0)}, tokens={(alice, 0): 1})
    elif what == "a flag without a token":
        headers[alice] = headers[alice]._replace(flags=HAS_TOKENS)
    elif what == "a lot":
        states[0] = states[0]._replace(lots=states[0].lots + 1)
    elif what == "exposure":
        return books._replace(exposure=books.exposure - 1)
    elif what == "a share":
        shares[alice] = 1
    elif what == "an escrow":
        return books._replace(escrow=1)
    return books._replace(headers=headers, positions=positions, states=states, shares=shares)


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("a size", "LED-2"),
        ("a wei of cash", "LED-3"),
        ("tokens gone", "LED-3"),
        ("a bit too many", "LED-5"),
        ("a bit missing", "LED-5"),
        ("a flat debt", "LIQ-5"),
        ("the fund below zero", "LIQ-5"),
        ("a debt", "COL-2"),
        ("a token of nobody", "LED-4"),
        ("a token that is gone", "LED-4"),
        ("a flag without a token", "LED-4"),
        ("a lot", "QTE-4"),
        ("exposure", "QTE-4"),
        ("a share", "LPV-3"),
        ("an escrow", "LPV-3"),
    ],
)
def test_check_state__one_thing_wrong__named(system, what, name):
    books = Books.of(system.model)
    check_state(books)
    with pytest.raises(Mismatch, match=f"^property {name}: "):
        check_state(cook(books, system, what))


def test_a_bit_for_each_position__33_markets__too_many(system):
    books = Books.of(system.model)
    many = {(system.names["bob"], m): slots.Position(2**40, 0) for m in range(33)}
    headers = {system.names["bob"]: slots.Header(0, 0, 2**33 - 1)}
    wrong = properties.a_bit_for_each_position(books._replace(headers=headers, positions=many))
    assert wrong is not None and "more than 32" in wrong


def test_open_interest__position_under_a_lot__told(system):
    books = Books.of(system.model)
    positions = dict(books.positions)
    positions[system.names["mallory"], 0] = slots.Position(slots.LOT - 1, 0)
    wrong = properties.open_interest_is_what_it_is(books._replace(positions=positions))
    assert wrong is not None and "position of" in wrong


# ------------------------------------------------------------------ of every operation


def test_trade__margin_taken_away_after_it__mgn_7(system):
    step = ran(system, "trade", "alice", "alice", 0, WAD)
    check_step(step)
    alice = system.names["alice"]
    header = system.model.headers[alice]
    system.model.headers[alice] = header._replace(cash=header.cash - 45_000 * WAD)
    step.before.actors = ()
    assert broken(step) == "MGN-7"


def test_trade__reduction_that_lowers_health__mgn_7(system):
    system.must("wait", 60)
    system.must("price", 0, 41_700 * 10**8)  # alice is near the line
    step = ran(system, "trade", "alice", "alice", 0, -WAD)
    assert step.outcome.ok
    check_step(step)
    alice = system.names["alice"]
    header = system.model.headers[alice]
    system.model.headers[alice] = header._replace(cash=header.cash - 2_000 * WAD)
    step.before.actors, step.before.standing = (), None
    assert broken(step) == "MGN-7"


def test_withdraw__more_than_is_free__mgn_7(system):
    step = ran(system, "withdraw", "alice", "alice", "token", 10_000 * RAW, "alice")
    check_step(step)
    alice = system.names["alice"]
    system.model.headers[alice] = system.model.headers[alice]._replace(cash=12_000 * WAD)
    assert broken(step) == "MGN-7 withdrawal"


def doomed(system: System) -> System:
    system.must("wait", 60)
    system.must("price", 0, 41_000 * 10**8)
    return system


def test_liquidate__refused_though_unhealthy_or_done_though_healthy__liq_1(system):
    healthy = ran(system, "liquidate", "keeper", "bob")
    check_step(healthy)
    assert broken(healthy._replace(outcome=Outcome(0, None, NONE))) == "LIQ-1"
    step = ran(doomed(system), "liquidate", "keeper", "alice")
    check_step(step)
    assert broken(step._replace(outcome=Outcome(None, "why", NONE))) == "LIQ-1"


def test_liquidate__live_leg_left__liq_2(system):
    step = ran(doomed(system), "liquidate", "keeper", "alice")
    alice = system.names["alice"]
    system.model.headers[alice] = system.model.headers[alice]._replace(bitmap=1)
    assert broken(step) == "LIQ-2"


def test_liquidate__flat_debt_or_a_bankrupts_cash__liq_2(system):
    doomed(system)
    system.must("price", 0, 30_000 * 10**8)
    step = ran(system, "liquidate", "keeper", "alice")
    assert [e.name for e in step.outcome.events].count("BadDebt") == 1
    check_step(step)
    alice = system.names["alice"]
    for cash in (-1, 1):
        system.model.headers[alice] = slots.Header(cash)
        assert broken(step) == "LIQ-2"


def with_event(step: Step, name: str, **places: int) -> Step:
    """The step, with some arguments of one event changed, by place (``_4=...``)."""
    events = []
    for event in step.outcome.events:
        args = list(event.args)
        if event.name == name:
            for place, value in places.items():
                args[int(place[1:])] = value
        events.append(event._replace(args=tuple(args)))
    return step._replace(outcome=step.outcome._replace(events=tuple(events)))


def test_liquidate__reward_above_the_charge__liq_3(system):
    step = ran(doomed(system), "liquidate", "keeper", "alice")
    liquidated = next(e for e in step.outcome.events if e.name == "Liquidated")
    notional, charged = liquidated.args[4:6]
    assert broken(with_event(step, "Liquidated", _6=charged + notional // 100 + 1)) == "LIQ-3"
    cap = system.model.settings.top_up_per_block
    most = with_event(step, "Liquidated", _6=charged + cap)
    assert properties.a_keeper_gets_no_more_than_was_charged(most) is None
    assert broken(with_event(step, "Liquidated", _6=charged + cap + 1)) == "LIQ-3"


def test_liquidate__leaves_more_than_closing__liq_6(system):
    step = ran(doomed(system), "liquidate", "keeper", "alice")
    assert step.before.closed is not None
    kept = system.model.headers[system.names["alice"]].cash + step.outcome.value
    assert kept <= step.before.closed
    step.before.closed = kept - 1
    assert broken(step) == "LIQ-6"


def test_liquidate__own_keeper__reward_counted_once(system):
    step = ran(doomed(system), "liquidate", "alice", "alice")
    step.before.closed = system.model.headers[system.names["alice"]].cash
    check_step(step)


def test_trade__fund_pays__insurance(system):
    step = ran(system, "trade", "alice", "alice", 0, WAD)
    step.before.insurance += 10**30
    assert broken(step) == "insurance"


def test_trade__odd_fee__qte_5(system):
    step = ran(system, "trade", "alice", "alice", 0, WAD)
    assert broken(with_event(step, "FeePaid", _2=10**30)) == "QTE-5"
    assert broken(with_event(step, "FeePaid", _3=10**22)) == "QTE-5"


@pytest.mark.parametrize(
    "op",
    [
        ("trade", "mallory", "mallory", 0, WAD),
        ("deposit", "mallory", "mallory.1", "token", RAW),
        ("pool_deposit", "mallory", 1_000 * RAW, "mallory"),
        ("poke", "mallory", 0),
        ("request", "lender", 10**12, "lender", "lender"),
    ],
    ids=lambda op: op[0],
)
def test_own_act__a_gift_on_the_way__nobody_gains(system, op):
    step = ran(system, *op)
    check_step(step)
    if op[0] == "trade":  # a fee and a spread were paid
        assert step.before.wealth - properties.wealth(system, "mallory") > 49_000 * Fraction(
            WAD, 1000
        )
    who = system.names[op[1]]
    loss = step.before.wealth - properties.wealth(system, op[1])
    quote = system.token.address
    owned = system.model.balance(quote, who)
    system.model.balances[quote, who] = owned + int(loss / 10**12) + 2
    assert broken(step) == "nobody gains by his own act"


def test_request__shares_of_another_with_his_leave__taken_as_one(system):
    system.must("share_approve", "lender", "bob", 10**15)
    step = ran(system, "request", "bob", 10**12, "bob", "lender")
    assert step.outcome.ok and step.before.actors == ("bob", "lender")
    check_step(step)


def test_step__somebody_else_worse_off__named(system):
    step = ran(system, "trade", "mallory", "mallory", 1, 100 * WAD)
    check_step(step)
    bob = system.names["bob"]
    assert step.before.standing is not None
    step.before.standing.health[bob] += 10**12
    assert broken(step) == "nobody is hurt by others"


def test_step__healthy_account_doomed_by_its_own_trade__named(system):
    step = ran(system, "trade", "alice", "alice", 0, WAD)
    alice = system.names["alice"]
    system.model._add_cash(alice, -(10**30))
    assert properties.health_does_not_fall_by_others_acts(step) is not None


def test_step__another_feed__is_a_price(system):
    system.must("feed", 8, 100 * 10**8)
    assert Before(system, ["configure", "owner", 0, 0, {"feed": 2}], True).standing is None
    assert Before(system, ["configure", "owner", 0, 0, {}], True).standing is not None


def nav_falls(system: System) -> None:
    system.model.headers[system.names["pool"]] = system.model.headers[
        system.names["pool"]
    ]._replace(cash=system.model.headers[system.names["pool"]].cash - 10**21)


@pytest.mark.parametrize(
    ("op", "name"),
    [
        (("poke", "stranger", 0), "LPV-1"),
        (("pool_deposit", "mallory", 1_000 * RAW, "mallory"), "LPV-2"),
    ],
    ids=["a poke", "an entry"],
)
def test_step__pool_loses__named(system, op, name):
    step = ran(system, *op)
    check_step(step)
    nav_falls(system)
    step.before.actors = ()
    assert broken(step) == name


# ------------------------------------------------------------------ one's own


def test_on_state_and_on_step__registered__checked(system, monkeypatch):
    monkeypatch.setattr(properties, "STATE", dict(properties.STATE))
    monkeypatch.setattr(properties, "STEP", dict(properties.STEP))
    seen: list[Op] = []

    @properties.on_state("MINE-1")
    def few_accounts(books: Books) -> str | None:
        return "many" if len(books.headers) > 3 else None

    @properties.on_step("MINE-2", "poke")
    def pokes(step: Step) -> str | None:
        seen.append(step.op)
        return None

    check: Callable[[Books], None] = check_state
    with pytest.raises(Mismatch, match="^property MINE-1: many$"):
        check(Books.of(system.model))
    check_step(ran(system, "poke", "bob", 0))
    check_step(ran(system, "refresh", "bob"))
    assert seen == [["poke", "bob", 0]]


def test_standing__the_pools_own_numbers(system):
    standing = Standing(system.model)
    assert standing.supply == system.model.supply
    assert set(standing.health) == {system.names["alice"], system.names["bob"]}


# ------------------------------------------------------------------ of what a venue in need does


def two_lots() -> Broke:
    """Bob's dead tokens, which are back: the first lot owes the pool 20,000, the second nothing."""
    deep = {"scale": 10**7 * WAD}
    b = Broke(
        coins=[coin(3_000, **deep), coin(3_000, **deep)],
        credit={"debt_cap": 10**7 * WAD, **FREE},
        insurance_cash=0,
    )
    for id in (0, 1):
        b.back("bob", id, 10 * WAD)
    b.do("refresh", "keeper")
    b.owe("bob", 20_000 * WAD, 1)
    b.bury((0, 1), "bob")
    b.do("mint", "keeper", 10**6 * b.raw)
    b.revive({0: 3_000, 1: 3_000})
    return b


def test_buy__for_less_than_the_floor__liq_7():
    b = two_lots()
    step = ran(b.system, "buy", "keeper", 1, WAD, None, "keeper")
    check_step(step)
    floor = 2_760 * RAW
    check_step(with_event(step, "LotSold", _3=floor))
    assert broken(with_event(step, "LotSold", _3=floor - 1)) == "LIQ-7"


def test_buy__bankrupt_is_paid_while_a_lot_owes__liq_4():
    b = two_lots()
    step = ran(b.system, "buy", "keeper", 1, "all", None, "keeper")
    assert [e.args[0] for e in step.outcome.events if e.name == "Deposited"] == [
        b.at("bob"),
        b.at("pool"),
    ]
    check_step(step)
    b.system.model.lots[0] = b.system.model.lots[0]._replace(to_pool=1)
    assert broken(step) == "LIQ-4"


def test_buy__part_of_a_lot_takes_more_than_it_repays_from_what_is_owed__liq_4_awaited():
    b = two_lots()
    step = ran(b.system, "buy", "keeper", 1, WAD, None, "keeper")
    check_step(step)
    step.before.owed += 1
    assert broken(step) == "LIQ-4 awaited"


def test_convert__equity_falls__col_3():
    b = Broke(
        coins=[coin(3_000, scale=10**7 * WAD)],
        credit={"debt_cap": 10**7 * WAD, **FREE},
        insurance_cash=0,
    )
    b.back("bob", 0, 10 * WAD)
    b.owe("bob", 12_000 * WAD, 1)
    b.price(0, 2_700)
    step = ran(b.system, "convert", "keeper", "bob")
    assert step.outcome.ok, step.outcome.reason
    check_step(step)
    bob, model = b.at("bob"), b.system.model
    then = step.before.cash + step.before.total.pnl + step.before.backing.maintenance
    now = model.header_of(bob).cash + model._backing(bob).maintenance
    step.before.cash += now - then
    check_step(step)
    step.before.cash += 1
    assert broken(step) == "COL-3"


def deleveraged() -> tuple[Broke, Step]:
    """A part of alice's position, of a pool that was short of its margin."""
    b = Broke(insurance_cash=0)
    b.crowd()
    b.market_price(4_900)
    step = ran(b.system, "deleverage", "keeper", "alice", 0)
    assert step.outcome.ok, step.outcome.reason
    check_step(step)
    return b, step


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("a pool that was healthy", "the pool was healthy"),
        ("equity that rises", "the pool's equity went"),
        ("equity that falls", "the pool's equity went"),
        ("health that falls", "health fell"),
        ("too much", "is more than is needed"),
        ("too little", "is too little"),
    ],
)
def test_deleverage__one_thing_wrong__liq_9(what, told):
    b, step = deleveraged()
    was, asked = step.before.pool
    if what == "a pool that was healthy":
        step.before.pool = asked, asked
    elif what == "equity that rises":
        step.before.pool = was - 2, asked
    elif what == "equity that falls":
        step.before.pool = was + 1, asked
    elif what == "health that falls":
        step.before.health = b.health("alice") + 1
    elif what == "too much":
        b.system.model.target = b.system.model.target * 99 // 100
    elif what == "too little":
        b.system.model.target = b.system.model.target * 101 // 100
    assert broken(step) == "LIQ-9"
    assert told in str(properties.a_deleveraging_takes_what_is_needed(step))


def test_close_settled__equity_moves__prc_6():
    b = Broke(insurance_cash=0)
    b.crowd()
    b.market_price(6_000)
    b.do("declare", "keeper")
    b.wait(HOUR)
    b.do("settle_markets", "keeper", [0, 1])
    step = ran(b.system, "close_settled", "keeper", 0, ["alice", "bob"])
    check_step(step)
    alice = b.at("alice")
    was = step.before.equities[alice]
    now = properties.worth_now(b.system.model, alice)
    for equity in (now - 1, now + 2):
        step.before.equities[alice] = equity
        assert broken(step) == "PRC-6"
    step.before.equities[alice] = was
    check_step(step)


def test_withdraw__in_a_settlement_not_the_share__liq_11():
    b = Broke(insurance_cash=0)
    b.settled()
    b.do("fix", "keeper")
    step = ran(b.system, "withdraw", "alice", "alice", "token", 1_000 * RAW, "alice")
    assert step.outcome.ok, step.outcome.reason
    check_step(step)
    sent = next(e.args[3] for e in step.outcome.events if e.name == "Withdrawn")
    for other in (sent - 1, sent + 1):
        assert broken(with_event(step, "Withdrawn", _3=other)) == "LIQ-11"
    books = Books.of(b.system.model)
    check_state(books)
    with pytest.raises(Mismatch, match="^property LIQ-11: "):
        check_state(books._replace(share=2 * books.share))
