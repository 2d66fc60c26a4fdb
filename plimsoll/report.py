"""Tables for the terminal. What is shown is computed elsewhere; here it is only put in columns."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from plimsoll.chain import address_of
from plimsoll.client import (
    Account,
    Backstop,
    Candidate,
    Conservation,
    Credit,
    Entry,
    Liquidation,
    LiquidationPreview,
    Lot,
    Market,
    Pool,
    Shock,
    Token,
)
from plimsoll.demo import BOOKS, ROLES, Story
from plimsoll.deployment import Deployment
from plimsoll.doctor import Finding
from plimsoll.prices import Series, date
from plimsoll.replay import Replay, Seizures
from plimsoll.units import WIDE, from_wad, plain

NOTHING = "-"
WIDTH = 100  # where the output is no terminal


def console() -> Console:
    """Where everything is printed."""
    # Names come from files: a bracket in one is a bracket.
    width = None if sys.stdout.isatty() else WIDTH
    return Console(highlight=False, markup=False, emoji=False, width=width)


# ------------------------------------------------------------------ numbers


def money(value: Decimal | None, places: int = 0) -> str:
    """Quote with thousands separated: ``12,345``."""
    if value is None:
        return NOTHING
    shown = rounded(value, places)
    return f"{shown if shown else abs(shown):,.{places}f}"


def rounded(value: Decimal, places: int) -> Decimal:
    """`round`, for numbers of more than 28 digits too."""
    return value.quantize(Decimal(1).scaleb(-places), context=WIDE)


def down(value: Decimal, places: int) -> Decimal:
    """`value` or a bit less: what can be had, and not more."""
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_FLOOR, context=WIDE)


def number(value: Decimal, digits: int = 6) -> str:
    """A size or a price in so many significant digits, no digit before the point lost."""
    if not value:
        return "0"
    places = max(0, digits - 1 - value.adjusted())
    return f"{plain(rounded(value, places)):,f}"


def headline(text: str) -> Text:
    """A line above a table."""
    return Text(text, style="bold")


def health(value: Decimal | None) -> Text:
    """A health, red below 1 and yellow below 1.25."""
    if value is None:
        return Text("flat", style="dim")
    style = "bold red" if value < 1 else "yellow" if value < Decimal("1.25") else "green"
    return Text(f"{value:.3f}" if value < 100 else f"{value:,.0f}", style=style)


def times(value: Decimal | None) -> str:
    """A multiple: ``3.1x``."""
    return NOTHING if value is None else f"{value:.1f}x"


def percent(value: Decimal, places: int = 2) -> str:
    """A fraction in per cent: ``1.25 %``."""
    return f"{per_cent(value, places)} %"


def per_cent(value: Decimal, places: int = 2) -> str:
    """A fraction in per cent, without the sign."""
    shown = round(value * 100, places)
    return f"{shown if shown else abs(shown):.{places}f}"


def table(*columns: str, left: int = 1) -> Table:
    """A plain table: the first `left` columns are text, the others numbers."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        made.add_column(column, justify="left" if place < left else "right", no_wrap=place > 0)
    return made


# ------------------------------------------------------------------ the venue


def deployment_table(deployment: Deployment) -> RenderableType:
    """What is where."""
    made = table(f"on {deployment.chain.name}, chain {deployment.chain.id}", "address", left=2)
    for part, address in deployment.addresses().items():
        made.add_row(part, address)
    return made


def owner_line(deployment: Deployment) -> str:
    """Who owns the Configurator, and who is to."""
    owner, successor = deployment.owner, deployment.next_owner
    lock = deployment.timelock and address_of(deployment.timelock)
    known = {lock: "the timelock", deployment.deployer: "the deployer"}
    line = f"The Configurator's owner is {known.get(owner, 'another')}, {owner}"
    if successor is None:
        return line + "."
    return line + f"; it is offered to {known.get(successor, 'another')}, {successor}."


