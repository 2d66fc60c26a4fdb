"""The protocol's story, acted out on chain: who lives, who is liquidated, where every cent goes.

Hana is hedged, Leo is levered, Cara is careful. Hana's twin holds what Hana holds, with the same
money, but isolated: each position in a sub-account of its own. Prices fall, crash, and come back.
Then a short chapter: Mina brings ether and no cash. Her loss is a debt, it costs interest, and when
she is liquidated her ether repays it by way of an auction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from plimsoll.capital import Leg, Need, legs_of, need
from plimsoll.chain import Chain, address_of
from plimsoll.client import (
    Account,
    Client,
    Conservation,
    Liquidation,
    Lot,
    Pool,
    Purchase,
    Shock,
    conservation,
    sub_account,
)
from plimsoll.deployment import Deployment, deploy
from plimsoll.errors import ChainError
from plimsoll.table import default_table
from plimsoll.units import plain

D = Decimal
HOUR = 3_600

MARKETS = ("BTC", "ETH", "SOL")
BOOKS: dict[str, tuple[Decimal, dict[str, str]]] = {  # collateral [quote], sizes [base]
    "Hana": (D(180_000), {"BTC": "20", "ETH": "-400"}),
    "Leo": (D(27_000), {"BTC": "2", "ETH": "40", "SOL": "400"}),
    "Cara": (D(20_000), {"BTC": "0.5"}),
}
ROLES = {
    "Hana": "hedged",
    "Leo": "levered",
    "Cara": "careful",
    "twin BTC": "isolated",
    "twin ETH": "isolated",
}
MOVES = (  # of prices, from the start
    ("a dip", {"BTC": D("-0.04"), "ETH": D("-0.05"), "SOL": D("-0.08")}),
    ("a fall", {"BTC": D("-0.055"), "ETH": D("-0.065"), "SOL": D("-0.10")}),
    ("a crash", {"BTC": D("-0.20"), "ETH": D("-0.25"), "SOL": D("-0.35")}),
    ("a rebound", {"BTC": D("0.04"), "ETH": D("0.05"), "SOL": D("0.02")}),
)


TOKEN, ETHER = "WETH", D(100)  # what Mina brings
MINA = ("BTC", D(15))  # and holds
MINA_MOVES = (  # of prices, from the start
    {"BTC": D("-0.11"), TOKEN: D("-0.10")},
    {"BTC": D("-0.15"), TOKEN: D("-0.45")},
)
DAY = 86_400
BUYER_WAITS = 3_600  # [s]


class Scene(NamedTuple):
    """A moment: what was done to prices, and how everybody stands before anybody acts."""

    name: str
    prices: dict[str, Decimal]  # [quote/base]
    accounts: dict[str, Account]


class Chapter(NamedTuple):
    """Mina's. Money in quote."""

    opened: Account
    fallen: Account  # prices fell: an unrealised loss
    settled: Account  # and somebody made a debt of it
    day_later: Account  # with interest on it
    crashed: Account  # before anybody acts
    liquidation: Liquidation
    after: Account
    lot: Lot  # when it was opened; its later price is the one after `BUYER_WAITS`
    purchase: Purchase
    feed_price: Decimal  # of the token then
    fund: tuple[Decimal, Decimal, Decimal]  # before the liquidation, after it, after the sale


@dataclass
class Story:
    """What happened. Money in quote."""

    scenes: list[Scene] = field(default_factory=list)
    shock: Shock | None = None  # Leo's, seen coming at the margin call
    liquidation: Liquidation | None = None  # Leo's
    isolated: dict[str, Liquidation] = field(default_factory=dict)  # the twin's, by market
    twin_after: Decimal = D(0)  # equity of both his accounts at the end
    hana_after: Decimal = D(0)  # equity at the end
    leo_after: Account | None = None  # when he was closed out
    withdrawn: Decimal = D(0)  # by Leo, of what remained
    keeper_before: Decimal = D(0)  # cash
    keeper_after: Decimal = D(0)
    pool_before: Pool | None = None
    pool_after: Pool | None = None
    needs: dict[str, Need] = field(default_factory=dict)
    mina: Chapter | None = None
    gas: dict[str, int] = field(default_factory=dict)
    conservation: Conservation | None = None

    @property
    def balanced(self) -> bool:
        """Whether LED-2 and LED-3 hold at the end."""
        return self.conservation is not None and self.conservation.holds

    @property
    def need(self) -> Need:
        """Of the whole book."""
        return sum(self.needs.values(), Need(D(0), D(0)))


