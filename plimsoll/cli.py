"""What the scripts share: connecting, finding the signer, and errors in one line.

A user's mistake, a contract's refusal and a chain that is not there all end as one line on stderr
and exit code 2; a traceback means that the program itself is wrong.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import click
from ape.cli import ConnectedProviderCommand, verbosity_option
from ape.cli.commands import parse_network
from ape.exceptions import Abort, ApeException

from plimsoll.chain import ApeChain
from plimsoll.client import is_owner, sub_account
from plimsoll.deployment import DEVNET, Deployment
from plimsoll.errors import ChainError, PlimsollError, Reverted
from plimsoll.units import decimal

GROUPED = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")  # as in 1,000.5

# What to do about the refusals that people meet; by what was called too, where that matters.
HINTS = {
    "margin: below initial": "deposit more, or trade less",
    "margin: health would fall": "reduce something else first, or deposit",
    "margin: dead leg": "a price is missing; `ape run markets` tells which",
    "margin: not enough cash": "withdraw less; `ape run account` tells how much",
    "trade: past limit price": "the price moved past your limit; see `ape run markets`",
    "trade: size out of range": "beyond the depth of the market, or it would leave mere dust",
    "caps: open interest": "the market is full; `ape run markets` shows its open interest",
    "caps: skew": "too many on that side; trade the other way, or less",
    "caps: pool exposure": "the pool carries all that its worth allows",
    "caps: pool NAV is old": "run: ape run markets --refresh",
    "prices: stale": "on a local chain, run: ape run markets --refresh",
    "liquidation: account is healthy": "its health is 1.0 or more",
    "prices: feed failed": "its feed is dead, or it is settled; see `ape run markets`",
    "account: not yours": "sign with its owner: --signer",
    "market: reduce only": "positions in it can only be reduced; in a settlement, in every market",
    "margin: not enough tokens": "withdraw less; `ape run account` tells how much",
    "caps: debt": "pay in quote or close something: the debt is all that the collateral carries",
    "caps: collateral": "the venue takes no more of that token",
    "collateral: being delisted": "it can only be taken out",
    "settle: no net loss": "only a net unrealised loss can be settled",
    "convert: not called": "its debt is within its cap and its health above the call line",
    "auction: cost above maximum": "its price rose; see `ape run markets`",
    "venue: frozen or in grace": "wait until the venue is calm; `ape run markets` tells when",
    "account: system": "it is one of the venue's own; name a trader's",
    "withdraw: settlement waits": "wait for the share; `ape run backstop` tells how far it is",
    "deposit: in a settlement": "nothing is paid in until it is called off; see `ape run backstop`",
    "backstop: pool is healthy": "nobody is deleveraged while the pool's health is 1.0 or more",
    "backstop: a price is not live": "too much of the pool's waits for one; see `ape run markets`",
    "backstop: account is unhealthy": "it is to be liquidated, not deleveraged",
    "backstop: not opposite the pool": "only positions on the pool's other side are closed",
    "backstop: not profitable": "only profitable positions are closed",
    "backstop: nothing to close": "the pool has less than a lot left there",
    "backstop: health would fall": "the account's other positions need this one; take the next",
    "backstop: pool is solvent": "only a pool with an equity below zero is settled",
    "backstop: pool is insolvent": "wait until it is solvent without doubt, or for nine days",
    "backstop: too early": "an hour after the hole is certain, or a week: see `ape run backstop`",
    "backstop: positions are open": "close them first: --close all",
    "backstop: lots are not sold": "buy them, or wait: 30 days, or a week if all are dead",
    "close_settled: backstop: market not settled": "it still trades; settle it first: --settle",
    "fix: backstop: market not settled": "settle every market first: --settle all",
    "declare: backstop: wrong state": "the venue is being settled; see `ape run backstop`",
    "call_off: backstop: wrong state": "none is declared, or it has begun, which is for good",
    "settle: backstop: wrong state": "it must be declared, and not be fixed; declare it first",
    "fix: backstop: wrong state": "once, after markets are settled: --settle all",
}

quiet = verbosity_option(default="WARNING")


class Mistake(click.ClickException):
    """Ends the command with one line and exit code 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))

    def show(self, file: Any = None) -> None:
        """Print the line."""
        click.secho(f"Error: {self.format_message()}", fg="red", err=True, file=file)


def hinted(reason: str, method: str = "") -> str:
    """A refusal's reason and, in brackets, what to do about it.

    Args:
        reason: the contract's.
        method: what was called.
    """
    hint = HINTS.get(f"{method}: {reason}", HINTS.get(reason))
    return f"{reason} ({hint})" if hint else reason


@contextmanager
def one_line() -> Iterator[None]:
    """Turn what a user can mend into a `Mistake`."""
    try:
        yield
    except Reverted as error:
        what = f"{error.method} was refused: " if error.method else ""
        raise Mistake(what + hinted(str(error), error.method)) from error
    except (PlimsollError, ValueError) as error:
        raise Mistake(str(error)) from error
    except Abort:
        raise
    except ApeException as error:
        raise Mistake(f"{type(error).__name__}: {error}") from error