def markets_table(markets: Sequence[Market], symbol: str) -> RenderableType:
    """All markets."""
    made = table(
        "id", "market", "price", "bid", "ask", "skew", "long OI", "short OI", "funding %/day",
        "im %", "mm %",
        left=2,
    )  # fmt: skip
    for m in markets:
        live = m.price_status == "live"
        shown: str | Text = number(m.price)
        if not live and not m.settled:
            shown = Text(m.price_status.removeprefix("prices: "), "red")
        made.add_row(
            str(m.id),
            m.name + _trading(m),
            shown,
            number(m.bid) if live else NOTHING,
            number(m.ask) if live else NOTHING,
            number(m.skew),
            number(m.long_open_interest),
            number(m.short_open_interest),
            per_cent(m.rate, 4),
            per_cent(m.im, 1),
            per_cent(m.mm, 1),
        )
    stable = _stable_line((m.name, m.price, m.stable_price) for m in markets)
    return Group(headline(f"Markets: prices in {symbol}, sizes in base"), made, *stable)


def _trading(market: Market) -> str:
    if market.settled:
        return " (settled)"
    if market.paused_until:
        return " (paused)"
    return " (reduce only)" if market.reduce_only else ""


def _stable_line(priced: Iterable[tuple[str, Decimal, Decimal]]) -> Iterator[Text]:
    """Of what has a stable price that is not the price: that one."""
    apart = [
        f"{name} {number(stable)}"
        for name, price, stable in priced
        if number(stable) != number(price)
    ]
    if apart:
        text = (
            f"Stable prices, for opening and withdrawing where they are worse: {', '.join(apart)}."
        )
        yield Text(text, style="yellow")


def venue_lines(pool: Pool, markets: Iterable[Market] = ()) -> Iterator[Text]:
    """What everybody has to wait for now, a line each: nothing, on most days.

    Args:
        pool: as the client gives it; the venue's state is told with it.
        markets: of which pauses and settlements are told.
    """
    if not pool.calm:
        why = "its sequencer is down, or was a moment ago"
        if pool.calm_from:
            why = f"frozen, and in grace until {date(pool.calm_from)} UTC"
        yield Text(
            f"The venue is not calm, {why}: nobody is liquidated, no risk is added, and with "
            "positions or debt nothing is withdrawn.",
            style="bold yellow",
        )
    if pool.share is not None:
        paid = "its share is not known yet: wait" if not pool.share else percent(pool.share)
        yield Text(f"Settlement: of each claim that is withdrawn, {paid}.", style="bold red")
    for m in markets:
        if m.settled:
            text = f"{m.name} is settled: what is left of it is closed at {number(m.price)}."
            yield Text(text, style="yellow")
        elif m.paused_until:
            until = f"until {date(m.paused_until)} UTC"
            yield Text(f"{m.name} is paused {until}: it can only be reduced.", style="yellow")


def pool_table(pool: Pool, symbol: str) -> RenderableType:
    """The pool and the insurance fund."""
    made = table("pool", symbol)
    made.add_row("NAV now", money(pool.nav, 2) + ("" if pool.is_live else " (a price is missing)"))
    made.add_row("insurance fund", money(pool.insurance, 2))
    made.add_row("open interest", money(pool.exposure, 2))
    leverage = f"{times(pool.leverage)} of {times(pool.max_leverage)}"
    made.add_row("open interest over NAV", leverage)
    made.add_row("held for accounts", money(pool.custody, 2))
    if pool.outflow_left is not None:
        made.add_row("that may still leave in this hour", money(pool.outflow_left, 2))
    return made


