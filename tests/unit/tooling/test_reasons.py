"""The reasons of modules/reasons.vy: each is the text beside it, and each is given somewhere."""

from __future__ import annotations

import re

from plimsoll.fuzz.artifacts import CONTRACTS
from plimsoll.fuzz.chain import ERROR, reason_of

FILE = CONTRACTS / "modules" / "reasons.vy"
LINE = re.compile(r"([A-Z0-9_]+): constant\(bytes32\) = 0x([0-9a-f]{64})  # (.+)")


def reasons() -> dict[str, tuple[bytes, str]]:
    """The constants of the file by name: what each holds, and the text beside it."""
    found = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if "constant(" in line:
            match = LINE.fullmatch(line)
            assert match, f"unlike the others: {line}"
            assert match[1] not in found
            found[match[1]] = (bytes.fromhex(match[2]), match[3])
    return found


def sources() -> str:
    """Everything but the reasons themselves and the mocks."""
    files = [f for f in sorted(CONTRACTS.rglob("*.vy")) if f != FILE and "mocks" not in f.parts]
    return "\n".join(f.read_text(encoding="utf-8") for f in files)


def test_reasons__each__is_its_text_right_aligned_and_its_name():
    """`fail` takes the zero bytes in front away, so a text may not begin with one, nor be too long."""
    for name, (word, text) in reasons().items():
        assert word == text.encode("ascii").rjust(32, b"\0"), name
        assert len(text) <= 32
        # LIKE_THIS: "like: this"
        assert name == re.sub(r"[^A-Z0-9]+", "_", text.upper()), name


def test_reasons__in_order__and_no_text_twice():
    found = reasons()
    assert len(found) > 60
    assert list(found) == sorted(found)
    assert len({text for _, text in found.values()}) == len(found)


def test_reasons__each__is_used_and_nothing_else_is():
    used = set(re.findall(r"\breasons\.([A-Z0-9_]+)", sources()))
    assert used == set(reasons())


def test_fail__anywhere__takes_a_reason_of_the_list():
    calls = re.findall(r"fixed_point\.fail\(([^)]*)\)", sources())
    assert len(calls) > 60
    # One of two reasons, or, in `prices.must_be_live`, that of the price's status.
    one = r"reasons\.[A-Z0-9_]+"
    allowed = rf"{one}|{one} if \w+ else {one}|convert\(status, bytes32"
    assert [c for c in calls if not re.fullmatch(allowed, c)] == []


def test_reason_of__text_with_more_than_it_says__is_told_by_its_bytes():
    """As a mutant of `fail` gives it: no reader of reverts may fail over one."""
    word = (1).to_bytes(32, "big")
    told = reason_of(ERROR + (32).to_bytes(32, "big") + word + b"xy".ljust(32, b"\0"))
    assert told.startswith("data: 08c379a0")
    assert reason_of(ERROR + (32).to_bytes(32, "big") + word + b"x".ljust(32, b"\0")) == "x"
