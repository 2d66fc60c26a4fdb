"""Real prices through the contracts."""

import ape
import click

from plimsoll import cli as shared


@click.command(cls=shared.Command)
@click.option(
    "--prices",
    "file",
    type=click.Path(),
    help="CSV: time_utc (2022-05-09 13:00, or seconds), BTC_close, ETH_close, ...",
)
@click.option("--from", "start", help="2022-05, 2022-05-09 or '2022-05-09 13:00', UTC.")
@click.option("--to", "end", help="The same; a day or a month to its end.")
@click.option("--markets", help="Only these columns, as in BTC,ETH.")
@click.option("--hours", default=72, show_default=True, help="Of a made-up crash, without a file.")
@click.option("--traders", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option(
    "--seed", default=1, show_default=True, help="Of the traders, and of a made-up crash."
)
@click.option(
    "--cuts",
    default=1,
    show_default=True,
    type=click.IntRange(1, 60),
    help="Looks of the keeper in each step, prices in between on a straight line.",
)
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "pyrevm", "ape"]),
    help="auto: pyrevm if it is installed.",
)
@click.option(
    "--wrong-way",
    is_flag=True,
    help="Traders bring ether and bitcoin, not cash, and are long everything else.",
)
@shared.quiet
def cli(file, start, end, markets, hours, traders, seed, cuts, engine, wrong_way):
    """Let traders open, prices run and a keeper liquidate; then add up the books.

    Prices come from a file of hourly candles, or from a made-up crash. What cannot be used in the
    file is told by its line and left out, never guessed.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from plimsoll import report
    from plimsoll.chain import ApeChain, Chain, RevmChain, compiled_by_ape
    from plimsoll.errors import ChainError
    from plimsoll.prices import date, read_prices, synthetic_crash
    from plimsoll.replay import count_ticks, replay

    chosen = [name.strip() for name in markets.split(",")] if markets is not None else None
    if file is not None:
        series = read_prices(file, start, end, chosen)
    elif start or end or chosen:
        raise shared.Mistake("--from, --to and --markets choose from a file: name it with --prices")
    else:
        series = synthetic_crash(seed, hours)

    chain: Chain = ApeChain()
    if engine != "ape":
        try:
            chain = RevmChain(compiled_by_ape(ape.project))
        except ChainError as error:
            if engine == "pyrevm":
                raise
            click.echo(f"On Ape's in-process chain, which is slower: {error}", err=True)
    if not chain.ends_with_process:
        raise shared.Mistake(
            "a replay moves prices and the clock: run it on a chain of its own, "
            "--network ethereum:local:test"
        )

    screen = report.console()
    if series.problems:
        screen.print(report.problems_report(series))
    bar = Progress(
        TextColumn("{task.fields[when]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[closed]} liquidated"),
        console=screen,
        transient=True,
    )
    with bar:
        total = count_ticks(series, cuts)
        task = bar.add_task("", total=total, when="opening positions", closed=0)

        def on_step(done, of, at, closed):
            bar.update(task, completed=done, total=of, when=date(at), closed=closed)

        run = replay(
            chain,
            series,
            traders=traders,
            seed=seed,
            cuts=cuts,
            on_step=on_step,
            backed=wrong_way,
        )
    screen.print(report.replay_report(run))
    if not run.balanced:
        raise click.ClickException("the books do not balance")
