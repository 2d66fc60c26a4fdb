"""A keeper's work: who is below the line, what is for sale, and doing something about it."""

import click

from plimsoll import cli as shared

LATER = 10  # minutes


@click.command(cls=shared.Command)
@shared.signer_option
@click.option(
    "--liquidate", multiple=True, metavar="ADDRESS", help="Liquidate an account, or `all` that may."
)
@click.option(
    "--convert",
    multiple=True,
    metavar="ADDRESS",
    help="Auction collateral of an account whose debt is past its cap, or that is near the line.",
)
@click.option(
    "--settle", multiple=True, metavar="ADDRESS", help="Make an account's paper loss a debt."
)
@click.option(
    "--buy",
    "lots",
    multiple=True,
    type=click.IntRange(min=0),
    metavar="LOT",
    help="Buy what is left of a lot at its price of now; a mock quote token is minted.",
)
@shared.quiet
def cli(signer, liquidate, convert, settle, lots):
    """Show who may be liquidated now and for how much, and what is for sale.

    Anyone may do what the options say; they are done in the order of this list. Rewards are cash in
    the signer's main account.
    """
    from plimsoll import report
    from plimsoll.client import MOST_AT_ONCE, Client, known_accounts

    deployment = shared.load()
    client = Client(deployment)
    payer = client.signer = shared.signer_of(signer)
    screen, symbol = report.console(), deployment.table.quote.symbol
    named = [shared.account_of(who, payer) for who in liquidate if who != "all"]
    done = [client.liquidate(who) for who in named]
    if "all" in liquidate:
        due = client.liquidatable(known_accounts(deployment))
        for at in range(0, len(due), MOST_AT_ONCE):
            done += client.liquidate_many(due[at : at + MOST_AT_ONCE])
    done += [client.convert(shared.account_of(who, payer)) for who in convert]
    for one in done:
        screen.print(report.liquidation_line(one, symbol))
    for who in settle:
        address = shared.account_of(who, payer)
        loss = report.money(client.settle(address), 2)
        screen.print(f"Settled: {loss} {symbol} of {address} are cash now.")
    for lot in lots:
        bought = client.buy_collateral(lot)
        amount, cost = report.number(bought.amount), report.money(bought.cost, 2)
        screen.print(f"Bought: {amount} {bought.token} of lot {lot} for {cost} {symbol}.")
    for line in report.venue_lines(client.pool()):
        screen.print(line)
    due = client.liquidatable(known_accounts(deployment))
    below = {account: client.preview_liquidation(account) for account in due}
    screen.print(report.liquidatable_table(below, symbol) if below else "Nobody is below the line.")
    left = client.lots(LATER)
    if left:
        screen.print(report.lots_table(left, LATER, symbol))
