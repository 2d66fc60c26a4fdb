"""Gas of every operation, cold: one transaction a block, a minute between blocks.

Receipts' gasUsed on the in-process chain, whose every transaction starts with every slot cold. The
same book is measured with two kinds of feeds: one whose round is a single slot, the floor of what
a feed can cost, and one that reads what Chainlink's proxy and aggregator read. Collateral has a
venue of its own, so that the book without any is measured as it always was. The numbers do not
depend on the machine; `compare` holds them against the committed snapshot to the last unit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from plimsoll.chain import ApeChain, address_of
from plimsoll.deployment import Deployment, deploy
from plimsoll.table import PoolSpec, Table, collateral, market

SNAPSHOT = Path("tests/gas/snapshot.json")
TABLE = Path("docs/gas.md")
LEGS = (1, 4, 8, 16, 32)
FEEDS = ("one_slot", "chainlink")
README_BEGIN, README_END = "<!-- gas: begin -->", "<!-- gas: end -->"
MINUTE = 60
PRICE = Decimal(100)
CRASH = Decimal(92)  # from 20 times leverage: unhealthy, and solvent after the fee
SIZE = 10 * 10**18  # [WAD base] of each leg
ANSWER = 10**8  # one quote, in the feeds' decimals
COINS = (1, 4)  # collateral tokens of an account that is liquidated
COIN_LEGS = 8  # and its positions
BACKING = Decimal("8.8")  # of tokens at `PRICE` each: liquidated at `CRASH`, it pays all its fee
BURNT = (8, 16)  # live positions beside one whose feed eats all its gas
# A pool of `SEED` a market, of which two traders hold `SIZE` each, long: broke, then insolvent.
RESORT = (2, 16)  # markets
SEED = Decimal(2_000)
BROKE, INSOLVENT = Decimal(197), Decimal(210)

# What the design allows [gas]; `over_target` names the figures beyond it.
TARGETS: dict[str, dict[str, int]] = {
    "liquidate.one_slot": {"1": 110_000, "16": 555_000, "32": 1_050_000},
    "liquidate.chainlink": {"16": 775_000, "32": 1_480_000},
    "trade_open": {"1": 132_000, "16": 450_000},
    "trade_open.chainlink": {"16": 650_000},
    "withdraw": {"16": 400_000},
    "withdraw.chainlink": {"16": 620_000},
}

# Figures by operation, and by how many positions the account has. Of `liquidate` by the kind of
# feeds first; of the others those with one-slot feeds stand at the top, the others below.
Snapshot = dict[str, Any]


class Bench:
    """A venue in which somebody else trades too.

    Args:
        feeds: their kind.
        markets: how many.
        coins: how many collateral tokens.
        seed: [quote] what the pool has.
        burner: whether there is one market more, whose feed can be made to eat all its gas.
    """

    def __init__(
        self,
        feeds: str,
        markets: int = max(LEGS),
        coins: int = 0,
        seed: Decimal = Decimal(100_000_000),
        burner: bool = False,
    ) -> None:
        self.chain = ApeChain()
        signers = self.chain.signers
        self.owner, self.trader, self.other, self.keeper, self.lender = signers[:5]
        self.feeds = [self._feed(feeds) for _ in range(markets)]
        if burner:
            faulty = self.chain.deploy("FaultyFeedMock", 8, int(PRICE * ANSWER), sender=self.owner)
            self.feeds.append((faulty, faulty))
        specs = tuple(
            market(
                f"M{i}",
                PRICE,
                "major",
                feed=address_of(front),
                skew_scale=Decimal(4_000_000),
                max_age=10**6,
            )
            for i, (front, _) in enumerate(self.feeds)
        )
        tokens = tuple(
            collateral(f"T{i}", PRICE, feed=address_of(self._feed(feeds)[0]), max_age=10**6)
            for i in range(coins)
        )
        pool = PoolSpec(seed=seed)
        insurance = Decimal(1_000_000)
        table = Table(markets=specs, pool=pool, insurance=insurance, collateral=tokens)
        self.venue: Deployment = deploy(table, self.chain, self.owner)
        for account in (self.other, self.keeper):
            self.venue.fund(account, 1_000_000, account)
        for i in range(len(self.feeds)):
            self.trade(self.other, i, SIZE)

    def _feed(self, kind: str) -> tuple[Any, Any]:
        """(what the market reads, what sets its answer)."""
        answer = int(PRICE * ANSWER)
        if kind == "one_slot":
            feed = self.chain.deploy("FeedMock", 8, answer, sender=self.owner)
            return feed, feed
        aggregator = self.chain.deploy("ChainlinkAggregatorMock", answer, sender=self.owner)
        proxy = self.chain.deploy("ChainlinkProxyMock", address_of(aggregator), sender=self.owner)
        self.chain.send(aggregator, "allow", address_of(proxy), sender=self.owner)
        return proxy, aggregator

    def prices(self, price: Decimal, count: int) -> None:
        """A new answer of the first `count` feeds."""
        for _, source in self.feeds[:count]:
            self.chain.send(source, "set_answer", int(price * ANSWER), sender=self.owner)

    def send(self, contract: Any, method: str, *args: Any, sender: Any) -> int:
        """The gas of a transaction in a block of its own, a minute after the last."""
        self.chain.advance(MINUTE)
        return self.chain.send(contract, method, *args, sender=sender).gas

    def call(self, method: str, *args: Any) -> int:
        """The gas of a view of the Clearinghouse, sent as a transaction."""
        self.chain.advance(MINUTE)
        house = self.venue.clearinghouse
        data = getattr(house, method).encode_input(*args)
        return int(self.stranger.transfer(address_of(house), 0, data=data).gas_used)

    @property
    def stranger(self) -> Any:
        """Somebody without an account."""
        return self.chain.signers[5]

    def sub(self, number: int) -> str:
        """The trader's sub-account."""
        from eth_utils.address import to_checksum_address

        return str(to_checksum_address(f"{int(address_of(self.trader), 16) ^ number:#042x}"))

    def trade(self, sender: Any, number: int, delta: int, account: str | None = None) -> int:
        """A trade at any price."""
        limit = 2**256 - 1 if delta > 0 else 0
        house = self.venue.clearinghouse
        who = account or address_of(sender)
        return self.send(house, "trade", who, number, delta, limit, sender=sender)

    def deposit(self, account: str, amount: int) -> int:
        """A deposit of `amount` [quote] by the trader."""
        raw = self.venue.provide(self.trader, amount, self.venue.clearinghouse)
        quote = address_of(self.venue.quote)
        house = self.venue.clearinghouse
        return self.send(house, "deposit", account, quote, raw, sender=self.trader)

    def deposit_token(self, account: str, symbol: str, amount: Decimal) -> int:
        """A deposit of a collateral token that the trader has and has approved."""
        venue, house = self.venue, self.venue.clearinghouse
        raw, token = venue.raw(amount, symbol), venue.token_address(symbol)
        return self.send(house, "deposit", account, token, raw, sender=self.trader)