class Command(ConnectedProviderCommand):
    """A command on a connected chain, whose mistakes take one line."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the command line."""
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            name = args[0] if args else self.name
            raise Mistake(
                f"{error.format_message()} (`ape run {name} --help` tells more)"
            ) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Connect and run."""
        with one_line(), connected(parse_network(ctx)) as provider:
            return self._invoke(ctx, provider=provider)


@contextmanager
def connected(network: Any) -> Iterator[Any]:
    """A connection to a network of Ape's; a node that does not answer is a `ChainError`.

    Args:
        network: what ``parse_network_choice`` gives.
    """
    there = network._provider
    choice = f"{there.network.ecosystem.name}:{there.network.name}:{there.name}"
    _hush()
    # Ape tries a websocket and, where nothing answers, forgets to await the attempt.
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    warnings.filterwarnings("ignore", message="Field 'import_remapping' has an incomplete")
    try:
        provider = network.__enter__()
    except Exception as error:
        first = str(error).partition("\n")[0]
        why = first if isinstance(error, ApeException) else "nothing answers at its address"
        start = f"choose another: {DEVNET} is `anvil`"
        if f"--network {choice}" == DEVNET:
            start = "start `anvil` (Foundry's; npm has it as @foundry-rs/anvil)"
        if "chain ID" in first:
            start = "what runs there is not `anvil` with its usual chain id"
        raise ChainError(f"{choice} cannot be reached ({why}); {start}") from error
    try:
        yield provider
    finally:
        network.__exit__(*sys.exc_info())


def _hush() -> None:
    """Where a node can trace, Ape prints the whole call on top of a refusal: the reason will do."""
    from ape_ethereum.trace import Trace

    setattr(Trace, "show", lambda *_, **__: None)  # noqa: B010 (no other way past its default stdout)
    logging.getLogger("ape").addFilter(_worth_saying)


def _worth_saying(record: logging.LogRecord) -> bool:
    """Not that a refusal on the in-process chain, which cannot trace, has no traceback."""
    return "Problem retrieving traceback" not in record.getMessage()


# ------------------------------------------------------------------ words of the command line


def load() -> Deployment:
    """The deployment on the connected chain."""
    return Deployment.load(ApeChain())


def signer_of(text: str) -> Any:
    """A test account by its number, or one of Ape's by its alias.

    Raises:
        PlimsollError: if there is no such account.
    """
    import ape

    if text.isdecimal():
        accounts = ape.accounts.test_accounts
        if int(text) >= len(accounts):
            raise PlimsollError(f"there are {len(accounts)} test accounts, the first is 0")
        return accounts[int(text)]
    if text not in ape.accounts.aliases:
        known = ", ".join(sorted(ape.accounts.aliases)) or "none"
        raise PlimsollError(
            f"no signer {text!r}: a number of a test account, or an alias of Ape's ({known})"
        )
    return ape.accounts.load(text)


def account_of(text: str | None, signer: Any) -> str:
    """An account: an address, a sub-account's number, or (by default) the signer's main account.

    Raises:
        PlimsollError: if it is neither.
    """
    if text is None:
        return sub_account(signer, 0)
    if text.isdecimal():
        return sub_account(signer, int(text))
    if text.startswith("0x") and len(text) == 42:
        try:
            return sub_account(text, 0)
        except ValueError:
            pass
    raise PlimsollError(
        f"{text!r} is no account: an address, or a number from 0 to 255 for one of the signer's own"
    )


def must_own(signer: Any, account: str) -> None:
    """Make sure that an account is one of the signer's.

    Raises:
        PlimsollError: if it is not.
    """
    if not is_owner(signer, account):
        raise PlimsollError(f"{account} is not an account of {signer.address}: choose a --signer")


def payment_of(text: str, what: str) -> tuple[Decimal, str | None]:
    """``1,000`` of the quote, or ``1.5 WETH`` of a token; the symbol is None for the quote."""
    amount, _, token = text.strip().partition(" ")
    return amount_of(amount, what), token.strip() or None


def amount_of(text: str, what: str) -> Decimal:
    """A number that somebody typed; commas that separate thousands are let through.

    Raises:
        PlimsollError: if it is none, or has another comma: ``0,5`` is not 5.
    """
    if "," in text and not GROUPED.fullmatch(text.strip()):
        raise PlimsollError(f"{what}: {text!r}: write 0.5 for a half; a comma separates thousands")
    try:
        return decimal(text.replace(",", ""), what)
    except ValueError as error:
        raise PlimsollError(str(error)) from None


def moves_of(texts: tuple[str, ...]) -> dict[str, Decimal]:
    """``BTC=-10 ETH=5`` or ``-10`` in per cent, as fractions by market or for all.

    Raises:
        PlimsollError: if one cannot be read.
    """
    moves: dict[str, Decimal] = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if equals and not name:
            raise PlimsollError(f"{text!r}: no market before the sign; write BTC=-10")
        if (name or "all") in moves:
            raise PlimsollError(f"{name or 'all'} is moved twice: once, as in BTC=-10")
        moves[name or "all"] = amount_of(value.removesuffix("%"), name or "the move") / 100
    return moves


def prices_of(texts: tuple[str, ...]) -> Mapping[str, Decimal]:
    """``BTC=60000`` as a price by market.

    Raises:
        PlimsollError: if one cannot be read.
    """
    prices: dict[str, Decimal] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise PlimsollError(f"{text!r}: write BTC=60000")
        price = amount_of(value, f"the price of {name}")
        if price <= 0:
            raise PlimsollError(f"the price of {name} is not above zero")
        if name in prices:
            raise PlimsollError(f"{name} has two prices: one, as in BTC=60000")
        prices[name] = price
    return prices


signer_option = click.option(
    "--signer",
    default="0",
    show_default=True,
    help="Who signs: a test account's number or an alias.",
)
account_option = click.option(
    "--account", help="Address, or 0 to 255: the signer's sub-account.  [default: his main account]"
)
