"""Whole lists of events, to compare with what a call should have told."""

from typing import Any

Event = tuple[Any, ...]


def plain(value: Any) -> Any:
    """Contracts and accounts as their addresses, lists and structs as tuples."""
    if hasattr(value, "address"):
        return str(value.address)
    if hasattr(value, "_fields"):
        return tuple(plain(v) for v in value)
    if hasattr(value, "items"):
        return tuple(plain(v) for v in value.values())
    if isinstance(value, list | tuple):
        return tuple(plain(v) for v in value)
    return value


def event(name: str, *args: Any) -> Event:
    """An event to expect: its name, then its arguments in order."""
    return (name, *(plain(a) for a in args))


def events(receipt: Any) -> list[Event]:
    """Everything that a transaction told, in order; nothing may go undecoded."""
    decoded = [
        (log.event_name, *(plain(v) for v in log.event_arguments.values()))
        for log in receipt.events
    ]
    assert len(decoded) == len(receipt.logs)
    return decoded


def named(receipt: Any, *names: str) -> list[Event]:
    """The events of these names alone."""
    return [e for e in events(receipt) if e[0] in names]
