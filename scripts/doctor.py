"""What is wrong, and the command that mends it."""

import ape
import click

from plimsoll import cli as shared


@click.command()
@click.option("--network", default="ethereum:local:test", show_default=True, help="As of `ape`.")
@shared.quiet
def cli(network):
    """Check versions, PATH, compiler, chain, addresses and feeds; exit 1 if something is wrong."""
    from contextlib import ExitStack

    from plimsoll import report
    from plimsoll.chain import ApeChain
    from plimsoll.doctor import examine
    from plimsoll.errors import ChainError

    with ExitStack() as stack:

        def connect():
            try:
                choice = ape.networks.parse_network_choice(network)
            except ape.exceptions.ApeException as error:
                why = str(error).partition(" Options")[0]
                raise ChainError(f"{why}; choose another --network") from None
            stack.enter_context(shared.connected(choice))
            return ApeChain()

        screen = report.console()
        grave = 0
        for finding in examine(connect):
            screen.print(report.mark(finding), soft_wrap=True)
            grave += finding.grave and not finding.ok
    if grave:
        raise SystemExit(1)
    screen.print("All is well.")