def play(chain: Chain, tell: Callable[[str], None] = lambda _: None) -> Story:
    """Deploy and act it out.

    Args:
        chain: a local one with at least eight signers.
        tell: is told each step in a few words.
    """
    signers = chain.signers
    if len(signers) < 8:
        raise ChainError(f"{chain.name} has {len(signers)} accounts to sign with, the demo needs 8")
    deployer, twin, stranger = signers[0], signers[4], signers[5]
    owners = dict(zip(BOOKS, signers[1:4], strict=True))
    table = default_table().only(*MARKETS)
    start = {spec.name: spec.price for spec in table.markets}
    deployment = deploy(table, chain, deployer, tell)
    client = Client(deployment)
    story = Story()

    def scene(name: str, prices: dict[str, Decimal]) -> None:
        views = {who: client.account(account) for who, account in accounts.items()}
        story.scenes.append(Scene(name, prices, views))

    # Everybody opens.
    accounts: dict[str, str] = {}
    legs: dict[str, list[Leg]] = {}
    story.pool_before = client.pool()
    for who, (collateral, sizes) in BOOKS.items():
        tell(f"{who} pays in and opens")
        owner = owners[who]
        accounts[who] = address_of(owner)
        receipt = client.deposit(collateral, signer=owner)
        story.gas.setdefault("deposit", receipt.gas)
        for number, (market, size) in enumerate(sizes.items()):
            trade = client.trade(market, size, signer=owner)
            if who == "Leo":
                story.gas[f"trade, {ORDINALS[number]} position"] = trade.gas
    tell("Hana's twin opens the same, isolated")
    collateral, sizes = BOOKS["Hana"]
    for number, (market, size) in enumerate(sizes.items(), 1):
        account = sub_account(twin, number)
        accounts[f"twin {market}"] = account
        client.deposit(collateral / len(sizes), account, twin)
        client.trade(market, size, account=account, signer=twin)
    for who in BOOKS:
        legs[who] = legs_of(deployment, accounts[who])
    scene("opened", start)

    def move(number: int) -> None:
        name, moves = MOVES[number]
        tell(f"prices move: {name}")
        prices = {market: plain(start[market] * (1 + by)) for market, by in moves.items()}
        chain.advance(HOUR)
        deployment.set_prices(prices, deployer)
        deployment.poke(sender=deployer)
        scene(name, prices)

    # A dip: a margin call, and a look at what is coming.
    move(0)
    story.shock = client.shock(accounts["Leo"], {"all": "-0.05"})

    # A fall: a stranger without a cent in the venue liquidates whoever is below the line.
    move(1)
    story.keeper_before = client.account(stranger).cash
    tell("a stranger liquidates Leo")
    story.liquidation = client.liquidate(accounts["Leo"], stranger)
    story.gas["liquidate, three positions"] = story.liquidation.gas
    story.leo_after = client.account(accounts["Leo"])
    story.keeper_after = client.account(stranger).cash
    tell("and the twin's BTC position")
    story.isolated["BTC"] = client.liquidate(accounts["twin BTC"], stranger)
    story.gas["liquidate, one position"] = story.isolated["BTC"].gas
    story.withdrawn = story.leo_after.withdrawable
    tell("Leo takes out what is left")
    receipt = client.withdraw(story.withdrawn, signer=owners["Leo"])
    story.gas["withdraw"] = receipt.gas

    # A crash: Hana's loss on BTC is more than she ever paid in.
    move(2)

    # A rebound: the twin's other position is a naked short by now.
    move(3)
    tell("the twin's ETH position, too")
    story.isolated["ETH"] = client.liquidate(accounts["twin ETH"], stranger)
    story.hana_after = client.account(accounts["Hana"]).equity
    twins = ("twin BTC", "twin ETH")
    story.twin_after = sum((client.account(accounts[who]).equity for who in twins), D(0))
    deployment.refresh_nav(deployer)
    story.pool_after = client.pool()

    story.mina = _chapter(deployment, signers[6], stranger, signers[7], story.gas, tell)

    path = [s.prices for s in story.scenes]
    story.needs = {who: need(legs[who], path) for who in BOOKS}
    tell("adding up the books")
    story.conservation = conservation(deployment)
    return story


def _chapter(
    deployment: Deployment,
    mina: Any,
    stranger: Any,
    buyer: Any,
    gas: dict[str, int],
    tell: Callable[[str], None],
) -> Chapter:
    """Ether for collateral: a loss, a debt, interest, a seizure, a sale."""
    client, chain = Client(deployment, mina), deployment.chain
    market, size = MINA
    start = {name: deployment.table.priced(name).price for name in (*MARKETS, TOKEN)}

    def look() -> Account:
        return client.account(mina)

    def fund() -> Decimal:
        return client.pool().insurance

    def move(number: int) -> None:
        moved = {name: plain(start[name] * (1 + by)) for name, by in MINA_MOVES[number].items()}
        deployment.set_prices({**start, **moved}, stranger)
        deployment.poke(sender=stranger)

    tell("Mina pays in ether and opens")
    deployment.set_prices(start, stranger)
    deployment.refresh_nav(stranger)
    gas["deposit of a token"] = client.deposit(ETHER, token=TOKEN).gas
    client.trade(market, size)
    opened = look()

    tell("prices fall, somebody settles her loss")
    chain.advance(HOUR)
    move(0)
    fallen = look()
    client.settle(mina, stranger)
    settled = look()
    chain.advance(DAY)
    deployment.refresh_prices(stranger)
    day_later = look()

    tell("ether crashes: a stranger liquidates her")
    chain.advance(HOUR)
    move(1)
    crashed, before = look(), fund()
    liquidation = client.liquidate(mina, stranger)
    gas["liquidate, a position and a token"] = liquidation.gas
    after, seized = look(), fund()
    lot = client.lot(liquidation.lots[0], D(BUYER_WAITS) / 60)

    tell("somebody buys the lot")
    chain.advance(BUYER_WAITS)
    purchase = client.buy_collateral(lot.id, signer=buyer)
    gas["buy a lot, all of it"] = purchase.gas
    return Chapter(
        opened=opened,
        fallen=fallen,
        settled=settled,
        day_later=day_later,
        crashed=crashed,
        liquidation=liquidation,
        after=after,
        lot=lot,
        purchase=purchase,
        feed_price=deployment.price(TOKEN),
        fund=(before, seized, fund()),
    )


ORDINALS = ("first", "second", "third")
