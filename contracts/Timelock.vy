# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Timelock
@license AGPL-3.0-only
@notice Owns the Configurator: what it is to do is announced here, waits, and can be taken back until it is done.
@dev A thin face over snekmate's timelock_controller, whose functions it exports as they are but for three things.
     The delay is fixed for good: there is no `update_delay`, so that nothing announced today can shorten what protects
     everybody tomorrow; who wants another delay hands the Configurator on to another Timelock, in two steps and after
     this one's delay. Nobody is its admin but itself: roles change by an announced call, too. And it holds nothing: it
     takes neither ether nor tokens.
     Proposers announce and may take back; executors do what is due, the zero address among them meaning everybody.
     It checks no term: the Configurator's own bounds hold for its owner as for anybody, and a ramp announced here goes
     no faster for it.
@custom:security A proposer can announce anything, and cancel everybody else's: reading what is announced, within the
                 delay, is what protects.
@custom:spec GOV-1
"""

from snekmate.auth import access_control
from snekmate.governance import timelock_controller as timelock

initializes: access_control
initializes: timelock[access_control := access_control]

exports: (
    access_control.hasRole,
    access_control.getRoleAdmin,
    access_control.grantRole,
    access_control.revokeRole,
    access_control.renounceRole,
    access_control.DEFAULT_ADMIN_ROLE,
    timelock.PROPOSER_ROLE,
    timelock.EXECUTOR_ROLE,
    timelock.CANCELLER_ROLE,
    timelock.get_minimum_delay,
    timelock.get_timestamp,
    timelock.is_operation_pending,
    timelock.is_operation_ready,
    timelock.is_operation_done,
    timelock.hash_operation,
    timelock.hash_operation_batch,
    timelock.schedule,
    timelock.schedule_batch,
    timelock.cancel,
    timelock.execute,
    timelock.execute_batch,
)

MIN_DELAY: constant(uint256) = 86_400  # [s]
MAX_DELAY: constant(uint256) = 30 * 86_400  # [s]


@deploy
def __init__(delay: uint256, proposers: DynArray[address, 255], executors: DynArray[address, 255]):
    """
    @param delay [s] a day to 30 days, from an announcement to the earliest it can be done
    @param proposers [addresses] who announce and may take back, one at least
    @param executors [addresses] who do what is due; the zero address: everybody
    @custom:reverts "timelock: delay", "timelock: nobody"
    """
    assert delay >= MIN_DELAY and delay <= MAX_DELAY, "timelock: delay"
    assert len(proposers) != 0 and len(executors) != 0, "timelock: nobody"
    access_control.__init__()
    timelock.__init__(delay, proposers, executors, empty(address))
