"""`ape run sizes`: bytes of each contract on-chain; --check holds them to budget and snapshot."""

import click
from ape.cli import ConnectedProviderCommand

from plimsoll import sizes


@click.command(cls=ConnectedProviderCommand)
@click.option("--check", is_flag=True, help="compare with the snapshot instead of writing it")
def cli(check: bool) -> None:
    """Print each contract's size; write tests/gas/sizes.json, or compare."""
    measured = sizes.measure()
    for name, size in sorted(measured.items()):
        click.echo(f"{name:18}{size:>8,} of {sizes.BUDGETS.get(name, sizes.EIP170):,} bytes")
    if not check:
        sizes.save(measured)
    problems = sizes.findings(measured, sizes.load())
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        raise SystemExit(1)
