"""Who is who, and the venue that they meet on.

`system` is a deployment through the package's own path from a table to contracts, so that what the
scripts do is what the tests stand on. Ape returns the chain to where it was after each test.

A fixture of a wide scope that first comes up in the middle of a module makes Ape throw that module's
venue away while tests still hold it, so only what the venue is built from has one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ape.api import AccountAPI, ReceiptAPI
from ape.managers.project import LocalProject
from ape_ethereum.ecosystem import Ethereum
from ape_ethereum.transactions import TransactionType

from plimsoll.chain import ApeChain
from plimsoll.client import Client
from plimsoll.deployment import Deployment, deploy
from plimsoll.table import Table, default_table

pytest_plugins = ["plimsoll.fuzz.fixtures"]


@pytest.fixture(scope="session", autouse=True)
def _nothing_twice() -> Iterator[None]:
    """Spares what Ape does beside a transaction: a third of the time of a test on its chain.

    It runs each once more, as a call, in search of prints (no contract here has any), and builds
    its list of networks anew to tell the type of each.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReceiptAPI, "show_debug_logs", lambda receipt: None)
        patch.setattr(Ethereum, "default_transaction_type", TransactionType.DYNAMIC)
        yield


# ------------------------------------------------------------------ actors


@pytest.fixture(scope="session")
def owner(accounts: list[AccountAPI]) -> AccountAPI:
    """Deploys, owns the Configurator, and paid the seeds."""
    return accounts[0]


@pytest.fixture
def keeper(accounts: list[AccountAPI]) -> AccountAPI:
    """Liquidates; has nothing in the venue."""
    return accounts[1]


@pytest.fixture
def stranger(accounts: list[AccountAPI]) -> AccountAPI:
    """Has nothing and no right to anything."""
    return accounts[2]


@pytest.fixture
def trader(accounts: list[AccountAPI]) -> AccountAPI:
    """Trades; has nothing until a test pays it in."""
    return accounts[3]


@pytest.fixture
def trader2(accounts: list[AccountAPI]) -> AccountAPI:
    """Another."""
    return accounts[4]


@pytest.fixture
def attacker(accounts: list[AccountAPI]) -> AccountAPI:
    """Means harm."""
    return accounts[5]


@pytest.fixture
def lp(accounts: list[AccountAPI]) -> AccountAPI:
    """Provides liquidity to the pool, once a test makes it."""
    return accounts[6]


# ------------------------------------------------------------------ the venue


@pytest.fixture(scope="session")
def table() -> Table:
    """Four of the default markets: two majors, two others."""
    return default_table().only("BTC", "ETH", "SOL", "LINK")


@pytest.fixture(scope="module")
def system(project: LocalProject, owner: AccountAPI, table: Table) -> Deployment:
    """The table's venue on Ape's chain: a pool of 10m, 250k of insurance, live prices."""
    return deploy(table, ApeChain(project), owner)


@pytest.fixture(scope="module")
def client(system: Deployment) -> Client:
    """The SDK on `system`; calls name their signer."""
    return Client(system)