def backstop_table(backstop: Backstop, symbol: str) -> RenderableType:
    """The pool's margin, how far a settlement is, and what anybody may do about either."""
    made = table("backstop", symbol)
    made.add_row("pool's equity", money(backstop.equity, 2))
    if backstop.worth != backstop.equity:
        made.add_row("less what accounts cannot pay", money(backstop.worth, 2))
    made.add_row("pool's maintenance margin", money(backstop.maintenance, 2))
    made.add_row("pool's health", health(backstop.health))
    allowed = f"allowed, to a health of {number(backstop.target)}"
    why_not = f"no: {backstop.reason.removeprefix('backstop: ')}"
    made.add_row("deleveraging", allowed if backstop.deleveraging else why_not)
    made.add_row("settlement", backstop.state)
    moments = {
        "declared": backstop.declared_at,
        "certain since": backstop.certain_at,
        "begun": backstop.settled_at,
    }
    for what, at in moments.items():
        if at:
            made.add_row(f"  {what}, UTC", date(at))
    if backstop.share is not None:
        made.add_row("  share of each claim", percent(backstop.share))
    return Group(made, *_steps(backstop))


def _steps(backstop: Backstop) -> Iterator[Text]:
    """What may be done next: nothing, on most days."""
    if backstop.deleveraging:
        text = "Below 1.0: anyone may close a winner's position: --deleverage MARKET."
        yield Text(text, style="bold red")
    if backstop.state == "none" and not backstop.solvent:
        yield Text("Insolvent: anyone may declare a settlement: --declare.", style="bold red")
    elif backstop.state == "declared":
        at, later = backstop.settles_from, f"{date(backstop.lapses_at)} UTC"
        hour = "an hour after it is declared to be certain"
        text = (
            f"If the pool is insolvent then, anyone may settle markets "
            f"{f'from {date(at)} UTC' if at else hour}: --settle all. "
            f"Once it is solvent without doubt, and from {later} in any case, anyone may call it "
            f"off: --call-off."
        )
        if backstop.doubted:
            week = f"{date(backstop.certain_after)} UTC"
            text += f" Dead prices and losses that are only reported are in doubt until {week}."
        if backstop.retold:
            known = "certain by now: the hour begins" if backstop.certain else "no longer certain"
            text += f" Declared once more, the hole is {known}: --declare."
        yield Text(text, style="yellow")
    elif backstop.state == "settling":
        text = "For good: settle what is left, close every position, then fix the share:"
        yield Text(f"{text} --settle all --close all --fix.", style="yellow")


def ranking_table(market: str, ranking: Sequence[Candidate], symbol: str) -> RenderableType:
    """Whose position in a market may be closed, the first first."""
    made = table("account", "size", "profit", "leverage", "rank", "would close")
    for c in ranking:
        made.add_row(
            c.account,
            number(c.size),
            money(c.pnl, 2),
            times(c.leverage),
            number(c.rank, 4),
            Text(c.reason.partition(": ")[2], "red") if c.reason else number(c.closed),
        )
    title = headline(f"{market}: who may be deleveraged, the first first; profits in {symbol}")
    return Group(title, made)


def liquidatable_table(below: Mapping[str, LiquidationPreview], symbol: str) -> RenderableType:
    """Who may be liquidated, and what that would come to."""
    made = table("account", "equity", "closed", "reward", "bad debt")
    for account, p in below.items():
        made.add_row(
            account,
            money(p.equity, 2),
            money(p.notional),
            money(p.reward, 2),
            money(p.debt_to_insurance + p.debt_to_pool, 2),
        )
    return Group(headline(f"Below the line; all in {symbol}"), made)


def liquidation_line(done: Liquidation, symbol: str) -> str:
    """A liquidation or a conversion that went through."""
    bad = done.debt_to_insurance + done.debt_to_pool
    rest = f", {money(bad, 2)} of bad debt" if bad else ""
    lots = f", lots {', '.join(map(str, done.lots))} for sale" if done.lots else ""
    return (
        f"{done.account}: {money(done.notional)} {symbol} closed or seized, "
        f"{money(done.reward, 2)} for the keeper{rest}{lots}."
    )


