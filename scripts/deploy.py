"""Deploy the venue and write deployments/<chain id>.json."""

from pathlib import Path

import click

from plimsoll import cli as shared


@click.command(cls=shared.Command)
@click.option(
    "--table", "file", type=click.Path(), help="YAML or JSON; by default the usual table."
)
@click.option("--markets", help="Only these of the table, as in BTC,ETH.")
@click.option(
    "--signer", default="0", show_default=True, help="A test account's number or an alias."
)
@click.option(
    "--timelock", "delay", type=int, help="Hand the Configurator to a Timelock: its delay in s."
)
@click.option(
    "--proposer", "proposers", multiple=True, help="Who announces; by default the signer."
)
@click.option(
    "--executor", "executors", multiple=True, help="Who does what is due; by default everybody."
)
@click.option("--guardian", help="Who may lower risk at once.")
@click.option("--replace", is_flag=True, help="Forget the deployment that is there.")
@shared.quiet
def cli(file, markets, signer, delay, proposers, executors, guardian, replace):
    """Deploy tokens, feeds, contracts and markets; seed the pool; write the addresses down.

    Where the table gives an address for the quote token or a feed, that one is used; everything
    else is a mock, for local chains only. Without --timelock the signer owns the Configurator.
    """
    from rich.text import Text

    from plimsoll import report
    from plimsoll.chain import ApeChain, address_of
    from plimsoll.client import Client
    from plimsoll.deployment import DEVNET, NOBODY, Deployment, Governance, deploy, make_room
    from plimsoll.table import default_table, load_table

    table = load_table(Path(file)) if file is not None else default_table()
    if markets is not None:
        table = table.only(*(name.strip() for name in markets.split(",")))
    chain = ApeChain()
    owner = shared.signer_of(signer)
    if delay is None and (proposers or executors or guardian):
        raise click.UsageError("--proposer, --executor and --guardian go with --timelock")
    governance = None
    if delay is not None:
        who = proposers or (address_of(owner),)
        governance = Governance(delay, who, executors or (NOBODY,), guardian)
    moved = make_room(chain, replace=replace)
    screen = report.console()
    with screen.status("compiling, if need be") as status:
        deployment = deploy(
            table, chain, owner, lambda step: status.update(Text(step)), governance=governance
        )
    path = deployment.save()
    deployment = Deployment.load(chain)  # what others will read

    client = Client(deployment)
    symbol = deployment.table.quote.symbol
    screen.print(report.deployment_table(deployment))
    screen.print(report.markets_table(client.markets(), symbol))
    screen.print(report.pool_table(client.pool(), symbol))
    screen.print(report.owner_line(deployment))
    screen.print(f"Written and checked: {path}")
    if moved:
        screen.print(f"What was there is another network's; it is {moved} now.")
    if chain.ends_with_process:
        screen.print(
            f"This chain ends with this command; to keep one, run `anvil` and use {DEVNET}."
        )
