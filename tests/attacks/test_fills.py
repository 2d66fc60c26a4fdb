"""D. Two sides of a fill, signatures, whose money a call moves (55 to 68); and of H what is built.

There are no trades between accounts, no signed orders, no operators of an account and no recovery:
the cases about them (55, 56, 62 in part, 64, 65, 66) have no test here. The one signature that any
contract takes is a permit of the pool's shares.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from eth_abi import encode as abi_encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from plimsoll.chain import address_of, compiled
from plimsoll.client import bits, known_accounts, sub_account
from plimsoll.fuzz.chain import type_of
from plimsoll.slots import Terms
from plimsoll.table import default_table
from plimsoll.units import from_wad
from tests.attacks.venue import MAX_UINT, Puppet, Venue, tried, without_funding

D = Decimal
ZERO = "0x" + "00" * 20
CONTRACTS = ("Clearinghouse", "LiquidityPool", "Configurator", "CollateralAuction", "Lens")


def refused(venue: Venue, contract: Any, method: str, *args: Any, sender: Any) -> str | None:
    """Why a call is refused; None if it goes through."""
    return tried(lambda: venue.send(contract, method, *args, sender=sender))


# ------------------------------------------------------------------ 57, 58: who is on the other side


def house_of(venue: Venue, pool: Puppet) -> Any:
    """A clearinghouse whose pool and whose configurator are contracts of the attacker's.

    It has the first market of the venue's, and 1m of the pool's.
    """
    configurator = venue.puppet()
    settings = {
        **vars(venue.view(venue.house, "settings")),
        "pool": pool.address,
        "configurator": configurator.address,
        "auction": venue.puppet().address,
        "backstop": venue.puppet().address,
        "keeper_share_ppm": 0,
    }
    house = venue.chain.deploy("Clearinghouse", tuple(settings.values()), sender=venue.attacker)
    w = venue.view(venue.house, "market_words", 0)
    configurator.act((house, "set_terms", 0, (int(w.t0), int(w.t1), int(w.t2))))
    raw, token = 10**12, address_of(venue.token)
    venue.send(venue.token, "mint", pool.address, 2 * raw, sender=venue.attacker)
    pool.act(
        (venue.token, "approve", address_of(house), MAX_UINT),
        (house, "deposit", pool.address, token, raw),
        (house, "set_nav", raw * 10**12),
    )
    return house


def cash_of(venue: Venue, house: Any, account: Any) -> Decimal:
    """An account's cash in any clearinghouse."""
    word = int(venue.view(house, "header", address_of(account)))
    return from_wad((word if word < 2**255 else word - 2**256) >> 136)


@pytest.mark.defence(
    "Clearinghouse.vy",
    "    self._check_trader(account)\n    if size_delta == 0:",
    "    if size_delta == 0:",
)
def test_57__pool_as_taker_and_maker_of_one_fill__is_refused(venue):
    """A fill with itself: two copies of one account in memory, and the last to be written wins. The
    pool is the maker of every fill, and not even a pool that the attacker wrote can be the taker:
    its position would be in no valuation, neither its size nor what it paid."""
    pool = venue.puppet()
    house = house_of(venue, pool)
    before = venue.view(house, "header", pool.address), venue.view(house, "market_words", 0)
    for size in (10**18, -(10**18), 1, 0):
        limit = MAX_UINT if size > 0 else 0
        assert pool.refusal((house, "trade", pool.address, 0, size, limit)) == "account: system"
        assert pool.refusal((house, "liquidate", pool.address)) == "account: system"
    assert (
        venue.view(house, "header", pool.address),
        venue.view(house, "market_words", 0),
    ) == before


def test_57__pool_owners_other_accounts_against_the_pool__gain_nothing_together(venue):
    """The 255 other accounts of the pool's address are ordinary ones, and whoever wrote the pool owns
    them. Trading with his own pool, what one side gains the other loses; the insurance fund keeps
    its share of the fees."""
    pool = venue.puppet()
    house, token = house_of(venue, pool), address_of(venue.token)
    mine = sub_account(pool.address, 1)
    pool.act((house, "deposit", mine, token, 5 * 10**11))
    together = cash_of(venue, house, pool) + cash_of(venue, house, mine)
    for sizes in ((10, -10), (-10, 10), (3, 7, -20, 10), (-1, -1, 2)):
        with venue.imagined():
            for size in sizes:
                limit = MAX_UINT if size > 0 else 0
                pool.act((house, "trade", mine, 0, size * 10**18, limit))
            assert venue.view(house, "leg", mine, 0).size == 0
            fund = cash_of(venue, house, house)
            after = cash_of(venue, house, pool) + cash_of(venue, house, mine)
            assert fund > 0
            assert after == together - fund


WRITTEN_LAST = (
    "Clearinghouse.vy",
    """    ledger.write_header(account, slots.with_cash((header & ~slots.MASK_128) | bitmap, cash), header)
    ledger.add_cash(ledger.POOL, unsafe_sub(to_pool, convert(absorbed, int256)))
    ledger.add_cash(self, convert(convert(unsafe_sub(insurance, fund), bytes32), int256))
    ledger.add_cash(msg.sender, convert(reward, int256))
""",
    """    ledger.add_cash(msg.sender, convert(reward, int256))
    ledger.add_cash(ledger.POOL, unsafe_sub(to_pool, convert(absorbed, int256)))
    ledger.add_cash(self, convert(convert(unsafe_sub(insurance, fund), bytes32), int256))
    ledger.write_header(account, slots.with_cash((header & ~slots.MASK_128) | bitmap, cash), header)
""",
)


