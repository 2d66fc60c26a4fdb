"""An account: look at it, pay in, take out."""

import click

from plimsoll import cli as shared


@click.command(cls=shared.Command)
@click.argument("account", required=False)
@shared.signer_option
@click.option("--deposit", help="To pay in first: 500, or '1.5 WETH'; a mock token is minted.")
@click.option("--withdraw", help="To take out first, to the signer: 500, or '1.5 WETH'.")
@shared.quiet
def cli(account, signer, deposit, withdraw):
    """Show ACCOUNT: an address, or 0 to 255 for a sub-account of the signer's (default 0).

    Anyone can pay quote into any account, and tokens where there are some already; only its owner
    can take out.
    """
    from plimsoll import report
    from plimsoll.chain import address_of
    from plimsoll.client import Client
    from plimsoll.units import plain

    deployment = shared.load()
    client = Client(deployment)
    owner = shared.signer_of(signer)
    address = shared.account_of(account, owner)
    if address == address_of(deployment.pool):
        raise shared.Mistake(
            f"{address} is the pool's own account, whose position is the other side of all: "
            "`ape run backstop` tells of it"
        )
    if deposit is not None:
        amount, token = shared.payment_of(deposit, "--deposit")
        client.deposit(amount, address, owner, token)
    if withdraw is not None:
        shared.must_own(owner, address)
        amount, token = shared.payment_of(withdraw, "--withdraw")
        if token is None:
            most = client.account(address).withdrawable
            if amount > most and client.pool().share == 0:
                raise shared.Mistake(shared.hinted("withdraw: settlement waits"))
            if amount > most:
                raise shared.Mistake(f"no more than {plain(most)} can be taken out now")
        client.withdraw(amount, address, signer=owner, token=token)
    view = client.account(address)
    shown = report.account_table(view, deployment.table.quote.symbol, client.entries(view))
    held = [client.market(position.market) for position in view.positions]
    screen = report.console()
    screen.print(shown)
    for line in report.venue_lines(client.pool(), held):
        screen.print(line)
