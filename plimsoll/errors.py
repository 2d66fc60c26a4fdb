"""What can go wrong outside the contracts, in words for the person at the keyboard."""

from __future__ import annotations


class PlimsollError(Exception):
    """A mistake or a state of the world that the caller can mend; its text says how."""


class TableError(PlimsollError):
    """A deployment table holds something that cannot be deployed."""


class PriceFileError(PlimsollError):
    """A file of prices that cannot be used at all."""


class DeploymentError(PlimsollError):
    """There is no deployment here, or not the one that was asked for."""


class ChainError(PlimsollError):
    """The chain, or the tool that runs it, cannot do what was asked."""


class Reverted(PlimsollError):
    """A call that a contract refused.

    Attributes:
        reason: the contract's own text, as in ``margin: below initial``; empty if it gave none.
        method: the function that was called.
    """

    def __init__(self, reason: str, method: str = "") -> None:
        super().__init__(reason or "reverted without a reason")
        self.reason = reason
        self.method = method
