"""GOV-1: what raises risk is announced and waits, from the deployment's hand-over on; and the bounds hold
for whoever owns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plimsoll import report
from plimsoll.chain import Chain, RevmChain, address_of, compiled
from plimsoll.deployment import (
    NO_WORD,
    NOBODY,
    Deployment,
    Governance,
    call_data,
    deploy,
    take_over,
)
from plimsoll.errors import DeploymentError, Reverted
from plimsoll.slots import Terms
from plimsoll.table import default_table
from tests.utils.calls import refusal

DAY = 86_400
NOT_READY = "timelock_controller: operation is not ready"
NO_ROLE = "access_control: account is missing role"
NOT_OWNER = "ownable: caller is not the owner"
DEPLOYER, PROPOSER, GUARDIAN, STRANGER = range(4)  # of the chain's signers


def governed(chain: Chain, **changes: Any) -> Deployment:
    """A venue offered to a Timelock of two days; the deployer and another propose, everybody executes."""
    who = [address_of(chain.signers[i]) for i in (DEPLOYER, PROPOSER, GUARDIAN)]
    options: dict[str, Any] = {"proposers": (who[0], who[1]), "guardian": who[2], **changes}
    table = default_table().only("BTC").with_collateral()
    governance = Governance(options.pop("delay", 2 * DAY), **options)
    return deploy(table, chain, chain.signers[DEPLOYER], governance=governance)


@pytest.fixture
def locked(revm: RevmChain) -> Deployment:
    """A venue that a Timelock owns."""
    venue = governed(revm)
    revm.advance(2 * DAY)
    take_over(venue, revm.signers[STRANGER])
    venue.refresh_prices()
    return venue


def signer(venue: Deployment, number: int) -> Any:
    return venue.chain.signers[number]


def changed(venue: Deployment, **changes: Any) -> tuple[Any, ...]:
    """The market's terms with some changed."""
    found = venue.chain.view(venue.configurator, "terms", 0)
    terms = Terms(*(getattr(found, name) for name in Terms._fields))
    return tuple(terms._replace(**changes))


# ------------------------------------------------------------------ handing over


@pytest.mark.parametrize("engine", ["revm", "ape_chain"])
def test_deploy__with_a_timelock__owns_the_configurator_after_its_own_delay(
    request: pytest.FixtureRequest, engine: str
) -> None:
    chain = request.getfixturevalue(engine)
    venue = governed(chain)
    deployer, lock = address_of(signer(venue, DEPLOYER)), address_of(venue.timelock)
    assert (venue.owner, venue.next_owner) == (deployer, lock)
    told = report.owner_line(venue)
    assert told == (
        f"The Configurator's owner is the deployer, {deployer}; it is offered to the timelock, {lock}."
    )
    with pytest.raises(DeploymentError, match=NOT_READY):
        take_over(venue, signer(venue, STRANGER))
    chain.advance(2 * DAY)
    take_over(venue, signer(venue, STRANGER))
    assert (venue.owner, venue.next_owner) == (lock, None)
    assert report.owner_line(venue) == f"The Configurator's owner is the timelock, {lock}."
    assert chain.view(venue.configurator, "guardian") == address_of(signer(venue, GUARDIAN))
    call = (venue.configurator, "configure_market", 0, changed(venue))
    reason = refusal(lambda: chain.send(*call, sender=signer(venue, DEPLOYER)))
    assert reason == NOT_OWNER
    with pytest.raises(DeploymentError, match=NOT_READY):
        take_over(venue, signer(venue, STRANGER))


def test_deploy__sender_who_does_not_propose__leaves_the_first_announcement_to_them(
    revm: RevmChain,
) -> None:
    other = address_of(revm.signers[PROPOSER])
    venue = governed(revm, proposers=(other,), guardian=None)
    revm.advance(2 * DAY)
    with pytest.raises(DeploymentError, match=NOT_READY):
        take_over(venue, revm.signers[STRANGER])
    venue.announce("accept_ownership", sender=revm.signers[PROPOSER])
    revm.advance(2 * DAY)
    take_over(venue, revm.signers[STRANGER])
    assert venue.owner == address_of(venue.timelock)
    assert revm.view(venue.configurator, "guardian") == NOBODY