@pytest.mark.defence(*WRITTEN_LAST)
def test_57__account_is_its_own_keeper__every_write_stands(venue):
    """One account on two sides of a liquidation, the liquidated and the paid: each write reads what
    the other has left, and the books balance to the wei."""
    client, attacker = venue.client, venue.attacker
    venue.fund(attacker, 10_000)
    client.trade("BTC", 3, signer=attacker, slippage=None)
    venue.prices(BTC=57_900)
    assert client.health(attacker) < 1
    with venue.imagined():
        other = client.liquidate(attacker, signer=venue.keeper)
        rest, reward = client.account(attacker).cash, client.account(venue.keeper).cash
    own = client.liquidate(attacker, signer=attacker)
    assert own.reward == other.reward == reward > 5
    assert client.account(attacker).cash == rest + reward
    venue.balance()


@pytest.mark.defence(
    "Clearinghouse.vy",
    "if account != self and not (account == ledger.POOL and by_peer):",
    "if account == empty(address):",
)
@pytest.mark.defence(
    "Clearinghouse.vy",
    "if convert(account, uint256) ^ convert(msg.sender, uint256) > 255:",
    "if False:",
)
@pytest.mark.defence(
    "Clearinghouse.vy",
    "if receiver == empty(address) or receiver == self:",
    "if receiver == empty(address):",
)
@pytest.mark.parametrize("by", ["wallet", "contract"])
def test_58__system_accounts__do_nothing_for_a_stranger(venue, by):
    """Perennial (sherlock 2023-07 H-5): settling the zero address corrupted the vault. Each system
    account, each contract's address, and their neighbours in the last byte, for every call that
    names an account: nobody but the pool acts for the pool, nobody at all for the others, and what
    is paid into them is a gift."""
    attacker = venue.attacker if by == "wallet" else venue.puppet()
    client = venue.client
    house, token, me = venue.house, address_of(venue.token), address_of(attacker)
    venue.send(venue.token, "mint", me, 10**10, sender=venue.owner)
    system = [house, venue.pool, venue.configurator, venue.system.lens, venue.token]
    addresses = [*map(address_of, system), ZERO]
    addresses += [f"0x{int(a, 16) ^ 1:040x}" for a in addresses]

    def act(*call: Any) -> str | None:
        if isinstance(attacker, Puppet):
            return tried(lambda: attacker.act(call))
        contract, method, *args = call
        return refused(venue, contract, method, *args, sender=attacker)

    assert act(venue.token, "approve", address_of(house), MAX_UINT) is None
    assert act(house, "deposit", me, token, 10**9) is None
    start, nav, fund = venue.wealth(me), venue.nav(), venue.insurance()
    for account in addresses:
        for amount in (1, 10**6, 10**12):
            assert act(house, "withdraw", account, token, amount, me) == "account: not yours"
        for size in (1, 10**18, -(10**18)):
            limit = MAX_UINT if size > 0 else 0
            assert act(house, "trade", account, 0, size, limit) == "account: not yours"
        reason = act(house, "liquidate", account)
        is_system = account in (ZERO, address_of(venue.pool), address_of(house))
        assert reason == ("account: system" if is_system else "liquidation: account is healthy")
    assert act(house, "liquidate_many", addresses) is None
    assert act(house, "deposit", ZERO, token, 1) == "account: system"
    assert act(house, "deposit", address_of(venue.pool), token, 1) == "account: system"
    assert act(house, "withdraw", me, token, 1, ZERO) == "withdraw: bad receiver"
    assert act(house, "withdraw", me, token, 1, address_of(house)) == "withdraw: bad receiver"
    assert venue.wealth(me) == start
    assert (venue.nav(), venue.insurance()) == (nav, fund)
    # A gift to the fund, or to nobody, is gone.
    for account in (house, venue.configurator):
        with venue.imagined():
            assert act(house, "deposit", address_of(account), token, 10**6) is None
            assert venue.wealth(me) == start - 1
            assert client.account(account).cash >= 1


# ------------------------------------------------------------------ 59 to 61, 67: permits


class Holder:
    """Somebody with a key of his own, who holds shares of the pool."""

    def __init__(self, venue: Venue, amount: int = 10_000) -> None:
        self.key = Account.from_key(keccak(text="a holder of shares"))
        self.address = self.key.address
        venue.system.provide(venue.lp, amount, venue.pool)
        raw = venue.system.raw(amount)
        venue.send(venue.pool, "deposit", raw, self.address, 0, sender=venue.lp)

    def permit(
        self, venue: Venue, spender: str, amount: int, nonce: int | None = None, **domain: Any
    ) -> tuple[Any, ...]:
        """The arguments of a `permit` that the holder signed; `domain` changes what he signed for."""
        where = venue.view(venue.pool, "eip712Domain")
        if nonce is None:
            nonce = int(venue.view(venue.pool, "nonces", self.address))
        until = venue.chain.now + 3_600
        message = {
            "owner": self.address,
            "spender": spender,
            "value": amount,
            "nonce": nonce,
            "deadline": until,
        }
        names = ["address owner", "address spender", "uint256 value", "uint256 nonce"]
        fields = [text.split() for text in [*names, "uint256 deadline"]]
        base = {
            "name": where[1],
            "version": where[2],
            "chainId": int(where[3]),
            "verifyingContract": address_of(where[4]),
        }
        signed = self.key.sign_message(
            encode_typed_data(
                {**base, **domain},
                {"Permit": [{"type": kind, "name": name} for kind, name in fields]},
                message,
            )
        )
        r, s = signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")
        return self.address, spender, amount, until, signed.v, r, s


@pytest.fixture
def holder(venue: Venue) -> Holder:
    """10,000 in shares, and their owner's key."""
    return Holder(venue)


