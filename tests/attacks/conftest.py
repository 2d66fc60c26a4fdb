"""Attacks by number, and the proof that each defence is what stops its attack.

A test runs on contracts alone, no model beside them, and asserts what the attacker has in the end.
It names the line that stops him:

    @pytest.mark.defence("modules/margin.vy", "the line as it stands", "the line undone")

With ``PLIMSOLL_UNDEFENDED=1`` (``make undefended``) each such test runs once for each of its marks,
against contracts with that one edit, and must fail. ``PLIMSOLL_ATTACKS_ON=ape`` runs them on Ape's
chain in place of pyrevm.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from ape.managers.project import LocalProject

from plimsoll.chain import ApeChain, Chain, RevmChain, compiled
from plimsoll.errors import ChainError
from plimsoll.fuzz.artifacts import CONTRACTS, Artifact, is_part
from plimsoll.fuzz.system import Artifacts
from plimsoll.table import Table, default_table
from tests.attacks.venue import Venue
from tests.utils.backed import Backed
from tests.utils.broke import Broke

UNDEFENDED = bool(os.environ.get("PLIMSOLL_UNDEFENDED"))
DEPLOYED = (
    "Backstop",
    "Clearinghouse",
    "CollateralAuction",
    "Configurator",
    "LiquidityPool",
    "Lens",
)
Made = TypeVar("Made", bound=Backed)
ON_APE = os.environ.get("PLIMSOLL_ATTACKS_ON") == "ape"


class Defence(NamedTuple):
    """`old` stands once in `file`; with `new` in its place the attack works."""

    file: str
    old: str
    new: str


# ------------------------------------------------------------------ with the defence undone


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if UNDEFENDED and "artifact" in metafunc.fixturenames:
        marks = [Defence(*m.args) for m in metafunc.definition.iter_markers("defence")]
        ids = [f"without {d.file} {number}" for number, d in enumerate(marks)]
        # A test without a mark gets an empty list, and is skipped.
        metafunc.parametrize("artifact", marks, indirect=True, ids=ids)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    if not UNDEFENDED:
        return (yield)
    if "artifact" not in pyfuncitem.fixturenames:
        pytest.skip("stands on no contract of its own")
    try:
        yield
    except Exception as error:
        print(f"fails, as it must: {error!r:.300}")
        return True
    pytest.fail("the attack is stopped though its defence is undone", pytrace=False)


@functools.cache
def without(defence: Defence) -> Path:
    """A copy of the sources without one defence."""
    root = Path(tempfile.mkdtemp(prefix="plimsoll-undefended-")) / "contracts"
    shutil.copytree(CONTRACTS, root)
    source = root / defence.file
    text = source.read_text()
    assert text.count(defence.old) == 1, f"{defence.file} has {text.count(defence.old)} of this"
    source.write_text(text.replace(defence.old, defence.new))
    return root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Even where it is not undone, a defence must name a line that stands there.

    But not in a copy of the sources, which may have an edit in that very line.
    """
    if os.environ.get("PLIMSOLL_CONTRACTS"):
        return
    here = Path(__file__).parent
    lost = []
    for item in items:
        if here in item.path.parents:
            for mark in item.iter_markers("defence"):
                defence = Defence(*mark.args)
                count = (CONTRACTS / defence.file).read_text().count(defence.old)
                if count != 1:
                    lost.append(f"{item.name}: {defence.file} has {count} of {defence.old!r}")
    assert not lost, "\n".join(lost)


# ------------------------------------------------------------------ the venue


@pytest.fixture
def artifact(request: pytest.FixtureRequest) -> Callable[[str], Artifact]:
    """Contracts by name; with a defence undone where one is asked for."""
    defence: Defence | None = getattr(request, "param", None)
    if defence is None:
        return compiled
    root = without(defence)
    edited = {c for c in DEPLOYED if is_part(defence.file, f"{c}.vy")}
    for name in edited:
        # An edit that does not compile is an error here, not an attack that works.
        compiled(name, root)
    return lambda name: compiled(name, root if name in edited else None)


@pytest.fixture
def venue_of(
    project: LocalProject, artifact: Callable[[str], Artifact]
) -> Iterator[Callable[..., Venue]]:
    """Make a venue from a table; its books are balanced after the test."""
    made: list[Venue] = []

    def make(table: Table | None = None, **options: Any) -> Venue:
        table = table or default_table().only("BTC", "ETH", "SOL", "LINK").with_collateral()
        made.append(Venue(table, chain_of(project, artifact), **options))
        return made[-1]

    yield make
    for venue in made:
        if not UNDEFENDED:
            venue.balance()


def chain_of(project: LocalProject, artifact: Callable[[str], Artifact]) -> Chain:
    """The fast engine; without it, Ape's chain."""
    if ON_APE:
        return ApeChain(project)
    try:
        return RevmChain(artifact)
    except ChainError as error:
        warnings.warn(f"SLOWLY, on Ape's chain: {error}", stacklevel=1)
        return ApeChain(project)


@pytest.fixture
def venue(venue_of: Callable[..., Venue]) -> Venue:
    """Four of the default markets, a pool of 10m, 250k of insurance."""
    return venue_of()


def fast(artifact: Callable[[str], Artifact]) -> Artifacts:
    """What a system on the fast lane is made of, with a defence undone where one is asked for."""
    return Artifacts(
        clearinghouse=artifact("Clearinghouse"),
        pool=artifact("LiquidityPool"),
        configurator=artifact("Configurator"),
        auction=artifact("CollateralAuction"),
        backstop=artifact("Backstop"),
        token=artifact("TokenMock"),
        feed=artifact("FaultyFeedMock"),
        guard=artifact("oracles/SequencerGuard"),
    )


def made_of(kind: type[Made], artifact: Callable[[str], Artifact]) -> Iterator[Callable[..., Made]]:
    """Make systems on contracts alone; their books are balanced after the test."""
    made: list[Made] = []

    def make(*args: Any, **options: Any) -> Made:
        made.append(kind(*args, artifacts=fast(artifact), compare=False, **options))
        return made[-1]

    yield make
    for system in made:
        if not UNDEFENDED:
            system.balance()


@pytest.fixture
def backed_of(artifact: Callable[[str], Artifact]) -> Iterator[Callable[..., Backed]]:
    """Make a venue with collateral tokens, on contracts alone."""
    yield from made_of(Backed, artifact)


@pytest.fixture
def broke_of(artifact: Callable[[str], Artifact]) -> Iterator[Callable[..., Broke]]:
    """Make a venue whose pool a price can break, on contracts alone."""
    yield from made_of(Broke, artifact)