def account_table(
    account: Account, symbol: str, entries: Mapping[str, Entry] | None = None
) -> RenderableType:
    """An account and its positions; with `entries`, what each was opened at and has paid since."""
    head = table(f"account {account.address}", symbol)
    head.add_row("cash", money(account.cash, 2))
    if account.debt.interest:
        head.add_row("interest since it was posted", money(-account.debt.interest, 2))
    head.add_row("unrealised profit", money(account.pnl, 2))
    if account.holdings:
        counts = sum((h.maintenance for h in account.holdings), Decimal(0))
        head.add_row("collateral, by its weight", money(counts, 2))
    head.add_row("equity", money(account.equity, 2))
    head.add_row("initial margin", money(account.initial, 2))
    head.add_row("maintenance margin", money(account.maintenance, 2))
    head.add_row("health", health(account.health))
    head.add_row("leverage", times(account.leverage))
    head.add_row("withdrawable", money(down(account.withdrawable, 2), 2))
    head.add_row("buying power", money(down(account.buying_power, 2), 2))
    parts: list[RenderableType] = [head]
    if account.holdings:
        parts.append(holdings_table(account, symbol))
        parts += _stable_line((h.token, h.price, h.stable_price) for h in account.holdings)
    if account.debt.amount:
        parts.append(_debt_line(account))
    if account.positions:
        known = entries or {}
        more = ("entry", "funding") if known else ()
        made = table(
            "market", "size", *more, "break even", "mark", "notional", "profit", "liquidated at"
        )
        for p in account.positions:
            entry = known.get(p.market)
            came = (number(entry.price), money(entry.funding, 2)) if entry else ()
            live = p.price_status == "live"
            made.add_row(
                p.market,
                number(p.size),
                *came,
                number(p.break_even_price),
                number(p.mark_price) if live else Text(p.price_status, "red"),
                money(p.notional, 2),
                money(p.pnl, 2),
                number(p.liquidation_price) if p.liquidation_price else NOTHING,
            )
        parts.append(made)
        parts += _stable_line((p.market, p.mark_price, p.stable_price) for p in account.positions)
    else:
        parts.append(Text("no positions", style="dim"))
    if account.liquidatable:
        parts.append(Text("Below 1.0: anyone may liquidate this account now.", style="bold red"))
    elif account.margin_call and account.health is not None and account.health < 1:
        text = "Below 1.0: anyone may liquidate this account once the venue is calm."
        parts.append(Text(text, style="bold red"))
    elif account.margin_call:
        parts.append(Text("Margin call: add collateral or close something.", style="yellow"))
    if account.has_dead_leg:
        parts.append(
            Text("A price is missing: no withdrawing and no added risk until it is back.", "yellow")
        )
    return Group(*parts)


def holdings_table(account: Account, symbol: str) -> RenderableType:
    """An account's collateral tokens, and what each counts."""
    made = table(
        "collateral", "amount", "price", f"worth, {symbol}", "weight %", "counts", "initial %",
        "counts for opening",
    )  # fmt: skip
    for h in account.holdings:
        live = h.price_status == "live"
        made.add_row(
            h.token,
            number(h.amount),
            number(h.price) if live else Text(h.price_status, "red"),
            money(h.value, 2),
            per_cent(h.maintenance_weight),
            money(h.maintenance, 2),
            per_cent(h.initial_weight),
            money(h.initial, 2),
        )
    return made


def _debt_line(account: Account) -> Text:
    debt = account.debt
    text = (
        f"Owes {money(debt.amount, 2)}, {money(debt.interest, 2)} of it interest not posted yet, "
        f"at {percent(debt.rate, 4)} a year; its collateral allows {money(debt.most, 2)}."
    )
    return Text(text, style="bold red" if debt.amount > debt.most else "yellow")


