"""What is wrong, and the command that mends it."""

import ape
import click
from ape.cli import network_option

from plimsoll import cli as shared


@click.command()
@network_option(base_type=str, default="ethereum:local:test")
@shared.quiet
def cli(network):
    """Check versions, PATH, compiler, chain, addresses and feeds; exit 1 if something needs mending."""
    from contextlib import ExitStack

    from plimsoll import report
    from plimsoll.chain import ApeChain
    from plimsoll.doctor import examine

    with ExitStack() as stack:

        def connect():
            stack.enter_context(ape.networks.parse_network_choice(network))
            return ApeChain()

        screen = report.console()
        grave = 0
        for finding in examine(connect, network):
            mark = (
                "[green]ok  [/]"
                if finding.ok
                else "[red]BAD [/]"
                if finding.grave
                else "[yellow]note[/]"
            )
            screen.print(mark, finding.what, soft_wrap=True)
            if not finding.ok and finding.mend:
                screen.print("       mend:", finding.mend, style="bold", soft_wrap=True)
            grave += finding.grave and not finding.ok
    if grave:
        raise SystemExit(1)
    screen.print("All is well.")
