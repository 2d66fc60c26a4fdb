"""What an account would be worth if prices moved."""

import click

from plimsoll import cli as shared


@click.command(cls=shared.Command, context_settings={"ignore_unknown_options": True})
@click.argument("moves", nargs=-1, required=True)
@shared.signer_option
@shared.account_option
@shared.quiet
def cli(moves, signer, account):
    """Equity and health if prices moved at once by MOVES, in per cent.

    -10 moves every market and token of the account; BTC=-10 WETH=5 moves these. Nothing is sent.
    """
    from plimsoll import report
    from plimsoll.client import Client

    wanted = shared.moves_of(moves)
    deployment = shared.load()
    address = shared.account_of(account, shared.signer_of(signer))
    shock = Client(deployment).shock(address, wanted)
    report.console().print(report.shock_table(shock, deployment.table.quote.symbol))