def tokens_table(tokens: Sequence[Token], credit: Credit, symbol: str) -> RenderableType:
    """All collateral tokens, and what debt costs."""
    made = table(
        "id", "collateral", "price", "initial %", "weight %", "held", "cap", "discount %",
        left=2,
    )  # fmt: skip
    for t in tokens:
        live = t.price_status == "live"
        made.add_row(
            str(t.id),
            t.symbol + (" (being delisted)" if t.delisted else ""),
            number(t.price) if live else Text(t.price_status.removeprefix("prices: "), "red"),
            per_cent(t.initial_weight, 1),
            per_cent(t.maintenance_weight, 1),
            number(t.total),
            number(t.cap),
            per_cent(t.discount, 1),
        )
    debts = Text(
        f"Debts: {money(credit.debts, 2)} of {money(credit.cap)} {symbol}, "
        f"at {percent(credit.rate, 4)} a year."
    )
    stable = _stable_line((t.symbol, t.price, t.stable_price) for t in tokens)
    title = headline(f"Collateral: prices in {symbol}, amounts in tokens")
    return Group(title, made, *stable, debts)


def lots_table(lots: Sequence[Lot], minutes: int, symbol: str) -> RenderableType:
    """What the auction has for sale."""
    made = table(
        "lot", "token", "left", f"price, {symbol}", f"in {minutes} min", "cost of all",
        "to repay", left=2,
    )  # fmt: skip
    for lot in lots:
        dear = lot.price is None or lot.price_later is None or lot.cost is None
        made.add_row(
            str(lot.id),
            lot.token,
            number(lot.amount),
            *(
                (Text("no live price", "red"), NOTHING, NOTHING)
                if dear
                else (
                    number(lot.price or Decimal(0)),
                    number(lot.price_later or Decimal(0)),
                    money(lot.cost, 2),
                )
            ),
            money(lot.to_insurance + lot.to_pool, 2),
        )
    return Group(headline("For sale: seized collateral"), made)


def shock_table(shock: Shock, symbol: str) -> RenderableType:
    """An account before and after a sudden move."""
    moves = table("if prices moved at once", "now", "then")
    for name, (now, then) in shock.prices.items():
        moves.add_row(name, number(now), number(then))
    after = table("the account", "now", "then")
    after.add_row(f"equity, {symbol}", money(shock.equity_before, 2), money(shock.equity, 2))
    after.add_row("health", health(shock.health_before), health(shock.health))
    if not shock.prices:
        return Text("The account has neither positions nor collateral: no price can move it.")
    verdict = (
        Text("Anyone could liquidate it then.", style="bold red")
        if shock.liquidatable
        else Text("It would stand.", style="green")
    )
    return Group(moves, after, verdict)


def conservation_table(books: Conservation) -> RenderableType:
    """LED-2 and LED-3 with their differences."""
    sizes = table(
        "market", "longs", "shorts", "pool", "difference in wei",
    )  # fmt: skip
    for s in books.sizes:
        sizes.add_row(
            s.market,
            *(number(from_wad(v), 12) for v in (s.longs, s.shorts, s.pool)),
            verdict(s.difference),
        )
    made = table(f"{books.accounts} accounts", "quote")
    made.add_row("cash", f"{from_wad(books.cash):,.18f}")
    made.add_row("- basis of positions", f"{from_wad(books.basis):,.18f}")
    made.add_row("- held for accounts", f"{from_wad(books.custody):,.18f}")
    made.add_row("= difference in wei", verdict(books.difference))
    made.add_row("token balance, at least that", f"{from_wad(books.balance):,.18f}")
    parts = _token_sums(books)
    return Group(
        headline("LED-2: in each market the sizes of all accounts sum to zero"),
        sizes,
        headline("LED-3: sum of cash - sum of basis = quote held for accounts"),
        made,
        *parts,
    )


def _token_sums(books: Conservation) -> list[RenderableType]:
    some = [t for t in books.tokens if t.total or t.held]
    if not some:
        return []
    made = table("token", "of all accounts", "as booked", "difference, raw", "token balance")
    for t in some:
        held, total, balance = (
            number(from_wad(raw * t.unit), 12) for raw in (t.held, t.total, t.balance)
        )
        made.add_row(t.token, held, total, verdict(t.difference), balance)
    return [headline("LED-4: a token's balances, lots for sale included, are its total"), made]


