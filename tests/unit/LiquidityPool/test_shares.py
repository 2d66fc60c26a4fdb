"""The share: ERC-20 and ERC-2612."""

import ape
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from tests.unit.LiquidityPool.conftest import MAX_UINT, NOWHERE

HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
SIGNER = Account.from_key("0x" + "11" * 32)


def sign(pool, chain_id, key=SIGNER.key, contract=None, **changes):
    """A permit's signature by `key`, of the fields with `changes`: (v, r, s)."""
    value = {"owner": SIGNER.address, "spender": NOWHERE, "value": 0, "nonce": 0, "deadline": 0}
    signed = Account.sign_message(
        encode_typed_data(
            {
                "name": pool.name(),
                "version": "1",
                "chainId": chain_id,
                "verifyingContract": contract or pool.address,
            },
            {
                "Permit": [
                    {"name": "owner", "type": "address"},
                    {"name": "spender", "type": "address"},
                    {"name": "value", "type": "uint256"},
                    {"name": "nonce", "type": "uint256"},
                    {"name": "deadline", "type": "uint256"},
                ]
            },
            value | changes,
        ),
        key,
    )
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


# ------------------------------------------------------------------ moving


def test_transfer__own_shares__moves_them(stage, lp, user):
    before = stage.pool.balanceOf(lp)
    assert stage.pool.transfer.call(user, 7, sender=lp) is True
    receipt = stage.pool.transfer(user, 7, sender=lp)
    assert receipt.events == [stage.pool.Transfer(sender=lp, receiver=user, value=7)]
    assert (stage.pool.balanceOf(lp), stage.pool.balanceOf(user)) == (before - 7, 7)


def test_transfer__to_oneself__changes_nothing(stage, lp):
    before = stage.pool.balanceOf(lp)
    stage.pool.transfer(lp, before, sender=lp)
    assert stage.pool.balanceOf(lp) == before


def test_transfer__all_then_one_more__reverts(stage, lp, user):
    everything = stage.pool.balanceOf(lp)
    with ape.reverts("shares: balance too low"):
        stage.pool.transfer(user, everything + 1, sender=lp)
    stage.pool.transfer(user, everything, sender=lp)
    with ape.reverts("shares: balance too low"):
        stage.pool.transfer(user, 1, sender=lp)


def test_transfer__to_nobody_or_to_the_pool__reverts(stage, lp):
    for receiver in (NOWHERE, stage.pool):
        with ape.reverts("shares: bad receiver"):
            stage.pool.transfer(receiver, 1, sender=lp)
        stage.pool.approve(lp, 1, sender=lp)
        with ape.reverts("shares: bad receiver"):
            stage.pool.transferFrom(lp, receiver, 1, sender=lp)
    assert stage.pool.balanceOf(stage.pool) == 0


def test_transfer_from__within_the_allowance__spends_it(stage, lp, user, stranger):
    stage.pool.approve(user, 10, sender=lp)
    assert stage.pool.transferFrom.call(lp, stranger, 7, sender=user) is True
    receipt = stage.pool.transferFrom(lp, stranger, 7, sender=user)
    assert receipt.events == [
        stage.pool.Approval(owner=lp, spender=user, value=3),
        stage.pool.Transfer(sender=lp, receiver=stranger, value=7),
    ]
    with ape.reverts("shares: allowance too low"):
        stage.pool.transferFrom(lp, stranger, 4, sender=user)
    stage.pool.transferFrom(lp, stranger, 3, sender=user)
    assert stage.pool.allowance(lp, user) == 0
    assert stage.pool.balanceOf(stranger) == 10


def test_transfer_from__boundless_allowance__stays(stage, lp, user):
    stage.pool.approve(user, MAX_UINT, sender=lp)
    stage.pool.transferFrom(lp, user, 7, sender=user)
    assert stage.pool.allowance(lp, user) == MAX_UINT


def test_transfer_from__own_shares_without_allowance__reverts(stage, lp, user):
    with ape.reverts("shares: allowance too low"):
        stage.pool.transferFrom(lp, user, 1, sender=lp)
    stage.pool.transfer(user, 1, sender=lp)


def test_approve__again__replaces(stage, lp, user):
    stage.pool.approve(user, 10, sender=lp)
    receipt = stage.pool.approve(user, 4, sender=lp)
    assert receipt.events == [stage.pool.Approval(owner=lp, spender=user, value=4)]
    assert stage.pool.allowance(lp, user) == 4


