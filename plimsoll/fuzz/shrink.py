"""Delta debugging: from a failing list of operations to a short script that fails likewise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plimsoll.fuzz.properties import Mismatch
from plimsoll.fuzz.run import Report, replay
from plimsoll.fuzz.system import Artifacts, Op, Setup


def shrink(report: Report, artifacts: Artifacts | None = None, budget: int = 600) -> Report:
    """A shorter and rounder list that still fails with the same kind of mismatch.

    Args:
        report: of a failing run.
        artifacts: the contracts that it failed on.
        budget: how many replays to spend.

    Returns:
        The report of the shortest list found; the mismatch is that list's.
    """
    assert report.mismatch is not None
    kind = report.mismatch.kind
    left = budget

    def fails(setup: Setup, operations: list[Op]) -> bool:
        nonlocal left
        if left <= 0:
            return False
        left -= 1
        return _kind(_replay(setup, operations, artifacts)) == kind

    setup, operations = report.setup, report.mismatch.operations
    operations = minimize(operations, lambda ops: fails(setup, ops))
    operations = round_off(operations, lambda ops: fails(setup, ops))
    operations = minimize(operations, lambda ops: fails(setup, ops))
    return _replay(setup, operations, artifacts)


def _replay(setup: Setup, operations: list[Op], artifacts: Artifacts | None) -> Report:
    every = 1 if len(operations) <= 60 else 10
    try:
        return replay(setup, operations, every, artifacts)
    except (ArithmeticError, AssertionError, LookupError, ValueError) as error:
        # The list has come apart: an operation refers to what a dropped one would have made.
        broken = Report(setup, operations)
        broken.mismatch = Mismatch("broken list", repr(error))
        return broken


def _kind(report: Report) -> str | None:
    return report.mismatch.kind if report.mismatch else None


def minimize(items: list[Op], fails: Callable[[list[Op]], bool]) -> list[Op]:
    """Drop chunks of ever smaller size while the rest still fails (ddmin's complements)."""
    size = max(len(items) // 2, 1)
    while True:
        at, dropped = 0, False
        while at < len(items):
            rest = items[:at] + items[at + size :]
            if rest and fails(rest):
                items, dropped = rest, True
            else:
                at += size
        if size == 1 and not dropped:
            return items
        if not dropped or size > len(items):
            size = max(size // 2, 1)


def round_off(items: list[Op], fails: Callable[[list[Op]], bool]) -> list[Op]:
    """Make the numbers rounder, one after the other, while the list still fails."""
    for i, op in enumerate(items):
        for j, argument in enumerate(op):
            if isinstance(argument, bool) or not isinstance(argument, int) or abs(argument) < 100:
                continue
            for rounder in _rounder(argument):
                changed = [*op[:j], rounder, *op[j + 1 :]]
                candidate = [*items[:i], changed, *items[i + 1 :]]
                if fails(candidate):
                    items, op = candidate, changed  # noqa: PLW2901
                    break
    return items


def _rounder(value: int) -> list[int]:
    """`value` with one, two, four and eight leading digits."""
    sign, digits = (1, str(value)) if value > 0 else (-1, str(-value))
    every = [int(digits[:n] + "0" * (len(digits) - n)) for n in (1, 2, 4, 8) if n < len(digits)]
    return [sign * v for v in every if sign * v != value]


# ------------------------------------------------------------------ for people and for the corpus


def describe(report: Report) -> str:
    """A readable script of a report."""
    lines = [f"# {report.mismatch}" if report.mismatch else "# passes"]
    lines += [f"#   market {i}: {m}" for i, m in enumerate(report.setup.markets)]
    plain = {k: v for k, v in report.setup.to_json().items() if k != "markets"}
    lines += [f"#   {plain}"]
    lines += [f"{op[0]}({', '.join(_show(a) for a in op[1:])})" for op in report.operations]
    return "\n".join(lines)


def _show(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) < 10**9:
        return repr(value)
    digits = str(abs(value)).rstrip("0")
    zeros = len(str(abs(value))) - len(digits)
    if zeros >= 4:
        return f"{'-' if value < 0 else ''}{digits} * 10**{zeros}"
    return f"{value:_}"