def test_deploy__without_a_timelock__the_deployer_owns_it(revm: RevmChain) -> None:
    venue = deploy(default_table().only("BTC").with_collateral(), revm, revm.signers[0])
    assert venue.owner == venue.deployer
    assert (venue.timelock, venue.next_owner) == (None, None)
    assert "timelock" not in venue.addresses()
    told = report.owner_line(venue)
    assert told == f"The Configurator's owner is the deployer, {venue.deployer}."
    with pytest.raises(DeploymentError, match="no timelock: its deployer owns it"):
        venue.announce("accept_ownership", sender=revm.signers[0])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"delay": DAY - 1}, "timelock: delay"),
        ({"delay": 30 * DAY + 1}, "timelock: delay"),
        ({"delay": 0}, "timelock: delay"),
        ({"proposers": ()}, "timelock: nobody"),
        ({"executors": ()}, "timelock: nobody"),
        ({"delay": -5}, f"delay of -5 s: from {DAY} "),
        ({"guardian": "0x12"}, "guardian '0x12' is no address"),
        ({"proposers": ("bob",)}, "proposer 'bob' is no address"),
    ],
)
def test_deploy__timelock_that_protects_nobody_or_stops_everybody__refused(
    revm: RevmChain, changes: dict[str, Any], reason: str
) -> None:
    height = revm.height
    with pytest.raises(DeploymentError, match=reason):
        governed(revm, **changes)
    assert revm.height == height  # nothing was sent
    assert governed(revm, delay=DAY).timelock is not None
    assert governed(revm, delay=30 * DAY).timelock is not None


def test_load__deployment_with_a_timelock__has_it(revm: RevmChain, tmp_path: Path) -> None:
    venue = governed(revm)
    venue.save(tmp_path)
    loaded = Deployment.load(revm, tmp_path)
    assert address_of(loaded.timelock) == address_of(venue.timelock)
    assert loaded.next_owner == address_of(venue.timelock)


# ------------------------------------------------------------------ a change


def test_timelock__change_announced__done_when_due_and_once(locked: Deployment) -> None:
    chain, anybody = locked.chain, signer(locked, STRANGER)
    call = ("configure_market", 0, changed(locked, im_ppm=45_000))
    locked.announce(*call, sender=signer(locked, PROPOSER))
    chain.advance(2 * DAY - 60)
    assert refusal(lambda: locked.enact(*call, sender=anybody)) == NOT_READY
    chain.advance(60)
    locked.refresh_prices()
    locked.enact(*call, sender=anybody)
    assert chain.view(locked.configurator, "terms", 0).im_ppm == 45_000
    assert refusal(lambda: locked.enact(*call, sender=anybody)) == NOT_READY


def test_timelock__change_cancelled__refused_for_ever(locked: Deployment) -> None:
    chain, anybody = locked.chain, signer(locked, STRANGER)
    call = ("configure_market", 0, changed(locked, im_ppm=45_000))
    id = locked.announce(*call, sender=signer(locked, PROPOSER))
    cancel = (locked.timelock, "cancel", id)
    assert refusal(lambda: chain.send(*cancel, sender=anybody)) == NO_ROLE
    chain.send(*cancel, sender=signer(locked, DEPLOYER))
    chain.advance(30 * DAY)
    assert refusal(lambda: locked.enact(*call, sender=anybody)) == NOT_READY
    again = refusal(lambda: chain.send(*cancel, sender=signer(locked, DEPLOYER)))
    assert again == "timelock_controller: operation cannot be cancelled"
    assert chain.view(locked.configurator, "terms", 0).im_ppm == 50_000


def test_timelock__stranger_or_too_short_a_delay__announces_nothing(locked: Deployment) -> None:
    call = ("configure_market", 0, changed(locked, im_ppm=45_000))
    stranger, proposer = signer(locked, STRANGER), signer(locked, PROPOSER)
    assert refusal(lambda: locked.announce(*call, sender=stranger)) == NO_ROLE
    guardian = signer(locked, GUARDIAN)
    assert refusal(lambda: locked.announce(*call, sender=guardian)) == NO_ROLE
    short = refusal(lambda: locked.announce(*call, sender=proposer, delay=2 * DAY - 1))
    assert short == "timelock_controller: insufficient delay"
    locked.announce(*call, sender=proposer)
    twice = refusal(lambda: locked.announce(*call, sender=proposer))
    assert twice == "timelock_controller: operation already scheduled"
    locked.announce(*call, sender=proposer, salt=b"\1" * 32)
    locked.chain.advance(2 * DAY)
    assert refusal(lambda: locked.enact("unfreeze", sender=stranger)) == NOT_READY