# ------------------------------------------------------------------ permits


def test_permit__signed__allows_and_uses_the_nonce_up(stage, chain, user, stranger):
    deadline = chain.pending_timestamp + 100
    signature = sign(stage.pool, chain.chain_id, spender=user.address, value=5, deadline=deadline)
    arguments = (SIGNER.address, user, 5, deadline, *signature)
    receipt = stage.pool.permit(*arguments, sender=stranger)
    assert receipt.events == [stage.pool.Approval(owner=SIGNER.address, spender=user, value=5)]
    assert stage.pool.allowance(SIGNER.address, user) == 5
    assert stage.pool.nonces(SIGNER.address) == 1
    with ape.reverts("shares: bad signature"):
        stage.pool.permit(*arguments, sender=stranger)


def test_permit__last_second__holds_and_then_expires(stage, chain, user, stranger):
    deadline = chain.pending_timestamp + 100
    fields = {"spender": user.address, "value": 5, "deadline": deadline}
    first = sign(stage.pool, chain.chain_id, **fields)
    second = sign(stage.pool, chain.chain_id, nonce=1, **fields)
    chain.pending_timestamp = deadline
    stage.pool.permit(SIGNER.address, user, 5, deadline, *first, sender=stranger)
    assert chain.blocks.head.timestamp == deadline
    with ape.reverts("shares: permit expired"):
        stage.pool.permit(SIGNER.address, user, 5, deadline, *second, sender=stranger)


@pytest.mark.parametrize(
    "change",
    [
        {"value": 6},
        {"nonce": 1},
        {"spender": NOWHERE},
        {"chain_id": 1},
        {"contract": NOWHERE},
        {"key": "0x" + "22" * 32},
    ],
    ids=lambda change: next(iter(change)),
)
def test_permit__signed_something_else__reverts(stage, chain, user, stranger, change):
    deadline = chain.pending_timestamp + 100
    fields = {"spender": user.address, "value": 5, "deadline": deadline}
    signature = sign(**({"pool": stage.pool, "chain_id": chain.chain_id} | fields | change))
    with ape.reverts("shares: bad signature"):
        stage.pool.permit(SIGNER.address, user, 5, deadline, *signature, sender=stranger)
    good = sign(stage.pool, chain.chain_id, **fields)
    stage.pool.permit(SIGNER.address, user, 5, deadline, *good, sender=stranger)


def test_permit__of_nobody__reverts(stage, chain, user, stranger):
    deadline = chain.pending_timestamp + 100
    with ape.reverts("ecdsa: invalid signature"):
        stage.pool.permit(
            NOWHERE, user, 5, deadline, 27, b"\0" * 32, b"\1".rjust(32, b"\0"), sender=stranger
        )
    assert stage.pool.allowance(NOWHERE, user) == 0


def test_permit__the_other_half_of_the_curve__reverts(stage, chain, user, stranger):
    deadline = chain.pending_timestamp + 100
    v, r, s = sign(stage.pool, chain.chain_id, spender=user.address, value=5, deadline=deadline)
    mirrored = (2 * HALF_ORDER + 1 - int.from_bytes(s, "big")).to_bytes(32, "big")
    with ape.reverts("ecdsa: invalid signature `s` value"):
        stage.pool.permit(SIGNER.address, user, 5, deadline, 55 - v, r, mirrored, sender=stranger)
    stage.pool.permit(SIGNER.address, user, 5, deadline, v, r, s, sender=stranger)


def test_eip712_domain__tells_what_the_separator_is_made_of(stage, chain):
    fields, name, version, chain_id, contract, salt, extensions = stage.pool.eip712Domain()
    assert (fields, name, version) == (b"\x0f", stage.pool.name(), "1")
    assert (chain_id, contract) == (chain.chain_id, stage.pool.address)
    assert (salt, extensions) == (b"\0" * 32, [])
    signable = encode_typed_data(
        {"name": name, "version": version, "chainId": chain_id, "verifyingContract": contract},
        {"Nothing": [{"name": "x", "type": "uint256"}]},
        {"x": 0},
    )
    assert stage.pool.DOMAIN_SEPARATOR() == signable.header
