"""Constants, constructors, permits, tokens that misbehave, and the last market there can be."""

from __future__ import annotations

from pathlib import Path

import pytest
from eth_account import Account

from plimsoll.fuzz import aside
from plimsoll.fuzz.artifacts import Artifact, compile_with_vyper
from plimsoll.fuzz.chain import Contract, new_chain
from plimsoll.fuzz.ops import free_coin
from plimsoll.fuzz.properties import Mismatch
from plimsoll.fuzz.system import Setup, System

# Moves what it is asked to, allows nothing.
TOKEN = """
balanceOf: public(HashMap[address, uint256])

@external
@view
def decimals() -> uint8:
    return 6

@external
def mint(to: address, amount: uint256):
    self.balanceOf[to] += amount

@external
def approve(spender: address, amount: uint256) -> bool:
    return False

@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    self.balanceOf[owner] -= amount
    self.balanceOf[to] += amount
    return True
"""


@pytest.fixture
def system() -> System:
    return System.build(Setup([free_coin()], quote_decimals=8, keeper_share_ppm=150_000))


def test_constants__of_a_deployment__are_its_own(system):
    aside.check_constants(system)


def test_constants__of_another_deployment__are_not(system):
    system.setup = Setup([free_coin()], quote_decimals=8, keeper_share_ppm=200_000)
    with pytest.raises(Mismatch, match="150000 is not 200000"):
        aside.check_constants(system)


def test_permits__signed__hold_once(system):
    aside.check_permits(system)


def test_permits__signed_for_another_pool__do_not(system):
    other = System.build(Setup([free_coin()], pool_cash=1, cooldown=3_601), chain=system.chain)
    arguments = Account.from_key(aside.SIGNER).address, other.names["bob"], 7
    v, r, s = aside.sign(system, *arguments, 0, system.chain.now)
    reason = other.pool.call("permit", *arguments, system.chain.now, v, r, s).reason
    assert reason == "shares: bad signature"


def test_construction__at_each_bound_and_one_past__takes_what_it_should():
    aside.check_construction(new_chain(1_750_000_000))


def test_feed__any_answer__costs_60000_gas_at_most():
    aside.check_feed_gas(new_chain(1_750_000_000))


def test_guard__of_a_sequencer__tells_its_feed_and_asks_with_enough_gas():
    aside.check_guard(new_chain(1_750_000_000))


def test_odd_token__silent_or_refusing_or_taking_a_fee__is_taken_for_what_it_is():
    aside.check_odd_token(new_chain(1_750_000_000))


def test_odd_token__a_lot_not_paid_in_full__is_not_sold():
    aside.check_unpaid_lot(new_chain(1_750_000_000))


def odd_pool(tmp_path: Path, source: str) -> tuple[Contract, Contract, Contract]:
    """A token of this source, of which the deployer has 100, and who settles in it."""
    (tmp_path / "Token.vy").write_text(source)
    out = compile_with_vyper("Token.vy", tmp_path)
    code = bytes.fromhex(out["bytecode"].removeprefix("0x"))
    chain = new_chain(1_750_000_000)
    token = chain.deploy(Artifact("Token", out["abi"], code))
    assert token.call("mint", chain.deployer, 100).ok
    house, pool, *_ = aside.around(chain, token)
    return token, house, pool


def test_odd_token__approve_answers_false__nothing_is_bought(tmp_path):
    # The auction approves all there can ever be when it is made, and insists; the pool approves each time.
    token, house, pool = odd_pool(
        tmp_path, TOKEN.replace("return False", "return amount == max_value(uint256)")
    )
    who = token.chain.deployer
    assert pool.call("deposit", 100, who, 0).reason == ""
    assert token.view("balanceOf", who) == 100
    assert house.call("deposit", who, token.address, 100).value == 100


def test_odd_token__approve_answers_nothing__is_fine(tmp_path):
    silent = TOKEN.replace(" -> bool:\n    return False", ":\n    pass")
    assert silent != TOKEN
    token, _, pool = odd_pool(tmp_path, silent)
    assert pool.call("deposit", 100, token.chain.deployer, 0).value == 100 * 10**6


def test_last_market__of_128__is_one_like_the_others():
    aside.check_last_market(new_chain(1_750_000_000))
