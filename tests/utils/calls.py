"""Small helpers around calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plimsoll.errors import Reverted


def refusal(call: Callable[[], Any]) -> str:
    """The reason that a call of the package is refused with; fails if it goes through."""
    try:
        call()
    except Reverted as error:
        return error.reason
    raise AssertionError("the call went through")
