"""Fixtures that the unit tests and the attacks share: a conftest imports them by name.

The deployment is made once a session; Ape's isolation undoes each test. After each test the books must
balance to the wei.
"""

from collections.abc import Iterator

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.managers.project import LocalProject

from tests.utils.system import Market, System, wad

POOL_CASH = 10_000_000
INSURANCE_CASH = 1_000


def build(project: LocalProject, accounts: list[AccountAPI], **options: object) -> System:
    """STILL and REEF do not fund, TIDE does; the pool has 10m and the insurance fund 1,000."""
    system = System(project, accounts, **options)  # type: ignore[arg-type]
    system.list_market("STILL")
    system.list_market("TIDE", decimals=18, max_velocity_ppm=500_000, max_rate_ppm=10_000)
    system.list_market("REEF", decimals=6, reward=wad("2.5"), im_ppm=120_000, mm_ppm=60_000)
    system.deposit(system.pool, POOL_CASH)
    system.know_nav(POOL_CASH)
    system.deposit(system.clearinghouse, INSURANCE_CASH)
    return system


def checked(system: System) -> Iterator[System]:
    """A system for one test, after which its books must balance."""
    mark = system.mark()
    yield system
    system.check_conservation()
    system.forget(mark)


@pytest.fixture(scope="session")
def built(project: LocalProject, accounts: list[AccountAPI]) -> System:
    """The deployment, once; tests take `system`."""
    return build(project, list(accounts))


@pytest.fixture
def system(built: System) -> Iterator[System]:
    """A deployment with a quote token of 6 decimals."""
    yield from checked(built)


@pytest.fixture
def house(system: System) -> ContractInstance:
    """The clearinghouse."""
    return system.clearinghouse


@pytest.fixture
def still(system: System) -> Market:
    """At 100, no funding, a feed of 8 decimals."""
    return system.markets[0]


@pytest.fixture
def tide(system: System) -> Market:
    """At 100, with funding, a feed of 18 decimals."""
    return system.markets[1]


@pytest.fixture
def reef(system: System) -> Market:
    """At 100, no funding, 12 % and 6 %, 2.5 flat, a feed of 6 decimals."""
    return system.markets[2]


@pytest.fixture(scope="session")
def built_fine(project: LocalProject, accounts: list[AccountAPI]) -> System:
    """The same in a quote of 18 decimals, where a deposit can be exact to the wei; tests take `fine`."""
    return build(project, list(accounts), decimals=18)


@pytest.fixture
def fine(built_fine: System) -> Iterator[System]:
    """A deployment with a quote token of 18 decimals."""
    yield from checked(built_fine)


@pytest.fixture(scope="session")
def built_loose(project: LocalProject, accounts: list[AccountAPI]) -> System:
    """The same without a Configurator, so that markets can have any terms and feeds; tests take `loose`."""
    return build(project, list(accounts), loose=True)


@pytest.fixture
def loose(built_loose: System) -> Iterator[System]:
    """A deployment that takes any terms."""
    yield from checked(built_loose)


@pytest.fixture
def trader(accounts: list[AccountAPI]) -> AccountAPI:
    """Trades."""
    return accounts[1]


@pytest.fixture
def maker(accounts: list[AccountAPI]) -> AccountAPI:
    """The other side: moves skews."""
    return accounts[2]


@pytest.fixture
def keeper(accounts: list[AccountAPI]) -> AccountAPI:
    """Liquidates."""
    return accounts[3]


@pytest.fixture
def stranger(accounts: list[AccountAPI]) -> AccountAPI:
    """Has no rights."""
    return accounts[4]


@pytest.fixture
def attacker(accounts: list[AccountAPI]) -> AccountAPI:
    """Wants the others' money."""
    return accounts[5]


@pytest.fixture
def victim(accounts: list[AccountAPI]) -> AccountAPI:
    """Whose money it is."""
    return accounts[6]
