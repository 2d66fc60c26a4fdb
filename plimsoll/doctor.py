"""What is wrong with this installation, chain or deployment, and the command that mends it."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from plimsoll.chain import Chain, project_root
from plimsoll.client import Backstop, Client
from plimsoll.deployment import Deployment, path_of, revived, stale_feeds
from plimsoll.errors import PlimsollError
from plimsoll.units import plain

PYTHONS = ((3, 10), (3, 12))
PACKAGES = {"vyper": "0.4.3", "eth-ape": "0.8.51", "ape-vyper": "0.8.12", "snekmate": "0.1.2"}
OPTIONAL = {
    "coincurve": "Ape's in-process chain takes twice as long without it",
    "pyrevm": "replays run on Ape's in-process chain without it, some fifty times slower",
}
SETUP = "make setup"
COMPILE = "make compile"


class Finding(NamedTuple):
    """One thing that was looked at."""

    ok: bool
    what: str
    mend: str = ""  # a command; empty if nothing needs to be done
    grave: bool = True  # whether anything fails for it


def check_installation() -> Iterator[Finding]:
    """Python, packages, the compiler and the PATH."""
    version = sys.version_info[:2]
    wanted = " to ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    yield Finding(
        PYTHONS[0] <= version <= PYTHONS[1],
        f"Python {platform.python_version()} (supported: {wanted})",
        f"{SETUP} PYTHON=/path/to/python3.11",
    )
    for package, pin in PACKAGES.items():
        found = installed(package)
        yield Finding(found == pin, f"{package} {found or 'is missing'} (pinned: {pin})", SETUP)
    for package, cost in OPTIONAL.items():
        found = installed(package)
        text = f"{package} {found}" if found else f"no {package}: {cost}"
        yield Finding(bool(found), text, SETUP, grave=False)
    compiler = shutil.which("vyper")
    here = Path(sys.executable).parent
    if compiler is None:
        yield Finding(
            False, "vyper is not in PATH: Ape cannot compile", f'export PATH="{here}:$PATH"'
        )
    elif Path(compiler).parent.resolve() != here.resolve():
        yield Finding(
            False,
            f"vyper in PATH is {compiler}, not that of this Python",
            f'export PATH="{here}:$PATH"',
        )
    else:
        yield Finding(True, f"vyper is {compiler}")


def installed(package: str) -> str | None:
    """A package's version; None if it is not there."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_compiled(root: Path | None = None) -> Finding:
    """Whether the bytecode is newer than every source.

    Ape looks at each contract by itself and keeps the old bytecode of one whose module changed.
    """
    folder = root or project_root()
    sources = [p for p in (folder / "contracts").rglob("*.vy*") if p.is_file()]
    built = folder / ".build" / "__local__.json"
    if not built.exists():
        return Finding(False, "the contracts are not compiled yet", COMPILE)
    if not sources:
        return Finding(False, f"no contracts in {folder / 'contracts'}", "run it in the project")
    newest = max(sources, key=lambda path: path.stat().st_mtime)
    if newest.stat().st_mtime > built.stat().st_mtime:
        name = newest.relative_to(folder)
        return Finding(False, f"{name} changed after the contracts were compiled", COMPILE)
    return Finding(True, f"{len(sources)} sources, compiled")


def check_chain(connect: Callable[[], Chain]) -> tuple[Chain | None, Finding]:
    """Whether the chain answers, and how."""
    try:
        chain = connect()
        text = f"{chain.name}: chain {chain.id}, block {chain.height}"
    except PlimsollError as error:
        what, _, mend = str(error).rpartition("; ")
        return None, Finding(False, what or str(error), mend)
    late = int(time.time()) - chain.now
    if late > 86_400 and not chain.ends_with_process:
        text += f" ({late // 3600:,} hours behind the clock)"
    return chain, Finding(True, text)