def verdict(difference: int) -> Text:
    """A difference that ought to be zero."""
    return Text(f"{difference:,}", style="bold green" if difference == 0 else "bold red")


def mark(finding: Finding) -> Text:
    """A finding, and under it the command that mends it."""
    if finding.ok:
        return Text.assemble(("ok    ", "green"), finding.what)
    sign = ("BAD   ", "bold red") if finding.grave else ("note  ", "yellow")
    mend = ("\n      mend: ", "dim"), (finding.mend, "bold")
    return Text.assemble(sign, finding.what, *(mend if finding.mend else ()))


# ------------------------------------------------------------------ the demo


def story_report(story: Story) -> RenderableType:
    """The demo's report, the gist first."""
    return Group(
        _gist(story),
        _scenes(story),
        _leo(story),
        _capital(story),
        _mina(story),
        *([_gas(story)] if any(story.gas.values()) else []),
        *([conservation_table(story.conservation)] if story.conservation else []),
    )


def _gist(story: Story) -> RenderableType:
    opened, dip, fall, crash, *_ = story.scenes
    leo, bitcoin = story.liquidation, crash.accounts["Hana"].position("BTC")
    assert leo and bitcoin and story.leo_after and story.conservation
    hana = story.needs["Hana"]
    lowest = min(h for s in story.scenes if (h := s.accounts["Hana"].health) is not None)
    mina = story.mina
    closed = (leo, *story.isolated.values(), *([mina.liquidation] if mina else []))
    owed = sum((c.debt_to_insurance + c.debt_to_pool for c in closed), Decimal(0))
    debts = f"Bad debt: {money(owed, 2)}." if owed else "There was no bad debt."
    swing = 1 - crash.prices["BTC"] / opened.prices["BTC"]
    text = Text.assemble(
        ("What happened. ", "bold"),
        f"BTC fell {percent(swing, 0)} and came back.\n",
        ("- Hana", "bold"),
        f", long BTC and short ETH, was down {money(-bitcoin.pnl)} on BTC alone in the crash, more "
        f"than the {money(BOOKS['Hana'][0])} she had paid in. Her ETH gain counted in the same "
        f"account: health never below {lowest:.1f}; she ends with {money(story.hana_after)}.\n",
        ("- Her twin", "bold"),
        ", same positions and money but isolated in two accounts, lost the one in the fall and the "
        f"other in the rebound, and ends with {money(story.twin_after)}.\n",
        ("- Leo", "bold"),
        f", {times(opened.accounts['Leo'].leverage)} levered on three coins that fell together, "
        f"had a margin call at health {dip.accounts['Leo'].health:.2f}. At "
        f"{fall.accounts['Leo'].health:.2f} a stranger without a cent in the venue closed all "
        f"{leo.closed} positions in one call: {money(leo.reward)} to the stranger, "
        f"{money(leo.charged - leo.reward)} to the insurance fund, {money(story.leo_after.cash)} "
        "stayed Leo's, and he took it out.\n",
        ("- Cara", "bold"),
        ", careful, never noticed.\n\n",
        ("Why it matters. ", "bold"),
        f"To live through this Hana needed {money(hana.cross)} in one account; position by "
        f"position she would have needed {money(hana.isolated)}, "
        f"{times(hana.isolated / hana.cross)} as much. {debts} Every cent is accounted for: the "
        "differences below are ",
        ("zero.", "bold green") if story.conservation.holds else ("NOT zero.", "bold red"),
    )
    return Panel(text, title="Plimsoll: one account, shared collateral", border_style="cyan")


