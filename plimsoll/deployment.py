"""From a table to a running venue, and from a file back to one.

`deploy` puts everything on chain in the one order that works; `Deployment` holds the contracts, the
markets' names and ids, and what a local chain needs to be played with; `save` and `load` keep it in
``deployments/<chain id>.json`` and make sure that what is there is still what was deployed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from plimsoll.chain import Chain, address_of, created_at, project_root
from plimsoll.errors import ChainError, DeploymentError, Reverted, TableError
from plimsoll.table import Table
from plimsoll.units import MAX_UINT, Number, decimal, plain, scaled, unscaled

FORMAT = 1
CORE = ("configurator", "pool", "auction", "clearinghouse", "lens")
SOURCES = {
    "quote": "TokenMock",
    "configurator": "Configurator",
    "pool": "LiquidityPool",
    "auction": "CollateralAuction",
    "clearinghouse": "Clearinghouse",
    "lens": "Lens",
    "board": "FeedBoard",
}
DEVNET = "--network ethereum:devnet:node"

Progress = Callable[[str], None]


@dataclass
class Deployment:
    """A venue on a chain. Contracts are the engine's own, as in ``clearinghouse.health(account)``.

    Attributes:
        chain: where it is.
        table: what it was made from; feeds and quote have their addresses filled in.
        deployer: address; owner of the Configurator.
        quote: the settlement token.
        feeds: by market name.
        board: moves mock feeds together; None where no feed is a mock.
        ids: market ids by name.
        block: of the first transaction; where to look for events from.
    """

    chain: Chain
    table: Table
    deployer: str
    quote: Any
    configurator: Any
    pool: Any
    auction: Any
    clearinghouse: Any
    lens: Any
    feeds: dict[str, Any]
    board: Any | None
    ids: dict[str, int]
    block: int
    mock_quote: bool = True
    mock_feeds: frozenset[str] = field(default_factory=frozenset)

    # -------------------------------------------------------------- names

    @property
    def names(self) -> list[str]:
        """Market names by id."""
        return sorted(self.ids, key=self.ids.__getitem__)

    def market_id(self, market: str | int) -> int:
        """The id of a market given by name or by id.

        Raises:
            DeploymentError: if there is no such market.
        """
        text = str(market)
        if text in self.ids:
            return self.ids[text]
        if text.isdecimal() and int(text) < len(self.ids):
            return int(text)
        for name, number in self.ids.items():
            if name.upper() == text.upper():
                return number
        raise DeploymentError(f"no market {text!r}; there are {', '.join(self.names)}")

    def market_name(self, market: str | int) -> str:
        """The name of a market given by name or by id."""
        return self.names[self.market_id(market)]

    @property
    def insurance(self) -> str:
        """The insurance fund's account."""
        return address_of(self.clearinghouse)

    # -------------------------------------------------------------- money

    def raw(self, amount: Number) -> int:
        """Quote in token units, exactly; never below zero."""
        try:
            raw = scaled(amount, self.table.quote.decimals, self.table.quote.symbol)
        except ValueError as error:
            raise DeploymentError(str(error)) from None
        if raw < 0:
            raise DeploymentError(f"{self.table.quote.symbol}: {amount} is below zero")
        return raw

    def from_raw(self, amount: int) -> Decimal:
        """Token units in quote."""
        return unscaled(amount, self.table.quote.decimals)

    def provide(self, payer: Any, amount: Number, spender: Any) -> int:
        """See to it that `payer` has `amount` [quote] and that `spender` may take it.

        A mock token mints what is missing; of a real one the payer must have enough.

        Returns:
            The amount [raw].

        Raises:
            DeploymentError: if the payer has too little of a real token.
        """
        raw = self.raw(amount)
        held = int(self.chain.view(self.quote, "balanceOf", address_of(payer)))
        if held < raw:
            if not self.mock_quote:
                raise DeploymentError(
                    f"{address_of(payer)} holds {plain(self.from_raw(held)):f} "
                    f"{self.table.quote.symbol}; {plain(decimal(amount)):f} are needed"
                )
            self.chain.send(self.quote, "mint", address_of(payer), raw - held, sender=payer)
        allowed = self.chain.view(self.quote, "allowance", address_of(payer), address_of(spender))
        if int(allowed) < raw:
            self.chain.send(self.quote, "approve", address_of(spender), MAX_UINT, sender=payer)
        return raw

    def fund(self, account: Any, amount: Number, payer: Any) -> None:
        """Deposit `amount` [quote] of the payer's to any account (a mock token is minted first)."""
        raw = self.provide(payer, amount, self.clearinghouse)
        self.chain.send(
            self.clearinghouse,
            "deposit",
            address_of(account),
            address_of(self.quote),
            raw,
            sender=payer,
        )

    def seed_pool(self, amount: Number, payer: Any) -> None:
        """Deposit `amount` [quote] into the pool, for shares to the payer."""
        raw = self.provide(payer, amount, self.pool)
        self.chain.send(self.pool, "deposit", raw, address_of(payer), 0, sender=payer)

    # -------------------------------------------------------------- prices

    def price(self, market: str | int) -> Decimal:
        """The feed's last answer [quote/base], whatever it is worth."""
        name = self.market_name(market)
        feed = self.feeds[name]
        answer = self.chain.view(feed, "latestRoundData")[1]
        return unscaled(int(answer), int(self.chain.view(feed, "decimals")))

    def set_prices(self, prices: Mapping[str, Decimal | int | str], sender: Any = None) -> None:
        """New answers of mock feeds, now, in one transaction; rounded to the feeds' decimals.

        Args:
            prices: [quote/base] by market.
            sender: who sends it; by default the chain's first signer.

        Raises:
            DeploymentError: if a feed is no mock.
        """
        feeds, answers = [], []
        for market, price in prices.items():
            name = self.market_name(market)
            if name not in self.mock_feeds or self.board is None:
                raise DeploymentError(f"{name}: its feed is a real one, which nobody can set")
            feeds.append(address_of(self.feeds[name]))
            answers.append(self.table.answer(name, decimal(price, f"{name}: price")))
        if feeds:
            payer = sender or self.chain.signers[0]
            self.chain.send(self.board, "post", feeds, answers, sender=payer)

    def set_price(self, market: str | int, price: Decimal | int | str, sender: Any = None) -> None:
        """A new answer of a mock feed [quote/base], now."""
        self.set_prices({self.market_name(market): price}, sender)

    def refresh_prices(self, sender: Any = None) -> None:
        """The mock feeds' answers once more, as of now: time has made them stale."""
        self.set_prices({name: self.price(name) for name in sorted(self.mock_feeds)}, sender)

    def poke(self, *markets: str | int, sender: Any = None) -> None:
        """Write markets' prices and funding to their state: these, or all. Dead ones are left."""
        payer = sender or self.chain.signers[0]
        ids = [self.market_id(m) for m in markets] or list(range(len(self.ids)))
        if self.board is not None:
            where = address_of(self.clearinghouse)
            self.chain.send(self.board, "poke", where, ids, sender=payer)
            return
        for number in ids:
            try:
                self.chain.send(self.clearinghouse, "poke", number, sender=payer)
            except Reverted as error:
                if not error.reason.startswith("prices:"):
                    raise

    def refresh_nav(self, sender: Any = None) -> None:
        """Tell the Clearinghouse what the pool is worth."""
        self.chain.send(self.pool, "refresh", sender=sender or self.chain.signers[0])

    # -------------------------------------------------------------- files

    def addresses(self) -> dict[str, str]:
        """Every contract's address by its part: core contracts, quote, board, ``feed:<market>``."""
        found = {part: address_of(getattr(self, part)) for part in ("quote", *CORE)}
        if self.board is not None:
            found["board"] = address_of(self.board)
        return found | {f"feed:{name}": address_of(feed) for name, feed in self.feeds.items()}

    def save(self, folder: Path | None = None) -> Path:
        """Write ``<folder>/<chain id>.json``; by default in the project's ``deployments``."""
        path = path_of(self.chain, folder)
        addresses = self.addresses()
        data = {
            "format": FORMAT,
            "chain_id": self.chain.id,
            "network": self.chain.name,
            "block": self.block,
            "deployer": self.deployer,
            "contracts": addresses,
            "code": {part: _code_hash(self.chain, at) for part, at in addresses.items()},
            "markets": self.names,
            "mock_quote": self.mock_quote,
            "mock_feeds": sorted(self.mock_feeds),
            "table": self.table.to_dict(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        draft.replace(path)
        return path

    @classmethod
    def load(cls, chain: Chain, folder: Path | None = None) -> Deployment:
        """The deployment on the chain that is connected, from its file.

        Raises:
            DeploymentError: if there is no file, it is another chain's, or what it names is no
                longer there; the text ends with the command that mends it.
        """
        path = path_of(chain, folder)
        mend = mend_of(chain)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DeploymentError(
                f"nothing is deployed on chain {chain.id} as far as {path} would tell; {mend}"
            ) from None
        except (OSError, json.JSONDecodeError) as error:
            raise DeploymentError(f"{path} cannot be read ({error}); {mend}") from None
        try:
            if data["format"] != FORMAT:
                raise DeploymentError(f"{path} has format {data['format']}, not {FORMAT}; {mend}")
            if data["chain_id"] != chain.id:
                raise DeploymentError(
                    f"{path} is of chain {data['chain_id']}, connected is chain {chain.id}; {mend}"
                )
            contracts, hashes = dict(data["contracts"]), dict(data["code"])
            names = list(data["markets"])
            table = Table.from_dict(data["table"])
            mocks = frozenset(data["mock_feeds"])
            deployed = cls(
                chain=chain,
                table=table,
                deployer=data["deployer"],
                ids={name: number for number, name in enumerate(names)},
                block=int(data["block"]),
                mock_quote=bool(data["mock_quote"]),
                mock_feeds=mocks,
                feeds={},
                board=None,
                **dict.fromkeys(("quote", *CORE)),
            )
            _check_code(chain, path, contracts, hashes, mend)
            for part in ("quote", *CORE):
                setattr(deployed, part, chain.at(SOURCES[part], contracts[part]))
            if "board" in contracts:
                deployed.board = chain.at(SOURCES["board"], contracts["board"])
            deployed.feeds = {n: chain.at("FeedMock", contracts[f"feed:{n}"]) for n in names}
        except (KeyError, TypeError, TableError) as error:
            raise DeploymentError(f"{path} is damaged ({error!r}); {mend}") from None
        deployed.check(path, mend)
        return deployed

    def check(self, path: Path | str = "this deployment", mend: str = "deploy again") -> None:
        """Whether the contracts still know each other and the markets.

        Raises:
            DeploymentError: if not.
        """
        try:
            settings = self.chain.view(self.clearinghouse, "settings")
            listed = int(self.chain.view(self.configurator, "market_count"))
            expected = {
                "pool": self.pool,
                "configurator": self.configurator,
                "auction": self.auction,
                "quote": self.quote,
            }
            for part, contract in expected.items():
                if address_of(getattr(settings, part)) != address_of(contract):
                    raise DeploymentError(f"{path}: the clearinghouse has another {part}; {mend}")
            if listed < len(self.ids):
                raise DeploymentError(
                    f"{path} names {len(self.ids)} markets, {listed} are listed; {mend}"
                )
            for name, number in self.ids.items():
                found = self.chain.view(self.configurator, "market_name", number)
                if found != name:
                    raise DeploymentError(f"{path}: market {number} is {found}, not {name}; {mend}")
        except (ChainError, Reverted) as error:
            raise DeploymentError(
                f"{path}: its contracts do not answer ({error}); {mend}"
            ) from None


def mend_of(chain: Chain) -> str:
    """The command that puts a deployment on a chain."""
    if chain.ends_with_process:
        return f"start `anvil` and name it to both commands: {DEVNET}"
    return f"run: ape run deploy --network {chain.name}"


def path_of(chain: Chain, folder: Path | None = None) -> Path:
    """Where the deployment on a chain is written down."""
    return (folder or project_root() / "deployments") / f"{chain.id}.json"


def _code_hash(chain: Chain, address: str) -> str:
    return "0x" + keccak(chain.code(address)).hex()


def _check_code(
    chain: Chain, path: Path, contracts: Mapping[str, str], hashes: Mapping[str, str], mend: str
) -> None:
    gone = [part for part, at in contracts.items() if not chain.code(at)]
    if gone:
        part = gone[0]
        many = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        why = (
            "this chain lived only as long as the command that deployed"
            if chain.ends_with_process
            else "the chain was started anew since"
        )
        raise DeploymentError(
            f"{path} is stale: there is no contract at {contracts[part]} ({part}{many}); {why}; "
            f"{mend}"
        )
    for part, at in contracts.items():
        if _code_hash(chain, at) != hashes[part]:
            raise DeploymentError(f"{path} is stale: {at} is no longer the {part}; {mend}")


# ------------------------------------------------------------------ deploying


def deploy(
    table: Table,
    chain: Chain,
    sender: Any,
    progress: Progress | None = None,
    seed: bool = True,
) -> Deployment:
    """Put a table's venue on a chain: tokens, contracts, markets, money, prices.

    Args:
        table: what to deploy. Where it gives an address for the quote or a feed, that is used;
            else a mock is deployed.
        chain: where.
        sender: who deploys, owns the Configurator, and pays the seeds.
        progress: is told each step in a few words.
        seed: whether to pay in the seeds of the pool and of the insurance fund.

    Returns:
        The deployment, ready to trade.

    Raises:
        TableError: before anything is sent, if a number cannot be represented.
        DeploymentError: if the chain refuses; it names the market and the rule.
    """
    tell = progress or _silent
    settings = table.settings()
    line = table.line()
    for spec in table.markets:
        table.terms(spec.name, spec.feed or "0x" + "00" * 20)
        table.answer(spec.name, spec.price)
    deployer = address_of(sender)
    block = chain.height
    table, quote, feeds, board = _outside(table, chain, sender, tell)
    real_feeds = {name for name, (_, mock) in feeds.items() if not mock}

    tell("Clearinghouse, pool, auction, Configurator, Lens")
    nonce = chain.nonce(deployer)
    predicted = created_at(deployer, nonce + 3)
    pool_spec = table.pool
    try:
        configurator = chain.deploy("Configurator", predicted, settings[0], sender=sender)
        pool = chain.deploy(
            "LiquidityPool",
            predicted,
            address_of(quote[0]),
            pool_spec.name,
            pool_spec.symbol,
            pool_spec.cooldown,
            sender=sender,
        )
        auction = chain.deploy(
            "CollateralAuction",
            predicted,
            address_of(configurator),
            address_of(quote[0]),
            sender=sender,
        )
        clearinghouse = chain.deploy(
            "Clearinghouse",
            address_of(quote[0]),
            address_of(pool),
            address_of(configurator),
            address_of(auction),
            *settings,
            sender=sender,
        )
        if address_of(clearinghouse) != predicted:
            raise DeploymentError(
                f"the clearinghouse is at {address_of(clearinghouse)}, not at {predicted} as "
                f"computed: {deployer} sent something else meanwhile; deploy again"
            )
        lens = chain.deploy("Lens", predicted, line, sender=sender)
    except Reverted as error:
        raise DeploymentError(f"{error.method} refuses: {error}") from None

    deployment = Deployment(
        chain=chain,
        table=table,
        deployer=deployer,
        quote=quote[0],
        configurator=configurator,
        pool=pool,
        auction=auction,
        clearinghouse=clearinghouse,
        lens=lens,
        feeds={name: contract for name, (contract, _) in feeds.items()},
        board=board,
        ids={},
        block=block,
        mock_quote=quote[1],
        mock_feeds=frozenset(set(feeds) - real_feeds),
    )
    list_markets(deployment, sender, tell)
    if seed:
        _seed(deployment, sender, tell)
    return deployment


def _silent(_: str) -> None:
    pass


def _outside(
    table: Table, chain: Chain, sender: Any, tell: Progress
) -> tuple[Table, tuple[Any, bool], dict[str, tuple[Any, bool]], Any | None]:
    """What the venue stands on: quote and feeds (each with: is it a mock?), the feeds' board."""
    tell("quote token and feeds")
    token = table.quote
    if token.address:
        _must_be_there(chain, token.address, token.symbol)
        quote = chain.at("TokenMock", token.address)
        decimals = int(chain.view(quote, "decimals"))
        if decimals != token.decimals:
            raise DeploymentError(
                f"{token.symbol} at {token.address} has {decimals} decimals, the table says "
                f"{token.decimals}"
            )
    else:
        quote = chain.deploy("TokenMock", token.name, token.symbol, token.decimals, sender=sender)
    feeds: dict[str, tuple[Any, bool]] = {}
    markets = []
    for number, spec in enumerate(table.markets, 1):
        if spec.feed:
            _must_be_there(chain, spec.feed, f"the feed of {spec.name}")
            feeds[spec.name] = (chain.at("FeedMock", spec.feed), False)
        else:
            tell(f"feed {number} of {len(table.markets)}: {spec.name}")
            answer = table.answer(spec.name, spec.price)
            feed = chain.deploy("FeedMock", spec.feed_decimals, answer, sender=sender)
            feeds[spec.name] = (feed, True)
        markets.append(replace(spec, feed=address_of(feeds[spec.name][0])))
    board = None
    if any(mock for _, mock in feeds.values()):
        board = chain.deploy("FeedBoard", sender=sender)
    table = replace(table, quote=replace(token, address=address_of(quote)), markets=tuple(markets))
    return table, (quote, not token.address), feeds, board


def _must_be_there(chain: Chain, address: str, what: str) -> None:
    if not chain.code(address):
        raise DeploymentError(f"there is no contract at {address} ({what})")


def list_markets(deployment: Deployment, sender: Any, progress: Progress | None = None) -> None:
    """List every market of the table that has no id yet, in order.

    Raises:
        DeploymentError: if the Configurator refuses one; it names the market and the rule.
    """
    tell = progress or _silent
    chain, table = deployment.chain, deployment.table
    for spec in table.markets:
        if spec.name in deployment.ids:
            continue
        number = len(deployment.ids)
        tell(f"market {number + 1} of {len(table.markets)}: {spec.name}")
        terms = table.terms(spec.name, address_of(deployment.feeds[spec.name]))
        if spec.name in deployment.mock_feeds:
            # Deploying many feeds takes a while; a market is listed at a price of now.
            _keep_fresh(deployment, spec.name, sender)
        try:
            chain.send(
                deployment.configurator, "list_market", spec.name, tuple(terms), sender=sender
            )
        except Reverted as error:
            raise DeploymentError(f"{spec.name}: {error}") from None
        deployment.ids[spec.name] = number


def _keep_fresh(deployment: Deployment, name: str, sender: Any) -> None:
    spec = deployment.table.spec(name)
    updated_at = int(deployment.chain.view(deployment.feeds[name], "latestRoundData")[3])
    if deployment.chain.now - updated_at > spec.max_age // 2:
        answer = deployment.table.answer(name, spec.price)
        deployment.chain.send(deployment.feeds[name], "set_answer", answer, sender=sender)


def _seed(deployment: Deployment, sender: Any, tell: Progress) -> None:
    tell("seeding the pool and the insurance fund")
    table = deployment.table
    try:
        if table.pool.seed:
            deployment.seed_pool(table.pool.seed, sender)
        if table.insurance:
            deployment.fund(deployment.insurance, table.insurance, sender)
        deployment.poke(sender=sender)
        deployment.refresh_nav(sender)
    except Reverted as error:
        raise DeploymentError(f"seeding: {error.method}: {error}") from None


def stale_feeds(deployment: Deployment, names: Iterable[str] | None = None) -> dict[str, str]:
    """The markets without a live price, each with the reason."""
    found = {}
    for name in names or deployment.names:
        leg = deployment.chain.view(
            deployment.clearinghouse, "leg", "0x" + "00" * 20, deployment.market_id(name)
        )
        if leg.status:
            found[name] = str(
                deployment.chain.view(deployment.lens, "price_status_text", leg.status)
            )
    return found