def test_timelock__named_executors__nobody_else(revm: RevmChain) -> None:
    venue = governed(revm, executors=(address_of(revm.signers[PROPOSER]),))
    revm.advance(2 * DAY)
    with pytest.raises(DeploymentError, match=NO_ROLE):
        take_over(venue, revm.signers[STRANGER])
    take_over(venue, revm.signers[PROPOSER])


@pytest.mark.parametrize(
    ("method", "change", "reason"),
    [
        ("configure_market", {"im_ppm": 10**6 + 1}, "configurator: im above 1"),
        ("configure_market", {"max_age": 0}, "configurator: max_age"),
        ("ramp_market", {"mm_ppm": 1}, "configurator: mm too low"),
    ],
)
def test_timelock__change_outside_the_bounds__refused_by_the_configurator_when_due(
    locked: Deployment, method: str, change: dict[str, Any], reason: str
) -> None:
    """The bounds are code: not even what everybody has waited for can leave them."""
    rest = (3 * DAY,) if method == "ramp_market" else ()
    call = (method, 0, changed(locked, **change), *rest)
    locked.announce(*call, sender=signer(locked, PROPOSER))
    locked.chain.advance(2 * DAY)
    locked.refresh_prices()
    before = changed(locked)
    assert refusal(lambda: locked.enact(*call, sender=signer(locked, STRANGER))) == reason
    assert changed(locked) == before


def test_timelock__longest_calls__fit_what_it_takes(locked: Deployment) -> None:
    terms = changed(locked)
    credit = (2**95, 1, 1, 1, 1, 10**6, 1, 1, [*range(16)])
    token = (NOBODY, *[1] * 10, False)
    for call in (
        ("list_market", "x" * 32, terms),
        ("ramp_market", 127, terms, 30 * DAY),
        ("configure_credit", credit),
        ("list_collateral", NOBODY, token),
    ):
        assert len(call_data(locked.configurator, *call)) <= 1_024
        locked.announce(*call, sender=signer(locked, PROPOSER))


# ------------------------------------------------------------------ the Timelock itself


def test_timelock__its_delay_and_its_roles__change_by_no_short_cut(locked: Deployment) -> None:
    chain, lock = locked.chain, locked.timelock
    names = {entry.get("name") for entry in compiled("Timelock").abi}
    assert not names & {"update_delay", "set_role_admin", "__default__", "onERC721Received"}
    assert not [e for e in compiled("Timelock").abi if e["type"] in ("fallback", "receive")]
    proposer, stranger = signer(locked, PROPOSER), signer(locked, STRANGER)
    role = chain.view(lock, "PROPOSER_ROLE")
    grant = (lock, "grantRole", role, address_of(stranger))
    for who in (signer(locked, DEPLOYER), proposer, stranger):
        assert refusal(lambda who=who: chain.send(*grant, sender=who)) == NO_ROLE
    call = (address_of(lock), 0, call_data(lock, *grant[1:]), NO_WORD, NO_WORD)
    chain.send(lock, "schedule", *call, 2 * DAY, sender=proposer)
    chain.advance(2 * DAY)
    chain.send(lock, "execute", *call, sender=stranger)
    assert chain.view(lock, "hasRole", role, address_of(stranger))
    assert chain.view(lock, "get_minimum_delay") == 2 * DAY


def test_timelock__guardian__acts_without_it(locked: Deployment) -> None:
    """Lowering risk cannot wait; raising it again does."""
    chain, guardian = locked.chain, signer(locked, GUARDIAN)
    chain.send(locked.configurator, "restrict_market", 0, 0, 0, True, sender=guardian)
    assert chain.view(locked.configurator, "terms", 0).reduce_only
    with pytest.raises(Reverted, match=NOT_OWNER):
        chain.send(
            locked.configurator,
            "configure_market",
            0,
            changed(locked, reduce_only=False),
            sender=guardian,
        )
