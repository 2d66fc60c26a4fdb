"""What no list of operations does, each with its answer.

Constants, constructors, permits and tokens that misbehave: the model knows nothing of these, and
operations drawn at random would find nothing here but the few cases that are written down below.
And as many markets as there can be, where comparing the whole state would take a minute.
"""

from __future__ import annotations

from typing import Any

from plimsoll.formulas import DAY, MAX_UINT, PPM
from plimsoll.fuzz.artifacts import Artifact, compile_contract
from plimsoll.fuzz.chain import CHAIN_ID, Chain, Contract
from plimsoll.fuzz.coins import ether_coin
from plimsoll.fuzz.lens import PAGE, Lens
from plimsoll.fuzz.ops import free_coin
from plimsoll.fuzz.properties import Mismatch
from plimsoll.fuzz.run import step
from plimsoll.fuzz.system import STRANGER, Setup, System, compiled, created_by
from plimsoll.model import MAX_MARKETS, NOWHERE, Settings
from plimsoll.slots import WAD, CollateralTerms, CreditTerms, Terms

SIGNER = b"\x11" * 32  # a private key that everybody knows
# Says, to whatever it is asked, five words: the second its gas, the fourth the time.
GAS_FEED = bytes.fromhex("5a6020524260605260a06000f3")
INTERFACES = {
    "ERC-165": "01ffc9a7",
    "ERC-7540, operators": "e3bc4e65",
    "ERC-7540, asynchronous redemption": "620ee8e4",
    "ERC-7575": "2f0a18c5",
}
PERMIT = [
    {"name": "owner", "type": "address"},
    {"name": "spender", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "nonce", "type": "uint256"},
    {"name": "deadline", "type": "uint256"},
]
ACCOUNTS = 1_024  # that the Lens takes at a time
SILENT, REFUSES, TAKES_A_FEE = 1, 2, 4  # modes of OddTokenMock


def same(about: str, real: Any, ideal: Any) -> None:
    """Compare.

    Raises:
        Mismatch: if they differ.
    """
    if real != ideal:
        raise Mismatch(f"aside {about}", f"{real!r} is not {ideal!r}")


def check_constants(system: System) -> None:
    """What was fixed at deployment, ERC-165, and what the pool refuses to preview.

    Raises:
        Mismatch: if one is not as it should be.
    """
    pool, setup, stranger = system.pool, system.setup, system.names[STRANGER]
    for contract in (pool, system.configurator):
        same("clearinghouse", contract.view("clearinghouse"), system.clearinghouse.address)
    for getter, expected in {
        "name": "Pool",
        "symbol": "POOL",
        "decimals": setup.quote_decimals + 6,
        "asset": system.token.address,
        "share": pool.address,
        "cooldown": setup.cooldown,
    }.items():
        same(getter, pool.view(getter), expected)
    known = system.configurator.view("keeper_share_ppm")
    same("keeper_share_ppm", known, setup.keeper_share_ppm)
    for name, interface in INTERFACES.items():
        same(name, pool.view("supportsInterface", bytes.fromhex(interface)), True)
    same("ERC-165, none", pool.view("supportsInterface", b"\xff" * 4), False)
    for preview in ("previewRedeem", "previewWithdraw"):
        same(preview, pool.call(preview, 1).reason, "pool: redemption is by request")
    # There is no request but number 0, and none of the stranger's.
    for holder in system.accounts():
        for view in ("pendingRedeemRequest", "claimableRedeemRequest"):
            same(view, pool.view(view, 1, holder), 0)
    for view in ("maxRedeem", "maxWithdraw"):
        same(view, pool.view(view, stranger), 0)


def check_permits(system: System) -> None:
    """A permit holds once, until its second, and for what was signed (ERC-2612).

    Raises:
        Mismatch: if it does not.
    """
    from eth_account import Account

    pool, spender = system.pool, system.names["bob"]
    owner = Account.from_key(SIGNER).address
    deadline = system.chain.now

    def permit(until: int, nonce: int) -> str | None:
        v, r, s = sign(system, owner, spender, 7, nonce, until)
        return pool.call("permit", owner, spender, 7, until, v, r, s).reason

    same("permit of the wrong nonce", permit(deadline, 1), "shares: bad signature")
    same("permit too late", permit(deadline - 1, 0), "shares: permit expired")
    same("permit", permit(deadline, 0), None)
    same("allowance", pool.view("allowance", owner, spender), 7)
    same("nonces", pool.view("nonces", owner), 1)
    same("permit again", permit(deadline, 0), "shares: bad signature")