def measure(progress: Callable[[str], None] = lambda _: None) -> Snapshot:
    """Every figure of the snapshot [gas]."""
    found: Snapshot = {}
    for kind in FEEDS:
        progress(f"{kind} feeds")
        _measure(Bench(kind), kind, found, progress)
        progress(f"{kind} feeds, collateral")
        _measure_collateral(Bench(kind, COIN_LEGS, max(COINS)), kind, found)
    progress("a feed that burns gas")
    _measure_burner(Bench("one_slot", max(BURNT), burner=True), found)
    for count in RESORT:
        progress(f"a broke pool, {count} markets")
        _measure_last_resort(Bench("one_slot", count, seed=SEED * count), count, found)
    return {name: _shaped(name, value) for name, value in found.items()}


def _shaped(name: str, value: Any) -> Any:
    """One operation's figures as the snapshot has them."""
    if not isinstance(value, dict):
        return value
    by_kind = {
        kind: {str(n): of_kind[str(n)] for n in sorted(map(int, of_kind))}
        for kind, of_kind in value.items()
    }
    if name == "liquidate":
        return by_kind
    return {**by_kind.pop("one_slot", {}), **by_kind}


def of_kind(snapshot: Snapshot, name: str, kind: str) -> dict[str, int]:
    """An operation's figures with one kind of feeds, by the number of positions."""
    figures: dict[str, Any] = snapshot[name]
    if kind in figures:
        return dict(figures[kind])
    return {n: gas for n, gas in figures.items() if isinstance(gas, int)}


