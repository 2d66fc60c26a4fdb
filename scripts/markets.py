"""The markets and the pool; on a local chain, their prices too."""

import click

from plimsoll import cli as shared

LATER = 10  # [min] from now


@click.command(cls=shared.Command)
@shared.signer_option
@click.option(
    "--set",
    "prices",
    multiple=True,
    metavar="BTC=60000",
    help="A mock feed's price, of a market or a collateral token.",
)
@click.option("--refresh", is_flag=True, help="Mock feeds say their prices anew; the NAV is told.")
@shared.quiet
def cli(signer, prices, refresh):
    """Show every market, the pool, the insurance fund, collateral, and what is for sale."""
    from plimsoll import report
    from plimsoll.client import Client

    deployment = shared.load()
    if prices or refresh:
        payer = shared.signer_of(signer)
        if refresh:
            deployment.refresh_prices(payer)
        if prices:
            deployment.set_prices(shared.prices_of(prices), payer)
        deployment.poke(sender=payer)
        if refresh:
            deployment.refresh_nav(payer)
    client = Client(deployment)
    screen = report.console()
    symbol = deployment.table.quote.symbol
    markets, pool = client.markets(), client.pool()
    screen.print(report.markets_table(markets, symbol))
    for line in report.venue_lines(pool, markets):
        screen.print(line)
    screen.print(report.pool_table(pool, symbol))
    if deployment.token_ids:
        screen.print(report.tokens_table(client.tokens(), client.credit(), symbol))
    lots = client.lots(LATER)
    if lots:
        screen.print(report.lots_table(lots, LATER, symbol))
