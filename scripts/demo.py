"""The protocol's story in under a minute."""

import time

import click

from plimsoll import cli as shared


@click.command(cls=shared.Command)
@shared.quiet
def cli():
    """Three traders, a fall in prices, a stranger who liquidates; and where every cent went."""
    from plimsoll import report
    from plimsoll.chain import ApeChain
    from plimsoll.demo import play

    chain = ApeChain()
    if not chain.ends_with_process:
        raise shared.Mistake(
            "the demo moves prices and the clock: run it on a chain of its own, "
            "--network ethereum:local:test"
        )
    screen = report.console()
    began = time.perf_counter()
    with screen.status("compiling, if need be") as status:
        story = play(chain, status.update)
    screen.print(report.story_report(story))
    screen.print(f"On {chain.name}, in {time.perf_counter() - began:.0f} seconds.")
    if not story.balanced:
        raise click.ClickException("the books do not balance")