def _measure(bench: Bench, kind: str, found: Snapshot, progress: Callable[[str], None]) -> None:
    house, quote = bench.venue.clearinghouse, address_of(bench.venue.quote)

    def note(operation: str, count: int, gas: int) -> None:
        found.setdefault(operation, {}).setdefault(kind, {})[str(count)] = gas

    # Somebody who has dealt in the token before, with a new account.
    bench.venue.provide(bench.trader, 10**9, house)
    for count in LEGS:
        progress(f"{kind} feeds, {count} positions")
        account = bench.sub(count)
        first = bench.deposit(account, 100 * count)
        again = bench.deposit(account, 1)
        if kind == "one_slot" and count == 1:
            found["deposit"], found["deposit_again"] = first, again
        for i in range(count):
            gas = bench.trade(bench.trader, i, SIZE, account)
            if i + 1 == count or (count == 16 and i == 1):
                note("trade_open", i + 1, gas)
        raw = bench.venue.raw(1)
        receiver = address_of(bench.trader)
        args = (account, quote, raw, receiver)
        note("withdraw", count, bench.send(house, "withdraw", *args, sender=bench.trader))
        note("health", count, bench.call("health", account))
        note("trade_reduce", count, bench.trade(bench.trader, 0, -SIZE // 2, account))
        bench.trade(bench.trader, 0, SIZE // 2, account)
        bench.prices(CRASH, count)
        note("liquidate", count, bench.send(house, "liquidate", account, sender=bench.keeper))
        bench.prices(PRICE, count)
        bench.venue.refresh_nav(bench.owner)
    note("poke", 1, bench.send(house, "poke", 0, sender=bench.stranger))

    lender, pool = bench.lender, bench.venue.pool
    raw = bench.venue.provide(lender, 1_000, pool)
    who = address_of(lender)
    for name in ("pool_deposit", "pool_deposit_again"):
        note(name, 32, bench.send(pool, "deposit", raw // 2, who, 0, sender=lender))


def _measure_collateral(bench: Bench, kind: str, found: Snapshot) -> None:
    venue, house, auction = bench.venue, bench.venue.clearinghouse, bench.venue.auction

    def note(operation: str, count: int, gas: int) -> None:
        found.setdefault(operation, {}).setdefault(kind, {})[str(count)] = gas

    # Trader and buyer have dealt in the tokens before; somebody else holds some of each.
    for symbol in venue.symbols:
        venue.fund(bench.other, 100, bench.other, symbol)
        venue.provide(bench.trader, 1_000, house, symbol)
        venue.provide(bench.lender, 1, house, symbol)
    venue.provide(bench.lender, 100_000, auction)

    def liquidate(account: str, count: int) -> tuple[int, int, int]:
        """An account of `count` tokens and eight positions: deposits first and again, its end."""
        each = BACKING / count
        for i, symbol in enumerate(venue.symbols[:count]):
            first = bench.deposit_token(account, symbol, each / 2)
            again = bench.deposit_token(account, symbol, each / 2)
            if i == 0:
                deposits = first, again
        for i in range(COIN_LEGS):
            bench.trade(bench.trader, i, SIZE, account)
        bench.prices(CRASH, COIN_LEGS)
        gas = bench.send(house, "liquidate", account, sender=bench.keeper)
        bench.prices(PRICE, COIN_LEGS)
        venue.refresh_nav(bench.owner)
        return *deposits, gas

    # The lots of the first are still for sale when the others' are opened.
    liquidate(bench.sub(200), max(COINS))
    for count in COINS:
        first, again, gas = liquidate(bench.sub(count), count)
        if count == 1:
            note("deposit_token", 1, first)
            note("deposit_token_again", 1, again)
        note("liquidate_8_by_tokens", count, gas)
    for name, part in (("buy_collateral_part", 2), ("buy_collateral", 1)):
        raw = int(venue.chain.view(auction, "lot", 0).amount) // part
        args = (0, raw, 2**256 - 1, address_of(bench.lender))
        note(name, 1, bench.send(auction, "buy_collateral", *args, sender=bench.lender))


def _measure_burner(bench: Bench, found: Snapshot) -> None:
    """Liquidations beside a leg whose feed eats what it gets: it is valued, and left."""
    house, (burner, _) = bench.venue.clearinghouse, bench.feeds[-1]
    for count in BURNT:
        account = bench.sub(count)
        bench.chain.send(burner, "set_mode", 0, sender=bench.owner)
        bench.deposit(account, 100 * (count + 1))
        for i in (*range(count), len(bench.feeds) - 1):
            bench.trade(bench.trader, i, SIZE, account)
        bench.chain.send(burner, "set_mode", 2, sender=bench.owner)
        bench.prices(CRASH, count)
        gas = bench.send(house, "liquidate", account, sender=bench.keeper)
        found.setdefault("liquidate_beside_burner", {}).setdefault("one_slot", {})[str(count)] = gas
        bench.prices(PRICE, count)


def _measure_last_resort(bench: Bench, count: int, found: Snapshot) -> None:
    """A pool of `count` markets that a rise breaks; the winner is in all of them."""
    backstop = bench.venue.backstop
    winner, other = bench.sub(1), address_of(bench.other)

    def note(operation: str, *args: Any) -> None:
        gas = bench.send(backstop, operation, *args, sender=bench.keeper)
        found.setdefault(operation, {}).setdefault("one_slot", {})[str(count)] = gas

    bench.deposit(winner, 1_000 * count)
    for i in range(count):
        bench.trade(bench.trader, i, SIZE, winner)
    bench.prices(BROKE, count)
    note("deleverage", winner, 0)
    bench.prices(INSOLVENT, count)
    note("declare")
    bench.chain.advance(60 * MINUTE)
    note("settle", list(range(count)))
    for i in range(count):
        note("close_settled", i, [winner, other])
    note("fix")


# ------------------------------------------------------------------ the snapshot


def flat(snapshot: Mapping[str, Any], prefix: str = "") -> dict[str, int]:
    """A snapshot's figures by dotted names."""
    figures: dict[str, int] = {}
    for name, value in snapshot.items():
        if isinstance(value, Mapping):
            figures |= flat(value, f"{prefix}{name}.")
        else:
            figures[prefix + name] = int(value)
    return figures


def compare(measured: Snapshot, snapshot: Snapshot) -> list[str]:
    """A line for each figure that is not the snapshot's."""
    now, then = flat(measured), flat(snapshot)
    lines = []
    for name in sorted(now.keys() | then.keys()):
        if now.get(name) != then.get(name):
            was = f"{then[name]:,}" if name in then else "nothing"
            is_ = f"{now[name]:,}" if name in now else "nothing"
            lines.append(f"{name}: {is_} gas, the snapshot has {was}")
    return lines


def over_target(measured: Snapshot) -> list[str]:
    """A line for each figure beyond its target."""
    figures = flat(measured)
    return [
        f"{name}.{count}: {figures[f'{name}.{count}']:,} gas, the target is {target:,}"
        for name, targets in TARGETS.items()
        for count, target in targets.items()
        if figures[f"{name}.{count}"] > target
    ]


def load(path: Path = SNAPSHOT) -> Snapshot:
    """The committed snapshot; empty if there is none yet."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def save(measured: Snapshot, path: Path = SNAPSHOT) -> None:
    """Write the snapshot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(measured, indent=2) + "\n")


# ------------------------------------------------------------------ the document

# What it cannot go below: the storage that such a liquidation has to touch, an event a leg.
FLOORS = (
    ("floor: four slots a market, one-slot feeds", 63_931, 133_666, 226_646, 412_553),
    ("floor: four slots a market, Chainlink feeds", 77_216, 186_806, 332_926, 625_113),
    ("floor: three slots a market, one-slot feeds", 58_637, 112_178, 183_566, 326_312),
)
# Taken once from the peers' published contracts by the same rules; not measured again here.
PEERS = (
    ("Compound III `absorb` (one debt, N collaterals)", 100_356, 163_308, 247_984, None),
    ("Unstoppable margin dex (isolated: N transactions)", 266_659, 1_070_000, 2_130_000, 4_270_000),
    ("Synthetix V3 perps `liquidate`", 1_242_326, 2_754_192, 4_791_486, 9_045_337),
    ("Derive (Lyra v2), start and bid", 1_402_603, 3_249_772, 5_983_197, 12_360_234),
    ("Perp v2, N calls", 1_237_930, 9_258_314, 30_640_172, 110_074_931),
)
SYNTHETIX, DERIVE = 2, 3  # the nearest that do the same job


def document(snapshot: Snapshot) -> str:
    """The text of docs/gas.md."""
    counts = [str(n) for n in LEGS]

    def row(label: str, figures: Mapping[str, int]) -> str:
        cells = " | ".join(f"{figures[n]:,}" if n in figures else "" for n in counts)
        return f"| {label} | {cells} |"

    liquidate = snapshot["liquidate"]
    one_slot, chainlink = liquidate["one_slot"], liquidate["chainlink"]
    slope = {kind: (liquidate[kind]["32"] - liquidate[kind]["16"]) // 16 for kind in FEEDS}
    early = {kind: (liquidate[kind]["16"] - liquidate[kind]["8"]) // 8 for kind in FEEDS}
    ours = [f"{one_slot[n]:,}" for n in ("1", "4", "8", "16")]
    lines = [
        "# Gas",
        "",
        "Written by `make gas`; `make gas CHECK=1` holds it to `tests/gas/snapshot.json` exactly.",
        "Receipts' gasUsed, one transaction a block, a minute between blocks, every slot cold.",
        "*One-slot* feeds answer from one storage slot; *Chainlink* feeds make the calls and the",
        "storage reads of its proxy and aggregator (compiled from its package, the proxy with a",
        "replica of the aggregator took 1,310 more a read). The account's markets hold another",
        "trader's positions too; the keeper has been paid before (a first credit: 17,100 more).",
        "",
        "## Liquidating all N positions of an account, against peers",
        "",
        "| | N = 1 | 4 | 8 | 16 |",
        "|---|--:|--:|--:|--:|",
        f"| **Plimsoll**, one-slot feeds | {' | '.join(f'**{g}**' for g in ours)} |",
        "| **Plimsoll**, Chainlink feeds | "
        + " | ".join(f"**{chainlink[n]:,}**" for n in ("1", "4", "8", "16"))
        + " |",
    ]
    for label, *figures in (*FLOORS, *PEERS):
        cells = " | ".join("" if g is None else f"{g:,}" for g in figures)
        lines.append(f"| {label} | {cells} |")
    floor, synthetix = FLOORS[0][4], PEERS[SYNTHETIX][4]
    assert synthetix is not None
    lines += [
        "",
        f"At N = 16 that is {synthetix / one_slot['16']:.1f} times below Synthetix V3 with",
        f"one-slot feeds, {synthetix / chainlink['16']:.1f} times with Chainlink's, and "
        f"{one_slot['16'] / floor:.2f} times the floor. The peers' figures",
        "were taken once, from their published contracts doing the same job by the same rules;",
        "`make gas` does not measure them again.",
        "",
        f"The slope is flat. One more position costs {early['one_slot']:,} from 8 to 16 and "
        f"{slope['one_slot']:,} from 16",
        f"to 32 (Chainlink: {early['chainlink']:,} and {slope['chainlink']:,}).",
        "",
        "## Every operation, by the number of positions that the account has after it",
        "",
        f"| | {' | '.join(counts)} |",
        "|---|" + "--:|" * len(counts),
    ]
    names = {
        "liquidate": "liquidate",
        "trade_open": "open one more",
        "trade_reduce": "reduce one",
        "withdraw": "withdraw",
        "health": "health, as a transaction",
        "poke": "poke a market",
        "pool_deposit": "pool deposit, 32 markets open, first",
        "pool_deposit_again": "pool deposit, 32 markets open, again",
    }
    for name, label in names.items():
        for kind in FEEDS:
            kind_label = "one-slot" if kind == "one_slot" else "Chainlink"
            lines.append(row(f"{label}, {kind_label}", of_kind(snapshot, name, kind)))
    lines += [
        "",
        f"Deposit into a new account {snapshot['deposit']:,}, again {snapshot['deposit_again']:,}.",
        "",
        *_burner_lines(snapshot),
        *_collateral_section(snapshot),
        *_last_resort_section(snapshot),
    ]
    return "\n".join(lines)


def _collateral_section(snapshot: Snapshot) -> list[str]:
    """What collateral costs, if the snapshot has it."""
    if "liquidate_8_by_tokens" not in snapshot:
        return []
    rows = {
        "deposit of a token, a new account's first": ("deposit_token", "1"),
        "deposit of a token, again": ("deposit_token_again", "1"),
        "liquidate 8 positions, no token": ("liquidate", "8"),
        "liquidate 8 positions, 1 token seized": ("liquidate_8_by_tokens", "1"),
        "liquidate 8 positions, 4 tokens seized": ("liquidate_8_by_tokens", "4"),
        "buy half of a lot": ("buy_collateral_part", "1"),
        "buy all that is left of it": ("buy_collateral", "1"),
    }
    lines = [
        "## Collateral",
        "",
        "Each token that is seized becomes a lot of its own: two new slots and an event. Other",
        "lots of it are for sale already, and the buyer has dealt in the token before.",
        "",
        "| | one-slot feeds | Chainlink feeds |",
        "|---|--:|--:|",
    ]
    for label, (name, count) in rows.items():
        cells = [f"{of_kind(snapshot, name, kind)[count]:,}" for kind in FEEDS]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return [*lines, ""]


def _burner_lines(snapshot: Snapshot) -> list[str]:
    """What a feed that eats its gas costs a keeper, if the snapshot has it."""
    if "liquidate_beside_burner" not in snapshot:
        return []
    beside = of_kind(snapshot, "liquidate_beside_burner", "one_slot")
    more = {n: beside[n] - snapshot["liquidate"]["one_slot"][n] for n in beside}
    told = " and ".join(f"{more[n]:,} beside {n} others" for n in beside)
    return [
        f"A position whose feed eats all the gas it gets costs a liquidation so much more: {told}.",
        "",
    ]


def _last_resort_section(snapshot: Snapshot) -> list[str]:
    """What the Backstop costs, if the snapshot has it."""
    if "deleverage" not in snapshot:
        return []
    rows = {
        "deleverage one position": "deleverage",
        "declare a settlement": "declare",
        "settle all markets": "settle",
        "close two positions in a settled market": "close_settled",
        "fix the share": "fix",
    }
    counts = [str(n) for n in RESORT]
    lines = [
        "## The last resort",
        "",
        "By the number of markets that the pool is in, one-slot feeds. The account that is",
        "deleveraged has a position in each of them, and so has who is closed in the end.",
        "",
        f"| | {' | '.join(counts)} |",
        "|---|" + "--:|" * len(counts),
    ]
    for label, name in rows.items():
        figures = of_kind(snapshot, name, "one_slot")
        lines.append(f"| {label} | {' | '.join(f'{figures[n]:,}' for n in counts)} |")
    return [*lines, ""]


def readme_table(snapshot: Snapshot) -> str:
    """The short table of the README."""
    one_slot, chainlink = snapshot["liquidate"]["one_slot"], snapshot["liquidate"]["chainlink"]
    ns = ("1", "4", "8", "16")
    rows = [
        "| liquidate all N positions | N = 1 | 4 | 8 | 16 |",
        "|---|--:|--:|--:|--:|",
        "| Plimsoll, one-slot feeds | " + " | ".join(f"{one_slot[n]:,}" for n in ns) + " |",
        "| Plimsoll, Chainlink feeds | " + " | ".join(f"{chainlink[n]:,}" for n in ns) + " |",
    ]
    for label, *figures in (PEERS[SYNTHETIX], PEERS[DERIVE]):
        rows.append(f"| {label} | " + " | ".join(f"{g:,}" for g in figures if g) + " |")
    return "\n".join(rows)


def write_readme(path: Path, snapshot: Snapshot) -> None:
    """Put the short table between the README's two marks."""
    text = path.read_text()
    head, rest = text.split(README_BEGIN)
    _, tail = rest.split(README_END)
    path.write_text(f"{head}{README_BEGIN}\n{readme_table(snapshot)}\n{README_END}{tail}")