def _scenes(story: Story) -> RenderableType:
    names = [scene.name for scene in story.scenes]
    prices = table("prices", *names)
    for market in story.scenes[0].prices:
        prices.add_row(market, *(number(scene.prices[market]) for scene in story.scenes))
    made = table(
        "who", "", *(f"{name}" for name in names), left=2,
    )  # fmt: skip
    for who in story.scenes[0].accounts:
        views = [scene.accounts[who] for scene in story.scenes]
        made.add_row(f"{who}", ROLES[who], *(money(view.equity) for view in views))
        made.add_row("", "", *(_standing(view) for view in views), end_section=False)
    return Group(prices, headline("Equity and health at each moment, before anybody acts"), made)


def _standing(view: Account) -> Text:
    if not view.positions:
        return Text("closed", style="dim")
    shown = health(view.health)
    if view.liquidatable:
        shown.append(" below 1")
    elif view.margin_call:
        shown.append(" call")
    return shown


def _leo(story: Story) -> RenderableType:
    leo, before = story.liquidation, story.scenes[2].accounts["Leo"]
    after = story.leo_after
    assert leo and after
    made = table("Leo's liquidation, one transaction", "before", "after")
    made.add_row("positions", str(len(before.positions)), str(len(after.positions)))
    made.add_row("notional", money(before.notional, 2), money(after.notional, 2))
    made.add_row("equity", money(before.equity, 2), money(after.equity, 2))
    made.add_row("health", health(before.health), health(after.health))
    made.add_row("the stranger's cash", money(story.keeper_before, 2), money(story.keeper_after, 2))
    made.add_row("withdrawn by Leo afterwards", "", money(story.withdrawn, 2))
    return made


def _capital(story: Story) -> RenderableType:
    made = table(
        "who", "one account", "isolated", "more",
    )  # fmt: skip
    for who, need in (*story.needs.items(), ("all", story.need)):
        more = f"+{percent(need.more, 0)}" if need.more else "the same"
        made.add_row(who, money(need.cross), money(need.isolated), more)
    return Group(
        headline("Collateral that opens the same book and lives through the same prices"), made
    )


def _mina(story: Story) -> RenderableType:
    mina = story.mina
    assert mina
    sale, lot = mina.purchase, mina.lot
    held = mina.opened.holdings[0]
    before, seized, after = mina.fund
    owed = mina.day_later.debt
    stands = mina.after.holdings[0].amount if mina.after.holdings else Decimal(0)
    text = Text.assemble(
        ("Ether for collateral. ", "bold"),
        f"Mina paid in {number(held.amount)} {held.token} and no cash; worth {money(held.value)}, "
        f"it counts {money(held.maintenance)}, its weight {percent(held.maintenance_weight, 1)}.\n",
        ("- A loss is a debt. ", "bold"),
        f"BTC fell, {money(-mina.fallen.pnl)} of loss was settled into cash that she did not have: "
        f"she owed {money(mina.settled.debt.amount)} of the {money(mina.settled.debt.most)} that "
        f"her ether allows. Her equity stayed the same.\n",
        ("- It costs interest. ", "bold"),
        f"{percent(owed.rate, 3)} a year while so little of the cap is used: "
        f"{money(owed.interest, 2)} after a day, to the pool.\n",
        ("- A liquidation seizes. ", "bold"),
        f"Then ether crashed: health {mina.crashed.health or 0:.2f}. In one call her position was "
        f"closed and {number(lot.amount)} {lot.token} seized, credited at the feed less the "
        f"discount; the insurance fund paid {money(lot.to_insurance)} at once, the pool "
        f"{money(lot.to_pool)}. {number(stands)} {lot.token} stayed hers, and no debt.\n",
        ("- Somebody buys. ", "bold"),
        f"The lot began at {number(lot.price or Decimal(0))}; an hour later it was bought for "
        f"{number(sale.price)} apiece, the feed said {number(mina.feed_price)}.",
    )
    made = table("the insurance fund", "quote")
    made.add_row("before", money(before, 2))
    made.add_row("after it stood in, with its part of the fee", money(seized, 2))
    made.add_row("after the sale", money(after, 2))
    steps = table("Mina", "equity", "owes", "of it interest", "health")
    for what, view in (
        ("opened", mina.opened),
        ("fallen", mina.fallen),
        ("settled", mina.settled),
        ("a day later", mina.day_later),
        ("crashed", mina.crashed),
        ("liquidated", mina.after),
    ):
        owes = view.debt
        steps.add_row(
            what,
            money(view.equity, 2),
            money(owes.amount, 2),
            money(owes.interest, 2),
            health(view.health),
        )
    return Group(Panel(text, border_style="cyan"), steps, made)