def check_deployment(chain: Chain, folder: Path | None = None) -> Iterator[Finding]:
    """The deployment's file, its contracts, its feeds, its pool."""
    path = path_of(chain, folder)
    network = f"--network {chain.name}"
    if chain.ends_with_process and not path.exists():
        yield Finding(True, f"nothing deployed: {chain.name} begins anew with each command")
        return
    try:
        deployment = Deployment.load(chain, folder)
    except PlimsollError as error:
        text, _, mend = str(error).rpartition("; ")
        if chain.ends_with_process:
            # Nothing is wrong: the file is all that the last command left.
            yield Finding(False, text or str(error), f"rm {path}", grave=False)
        else:
            yield Finding(False, text or str(error), mend.removeprefix("run: "))
        return
    yield Finding(
        True,
        f"{path.name}: {len(deployment.ids)} markets, "
        f"{len(deployment.token_ids)} collateral tokens, all contracts in place",
    )
    dead = stale_feeds(deployment)
    refresh = f"ape run markets --refresh {network}"
    if dead:
        some = ", ".join(f"{name} ({why.removeprefix('prices: ')})" for name, why in dead.items())
        yield Finding(False, f"no live price: {some}", mend_of_feeds(deployment, dead, network))
    else:
        yield Finding(True, "every market and collateral token has a live price")
    back = revived(deployment)
    if back:
        text = f"{', '.join(back)}: reported dead, and not that the price is back"
        yield Finding(False, text, refresh)
    client = Client(deployment)
    pool = client.pool()
    age = chain.now - pool.known_at
    if age > 86_400:
        yield Finding(
            False, f"the pool's NAV is {age // 3600} hours old: skews cannot grow", refresh
        )
    else:
        yield Finding(True, f"the pool's NAV is {age // 60} minutes old")
    if pool.nav > 0 and pool.exposure > pool.nav * pool.max_leverage:
        text = f"the pool carries {pool.exposure / pool.nav:.1f} times its worth"
        yield Finding(False, text, "wait: only trades that lower a skew pass", grave=False)
    yield check_backstop(client.backstop(), f"ape run backstop {network}")


def check_backstop(backstop: Backstop, mend: str) -> Finding:
    """Whether the pool has its margin and no settlement is declared.

    Args:
        backstop: as the client gives it.
        mend: the command that tells what anybody may do next.
    """
    if backstop.state != "none":
        where = {"declared": "claims wait", "settling": "positions are closed, claims wait"}
        what = where.get(backstop.state, "each claim is paid its share")
        return Finding(False, f"a settlement of the venue is {backstop.state}: {what}", mend)
    if backstop.health is not None and backstop.health < 1:
        return Finding(False, f"the pool's health is {backstop.health:.3f}, below 1", mend)
    return Finding(True, "the pool has its margin, and no settlement is declared")


def mend_of_feeds(deployment: Deployment, dead: Mapping[str, str], network: str) -> str:
    """The command that gives mock feeds a price again; real ones need somebody else.

    Args:
        deployment: whose feeds.
        dead: markets and tokens without a live price, each with the reason.
        network: as in a command.
    """
    mocks = {name: why for name, why in dead.items() if name in deployment.mock_feeds}
    # Saying an answer once more gives it a new time and nothing else.
    if any(why in ("prices: stale", "prices: bad time") for why in mocks.values()):
        return f"ape run markets --refresh {network}"
    if mocks:
        table = deployment.table
        pairs = [f"{name}={plain(table.priced(name).price):f}" for name in mocks]
        return " ".join(["ape run markets", *(f"--set {quote(p)}" for p in pairs), network])
    return "ask who runs the feed"


def examine(connect: Callable[[], Chain], folder: Path | None = None) -> Iterator[Finding]:
    """Everything, in the order in which things depend on each other."""
    yield from check_installation()
    yield check_compiled()
    chain, finding = check_chain(connect)
    yield finding
    if chain is not None:
        yield from check_deployment(chain, folder)
