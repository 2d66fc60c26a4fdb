"""`ape run gas`: gas of every operation, cold; --check holds it to the committed snapshot."""

from pathlib import Path

import click
from ape.cli import ConnectedProviderCommand

from plimsoll import gas


@click.command(cls=ConnectedProviderCommand)
@click.option("--check", is_flag=True, help="compare with the snapshot instead of writing it")
def cli(check: bool) -> None:
    """Measure gas; write the snapshot, docs/gas.md and the README's table, or compare."""
    measured = gas.measure(click.echo)
    problems = gas.over_target(measured)
    if check:
        problems += gas.compare(measured, gas.load())
        if gas.TABLE.read_text() != gas.document(measured):
            problems.append(f"{gas.TABLE} is not what `make gas` writes")
    else:
        gas.save(measured)
        gas.TABLE.parent.mkdir(exist_ok=True)
        gas.TABLE.write_text(gas.document(measured))
        gas.write_readme(Path("README.md"), measured)
    for name, figure in gas.flat(measured).items():
        if name.startswith("liquidate."):
            click.echo(f"{name}: {figure:,}")
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        raise SystemExit(1)