def _gas(story: Story) -> RenderableType:
    made = table("action", "gas, by receipt")
    for action, gas in story.gas.items():
        made.add_row(action, f"{gas:,}")
    return made


# ------------------------------------------------------------------ the replay


def problems_report(series: Series, limit: int = 20) -> RenderableType:
    """What was left out of a file of prices."""
    lines = [f"  {problem}" for problem in series.problems[:limit]]
    if len(series.problems) > limit:
        lines.append(f"  and {len(series.problems) - limit} more")
    return Text("\n".join([f"{series.source}, left out or worth knowing:", *lines]), style="yellow")


def _seizure_rows(made: Table, of: Seizures) -> None:
    made.add_row(
        "ether and bitcoin as collateral: seized, for",
        f"{of.opened} lots, {money(of.seized, 2)}",
    )
    made.add_row("  of them in conversions", str(of.conversions))
    made.add_row("  sold, for", f"{of.sold}, {money(of.proceeds, 2)}")
    made.add_row("  below their credit, by", f"{of.below}, {money(of.unpaid, 2)}")
    made.add_row("  highest debt of all", money(of.highest_debt, 2))
    made.add_row("  interest to the pool", money(of.interest, 2))


def replay_report(run: Replay) -> RenderableType:
    """What came of a replay."""
    title = f"{Path(run.source).name}\n{date(run.start)} to {date(run.end)} UTC, on {run.engine}"
    made = table(title, "")
    made.add_row("steps", f"{run.steps:,} ({run.steps / max(run.seconds, 1e-9):,.1f} a second)")
    made.add_row(
        "traders, positions opened",
        f"{run.traders}, {run.opened} ({money(run.notional)} on {money(run.collateral)})",
    )
    if run.left_out:
        made.add_row("no price in the first row, left out", ", ".join(run.left_out))
    for reason, count in run.refused.most_common():
        made.add_row(f"  refused: {reason or 'no reason'}", str(count))
    made.add_row("accounts with a margin call", str(run.margin_calls))
    made.add_row("liquidations", str(len(run.closed)))
    healths = run.healths
    if healths:
        middle = healths[len(healths) // 2]
        shown = f"{healths[0]:.3f} / {middle:.3f} / {healths[-1]:.3f}"
        made.add_row("  health when liquidated: worst, middle, best", shown)
        made.add_row("  to the keeper", money(run.rewards, 2))
    made.add_row("accounts with positions at the end", str(run.standing))
    from_insurance, from_pool = run.bad_debt
    made.add_row(
        "bad debt: insurance fund, pool", f"{money(from_insurance, 2)}, {money(from_pool, 2)}"
    )
    if run.seizures:
        _seizure_rows(made, run.seizures)
    for name, values in (("insurance fund", run.insurance), ("pool NAV", run.nav)):
        change = percent(values[-1] / values[0] - 1) if values[0] else NOTHING
        made.add_row(f"{name}: before", money(values[0], 2))
        made.add_row("  lowest", money(min(values), 2))
        made.add_row("  after", f"{money(values[-1], 2)} ({change})")
    for market, why in run.dead.items():
        made.add_row(f"no price at the end: {market}", why.removeprefix("prices: "))
    parts: list[RenderableType] = [made]
    if run.conservation:
        parts.append(conservation_table(run.conservation))
    return Group(*parts)