def sign(
    system: System, owner: str, spender: str, value: int, nonce: int, deadline: int
) -> tuple[int, bytes, bytes]:
    """The signature of a permit, by `SIGNER`: v, r and s."""
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    domain = {
        "name": "Pool",
        "version": "1",
        "chainId": CHAIN_ID,
        "verifyingContract": system.pool.address,
    }
    message = {
        "owner": owner,
        "spender": spender,
        "value": value,
        "nonce": nonce,
        "deadline": deadline,
    }
    typed = encode_typed_data(domain, {"Permit": PERMIT}, message)
    same("DOMAIN_SEPARATOR", system.pool.view("DOMAIN_SEPARATOR"), typed.header)
    signed = Account.sign_message(typed, SIGNER)
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


def around(chain: Chain, token: Contract) -> tuple[Contract, Contract, Contract, Contract]:
    """A Clearinghouse whose quote is `token`, of six decimals; its pool, configurator, auction."""
    artifacts, owner = compiled(), chain.deployer
    home = created_by(owner, chain.nonce(owner) + 4)
    configurator = chain.deploy(artifacts.configurator, home, 200_000)
    pool = chain.deploy(artifacts.pool, home, token.address, "Pool", "POOL", DAY)
    auction = chain.deploy(artifacts.auction, home, configurator.address, token.address)
    peers = token.address, 0, pool.address, configurator.address, auction.address
    shares = 200_000, 200_000, 500_000, 1_500_000, 0
    backstop = chain.deploy(artifacts.backstop, home, 11 * WAD // 10)
    house = chain.deploy(artifacts.clearinghouse, Settings(*peers, *shares, backstop.address))
    return house, pool, configurator, auction


def check_construction(chain: Chain) -> None:
    """What a constructor takes, and what lies one beside it.

    Raises:
        Mismatch: if it takes more or less.
    """
    artifacts, owner = compiled(), chain.deployer
    token = chain.deploy(artifacts.token, "Quote", "QUOTE", 18).address
    odd = chain.deploy(artifacts.token, "Quote", "QUOTE", 19).address

    def made(artifact: Artifact, *args: Any) -> str:
        try:
            chain.deploy(artifact, *args)
        except ValueError as error:
            return str(error).partition(": ")[2].strip("'")
        return ""

    out_of_range = "pool: cooldown out of range"
    for reason, home, quote, cooldown in (
        (out_of_range, owner, token, 3_599),
        ("", owner, token, 3_600),
        ("", owner, token, 30 * DAY),
        (out_of_range, owner, token, 30 * DAY + 1),
        ("pool: over 18 decimals", owner, odd, DAY),
        ("pool: no clearinghouse", NOWHERE, token, DAY),
    ):
        args = home, quote, "Pool", "POOL", cooldown
        same(f"pool {args}", made(artifacts.pool, *args), reason)
    beside = "backstop: target"
    for reason, target in ((beside, WAD - 1), ("", WAD), ("", 10 * WAD), (beside, 10 * WAD + 1)):
        same(f"target {target}", made(artifacts.backstop, owner, target), reason)
    for reason, share in (("", PPM - 1), ("configurator: keeper share", PPM)):
        same(f"keeper share {share}", made(artifacts.configurator, owner, share), reason)
    house = around(chain, chain.deploy(artifacts.token, "Quote", "QUOTE", 6))[0].address
    for reason, line in (("", WAD), ("lens: line below liquidation", WAD - 1)):
        same(f"line {line}", made(compile_contract("Lens.vy"), house, line), reason)

    feed, long = chain.deploy(artifacts.feed, 0, 0).address, "sequencer: grace too long"
    for reason, uptime, grace in (
        ("", feed, DAY),
        (long, feed, DAY + 1),
        ("sequencer: no feed", NOWHERE, 0),
    ):
        same(f"guard {grace}", made(artifacts.guard, uptime, grace), reason)
    timelock, past = compile_contract("Timelock.vy"), "timelock: delay"
    for reason, delay in ((past, DAY - 1), ("", DAY), ("", 30 * DAY), (past, 30 * DAY + 1)):
        same(f"delay {delay}", made(timelock, delay, [owner], [owner]), reason)

    above = "settings: share above 1"
    for reason, insurance, weight in (("", PPM, PPM), (above, PPM + 1, 0), (above, 0, PPM + 1)):
        home = created_by(owner, chain.nonce(owner) + 4)
        configurator = chain.deploy(artifacts.configurator, home, 0).address
        pool = chain.deploy(artifacts.pool, home, token, "Pool", "POOL", DAY).address
        auction = chain.deploy(artifacts.auction, home, configurator, token).address
        backstop = chain.deploy(artifacts.backstop, home, 11 * WAD // 10).address
        shares = 0, insurance, weight, 0, 0
        settings = Settings(token, 0, pool, configurator, auction, *shares, backstop)
        found = made(artifacts.clearinghouse, settings)
        same(f"shares {shares}", found, reason)


def check_odd_token(chain: Chain) -> None:
    """A token that answers nothing, one that answers false, one that keeps a part of what it moves.

    Raises:
        Mismatch: if the first is not believed, or the others are.
    """
    owner = chain.deployer
    token = chain.deploy(compile_contract("mocks/OddTokenMock.vy"), 6)
    house, pool, *_ = around(chain, token)
    for call in (
        token.call("mint", owner, 10**12),
        token.call("approve", house.address, MAX_UINT),
        token.call("approve", pool.address, MAX_UINT),
        house.call("deposit", owner, token.address, 10**6),
    ):
        same("odd token", call.reason, None)

    token.call("set_mode", SILENT, 0)
    for call in (
        house.call("deposit", owner, token.address, 10**6),
        house.call("withdraw", owner, token.address, 10**6, owner),
        pool.call("deposit", 10**6, owner, 0),
    ):
        same("token that answers nothing", call.reason, None)

    token.call("set_mode", REFUSES, 0)
    for reason, call in (
        ("ledger: transfer failed", house.call("deposit", owner, token.address, 1)),
        ("ledger: transfer failed", house.call("withdraw", owner, token.address, 1, owner)),
        ("pool: transfer failed", pool.call("deposit", 1, owner, 0)),
    ):
        same("token that answers false", call.reason, reason)

    token.call("set_mode", TAKES_A_FEE, 10**6)
    nothing = house.call("deposit", owner, token.address, 10**6)
    same("token that keeps all", nothing.reason, "ledger: zero amount")
    token.call("set_mode", TAKES_A_FEE, 10**5)
    same("token that keeps a tenth", house.call("deposit", owner, token.address, 100).value, 90)
    short = pool.call("mint", 10**12, owner, MAX_UINT)
    same("token that keeps a tenth", short.reason, "pool: too little arrived")
    # Of 100, 90 reach the pool and 81 the Clearinghouse; a share is a millionth of a raw unit.
    same("token that keeps a tenth", pool.call("deposit", 100, owner, 0).value, 81 * 10**6)


def check_unpaid_lot(chain: Chain) -> None:
    """A lot is paid for in full, by a token that says so, before anything leaves it.

    Raises:
        Mismatch: if it is sold for less.
    """
    owner, artifacts = chain.deployer, compiled()
    token = chain.deploy(compile_contract("mocks/OddTokenMock.vy"), 6)
    house, pool, configurator, auction = around(chain, token)
    ether = chain.deploy(artifacts.token, "Ether", "ETH", 18)
    market, coin = free_coin(), ether_coin()
    feeds = [
        chain.deploy(artifacts.feed, market.decimals, market.price),
        chain.deploy(artifacts.feed, coin.feed_decimals, coin.price),
    ]
    terms = Terms(feed=feeds[0].address, **market.terms)
    backing = CollateralTerms(feed=feeds[1].address, **coin.terms)
    credit = CreditTerms(10**6 * WAD, 500_000, PPM, 0, 0, PPM, 0, 0, tuple(range(16)))
    for call in (
        token.call("mint", owner, 10**15),
        token.call("approve", pool.address, MAX_UINT),
        token.call("approve", auction.address, MAX_UINT),
        ether.call("mint", owner, WAD),
        ether.call("approve", house.address, MAX_UINT),
        configurator.call("list_market", "M0", terms),
        configurator.call("configure_credit", credit),
        configurator.call("list_collateral", ether.address, backing),
        pool.call("deposit", 10**13, owner, 0),
        house.call("deposit", owner, ether.address, WAD),
        house.call("trade", owner, 0, 200 * WAD, MAX_UINT),
        feeds[0].call("set_round", market.price * 88 // 100, chain.now),
        house.call("liquidate", owner),
    ):
        same("lot to be paid for", call.reason, None)
    for mode, fee in ((REFUSES, 0), (TAKES_A_FEE, 1)):
        token.call("set_mode", mode, fee)
        unpaid = auction.call("buy_collateral", 0, WAD // 10, MAX_UINT, owner)
        same("lot that is not paid for", unpaid.reason, "ledger: transfer failed")
    token.call("set_mode", 0, 0)
    same("lot that is", auction.call("buy_collateral", 0, WAD // 10, MAX_UINT, owner).reason, None)


def check_feed_gas(chain: Chain) -> None:
    """A feed gets 60,000 gas (PRC-2).

    Raises:
        Mismatch: if it gets more or less.
    """
    system = System.build(Setup([free_coin()]), chain=chain)
    creation = bytes.fromhex(f"60{len(GAS_FEED):02x}600c60003960{len(GAS_FEED):02x}6000f3")
    feed = chain.deploy(Artifact("GasFeed", [], creation + GAS_FEED))
    bounds = {"min_price": WAD, "max_price": 10**6 * WAD}
    terms = system._terms(0, bounds)._replace(feed=feed.address)
    call = system.configurator.call("list_market", "gas", terms, sender=system.names["owner"])
    same("feed that answers its gas", call.reason, None)
    # To ask for it takes 2.
    same("gas of a feed", system.clearinghouse.call("poke", 1).value, (60_000 - 2) * WAD)


def check_guard(chain: Chain) -> None:
    """A sequencer's guard tells what it is made of, and asks with enough gas or not (PRC-2).

    Raises:
        Mismatch: if it does otherwise.
    """
    artifacts = compiled()
    feed = chain.deploy(artifacts.feed, 0, 0).address
    guard = chain.deploy(artifacts.guard, feed, DAY)
    same("a guard's feed", guard.view("feed"), feed)
    same("a guard's grace", guard.view("grace"), DAY)
    ask = guard.interface.functions["is_up"].selector
    _, reason = chain.send(chain.deployer, guard.address, ask, 80_000)
    same("a guard with too little gas", reason, "prices: too little gas")


def check_last_market(chain: Chain) -> None:
    """As many markets as there can be, and an account with a position in the last.

    Raises:
        Mismatch: if contracts, model and Lens are not of one mind.
    """
    setup = Setup([free_coin() for _ in range(MAX_MARKETS)])
    system = System.build(setup, chain=chain)
    lens, last = Lens(system), MAX_MARKETS - 1
    alice = system.names["alice"]
    for reason, *op in (
        ("configurator: 128 markets", "list", "owner", "M128", 0, {}),
        (None, "mint", "alice", 10**9),
        (None, "deposit", "alice", "alice", "token", 10**9),
        (None, "trade", "alice", "alice", last, 100 * WAD),
        (None, "price", last, 91 * 10**8, 0),
        (None, "liquidate", "keeper", "alice"),
    ):
        lens.check_account(alice)
        lens.check_liquidation(alice)
        lens.check_lists([alice])
        same(f"last market: {op[0]}", step(system, op).reason, reason)
    page = lens.contract.view("markets", 0, MAX_UINT)
    same("a page of markets", [m[0] for m in page], list(range(PAGE)))
    for reason, count in ((None, ACCOUNTS), ("", ACCOUNTS + 1)):
        call = lens.contract.call("liquidatable", [alice] * count, count - 1, 1)
        same(f"{count} accounts", call.reason, reason)
    lens.check_market(last)
    lens.check_pages()
    lens.check_pool()
