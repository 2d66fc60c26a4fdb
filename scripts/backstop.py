"""The last resort: deleverage a pool that is short of margin, settle a venue that is broke."""

import click

from plimsoll import cli as shared


@click.command(cls=shared.Command)
@shared.signer_option
@click.option(
    "--deleverage",
    metavar="BTC",
    help="Close what the pool needs of --account's position, or of the first in the ranking.",
)
@click.option(
    "--report",
    multiple=True,
    metavar="ADDRESS",
    help="Tell the pool what this account could not pay, or that it can by now.",
)
@click.option("--declare", is_flag=True, help="The pool is insolvent; again: is it certain?")
@click.option("--call-off", is_flag=True, help="Call that off: surely solvent, or nine days later.")
@click.option("--settle", multiple=True, metavar="BTC", help="Settle a market for good, or `all`.")
@click.option(
    "--close",
    multiple=True,
    metavar="BTC",
    help="Close --account's position, or everybody's, in a settled market, or in `all`.",
)
@click.option("--fix", is_flag=True, help="Fix the share of each claim: everybody is flat.")
@click.option("--account", help="Address, or 0 to 255: the signer's sub-account.")
@shared.quiet
def cli(signer, deleverage, report, declare, call_off, settle, close, fix, account):
    """Show the pool's margin, who would be deleveraged in which order, and how far a settlement is.

    Anyone may do what the options say; they are done in the order of this list.
    """
    from plimsoll import report as reports
    from plimsoll.client import Client, known_accounts

    deployment = shared.load()
    client = Client(deployment)
    payer = client.signer = shared.signer_of(signer)
    address = shared.account_of(account, payer) if account else None
    if address and not (deleverage or close):
        raise shared.Mistake("--account goes with --deleverage or --close")
    screen, symbol = reports.console(), deployment.table.quote.symbol
    if deleverage:
        first = address or client.first_candidate(deleverage).account
        done = client.deleverage(first, deleverage)
        closed, left = reports.number(done.closed), reports.number(done.size)
        screen.print(f"{done.market}: closed {closed} of {done.account}, {left} left.")
    for who in report:
        reported = shared.account_of(who, payer)
        lost = reports.money(client.report_loss(reported))
        screen.print(f"Reported: {lost} {symbol} that {reported} cannot pay.")
    if declare:
        client.declare()
        screen.print("Declared.")
    if call_off:
        client.call_off()
        screen.print("Called off.")
    if settle:
        now = client.settle_markets(*(() if "all" in settle else settle))
        screen.print(f"Settled: {', '.join(now) or 'nothing that was not before'}.")
    if close:
        settled = [market.name for market in client.markets() if market.settled]
        names = settled if "all" in close else close
        whose = [address] if address else None
        counts = {name: len(client.close_settled(name, whose)) for name in names}
        if not any(counts.values()):
            raise shared.Mistake(f"no position in {', '.join(names) or 'any market'} to close")
        screen.print(f"Closed: {', '.join(f'{counts[name]} in {name}' for name in names)}.")
    if fix:
        screen.print(f"Fixed: of each claim, {reports.percent(client.fix())} is paid.")
    view = client.backstop()
    for line in reports.venue_lines(client.pool()):
        screen.print(line)
    screen.print(reports.backstop_table(view, symbol))
    if view.deleveraging:
        accounts = known_accounts(deployment)
        for market in client.markets():
            ranking = [] if market.settled else client.ranking(market.id, accounts)
            if ranking:
                screen.print(reports.ranking_table(market.name, ranking, symbol))