@pytest.mark.defence(
    "modules/share_token.vy",
    "self.nonces[owner] = nonce + 1",
    "self.nonces[owner] = nonce",
)
def test_59__permit_replayed__moves_what_was_signed_once(venue, holder):
    """The spender of one permit brings it again and again."""
    attacker, me = venue.attacker, venue.attacker.address
    has = int(venue.view(venue.pool, "balanceOf", holder.address))
    signed = holder.permit(venue, me, has // 10)
    taken = 0
    for _ in range(10):
        reason = refused(venue, venue.pool, "permit", *signed, sender=attacker)
        assert reason in (None, "shares: bad signature")
        move = (venue.pool, "transferFrom", holder.address, me, has // 10)
        if tried(lambda move=move: venue.send(*move, sender=attacker)) is None:
            taken += 1
    assert venue.view(venue.pool, "balanceOf", holder.address) == has - has // 10
    assert taken == 1


def test_59__permit_of_another_chain_contract_or_holder__is_refused(venue, holder):
    """ERC-1271 replays, hard-coded chain ids (Tracer 2021-06 L-18): a signature for a fork, for a
    test chain, for another pool, for another version or for somebody else's shares."""
    attacker, me = venue.attacker, venue.attacker.address
    chain = int(venue.view(venue.pool, "eip712Domain")[3])
    assert chain == venue.chain.id
    wrong: list[dict[str, Any]] = [
        {"chainId": chain + 1},
        {"chainId": 1},
        {"verifyingContract": address_of(venue.token)},
        {"verifyingContract": address_of(venue.house)},
        {"version": "2"},
        {"name": "Another pool"},
    ]
    for domain in wrong:
        signed = holder.permit(venue, me, 10**12, **domain)
        reason = refused(venue, venue.pool, "permit", *signed, sender=attacker)
        assert reason == "shares: bad signature", domain
    good = holder.permit(venue, me, 10**12)
    for changed in (
        (venue.lp.address, *good[1:]),  # another's shares
        (holder.address, venue.accomplice.address, *good[2:]),
        (*good[:2], 10**12 + 1, *good[3:]),
        (*good[:3], good[3] + 1, *good[4:]),
    ):
        reason = refused(venue, venue.pool, "permit", *changed, sender=attacker)
        assert reason == "shares: bad signature"
    assert venue.view(venue.pool, "allowance", holder.address, me) == 0
    assert refused(venue, venue.pool, "permit", *good, sender=attacker) is None


ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.mark.defence("modules/share_token.vy", "if signer != owner:", "if False:")
def test_60__malleable_and_empty_signatures__are_refused(venue, holder):
    """The other half of the curve, any v, no signature at all, the zero address for a signer:
    `ecrecover` answers nonsense and nothing to those, and nothing is nobody's permission."""
    attacker, me = venue.attacker, venue.attacker.address
    owner, spender, amount, until, v, r, s = holder.permit(venue, me, 10**12)
    flipped = (ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
    none = bytes(32)
    for bad in (
        (55 - v, r, flipped),
        (v, r, flipped),
        (55 - v, r, s),
        (0, r, s),
        (1, r, s),
        (29, r, s),
        (255, r, s),
        (v, none, s),
        (v, r, none),
        (0, none, none),
        (27, none, none),
        (27, b"\xff" * 32, b"\x7f" * 32),
    ):
        for whom in (owner, ZERO, address_of(venue.pool)):
            reason = refused(
                venue, venue.pool, "permit", whom, spender, amount, until, *bad, sender=attacker
            )
            assert reason is not None, (whom, bad)
            assert venue.view(venue.pool, "allowance", whom, me) == 0
    late = venue.view(venue.pool, "nonces", owner)
    assert late == 0  # nothing of this has used his nonce up
    assert (
        refused(
            venue, venue.pool, "permit", owner, spender, amount, until, v, r, s, sender=attacker
        )
        is None
    )


def test_61__stranger_uses_up_a_nonce__only_the_holders_own_signature_does(venue, holder):
    """Perennial v2 (sherlock 2024-08 #54): anyone could cancel anyone's nonce, and with it his
    orders. Rubbish moves none; the holder's permit brought by somebody else does what he signed."""
    attacker, friend = venue.attacker, venue.accomplice.address
    rubbish = Account.from_key(keccak(text="the attacker's own key"))
    mine = Holder.__new__(Holder)
    mine.key, mine.address = rubbish, holder.address
    for _ in range(5):
        signed = mine.permit(venue, friend, 5)
        reason = refused(venue, venue.pool, "permit", *signed, sender=attacker)
        assert reason == "shares: bad signature"
    assert venue.view(venue.pool, "nonces", holder.address) == 0
    signed = holder.permit(venue, friend, 10**12)
    assert refused(venue, venue.pool, "permit", *signed, sender=attacker) is None
    # 67: his own transaction finds the permit used, and the allowance there.
    again = refused(venue, venue.pool, "permit", *signed, sender=venue.accomplice)
    assert again == "shares: bad signature"
    assert venue.view(venue.pool, "allowance", holder.address, friend) == 10**12
    move = (venue.pool, "transferFrom", holder.address, friend, 10**12)
    venue.send(*move, sender=venue.accomplice)
    assert venue.view(venue.pool, "balanceOf", friend) == 10**12


# ------------------------------------------------------------------ 62: rounding of partial fills


@pytest.mark.defence(
    "Clearinghouse.vy", "fee = fixed_point.ceil_div(fee, WAD * PPM)", "fee = fee // (WAD * PPM)"
)
def test_62__trade_in_a_hundred_pieces__pays_at_least_the_fee_of_one(venue):
    """Perpetual (sherlock 2024-02 #95), Deriverse (Cyfrin 2025-12): partial fills rounded the fee
    away. Each piece rounds up, of a wei as of a lot."""
    puppet = venue.puppet()
    puppet.deposit(1_000_000)
    fund_share = venue.system.table.insurance_share
    for name in venue.system.names:
        puppet.act(puppet.trade(name, "1"))
        for piece in ("0.000000000000000001", "0.0000000043", "0.01"):
            for side in (1, -1):
                size = D(piece) * side
                costs, wealth = [], []
                for pieces in ([size * 100], [size] * 100):
                    with venue.imagined():
                        receipt = puppet.act(*(puppet.trade(name, s) for s in pieces))
                        fees = [e.args["fee"] for e in receipt.events if e.name == "FeePaid"]
                        assert len(fees) == len(pieces)
                        costs.append(sum(fees))
                        wealth.append(venue.wealth(puppet))
                # The curve's price of the middle is that of the whole; a price in the tail of its
                # last digit is a hundred wei, and no gain to anybody.
                assert costs[1] + 1 >= costs[0]
                assert wealth[1] <= wealth[0] + D("1e-15")
                if piece == "0.000000000000000001":
                    assert costs[1] >= costs[0]
    assert fund_share > 0


# ------------------------------------------------------------------ 67: whose tokens


@pytest.mark.defence(
    "Clearinghouse.vy",
    "arrived = ledger.pull(ledger.QUOTE, amount)",
    """payer: address = account if staticcall ledger.QUOTE.allowance(account, self) >= amount else msg.sender
        assert extcall ledger.QUOTE.transferFrom(payer, self, amount)
        arrived = amount""",
)
def test_67__victims_standing_allowance__is_of_no_use_to_anyone_else(venue):
    """JOJO (sherlock 2023-04 H-1), Elfi (2024-05 H-2): a call that named a payer, or an account,
    spent what that account had approved. The victim has approved both contracts for ever; every
    way in takes from its caller, whomever it names."""
    victim, attacker = venue.victim, venue.attacker
    house, pool, token = venue.house, venue.pool, address_of(venue.token)
    you, me = victim.address, attacker.address
    venue.send(venue.token, "mint", you, 10**10, sender=venue.owner)
    for spender in (house, pool):
        venue.send(venue.token, "approve", address_of(spender), MAX_UINT, sender=victim)
        venue.send(venue.token, "approve", address_of(spender), MAX_UINT, sender=attacker)
    for account in (you, me, sub_account(you, 1), sub_account(me, 1), address_of(house)):
        for amount in (1, 10**6, 10**10):
            deposit = (house, "deposit", account, token, amount)
            assert tried(lambda deposit=deposit: venue.send(*deposit, sender=attacker)) is not None
    for receiver in (you, me):
        for amount in (1, 10**6, 10**10):
            assert refused(venue, pool, "deposit", amount, receiver, 0, sender=attacker) is not None
        for shares in (1, 10**12):
            assert (
                refused(venue, pool, "mint", shares, receiver, MAX_UINT, sender=attacker)
                is not None
            )
    assert venue.tokens(victim) == 10_000
    assert venue.wealth(victim) == 10_000
    assert venue.wealth(attacker) == 0


# ------------------------------------------------------------------ 68: every function, by a stranger

VIEW = "view"  # reads
OWN = "own"  # anyone, with what is his own
UPKEEP = "upkeep"  # anyone; moves nobody's money
KEEPER = "keeper"  # anyone; liquidates who is below the line, and nobody else
CONFIGURATOR = "access: configurator only"  # these by one caller only; the reason for all others
POOL = "access: pool only"
BACKSTOP = "access: backstop only"
HOUSE = "access: clearinghouse only"
OWNER = "ownable: caller is not the owner"
GUARDIAN = "configurator: guardian only"
SUCCESSOR = "ownable_2step: caller is not the new owner"

ACCESS: dict[str, dict[str, str]] = {
    "Clearinghouse": {
        "deposit(address,address,uint256)": OWN,
        "withdraw(address,address,uint256,address)": OWN,
        "trade(address,uint256,int256,uint256)": OWN,
        "liquidate(address)": KEEPER,
        "liquidate_many(address[])": KEEPER,
        "poke(uint256)": UPKEEP,
        "set_terms(uint256,uint256[3])": CONFIGURATOR,
        "set_nav(int256)": POOL,
        "set_calm(uint256)": CONFIGURATOR,
        "set_share(uint256)": BACKSTOP,
        "is_calm()": VIEW,
        "health(address)": VIEW,
        "header(address)": VIEW,
        "leg(address,uint256)": VIEW,
        "market_words(uint256)": VIEW,
        "settings()": VIEW,
        "globals()": VIEW,
        "deposit_with_permit(address,address,uint256,uint256,uint8,bytes32,bytes32)": OWN,
        "convert_collateral(address)": KEEPER,
        "settle(address)": UPKEEP,
        "poke_token(address)": UPKEEP,
        "set_token(uint256,address,uint256[3])": CONFIGURATOR,
        "set_credit(uint256,uint256)": CONFIGURATOR,
        "backing(address)": VIEW,
        "credit()": VIEW,
        "holding(address,uint256)": VIEW,
        "token_words(uint256)": VIEW,
    },
    "CollateralAuction": {
        "open(uint256,uint256,uint256,uint256,address)": HOUSE,
        "buy_collateral(uint256,uint256,uint256)": OWN,
        "buy_collateral(uint256,uint256,uint256,address)": OWN,
        "tick(uint256)": UPKEEP,
        "write_off(uint256)": UPKEEP,
        "clearinghouse()": VIEW,
        "cost_of(uint256,uint256,uint256)": VIEW,
        "lot(uint256)": VIEW,
        "open_lots(uint256)": VIEW,
        "lot_count()": VIEW,
        "owed_to_pool()": VIEW,
        "worth()": VIEW,
    },
    "LiquidityPool": {
        "transfer(address,uint256)": OWN,
        "transferFrom(address,address,uint256)": OWN,
        "approve(address,uint256)": OWN,
        "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)": OWN,
        "deposit(uint256,address)": OWN,
        "deposit(uint256,address,uint256)": OWN,
        "mint(uint256,address)": OWN,
        "mint(uint256,address,uint256)": OWN,
        "requestRedeem(uint256,address,address)": OWN,
        "cancelRequest(address,address)": OWN,
        "redeem(uint256,address,address)": OWN,
        "redeem(uint256,address,address,uint256)": OWN,
        "withdraw(uint256,address,address)": OWN,
        "withdraw(uint256,address,address,uint256)": OWN,
        "setOperator(address,bool)": OWN,
        "refresh()": UPKEEP,
        "report(address)": UPKEEP,
        **dict.fromkeys(
            (
                "name()",
                "symbol()",
                "decimals()",
                "totalSupply()",
                "balanceOf(address)",
                "allowance(address,address)",
                "nonces(address)",
                "DOMAIN_SEPARATOR()",
                "eip712Domain()",
                "asset()",
                "totalAssets()",
                "convertToShares(uint256)",
                "convertToAssets(uint256)",
                "maxDeposit(address)",
                "previewDeposit(uint256)",
                "maxMint(address)",
                "previewMint(uint256)",
                "maxRedeem(address)",
                "maxWithdraw(address)",
                "previewRedeem(uint256)",
                "previewWithdraw(uint256)",
                "pendingRedeemRequest(uint256,address)",
                "claimableRedeemRequest(uint256,address)",
                "request_of(address)",
                "valuation()",
                "clearinghouse()",
                "cooldown()",
                "share()",
                "supportsInterface(bytes4)",
                "isOperator(address,address)",
                "reported_loss(address)",
                "reported_losses()",
                "doubtful()",
            ),
            VIEW,
        ),
    },
    "Configurator": {
        "list_market(string,TERMS)": OWNER,
        "configure_market(uint256,TERMS)": OWNER,
        "list_collateral(address,BACKING)": OWNER,
        "configure_collateral(uint256,BACKING)": OWNER,
        "configure_credit(CREDIT)": OWNER,
        "transfer_ownership(address)": OWNER,
        "accept_ownership()": SUCCESSOR,
        "ramp_market(uint256,TERMS,uint256)": OWNER,
        "delist_market(uint256,uint256)": OWNER,
        "set_guardian(address)": OWNER,
        "walk_ramp(uint256)": UPKEEP,
        "settle_market(uint256)": UPKEEP,
        "pause_market(uint256,uint256)": GUARDIAN,
        "restrict_market(uint256,uint256,uint256,bool)": GUARDIAN,
        "restrict_collateral(uint256,uint256)": GUARDIAN,
        "freeze(uint256)": GUARDIAN,
        "unfreeze()": GUARDIAN,
        **dict.fromkeys(
            (
                "owner()",
                "pending_owner()",
                "clearinghouse()",
                "keeper_share_ppm()",
                "market_name(uint256)",
                "terms(uint256)",
                "market_count()",
                "collateral_count()",
                "collateral_token(uint256)",
                "collateral_terms(uint256)",
                "credit_terms()",
                "ramp(uint256)",
                "paused_until(uint256)",
                "settles_at(uint256)",
                "guardian()",
                "calm_from()",
            ),
            VIEW,
        ),
    },
    "Lens": dict.fromkeys(
        (
            "account(address)",
            "healths(address[])",
            "liquidatable(address[],uint256,uint256)",
            "preview_trade(address,uint256,int256,uint256)",
            "market(uint256)",
            "markets(uint256,uint256)",
            "pool()",
            "price_status_text(uint256)",
            "clearinghouse()",
            "margin_call_line()",
        ),
        VIEW,
    ),
}
TERMS = "(address," + ",".join(["uint256"] * 15) + ",bool)"
BACKING = "(address," + ",".join(["uint256"] * 10) + ",bool)"
CREDIT = "(" + ",".join(["uint256"] * 8) + ",uint256[16])"
SHORT = {TERMS: "TERMS", BACKING: "BACKING", CREDIT: "CREDIT"}


def functions_of(abi: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """An interface's functions by signature."""
    found = {}
    for entry in abi:
        if entry["type"] == "function":
            kinds = ",".join(type_of(i) for i in entry["inputs"])
            for kind, short in SHORT.items():
                kinds = kinds.replace(kind, short)
            found[f"{entry['name']}({kinds})"] = entry
    return found


def unclassed(name: str, abi: list[dict[str, Any]]) -> set[str]:
    """Functions without an access class, and classes without a function; whoever can be sent what."""
    functions = functions_of(abi)
    odd = set(functions) ^ set(ACCESS[name])
    for signature, entry in functions.items():
        reads = entry["stateMutability"] in ("view", "pure")
        if reads != (ACCESS[name].get(signature) == VIEW) or entry["stateMutability"] == "payable":
            odd.add(signature)
    return odd


@pytest.mark.parametrize("name", CONTRACTS)
def test_68__every_function__has_a_class_of_access(name):
    """GOV-3. A function that is added and not classed here is one that nobody thought of."""
    abi = compiled(name).abi
    assert unclassed(name, abi) == set()
    assert not any(entry["type"] in ("fallback", "receive") for entry in abi)
    more = {"type": "function", "name": "sweep", "inputs": [], "stateMutability": "nonpayable"}
    assert unclassed(name, [*abi, more]) == {"sweep()"}
    hidden = [
        e for e in abi if e.get("name") not in ("settings", "refresh", "owner", "account", "lot")
    ]
    assert unclassed(name, hidden) != set()


class World:
    """A venue with people in every standing, and all that a stranger could harm.

    Nobody in it is below the line, nothing in it moves with time.
    """

    def __init__(self, venue: Venue, rich: bool) -> None:
        self.venue = venue
        v, client = venue, venue.client
        self.stranger = v.puppet()
        self.names = ("victim", "trader", "lp", "accomplice", "keeper")
        for who, amount, trades in (
            (v.victim, 100_000, (("BTC", 5), ("LINK", -2_000))),
            (v.trader, 200_000, (("BTC", -9), ("ETH", 40))),
            (v.accomplice, 1_000, ()),
        ):
            v.fund(who, amount)
            for name, size in trades:
                client.trade(name, size, signer=who, slippage=None)
        v.fund(sub_account(v.victim, 7), 500)
        v.enter(v.lp, 50_000)
        v.enter(v.victim, 20_000)
        v.enter(v.trader, 30_000)
        for who in (v.lp, v.trader):
            v.send(v.pool, "setOperator", v.accomplice.address, True, sender=who)
            for token in (v.token, v.pool):
                v.send(token, "approve", v.accomplice.address, 10**9, sender=who)
                v.send(token, "approve", address_of(v.house), MAX_UINT, sender=who)
        v.send(v.token, "mint", v.lp.address, 10**9, sender=v.owner)
        v.ask(v.lp)
        v.wait(86_400)
        v.ask(v.trader)
        if rich:
            self.stranger.deposit(50_000)
            v.send(v.token, "mint", self.stranger.address, 10**11, sender=v.attacker)
            self.stranger.approve()
            raw = v.system.raw(10_000)
            self.stranger.act((v.pool, "deposit", raw, self.stranger.address, 0))
        v.system.poke()
        v.system.refresh_nav()
        fixed = [v.pool, v.house, v.token, v.configurator, v.system.lens, v.system.feeds["BTC"]]
        people = [getattr(v, name) for name in self.names]
        self.others = [*map(address_of, people), sub_account(v.victim, 7), v.owner.address]
        self.addresses = [ZERO, self.stranger.address, *self.others, *map(address_of, fixed)]
        self.terms = tuple(v.terms("BTC"))
        w = v.view(v.house, "market_words", 0)
        self.words = (int(w.t0), int(w.t1), int(w.t2))

    def rights(self) -> dict[str, Any]:
        """Who may do what: nobody but its owner may change any of it."""
        v, found = self.venue, {}
        own = [v.pool, v.house, v.accomplice]
        spenders = [ZERO, self.stranger.address, *map(address_of, own)]
        for owner in [*self.others, address_of(v.pool), address_of(v.house), ZERO]:
            for spender in spenders:
                for token in (v.token, v.pool):
                    key = f"allowance {address_of(token)} {owner} {spender}"
                    found[key] = v.view(token, "allowance", owner, spender)
                found[f"operator {owner} {spender}"] = v.view(v.pool, "isOperator", owner, spender)
            found[f"request {owner}"] = vars(v.view(v.pool, "request_of", owner))
        for name in ("owner", "pending_owner", "market_count", "collateral_count", "credit_terms"):
            found[name] = v.view(v.configurator, name)
        for name in v.system.names:
            found[f"terms {name}"] = v.terms(name)
            w = v.view(v.house, "market_words", v.system.market_id(name))
            found[f"words {name}"] = (w.t0, w.t1, w.t2)
        return found

    def positions(self) -> dict[str, Any]:
        """The sizes of the others' positions; what is between cash and basis anybody may settle."""
        v, found = self.venue, {}
        for account in self.others:
            for number in bits(v.client.header(account).bitmap):
                leg = v.view(v.house, "leg", account, number)
                found[f"{account} {number}"] = leg.size
        return found

    def wealth(self) -> dict[str, Decimal]:
        """What each of the others has."""
        v = self.venue
        found = {who: v.equity(who) + v.tokens(who) for who in self.others}
        for who in self.others:
            found[who] += v.shares_worth(who)
        found["fund"] = v.insurance()
        found["pool"] = v.nav()
        for who in [*self.others, address_of(v.pool)]:
            found[f"shares of {who}"] = D(int(v.view(v.pool, "balanceOf", who)))
        return found

    def mine(self) -> Decimal:
        """What the stranger has, and whatever accounts there are that nobody here owns."""
        v = self.venue
        known = {*self.others, address_of(v.pool), address_of(v.house)}
        strays = [a for a in known_accounts(v.system) if a not in known]
        own = [a for a in strays if int(a, 16) ^ int(self.stranger.address, 16) <= 255]
        total = sum((v.equity(a) for a in own), D(0))
        who = self.stranger.address
        return total + v.tokens(who) + v.shares_worth(who)


def values_of(world: World, kind: str, name: str) -> list[Any]:
    """What a stranger would put in for an argument: nothing, something typical, all there is."""
    shares = int(world.venue.view(world.venue.pool, "balanceOf", world.others[0]))
    numbers = [0, 1, 3, 10**6, 10**18, shares, 2**128, MAX_UINT]
    table: dict[str, list[Any]] = {
        "address": world.addresses,
        "uint256": numbers,
        "int256": [0, 1, -1, 10**18, -(10**18), 2**255 - 1, -(2**255)],
        "uint8": [0, 27, 28, 255],
        "bool": [False, True],
        "bytes32": [bytes(32), b"\xff" * 32, keccak(text="a signature")],
        "bytes4": [bytes(4), b"\x01\xff\xc9\xa7", b"\xff" * 4],
        "string": ["", "BTC", "X" * 32],
        "address[]": [[], world.others, [ZERO], [world.others[0]] * 40, world.addresses],
        "uint256[3]": [(0, 0, 0), world.words, (MAX_UINT,) * 3],
        TERMS: [
            (ZERO, *[0] * 15, False),
            world.terms,
            tuple(Terms(*world.terms)._replace(reduce_only=True, max_skew=0)),
            (world.addresses[1], *[MAX_UINT] * 15, True),
        ],
        BACKING: [
            (ZERO, *[0] * 10, False),
            (world.terms[0], 3_600, 1, 2**96 - 1, 0, 0, 1, 0, 0, 0, 600, True),
            (world.addresses[1], *[MAX_UINT] * 10, True),
        ],
        CREDIT: [
            (*[0] * 8, (0,) * 16),
            (2**96 - 1, 10**6, 10**6, 0, 0, 10**6, 0, 0, tuple(range(16))),
            (*[MAX_UINT] * 8, (MAX_UINT,) * 16),
        ],
    }
    values = table[kind]
    if name in ("token", "asset") and kind == "address":
        return [address_of(world.venue.token), *world.addresses[:3]]
    if name in ("account", "owner", "controller", "receiver") and kind == "address":
        return world.addresses
    return values


def arguments(world: World, entry: dict[str, Any], most: int, rng: random.Random) -> Iterator[Any]:
    """Every combination of such values, in any order, or so many of them by lot."""
    lists = [values_of(world, type_of(i), i["name"]) for i in entry["inputs"]]
    count = 1
    for values in lists:
        count *= len(values)
    if count <= most:
        every = list(itertools.product(*lists))
        yield from rng.sample(every, count)
        return
    yield tuple(values[0] for values in lists)
    yield tuple(values[-1] for values in lists)
    for _ in range(most):
        yield tuple(rng.choice(values) for values in lists)


def call_as_a_stranger(world: World, name: str, most: int) -> dict[str, int]:
    """Call every function of a contract; how many calls of each class went through.

    Raises:
        AssertionError: if a call had any effect that its class does not allow.
    """
    venue, stranger = world.venue, world.stranger
    contract = {
        "Clearinghouse": venue.house,
        "LiquidityPool": venue.pool,
        "Configurator": venue.configurator,
        "CollateralAuction": venue.system.auction,
        "Lens": venue.system.lens,
    }[name]
    rng = random.Random(name)
    rights, positions, wealth = world.rights(), world.positions(), world.wealth()
    mine = world.mine()
    through: dict[str, int] = {}
    other_reasons: list[str] = []
    guarded = (CONFIGURATOR, POOL, BACKSTOP, HOUSE, OWNER, GUARDIAN, SUCCESSOR)

    def check(what: str) -> None:
        assert world.rights() == rights, what
        assert world.positions() == positions, what
        for who, amount in world.wealth().items():
            assert amount >= wealth[who], f"{what}: {who} had {wealth[who]}, has {amount}"
        assert world.mine() <= mine, f"{what}: the stranger had {mine}"

    for signature, entry in functions_of(compiled(name).abi).items():
        access = ACCESS[name][signature]
        kinds = [type_of(i) for i in entry["inputs"]]
        selector = keccak(text=f"{entry['name']}({','.join(kinds)})")[:4]
        checked = 0
        for args in arguments(world, entry, most, rng):
            data = selector + abi_encode(kinds, args)
            what = f"{signature}{args}"
            with venue.imagined():
                reason = tried(lambda data=data: stranger.send(contract, data))
                if reason is None:
                    through[access] = through.get(access, 0) + 1
                    if access != VIEW and checked < 30:  # looking takes long
                        checked += 1
                        check(what)
                    assert access not in guarded, f"{what} went through"
                elif access in guarded and reason != access:
                    other_reasons.append(f"{what}: {reason}")
    check("all that only reads")
    assert other_reasons == []
    return through


@pytest.mark.defence("Clearinghouse.vy", "if msg.sender != CONFIGURATOR:", "if False:")
@pytest.mark.defence("Clearinghouse.vy", "    if msg.sender != ledger.POOL:\n", "    if False:\n")
@pytest.mark.defence(
    "Clearinghouse.vy",
    "if convert(account, uint256) ^ convert(msg.sender, uint256) > 255:",
    "if False:",
)
@pytest.mark.defence(
    "Clearinghouse.vy",
    "if (equity >= convert(total.maintenance, int256)) != converting:",
    "if False:",
)
@pytest.mark.parametrize("rich", [False, True], ids=["with nothing", "with money"])
def test_68__call_everything_of_the_clearinghouse__makes_a_stranger_no_richer(venue_of, rich):
    """A fork of Perpetual v2, July 2026: an unguarded settlement function poisoned the accounts that
    the next withdrawal believed. Perennial (sherlock 2023-10 #50): `settle` of empty arrays paid the
    keeper. Every function, with nothing, typical things and extremes, by one who has no right to
    anything: he is no richer, nobody is poorer, no right and no position of anybody's has moved."""
    table = without_funding(default_table().only("BTC", "ETH", "SOL", "LINK"))
    world = World(venue_of(table), rich)
    through = call_as_a_stranger(world, "Clearinghouse", 250)
    assert through[VIEW] > 70
    assert through[UPKEEP] >= 2
    assert through[KEEPER] >= 4  # the empty list, and lists of the healthy
    assert (OWN in through) == rich


@pytest.mark.defence(
    "LiquidityPool.vy",
    "if msg.sender != controller and not self.isOperator[controller][msg.sender]:",
    "if False:",
)
@pytest.mark.defence(
    "LiquidityPool.vy",
    "if msg.sender != owner and not self.isOperator[owner][msg.sender]:",
    "if False:",
)
@pytest.mark.defence(
    "modules/share_token.vy", "if allowed == max_value(uint256):", "if allowed >= 0:"
)
@pytest.mark.parametrize("rich", [False, True], ids=["with nothing", "with money"])
def test_68__call_everything_of_the_pool__makes_a_stranger_no_richer(venue_of, rich):
    """The same of the pool, its shares, its requests and their operators."""
    table = without_funding(default_table().only("BTC", "ETH", "SOL", "LINK"))
    world = World(venue_of(table), rich)
    through = call_as_a_stranger(world, "LiquidityPool", 250)
    assert through[VIEW] > 200
    assert through[UPKEEP] == 1 + len(world.addresses)  # refresh, and report of anybody
    assert through[OWN] > 20  # his own approvals, and transfers of nothing


@pytest.mark.defence(
    "Configurator.vy",
    "ownable._check_owner()\n    id: uint256 = self.market_count",
    "id: uint256 = self.market_count",
)
@pytest.mark.defence(
    "Configurator.vy",
    "ownable._check_owner()\n    assert market < self.market_count",
    "assert market < self.market_count",
)
def test_68__call_everything_of_the_configurator__makes_a_stranger_no_richer(venue_of):
    """The same of the terms and of who sets them."""
    table = without_funding(default_table().only("BTC", "ETH", "SOL", "LINK"))
    world = World(venue_of(table), rich=True)
    assert set(call_as_a_stranger(world, "Configurator", 250)) == {VIEW}


@pytest.mark.defence("CollateralAuction.vy", "if msg.sender != CLEARINGHOUSE.address:", "if False:")
def test_68__call_everything_of_the_auction__makes_a_stranger_no_richer(venue_of):
    """The same of the auction, whose lots nobody but the Clearinghouse opens: what a stranger's own lot
    would owe the pool, whoever enters the pool would pay for."""
    table = without_funding(default_table().only("BTC", "ETH", "SOL", "LINK"))
    world = World(venue_of(table), rich=True)
    assert set(call_as_a_stranger(world, "CollateralAuction", 250)) == {VIEW}


def test_68__call_everything_of_the_lens__makes_a_stranger_no_richer(venue_of):
    """The same of what only looks."""
    table = without_funding(default_table().only("BTC", "ETH", "SOL", "LINK"))
    world = World(venue_of(table), rich=True)
    assert set(call_as_a_stranger(world, "Lens", 60)) == {VIEW}


# ------------------------------------------------------------------ 106, 108, 110


def test_106__the_same_account_many_times_and_empty_lists__are_paid_once_and_nothing(venue):
    """Perennial (sherlock 2023-10 #50), Tigris (2022-12 M-17): keepers paid themselves by lists of
    nothing and by the same order twice. There are no orders; of liquidations each is paid once."""
    client, keeper = venue.client, venue.keeper
    for who in (venue.victim, venue.trader):
        venue.fund(who, 10_000)
        client.trade("BTC", 3, signer=who, slippage=None)
    venue.prices(BTC=57_900)
    you, me = venue.victim.address, venue.trader.address
    house = venue.house
    with venue.imagined():
        once = client.liquidate_many([you, me], signer=keeper)
        paid = client.account(keeper).cash
        assert paid == sum(done.reward for done in once) > 0
    for accounts in ([], [keeper.address] * 64, [ZERO] * 64):
        with venue.imagined():
            venue.send(house, "liquidate_many", accounts, sender=keeper)
            assert client.account(keeper).cash == 0
    for accounts in ([you] * 32 + [me] * 32, [you, me] * 32, [you, ZERO, keeper.address, me]):
        with venue.imagined():
            venue.send(house, "liquidate_many", accounts, sender=keeper)
            assert client.account(keeper).cash == paid
    puppet = venue.puppet()
    puppet.act(*[(house, "liquidate_many", [you, me])] * 5)
    assert venue.wealth(puppet) == paid


@pytest.mark.defence(
    "Clearinghouse.vy",
    "if unsafe_add(opening, convert(tokens, int256)) < convert(total.initial, int256):",
    "if opening < 0:",
)
@pytest.mark.parametrize("name", ["BTC", "SOL"])
def test_108__greatest_trade_that_passes__is_not_liquidatable_at_the_same_price(venue, name):
    """Elfi (sherlock 2024-05 #27), Symmetrical (2023-06 #225): a fill left an account that could be
    liquidated at once. After the greatest trade that is allowed at its own price, spread and fee
    included, on either side and at any skew, health is at least 1.4."""
    client, attacker = venue.client, venue.attacker
    spec = venue.system.table.spec(name)
    for cash, crowd in itertools.product((20, 1_000, 30_000), (0, D("0.8"), D("-0.8"))):
        with venue.imagined():
            if crowd:
                venue.fund(venue.victim, 1_000_000)
                client.trade(name, crowd * spec.max_skew, signer=venue.victim, slippage=None)
            venue.fund(attacker, cash)
            for side in (1, -1):
                low, high = D(0), D(cash) * 60 / spec.price
                while high - low > high / 10**6:
                    middle = ((low + high) / 2).quantize(D("1e-12"))
                    with venue.imagined():
                        reason = tried(
                            lambda middle=middle, side=side: client.trade(
                                name, side * middle, signer=attacker, slippage=None
                            )
                        )
                    assert reason in (
                        None,
                        "margin: below initial",
                        "caps: skew",
                        "caps: open interest",
                    )
                    low, high = (middle, high) if reason is None else (low, middle)
                with venue.imagined():
                    client.trade(name, side * low, signer=attacker, slippage=None)
                    seen = client.account(attacker)
                    assert seen.equity >= seen.initial
                    assert seen.health >= D("1.09" if cash == 20 else "1.4")
                    reason = tried(lambda: client.liquidate(attacker, signer=venue.keeper))
                    assert reason == "liquidation: account is healthy"


def test_110__caller_names_what_is_called_back__nothing_is(venue):
    """Unstoppable (sherlock 2023-06 #182), GMX (2023-02 H-21): swap paths, receivers and callbacks
    that the caller chose ran in the middle of an execution. No function takes data to pass on, and
    no address that it is given is ever called: a contract that fails at any call can be all of
    them, and everything goes through."""
    for name in CONTRACTS:
        for signature in functions_of(compiled(name).abi):
            kinds = signature[signature.index("(") :].replace("TERMS", "")
            assert "bytes)" not in kinds.replace(",", ")"), signature
    mine = venue.plant_code(b"\xfe")  # any call of it burns all gas and fails
    client, attacker = venue.client, venue.attacker
    house, pool, token = venue.house, venue.pool, address_of(venue.token)
    venue.fund(mine, 100)
    venue.fund(attacker, 100)
    calls = [
        (house, "withdraw", attacker.address, token, 10**6, mine),
        (house, "liquidate_many", [mine]),
        (pool, "setOperator", mine, True),
        (pool, "approve", mine, 5),
    ]
    venue.enter(attacker, 1_000)
    raw = 10**8
    venue.system.provide(attacker, 100, pool)
    calls += [
        (pool, "deposit", raw, mine, 0),
        (pool, "transfer", mine, 10**6),
        (pool, "requestRedeem", 10**9, attacker.address, attacker.address),
        (pool, "cancelRequest", mine, attacker.address),
        (pool, "requestRedeem", 10**9, attacker.address, attacker.address),
    ]
    for call in calls:
        venue.send(*call, sender=attacker)
    venue.wait(86_400)
    venue.send(pool, "redeem", 10**9, mine, attacker.address, 0, sender=attacker)
    assert venue.tokens(SimpleNamespace(address=mine)) > 1
    assert client.account(mine).cash == 100
