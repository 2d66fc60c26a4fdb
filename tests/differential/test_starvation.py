"""PRC-2: no caller may make a price look invalid by sending too little gas.

On py-evm, where slots are cold and gas has its real price. Every feed here works as hard as it can
within what it is given, so that any less would make it fail.
"""

from __future__ import annotations

import pytest
from eth_utils import function_signature_to_4byte_selector

from plimsoll.fuzz.chain import TOO_LITTLE_GAS, Outcome
from plimsoll.fuzz.ops import big_coin, small_coin
from plimsoll.fuzz.py_evm import PyEvmChain
from plimsoll.fuzz.system import Setup, System
from plimsoll.model import NOWHERE
from plimsoll.slots import WAD

WORK = 2_000
STEP = 1_000  # of the gas limits tried, less than the range in which an answer could be lost
REFUSED = ("prices: too little gas", "halt: OutOfGas", TOO_LITTLE_GAS)


def busiest(system: System, feed: int) -> int:
    """The most work after which the clearinghouse still has a feed's answer."""
    low, high = 0, WORK
    system.must("fault", feed, "busy")
    while high - low > 1:
        middle = (low + high) // 2
        assert system.feeds[feed].call("set_work", middle).ok
        status = system.clearinghouse.view("leg", NOWHERE, feed)[6]
        low, high = (middle, high) if status == 0 else (low, middle)
    assert system.feeds[feed].call("set_work", high).ok
    assert system.clearinghouse.view("leg", NOWHERE, feed)[6] != 0
    assert system.feeds[feed].call("set_work", low).ok
    assert system.clearinghouse.view("leg", NOWHERE, feed)[6] == 0
    return low


def tried(system: System, gas: int, call: str, *args: object) -> Outcome:
    """A call of the keeper's with so much gas, which leaves no trace."""
    assert isinstance(system.chain, PyEvmChain)
    function = system.clearinghouse.interface.functions[call]
    data = function.selector + function.inputs.encode(args)
    output, reason = system.chain.attempt(
        system.names["keeper"], system.clearinghouse.address, data, gas
    )
    if reason is not None:
        return Outcome(None, reason, ())
    return Outcome(function.outputs.decode(output), None, system.chain.logs())


def sweep(system: System, call: str, *args: object) -> set[str | None]:
    """Try a call with every limit from next to nothing to more than enough.

    Returns:
        How the calls ended that changed nothing.
    """
    whole = tried(system, 10_000_000, call, *args)
    assert whole.ok
    reasons, passed, gas = set(), 0, 30_000
    while passed < 5:
        outcome = tried(system, gas, call, *args)
        if outcome.ok:
            assert outcome == whole, f"{call} with {gas} gas"
            passed += 1
        else:
            assert not passed, f"{call} with {gas} gas: {outcome.reason}, but passed with less"
            reasons.add(outcome.reason)
        gas += STEP
    return reasons


@pytest.fixture(scope="module", params=[1], ids=["one leg"])
def busy(request: pytest.FixtureRequest) -> System:
    setup = Setup([big_coin(), small_coin(), small_coin()][: request.param])
    system = System.build(setup, chain=PyEvmChain(setup.start))
    raw = 10**setup.quote_decimals
    system.must("mint", "alice", 20_000 * raw)
    system.must("deposit", "alice", "alice", "token", "all")
    for market in range(request.param):
        price = setup.markets[market].price * WAD // 10**8
        size = 60_000 * WAD * WAD // price // (1 if market == 0 else 4)
        system.must("trade", "alice", "alice", market, size)
    system.must("wait", 60)
    for feed, listed in enumerate(setup.markets):
        busiest(system, feed)
        system.must("price", feed, listed.price * 60 // 100)
    return system


def test_liquidate__any_gas_limit__closes_every_leg_or_reverts(busy):
    account = busy.names["alice"]
    whole = tried(busy, 10_000_000, "liquidate", account)
    assert len([e for e in whole.events if e.name == "Fill"]) == len(busy.feeds)
    reasons = sweep(busy, "liquidate", account)
    assert "prices: too little gas" in reasons
    assert reasons <= set(REFUSED)


@pytest.mark.parametrize("call", ["poke", "health"])
def test_reader__any_gas_limit__has_the_price_or_reverts(busy, call):
    reasons = sweep(busy, call, 0 if call == "poke" else busy.names["alice"])
    assert "prices: too little gas" in reasons
    assert reasons <= set(REFUSED)


def test_guard__any_gas_limit__never_takes_a_sequencer_that_is_down_for_one_that_is_up():
    """What does not answer counts as up: of a feed that works hard that must not depend on who asks."""
    system = System.build(Setup([big_coin()], grace=3_600), chain=PyEvmChain(1_750_000_000))
    chain, feed, house = system.chain, system.uptime, system.clearinghouse
    assert feed is not None and isinstance(chain, PyEvmChain)
    system.must("uptime", 1, 0)
    system.must("uptime_fault", "busy")
    low, high = 0, WORK
    while high - low > 1:  # the most work after which there is an answer
        middle = (low + high) // 2
        assert feed.call("set_work", middle).ok
        low, high = (low, middle) if house.view("is_calm") else (middle, high)
    assert feed.call("set_work", low).ok
    guard, data = system.model.settings.sequencer, function_signature_to_4byte_selector("is_up()")
    said: set[int | str] = set()
    for gas in range(21_000, 120_000, STEP // 2):
        output, reason = chain.attempt(system.names["keeper"], guard, data, gas)
        said.add(reason or int.from_bytes(output, "big"))
    assert {0, "prices: too little gas"} <= said <= {0, *REFUSED}


def test_feed__truly_starved__would_look_dead(busy):
    """The twin: a feed that needs more than it is given is what the tests above could have seen."""
    feed = busy.feeds[0]
    data = feed.interface.functions["latestRoundData"].selector
    assert isinstance(busy.chain, PyEvmChain)
    _, reason = busy.chain.attempt(busy.names["keeper"], feed.address, data, 60_000)
    assert reason == "halt: OutOfGas"
