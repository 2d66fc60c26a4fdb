"""Buy or sell against the pool."""

import click

from plimsoll import cli as shared


@click.command(cls=shared.Command, context_settings={"ignore_unknown_options": True})
@click.argument("market")
@click.argument("size")
@click.option("--limit", help="The worst price to accept.  [default: the quote and 0.5 %]")
@shared.signer_option
@shared.account_option
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@shared.quiet
def cli(market, size, limit, signer, account, dry_run):
    """Trade SIZE of MARKET: 0.5 buys, -0.5 sells, `close` closes the position.

    For example: ape run trade BTC 0.5 --signer 1
    """
    from plimsoll import report
    from plimsoll.client import Client
    from plimsoll.units import plain

    deployment = shared.load()
    client = Client(deployment)
    owner = shared.signer_of(signer)
    address = shared.account_of(account, owner)
    shared.must_own(owner, address)
    name = deployment.market_name(market)
    if size == "close":
        position = client.account(address).position(name)
        if position is None:
            raise shared.Mistake(f"no position in {name} to close")
        delta = -position.size
    else:
        delta = shared.amount_of(size, "SIZE")
    worst = shared.amount_of(limit, "--limit") if limit is not None else None
    preview = client.preview_trade(address, name, delta, worst)
    if not preview.allowed:
        raise shared.Mistake(f"the trade would be refused: {shared.hinted(preview.reason)}")
    symbol = deployment.table.quote.symbol
    screen = report.console()
    made = report.table(f"{name} {plain(delta):+f}", "before", "after")
    if dry_run:
        price, fee = preview.price, preview.fee
    else:
        trade = client.trade(name, delta, worst, address, owner)
        price, fee = trade.price, trade.fee
    made.add_row("fill price", "", report.number(price, 8))
    made.add_row(f"fee, {symbol}", "", report.money(fee, 2))
    made.add_row("position", "", report.number(preview.size_after))
    made.add_row(
        "health", report.health(preview.health_before), report.health(preview.health_after)
    )
    edge = preview.liquidation_price_after
    made.add_row("liquidated at", "", report.number(edge) if edge else report.NOTHING)
    screen.print(made)
    screen.print("Nothing was sent." if dry_run else "Done.")
